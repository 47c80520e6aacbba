"""Samplers by name and options, spaces, cost limits, subsets."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.config import Config, SpaceConfig
from emufort.errors import DataError, EmufortError, UsageError
from emufort.network.architecture import Architecture
from emufort.network.scaler import Scaler
from emufort.search.cost import CostModel, from_table
from emufort.search.samplers.cmaes_evolution import Evolution, folded
from emufort.search.samplers.options import check_options, sampler_name, slowness
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.samplers.parzen import front_first
from emufort.search.samplers.registry import make_proposer, propose
from emufort.search.space import (
    Candidate,
    at_point,
    candidate_from,
    dimensions,
    parameters_of,
    tapered,
    to_point,
)
from emufort.search.subset import draw_subset
from emufort.search.trials import Trial
from tests.search.candidates import made
from tests.search.pond import data
from tests.search.test_proposals_and_trials import RATES, trial

SPACE = SpaceConfig(depth=(1, 3), width=(8, 16, 64), batch_size=(32, 64), learning_rate=RATES)
TAPERED = SpaceConfig(
    family="taper", depth=(1, 4), width=(16, 32, 64), weight_decay=(0.0, 1e-4), batch_size=(32,)
)
ALL = [
    "random", "qmc", "parzen", "tpe", pytest.param("gp", marks=pytest.mark.slow), "nsga2", "nsga3",
    "cmaes",
]  # fmt: skip


def installed(sampler: str) -> str:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    return sampler


# ------------------------------------------------------------------- by name


def test_names():
    assert sampler_name("CmaEsSampler") == "cmaes"
    assert sampler_name("NSGA-II") == "nsga2"
    assert sampler_name(" TPE ") == "tpe"
    with pytest.raises(UsageError, match=r"no sampler 'nsga4'.*did you mean 'nsga3'"):
        sampler_name("nsga4")
    assert Config.from_dict({"search": {"sampler": "GPSampler"}}).search.sampler == "gp"


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("tpe", {"n_startup_trial": 3}, r"no option 'n_startup_trial'.*'n_startup_trials'"),
        ("random", {"seed": 3}, r"'random' has no option 'seed'; it has none"),
        ("parzen", {"gama": 0.2}, r"no option 'gama' \(did you mean 'gamma'\?\)"),
        ("parzen", {"gamma": 2.0}, r"gamma = 2\.0 is not between 0 and 1"),
        ("parzen", {"startup": "x"}, r"startup = 'x' is not a whole number"),
        ("cmaes", {"popsize": 2}, r"search\.sampler_options: popsize is at least 4"),
        ("cmaes", {"sigma0": 0.0}, r"sigma0 = 0\.0 is not a share"),
        ("cmaes", {"lr_adapt": 1}, r"lr_adapt is true or false"),
        ("nsga2", {"population_size": 1}, r"search\.sampler_options: nsga2: .*population_size"),
    ],
)
def test_options_are_checked(sampler, options, message):
    with pytest.raises(UsageError, match=message):
        check_options(sampler, options)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(UsageError, match=r"needs the package .* pip install 'emufort\[samplers\]'"):
        check_options("cmaes", {})


def test_options_reach_the_sampler():
    done = [trial(i, float(i + 1), (8,)) for i in range(12)]
    few = make_proposer("tpe", SPACE, 1, done, {"n_startup_trials": 4}).propose(8, 1)
    many = make_proposer("tpe", SPACE, 1, done, {"n_startup_trials": 40}).propose(8, 1)
    assert few != many


def run(sampler, batches, size=6, resume_after=None, accept=lambda c: True, seed=3):
    """Ask and tell a made-up objective; optionally begin again from the table of trials."""
    proposer = make_proposer(sampler, SPACE, seed, accept=accept)
    trials = []
    for batch in range(batches):
        if batch == resume_after:
            proposer = make_proposer(sampler, SPACE, seed, trials, accept=accept)
        new = []
        for i, c in enumerate(proposer.propose(size, batch)):
            value = abs(math.log(c.learning_rate / 5e-3)) + abs(sum(c.hidden) - 80) / 80
            new.append(
                trial(len(trials) + i, math.inf if i == 3 else value, pruned_at=i % 2 or None)
            )
            new[-1] = new[-1].__class__(
                **{
                    **new[-1].__dict__,
                    "architecture": c.architecture(3, 2),
                    "learning_rate": c.learning_rate,
                    "batch_size": c.batch_size,
                    "batch": batch,
                }
            )
        proposer.add(new)
        trials += new
    return trials


@pytest.mark.parametrize("sampler", ALL)
def test_a_sampler_begun_again_proposes_the_same(sampler):
    batches = 3 if sampler == "gp" else 8
    whole = run(installed(sampler), batches)
    assert len(whole) == 6 * batches
    assert run(sampler, batches, resume_after=batches - 1) == whole


@pytest.mark.parametrize("sampler", ALL)
def test_a_limit_is_kept_and_begun_again(sampler):
    def accept(candidate: Candidate) -> bool:
        return sum(candidate.hidden) <= 40

    batches = 2 if sampler == "gp" else 8
    found = run(installed(sampler), batches, accept=accept)
    assert all(sum(t.architecture.hidden) <= 40 for t in found)
    assert run(sampler, batches, resume_after=1, accept=accept) == found


def test_an_impossible_limit_is_an_error():
    with pytest.raises(EmufortError, match=r"only 0 of 1000 .* satisfy search\.max_ns"):
        make_proposer("random", SPACE, 1, accept=lambda c: False).propose(2, 0)


def test_other_proposals_than_before_are_noticed():
    done = [trial(i, 1.0, (8,)) for i in range(6)]
    with pytest.raises(EmufortError, match="does not propose again"):
        make_proposer("nsga2", SPACE, 1, done)


@pytest.mark.parametrize(("sampler", "size"), [("parzen", 6), ("cmaes", 12)])
def test_a_sampler_that_learns_beats_random(sampler, size):
    # over several seeds: on another CPU a search may go another way, as with another seed.
    # Means over seeds 3 to 10: 0.34 for parzen, 0.18 for cmaes; single seeds reach 0.63.
    def best(name, size):
        seeds = [
            sorted(t.value for t in run(name, 16, size, seed=seed) if t.finite)[:8]
            for seed in range(3, 7)
        ]
        return np.mean(seeds)

    assert best(installed(sampler), size) < 0.6 * best("random", size)


def evolved(distance, generations, n=6, population=12):
    """Minimise `distance` over the cube; return the points of every generation, (g, point, n)."""
    found = Evolution(n, population, {"sigma0": 1 / 6, "lr_adapt": False})
    course = []
    for generation in range(generations):
        found.seed(generation)
        points = [found.ask() for _ in range(population)]
        found.tell(points, [(distance(folded(p)),) for p in points])
        course.append([folded(p) for p in points])
    return np.array(course)


@pytest.mark.parametrize("place", [0.37, 0.0, 1.0])
def test_an_evolution_finds_places_inside_and_at_the_rim(place):
    pytest.importorskip("cmaes")
    course = evolved(lambda u: float(np.abs(u - place).max()), 80)
    assert np.abs(course[-1] - place).max() < 0.02


def test_an_evolution_that_has_converged_begins_elsewhere():
    pytest.importorskip("cmaes")
    course = evolved(lambda u: float(np.square(u - 0.4).sum()), 300)
    spreads = course.std(axis=1).max(axis=1)
    smallest = int(np.argmin(spreads))
    assert spreads[smallest] < 1e-8
    assert max(spreads[smallest:]) > 0.02


def test_of_a_generation_only_the_order_counts():
    pytest.importorskip("cmaes")
    course = evolved(lambda u: float(np.square(u - 0.4).sum()), 12)
    other = evolved(lambda u: -1.0 / (1e-9 + float(np.square(u - 0.4).sum())), 12)
    assert np.array_equal(course, other)


def test_parts_of_a_generation_wait_for_the_rest():
    pytest.importorskip("cmaes")
    one, other = (Evolution(3, 8, {"sigma0": 0.2, "lr_adapt": False}) for _ in range(2))
    for evolution in (one, other):
        evolution.seed(1)
    points = [one.ask() for _ in range(10)]
    keys = [(float(i % 3),) for i in range(10)]
    one.tell(points, keys)  # two more than a generation: forgotten
    other.tell(points[:5], keys[:5])
    assert np.array_equal(other.ask(), points[0])  # nothing has moved yet
    other.tell(points[5:8], keys[5:8])
    for evolution in (one, other):
        evolution.seed(2)
    assert np.array_equal(one.ask(), other.ask())


def test_a_trial_that_was_stopped_early_is_worse_than_all_that_went_on():
    pytest.importorskip("cmaes")
    proposer = make_proposer("cmaes", SPACE, 1, options={"sigma0": 0.3})
    other = make_proposer("cmaes", SPACE, 1, options={"sigma0": 0.3})
    for one, loss in ((proposer, 1e-9), (other, 1e9)):
        asked = one.propose(12, 0)
        told = [trial(i, 1.0 + i, (8,)) for i in range(12)]
        told[5] = replace(told[5], value=loss, rungs=((1, loss),), pruned_at=1)
        others = [replace(t, rungs=((1, t.value), (4, t.value))) for t in told]
        told = [told[i] if i == 5 else others[i] for i in range(12)]
        one.add(told)
        assert len(asked) == 12
    assert proposer.propose(12, 1) == other.propose(12, 1)


# -------------------------------------------------------------------- spaces


@pytest.mark.parametrize("space", [SPACE, TAPERED])
def test_candidates_are_points_and_parameters(space):
    rng = np.random.default_rng(0)
    for _ in range(50):
        candidate = at_point(space, rng.random(len(dimensions(space))).tolist())
        assert candidate_from(space, parameters_of(space, candidate)) == candidate
        point = np.nan_to_num(to_point(space, candidate), nan=0.3)
        again = at_point(space, point.tolist())
        assert again.hidden == candidate.hidden
        assert again.learning_rate == pytest.approx(candidate.learning_rate)


def test_tapered_widths():
    assert tapered(64, 0.5, 4) == (64, 32, 16, 8)
    assert tapered(5, 0.5, 4) == (5, 2, 1, 1)
    assert tapered(32, 1.0, 3) == (32, 32, 32)
    found = propose("qmc", TAPERED, [], 32, 1, 0)
    assert {c.weight_decay for c in found} == {0.0, 1e-4}
    assert all(list(c.hidden) == sorted(c.hidden, reverse=True) for c in found)


def test_the_space_of_the_paper():
    space = SpaceConfig.model_validate(
        {
            "depth": [1, 20],
            "width": {"lowest": 8, "highest": 2048, "choices": 17},
            "learning_rate": RATES,
            "batch_size": [32, 64, 128],
        }
    )
    assert (min(space.width), max(space.width)) == (8, 2048)
    assert all(width % 4 == 0 for width in space.width)
    for sampler in ("qmc", "parzen", "tpe"):
        done = [trial(i, float(i + 1), (8,) * (1 + i % 20)) for i in range(40)]
        found = propose(sampler, space, done, 8, 1, 1)
        assert max(len(c.hidden) for c in found) <= 20
    for wrong in ({"lowest": 8}, {"lowest": 9, "highest": 8}, {"lowest": 1, "highest": 8, "x": 1}):
        with pytest.raises(UsageError, match=r"search\.space\.width"):
            Config.from_dict({"search": {"space": {"width": wrong}}})


# ---------------------------------------------------------------------- cost


def architectures():
    return [
        Architecture(15, (w,) * depth, 4, activation)
        for w in (8, 24, 64)
        for depth in (1, 3)
        for activation in ("relu", "silu")
    ]


def test_the_cost_model_finds_the_coefficients():
    def ns(a):
        padded = [-(-n // 8) * 8 for n in a.sizes[1:]]
        macs = sum(i * o for i, o in zip(a.sizes[:-1], padded, strict=True))
        per_neuron = {"relu": 0.02, "silu": 0.5}[a.activation]
        return 5 + 0.03 * macs + per_neuron * sum(padded[:-1])

    model = CostModel.fit(architectures(), [ns(a) for a in architectures()], "test")
    assert model.error < 1e-6
    other = Architecture(15, (40, 16), 4, "silu")
    assert model.predict(other) == pytest.approx(ns(other))
    # What was not measured is taken to be dear.
    tanh = Architecture(15, (40, 16), 4, "tanh")
    assert model.predict(tanh) == pytest.approx(ns(other))


def test_cost_tables(tmp_path):
    lines = [f"{a.label},{10 + a.multiply_adds / 30}" for a in architectures()]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["label,ns_per_sample", *lines]) + "\n")
    assert from_table(path, 16).n == 12
    path.write_text("\n".join(["label,ns_per_sample", *lines[:3]]) + "\n")
    with pytest.raises(UsageError, match=r"has 3 usable times; .* needs at least 6 networks"):
        from_table(path, 16)
    path.write_text("label,time\nx,1\n")
    with pytest.raises(UsageError, match="is no table with the columns"):
        from_table(path, 16)


# ------------------------------------------------------------------- subsets


@pytest.mark.parametrize("method", ["random", "stratified", "space_filling"])
def test_subsets_are_drawn_once_and_again(method):
    train = data(4000).part("train")
    found = draw_subset(train, 200, method, 1)
    assert len(set(found.rows.tolist())) == 200
    assert set(found.rows) <= set(train.rows)
    assert (found.rows == draw_subset(train, 200, method, 1).rows).all()
    assert (found.rows != draw_subset(train, 200, method, 2).rows).any()
    with pytest.raises(DataError, match="a subset of 4000 rows cannot"):
        draw_subset(train, 4000, method, 1)


def test_what_subsets_are_good_for():
    train = data(4000).part("train")
    contract = train.contract
    scaler = Scaler.fit(contract.output_columns, train.targets)
    scaled = Scaler.fit(contract.input_columns, train.features)

    def spread(method, rows):
        """Distance of the quantiles of the first output from those of all rows."""
        y = scaler.forward(draw_subset(train, 64, method, 1).targets[:rows])[:, 0]
        whole = scaler.forward(train.targets)[:, 0]
        at = np.linspace(0.05, 0.95, 19)
        return np.abs(np.quantile(y, at) - np.quantile(whole, at)).mean()

    assert spread("stratified", 64) < 0.6 * spread("random", 64)
    assert spread("stratified", 16) < spread("random", 16)

    def emptiest(method):
        """Largest distance of a row from the nearest chosen one."""
        x = scaled.forward(draw_subset(train, 64, method, 1).features)
        everyone = scaled.forward(train.features)
        return np.sqrt(((everyone[:, None] - x[None]) ** 2).sum(axis=2)).min(axis=1).max()

    assert emptiest("space_filling") < 0.8 * emptiest("random")


# ------------------------------------------------------------- time of a sampler


def told(number: int, candidate: Candidate, value: float) -> Trial:
    return Trial(
        number=number,
        architecture=candidate.architecture(3, 2),
        learning_rate=candidate.learning_rate,
        batch_size=candidate.batch_size,
        value=value,
        epochs=4,
        pruned_at=None,
        seconds=0.0,
        batch=number // 6,
        rungs=((4, value),),
        weight_decay=candidate.weight_decay,
    )


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3"])
def test_genetic_samplers_asked_for_batches_propose_what_optuna_proposes(sampler, monkeypatch):
    def proposed() -> list[Candidate]:
        found = make_proposer(sampler, SPACE, 4, options={"population_size": 10})
        candidates = []
        for batch in range(8):
            new = found.propose(6, batch)
            trials = [
                told(len(candidates) + i, c, sum(c.hidden) / c.batch_size)
                for i, c in enumerate(new)
            ]
            found.add(trials)
            candidates += new
        return candidates

    ours = proposed()
    plain = quiet_optuna().samplers
    monkeypatch.setattr(
        "emufort.search.samplers.options.for_batches", lambda name: getattr(plain, name)
    )
    assert proposed() == ours
    assert len(set(ours)) > 20


def test_a_sampler_with_a_history_is_told_of_the_best_and_some_others():
    def proposer(**options):
        return make_proposer("tpe", SPACE, 1, finished, options)

    candidates = propose("random", SPACE, [], 120, 3, 0)
    finished = [told(i, c, 1.0 + (i * 37 % 120)) for i, c in enumerate(candidates)]
    short = proposer(history=50)
    first = short.propose(4, 5)
    known = [t for t in short._study.trials if t.state.name != "FAIL"]
    assert len(known) <= 50
    values = sorted(t.value for t in known)
    assert values[:12] == [float(i) for i in range(1, 13)]
    assert values[-1] > 100
    # As many as there are: nothing is left out.
    assert proposer(history=120).propose(4, 5) == proposer().propose(4, 5)
    # What it proposes is determined by the trials, not by when they were told.
    late = make_proposer("tpe", SPACE, 1, finished[:70], {"history": 50})
    late.add(finished[70:])
    assert late.propose(4, 5) == first


def test_slow_samplers_are_named():
    assert slowness("parzen", 100_000) is None
    assert slowness("tpe", 100) is None
    assert "'tpe' takes 5 to 20 ms" in slowness("tpe", 500)


@pytest.mark.parametrize("n", [61, 70, 97, 120])
def test_a_sampler_with_a_history_is_told_of_all_that_fit(n: int) -> None:
    finished = [trial(i, value=float((i * 37) % 101)) for i in range(n)]
    proposer = make_proposer("tpe", SPACE, 1, finished, {"history": 60, "n_startup_trials": 40})
    assert len(proposer._worth_telling()) == 60


def test_a_history_below_what_the_sampler_waits_for_is_refused() -> None:
    with pytest.raises(UsageError, match="history = 50 must exceed n_startup_trials = 50"):
        check_options("tpe", {"history": 50, "n_startup_trials": 50})


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_the_front_comes_first_and_all_come_once(seed, n):
    rng = np.random.default_rng(seed)
    trials = [
        made(i, np.inf if rng.random() < 0.1 else np.exp(rng.normal()), hidden=(4 + i // 2,))
        for i in rng.permutation(n).tolist()
    ]
    order = front_first(trials).tolist()
    assert sorted(order) == list(range(n))
    cost = [t.architecture.relative_cost for t in trials]
    usable = [i for i in order if trials[i].value <= 10 * min(t.value for t in trials)]

    def beaten(i):
        return any(
            cost[j] <= cost[i]
            and trials[j].value <= trials[i].value
            and (cost[j], trials[j].value) != (cost[i], trials[i].value)
            for j in usable
        )

    front = [i for i in usable if not beaten(i)] if np.isfinite(trials[order[0]].value) else []
    first = order[: min(len(front), 25)]
    assert set(first) <= set(front) or len({(cost[i], trials[i].value) for i in front}) < len(front)


def test_the_aim_of_parzen_is_named_where_it_is_wrong():
    with pytest.raises(UsageError, match="aim = 'cheap' is neither 'front'"):
        check_options("parzen", {"aim": "cheap"})
