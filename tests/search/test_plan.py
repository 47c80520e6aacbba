"""Rows and rungs of a search."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.config import Config, SearchConfig
from emufort.errors import UsageError
from emufort.search import plan as module
from emufort.search.plan import Plan, batch_size_of_rung, fewest_rows

examples = settings(deadline=None, derandomize=True, max_examples=60)


#: Two rungs, so that there is something to be said of the latter.
SHARE = [0.035, 0.08]


def asked(steps: int = 40_000, **search) -> Config:
    return Config.from_dict({"search": {"share": SHARE, **search}, "retrain": {"steps": steps}})


# ------------------------------------------------------------------- by the configuration


def test_rungs_are_shares_of_step_2():
    # 40,000 steps of 256 samples; 0.08 of them are 819,200 samples, 12.5 times 65,536.
    found = Plan.of(asked(), 1_000_000)
    assert (found.subset, found.rungs, found.rung_rows) == (65_536, (5, 12), (65_536, 65_536))
    assert found.reason.startswith("65536 rows are ")
    assert "all" not in found.reason
    found = Plan.of(asked(), 65_536)
    assert found.subset == 65_536
    assert found.reason.startswith("65536 rows are all")
    # Few rows: all of them, more often.
    found = Plan.of(asked(), 500)
    assert (found.subset, found.rungs) == (500, (717, 1638))
    # A short step 2: no more rows than the last rung can see once.
    found = Plan.of(asked(steps=10), 100_000)
    assert found.subset == 205
    assert "all" not in found.reason
    assert Plan.of(asked(steps=1), 100_000).subset == 20
    assert Plan.of(asked(steps=1, share=[0.01]), 100_000).subset == 16
    assert Plan.of(asked(subset_by="space_filling"), 100_000).subset == 4096


def test_the_configuration_may_say_all():
    found = Plan.of(asked(subset=2000, rungs=[5, 20, 100]), 100_000)
    assert found == Plan(2000, (5, 20, 100), (2000, 2000, 2000))
    found = Plan.of(asked(subset=2000, rungs=[5, 20], rung_rows=[100, 2000]), 100_000)
    assert found == Plan(2000, (5, 20), (100, 2000))
    assert Plan.of(asked(subset=2000), 100_000) == Plan(2000, (179, 410), (2000, 2000))
    found = Plan.of(asked(subset="auto", rungs=[1, 2]), 100_000)
    assert (found.subset, found.rungs) == (65_536, (1, 2))


@examples
@given(
    st.integers(1, 100_000),
    st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=4, unique=True).map(sorted),
    st.integers(16, 10**7),
    st.sampled_from(["random", "stratified", "space_filling"]),
)
def test_any_open_plan_is_possible(steps, share, n_train, subset_by):
    config = asked(steps=steps, share=share, subset_by=subset_by)
    found = Plan.of(config, n_train)
    assert 1 <= found.subset <= n_train
    for one in found.to_try(config):
        assert one.subset == found.subset
        assert one.rungs[0] >= 1
        assert list(one.rungs) == sorted(set(one.rungs))
        assert len(one.rungs) == len(one.rung_rows) == len(share)
        assert list(one.rung_rows) == sorted(one.rung_rows)
        assert one.rung_rows[-1] <= one.subset
        samples = [epochs * rows for epochs, rows in zip(one.rungs, one.rung_rows, strict=True)]
        for i in range(1, len(share)):
            wanted = max(share[i] * config.retrain.samples, samples[i - 1])
            assert samples[i] <= wanted + one.rung_rows[i] + one.rungs[i]
        # A configuration that says the same is valid and comes to the same.
        said = {"subset": one.subset, "rungs": one.rungs, "rung_rows": one.rung_rows}
        if one.rung_rows[0] >= 16:
            assert Plan.of(asked(**said), n_train) == replace(one, reason="")
    # Of the length asked for, to half an epoch; of two equal numbers the latter has one more.
    for i, (epochs, length) in enumerate(zip(found.rungs, share, strict=True)):
        wanted = length * config.retrain.samples / found.subset
        assert epochs <= max(1.0, wanted + 0.5) + i
        assert epochs >= wanted - 0.5


@examples
@given(st.integers(1, 10**6), st.integers(16, 10**6), st.booleans())
def test_plans_read_back(steps, n_train, tried):
    config = asked(steps=steps)
    found = Plan.of(config, n_train)
    if tried:
        plans = found.to_try(config)
        found = fewest_rows([plans[0], plans[-1]], [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])
    assert Plan.from_dict(json.loads(json.dumps(found.to_dict()))) == found


# ------------------------------------------------------------------- trying


def test_what_is_tried():
    config = asked()
    few, some, all_ = Plan.of(config, 1_000_000).to_try(config)
    assert [one.rung_rows for one in (few, some, all_)] == [
        (4096, 819_200 // 89), (16_384, round(819_200 / 23)), (65_536, 65_536),
    ]  # fmt: skip
    # As many samples in each, so more epochs on fewer rows, and more than that in the next rung.
    assert [one.rungs for one in (few, some, all_)] == [(88, 89), (22, 23), (5, 12)]


def test_few_rows_are_all_used_and_what_is_said_is_done():
    assert len(Plan.of(asked(), 4097).to_try(asked())) == 3
    assert len(Plan.of(asked(), 4096).to_try(asked())) == 1
    said = asked(subset=50_000)
    assert len(Plan.of(said, 10**6).to_try(said)) == 1


def plans() -> list[Plan]:
    return [Plan(6400, (1, 2), (rows, 6400)) for rows in (400, 1600, 6400)]


LOSSES = [float(i) for i in range(16)]
SWAPPED = [*LOSSES[4:8], *LOSSES[:4], *LOSSES[8:]]


def test_the_fewest_rows_that_rank_alike_are_chosen():
    found = fewest_rows(plans(), [LOSSES, LOSSES, LOSSES])
    assert found.rung_rows == (400, 6400)
    assert found.tried == ((400, pytest.approx(1.0)), (1600, pytest.approx(1.0)))
    assert "400 rows rank 16 candidates as 6400 rows do" in found.reason
    found = fewest_rows(plans(), [SWAPPED, LOSSES, LOSSES])
    assert found.rung_rows == (1600, 6400)
    assert found.tried[0][1] == pytest.approx(1 - 6 * 8 * 16 / (16 * 255))
    found = fewest_rows(plans(), [LOSSES, SWAPPED, SWAPPED])
    assert found.rung_rows == (1600, 6400)


def test_if_none_ranks_alike_all_rows_are_used():
    found = fewest_rows(plans(), [LOSSES[::-1], SWAPPED, LOSSES])
    assert found.rung_rows == (6400, 6400)
    assert found.reason.startswith(
        "6400 rows in every rung, because 1600 rows rank 16 candidates diff"
    )
    assert [value for _, value in found.tried] == pytest.approx([-1.0, 0.812], abs=1e-3)


def test_diverged_trainings_are_last_and_constant_ones_say_nothing():
    broken = [*LOSSES[:-1], math.inf]
    assert fewest_rows(plans(), [broken, broken, LOSSES]).rung_rows == (400, 6400)
    worst = [math.inf, *LOSSES[1:]]
    assert fewest_rows(plans(), [worst, broken, broken]).rung_rows == (1600, 6400)
    for constant in (0.5, math.inf):
        found = fewest_rows(plans(), [[constant] * 16, [constant] * 16, LOSSES])
        assert found.rung_rows == (6400, 6400)
    assert fewest_rows(plans(), [[1.0], [1.0], [1.0]]).rung_rows == (6400, 6400)


@examples
@given(st.integers(0, 2**32 - 1))
def test_only_ranks_count(seed):
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=8) for _ in range(3)]
    one = fewest_rows(plans(), values)
    other = fewest_rows(plans(), [np.exp(5 * v) for v in values])
    assert one == other
    limit = module._AS_WELL
    good = [rows for rows, value in one.tried if value >= limit]
    assert one.rung_rows[0] == (good[0] if good else 6400)


# ------------------------------------------------------------------- what is not possible


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"share": []}, "share lists parts of step 2 in ascending order"),
        ({"share": [0.0, 0.1]}, "above 0 and up to 1"),
        ({"share": [0.1, 1.5]}, "above 0 and up to 1"),
        ({"share": [0.1, 0.05]}, "share lists parts of step 2 in ascending order"),
        ({"share": [0.1, 0.1]}, "share lists parts of step 2 in ascending order"),
        ({"share": [float("nan")]}, "share"),
        ({"rungs": [0, 1]}, "rungs are numbers of epochs in ascending order"),
        ({"rungs": [4, 4]}, "rungs are numbers of epochs in ascending order"),
        ({"rungs": [10_000_000]}, "rungs go up to 1000000 epochs"),
        ({"schedule": "constant", "rungs": []}, "schedule = 'constant' needs rungs"),
        ({"subset": 500, "rung_rows": [100, 200]}, "rung_rows needs rungs: numbers of epochs"),
        ({"rungs": [1, 2], "rung_rows": [100, 200]}, "needs a number of rows as subset"),
        ({"rungs": [1, 2], "subset": 500, "rung_rows": [500]}, "rows for each of rungs"),
        ({"rungs": [1, 2], "subset": 500, "rung_rows": [8, 500]}, "ascending, from 16"),
        ({"rungs": [1, 2], "subset": 500, "rung_rows": [400, 300]}, "ascending, from 16"),
        ({"rungs": [1, 2], "subset": 500, "rung_rows": [400, 600]}, "600 rows of a subset of 500"),
        ({"subset": 15}, r"search\.subset"),
        ({"subset": "some"}, r"search\.subset"),
        ({"batch_size": 0}, r"search\.batch_size"),
    ],
)
def test_impossible_rungs_are_refused(search, message):
    with pytest.raises(UsageError, match=message):
        asked(**search)


def test_a_constant_rate_has_its_usual_rungs_unless_others_are_given():
    found = asked(schedule="constant").search
    assert (found.rungs, found.subset) == ((5, 20, 100), 2000)
    found = asked(schedule="constant", rungs=[1, 2], subset="auto").search
    assert (found.rungs, found.subset) == ((1, 2), "auto")
    assert (SearchConfig().rungs, SearchConfig().subset) == ((), "auto")


def test_samples_per_step_of_a_rung():
    config = asked()
    samples = config.retrain.samples
    assert batch_size_of_rung(config, 256, samples) == 256
    assert batch_size_of_rung(config, 256, samples // 4) == 64
    assert batch_size_of_rung(config, 256, samples // 100) == 16
    assert batch_size_of_rung(config, 8, samples // 100) == 8
    assert batch_size_of_rung(asked(batch_size=48), 256, samples // 100) == 48
