"""The whole run and its single steps, each of which reads what the one before it wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emufort import provenance, signals, steps
from emufort.checks import check_run
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError, VerificationError
from emufort.files import read_json
from emufort.network.emulator import Emulator
from emufort.progress import Reporter, StepListener, silent
from emufort.retrain.agreement_words import Agreement
from emufort.retrain.models import Models
from emufort.run.folder import STEPS, RunFolder, Stopwatch
from emufort.run.recorded import RUNNING, unasked


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
        from emufort.dataset.targets import target_contract

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

    def check(self, steps: Sequence[str] = STEPS) -> None:
        """Find now what would stop one of `steps` after much work; see `emufort.checks`."""
        check_run(self.config, self.data, steps)

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

    def require_earlier(self, step: str) -> None:
        """Raise `EmufortError` unless the steps before `step` are finished and undamaged.

        A step that is finished itself says nothing of what became of its inputs since: a bundle
        that was changed after its verification is not a verified one.
        """
        for name in STEPS[: STEPS.index(step)]:
            if not self._was_done(name):
                damaged = self.folder.damaged(name)
                what = f"{damaged[0]} is missing or changed: " if damaged else ""
                raise EmufortError(
                    f"{what}the step '{name}' of {self.folder.path} is not finished; run "
                    f"'emufort {name} --out {self.folder.path}' first, or 'emufort run'"
                )

    def do(self, step: str, report: Reporter = silent) -> None:
        """Carry out one step unless it is finished.

        Raises
        ------
        EmufortError
            The step before it is not finished, or the step itself failed.
        """
        self.require_earlier(step)
        if self.is_finished(step):
            return
        self.folder.log(f"{step}: begins")
        self.folder.begin(step, self.config, self.inputs)
        watch = Stopwatch()
        try:
            _WORK[step](self, report)
        except BaseException as error:
            # A kill leaves no such line; `emufort status` tells the two apart.
            with suppress(EmufortError):
                self.folder.log(f"{step}: stopped: {explained(error)}")
            raise
        self.folder.finish(step, self.config, self.inputs, watch.seconds)
        self.folder.log(f"{step}: finished in {watch.seconds:.1f} s")

    def prepare(self) -> None:
        """Write the configuration and provenance of the run."""
        from emufort.dataset.targets import target_contract

        contract = self.data.contract
        inputs = {"data": self.data.sha256, "contract": contract.sha256}
        targets = {
            name: target_contract(name, contract).sha256 for name in self.config.search.space.target
        }
        self.folder.keep_config(self.config, inputs, (targets, dict(self.target_files)))

        strange = unasked(self.config.timing, self.config.recorded)

        def describe() -> dict[str, Any]:
            return {
                **provenance.describe(None if strange else self.config.timing.compiler),
                "data": {"path": str(self.data.source), "sha256": self.data.sha256},
                "contract": {"name": contract.name, "sha256": contract.sha256},
                "rows": {"usable": len(self.data), "dropped": dict(self.data.dropped)},
            }

        self.folder.keep_provenance(describe)


def _with_known_targets(
    folder: RunFolder, config: Config, contract: Contract
) -> tuple[Config, dict[str, str]]:
    """Name targets as the run in `folder` does; say where their files are now, if they moved."""
    from emufort.dataset.targets import moved, renamed

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


def explained(error: BaseException) -> str:
    """Return in one line what ended a step."""
    # A child that died of the same signal may have failed in its own way first.
    signal = signals.word(settle=signals.SETTLE_SECONDS)
    if signal or isinstance(error, KeyboardInterrupt):
        return signal or "interrupted"
    words = str(error) if isinstance(error, EmufortError) else f"{type(error).__name__} {error}"
    return " ".join(words.split())


def configuration(
    out: Path,
    given: Path | dict[str, Any] | None,
    overrides: Mapping[str, Any] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Config:
    """Return the options of the run in the folder `out`.

    Parameters
    ----------
    given
        A TOML file or its content; None stands for the folder's own configuration, and for the
        defaults where there is none.
    overrides
        ``section.key`` -> value, which counts unless it is None.
    warn
        Told where the folder's own configuration is damaged.

    Raises
    ------
    UsageError
        A key is unknown or a value impossible.
    """
    if isinstance(given, dict):
        config = Config.from_dict(given, "arguments")
    elif given is not None:
        config = Config.load(given)
    else:
        kept, wrong = RunFolder(out).read_config()
        config = kept or Config()
        if wrong:
            warn(wrong)
    content = config.model_dump(mode="json", exclude_none=True)
    asked = {key for key, value in (overrides or {}).items() if value is not None}
    if given is None:
        # A run folder does not say where to compute: the lines of 'setup' are commands of a shell.
        content["cluster"] = {}
    for key, value in (overrides or {}).items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (content[section] if section else content)[name] = value
    made = Config.from_dict(content, "command line")
    if given is None and kept is not None:
        return made.as_recorded(name for name in RUNNING if f"timing.{name}" not in asked)
    return made


def carry_out(run: Run, names: Sequence[str], listener: StepListener) -> None:
    """Carry out those of the steps `names` that are not finished.

    Raises
    ------
    EmufortError
        Something is wrong with the options or the data, another process is at work in the folder,
        an earlier step is not finished, or a step failed.
    """
    run.check([name for name in names if not run.is_finished(name)])
    with run.folder.driver():
        run.prepare()
        for name in names:
            if run.is_finished(name):
                run.require_earlier(name)
                listener.skip(name)
                continue
            listener.begin(name)
            run.do(name, signals.checked(listener))
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
    caveat = read_json(run.folder.selection).get("caveat", "")
    agreement = Agreement.read(run.folder.retrain)
    steps.export(run.choice, run.data, run.config.export, run.folder.bundle, caveat, agreement)


def _verify(run: Run, report: Reporter) -> None:
    timing, folder = run.config.timing, run.folder
    result = steps.verify(
        folder.bundle,
        run.choice,
        run.config.verify,
        timing.compiler,
        timing.flags,
        folder.verification,
        folder.work,
        report,
        steps.origin_of(run.models, read_json(folder.selection)["choice"]),
    )
    # Without a compiler the run goes on to its report, and says at its end that this is missing.
    if result.status == "failed":
        result.raise_if_failed()


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
