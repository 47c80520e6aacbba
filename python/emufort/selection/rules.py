"""The rules that choose an emulator on the Pareto front; see `select` for their definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from emufort.errors import EmufortError, UsageError, did_you_mean
from emufort.selection.entry import Entry
from emufort.selection.front import NOISE, knee
from emufort.selection.words import columns, front_words, nanoseconds, rounded_up

RULES = ("knee", "fastest-within=5%", "best", "max-ns=200", "faster-than=ARG2000")

_Times = Mapping[str, float]
#: A function of the front, the columns per call and the times of the baselines by name, which
#: returns the choice and the reason.
_Choice = Callable[[Sequence[Entry], int, _Times], tuple[Entry, str]]


def check_rule(rule: str) -> None:
    """Raise `UsageError` unless `rule` is a rule of `select`."""
    parse_rule(rule)


def parse_rule(rule: str) -> _Choice:
    """Return the function that chooses by this rule.

    Raises
    ------
    UsageError
        There is no such rule.
    """
    name, _, value = rule.partition("=")
    if name == "knee" and not value:
        return _knee
    if name == "best" and not value:
        return _best
    if name == "fastest-within" and re.fullmatch(r"\d+(\.\d*)?\s*%", value):
        return _fastest_within(float(value.rstrip("% ")) / 100)
    if name == "max-ns" and re.fullmatch(r"\d+(\.\d*)?", value) and float(value) > 0:
        return _max_ns(float(value))
    if name == "faster-than" and value.strip():
        return _faster_than(value)
    names = [known.partition("=")[0] for known in RULES]
    hint = "" if name in names else did_you_mean(name, names)
    raise UsageError(
        f"there is no rule '{rule}'{hint}; use {', '.join(RULES[:-1])} or {RULES[-1]} (with your "
        "numbers)"
    )


def _knee(front: Sequence[Entry], ncol: int, times: _Times) -> tuple[Entry, str]:
    choice, why = knee(front)
    return choice, f"{choice} is the knee of {front_words(front, ncol)}: {why}."


def _best(front: Sequence[Entry], ncol: int, times: _Times) -> tuple[Entry, str]:
    choice = front[-1]
    return choice, f"{choice} has the lowest error of {front_words(front, ncol)}."


def _fastest_within(share: float) -> _Choice:
    def choose(front: Sequence[Entry], ncol: int, times: _Times) -> tuple[Entry, str]:
        best = front[-1]
        choice = next(e for e in front if e.rmse <= best.rmse * (1 + share) * (1 + 1e-12))
        return choice, (
            f"{choice} is the fastest of {front_words(front, ncol)} whose error is within "
            f"{100 * share:g} % of the lowest."
        )

    return choose


def _max_ns(limit: float) -> _Choice:
    def choose(front: Sequence[Entry], ncol: int, times: _Times) -> tuple[Entry, str]:
        affordable = [e for e in front if e.ns_per_sample <= limit]
        if not affordable:
            raise EmufortError(
                f"no candidate takes at most {limit:g} ns per sample at {columns(ncol)}: the "
                f"fastest, {front[0]}, takes {nanoseconds(front[0].ns_per_sample)}; set "
                f"max-ns={rounded_up(front[0].ns_per_sample)} or more, or search smaller networks"
            )
        choice = affordable[-1]
        return choice, (
            f"{choice} has the lowest error among those of {front_words(front, ncol)} that take at "
            f"most {limit:g} ns per sample."
        )

    return choose


def _faster_than(scheme: str) -> _Choice:
    def choose(front: Sequence[Entry], ncol: int, times: _Times) -> tuple[Entry, str]:
        if scheme not in times:
            choice, why = _knee(front, ncol, times)
            return choice, f"The time of {scheme} was not measured. {why}"
        members = front_words(front, ncol)
        faster = [e for e in front if e.ns_per_sample < times[scheme]]
        if not faster:
            return front[
                0
            ], f"{front[0]} is the fastest of {members}; none is faster than {scheme}."
        choice = next(e for e in faster if e.rmse <= faster[-1].rmse * (1 + NOISE))
        return choice, (
            f"{choice} has the lowest error among those of {members} that are faster than {scheme}."
        )

    return choose
