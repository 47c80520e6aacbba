"""The steps of a run, one function each: the command line and the Python API both call these.

A step is given what the one before it returned (or what can be read back from its files), the data
of the run's contract and its own section of the configuration. Where targets were searched, a
network may be of another contract; every step reads the data as that contract does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.config import Config, ExportConfig, SelectConfig, TimingConfig, VerifyConfig
from emufort.dataset.dataset import Dataset
from emufort.files import read_table, write_json
from emufort.network.emulator import Emulator
from emufort.progress import Reporter, silent
from emufort.retrain.agreement_words import Agreement
from emufort.retrain.models import Models
from emufort.selection.select import Selection

if TYPE_CHECKING:
    from emufort.export.bundle import Bundle
    from emufort.search.result import SearchResult
    from emufort.timing.measure import Time
    from emufort.verification import Origin, Verification


def search(data: Dataset, config: Config, out: Path, report: Reporter = silent) -> SearchResult:
    """Step 1; see `emufort.search.driver.search`."""
    from emufort.search.driver import search as run_search

    return run_search(data, config, out, report)


def retrain(
    study: Path, data: Dataset, config: Config, out: Path, report: Reporter = silent
) -> Models:
    """Step 2 for the search in the folder `study`; see `emufort.retrain.driver.retrain`."""
    from emufort.retrain.driver import retrain as run_retrain

    rows = run_retrain(study, data, config, out, report)
    return Models(out, tuple(rows), data, config.seed, study)


def time(
    models: Models, config: TimingConfig, out: Path, work: Path, report: Reporter = silent
) -> list[Time]:
    """Measure the networks that did not diverge, and the baselines; write the table `out`.

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
    """Choose one of the networks; write the selection to the file `out` if it is given.

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


def export(
    emulator: Emulator,
    data: Dataset,
    config: ExportConfig,
    out: Path,
    caveat: str = "",
    agreement: Agreement | None = None,
) -> Bundle:
    """Write the bundle of a network of the run's contract or of a target's.

    `caveat` is that of the selection, `agreement` that of step 2; see `emufort.export.export`.
    """
    from emufort.export import export as write_bundle

    return write_bundle(
        emulator,
        data.under(emulator.contract),
        out,
        name=config.name,
        golden=config.golden,
        judge=data,
        caveat=caveat,
        agreement=agreement,
    )


def verify(
    bundle: Path,
    emulator: Emulator | None,
    config: VerifyConfig,
    compiler: str,
    flags: str | None,
    out: Path | None = None,
    work: Path | None = None,
    report: Reporter = silent,
    origin: Origin | None = None,
    trust_sources: bool = False,
) -> Verification:
    """Compare all forms in the bundle; see `emufort.verification.verify`."""
    from emufort.verification import verify as compare

    return compare(
        bundle,
        emulator,
        rows=config.rows,
        tolerance=config.tolerance,
        out=out,
        compiler=compiler,
        flags=flags,
        work=work,
        report=report,
        origin=origin,
        trust_sources=trust_sources,
    )


def origin_of(models: Models, identity: str) -> Origin | None:
    """Return the artefacts that a bundle of one of the networks was made from, if all are known."""
    from emufort.search.identity import data_sha256
    from emufort.verification import Origin

    if models.study is None:
        return None
    return Origin(data_sha256(models.data), models.study, models.weights(identity))


def report(folder: Path, data: Dataset, progress: Reporter = silent) -> Path:
    """Write report.html into a run folder; see `emufort.report.write_report`."""
    from emufort.report import write_report

    return write_report(folder, data, progress)
