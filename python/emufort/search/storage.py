"""The trials as an Optuna study in SQLite, for optuna-dashboard and whoever knows Optuna.

The file mirrors trials.csv. It is written after it, never read for results, and made anew
when it is damaged; so a kill between the two costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.config import SpaceConfig
from emufort.search._optuna import quiet_optuna
from emufort.search.space import parameters_of, width_name
from emufort.search.trials import Trial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

STUDY_NAME = "search"
FILE_NAME = "study.journal"


def _distributions(space: SpaceConfig, depth: int) -> dict[str, BaseDistribution]:
    """Return the parameters of candidates with `depth` hidden layers."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, BaseDistribution] = {
        "depth": IntDistribution(*space.depth),
        "activation": CategoricalDistribution(space.activation),
        "learning_rate": FloatDistribution(*space.learning_rate, log=True),
        "batch_size": CategoricalDistribution(space.batch_size),
    }
    for layer in range(depth):
        found[width_name(layer)] = CategoricalDistribution(space.width)
    return found


class Mirror:
    """The study in an Optuna journal (SQLite costs 15 ms per trial, this 1).

    Parameters
    ----------
    folder
        Where `FILE_NAME` is or will be.
    trials
        What trials.csv holds; the study is completed to it.
    """

    def __init__(self, folder: Path, space: SpaceConfig, trials: Sequence[Trial]) -> None:
        self._path = folder / FILE_NAME
        self._space = space
        # A search that was killed may have left its lock; there is one writer only.
        for lock in folder.glob(f"{FILE_NAME}.lock*"):
            lock.unlink(missing_ok=True)
        try:
            torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            n = len(trials) + 1 if torn else self._open()
        except Exception:  # whatever Optuna makes of a damaged file
            n = len(trials) + 1
        if n > len(trials):
            self._path.unlink(missing_ok=True)
            n = self._open()
        self.add(trials[n:])

    def _open(self) -> int:
        """Open or create the study; return how many trials it holds."""
        optuna = quiet_optuna()
        journal = optuna.storages.journal
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(self._path)))
        self._study = optuna.create_study(
            storage=storage, study_name=STUDY_NAME, direction="minimize", load_if_exists=True
        )
        return len(self._study.get_trials(deepcopy=False))

    def add(self, trials: Sequence[Trial]) -> None:
        """Append finished trials in order."""
        self._study.add_trials([_frozen(trial, self._space) for trial in trials])


def _frozen(trial: Trial, space: SpaceConfig) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState[trial.optuna_state],
        value=trial.value,
        params=parameters_of(trial.candidate),
        distributions=_distributions(space, len(trial.architecture.hidden)),
        intermediate_values=dict(trial.rungs),
        user_attrs={
            "label": trial.architecture.label,
            "multiply_adds": trial.architecture.multiply_adds,
        },
    )
