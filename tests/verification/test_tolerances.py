"""Rows on which outputs vary, and tolerances that follow from rounding errors."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.agreement import allowed_differences, rounding_bound
from emufort.export.golden import output_spread
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.network.emulator import Emulator
from emufort.verification import verify
from emufort.verification.rows import draw_rows, live_rows, of_single_host
from tests.export.emulators import inputs, mixed, random_emulator
from tests.importing.models import model_of, node

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")


def amplifying(depth: int, gain: float) -> Emulator:
    """Return a network of many layers, each of which amplifies differences."""
    emulator = random_emulator(mixed(), (32,) * depth, "tanh")
    parameters = {
        name: array * np.float32(gain) if name.endswith("weight") else array
        for name, array in emulator.parameters.items()
    }
    return replace(emulator, parameters=parameters)


def bundle_of(emulator: Emulator, folder: Path) -> Bundle:
    x = inputs(emulator.contract, 60)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    return export(emulator, data, folder / "bundle", golden=32)


def peaked() -> Emulator:
    """Return a network with an output that varies in 1 % of -100 to 100, and one that does not."""
    nodes = [
        node("Abs", "x", "size"),
        node("Sub", "one size", "difference"),
        node("Relu", "difference", "peak"),
        node("Sub", "less size", "negative"),
        node("Relu", "negative", "nothing"),
        node("Concat", "peak nothing x", "y", axis=1),
    ]
    constants = {"one": np.array([0.5]), "less": np.array([-1.0])}
    return emulator_of(read_graph(model_of(nodes, {"x": ["n", 1]}, {"y": ["n", 3]}, constants)))


def samples() -> np.ndarray:
    """Return inputs (n, 1) that are near 0, where the peak is, or at the limits."""
    return np.array([-100.0, 100.0, *np.linspace(-1.0, 1.0, 200)])[:, None]


def test_rows_are_drawn_where_the_outputs_vary() -> None:
    emulator = peaked()
    known = samples()
    plain = emulator.predict(draw_rows(emulator.contract, known, 1000))
    assert np.mean(plain[:, 0] > 0) < 0.01
    rows, dead = live_rows(emulator, known, 1000)
    assert rows.shape == (1000, 1)
    np.testing.assert_array_equal(rows, rows.astype(np.float32))
    y = emulator.predict(rows)
    assert np.mean(y[:, 0] > 0) > 0.002
    assert dead == [emulator.contract.output_columns[1].name]
    # the other rows stay: they cover the range
    assert np.abs(rows).max() > 99.0


def test_outputs_that_vary_leave_the_rows_as_they_are() -> None:
    emulator = random_emulator(mixed(), (8,), "tanh")
    known = inputs(emulator.contract, 40)
    rows, dead = live_rows(emulator, known, 500)
    np.testing.assert_array_equal(rows, draw_rows(emulator.contract, known, 500))
    assert dead == []


def test_tolerances_follow_from_the_rounding_error() -> None:
    def allowed(emulator: Emulator, tolerance: float | None = None) -> np.ndarray:
        x = inputs(emulator.contract, 300)
        spread = output_spread(emulator.contract, emulator.predict(x))
        return allowed_differences(emulator, x, spread, tolerance)

    usual = random_emulator(mixed(), (32, 32), "tanh")
    assert set(allowed(usual)) == {1e-5}
    assert set(allowed(usual, 1e-4)) == {1e-4}
    assert set(allowed(usual.in_precision("double"))) == {1e-12}
    deep = amplifying(10, 3.0)
    assert 1e-5 < allowed(deep).max() < 1e-3
    assert set(allowed(deep.in_precision("double"))) == {1e-12}
    assert allowed(amplifying(30, 4.0)).max() == pytest.approx(1e-3)
    noise = np.array([1e-4])
    assert rounding_bound(noise, "single") == 2e-4
    assert rounding_bound(noise, "double") == 2e-4 * 2.0**-29


@needs_gfortran
def test_a_deep_network_is_verified_and_its_tolerances_are_stated(tmp_path: Path) -> None:
    bundle = bundle_of(amplifying(10, 3.0), tmp_path)
    assert 1e-5 < bundle.manifest.tolerance <= 1e-3
    result = verify(bundle, rows=300, flags="-O1")
    assert result.passed, result
    stated = result.notes["tolerance_by_rounding_error"]
    assert stated and set(stated) <= {c.name for c in bundle.manifest.contract.output_columns}
    assert all(1e-5 < value <= 1e-3 for value in stated.values())
    live = next(c for c in result.comparisons if c.name == "live inputs")
    assert live.passed


def test_a_host_in_single_precision_clips_to_limits_that_it_can_hold() -> None:
    contract = Contract.from_dict(
        {
            "name": "share",
            "input": [{"name": "share", "transform": "logit", "range": [0.001, 0.999]}],
            "output": [{"name": "y"}],
        }
    )
    model = model_of([node("Sinh", "x", "y")], {"x": ["n", 1]}, {"y": ["n", 1]}, {})
    emulator = emulator_of(read_graph(model), contract=contract, precision="double")
    limit = float(np.float32(0.999))
    found = of_single_host(emulator).predict(np.array([[2.0], [limit], [0.5]]))
    assert found[0] == found[1]
    np.testing.assert_allclose(found[1], np.sinh(np.log(limit / (1.0 - limit))), rtol=1e-12)
    assert abs(emulator.predict(np.array([[2.0]]))[0] / found[0] - 1.0) > 1e-7
    assert found[2] == emulator.predict(np.array([[0.5]]))[0]


def test_outputs_that_never_vary_are_named(tmp_path: Path) -> None:
    emulator = peaked()
    x = samples()
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    result = verify(export(emulator, data, tmp_path / "bundle"), rows=500, compiler="no-compiler")
    live = next(c for c in result.comparisons if c.name == "live inputs")
    assert not live.passed and not live.failed
    assert str(live.skipped).endswith("constant: y[1]")
    assert result.status == "not verified"
