"""Read networks that models keep in netCDF: RTE-RRTMGP-NN (radiation) and MOM6 (ocean).

The formats are those that the Fortran readers of the two models define: ``load_netcdf`` of
``mod_network_rrtmgp.F90`` (Ukkonen, https://github.com/peterukk/rte-rrtmgp), and ``ANN_init`` of
``MOM_ANN.F90`` (https://github.com/mom-ocean/MOM6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError
from emufort.importing.sources.builder import Builder
from emufort.messages import one_line

if TYPE_CHECKING:
    import netCDF4

#: Activation functions of RTE-RRTMGP-NN, see ``mod_activation.F90``. Its hard sigmoid is
#: max(0, min(1, 0.2 x + 0.5)), which is the default of ONNX.
_ONNX = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "hard_sigmoid": "HardSigmoid",
    "softsign": "Softsign",
    "tanh": "Tanh",
}
#: MOM6 compares the network with the test vector of its file up to this relative error.
_MOM6_TOLERANCE = 1e-5
_MOST_LAYERS = 64


@dataclass(frozen=True)
class _Layer:
    """A dense layer: weight (n_in, n_out), bias (n_out,), name of the activation function."""

    weight: NDArray[Any]
    bias: NDArray[Any]
    activation: str


def onnx_of_netcdf(path: Path) -> onnx.ModelProto:
    """Return the network in a netCDF file of RTE-RRTMGP-NN or MOM6.

    The model has the scaling of inputs and outputs that the file has.

    Raises
    ------
    ImportRefusedError
        The file cannot be read, or is in none of the two formats.
    """
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            if "nn_layers" in file.dimensions:
                return _Reader(path, file).rrtmgp()
            if "num_layers" in file.variables:
                return _Reader(path, file).mom6()
    except OSError as error:
        raise ImportRefusedError(f"cannot read {path}: {error.strerror or error}") from error
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        # netCDF4 and numpy raise these for damaged files
        raise ImportRefusedError(f"{path} is damaged: {one_line(error)}") from error
    raise ImportRefusedError(
        f"{path} holds no network: it has neither the dimension 'nn_layers' of RTE-RRTMGP-NN nor "
        "the variable 'num_layers' of MOM6's MOM_ANN"
    )


class _Reader:
    def __init__(self, path: Path, file: netCDF4.Dataset) -> None:
        self._path, self._file = path, file

    def rrtmgp(self) -> onnx.ModelProto:
        n_layers = self._number("nn_layers", len(self._file.dimensions["nn_layers"]))
        n_in = len(self._file.dimensions["nn_dim_input"])
        sizes = [n_in, *self._values("nn_dimsize", (n_layers,)).tolist()]
        functions = self._texts("nn_activation", n_layers)
        layers = [
            _Layer(
                self._values(f"nn_weights_{i + 1}", (sizes[i], sizes[i + 1])),
                self._values(f"nn_bias_{i + 1}", (sizes[i + 1],)),
                functions[i],
            )
            for i in range(n_layers)
        ]
        unknown = sorted(set(functions) - {*_ONNX, "gaussian", "linear"})
        if unknown:
            raise ImportRefusedError(
                f"{self._path} has the activation function '{unknown[0]}', which RTE-RRTMGP-NN "
                f"does not have; it has {', '.join([*_ONNX, 'gaussian', 'linear'])}"
            )
        lowest = self._values("nn_input_coeffs_min", (n_in,))
        spread = self._values("nn_input_coeffs_max", (n_in,)) - lowest
        self._refuse_zero(spread, "nn_input_coeffs_max equal to nn_input_coeffs_min")
        mean = self._optional("nn_output_coeffs_mean", sizes[-1], 0.0)
        factor = self._optional("nn_output_coeffs_std", sizes[-1], 1.0)
        names = self._texts("nn_inputs", n_in)
        builder = Builder(_kind(layers), self._path.stem, "RTE-RRTMGP-NN")
        if len({name.lower() for name in names if name}) == n_in:
            scaled = [
                builder.add(
                    "Div",
                    builder.shifted(builder.input(names[i], [1]), -lowest[i : i + 1]),
                    builder.constant(spread[i : i + 1]),
                )
                for i in range(n_in)
            ]
            x = builder.add("Concat", *scaled, axis=1)
        else:
            shifted = builder.shifted(builder.input("x", [n_in]), -lowest)
            x = builder.add("Div", shifted, builder.constant(spread))
        y = builder.shifted(builder.scaled(_chain(builder, layers, x), factor), mean)
        return builder.model([("y", y)])

    def mom6(self) -> onnx.ModelProto:
        count = self._number("num_layers", int(self._file.variables["num_layers"][...].ravel()[0]))
        sizes = self._values("layer_sizes", (count,)).tolist()
        layers = [
            _Layer(
                self._values(f"A{i}", (sizes[i], sizes[i + 1])),
                self._values(f"b{i}", (sizes[i + 1],)),
                "relu" if i < count - 2 else "linear",
            )
            for i in range(count - 1)
        ]
        if not layers:
            raise ImportRefusedError(f"{self._path} has no layer; num_layers counts the input too")
        n_in, n_out = sizes[0], sizes[-1]
        before = (
            self._optional("input_means", n_in, 0.0),
            self._optional("input_norms", n_in, 1.0),
        )
        self._refuse_zero(before[1], "input_norms equal to 0")
        after = (
            self._optional("output_means", n_out, 0.0),
            self._optional("output_norms", n_out, 1.0),
        )
        if {"x_test", "y_test"} <= set(self._file.variables):
            self._test(layers, before, after)
        builder = Builder(_kind(layers), self._path.stem, "MOM6 MOM_ANN")
        centred = builder.shifted(builder.input("x", [n_in]), -before[0])
        x = builder.add("Div", centred, builder.constant(before[1]))
        y = builder.shifted(builder.scaled(_chain(builder, layers, x), after[1]), after[0])
        return builder.model([("y", y)])

    def _test(
        self,
        layers: Sequence[_Layer],
        before: tuple[NDArray[Any], NDArray[Any]],
        after: tuple[NDArray[Any], NDArray[Any]],
    ) -> None:
        """Compare the network with the test vector of the file, as MOM6 does when it starts."""
        wanted = self._values("y_test", (len(after[0]),)).astype(np.float64)
        x = (self._values("x_test", (len(before[0]),)).astype(np.float64) - before[0]) / before[1]
        for layer in layers:
            x = x @ layer.weight.astype(np.float64) + layer.bias
            x = np.maximum(x, 0.0) if layer.activation == "relu" else x
        difference = np.abs(x * after[1] + after[0] - wanted).max()
        if difference > _MOM6_TOLERANCE * np.abs(wanted).max():
            raise ImportRefusedError(
                f"the network in {self._path} does not reproduce its test vector y_test; MOM6 "
                "stops with such a file too: write it again"
            )

    def _refuse_zero(self, spread: NDArray[Any], what: str) -> None:
        if not np.all(spread):
            raise ImportRefusedError(f"{self._path} has {what}; the scaling would divide by 0")

    def _number(self, what: str, count: int) -> int:
        if not 1 <= count <= _MOST_LAYERS:
            raise ImportRefusedError(
                f"{self._path} has {what} = {count}; it must be 1 to {_MOST_LAYERS}"
            )
        return count

    def _values(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        found = self._file.variables.get(name)
        if found is None:
            raise ImportRefusedError(f"{self._path} has no variable '{name}'")
        if found.shape != shape or min(shape) < 1 or np.prod(shape, dtype=float) > MOST_ELEMENTS:
            raise ImportRefusedError(
                f"the variable '{name}' of {self._path} has the shape {found.shape}, not {shape}"
            )
        values = np.asarray(found[...])
        if values.dtype.kind not in "if" or not np.all(np.isfinite(values)):
            raise ImportRefusedError(
                f"the variable '{name}' of {self._path} has values that are not finite numbers"
            )
        return values

    def _optional(self, name: str, size: int, default: float) -> NDArray[Any]:
        if name in self._file.variables:
            return self._values(name, (size,))
        return np.full(size, default, dtype=np.float32)

    def _texts(self, name: str, count: int) -> list[str]:
        """Return texts that are stored as characters (``name_char``, as Fortran reads them)."""
        found = self._file.variables.get(f"{name}_char")
        if found is not None and found.ndim == 2 and len(found) == count:
            rows = [b"".join(row.tolist()) for row in np.asarray(found[...])]
            texts = [row.decode("ascii", "replace") for row in rows]
        else:
            texts = [str(text) for text in self._file.variables[name][...].ravel()]
        if len(texts) != count:
            raise ImportRefusedError(
                f"the variable '{name}' of {self._path} has {len(texts)} values, not {count}"
            )
        return [text.strip(" \0") for text in texts]


def _kind(layers: Sequence[_Layer]) -> type[np.floating[Any]]:
    """Return the precision of the weights."""
    return np.float64 if any(layer.weight.dtype == np.float64 for layer in layers) else np.float32


def _chain(builder: Builder, layers: Sequence[_Layer], x: str) -> str:
    for number, layer in enumerate(layers):
        x = builder.dense(x, layer.weight, layer.bias, of=f"layer{number}")
        if layer.activation == "gaussian":  # exp(-x**2)
            x = builder.add("Exp", builder.add("Neg", builder.add("Mul", x, x)))
        elif layer.activation != "linear":
            x = builder.add(_ONNX[layer.activation], x)
    return x
