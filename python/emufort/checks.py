"""Check a run before any work starts.

``emufort check``, ``emufort run`` and every single step call `check_run`, so that options that one
of them accepts are not refused by another one later.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset, check_subset
from emufort.dataset.splits import SPLITS
from emufort.errors import ContractError, DataError, EmufortError, UsageError
from emufort.messages import one_line
from emufort.processes import registry as processes
from emufort.run.untrusted_options import first_untrusted

if TYPE_CHECKING:
    from emufort.dataset.targets import Targets

#: Smallest number of usable rows of each split. A spread, and therefore R2, needs two rows; the
#: subset of step 1 has 16 or more.
LEAST_ROWS = {"train": 16, "validation": 2, "test": 2}


def check_run(config: Config, data: Dataset, steps: Sequence[str]) -> None:
    """Check before any work what would stop one of `steps` later.

    Parameters
    ----------
    config
        All options.
    data
        The data set, already checked against its contract.
    steps
        Unfinished steps of `emufort.steps.STEPS`.

    Raises
    ------
    EmufortError
        A split has too few rows, the subset is larger than the data, an option of the sampler is
        unknown, a name is not valid in Fortran, a head or a timing source cannot be used, the data
        do not contain a target, the table of costs is not valid, a trainer is not built, a device
        does not exist, or a required compiler is missing or refuses its flags.
    """
    from emufort.dataset.targets import Targets
    from emufort.export.fortran import check_names
    from emufort.search.samplers.options import check_options

    _check_rows(data)
    if "search" in steps and config.search.subset != "auto":
        n = int((data.split == SPLITS.index("train")).sum())
        check_subset(config.search.subset, n, data.source)
    check_options(config.search.sampler, config.search.sampler_options)
    check_names(data.contract, config.export.name)
    _check_judgement(data)
    targets = Targets.of(data, config.search.space.target)
    for one in targets.data.values():
        check_names(one.contract, config.export.name)
        _check_judgement(one)
    _check_trainers(config, steps)
    _check_schemes(config, targets)
    _check_costs(config, steps)
    check_compiler(config, steps, data.contract)


def _check_rows(data: Dataset) -> None:
    for code, name in enumerate(SPLITS):
        n, least = int((data.split == code).sum()), LEAST_ROWS[name]
        if n < least:
            has = "no usable row" if n == 0 else f"{n} usable row{'s' * (n > 1)}"
            raise DataError(
                f"{data.source} has {has} in the split '{name}'; a run needs at least {least} there"
            )


def _check_judgement(data: Dataset) -> None:
    """Compute the skill variables of the first rows, for the labels and the baselines."""
    from emufort.skill import baseline_values, skill_values

    contract, first = data.contract, slice(0, LEAST_ROWS["train"])
    processes.check_functions(contract)
    head = contract.skill.head
    try:
        true = skill_values(contract, data.x[first], data.y[first])
    except EmufortError:
        raise
    except Exception as error:  # the head of a contract may raise any exception
        raise _unusable(contract, f"the head '{head}'", error) from error
    for baseline in contract.baseline:
        what = f"the baseline '{baseline.name}'"
        try:
            values = baseline_values(data, baseline.name, first)
        except EmufortError as error:
            raise type(error)(f"{what}: {error}") from error
        except Exception as error:
            raise _unusable(contract, f"{what} with its head", error) from error
        for name, wanted in true.items():
            if values[name].shape != wanted.shape:
                raise ContractError(
                    f"the contract '{contract.name}': {what} gives {values[name].shape[1]} columns "
                    f"of '{name}', an emulator {wanted.shape[1]}"
                )


def _unusable(contract: Contract, what: str, error: Exception) -> ContractError:
    return ContractError(
        f"the contract '{contract.name}': {what} fails on the data with "
        f"{type(error).__name__}: {one_line(error)}"
    )


def _check_trainers(config: Config, steps: Sequence[str]) -> None:
    from emufort.training.backends import resolve_backend
    from emufort.training.device import check_device, kind_of, resolve_device

    space, is_here = config.search.space, config.cluster.is_here
    for step, backend in (("search", config.search.backend), ("retrain", config.retrain.backend)):
        if step in steps:
            device = resolve_device(config.device, backend, space.typical_multiply_adds, is_here)
            if is_here:
                check_device(device)
            resolve_backend(backend, kind_of(device), only_mlps=space.only_mlps)


def _check_schemes(config: Config, targets: Targets) -> None:
    """Check that schemes to which outputs of a target are relative can be timed."""
    from emufort.selection.tables import needed_schemes

    contract = targets.judge.contract
    timed = {b.name for b in contract.baseline if b.timing_source is not None}
    for name, data in targets.data.items() if targets.named else ():
        for scheme in sorted(needed_schemes(data.contract, contract)):
            if scheme not in timed or config.timing.backend != "fortran":
                why = (
                    "the contract names no timing_source for it"
                    if scheme not in timed
                    else f"timing.backend is '{config.timing.backend}'"
                )
                raise UsageError(
                    f"the target '{name}' needs the value of the scheme '{scheme}', whose time "
                    f"cannot be measured ({why}), so that it cannot be compared; leave it out"
                )


def _check_costs(config: Config, steps: Sequence[str]) -> None:
    from emufort.search.cost import from_table

    search = config.search
    predicts = search.max_ns is not None or "time" in search.objectives
    if "search" in steps and predicts and search.cost_table:
        from_table(Path(search.cost_table), config.select.ncol)


def check_compiler(config: Config, steps: Sequence[str], contract: Contract) -> None:
    """Check that the Fortran compiler for `steps` exists and accepts the flags.

    Raises
    ------
    CompilerMissing
        The compiler is missing, but times must be measured in compiled Fortran.
    CompilationError
        The compiler cannot compile an empty program with the flags.
    UsageError
        Only the untrusted run folder names the compiler or a flag.
    """
    from emufort.timing.measure import flags_of
    from emufort.toolchain.compiler import Compiler, CompilerMissing

    timing, search = config.timing, config.search
    measures = "time" in steps or (
        "search" in steps and search.max_ns is not None and search.cost_table is None
    )
    in_fortran = measures and timing.backend == "fortran"
    if not (in_fortran or "verify" in steps):
        return
    untrusted = first_untrusted(timing, config.recorded)
    if untrusted is not None:
        raise UsageError(
            f"{untrusted}, which is used only if you give it yourself, because a run folder may be "
            "untrusted; give the configuration again, 'emufort run CONFIG --out FOLDER'"
        )
    try:
        compiler = Compiler.find(timing.compiler)
    except CompilerMissing as error:
        if not in_fortran:
            return
        raise CompilerMissing(
            f"{error}; without one, 'timing.backend = \"onnxruntime\"' times ONNX Runtime instead"
        ) from error
    compiler.try_flags(flags_of(compiler, timing, "flags"))
    if in_fortran and any(b.timing_source for b in contract.baseline):
        compiler.try_flags(flags_of(compiler, timing, "baseline_flags"))
