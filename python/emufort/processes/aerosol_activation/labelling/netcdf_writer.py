"""Write the data set as CF netCDF-4.

The file contains no date and no path: the same recipe and build of the parcel model give the same
bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from emufort.dataset.splits import SPLITS
from emufort.errors import StorageError
from emufort.files import replacing
from emufort.processes.aerosol_activation import arg2000, ghosh2025, mbn2014
from emufort.processes.aerosol_activation.constants import CONSTANTS
from emufort.processes.aerosol_activation.fortran import WIDTHS
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.processes.aerosol_activation.labelling.attributes import (
    ATTRIBUTES,
    STATUS_COMMENT,
    global_attributes,
)
from emufort.processes.aerosol_activation.labelling.inputs import split_columns, variables
from emufort.processes.aerosol_activation.labelling.recipe import Recipe
from emufort.processes.aerosol_activation.parcel_chunks import RESULT_COLUMNS
from emufort.processes.aerosol_activation.parcel_model import (
    STATUS_MEANINGS,
    STATUS_PEAK,
)

FILL = np.float32(9.969209968386869e36)  # the netCDF default, stated so that every reader masks it

#: Samples per chunk of a compressed variable.
_CHUNK = 65536


def data_columns(recipe: Recipe, labels: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Return all variables of the data set from its recipe and labels.

    Parameters
    ----------
    recipe : Recipe
        Recipe of the data set.
    labels : ndarray, shape (n, 6), float64
        Columns `parcel_chunks.RESULT_COLUMNS`.

    Returns
    -------
    dict of str to ndarray
        Float64 values of shape (n,) or (n, mode), NaN for labels where the status is not `peak`;
        `status` and `split` int8.
    """
    samples = np.concatenate(list(recipe.samples().values()))
    columns: dict[str, NDArray[Any]] = dict(split_columns(samples, recipe.inputs))
    t, p, speed, number, radius, kappa = (columns[name] for name in variables(recipe.inputs))
    results = dict(zip(RESULT_COLUMNS, labels.T, strict=True))
    status = results["status"].astype(np.int8)
    for name in ("max_supersaturation", "temperature_at_smax", "height_of_smax", "time_of_smax"):
        columns[name] = np.where(status == STATUS_PEAK, results[name], np.nan)
    sigma, constants = recipe.geometric_standard_deviation, recipe.preset.physical_constants()
    context = {**columns, WIDTHS: sigma, **asdict(constants)}
    columns |= activated_fractions(context, columns["max_supersaturation"])
    for name, scheme in (("arg2000", arg2000), ("mbn2014", mbn2014)):
        columns[f"smax_{name}"] = scheme.max_supersaturation(
            t, p, speed, number, radius, kappa, sigma, constants
        )
    if (width := recipe.preset.accumulation_width) is not None:
        columns["smax_ghosh2025"] = ghosh2025.max_supersaturation(
            t, p, speed, number, radius, kappa, width, constants
        )
    return columns | {"status": status, "split": recipe.split_flags()}


def write_dataset(path: Path, recipe: Recipe, labels: NDArray[np.float64]) -> None:
    """Write the data set atomically.

    Parameters
    ----------
    path : Path
        File to write; an existing file is replaced.
    recipe : Recipe
        Recipe of the data set.
    labels : ndarray, shape (n, 6), float64
        Columns `parcel_chunks.RESULT_COLUMNS`.

    Raises
    ------
    StorageError
        The file cannot be written; no partial file remains.
    """
    columns = data_columns(recipe, labels)
    with replacing(path) as temporary:
        try:
            with netCDF4.Dataset(temporary, "w", format="NETCDF4") as dataset:
                _fill(dataset, recipe, columns)
        except RuntimeError as error:  # how the netCDF library reports a full disk
            raise StorageError(f"cannot write {path}: {error}; is the disk full?") from error


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


def _fill(dataset: netCDF4.Dataset, recipe: Recipe, columns: dict[str, NDArray[Any]]) -> None:
    """Define and write everything in an open file."""
    modes, inputs = list(recipe.preset.modes), variables(recipe.inputs)
    dataset.setncatts(global_attributes(recipe))
    dataset.createDimension("sample", columns["status"].size)
    dataset.createDimension("mode", len(modes))
    # names of the modes as characters would need another dimension; netCDF-4 has strings
    mode = dataset.createVariable("mode", str, ("mode",))
    mode.long_name = "aerosol mode"
    mode[:] = np.array(modes, dtype=object)
    _add(
        dataset,
        WIDTHS,
        "f8",
        ("mode",),
        recipe.geometric_standard_deviation,
        units="1",
        long_name="geometric standard deviation of the aerosol mode",
    )
    for name, value in asdict(recipe.preset.physical_constants()).items():
        long_name, units = CONSTANTS[name]
        _add(dataset, name, "f8", (), value, units=units, long_name=long_name)
    for name, attributes in ATTRIBUTES.items():
        if name not in columns:
            continue
        values = columns[name]
        dims = ("sample", "mode") if values.ndim == 2 else ("sample",)
        extra: dict[str, Any] = dict(attributes)
        if name in inputs:
            bounds = [entry for entry in recipe.inputs if entry.variable == name]
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
        if name == "max_supersaturation" or "activated_fraction" in name:
            extra["ancillary_variables"] = "status"
        _add(dataset, name, "f4", dims, stored, **extra)
    for name, meanings, text, comment in (
        ("status", STATUS_MEANINGS, "outcome of the parcel model", STATUS_COMMENT),
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
