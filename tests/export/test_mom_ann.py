"""The file for MOM6: read as MOM_ANN.F90 reads it, it gives the numbers of the emulator."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from emufort.api import import_network
from emufort.cli import execute
from emufort.contract import Contract
from emufort.errors import UsageError
from emufort.export.bundle import Bundle
from emufort.export.host import write_host
from emufort.export.mom_ann import mom_ann_file
from emufort.network.activations import Array
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler
from tests.importing.models import two_headed

CONTRACT: dict[str, Any] = {
    "name": "eddies",
    "input": [{"name": "shear", "units": "s-1"}, {"name": "depth", "units": "m"}, {"name": "beta"}],
    "output": [{"name": "flux", "units": "m2 s-2"}, {"name": "rate"}],
}


def emulator_of(
    sizes: Sequence[int] = (3, 7, 5, 2),
    activation: str = "relu",
    contract: dict[str, Any] | None = None,
    inputs: Scaler | None = None,
    outputs: Scaler | None = None,
) -> Emulator:
    rng = np.random.default_rng(8)
    shape = Architecture(sizes[0], tuple(sizes[1:-1]), sizes[-1], activation)
    pairs = list(itertools.pairwise(sizes))
    weights = [rng.normal(size=(n_out, n_in)).astype(np.float32) for n_in, n_out in pairs]
    biases = [rng.normal(size=n_out).astype(np.float32) for _, n_out in pairs]
    kinds = ("affine",) * 3
    return Emulator(
        Contract.from_dict(contract or CONTRACT),
        shape,
        inputs or Scaler(kinds, rng.normal(size=3), rng.uniform(0.5, 2.0, 3)),
        outputs or Scaler(kinds[:2], rng.normal(size=2), rng.uniform(0.5, 2.0, 2)),
        dense_parameters(tuple(weights), biases),
    )


def mom6(content: bytes, x: Array) -> Array:
    """Compute what ANN_init and ANN_apply of MOM_ANN.F90 compute, x (n, n_inputs)."""
    with netCDF4.Dataset("file", memory=content) as file:
        file.set_auto_mask(False)
        read = {name: np.array(variable[:]) for name, variable in file.variables.items()}
    sizes = read["layer_sizes"]
    assert read["num_layers"].tolist() == [len(sizes)]

    def applied(values: Array) -> Array:
        z = (values - read["input_means"]) / read["input_norms"]
        for i in range(len(sizes) - 1):
            # Fortran sees the dimensions in the other order: A(n_out, n_in)
            a = read[f"A{i}"].T
            assert a.shape == (sizes[i + 1], sizes[i])
            z = z @ a.T + read[f"b{i}"]
            z = np.maximum(z, 0.0) if i < len(sizes) - 2 else z
        return z * read["output_norms"] + read["output_means"]

    error = np.abs(applied(read["x_test"]) - read["y_test"]).max() / np.abs(read["y_test"]).max()
    assert error < 1e-12  # MOM6 stops above 1e-5
    return applied(x)


X = np.random.default_rng(3).normal(size=(20, 3))


@pytest.mark.parametrize("sizes", [(3, 7, 5, 2), (3, 2), (3, *[4] * 9, 2)])
def test_the_file_gives_the_numbers_of_the_emulator(sizes: Sequence[int]) -> None:
    emulator = emulator_of(sizes)
    found = mom6(mom_ann_file(emulator, X[0]), X)
    np.testing.assert_allclose(found, emulator.predict(X), rtol=1e-12, atol=1e-12)


def test_columns_that_were_constant_in_training() -> None:
    emulator = emulator_of(
        (3, 7, 1),
        inputs=Scaler(("affine",) * 3, np.ones(3), np.array([2.0, 0.0, 1.0])),
        outputs=Scaler(("constant", "affine"), np.array([4.0, 1.0]), np.array([1.0, 0.5])),
    )
    found = mom6(mom_ann_file(emulator, X[0]), X)
    assert found[:, 0].tolist() == [4.0] * len(X)
    np.testing.assert_allclose(found, emulator.predict(X), rtol=1e-12)


def changed(side: str, **changes: Any) -> dict[str, Any]:
    first, *rest = CONTRACT[side]
    return {**CONTRACT, side: [{**first, **changes}, *rest]}


@pytest.mark.parametrize(
    ("emulator", "message"),
    [
        (emulator_of(activation="tanh"), "layer 1 has the activation function 'tanh'.*'relu'"),
        (emulator_of((3, *[4] * 10, 2)), "it has 11 layers"),
        (emulator_of(contract=changed("output", lower_bound=0.0)), "'flux' has a bound"),
        (emulator_of(contract=changed("input", transform="ln")), "'shear' has the transform 'ln'"),
        (
            emulator_of(contract=changed("output", transform="ln", relative_to="depth")),
            "'flux' has the transform|relative",
        ),
    ],
)
def test_what_mom6_cannot_compute_is_refused(emulator: Emulator, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        mom_ann_file(emulator, X[0])
    assert "\n" not in str(caught.value)


def test_the_command_writes_a_file_that_can_be_imported(tmp_path: Path) -> None:
    content = mom_ann_file(emulator_of(), X[0])
    (tmp_path / "eddies.nc").write_bytes(content)
    out = str(tmp_path / "a" / "bundle")
    assert execute(["import", str(tmp_path / "eddies.nc"), "--out", out]) == 0
    assert execute(["export", "--bundle", out, "--host", "mom6"]) == 0
    folder = tmp_path / "a" / "host" / "mom6"
    assert sorted(path.name for path in folder.iterdir()) == ["EMUFORT_HOST.txt", "eddies.nc"]
    found = mom6((folder / "eddies.nc").read_bytes(), X)
    np.testing.assert_allclose(found, Bundle.open(out).emulator().predict(X), rtol=1e-12)
    np.testing.assert_allclose(found, emulator_of().predict(X), rtol=1e-5, atol=1e-5)


def test_other_networks_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    bundle = import_network(two_headed(np.random.default_rng(1)), tmp_path / "b", name="heads")
    with pytest.raises(UsageError, match=r"not a chain|activation"):
        write_host(bundle, "mom6", tmp_path / "glue")
    assert not (tmp_path / "glue").exists()
