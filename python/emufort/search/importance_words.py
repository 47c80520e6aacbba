"""The importances of hyperparameters as a table for reports and the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Explanation below the table.
IMPORTANCE_LEGEND = (
    "An importance says how much a hyperparameter decided which candidates are among the best "
    "tenth: those with the lowest loss (skill), or with the shortest time. The importances of all "
    "hyperparameters add up to 100 %. A hyperparameter near 0 % hardly matters within its range. "
    "Values that the sampler avoided are not seen, so a narrower range may show other importances."
)


@dataclass(frozen=True)
class ImportanceRow:
    """Importances of one hyperparameter, as shares of 1."""

    name: str
    skill: float
    time: float


def importance_rows(summary: Mapping[str, Any]) -> list[ImportanceRow]:
    """Return the hyperparameters by their importance for the skill, the largest first.

    Parameters
    ----------
    summary
        Content of search.json; it has no importances if the search had few candidates, or an
        earlier version made it.
    """
    try:
        found = summary["importances"]
        skill, time = dict(found["skill"]), dict(found["time"])
        rows = [
            ImportanceRow(_plain(name), float(skill.get(name, 0.0)), float(time.get(name, 0.0)))
            for name in {**skill, **time}
        ]
    except (KeyError, TypeError, ValueError):
        return []
    return sorted(rows, key=lambda row: (-row.skill, -row.time, row.name))


def _plain(name: str) -> str:
    """Return the name of a hyperparameter as words: width of layer 2 for ``width_2``."""
    layer = re.fullmatch(r"width_(\d+)", name)
    return f"width of layer {layer[1]}" if layer else name.replace("_", " ")
