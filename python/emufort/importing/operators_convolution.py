"""Convolutions: one dense layer for all positions, with the channels innermost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from scipy import sparse

from emufort.importing.arguments import Inputs, constants, data, numbers_of, text
from emufort.importing.atoms import Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.refusal import MOST_ELEMENTS
from emufort.importing.values import Array, Integers, Value, selected
from emufort.importing.windows import geometry, numbers, windows

#: With fewer channels in a group each output is computed by itself.
_FEW_CHANNELS = 4


def _channels_innermost(places: Integers, channels: Integers, n_positions: int) -> Integers:
    """Return elements of windows, (windows, positions, channels); -1 stays -1."""
    found = channels * n_positions + places[:, :, None]
    return np.where(places[:, :, None] < 0, -1, found)


def _parameters(node: Node, inputs: Inputs) -> tuple[Array, Array | None]:
    weight, *rest = (
        None if v is None else np.asarray(v, dtype=np.float64) for v in constants(node, inputs)
    )
    if weight is None:
        raise ValueError("it has no weights")
    return weight, rest[0] if rest else None


def _convolution(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = data(inputs)
    weight, bias = _parameters(node, inputs)
    sizes, groups = x.shape[2:], int(node.attributes.get("group", 1))
    found = windows(sizes, geometry(node, sizes, weight.shape[2:]))
    n_out, n_in = weight.shape[0] // groups, weight.shape[1]
    if x.shape[0] != 1 or x.shape[1] != n_in * groups or n_out * groups != len(weight):
        raise ValueError("its channels do not fit its weights")
    bias = np.zeros(len(weight)) if bias is None else bias
    # (groups, n_out, positions, n_in)
    kernels = weight.reshape(groups, n_out, n_in, -1).swapaxes(2, 3)
    shape = (1, len(weight), *found.shape)
    elements = [
        _channels_innermost(found.places, g * n_in + np.arange(n_in), math.prod(sizes))
        for g in range(groups)
    ]
    count = len(found.places)
    if n_in == n_out == 1 < groups and len(sizes) == 1:
        value = _depthwise(state, node, x, weight[:, 0], bias, count)
        return (value.taken(numbers_of((count, groups)).T.reshape(shape)),)
    if groups > 1 and n_out < _FEW_CHANNELS:
        value = _each_by_itself(state, x, elements, kernels)
        shifts = np.repeat(bias, count)
        return (value.shifted(shifts).reshaped(shape),)
    parts = [
        state.repeated(x, elements[g].reshape(count, -1), kernel.reshape(n_out, -1), shift)
        for g, (kernel, shift) in enumerate(zip(kernels, bias.reshape(groups, n_out), strict=True))
    ]
    # parts are (count, n_out)
    places = numbers_of((groups, count, n_out)).swapaxes(1, 2)
    return (selected(parts, places.reshape(shape)),)


def _depthwise(
    state: Lowering, node: Node, x: Value, weight: Array, bias: Array, count: int
) -> Value:
    """Return a convolution (count, channels) of each channel by itself."""
    channels, n = x.shape[1:]
    form = geometry(node, (n,), weight.shape[1:])
    (stride,), (step,), (before,) = form.strides, form.dilations, form.before
    # all positions that the windows reach, with the padding
    positions = np.arange((count - 1) * stride + form.extents[0]) - before
    positions = np.where((positions < 0) | (positions >= n), -1, positions)
    elements = _channels_innermost(positions[:, None], np.arange(channels), n)[:, 0]
    return state.depthwise(x, elements, (count, stride, step), weight.T, bias)


def _each_by_itself(state: Lowering, x: Value, elements: list[Integers], kernels: Array) -> Value:
    """Return the outputs (channels, count) of groups with few channels."""
    rows, columns, weights = [], [], []
    first = 0
    for places, kernel in zip(elements, kernels, strict=True):
        for channel in kernel:
            row = first + np.arange(len(places))[:, None, None]
            is_inside = places >= 0
            rows.append(np.broadcast_to(row, places.shape)[is_inside])
            columns.append(places[is_inside])
            weights.append(np.broadcast_to(channel, places.shape)[is_inside])
            first += len(places)
    matrix = sparse.csr_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))),
        shape=(first, x.size),
    )
    return state.linear(x, matrix, (first,))


def _transposed_convolution(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower ConvTranspose: a dense layer for each position, whose outputs overlap."""
    x = data(inputs)
    weight, bias = _parameters(node, inputs)
    sizes, groups = x.shape[2:], int(node.attributes.get("group", 1))
    n_in, n_out = weight.shape[0] // groups, weight.shape[1]
    kernel, n_positions = weight.shape[2:], math.prod(sizes)
    if x.shape[0] != 1 or x.shape[1] != len(weight):
        raise ValueError("its channels do not fit its weights")
    shape, overlaps = _overlaps(node, sizes, kernel)
    n_kernel = math.prod(kernel)
    # (groups, positions of the kernel, n_out, n_in)
    kernels = weight.reshape(groups, n_in, n_out, n_kernel).transpose(0, 3, 2, 1)
    elements = numbers_of((groups, n_in, n_positions)).swapaxes(1, 2)
    parts = [
        state.repeated(x, places, part.reshape(n_kernel * n_out, n_in))
        for places, part in zip(elements, kernels, strict=True)
    ]
    # parts are (n_positions, n_kernel, n_out); overlaps count the first two
    whole = selected(parts, numbers_of((groups * n_positions * n_kernel * n_out,)))
    channel = np.arange(n_out)[:, None, None]
    group = np.arange(groups)[:, None, None, None] * (n_positions * n_kernel * n_out)
    rows = np.where(overlaps < 0, -1, group + overlaps * n_out + channel)
    total = state.sums(whole, rows.reshape(-1, overlaps.shape[1]), (1, groups * n_out, *shape))
    if bias is not None:
        total = total.shifted(np.repeat(bias, len(overlaps)))
    return (state.folded(total),)


