"""Write the data set as CF netCDF-4.

The file is written in a temporary folder and then moved into place, so a full disk or a missing
permission leaves no partial file. It contains no date and no path: the same recipe gives the same
bytes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import scipy
from numpy.typing import NDArray

from activation_data.labelling import RESULT_COLUMNS, Recipe, write_atomically
from activation_data.ranges import (
    GEOMETRIC_STANDARD_DEVIATION,
    MODES,
    RANGES,
    VARIABLES,
    range_table,
    split_columns,
)
from activation_data.sampling import SAMPLER, SPLITS, split_seed
from activation_data.solver import STATUS_MEANINGS, STATUS_PEAK, compiler_version, source_hash
from emufort.processes.aerosol_activation import arg2000, mbn2014
from emufort.processes.aerosol_activation import constants as physics
from emufort.processes.aerosol_activation.head import activated_fractions

FILL = np.float32(9.969209968386869e36)  # the netCDF default, stated so that every reader masks it

_LABEL_COMMENT = "missing where status is not peak"

#: units, standard_name (only names of the CF table), long_name, further attributes
_ATTRIBUTES: dict[str, dict[str, str]] = {
    "air_temperature": {
        "units": "K",
        "standard_name": "air_temperature",
        "long_name": "air temperature at the start of the ascent",
    },
    "air_pressure": {
        "units": "Pa",
        "standard_name": "air_pressure",
        "long_name": "air pressure at the start of the ascent",
    },
    "updraft_speed": {
        "units": "m s-1",
        "standard_name": "upward_air_velocity",
        "long_name": "speed of the updraft",
    },
    "number_concentration": {
        "units": "m-3",
        "standard_name": "number_concentration_of_ambient_aerosol_particles_in_air",
        "long_name": "number concentration of the aerosol mode",
    },
    "dry_median_radius": {
        "units": "m",
        "long_name": "number-median dry radius of the aerosol mode",
    },
    "hygroscopicity": {"units": "1", "long_name": "hygroscopicity kappa of the aerosol mode"},
    "max_supersaturation": {
        "units": "1",
        "long_name": "maximum supersaturation over liquid water of the ascending parcel",
        "comment": _LABEL_COMMENT,
    },
    "number_activated_fraction": {
        "units": "1",
        "long_name": "fraction of the number of the mode that activates at max_supersaturation",
        "comment": "lognormal formula on max_supersaturation at air_temperature; " + _LABEL_COMMENT,
    },
    "mass_activated_fraction": {
        "units": "1",
        "long_name": "fraction of the mass of the mode that activates at max_supersaturation",
        "comment": "lognormal formula on max_supersaturation at air_temperature; " + _LABEL_COMMENT,
    },
    "smax_arg2000": {
        "units": "1",
        "long_name": "maximum supersaturation by Abdul-Razzak and Ghan (2000)",
        "comment": "given for every status",
    },
    "smax_mbn2014": {
        "units": "1",
        "long_name": "maximum supersaturation by Morales Betancourt and Nenes (2014)",
        "comment": "given for every status; the scheme searches 1e-5 to 0.5",
    },
    "temperature_at_smax": {
        "units": "K",
        "long_name": "air temperature at the maximum supersaturation",
        "comment": _LABEL_COMMENT,
    },
    "height_of_smax": {
        "units": "m",
        "long_name": "height of the maximum supersaturation above the start",
        "comment": _LABEL_COMMENT,
    },
    "time_of_smax": {
        "units": "s",
        "long_name": "time of the maximum supersaturation after the start",
        "comment": _LABEL_COMMENT,
    },
}

_STATUS_COMMENT = (
    "peak: the supersaturation passed a maximum above zero; no_peak: it still rose at the top of "
    "the ascent; "
    "never_supersaturated: it stayed at or below zero; solver_failure: the solver gave up. "
    "Labels exist for peak only; every sample that was drawn is in the file."
)


def _global_attributes(recipe: Recipe) -> dict[str, Any]:
    """Return the global attributes: everything that is needed to make the file again."""
    options = recipe.options
    return {
        "Conventions": "CF-1.11",
        "title": "Maximum supersaturation and activated aerosol fractions of adiabatic cloud "
        "parcels",
        "institution": "emufort",
        "source": "adiabatic parcel model with kappa-Koehler aerosol in moving sectional bins, "
        "equations and constants "
        "of pyrcel 2.0",
        "references": "Rothenberg and Wang (2016), doi:10.1175/JAS-D-15-0223.1; Petters and "
        "Kreidenweis (2007), "
        "doi:10.5194/acp-7-1961-2007; Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161; "
        "Morales Betancourt and "
        "Nenes (2014), doi:10.5194/gmd-7-2345-2014",
        "history": f"data_prep/make_dataset.py --train {recipe.train} --validation "
        f"{recipe.validation} "
        f"--test {recipe.test} --seed {recipe.seed} --bins {recipe.bins}",
        "license": "CC0-1.0",
        "solver": "emufort parcel model, Rosenbrock RODAS4(3) with arrowhead Jacobian, real64",
        "solver_version": f"sources sha256 {source_hash()}",
        "solver_compiler": compiler_version(),
        "bins_per_mode": np.int32(recipe.bins),
        "bin_half_width": recipe.half_width,
        "bin_scheme": "equal width in ln radius over +-bin_half_width standard deviations, "
        "weights by the exact CDF",
        "relative_tolerance": options.relative_tolerance,
        "initial_supersaturation": options.initial_supersaturation,
        "accommodation_coefficient": options.accommodation,
        "maximum_ascent": options.maximum_ascent,
        "peak_prominence": options.prominence,
        "maximum_steps": np.int32(options.maximum_steps),
        "sampler": "; ".join(f"{split}: {SAMPLER[split]}" for split in SPLITS),
        "seeds": "; ".join(f"{split}: {split_seed(recipe.seed, split)}" for split in SPLITS),
        "range_table": range_table(),
        "constants": "; ".join(f"{name} = {value:.10g}" for name, value in physics.ALL.items()),
        "software": f"numpy {np.__version__}, scipy {scipy.__version__}, netCDF4 "
        f"{netCDF4.__version__}",
        "comment": "Inputs were rounded to single precision before labelling: the stored inputs "
        "are those labelled.",
    }


def data_columns(
    samples: NDArray[np.float32], labels: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return all variables of the data set from samples and labels.

    Parameters
    ----------
    samples : ndarray, shape (n, 15), float32
        Rows in the order of `ranges.RANGES`.
    labels : ndarray, shape (n, 6), float64
        Columns `labelling.RESULT_COLUMNS`.

    Returns
    -------
    dict of str to ndarray
        Float64 values of shape (n,) or (n, mode), NaN for labels where the status is not `peak`;
        `status` int8.
    """
    columns: dict[str, NDArray[Any]] = dict(split_columns(samples))
    sigma = np.array(GEOMETRIC_STANDARD_DEVIATION)
    results = dict(zip(RESULT_COLUMNS, labels.T, strict=True))
    status = results["status"].astype(np.int8)
    for name in ("max_supersaturation", "temperature_at_smax", "height_of_smax", "time_of_smax"):
        columns[name] = np.where(status == STATUS_PEAK, results[name], np.nan)
    context = columns | {"geometric_standard_deviation": sigma}
    columns |= activated_fractions(context, columns["max_supersaturation"])
    t, p, speed, number, radius, kappa = (columns[name] for name in VARIABLES)
    columns["smax_arg2000"] = arg2000.max_supersaturation(t, p, speed, number, radius, kappa, sigma)
    columns["smax_mbn2014"] = mbn2014.max_supersaturation(t, p, speed, number, radius, kappa, sigma)
    columns["status"] = status
    return columns


