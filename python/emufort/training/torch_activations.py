"""Activation functions and their derivatives, in place in the buffers of a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

_aten = torch.ops.aten


class LayerBuffers:
    """Buffers of one layer for a batch of n samples, samples along the columns.

    With m networks side by side, every array has a leading dimension m.

    Attributes
    ----------
    z
        Output of the operation before its activation function, (size, n).
    a, with_ones, transposed
        `a` is the activation function of `z`, (size, n). It is a view of the upper rows of
        `with_ones`, (size + 1, n), whose last row is ones. `transposed` is `with_ones` transposed.
    delta
        Derivative of the loss with respect to `a`, later with respect to `z`, (size, n); empty if
        only forward passes follow.
    """

    def __init__(
        self,
        size: int,
        n: int,
        device: torch.device,
        dtype: torch.dtype,
        m: int | None = None,
        only_forward: bool = False,
    ) -> None:
        front = () if m is None else (m,)
        self.size = size
        self.z = torch.empty((*front, size, n), device=device, dtype=dtype)
        shape = (0,) if only_forward else (*front, size, n)
        self.delta = torch.empty(shape, device=device, dtype=dtype)
        self.with_ones = torch.ones((*front, size + 1, n), device=device, dtype=dtype)
        self.a = self.with_ones[..., :-1, :]
        self.transposed = self.with_ones.transpose(-2, -1)


def _squared_relu(layer: LayerBuffers, _: float) -> None:
    layer.z.clamp_min_(0.0)
    torch.mul(layer.z, layer.z, out=layer.a)


def _gelu(layer: LayerBuffers, _: float) -> None:
    if layer.a.is_contiguous():
        _aten.gelu.out(layer.z, out=layer.a)
    else:
        # On CPUs, torch 2.13 ignores the strides of `out` in single precision (oneDNN).
        layer.a.copy_(_aten.gelu(layer.z))


@dataclass(frozen=True)
class _InPlace:
    """One activation function.

    Attributes
    ----------
    forward
        Fills `a` from `z`, given the buffers and the function's parameter.
    backward
        Multiplies `delta` by the derivative, given the same arguments.
    """

    forward: Callable[[LayerBuffers, float], Any]
    backward: Callable[[LayerBuffers, float], Any]


#: Name -> in-place implementation; `emufort.network.activations` defines the functions.
ACTIVATIONS: dict[str, _InPlace] = {
    "linear": _InPlace(
        lambda layer, _: layer.a.copy_(layer.z),
        lambda layer, _: None,
    ),
    "relu": _InPlace(
        lambda layer, _: torch.clamp_min(layer.z, 0.0, out=layer.a),
        lambda layer, _: _aten.threshold_backward.grad_input(
            layer.delta, layer.z, 0.0, grad_input=layer.delta
        ),
    ),
    "squared_relu": _InPlace(
        _squared_relu,
        # d(z^2) = 2 z; z is already zero where it was negative.
        lambda layer, _: layer.delta.mul_(layer.z).mul_(2.0),
    ),
    "leaky_relu": _InPlace(
        lambda layer, slope: _aten.leaky_relu.out(layer.z, slope, out=layer.a),
        lambda layer, slope: _aten.leaky_relu_backward.grad_input(
            layer.delta, layer.z, slope, False, grad_input=layer.delta
        ),
    ),
    "hardswish": _InPlace(
        lambda layer, _: _aten.hardswish.out(layer.z, out=layer.a),
        lambda layer, _: _aten.hardswish_backward.out(layer.delta, layer.z, out=layer.delta),
    ),
    "tanh": _InPlace(
        lambda layer, _: torch.tanh(layer.z, out=layer.a),
        lambda layer, _: _aten.tanh_backward.grad_input(
            layer.delta, layer.a, grad_input=layer.delta
        ),
    ),
    "sigmoid": _InPlace(
        lambda layer, _: torch.sigmoid(layer.z, out=layer.a),
        lambda layer, _: _aten.sigmoid_backward.grad_input(
            layer.delta, layer.a, grad_input=layer.delta
        ),
    ),
    "silu": _InPlace(
        lambda layer, _: _aten.silu.out(layer.z, out=layer.a),
        lambda layer, _: _aten.silu_backward.grad_input(
            layer.delta, layer.z, grad_input=layer.delta
        ),
    ),
    "gelu": _InPlace(
        _gelu,
        lambda layer, _: _aten.gelu_backward.grad_input(
            layer.delta, layer.z, grad_input=layer.delta
        ),
    ),
    "softplus": _InPlace(
        lambda layer, _: _aten.softplus.out(layer.z, 1.0, 40.0, out=layer.a),
        lambda layer, _: _aten.softplus_backward.grad_input(
            layer.delta, layer.z, 1.0, 40.0, grad_input=layer.delta
        ),
    ),
    "elu": _InPlace(
        lambda layer, scale: _aten.elu.out(layer.z, scale, 1.0, 1.0, out=layer.a),
        lambda layer, scale: _aten.elu_backward.grad_input(
            layer.delta, scale, 1.0, 1.0, False, layer.z, grad_input=layer.delta
        ),
    ),
}