def _overlaps(
    node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[tuple[int, ...], Integers]:
    """Return the shape of the output, and what each of its positions is the sum of.

    The summands are numbers of (position of the input, position of the kernel); -1 is none.
    """
    rank = len(sizes)
    form = geometry(node, sizes, kernel)
    added = numbers(node, "output_padding", rank, 0)
    full = [
        s * (n - 1) + a + e
        for n, s, a, e in zip(sizes, form.strides, added, form.extents, strict=True)
    ]
    before, rule = form.before, text(node.attributes, "auto_pad", "NOTSET")
    shape = [n - b - a for n, b, a in zip(full, before, form.after, strict=True)]
    wanted = [int(n) for n in node.attributes.get("output_shape", ())][-rank:]
    if wanted or rule.startswith("SAME"):
        shape = wanted or [n * s for n, s in zip(sizes, form.strides, strict=True)]
        totals = [n - m for n, m in zip(full, shape, strict=True)]
        before = tuple(t // 2 if rule == "SAME_UPPER" else t - t // 2 for t in totals)
    if min(shape) < 1 or math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"its output has the sizes {shape}")
    summands: list[list[int]] = [[] for _ in range(math.prod(shape))]
    offsets = list(itertools.product(*map(range, kernel)))
    for at, position in enumerate(itertools.product(*map(range, sizes))):
        for k, offset in enumerate(offsets):
            out = [
                p * s + o * d - b
                for p, s, o, d, b in zip(
                    position, form.strides, offset, form.dilations, before, strict=True
                )
            ]
            if all(0 <= p < n for p, n in zip(out, shape, strict=True)):
                summands[int(np.ravel_multi_index(out, shape))].append(at * len(offsets) + k)
    longest = max(1, *map(len, summands))
    found = np.array([row + [-1] * (longest - len(row)) for row in summands], np.int64)
    return tuple(shape), found


#: ONNX operator -> function that lowers it.
CONVOLUTION: Mapping[str, Handler] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
}
