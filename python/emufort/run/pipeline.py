"""The whole run and its single steps, each of which reads the results of the steps before."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emufort import provenance, signals
from emufort.checks import check_run
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError, VerificationError
from emufort.extensions import Extensions
from emufort.files import read_json
from emufort.progress import Reporter, StepListener, silent
from emufort.run.configuration import (
    keep_config,
    recorded_path,
    recorded_targets,
    refuse_other_inputs,
)
from emufort.run.finished import FinishedSteps
from emufort.run.folder import RunFolder
from emufort.run.inputs import contract_of, describe_preset, open_data
from emufort.run.untrusted_options import first_untrusted
from emufort.search.samplers.options import check_object
from emufort.steps import STEP_NAMES, STEPS, earlier


@dataclass(frozen=True)
class Run:
    """One run: its folder, options and data.

    Attributes
    ----------
    folder
        Folder of the results.
    config
        All options.
    data
        The checked data set.
    target_files
        Target -> its present file, if that has moved since the run started.
    extensions
        Objects of the caller that take part in the run.
    """

    folder: RunFolder
    config: Config
    data: Dataset
    target_files: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=Extensions)

    @classmethod
    def open(
        cls,
        folder: RunFolder,
        config: Config,
        report: Reporter = silent,
        extensions: Extensions | None = None,
    ) -> Run:
        """Read and check contract and data; a preset makes its data unless it has kept them.

        Parameters
        ----------
        folder, config
            The run folder and all options.
        report
            Receives the progress of the labels of a preset.
        extensions
            Objects of the caller; default None: none.

        Raises
        ------
        UsageError
            The files with which a run was started have moved, or the folder holds a run of another
            contract.
        EmufortError
            The errors of `emufort.run.inputs.contract_of` and `open_data`.
        """
        for what, name in (
            ("preset", config.preset),
            ("contract", config.contract),
            ("data", config.data),
        ):
            if name is not None and _is_gone(name) and name == recorded_path(folder, what):
                raise UsageError(
                    f"the {what} of the run in {folder.path}, {name}, no longer exists; give the "
                    f"new path of the same {what}: "
                    f"'emufort run --out {folder.path} --{what} FILE'"
                )
        contract = contract_of(config)
        # Another contract is refused before a preset makes labels for it.
        refuse_other_inputs(folder, {"contract": contract.sha256})
        config, files = _with_known_targets(folder, config, contract)
        data = open_data(config, contract, folder.work, report)
        return cls(folder, config, data, files, extensions or Extensions())

    @property
    def inputs(self) -> str:
        """Hash of contract, data and the contracts of other targets."""
        from emufort.dataset.targets import target_contract

        named = self.config.search.space.target
        others = [target_contract(name, self.data.contract).sha256 for name in named]
        parts = [self.data.contract.sha256, self.data.sha256, *others]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def check(self, steps: Sequence[str] = STEP_NAMES) -> None:
        """Check before any work what would stop one of `steps`; see `emufort.checks`."""
        check_run(self.config, self.data, steps)
        if "search" in steps:
            check_object(self.config.search.sampler, self.extensions.sampler)

    @property
    def _finished(self) -> FinishedSteps:
        return FinishedSteps(self.folder)

    def is_finished(self, step: str) -> bool:
        """Return whether `step` is finished.

        A verification without a compiler is repeated, because a compiler may be available now.
        """
        done = self._was_done(step)
        return done and (step != "verify" or read_json(self.folder.verification)["passed"])

    def _was_done(self, step: str) -> bool:
        return self._finished.is_finished(step, self.config, self.inputs)

    def require_verified(self) -> None:
        """Raise `VerificationError` unless the verification of this run compiled the Fortran."""
        found = read_json(self.folder.verification)
        if not found["passed"]:
            raise VerificationError(f"{self.folder.bundle}: {found['reason']}")

    def require_earlier(self, step: str) -> None:
        """Raise `EmufortError` unless the steps before `step` are finished and undamaged.

        A step that is itself finished is not enough, because its inputs may have changed since: a
        bundle that was changed after its verification is not verified.
        """
        for name in earlier(step):
            if not self._was_done(name):
                damaged = self._finished.damaged(name)
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
            An earlier step is not finished, or the step itself failed.
        """
        self.require_earlier(step)
        if self.is_finished(step):
            return
        self.folder.log(f"{step}: begins")
        self._finished.begin(step, self.config, self.inputs)
        start = time.perf_counter()
        try:
            with self.extensions.callbacks.step(step):
                STEPS[step].work(self.folder, self.config, self.data, report, self.extensions)
        except BaseException as error:
            # A kill leaves no such line, by which `emufort status` distinguishes the two cases.
            with suppress(EmufortError):
                self.folder.log(f"{step}: stopped: {explained(error)}")
            raise
        seconds = time.perf_counter() - start
        self._finished.finish(step, self.config, self.inputs, seconds)
        self.folder.log(f"{step}: finished in {seconds:.1f} s")

    def prepare(self) -> None:
        """Write the configuration and provenance of the run."""
        from emufort.dataset.targets import target_contract

        contract = self.data.contract
        inputs = {"data": self.data.sha256, "contract": contract.sha256}
        targets = {
            name: target_contract(name, contract).sha256 for name in self.config.search.space.target
        }
        keep_config(self.folder, self.config, inputs, (targets, dict(self.target_files)))

        untrusted = first_untrusted(self.config.timing, self.config.recorded)

        def describe() -> dict[str, Any]:
            return {
                **provenance.describe(None if untrusted else self.config.timing.compiler),
                **({} if self.config.preset is None else {"preset": describe_preset(self.config)}),
                "data": {"path": str(self.data.source), "sha256": self.data.sha256},
                "contract": {"name": contract.name, "sha256": contract.sha256},
                "rows": {"usable": len(self.data), "dropped": dict(self.data.dropped)},
            }

        self.folder.keep_provenance(describe)


def _with_known_targets(
    folder: RunFolder, config: Config, contract: Contract
) -> tuple[Config, dict[str, str]]:
    """Return `config` with the target names of the run, and target -> present file if it moved."""
    from emufort.dataset.targets import moved, renamed

    asked = config.search.space.target
    if not asked:
        return config, {}
    known, files = recorded_targets(folder)
    names, found = renamed(asked, known, contract)
    files = {name: path for name, path in {**files, **found}.items() if name in names}
    for name in names:
        if _is_gone(files.get(name, name)):
            raise UsageError(
                f"the contract {name} of a target no longer exists; give a configuration with "
                f"its new path: 'emufort run CONFIG --out {folder.path}'"
            )
    for name, path in files.items():
        moved(name, path)
    space = config.search.space.model_copy(update={"target": tuple(names)})
    search = config.search.model_copy(update={"space": space})
    return config.model_copy(update={"search": search}), files


def _is_gone(name: str) -> bool:
    """Return whether `name` is a path that does not exist."""
    path = Path(name)
    return path.is_absolute() and not path.exists()


def explained(error: BaseException) -> str:
    """Return the reason why a step ended, as one line."""
    # A child that died of the same signal may have reported another error first.
    signal = signals.word(settle=signals.SETTLE_SECONDS)
    if signal or isinstance(error, KeyboardInterrupt):
        return signal or "interrupted"
    words = str(error) if isinstance(error, EmufortError) else f"{type(error).__name__} {error}"
    return " ".join(words.split())


def carry_out(run: Run, names: Sequence[str], listener: StepListener) -> None:
    """Carry out the steps `names` that are not finished.

    Raises
    ------
    EmufortError
        The options or the data are not valid, another process is working in the folder, an earlier
        step is not finished, or a step failed.
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
