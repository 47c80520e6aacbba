"""The Pareto front of error against time, and its knee."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from emufort.selection.entry import Entry
from emufort.selection.words import per_cent, ratio

#: A candidate whose error exceeds the best one's by this factor is no contender for the knee.
_WORST = 3.0
#: Less error by this share is what another seed may give or take: no reason to be slower.
_NOISE = 0.02
#: Where there is no knee: twice the time has to lower the error at least to this share.
_WORTH = 0.75


def pareto_front(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return what no other entry beats: none is as fast and as good, and better in one of both.

    Of entries with the same label only the one with the least error takes part, as the others are
    the same network from another seed. Of entries equal in time and error one stays. The result
    does not depend on the order of the entries, and ascends in time.
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
    """Return the member of a Pareto front where more time stops to pay, and why in words.

    Time and error count by their logarithms, as ratios are what users weigh. First the ends are
    trimmed, since they set the scale: of the members within 2 % of the least error only the fastest
    stays, and those with more than 3 times its error are no contenders. Between the ends of the
    rest both logarithms are normalised to 0..1, and the member furthest below the chord (the
    straight line between the ends) is the knee; of equals the faster. With fewer than three
    members, or with none below the chord, there is no knee: then the slower end is taken if it
    pays, which is when twice the time lowers the error by a quarter or more (in proportion for
    other ratios).
    """
    slow = next(e for e in front if e.rmse <= front[-1].rmse * (1 + _NOISE))
    contenders = [e for e in front if slow.rmse <= e.rmse <= slow.rmse * _WORST * (1 + 1e-9)]
    fast = contenders[0]
    if len(contenders) == 1:
        return fast, "no other has clearly less error or, at a comparable error, less time"
    time_range = math.log(slow.ns_per_sample / fast.ns_per_sample)
    error_range = math.log(fast.rmse / slow.rmse)

    def below_chord(entry: Entry) -> float:
        time = math.log(entry.ns_per_sample / fast.ns_per_sample) / time_range
        error = math.log(entry.rmse / slow.rmse) / error_range
        return 1.0 - time - error

    # Rounded, so that equals tie; `max` keeps the first of them, which is the fastest.
    found = max(contenders, key=lambda e: round(below_chord(e), 12))
    if below_chord(found) > 1e-9 and found not in (fast, slow):
        return found, "up to it more time lowers the error well, beyond it little"
    pays = error_range >= math.log(1.0 / _WORTH) * time_range / math.log(2.0)
    trade = (
        f"{slow} has {per_cent(1 - slow.rmse / fast.rmse)} less error than {fast} for "
        f"{ratio(slow.ns_per_sample / fast.ns_per_sample)} the time, which"
    )
    limit = f"(twice the time has to lower the error by {per_cent(1 - _WORTH)})"
    return (slow, f"{trade} pays {limit}") if pays else (fast, f"{trade} does not pay {limit}")
