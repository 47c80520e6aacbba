"""Units of variables in files and contracts: the same, convertible, or different.

The texts are those of UDUNITS, of which this module knows the SI units with their prefixes and the
other units of the table below. Units that it does not know are only equal to the same text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: SI base unit -> its position in the exponents of a unit; the radian has the dimension 1.
_BASE = {"m": 0, "kg": 1, "s": 2, "K": 3, "mol": 4, "A": 5, "cd": 6}

#: Unit -> the same in units of a line above or of the SI. A prefix may stand before the first ones.
_WITH_PREFIX = {
    "m": "m", "s": "s", "K": "K", "mol": "mol", "A": "A", "cd": "cd", "g": "1e-3 kg", "rad": "1",
    "Hz": "s-1", "N": "kg m s-2", "Pa": "N m-2", "J": "N m", "W": "J s-1", "bar": "1e5 Pa",
    "meter": "m", "metre": "m", "gram": "g", "second": "s", "kelvin": "K", "pascal": "Pa",
    "joule": "J", "watt": "W", "l": "1e-3 m3", "L": "1e-3 m3", "litre": "1e-3 m3",
}  # fmt: skip
_ALONE = {
    "%": "1e-2", "percent": "1e-2", "ppm": "1e-6", "ppmv": "1e-6", "ppb": "1e-9", "ppbv": "1e-9",
    "min": "60 s", "minute": "60 s", "h": "3600 s", "hr": "3600 s", "hour": "3600 s",
    "d": "86400 s", "day": "86400 s", "atm": "101325 Pa", "sec": "s", "micron": "1e-6 m",
}  # fmt: skip
_DEFINITIONS = {**_WITH_PREFIX, **_ALONE}
_PREFIXES = {
    "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2, "m": -3, "u": -6, "µ": -6,
    "μ": -6, "n": -9, "p": -12, "mega": 6, "kilo": 3, "hecto": 2, "centi": -2, "milli": -3,
    "micro": -6, "nano": -9,
}  # fmt: skip
#: Names of the degree Celsius, whose zero is 273.15 K.
_CELSIUS = {"degC", "deg_C", "degree_C", "degrees_C", "celsius", "Celsius", "°C", "degree_Celsius",
            "degrees_Celsius", "degrees_celsius", "degree_celsius"}  # fmt: skip
_ZERO_CELSIUS = Fraction(27315, 100)

_NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d{1,2})?")
_TERM = re.compile(r"([^\W\d]+|%|°C)(?:(?:\^|\*\*)?([+-]?\d))?", re.UNICODE)
#: Names of fewer letters have no plural.
_SHORTEST_PLURAL = 3
#: A text longer than this is not parsed; files are untrusted.
_LONGEST = 64


@dataclass(frozen=True)
class _Unit:
    """A unit as factor times powers of base units."""

    factor: Fraction
    powers: tuple[int, ...]

    def __mul__(self, other: _Unit) -> _Unit:
        powers = (a + b for a, b in zip(self.powers, other.powers, strict=True))
        return _Unit(self.factor * other.factor, tuple(powers))

    def __pow__(self, power: int) -> _Unit:
        return _Unit(self.factor**power, tuple(power * p for p in self.powers))


_ONE = _Unit(Fraction(1), (0,) * len(_BASE))


@dataclass(frozen=True)
class Conversion:
    """A change of units, ``factor * value + offset``."""

    factor: float = 1.0
    offset: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether the numbers change."""
        return self != Conversion()

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values in the other units; the same array if nothing changes."""
        if not self.changes:
            return values
        return values * self.factor + self.offset


@lru_cache(256)
def conversion(found: str, wanted: str) -> Conversion | None:
    """Return the change from one unit to another, None if they measure different quantities."""
    if found == wanted or {found, wanted} == {"", "1"}:
        return Conversion()
    if not found or not wanted:  # units are missing
        return None
    (one, zero), (other, other_zero) = _with_zero(found), _with_zero(wanted)
    if one is None or other is None or one.powers != other.powers:
        return None
    # A temperature in degrees Celsius and one in kelvin; only whole temperatures have a zero.
    try:
        factor, offset = float(one.factor / other.factor), float((zero - other_zero) / other.factor)
    except OverflowError:
        return None
    return Conversion(factor, offset) if factor else None


def _with_zero(text: str) -> tuple[_Unit | None, Fraction]:
    """Return a unit, and where its zero lies in base units."""
    text = text.strip()
    if text in _CELSIUS:
        return _parsed("K"), _ZERO_CELSIUS
    return _parsed(text), Fraction(0)


@lru_cache(256)
def _parsed(text: str) -> _Unit | None:
    """Return the unit that a text means, None if it is not known."""
    if len(text) > _LONGEST:
        return None
    found, inverse = _ONE, False
    # "/" divides by the next term only, blanks, points and asterisks multiply
    text = text.replace("**", "^")
    for part in re.findall(r"/|[^\s/*·]+", text.replace("·", " ")):
        if part == "/":
            if inverse:
                return None
            inverse = True
            continue
        for term in _terms(part):
            unit = _of_term(term)
            if unit is None:
                return None
            found, inverse = found * (unit**-1 if inverse else unit), False
    return None if inverse else found


def _terms(part: str) -> list[str]:
    """Return the terms of a part, which points may separate, as in ``kg.m-2``."""
    return [part] if _NUMBER.fullmatch(part) else part.split(".")


def _of_term(term: str) -> _Unit | None:
    if _NUMBER.fullmatch(term):
        factor = Fraction(term)
        return _Unit(factor, _ONE.powers) if factor else None
    match = _TERM.fullmatch(term)
    unit = None if match is None else _named(match[1])
    if match is None or unit is None:
        return None
    return unit ** int(match[2] or 1)


def _named(name: str) -> _Unit | None:
    if name in _BASE:
        return _Unit(Fraction(1), tuple(int(i == _BASE[name]) for i in range(len(_BASE))))
    # "hours", but not "Pas"
    singular = name[:-1] if name.endswith("s") and len(name) > _SHORTEST_PLURAL else name
    definition = _DEFINITIONS.get(name) or _DEFINITIONS.get(singular)
    if definition is not None:
        return _parsed(definition)
    for prefix, power in _PREFIXES.items():
        rest = name.removeprefix(prefix)
        if rest != name and rest in _WITH_PREFIX:
            unit = _named(rest)
            return None if unit is None else _Unit(unit.factor * Fraction(10) ** power, unit.powers)
    return None
