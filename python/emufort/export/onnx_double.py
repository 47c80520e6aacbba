"""Operators that ONNX Runtime has in single precision only, made of those that it has in double."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emufort.network.activations import Graph

#: (1 + 2 x) exp(x**2) erfc(x) = p((x - 2)/(x + 2)) for x >= 0: the Chebyshev series of degree 24 as
#: powers, lowest first. M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981),
#: have this form. The error of erf is below 5e-16.
_ERFC = (
    1.2769783815525289,
    -0.09276382658574522,
    -0.16603039761533683,
    0.16405128003334057,
    -0.05422000098938379,
    -0.008034015078553464,
    0.008722653817412258,
    0.0012713388980090158,
    -0.0014568132813392836,
    -0.0004543401657863993,
    0.00020636268647766627,
    0.00015103514399068322,
    -1.4901062178327189e-06,
    -3.640725735279041e-05,
    -1.3550461660621755e-05,
    3.666977126641099e-06,
    5.3380619799498e-06,
    1.5863413025348713e-06,
    -8.486280593803529e-07,
    -9.42043006762512e-07,
    -1.283145001602249e-07,
    2.3191445148773556e-07,
    9.110270309406622e-08,
    -2.4630020041347383e-08,
    -1.4276847782986204e-08,
)


def _leaky_relu(graph: Graph, x: str, y: str, alpha: float = 0.01) -> str:
    zero = graph.constant(f"{y}_zero", 0.0)
    below = graph.node("Mul", [x, graph.constant(f"{y}_slope", alpha)], f"{y}_below")
    return graph.node("Where", [graph.node("Greater", [x, zero], f"{y}_above"), x, below], y)


def _elu(graph: Graph, x: str, y: str, alpha: float = 1.0) -> str:
    zero, one = graph.constant(f"{y}_zero", 0.0), graph.constant(f"{y}_one", 1.0)
    power = graph.node("Exp", [graph.node("Min", [x, zero], f"{y}_least")], f"{y}_exp")
    below = graph.node(
        "Mul",
        [graph.node("Sub", [power, one], f"{y}_expm1"), graph.constant(f"{y}_scale", alpha)],
        f"{y}_below",
    )
    return graph.node("Where", [graph.node("Greater", [x, zero], f"{y}_above"), x, below], y)


def _softplus(graph: Graph, x: str, y: str) -> str:
    one = graph.constant(f"{y}_one", 1.0)
    size = graph.node("Neg", [graph.node("Abs", [x], f"{y}_size")], f"{y}_negative")
    sum_ = graph.node("Add", [graph.node("Exp", [size], f"{y}_exp"), one], f"{y}_sum")
    rest = graph.node("Log", [sum_], f"{y}_rest")
    return graph.node("Add", [graph.node("Relu", [x], f"{y}_relu"), rest], y)


def _hardswish(graph: Graph, x: str, y: str) -> str:
    three, six = graph.constant(f"{y}_three", 3.0), graph.constant(f"{y}_six", 6.0)
    above = graph.node("Relu", [graph.node("Add", [x, three], f"{y}_shifted")], f"{y}_relu")
    part = graph.node("Div", [graph.node("Min", [above, six], f"{y}_clipped"), six], f"{y}_part")
    return graph.node("Mul", [x, part], y)


def _erf(graph: Graph, x: str, y: str) -> str:
    two, one = graph.constant(f"{y}_two", 2.0), graph.constant(f"{y}_one", 1.0)
    size = graph.node("Abs", [x], f"{y}_size")
    below, above = (graph.node(o, [size, two], f"{y}_{o.lower()}") for o in ("Sub", "Add"))
    t = graph.node("Div", [below, above], f"{y}_t")
    p = graph.constant(f"{y}_c{len(_ERFC) - 1}", _ERFC[-1])
    for power in range(len(_ERFC) - 2, -1, -1):
        product = graph.node("Mul", [p, t], f"{y}_m{power}")
        constant = graph.constant(f"{y}_c{power}", _ERFC[power])
        p = graph.node("Add", [product, constant], f"{y}_p{power}")
    twice = graph.node("Add", [graph.node("Mul", [size, two], f"{y}_2x"), one], f"{y}_divisor")
    square = graph.node("Neg", [graph.node("Mul", [x, x], f"{y}_x2")], f"{y}_exponent")
    scaled = graph.node("Mul", [graph.node("Exp", [square], f"{y}_exp"), p], f"{y}_scaled")
    erfc = graph.node("Div", [scaled, twice], f"{y}_erfc")
    sign = graph.node("Sign", [x], f"{y}_sign")
    return graph.node("Mul", [sign, graph.node("Sub", [one, erfc], f"{y}_positive")], y)


#: Operator -> function that adds it to a graph, given names of its argument and its result, and its
#: attributes.
IN_DOUBLE: Mapping[str, Callable[..., str]] = {
    "LeakyRelu": _leaky_relu,  # its attribute is single precision
    "Elu": _elu,
    "Softplus": _softplus,
    "HardSwish": _hardswish,
    "Erf": _erf,
}


def attributes_in_double(operator: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an operator that gives double precision instead of single."""
    is_cast = operator == "Cast" and attributes.get("to") == 1  # TensorProto.FLOAT
    return {**attributes, "to": 11} if is_cast else dict(attributes)  # TensorProto.DOUBLE
