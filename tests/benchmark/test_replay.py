"""The replay of a published search: the table, and the arithmetic on tables made up by hand."""

from __future__ import annotations

import csv
import json
import math
from importlib import import_module as load
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.config import SearchConfig
from emufort.network.architecture import Architecture

TOP = Path(__file__).resolve().parents[2]
COLUMNS = ("lot", "trial", "activation", "batch_size", "optimizer", "widths", "n_parameters")


@pytest.fixture(scope="module")
def real() -> Any:
    return load("benchmarks.published_search").Published.read()


def made_up(curves: list[list[float]], activation: str, final_rank: dict[int, int]) -> Any:
    """Return a search of these curves (lowest loss up to each epoch); activations by letter."""
    n = len(curves)
    return load("benchmarks.published_search").Published(
        np.array(curves),
        np.array([final_rank.get(i, 0) for i in range(n)]),
        [Architecture(4, (8 + i,), 2) for i in range(n)],
        {"activation": list(activation), "batch_size": ["32"] * n, "optimizer": ["Adam"] * n},
    )


def crossing() -> Any:
    """Return 16 trials: eight of `s` learn early, eight of `r` late, and end up better."""
    early = [[1.0 + i / 10, 1.0 + i / 10, 0.9 + i / 10, 0.8 + i / 10] for i in range(8)]
    late = [[5.0 + i, 4.0 + i, 3.0 + i, 0.5 + i / 5] for i in range(8)]
    ranks = {8: 1, 9: 2, 0: 3, 1: 4, 10: 5, 2: 6}
    return made_up(early + late, "s" * 8 + "r" * 8, ranks)


# ------------------------------------------------------------------- the table


def test_the_table_is_whole(real: Any) -> None:
    assert real.loss.shape == (7983, 12)
    assert sorted(real.final_rank[real.final_rank > 0]) == list(range(1, 161))
    # The 160 that were retrained are those with the lowest loss of step 1.
    retrained, others = (real.loss[at, -1] for at in (real.final_rank > 0, real.final_rank == 0))
    assert retrained.max() < others.min()
    assert np.isinf(real.loss).sum(axis=1).tolist().count(0) == 7981
    assert {name: len(set(of)) for name, of in real.hyperparameters.items()} == {
        "activation": 3, "batch_size": 9, "optimizer": 4,
    }  # fmt: skip
    assert len(set(real.groups(("activation", "batch_size")))) == 27
    assert set(real.groups(())) == {()}


def test_the_networks_of_the_table_have_the_parameters_it_says(real: Any) -> None:
    with open(load("benchmarks.published_search").TABLE, newline="") as stream:
        rows = {(r["lot"], r["trial"]): int(r["n_parameters"]) for r in csv.DictReader(stream)}
    in_order = sorted(rows, key=lambda key: (int(key[0][4:]), int(key[1][6:])))
    assert [a.n_parameters for a in real.architectures] == [rows[key] for key in in_order]


def test_a_loss_is_the_lowest_so_far_until_the_training_diverged(tmp_path: Path) -> None:
    curves = {"lot-10": [3.0, 1.0, 2.0], "lot-9": [1.0, math.nan, 0.5]}
    path = write(tmp_path / "table.csv", curves, {"lot-10": 1})
    found = load("benchmarks.published_search").Published.read(path)
    assert found.loss.tolist() == [[1.0, math.inf, math.inf], [3.0, 1.0, 1.0]]
    assert found.final_rank.tolist() == [0, 1]


def write(path: Path, curves: dict[str, list[float]], ranks: dict[str, int]) -> Path:
    """Write a table as the real one, a trial in each lot."""
    (first, *_) = curves.values()
    epochs = [f"val_loss_epoch_{epoch}" for epoch in range(1, len(first) + 1)]
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*COLUMNS, *epochs, "rank_after_step_2"])
        for i, (lot, curve) in enumerate(curves.items()):
            sizes = (lot, "trial_0000", "relu", 32 << i % 2, "Adam", "128-256", 1)
            writer.writerow([*sizes, *curve, ranks.get(lot, "")])
    return path


# ------------------------------------------------------------------- the arithmetic


def test_the_share_of_the_epochs_by_hand() -> None:
    replay = load("benchmarks.replay")
    rules = {(4,): 16 * 4, (1, 4): 16 * 1 + 4 * 3, (1, 2, 4): 16 * 1 + 4 * 1 + 1 * 2}
    for rungs, epochs in rules.items():
        found = replay.replay(crossing(), replay.Rule(rungs=rungs, eta=4), (4,))
        assert found["share of the epochs"] == epochs / 64


def test_groups_keep_what_learns_late() -> None:
    replay = load("benchmarks.replay")
    together = replay.replay(crossing(), replay.Rule(rungs=(1, 4)), (1, 4))
    assert together["stopped of the final five"] == [1, 2, 5]
    assert together["retrained that were not stopped"] == 3
    # 0.8 to 1.1 of the four that went on; then those with 1.4 to 1.7, 5, 6 and 7.
    assert together["positions of the final five"] == {"1": 9, "2": 10, "3": 1, "4": 2, "5": 11}
    assert together["kept"][4] == {"of the final five": [3, 4], "best final rank": 3}
    grouped = replay.replay(crossing(), replay.Rule(rungs=(1, 4), groups=("activation",)), (1, 4))
    assert grouped["stopped of the final five"] == [2, 5]
    assert grouped["positions of the final five"] == {"1": 1, "2": 10, "3": 2, "4": 3, "5": 11}
    assert grouped["kept"][1] == {"of the final five": [1], "best final rank": 1}
    assert grouped["kept"][4] == {"of the final five": [1, 3, 4], "best final rank": 1}


