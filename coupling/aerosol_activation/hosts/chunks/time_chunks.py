"""Measure the conversion of a caller to chunks, and write the tables into a document.

python time_chunks.py BUNDLE --update docs/chunks.md

The script exports the glue of the bundle for a plain host. For each compiler and each choice of
flags it compiles library and stand-in, and runs ``compare_chunks``, which fails if the versions of
the caller do not give the same bits. Without ``--update`` the script prints the tables.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

from emufort.export import Bundle
from emufort.export.host import write_host
from emufort.files import write_text
from emufort.provenance import command_version, cpu_model

FOLDER = Path(__file__).resolve().parent
#: Sources of the stand-in in the order of compilation.
SOURCES = (
    FOLDER.parents[1] / "timing" / "classical_activate_modal.F90",
    *(
        FOLDER / f"{name}.F90"
        for name in (
            "host_columns",
            "cloud_layers",
            "parcel_schemes",
            "mix_droplets_by_parcel",
            "mix_droplets_by_chunk",
            "compare_chunks",
        )
    ),
)
COMPILERS = ("gfortran", "flang-22")
#: Lines of the program -> rows of the table.
VERSIONS = {
    "classical": "classical scheme, parcel by parcel",
    "parcel": "emulator, parcel by parcel",
    "chunk1": "emulator, one call per column",
    "chunk4": "emulator, one call per 4 columns",
    "chunk16": "emulator, one call per 16 columns",
}


@dataclass(frozen=True)
class Build:
    """Compiler flags of the host, and of the library if they are not those of its Makefile."""

    name: str
    host: str
    library: str = ""


BUILDS = (
    Build("host -O3 -march=native, library with its own flags", "-O3 -march=native"),
    Build("host -O2, library with its own flags", "-O2"),
    Build("all files -O2", "-O2", "-O2"),
)


def compiled(glue: Path, folder: Path, compiler: str, build: Build) -> Path:
    """Compile library and stand-in in a new folder; return the program.

    Parameters
    ----------
    glue
        Folder of ``emufort export --host plain``.
    folder
        New folder.
    compiler
        Command of the Fortran compiler.
    build
        The flags.
    """
    shutil.copytree(glue, folder)
    flags = [f"FAST={build.library}", f"EXACT={build.library}"] if build.library else []
    subprocess.run(
        ["make", "-s", "-C", folder, f"FC={compiler}", "libemufort.a", *flags], check=True
    )
    program = folder / "compare_chunks"
    modules = ["-J", folder] if "gfortran" in compiler else ["-module-dir", folder]
    subprocess.run(
        [
            *(compiler, *build.host.split(), "-I", folder, *modules, *SOURCES),
            *("-o", program, "-L", folder, "-lemufort"),
        ],
        check=True,
    )
    return program


def measured(program: Path, columns: int, levels: int, rounds: int) -> dict[str, list[float]]:
    """Return the times by version: of the step [us per column], of activation [ns per parcel]."""
    done = subprocess.run(
        [program, str(columns), str(levels), str(rounds)],
        check=True,
        capture_output=True,
        text=True,
    )
    found = {
        name: [float(step), float(activation)]
        for name, step, activation in re.findall(
            r"^time (\w+) (\S+) (\S+)$", done.stdout, re.MULTILINE
        )
    }
    parcels = re.search(r"^parcels (\d+)$", done.stdout, re.MULTILINE)
    assert parcels, done.stdout
    return {**found, "parcels": [float(parcels[1]) / columns]}


def table(results: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return the table of one compiler; `results` by the name of the build."""
    head = ["", *results]
    rows = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for name, label in VERSIONS.items():
        cells = [
            f"{times[name][1]:.0f} ({times[name][1] / times['classical'][1]:.2f})"
            for times in results.values()
        ]
        rows.append(f"| {label} | {' | '.join(cells)} |")
    return rows


def marked(document: str, body: str) -> str | None:
    """Return the document with `body` between the markers; None if it has no markers."""
    begin, end = "<!-- chunks: begin -->", "<!-- chunks: end -->"
    new, count = re.subn(
        f"{begin}.*?{end}", lambda _: f"{begin}\n\n{body}\n\n{end}", document, flags=re.DOTALL
    )
    return new if count == 1 else None


def measured_tables(bundle: Bundle, columns: int, levels: int, rounds: int) -> str:
    """Measure everything; return the tables of all compilers and what they show."""
    text: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        glue = write_host(bundle, "plain", Path(scratch) / "glue").path
        for compiler in filter(shutil.which, COMPILERS):
            results = {}
            for number, build in enumerate(BUILDS):
                program = compiled(glue, Path(scratch) / f"{compiler}{number}", compiler, build)
                results[build.name] = measured(program, columns, levels, rounds)
            parcels = results[BUILDS[0].name]["parcels"][0]
            text += [f"{command_version(compiler)}:", "", *table(results), ""]
    modes = bundle.manifest.contract.size("mode")
    text.append(
        textwrap.fill(
            "Processor time of activation and of the preparation of its arguments [ns per "
            "parcel], and in brackets compared with the classical scheme. "
            f"{columns} columns of {levels} levels with {parcels:.1f} parcels per column, "
            f"{modes} modes, network {bundle.manifest.architecture.label}; {cpu_model()}, one "
            f"core, least of {rounds} rounds in turn, load average {os.getloadavg()[0]:.0f}.",
            120,
        )
    )
    return "\n".join(text)


def main() -> None:
    """Read the command line, measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--update", type=Path, help="document with the markers of the table")
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--levels", type=int, default=72)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.update and marked(arguments.update.read_text(), "") is None:
        raise SystemExit(f"{arguments.update} has no <!-- chunks: begin --> ... end -->")
    text = measured_tables(
        Bundle.open(arguments.bundle), arguments.columns, arguments.levels, arguments.rounds
    )
    if arguments.update:
        write_text(arguments.update, marked(arguments.update.read_text(), text) or "")
    else:
        print(text)


if __name__ == "__main__":
    main()
