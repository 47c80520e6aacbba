"""Measure the parcel model: speed on one core, accuracy, and skill of the classical schemes.

python -m benchmarks.parcel_model [--samples 2000] [--json results.json]
"""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from emufort.processes.aerosol_activation import arg2000, mbn2014
from emufort.processes.aerosol_activation.constants import (
    CONSTANTS,
    PYRCEL,
    PhysicalConstants,
)
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.processes.aerosol_activation.labelling.inputs import (
    sampled_inputs,
    split_columns,
)
from emufort.processes.aerosol_activation.labelling.recipe import Recipe
from emufort.processes.aerosol_activation.labelling.sampling import sample_split
from emufort.processes.aerosol_activation.parcel_model import (
    STATUS_MEANINGS,
    STATUS_PEAK,
    ParcelOptions,
    ParcelResult,
    compiler,
    solve_cells,
    solve_modes,
)
from emufort.processes.aerosol_activation.preset import Preset

ROOT = Path(__file__).resolve().parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "pyrcel_smax.nc"
#: Inputs in the order of the classical schemes.
VARIABLES = (
    *("air_temperature", "air_pressure", "updraft_speed"),
    *("number_concentration", "dry_median_radius", "hygroscopicity"),
)
DATA = ROOT / "python" / "emufort" / "data" / "activation.nc"


def processor() -> str:
    """Return the model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


@dataclass(frozen=True)
class Samples:
    """Samples of a preset."""

    preset: Preset
    columns: dict[str, NDArray[np.float64]]

    @classmethod
    def draw(cls, preset: Preset, n: int) -> Samples:
        """Draw n test samples."""
        inputs = sampled_inputs(preset)
        return cls(preset, split_columns(sample_split("test", n, 4242, inputs), inputs))

    def first(self, n: int) -> Samples:
        """Return the first n samples."""
        return Samples(self.preset, {name: values[:n] for name, values in self.columns.items()})

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Geometric standard deviations of the modes, (mode,)."""
        return np.array([mode.sigma for mode in self.preset.modes.values()])

    def solve(
        self,
        bins: int,
        options: ParcelOptions | None = None,
        constants: PhysicalConstants | None = None,
    ) -> ParcelResult:
        """Solve the samples, with the constants of the preset by default."""
        constants = constants or self.preset.physical_constants()
        return solve_modes(
            self.columns, self.sigma, bins=bins, constants=constants, options=options
        )

    def number_fractions(
        self, found: ParcelResult, constants: PhysicalConstants | None = None
    ) -> NDArray[np.float64]:
        """Return the number activated fractions, (n, mode)."""
        constants = constants or self.preset.physical_constants()
        sigma = {"geometric_standard_deviation": self.sigma}
        context = self.columns | sigma | asdict(constants)
        smax = found.max_supersaturation
        return activated_fractions(context, smax)["number_activated_fraction"]


def relative_error(found: ParcelResult, reference: ParcelResult) -> NDArray[np.float64]:
    """Return the relative error of the maximum supersaturation where both have a peak, (k,)."""
    both = (found.status == STATUS_PEAK) & (reference.status == STATUS_PEAK)
    return np.asarray(found.max_supersaturation[both] / reference.max_supersaturation[both] - 1.0)


def measure_speed(samples: Samples, bins: int, repeats: int) -> dict[str, float]:
    """Return samples per second on one core, by CPU time of this process over all repeats."""
    rates = []
    result = None
    for _ in range(repeats):
        started = time.process_time()
        result = samples.solve(bins)
        rates.append(len(result.status) / (time.process_time() - started))
    assert result is not None
    return {
        "samples_per_second_per_core_median": float(np.median(rates)),
        "samples_per_second_per_core_min": float(np.min(rates)),
        "samples_per_second_per_core_max": float(np.max(rates)),
        "steps_per_sample": float(result.steps.mean()),
    }


def measure_convergence(
    samples: Samples, bins: list[int], reference_bins: int
) -> dict[str, dict[str, float]]:
    """Return errors of maximum supersaturation and number fractions against many bins."""
    reference = samples.solve(reference_bins)
    answer: dict[str, dict[str, float]] = {}
    for count in bins:
        found = samples.solve(count)
        error = relative_error(found, reference)
        both = (found.status == STATUS_PEAK) & (reference.status == STATUS_PEAK)
        difference = (samples.number_fractions(found) - samples.number_fractions(reference))[both]
        answer[str(count)] = {
            "smax_rms": float(np.sqrt(np.mean(error**2))),
            "smax_max": float(np.abs(error).max()),
            "number_fraction_rmse": float(np.sqrt(np.mean(difference**2))),
            "status_differs": float((found.status != reference.status).sum()),
        }
    return answer


