"""An emulator: a network with the transforms between physical inputs and physical outputs.

An `Emulator` maps physical inputs to physical outputs; the transforms of the contract and the
scalers are part of it. The numpy method `Emulator.predict` in double precision is the definition.
The torch module, the ONNX graph and the Fortran runtime are tested against it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emufort.brief import brief
from emufort.contract import Contract
from emufort.dataset.constant_outputs import ConstantOutput, constant_outputs
from emufort.errors import EmufortError
from emufort.files import write_bytes
from emufort.network.activations import Array
from emufort.network.architecture import Architecture
from emufort.network.imported import AnyArchitecture, architecture_from_dict
from emufort.network.plan import Parameters, Plan
from emufort.network.precision import DTYPES, Precision
from emufort.network.scaler import Scaler
from emufort.paths import PathLike

#: Formats of the files. The first holds multilayer perceptrons with one activation function;
#: earlier runs are stored in it. The second holds any network and its plan.
_FORMAT, _PLAN_FORMAT = "emufort-emulator-1", "emufort-emulator-2"

#: Largest factor between the argument of a logarithm and its reference where the contract gives no
#: bound. Single precision holds it with a margin.
LN_SPAN = 1e20
#: Smallest and largest positive number that single precision holds with all digits.
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
#: Smallest distance of the argument of a logit from 0 and 1.
LOGIT_MARGIN = 1e-9


@dataclass(frozen=True)
class Emulator:
    """A trained network with the transforms between physical inputs and physical outputs.

    Attributes
    ----------
    contract
        Names, units, order and ranges of inputs and outputs.
    architecture
        Architecture of the network, which builds its plan.
    input_scaler, output_scaler
        Scalers of the feature columns and of the output columns (for an output relative to an
        input, the scaler of the quotient). The network has only the varying outputs, see
        `constants`.
    parameters
        Weights of the network by their names in its plan, see `dense_parameters`.
    metadata
        Plain data that is stored with the emulator: hashes, seeds, metrics.
    precision
        Precision of the weights, and in which the exported forms compute. `predict` computes in
        double precision in either case.
    """

    contract: Contract
    architecture: AnyArchitecture
    input_scaler: Scaler
    output_scaler: Scaler
    parameters: Parameters
    metadata: dict[str, Any] = field(default_factory=dict)
    precision: Precision = "single"

    def __post_init__(self) -> None:
        plan = self.plan
        shapes = {name: array.shape for name, array in self.parameters.items()}
        if shapes != plan.parameter_shapes:
            raise EmufortError(f"the weights have the shapes {shapes}, not {plan.parameter_shapes}")
        n_features, n_results = plan.sizes[plan.features], plan.sizes[plan.result]
        if len(self.input_scaler.kinds) != n_features or n_features != len(
            self.contract.feature_indices
        ):
            raise EmufortError("the network's inputs are not the features of its contract")
        if len(self.output_scaler.varying) != n_results or len(self.output_scaler.kinds) != len(
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
    def plan(self) -> Plan:
        """Operations of the network."""
        return self.architecture.plan

    def in_precision(self, precision: Precision) -> Self:
        """Return the emulator in a precision; weights become exact or rounded copies."""
        if precision == self.precision:
            return self
        kind = DTYPES[precision]
        parameters = {name: array.astype(kind) for name, array in self.parameters.items()}
        return replace(self, parameters=parameters, precision=precision)

    @property
    def weights(self) -> tuple[NDArray[np.float32], ...]:
        """Weights (n_out, n_in) of the dense layers in the order of their first use."""
        return self._named(".weight")

    @property
    def biases(self) -> tuple[NDArray[np.float32], ...]:
        """Biases (n_out,) of the dense layers in the order of their first use."""
        return self._named(".bias")

    def _named(self, ending: str) -> tuple[NDArray[np.float32], ...]:
        names = (name for name in self.plan.parameter_shapes if name.endswith(ending))
        return tuple(self.parameters[name] for name in names)

    @property
    def constants(self) -> list[ConstantOutput]:
        """Outputs that were constant in training and that the network therefore does not have."""
        scaler = self.output_scaler
        fixed = set(range(len(scaler.kinds))).difference(scaler.varying)
        return constant_outputs(self.contract, {j: float(scaler.shift[j]) for j in fixed})

    # -------------------------------------------------------------- inference

    @property
    def input_ranges(self) -> Array:
        """Bounds to which inputs are clipped, (n_inputs, 2), lower and upper, in contract units.

        The contract gives the range. Where it has no bound and the feature is a logarithm or a
        logit, the bound keeps the transform finite: a factor `LN_SPAN` from the scaler's reference,
        or a distance `LOGIT_MARGIN` from 0 and 1. All forms of an emulator clip to these bounds.
        """
        ranges = np.array([(c.lower, c.upper) for c in self.contract.input_columns], np.float64)
        scaler = self.input_scaler
        for j, kind, shift in zip(
            self.contract.feature_indices, scaler.kinds, scaler.shift.tolist(), strict=True
        ):
            lower, upper = ranges[j]
            if kind == "ln":
                # The bound stays within single precision where that does not hold this factor.
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

    def predict(self, x: Array, precision: Precision = "double") -> Array:
        """Return outputs (n, n_outputs) for inputs `x` (n, n_inputs), physical, double precision.

        Features and network are computed in `precision`, as in the ONNX graph. Inputs outside the
        contract's range are clipped; a row with a NaN or infinite input gives NaN in this row only.
        The Fortran runtime does the same. A network with extreme weights overflows to infinity or
        NaN without a warning.
        """
        invalid = np.logical_not(np.isfinite(x).all(axis=1))
        # The values of an invalid row are arbitrary, because its outputs become NaN.
        x = self.clip(np.where(invalid[:, None], 1.0, x))
        # A network that overflows gives infinity or NaN, like its single precision forms.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            y = self._of_numbers(x, precision)
        y[invalid] = np.nan
        return y

    def _of_numbers(self, x: Array, precision: Precision) -> Array:
        """Return the outputs for finite inputs within their range."""
        a = self.input_scaler.forward(x[:, list(self.contract.feature_indices)], precision)
        a = self.plan.evaluate(a, self.parameters, precision).astype(np.float64, copy=False)
        y = self.output_scaler.backward(a)
        for j, reference in enumerate(self.contract.reference_indices):
            if reference is not None:
                y[:, j] *= x[:, reference]
        bounds = np.array(self.contract.output_bounds)
        return np.clip(y, bounds[:, 0], bounds[:, 1])

    # ------------------------------------------------------------------ files

    def save(self, path: PathLike) -> None:
        """Write the whole emulator to a safetensors file, atomically."""
        from safetensors.numpy import save

        tensors = {
            name: np.ascontiguousarray(array, dtype=DTYPES[self.precision])
            for name, array in self.parameters.items()
        }
        architecture = self.architecture
        is_plain = isinstance(architecture, Architecture) and (
            architecture.family == "mlp"
            and isinstance(architecture.activation, str)
            and self.precision == "single"
        )
        header = {
            "format": _FORMAT if is_plain else _PLAN_FORMAT,
            "contract": json.dumps(self.contract.to_dict()),
            "architecture": json.dumps(self.architecture.to_dict()),
            "input_scaler": json.dumps(self.input_scaler.to_dict()),
            "output_scaler": json.dumps(self.output_scaler.to_dict()),
            "metadata": json.dumps(self.metadata, allow_nan=False),
        }
        if not is_plain:
            header["plan"] = json.dumps(self.plan.to_dict())
        if self.precision == "double":
            header["precision"] = self.precision
        # safetensors would report a full disk by an exception that is no OSError.
        write_bytes(Path(path), bytes(save(tensors, metadata=header)))

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        EmufortError
            The file is missing, damaged or not an emulator.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as stream:
                header = stream.metadata() or {}
                if header.get("format") not in (_FORMAT, _PLAN_FORMAT):
                    raise EmufortError(f"{path} does not hold an emulator of the format {_FORMAT}")
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise EmufortError(f"cannot read the weights {path}: {error}") from error
        architecture = architecture_from_dict(json.loads(header["architecture"]))
        if "plan" in header and Plan.from_dict(json.loads(header["plan"])) != architecture.plan:
            raise EmufortError(f"{path} holds a plan that differs from that of its architecture")
        if set(tensors) != set(architecture.plan.parameter_shapes):
            raise EmufortError(f"{path} lacks weights of its network {architecture.label}")
        return cls(
            Contract.from_dict(json.loads(header["contract"]), str(path)),
            architecture,
            Scaler.from_dict(json.loads(header["input_scaler"])),
            Scaler.from_dict(json.loads(header["output_scaler"])),
            {name: tensors[name] for name in architecture.plan.parameter_shapes},
            json.loads(header["metadata"]),
            "double" if header.get("precision") == "double" else "single",
        )


def dense_parameters(
    weights: Sequence[NDArray[np.float32]], biases: Sequence[NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return the parameters of dense layers by the names that the plans of families use.

    Parameters
    ----------
    weights, biases
        Weights (n_out, n_in) and biases (n_out,) of each layer.
    """
    found = {}
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        found[f"layers.{layer}.weight"], found[f"layers.{layer}.bias"] = w, b
    return found
