"""How well step 1 predicted step 2: agreement.json as table rows and sentences.

The terminal, the report and the model card share these texts. The file is untrusted: missing
entries, and entries that are not numbers, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from emufort.files import read_json

#: Name of the file in the folder of step 2.
FILE_NAME = "agreement.json"
#: Estimates that are shown in per cent; the others are correlations.
_SHARES = ("expected_regret", "expected_regret_along_the_front")
#: Key of `all_candidates` -> description, in the order of the rows.
_ROWS = {
    "spearman": "rank correlation of step 1 with step 2",
    "spearman_at_equal_cost": "rank correlation at equal cost",
    "spearman_of_cost_alone": "rank correlation of the cost alone",
    "expected_regret": "expected regret of the lowest loss",
    "expected_regret_along_the_front": "expected regret along the front",
}
#: Explanation of the descriptions in the rows.
LEGEND = (
    "The cost is estimated before any training, from multiply-adds and activation functions. At "
    "equal cost, its effect is removed from both losses first. Expected regret is the share by "
    "which the lowest loss of the retrained candidates is expected to exceed the lowest of all."
)


@dataclass(frozen=True)
class Estimate:
    """A row of the table: description, value, and the interval that holds 90 %.

    All are formatted texts: a value that is a share has its percent sign.
    """

    what: str
    value: str
    interval: str


@dataclass(frozen=True)
class Agreement:
    """How well step 1 predicted step 2.

    Attributes
    ----------
    measure
        Compared quantity: ``"loss"``, or ``"error"`` where targets were searched.
    candidates, control_group
        Number of all candidates, and of those in the random control group, which were retrained.
    estimates
        Key -> (value, low, high), over all candidates. Empty where the control group is too small,
        and for runs of earlier versions.
    error, error_uncalibrated
        Root mean square error of the predicted logarithm of a loss, with and without calibration.
    verdict
        Problem of step 1 and its remedy; empty where there is none.
    retrained
        Number of retrained candidates.
    spearman, regret_top1, regret_top5
        The rank correlation over the retrained candidates, and the shares by which the first of
        step 1, and the best of its first five, exceed the best.
    seed_spread
        Standard deviation over seeds as a share of the loss.
    """

    measure: str
    candidates: int
    control_group: int
    estimates: Mapping[str, tuple[float, float, float]]
    error: float | None
    error_uncalibrated: float | None
    verdict: str
    retrained: int
    spearman: float | None
    regret_top1: float | None
    regret_top5: float | None
    seed_spread: float | None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read agreement.json in the folder of step 2; return None if it does not exist.

        Raises
        ------
        EmufortError
            The file is not valid JSON.
        """
        path = folder / FILE_NAME
        return cls.of(read_json(path)) if path.exists() else None

    @classmethod
    def of(cls, content: object) -> Self:
        """Build it from the content of agreement.json, of this or an earlier version."""
        content = _table(content)
        whole = _table(content.get("all_candidates"))
        part = _table(content.get("retrained", content))
        verdict = whole.get("verdict")
        return cls(
            measure="error" if str(content.get("compares")).startswith("RMSE") else "loss",
            candidates=_count(whole.get("n")),
            control_group=_count(whole.get("control_group")),
            estimates={
                key: (value, low, high)
                for key in _ROWS
                for value, low, high in [_three(_table(whole.get(key)))]
                if value is not None and low is not None and high is not None
            },
            error=_finite(whole.get("error")),
            error_uncalibrated=_finite(whole.get("error_uncalibrated")),
            verdict=" ".join(verdict.split()) if isinstance(verdict, str) else "",
            retrained=_count(part.get("n")),
            spearman=_finite(part.get("spearman")),
            regret_top1=_finite(part.get("regret_top1")),
            regret_top5=_finite(part.get("regret_top5")),
            seed_spread=_finite(content.get("seed_spread")),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the entries for a manifest: the estimates over all candidates."""
        estimates = {
            key: dict(zip(("value", "low", "high"), numbers, strict=True))
            for key, numbers in self.estimates.items()
        }
        return {
            "n": self.candidates,
            "control_group": self.control_group,
            **estimates,
            "verdict": self.verdict,
        }

    @property
    def title(self) -> str:
        """Heading of the rows; empty if there are no estimates over all candidates."""
        if not self.candidates:
            return ""
        return (
            f"Step 1 against step 2, all {self.candidates} candidates (by a random control group "
            f"of {self.control_group})"
        )

    @property
    def rows(self) -> list[Estimate]:
        """The estimates over all candidates as rows."""
        found = []
        for key, (value, low, high) in self.estimates.items():
            say = percent if key in _SHARES else correlation
            found.append(Estimate(_ROWS[key], say(value), f"{say(low)} to {say(high)}"))
        return found

    @property
    def brief(self) -> str:
        """The estimates over all candidates in one sentence, or else over the retrained ones."""
        parts = [f"{row.what} is {row.value} ({row.interval})" for row in self.rows]
        return f"{self.title}: {'; '.join(parts)}." if parts else " ".join(self.sentences())

    def sentences(self) -> list[str]:
        """Return the statements that are not in the rows, one sentence each."""
        found, measure = [], self.measure
        if self.candidates and "spearman" not in self.estimates:
            found.append(
                f"A control group of {self.control_group} is too small to say how well step 1 "
                "ranks all candidates (retrain.control)."
            )
        if self.error is not None and self.error_uncalibrated is not None:
            found.append(
                f"A predicted {measure} is off by a factor of {_factor(self.error)} (rms), "
                f"uncalibrated by {_factor(self.error_uncalibrated)}."
            )
        regrets = [
            f"{words} exceeds the best by {percent(value)}"
            for words, value, n in (
                ("the first of step 1", self.regret_top1, 1),
                ("the best of its first five", self.regret_top5, 5),
            )
            if value is not None and n < self.retrained
        ]
        chosen = ", most of which were chosen for a low prediction" if self.candidates else ""
        known = "not defined" if self.spearman is None else correlation(self.spearman)
        if self.retrained:
            parts = [f"rank correlation {known}", *regrets]
            found.append(
                f"Over the {self.retrained} retrained candidates alone{chosen}: {'; '.join(parts)}."
            )
        if self.seed_spread is not None:
            found.append(f"The {measure} differs between seeds by {percent(self.seed_spread)}.")
        return found


def percent(share: float) -> str:
    """Return a share in per cent with one decimal."""
    return f"{100 * share:.1f} %"


def correlation(value: float) -> str:
    """Return a correlation with two decimals."""
    return f"{value:.2f}"


def _factor(error: float) -> str:
    return f"{math.exp(min(error, 99.0)):.2f}"


def _table(content: object) -> Mapping[str, Any]:
    return content if isinstance(content, dict) else {}


def _finite(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        number = float(value) if known else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _count(value: object) -> int:
    number = _finite(value)
    return 0 if number is None else int(number)


def _three(estimate: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    value, low, high = (_finite(estimate.get(key)) for key in ("value", "low", "high"))
    return value, low, high
