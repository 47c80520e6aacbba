"""The whole run and its single steps, each of which reads what the one before it wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emufort import provenance, steps
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import SPLITS, Dataset
from emufort.errors import EmufortError
from emufort.files import read_json, write_json
from emufort.models import Models
from emufort.network import Emulator
from emufort.progress import Reporter, StepListener, silent
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

    @property
    def models(self) -> Models:
        """The networks of step 2."""
        return Models.load(self.folder.retrain, self.data, self.folder.search)

    @property
    def choice(self) -> Emulator:
        """The chosen network."""
        return Emulator.load(self.folder.weights(read_json(self.folder.selection)["choice"]))

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
        try:
            _WORK[step](self, report)
        except BaseException as error:
            # A kill leaves no such line; `emufort status` tells the two apart.
            with suppress(EmufortError):
                self.folder.log(f"{step}: stopped by {explained(error)}")
            raise
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


def explained(error: BaseException) -> str:
    """Return in one line what ended a step."""
    words = str(error) if isinstance(error, EmufortError) else f"{type(error).__name__} {error}"
    return " ".join(words.split())


def configuration(
    out: Path, given: Path | dict[str, Any] | None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Return the options of the run in the folder `out`.

    Parameters
    ----------
    given
        A TOML file or its content; None stands for the folder's own configuration, and for the
        defaults where there is none.
    overrides
        ``section.key`` -> value, which counts unless it is None.

    Raises
    ------
    UsageError
        A key is unknown or a value impossible.
    """
    kept = RunFolder(out).config
    if isinstance(given, dict):
        config = Config.from_dict(given, "arguments")
    elif given is not None:
        config = Config.load(given)
    else:
        config = Config.load(kept) if kept.exists() else Config()
    content = config.model_dump(mode="json", exclude_none=True)
    for key, value in (overrides or {}).items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (content[section] if section else content)[name] = value
    return Config.from_dict(content, "command line")


def carry_out(run: Run, names: Sequence[str], listener: StepListener) -> None:
    """Carry out those of the steps `names` that are not finished.

    Raises
    ------
    EmufortError
        Something is wrong with the options or the data, another process is at work in the folder,
        an earlier step is not finished, or a step failed.
    """
    run.check()
    with run.folder.driver():
        run.prepare()
        for name in names:
            if run.is_finished(name):
                listener.skip(name)
                continue
            listener.begin(name)
            run.do(name, listener)
            listener.end(name)


def _search(run: Run, report: Reporter) -> None:
    steps.search(run.data, run.config, run.folder.search, report)


def _retrain(run: Run, report: Reporter) -> None:
    steps.retrain(run.folder.search, run.data, run.config, run.folder.retrain, report)


def _time(run: Run, report: Reporter) -> None:
    steps.time(run.models, run.config.timing, run.folder.timing, run.folder.work, report)


def _select(run: Run, report: Reporter) -> None:
    times = steps.read_times(run.folder.timing)
    steps.select(run.models, times, run.config.select, run.folder.selection)


def _export(run: Run, report: Reporter) -> None:
    steps.export(run.choice, run.data, run.config.export, run.folder.bundle)


def _verify(run: Run, report: Reporter) -> None:
    timing, folder = run.config.timing, run.folder
    steps.verify(
        folder.bundle,
        run.choice,
        run.config.verify,
        timing.compiler,
        timing.flags,
        folder.verification,
        folder.work,
        report,
    ).raise_if_failed()


def _report(run: Run, report: Reporter) -> None:
    steps.report(run.folder.path, run.data)


_WORK: dict[str, Callable[[Run, Reporter], None]] = {
    "search": _search,
    "retrain": _retrain,
    "time": _time,
    "select": _select,
    "export": _export,
    "verify": _verify,
    "report": _report,
}
