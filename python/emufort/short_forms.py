"""Keys with a short form: ``dimension = "lev"`` means ``dimensions = ["lev"]``."""

from __future__ import annotations

from typing import Any


def long_form(content: Any, key: str) -> Any:
    """Return plain data in which the list `key` + "s" replaces its short form, one `key`."""
    if not isinstance(content, dict) or key not in content:
        return content
    if f"{key}s" in content:
        raise ValueError(f"'{key}' and '{key}s' are both given; '{key}s' is a list")
    named = [] if content[key] is None else [content[key]]
    return {**{k: v for k, v in content.items() if k != key}, f"{key}s": named}


def short_form(content: dict[str, Any], key: str) -> dict[str, Any]:
    """Return plain data with `key` where the list `key` + "s" has one entry.

    The hashes of contracts from before there were lists stay what they are.
    """
    return dict(
        (key, value[0]) if name == f"{key}s" and len(value) == 1 else (name, value)
        for name, value in content.items()
        if name != f"{key}s" or value
    )
