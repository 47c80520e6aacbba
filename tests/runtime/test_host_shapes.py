"""Hosts with arrays (lon, lat, lev), (n, ncol) or longer ones call an emulator without copies."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from emufort.export import Bundle

#: Flags of the sources of the bundle and of the host.
FLAGS = {
    "gfortran": ["-O1", "-fopenmp-simd", "-Wall", "-Wextra", "-Werror", "-fcheck=array-temps"],
    "flang-22": ["-O1"],
}


@pytest.mark.parametrize("compiler", sorted(FLAGS))
def test_arrays_of_any_shape_give_the_same_bits(
    compiler: str, bundle: Bundle, tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    sources = (bundle.runtime_source, bundle.module_source)
    run(compiler, *FLAGS[compiler], "-c", *sources)
    host = Path(__file__).parent / "module_shapes.F90"
    warnings = ["-Warray-temporaries", "-Wno-error"] if compiler == "gfortran" else []
    compiled = run(compiler, *FLAGS[compiler], *warnings, "-c", host)
    lines = host.read_text().splitlines()
    copies = [
        lines[int(line.split(":")[1]) - 1]
        for line in compiled.stderr.splitlines()
        if line.startswith(str(host))
    ]
    assert not [line for line in copies if "pond_emulator" in line or "emulator%" in line]
    # The host makes copies where it compares, which shows that the compiler reports them.
    assert bool(copies) == bool(warnings)
    objects = ["module_shapes.o", *(f"{source.stem}.o" for source in sources)]
    run(compiler, *objects, "-o", "host")
    done = run("./host", bundle.weights)
    assert done.stdout.split() == ["the", "same", "bits"]
    copied = re.findall(r"of procedure '(\w+)'", done.stderr)
    assert set(copied) <= {"compare", "compare_single"}
    assert bool(copied) == bool(warnings)
