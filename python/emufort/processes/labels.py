"""Make data sets, which are samples with labels, with the label maker of a contract."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from emufort import __version__
from emufort.contract import Contract
from emufort.contract_files import is_path
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.files import replacing
from emufort.paths import cache_folder
from emufort.processes import registry as processes
from emufort.processes.process import LabelMaker

if TYPE_CHECKING:
    import xarray as xr


def _nothing(samples: int) -> None:
    pass


def label_maker(name: str) -> tuple[Contract, LabelMaker]:
    """Return a contract and the function that makes its data set.

    Parameters
    ----------
    name
        ``"process.contract"``, or the name of a bundled contract.

    Raises
    ------
    ContractError
        There is no contract of this name.
    UsageError
        The process has no label maker for the contract.
    """
    if is_path(name):
        raise UsageError(
            f"labels are made for a contract that a process brings, not for the file {name}; "
            "'emufort processes' lists them"
        )
    contract = Contract.load(name)
    makers = processes.process(contract.process).label_makers if contract.process else {}
    found = makers.get(name.rpartition(".")[2])
    if found is None:
        has = f"has label makers for {', '.join(makers)}" if makers else "has no label makers"
        raise UsageError(
            f"no labels can be made for the contract '{name}': the process "
            f"'{contract.process or 'of the contract'}' {has}"
        )
    return contract, found


def make_labels(
    name: str, samples: int, seed: int = 1, advance: Callable[[int], object] = _nothing
) -> xr.Dataset:
    """Make the data set of a contract, and check it against the contract.

    Parameters
    ----------
    name
        As for `label_maker`.
    samples
        Number of training samples, at least 1. The label maker adds validation and test samples.
    seed
        Random seed, 0 or more; the same seed gives the same data set.
    advance
        Called with the number of samples that were labelled since the last call.

    Returns
    -------
    xarray.Dataset
        Data set for `emufort.Dataset.from_xarray`.

    Raises
    ------
    ContractError, UsageError
        See `label_maker`; or `samples` or `seed` is out of range.
    DataError
        The result of the label maker does not satisfy the contract.
    EmufortError
        The label maker failed.
    """
    if samples < 1 or seed < 0:
        raise UsageError(
            f"cannot make {samples} samples with the seed {seed}; give at least 1 and 0"
        )
    contract, make = label_maker(name)
    try:
        found = make(samples, seed, advance)
    except (EmufortError, MemoryError):
        raise
    except Exception as error:
        # A label maker of another package may raise any exception.
        raise EmufortError(
            f"the label maker of the contract '{name}' failed: {type(error).__name__}: {error}"
        ) from error
    Dataset.from_xarray(found, contract, Path(f"what the label maker of {name} returned"))
    return found


def write_labels(
    name: str,
    samples: int,
    seed: int,
    out: Path,
    advance: Callable[[int], object] = _nothing,
) -> xr.Dataset:
    """Make a data set and write it as netCDF-4, atomically.

    Parameters and errors are those of `make_labels`; `out` is the path of the file.

    Raises
    ------
    UsageError
        `out` is a folder, or its folder does not exist.
    StorageError
        `out` cannot be written.
    """
    check_out(out)
    found = make_labels(name, samples, seed, advance)
    write_dataset(found, out)
    return found


def check_out(out: Path) -> None:
    """Raise `UsageError` if the file `out` cannot be written because of its name."""
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UsageError(f"{out} cannot be written: name a file in a folder that exists")


def kept_labels(name: str, recipe: object, make: Callable[[], xr.Dataset]) -> Path:
    """Return the file of a data set in the cache of the user; make the data set if it is missing.

    Parameters
    ----------
    name
        First part of the file name, such as that of the process.
    recipe
        Everything that determines the data, as values that JSON can hold. The rest of the file name
        is its hash.
    make
        Returns the data set.

    Raises
    ------
    StorageError
        The cache folder cannot be written.
    """
    text = json.dumps([__version__, recipe], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = cache_folder() / "labels" / f"{name}-{digest}.nc"
    if not path.exists():
        write_dataset(make(), path)
    return path


def write_dataset(data: xr.Dataset, path: Path) -> None:
    """Write a data set as compressed netCDF-4, atomically.

    Raises
    ------
    StorageError
        `path` cannot be written.
    """
    encoding = {variable: {"zlib": True} for variable, v in data.data_vars.items() if v.ndim}
    with replacing(path) as temporary:
        data.to_netcdf(temporary, format="NETCDF4", engine="netcdf4", encoding=encoding)
