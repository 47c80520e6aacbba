"""Files of a data set: one, the matches of a pattern, or the one of a process.

A Zarr store counts as a file.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from pathlib import Path

from emufort.contract import Contract
from emufort.dataset.zarr_store import files_of_zarr, is_zarr
from emufort.errors import DataError
from emufort.processes import registry as processes


def data_files(source: Path) -> list[Path]:
    """Return the data file `source`, or the files that match the pattern `source`, by name."""
    if _is_data(source):
        return [source]
    text = str(source)
    if not glob.has_magic(text):
        return []
    return [path for path in map(Path, sorted(glob.glob(text))) if _is_data(path)]  # noqa: PTH207 - Path.glob refuses some patterns


def hash_of(files: Sequence[Path]) -> str:
    """Return the hash of a file, or that of the hashes of several."""
    hashes = [_file_hash(path) for path in files]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _is_data(path: Path) -> bool:
    return path.is_file() or is_zarr(path)


def _file_hash(path: Path) -> str:
    """Return the hash of a file, or that of the names and contents of all files of a store."""
    if is_zarr(path):
        files = files_of_zarr(path)
        named = [f"{file.relative_to(path).as_posix()} {_file_hash(file)}" for file in files]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def embedded_dataset(contract: Contract) -> Path:
    """Return the data set that comes with the process of `contract`.

    Raises
    ------
    DataError
        The contract names no data set, or its process has none.
    ContractError
        The process is not registered or cannot be loaded.
    """
    if contract.default_data is None:
        raise DataError(
            f"no data set comes with the contract '{contract.name}'; give --data the path of a "
            "netCDF file or a Zarr store"
        )
    folder = processes.process(contract.process).data if contract.process else None
    if folder is None:
        raise DataError(
            f"the contract '{contract.name}' names the data set '{contract.default_data}', but no "
            "process that has it; give --data the path of a netCDF file or a Zarr store"
        )
    return folder / contract.default_data
