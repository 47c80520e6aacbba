"""Units: conversions by the powers of base units, and what is not converted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.dataset.units import Conversion, conversion


@pytest.mark.parametrize(
    ("found", "wanted", "factor", "offset"),
    [
        ("m/s", "m s-1", 1.0, 0.0),
        ("m s^-1", "m s-1", 1.0, 0.0),
        ("m s**-1", "m s-1", 1.0, 0.0),
        ("1/m3", "m-3", 1.0, 0.0),
        ("", "1", 1.0, 0.0),
        ("kg kg-1", "1", 1.0, 0.0),
        ("g/kg", "kg kg-1", 1e-3, 0.0),
        ("hPa", "Pa", 100.0, 0.0),
        ("Pa", "millibar", 0.01, 0.0),
        ("degC", "K", 1.0, 273.15),
        ("K", "celsius", 1.0, -273.15),
        ("mm day-1", "m s-1", 1e-3 / 86400.0, 0.0),
        ("km h-1", "m s-1", 1.0 / 3.6, 0.0),
        ("W m-2", "kg s-3", 1.0, 0.0),
        ("J/kg/K", "J kg-1 K-1", 1.0, 0.0),
        ("m2 s-2", "J kg-1", 1.0, 0.0),
        ("µm", "m", 1e-6, 0.0),
        ("cm-3", "m-3", 1e6, 0.0),
        ("%", "1", 0.01, 0.0),
        ("kg.m-2", "g m-2", 1e3, 0.0),
        ("1e3 m", "km", 1.0, 0.0),
        ("hours", "s", 3600.0, 0.0),
    ],
)
def test_units_of_the_same_quantity_are_converted(
    found: str, wanted: str, factor: float, offset: float
) -> None:
    assert conversion(found, wanted) == Conversion(factor, offset)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("m", "s"),
        ("", "m"),
        ("", "%"),
        ("1", "%s"),
        ("Pas", "Pa"),
        ("degC m-1", "K m-1"),
        ("furlong", "m"),
        ("m//s", "m"),
        ("m/", "m"),
        ("0 m", "m"),
        ("1e99 1e99 1e99 1e99 m", "m"),
        ("m" * 100, "m"),
        ("months", "s"),
    ],
)
def test_other_units_are_not(found: str, wanted: str) -> None:
    assert conversion(found, wanted) is None


def test_equal_texts_are_the_same_units_whatever_they_mean() -> None:
    assert conversion("furlong", "furlong") == Conversion()


def test_values_that_do_not_change_are_not_copied() -> None:
    values = np.arange(3.0)
    unchanged = conversion("m/s", "m s-1")
    assert unchanged is not None
    assert unchanged(values) is values
    celsius = conversion("degC", "K")
    assert celsius is not None
    np.testing.assert_array_equal(celsius(values), values + 273.15)


PARTS = st.lists(
    st.tuples(st.sampled_from(["m", "kg", "g", "s", "K", "hPa", "W", "km", "day"]),
              st.integers(-3, 3)),
    min_size=1, max_size=4,
)  # fmt: skip


@given(parts=PARTS, other=PARTS)
def test_a_change_and_its_inverse_cancel(parts: list[tuple[str, int]], other: list) -> None:
    one = " ".join(f"{name}{power or 1}" for name, power in parts)
    two = " ".join(f"{name}{power or 1}" for name, power in other)
    there, back = conversion(one, two), conversion(two, one)
    assert (there is None) == (back is None)
    assert conversion(one, " ".join(reversed(one.split()))) == Conversion()
    if there is not None and back is not None:
        assert there.factor * back.factor == pytest.approx(1.0, rel=1e-15)


@given(found=st.text(max_size=70), wanted=st.sampled_from(["1", "m s-1", "K"]))
def test_any_text_is_taken(found: str, wanted: str) -> None:
    done = conversion(found, wanted)
    assert done is None or np.isfinite([done.factor, done.offset]).all()
