"""The paper's experiments: subsets, the table of trainings, and the numbers; no test of speed."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from importlib import import_module as load
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.errors import EmufortError, UsageError
from emufort.files import read_json
from emufort.timing.measure import Time
from emufort.training import TrainerState, TrainingTask
from emufort.training import native_trainer as native

TOP = Path(__file__).resolve().parents[2]
needs_native = pytest.mark.skipif(not native.available(), reason="the trainer is not built")
needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)


@pytest.fixture(scope="module")
def problem() -> Any:
    return load("benchmarks.paper.problem").Problem.open(None, 16_384, 2000)


def result(loss: float, rmse: float | None = None, seconds: float = 1.0) -> Any:
    rmse = math.sqrt(loss) if rmse is None else rmse
    return load("benchmarks.paper.trainings").Result(loss, rmse, 100, seconds)


def sample(final: list[float], first: list[list[float]]) -> Any:
    """Candidates of 1, 2, ... neurons with these losses; all rows take 10 s and a subset 1 s."""
    n = len(final)
    size = np.arange(1.0, n + 1)
    return load("benchmarks.paper.sample").Sample(
        [(i + 1,) for i in range(n)],
        [result(loss, seconds=10.0) for loss in final],
        {0.01: [[result(loss) for loss in draw] for draw in first]},
        size, 21 * size, 20 * size,
    )  # fmt: skip


# ------------------------------------------------------------------- candidates and rows


def test_candidates_are_distinct_and_small_enough(problem: Any) -> None:
    many = [c.hidden for c in problem.candidates(70)]
    assert len(set(many)) == 70
    assert many[:9] == [c.hidden for c in problem.candidates(9)]
    sizes = [problem.architecture(hidden) for hidden in many]
    assert max(a.multiply_adds for a in sizes) <= 16_384
    assert {a.n_inputs for a in sizes} == {16} and {a.n_outputs for a in sizes} == {4}
    assert min(map(min, many)) >= 8 and max(map(max, many)) <= 2048


def test_every_small_enough_candidate_is_accepted(problem: Any) -> None:
    for hidden in ((8, 8), (128, 64), (16,) * 20, (1024, 8), (800,), (820,), (2048, 2048)):
        candidate = replace(problem.candidates(1)[0], hidden=hidden)
        small = problem.architecture(hidden).multiply_adds <= 16_384
        assert problem.accept(candidate) == small, hidden


@given(share=st.floats(1e-5, 1.0))
@settings(deadline=None)
def test_a_fifth_of_a_subset_is_for_validation(problem: Any, share: float) -> None:
    training, validation = problem.sizes(share)
    assert training >= 1 and validation >= 1
    assert training + validation == max(2, round(2000 * share))
    assert validation == max(1, (training + validation) // 5)


def test_subsets_are_drawn_from_the_set_and_repeatable(problem: Any) -> None:
    whole = {row.tobytes() for row in problem.subset(1.0, 0).x_train}
    whole |= {row.tobytes() for row in problem.subset(1.0, 0).x_validation}
    assert len(whole) == 2000
    first, same, other = (problem.subset(0.1, draw) for draw in (0, 0, 1))
    assert first.x_train.shape == (160, 16) and first.y_train.shape == (160, 4)
    assert np.array_equal(first.x_train, same.x_train)
    assert not np.array_equal(first.x_train, other.x_train)
    rows = [row.tobytes() for row in np.concatenate([first.x_train, first.x_validation])]
    assert len(set(rows)) == 200 and set(rows) <= whole
    x, y = problem.test_rows
    assert x.shape[1] == 16 and y.shape[1] == 4 and not {row.tobytes() for row in x} & whole


def test_trainings_do_not_share_seeds() -> None:
    unit = load("benchmarks.paper.trainings").Unit
    units = [
        unit(hidden, share, draw, again)
        for hidden in ((8,), (8, 8), (16,))
        for share in (0.01, 1.0)
        for draw in range(2)
        for again in range(2)
    ]
    assert len({one.seed for one in units}) == len(units)
    # The subsets of one draw differ in their rows alone.
    assert unit((8,), 0.01).seed == unit((8,), 0.05).seed


# ------------------------------------------------------------------- the table of trainings


@needs_native
def test_a_killed_run_continues_without_a_training_twice(
    problem: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("benchmarks.paper.trainings")
    units = [module.Unit((8,), 0.05, draw) for draw in range(2)] + [module.Unit((8, 16), 0.05)]
    table = module.Trainings(problem, tmp_path)
    wanted = [table.result(unit) for unit in units]
    assert all(0 < one.loss < 1 and 0 < one.rmse < 1 and one.epochs <= 100 for one in wanted)

    path = tmp_path / "trainings.jsonl"
    text = path.read_text()
    assert [json.loads(line)["hidden"] for line in text.splitlines()] == [[8], [8], [8, 16]]
    path.write_text(text[:-20])  # killed while it wrote the last line

    again = module.Trainings(problem, tmp_path)
    assert list(again.done) == units[:2]
    repeated = again.result(units[2])
    assert replace(repeated, seconds=0) == replace(wanted[2], seconds=0)

    monkeypatch.setattr(module.Trainings, "train", lambda self, unit: pytest.fail("trained again"))
    last = module.Trainings(problem, tmp_path)
    assert [last.result(unit).loss for unit in units] == [one.loss for one in wanted]


@needs_native
def test_no_training_starts_when_the_time_is_over(problem: Any, tmp_path: Path) -> None:
    module = load("benchmarks.paper.trainings")
    table = module.Trainings(problem, tmp_path)
    table.result(module.Unit((8,), 0.05))
    for late in (module.Trainings(problem, tmp_path, minutes=0.0), table.only_read()):
        assert late.result(module.Unit((8,), 0.05)).epochs > 0
        with pytest.raises(module.OutOfTimeError):
            late.result(module.Unit((16,), 0.05))
    assert table.result(module.Unit((16,), 0.05)).epochs > 0


def test_a_diverged_training_survives_the_table(
    problem: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("benchmarks.paper.trainings")
    diverged = module.Result(math.inf, math.inf, 3, 0.5)
    monkeypatch.setattr(module.Trainings, "train", lambda self, unit: diverged)
    module.Trainings(problem, tmp_path).result(module.Unit((8,), 0.05))
    assert module.Trainings(problem, tmp_path).done == {module.Unit((8,), 0.05): diverged}


def test_trainings_of_other_data_are_refused(
    problem: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("benchmarks.paper.trainings")
    monkeypatch.setattr(module.Trainings, "train", lambda self, unit: result(0.1))
    module.Trainings(problem, tmp_path).result(module.Unit((8,), 0.05))
    other = load("benchmarks.paper.problem").Problem.open(None, 16_384, 1000)
    with pytest.raises(UsageError, match="with other rows; choose another --out"):
        module.Trainings(other, tmp_path)


@given(rows=st.integers(1, 10_000), most=st.integers(1, 2000))
def test_an_epoch_has_as_many_steps_as_with_a_smaller_last_batch(rows: int, most: int) -> None:
    size = load("benchmarks.paper.trainings").even_batch_size(rows, most)
    steps = math.ceil(rows / most)
    assert 1 <= size <= most
    assert rows // size >= steps and 0 <= rows - steps * size < steps


@needs_native
def test_predictions_are_those_of_the_trainer(problem: Any) -> None:
    module = load("benchmarks.paper.trainings")
    task = TrainingTask(problem.architecture((16, 8)), 1e-2, 64, 3)
    state = problem.trainer(0.5, 0).run_epochs(TrainerState.initial(task), 5, 5)
    rows = problem.subset(0.5, 0)
    error = module.predicted(state, rows.x_validation) - rows.y_validation
    assert np.mean(error**2) == pytest.approx(state.best_loss, rel=1e-4)


# ------------------------------------------------------------------- the numbers


def test_the_overlap_counts_common_candidates() -> None:
    overlap = load("benchmarks.paper.results").overlap
    final = np.arange(10.0)
    assert overlap(final, final, 4) == 4
    assert overlap(-final, final, 5) == 0
    assert overlap(np.array([9.0, 1, 0, 3, 4, 5, 6, 7, 8, 2]), final, 3) == 2


def test_step_2_chooses_among_the_kept_by_the_validation_loss() -> None:
    module = load("benchmarks.paper.results")
    of = sample([4e-4, 1e-4, 9e-4, 16e-4], [[0.4, 0.3, 0.1, 0.2]])
    (step_1,) = of.step_1[0.01]
    wanted = {1: 0.03, 2: 0.03, 3: 0.01, 4: 0.01}
    for k, rmse in wanted.items():
        found = module.after_step_2(module.losses(step_1), of, k)
        assert found == pytest.approx(rmse), k


def test_the_speed_counts_both_steps() -> None:
    module = load("benchmarks.paper.results")
    fake = type("", (), {"sizes": staticmethod(lambda share: (8, 2))})
    of = sample([float(i) for i in range(1, 31)], [[float(i) for i in range(1, 31)]] * 2)
    (row,) = module.speed(of, fake)["subsets"]
    assert row["rows"] == 10 and row["step 1"] == 30.0
    assert row["step 1 alone"] == pytest.approx(300 / 30)
    assert row["both steps"] == {k: pytest.approx(300 / (30 + 10 * k)) for k in (1, 2, 5, 10, 20)}
    # 10,000 candidates of 10 s, or 10,000 of 1 s and 50 of 10 s.
    assert row["as the paper"] == pytest.approx(100_000 / 10_500)


def test_equal_orders_agree_fully_and_a_diverged_candidate_is_last() -> None:
    module = load("benchmarks.paper.results")
    final = [float(i + 1) for i in range(60)]
    of = sample(final, [final, final])
    first = [module.losses(draw) for draw in of.step_1[0.01]]
    found = module.agreement(first, of.final, of.cost)
    assert found["correlation"] == pytest.approx(1.0)
    assert found["interval"] == [pytest.approx(1.0)] * 2
    assert found["overlap"] == {10: 10.0, 50: 50.0}
    assert found["by chance"] == {10: pytest.approx(100 / 60), 50: pytest.approx(2500 / 60)}
    assert np.array_equal(module.losses([result(2.0), result(math.inf, math.inf)]), [2.0, 20.0])


def test_the_front_has_no_dominated_network() -> None:
    module = load("benchmarks.paper.sizes")
    cost = np.array([3.0, 1.0, 2.0, 4.0, 1.0])
    error = np.array([2.0, 5.0, 6.0, 1.0, 4.0])
    assert module.front(cost, error) == [4, 0, 3]
    of = sample([16.0, 1.05**2, 1.0, 4.0], [[1.0] * 4])
    assert module.within_tolerance(of) == [1, 2]
    assert module.to_time(of, 10) == [(3,), (1,), (2,)]
    assert module.to_time(of, 2) == [(3,), (1,)]


def test_the_smallest_network_is_the_one_within_the_tolerance(problem: Any) -> None:
    module = load("benchmarks.paper.sizes")
    of = sample([16.0, 1.05**2, 1.0, 4.0], [[1.0] * 4])
    label = problem.architecture((2,)).label
    found = module.sizes(of, problem, {"networks": {label: {"ns": 12.0}}, "baseline": {"A": 3.0}})
    assert found["best"]["hidden"] == [3] and found["fewest parameters"]["hidden"] == [2]
    assert found["within tolerance"] == 2 and found["fastest"]["ns"] == 12.0
    assert [(row["up to"], row["candidates"], row["hidden"]) for row in found["bins"]] == [
        (32, 1, [1]), (64, 2, [3]), (128, 1, [4]),
    ]  # fmt: skip
    assert module.sizes(of, problem, {})["fastest"] is None


def claimed(excess: list[float]) -> dict[str, Any]:
    """Results in which the RMSE after step 2 exceeds that of all by these shares, subset by subset.

    The subsets have 10, 100, 1,000 ... rows.
    """
    subsets = [
        {"rows": 10 ** (i + 1), "kept": {5: {"median": 1 + more}}} for i, more in enumerate(excess)
    ]
    return {"skills": {"subsets": subsets, "all": 1.0, "at random": {5: {"median": 3.0}}}}


def test_a_subset_suffices_if_all_larger_ones_do() -> None:
    module = load("benchmarks.paper.claims")
    assert module.smallest_that_suffices(claimed([0.05, 0.3, 0.09, 0.0])) == 2
    assert module.smallest_that_suffices(claimed([0.0, 0.0, 0.2])) is None
    assert module.few(claimed([0.0] * 5)) == 3  # the smallest subset of 2,000 rows or more
    assert module.few(claimed([0.0] * 2)) == 1


def test_what_random_candidates_reach_as_well_is_no_merit_of_step_1() -> None:
    claims = load("benchmarks.paper.claims")
    rank = {"correlation": 0.9, "overlap": {50: 30.0}, "by chance": {50: 12.5}}

    def verdict(excess: float, by_chance: float) -> str:
        found = claimed([0.0, 0.0, 0.0, excess]) | {"ranks": {"subsets": [rank] * 4}}
        found["skills"]["at random"][5]["median"] = by_chance
        return str(claims._rows_suffice(found)[1])

    assert verdict(0.05, 1.5) == claims.AGREES
    assert verdict(0.15, 1.5) == claims.DIFFERS
    assert verdict(0.05, 1.05) == claims.BY_CHANCE


def test_one_good_candidate_does_not_show_how_cheap_a_good_one_may_be() -> None:
    claims = load("benchmarks.paper.claims")

    def verdicts(good: int, parameters: int, ns: float) -> list[str]:
        best = {"label": "a", "ns": 100.0}
        some = {"label": "b", "ns": ns, "parameters": parameters}
        sizes = {"within tolerance": good, "best": best, "fastest": some,
                 "fewest parameters": some, "largest": {"parameters": 1000}}  # fmt: skip
        return [str(of({"sizes": sizes})[1]) for of in (claims._complexity, claims._cheap)]

    assert verdicts(9, 500, 50.0) == [claims.AGREES, claims.AGREES]
    assert verdicts(9, 501, 51.0) == [claims.LIMITED, claims.DIFFERS]
    assert verdicts(1, 500, 50.0) == [claims.AGREES, claims.TOO_FEW]


def test_a_small_set_cannot_tell_the_speed() -> None:
    claims = load("benchmarks.paper.claims")

    def verdict(rows: int, faster: float) -> str:
        row = {"rows": 5000, "step 1 alone": 1.0, "both steps": {5: 1.0}, "as the paper": faster}
        return str(claims._speed(claimed([0.0]) | {"rows": rows, "speed": {"subsets": [row]}})[1])

    assert verdict(10_000_000, 150.0) == claims.AGREES
    assert verdict(10_000_000, 100.0) == claims.DIFFERS
    assert verdict(250_000, 49.0) == claims.TOO_SMALL


# ------------------------------------------------------------------- the script


def test_samplers_are_compared_over_the_draws_that_all_have_finished(
    problem: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, trainings = load("benchmarks.paper.__main__"), load("benchmarks.paper.trainings")
    plan = replace(load("benchmarks.paper.plan").SMALL, search_draws=3)

    def search(sampler: str, draw: int, *rest: Any) -> str:
        if (sampler, draw) == ("tpe", 1):
            raise trainings.OutOfTimeError
        return f"{sampler} {draw}"

    monkeypatch.setattr(module, "search", search)
    found = module.searches(plan, problem, trainings.Trainings(problem, tmp_path))
    assert found == {name: [f"{name} 0", f"{name} 2"] for name in module.SAMPLERS}


@needs_native
def test_every_sampler_searches_within_the_limit_and_again_alike(
    problem: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches, trainings = load("benchmarks.paper.searches"), load("benchmarks.paper.trainings")

    def train(self: Any, unit: Any) -> Any:
        # Deep networks are best in step 1, and shallow ones on all rows.
        depth = len(unit.hidden)
        return result(1.0 / depth if unit.share < 1 else float(depth))

    monkeypatch.setattr(trainings.Trainings, "train", train)
    table = trainings.Trainings(problem, tmp_path)
    plan = replace(load("benchmarks.paper.plan").SMALL, search_candidates=16, search_top=3)
    for sampler in load("benchmarks.paper.plan").SAMPLERS:
        found = searches.search(sampler, 0, plan, problem, table)
        assert len(found.step_1) == 16 and len(set(found.kept)) == len(found.kept) == 3
        assert all(problem.architecture(h).multiply_adds <= 16_384 for h in found.kept)
        depths = [len(hidden) for hidden in found.kept]
        assert depths == sorted(depths, reverse=True)
        assert depths[0] == round(1 / min(one.loss for one in found.step_1))
        assert len(found.best[0]) == min(depths) and found.seconds == 19.0
        assert searches.search(sampler, 0, plan, problem, table.only_read()) == found


def made_up_times(candidates: dict[str, Path], *rest: Any) -> list[Time]:
    """Return 10, 20, ... ns for the networks of these files, and 5 ns for the baseline."""
    assert all(path.exists() for path in candidates.values())
    ns = {name: 10.0 * (i + 1) for i, name in enumerate(candidates)} | {"ARG2000": 5.0}
    row = {"kind": "", "backend": "fortran", "compiler": "gfortran", "flags": "-O3", "ncol": 16}
    return [Time(id=name, ns_per_sample=t, ns_min=t, ns_max=t, repeats=1, **row)
            for name, t in ns.items()]  # fmt: skip


@pytest.mark.slow
@needs_gfortran
def test_networks_are_timed_as_a_host_calls_them(
    problem: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("benchmarks.paper.timing")
    monkeypatch.setattr(module, "ROUNDS", 1)
    assert module.measured(tmp_path) == {}
    times = module.measure(problem, [(8,), (16, 8)], tmp_path)
    assert list(times["networks"]) == ["16-8-4 relu", "16-16-8-4 relu"]
    assert all(time["ns"] > 0 for time in times["networks"].values())
    assert times["baseline"]["ARG2000"] > 0
    assert module.measured(tmp_path) == times
    # Without the input that is noise.
    assert (tmp_path / "timing/15-8-4_relu.safetensors").exists()


@needs_native
def test_the_script_does_every_experiment_and_updates_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, document = load("benchmarks.paper.__main__"), load("benchmarks.paper.document")
    page = tmp_path / "paper.md"
    page.write_text((TOP / "docs/paper.md").read_text())
    images = tmp_path / "images"
    images.mkdir()
    monkeypatch.setattr(document, "DOCUMENT", page)
    monkeypatch.setattr(document, "IMAGES", images)
    here = {"cpu": "a CPU", "cores": 2, "trainer": "native", "date": "2026-01-01"}
    monkeypatch.setattr(module, "machine", lambda: here)
    monkeypatch.setattr(load("benchmarks.paper.timing"), "time_candidates", made_up_times)
    out = tmp_path / "out"
    words = ["--small", "--out", str(out)]

    with pytest.raises(SystemExit, match="error: only 0 candidates are trained"):
        module.main([*words, "--minutes", "0"])

    module.main([*words, "--time", "--update"])
    capsys.readouterr()
    found = read_json(out / "results.json")
    assert found["candidates"] == 6 and found["rows"] == 2000
    assert [row["sampler"] for row in found["samplers"]] == list(module.SAMPLERS)
    errors = [one["rmse"] for one in found["sizes"]["candidates"]]
    assert len(errors) == 6 and found["skills"]["all"] in errors
    for row in found["skills"]["subsets"]:
        assert {row["kept"][k]["high"] for k in ("1", "2", "5")} <= set(errors)
    # The network with the lowest error is timed first.
    assert found["sizes"]["best"]["ns"] == 10.0 and found["sizes"]["baseline"] == {"ARG2000": 5.0}

    text = page.read_text()
    assert text.count("another seed |") == 1 and "`cmaes` |" in text and "6 of 6 planned" in text
    assert "Preliminary" not in text
    assert {path.name for path in images.iterdir()} == {
        f"{name}.png" for name in load("benchmarks.paper.figures").FIGURES
    }

    # Nothing is left to do: the same command gives the same numbers, also without any time.
    monkeypatch.setattr(
        load("benchmarks.paper.trainings").Trainings,
        "train",
        lambda self, unit: pytest.fail("trained again"),
    )
    module.main([*words, "--minutes", "0", "--update"])
    again = read_json(out / "results.json")
    for key in ("ranks", "skills", "speed", "sizes", "samplers"):
        assert again[key] == found[key]
    assert page.read_text() == text


def test_the_document_has_the_place_of_every_section_and_its_figures() -> None:
    text = (TOP / "docs/paper.md").read_text()
    for name in load("benchmarks.paper.document").SECTIONS:
        assert text.count(f"<!-- {name}: begin -->") == 1, name
        assert text.count(f"<!-- {name}: end -->") == 1, name
    for name in load("benchmarks.paper.figures").FIGURES:
        image = TOP / f"docs/images/{name}.png"
        assert f"images/{name}.png" in text
        assert image.stat().st_size < 200_000


def test_too_few_candidates_are_one_line(problem: Any, tmp_path: Path) -> None:
    module, trainings = load("benchmarks.paper.__main__"), load("benchmarks.paper.trainings")
    table = trainings.Trainings(problem, tmp_path)
    with pytest.raises(EmufortError, match="only 0 candidates are trained"):
        module.evaluated(load("benchmarks.paper.plan").SMALL, problem, table, tmp_path)