def test_the_order_by_place_goes_by_rungs_first_then_within_the_group() -> None:
    replay = load("benchmarks.replay")
    rule = replay.Rule(rungs=(1, 4), groups=("activation",), order="place")
    courses = replay.courses_of(crossing(), rule)
    reached = {i for i, course in enumerate(courses) if course.pruned_at is None}
    assert reached == {0, 1, 2, 8}
    order = replay.order_of(crossing(), rule, courses)
    # Places at the last rung: (0.5 + 4/8)/5 of the one left of its group, then (0.5 + 12/8)/7, ...
    assert order[:4] == [8, 0, 1, 2]
    # Of those that were stopped 9 is the second of eight, 3 the fourth.
    assert order.index(9) < order.index(3)
    assert sorted(order) == list(range(16))


def test_a_diverged_trial_is_behind_all() -> None:
    replay = load("benchmarks.replay")
    curves = [[1.0, math.inf], [2.0, 1.0], [3.0, 2.0]]
    found = replay.replay(made_up(curves, "rrr", {0: 1, 1: 2}), replay.Rule(rungs=(2,)), (1, 3))
    assert found["positions of the final five"] == {"1": 3, "2": 1}
    assert found["kept"][3]["of the final five"] == [2]


def test_trials_without_a_final_rank_fill_places_only() -> None:
    replay = load("benchmarks.replay")
    assert replay.kept_of([0, 7, 0, 3]) == {"of the final five": [3], "best final rank": 3}
    assert replay.kept_of([0, 0]) == {"of the final five": [], "best final rank": None}
    cells = [replay.cell(replay.kept_of(ranks)) for ranks in ([0], [1, 2], [22], [11], [3], [113])]
    assert cells == ["0", "2, 1st", "0, 22nd", "0, 11th", "1, 3rd", "0, 113th"]


def test_one_batch_is_the_same_with_and_without_asha(real: Any) -> None:
    replay = load("benchmarks.replay")
    batch, asha = (replay.Rule(groups=replay.GROUPS, asha=asha) for asha in (False, True))
    assert replay.courses_of(real, batch) == replay.courses_of(real, asha)
    small = replay.Rule(rungs=(1, 4), eta=2, batch=8, asha=True)
    # The second batch learns late and is compared with the first one too: one in two of all so far.
    courses = replay.courses_of(crossing(), small)
    assert [i for i, course in enumerate(courses) if course.pruned_at is None] == [0, 1, 2, 3]


# ------------------------------------------------------------------- the published search


def test_the_default_groups_are_replayed() -> None:
    replay = load("benchmarks.replay")
    assert replay.Rule(groups=SearchConfig().groups) in replay.RULES


def test_without_halving_the_order_is_that_of_the_loss(real: Any) -> None:
    replay = load("benchmarks.replay")
    rule = replay.Rule(rungs=(12,))
    order = replay.order_of(real, rule, replay.courses_of(real, rule))
    assert len(order) == 7981  # two diverged
    assert np.all(np.diff(real.loss[order, -1]) >= 0)
    assert set(order[:160]) == set(np.flatnonzero(real.final_rank))
    assert replay.replay(real, rule)["kept"][160]["of the final five"] == [1, 2, 3, 4, 5]


def test_the_epochs_of_the_published_search(real: Any) -> None:
    replay = load("benchmarks.replay")
    spent = 7983 * 1 + 1995 * 3 + 498 * 8
    for groups in ((), replay.GROUPS):
        found = replay.replay(real, replay.Rule(groups=groups))
        assert found["share of the epochs"] == spent / (7983 * 12)
        assert found["share of the epochs"] < 0.2


def test_the_document_has_the_table_of_the_script(real: Any) -> None:
    replay = load("benchmarks.replay")
    text = (TOP / "docs" / "step1.md").read_text()
    table = "\n".join(replay.lines([replay.replay(real, rule) for rule in replay.RULES]))
    assert table in text


def test_the_script_writes_its_results(tmp_path: Path, capsys: Any) -> None:
    replay = load("benchmarks.replay")
    rng = np.random.default_rng(4)
    curves = {f"lot-{i}": rng.uniform(1.0, 2.0, 12).tolist() for i in range(64)}
    ranks = {f"lot-{i}": i + 1 for i in range(12)}
    path = write(tmp_path / "table.csv", curves, ranks)
    replay.main(["--table", str(path), "--out", str(tmp_path / "out")])
    content = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert (content["trials"], content["retrained"]) == (64, 12)
    assert [one["name"] for one in content["rules"]] == [rule.name for rule in replay.RULES]
    assert len({one["name"] for one in content["rules"]}) == len(replay.RULES)
    said = capsys.readouterr().out
    assert all(line in said for line in replay.lines(content["rules"]))
    assert (tmp_path / "out" / "replay.png").stat().st_size > 10_000
