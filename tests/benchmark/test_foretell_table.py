"""What the order of step 1 is compared with, and the tables of the results."""

from __future__ import annotations

from importlib import import_module as load
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.config import Config
from emufort.errors import UsageError

TOP = Path(__file__).resolve().parents[2]


def sample(n: int = 128) -> Any:
    """A sample whose final losses are those of a perfect order by multiply-adds."""
    space = Config().search.space
    candidates = load("benchmarks.foretell.trainings").propose("random", space, [], n, 1, 0)
    architectures = [c.architecture(15, 1) for c in candidates]
    final = np.array([1.0 / a.multiply_adds for a in architectures])
    module = load("benchmarks.foretell.predictions")
    return module.Sample(1, candidates, architectures, [final, final], 100.0, space.depth)


def predicted(of: Any, k: int) -> dict[str, Any]:
    module = load("benchmarks.foretell.predictions")
    return {p.name: p for p in module.predictions(None, of, [], k)}


def test_multiply_adds_alone_keep_as_many_as_step_2_takes() -> None:
    of, module = sample(), load("benchmarks.foretell.predictions")
    found = predicted(of, 28)
    alone = found["multiply-adds alone"]
    size = [a.multiply_adds for a in of.architectures]
    (score,) = alone.scores
    assert np.array_equal(
        np.argsort(score, kind="stable"), np.argsort(-np.array(size), kind="stable")
    )
    (kept,) = alone.kept
    assert len(set(kept)) == len(kept) == 28
    # The front reaches from the cheapest networks to the largest.
    assert max(size[i] for i in kept) >= np.percentile(size, 95)
    assert min(of.cost[kept]) <= np.percentile(of.cost, 5)
    numbers = module.measured(alone, of, 28)
    assert numbers["all"] == pytest.approx(1.0) and numbers["regret 1"] == 0.0
    assert 0 <= numbers["front"] < module.measured(found["28 at random"], of, 28)["front"]
    assert numbers["seconds"] == numbers["share"] == 0.0


def test_candidates_at_random_have_no_order() -> None:
    of = sample(40)
    chance = predicted(of, 7)["7 at random"]
    assert chance.scores == []
    assert all(len(set(kept)) == 7 for kept in chance.kept) and len(chance.kept) == 200
    assert set(load("benchmarks.foretell.predictions").measured(chance, of, 7)) == {
        "front",
        "seconds",
        "share",
    }


def test_the_ceiling_is_one_seed_judged_by_another() -> None:
    of, module = sample(40), load("benchmarks.foretell.predictions")
    ceiling = predicted(of, 7)["another seed of step 2"]
    numbers = module.measured(ceiling, of, 7)
    assert (numbers["all"], numbers["seconds"], numbers["share"]) == (
        pytest.approx(1.0),
        100.0,
        1.0,
    )
    assert ceiling.judge is of.finals[0]
    (score,) = ceiling.scores
    assert np.array_equal(score, of.finals[1])
    assert set(numbers["bias"]) == {"activation function", "batch size", "depth"}
    assert set(numbers["bias"]["depth"]) == {"1", "2", "3"}
    assert set(numbers["interval"]) == {"all", "equal cost"}


def test_a_control_group_takes_out_how_step_1_errs() -> None:
    of, module = sample(), load("benchmarks.foretell.predictions")
    rng = np.random.default_rng(4)
    # Silu learns late: step 1 places it too low.
    late = np.array([c.activation == "silu" for c in of.candidates])
    losses = of.final * np.exp(2.0 * late + 0.1 * rng.normal(size=len(late)))
    trials = of.trials(losses)
    k = module.CONTROL + 6
    before = module.uncalibrated("before", trials, k, 1.0)
    after = module.calibrated("after", trials, of.finals[0], k, 1.0)
    assert np.array_equal(before.scores[0], losses)
    groups = {tuple(kept) for kept in after.kept}
    assert len(after.scores) == len(after.kept) == len(groups) > 1
    # The control group counts.
    assert {len(kept) for kept in [*before.kept, *after.kept]} == {k}
    first, second = (module.measured(one, of, k) for one in (before, after))
    assert first["bias"]["activation function"]["silu"] > 20
    assert second["bias"]["activation function"]["silu"] < 10
    assert second["equal cost"] > first["equal cost"] and second["all"] > first["all"]
    for one in (first, second):
        low, high = one["interval"]["all"]
        assert low < one["all"] < high
        assert len(one["resampled"]["all"]) == len(first["resampled"]["all"])


