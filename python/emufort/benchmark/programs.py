"""The Fortran programs of the benchmark: found, generated and compiled."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emufort.benchmark.models import Model
from emufort.benchmark.options import Options
from emufort.benchmark.workers import Missing
from emufort.errors import EmufortError
from emufort.export.fortran import fortran_source, loads_weights
from emufort.files import write_text
from emufort.toolchain.compiler import Compiler, CompilerMissing
from emufort.toolchain.flags import DEFAULT_FLAGS
from emufort.toolchain.sources import fortran_sources

_FOLDERS = ("fortran/bench", "coupling/onnxruntime")

#: Sources of bench_native that use the wrapper of the generated module; they come last.
_ABOVE_WRAPPER = ("bench_native_contender", "bench_native")

_EMBEDDED = """\
!> Hands the columns of x and y to the variables of a generated module, or to a loaded emulator.
!> Written by `emufort bench`.
module bench_embedded
  use emufort_runtime, only: emulator_type, status_type, workspace_type
  use bench_worker, only: hp
  use {module}, only: {module}_predict, &
    embedded_workspace => {module}_make_workspace{load}
  implicit none
  private
  public :: embedded_predict, loaded_predict, embedded_prepare, embedded_n_outputs
  integer, parameter :: embedded_n_outputs = {n_outputs}

contains

  recursive subroutine embedded_predict(ncol, x, y, status, workspace)
    integer, intent(in) :: ncol                        !! number of columns
    real(hp), intent(in) :: x(ncol, {n_inputs})        !! inputs
    real(hp), intent(inout) :: y(ncol, {n_outputs})    !! outputs
    type(status_type), intent(inout) :: status         !! outcome
    type(workspace_type), intent(inout) :: workspace   !! of this thread

    call {module}_predict(ncol, &
      {arguments}, status, workspace=workspace)

  end subroutine embedded_predict

  recursive subroutine loaded_predict(emulator, ncol, x, y, status, workspace)
    type(emulator_type), intent(in) :: emulator        !! emulator
    integer, intent(in) :: ncol                        !! number of columns
    real(hp), intent(in) :: x(ncol, {n_inputs})        !! inputs
    real(hp), intent(inout) :: y(ncol, {n_outputs})    !! outputs
    type(status_type), intent(inout) :: status         !! outcome
    type(workspace_type), intent(inout) :: workspace   !! of this thread

    call emulator%predict(x, y, status, workspace=workspace)

  end subroutine loaded_predict

  subroutine embedded_prepare(weights, workspaces, status)
    character(len=*), intent(in) :: weights                     !! path of weights.bin
    type(workspace_type), intent(inout) :: workspaces(:)        !! one for each thread
    type(status_type), intent(inout) :: status                  !! outcome
    integer :: i

{call_load}    do i = 1, size(workspaces)
      call embedded_workspace(workspaces(i), status)
      if (status%code /= 0) return
    end do

  end subroutine embedded_prepare

end module bench_embedded
"""

_CALL = """\
!> The whole call of a process in the place of a generated module's; written by `emufort bench`.
module bench_embedded
  use emufort_runtime, only: status_type, workspace_type
  use {module}, only: embedded_predict, loaded_predict, make_workspace, &
    embedded_n_outputs => n_outputs
  implicit none
  public

contains

  subroutine embedded_prepare(weights, workspaces, status)
    character(len=*), intent(in) :: weights                     !! not needed
    type(workspace_type), intent(inout) :: workspaces(:)        !! one for each thread
    type(status_type), intent(inout) :: status                  !! outcome
    integer :: i

    if (len(weights) < 1) return
    do i = 1, size(workspaces)
      call make_workspace(workspaces(i), status)
      if (status%code /= 0) return
    end do

  end subroutine embedded_prepare

