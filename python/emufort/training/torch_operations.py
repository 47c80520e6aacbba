"""The operations of a plan with their gradients, in preallocated buffers.

For the narrow networks of emulators, the arithmetic of a step takes less time than torch needs to
dispatch it. Therefore every operation is one call that writes into its buffer, forward and
backward, and no graph is recorded. Where several operations contribute to a gradient, the first one
overwrites it and the others add to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import torch

from emufort.network.plan import Plan
from emufort.training.torch_activations import ACTIVATIONS, LayerBuffers


@dataclass(frozen=True)
class Matrices:
    """Matrices of a dense layer; with m networks side by side, m is the leading dimension.

    Attributes
    ----------
    weight, gradient
        Weights with the bias as the last column, and the derivative of the loss with respect to
        them, (n_out, n_in + 1).
    transposed
        Weights without the bias, (n_in, n_out).
    """

    weight: torch.Tensor
    gradient: torch.Tensor
    transposed: torch.Tensor


@dataclass(frozen=True)
class _Target:
    """The gradients that an operation writes, and which of them were written before."""

    deltas: tuple[bool | None, ...]
    gradient: bool


class _Step(Protocol):
    def forward(self) -> None:
        """Fill the output's `z` from the inputs."""

    def backward(self) -> None:
        """Compute the gradients of the inputs and the parameters from the output's `delta`."""


class _Dense:
    def __init__(
        self,
        inputs: Sequence[LayerBuffers],
        output: LayerBuffers,
        matrices: Matrices,
        target: _Target,
    ) -> None:
        (self.x,), self.y, self.of, self.target = inputs, output, matrices, target
        is_batched = output.z.dim() == 3
        self.product = torch.bmm if is_batched else torch.mm
        self.add_product = torch.baddbmm if is_batched else torch.addmm

    def forward(self) -> None:
        self.product(self.of.weight, self.x.with_ones, out=self.y.z)

    def backward(self) -> None:
        self._write(self.of.gradient, self.target.gradient, self.y.delta, self.x.transposed)
        (is_added,) = self.target.deltas
        if is_added is not None:
            self._write(self.x.delta, is_added, self.of.transposed, self.y.delta)

    def _write(self, to: torch.Tensor, is_added: bool, a: torch.Tensor, b: torch.Tensor) -> None:
        if is_added:
            self.add_product(to, a, b, out=to)
        else:
            self.product(a, b, out=to)


class _Add:
    def __init__(
        self,
        inputs: Sequence[LayerBuffers],
        output: LayerBuffers,
        _: Matrices | None,
        target: _Target,
    ) -> None:
        self.inputs, self.y, self.target = inputs, output, target

    def forward(self) -> None:
        one, other = self.inputs
        torch.add(one.a, other.a, out=self.y.z)

    def backward(self) -> None:
        for x, is_added in zip(self.inputs, self.target.deltas, strict=True):
            if is_added:
                x.delta.add_(self.y.delta)
            elif is_added is not None:
                x.delta.copy_(self.y.delta)


#: Name of an operation -> implementation.
_STEPS: Mapping[str, Callable[..., _Step]] = {"dense": _Dense, "add": _Add}


class Features:
    """Features of a batch, in place of the buffers of a layer.

    Attributes
    ----------
    with_ones, a
        Features with a last row of ones, (n_features + 1, n), and without this row.
    transposed
        `with_ones` transposed.
    """

    with_ones: torch.Tensor
    transposed: torch.Tensor

    @property
    def a(self) -> torch.Tensor:
        """Features without the row of ones."""
        return self.with_ones[..., :-1, :]


class Passes:
    """Forward and backward passes of a plan on batches of one size.

    Attributes
    ----------
    last
        Buffers of the result; `backward` starts from their `delta`.

    Parameters
    ----------
    plan
        The operations.
    matrices
        Name of a weight in the plan -> matrices of the dense layer.
    n
        Samples in a batch.
    device, dtype
        Of all buffers.
    m
        Number of networks side by side; None for a single network.
    only_forward
        Whether there are no backward passes, which need further buffers.
    """

    def __init__(
        self,
        plan: Plan,
        matrices: Mapping[str, Matrices],
        n: int,
        device: torch.device,
        dtype: torch.dtype,
        m: int | None = None,
        only_forward: bool = False,
    ) -> None:
        self.features = Features()
        buffers: dict[str, LayerBuffers | Features] = {plan.features: self.features}
        for name, size in plan.buffers:
            if name != plan.features:
                buffers[name] = LayerBuffers(size, n, device, dtype, m, only_forward)
        targets = _targets(plan)
        read = {name for operation in plan.operations for name in operation.inputs}
        forward: list[Callable[[], object]] = []
        backward: list[Callable[[], object]] = []
        for operation in plan.operations:
            output = cast(LayerBuffers, buffers[operation.output])
            step = _STEPS[operation.kind](
                [buffers[name] for name in operation.inputs],
                output,
                matrices[operation.parameters[0]] if operation.parameters else None,
                targets[operation.output],
            )
            forward.append(step.forward)
            backward.append(step.backward)
            function = ACTIVATIONS[operation.activation]
            is_linear = operation.activation == "linear"
            # A result that no operation reads stays in the buffer of its operation.
            if not is_linear or operation.output in read:
                forward.append(partial(function.forward, output, operation.slope))
            if not is_linear:
                backward.append(partial(function.backward, output, operation.slope))
            if operation.output == plan.result:
                self.last = output
                self.result = output.z if is_linear else output.a
        self._forward, self._backward = forward, backward[::-1]

    def forward(self, with_ones: torch.Tensor, transposed: torch.Tensor) -> torch.Tensor:
        """Return the result (n_results, n) for features (n_features + 1, n).

        Parameters
        ----------
        with_ones, transposed
            The features with a last row of ones, and the same transposed.
        """
        self.features.with_ones, self.features.transposed = with_ones, transposed
        for call in self._forward:
            call()
        return self.result

    def backward(self) -> None:
        """Fill the gradients from the `delta` of the result; call `forward` before."""
        for call in self._backward:
            call()


def _targets(plan: Plan) -> dict[str, _Target]:
    """Return for the output of every operation which gradients were written before.

    The backward pass goes from the last operation to the first. The features have no gradient.
    """
    found: dict[str, _Target] = {}
    written: set[str] = set()
    for operation in reversed(plan.operations):
        deltas: list[bool | None] = []
        for name in operation.inputs:
            deltas.append(None if name == plan.features else name in written)
            written.add(name)
        gradient = bool(set(operation.parameters) & written)
        written.update(operation.parameters)
        found[operation.output] = _Target(tuple(deltas), gradient)
    return found
