"""Random plans of all operations, and parameters for them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from emufort.network.activations import ACTIVATIONS, parse
from emufort.network.operation import Operation
from emufort.network.operations import OPERATIONS
from emufort.network.plan import Plan
from emufort.network.table import Table

#: What trainers know.
TRAINED = ("dense", "add")
EVERY = tuple(OPERATIONS)
#: An error of rounding in the argument may change the result by a whole number.
JUMPS = ("select", "first_maximum_of")
FUNCTIONS = (*ACTIVATIONS, "linear", "elu:0.5")
#: Functions of imported networks: of any number, of positive numbers, and with jumps.
SMOOTH, OF_POSITIVE = ("sin", "cos", "erf"), ("ln", "sqrt", "reciprocal")
STEPS = ("floor", "ceiling", "round", "step")
POSITIVE = ("sigmoid", "exp")


@dataclass
class Drawn:
    """Operations so far.

    Attributes
    ----------
    integer
        Returns any integer from a lower to an upper bound; all choices are made by it.
    sizes
        Name of a buffer -> features.
    exact, positive
        Buffers without an error of rounding, and with positive features only.
    """

    integer: Callable[[int, int], int]
    sizes: dict[str, int]
    operations: list[Operation] = field(default_factory=list)
    shared: dict[tuple[int, ...], tuple[str, str]] = field(default_factory=dict)
    exact: set[str] = field(default_factory=lambda: {"x"})
    positive: set[str] = field(default_factory=set)

    def one_of(self, choices: Sequence):
        return choices[self.integer(0, len(choices) - 1)]

    def buffer(self, names: Collection[str]) -> str:
        return self.one_of(sorted(names))

    def function(self, kind: str, inputs: tuple[str, ...], is_plain: bool) -> str:
        if is_plain:
            return self.one_of(FUNCTIONS)
        names = [*FUNCTIONS, *SMOOTH]
        if kind == "gather" and self.exact.issuperset(inputs):
            names += STEPS
        if kind in ("maximum", "minimum", "maximum_of") and self.positive.issuperset(inputs):
            names += OF_POSITIVE
        # The exponential of what is not bounded overflows.
        return self.one_of(names)

    def parameters(self, number: int, shape: tuple[int, ...]) -> tuple[str, ...]:
        names = f"w{number}.weight", f"w{number}.bias"
        if self.integer(0, 1):
            names = self.shared.get(shape, names)
        self.shared[shape] = names
        return names

    def append(self, kind: str, inputs: tuple[str, ...], n_out: int, text: str, **details) -> str:
        name, _, slope = text.partition(":")
        slope = parse(text)[1] if name in ACTIVATIONS else float(slope or 0.0)
        output = f"y{len(self.operations)}"
        self.operations.append(
            Operation(kind, inputs, output, activation=name, slope=slope, **details)
        )
        self.sizes[output] = n_out
        if kind == "gather" and name in ("linear", *STEPS) and self.exact.issuperset(inputs):
            self.exact.add(output)
        if name in POSITIVE:
            self.positive.add(output)
        return output

    # ---------------------------------------------------------------- operations

    def dense(self, first: str, is_plain: bool) -> str:
        number, size = len(self.operations), self.sizes[first]
        text = self.function("dense", (first,), is_plain)
        start, extent = 0, ()
        n_in, n_out = size, self.one_of([1, 5, 16, 17, 33, size])
        count = 1
        if not is_plain and self.integer(0, 1):
            start = self.integer(0, size - 1)
            n_in = self.integer(1, size - start)
            stride = self.integer(1, 9)
            count = self.integer(1, min(5, 1 + (size - start - n_in) // stride))
            extent = (count, stride, n_in)
            n_out = min(n_out, 17)
        names = self.parameters(number, (n_out, n_in))
        return self.append(
            "dense", (first,), count * n_out, text, parameters=names, starts=(start,), extent=extent
        )

    def elementwise(self, kind: str, first: str, is_plain: bool) -> str:
        n_inputs = OPERATIONS[kind].n_inputs
        if is_plain:
            like = [name for name, size in self.sizes.items() if size == self.sizes[first]]
        else:
            like = list(self.exact if kind in JUMPS else self.sizes)
        inputs = (first, *(self.buffer(like) for _ in range(n_inputs - 1)))
        starts = tuple(
            0 if is_plain else self.integer(0, min(3, self.sizes[x] - 1)) for x in inputs
        )
        n_out = min(self.sizes[x] - s for x, s in zip(inputs, starts, strict=True))
        return self.append(
            kind, inputs, n_out, self.function(kind, inputs, is_plain), starts=starts
        )

    def matmul(self, first: str) -> str:
        inputs = first, self.buffer(self.sizes)
        a, b = (self.sizes[x] for x in inputs)
        k = self.integer(1, min(a, b, 7))
        batch = self.integer(1, min(a // k, b // k, 3))
        m, n = (self.integer(1, min(size // (batch * k), 6)) for size in (a, b))
        starts = tuple(
            self.integer(0, size - used) for size, used in ((a, batch * m * k), (b, batch * k * n))
        )
        text = self.function("matmul", inputs, False)
        return self.append(
            "matmul", inputs, batch * m * n, text, starts=starts, extent=(batch, m, k, n)
        )

    def depthwise(self, first: str) -> str:
        size = self.sizes[first]
        n = self.one_of([1, 3, 16, 17, 40])
        n = min(n, size)
        n_taps = self.integer(1, min(4, 1 + size - n))
        step = self.integer(1, (size - n) // (n_taps - 1)) if n_taps > 1 else 0
        left = size - n - (n_taps - 1) * step
        count = self.integer(1, min(9, 1 + left))
        stride = self.integer(1, left // (count - 1)) if count > 1 else 0
        names = self.parameters(len(self.operations), (n_taps * n, n, -2))
        return self.append(
            "depthwise",
            (first,),
            count * n,
            self.function("depthwise", (first,), False),
            parameters=names,
            starts=(self.integer(0, left - (count - 1) * stride),),
            extent=(count, stride, n_taps, step),
        )

    def of_groups(self, kind: str, first: str) -> str:
        size = self.sizes[first]
        extent = [1] * (4 if kind == "normalise" else 2)
        for _ in range(4):
            k = self.integer(0, len(extent) - 1)
            extent[k] = self.integer(1, size // (math.prod(extent) // extent[k]))
        n = math.prod(extent)
        details = {}
        if kind == "normalise":
            channels = extent[2] * extent[3]
            details["parameters"] = self.parameters(len(self.operations), (channels + 1, -3))
        return self.append(
            kind,
            (first,),
            n,
            self.function(kind, (first,), False),
            starts=(self.integer(0, size - n),),
            extent=tuple(extent),
            **details,
        )

    def of_table(self, kind: str, first: str) -> str:
        names = self.exact if kind in JUMPS else self.sizes
        inputs = tuple(
            dict.fromkeys([first, *(self.buffer(names) for _ in range(self.integer(0, 2)))])
        )
        n_features = sum(self.sizes[x] for x in inputs)
        ends = list(itertools.accumulate(self.sizes[x] for x in inputs))
        n_out = self.integer(len(inputs), 30)
        shortest = 0 if kind == "sparse" else 1
        counts = [self.integer(shortest, 5) for _ in range(n_out)]
        if kind == "gather":
            counts = [1] * n_out
        counts[: len(inputs)] = [max(1, count) for count in counts[: len(inputs)]]
        rows = list(itertools.accumulate(counts, initial=0))
        lowest = -1 if kind == "gather" else 0
        places = [self.integer(lowest, n_features - 1) for _ in range(rows[-1])]
        for number, end in enumerate(ends):
            places[rows[number]] = end - 1  # every input is read
        details = {"table": Table(() if kind == "gather" else rows, places)}
        if kind == "sparse":
            details["parameters"] = self.parameters(len(self.operations), (rows[-1], n_out, -1))
        return self.append(kind, inputs, n_out, self.function(kind, inputs, False), **details)


@st.composite
def plans(draw: st.DrawFn, kinds: tuple[str, ...] = TRAINED) -> Plan:
    """Draw operations that read any buffers of before; weights may be shared."""
    return random_plan(lambda lower, upper: draw(st.integers(lower, upper)), kinds)


def random_plan(
    integer: Callable[[int, int], int],
    kinds: tuple[str, ...] = EVERY,
    n_features: int | None = None,
    n_results: int | None = None,
) -> Plan:
    """Choose operations by a function that returns integers between bounds.

    Parameters
    ----------
    integer
        Returns an integer from a lower to an upper bound.
    kinds
        Names of operations.
    n_features, n_results
        Sizes of features and result; any by default.
    """
    drawn = Drawn(integer, {"x": n_features or integer(1, 40)})
    is_plain = kinds == TRAINED
    unread = {"x"}
    for _ in range(integer(1, 8)):
        kind = drawn.one_of(kinds)
        # What was written last is read, so that nothing is written for nothing.
        first = drawn.buffer(unread or drawn.sizes)
        if kind in JUMPS and first not in drawn.exact:
            kind = "dense"
        if kind == "dense":
            output = drawn.dense(first, is_plain)
        elif kind == "matmul":
            output = drawn.matmul(first)
        elif kind == "depthwise":
            output = drawn.depthwise(first)
        elif kind in ("normalise", "softmax"):
            output = drawn.of_groups(kind, first)
        elif OPERATIONS[kind].has_table:
            output = drawn.of_table(kind, first)
        else:
            output = drawn.elementwise(kind, first, is_plain)
        unread = (unread - set(drawn.operations[-1].inputs)) | {output}
    # Join what is left, so that every buffer is read or the result.
    sizes, operations = drawn.sizes, drawn.operations
    while len(unread) > 1:
        one, other, *_ = sorted(unread)
        inputs = []
        for name in (one, other):
            out = f"{name}j{len(operations)}"
            operations.append(Operation("dense", (name,), out, (f"{out}.weight", f"{out}.bias")))
            sizes[out] = 7
            inputs.append(out)
        joined = f"j{len(operations)}"
        operations.append(Operation("add", tuple(inputs), joined, (), "tanh"))
        sizes[joined] = 7
        unread = (unread - {one, other}) | {joined}
    if n_results:
        operations.append(Operation("dense", tuple(unread), "last", ("l.weight", "l.bias")))
        sizes["last"] = n_results
    return Plan(tuple(sizes.items()), tuple(operations), "x", operations[-1].output)


def parameters_of(plan: Plan, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {
        name: (rng.normal(size=shape) / np.sqrt(max(1, shape[-1]))).astype(np.float32)
        for name, shape in plan.parameter_shapes.items()
    }
    for operation in plan.operations:
        if operation.kind == "normalise":
            # Small variances enlarge errors of rounding.
            found[operation.parameters[0]][-1] = 1.0
    return found
