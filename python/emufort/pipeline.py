"""The whole run and its single steps, each of which reads what the one before it wrote."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emufort import provenance
from emufort.checks import check_run
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json, write_json
from emufort.network import Emulator
from emufort.progress import Reporter, silent
from emufort.run_folder import STEPS, RunFolder, Stopwatch


@dataclass(frozen=True)
class Run:
    """One run: its folder, options and data.

    Attributes
    ----------
    folder
        Where results are.
    config
        All options.
    data
        The checked data set.
    """

    folder: RunFolder
    config: Config
    data: Dataset

    @classmethod
    def open(cls, folder: RunFolder, config: Config) -> Run:
        """Read and check contract and data; errors are those of `Contract.load`, `Dataset.open`."""
        contract = Contract.load(config.contract)
        return cls(folder, config, Dataset.open(config.data, contract, folder.work))

    @property
    def inputs(self) -> str:
        """Hash of contract, data and the contracts of other targets."""
        from emufort.targets import target_contract

        named = self.config.search.space.target
        others = [target_contract(name, self.data.contract).sha256 for name in named]
        parts = [self.data.contract.sha256, self.data.sha256, *others]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def check(self, steps: Sequence[str] = STEPS) -> None:
        """Find now what would stop one of `steps` after much work; see `emufort.checks`."""
        check_run(self.config, self.data, steps)

    def is_finished(self, step: str) -> bool:
        """Say whether `step` needs no more work."""
        return self.folder.is_finished(step, self.config, self.inputs)

    def do(self, step: str, report: Reporter = silent) -> None:
        """Carry out one step unless it is finished.

        Raises
        ------
        EmufortError
            The step before it is not finished, or the step itself failed.
        """
        if self.is_finished(step):
            return
        earlier = STEPS[: STEPS.index(step)]
        for name in earlier:
            if not self.is_finished(name):
                raise EmufortError(
                    f"the step '{name}' of {self.folder.path} is not finished; run "
                    f"'emufort {name} --out {self.folder.path}' first, or 'emufort run'"
                )
        self.folder.log(f"{step}: begins")
        watch = Stopwatch()
        _WORK[step](self, report)
        self.folder.finish(step, self.config, self.inputs, watch.seconds)
        self.folder.log(f"{step}: finished in {watch.seconds:.1f} s")

    def prepare(self) -> None:
        """Write the configuration and provenance of the run."""
        self.folder.keep_config(self.config)
        path = self.folder.path / "provenance.json"
        if not path.exists():
            content = provenance.describe(self.config.timing.compiler)
            content["data"] = {"path": str(self.data.source), "sha256": self.data.sha256}
            content["contract"] = {
                "name": self.data.contract.name,
                "sha256": self.data.contract.sha256,
            }
            content["rows"] = {"usable": len(self.data), "dropped": dict(self.data.dropped)}
            write_json(path, content)


def _search(run: Run, report: Reporter) -> None:
    from emufort.search import search

    search(run.data, run.config, run.folder.search, report)


def _retrain(run: Run, report: Reporter) -> None:
    from emufort.retrain import retrain

    retrain(run.folder.search, run.data, run.config, run.folder.retrain, report)


def _candidates(run: Run) -> list[dict[str, str]]:
    """Return the retrained candidates, without those that diverged."""
    rows = read_csv(run.folder.retrain / "candidates.csv")
    return [row for row in rows if math.isfinite(float(row["rmse"]))]


def _time(run: Run, report: Reporter) -> None:
    from emufort.targets import own_inputs
    from emufort.timing import TIMING_ROWS, time_candidates

    weights = {row["id"]: run.folder.weights(row["id"]) for row in _candidates(run)}
    train = run.data.part("train")
    sample = train.subset(min(TIMING_ROWS, len(train)), run.config.seed)
    time_candidates(
        weights,
        run.data.contract,
        run.config.timing,
        run.folder.timing,
        run.folder.work,
        sample.x,
        report,
        own_inputs(run.data, sample.rows, weights),
    )


def _select(run: Run, report: Reporter) -> None:
    from emufort.selection import select, with_needed_schemes
    from emufort.skill import skill_of_baseline

    validation = run.data.part("validation")
    times = read_csv(run.folder.timing)
    if run.config.search.space.target:
        contracts = {
            row["id"]: Emulator.load(run.folder.weights(row["id"])).contract
            for row in times
            if row["kind"] == "candidate"
        }
        times = with_needed_schemes(times, contracts, run.data.contract)
    selection = select(
        _candidates(run),
        times,
        run.config.select.rule,
        run.config.select.ncol,
        {
            baseline.name: skill_of_baseline(validation, baseline.name).overall.rmse
            for baseline in run.data.contract.baseline
        },
    )
    write_json(run.folder.selection, selection.to_dict())


def _export(run: Run, report: Reporter) -> None:
    from emufort.export import export

    selection = read_json(run.folder.selection)
    emulator = Emulator.load(run.folder.weights(selection["choice"]))
    options = run.config.export
    data = run.data.under(emulator.contract)
    export(
        emulator,
        data,
        run.folder.bundle,
        name=options.name,
        golden=options.golden,
        caveat=selection.get("caveat", ""),
    )


def _verify(run: Run, report: Reporter) -> None:
    from emufort.verification import verify

    options = run.config.verify
    choice = read_json(run.folder.selection)["choice"]
    verify(
        run.folder.bundle,
        Emulator.load(run.folder.weights(choice)),
        rows=options.rows,
        tolerance=options.tolerance,
        out=run.folder.verification,
        compiler=run.config.timing.compiler,
        flags=run.config.timing.flags,
        work=run.folder.work,
        report=report,
    ).raise_if_failed()


def _report(run: Run, report: Reporter) -> None:
    from emufort.report import write_report

    write_report(run.folder.path, run.data)


_WORK: dict[str, Callable[[Run, Reporter], None]] = {
    "search": _search,
    "retrain": _retrain,
    "time": _time,
    "select": _select,
    "export": _export,
    "verify": _verify,
    "report": _report,
}
