"""The data of the comparison; each case is created or opened by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import sea_fluxes
from benchmarks.paper_inputs import with_noise_input
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import UsageError, did_you_mean
from emufort.paths import PathLike
from emufort.training import Arrays


@dataclass(frozen=True)
class Request:
    """Information that a case may need: configuration, file of --large, and folder of the case."""

    config: Config
    large: Path | None
    folder: Path


def _opened(data: PathLike | None, contract: PathLike, seed: int) -> Arrays:
    opened = Dataset.open(data, Contract.load(contract))
    train = opened.part("train")
    # Step 1 takes the first rows, so they are shuffled here, whatever the order in the file is.
    train = train.take(np.random.default_rng(seed).permutation(len(train)))
    return Arrays.from_datasets(train, opened.part("validation"))[0]


def _embedded(request: Request) -> Arrays:
    return _opened(None, "activation", request.config.seed)


def _large(request: Request) -> Arrays:
    if request.large is None:
        raise UsageError(
            "the case 'large' needs --large FILE; make it with python data_prep/make_dataset.py "
            "--train 262144 --out FILE"
        )
    return _opened(request.large, "activation", request.config.seed)


def _fractions(request: Request) -> Arrays:
    seed = request.config.seed
    return with_noise_input(_opened(None, "activation_fractions", seed), seed)


def _evaporation(request: Request) -> Arrays:
    return _opened(*sea_fluxes.write(request.folder), request.config.seed)


def _configured(request: Request) -> Arrays:
    return _opened(request.config.data, request.config.contract, request.config.seed)


#: Name of a case -> (title, function that returns its arrays).
CASES: dict[str, tuple[str, Callable[[Request], Arrays]]] = {
    "embedded": ("Aerosol activation, embedded data", _embedded),
    "large": ("Aerosol activation, more rows", _large),
    "fractions": ("Aerosol activation, inputs and outputs of Yu et al. (2023)", _fractions),
    "evaporation": ("Evaporation, heat flux and wind stress over the sea", _evaporation),
    "config": ("Data and contract of the configuration", _configured),
}


def parse_cases(text: str) -> list[str]:
    """Read a comma-separated list of cases.

    Raises
    ------
    UsageError
        There is no such case.
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        if name not in CASES:
            near = did_you_mean(name, CASES)
            raise UsageError(f"there is no case '{name}'{near}; choose from {', '.join(CASES)}")
    return names
