"""Step 1 against step 2 over all candidates: the definitions, and that no training is lost."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib import import_module as load
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from emufort.config import Config
from emufort.errors import UsageError
from emufort.training import Arrays
from emufort.training import native_trainer as native

TOP = Path(__file__).resolve().parents[2]
needs_native = pytest.mark.skipif(not native.available(), reason="the trainer is not built")


@pytest.mark.parametrize("seed", range(20))
def test_what_the_cost_explains_does_not_count_at_equal_cost(seed: int) -> None:
    scores = load("benchmarks.foretell.scores")
    rng = np.random.default_rng(seed)
    cost = np.exp(rng.uniform(0, 6, 8 + seed))
    noise, final = np.exp(rng.normal(size=(2, len(cost))))
    plain = scores.rank_correlation_at_equal_cost(noise, final, cost)
    # A power of the cost in either loss changes nothing.
    tilted = scores.rank_correlation_at_equal_cost(noise * cost**0.7, final / cost, cost)
    assert plain == pytest.approx(tilted, abs=1e-9)
    assert scores.rank_correlation_at_equal_cost(final * cost, final, cost) == pytest.approx(1.0)
    # Rounding errors are no order.
    assert scores.rank_correlation_at_equal_cost(3.7 / cost, final, cost) == 0.0


def test_a_bootstrap_is_spearmans_coefficient_of_drawn_candidates() -> None:
    scores = load("benchmarks.foretell.scores")
    rng = np.random.default_rng(5)
    cost, final = np.exp(rng.normal(size=(2, 40)))
    predicted = final * np.exp(0.5 * rng.normal(size=40))
    plain, at_equal_cost = scores.resampled(predicted, final, cost, 3)
    drawn = np.random.default_rng(3).integers(40, size=(scores.RESAMPLES, 40))
    for i in range(5):
        wanted = spearmanr(predicted[drawn[i]], final[drawn[i]]).statistic
        assert plain[i] == pytest.approx(wanted, abs=1e-12)
    low, high = np.percentile(plain, scores.INTERVAL)
    assert low < scores.rank_correlation(predicted, final) < high
    assert 0.01 < high - low < 0.6
    assert (
        scores.resampled(predicted, cost * 0 + 1, cost, 3)[0].tolist() == [0.0] * scores.RESAMPLES
    )
    wanted = scores.rank_correlation_at_equal_cost(predicted, final, cost)
    assert abs(float(np.median(at_equal_cost)) - wanted) < 0.05


def test_many_depths_are_judged_in_ranges() -> None:
    ranges = load("benchmarks.foretell.scores").ranges_of
    assert ranges(1, 3) == {1: "1", 2: "2", 3: "3"}
    assert ranges(2, 6) == {2: "2 to 3", 3: "2 to 3", 4: "4", 5: "5", 6: "6"}
    assert set(ranges(1, 20).values()) == {"1 to 5", "6 to 10", "11 to 15", "16 to 20"}


def test_the_front_is_compared_at_every_cost() -> None:
    scores = load("benchmarks.foretell.scores")
    cost = np.array([1.0, 2.0, 3.0, 4.0])
    final = np.array([8.0, 4.0, 2.0, 1.0])
    assert scores.regret_along_the_front([0, 1, 2, 3], final, cost) == 0.0
    # Costs of 2 to 4 count; the best affordable losses are 8, 8 and 1 instead of 4, 2 and 1.
    assert scores.regret_along_the_front([0, 3], final, cost) == pytest.approx(8 ** (1 / 3) - 1)
    # Nothing is cheap enough at 2 and 3: the worst loss counts.
    assert scores.regret_along_the_front([3], final, cost) == pytest.approx(8 ** (1 / 3) - 1)


@pytest.mark.parametrize(("k", "wanted"), [(1, 3.0), (2, 1.0), (3, 0.0)])
def test_regret_is_that_of_the_best_of_the_first(k: int, wanted: float) -> None:
    scores = load("benchmarks.foretell.scores")
    predicted, final = np.array([2.0, 1.0, 3.0]), np.array([2.0, 4.0, 1.0])
    assert scores.regret(predicted, final, k) == pytest.approx(wanted)


def test_bias_is_the_mean_shift_of_ranks() -> None:
    scores = load("benchmarks.foretell.scores")
    predicted, final = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 1.0, 2.0])
    found = scores.bias(predicted, final, ["relu", "relu", "silu", "silu"])
    assert found == {"relu": -2.0, "silu": 2.0}


# --------------------------------------------------------------------------- ways


@pytest.mark.parametrize(
    "text",
    [
        "cosine", "cosine:3", "linear:3:4", "cosine:a:2", "cosine:1:2:3:4:5", "cosine:0:2",
        "cosine:1:2:3:-1", "cosine:1:2:3:nan", "constant:1:2:0:2", "cosine:1:-2",
        "cosine:1:2+cosine:2:2", "cosine:1:2/1+cosine:2:2", "cosine:1:2/4", "", "cosine:1:2/4+",
        "/4+cosine:1:2", "constant:1:2:16",
    ],
)  # fmt: skip
def test_a_way_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="no way to train"):
        load("benchmarks.foretell.ways").parse_ways(text, Config(), 9)


@pytest.mark.parametrize(
    "text",
    [
        "constant:5:2000",
        "cosine:16:0:32",
        "cosine:8:0:0:1.5",
        "cosine:4:0:16/4+cosine:8:0:16/2+constant:1:9",
    ],
)
def test_a_way_is_written_as_it_is_read(text: str) -> None:
    (found,) = load("benchmarks.foretell.ways").parse_ways(f"{text}, {text}", Config(), 9)
    assert str(found) == text


def test_the_default_way_is_that_of_the_search() -> None:
    def default(n_train: int, retrain: dict[str, Any], **search: Any) -> str:
        config = Config.from_dict({"search": search, "retrain": retrain})
        (found,) = load("benchmarks.foretell.ways").parse_ways("default", config, n_train)
        return str(found)

    given = {"rungs": [1, 3], "subset": 200, "eta": 3}
    assert default(999, {}, **given, rung_rows=[100, 200]) == "cosine:1:100/3+cosine:3:200"
    assert default(999, {}, **given) == "cosine:1:200/3+cosine:3:200"
    assert default(999, {}, **given, schedule="constant") == "constant:1:200/3+constant:3:200"
    # Shares of step 2's samples, in epochs of all rows: 0.1 and 0.3 of 1,000 x 256.
    shares = {"share": [0.1, 0.3]}
    assert default(6400, {"steps": 1000}, **shares) == "cosine:4:6400/4+cosine:12:6400"


def arrays(rows: int = 64, seed: int = 1) -> Arrays:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, rows, 2), dtype=np.float32)
    return Arrays(x, y, x[:16], y[:16], (False, False))


def trainings(folder: Path, n: int = 8, **retrain: Any) -> Any:
    config = Config.from_dict({"retrain": {"steps": 10, **retrain}})
    return load("benchmarks.foretell.trainings").Trainings(arrays(), config, n, folder)


def finished(n: int, done: dict[Any, tuple[float, float]], **search: Any) -> Any:
    """Trainings of which the table has some already."""
    known = object.__new__(load("benchmarks.foretell.trainings").Trainings)
    known.n, known.done, known.sizes, known._candidates = n, done, (2, 2), {}
    known.config = Config.from_dict({"search": search})
    return known


losses = st.floats(1e-6, 1.0) | st.just(math.inf)


@settings(deadline=None)
@given(
    st.lists(st.tuples(losses, losses, losses), min_size=2, max_size=20),
    st.integers(2, 5),
    st.integers(1, 20),
)
def test_the_best_of_every_batch_go_on(
    table: list[tuple[float, float, float]], eta: int, size: int
) -> None:
    ways = load("benchmarks.foretell.ways")
    rungs = ways.Rungs.parse(f"cosine:1:9/{eta}+cosine:2:9/{eta}+cosine:3:9")
    known = finished(len(table), {}, batch=size, groups=[])
    level = [-1] * known.n
    for at, way in enumerate(rungs.ways):
        # What is trained is what `members` asks for, and no more.
        for number in known.members(1, rungs, at):
            assert level[number] == at - 1
            level[number] = at
            known.done[1, number, str(way), 0] = table[number][at], 2.0**at
    counts = [sum(reached >= at for reached in level) for at in range(3)]
    for first in range(0, known.n, size):
        batch = range(known.n)[first : first + size]
        for at in range(2):
            here = [i for i in batch if level[i] >= at]
            there = [i for i in here if level[i] > at]
            assert len(there) <= max(1, len(here) // eta)
            others = [table[i][at] for i in here if i not in there]
            assert all(table[i][at] <= min(others, default=math.inf) for i in there)
    trials, seconds = known.trials(1, rungs)
    assert seconds == counts[0] + 2 * counts[1] + 4 * counts[2]
    for number, trial in enumerate(trials):
        assert trial.number == number
        assert trial.candidate == known.candidates(1)[number]
        reached = table[number][: level[number] + 1]
        assert trial.rungs == tuple(enumerate(reached, start=1))
        assert trial.value == reached[-1]


def test_candidates_are_compared_with_those_of_their_group_first() -> None:
    names = ("relu", "tanh")
    space = {"activation": names}
    known = finished(40, {}, batch=40, groups=["activation"], space=space)
    group = [c.activation for c in known.candidates(1)]
    rungs = load("benchmarks.foretell.ways").Rungs.parse("cosine:1:9/4+cosine:2:9")
    way = str(rungs.ways[0])
    for i, name in enumerate(group):
        # The one learns late: all of it is behind all of the other.
        known.done[1, i, way, 0] = (1.0 if name == "tanh" else 0.1) * (1 + i / 100), 1.0
    kept = [group[i] for i in known.members(1, rungs, 1)]
    assert len(kept) == 10 and set(kept) == set(names)
    known.config = Config.from_dict({"search": {"batch": 40, "groups": [], "space": space}})
    assert {group[i] for i in known.members(1, rungs, 1)} == {"relu"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        # At a constant rate the second rung goes on from the first one.
        ("constant:1:9/2+constant:4:9", 10.0 + 10.0 + 40.0 - 10.0),
        ("cosine:1:9/2+cosine:4:9", 10.0 + 10.0 + 40.0),
        ("constant:1:9/2+constant:4:8", 10.0 + 10.0 + 40.0),
    ],
)
def test_processor_time_is_what_was_spent(text: str, seconds: float) -> None:
    rungs = load("benchmarks.foretell.ways").Rungs.parse(text)
    first, second = map(str, rungs.ways)
    done = {
        (1, 0, first, 0): (0.5, 10.0),
        (1, 1, first, 0): (0.6, 10.0),
        (1, 0, second, 0): (0.4, 40.0),
    }
    assert finished(2, done).trials(1, rungs)[1] == seconds


@needs_native
def test_step_1_looks_at_as_many_validation_rows_as_the_search(tmp_path: Path) -> None:
    module = load("benchmarks.foretell.trainings")
    config = Config.from_dict({"search": {"validation": 16}, "retrain": {"steps": 5}})
    some = arrays(rows=200)
    every = replace(some, x_validation=some.x_train, y_validation=some.y_train)
    known = module.Trainings(every, config, 1, tmp_path)
    few = known.of_step_1
    rows = [int(np.flatnonzero((every.x_train == x).all(axis=1))[0]) for x in few.x_validation]
    assert len(set(rows)) == 16 and rows != list(range(16))
    assert np.array_equal(few.y_validation, every.y_train[rows])
    cache = module.TrainerCache({"": few, module.FINAL: every}, "native")
    units = [module.Unit(1, 0, way, 0) for way in ("cosine:1:50", module.FINAL)]
    trainers = [module.trainer_of(cache, unit) for unit in units]
    assert [trainer.n_train for trainer in trainers] == [50, 200]
    # The final loss is that over all validation rows.
    final = known.train(cache, units[1])
    other = module.TrainerCache({"": few, module.FINAL: few}, "native")
    assert final != known.train(other, units[1])


def test_trainings_of_other_settings_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings(tmp_path, steps=10)
    # Nothing was trained yet: the settings may change.
    trainings(tmp_path, steps=20)
    (tmp_path / "trainings.csv").write_text(
        ",".join(load("benchmarks.foretell.trainings").COLUMNS) + "\n"
    )
    trainings(tmp_path, n=4, steps=20)
    with pytest.raises(UsageError, match=r"other retrain.steps; choose another --out"):
        trainings(tmp_path, steps=10)
    module, config = (
        load("benchmarks.foretell.trainings"),
        Config.from_dict({"retrain": {"steps": 20}}),
    )
    with pytest.raises(UsageError, match="other data;"):
        module.Trainings(arrays(seed=2), config, 8, tmp_path)
    monkeypatch.setattr(module, "RULES", module.RULES + 1)
    with pytest.raises(UsageError, match="other rules;"):
        trainings(tmp_path, steps=20)


def test_fewer_candidates_are_the_first_of_more(tmp_path: Path) -> None:
    few, many = (trainings(tmp_path, n).candidates(3) for n in (4, 8))
    assert few == many[:4]


def test_more_rows_than_there_are_stop_before_any_training(tmp_path: Path) -> None:
    ways = load("benchmarks.foretell.ways").parse_ways("cosine:1:16/2+cosine:1:65", Config(), 64)
    with pytest.raises(UsageError, match="'cosine:1:65' needs 65 of 64 training rows"):
        trainings(tmp_path).do_all([1], ways, 1, 1)
    assert not (tmp_path / "trainings.csv").exists()


# ----------------------------------------------------------------------- the script

SMALL = ["--candidates", "6", "--steps", "30", "--keep", "2", "--workers", "1"]
WAYS = "cosine:1:300,constant:1:300,cosine:1:300/2+cosine:2:400"


def _losses(folder: Path) -> dict[Any, float]:
    path = folder / "embedded" / "trainings.csv"
    return {key: loss for key, (loss, _) in load("benchmarks.foretell.trainings")._read(path)}


@needs_native
def test_a_small_comparison_is_repeated_without_training(tmp_path: Path, capsys: Any) -> None:
    foretell = load("benchmarks.foretell.__main__")
    words = ["--out", str(tmp_path), "--ways", WAYS, "--samples", "1,2", *SMALL]
    foretell.main(words)
    first = capsys.readouterr().out
    folder = tmp_path / "embedded"
    content = json.loads((folder / "foretell.json").read_text())
    names = {
        *WAYS.split(","), "multiply-adds alone", "another seed of step 2", "2 at random",
    }  # fmt: skip
    assert set(content["samples"]["1"]) == set(content["over samples"]) == names
    assert set(content["samples"]) == {"1", "2"}
    table = (folder / "trainings.csv").read_text()
    # Of two samples: 2 ways and 2 seeds of step 2 for all, and the second rung for the best half.
    assert table.count("\n") == 1 + 2 * (4 * 6 + 3)
    before = _losses(tmp_path)
    # As a kill leaves it: one line is cut, and two are missing.
    lines = table.splitlines(keepends=True)
    (folder / "trainings.csv").write_text("".join(lines[:-3]) + lines[-3][:9])
    foretell.main(words)
    assert _losses(tmp_path) == before
    assert (folder / "foretell.png").stat().st_size > 0
    assert first.splitlines()[0] == "Aerosol activation, embedded data"
    for name in names:
        assert f"\n{name}\n  median " in first


@needs_native
def test_losses_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    foretell = load("benchmarks.foretell.__main__")
    words = ["--ways", "cosine:1:300/2+cosine:2:300", *SMALL[:-1]]
    for workers in ("1", "3"):
        foretell.main(["--out", str(tmp_path / workers), *words, workers])
    assert _losses(tmp_path / "1") == _losses(tmp_path / "3") != {}


@needs_native
def test_a_configuration_gives_data_space_and_rungs(tmp_path: Path) -> None:
    load("benchmarks.sea_fluxes").write(tmp_path, 400)
    (tmp_path / "run.toml").write_text(
        'contract = "evaporation.toml"\ndata = "evaporation.nc"\n[search]\n'
        'schedule = "constant"\nrungs = [1, 2]\neta = 3\nsubset = 200\n'
        "[search.space]\nwidth = [8, 12]\ndepth = [1, 2]\n"
    )
    page = tmp_path / "page.md"
    page.write_text("<!-- foretell: begin --><!-- foretell: end -->")
    words = ["--out", str(tmp_path), "--case", "config", "--config", str(tmp_path / "run.toml")]
    load("benchmarks.foretell.__main__").main(
        [*words, "--ways", "default", *SMALL, "--update", str(page)]
    )
    content = json.loads((tmp_path / "config" / "foretell.json").read_text())
    assert content["about"]["ways"] == ["constant:1:200/3+constant:2:200"]
    assert content["about"]["rows"] == 320 and content["about"]["outputs"] == 3
    assert set(content["samples"]["1"]["multiply-adds alone"]["bias"]["depth"]) == {"1", "2"}
    assert "| `constant:1:200/3+constant:2:200` |" in page.read_text()


def test_a_space_of_several_batch_sizes_compares_all_of_them(tmp_path: Path) -> None:
    config = Config.load(TOP / "benchmarks" / "spaces" / "four_batch_sizes.toml")
    usual = Config()
    space = usual.search.space.model_copy(
        update={"batch_size": (32, 64, 128, 256), "learning_rate": (1e-3, 8e-3)}
    )
    search = usual.search.model_copy(update={"space": space})
    assert config == usual.model_copy(update={"search": search})
    known = load("benchmarks.foretell.trainings").Trainings(arrays(), config, 32, tmp_path)
    assert {c.batch_size for c in known.candidates(1)} == set(space.batch_size)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--case", "nothing"], "error: there is no case 'nothing'"),
        (["--ways", "nothing"], "error: 'nothing' is no way to train"),
        (["--update", "nothing.md"], "error: cannot read nothing.md"),
    ],
)
def test_wrong_options_end_in_one_line_before_any_work(
    tmp_path: Path, words: list[str], wanted: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        load("benchmarks.foretell.__main__").main(["--out", str(tmp_path / "out"), *words])
    assert str(stopped.value).startswith(wanted) and "\n" not in str(stopped.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--samples", "a"], ["--candidates", "0"], ["--seeds", "0"]])
def test_numbers_that_are_none_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        load("benchmarks.foretell.__main__").main(words)
    assert stopped.value.code == 2
