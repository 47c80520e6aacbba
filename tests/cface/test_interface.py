"""The interface for C and C++ has the same bits as Fortran, in every layout, and never fails hard.

The programs next to this file check everything; they print one line if all is right.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from emufort.export import Bundle
from tests.cface.conftest import (
    C_COMPILERS,
    CPP_COMPILERS,
    CPP_LIBRARIES,
    HERE,
    STRICT,
    Objects,
    Run,
    needs,
)

SAME = "the same bits\n"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("fortran", "compiler", "double"),
    [
        *((*compilers, False) for compilers in C_COMPILERS),
        (*C_COMPILERS[0], True),
        *(
            pytest.param(*compilers, True, marks=pytest.mark.exhaustive)
            for compilers in C_COMPILERS[1:]
        ),
    ],
)
def test_c(
    fortran: str, compiler: str, double: bool, bundle: Bundle, objects: Objects, run: Run
) -> None:
    needs(fortran, compiler)
    include = f"-I{bundle.path}"
    # The test counts the allocations of the C library, which flang's and gfortran's libraries use.
    flags = ("-std=c99", *STRICT, "-O1", "-DCOUNT_ALLOCATIONS", include)
    run(compiler, *flags, "-c", HERE / "interface.c")
    run(fortran, *objects(fortran, double), "interface.o", "-o", "interface", "-lpthread")
    assert run("./interface", bundle.weights) == SAME


@pytest.mark.parametrize(
    ("fortran", "compiler", "exceptions"),
    [
        *((*compilers, "-fexceptions") for compilers in CPP_COMPILERS),
        (*CPP_COMPILERS[0], "-fno-exceptions"),
        *(
            pytest.param(*compilers, "-fno-exceptions", marks=pytest.mark.exhaustive)
            for compilers in CPP_COMPILERS[1:]
        ),
    ],
)
def test_cpp(
    fortran: str, compiler: str, exceptions: str, bundle: Bundle, objects: Objects, run: Run
) -> None:
    needs(fortran, compiler)
    flags = ("-std=c++17", *STRICT, "-O1", exceptions, f"-I{bundle.path}")
    run(compiler, *flags, "-c", HERE / "interface.cpp")
    linked = (*objects(fortran, False), "interface.o", "-o", "interface", *CPP_LIBRARIES)
    run(fortran, *linked, "-lpthread")
    assert run("./interface", bundle.weights) == SAME


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
@pytest.mark.parametrize("compiler", ["g++", "clang++-22"])
def test_the_headers_alone_have_no_warnings(
    compiler: str, standard: str, bundle: Bundle, run: Run, tmp_path: Path
) -> None:
    needs(compiler)
    for name in ("emufort.h", "emufort.hpp", "pond_emulator.h", "pond_emulator.hpp"):
        (tmp_path / "only.cpp").write_text(f'#include "{name}"\n#include "{name}"\n')
        more = ("-Wshadow", "-Wconversion", "-Wold-style-cast")
        run(compiler, f"-std={standard}", *STRICT, *more, f"-I{bundle.path}", "-c", "only.cpp")


def test_sanitizers_find_nothing(bundle: Bundle, run: Run) -> None:
    """The C programs, random and damaged bytes, with AddressSanitizer and UBSan."""
    needs("gfortran", "gcc", "g++")
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = (bundle.runtime_source, bundle.module_source, HERE / "reference.F90")
    run("gfortran", *flags, "-c", *sources)
    include = f"-I{bundle.path}"
    run("gcc", *flags, "-std=c99", *STRICT, include, "-c", HERE / "fuzz.c", HERE / "interface.c")
    run("g++", *flags, "-std=c++17", *STRICT, include, "-c", HERE / "interface.cpp", "-o", "cpp.o")
    runtime, linked = "emufort_runtime.o", ("pond_emulator.o", "reference.o")
    run("gfortran", *flags, runtime, "fuzz.o", "-o", "fuzz")
    run("gfortran", *flags, runtime, *linked, "interface.o", "-o", "c")
    run("gfortran", *flags, runtime, *linked, "cpp.o", "-o", "cpp", *CPP_LIBRARIES)
    assert run("./c", bundle.weights) == SAME
    assert run("./cpp", bundle.weights) == SAME
    loaded, refused = map(int, run("./fuzz", bundle.weights, 6000, 1).split())
    # Both outcomes occur, so that neither is untested.
    assert loaded > 100 and refused > 1000 and loaded + refused == 6000
