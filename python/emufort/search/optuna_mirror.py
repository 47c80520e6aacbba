"""The trials as an Optuna study in a journal file, for optuna-dashboard and scripts with Optuna.

The file mirrors trials.csv. It is written after trials.csv and created again when it is damaged, so
an interruption between the two loses nothing. It is read only if trials.csv is damaged, see
`mirrored_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort.config import SpaceConfig
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.space import contains, dimensions, parameters_of
from emufort.search.trials import Trial, row_of

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

STUDY_NAME = "search"
FILE_NAME = "study.journal"


def distributions(space: SpaceConfig) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of the parameters of `parameters_of`."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, BaseDistribution] = {}
    for dimension in dimensions(space):
        choices = dimension.choices
        if not choices:
            found[dimension.name] = FloatDistribution(*space.learning_rate, log=True)
        elif dimension.nominal:
            found[dimension.name] = CategoricalDistribution(choices)
        elif isinstance(choices[0], int):
            # Hundreds of widths are too many for categories, and a chart needs a numerical axis.
            found[dimension.name] = IntDistribution(
                choices[0], choices[-1], log=dimension.name != "depth"
            )
        else:
            found[dimension.name] = FloatDistribution(choices[0], choices[-1])
    return found


class Mirror:
    """The study in an Optuna journal; a batch is one write, as SQLite takes 15 ms per trial.

    Parameters
    ----------
    folder
        Folder of the file `FILE_NAME`, which may not exist yet.
    trials
        The trials of trials.csv; missing ones are added to the study.
    objectives
        Objectives of the search. If time is one of them, the study minimises the loss and the
        predicted time.
    """

    def __init__(
        self,
        folder: Path,
        space: SpaceConfig,
        trials: Sequence[Trial],
        objectives: Sequence[str] = ("skill",),
    ) -> None:
        self._path = folder / FILE_NAME
        self._space = space
        self._objectives = tuple(objectives)
        self._distributions = distributions(space)
        # An interrupted search may have left its lock. There is one writer only.
        for lock in folder.glob(f"{FILE_NAME}.lock*"):
            lock.unlink(missing_ok=True)
        try:
            torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            n = len(trials) + 1 if torn else self._open()
        except Exception:  # Optuna raises many types for a damaged file
            n = len(trials) + 1
        if n > len(trials):
            self._path.unlink(missing_ok=True)
            n = self._open()
        self.add(trials[n:])

    def _open(self) -> int:
        """Open or create the study; return the number of its trials."""
        optuna = quiet_optuna()
        journal = optuna.storages.journal
        self._journal = _in_batches(journal.JournalFileBackend(str(self._path)))
        storage = optuna.storages.JournalStorage(self._journal)
        self._study = optuna.create_study(
            storage=storage,
            study_name=STUDY_NAME,
            directions=["minimize"] * len(self._objectives),
            load_if_exists=True,
        )
        if len(self._study.directions) != len(self._objectives):
            raise ValueError("the study has other objectives")
        return len(self._study.get_trials(deepcopy=False))

    def add(self, trials: Sequence[Trial]) -> None:
        """Append finished trials in order."""
        if not trials:
            return
        self._journal.hold()
        try:
            self._study.add_trials([self._frozen(trial) for trial in trials])
        finally:
            self._journal.release()

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        from optuna.trial import TrialState, create_trial

        # A candidate of the user may lie outside the space, where it has no parameters.
        inside = contains(self._space, trial.candidate)
        params = parameters_of(self._space, trial.candidate) if inside else {}
        return create_trial(
            state=TrialState[trial.optuna_state],
            values=list(trial.objective_values),
            params=params,
            distributions={name: self._distributions[name] for name in params},
            intermediate_values=dict(trial.rungs),
            user_attrs={
                "label": trial.architecture.label,
                "multiply_adds": trial.architecture.multiply_adds,
                **({"enqueued": True} if trial.enqueued else {}),
                "row": row_of(trial),
            },
        )


def mirrored_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of trials.csv from the study; none if the study is damaged or missing."""
    path = folder / FILE_NAME
    if not path.exists():
        return []
    optuna = quiet_optuna()
    try:
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        study = optuna.load_study(
            study_name=STUDY_NAME, storage=optuna.storages.JournalStorage(backend)
        )
        return [dict(trial.user_attrs["row"]) for trial in study.get_trials(deepcopy=False)]
    except Exception:  # Optuna raises many types for a damaged file
        return []


def _in_batches(file: Any) -> Any:
    """Wrap a journal file so that all appends between hold and release become one write.

    Optuna locks, writes and synchronises the file for every trial.
    """
    from optuna.storages.journal import BaseJournalBackend

    class HeldJournal(BaseJournalBackend):
        def __init__(self) -> None:
            self._held: list[dict[str, Any]] | None = None
            self._written = 0

        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            # Only this process writes: read the content of the file first, then the held appends.
            if self._held is None or log_number_from < self._written:
                yield from file.read_logs(log_number_from)
            if self._held is not None:
                yield from self._held[max(0, log_number_from - self._written) :]

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            if self._held is None:
                file.append_logs(logs)
            else:
                self._held.extend(logs)

        def hold(self) -> None:
            if self._written == 0:
                self._written = sum(1 for _ in file.read_logs(0))
            self._held = []

        def release(self) -> None:
            held, self._held = self._held or [], None
            if held:
                file.append_logs(held)
            self._written += len(held)

    return HeldJournal()
