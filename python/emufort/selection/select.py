"""The Pareto front of skill against measured time, and the choice on it; works on tables only."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from emufort.brief import brief
from emufort.errors import EmufortError, UsageError, did_you_mean

if TYPE_CHECKING:
    from emufort.contract import Contract
    from emufort.network.emulator import Emulator
    from emufort.retrain.models import Models

#: A candidate whose error exceeds the best one's by this factor is no contender for the knee.
_WORST = 3.0
#: Less error by this share is what another seed may give or take: no reason to be slower.
_NOISE = 0.02
#: Where there is no knee: twice the time has to lower the error at least to this share.
_WORTH = 0.75

#: What is said wherever times are shown that were measured in ONNX Runtime.
ONNX_RUNTIME_TIMES = (
    "Times are those of ONNX Runtime, not of the compiled Fortran that a host model runs; measured "
    "there, the choice may be another."
)

RULES = ("knee", "fastest-within=5%", "best", "max-ns=200")


@dataclass(frozen=True)
class Entry:
    """One emulator with what counts for the choice.

    Attributes
    ----------
    id
        Identity of the candidate (architecture, trial and seed).
    label
        Its architecture in words; entries with the same label differ in their seed or training.
    rmse
        Root mean square error of the skill variables on the validation split.
    ns_per_sample
        Measured median inference time in ns.
    """

    id: str
    label: str
    rmse: float
    ns_per_sample: float

    def __str__(self) -> str:
        return f"{self.id} ({self.label})"


@dataclass(frozen=True)
class BaselineEntry:
    """A classical scheme to compare with; its time in ns is None where it was not measured."""

    name: str
    rmse: float
    ns_per_sample: float | None


@dataclass(frozen=True)
class Selection:
    """The choice, why, and all it was chosen from.

    Attributes
    ----------
    rule, ncol
        The rule, and the columns per call of the times that it looked at.
    choice
        The chosen emulator; a member of `front`.
    reason
        Sentences for a person.
    front
        What no other is better than in both time and error; ascending time, descending error.
    all
        Every candidate, ascending error.
    baselines
        The classical schemes.
    backend
        What was timed: ``"fortran"`` or ``"onnxruntime"``.
    models
        The candidates, None where only their tables are known.
    """

    rule: str
    ncol: int
    choice: Entry
    reason: str
    front: tuple[Entry, ...]
    all: tuple[Entry, ...]
    baselines: tuple[BaselineEntry, ...] = ()
    backend: str = "fortran"
    models: Models | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        counts = f"{len(self.front)} of {len(self.all)} candidates on the front"
        return brief(self, f"by {self.rule} at ncol {self.ncol}", counts, f"choice {self.choice!r}")

    @property
    def caveat(self) -> str:
        """What a reader must know of the times, empty where they are those of compiled Fortran."""
        return "" if self.backend == "fortran" else ONNX_RUNTIME_TIMES

    def emulator(self) -> Emulator:
        """Read the chosen network.

        Raises
        ------
        EmufortError
            It is not known where the candidates are, or the file is missing or damaged.
        """
        if self.models is None:
            raise EmufortError(
                f"it is not known where {self.choice.id} is kept; choose with emufort.api.select"
            )
        return self.models.emulator(self.choice.id)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for selection.json."""
        return {
            "rule": self.rule,
            "ncol": self.ncol,
            "choice": self.choice.id,
            "reason": self.reason,
            "front": [asdict(entry) for entry in self.front],
            "all": [asdict(entry) for entry in self.all],
            "baselines": [asdict(baseline) for baseline in self.baselines],
            "backend": self.backend,
            "caveat": self.caveat,
        }


