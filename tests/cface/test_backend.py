"""The backend of E3SM's inference interface in examples/, against a stand-in of that interface."""

from __future__ import annotations

import pytest

from emufort.export import Bundle
from tests.cface.conftest import CPP_LIBRARIES, HERE, STRICT, Objects, Run, needs

EXAMPLE = HERE.parents[1] / "examples/e3sm_inference"


@pytest.mark.slow
@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not here")
@pytest.mark.parametrize("compiler", ["g++", "clang++-22"])
def test_backend(compiler: str, bundle: Bundle, objects: Objects, run: Run) -> None:
    needs("gfortran", compiler)
    includes = (f"-I{bundle.path}", f"-I{EXAMPLE}", f"-I{HERE / 'stand_in'}")
    run(compiler, "-std=c++17", *STRICT, "-O1", *includes, "-c", HERE / "backend.cpp")
    linked = (*objects("gfortran", False), "backend.o", *CPP_LIBRARIES)
    run("gfortran", *linked, "-o", "backend")
    assert run("./backend", bundle.weights) == "the same bits\n"
