"""Tables of finished work that a script extends line by line, and reads when it is run again."""

from __future__ import annotations

from pathlib import Path


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a table; a line that an interruption has cut is removed from the file.

    Parameters
    ----------
    path
        The table; it need not exist.
    """
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return whole.splitlines()
