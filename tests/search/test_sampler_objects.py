"""Samplers of Optuna that are given as objects."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest

import emufort.api as ef
from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_json
from emufort.search import rungs
from emufort.search.driver import search
from emufort.search.identity import study_sha256
from emufort.search.samplers.objects import describe
from emufort.search.samplers.options import OBJECT
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.samplers.registry import make_proposer
from tests.search.pond import OPTIONS, data
from tests.search.test_samplers import SPACE, run

samplers = quiet_optuna().samplers


class Own(samplers.BaseSampler):
    """A sampler of the user that draws with a Generator of NumPy."""

    def __init__(self, shift: float = 0.0) -> None:
        self._shift = shift
        self._draws = np.random.default_rng()

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        d = quiet_optuna().distributions
        u = self._draws.random()
        if isinstance(distribution, d.CategoricalDistribution):
            return distribution.choices[int(u * len(distribution.choices))]
        if isinstance(distribution, d.IntDistribution):
            return distribution.low + int(u * (distribution.high - distribution.low + 1))
        return distribution.low * (distribution.high / distribution.low) ** u


class Unseeded(Own):
    """A sampler whose random numbers the search cannot seed."""

    def sample_independent(self, study, trial, name, distribution):
        self._draws = np.random.default_rng()
        return super().sample_independent(study, trial, name, distribution)


class Broken(Own):
    def sample_independent(self, study, trial, name, distribution):
        raise RuntimeError("no\nidea")


class Locked(Own):
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()


MADE = {
    "tpe": lambda: samplers.TPESampler(multivariate=True, n_startup_trials=6),
    "random": lambda: samplers.RandomSampler(),
    "nsga2": lambda: samplers.NSGAIISampler(population_size=6),
    "qmc": lambda: samplers.QMCSampler(warn_independent_sampling=False),
    "scrambled": lambda: samplers.QMCSampler(
        scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
    ),
    "fixed": lambda: samplers.PartialFixedSampler({"depth": 2}, samplers.RandomSampler()),
    "own": lambda: Own(0.5),
}


def made(name: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MADE[name]()


def options(**changes) -> dict:
    return {**OPTIONS["search"], "trials": 12, **changes}


def searched(out, sampler, workers=1, **changes):
    return ef.search(data(), out=out, workers=workers, sampler=sampler, **options(**changes))


def content(result) -> list:
    return [*(replace(t, seconds=0.0) for t in result.trials), study_sha256(result.folder)]


@pytest.mark.parametrize("name", MADE)
def test_an_object_begun_again_proposes_the_same(name):
    whole = run(made(name), 6)
    for after in (1, 3, 5):
        resumed = run_again(name, 6, after)
        assert [t.candidate for t in resumed] == [t.candidate for t in whole]


def run_again(name, batches, after):
    """A second process has another object, which is equal to the first one."""
    begun = run(made(name), after)
    proposer = make_proposer(made(name), SPACE, 3, begun)
    trials = list(begun)
    full = run(made(name), batches)
    for number in range(after, batches):
        new = [t for t in full if t.batch == number]
        assert proposer.propose(6, number) == [t.candidate for t in new]
        proposer.add(new)
        trials += new
    return trials


@pytest.mark.parametrize("name", ["tpe", "random", "own", "scrambled"])
def test_the_seed_of_the_search_determines_the_proposals(name):
    first = make_proposer(made(name), SPACE, 1).propose(8, 0)
    assert make_proposer(made(name), SPACE, 1).propose(8, 0) == first
    assert make_proposer(made(name), SPACE, 2).propose(8, 0) != first


def test_an_object_is_not_changed_and_can_be_used_again():
    sampler = made("own")
    before = sampler._draws.bit_generator.state
    first = make_proposer(sampler, SPACE, 1).propose(8, 0)
    assert sampler._draws.bit_generator.state == before
    assert make_proposer(sampler, SPACE, 1).propose(8, 0) == first


def test_a_fixed_parameter_stays_fixed():
    found = make_proposer(made("fixed"), SPACE, 1).propose(12, 0)
    assert {len(c.hidden) for c in found} == {2}


def test_a_tpe_object_learns():
    """From the third batch on the candidates are better than those of the first two."""
    trials = run(made("tpe"), 12, size=8)
    finite = [t for t in trials if t.finite]
    early = [t.value for t in finite if t.batch < 2]
    late = [t.value for t in finite if t.batch >= 6]
    assert np.median(late) < 0.75 * np.median(early)


@pytest.mark.parametrize("name", ["tpe", "own"])
def test_a_search_with_an_object_is_reproducible(name, tmp_path):
    whole = searched(tmp_path / "whole", made(name))
    assert len({t.candidate for t in whole.trials}) > 6
    searched(tmp_path / "parts", made(name), trials=6)
    parts = searched(tmp_path / "parts", made(name), workers=2)
    assert content(parts) == content(whole)
    # a finished search does not ask the object
    again = searched(tmp_path / "parts", made(name))
    assert content(again) == content(whole)


def test_killed_within_a_batch_it_ends_the_same(tmp_path, monkeypatch):
    whole = searched(tmp_path / "whole", made("tpe"))
    original, calls = rungs.run_rung, 0

    def deadly(trainers, unit):
        nonlocal calls
        calls += 1
        if calls == 14:
            raise KeyboardInterrupt
        return original(trainers, unit)

    with monkeypatch.context() as patch:
        patch.setattr(rungs, "run_rung", deadly)
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "killed", made("tpe"))
    assert content(searched(tmp_path / "killed", made("tpe"))) == content(whole)


def test_an_object_with_candidates_of_the_user(tmp_path):
    given = [{"hidden": [8, 4], "activation": "tanh"}, {"hidden": [5], "activation": "relu"}]
    whole = searched(tmp_path / "whole", made("tpe"), enqueue=given)
    searched(tmp_path / "parts", made("tpe"), enqueue=given, trials=6)
    assert content(searched(tmp_path / "parts", made("tpe"), enqueue=given)) == content(whole)
    assert [t.architecture.hidden for t in whole.trials[:2]] == [(8, 4), (5,)]


def test_another_object_is_refused(tmp_path):
    searched(tmp_path, made("tpe"), trials=6)
    with pytest.raises(EmufortError, match=r"search\.sampler = object .*n_startup_trials=6.* inst"):
        searched(tmp_path, samplers.TPESampler(multivariate=True, n_startup_trials=7))
    with pytest.raises(EmufortError, match=r"search\.sampler = object .* instead of parzen"):
        ef.search(data(), out=tmp_path, workers=1, **options())


def test_without_the_object_the_search_says_how_to_continue(tmp_path):
    found = searched(tmp_path, made("tpe"), trials=6)
    name = found.summary["sampler"]
    assert name.startswith(f"{OBJECT}optuna.samplers.TPESampler(")
    with pytest.raises(UsageError, match=r"an object of Python, optuna\.samplers\.TPESampler\(.*"):
        search(data(), Config.from_dict({**OPTIONS, "search": options(sampler=name)}), tmp_path)
    # what is finished needs no object
    done = Config.from_dict({**OPTIONS, "search": options(sampler=name, trials=6)})
    assert content(search(data(), done, tmp_path)) == content(found)


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (samplers.RandomSampler(seed=3), "optuna.samplers.RandomSampler()"),
        (Own(0.5), f"{Own.__module__}.Own(shift=0.5)"),
        (
            samplers.GridSampler({"depth": [1, 2]}),
            "optuna.samplers.GridSampler(search_space={'depth': [1, 2]})",
        ),
    ],
)
def test_descriptions(sampler, expected):
    assert describe(sampler) == expected


def test_descriptions_hold_what_distinguishes_samplers():
    kind = samplers.TPESampler
    different = [
        kind(), kind(multivariate=True), kind(n_startup_trials=5), kind(constraints_func=min),
        kind(n_ei_candidates=9), made("fixed"),
    ]  # fmt: skip
    texts = [describe(one) for one in different]
    assert len(set(texts)) == len(texts)
    assert describe(kind(seed=3)) == describe(kind(seed=4)) == texts[0]


def test_a_long_description_ends_with_a_hash():
    first, second = (
        describe(Own({f"parameter {i}": {i} for i in range(100)} | {"last": x})) for x in (1, 2)
    )
    assert len(first) == len(second) < 1100
    assert first[:1000] == second[:1000]
    assert first != second


@pytest.mark.parametrize("wrong", [3, object(), samplers.TPESampler])
def test_something_else_is_no_sampler(wrong, tmp_path):
    with pytest.raises(UsageError, match=r"the name of a sampler or an object of optuna\.samplers"):
        searched(tmp_path, wrong)


def test_an_object_that_cannot_be_seeded_is_found_out(tmp_path):
    searched(tmp_path, Unseeded(), trials=6)
    with pytest.raises(EmufortError, match=r"does not propose again .* cannot seed"):
        searched(tmp_path, Unseeded())


def test_an_object_that_fails_ends_the_search_in_one_line(tmp_path):
    with pytest.raises(EmufortError, match=r"Broken\(shift=0\.0\) failed: RuntimeError: no idea$"):
        searched(tmp_path, Broken())


def test_an_object_that_cannot_be_copied_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be copied"):
        searched(tmp_path, Locked())


def test_options_belong_to_the_object(tmp_path):
    with pytest.raises(UsageError, match="not for a sampler object"):
        searched(tmp_path, made("tpe"), sampler_options={"n_startup_trials": 3})


class Unpicklable(Own):
    def __deepcopy__(self, memo):
        return Unpicklable(self._shift)

    def __reduce_ex__(self, protocol):
        raise AssertionError("pickled")


def test_an_object_is_never_pickled(tmp_path):
    searched(tmp_path, Unpicklable(), workers=2, trials=6)
    identity = read_json(tmp_path / "subset.json")["identity"]
    assert identity["search.sampler"] == f"object {__name__}.Unpicklable(shift=0.0)"