def test_candidates_that_diverged_are_the_last() -> None:
    of, module = sample(30), load("benchmarks.foretell.predictions")
    losses = of.final.copy()
    losses[3] = np.inf
    found = module.uncalibrated("w", of.trials(losses), 5, 1.0)
    assert np.argmax(found.scores[0]) == 3 and np.isfinite(found.scores[0]).all()
    assert 3 not in found.kept[0]


def numbers(rank: float, shifts: dict[str, float], **more: Any) -> dict[str, Any]:
    draws = np.linspace(rank - 0.2, rank + 0.2, 1001)
    return {
        "all": rank, "front": rank, "share": 0.5, "seconds": 2.0, "bias": {"depth": shifts},
        "resampled": {"all": draws}, **more,
    }  # fmt: skip


def test_samples_give_median_range_interval_and_the_group() -> None:
    module = load("benchmarks.foretell.table")
    results = {
        1: {"w": numbers(0.2, {"1": 9.0, "2": -3.0})},
        2: {"w": numbers(0.6, {"1": -9.0, "2": -4.0})},
        3: {"w": numbers(0.4, {"1": 1.0, "2": -5.0})},
    }
    found = module.summary(results)["w"]
    assert found["all"].texts("all") == ("0.40", "0.20..0.60", "0.21..0.59")
    assert found["front"].texts("front") == ("40 %", "20..60", "")
    # Depth 1 is off by more in two samples, but not always in the same direction.
    assert found["bias"].texts("bias") == ("-4 depth 2", "-5..-3", "")


ABOUT = {
    "title": "T", "rows": 12345, "inputs": 3, "outputs": 1, "candidates": 8, "steps": 20000,
    "seeds": 2, "keep": 5, "ways": ["w"], "default": "w", "trainer": "native", "cpu": "C",
    "date": "2020-01-01",
}  # fmt: skip


def test_the_tables_of_a_document_are_written_by_the_script(tmp_path: Path) -> None:
    module = load("benchmarks.foretell.table")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- foretell: begin -->\nold\n<!-- foretell: end -->\nb\n")
    module.check(page)
    results = {1: {"w": numbers(0.4, {"1": 1.0}), "5 at random": {"front": 0.3, "share": 0.0}}}
    module.update(page, [(ABOUT, results), ({**ABOUT, "title": "U"}, results)])
    text = page.read_text()
    assert text.startswith(
        "a\n<!-- foretell: begin -->\nT: 3 inputs, 1 output, 12,345 training rows."
    )
    assert text.endswith("2020-01-01.\n<!-- foretell: end -->\nb\n") and "\nU: 3 inputs" in text
    assert "| `w` (default) | 0.40 (0.21 to 0.59) |  | 40 % | +1 depth 1 | 50.0 % |" in text
    assert "| 5 at random |  |  | 30 % |  | 0.0 % |" in text
    assert "8 candidates of seed 1; step 2: 20,000 steps, 2 seeds." in text
    about = {**ABOUT, "default": "v", "ways": ["v"]}
    marked = "\n".join(module.markdown(about, {1: {"v, calibrated": results[1]["w"]}}))
    assert "| `v`, calibrated (default) | 0.40" in marked
    several = "\n".join(module.markdown(ABOUT, {1: results[1], 2: results[1]}))
    assert "8 candidates in each sample, seeds 1, 2;" in several
    assert "| `w` (default) | 0.40 (0.40 to 0.40) |" in several


def test_the_document_has_a_place_for_the_tables(tmp_path: Path) -> None:
    module = load("benchmarks.foretell.table")
    module.check(TOP / "docs" / "step1.md")
    (tmp_path / "page.md").write_text("no markers")
    for name, wanted in (("page.md", "there is no <!-- foretell"), ("none.md", "cannot read")):
        with pytest.raises(UsageError, match=wanted):
            module.check(tmp_path / name)