def select(
    candidates: Iterable[Mapping[str, Any]],
    times: Iterable[Mapping[str, Any]],
    rule: str = "knee",
    ncol: int = 16,
    baselines: Mapping[str, float] | None = None,
) -> Selection:
    """Choose an emulator from the tables of skill and of measured time.

    Parameters
    ----------
    candidates
        Rows of candidates.csv: at least ``id``, ``label`` and ``rmse``.
    times
        Rows of timing.csv: at least ``id``, ``kind``, ``ncol`` and ``ns_per_sample``.
    rule
        ``knee``
            The member of the front where more time stops to pay: furthest below the straight line
            between the ends of the front in ln(time), ln(error), both normalised to 0..1; see
            `knee`. Where a baseline was timed and the knee is slower, which would be no
            replacement for it, the least error among those that are faster (if there are any).
        ``fastest-within=P%``
            The fastest whose error exceeds the best one's by no more than P per cent.
        ``best``
            The least error.
        ``max-ns=T``
            The least error among those that take at most T ns per sample.
    ncol
        Columns per call of the times that count.
    baselines
        Name of a classical scheme -> its RMSE over the same rows as that of the candidates.

    Raises
    ------
    UsageError
        There is no such rule, or nothing was timed at `ncol`.
    EmufortError
        A table lacks a row or holds no usable number, or no candidate satisfies the rule.
    """
    choose = _parse(rule)
    rows = list(times)
    timed = _times_at(rows, "candidate", ncol)
    entries = [_entry(row, timed, ncol) for row in candidates]
    if not entries:
        raise EmufortError("there is no candidate to choose from: the table of candidates is empty")
    front = pareto_front(entries)
    baseline_times = _times_at(rows, "baseline", ncol, required=False)
    choice, why = choose(front, ncol)
    limit = min(baseline_times.values(), default=math.inf)
    faster = [entry for entry in front if entry.ns_per_sample < limit]
    if rule == "knee" and faster and choice not in faster:
        knee_at, choice = choice, faster[-1]
        names = " and ".join(sorted(baseline_times))
        why = (
            f"{choice} has the least error of what is faster than {names}; the knee of "
            f"{_front_words(front, ncol)}, {knee_at}, is slower."
        )
    compared = tuple(
        BaselineEntry(name, rmse, baseline_times.get(name))
        for name, rmse in (baselines or {}).items()
    )
    ranked = tuple(sorted(set(entries), key=lambda e: (e.rmse, e.ns_per_sample, e.id)))
    backends = {str(r.get("backend", "fortran")) for r in rows if r["kind"] == "candidate"}
    backend = "fortran" if backends == {"fortran"} else "onnxruntime"
    caveat = [] if backend == "fortran" else [ONNX_RUNTIME_TIMES]
    reason = " ".join([why, *_neighbours(choice, front), *_against(choice, compared), *caveat])
    return Selection(rule, ncol, choice, reason, front, ranked, compared, backend)


# ------------------------------------------------------------------------------------- the front


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
        f"{slow} has {_per_cent(1 - slow.rmse / fast.rmse)} less error than {fast} for "
        f"{_ratio(slow.ns_per_sample / fast.ns_per_sample)} the time, which"
    )
    limit = f"(twice the time has to lower the error by {_per_cent(1 - _WORTH)})"
    return (slow, f"{trade} pays {limit}") if pays else (fast, f"{trade} does not pay {limit}")


# ------------------------------------------------------------------------------------- the rules

_Choice = Callable[[Sequence[Entry], int], tuple[Entry, str]]


def check_rule(rule: str) -> None:
    """Raise `UsageError` unless `rule` is one of the rules of `select`."""
    _parse(rule)


def _parse(rule: str) -> _Choice:
    name, _, value = rule.partition("=")
    if name == "knee" and not value:
        return _knee
    if name == "best" and not value:
        return _best
    if name == "fastest-within" and re.fullmatch(r"\d+(\.\d*)?\s*%", value):
        return _fastest_within(float(value.rstrip("% ")) / 100)
    if name == "max-ns" and re.fullmatch(r"\d+(\.\d*)?", value) and float(value) > 0:
        return _max_ns(float(value))
    names = [known.partition("=")[0] for known in RULES]
    hint = "" if name in names else did_you_mean(name, names)
    raise UsageError(
        f"there is no rule '{rule}'{hint}; give {', '.join(RULES[:-1])} or {RULES[-1]} (with your "
        "numbers)"
    )


