"""A caller converted to chunks: the same bits as before, and a document that shows its source."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emufort.export import Bundle
from emufort.export.host import write_host
from tests.coupling.conftest import COUPLING, TOP, attempt, run

CHUNKS = COUPLING / "aerosol_activation" / "hosts" / "chunks"
SCRIPT = CHUNKS / "time_chunks.py"

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def program(bundle: Bundle, folder: Path, compiler: str, *flags: str) -> Path:
    """Compile the stand-in against the glue of a bundle as `time_chunks.py` does."""
    sys.path.insert(0, str(CHUNKS))
    try:
        from time_chunks import Build, compiled  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(CHUNKS))
    glue = write_host(bundle, "plain", folder / "glue").path
    made: Path = compiled(glue, folder / "build", compiler, Build("tested", *flags))
    return made


@needs_make
@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundle", "five_mode_bundle"])
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("gfortran", ["-O3 -march=native"]),
        ("gfortran", ["-O2 -std=f2018 -Wall -Wextra -Wno-unused-dummy-argument -Werror", "-O2"]),
        pytest.param("flang-22", ["-O2 -std=f2018"], marks=pytest.mark.exhaustive),
    ],
)
def test_same_bits_by_parcel_and_by_chunk(
    name: str, compiler: str, flags: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    made = program(request.getfixturevalue(name), tmp_path, compiler, *flags)
    for columns, levels in ((16, 72), (5, 9), (1, 30)):
        shown = run(made, str(columns), str(levels)).splitlines()
        assert re.fullmatch(r"parcels [1-9]\d*", shown[0])
        assert [int(line.split()[2]) for line in shown[1:]] == [1, 4, 16]
        assert all(line.startswith("same bits: ") for line in shown[1:])


@needs_make
@pytest.mark.slow
def test_the_comparison_notices_a_difference(bundle: Bundle, tmp_path: Path) -> None:
    """A caller that gathers the aerosol of the wrong level does not pass."""
    wrong = tmp_path / "chunks"
    shutil.copytree(CHUNKS, wrong / "hosts" / "chunks")
    timing = CHUNKS.parents[1] / "timing"
    shutil.copytree(timing, wrong / "timing")
    source = wrong / "hosts" / "chunks" / "mix_droplets_by_chunk.F90"
    text = source.read_text()
    assert text.count("parcels%add(host, i, k, k + 1)") == 1
    source.write_text(text.replace("parcels%add(host, i, k, k + 1)", "parcels%add(host, i, k, k)"))
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from time_chunks import Build, compiled\n"
        "glue, folder = map(Path, sys.argv[2:])\n"
        "print(compiled(glue, folder, 'gfortran', Build('wrong', '-O1', '-O1')))\n"
    )
    glue = write_host(bundle, "plain", tmp_path / "glue").path
    made = run(
        *(sys.executable, "-c", script, wrong / "hosts" / "chunks", glue, tmp_path / "build")
    )
    done = attempt(made.strip(), "16", "72")
    assert done.returncode == 2
    assert done.stderr.strip() == "compare_chunks: the versions differ"


@needs_make
@pytest.mark.slow
def test_times_of_all_versions_are_measured(bundle: Bundle, tmp_path: Path) -> None:
    made = program(bundle, tmp_path, "gfortran", "-O2")
    shown = run(made, "16", "40", "3")
    names = re.findall(r"^time (\w+) [\d.]+ -?[\d.]+$", shown, re.MULTILINE)
    assert names == ["classical", "parcel", "chunk1", "chunk4", "chunk16"]


def test_the_document_shows_the_source() -> None:
    sources = " ".join(path.read_text() for path in CHUNKS.glob("*.F90"))
    shown = " ".join(sources.split())
    blocks = re.findall(
        r"^```fortran\n(.*?)^```$", (TOP / "docs" / "chunks.md").read_text(), re.M | re.S
    )
    assert len(blocks) == 3
    for block in blocks:
        for piece in re.split(r"^ *! \.\.\.$", block, flags=re.M):
            assert " ".join(piece.split()) in shown, piece


def test_both_versions_are_the_same_but_for_the_call() -> None:
    """The recipe is the difference of two files: the steps of the caller are in both."""
    for name in ("shrink", "grow", "enter_from_below", "evaporate", "mix_column", "end_column"):
        for version in ("parcel", "chunk"):
            text = (CHUNKS / f"mix_droplets_by_{version}.F90").read_text()
            assert len(re.findall(rf"call {name}\(", text)) == 1, (name, version)


def test_a_document_without_markers_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("no markers\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, bundle.path, "--update", document, "--rounds", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("has no <!-- chunks: begin --> ... end -->")
    assert document.read_text() == "no markers\n"
