"""Markdown tables, and their insertion into documents."""

from __future__ import annotations

import re
from collections.abc import Sequence


def replaced(text: str, name: str, body: str) -> str:
    """Return the text with `body` between the markers of `name`.

    Raises
    ------
    ValueError
        The text does not have the markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no {begin} ... {end}")
    return pattern.sub(lambda _: f"{begin}\n{body}\n{end}", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
