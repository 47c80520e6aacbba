"""The table of activation functions; a row defines one function for all forms of a network.

To add a function, write its row, its kernel in ``fortran/src/emufort_activations.F90``, and, if
networks are trained with it, its derivative for the two trainers in
``fortran/trainer/emufort_train_activations.F90`` and ``emufort.training.torch_activations``. Tests
compare all of them with the row.

Descriptions of networks name an activation function by a text: its name, such as ``"relu"``, or its
name and its parameter, such as ``"leaky_relu:0.2"``; see `parse`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError, did_you_mean

Array = NDArray[np.float64]


class Graph(Protocol):
    """An ONNX graph under construction; both methods return the name of a value."""

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output."""

    def constant(self, name: str, values: Any) -> str:
        """Add a constant."""


@dataclass(frozen=True)
class ActivationFunction:
    """One activation function in all forms.

    Attributes
    ----------
    name
        Name in configurations and files.
    code
        Number in the Fortran runtime and in ``weights.bin``.
    cost
        Time per value in multiply-adds, for ranking candidates before they are timed.
    value
        Definition in double precision, as a function of an array and the parameter.
    onnx
        Adds the function to a graph, given the name of its argument and the parameter.
    torch
        The function in torch, given the module ``torch``, a tensor and the parameter.
    derivative
        Derivative in double precision, given the arguments of `value`. None for a function that
        only imported networks have: no search samples it, and no trainer knows it.
    parameter
        Default value of the parameter; None for a function without a parameter.
    initial_variance
        Variance of the initial weights of a layer with this function, times the number of inputs.
        Variances that preserve the spread from layer to layer would be larger. The smaller ones
        give lower losses on smooth processes, after few epochs and after long trainings: for silu
        and tanh by 10 % compared with 1/3.
    """

    name: str
    code: int
    cost: float
    value: Callable[[Array, float], Array]
    onnx: Callable[[Graph, str, float], str]
    torch: Callable[[Any, Any, float], Any]
    derivative: Callable[[Array, float], Array] | None = None
    parameter: float | None = None
    initial_variance: float = 2.0 / 3.0

    @property
    def is_trained(self) -> bool:
        """Whether networks are trained with this function."""
        return self.derivative is not None


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) without overflow; NaN stays NaN."""
    with np.errstate(invalid="ignore", under="ignore"):
        e = np.exp(-np.abs(z))
        return np.where(z >= 0, 1.0, e) / (1.0 + e)


def _normal_cumulative(z: Array) -> Array:
    from scipy.special import erfc

    result: Array = 0.5 * erfc(-math.sqrt(0.5) * z)
    return result


def _gelu(z: Array) -> Array:
    from scipy.special import erfc

    result: Array = 0.5 * z * erfc(-math.sqrt(0.5) * z)
    return result


def _gelu_derivative(z: Array) -> Array:
    density: Array = np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
    return _normal_cumulative(z) + z * density


def _gelu_onnx(graph: Graph, a: str) -> str:
    root_half = graph.constant(f"{a}_root_half", math.sqrt(0.5))
    half = graph.constant(f"{a}_half", 0.5)
    one = graph.constant(f"{a}_one", 1.0)
    erf = graph.node("Erf", [graph.node("Mul", [a, root_half], f"{a}_scaled")], f"{a}_erf")
    twice = graph.node("Add", [erf, one], f"{a}_twice_cumulative")
    return graph.node("Mul", [graph.node("Mul", [a, half], f"{a}_halved"), twice], f"{a}_gelu")


def _squared_relu_onnx(graph: Graph, a: str) -> str:
    relu = graph.node("Relu", [a], f"{a}_relu")
    return graph.node("Mul", [relu, relu], f"{a}_squared_relu")


def _erf(z: Array) -> Array:
    from scipy.special import erf

    result: Array = erf(z)
    return result


def _step_onnx(graph: Graph, a: str) -> str:
    zero = graph.constant(f"{a}_zero", 0.0)
    return graph.node("Cast", [graph.node("Greater", [a, zero], f"{a}_above")], f"{a}_step", to=1)


def _imported(
    name: str,
    code: int,
    cost: float,
    value: Callable[[Array], Array],
    onnx: str,
    torch: str,
) -> ActivationFunction:
    """Return the row of a function that only imported networks have.

    `onnx` and `torch` are the names of the operator and of the function in ``torch``.
    """
    return ActivationFunction(
        name,
        code,
        cost,
        value=lambda z, _: value(z),
        onnx=lambda graph, a, _: graph.node(onnx, [a], f"{a}_{name}"),
        torch=lambda module, z, _: getattr(module, torch)(z),
    )


def _silu_onnx(graph: Graph, a: str) -> str:
    return graph.node("Mul", [a, graph.node("Sigmoid", [a], f"{a}_sigmoid")], f"{a}_silu")


#: Costs: `benchmarks/cost.py` fitted 18 and 19 to silu in a run (16 and 1,152 columns, AVX-512).
#: The other costs are scaled from it by the times that `fortran/app/time_activations` measures.
#: Functions without an exponential are an exception: memory accesses of the layer mostly hide their
#: time.
_ROWS = (
    ActivationFunction(
        "linear",
        code=0,
        cost=0.0,
        value=lambda z, _: z,
        derivative=lambda z, _: np.ones_like(z),
        onnx=lambda _, a, __: a,
        torch=lambda _, z, __: z,
    ),
    ActivationFunction(
        "relu",
        code=1,
        cost=0.0,
        value=lambda z, _: np.maximum(z, 0.0),
        derivative=lambda z, _: np.where(z > 0.0, 1.0, 0.0),
        onnx=lambda graph, a, _: graph.node("Relu", [a], f"{a}_relu"),
        torch=lambda torch, z, _: torch.relu(z),
        initial_variance=1.0 / 3.0,
    ),
    ActivationFunction(
        "squared_relu",
        code=2,
        cost=1.0,
        value=lambda z, _: np.square(np.maximum(z, 0.0)),
        derivative=lambda z, _: 2.0 * np.maximum(z, 0.0),
        onnx=lambda graph, a, _: _squared_relu_onnx(graph, a),
        torch=lambda torch, z, _: torch.square(torch.relu(z)),
        initial_variance=1.0 / 3.0,
    ),
    ActivationFunction(
        "leaky_relu",
        code=3,
        cost=1.0,
        value=lambda z, slope: np.where(z > 0.0, z, slope * z),
        derivative=lambda z, slope: np.where(z > 0.0, 1.0, slope),
        onnx=lambda graph, a, slope: graph.node("LeakyRelu", [a], f"{a}_leaky_relu", alpha=slope),
        torch=lambda torch, z, slope: torch.nn.functional.leaky_relu(z, slope),
        parameter=0.01,
        initial_variance=1.0 / 3.0,
    ),
    ActivationFunction(
        "hardswish",
        code=4,
        cost=1.0,
        value=lambda z, _: z * (np.clip(z + 3.0, 0.0, 6.0) / 6.0),
        derivative=lambda z, _: np.where(
            z <= -3.0, 0.0, np.where(z < 3.0, (2.0 * z + 3.0) / 6.0, 1.0)
        ),
        onnx=lambda graph, a, _: graph.node("HardSwish", [a], f"{a}_hardswish"),
        torch=lambda torch, z, _: torch.nn.functional.hardswish(z),
    ),
    ActivationFunction(
        "tanh",
        code=5,
        cost=26.0,
        value=lambda z, _: np.tanh(z),
        derivative=lambda z, _: 1.0 - np.square(np.tanh(z)),
        onnx=lambda graph, a, _: graph.node("Tanh", [a], f"{a}_tanh"),
        torch=lambda torch, z, _: torch.tanh(z),
    ),
    ActivationFunction(
        "sigmoid",
        code=6,
        cost=20.0,
        value=lambda z, _: sigmoid(z),
        derivative=lambda z, _: sigmoid(z) * sigmoid(-z),
        onnx=lambda graph, a, _: graph.node("Sigmoid", [a], f"{a}_sigmoid"),
        torch=lambda torch, z, _: torch.sigmoid(z),
    ),
    ActivationFunction(
        "silu",
        code=7,
        cost=19.0,
        value=lambda z, _: z * sigmoid(z),
        derivative=lambda z, _: sigmoid(z) * (1.0 + z * sigmoid(-z)),
        onnx=lambda graph, a, _: _silu_onnx(graph, a),
        torch=lambda torch, z, _: torch.nn.functional.silu(z),
    ),
    ActivationFunction(
        "gelu",
        code=8,
        cost=44.0,
        value=lambda z, _: _gelu(z),
        derivative=lambda z, _: _gelu_derivative(z),
        onnx=lambda graph, a, _: _gelu_onnx(graph, a),
        torch=lambda torch, z, _: torch.nn.functional.gelu(z),
    ),
    ActivationFunction(
        "softplus",
        code=9,
        cost=40.0,
        value=lambda z, _: np.logaddexp(z, 0.0),
        derivative=lambda z, _: sigmoid(z),
        onnx=lambda graph, a, _: graph.node("Softplus", [a], f"{a}_softplus"),
        # Above the threshold torch returns z, which is exact in double precision from 37 upwards.
        torch=lambda torch, z, _: torch.nn.functional.softplus(z, threshold=40.0),
    ),
    ActivationFunction(
        "elu",
        code=10,
        cost=15.0,
        value=lambda z, scale: np.where(z > 0.0, z, scale * np.expm1(np.minimum(z, 0.0))),
        derivative=lambda z, scale: np.where(z > 0.0, 1.0, scale * np.exp(np.minimum(z, 0.0))),
        onnx=lambda graph, a, scale: graph.node("Elu", [a], f"{a}_elu", alpha=scale),
        torch=lambda torch, z, scale: torch.nn.functional.elu(z, scale),
        parameter=1.0,
    ),
    _imported("exp", 11, 10.0, np.exp, "Exp", "exp"),
    _imported("ln", 12, 14.0, np.log, "Log", "log"),
    _imported("sqrt", 13, 4.0, np.sqrt, "Sqrt", "sqrt"),
    _imported("reciprocal", 14, 4.0, np.reciprocal, "Reciprocal", "reciprocal"),
    _imported("sin", 15, 20.0, np.sin, "Sin", "sin"),
    _imported("cos", 16, 20.0, np.cos, "Cos", "cos"),
    _imported("erf", 17, 40.0, _erf, "Erf", "erf"),
    _imported("floor", 18, 1.0, np.floor, "Floor", "floor"),
    _imported("ceiling", 19, 1.0, np.ceil, "Ceil", "ceil"),
    # Halves are rounded to the even neighbour.
    _imported("round", 20, 1.0, np.rint, "Round", "round"),
    # 1 above 0, else 0
    ActivationFunction(
        "step",
        code=21,
        cost=1.0,
        value=lambda z, _: np.where(z > 0.0, 1.0, 0.0),
        onnx=lambda graph, a, _: _step_onnx(graph, a),
        torch=lambda torch, z, _: (z > 0.0).to(z.dtype),
    ),
)

#: Name -> row.
ACTIVATION_FUNCTIONS: Mapping[str, ActivationFunction] = {row.name: row for row in _ROWS}

#: Names for hidden layers of networks that are trained; ``linear`` is of no use there.
ACTIVATIONS: tuple[str, ...] = tuple(
    name for name, row in ACTIVATION_FUNCTIONS.items() if row.is_trained and name != "linear"
)


def parse(text: str) -> tuple[ActivationFunction, float]:
    """Return the activation function of a trained layer that a text names, and its parameter.

    Parameters
    ----------
    text
        ``name`` or ``name:parameter``, such as ``"leaky_relu:0.2"``.

    Returns
    -------
    tuple
        The row and the parameter. The parameter defaults to that of the row; it is 0 for a function
        without a parameter.

    Raises
    ------
    EmufortError
        There is no function of this name, or the parameter is not valid for it.
    """
    name, colon, number = text.partition(":")
    row = ACTIVATION_FUNCTIONS.get(name)
    if row is None or not row.is_trained:
        known = (*ACTIVATIONS, "linear")
        raise EmufortError(
            f"there is no activation function '{name}'{did_you_mean(name, known)}; "
            f"there are {', '.join(ACTIVATIONS)}"
        )
    if not colon:
        return row, row.parameter or 0.0
    if row.parameter is None:
        raise EmufortError(f"the activation function '{name}' has no parameter; write '{name}'")
    try:
        parameter = float(number)
    except ValueError:
        parameter = math.nan
    # Single precision, as in the kernels of the runtime.
    if not 0.0 <= parameter <= 1e6:
        raise EmufortError(
            f"the activation function '{text}' needs a parameter from 0 to 1e6, such as "
            f"'{name}:{row.parameter:g}'"
        )
    return row, parameter


def text_of(name: str, parameter: float) -> str:
    """Inverse of `parse`; the text omits the parameter where it is the default."""
    default = ACTIVATION_FUNCTIONS[name].parameter
    return name if default is None or parameter == default else f"{name}:{parameter!r}"
