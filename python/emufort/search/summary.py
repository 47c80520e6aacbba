"""The summary of a search, search.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from emufort.config import Config
from emufort.dataset.constant_outputs import constant_outputs
from emufort.dataset.targets import Targets
from emufort.search.cost import CostModel
from emufort.search.plan import Plan
from emufort.search.trials import Trial, best_of
from emufort.training import backend_detail
from emufort.training.device import device_detail


def search_summary(
    targets: Targets,
    config: Config,
    plan: Plan,
    trials: Sequence[Trial],
    *,
    trials_sha256: str,
    data_sha256: str,
    seconds: float,
    cost: CostModel | None = None,
    importances: Mapping[str, Mapping[str, float]] | None = None,
    finished: bool = False,
) -> dict[str, Any]:
    """Return the content of search.json.

    Parameters
    ----------
    targets
        All rows under the contracts of the search.
    config, plan
        The configuration, and the rows and rungs that the search uses.
    trials
        All finished trials.
    trials_sha256
        Hash of the table of these trials.
    data_sha256
        Hash of the data, see `emufort.search.identity.data_sha256`.
    seconds
        Time of the search so far [s].
    cost
        The model of the times of networks, if the search needs it.
    importances
        Importances of the hyperparameters, see `emufort.search.importances`.
    finished
        Whether no trial is missing.
    """
    options, data = config.search, targets.judge
    best = best_of(trials)
    finite = [t for t in trials if t.finite]
    sizes = targets.sizes(next(iter(targets.data)))
    summary: dict[str, Any] = {
        "finished": finished,
        "trials": len(trials),
        "trials_sha256": trials_sha256,
        "trials_wanted": options.trials,
        "pruned": sum(t.pruned_at is not None for t in trials),
        "diverged": len(trials) - len(finite),
        "seconds": round(seconds, 3),
        "trials_per_minute": round(60 * len(trials) / max(seconds, 1e-3), 1),
        "workers": config.n_workers,
        "backend": options.backend,
        "backend_detail": backend_detail(options.backend),
        "device": device_detail(config.device),
        "sampler": options.sampler,
        "rungs": list(plan.rungs),
        "rung_rows": list(plan.rung_rows),
        "subset": plan.subset,
        "subset_reason": plan.reason,
        "eta": options.eta,
        "n_inputs": sizes[0],
        "n_outputs": sizes[1],
        "best": _in_short(best) if best else None,
        "config": config.model_dump(mode="json"),
        "contract_sha256": data.contract.sha256,
        "data_sha256": data_sha256,
    }
    constants = constant_outputs(data.contract, data.constant_outputs)
    if constants:
        summary["constant_outputs"] = [asdict(one) for one in constants]
    if targets.named:
        summary["targets"] = {
            name: {
                "contract_sha256": data_of_target.contract.sha256,
                "trials": sum(t.target == name for t in trials),
            }
            for name, data_of_target in targets.data.items()
        }
        judged = ", ".join(data.contract.skill_variables)
        summary["value"] = f"RMSE of {judged} over the validation rows"
    if cost is not None:
        summary["cost_model"] = cost.to_dict()
    if importances:
        summary["importances"] = {name: dict(found) for name, found in importances.items()}
    return summary


def _in_short(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "label": trial.architecture.label,
        "value": trial.value,
        "learning_rate": trial.learning_rate,
        "batch_size": trial.batch_size,
        "weight_decay": trial.weight_decay,
        **({"target": trial.target} if trial.target else {}),
    }