#: Samples per chunk of a compressed variable.
_CHUNK = 65536


def _add(
    dataset: netCDF4.Dataset,
    name: str,
    kind: str,
    dims: tuple[str, ...],
    values: Any,
    **attributes: Any,
) -> None:
    fill = attributes.pop("_FillValue", None)
    # A reader that iterates over the samples needs memory for one chunk of each variable.
    sizes = [len(dataset.dimensions[d]) for d in dims]
    chunks = [min(n, _CHUNK) for n in sizes] if all(sizes) else None
    variable: netCDF4.Variable[Any] = dataset.createVariable(
        name, np.dtype(kind), dims, zlib=True, complevel=9, shuffle=True, fill_value=fill,
        chunksizes=chunks,
    )  # fmt: skip
    variable.setncatts(attributes)
    variable[:] = values


def write_dataset(
    path: Path, recipe: Recipe, samples: NDArray[np.float32], labels: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Write the data set.

    Parameters
    ----------
    path : Path
        File to write; an existing file is replaced.
    recipe : Recipe
        Recipe of the samples and labels.
    samples : ndarray, shape (n, 15), float32
        Rows in the order of `ranges.RANGES`.
    labels : ndarray, shape (n, 6), float64
        Columns `labelling.RESULT_COLUMNS`.

    Returns
    -------
    dict of str to ndarray
        The variables of `data_columns`, and `split`.

    Raises
    ------
    OSError
        The file cannot be written; no partial file remains.
    """
    columns = data_columns(samples, labels)
    columns["split"] = recipe.split_flags()
    with tempfile.TemporaryDirectory(prefix="emufort_") as folder:
        temporary = Path(folder) / "data.nc"
        try:
            with netCDF4.Dataset(temporary, "w", format="NETCDF4") as dataset:
                _fill(dataset, recipe, columns)
        except RuntimeError as error:  # how the netCDF library reports a full disk
            raise OSError(f"{error} while writing into {folder}: is the disk full?") from error
        write_atomically(path, temporary.read_bytes())
    return columns


def _fill(dataset: netCDF4.Dataset, recipe: Recipe, columns: dict[str, NDArray[Any]]) -> None:
    """Define and write everything in an open file."""
    dataset.setncatts(_global_attributes(recipe))
    dataset.createDimension("sample", columns["status"].size)
    dataset.createDimension("mode", len(MODES))
    # names of the modes as characters would need another dimension; netCDF-4 has strings
    mode = dataset.createVariable("mode", str, ("mode",))
    mode.long_name = "aerosol mode"
    mode[:] = np.array(MODES, dtype=object)
    _add(
        dataset,
        "geometric_standard_deviation",
        "f8",
        ("mode",),
        GEOMETRIC_STANDARD_DEVIATION,
        units="1",
        long_name="geometric standard deviation of the aerosol mode",
    )
    for name, attributes in _ATTRIBUTES.items():
        values = columns[name]
        dims = ("sample", "mode") if values.ndim == 2 else ("sample",)
        extra: dict[str, Any] = dict(attributes)
        if name in VARIABLES:
            bounds = [entry for entry in RANGES if entry.variable == name]
            low, high = min(entry.lower for entry in bounds), max(entry.upper for entry in bounds)
            extra["valid_range"] = np.array([low, high], dtype=np.float32)
            if bounds[0].mode is not None:
                extra["comment"] = "ranges differ by mode: see the global attribute range_table"
            stored = values.astype(np.float32)
        else:
            if "fraction" in name:
                extra["valid_range"] = np.array([0.0, 1.0], dtype=np.float32)
            extra["_FillValue"] = FILL
            stored = np.where(np.isfinite(values), values, FILL).astype(np.float32)
        if name == "number_activated_fraction":
            extra["ancillary_variables"] = "status"
        if name in ("max_supersaturation", "mass_activated_fraction"):
            extra["ancillary_variables"] = "status"
        _add(dataset, name, "f4", dims, stored, **extra)
    for name, meanings, text, comment in (
        ("status", STATUS_MEANINGS, "outcome of the parcel model", _STATUS_COMMENT),
        ("split", SPLITS, "part of the data set", "see the global attributes sampler and seeds"),
    ):
        flags: dict[str, Any] = {
            "long_name": text,
            "flag_values": np.arange(len(meanings), dtype=np.int8),
            "flag_meanings": " ".join(meanings),
            "comment": comment,
        }
        if name == "status":
            flags["standard_name"] = "status_flag"
        _add(dataset, name, "i1", ("sample",), columns[name], **flags)
