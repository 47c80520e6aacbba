"""The forms of an exported emulator, each as a function from inputs to outputs.

All take physical inputs (n, n_inputs) that are exact in single precision and return physical
outputs (n, n_outputs). A form that cannot run on this machine raises `Unavailable`.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.errors import EmufortError, StorageError
from emufort.export.bundle import Bundle
from emufort.export.contents import ONNX, WEIGHTS
from emufort.export.fortran import wrap
from emufort.export.host_arrays import columns_of, has_matrices, host_order
from emufort.export.weights_form import Form
from emufort.files import scratch_folder, write_bytes, write_text
from emufort.native import bindings as native_bindings
from emufort.network.emulator import Emulator
from emufort.network.precision import DTYPES
from emufort.signals import run_child
from emufort.toolchain.compiler import Compiler, CompilerMissing
from emufort.toolchain.flags import DEFAULT_FLAGS
from emufort.verification import c_interface

Array = NDArray[np.float64]

#: Time [s] after which the compiled driver is assumed to hang.
_PATIENCE = 300


class Unavailable(Exception):  # noqa: N818 - reads as what is the case
    """A form cannot run on this machine; the message says what is missing."""


def torch_module(emulator: Emulator, x: Array) -> Array:
    """Return the outputs of the torch module, in the precision of the emulator."""
    import torch

    from emufort.network.torch_module import EmulatorModule

    kind = torch.float64 if emulator.precision == "double" else torch.float32
    module, rows = EmulatorModule(emulator), torch.tensor(x, dtype=kind)
    with torch.no_grad():
        y = torch.cat([module(rows[part]) for part in emulator.plan.parts_of(len(x))])
    return np.asarray(y.numpy(), dtype=np.float64)


def onnx_runtime(bundle: Bundle, x: Array) -> Array:
    """Return the outputs of the ONNX model in ONNX Runtime, in its precision, one thread.

    Raises
    ------
    Unavailable
        ONNX Runtime is not installed.
    EmufortError
        ONNX Runtime cannot use the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable("ONNX Runtime is not installed") from error

    content, kind = bundle.read(ONNX), DTYPES[bundle.manifest.precision]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        parts = bundle.manifest.architecture.plan.parts_of(len(x))
        y = np.concatenate([session.run(["y"], {"x": x[part].astype(kind)})[0] for part in parts])
    except Exception as error:  # ONNX Runtime has no public base class of its errors
        reason = str(error).splitlines()[0]
        raise EmufortError(f"ONNX Runtime cannot use {bundle.onnx}: {reason}") from error
    return np.asarray(y, dtype=np.float64)


def bindings(bundle: Bundle, x: Array, single: bool) -> Array:
    """Return the outputs of the Fortran runtime through the Python bindings, either precision.

    Raises
    ------
    Unavailable
        The bindings are not built.
    """
    if not native_bindings.available(bundle.manifest.precision):
        raise Unavailable("the Fortran bindings are not built")
    content, precision = bundle.read(WEIGHTS), bundle.manifest.precision
    loaded = native_bindings.FortranEmulator.from_bytes(content, precision)
    return np.asarray(
        loaded.predict(x.astype(np.float32 if single else np.float64)).y, dtype=np.float64
    )


# --------------------------------------------------------------- compiled Fortran


@dataclass(frozen=True)
class FortranOutputs:
    """Results of the compiled driver.

    Attributes
    ----------
    generated, generated_single
        Outputs of the generated module for host arrays in double and in single precision.
    loaded, loaded_single
        The same from weights.bin, loaded at run time.
    from_c, from_c_single
        The same from the generated module, called from C; None if C could not be compiled.
    without_c
        Why C could not be compiled, or empty.
    hash
        Hash that the generated module holds.
    self_test
        Error message of the self test of weights.bin, empty if it passes.
    compiler, flags
        Compiler and flags of the build.
    """

    generated: Array
    generated_single: Array
    loaded: Array
    loaded_single: Array
    from_c: Array | None
    from_c_single: Array | None
    without_c: str
    hash: str
    self_test: str
    compiler: str
    flags: str


