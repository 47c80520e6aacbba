"""Rows and rungs of a search, derived from the data where the configuration leaves them open."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from emufort.config import Config
from emufort.training.schedule import shortened_batch

#: Largest number of training rows where the number is left open: for all methods, because rows are
#: held in memory, and for the space-filling choice, whose time grows with the square of the rows.
_MOST_ROWS, _MOST_SPACE_FILLING = 65_536, 4096
#: A subset of fewer rows than this is used as a whole.
_FEW_ROWS = 4096
#: Number of candidates that compare numbers of rows.
TRIED = 16
#: Rank correlation with all rows from which fewer rows are sufficient.
_AS_WELL = 0.95


@dataclass(frozen=True)
class Plan:
    """Rows and rungs of a search.

    Attributes
    ----------
    subset
        Training rows of step 1.
    rungs
        Lengths of the rungs in epochs, ascending.
    rung_rows
        Number of rows that each rung sees, which are the first ones of the subset.
    reason
        Reason for the number of rows; empty where the configuration gives the number.
    tried
        Number of rows -> rank correlation with all rows of the subset, where they were compared.
    """

    subset: int
    rungs: tuple[int, ...]
    rung_rows: tuple[int, ...]
    reason: str = ""
    tried: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, config: Config, n_train: int) -> Self:
        """Return the plan that the configuration gives for data of `n_train` training rows.

        If the number of rows is left open, the plan uses as many rows as the last rung can see
        once, at most 65,536. For the same number of samples, more rows cost nothing except memory.
        """
        options = config.search
        if options.subset != "auto":
            return cls._on(config, options.subset)
        most = _MOST_SPACE_FILLING if options.subset_by == "space_filling" else _MOST_ROWS
        if not options.rungs:
            most = min(most, max(16, round(options.share[-1] * config.retrain.samples)))
        rows = min(n_train, most)
        plan = cls._on(config, rows)
        why = "all training rows" if rows == n_train else "as many as step 1 can use"
        return replace(plan, reason=f"{rows} rows are {why}")

    @classmethod
    def _on(cls, config: Config, subset: int) -> Self:
        options = config.search
        if options.rungs:
            rows = options.rung_rows or (subset,) * len(options.rungs)
            return cls(subset, options.rungs, rows)
        epochs = [max(1, round(share * config.retrain.samples / subset)) for share in options.share]
        # Rungs must differ: if two have the same number of epochs, the later one gets one more.
        for i in range(1, len(epochs)):
            epochs[i] = max(epochs[i], epochs[i - 1] + 1)
        return cls(subset, tuple(epochs), (subset,) * len(epochs))

    def to_try(self, config: Config) -> list[Plan]:
        """Return this plan with fewer rows in the first rung, fewest rows first, then itself.

        Only this plan is returned if the configuration gives the number of rows, or the subset is
        small.
        """
        open_ = config.search.subset == "auto" and self.subset > _FEW_ROWS
        fewer = [self.subset // 16, self.subset // 4] if open_ else []
        return [*(self._with_fewer(config, n) for n in fewer), self]

    def _with_fewer(self, config: Config, first: int) -> Plan:
        """Return this plan with `first` rows in the first rung; the length of rungs is unchanged.

        Epochs ascend from rung to rung, so a later rung sees no more rows than its length allows.
        """
        if config.search.rungs:
            return replace(self, rung_rows=(first, *self.rung_rows[1:]))
        lengths = [share * config.retrain.samples for share in config.search.share]
        epochs, rows = [max(1, round(lengths[0] / first))], [first]
        for length, usual in zip(lengths[1:], self.rungs[1:], strict=True):
            fits = self.subset if usual > epochs[-1] else round(length / (epochs[-1] + 1))
            epochs.append(max(usual, epochs[-1] + 1))
            rows.append(min(self.subset, max(rows[-1], fits)))
        return replace(self, rungs=tuple(epochs), rung_rows=tuple(rows))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "subset": self.subset,
            "rungs": list(self.rungs),
            "rung_rows": list(self.rung_rows),
            "reason": self.reason,
            "tried": [list(pair) for pair in self.tried],
        }

    @property
    def sha256(self) -> str:
        """Hash of `to_dict` as JSON with sorted keys and without blanks."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            int(content["subset"]),
            tuple(content["rungs"]),
            tuple(content["rung_rows"]),
            str(content["reason"]),
            tuple((int(n), float(value)) for n, value in content["tried"]),
        )


def fewest_rows(plans: Sequence[Plan], values: Sequence[Sequence[float]]) -> Plan:
    """Return the plan with the fewest rows that ranks the candidates as the last plan does.

    Parameters
    ----------
    plans
        Plans to compare, the one with the fewest rows first.
    values
        Losses of the same candidates in the first rung of each plan.
    """
    from scipy.stats import rankdata

    def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
        # A candidate that diverged ranks last.
        first, second = (rankdata(np.nan_to_num(np.array(v), posinf=1e300)) for v in (a, b))
        if first.std() == 0 or second.std() == 0:
            return 0.0
        return float(np.corrcoef(first, second)[0, 1])

    largest = plans[-1]
    tried = tuple(
        (plan.rung_rows[0], rank_correlation(one, values[-1]))
        for plan, one in zip(plans[:-1], values, strict=False)
    )
    n = len(values[-1])
    for plan, (rows, correlation) in zip(plans, tried, strict=False):
        if correlation >= _AS_WELL:
            reason = (
                f"{rows} rows rank {n} candidates as {largest.subset} rows do (rank correlation "
                f"{correlation:.2f}), so the first rung uses {rows}"
            )
            return replace(plan, reason=reason, tried=tried)
    rows, correlation = tried[-1]
    reason = (
        f"{largest.subset} rows in every rung, because {rows} rows rank {n} candidates differently "
        f"(rank correlation {correlation:.2f}, required is {_AS_WELL})"
    )
    return replace(largest, reason=reason, tried=tried)


def batch_size_of_rung(config: Config, batch_size: int, samples: int) -> int:
    """Return the samples per step of an annealed rung that shows `samples` samples.

    Parameters
    ----------
    batch_size
        Batch size of step 2.
    """
    if config.search.batch_size is not None:
        return config.search.batch_size
    return shortened_batch(batch_size, samples / config.retrain.samples)