def measure_tolerance(samples: Samples, bins: int) -> dict[str, float]:
    """Return the error of the step control alone, against a tolerance 100 times smaller."""
    found = samples.solve(bins)
    tight = ParcelOptions(
        relative_tolerance=ParcelOptions().relative_tolerance * 1e-2, maximum_steps=100_000
    )
    error = relative_error(found, samples.solve(bins, tight))
    return {"smax_rms": float(np.sqrt(np.mean(error**2))), "smax_max": float(np.abs(error).max())}


def measure_choices(samples: Samples, bins: int) -> dict[str, dict[str, float]]:
    """Return what choices about the parcel and the constants of pyrcel change."""
    preset = samples.preset
    plain = preset.physical_constants()
    others = {
        **{
            f"initial_supersaturation {value}": replace(plain, initial_supersaturation=value)
            for value in (-0.1, -0.05, -0.03, -0.01, -0.005, -0.001)
        },
        **{
            f"accommodation_coefficient {value}": replace(plain, accommodation_coefficient=value)
            for value in (0.3, 0.5, 0.9)
        },
        "latent_heat of pyrcel": replace(plain, latent_heat=PYRCEL.latent_heat),
        "constants of pyrcel": PYRCEL,
    }
    reference = samples.solve(bins)
    answer = {}
    for name, constants in others.items():
        found = samples.solve(bins, constants=constants)
        error = relative_error(found, reference)
        both = (found.status == STATUS_PEAK) & (reference.status == STATUS_PEAK)
        difference = samples.number_fractions(found, constants) - samples.number_fractions(
            reference
        )
        answer[name] = {
            "smax_median": float(np.median(error)),
            "smax_rms": float(np.sqrt(np.mean(error**2))),
            "number_fraction_rmse": float(np.sqrt(np.mean(difference[both] ** 2))),
            "status_differs": float((found.status != reference.status).sum()),
        }
    return answer


def measure_pyrcel(options: ParcelOptions) -> dict[str, float]:
    """Return differences from pyrcel for identical cells, also of the classical schemes."""
    fixture = xr.load_dataset(FIXTURE)
    found = solve_cells(
        *(fixture[name].values for name in ("air_temperature", "air_pressure", "updraft_speed")),
        *(fixture[name].values for name in ("dry_radius", "number", "cell_hygroscopicity")),
        options=options,
    )
    peak = np.isfinite(fixture["max_supersaturation"].values)
    event = peak & (found.status == STATUS_PEAK)
    error = np.abs(found.max_supersaturation / fixture["max_supersaturation"].values - 1.0)[event]
    inputs = [fixture[name].values for name in VARIABLES]
    sigma = fixture["geometric_standard_deviation"].values
    classical = {
        name: np.abs(
            scheme.max_supersaturation(*inputs, sigma) / fixture[f"smax_{name}"].values - 1.0
        ).max()
        for name, scheme in (("arg2000", arg2000), ("mbn2014", mbn2014))
    }
    return {
        "cases": float(event.size),
        "cases_compared": float(event.sum()),
        "smax_median": float(np.median(error)),
        "smax_max": float(error.max()),
        "arg2000_max": float(classical["arg2000"]),
        "mbn2014_max": float(classical["mbn2014"]),
    }


