"""Open Zarr stores: folders with one file for each chunk of a variable."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort.errors import DataError
from emufort.messages import one_line

if TYPE_CHECKING:
    import xarray as xr

#: Files in the folder of a store, of version 3 and of version 2.
_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
#: Files that describe arrays.
_DESCRIPTIONS = ("zarr.json", ".zmetadata", ".zarray")
#: Codecs that only transform numbers and texts. Others, such as pickle, could execute what they
#: read.
_CODECS = {
    *("adler32", "astype", "bitround", "blosc", "bytes", "bz2", "crc32", "crc32c", "delta"),
    *("fixedscaleoffset", "fletcher32", "gzip", "lz4", "lzma", "packbits", "pcodec", "quantize"),
    *("sharding_indexed", "shuffle", "transpose", "vlen-bytes", "vlen-utf8", "zfpy", "zlib"),
    "zstd",
}
_KEYS_OF_CODECS = ("codecs", "compressor", "filters", "index_codecs")


def is_zarr(path: Path) -> bool:
    """Return whether a path is a Zarr store."""
    return path.is_dir() and any((path / name).is_file() for name in _MARKS)


def files_of_zarr(path: Path) -> list[Path]:
    """Return the files of a store in the order of their names.

    Raises
    ------
    DataError
        A folder of the store is a link. Zarr would follow it to files that are not returned here,
        so that neither their codecs were checked nor their values were part of the hash.
    """
    entries = sorted(path.rglob("*"))
    linked = next((entry for entry in entries if entry.is_symlink() and entry.is_dir()), None)
    if linked is not None:
        raise DataError(
            f"{path} has a link to a folder, '{linked.relative_to(path).as_posix()}', which is not "
            "followed; put a copy of the folder in its place"
        )
    return [entry for entry in entries if entry.is_file()]


@contextmanager
def open_zarr(source: Path) -> Iterator[xr.Dataset]:
    """Open a Zarr store; values are read lazily.

    Raises
    ------
    DataError
        The package zarr is not installed, or the store is damaged, has a link to a folder, or has a
        codec that could execute what it reads.
    """
    import xarray as xr

    if util.find_spec("zarr") is None:
        raise DataError(
            f"{source} is a Zarr store, and the package zarr is not installed; install "
            "emufort[zarr], or give netCDF files"
        )
    _check_codecs(source)
    # As for netCDF, the exceptions are of any type.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = xr.open_dataset(
                source, engine="zarr", chunks=None, decode_times=False, cache=False
            )
        except MemoryError:
            raise
        except Exception as error:
            raise _unreadable(source, error) from error
        with opened:
            try:
                yield opened
            except (OSError, RuntimeError) as error:
                raise _unreadable(source, error) from error


def _unreadable(source: Path, error: Exception) -> DataError:
    return DataError(f"cannot read {source} as Zarr: {one_line(error) or type(error).__name__}")


def _check_codecs(source: Path) -> None:
    for file in files_of_zarr(source):
        if file.name not in _DESCRIPTIONS:
            continue
        try:
            names = set(_codecs(json.loads(file.read_bytes())))
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(source, error) from error
        unknown = sorted(names - _CODECS)
        if unknown:
            raise DataError(
                f"{source} has variables with the codec '{unknown[0]}', which is not read; write "
                "the store without it"
            )


def _codecs(content: Any) -> Iterator[str]:
    """Yield the names of all codecs in a description of arrays."""
    if isinstance(content, list):
        for entry in content:
            yield from _codecs(entry)
    elif isinstance(content, dict):
        for key, value in content.items():
            if key in _KEYS_OF_CODECS:
                entries = value if isinstance(value, list) else [value]
                yield from (_name(entry) for entry in entries if entry is not None)
            yield from _codecs(value)


def _name(codec: Any) -> str:
    found = codec.get("name", codec.get("id")) if isinstance(codec, dict) else codec
    return str(found).lower().removeprefix("numcodecs.")
