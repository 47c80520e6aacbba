"""MPI: one rank reads, all have the emulator, and the answers do not depend on the ranks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emufort.export import Bundle
from emufort.processes.aerosol_activation.fortran import scheme_sources
from emufort.toolchain.sources import fortran_sources
from tests.coupling.conftest import COUPLING, attempt, run

pytestmark = pytest.mark.skipif(
    shutil.which("mpif90") is None or shutil.which("mpirun") is None,
    reason="no MPI: apt-get install libopenmpi-dev openmpi-bin",
)
#: OpenMPI refuses root and more ranks than cores without these; other MPIs do not know them.
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMP_NUM_THREADS": "1",
}
MODULES = (
    *scheme_sources("emufort_aerosol_activation"),
    COUPLING / "face/mpi/emufort_broadcast.F90",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mpi")
    flags = ["-std=f2018", "-Wall", "-Wextra", "-O1", "-fopenmp-simd", "-ffp-contract=off"]
    example = COUPLING / "aerosol_activation/hosts/plain/mpi_host.F90"
    programs = (example, Path(__file__).with_name("agree_driver.F90"))
    modules = [*fortran_sources("emufort_runtime"), *MODULES]
    for source in (*modules, *programs):
        run("mpif90", *flags, "-c", source, cwd=folder)
    objects = [folder / f"{source.stem}.o" for source in modules]
    for program in programs:
        name = program.stem
        run("mpif90", *objects, folder / f"{name}.o", "-o", folder / name, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def host(built: Path) -> Path:
    return built / "mpi_host"


def test_any_number_of_ranks(host: Path, bundle: Bundle, tmp_path: Path) -> None:
    shown = set()
    for ranks in (1, 2, 3, 4):
        shown.add(run("mpirun", "-n", str(ranks), host, bundle.weights, **SETTINGS))
    assert len(shown) == 1
    assert "parcels 3200" in shown.pop()


def test_one_rank_reads(host: Path, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "reader").mkdir()
    (tmp_path / "others").mkdir()
    shutil.copy(bundle.weights, tmp_path / "reader/weights.bin")
    command = ["mpirun", "-n", "1", "-wdir", tmp_path / "reader", host, "weights.bin"]
    command += [":", "-n", "2", "-wdir", tmp_path / "others", host, "weights.bin"]
    assert "parcels 3200" in run(*command, **SETTINGS)


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_all_ranks_know_of_an_error_on_any(built: Path, first: int) -> None:
    lines = run("mpirun", "-n", "3", built / "agree_driver", str(first), **SETTINGS).splitlines()
    said = f"{first + 1}, place {first}, rank {first} failed" if first < 3 else "0, , "
    assert sorted(lines) == [f"{rank}: {said}" for rank in range(3)]


def check_refusal(host: Path, weights: Path, message: str) -> None:
    """All ranks end, one line says why, and nothing is torn down before it is out."""
    done = attempt("mpirun", "-n", "3", host, weights, **SETTINGS)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("mpi_host: ")]
    assert len(lines) == 1, done.stderr
    assert message in lines[0]
    assert "MPI_ABORT" not in done.stderr


def test_the_host_says_why_it_ends(host: Path, tmp_path: Path) -> None:
    check_refusal(host, tmp_path / "absent.bin", "cannot read")
    (tmp_path / "bad.bin").write_bytes(b"weights" * 100)
    check_refusal(host, tmp_path / "bad.bin", "not a weights file of emufort")


@pytest.mark.slow
def test_the_message_is_out_before_any_rank_ends(host: Path, tmp_path: Path) -> None:
    # processes that compute stand for a busy machine: with an abort by whichever rank came first,
    # one in twenty runs ended without the message
    burner = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burner) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        for _ in range(20):
            check_refusal(host, tmp_path / "absent.bin", "cannot read")
    finally:
        for process in burners:
            process.kill()
            process.wait()
