"""Data are on disk: the memory of driver and workers does not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.network.architecture import Architecture
from emufort.training import Arrays, StepPlan, TrainerState, TrainingTask
from emufort.workers.pool import make_executor
from emufort.workers.shared_arrays import SharedArrays
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data
from tests.search.pond import data

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's account of memory"
)


def private_bytes() -> int:
    """Memory of this process that no file backs."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def train(trainers, task):
    """Take steps over the whole data; return how much memory that took."""
    # What a backend itself takes is not the question; the server of the workers may not have it.
    import emufort.training.torch_trainer  # noqa: F401

    before = private_bytes()
    trainers.run_steps(TrainerState.initial(task), StepPlan(300, 1, 100))
    return private_bytes() - before


def large(rows: int) -> Arrays:
    x = np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32)
    y = x[:, :4].copy()
    return Arrays(x, y, x[:1000], y[:1000], (False,) * 4)


def test_a_worker_needs_little_memory_for_much_data(tmp_path):
    arrays = large(800_000)
    n_bytes = arrays.x_train.nbytes + arrays.y_train.nbytes
    task = TrainingTask(Architecture(16, (8,), 4), 1e-3, 256, seed=0)
    stored = SharedArrays.write(arrays, tmp_path)
    del arrays
    with make_executor(2, stored) as pool:
        grown = dict(pool.run(train, [task, replace(task, seed=1)]))
    # The order of the rows is drawn anew for every epoch, 8 bytes each, and shuffled in a copy.
    assert max(grown.values()) < 0.25 * n_bytes


def test_stored_arrays_are_those_made_in_memory(tmp_path):
    train, validation = data().part("train"), data().part("validation")
    made, *scalers = Arrays.from_datasets(train, validation)
    stored, *others = SharedArrays.from_datasets(train, validation, tmp_path)
    read = stored.load()
    for name in ("x_train", "y_train", "x_validation", "y_validation"):
        assert isinstance(getattr(read, name), np.memmap)
        assert np.array_equal(getattr(read, name), getattr(made, name))
    assert read.sigmoid == made.sigmoid
    for a, b in zip(scalers, others, strict=True):
        assert a.to_dict() == b.to_dict()
    stored.remove()
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import json, resource, sys
from pathlib import Path
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from tests.search.pond import config

file, folder = sys.argv[1], Path(sys.argv[2])
options = config(trials=6, retrain__top=1, retrain__seeds=1)
data = Dataset.open(file, Contract.from_toml(open(folder / "contract.toml").read()), folder)
search(data, options, folder / "search")
retrain(folder / "search", data, options, folder / "retrain")
print(json.dumps([len(data), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def peak(rows: int, folder: Path) -> tuple[int, int]:
    """Search and retrain in a process of its own; return usable rows and its peak memory."""
    folder.mkdir()
    (folder / "contract.toml").write_text(SYNTHETIC_CONTRACT)
    synthetic_data(rows).to_netcdf(folder / "data.nc")
    command = [sys.executable, "-c", PROGRAM, str(folder / "data.nc"), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    # Long tables have no name: nothing of them is left.
    assert {path.name for path in folder.iterdir()} == {
        "contract.toml", "data.nc", "retrain", "search",
    }  # fmt: skip
    n, n_bytes = json.loads(done.stdout)
    return n, n_bytes


def test_memory_of_a_whole_run_is_flat_in_the_number_of_rows(tmp_path):
    few, little = peak(40_000, tmp_path / "few")
    many, much = peak(800_000, tmp_path / "many")
    assert (few, many) == (40_000, 800_000)
    # The split and the order of an epoch are 21 bytes per row at most, scaled single-precision rows
    # are mapped (3 features and 2 outputs); in double precision a copy of the data is 40 MB.
    assert much - little < (21 + 4 * 5) * (many - few) + 12e6
