"""The generated module, one array a variable: in any part of the columns, and by threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from emufort.export import Bundle

FLAGS = {
    "gfortran": ["-O2", "-march=native", "-fopenmp-simd", "-ffp-contract=fast"],
    "flang-22": ["-O2", "-march=native", "-ffp-contract=fast"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "double"),
    [
        ("gfortran", False),
        ("gfortran", True),
        ("flang-22", False),
        pytest.param("flang-22", True, marks=pytest.mark.exhaustive),
    ],
)
def test_the_bits_of_a_column_are_its_own(
    compiler: str, double: bool, bundle: Bundle, tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "empty.f90").write_text("use omp_lib\nend\n")
    if run(compiler, "-fopenmp", "empty.f90", "-o", "empty").returncode != 0:
        pytest.skip(f"{compiler} has no OpenMP (libomp-22-dev for Debian's flang-22)")
    flags = [*FLAGS[compiler], *(["-DEMUFORT_DOUBLE"] if double else [])]
    sources = (bundle.runtime_source, bundle.module_source)
    done = run(compiler, *flags, "-c", *sources)
    assert done.returncode == 0, done.stderr
    objects = [f"{source.stem}.o" for source in sources]
    driver = Path(__file__).parent / "module_invariance.F90"
    done = run(compiler, *flags, "-fopenmp", driver, *objects, "-o", "driver")
    assert done.returncode == 0, done.stderr
    done = run("./driver", bundle.weights)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["the", "same", "bits"]
