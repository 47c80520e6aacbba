"""Representations of public objects that fit on a screen, however large the objects are."""

from __future__ import annotations

from collections.abc import Sequence

#: Characters that a part of a representation may have.
_MOST = 160


def brief(thing: object, name: str, *facts: str) -> str:
    """Return ``<Class name: fact; fact>``; every part is cut to a length that a line can show."""
    parts = "; ".join(map(shortened, filter(None, facts)))
    return f"<{type(thing).__name__} {shortened(name)}{': ' if parts else ''}{parts}>"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names with commas between; of many the first, and how many there are."""
    shown = ", ".join(shortened(name, 40) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def shortened(text: str, most: int = _MOST) -> str:
    """Return one line of at most `most` characters; the middle of a longer text gives way."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
