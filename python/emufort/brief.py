"""Short representations of public objects, independent of the size of the objects."""

from __future__ import annotations

from collections.abc import Sequence

#: Most characters of a part of a representation.
_MOST = 160


def brief(thing: object, name: str, *facts: str) -> str:
    """Return ``<Class name: fact; fact>``; every part is shortened to fit on a line."""
    parts = "; ".join(map(shortened, filter(None, facts)))
    return f"<{type(thing).__name__} {shortened(name)}{': ' if parts else ''}{parts}>"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names separated by commas; of many names the first ones and the total number."""
    shown = ", ".join(shortened(name, 40) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def shortened(text: str, most: int = _MOST) -> str:
    """Return one line of at most `most` characters; a longer text loses its middle."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
