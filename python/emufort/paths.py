"""What callers may give for the path of a file or folder."""

from __future__ import annotations

import os

#: Text, or any object that stands for a path, such as `pathlib.Path`.
PathLike = str | os.PathLike[str]
