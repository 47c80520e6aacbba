"""Gather the content of the report from a run folder; steps that have not run are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json
from emufort.network.emulator import Emulator
from emufort.run.folder import RunFolder
from emufort.search.result import load_search
from emufort.search.trials import Trial
from emufort.skill import (
    SKILL_BLOCK,
    Skill,
    column_names,
    skill_of_baseline,
    skill_of_emulator,
    skill_values,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """One scalar output that emulators are judged by, on the test split.

    Attributes
    ----------
    name, units
        Such as ``fraction[coarse]``; units are empty if only the contract's head defines them.
    true, predicted
        Values (n,).
    is_logarithmic
        Whether the values are shown on logarithmic axes.
    """

    name: str
    units: str
    true: Array
    predicted: Array
    is_logarithmic: bool


@dataclass(frozen=True)
class Curve:
    """Losses of one retrained candidate along its training steps."""

    id: str
    step: Array
    train: Array
    validation: Array


@dataclass(frozen=True)
class Prediction:
    """Final loss of a candidate, as predicted and as trained.

    Attributes
    ----------
    trial
        Number of its trial in step 1.
    multiply_adds
        Multiply-adds of its network per sample.
    loss, low, high
        Predicted loss, and the ends of the interval that holds 90 %.
    trained
        Loss of the finished training, or None.
    """

    trial: int
    multiply_adds: float
    loss: float
    low: float
    high: float
    trained: float | None


@dataclass(frozen=True)
class Run:
    """All content of the report.

    Attributes
    ----------
    contract
        Contract of the emulator.
    selection
        Content of selection.json.
    candidates, times
        Rows of candidates.csv (by id) and timing.csv.
    emulator
        The chosen emulator.
    skills
        Name of a scheme -> its skill on the test split; the emulator first, then the baselines.
    normalised
        Whether overall errors are in standard deviations.
    columns
        Test values of the chosen emulator, for at most `MOST_ROWS` samples.
    rows
        Number of test samples.
    curves
        Learning curves of the retrained candidates that have the choice's target.
    agreement, verification, manifest, provenance, search
        Content of the files of these names; empty if they do not exist.
    predictions
        Predicted final losses of all candidates; empty for runs of earlier versions.
    trials
        Trials of step 1, if time was an objective; else empty.
    seconds
        Step -> wall time [s].
    config
        Text of config.toml.
    """

    contract: Contract
    selection: Mapping[str, Any]
    candidates: Mapping[str, Mapping[str, str]]
    times: list[dict[str, str]]
    emulator: Emulator
    skills: Mapping[str, Skill]
    normalised: bool
    columns: list[Column]
    rows: int
    curves: list[Curve]
    agreement: Mapping[str, Any] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    predictions: Sequence[Prediction] = ()
    trials: Sequence[Trial] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    config: str = ""

    @property
    def choice(self) -> str:
        """Identity of the chosen emulator."""
        return str(self.selection["choice"])

    @property
    def measure(self) -> str:
        """Measure that the search compared: losses, or errors if it compared targets."""
        return "error" if any(row.get("target") for row in self.candidates.values()) else "loss"


def gather(folder: Path, data: Dataset) -> Run:
    """Read a run folder and evaluate its choice on the test split of `data`.

    Parameters
    ----------
    folder
        The run folder.
    data
        The data of the run, with a test split.

    Raises
    ------
    EmufortError
        The folder has no selection, or one of its files is damaged.
    """
    files = RunFolder(folder)
    selection = read_json(files.selection)
    candidates = {row["id"]: row for row in read_csv(files.retrain / "candidates.csv")}
    try:
        weights = files.retrain / str(selection["choice"]) / "weights.safetensors"
    except (KeyError, TypeError) as error:
        raise EmufortError(f"{files.selection} names no choice; select again") from error
    emulator = Emulator.load(weights)
    judge = data.part("test")
    data = data.under(emulator.contract)
    test = data.part("test")
    skills = {"emulator": skill_of_emulator(emulator, test, judge)}
    for baseline in judge.contract.baseline:
        skills[baseline.name] = skill_of_baseline(judge, baseline.name)
    return Run(
        contract=data.contract,
        selection=selection,
        candidates=candidates,
        times=read_csv(files.timing),
        emulator=emulator,
        skills=skills,
        normalised=judge.contract.skill_is_normalised,
        columns=_columns(emulator, _drawn(test), list(skills["emulator"].columns)),
        rows=len(test),
        curves=_curves(files.retrain, candidates, str(selection["choice"])),
        agreement=_optional(files.retrain / "agreement.json"),
        verification=_optional(files.verification),
        manifest=_optional(files.bundle / "manifest.json"),
        provenance=_optional(folder / "provenance.json"),
        search=_optional(files.search / "search.json"),
        predictions=_predictions(files.retrain / "predictions.csv"),
        trials=_trials(files.search),
        seconds=files.seconds(),
        config=files.config.read_text() if files.config.is_file() else "",
    )


def _optional(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def _trials(folder: Path) -> tuple[Trial, ...]:
    """Return the trials of a search with time as an objective; none for other searches."""
    config = _optional(folder / "search.json").get("config", {})
    return load_search(folder).trials if "time" in _objectives(config) else ()


def _objectives(config: Any) -> Sequence[str]:
    try:
        return tuple(config["search"]["objectives"])
    except (KeyError, TypeError):
        return ()


def _predictions(path: Path) -> list[Prediction]:
    if not path.exists():
        return []
    try:
        return [
            Prediction(
                trial=int(row["trial"]),
                multiply_adds=float(row["multiply_adds"]),
                loss=float(row["loss"]),
                low=float(row["low"]),
                high=float(row["high"]),
                trained=float(row["trained"]) if row["trained"] else None,
            )
            for row in read_csv(path)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise EmufortError(f"{path} is no table of predictions: {error}") from error


#: Largest number of test samples in figures, and the random seed that draws them if there are more.
MOST_ROWS, _SEED = 50_000, 20


def _drawn(test: Dataset) -> Dataset:
    """Return the test samples for figures: all, or `MOST_ROWS` at random."""
    if len(test) <= MOST_ROWS:
        return test
    chosen = np.random.default_rng(_SEED).choice(len(test), MOST_ROWS, replace=False)
    return test.take(np.sort(chosen))


def _columns(emulator: Emulator, test: Dataset, judged: Sequence[str]) -> list[Column]:
    """Return the columns with the names `judged`."""
    contract = test.contract
    true: dict[str, list[Array]] = {v: [] for v in contract.skill_variables}
    predicted: dict[str, list[Array]] = {v: [] for v in contract.skill_variables}
    for part in blocks(len(test), SKILL_BLOCK):
        x = test.x[part]
        for found, y in ((true, test.y[part]), (predicted, emulator.predict(x))):
            for variable, values in skill_values(contract, x, y).items():
                found[variable].append(values)
    outputs = {v.name: v for v in contract.output}
    columns = []
    for variable in contract.skill_variables:
        t_all, p_all = np.concatenate(true[variable]), np.concatenate(predicted[variable])
        names = column_names(contract, {variable: t_all})
        output = outputs.get(variable)
        for j, name in enumerate(names):
            if name not in judged:
                continue
            t, p = t_all[:, j], p_all[:, j]
            logarithmic = (
                output is not None
                and output.transform in ("ln", "log10")
                and bool((t > 0).all() and (p > 0).all())
            )
            columns.append(Column(name, output.units if output else "", t, p, logarithmic))
    return columns


def _curves(folder: Path, candidates: Mapping[str, Mapping[str, str]], choice: str) -> list[Curve]:
    """Return the curves of the choice's target, because losses of targets cannot be compared."""
    target = candidates.get(choice, {}).get("target")
    same = [name for name, row in candidates.items() if row.get("target") == target]
    return [c for name in same if (c := _curve(folder / name, name)) is not None]


def _curve(folder: Path, identity: str) -> Curve | None:
    path = folder / "curve.csv"
    if not path.exists():
        return None
    rows = read_csv(path)
    if not rows:
        return None
    names = ("step", "train_loss", "validation_loss")
    try:
        return Curve(identity, *(np.array([float(r[n] or "nan") for r in rows]) for n in names))
    except (KeyError, ValueError) as error:
        raise EmufortError(f"{path} is no learning curve: {error}") from error
