"""Time `activate_modal` with the emulator and with the classical scheme, one parcel per call.

python -m benchmarks.activate_modal --bundle runs/four/bundle --bundle runs/five/bundle --json FILE
python -m benchmarks.activate_modal --results FILE --update docs/coupling.md

The classical scheme is `coupling/aerosol_activation/timing/classical_activate_modal.F90`. All times
are processor time of one core, in turn, and the least of all rounds counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.markdown_tables import replaced, table
from emufort.export import Bundle
from emufort.export.fortran import fortran_source, runtime_source
from emufort.network.emulator import Emulator
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    contract_source,
    scheme_sources,
    template,
    widths,
)
from emufort.provenance import cpu_model
from emufort.toolchain.compiler import Compiler, CompilerMissing
from emufort.toolchain.flags import FAMILIES

NAME = "bench_activate_modal"
COMPILERS = ("gfortran", "flang-22")
COLUMNS = 16


@dataclass(frozen=True)
class Case:
    """Times of one program [ns per parcel]."""

    compiler: str
    flags: str
    network: str
    modes: int
    classical: float
    emulator: float
    chunk: float


@dataclass(frozen=True)
class FlagSet:
    """Flags of the host and of the library: of its kernels (`fast`) and of its scheme (`exact`)."""

    host: str
    fast: str
    exact: str


def flag_sets(compiler: str) -> dict[str, FlagSet]:
    """Return the flag sets of the comparison, by the words of the table."""
    family = FAMILIES["FLANG" if "flang" in compiler else "GNU"]
    fast, exact = family.fast_native, f"{family.exact} {family.native}"
    return {
        "host `-O3 -march=native`, library its own": FlagSet("-O3 -march=native", fast, exact),
        "host `-O2`, library its own": FlagSet("-O2", fast, exact),
        "all files `-O2`": FlagSet("-O2", "-O2", "-O2"),
    }


def build(
    emulator: Emulator, compiler: Compiler, flags: FlagSet, folder: Path, objects: dict[str, str]
) -> Path:
    """Compile library and benchmark in a folder; return the program.

    `objects` holds what each object in the folder was compiled from, and is updated: only what
    changed is compiled again.
    """
    contract, name = emulator.contract, "measured"
    generated = {
        "emufort_runtime": runtime_source(),
        f"{name}_emulator": fortran_source(emulator, "benchmark", name),
        CONTRACT_MODULE: contract_source(contract),
        "emufort_aerosol_binding": template(
            "emufort_aerosol_binding",
            name=name,
            module=f"{name}_emulator",
            hash="benchmark",
            contract_hash=contract.sha256,
        ),
    }
    for stem, text in generated.items():
        (folder / f"{stem}.F90").write_text(text, encoding="utf-8")
    scheme = [path for path in scheme_sources(NAME) if path.stem not in generated]
    mine = [path for path in scheme if path.parent.name == "timing"]
    ordered = [
        *((folder / f"{stem}.F90", flags.fast) for stem in ("emufort_runtime", f"{name}_emulator")),
        *((folder / f"{stem}.F90", flags.exact) for stem in list(generated)[2:]),
        *((path, flags.exact) for path in scheme if path not in mine),
        *((path, flags.host) for path in mine),
    ]
    is_changed = False
    for path, options in ordered:
        key = f"{options} {path.read_text(encoding='utf-8')}"
        is_changed = is_changed or objects.get(path.stem) != key
        if is_changed:
            run([compiler.path, *compiler.accepted(options).split(), "-c", path], folder)
            objects[path.stem] = key
    run([compiler.path, *(f"{path.stem}.o" for path, _ in ordered), "-o", NAME], folder)
    return folder / NAME


def run(command: Sequence[object], folder: Path) -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def measure(
    emulator: Emulator,
    compiler: Compiler,
    words: str,
    rounds: int,
    folder: Path,
    objects: dict[str, str],
) -> Case:
    """Build one program in a folder and run it."""
    program = build(emulator, compiler, flag_sets(compiler.name)[words], folder, objects)
    lines = run([program, rounds], folder).splitlines()
    times: dict[str, list[float]] = {}
    for line in lines:
        name, _, value = line.partition(",")
        times.setdefault(name, []).append(float(value))
    return Case(
        compiler.version,
        words,
        emulator.architecture.label,
        len(widths(emulator.contract)),
        **{name: min(values) for name, values in times.items()},
    )


def text_of(cases: Sequence[Case]) -> str:
    """Return the table of the document."""
    head = (
        "compiler; flags",
        "modes",
        "network",
        "classical, ns",
        "emulator, ns",
        "ratio",
        f"{COLUMNS} columns, ns",
        "ratio",
    )
    rows = [
        (
            f"{case.compiler}; {case.flags}",
            str(case.modes),
            case.network,
            f"{case.classical:.0f}",
            f"{case.emulator:.0f}",
            f"{case.emulator / case.classical:.2f}",
            f"{case.chunk:.0f}",
            f"{case.chunk / case.classical:.2f}",
        )
        for case in cases
    ]
    return "\n".join(
        [
            *table(head, rows),
            "",
            f"Nanoseconds of processor time per parcel on one core of {cpu_model()}:",
            "parcels spread over the range, least of 15 rounds in turn. A ratio compares with the",
            "classical scheme in the same program.",
        ]
    )


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, action="append", default=[])
    parser.add_argument(
        "--results", type=Path, help="results of an earlier --json, without bundles"
    )
    parser.add_argument("--compiler", action="append", help="default: those of this machine")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--update", type=Path, help="document with the markers `one-parcel`")
    arguments = parser.parse_args()
    compilers = []
    for name in arguments.compiler or COMPILERS:
        try:
            compilers.append(Compiler.find(name))
        except CompilerMissing:
            if arguments.compiler:
                raise
    cases = []
    if arguments.results:
        cases = [Case(**case) for case in json.loads(arguments.results.read_text())]
    networks = [Bundle.open(path).emulator() for path in arguments.bundle]
    for compiler in compilers:
        by_library: dict[str, list[str]] = {}
        for words, flags in flag_sets(compiler.name).items():
            by_library.setdefault(f"{flags.fast} {flags.exact}", []).append(words)
        for group in by_library.values():
            with tempfile.TemporaryDirectory() as scratch:
                objects: dict[str, str] = {}
                for emulator in networks:
                    for words in group:
                        case = measure(
                            *(emulator, compiler, words, arguments.rounds, Path(scratch), objects)
                        )
                        cases.append(case)
                        print(json.dumps(asdict(case)), flush=True)
    cases.sort(key=lambda case: case.modes)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(case) for case in cases], indent=1) + "\n")
    if arguments.update:
        document = arguments.update.read_text()
        arguments.update.write_text(replaced(document, "one-parcel", text_of(cases)))


if __name__ == "__main__":
    main()
