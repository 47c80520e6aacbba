"""The Pareto front of error against time, and its knee."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from emufort.selection.entry import Entry
from emufort.selection.words import per_cent, ratio

#: A candidate whose error exceeds the lowest error by this factor cannot be the knee.
_WORST = 3.0
#: An error that is lower by this share may be due to the random seed and justifies no more time.
NOISE = 0.02
#: Without a knee, twice the time must lower the error at least to this share.
_WORTH = 0.75


def pareto_front(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries that no other entry dominates, in ascending order of time.

    An entry is dominated by one that is as fast and as good, and better in at least one of both.
    Of entries with the same label only the one with the lowest error takes part, because they are
    the same network with different seeds. Of entries equal in time and error one is kept. The
    result does not depend on the order of the entries.
    """
    best: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda e: (e.rmse, e.ns_per_sample, e.id)):
        best.setdefault(entry.label, entry)
    front: list[Entry] = []
    for entry in sorted(best.values(), key=lambda e: (e.ns_per_sample, e.rmse, e.id)):
        if not front or entry.rmse < front[-1].rmse:
            front.append(entry)
    return tuple(front)


def knee(front: Sequence[Entry]) -> tuple[Entry, str]:
    """Return the knee of a Pareto front and the reason.

    The knee is the member beyond which more time stops to pay. Time and error are compared by their
    logarithms, because users weigh ratios. First the ends of the front are trimmed, since they set
    the scale: of the members within 2 % of the lowest error only the fastest is kept, and members
    with more than 3 times this error are excluded. Between the ends of the rest, both logarithms
    are normalised to 0..1. The knee is the member furthest below the chord, which is the straight
    line between the ends; of equal members the faster one is taken. With fewer than three members,
    or with none below the chord, there is no knee. The slower end is then taken if twice the time
    lowers the error by a quarter or more (in proportion for other ratios).

    Parameters
    ----------
    front
        A Pareto front in ascending order of time, see `pareto_front`.

    Returns
    -------
    Entry
        The knee.
    str
        The reason, which continues the sentence "X is the knee of the front".
    """
    slow = next(e for e in front if e.rmse <= front[-1].rmse * (1 + NOISE))
    contenders = [e for e in front if slow.rmse <= e.rmse <= slow.rmse * _WORST * (1 + 1e-9)]
    fast = contenders[0]
    if len(contenders) == 1:
        return fast, "no other has clearly less error, or less time at a comparable error"
    time_range = math.log(slow.ns_per_sample / fast.ns_per_sample)
    error_range = math.log(fast.rmse / slow.rmse)

    def below_chord(entry: Entry) -> float:
        time = math.log(entry.ns_per_sample / fast.ns_per_sample) / time_range
        error = math.log(entry.rmse / slow.rmse) / error_range
        return 1.0 - time - error

    # Rounding makes equal values tie; `max` keeps the first of them, which is the fastest.
    found = max(contenders, key=lambda e: round(below_chord(e), 12))
    if below_chord(found) > 1e-9 and found not in (fast, slow):
        return found, "beyond it, more time lowers the error much less than up to it"
    pays = error_range >= math.log(1.0 / _WORTH) * time_range / math.log(2.0)
    trade = (
        f"{slow} has {per_cent(1 - slow.rmse / fast.rmse)} less error than {fast} at "
        f"{ratio(slow.ns_per_sample / fast.ns_per_sample)} the time, which"
    )
    limit = f"(twice the time must lower the error by {per_cent(1 - _WORTH)})"
    return (
        (slow, f"{trade} is enough {limit}") if pays else (fast, f"{trade} is too little {limit}")
    )
