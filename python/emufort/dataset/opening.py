"""Open a part of a data set: a netCDF file or a Zarr store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.dataset.netcdf import open_netcdf
from emufort.dataset.zarr_store import is_zarr, open_zarr

if TYPE_CHECKING:
    import xarray as xr


def open_data(source: Path) -> AbstractContextManager[xr.Dataset]:
    """Return a netCDF file or a Zarr store to be opened; values are read lazily.

    Raises
    ------
    DataError
        When it is opened: see `open_netcdf` and `open_zarr`.
    """
    return open_zarr(source) if is_zarr(source) else open_netcdf(source)
