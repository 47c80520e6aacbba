"""Convolutions, pooling, padding and upsampling of Keras as ONNX nodes.

Keras has the channels last, ONNX has them first; the transpositions around a node cost nothing in
the imported network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.sources.keras.activations import activation
from emufort.importing.sources.keras.call import Call, size_of


def _with_channels_first(call: Call, x: str, node: Callable[[str], str]) -> str:
    """Return `node` of `x` with the channels first, and the result with the channels of Keras."""
    builder = call.builder
    if call.config.get("data_format", "channels_last") == "channels_first":
        return node(x)
    rank = builder.rank(x)
    found = node(builder.transposed(x, 0, rank - 1, *range(1, rank - 1)))
    return builder.transposed(found, 0, *range(2, rank), 1)


def _pads(call: Call, lengths: list[int], kernel: list[int], strides: list[int]) -> list[int]:
    """Return the padding at the beginnings and the ends; `kernel` includes the dilation."""
    padding = call.config.get("padding", "valid")
    if padding == "valid":
        return [0] * (2 * len(kernel))
    if padding == "causal":
        return [k - 1 for k in kernel] + [0] * len(kernel)
    if padding != "same":
        raise call.refusal(f"its padding '{padding}' is unknown")
    before, after = [], []
    for n, k, stride in zip(lengths, kernel, strides, strict=True):
        total = max((math.ceil(n / stride) - 1) * stride + k - n, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before + after


def _convolved(
    call: Call, x: str, kernel: NDArray[Any], bias: NDArray[Any] | None, groups: int
) -> str:
    """Return a convolution with a kernel (n_out, n_in / groups, ...)."""
    builder = call.builder
    rank = kernel.ndim - 2
    strides = size_of(call.config.get("strides", 1), rank)
    dilations = size_of(call.config.get("dilation_rate", 1), rank)
    if kernel.shape[0] % groups or kernel.ndim != builder.rank(x):
        raise call.refusal("its weights do not fit its input")
    wide = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilations, strict=True)]
    inputs = [builder.constant(kernel), *([] if bias is None else [builder.constant(bias)])]

    def node(y: str) -> str:
        pads = _pads(call, list(builder.shape(y)[1:]), wide, strides)
        return builder.add(
            "Conv",
            y,
            *inputs,
            of=call.name,
            group=groups,
            strides=strides,
            dilations=dilations,
            pads=pads,
            kernel_shape=list(kernel.shape[2:]),
        )

    return _with_channels_first(call, x, node)


def _in_onnx_order(kernel: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel (..., n_in, n_out) as (n_out, n_in, ...)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def convolution(call: Call) -> str:
    """Convert Conv1D and Conv2D."""
    kernel, *bias = call.arrays
    groups = int(call.config.get("groups", 1))
    found = _convolved(call, call.x, _in_onnx_order(kernel), bias[0] if bias else None, groups)
    return activation(call, found)


def _depthwise(call: Call, kernel: NDArray[Any], bias: NDArray[Any] | None) -> str:
    """Return a convolution of every channel by itself, kernel (..., n_in, multiplier)."""
    *size, n_in, multiplier = kernel.shape
    found = np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(n_in * multiplier, 1, *size)
    return _convolved(call, call.x, found, bias, n_in)


def depthwise(call: Call) -> str:
    """Convert DepthwiseConv1D and DepthwiseConv2D."""
    kernel, *bias = call.arrays
    return activation(call, _depthwise(call, kernel, bias[0] if bias else None))


def separable(call: Call) -> str:
    """Convert SeparableConv1D and SeparableConv2D."""
    kernel, points, *bias = call.arrays
    if call.config.get("data_format") == "channels_first":
        raise call.refusal("its channels come first", "set data_format='channels_last'")
    n_in, n_out = points.shape[-2:]
    found = call.builder.dense(
        _depthwise(call, kernel, None),
        points.reshape(n_in, n_out),
        bias[0] if bias else None,
        call.name,
    )
    return activation(call, found)


def transposed(call: Call) -> str:
    """Convert Conv1DTranspose; the kernel is (width, n_out, n_in)."""
    kernel, *bias = call.arrays
    builder = call.builder
    strides = size_of(call.config["strides"])
    if call.config.get("output_padding") is not None or call.config.get("groups", 1) != 1:
        raise call.refusal("it has output_padding or groups")
    if size_of(call.config.get("dilation_rate", 1)) != [1] or kernel.ndim != 3:
        raise call.refusal("it is dilated or has more than one dimension")
    # The full result has (n - 1) stride + width values. With the padding "same", Keras keeps
    # n stride of them. With "valid" the result has n stride + max(width - stride, 0) values; where
    # the stride is larger than the width, the last values are 0.
    width, stride = kernel.shape[0], strides[0]
    cut = max(width - stride, 0) if call.config.get("padding") == "same" else 0
    more = max(stride - width, 0)
    inputs = [builder.constant(np.transpose(kernel, (2, 1, 0)))]
    inputs += [builder.constant(b) for b in bias]

    def node(y: str) -> str:
        return builder.add(
            "ConvTranspose",
            y,
            *inputs,
            of=call.name,
            strides=strides,
            pads=[cut // 2, cut - cut // 2],
            output_padding=[more],
            kernel_shape=[width],
        )

    return activation(call, _with_channels_first(call, call.x, node))


def _pooled(call: Call, operator: str, **attributes: Any) -> str:
    builder = call.builder
    rank = builder.rank(call.x) - 2
    size = size_of(call.config["pool_size"], rank)
    strides = size_of(call.config.get("strides") or size, rank)

    def node(y: str) -> str:
        pads = _pads(call, list(builder.shape(y)[1:]), size, strides)
        return builder.add(operator, y, kernel_shape=size, strides=strides, pads=pads, **attributes)

    return _with_channels_first(call, call.x, node)


def average_pool(call: Call) -> str:
    """Convert AveragePooling1D and AveragePooling2D; padding does not count."""
    return _pooled(call, "AveragePool", count_include_pad=0)


def max_pool(call: Call) -> str:
    """Convert MaxPooling1D and MaxPooling2D."""
    return _pooled(call, "MaxPool")


def _over_space(call: Call, operator: str) -> str:
    builder = call.builder
    rank = builder.rank(call.x)
    first = call.config.get("data_format", "channels_last") == "channels_first"
    axes = range(2, rank) if first else range(1, rank - 1)
    keep = int(bool(call.config.get("keepdims", False)))
    return builder.add(operator, call.x, builder.constant(list(axes), integers=True), keepdims=keep)


def global_average_pool(call: Call) -> str:
    """Convert the average over all levels or points."""
    return _over_space(call, "ReduceMean")


def global_max_pool(call: Call) -> str:
    """Convert the maximum over all levels or points."""
    return _over_space(call, "ReduceMax")


def upsampling(call: Call) -> str:
    """Convert UpSampling1D, which repeats every level."""
    (times,) = size_of(call.config["size"])
    builder = call.builder
    levels, channels = builder.shape(call.x)
    one = builder.reshaped(call.x, levels, 1, channels)
    many = builder.add("Tile", one, builder.constant([1, 1, times, 1], integers=True))
    return builder.reshaped(many, levels * times, channels)


def zero_padding(call: Call) -> str:
    """Convert ZeroPadding1D."""
    before, after = size_of(call.config["padding"], 2)
    builder = call.builder
    pads = builder.constant([0, before, 0, 0, after, 0], integers=True)
    return builder.add("Pad", call.x, pads)


def cropping(call: Call) -> str:
    """Convert Cropping1D."""
    before, after = size_of(call.config["cropping"], 2)
    builder = call.builder
    levels, _ = builder.shape(call.x)
    places = [builder.constant([v], integers=True) for v in (before, levels - after, 1)]
    return builder.add("Slice", call.x, *places)