def _knee(front: Sequence[Entry], ncol: int) -> tuple[Entry, str]:
    choice, why = knee(front)
    return choice, f"{choice} is the knee of {_front_words(front, ncol)}: {why}."


def _best(front: Sequence[Entry], ncol: int) -> tuple[Entry, str]:
    choice = front[-1]
    return choice, f"{choice} has the least error of {_front_words(front, ncol)}."


def _fastest_within(share: float) -> _Choice:
    def choose(front: Sequence[Entry], ncol: int) -> tuple[Entry, str]:
        best = front[-1]
        choice = next(e for e in front if e.rmse <= best.rmse * (1 + share) * (1 + 1e-12))
        return choice, (
            f"{choice} is the fastest of {_front_words(front, ncol)} whose error is within "
            f"{100 * share:g} % of the least."
        )

    return choose


def _max_ns(limit: float) -> _Choice:
    def choose(front: Sequence[Entry], ncol: int) -> tuple[Entry, str]:
        affordable = [e for e in front if e.ns_per_sample <= limit]
        if not affordable:
            raise EmufortError(
                f"no candidate takes at most {limit:g} ns per sample at {_columns(ncol)}: the "
                f"fastest, {front[0]}, takes {nanoseconds(front[0].ns_per_sample)}; give "
                f"max-ns={_rounded_up(front[0].ns_per_sample)} or more, or search smaller networks"
            )
        choice = affordable[-1]
        return choice, (
            f"{choice} has the least error among those of {_front_words(front, ncol)} that take at "
            f"most {limit:g} ns per sample."
        )

    return choose


# ------------------------------------------------------------------------------------- the words


def _front_words(front: Sequence[Entry], ncol: int) -> str:
    members = "1 member" if len(front) == 1 else f"{len(front)} members"
    return f"the front ({members}, {_columns(ncol)} per call)"


def _columns(ncol: int) -> str:
    return "1 column" if ncol == 1 else f"{ncol} columns"


def _neighbours(choice: Entry, front: Sequence[Entry]) -> list[str]:
    """Say what the next faster and the next slower member would change."""
    sentences = [
        f"Its RMSE is {choice.rmse:.3g} at {nanoseconds(choice.ns_per_sample)} ns per sample."
    ]
    place = front.index(choice)
    if place + 1 < len(front):
        slower = front[place + 1]
        sentences.append(
            f"Going to the next slower, {slower}, lowers the error by "
            f"{_per_cent(1 - slower.rmse / choice.rmse)} for "
            f"{_ratio(slower.ns_per_sample / choice.ns_per_sample)} the time."
        )
    if place > 0:
        faster = front[place - 1]
        more = faster.rmse / choice.rmse if choice.rmse > 0 else math.inf
        if math.isinf(more):
            price = f"has an error of {faster.rmse:.3g}"
        elif more < 2:
            price = f"raises the error by {_per_cent(more - 1)}"
        else:
            price = f"has {_ratio(more)} the error"
        sentences.append(
            f"Going to the next faster, {faster}, saves "
            f"{_per_cent(1 - faster.ns_per_sample / choice.ns_per_sample)} of the time and {price}."
        )
    return sentences


def _against(choice: Entry, baselines: Sequence[BaselineEntry]) -> list[str]:
    """Say how each baseline compares with the choice."""
    sentences = []
    for baseline in baselines:
        words = f"{baseline.name} has {_compared_error(baseline, choice)}"
        if baseline.ns_per_sample is None:
            words += " (its time was not measured)"
        else:
            words += (
                f" and takes {_ratio(baseline.ns_per_sample / choice.ns_per_sample)} its time "
                f"({nanoseconds(baseline.ns_per_sample)} ns per sample)"
            )
        sentences.append(words + ".")
    return sentences


