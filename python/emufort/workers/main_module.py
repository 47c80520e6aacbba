"""Keep the user's script out of worker processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_main() -> Iterator[None]:
    """Hide the user's script while workers start.

    multiprocessing would run the script again in every worker unless the script has the guard
    ``if __name__ == "__main__"``. Workers need nothing of the script.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
