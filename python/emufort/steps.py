"""The steps of a run: one function per step, and the table of all steps.

The Python API calls the functions. A run in a folder takes its steps from the table `STEPS`. Each
step reads the results of earlier steps and calls the same function. If targets were searched, a
network may have another contract, and every step reads the data by that contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.config import Config, ExportConfig, SelectConfig, TimingConfig, VerifyConfig
from emufort.errors import EmufortError
from emufort.extensions import Extensions
from emufort.files import read_json, read_table, write_json
from emufort.progress import Reporter, silent
from emufort.run.folder import RunFolder
from emufort.selection.entry import BaselineEntry, Entry
from emufort.selection.select import Selection

if TYPE_CHECKING:
    from emufort.dataset.dataset import Dataset
    from emufort.export.bundle import Bundle
    from emufort.network.emulator import Emulator
    from emufort.retrain.models import Models
    from emufort.search.result import SearchResult
    from emufort.timing.measure import Time
    from emufort.verification import Origin, Verification


def search(
    data: Dataset,
    config: Config,
    out: Path,
    report: Reporter = silent,
    extensions: Extensions | None = None,
) -> SearchResult:
    """Carry out step 1; see `emufort.search.driver.search`."""
    from emufort.search.driver import search as run_search

    return run_search(data, config, out, report, extensions)


def retrain(
    study: Path,
    data: Dataset,
    config: Config,
    out: Path,
    report: Reporter = silent,
    extensions: Extensions | None = None,
) -> Models:
    """Carry out step 2 for the search in `study`; see `emufort.retrain.driver.retrain`."""
    from emufort.retrain.driver import retrain as run_retrain
    from emufort.retrain.models import Models

    rows = run_retrain(study, data, config, out, report, extensions)
    return Models(out, tuple(rows), data, config.seed, study)


def time(
    models: Models, config: TimingConfig, out: Path, work: Path, report: Reporter = silent
) -> list[Time]:
    """Measure the times of networks that did not diverge, and of baselines; write the table `out`.

    `work` keeps compiled programs and finished rounds; see
    `emufort.timing.measure.time_candidates`.
    """
    from emufort.dataset.targets import inputs_of_other_contracts
    from emufort.timing.measure import TIMING_ROWS, time_candidates

    weights = {row.id: models.weights(row.id) for row in models.trained}
    train = models.data.part("train")
    sample = train.subset(min(TIMING_ROWS, len(train)), models.seed)
    return time_candidates(
        weights,
        models.data.contract,
        config,
        out,
        work,
        sample.x,
        report,
        inputs_of_other_contracts(models.data, sample.rows, weights),
    )


def read_times(path: Path) -> list[Time]:
    """Read the table that `time` wrote."""
    from emufort.timing.measure import Time

    return read_table(path, Time)


def select(
    models: Models, times: Sequence[Time], config: SelectConfig, out: Path | None = None
) -> Selection:
    """Select one of the networks; write the selection to the file `out` if it is given.

    See `emufort.selection.select.select`.
    """
    from emufort.selection.select import select as choose
    from emufort.selection.tables import with_needed_schemes
    from emufort.skill import skill_of_baseline

    contract = models.data.contract
    measured = [asdict(one) for one in times]
    if any(row.target for row in models.rows):
        contracts = {row.id: models.emulator(row.id).contract for row in models.trained}
        measured = with_needed_schemes(measured, contracts, contract)
    validation = models.data.part("validation")
    selection = choose(
        [asdict(row) for row in models.trained],
        measured,
        config.rule,
        config.ncol,
        {b.name: skill_of_baseline(validation, b.name).overall.rmse for b in contract.baseline},
    )
    if out is not None:
        write_json(out, selection.to_dict())
    return replace(selection, models=models)


def read_selection(path: Path, models: Models) -> Selection:
    """Read the selection that `select` wrote for `models`.

    Raises
    ------
    EmufortError
        The file is missing or damaged.
    """
    content = read_json(path)
    try:
        entries = {entry["id"]: Entry(**entry) for entry in content["all"]}
        return Selection(
            content["rule"],
            content["ncol"],
            entries[content["choice"]],
            content["reason"],
            tuple(entries[entry["id"]] for entry in content["front"]),
            tuple(entries.values()),
            tuple(BaselineEntry(**one) for one in content["baselines"]),
            content["backend"],
            models,
        )
    except (KeyError, TypeError) as error:
        raise EmufortError(f"{path} is damaged; select again: 'emufort select'") from error


def export(choice: Selection | Emulator, data: Dataset, config: ExportConfig, out: Path) -> Bundle:
    """Write the bundle of a network of the run's contract or of a target's.

    A selection adds information for users of the network: the caveat of its times, and how well
    step 1 predicted step 2. See `emufort.export.export`.

    Parameters
    ----------
    choice
        The selection, or a trained network.
    data
        The data set of the run.
    config
        Name, number of golden vectors, precision, and where the network is.
    out
        Folder of the bundle.
    """
    from emufort.export import export as write_bundle
    from emufort.retrain.agreement_words import Agreement

    emulator = _network(choice)
    models = choice.models if isinstance(choice, Selection) else None
    return write_bundle(
        emulator,
        data.under(emulator.contract),
        out,
        name=config.name,
        golden=config.golden,
        precision=config.precision,
        weights=config.weights,
        judge=data,
        caveat=choice.caveat if isinstance(choice, Selection) else "",
        agreement=None if models is None else Agreement.read(models.folder),
    )


def verify(
    bundle: Path,
    choice: Selection | Emulator | None,
    config: VerifyConfig,
    compiler: str,
    flags: str | None,
    out: Path | None = None,
    work: Path | None = None,
    report: Reporter = silent,
    trust_sources: bool = False,
) -> Verification:
    """Compare all forms in the bundle; see `emufort.verification.verify`.

    With a selection, the bundle is also compared with the data, the study and the network from
    which it was made.

    Parameters
    ----------
    bundle
        Folder of the bundle.
    choice
        The trained network or the selection with it; None for the network of weights.bin.
    config
        Number of rows and tolerance.
    compiler, flags
        Fortran compiler; flags, None for those of the timing.
    out
        JSON file for the result; None to write none.
    work
        Folder for compiled programs; None for a temporary folder.
    report
        Receives the progress.
    trust_sources
        Whether to compile sources that this version of emufort does not generate.
    """
    from emufort.verification import verify as compare

    return compare(
        bundle,
        None if choice is None else _network(choice),
        rows=config.rows,
        tolerance=config.tolerance,
        out=out,
        compiler=compiler,
        flags=flags,
        work=work,
        report=report,
        origin=_origin(choice),
        trust_sources=trust_sources,
    )


def _network(choice: Selection | Emulator) -> Emulator:
    return choice.emulator() if isinstance(choice, Selection) else choice


def _origin(choice: Selection | Emulator | None) -> Origin | None:
    """Return the artefacts from which the bundle of `choice` was made, if all are known."""
    from emufort.search.identity import data_sha256
    from emufort.verification import Origin

    if isinstance(choice, Selection) and choice.models is not None:
        models = choice.models
        if models.study is not None:
            return Origin(data_sha256(models.data), models.study, models.weights(choice.choice.id))
    return None


def report(folder: Path, data: Dataset, progress: Reporter = silent) -> Path:
    """Write report.html into a run folder; see `emufort.report.write_report`."""
    from emufort.report import write_report

    return write_report(folder, data, progress)


# ------------------------------------------------------------------------- steps in a run folder


def _models(folder: RunFolder, data: Dataset) -> Models:
    from emufort.retrain.models import Models

    return Models.load(folder.retrain, data, folder.search)


def _selection(folder: RunFolder, data: Dataset) -> Selection:
    return read_selection(folder.selection, _models(folder, data))


def _search(
    folder: RunFolder, config: Config, data: Dataset, report: Reporter, extensions: Extensions
) -> None:
    search(data, config, folder.search, report, extensions)


def _retrain(
    folder: RunFolder, config: Config, data: Dataset, report: Reporter, extensions: Extensions
) -> None:
    retrain(folder.search, data, config, folder.retrain, report, extensions)


def _time(
    folder: RunFolder, config: Config, data: Dataset, report: Reporter, extensions: Extensions
) -> None:
    time(_models(folder, data), config.timing, folder.timing, folder.work, report)


def _select(
    folder: RunFolder, config: Config, data: Dataset, report: Reporter, extensions: Extensions
) -> None:
    select(_models(folder, data), read_times(folder.timing), config.select, folder.selection)


def _export(
    folder: RunFolder, config: Config, data: Dataset, report: Reporter, extensions: Extensions
) -> None:
    export(_selection(folder, data), data, config.export, folder.bundle)


def _verify(
    folder: RunFolder, config: Config, data: Dataset, report: Reporter, extensions: Extensions
) -> None:
    result = verify(
        folder.bundle,
        _selection(folder, data),
        config.verify,
        config.timing.compiler,
        config.timing.flags,
        folder.verification,
        folder.work,
        report,
    )
    # Without a compiler the run continues with the report, and reports the missing compiler at its
    # end.
    if result.status == "failed":
        result.raise_if_failed()


def _report(
    folder: RunFolder, config: Config, data: Dataset, progress: Reporter, extensions: Extensions
) -> None:
    report(folder.path, data)


@dataclass(frozen=True)
class Step:
    """One step of a run in a folder. It depends on the results of all steps before it.

    Attributes
    ----------
    name
        Name of the step, of its command and of its function.
    title
        Title in a progress display.
    work
        Function that carries out the step with the files of a run folder.
    sections
        Sections of the configuration on which its result depends, in addition to those of earlier
        steps. The contract and the data are compared by their hashes, independent of the paths of
        their files.
    results
        Results of the step, as patterns below the run folder.
    is_resumable
        Whether the running step keeps finished parts in the folder of its name. These are never
        overwritten because an option changed.
    """

    name: str
    title: str
    work: Callable[[RunFolder, Config, Dataset, Reporter, Extensions], None]
    sections: tuple[str, ...]
    results: tuple[str, ...]
    is_resumable: bool = False


STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            "search",
            "search: little data",
            _search,
            ("seed", "search"),
            (
                "search/trials.csv",
                "search/subset.json",
                "search/search.json",
                "search/study.journal",
                "search/cost_model.json",
            ),
            is_resumable=True,
        ),
        Step(
            "retrain",
            "retrain: all data",
            _retrain,
            ("retrain",),
            (
                "retrain/candidates.csv",
                "retrain/ranking.csv",
                "retrain/predictions.csv",
                "retrain/retrain.json",
                "retrain/agreement.json",
                "retrain/*/weights.safetensors",
                "retrain/*/metrics.json",
                "retrain/*/curve.csv",
            ),
            is_resumable=True,
        ),
        Step("time", "time: compiled Fortran", _time, ("timing",), ("timing.csv",)),
        Step("select", "select: Pareto front", _select, ("select",), ("selection.json",)),
        Step("export", "export: ONNX, Fortran", _export, ("export",), ("bundle/*",)),
        Step("verify", "verify: compare all forms", _verify, ("verify",), ("verification.json",)),
        Step("report", "report", _report, (), ("report.html",)),
    )
}

#: Names of all steps in their order.
STEP_NAMES = tuple(STEPS)


def earlier(name: str) -> tuple[str, ...]:
    """Return the steps before `name`, in their order."""
    return STEP_NAMES[: STEP_NAMES.index(name)]


def later(name: str) -> tuple[str, ...]:
    """Return the steps after `name`, in their order."""
    return STEP_NAMES[STEP_NAMES.index(name) + 1 :]


def titles(config: Config, names: Iterable[str]) -> dict[str, str]:
    """Return the titles of the steps `names` of a run, in their order."""
    found = {name: STEPS[name].title for name in names}
    if "time" in found and config.timing.backend == "onnxruntime":
        found["time"] = "time: ONNX Runtime"
    return found
