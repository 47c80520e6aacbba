"""The network of an emulator: its architecture, scalers and weights, all plain data.

An `Emulator` maps physical inputs to physical outputs; the transforms of the contract and the
scalers are part of it. The numpy `Emulator.predict` in double precision is the definition that the
torch module, the ONNX graph and the Fortran runtime are held to.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from emufort.brief import brief
from emufort.contract import Column, Contract
from emufort.dataset.constant_outputs import ConstantOutput, constant_outputs
from emufort.errors import DataError, EmufortError
from emufort.extent import Extent
from emufort.files import replacing
from emufort.paths import PathLike

if TYPE_CHECKING:
    import torch

Activation = Literal["relu", "squared_relu", "tanh", "silu", "gelu"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)

#: Codes of the activation functions, those of the runtime and of the native trainer
#: (``fortran/src/emufort_activations.F90``).
ACTIVATION_CODES: Mapping[str, int] = {
    "linear": 0,
    "relu": 1,
    "squared_relu": 2,
    "leaky_relu": 3,
    "hardswish": 4,
    "tanh": 5,
    "sigmoid": 6,
    "silu": 7,
    "gelu": 8,
    "softplus": 9,
    "elu": 10,
}

#: Most neurons in a layer, and most inputs and outputs together: ``max_width`` of
#: ``fortran/src/emufort_kinds.F90``.
MOST_NEURONS = 4096
#: Most layers of a multilayer perceptron, the last one included; the runtime takes 256 operations.
MOST_LAYERS = 64

#: What an activation costs per neuron, in multiply-adds, for ranking candidates before they are
#: timed. `benchmarks/cost.py` fitted 18 and 19 to silu in a run (16 and 1,152 columns, AVX-512);
#: the others stand in the proportion that `fortran/app/time_activations` shows.
ACTIVATION_COST: dict[str, float] = {
    "relu": 0.0,
    "squared_relu": 1.0,
    "tanh": 26.0,
    "silu": 19.0,
    "gelu": 44.0,
}

#: How a column is mapped to the network's side; see `Scaler`.
ScalerKind = Literal["affine", "ln", "logit", "sigmoid", "constant"]

Array = NDArray[np.float64]

_FORMAT = "emufort-emulator-1"

#: How far the argument of a logarithm may go from the reference where the contract gives no bound:
#: a factor that single precision holds with room.
LN_SPAN = 1e20
#: Ends of the positive numbers that single precision holds with all digits.
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
#: How near to 0 and 1 the argument of a logit may come.
LOGIT_MARGIN = 1e-9


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) without overflow; NaN stays NaN."""
    with np.errstate(invalid="ignore", under="ignore"):
        e = np.exp(-np.abs(z))
        return np.where(z >= 0, 1.0, e) / (1.0 + e)


def _gelu(z: Array) -> Array:
    from scipy.special import erfc

    result: Array = 0.5 * z * erfc(-math.sqrt(0.5) * z)
    return result


_APPLY: dict[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0.0),
    "squared_relu": lambda z: np.square(np.maximum(z, 0.0)),
    "tanh": np.tanh,
    "silu": lambda z: z * sigmoid(z),
    "gelu": _gelu,
}


