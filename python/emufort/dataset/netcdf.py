"""Open netCDF files, and interpret the attributes that say which values are missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import DataError
from emufort.messages import one_line

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]

#: Bytes of chunks that netCDF caches per variable; its default of 16 MB adds up for many of them.
_CHUNK_CACHE = 2 << 20


@contextmanager
def open_netcdf(source: Path) -> Iterator[xr.Dataset]:
    """Open a netCDF file; values are read lazily.

    Raises
    ------
    DataError
        The file is not a netCDF file, or is damaged.
    """
    import xarray as xr

    # A file is untrusted. xarray raises exceptions of any type on contradictory attributes, and its
    # warnings would appear among the messages of emufort.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _little_chunk_cache():
                opened = xr.open_dataset(source, engine="netcdf4", decode_times=False, cache=False)
        except MemoryError:
            raise
        except Exception as error:
            raise _unreadable(source, error) from error
        with opened:
            try:
                yield opened
            except (OSError, RuntimeError) as error:
                raise _unreadable(source, error) from error


@contextmanager
def _little_chunk_cache() -> Iterator[None]:
    """Limit the memory in which netCDF caches a file that is opened in this context."""
    import netCDF4

    size, elements, preemption = netCDF4.get_chunk_cache()
    netCDF4.set_chunk_cache(min(size, _CHUNK_CACHE), elements, preemption)
    try:
        yield
    finally:
        netCDF4.set_chunk_cache(size, elements, preemption)


def _unreadable(source: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or one_line(error)
    return DataError(f"cannot read {source} as netCDF: {reason or type(error).__name__}")


def _type_in_file(found: xr.DataArray) -> np.dtype[Any]:
    """Return the type of the values in the file, before unpacking."""
    stored: np.dtype[Any] = np.dtype(found.encoding.get("dtype", found.dtype))
    return stored


def _unpacked(found: xr.DataArray, stored: Any) -> Array:
    """Unpack stored values with the scale factor and the offset of `found`."""
    values = np.atleast_1d(stored).astype(found.dtype)
    if "scale_factor" in found.encoding:
        values = (values * found.encoding["scale_factor"]).astype(found.dtype)
    if "add_offset" in found.encoding:
        values = (values + found.encoding["add_offset"]).astype(found.dtype)
    return values.astype(np.float64)


def unwritten_value(found: xr.DataArray) -> float | None:
    """Return the value of `found` that marks data never written, if the file does not name it.

    netCDF fills new variables with a value that depends on the type. Bytes are not filled.
    """
    import netCDF4

    if {"_FillValue", "_Unsigned"} & {*found.encoding, *found.attrs}:
        return None
    kind = _type_in_file(found).str[1:]
    if kind in ("i1", "u1") or kind not in netCDF4.default_fillvals or kind[0] not in "iuf":
        return None
    return float(_unpacked(found, netCDF4.default_fillvals[kind])[0])


def valid_limits(found: xr.DataArray) -> tuple[float, float]:
    """Return the lowest and the highest valid value by the CF attributes.

    Limits of packed data are packed themselves, unless they are of another type.

    Raises
    ------
    ValueError
        The attributes are not numbers.
    """
    stored, packed = _type_in_file(found), {"scale_factor", "add_offset"} & set(found.encoding)

    def numbers(name: str, n: int) -> list[float]:
        values = np.atleast_1d(found.attrs[name])
        if values.dtype.kind not in "iuf" or values.shape != (n,) or np.isnan(values).any():
            what = "a number" if n == 1 else "two numbers"
            raise ValueError(f"the attribute {name} is not {what}")
        if packed and values.dtype == stored:
            return sorted(_unpacked(found, values).tolist())
        # In the precision of the data: 0.1 in single precision is above 0.1 in double.
        same = values.astype(found.dtype) if found.dtype.kind == "f" else values
        return [float(value) for value in same]

    lower, upper = -np.inf, np.inf
    if "valid_range" in found.attrs:
        lower, upper = numbers("valid_range", 2)
    if "valid_min" in found.attrs:
        lower = max(lower, numbers("valid_min", 1)[0])
    if "valid_max" in found.attrs:
        upper = min(upper, numbers("valid_max", 1)[0])
    return lower, upper
