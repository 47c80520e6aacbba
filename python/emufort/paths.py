"""Paths that callers may pass, and the cache folder of the user."""

from __future__ import annotations

import os
from pathlib import Path

#: Text, or an object that represents a path, such as `pathlib.Path`.
PathLike = str | os.PathLike[str]


def cache_folder() -> Path:
    """Return the folder for files of the user that emufort can make again.

    It is ``$XDG_CACHE_HOME/emufort``, or ``~/.cache/emufort`` without this variable.
    """
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser().absolute() / "emufort"
