"""Windows that convolutions and pooling take of the positions of an array."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emufort.importing.arguments import text
from emufort.importing.graph import Node
from emufort.importing.values import Integers


@dataclass(frozen=True)
class Windows:
    """Windows of positions.

    Attributes
    ----------
    shape
        Number of windows in each dimension.
    places
        Number of each position in the array, (windows, positions of a window); -1 is outside.
    are_padding
        Whether a position is within the padding, of the same shape.
    """

    shape: tuple[int, ...]
    places: Integers
    are_padding: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True)
class Geometry:
    """Attributes of a convolution or pooling, one number for each dimension.

    Attributes
    ----------
    kernel, strides, dilations
        Sizes of the window, its steps, and distances of its positions.
    before, after
        Padding.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """Positions from the first to the last of a window."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def numbers(node: Node, name: str, rank: int, default: int) -> tuple[int, ...]:
    """Return an attribute with one whole number for each dimension."""
    found = tuple(int(n) for n in node.attributes.get(name, ())) or (default,) * rank
    if len(found) != rank:
        raise ValueError(f"its attribute {name} has {len(found)} numbers")
    return found


def geometry(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> Geometry:
    """Return the geometry of a convolution or pooling of an array of `sizes`."""
    rank = len(sizes)
    strides, dilations = (numbers(node, name, rank, 1) for name in ("strides", "dilations"))
    if min(*kernel, *strides, *dilations) < 1:
        raise ValueError("a size of its windows is less than 1")
    pads = numbers(node, "pads", 2 * rank, 0)
    before, after = pads[:rank], pads[rank:]
    rule = text(node.attributes, "auto_pad", "NOTSET")
    if rule == "VALID":
        before = after = (0,) * rank
    elif rule != "NOTSET":
        totals = [
            max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, s, d, k in zip(sizes, strides, dilations, kernel, strict=True)
        ]
        smaller, larger = [t // 2 for t in totals], [t - t // 2 for t in totals]
        is_upper = rule == "SAME_UPPER"
        before, after = map(tuple, (smaller, larger) if is_upper else (larger, smaller))
    return Geometry(tuple(kernel), strides, dilations, before, after)


def windows(sizes: Sequence[int], form: Geometry, is_ceiling: bool = False) -> Windows:
    """Return the windows of an array; `is_ceiling` adds those that are partly past the padding."""
    counts = []
    for n, extent, stride, before, after in zip(
        sizes, form.extents, form.strides, form.before, form.after, strict=True
    ):
        steps = (n + before + after - extent) / stride
        count = (math.ceil(steps) if is_ceiling else math.floor(steps)) + 1
        if is_ceiling and (count - 1) * stride >= n + before:
            count -= 1
        if count < 1:
            raise ValueError("its window is larger than its input")
        counts.append(count)
    total, each = math.prod(counts), math.prod(form.kernel)
    places = np.zeros((total, each), np.int64)
    is_outside = np.zeros((total, each), bool)
    is_past = np.zeros((total, each), bool)
    firsts = np.array(list(itertools.product(*map(range, counts))), np.int64)
    offsets = np.array(list(itertools.product(*map(range, form.kernel))), np.int64)
    for axis, n in enumerate(sizes):
        at = (
            firsts[:, None, axis] * form.strides[axis]
            + offsets[None, :, axis] * form.dilations[axis]
            - form.before[axis]
        )
        is_outside |= (at < 0) | (at >= n)
        is_past |= at >= n + form.after[axis]
        places = places * n + at
    return Windows(tuple(counts), np.where(is_outside, -1, places), is_outside & ~is_past)
