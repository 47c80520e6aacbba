"""Paths that callers may pass, and the cache folder of the user."""

from __future__ import annotations

import os
from pathlib import Path

#: Text, or an object that represents a path, such as `pathlib.Path`.
PathLike = str | os.PathLike[str]


def cache_folder() -> Path:
    """Return the cache folder of the user, for files that can be made again."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "emufort"