def compiled(
    bundle: Bundle, x: Array, compiler: str, flags: str | None, work: Path
) -> FortranOutputs:
    """Compile the Fortran and the header of a bundle with a driver, and run the driver on `x`.

    The sources are compiled and run without a check, so the caller must check them before.

    Parameters
    ----------
    bundle
        The bundle.
    x
        Inputs (n, n_inputs).
    compiler, flags
        Name of the compiler, and flags as on a command line. None means the default flags. Default
        flags that the compiler does not accept are left out, as in the timing.
    work
        Folder of the program.

    Raises
    ------
    Unavailable
        The compiler does not exist.
    EmufortError
        The bundle does not compile, or the program fails.
    """
    try:
        found = Compiler.find(compiler)
    except CompilerMissing as error:
        raise Unavailable(f"there is no Fortran compiler '{compiler}'") from error
    contract = bundle.manifest.contract
    if flags in (None, DEFAULT_FLAGS):
        flags = found.accepted(DEFAULT_FLAGS)
    c_object = c_interface.compiled(contract, bundle.module_name, bundle.path)
    has_c = isinstance(c_object, Path)
    driver = work / "verify_bundle.F90"
    text = driver_source(contract, bundle.module_name, bundle.form, has_c)
    write_text(driver, text)
    sources = [bundle.runtime_source, bundle.module_source, driver]
    if isinstance(c_object, Path):
        sources.append(c_object)
    program = found.build(sources, flags, work / "verify_bundle")
    n_outputs = len(contract.output_columns)
    with scratch_folder(work) as folder:
        inputs, outputs = folder / "inputs.bin", folder / "outputs.bin"
        write_bytes(
            inputs, np.int64(len(x)).tobytes() + np.asarray(x, np.float64).tobytes(order="F")
        )
        said = _run([program, inputs, outputs, bundle.weights])
        values = np.fromfile(outputs)
    n_forms = 6 if has_c else 4
    if values.size != n_forms * len(x) * n_outputs:
        raise EmufortError(f"the compiled driver wrote {values.size} numbers; verify again")
    forms = [v.reshape((len(x), n_outputs), order="F") for v in np.split(values, n_forms)]
    return FortranOutputs(
        generated=forms[0],
        generated_single=forms[1],
        loaded=forms[2],
        loaded_single=forms[3],
        from_c=forms[4] if has_c else None,
        from_c_single=forms[5] if has_c else None,
        without_c="" if isinstance(c_object, Path) else c_object,
        hash=said.get("hash", ""),
        self_test=said.get("self_test", "it did not run"),
        compiler=found.version,
        flags=flags,
    )


