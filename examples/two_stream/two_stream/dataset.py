"""The data set: samples over the contract's ranges, labels, and the classical scheme."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import qmc

from emufort import Contract
from two_stream import adding_doubling, delta_eddington
from two_stream.head import network_outputs

Array = NDArray[np.float64]

SPLITS = ("train", "validation", "test")


def contract() -> Contract:
    """Return the contract of the process."""
    return Contract.load("two_stream.layer")


def samples(n: int, seed: int) -> Array:
    """Return `n` samples that are spread evenly over the ranges of the contract.

    Inputs whose logarithm the network sees are drawn evenly in the logarithm.

    Parameters
    ----------
    n
        Number of samples; a power of two fills the space best.
    seed
        Random seed of the scrambled Sobol' sequence.

    Returns
    -------
    ndarray, shape (n, 4), float64
        Inputs in the order of the contract, rounded to single precision as in the file.
    """
    columns = contract().input_columns
    with warnings.catch_warnings():
        # A number other than a power of two only loses some balance.
        warnings.filterwarnings("ignore", message="The balance properties of Sobol'")
        unit = qmc.Sobol(len(columns), rng=np.random.default_rng(seed)).random(n)
    found = np.empty(unit.shape, dtype=np.float32)
    for j, column in enumerate(columns):
        lower, upper = column.lower, column.upper
        if column.transform == "ln":
            drawn = np.exp(math.log(lower) + unit[:, j] * math.log(upper / lower))
        else:
            drawn = lower + unit[:, j] * (upper - lower)
        found[:, j] = np.clip(drawn, lower, upper)
    return found.astype(np.float64)


def make_dataset(
    n: int,
    seed: int,
    advance: Callable[[int], object] = lambda done: None,
    streams: int = adding_doubling.STREAMS,
) -> xr.Dataset:
    """Return samples with labels as the contract requires.

    Parameters
    ----------
    n
        Number of training samples; an eighth of this number is added for validation and for test
        each.
    seed
        Random seed of the training samples; validation and test samples use the next two seeds.
    advance
        Called with the number of samples that were labelled since the last call.
    streams
        Gauss nodes in each hemisphere for the labels.

    Returns
    -------
    xarray.Dataset
        Inputs, labels, fluxes, the delta-Eddington fluxes and the splits.
    """
    sizes = (n, max(n // 8, 2), max(n // 8, 2))
    drawn = [samples(size, seed + i) for i, size in enumerate(sizes)]
    x = np.concatenate(drawn)
    split = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(part) for part in drawn])
    tau, coalbedo, g, cosine = x.T
    fluxes = adding_doubling.layer_fluxes(tau, coalbedo, g, cosine, streams, advance)
    fluxes = np.clip(fluxes, 0.0, 1.0)  # removes rounding errors
    found = xr.Dataset(
        coords={name: list(contract().labels(name)) for name in contract().dimensions},
        attrs={
            "Conventions": "CF-1.11",
            "title": contract().title,
            "source": f"adding-doubling method, {2 * streams} streams, delta-M scaling",
            "references": "Hansen and Travis (1974), doi:10.1007/BF00168069",
            "seed": seed,
        },
    )
    for given, values in zip(contract().input, x.T, strict=True):
        found[given.name] = _variable(("sample",), values, given.long_name)
    for wanted, values in zip(contract().output, network_outputs(fluxes), strict=True):
        found[wanted.name] = _variable(("sample", "incidence"), values, wanted.long_name)
    about = "fractions of the incident flux that leave the layer upward and downward"
    found["flux_fractions"] = _variable(("sample", "flux"), fluxes, about)
    scheme = delta_eddington.layer_fluxes(tau, coalbedo, g, cosine)
    found["delta_eddington"] = _variable(("sample", "flux"), scheme, f"{about}, delta-Eddington")
    found["split"] = (
        "sample",
        split,
        {
            "long_name": "purpose of the sample",
            "flag_values": np.arange(len(SPLITS), dtype=np.int8),
            "flag_meanings": " ".join(SPLITS),
        },
    )
    return found


def _variable(
    dimensions: tuple[str, ...], values: Array, long_name: str
) -> tuple[tuple[str, ...], NDArray[np.float32], dict[str, str]]:
    return dimensions, values.astype(np.float32), {"units": "1", "long_name": long_name}
