"""MPI: one rank reads, all have the emulator, and the answers do not depend on the ranks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from emufort._sources import fortran_sources
from emufort.export import Bundle
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
SOURCES = (
    "activation/emufort_activation_head.F90",
    *("activation/emufort_activation_arg2000.F90", "activation/emufort_activation.F90"),
    *("mpi/emufort_broadcast.F90", "mpi/mpi_host.F90"),
)


@pytest.fixture(scope="module")
def host(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mpi")
    flags = ["-std=f2018", "-Wall", "-Wextra", "-O1", "-fopenmp-simd", "-ffp-contract=off"]
    sources = [*fortran_sources("emufort_runtime"), *(COUPLING / name for name in SOURCES)]
    for source in sources:
        run("mpif90", *flags, "-c", source, cwd=folder)
    objects = [folder / f"{source.stem}.o" for source in sources]
    run("mpif90", *objects, "-o", folder / "mpi_host", cwd=folder)
    return folder / "mpi_host"


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


def test_all_ranks_hear_of_an_error(host: Path, tmp_path: Path) -> None:
    done = attempt("mpirun", "-n", "3", host, tmp_path / "absent.bin", **SETTINGS)
    assert done.returncode != 0
    assert "cannot read" in done.stderr
    (tmp_path / "bad.bin").write_bytes(os.urandom(1000))
    done = attempt("mpirun", "-n", "3", host, tmp_path / "bad.bin", **SETTINGS)
    assert done.returncode != 0
    assert "bad.bin" in done.stderr
