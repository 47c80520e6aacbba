"""Headers of bundles: names that C has taken, weights that are loaded, and their verification."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.export import Bundle, export
from emufort.export.fortran import check_names, runtime_source
from emufort.toolchain.sources import include_folder
from emufort.verification import Verification, c_interface, verify
from tests.cface.conftest import HERE, STRICT, Run, needs
from tests.export.emulators import random_emulator
from tests.runtime.pond import pond_emulator

NAMES = ("int", "class", "linux", "I", "inputs", "x", "detail", "how")


def contract(*names: str, outputs: tuple[str, ...] = ("double", "and")) -> Contract:
    return Contract.from_dict(
        {
            "name": "taken",
            "title": "Names that C and C++ have taken */ \\",
            "dimensions": {"mode": ["a*/", "b\\"]},
            "input": [
                {"name": name, "units": "1", "range": [0.0, 1.0], "dimension": "mode"}
                for name in names
            ],
            "output": [{"name": name, "units": "1"} for name in outputs],
        }
    )


def data_of(contract: Contract) -> Dataset:
    x = np.random.default_rng(1).uniform(0.0, 1.0, (300, len(contract.input_columns)))
    y = x[:, : len(contract.output_columns)] + 1.0
    split = np.repeat([0, 1, 2], 100).astype(np.int8)
    return Dataset(contract, Path("x.nc"), "ab" * 32, x, y, split, np.arange(300), {})


def results(verified: Verification) -> dict[str, tuple[bool, str | None]]:
    return {c.name: (c.passed, c.skipped) for c in verified.comparisons}


def test_codes_are_those_of_fortran() -> None:
    header = (include_folder() / "emufort.h").read_text()
    codes = {name.lower(): int(code) for name, code in re.findall(r"(EMUFORT_\w+) = (\d)", header)}
    found = re.findall(r"parameter :: (emufort_(?:success|error_\w+)) = (\d+)", runtime_source())
    layouts = re.findall(r"c_(columns|features)_contiguous = (\d)", runtime_source())
    assert {name: int(code) for name, code in found} == {
        name: code for name, code in codes.items() if not name.endswith("contiguous")
    }
    assert {f"emufort_{name}_contiguous": int(code) for name, code in layouts} == {
        name: code for name, code in codes.items() if name.endswith("contiguous")
    }


def test_two_variables_with_one_name_in_c_are_refused() -> None:
    with pytest.raises(EmufortError, match="become 'class_' in C, where 'class' is a keyword"):
        check_names(contract("class", "class_"))
    assert check_names(contract("class", outputs=("class_",))) == "taken_emulator"


@pytest.mark.slow
def test_names_that_c_has_taken(run: Run, tmp_path: Path) -> None:
    needs("gfortran", "cc", "g++")
    taken = contract(*NAMES)
    bundle = export(random_emulator(taken, (8,), "tanh"), data_of(taken), tmp_path / "bundle")
    header = (bundle.path / "taken_emulator.h").read_text()
    assert "const double *class_;" in header and "const float *x;" in header
    assert "  /* int [1] (ncol, 2): a* /, b\\. */\n" in header
    found = verify(bundle, rows=50, flags="-O0")
    assert found.passed
    assert results(found)["C interface"] == (True, None)
    for compiler, standard in (("g++", "c++17"), ("clang++-22", "c++17"), ("clang++-22", "c++20")):
        if shutil.which(compiler):
            (tmp_path / "only.cpp").write_text('#include "taken_emulator.hpp"\n')
            run(compiler, f"-std={standard}", *STRICT, f"-I{bundle.path}", "-c", "only.cpp")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("placement", "form", "flag"), [("file", "file", "-DLOADS"), ("module", "text", "-DDECODES")]
)
@pytest.mark.parametrize(
    "fortran", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)]
)
def test_weights_that_are_loaded_or_decoded(
    fortran: str, placement: Placement, form: str, flag: str, data: Dataset, run: Run,
    tmp_path: Path,
) -> None:  # fmt: skip
    needs(fortran, "gcc")
    bundle, another = (
        export(
            pond_emulator(data, (600, 450), seed), data, tmp_path / name, golden=4,
            weights=placement,
        )
        for seed, name in enumerate(("bundle", "another"))
    )  # fmt: skip
    assert bundle.form == form
    run("gcc", "-std=c99", flag, *STRICT, f"-I{bundle.path}", "-c", HERE / "loads.c")
    sources = (bundle.runtime_source, bundle.module_source)
    run(fortran, "-O1", *sources, "loads.o", "-o", "loads")
    y = np.array(run("./loads", bundle.weights, another.weights).split(), dtype=float)
    steps = np.arange(40)
    heat = 276.0 + 0.1 * steps
    x = np.stack([1.0 + 0.5 * steps, heat, heat, np.full(40, 1e-5)], axis=1)
    np.testing.assert_allclose(y.reshape(3, 40).T, bundle.emulator().predict(x), rtol=1e-4)


@pytest.mark.slow
def test_other_bits_from_c_fail_the_verification(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("gfortran", "cc")
    genuine = c_interface.source

    def wrong(contract: Contract, module: str) -> str:
        text = genuine(contract, module)
        return text.replace(
            "both_f64(n, x, y) |", "both_f64(n, x, y) | ((y[0] *= 1.0000001) < 0) |"
        )

    monkeypatch.setattr(c_interface, "source", wrong)
    found = verify(bundle, rows=50, flags="-O0")
    assert found.status == "failed"
    assert "other bits" in found.reason
    monkeypatch.setattr(c_interface, "source", lambda *_: "int emufort_verify_c(void);\n#error no")
    assert "pond_emulator.h cannot be used" in verify(bundle, rows=50, flags="-O0").reason


@pytest.mark.slow
def test_without_a_c_compiler_the_form_is_skipped(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("gfortran")
    monkeypatch.setattr(c_interface, "C_COMPILER", "there-is-no-such-compiler")
    found = verify(bundle, rows=50, flags="-O0")
    assert found.status == "verified"
    passed, skipped = results(found)["C interface"]
    assert not passed and skipped == "there is no C compiler 'there-is-no-such-compiler'"