def _run(command: Sequence[Path]) -> dict[str, str]:
    """Run the driver and return its output, one ``key value`` per line."""
    try:
        done = run_child(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmufortError(f"the compiled driver does not run: {error}") from error
    if done.returncode != 0:
        if os.strerror(errno.ENOSPC) in done.stderr:
            raise StorageError(
                f"cannot write {command[2]}: {os.strerror(errno.ENOSPC)}; free some space"
            )
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise EmufortError(f"the compiled driver fails: {lines[0] if lines else 'no message'}")
    pairs = (line.strip().partition(" ") for line in done.stdout.splitlines())
    return {key: value.strip() for key, _, value in pairs}


_DRIVER = """\
! Runs both ways of calling an emulator on rows from a file; written by emufort for `verify`.
program verify_bundle
  use, intrinsic :: iso_c_binding, only: c_int, c_float, c_double
  use, intrinsic :: iso_fortran_env, only: real32, real64, int64
  use {module}, only: &
    {names}
  use emufort_runtime, only: emulator_type, status_type, workspace_type
  implicit none
  integer(int64) :: length
  integer :: n, unit
  real(real64), allocatable :: x(:, :), y(:, :)
  real(real32), allocatable :: xs(:, :), ys(:, :)
  type(emulator_type) :: emulator
  type(status_type) :: status
  type(workspace_type) :: workspace
  character(len=4096) :: inputs, outputs, weights
{host}{interface}
  call get_command_argument(1, inputs)
  call get_command_argument(2, outputs)
  call get_command_argument(3, weights)
  open (newunit=unit, file=trim(inputs), access='stream', form='unformatted', status='old', &
    action='read')
  read (unit) length
  n = int(length)
  allocate (x(n, {n_inputs}), y(n, {n_outputs}), xs(n, {n_inputs}), ys(n, {n_outputs}))
  read (unit) x
  close (unit)
  xs = real(x, real32)

  open (newunit=unit, file=trim(outputs), access='stream', form='unformatted', status='replace', &
    action='write')
{start}  call {module}_make_workspace(workspace, status)
  call check('workspace')
{to_host}  call {module}_{predict_double}(n, &
    {double}, status, workspace=workspace)
  call check('generated')
{from_host}  write (unit) y
  call {module}_{predict_single}(n, &
    {single}, status, workspace=workspace)
  call check('generated, single')
{single_from_host}  write (unit) real(ys, real64)
  call emulator%load(trim(weights), status)
  call check('load')
  call emulator%predict(x, y, status, workspace=workspace)
  call check('predict')
  write (unit) y
  call emulator%predict(xs, ys, status, workspace=workspace)
  call check('predict, single')
  write (unit) real(ys, real64)
{from_c}  close (unit)

  print '(a, 1x, a)', 'hash', {module}_hash
  call emulator%self_test(status)
  print '(a, 1x, a)', 'self_test', trim(status%message)

contains

  subroutine check(what)
    character(len=*), intent(in) :: what
    if (status%code == 0) return
    write (*, '(4a)') what, ': ', trim(status%place), ' '//trim(status%message)
    stop 1
  end subroutine check

end program verify_bundle
"""


_HOST = """\
  !> Columns of x and y in the order of host arrays, and matrices with this order.
  integer, parameter :: inputs_of_host(*) = [ &
    {inputs}]
  integer, parameter :: outputs_of_host(*) = [ &
    {outputs}]
  real(real64), allocatable :: xh(:, :), yh(:, :)
  real(real32), allocatable :: xsh(:, :), ysh(:, :)
"""

_TO_HOST = """\
  xh = x(:, inputs_of_host)
  xsh = xs(:, inputs_of_host)
  allocate (yh, source=y)
  allocate (ysh, source=ys)
"""

_FROM_HOST = """\
  y{single}(:, outputs_of_host) = y{single}h
"""


_INTERFACE = """
  interface
    integer(c_int) function {function}(n, x, y, xs, ys) bind(c)
      import :: c_int, c_float, c_double
      integer(c_int), value :: n
      real(c_double), intent(in) :: x(*)
      real(c_double), intent(inout) :: y(*)
      real(c_float), intent(in) :: xs(*)
      real(c_float), intent(inout) :: ys(*)
    end function {function}
  end interface
"""

_FROM_C = """\
  if ({function}(int(n, c_int), x, y, xs, ys) /= 0) then
    print '(a)', 'a call from C fails, or differs between the layouts of the arrays'
    stop 1
  end if
  write (unit) y
  write (unit) real(ys, real64)
"""

_LOAD = """\
  call {module}_load(trim(weights), status)
  call check('generated, load')
"""

_INIT = """\
  call {module}_init(status)
  call check('generated, init')
"""


def driver_source(contract: Contract, module: str, form: Form, has_c: bool) -> str:
    """Return a program that calls the generated module `module` and loads weights.bin.

    `form` says how the module gets its weights, `has_c` whether the program calls the function of
    `emufort.verification.c_interface`.
    """

    def arguments(x: str, y: str) -> str:
        parts = []
        for array, variables in ((x, contract.input), (y, contract.output)):
            for variable, first, last in columns_of(contract, variables):
                columns = f"{first}:{last}" if variable.dimensions else f"{first}"
                parts.append(f"{array}(:, {columns})")
        return ", &\n    ".join(parts)

    # Host arrays of several dimensions have another order of elements than the matrices.
    of_host = "h" if has_matrices(contract) else ""
    predict = ("predict_real64", "predict_real32") if of_host else ("predict", "predict")
    start = "load" if form == "file" else "init"
    names = (*dict.fromkeys(predict), "make_workspace", "hash", start)
    orders = {
        "inputs": wrap(str(place + 1) for place in host_order(contract, contract.input)),
        "outputs": wrap(str(place + 1) for place in host_order(contract, contract.output)),
    }
    n_inputs, n_outputs = len(contract.input_columns), len(contract.output_columns)
    return _DRIVER.format(
        module=module,
        names=", &\n    ".join(f"{module}_{name}" for name in names),
        start=(_LOAD if form == "file" else _INIT).format(module=module),
        interface=_INTERFACE.format(function=c_interface.FUNCTION) if has_c else "",
        from_c=_FROM_C.format(function=c_interface.FUNCTION) if has_c else "",
        n_inputs=n_inputs,
        n_outputs=n_outputs,
        host=_HOST.format(**orders) if of_host else "",
        to_host=_TO_HOST if of_host else "",
        from_host=_FROM_HOST.format(single="") if of_host else "",
        single_from_host=_FROM_HOST.format(single="s") if of_host else "",
        predict_double=predict[0],
        predict_single=predict[1],
        double=arguments(f"x{of_host}", f"y{of_host}"),
        single=arguments(f"xs{of_host}", f"ys{of_host}"),
    )
