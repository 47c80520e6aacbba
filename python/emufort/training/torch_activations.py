"""Activations and their derivatives, in place in the buffers of a layer."""

from __future__ import annotations

from typing import Protocol

import torch

_aten = torch.ops.aten


class LayerBuffers:
    """Buffers of one layer for a batch of n samples, samples along the columns.

    Attributes
    ----------
    z
        Weighted sums, (size, n).
    a, with_ones, transposed
        Activations, (size, n): the upper rows of (size + 1, n) with a last row of ones; the latter
        transposed.
    delta
        Derivative of the loss by `a`, then by `z`, (size, n).
    """

    def __init__(self, size: int, n: int, device: torch.device, dtype: torch.dtype) -> None:
        self.size = size
        self.z = torch.empty((size, n), device=device, dtype=dtype)
        self.delta = torch.empty((size, n), device=device, dtype=dtype)
        self.with_ones = torch.ones((size + 1, n), device=device, dtype=dtype)
        self.a = self.with_ones[:-1]
        self.transposed = self.with_ones.t()


class _Activation(Protocol):
    def forward(self, layer: LayerBuffers) -> None:
        """Fill `a` from `z`."""

    def backward(self, layer: LayerBuffers) -> None:
        """Multiply `delta` by the derivative."""


class _Relu:
    def forward(self, layer: LayerBuffers) -> None:
        torch.clamp_min(layer.z, 0.0, out=layer.a)

    def backward(self, layer: LayerBuffers) -> None:
        _aten.threshold_backward.grad_input(layer.delta, layer.z, 0.0, grad_input=layer.delta)


class _SquaredRelu:
    def forward(self, layer: LayerBuffers) -> None:
        layer.z.clamp_min_(0.0)
        torch.mul(layer.z, layer.z, out=layer.a)

    def backward(self, layer: LayerBuffers) -> None:
        # d(z^2) = 2 z; z is already zero where it was negative.
        layer.delta.mul_(layer.z).mul_(2.0)


class _Tanh:
    def forward(self, layer: LayerBuffers) -> None:
        torch.tanh(layer.z, out=layer.a)

    def backward(self, layer: LayerBuffers) -> None:
        _aten.tanh_backward.grad_input(layer.delta, layer.a, grad_input=layer.delta)


class _Silu:
    def forward(self, layer: LayerBuffers) -> None:
        _aten.silu.out(layer.z, out=layer.a)

    def backward(self, layer: LayerBuffers) -> None:
        _aten.silu_backward.grad_input(layer.delta, layer.z, grad_input=layer.delta)


class _Gelu:
    def forward(self, layer: LayerBuffers) -> None:
        _aten.gelu.out(layer.z, out=layer.a)

    def backward(self, layer: LayerBuffers) -> None:
        _aten.gelu_backward.grad_input(layer.delta, layer.z, grad_input=layer.delta)


ACTIVATIONS: dict[str, _Activation] = {
    "relu": _Relu(),
    "squared_relu": _SquaredRelu(),
    "tanh": _Tanh(),
    "silu": _Silu(),
    "gelu": _Gelu(),
}
