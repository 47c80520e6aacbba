"""Candidates of the user, which a search tries first."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import pytest
import tomli_w

from emufort.config import Config, SearchConfig, SpaceConfig
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json
from emufort.retrain.driver import retrain
from emufort.search import optuna_mirror, rungs
from emufort.search.driver import search
from emufort.search.identity import study_sha256
from emufort.search.result import load_search
from emufort.search.samplers.enqueued import enqueued_candidates
from emufort.search.samplers.registry import make_proposer
from emufort.search.space import Candidate, contains
from tests.search.candidates import made
from tests.search.pond import config, data

#: One candidate inside the space of `pond`, two outside.
INSIDE = {"hidden": [8, 4], "activation": "tanh", "learning_rate": 2e-3, "batch_size": 32}
WIDE = {"hidden": [24], "activation": "silu"}
MIXED = {"hidden": [8, 8, 8], "activation": ["tanh", "relu", "relu"], "weight_decay": 1e-3}
GIVEN = [INSIDE, WIDE, MIXED]


def content(result) -> list:
    return [*(replace(t, seconds=0.0) for t in result.trials), study_sha256(result.folder)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return search(data(), config(enqueue=GIVEN), tmp_path_factory.mktemp("enqueued"))


def test_they_are_tried_first_and_marked(found):
    first = [t.candidate for t in found.trials[:3]]
    bounds = config().search.space.learning_rate
    middle = math.sqrt(bounds[0] * bounds[1])
    assert first == [
        Candidate((8, 4), "tanh", 2e-3, 32),
        Candidate((24,), "silu", middle, 16),
        Candidate((8, 8, 8), ("tanh", "relu", "relu"), middle, 16, 1e-3),
    ]
    assert [t.enqueued for t in found.trials] == [True] * 3 + [False] * 15
    rows = read_csv(found.folder / "trials.csv")
    assert [row["enqueued"] for row in rows] == ["yes"] * 3 + [""] * 15
    assert load_search(found.folder).trials == found.trials
    assert read_json(found.folder / "search.json")["config"]["search"]["enqueue"][0]["hidden"] == [
        8,
        4,
    ]


def test_they_take_part_in_halving_and_ranking(found):
    first = [t for t in found.trials if t.batch == 0]
    assert len(first) == 6
    # half of the six continue, whoever proposed them
    assert sum(len(t.rungs) > 1 for t in first) == 3
    ranks = {int(row["predicted_rank"]) for row in read_csv(found.folder / "trials.csv")}
    assert ranks == set(range(1, 19))


def test_the_study_holds_them(found):
    rows = optuna_mirror.mirrored_rows(found.folder)
    assert [row["enqueued"] for row in rows] == ["yes"] * 3 + [""] * 15


def test_without_them_the_table_has_no_such_column(tmp_path):
    search(data(), config(trials=6), tmp_path)
    assert "enqueued" not in read_csv(tmp_path / "trials.csv")[0]


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_damaged_table_is_restored(damage, tmp_path, monkeypatch):
    whole = search(data(), config(enqueue=GIVEN, trials=6), tmp_path)
    expected = content(whole)
    table = tmp_path / "trials.csv"
    if damage == "lost":
        table.unlink()
    else:
        table.write_text(table.read_text()[:200])
    monkeypatch.setattr(rungs, "run_rung", None)
    assert content(search(data(), config(enqueue=GIVEN, trials=6), tmp_path)) == expected


@pytest.mark.parametrize("sampler", ["parzen", "random", "qmc", "tpe", "nsga2", "cmaes"])
def test_the_trials_do_not_depend_on_interruptions_or_workers(sampler, tmp_path):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    how = {"sampler": sampler, "enqueue": GIVEN, "batch": 2}
    if sampler == "parzen":
        how["sampler_options"] = {"startup": 2}
    whole = search(data(), config(**how, trials=8), tmp_path / "whole")
    search(data(), config(**how, trials=4), tmp_path / "parts")
    search(data(), config(**how, trials=6, workers=2), tmp_path / "parts")
    parts = search(data(), config(**how, trials=8), tmp_path / "parts")
    assert content(parts) == content(whole)


def test_a_generation_of_cmaes_is_a_whole_batch():
    pytest.importorskip("cmaes")
    space = SpaceConfig(depth=(1, 2), width=(4, 8, 16))
    given = [Candidate((16 + i,), "relu", 1e-3, 64) for i in range(12)]

    def third(best: int) -> list[Candidate]:
        """Return the third batch if this candidate of the second one is the best."""
        proposer = make_proposer("cmaes", space, 1, enqueued=given)
        for batch in range(2):
            proposed = proposer.propose(16, batch)
            losses = [2.0 + i for i in range(16)]
            losses[best if batch else 15] = 1.0
            proposer.add(
                [
                    made(
                        16 * batch + i, loss, hidden=c.hidden, activation=c.activation,
                        learning_rate=c.learning_rate, enqueued=not batch and i < 12,
                    )
                    for i, (c, loss) in enumerate(zip(proposed, losses, strict=True))
                ]
            )  # fmt: skip
        return proposer.propose(16, 2)

    # The first batch has 4 candidates of the sampler, so 12 of the second complete a generation.
    assert third(0) != third(11)


@pytest.mark.parametrize("sampler", ["parzen", "tpe"])
def test_a_sampler_learns_from_those_that_lie_in_the_space(sampler):
    """The same candidates lead to the same proposals, whoever proposed them first."""
    space = SpaceConfig(depth=(1, 2), width=(4, 8, 16))
    options = {"startup": 4} if sampler == "parzen" else {"n_startup_trials": 4}
    given = enqueued_candidates(
        SearchConfig(
            space=space,
            enqueue=[
                {"hidden": [w, 4], "activation": "relu"} for w in (4, 8, 16) for _ in range(4)
            ],
        )
    )
    assert all(contains(space, one) for one in given)
    first = make_proposer(sampler, space, 1, options=options, enqueued=given)
    assert first.propose(12, 0) == given
    trials = [
        made(i, sum(c.hidden), hidden=c.hidden, learning_rate=c.learning_rate, enqueued=True)
        for i, c in enumerate(given)
    ]
    first.add(trials)
    again = make_proposer(sampler, space, 1, trials, options, enqueued=given)
    learned = first.propose(8, 1)
    assert again.propose(8, 1) == learned
    ignorant = make_proposer(sampler, space, 1, options=options)
    assert ignorant.propose(8, 1) != learned


def test_the_limit_of_cost_does_not_apply_to_them():
    given = [Candidate((64,), "tanh", 1e-3, 64)]
    small = make_proposer(
        "random",
        SpaceConfig(width=(4, 8, 64)),
        1,
        accept=lambda c: max(c.hidden) < 64,
        enqueued=given,
    ).propose(6, 0)
    assert small[0] == given[0]
    assert all(max(c.hidden) < 64 for c in small[1:])


@pytest.mark.parametrize(
    ("space", "candidate", "inside"),
    [
        ({}, Candidate((64, 32), "relu", 2e-3, 64), True),
        ({}, Candidate((64, 33), "relu", 2e-3, 64), False),
        ({}, Candidate((64,) * 4, "relu", 2e-3, 64), False),
        ({}, Candidate((64,), "gelu", 2e-3, 64), False),
        ({}, Candidate((64,), ("relu",), 2e-3, 64), False),
        ({}, Candidate((64,), "relu", 1e-5, 64), False),
        ({}, Candidate((64,), "relu", 2e-3, 65), False),
        ({}, Candidate((64,), "relu", 2e-3, 64, 1e-3), False),
        ({}, Candidate((64,), "relu", 2e-3, 64, 0.0, "", "residual_mlp"), False),
        ({"family": "taper"}, Candidate((64, 32), "relu", 2e-3, 64), True),
        ({"family": "taper"}, Candidate((64, 16), "relu", 2e-3, 64), False),
        (
            {"family": "residual"},
            Candidate((64, 64), "relu", 2e-3, 64, family="residual_mlp"),
            True,
        ),
        ({"target": ["a", "b"]}, Candidate((64,), "relu", 2e-3, 64, 0.0, "b"), True),
        ({"target": ["a", "b"]}, Candidate((64,), "relu", 2e-3, 64, 0.0, "c"), False),
    ],
)
def test_what_lies_in_a_space(space, candidate, inside):
    assert contains(SpaceConfig(**space), candidate) is inside


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enqueue": [{"hidden": [8], "activation": "rely"}]}, "search.enqueue"),
        ({"enqueue": [{"hidden": [], "activation": "relu"}]}, "each at least 1"),
        ({"enqueue": [{"hidden": [0], "activation": "relu"}]}, "each at least 1"),
        ({"enqueue": [{"hidden": [8], "activation": ["relu", "relu"]}]}, "one per hidden layer"),
        ({"enqueue": [{"hidden": [8] * 99, "activation": "relu"}]}, "hidden layers of"),
        ({"enqueue": [{"activation": "relu"}]}, "the key 'search.enqueue.0.hidden' is missing"),
        ({"enqueue": [{**WIDE, "width": 8}]}, "unknown key 'search.enqueue.0.width'"),
        ({"enqueue": [WIDE] * 3, "trials": 2}, "lists 3 candidates, more than trials = 2"),
        ({"enqueue": [{**WIDE, "target": "a"}]}, "'a' is none of space.target"),
        (
            {
                "enqueue": [{"hidden": [8, 4], "activation": "relu"}],
                "space": {"family": "residual"},
            },
            "the same width",
        ),
    ],
)
def test_invalid_candidates_are_refused_in_one_line(options, message):
    with pytest.raises(UsageError) as error:
        Config.from_dict({"search": options}, "run.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_they_are_part_of_the_identity_of_a_search(found):
    with pytest.raises(EmufortError, match=r"search\.enqueue"):
        search(data(), config(enqueue=GIVEN[:2]), found.folder)
    with pytest.raises(EmufortError, match=r"search\.enqueue"):
        search(data(), config(), found.folder)


@pytest.mark.parametrize("sampler", ["parzen", "nsga2"])
def test_equal_activation_functions_are_one(sampler, tmp_path):
    """A network has one activation function then, also in the table from which a search goes on."""
    given = [{**INSIDE, "activation": ["relu", "relu"]}, {"hidden": [8], "activation": ["tanh"]}]
    how = {"sampler": sampler, "enqueue": given}
    if sampler == "parzen":
        how["sampler_options"] = {"startup": 6}
    options = config(**how).search
    assert [c.activation for c in enqueued_candidates(options)] == ["relu", "tanh"]
    assert all(contains(options.space, c) for c in enqueued_candidates(options))
    whole = search(data(), config(**how, trials=12), tmp_path / "whole")
    search(data(), config(**how, trials=6), tmp_path / "parts")
    assert content(search(data(), config(**how, trials=12), tmp_path / "parts")) == content(whole)


def test_a_configuration_file_holds_them():
    options = Config.from_dict({"search": {"enqueue": GIVEN}})
    text = tomli_w.dumps(options.model_dump(mode="json", exclude_none=True))
    assert Config.from_dict(tomllib.loads(text)) == options


def test_step_2_may_choose_one_of_them(found, tmp_path):
    options = config(enqueue=GIVEN, retrain__top=18, retrain__steps=60, retrain__seeds=1)
    rows = retrain(found.folder, data(), options, tmp_path)
    assert {0, 1, 2} <= {row.trial for row in rows}
