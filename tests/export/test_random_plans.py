"""Random networks, with constant outputs, through the generated module and the loader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.network.activations import ACTIVATIONS
from emufort.network.emulator import Emulator
from emufort.network.imported import ImportedArchitecture
from emufort.network.operations import OPERATIONS
from tests.core.plans import parameters_of, random_plan
from tests.export.emulators import inputs, random_emulator
from tests.export.test_wide import COMPILERS, need_openmp, run

DRIVER = Path(__file__).parent / "random_driver.F90"
PAINT = Path(__file__).parents[2] / "fortran/test/painted_stack.F90"
ROWS = 71


def contract(sizes: dict[str, int]) -> Contract:
    """Inputs a, b, c of all transforms and r, which is no feature; outputs q, u, v, w."""
    dimensions = "\n".join(
        f"d{name} = {[f'{name}{i}' for i in range(n)]}" for name, n in sizes.items()
    )
    # Limits are exact in single precision: a host in single precision clips to the rounded limit.
    return Contract.from_toml(f"""
name = "random"
[dimensions]
{dimensions}
[[input]]
name = "a"
units = "m-3"
dimension = "da"
transform = "ln"
range = [1e6, 1e10]
[[input]]
name = "b"
units = "K"
dimension = "db"
range = [250.0, 310.0]
[[input]]
name = "r"
units = "1"
transform = "none"
feature = false
range = [1e-4, 1e-1]
[[input]]
name = "c"
units = "1"
dimension = "dc"
transform = "logit"
range = [0.015625, 0.96875]
[[output]]
name = "q"
units = "1"
transform = "ln"
relative_to = "r"
[[output]]
name = "u"
units = "1"
dimension = "du"
transform = "ln"
[[output]]
name = "v"
units = "K"
dimension = "dv"
transform = "standardise"
[[output]]
name = "w"
units = "1"
dimension = "dw"
range = [0.0, 1.0]
transform = "logit"
""")


def of_all_operations(emulator: Emulator, seed: int) -> Emulator:
    """The same scalers around a network of random operations whose results are of order one."""
    features = list(emulator.contract.feature_indices)
    x = inputs(emulator.contract, 200, seed)
    z = emulator.input_scaler.forward(emulator.clip(x)[:, features])
    for attempt in range(200):
        rng = np.random.default_rng([seed, attempt])
        plan = ImportedArchitecture.of_plan(
            random_plan(
                lambda lower, upper, rng=rng: int(rng.integers(lower, upper + 1)),
                n_features=len(features),
                n_results=len(emulator.output_scaler.varying),
            )
        )
        parameters = parameters_of(plan.plan, seed)
        with np.errstate(all="ignore"):
            found = plan.plan.evaluate(z, parameters)
        kinds = {operation.kind for operation in plan.plan.operations} - {"dense", "add"}
        if len(kinds) > 2 and np.abs(found).max() < 10.0 and np.ptp(found, axis=0).min() > 0.01:
            return replace(emulator, architecture=plan, parameters=parameters)
    raise AssertionError("no network is of order one")


def random_bundle(
    seed: int, folder: Path, is_imported: bool = False
) -> tuple[Bundle, dict[str, int]]:
    """Every third network has many inputs and outputs, every second one wide layers."""
    rng = np.random.default_rng(seed)
    most = 60 if seed % 3 == 2 else 12
    sizes = {name: int(rng.integers(1, most + 1)) for name in "abcuvw"}
    widest = 700 if seed % 2 else 300
    hidden = tuple(int(n) for n in rng.integers(1, widest + 1, rng.integers(1, 5)))
    n_outputs = 1 + sizes["u"] + sizes["v"] + sizes["w"]
    n_constants = int(rng.integers(0, n_outputs))
    activation = str(rng.choice(ACTIVATIONS))
    constant_outputs = rng.choice(n_outputs, n_constants, replace=False).tolist()
    x = inputs(contract(sizes), ROWS, seed)
    for attempt in range(20):
        emulator = random_emulator(
            contract(sizes), hidden, activation, seed + 1000 * attempt, False, constant_outputs
        )
        features = emulator.clip(x)[:, list(emulator.contract.feature_indices)]
        z = emulator.plan.evaluate(emulator.input_scaler.forward(features), emulator.parameters)
        # All neurons of a narrow rectified layer may give 0; a bundle needs an output that varies.
        if np.ptp(z, axis=0).max() > 1e-3:
            break
    assert len(emulator.constants) == n_constants
    if is_imported:
        emulator = of_all_operations(emulator, seed)
    n = np.arange(ROWS)
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    placement: Placement = "file" if seed % 4 == 3 else "module"
    bundle = export(emulator, data, folder / "bundle", golden=4, weights=placement)
    # columns out of range, and some that are no numbers
    x[3, 0] *= 1e6
    x[17, -1] = -0.5
    x[40, 0] = np.nan
    x[66, x.shape[1] // 2] = np.inf
    x.T.tofile(folder / "x.bin")
    return bundle, sizes


def agrees(compiler: str, seed: int, folder: Path, is_imported: bool = False) -> None:
    """Compile and run the driver with one network."""
    need_openmp(compiler, folder)
    bundle, sizes = random_bundle(seed, folder, is_imported)
    flags = [*COMPILERS[compiler], *(f"-DN{name.upper()}={n}" for name, n in sizes.items())]
    if bundle.form == "file":
        flags.append("-DLOADS")
    files = [bundle.runtime_source, bundle.module_source, PAINT, DRIVER]
    run(folder, compiler, *flags, *files, "-o", "driver", "-lpthread")
    said = run(folder, "./driver", bundle.weights, folder / "x.bin")
    assert said.startswith("the same bits")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("compiler", sorted(COMPILERS))
def test_random_networks_have_the_bits_of_their_columns(
    compiler: str, seed: int, tmp_path: Path
) -> None:
    agrees(compiler, seed, tmp_path)


@pytest.mark.parametrize(("compiler", "seed"), [("gfortran", 1), ("gfortran", 2), ("flang-22", 3)])
def test_random_plans_have_the_bits_of_their_columns(
    compiler: str, seed: int, tmp_path: Path
) -> None:
    agrees(compiler, seed, tmp_path, is_imported=True)


def test_the_random_plans_have_all_operations() -> None:
    sizes = dict.fromkeys("abcuvw", 5)
    emulators = [of_all_operations(random_emulator(contract(sizes)), seed) for seed in range(1, 13)]
    assert {o.kind for e in emulators for o in e.plan.operations} == set(OPERATIONS)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3, 27))
@pytest.mark.parametrize("is_imported", [False, True])
@pytest.mark.parametrize("compiler", sorted(COMPILERS))
def test_more_random_networks_have_the_bits_of_their_columns(
    compiler: str, seed: int, is_imported: bool, tmp_path: Path
) -> None:
    agrees(compiler, seed, tmp_path, is_imported)


def test_random_networks_are_numbers_and_text_and_have_constants(tmp_path: Path) -> None:
    found = [random_bundle(seed, tmp_path / str(seed))[0] for seed in (1, 2)]
    assert [bundle.form for bundle in found] == ["text", "numbers"]
    assert all("constant" in (b.path / "MODEL_CARD.md").read_text() for b in found)