def _compared_error(baseline: BaselineEntry, choice: Entry) -> str:
    """Return the error of a baseline as a multiple of the choice's, unless one of them has none."""
    if baseline.rmse == 0:
        return "no error"
    if choice.rmse == 0:
        return f"an RMSE of {baseline.rmse:.3g}"
    return f"{_ratio(baseline.rmse / choice.rmse)} its error"


def nanoseconds(value: float) -> str:
    """Return a time with three digits, without an exponent: "0.512", "51.4", "21,400"."""
    return f"{value:.3g}" if value < 999.5 else f"{float(f'{value:.3g}'):,.0f}"


def _ratio(value: float) -> str:
    text = f"{value:.0f}" if value >= 10 else f"{value:.2g}"
    return f"{'1.0' if text == '1' else text} times"


def _per_cent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _rounded_up(value: float) -> str:
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / unit) * unit:.6g}"


# ------------------------------------------------------------------------------------ the tables


def _times_at(
    rows: Sequence[Mapping[str, Any]], kind: str, ncol: int, required: bool = True
) -> dict[str, float]:
    """Return id -> time in ns of the rows of this kind at `ncol`."""
    known = sorted({int(row["ncol"]) for row in rows if row["kind"] == kind})
    if required and ncol not in known:
        measured = ", ".join(map(str, known)) or "nothing"
        raise UsageError(
            f"no candidate was timed at ncol {ncol} but at {measured}: choose one of these, or add "
            f"{ncol} to [timing] ncol and time again"
        )
    return {
        row["id"]: _number(row["ns_per_sample"], f"the time of {row['id']} at ncol {ncol}", True)
        for row in rows
        if row["kind"] == kind and int(row["ncol"]) == ncol
    }


def _entry(row: Mapping[str, Any], timed: Mapping[str, float], ncol: int) -> Entry:
    identity = str(row["id"])
    if identity not in timed:
        raise EmufortError(f"{identity} has no time at ncol {ncol}: time the candidates again")
    rmse = _number(row["rmse"], f"the RMSE of {identity}")
    return Entry(identity, str(row["label"]), rmse, timed[identity])


def _number(value: Any, what: str, positive: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        kind = "positive number" if positive else "number from 0 on"
        raise EmufortError(f"{what} is {value!r}, not a {kind}")
    return number


def needed_schemes(network: Contract, contract: Contract) -> set[str]:
    """Return the schemes of `contract` whose value networks of another contract are relative to."""
    schemes = {v: b.name for b in contract.baseline for v in b.variables}
    return {schemes[o.relative_to] for o in network.output if o.relative_to in schemes}


def with_needed_schemes(
    times: Sequence[Mapping[str, Any]], contracts: Mapping[str, Contract], contract: Contract
) -> list[dict[str, Any]]:
    """Add to the time of a network that of the schemes whose value it is relative to.

    Only so can networks that need a scheme be compared with networks that need none.

    Parameters
    ----------
    times
        Rows of timing.csv.
    contracts
        The contract of each candidate, by its identity.
    contract
        The contract of the run, which names the schemes.

    Raises
    ------
    EmufortError
        A scheme that a network needs was not timed.
    """
    ns = {(row["id"], int(row["ncol"])): float(row["ns_per_sample"]) for row in times}
    found = []
    for row in times:
        identity, ncol = row["id"], int(row["ncol"])
        needed = needed_schemes(contracts[identity], contract) if identity in contracts else set()
        unknown = sorted(name for name in needed if (name, ncol) not in ns)
        if unknown:
            raise EmufortError(
                f"{identity} needs the value of the scheme '{unknown[0]}', whose time was not "
                "measured, so that it cannot be compared with networks that need none: time in "
                "compiled Fortran, with a timing_source of the scheme, or leave this target out"
            )
        total = float(row["ns_per_sample"]) + sum(ns[name, ncol] for name in sorted(needed))
        found.append({**row, "ns_per_sample": repr(total)})
    return found
