"""Measure how long compilers need for a generated module with 5 MB of weights.

    python -m benchmarks.compact_module [--compilers gfortran flang-22] [--update docs/runtime.md]

The network has random weights. Its module is compiled with the flags of the benchmark, in the form
of text, as exports write it, and a small program measures the time of ``<name>_emulator_init``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.markdown_tables import replaced, table
from emufort.benchmark.models import random_emulator
from emufort.export.flat import flatten
from emufort.export.fortran import fortran_source, runtime_source
from emufort.export.weights_form import form_of
from emufort.files import write_text
from emufort.network.emulator import Emulator
from emufort.provenance import cpu_model
from emufort.toolchain.compiler import Compiler
from emufort.toolchain.flags import FAMILIES

#: Neurons of the hidden layers: 1.25 million weights with the inputs and outputs of the contract.
HIDDEN = (645, 645, 645, 645)
_MARKER = "compact module"

_PROGRAM = """\
program time_init
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use {module}, only: {module}_init, status_type
  implicit none
  type(status_type) :: status
  integer(int64) :: start, finish, rate
  call system_clock(start, rate)
  call {module}_init(status)
  call system_clock(finish)
  if (status%code /= 0) error stop 'init'
  print '(f0.6)', real(finish - start, real64)/real(rate, real64)
end program time_init
"""


@dataclass(frozen=True)
class Measurement:
    """What one compiler needs.

    Attributes
    ----------
    compiler, flags
        Version and flags.
    seconds
        Time of the processor for the module [s].
    megabytes
        Largest memory of a process of the compiler [MB].
    init
        Time of the init phase [s].
    """

    compiler: str
    flags: str
    seconds: float
    megabytes: float
    init: float


def measured(command: Sequence[str | Path], folder: Path) -> tuple[float, float]:
    """Run a command; return the time of the processor [s] and the largest memory [MB]."""
    child = subprocess.Popen([str(word) for word in command], cwd=folder)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]} fails")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024.0


def measure(emulator: Emulator, compiler: Compiler, folder: Path) -> Measurement:
    """Compile the module of an emulator in an empty folder."""
    family = FAMILIES["FLANG" if "flang" in compiler.version.lower() else "GNU"]
    flags = family.fast_native.split()
    module = f"{emulator.contract.name}_emulator"
    write_text(folder / "emufort_runtime.F90", runtime_source())
    write_text(folder / f"{module}.F90", fortran_source(emulator, "benchmark"))
    write_text(folder / "time_init.F90", _PROGRAM.format(module=module))
    command: list[str | Path] = [compiler.path, *flags]
    measured([*command, "-c", "emufort_runtime.F90"], folder)
    seconds, megabytes = measured([*command, "-c", f"{module}.F90"], folder)
    objects = [f"{module}.o", "emufort_runtime.o"]
    measured([*command, "time_init.F90", *objects, "-o", "time_init"], folder)
    runs = (
        subprocess.run([folder / "time_init"], capture_output=True, check=True) for _ in "12345"
    )
    init = min(float(run.stdout) for run in runs)
    return Measurement(compiler.version, family.fast_native, seconds, megabytes, init)


def main() -> None:
    """Measure all compilers; print the table and insert it into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--compilers", nargs="+", default=["gfortran", "flang-22"])
    parser.add_argument("--update", type=Path, help="document that holds the table")
    options = parser.parse_args()
    emulator = random_emulator("compact", HIDDEN, "silu")
    flat = flatten(emulator)
    assert form_of(flat, "module") == "text"
    found = []
    for name in options.compilers:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(emulator, Compiler.find(name), Path(folder)))
    rows = [
        (f"{m.compiler}, `{m.flags}`", f"{m.seconds:.1f}", f"{m.megabytes:.0f}", f"{m.init:.2f}")
        for m in found
    ]
    head = ("compiler", "time to compile the module [s]", "memory [MB]", "time of `init` [s]")
    body = "\n".join(
        [
            f"{flat.weights.nbytes / 1e6:.1f} MB of weights on {cpu_model()}; time of one core.",
            "",
            *table(head, rows),
        ]
    )
    print(body)
    if options.update:
        text = options.update.read_text(encoding="utf-8")
        write_text(options.update, replaced(text, _MARKER, body))


if __name__ == "__main__":
    main()