end module bench_embedded
"""


class Programs:
    """Builds what the contenders need, each program once.

    Parameters
    ----------
    options
        Compiler, flags and BLAS.
    work
        Folder for programs and generated sources; what is current there is not built again.
    """

    def __init__(self, options: Options, work: Path) -> None:
        self._options = options
        self._work = work
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._compiler: Compiler | None = None
        self._why = ""
        self._flags = self._own_flags = ""
        try:
            self._compiler = Compiler.find(options.compiler)
        except CompilerMissing:
            self._why = f"no Fortran compiler '{options.compiler}'"
        else:
            openmp = self._compiler.accepted("-fopenmp")
            own = self._compiler.accepted(DEFAULT_FLAGS)
            self._own_flags = f"{own} {openmp}".strip()
            given = own if options.flags is None else options.flags
            self._flags = f"{given} {openmp}".strip()

    @property
    def compiler(self) -> Compiler:
        """The compiler; `Missing` if there is none."""
        if self._compiler is None:
            raise Missing(self._why)
        return self._compiler

    @property
    def flags(self) -> str:
        """Flags of the runtime; empty without a compiler."""
        return self._flags

    def describe(self) -> dict[str, Any]:
        """Return what bench.json says of the compiler."""
        return {
            "compiler": self._compiler.version if self._compiler else None,
            "flags": self._flags,
            "flags_of_others": self._own_flags,
            "baseline_flags": self._options.baseline_flags,
        }

    # ---------------------------------------------------------------- programs

    # What the user asks for is for the runtime; neither peak nor other contenders are to suffer.

    def peak(self, bits: int) -> Path:
        """Return the program that measures the core, compiled for vectors of `bits`."""
        flags = self.compiler.accepted(f"-mprefer-vector-width={bits}")
        name = f"bench_peak_{bits}"
        return self._build(name, self._sources("bench_peak"), f"{self._own_flags} {flags}")

    def sgemm(self, blas: Path) -> Path:
        """Return the program that multiplies matrices by the library `blas`."""
        return self._build("bench_sgemm", [*self._sources("bench_sgemm"), blas], self._own_flags)

    def onnxruntime(self, model: Model) -> Path:
        """Return the program that calls ONNX Runtime with host arrays of the model's kind."""
        name = f"bench_onnxruntime_{model.host_kind}"
        flags = f"{self._own_flags} {_kind_flag(model)}"
        return self._build(name, self._sources("bench_onnxruntime"), flags)

    def network(self) -> Path:
        """Return the program that runs the runtime's kernels."""
        return self._build("bench_network", self._sources("bench_network"), self._flags)

    def native(self, model: Model) -> Path:
        """Return the program that holds the model's generated module and can load weights.bin."""
        module = f"{model.contract.name}_emulator"
        generated = model.folder / f"{module}.F90"
        write_text(generated, fortran_source(model.emulator, "benchmark"))
        wrapper = model.folder / "bench_embedded.F90"
        program = self._sources("bench_native")
        below, above = program[: -len(_ABOVE_WRAPPER)], program[-len(_ABOVE_WRAPPER) :]
        loads = loads_weights(model.emulator.architecture)
        if loads and model.call is not None:
            raise Missing("the network is too large for the source of a whole call")
        if model.call is None:
            write_text(wrapper, _embedded_source(model, module))
            sources = [*below, generated, wrapper, *above]
        else:
            *others, call = model.call.call(model.contract)
            write_text(wrapper, _CALL.format(module=call.stem))
            head = model.call.fortran(model.contract)
            sources = [*below, *head, *others, generated, call, wrapper, *above]
        flags = f"{self._flags} {_kind_flag(model)}"
        return self._build(f"bench_native_{model.name}", sources, flags)

    def baseline(self, name: str, sources: Sequence[Path]) -> Path:
        """Return the program of a classical scheme."""
        flags = self.compiler.accepted(self._options.baseline_flags)
        return self._build(f"time_{name}", list(sources), flags)

    def blas(self) -> Path:
        """Return the library with sgemm; `Missing` if the compiler finds none."""
        given = self._options.blas
        if given is not None:
            if not given.is_file():
                raise Missing(f"no BLAS library {given}")
            return given.resolve()
        found = self.compiler.file_name("libopenblas.so")
        if found is None:
            raise Missing("no OpenBLAS (libopenblas.so); install it or name one by --blas")
        return found

    def _sources(self, program: str) -> list[Path]:
        try:
            return fortran_sources(program, _FOLDERS)
        except EmufortError as error:
            raise Missing(str(error)) from error

    def _build(self, name: str, sources: list[Path], flags: str) -> Path:
        compiler = self.compiler
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            return compiler.build(sources, flags, self._work / "programs" / name)


def blas_description(library: Path) -> tuple[str, str]:
    """Return version and kernels that OpenBLAS says to use here; empty for another BLAS."""
    try:
        loaded = ctypes.CDLL(str(library))
        words = []
        for name in ("openblas_get_config", "openblas_get_corename"):
            function = getattr(loaded, name)
            function.restype = ctypes.c_char_p
            words.append(str(function().decode()))
    except (OSError, AttributeError):
        return "", ""
    return " ".join(words[0].split()[:2]), words[1]


def _kind_flag(model: Model) -> str:
    return "-DEMUFORT_BENCH_DOUBLE" if model.is_physical else ""


def _embedded_source(model: Model, module: str) -> str:
    contract = model.contract
    arguments: list[str] = []
    for array, variables in (("x", contract.input), ("y", contract.output)):
        first = 1
        for variable in variables:
            width = contract.width(variable)
            last = first + width - 1
            place = f"{first}" if variable.dimension is None else f"{first}:{last}"
            arguments.append(f"{array}(:, {place})")
            first += width
    loads = loads_weights(model.emulator.architecture)
    return _EMBEDDED.format(
        module=module,
        load=f", &\n    {module}_load" if loads else "",
        call_load=(
            f"    call {module}_load(weights, status)\n    if (status%code /= 0) return\n"
            if loads
            else "    if (len(weights) < 1) return\n"
        ),
        n_inputs=len(contract.input_columns),
        n_outputs=len(contract.output_columns),
        arguments=", &\n      ".join(arguments),
    )
