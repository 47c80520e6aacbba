"""Networks of RTE-RRTMGP-NN and MOM6 in netCDF, written here as their Fortran code reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.netcdf import onnx_of_netcdf
from tests.importing.sources.running import outputs_of

RNG = np.random.default_rng(11)
X = RNG.normal(size=(20, 3))

#: As mod_activation.F90 of RTE-RRTMGP-NN computes them.
FUNCTIONS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "gaussian": lambda x: np.exp(-(x**2)),
    "relu": lambda x: np.maximum(0.0, x),
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.maximum(0.0, np.minimum(1.0, 0.2 * x + 0.5)),
    "softsign": lambda x: x / (np.abs(x) + 1.0),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def write_rrtmgp(
    path: Path,
    activation: str,
    names: tuple[str, ...] = ("tlay", "play", "h2o"),
    scaled: bool = True,
) -> dict[str, NDArray[Any]]:
    """Write a network 3-5-4 with one hidden layer; return its numbers."""
    numbers = {
        "nn_weights_1": RNG.normal(size=(3, 5)),
        "nn_bias_1": RNG.normal(size=5),
        "nn_weights_2": RNG.normal(size=(5, 4)),
        "nn_bias_2": RNG.normal(size=4),
        "nn_input_coeffs_min": RNG.normal(size=3),
        "nn_output_coeffs_mean": RNG.normal(size=4),
        "nn_output_coeffs_std": RNG.uniform(1.0, 2.0, 4),
    }
    numbers["nn_input_coeffs_max"] = numbers["nn_input_coeffs_min"] + RNG.uniform(1.0, 2.0, 3)
    if not scaled:
        del numbers["nn_output_coeffs_mean"], numbers["nn_output_coeffs_std"]
    dimensions = {"nn_layers": 2, "nn_dim_input": 3, "string_len": 32, "nn_dim_hidden1": 5}
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (dimensions | {"nn_dim_outp": 4}).items():
            file.createDimension(name, size)
        file.createVariable("nn_dimsize", "i4", ("nn_layers",))[:] = [5, 4]
        widths = {3: "nn_dim_input", 5: "nn_dim_hidden1", 4: "nn_dim_outp"}
        for name, values in numbers.items():
            stored = file.createVariable(name, "f4", tuple(widths[n] for n in values.shape))
            stored[:] = values
            numbers[name] = np.asarray(stored[:], dtype=np.float64)
        for name, texts, dimension in (
            ("nn_activation_char", (activation, "linear"), "nn_layers"),
            ("nn_inputs_char", names, "nn_dim_input"),
        ):
            stored = file.createVariable(name, "S1", (dimension, "string_len"))
            stored[:] = netCDF4.stringtochar(np.array(texts, dtype="S32"))
    return numbers


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_a_network_of_rte_rrtmgp_nn(tmp_path: Path, activation: str) -> None:
    n = write_rrtmgp(tmp_path / "net.nc", activation)
    model = onnx_of_netcdf(tmp_path / "net.nc")
    assert [port.name for port in model.graph.input] == ["tlay", "play", "h2o"]
    z = (X - n["nn_input_coeffs_min"]) / (n["nn_input_coeffs_max"] - n["nn_input_coeffs_min"])
    z = FUNCTIONS[activation](z @ n["nn_weights_1"] + n["nn_bias_1"])
    wanted = z @ n["nn_weights_2"] + n["nn_bias_2"]
    wanted = n["nn_output_coeffs_std"] * wanted + n["nn_output_coeffs_mean"]
    (found,) = outputs_of(model, [X[:, i : i + 1] for i in range(3)])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_inputs_without_names_and_outputs_without_scaling(tmp_path: Path) -> None:
    n = write_rrtmgp(tmp_path / "net.nc", "tanh", ("", "", ""), scaled=False)
    model = onnx_of_netcdf(tmp_path / "net.nc")
    z = (X - n["nn_input_coeffs_min"]) / (n["nn_input_coeffs_max"] - n["nn_input_coeffs_min"])
    wanted = np.tanh(z @ n["nn_weights_1"] + n["nn_bias_1"]) @ n["nn_weights_2"] + n["nn_bias_2"]
    (found,) = outputs_of(model, [X])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def write_mom6(path: Path, kind: str = "f4", **changes: Any) -> dict[str, NDArray[Any]]:
    """Write a network 3-6-5-2 with a test vector; return its numbers."""
    sizes = [3, 6, 5, 2]
    numbers: dict[str, NDArray[Any]] = {
        "input_means": RNG.normal(size=3),
        "input_norms": RNG.uniform(0.5, 2.0, 3),
        "output_means": RNG.normal(size=2),
        "output_norms": RNG.uniform(0.5, 2.0, 2),
        "x_test": RNG.normal(size=3),
    }
    for i in range(3):
        numbers[f"A{i}"] = RNG.normal(size=(sizes[i], sizes[i + 1]))
        numbers[f"b{i}"] = RNG.normal(size=sizes[i + 1])
    numbers = {name: values.astype(kind).astype(np.float64) for name, values in numbers.items()}
    numbers["y_test"] = mom6(numbers, numbers["x_test"])
    stored = numbers | changes
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("dummy_dimension", 1)
        file.createDimension("nlayers", len(sizes))
        file.createVariable("num_layers", "i4", ("dummy_dimension",))[:] = stored.get("layers", 4)
        file.createVariable("layer_sizes", "i4", ("nlayers",))[:] = sizes
        for name, values in stored.items():
            if name == "layers" or values is None:
                continue
            dimensions = [f"{name}_{axis}" for axis in range(np.ndim(values))]
            for dimension, size in zip(dimensions, np.shape(values), strict=True):
                file.createDimension(dimension, size)
            file.createVariable(name, kind, tuple(dimensions))[:] = values
    return numbers


def mom6(n: dict[str, NDArray[Any]], x: NDArray[Any]) -> NDArray[Any]:
    """Compute what ANN_apply of MOM_ANN.F90 computes."""
    z = (x - n["input_means"]) / n["input_norms"]
    for i in range(3):
        z = z @ n[f"A{i}"] + n[f"b{i}"]
        z = np.maximum(z, 0.0) if i < 2 else z
    return z * n["output_norms"] + n["output_means"]


@pytest.mark.parametrize(("kind", "tolerance"), [("f4", 1e-5), ("f8", 1e-13)])
def test_a_network_of_mom6(tmp_path: Path, kind: str, tolerance: float) -> None:
    n = write_mom6(tmp_path / "net.nc", kind)
    (found,) = outputs_of(onnx_of_netcdf(tmp_path / "net.nc"), [X])
    np.testing.assert_allclose(found, mom6(n, X), rtol=tolerance, atol=tolerance)


def test_a_network_of_mom6_without_scaling(tmp_path: Path) -> None:
    absent = dict.fromkeys(
        ("input_means", "input_norms", "output_means", "output_norms", "x_test", "y_test")
    )
    n = write_mom6(tmp_path / "net.nc", **absent)
    plain = {"input_means": np.zeros(3), "input_norms": np.ones(3)}
    plain |= {"output_means": np.zeros(2), "output_norms": np.ones(2)}
    (found,) = outputs_of(onnx_of_netcdf(tmp_path / "net.nc"), [X])
    np.testing.assert_allclose(found, mom6(n | plain, X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A1": None}, "no variable 'A1'"),
        ({"A1": np.zeros((5, 6))}, r"'A1' .* has the shape \(5, 6\), not \(6, 5\)"),
        ({"b2": np.array([np.nan, 1.0])}, "'b2' .* not finite"),
        ({"y_test": np.array([1.0, 2.0])}, "does not reproduce its test vector"),
        ({"input_norms": np.array([1.0, 0.0, 1.0])}, "input_norms equal to 0"),
        ({"layers": 10**6}, "num_layers = 1000000"),
        ({"layers": 1}, "layer"),
    ],
)
def test_files_of_mom6_that_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_mom6(tmp_path / "net.nc", **changes)
    with pytest.raises(ImportRefusedError, match=message):
        onnx_of_netcdf(tmp_path / "net.nc")


def test_other_files_are_refused(tmp_path: Path) -> None:
    write_rrtmgp(tmp_path / "net.nc", "maxout")
    with pytest.raises(ImportRefusedError, match="'maxout'"):
        onnx_of_netcdf(tmp_path / "net.nc")
    with netCDF4.Dataset(tmp_path / "data.nc", "w") as file:
        file.createDimension("x", 2)
    with pytest.raises(ImportRefusedError, match="holds no network"):
        onnx_of_netcdf(tmp_path / "data.nc")
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(ImportRefusedError, match="cannot read"):
        onnx_of_netcdf(tmp_path / "text.nc")


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    write_mom6(tmp_path / "net.nc")
    content = (tmp_path / "net.nc").read_bytes()
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 30):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "damaged.nc").write_bytes(damaged)
        try:
            onnx_of_netcdf(tmp_path / "damaged.nc")
        except ImportRefusedError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 10
