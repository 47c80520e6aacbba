"""The front of loss against predicted time that a search has found."""

from __future__ import annotations

from collections.abc import Sequence

from emufort.search.trials import Trial
from emufort.selection.entry import Entry
from emufort.selection.front import pareto_front


def front_of(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials on the front of loss against predicted time, fastest first.

    Only trials that reached the last rung count, because losses of different rungs cannot be
    compared; in a short search with ASHA there may be none. Of the trials with the same network,
    the one with the lowest loss counts.

    Parameters
    ----------
    trials
        Trials of a search with time as an objective.
    """
    finished = {str(t.number): t for t in trials if t.finite and t.pruned_at is None}
    entries = [
        Entry(number, f"{t.architecture.label} {t.target}", t.value, t.predicted_ns)
        for number, t in finished.items()
        if t.predicted_ns is not None
    ]
    return [finished[entry.id] for entry in pareto_front(entries)]
