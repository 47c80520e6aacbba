"""The torch form of an emulator, in a separate module so that torch is imported only on use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.emulator import Emulator
from emufort.network.operation import Operation


class EmulatorModule(torch.nn.Module):
    """Physical inputs (n, n_inputs) to physical outputs (n, n_outputs).

    The transforms are computed in the precision of the input, the network in that of its weights
    (that of the emulator, unless the module is converted with ``.double()``).
    """

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self._contract = emulator.contract
        self._input_kinds = emulator.input_scaler.kinds
        self._output_kinds = emulator.output_scaler.kinds
        self._plan = emulator.plan
        self.layers = torch.nn.ModuleList()
        #: Of the precision of the network, which need not have weights.
        self._zero: torch.Tensor
        kind = torch.float64 if emulator.precision == "double" else torch.float32
        self.register_buffer("_zero", torch.zeros((), dtype=kind), persistent=False)
        #: Name of a parameter of the plan -> the layer that holds it, and its name there.
        self._owners: dict[str, tuple[torch.nn.Module, str]] = {}
        for operation in emulator.plan.operations:
            if not operation.parameters or operation.parameters[0] in self._owners:
                continue
            w, b = (emulator.parameters[name] for name in operation.parameters)
            layer = torch.nn.Linear(*w.shape[::-1]) if w.ndim == 2 else torch.nn.Module()
            layer.weight = torch.nn.Parameter(torch.from_numpy(np.array(w)))
            layer.bias = torch.nn.Parameter(torch.from_numpy(np.array(b)))
            self.layers.append(layer)
            for name, attribute in zip(operation.parameters, ("weight", "bias"), strict=True):
                self._owners[name] = layer, attribute
        lower, upper = emulator.input_ranges.T
        self._constants = {
            "lower": torch.tensor(lower),
            "upper": torch.tensor(upper),
            "input_shift": torch.tensor(emulator.input_scaler.shift),
            "input_scale": torch.tensor(emulator.input_scaler.scale),
            "output_shift": torch.tensor(emulator.output_scaler.shift),
            "output_scale": torch.tensor(emulator.output_scaler.scale),
        }

    def _constant(self, name: str, like: torch.Tensor) -> torch.Tensor:
        return self._constants[name].to(like)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the physical outputs (n, n_outputs) for the physical inputs `x` (n, n_inputs)."""
        is_valid = torch.isfinite(x).all(dim=1, keepdim=True)
        x = torch.clamp(x, self._constant("lower", x), self._constant("upper", x))
        features = x[:, list(self._contract.feature_indices)]
        shift = self._constant("input_shift", x)
        scale = self._constant("input_scale", x)
        columns = []
        for j, kind in enumerate(self._input_kinds):
            column = features[:, j]
            if kind == "ln":
                columns.append(torch.log(column / shift[j]) * scale[j])
            elif kind == "logit":
                columns.append((torch.logit(column) - shift[j]) * scale[j])
            else:
                columns.append((column - shift[j]) * scale[j])
        a = self.network(torch.stack(columns, dim=1).to(self._zero.dtype))
        return torch.where(is_valid, self._to_physical(a, x), torch.nan)

    def network(self, features: torch.Tensor) -> torch.Tensor:
        """Return the result of the network (n, n_results) for `features` (n, n_features)."""
        return self._plan.walk(features, self._step)

    def _step(self, operation: Operation, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the output of an operation, including its activation function."""
        parameters = [getattr(*self._owners[name]) for name in operation.parameters]
        z = operation.row.torch(torch, self._plan.layout(operation), inputs, parameters)
        a: torch.Tensor = ACTIVATION_FUNCTIONS[operation.activation].torch(
            torch, z, operation.slope
        )
        return a

    def _to_physical(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        shift = self._constant("output_shift", z)
        scale = self._constant("output_scale", z)
        outputs = []
        of_network = iter(z.unbind(dim=1))
        for j, kind in enumerate(self._output_kinds):
            if kind == "constant":
                y = shift[j].expand(len(z))
            elif kind == "ln":
                y = shift[j] * torch.exp(next(of_network) / scale[j])
            elif kind == "logit":
                y = torch.sigmoid(next(of_network) / scale[j] + shift[j])
            elif kind == "sigmoid":
                y = torch.sigmoid(next(of_network))
            else:
                y = next(of_network) / scale[j] + shift[j]
            reference = self._contract.reference_indices[j]
            if reference is not None:
                y = y * x[:, reference].to(y)
            lower, upper = self._contract.output_bounds[j]
            outputs.append(torch.clamp(y, lower, upper))
        return torch.stack(outputs, dim=1)
