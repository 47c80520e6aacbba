"""Sentences about the rungs and rows of step 1 for reports and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rungs_in_words(summary: Mapping[str, Any]) -> str:
    """Return one or two sentences about the rungs and rows of a search, with the reason.

    Parameters
    ----------
    summary
        Content of search.json; files of earlier versions may lack entries.

    Returns
    -------
    str
        Empty where the summary has no rungs.
    """
    rungs = list(summary.get("rungs") or ())
    rows = summary.get("rung_rows") or [summary.get("subset")] * len(rungs)
    if not rungs or len(rows) != len(rungs):
        return ""
    lengths = [
        f"{epochs} epoch{'s' * (epochs != 1)}" + (f" of {n} rows" if n else "")
        for epochs, n in zip(rungs, rows, strict=True)
    ]
    words = f"Step 1 trained in {len(rungs)} rung{'s' * (len(rungs) != 1)}: {', '.join(lengths)}"
    reason = summary.get("subset_reason")
    return f"{words}. {reason}." if reason else f"{words}."
