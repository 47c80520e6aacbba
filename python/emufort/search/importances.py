"""Importance of every hyperparameter for the loss and for the time of a network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emufort.config import SpaceConfig
from emufort.search.samplers.optuna import rank_distributions, rank_parameters
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.space import contains
from emufort.search.trials import Trial

#: Share of the candidates that count as the best. The estimate needs at least five of them.
_BEST = 0.1
FEWEST = 50
#: Largest number of candidates; an evenly spaced sample represents more of them.
_MOST = 5000


def importances(
    space: SpaceConfig, trials: Sequence[Trial], losses: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    """Return the importance of every hyperparameter for ``skill`` and for ``time``.

    The method is PED-ANOVA (Watanabe et al., 2023, arXiv:2304.10255) as Optuna computes it: how far
    the values of a hyperparameter among the best tenth of the candidates are distributed
    differently from those among all candidates. The importances for an objective add up to 1.

    Parameters
    ----------
    space
        The search space.
    trials
        All trials of a search (n,).
    losses
        Loss that step 1 predicts for each (n,); infinite where it diverged.

    Returns
    -------
    dict
        ``"skill"`` and ``"time"`` -> name of a hyperparameter -> its importance, largest first.
        There are none for the time if all networks are equally fast. Empty if fewer than 50
        candidates did not diverge, or nothing was searched.
    """
    # Candidates of the user may lie outside the space, where they have no hyperparameters.
    inside = np.array([contains(space, trial.candidate) for trial in trials], dtype=bool)
    finite = np.flatnonzero(np.isfinite(losses) & inside)
    if len(finite) < FEWEST:
        return {}
    if len(finite) > _MOST:
        finite = finite[np.linspace(0, len(finite) - 1, _MOST).round().astype(int)]
    chosen = [trials[i] for i in finite.tolist()]
    times = [
        t.architecture.relative_cost if t.predicted_ns is None else t.predicted_ns for t in chosen
    ]
    found = {
        "skill": _of_values(space, chosen, losses[finite].tolist()),
        "time": _of_values(space, chosen, times),
    }
    return found if found["skill"] else {}


def _of_values(
    space: SpaceConfig, trials: Sequence[Trial], values: Sequence[float]
) -> dict[str, float]:
    """Return the importances for low values."""
    optuna = quiet_optuna()
    # Ordered choices are given by their rank. PED-ANOVA smooths the few best candidates more than
    # all of them, and would take this for a difference where choices have gaps between them.
    known = {name: d for name, d in rank_distributions(space).items() if not d.single()}
    study = optuna.create_study(direction="minimize")
    frozen = []
    for trial, value in zip(trials, values, strict=True):
        used = {k: v for k, v in rank_parameters(space, trial.candidate).items() if k in known}
        own = {name: known[name] for name in used}
        frozen.append(optuna.trial.create_trial(value=float(value), params=used, distributions=own))
    study.add_trials(frozen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rare values of a hyperparameter
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_BEST)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
    total = sum(found.values())
    if total <= 0.0:
        return {}
    shares = {name: float(value) / total for name, value in found.items()}
    return dict(sorted(shares.items(), key=lambda pair: (-pair[1], pair[0])))
