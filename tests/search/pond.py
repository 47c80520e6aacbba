"""A small search, for tests and for the processes that tests kill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data

OPTIONS: dict[str, Any] = {
    "workers": 1,
    "search": {
        "trials": 18,
        "batch": 6,
        "subset": 128,
        "validation": 40,
        "schedule": "constant",
        "rungs": [1, 3, 6],
        "eta": 2,
        "space": {"depth": [1, 2], "width": [4, 8, 16], "batch_size": [16, 32]},
    },
    "retrain": {
        "top": 8,
        "control": 3,
        "seeds": 2,
        "steps": 300,
        "batch_size": 32,
        "longer": 1,
    },
}


def config(**search: Any) -> Config:
    """Return a configuration; keywords of other sections are given as ``section__key``."""
    options: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in OPTIONS.items()}
    for key, value in search.items():
        section, _, name = key.rpartition("__")
        if key in ("workers", "seed", "device"):
            options[key] = value
        else:
            options[section or "search"][name] = value
    return Config.from_dict(options)


def data(n: int = 600, seed: int = 0) -> Dataset:
    return Dataset.from_xarray(synthetic_data(n, seed), Contract.from_toml(SYNTHETIC_CONTRACT))


def main() -> None:
    """Search, then retrain, in a process of its own: ``pond.py FOLDER WORKERS``."""
    from emufort.retrain.driver import retrain
    from emufort.search.driver import search

    folder = Path(sys.argv[1])
    options = config(workers=int(sys.argv[2]))
    search(data(), options, folder / "search")
    retrain(folder / "search", data(), options, folder / "retrain")


if __name__ == "__main__":
    main()
