"""The whole run and its single steps, each of which reads what the one before it wrote."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emufort import provenance
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import SPLITS, Dataset
from emufort.errors import EmufortError, UsageError, VerificationError
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
    target_files
        Target -> its file, where that is no longer where it was when the run began.
    """

    folder: RunFolder
    config: Config
    data: Dataset
    target_files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: RunFolder, config: Config) -> Run:
        """Read and check contract and data; errors are those of `Contract.load`, `Dataset.open`.

        Raises
        ------
        UsageError
            The files that a run was begun with are no longer where they were.
        """
        for what, name in (("contract", config.contract), ("data", config.data)):
            if name is not None and _is_gone(name) and name == folder.path_of(what):
                raise UsageError(
                    f"the {what} of the run in {folder.path}, {name}, is no longer there; give the "
                    f"same {what}, wherever it is now: "
                    f"'emufort run --out {folder.path} --{what} FILE'"
                )
        contract = Contract.load(config.contract)
        config, files = _with_known_targets(folder, config, contract)
        return cls(folder, config, Dataset.open(config.data, contract, folder.work), files)

    @property
    def inputs(self) -> str:
        """Hash of contract, data and the contracts of other targets."""
        from emufort.targets import target_contract

        named = self.config.search.space.target
        others = [target_contract(name, self.data.contract).sha256 for name in named]
        parts = [self.data.contract.sha256, self.data.sha256, *others]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def check(self) -> None:
        """Find now what would stop a later step after much work.

        Raises
        ------
        EmufortError
            A split is empty, the subset larger than the data, an option of the sampler unknown, a
            name impossible in Fortran, a target one that the data do not give, or the compiler that
            is asked for missing.
        """
        from emufort.compiler import Compiler
        from emufort.export.fortran import check_names
        from emufort.search.samplers import check_options
        from emufort.targets import Targets

        for split in SPLITS:
            self.data.part(split)
        self.data.part("train").subset(self.config.search.subset, self.config.seed)
        check_options(self.config.search.sampler, self.config.search.sampler_options)
        check_names(self.data.contract, self.config.export.name)
        targets = Targets.of(self.data, self.config.search.space.target)
        for data in targets.data.values():
            check_names(data.contract, self.config.export.name)
        if self.config.timing.backend == "fortran":
            Compiler.find(self.config.timing.compiler)

    def is_finished(self, step: str) -> bool:
        """Say whether `step` needs no more work.

        A verification that had no compiler is made again: there may be one now.
        """
        done = self._was_done(step)
        return done and (step != "verify" or read_json(self.folder.verification)["passed"])

    def _was_done(self, step: str) -> bool:
        return self.folder.is_finished(step, self.config, self.inputs)

    def require_verified(self) -> None:
        """Raise `VerificationError` unless the verification of this run compiled the Fortran."""
        found = read_json(self.folder.verification)
        if not found["passed"]:
            raise VerificationError(f"{self.folder.bundle}: {found['reason']}")

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
            if not self._was_done(name):
                raise EmufortError(
                    f"the step '{name}' of {self.folder.path} is not finished; run "
                    f"'emufort {name} --out {self.folder.path}' first, or 'emufort run'"
                )
        self.folder.log(f"{step}: begins")
        self.folder.begin(step, self.config, self.inputs)
        watch = Stopwatch()
        _WORK[step](self, report)
        self.folder.finish(step, self.config, self.inputs, watch.seconds)
        self.folder.log(f"{step}: finished in {watch.seconds:.1f} s")

    def prepare(self) -> None:
        """Write the configuration and provenance of the run."""
        from emufort.targets import target_contract

        contract = self.data.contract
        inputs = {"data": self.data.sha256, "contract": contract.sha256}
        targets = {
            name: target_contract(name, contract).sha256 for name in self.config.search.space.target
        }
        self.folder.keep_config(self.config, inputs, (targets, dict(self.target_files)))

        def describe() -> dict[str, Any]:
            return {
                **provenance.describe(self.config.timing.compiler),
                "data": {"path": str(self.data.source), "sha256": self.data.sha256},
                "contract": {"name": contract.name, "sha256": contract.sha256},
                "rows": {"usable": len(self.data), "dropped": dict(self.data.dropped)},
            }

        self.folder.keep_provenance(describe)


def _with_known_targets(
    folder: RunFolder, config: Config, contract: Contract
) -> tuple[Config, dict[str, str]]:
    """Name targets as the run in `folder` does; say where their files are now, if they moved."""
    from emufort.targets import moved, renamed

    asked = config.search.space.target
    if not asked:
        return config, {}
    known, files = folder.targets
    names, found = renamed(asked, known, contract)
    files = {name: path for name, path in {**files, **found}.items() if name in names}
    for name in names:
        if _is_gone(files.get(name, name)):
            raise UsageError(
                f"the contract {name} of a target is no longer there; give a configuration that "
                f"names it where it is now: 'emufort run CONFIG --out {folder.path}'"
            )
    for name, path in files.items():
        moved(name, path)
    space = config.search.space.model_copy(update={"target": tuple(names)})
    search = config.search.model_copy(update={"space": space})
    return config.model_copy(update={"search": search}), files


def _is_gone(name: str) -> bool:
    """Whether `name` is a path where nothing is."""
    path = Path(name)
    return path.is_absolute() and not path.exists()


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

    choice = read_json(run.folder.selection)["choice"]
    emulator = Emulator.load(run.folder.weights(choice))
    options = run.config.export
    data = run.data.under(emulator.contract)
    export(
        emulator,
        data,
        run.folder.bundle,
        name=options.name,
        golden=options.golden,
        judge=run.data,
    )


def _verify(run: Run, report: Reporter) -> None:
    from emufort.search.identity import data_sha256
    from emufort.verification import Origin, verify

    options = run.config.verify
    weights = run.folder.weights(read_json(run.folder.selection)["choice"])
    result = verify(
        run.folder.bundle,
        Emulator.load(weights),
        rows=options.rows,
        tolerance=options.tolerance,
        out=run.folder.verification,
        compiler=run.config.timing.compiler,
        flags=run.config.timing.flags,
        work=run.folder.work,
        origin=Origin(data_sha256(run.data), run.folder.search, weights),
        report=report,
    )
    # Without a compiler the run goes on to its report, and says at its end that this is missing.
    if result.status == "failed":
        result.raise_if_failed()


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
