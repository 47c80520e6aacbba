"""Make the frozen reference that the parcel model and the classical schemes are tested against.

Runs pyrcel (Rothenberg and Wang 2016) on cells that the fixture stores, so that both models solve
the same equations for the same particles. Needs the `oracle` extra; takes minutes; run again only
to change the reference:

    python data_prep/make_pyrcel_fixture.py
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import xarray as xr
from scipy.special import ndtr
from scipy.stats import qmc

from emufort.processes.aerosol_activation.labelling.inputs import (
    sampled_inputs,
    scale_unit_cube,
    split_columns,
)
from emufort.processes.aerosol_activation.preset import Preset

FIXTURE = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "pyrcel_smax.nc"

#: Modes and ranges of the cases; the constants are those of pyrcel.
PRESET = Preset.load("e3sm_mam4")
MODES = list(PRESET.modes)
GEOMETRIC_STANDARD_DEVIATION = np.array([mode.sigma for mode in PRESET.modes.values()])
INPUTS = sampled_inputs(PRESET)

RELATIVE_TOLERANCE = 1e-8
# pyrcel's defaults (1e-8 for the supersaturation, 1e-12 m for radii) are as large as some values
# themselves
ABSOLUTE_TOLERANCE_BULK = (1e-6, 1e-4, 1e-6, 1e-12, 1e-12, 1e-4, 1e-11)
ABSOLUTE_TOLERANCE_RADIUS = 1e-15
INITIAL_SUPERSATURATION = -0.02
ACCOMMODATION = 1.0
MAXIMUM_ASCENT = 3000.0
MAXIMUM_STEPS = 200_000
TRAJECTORY_POINTS = 20_001

#: How a maximum was found: at the top of the ascent, which is none; by pyrcel's event; in the saved
#: trajectory, where the event failed or was not the maximum; or not at all because the integration
#: failed.
METHODS = ("none", "event", "trajectory", "failed")


def lognormal_cells(
    columns: dict[str, np.ndarray], bins: int, half_width: float
) -> dict[str, np.ndarray]:
    """Cells of equal width in ln radius with their exact numbers, shape (n, mode * bins)."""
    edges = np.linspace(-half_width, half_width, bins + 1)
    weight = np.diff(ndtr(edges))
    middle = 0.5 * (edges[1:] + edges[:-1])
    growth = np.exp(np.log(GEOMETRIC_STANDARD_DEVIATION)[:, None] * middle)  # (mode, bins)
    n = columns["air_temperature"].size
    ones = np.ones(bins)
    return {
        "dry_radius": (columns["dry_median_radius"][:, :, None] * growth).reshape(n, -1),
        "number": (columns["number_concentration"][:, :, None] * weight).reshape(n, -1),
        "cell_hygroscopicity": (columns["hygroscopicity"][:, :, None] * ones).reshape(n, -1),
    }


def main(
    out: Annotated[
        Path, typer.Option(help="Fixture to write; the manifest goes next to it.")
    ] = FIXTURE,
    cases: Annotated[int, typer.Option(help="Number of cases.")] = 192,
    bins: Annotated[int, typer.Option(help="Cells per mode.")] = 10,
    half_width: Annotated[
        float, typer.Option(help="Half width of a mode's cells, standard deviations.")
    ] = 3.0,
    seed: Annotated[int, typer.Option(help="Seed of the cases.")] = 20000,
) -> None:
    """Run pyrcel on the cases and write the fixture and its manifest."""
    import diffrax
    import jax
    import jax.numpy as jnp
    from pyrcel import integrator
    from pyrcel.activation import arg2000, mbn2014
    from pyrcel.equilibrate import equilibrate_initial_state

    # compiled once for all cases: pyrcel's own calls compile anew for each, which takes minutes and
    # exhausts memory maps
    equilibrate = jax.jit(equilibrate_initial_state)
    schemes = {"arg2000": jax.jit(arg2000), "mbn2014": jax.jit(mbn2014)}

    unit = qmc.LatinHypercube(len(INPUTS), rng=np.random.default_rng(seed)).random(cases)
    samples = scale_unit_cube(unit, INPUTS)
    columns = split_columns(samples, INPUTS)
    cells = lognormal_cells(columns, bins, half_width)
    n_cells = bins * len(MODES)
    tolerance = jnp.asarray([*ABSOLUTE_TOLERANCE_BULK, *[ABSOLUTE_TOLERANCE_RADIUS] * n_cells])
    values = {
        name: np.full(cases, np.nan)
        for name in (
            "max_supersaturation",
            "time_of_smax",
            "temperature_at_smax",
            "smax_arg2000",
            "smax_mbn2014",
        )
    }
    fractions = {
        name: np.full((cases, len(MODES)), np.nan)
        for name in ("fraction_arg2000", "fraction_mbn2014")
    }
    method = np.full(cases, METHODS.index("none"), np.int8)
    started = time.monotonic()
    for i in range(cases):
        temperature, pressure, speed = (
            jnp.asarray(columns[k][i]) for k in ("air_temperature", "air_pressure", "updraft_speed")
        )
        dry, number, kappa = (
            jnp.asarray(cells[k][i]) for k in ("dry_radius", "number", "cell_hygroscopicity")
        )
        y0 = equilibrate(temperature, INITIAL_SUPERSATURATION, pressure, dry, kappa, number)
        parameters = (dry, number, kappa, jnp.asarray(ACCOMMODATION), speed)
        # the solution object, not find_smax: only its result code tells an event from a failure
        found = integrator._solve_to_smax(
            y0, parameters, MAXIMUM_ASCENT / speed, RELATIVE_TOLERANCE, tolerance, MAXIMUM_STEPS
        )
        times = jnp.linspace(0.0, MAXIMUM_ASCENT / speed, TRAJECTORY_POINTS)
        ascent = integrator._solve(
            y0, parameters, times, RELATIVE_TOLERANCE, tolerance, None, MAXIMUM_STEPS
        )
        if ascent.result != diffrax.RESULTS.successful:
            method[i] = METHODS.index("failed")
            continue
        history = np.asarray(ascent.ys[:, 6])
        top = int(history.argmax())
        # pyrcel may step over a maximum of dS/dt's sign, or stop at a ripple that one cell makes:
        # an event counts if nothing on the way to the top of the ascent is higher
        if found.result == diffrax.RESULTS.event_occurred and float(found.ys[-1, 6]) > history[
            top
        ] * (1.0 - 1e-6):
            method[i] = METHODS.index("event")
            values["max_supersaturation"][i] = float(found.ys[-1, 6])
            values["temperature_at_smax"][i] = float(found.ys[-1, 2])
        elif top < TRAJECTORY_POINTS - 1:
            method[i] = METHODS.index("trajectory")
            peak, _, _ = integrator._peak_from_trajectory(times, ascent.ys, parameters)
            values["max_supersaturation"][i] = peak
            values["temperature_at_smax"][i] = float(ascent.ys[top, 2])
        modes = (
            columns["dry_median_radius"][i] * 1e6,
            GEOMETRIC_STANDARD_DEVIATION,
            columns["number_concentration"][i] * 1e-6,
            columns["hygroscopicity"][i],
        )
        for name, scheme in schemes.items():  # accommodation coefficient 1 is their default
            found, _, fraction = scheme(speed, temperature, pressure, *modes)
            values[f"smax_{name}"][i] = float(found)
            fractions[f"fraction_{name}"][i] = np.asarray(fraction)
        if i % 16 == 15:
            print(f"{i + 1} of {cases}, {time.monotonic() - started:.0f} s", flush=True)

    variables: dict[str, tuple] = {}
    for name, value in columns.items():
        variables[name] = (("case", "mode") if value.ndim == 2 else ("case",), value)
    variables |= {name: (("case", "cell"), value) for name, value in cells.items()}
    variables |= {name: (("case",), value) for name, value in values.items()}
    variables |= {name: (("case", "mode"), value) for name, value in fractions.items()}
    variables["method"] = (("case",), method)
    variables["geometric_standard_deviation"] = (("mode",), GEOMETRIC_STANDARD_DEVIATION)
    dataset = xr.Dataset(variables, coords={"mode": MODES})
    dataset.attrs["comment"] = (
        "SI units; event is 1 where pyrcel found a maximum of the supersaturation"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    dataset.to_netcdf(out, encoding={name: {"zlib": True} for name in variables})
    manifest = {
        "file": out.name,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "made_by": "data_prep/make_pyrcel_fixture.py",
        "script_sha256": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "cases": cases,
        "cases_by_method": {name: int((method == flag).sum()) for flag, name in enumerate(METHODS)},
        "bins_per_mode": bins,
        "half_width": half_width,
        "seed": seed,
        "initial_supersaturation": INITIAL_SUPERSATURATION,
        "accommodation": ACCOMMODATION,
        "maximum_ascent_m": MAXIMUM_ASCENT,
        "solver": "diffrax Kvaerno5; event dS/dt = 0 falling, checked on a trajectory of the "
        "whole ascent",
        "trajectory_points": TRAJECTORY_POINTS,
        "relative_tolerance": RELATIVE_TOLERANCE,
        "absolute_tolerance_bulk": ABSOLUTE_TOLERANCE_BULK,
        "absolute_tolerance_radius_m": ABSOLUTE_TOLERANCE_RADIUS,
        "versions": {
            name: version(name) for name in ("pyrcel", "diffrax", "jax", "jaxlib", "numpy", "scipy")
        },
        "python": platform.python_version(),
    }
    out.with_suffix(".json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{out}: {manifest['cases_by_method']}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    typer.run(main)
