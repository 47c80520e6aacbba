"""Published architectures from torch: imported, and compared with torch in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.published_networks import NETWORKS, exported
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of

pytestmark = [
    # torch's exporter calls functions of its own that are deprecated.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

#: One network of each kind: dense heads, products of two inputs, convolutions, a recurrence,
#: attention. The others take seconds each in torch's exporter.
REPRESENTATIVE = ("two_heads", "deeponet", "convnext", "radiation_gru", "encoder")


def difference(name: str) -> tuple[float, float]:
    """Largest difference from torch in double precision and the allowed one, relative to spread.

    The allowed one is 1e-5 or, as in the import, twice that of torch in single precision.
    """
    original = exported(NETWORKS[name], "small")
    emulator = emulator_of(read_graph(original.model))
    x = original.samples(64)
    wanted = original.outputs(x, torch.float64)
    spread = np.maximum(wanted.std(axis=0), 1e-3 * np.abs(wanted).max(axis=0))
    found, single = (
        float((np.abs(y - wanted) / np.where(spread > 0.0, spread, 1.0)).max())
        for y in (emulator.predict(x), original.outputs(x, torch.float32))
    )
    return found, max(1e-5, 2.0 * single)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_kinds_of_networks(name: str) -> None:
    found, allowed = difference(name)
    assert found <= allowed


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in REPRESENTATIVE])
def test_all_published_networks(name: str) -> None:
    found, allowed = difference(name)
    assert found <= allowed


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_follow_from_the_seed(name: str) -> None:
    network = NETWORKS[name]
    one, same, other = (network.module("small", seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
