"""Measure what compiler flags cost: the times of one emulator under several sets of flags.

    python -m benchmarks.build_flags [--compilers gfortran flang-22] [--update docs/runtime.md]

The emulator has the sizes of the demo's network and random weights. It is timed from physical
inputs to physical outputs on one thread: in the form of plain files, which the host compiles with
its flags, and in the library that is built for any x86-64 CPU and chooses its kernels at run time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.markdown_tables import replaced, table
from emufort.benchmark.models import random_emulator
from emufort.errors import EmufortError
from emufort.export.weights_file import WeightsFile
from emufort.files import write_text
from emufort.provenance import cpu_model
from emufort.timing.timers import write_inputs
from emufort.toolchain.compiler import Compiler
from emufort.toolchain.flags import FAMILIES, CompilerFamily
from emufort.toolchain.sources import fortran_sources
from emufort.verification import draw_rows

CHECKOUT = Path(__file__).resolve().parents[1]
#: Neurons of the hidden layers, and the activation function.
HIDDEN, ACTIVATION = (32, 32, 8), "silu"
#: Columns per call.
COLUMNS = (1, 16, 1152)
_MARKER = "build flags"


@dataclass(frozen=True)
class Build:
    """A program that times the emulator.

    Attributes
    ----------
    label
        Flags, or the level of the library's kernels.
    program
        The executable ``time_emulator``.
    environment
        Environment variables that it runs with.
    """

    label: str
    program: Path
    environment: Mapping[str, str]

    def times(self, files: Sequence[Path]) -> list[float]:
        """Run the program once; return ns per column for each of `COLUMNS`."""
        columns = ",".join(map(str, COLUMNS))
        done = subprocess.run(
            [self.program, *files, columns, "1"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = (line.split(",") for line in done.stdout.split())
        found = {int(ncol): float(time) for ncol, _, time in lines}
        return [found[ncol] for ncol in COLUMNS]


def family_of(compiler: Compiler) -> CompilerFamily:
    """Return the flags of the family of a compiler."""
    return FAMILIES["FLANG" if "flang" in compiler.version.lower() else "GNU"]


def sets_of_flags(family: CompilerFamily) -> Iterator[str]:
    """Yield the sets of flags that a host may use for the plain files."""
    simd = "-fopenmp-simd " if family is FAMILIES["GNU"] else ""
    yield "-O2"
    if simd:
        yield f"-O2 {simd.strip()}"
    yield f"-O2 {simd}-march=x86-64-v3"
    yield family.fast
    yield family.fast_native


def library(compiler: Compiler, folder: Path) -> Path:
    """Build the library for any CPU with CMake; return its program ``time_emulator``."""
    configure = ["cmake", "-S", CHECKOUT / "fortran", "-B", folder, "--log-level=ERROR"]
    options = ("CMAKE_BUILD_TYPE=Release", "EMUFORT_NATIVE=OFF", "EMUFORT_PACKAGE=OFF")
    chosen = ("BUILD_TESTING=OFF", f"CMAKE_Fortran_COMPILER={compiler.path}")
    build = ["cmake", "--build", folder, "--target", "time_emulator"]
    for command in ([*configure, *(f"-D{o}" for o in (*options, *chosen))], build):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "time_emulator"


def builds(compiler: Compiler, work: Path) -> list[Build]:
    """Build the emulator with `compiler` in all forms."""
    sources = fortran_sources("time_emulator")
    family = family_of(compiler)
    found = []
    for number, flags in enumerate(sets_of_flags(family)):
        program = work / f"plain-{compiler.path.name}-{number}"
        found.append(Build(f"`{flags}`", compiler.build(sources, flags, program), {}))
    program = library(compiler, work / f"library-{compiler.path.name}")
    for level in (1, *family.levels):
        label = f"library, kernels for x86-64{f'-v{level}' if level > 1 else ''}"
        found.append(Build(label, program, {"EMUFORT_CPU_LEVEL": str(level)}))
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--compilers", nargs="+", default=["gfortran", "flang-22"])
    parser.add_argument("--rounds", type=int, default=7, help="times that each program runs")
    parser.add_argument("--update", type=Path, help="Markdown document that gets the table")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        text = measured(options.compilers, options.rounds, Path(folder))
    print(text)
    if options.update is not None:
        write_text(options.update, replaced(options.update.read_text(), _MARKER, text))


def measured(compilers: Sequence[str], rounds: int, work: Path) -> str:
    """Measure all builds in turn, `rounds` times; return the table in Markdown."""
    emulator = random_emulator("demo", HIDDEN, ACTIVATION)
    lower = np.array([[column.lower for column in emulator.contract.input_columns]])
    inputs = write_inputs(work / "inputs.bin", draw_rows(emulator.contract, lower, 2304))
    weights = work / "weights.bin"
    WeightsFile.from_emulator(emulator).write(weights)
    found = [Compiler.find(name) for name in compilers]
    programs = [(c.name, build) for c in found for build in builds(c, work)]
    times: dict[tuple[str, str], list[list[float]]] = {}
    for _ in range(rounds):
        for name, build in programs:
            times.setdefault((name, build.label), []).append(build.times([weights, inputs]))
    rows = [
        [name, label, *(f"{median(column):.0f}" for column in zip(*measurements, strict=True))]
        for (name, label), measurements in times.items()
    ]
    head = ["compiler", "flags", *(f"{n:,} columns per call, ns per column" for n in COLUMNS)]
    versions = "; ".join(f"{c.name}: {c.version}" for c in found)
    return "\n".join(
        [
            *table(head, rows),
            "",
            f"{emulator.architecture.label} with physical inputs and outputs on one core of an "
            f"{cpu_model()}; median of {rounds} rounds. {versions}.",
        ]
    )


if __name__ == "__main__":
    try:
        main()
    except EmufortError as error:
        raise SystemExit(f"error: {error}") from error