@dataclass(frozen=True)
class Architecture:
    """Shape of a multilayer perceptron with a linear last layer.

    Attributes
    ----------
    n_inputs
        Number of features that the network sees.
    hidden
        Width of each hidden layer.
    n_outputs
        Number of scalar outputs.
    activation
        One of `ACTIVATIONS`; the same for all hidden layers.
    """

    n_inputs: int
    hidden: tuple[int, ...]
    n_outputs: int
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if min(self.sizes) < 1:
            raise EmufortError(f"a layer of the network {self.sizes} has no neuron")
        if max(self.sizes) > MOST_NEURONS or len(self.hidden) >= MOST_LAYERS:
            raise EmufortError(
                f"a network of {len(self.hidden) + 1} layers with up to {max(self.sizes)} neurons "
                f"is too large: the Fortran runtime takes {MOST_LAYERS} layers of "
                f"{MOST_NEURONS} neurons"
            )
        if self.activation not in ACTIVATIONS:
            raise EmufortError(
                f"the activation '{self.activation}' is none of {', '.join(ACTIVATIONS)}"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer, from inputs to outputs."""
        return (self.n_inputs, *self.hidden, self.n_outputs)

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum((i + 1) * o for i, o in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one sample."""
        return sum(i * o for i, o in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def relative_cost(self) -> float:
        """Rough cost of one sample in multiply-adds, the activations included."""
        return self.multiply_adds + ACTIVATION_COST[self.activation] * sum(self.hidden)

    @property
    def label(self) -> str:
        """Short name for tables, such as ``15-64-64-1 relu``."""
        return "-".join(map(str, self.sizes)) + f" {self.activation}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "n_inputs": self.n_inputs,
            "hidden": list(self.hidden),
            "n_outputs": self.n_outputs,
            "activation": self.activation,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            int(content["n_inputs"]),
            tuple(int(w) for w in content["hidden"]),
            int(content["n_outputs"]),
            content["activation"],
        )


@dataclass(frozen=True)
class Scaler:
    """Maps physical columns x to the network's side z and back, column by column.

    ========= =========================== ===============================
    kind      forward                     backward
    ========= =========================== ===============================
    affine    z = (x - shift) * scale     x = z / scale + shift
    ln        z = ln(x / shift) * scale   x = shift * exp(z / scale)
    logit     z = (logit(x) - shift) * scale  x = sigmoid(z / scale + shift)
    sigmoid   z = x                       x = sigmoid(z)
    constant  no z                        x = shift
    ========= =========================== ===============================

    For ``ln`` the shift is the geometric mean: the quotient is near 1, so that its logarithm keeps
    its digits in single precision where ln(1e9) would waste two of them. ``sigmoid`` (outputs
    only) leaves targets as they are and puts the sigmoid behind the network's last layer.
    ``constant`` (outputs only) stands for a column that does not vary: the network does not have
    it, so z has the other columns only.

    Attributes
    ----------
    kinds
        `ScalerKind` of each column.
    shift, scale
        Double precision, shape (n_columns,).
    """

    kinds: tuple[ScalerKind, ...]
    shift: Array
    scale: Array

    @classmethod
    def fit(cls, columns: Sequence[Column], values: Array) -> Self:
        """Fit to `values` of shape (n, n_columns), physical units.

        Raises
        ------
        DataError
            A column cannot be transformed: not positive for ``ln``, outside (0, 1) for ``logit``.
        """
        return cls.fit_blocks(columns, lambda: iter((values,)))

    @classmethod
    def fit_blocks(cls, columns: Sequence[Column], blocks: Callable[[], Iterator[Array]]) -> Self:
        """Do what `fit` does, to rows that come block by block; they are gone through twice.

        One block gives the bits of `fit`; several are summed one after the other.

        What is constant (see `Extent`) has no spread to divide by. Such an input gets the scale 0:
        the network cannot learn what it does, and so does not see it. Such an output becomes
        ``constant``, with the middle of its values as shift: there is nothing to learn.
        """
        kinds = tuple(_KINDS.get(column.transform, "affine") for column in columns)
        n, sums, squares = 0, np.zeros(len(columns)), np.zeros(len(columns))
        extent = Extent(len(columns))
        for values in blocks():
            n += len(values)
            extent.add(values)
            for j, column in enumerate(columns):
                x = np.asarray(values[:, j], dtype=np.float64)
                sums[j] += _before_scaling(column, x).sum()
        mean = sums / n
        for values in blocks():
            for j, column in enumerate(columns):
                x = np.asarray(values[:, j], dtype=np.float64)
                squares[j] += np.square(_before_scaling(column, x) - mean[j]).sum()
        spread = np.sqrt(squares / n)
        shift, scale = np.zeros(len(columns)), np.ones(len(columns))
        constant = extent.constant & np.array([column.is_output for column in columns], dtype=bool)
        for j, column in enumerate(columns):
            width = spread[j]
            if constant[j]:
                shift[j] = extent.middle[j]
                continue
            if column.transform == "minmax":
                shift[j], width = extent.lowest[j], extent.highest[j] - extent.lowest[j]
            elif kinds[j] == "ln":
                shift[j] = math.exp(float(mean[j]))
            elif column.transform in ("logit", "standardise"):
                shift[j] = mean[j]
            else:
                continue
            scale[j] = 0.0 if extent.constant[j] else 1.0 / width
        pairs = zip(kinds, constant, strict=True)
        found: tuple[ScalerKind, ...] = tuple("constant" if fixed else k for k, fixed in pairs)
        return cls(found, shift, scale)

    @cached_property
    def varying(self) -> tuple[int, ...]:
        """Positions of the columns that the network has, which are all but the constant ones."""
        return tuple(j for j, kind in enumerate(self.kinds) if kind != "constant")

    @cached_property
    def _network_side(self) -> Scaler:
        """Scaler of the varying columns alone."""
        kept = list(self.varying)
        kinds: tuple[ScalerKind, ...] = tuple(self.kinds[j] for j in kept)
        return Scaler(kinds, self.shift[kept], self.scale[kept])

    def with_constants(self, values: Mapping[int, float]) -> Scaler:
        """Return this scaler with constant columns: position -> value."""
        n = len(self.kinds)
        shift = np.array([values.get(j, 0.0) for j in range(n)])
        kinds: list[ScalerKind] = ["constant"] * n
        return self.replaced(Scaler(tuple(kinds), shift, np.ones(n)), values)

    def replaced(self, other: Scaler, columns: Collection[int]) -> Scaler:
        """Return this scaler with the given columns as `other` scales them."""
        kinds, shift, scale = list(self.kinds), self.shift.copy(), self.scale.copy()
        for j in columns:
            kinds[j], shift[j], scale[j] = other.kinds[j], other.shift[j], other.scale[j]
        return Scaler(tuple(kinds), shift, scale)

    def forward(self, x: Array) -> Array:
        """Map physical values (n, n_columns) to the network's side (n, n_varying), float64."""
        x = np.asarray(x, dtype=np.float64)
        if len(self.varying) < len(self.kinds):
            return self._network_side.forward(x[:, list(self.varying)])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            z = (x - self.shift) * self.scale
            for j, kind in enumerate(self.kinds):
                if kind == "ln":
                    z[:, j] = np.log(x[:, j] / self.shift[j]) * self.scale[j]
                elif kind == "logit":
                    logit = np.log(x[:, j]) - np.log1p(-x[:, j])
                    z[:, j] = (logit - self.shift[j]) * self.scale[j]
                elif kind == "sigmoid":
                    z[:, j] = x[:, j]
        return z

    def backward(self, z: Array) -> Array:
        """Map what the last (linear) layer gives (n, n_varying) to physical values (n, n_columns).

        A constant column holds its constant, whatever the network gives.
        """
        z = np.asarray(z, dtype=np.float64)
        if len(self.varying) < len(self.kinds):
            whole = np.tile(self.shift, (len(z), 1))
            whole[:, list(self.varying)] = self._network_side.backward(z)
            return whole
        with np.errstate(over="ignore", invalid="ignore"):
            x = z / self.scale + self.shift
            for j, kind in enumerate(self.kinds):
                if kind == "ln":
                    x[:, j] = self.shift[j] * np.exp(z[:, j] / self.scale[j])
                elif kind == "logit":
                    x[:, j] = sigmoid(x[:, j])
                elif kind == "sigmoid":
                    x[:, j] = sigmoid(z[:, j])
        return x

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; floats survive the round trip exactly."""
        return {
            "kinds": list(self.kinds),
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            tuple(content["kinds"]),
            np.asarray(content["shift"], dtype=np.float64),
            np.asarray(content["scale"], dtype=np.float64),
        )


#: Transform of the contract -> kind; the others are affine.
_KINDS: dict[str, ScalerKind] = {
    "ln": "ln",
    "log10": "ln",
    "logit": "logit",
    "sigmoid": "sigmoid",
}


def _before_scaling(column: Column, x: Array) -> Array:
    """Return the quantity whose mean and spread the scaler takes, for values x (n,)."""
    if column.transform in ("ln", "log10"):
        if not (x > 0).all():
            raise DataError(f"{column.name} is not positive everywhere: no logarithm of it")
        return np.log(x)
    if column.transform == "logit":
        if not ((x > 0) & (x < 1)).all():
            raise DataError(f"{column.name} leaves (0, 1): it has no logit")
        logit: Array = np.log(x) - np.log1p(-x)
        return logit
    return x


@dataclass(frozen=True)
class Emulator:
    """A trained network with all that turns physical inputs into physical outputs.

    Attributes
    ----------
    contract
        Names, units, order and ranges of inputs and outputs.
    architecture
        Shape of the network.
    input_scaler, output_scaler
        For the feature columns and for the output columns (an output relative to an input is
        scaled as the quotient). The network has the varying outputs only, see `constants`.
    weights, biases
        Per layer, single precision: weights (n_out, n_in), biases (n_out,).
    metadata
        Plain data that travels with the emulator: hashes, seeds, metrics.
    """

    contract: Contract
    architecture: Architecture
    input_scaler: Scaler
    output_scaler: Scaler
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = [w.shape for w in self.weights]
        sizes = self.architecture.sizes
        wanted = [(o, i) for i, o in itertools.pairwise(sizes)]
        if shapes != wanted or [b.shape for b in self.biases] != [(o,) for o, _ in wanted]:
            raise EmufortError(f"the weights have the shapes {shapes}, not {wanted}")
        if len(self.input_scaler.kinds) != sizes[0] or sizes[0] != len(
            self.contract.feature_indices
        ):
            raise EmufortError("the network's inputs are not the features of its contract")
        if len(self.output_scaler.varying) != sizes[-1] or len(self.output_scaler.kinds) != len(
            self.contract.output_columns
        ):
            raise EmufortError("the network's outputs are not the outputs of its contract")

    def __repr__(self) -> str:
        contract, shape = self.contract, self.architecture
        known = self.metadata.get("id")
        return brief(
            self,
            f"{contract.name} {shape.label}",
            f"{len(contract.input_columns)} inputs, {len(contract.output_columns)} outputs",
            f"{shape.n_parameters} parameters",
            f"candidate {known}" if known else "",
        )

    @property
    def constants(self) -> list[ConstantOutput]:
        """Outputs that the network does not have, as they were constant in training."""
        scaler = self.output_scaler
        fixed = set(range(len(scaler.kinds))).difference(scaler.varying)
        return constant_outputs(self.contract, {j: float(scaler.shift[j]) for j in fixed})

    # -------------------------------------------------------------- inference

    @property
    def input_ranges(self) -> Array:
        """What inputs are clipped to, (n_inputs, 2), lower and upper bound in the contract's units.

        The contract's range. Where that has no bound and the feature is a logarithm or a logit,
        the bound is where the transform still gives a number: a factor `LN_SPAN` from the scaler's
        reference, `LOGIT_MARGIN` from 0 and 1. All forms of an emulator clip to these.
        """
        ranges = np.array([(c.lower, c.upper) for c in self.contract.input_columns], np.float64)
        scaler = self.input_scaler
        for j, kind, shift in zip(
            self.contract.feature_indices, scaler.kinds, scaler.shift.tolist(), strict=True
        ):
            lower, upper = ranges[j]
            if kind == "ln":
                # Nearer to the ends of single precision where that holds no such factor.
                ranges[j] = (
                    max(lower, shift / LN_SPAN, _SMALLEST),
                    min(upper, shift * LN_SPAN, _LARGEST),
                )
            elif kind == "logit":
                ranges[j] = max(lower, LOGIT_MARGIN), min(upper, 1.0 - LOGIT_MARGIN)
        return ranges

    def clip(self, x: Array) -> Array:
        """Clip physical inputs (n, n_inputs) to `input_ranges`; NaN stays NaN."""
        lower, upper = self.input_ranges.T
        return np.clip(np.asarray(x, dtype=np.float64), lower, upper)

    def predict(self, x: Array) -> Array:
        """Return outputs (n, n_outputs) of inputs `x` (n, n_inputs), physical, double precision.

        Inputs outside the contract's range are clipped; a row with a NaN or an infinite input
        gives NaN. The Fortran runtime does the same. A network with extreme weights overflows to
        infinity or NaN without a warning.
        """
        invalid = np.logical_not(np.isfinite(x).all(axis=1))
        # What stands for an invalid row is arbitrary, as its outputs become NaN.
        x = self.clip(np.where(invalid[:, None], 1.0, x))
        # A network that overflows gives infinity or NaN, as its single precision forms do.
        with np.errstate(over="ignore", invalid="ignore"):
            y = self._of_numbers(x)
        y[invalid] = np.nan
        return y

    def _of_numbers(self, x: Array) -> Array:
        """Return outputs of inputs within their range."""
        a = self.input_scaler.forward(x[:, list(self.contract.feature_indices)])
        apply = _APPLY[self.architecture.activation]
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            a = a @ w.T.astype(np.float64) + b
            if layer < len(self.weights) - 1:
                a = apply(a)
        y = self.output_scaler.backward(a)
        for j, reference in enumerate(self.contract.reference_indices):
            if reference is not None:
                y[:, j] *= x[:, reference]
        bounds = np.array(self.contract.output_bounds)
        return np.clip(y, bounds[:, 0], bounds[:, 1])

    def torch_module(self) -> torch.nn.Module:
        """Return a torch module from physical `x` (n, n_inputs) to physical `y` (n, n_outputs)."""
        from emufort.network.torch_module import EmulatorModule

        return EmulatorModule(self)

    # ------------------------------------------------------------------ files

    def save(self, path: PathLike) -> None:
        """Write a safetensors file that holds the whole emulator, atomically."""
        from safetensors.numpy import save_file

        path = Path(path)

        tensors: dict[str, NDArray[np.float32]] = {}
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors[f"layers.{layer}.weight"] = np.ascontiguousarray(w, dtype=np.float32)
            tensors[f"layers.{layer}.bias"] = np.ascontiguousarray(b, dtype=np.float32)
        header = {
            "format": _FORMAT,
            "contract": json.dumps(self.contract.to_dict()),
            "architecture": json.dumps(self.architecture.to_dict()),
            "input_scaler": json.dumps(self.input_scaler.to_dict()),
            "output_scaler": json.dumps(self.output_scaler.to_dict()),
            "metadata": json.dumps(self.metadata, allow_nan=False),
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=header)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        EmufortError
            The file is missing, damaged or no emulator.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as stream:
                header = stream.metadata() or {}
                if header.get("format") != _FORMAT:
                    raise EmufortError(f"{path} holds no emulator of the format {_FORMAT}")
                n = len(list(stream.keys())) // 2
                weights = tuple(stream.get_tensor(f"layers.{i}.weight") for i in range(n))
                biases = tuple(stream.get_tensor(f"layers.{i}.bias") for i in range(n))
        except (OSError, SafetensorError) as error:
            raise EmufortError(f"cannot read the weights {path}: {error}") from error
        return cls(
            Contract.from_dict(json.loads(header["contract"]), str(path)),
            Architecture.from_dict(json.loads(header["architecture"])),
            Scaler.from_dict(json.loads(header["input_scaler"])),
            Scaler.from_dict(json.loads(header["output_scaler"])),
            weights,
            biases,
            json.loads(header["metadata"]),
        )