def measure_data() -> dict[str, Any]:
    """Return counts of the embedded data set and the test skill of the classical schemes."""
    data = xr.load_dataset(DATA)
    splits = data["split"].attrs["flag_meanings"].split()
    counts = {
        split: {
            name: int(((data["status"] == flag) & (data["split"] == part)).sum())
            for flag, name in enumerate(STATUS_MEANINGS)
        }
        for part, split in enumerate(splits)
    }
    rows = (data["split"].values == splits.index("test")) & (data["status"].values == STATUS_PEAK)
    columns = {name: data[name].values.astype(np.float64)[rows] for name in VARIABLES}
    columns["geometric_standard_deviation"] = data["geometric_standard_deviation"].values
    columns |= {name: data[name].values for name in CONSTANTS}
    target = data["number_activated_fraction"].values[rows].astype(np.float64)
    skill = {}
    for name in ("arg2000", "ghosh2025", "mbn2014"):
        smax = data[f"smax_{name}"].values[rows].astype(np.float64)
        error = activated_fractions(columns, smax)["number_activated_fraction"] - target
        skill[name] = {
            "rmse": float(np.sqrt(np.mean(error**2))),
            "r2": float(1.0 - np.sum(error**2) / np.sum((target - target.mean()) ** 2)),
        }
    heights = data["height_of_smax"].values
    percentiles = {str(q): float(np.nanpercentile(heights, q)) for q in (50, 90, 99, 100)}
    return {
        "bytes": DATA.stat().st_size,
        "status_counts": counts,
        "number_fraction_skill_on_test": skill,
        "height_of_smax_percentiles_m": percentiles,
    }


def measure_labels(every: int = 90) -> dict[str, float]:
    """Return the error of the steps in the embedded labels, against a tolerance of 1e-8."""
    data = xr.load_dataset(DATA).isel(sample=slice(None, None, every))
    exact = ParcelOptions(relative_tolerance=1e-8, maximum_steps=200_000)
    smax, height, cooled = [], [], []
    for is_train, bins in ((True, Recipe.bins), (False, Recipe.judging_bins)):
        rows = data.isel(sample=(data["split"].values == 0) == is_train)
        true = solve_modes(
            {name: rows[name].values.astype(np.float64) for name in VARIABLES},
            data["geometric_standard_deviation"].values,
            bins=bins,
            constants=PhysicalConstants.of({name: data[name].values for name in CONSTANTS}),
            options=exact,
        )
        peak = true.status == STATUS_PEAK
        assert (true.status == rows["status"].values).all()
        smax.append(rows["max_supersaturation"].values[peak] / true.max_supersaturation[peak] - 1)
        height.append(rows["height_of_smax"].values[peak] / true.height_of_smax[peak] - 1)
        cooled.append(rows["temperature_at_smax"].values[peak] - true.temperature_at_smax[peak])
    error, moved = np.abs(np.concatenate(smax)), np.abs(np.concatenate(height))
    return {
        "rows": float(data.sizes["sample"]),
        "smax_rms": float(np.sqrt(np.mean(error**2))),
        "smax_99_percent": float(np.percentile(error, 99)),
        "smax_max": float(error.max()),
        "height_99_percent": float(np.percentile(moved, 99)),
        "height_max": float(moved.max()),
        "temperature_max": float(np.abs(np.concatenate(cooled)).max()),
    }


def main(
    preset: Annotated[str, typer.Option(help="Preset whose samples are measured.")] = "e3sm_mam4",
    samples: Annotated[int, typer.Option(min=100, help="Samples for the speed test.")] = 2000,
    reference_samples: Annotated[
        int, typer.Option(min=10, help="Samples for the convergence test.")
    ] = 500,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of the speed test.")] = 5,
    out: Annotated[Path | None, typer.Option("--json", help="Also write the results here.")] = None,
) -> None:
    """Measure the parcel model and print the results as JSON."""
    many = Samples.draw(Preset.load(preset), samples)
    few = many.first(reference_samples)
    few.solve(10)  # compile, warm up
    results: dict[str, Any] = {
        "processor": processor(),
        "compiler": compiler().version,
        "preset": preset,
        "samples": samples,
        "speed": {str(bins): measure_speed(many, bins, repeats) for bins in (40, 60, 100, 150)},
        "against_400_bins": measure_convergence(few, [20, 40, 60, 100, 150], 400),
        "convergence_samples": reference_samples,
        "choices": measure_choices(few, 60),
        "step_control_40_bins": measure_tolerance(few, 40),
    }
    if FIXTURE.exists():
        results["against_pyrcel"] = measure_pyrcel(ParcelOptions())
        tight = ParcelOptions(relative_tolerance=1e-7, maximum_steps=100_000)
        results["against_pyrcel_tolerance_1e-7"] = measure_pyrcel(tight)
    if DATA.exists():
        results["embedded_data"] = measure_data()
        results["embedded_labels"] = measure_labels()
    text = json.dumps(results, indent=2)
    print(text)
    if out is not None:
        out.write_text(text + "\n")


if __name__ == "__main__":
    typer.run(main)
