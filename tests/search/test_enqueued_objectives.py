"""Candidates of the user in a search for the front of skill and time."""

from __future__ import annotations

import numpy as np
import pytest

from emufort.config import Config, SpaceConfig
from emufort.errors import UsageError
from emufort.search.driver import search
from emufort.search.importances import importances
from emufort.search.samplers.registry import make_proposer
from tests.search.candidates import made
from tests.search.pond import config, data
from tests.search.test_enqueued import GIVEN, content

SPACE = SpaceConfig(depth=(1, 2), width=(4, 8, 16))


@pytest.mark.parametrize("sampler", ["parzen", "nsga2"])
def test_the_trials_do_not_depend_on_interruptions(sampler, tmp_path):
    how = {"sampler": sampler, "enqueue": GIVEN, "batch": 4, "objectives": ["skill", "time"]}
    if sampler == "parzen":
        how["sampler_options"] = {"startup": 4}
    whole = search(data(), config(**how, trials=12), tmp_path / "whole")
    search(data(), config(**how, trials=4), tmp_path / "parts")
    parts = search(data(), config(**how, trials=12, workers=2), tmp_path / "parts")
    assert content(parts) == content(whole)
    assert [t.enqueued for t in whole.trials] == [True] * 3 + [False] * 9
    frame = whole.to_pandas()
    assert frame.predicted_ns.tolist() == [t.predicted_ns for t in whole.trials]


def test_importances_leave_out_candidates_outside_the_space():
    proposed = make_proposer("random", SPACE, 1).propose(60, 0)
    trials = [
        made(
            i, sum(c.hidden) * c.learning_rate, hidden=c.hidden, activation=c.activation,
            learning_rate=c.learning_rate, batch_size=c.batch_size,
        )
        for i, c in enumerate(proposed)
    ]  # fmt: skip
    outside = [made(60, 0.5, hidden=(5, 3, 2)), made(61, 0.1, hidden=(8,), activation="gelu")]
    losses = np.array([t.value for t in trials])
    found = importances(SPACE, trials, losses)
    assert found
    assert importances(SPACE, [*trials, *outside], np.append(losses, [0.5, 0.1])) == found


def test_a_sampler_object_has_one_objective():
    options = {"sampler": "object a.B()", "objectives": ["skill", "time"]}
    with pytest.raises(
        UsageError, match=r"search: a sampler object has one objective; .*choose one of parzen"
    ):
        Config.from_dict({"search": options})
