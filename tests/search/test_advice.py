"""How small may the subset be?"""

from __future__ import annotations

import numpy as np
import pytest

from emufort.config import AdviceConfig, Config
from emufort.errors import DataError, EmufortError
from emufort.files import read_csv, read_json
from emufort.search import rungs
from emufort.search.advice import advise, conclude, sizes_to_try
from tests.search.pond import config, data


def table(noise_of: dict[int, float], n: int = 40, seed: int = 0):
    """Losses whose ranking is spoilt by noise of the given spread."""
    rng = np.random.default_rng(seed)
    truth = np.exp(rng.normal(size=n))
    return {
        (rows, s, c): (truth[c] * np.exp(noise * rng.normal()), 1.0)
        for rows, noise in noise_of.items()
        for s in (0, 1)
        for c in range(n)
    }


def test_the_smallest_size_that_ranks_like_the_largest():
    noise = {250: 3.0, 500: 1.0, 1000: 0.05, 2000: 0.05}
    assert not conclude(table(noise), list(noise), Config())["converged"]
    noise[4000] = 0.05
    found = conclude(table(noise), list(noise), Config())
    assert found["subset"] == 1000
    assert found["converged"]
    assert found["ceiling"] > 0.95
    correlations = [entry["rank_correlation"] for entry in found["sizes"]]
    assert correlations[0] < correlations[1] < correlations[2]
    regrets = [entry["regret_top1"] for entry in found["sizes"]]
    assert regrets[0] > regrets[2] >= 0
    for entry in found["sizes"]:
        assert entry["regret_top1"] >= entry["regret_top5"] >= 0


def test_no_size_is_enough_while_the_ranking_changes():
    noise = {250: 3.0, 500: 1.5, 1000: 0.05}
    found = conclude(table(noise), list(noise), Config())
    assert not found["converged"]
    assert found["subset"] == 1000
    assert "raise advice.largest" in found["reason"]


def test_sizes():
    assert sizes_to_try(AdviceConfig(), 40_000) == [250, 500, 1000, 2000, 4000, 8000]
    assert sizes_to_try(AdviceConfig(), 1800) == [250, 500, 1000, 1800]
    with pytest.raises(DataError, match="250 rows is more than half of the 480 rows"):
        sizes_to_try(AdviceConfig(), 480)


OPTIONS = {"candidates": 8, "first": 32, "largest": 128}


def small() -> Config:
    return config().model_copy(update={"advice": AdviceConfig(**OPTIONS)})


class KilledError(BaseException):
    pass


def test_advice_is_resumed_and_the_same(tmp_path, monkeypatch):
    whole = advise(data(), small(), tmp_path / "whole")
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {
        ".lock", "asked.json", "losses.csv", "advice.json", "advice.png", "advice.svg"
    }  # fmt: skip
    assert read_json(tmp_path / "whole" / "advice.json") == whole
    calls = 0
    run_rung = rungs.run_rung

    def deadly(trainers, unit):
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KilledError
        return run_rung(trainers, unit)

    with monkeypatch.context() as patch:
        patch.setattr(rungs, "run_rung", deadly)
        with pytest.raises(KilledError):
            advise(data(), small(), tmp_path / "parts")
    assert len(read_csv(tmp_path / "parts" / "losses.csv")) == 11

    def untimed(found):
        return {**found, "sizes": [{**e, "seconds": 0} for e in found["sizes"]]}

    assert untimed(advise(data(), small(), tmp_path / "parts")) == untimed(whole)
    monkeypatch.setattr(rungs, "run_rung", None)
    assert advise(data(), small(), tmp_path / "whole") == whole
    with pytest.raises(EmufortError, match=r"holds results made with seed = 1"):
        advise(data(), small().model_copy(update={"seed": 2}), tmp_path / "whole")


@pytest.mark.parametrize("damage", ["emptied", "cut", "flipped", "garbled"])
def test_damaged_losses_are_measured_again(tmp_path, monkeypatch, damage):
    whole = advise(data(), small(), tmp_path)
    path = tmp_path / "losses.csv"
    content = path.read_bytes()
    place = content.index(b"\n", len(content) // 2) + 12
    path.write_bytes(
        {
            "emptied": b"",
            "cut": content[: len(content) // 2],
            "flipped": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
            "garbled": content[:place] + b"\xff\0" + content[place + 2 :],
        }[damage]
    )
    calls = 0
    run_rung = rungs.run_rung

    def counted(trainers, unit):
        nonlocal calls
        calls += 1
        return run_rung(trainers, unit)

    monkeypatch.setattr(rungs, "run_rung", counted)

    def untimed(found):
        return {**found, "sizes": [{**e, "seconds": 0} for e in found["sizes"]]}

    assert untimed(advise(data(), small(), tmp_path)) == untimed(whole)
    rows = content.count(b"\n") - 1
    low, high = {"emptied": (rows, rows), "cut": (rows // 3, 2 * rows // 3 + 1)}.get(damage, (1, 1))
    assert low <= calls <= high
