"""adapt_physics on stand-ins of E3SM, CAM of CESM 2 and cam_development.

The stand-ins have the modules, callers and argument lists of the host, with formulas of their own.
With the stub, the adapted host gives the bits of the original one. With the emulator, every call at
cloud base is answered by it, and calls above cloud base keep the host's bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.export import Bundle
from emufort.export.host import write_host
from emufort.toolchain.sources import dependencies, in_order
from tests.coupling.conftest import TOP, attempt, run

STANDINS = TOP / "tests" / "coupling" / "standins"
#: Host -> export, files that adapt_physics writes, and calls that the emulator never answers.
HOSTS = {
    "eam": ("e3sm", ("emufort_eam.F90", "ndrop.F90", "zm_microphysics.F90"), ("zm in cloud",)),
    "cam": ("cime", ("emufort_cam.F90", "ndrop.F90"), ("zm in cloud",)),
    "cam_development": ("cime", ("emufort_cam_aerosol.F90", "ndrop.F90"), ()),
}


@pytest.fixture(params=HOSTS)
def adapted(
    request: pytest.FixtureRequest, preset_bundle: Callable[[str], Bundle], tmp_path: Path
) -> tuple[str, Path, Path]:
    """The name of a host, the glue, and the folder with the adapted copies."""
    host = request.param
    glue = write_host(preset_bundle("e3sm_mam4"), HOSTS[host][0], tmp_path / "glue").path
    out = tmp_path / "SourceMods"
    run(glue / "adapt_physics", STANDINS / host, out)
    return host, glue, out


def answers(host: str, compiler: str, folder: Path, *searched: Path) -> dict[str, str]:
    """Build a host and return what each call printed; a file in `searched` replaces the host's."""
    folder.mkdir()
    files: dict[str, Path] = {}
    for place in (*searched, STANDINS / host):
        for path in sorted(place.rglob("*.F90")):
            files.setdefault(path.name, path)
    files["common.F90"] = STANDINS / "common.F90"
    paths = list(files.values())
    order = in_order(dependencies({path: path.read_text() for path in paths}), paths)
    run(compiler, "-O1", *order, "-o", "host", cwd=folder)
    lines = run(folder / "host").splitlines()
    return {f"{i} {line.rsplit(maxsplit=3)[0]}": line for i, line in enumerate(lines)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapted", "compiler"),
    [
        *((host, "gfortran") for host in HOSTS),
        ("eam", "flang-22"),
        *(pytest.param(host, "flang-22", marks=pytest.mark.exhaustive) for host in list(HOSTS)[1:]),
    ],
    indirect=["adapted"],
)
def test_adapted_host(adapted: tuple[str, Path, Path], compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    host, glue, out = adapted
    assert sorted(path.name for path in out.iterdir()) == sorted(HOSTS[host][1])
    original = answers(host, compiler, tmp_path / "original")
    assert len(original) >= 5
    without = answers(host, compiler, tmp_path / "without", out, glue / "stub")
    assert without == original
    emulated = answers(host, compiler, tmp_path / "emulated", out, glue / "src")
    assert list(emulated) == list(original)
    own = HOSTS[host][2]
    for call, line in emulated.items():
        assert line.endswith(" T"), "fractions between 0 and 1"
        assert (line == original[call]) == call.endswith((*own, "prescribed")), call


def test_sources_are_only_read_and_changes_of_others_are_kept(
    adapted: tuple[str, Path, Path],
) -> None:
    host, glue, out = adapted
    original = (STANDINS / host / "physics/cam/ndrop.F90").read_text()
    changed = (out / "ndrop.F90").read_text()
    assert "_of_host" in changed and "_of_host" not in original
    # all that is not renamed or added is still there, in order
    kept = changed.replace("_of_host", "").splitlines()
    position = 0
    for line in original.splitlines():
        position = kept.index(line, position) + 1
    # again: its own files are written anew, those with other changes are not
    run(glue / "adapt_physics", STANDINS / host, out)
    assert (out / "ndrop.F90").read_text() == changed
    (out / "ndrop.F90").write_text(original)
    done = attempt(glue / "adapt_physics", STANDINS / host, out)
    assert done.returncode == 1 and "has changes of others" in done.stderr
    assert (out / "ndrop.F90").read_text() == original


@pytest.mark.parametrize(
    ("old", "new"),
    [("end subroutine ndrop_init", "end subroutine"), ("implicit none", "implicit real(a-h)")],
)
def test_unknown_sources_are_refused(
    adapted: tuple[str, Path, Path], tmp_path: Path, old: str, new: str
) -> None:
    host, glue, _ = adapted
    copy = shutil.copytree(STANDINS / host, tmp_path / "other")
    ndrop = copy / "physics/cam/ndrop.F90"
    ndrop.write_text(ndrop.read_text().replace(old, new))
    done = attempt(glue / "adapt_physics", copy, tmp_path / "out")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "change its sources by hand" in done.stderr
    assert not (tmp_path / "out").exists()
    done = attempt(glue / "adapt_physics", tmp_path / "nothing", tmp_path / "out")
    assert done.returncode == 1 and done.stderr.startswith("adapt_physics: cannot read")


def test_glue_of_another_host_is_refused(
    preset_bundle: Callable[[str], Bundle], tmp_path: Path
) -> None:
    glue = write_host(preset_bundle("e3sm_mam4"), "e3sm", tmp_path / "glue").path
    done = attempt(glue / "adapt_physics", STANDINS / "cam", tmp_path / "out")
    assert done.returncode == 1 and "has no emufort_cam.F90" in done.stderr
