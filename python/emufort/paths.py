"""The type of paths of files and folders that callers may pass."""

from __future__ import annotations

import os

#: Text, or an object that represents a path, such as `pathlib.Path`.
PathLike = str | os.PathLike[str]
