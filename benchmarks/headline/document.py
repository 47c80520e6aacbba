"""Insert the results of the headline into docs/headline.md and docs/images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.headline.figures import draw
from benchmarks.headline.two_steps_in_full import WAYS
from benchmarks.markdown_tables import replaced, table
from emufort.files import write_bytes, write_text

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT, IMAGES = ROOT / "docs/headline.md", ROOT / "docs/images"

Result = dict[str, Any]


def conditions(result: Result) -> str:
    machine = result["machine"]
    load, after = machine["load_average"][0], result["load_average_after"][0]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, one used; {machine['trainer']};"
        f" {machine['date'][:10]}; load average {load} at the start, {after} at the end."
    )


def verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"


def time_to_target(result: Result) -> list[str]:
    versions = {r["backend"]: r["versions"] for r in result["rounds"]}

    def found(backend: str) -> str:
        some = [r for r in result["rounds"] if r["backend"] == backend]
        return ", ".join(f"{min(r['course'], key=lambda p: p[1])[0]:.0f}" for r in some)

    rows = [
        [
            f"{row['backend']} {versions[row['backend']].get(row['backend'], '')}",
            str(row["searches"]),
            f"{row['seconds']:.0f} s (best trial done after {found(row['backend'])} s)",
            ", ".join(f"{loss:.2e}" for loss in row["losses"]),
            f"{row['emufort_seconds']:.2f} s ({row['emufort_quartiles'][0]:.2f} to"
            f" {row['emufort_quartiles'][1]:.2f}; {row['emufort_least']:.2f} to"
            f" {row['emufort_most']:.2f})",
            f"{row['missed']} of {row['emufort_searches']}",
            f"**{row['ratio']:.0f}x**",
            f"{row['ratio_least']:.0f} to {row['ratio_most']:.0f}x",
            f"{row['ratio_native_in_full']:.0f}x" if row["ratio_native_in_full"] else "-",
        ]
        for row in result["summary"]
    ]
    fastest = result["summary"][0]
    some = next(iter(versions.values()))
    return [
        *table(
            ["Keras backend", "searches", "time", "losses reached", "emufort, median (quartiles;"
             " extremes)", "not reached", "faster", "by target", "native trainer alone"],
            rows,
        ),
        "",
        f"Contender is the fastest backend, {fastest['backend']}: {fastest['ratio']:.0f}x, goal"
        f" {result['goal']}x: {verdict(fastest['ratio'] >= result['goal'])}. Keras"
        f" {some.get('keras', '-')}, Keras Tuner {some.get('keras_tuner', '-')}.",
        "",
        conditions(result),
    ]  # fmt: skip


def rungs(result: Result) -> str:
    pairs = zip(result["rungs"], result["rung_rows"], strict=True)
    return ", ".join(f"{epochs} x {rows}" for epochs, rows in pairs)


def two_steps_in_full(result: Result) -> list[str]:
    n = result["candidates"]
    ways = {title: result[name] for name, title in WAYS.items()}
    table_rows = [
        ["every candidate", str(n), f"{result['all_seconds']:.0f} s", "",
         f"{result['validation_loss_all']:.3e}", f"{result['test_rmse_all']:.5f}", "1", "0",
         "", ""],
        *(
            [title, str(len(one["kept"])),
             f"{one['step_1_seconds']:.1f} + {one['step_2_seconds']:.1f} s",
             f"{one['ratio']:.1f}x", f"{one['validation_loss']:.3e}", f"{one['test_rmse']:.5f}",
             first_of(one["ranks_of_kept"]),
             ", ".join(f"{k}: {percent:.0f}" for k, percent in one["regret"].items()),
             f"{one['rank_correlation']:.2f}", f"{one['at_equal_cost']:.2f}"]
            for title, one in ways.items()
        ),
    ]  # fmt: skip
    seeds = [result["validation_loss_all"], *result["seeds"]]
    given = "; ".join(f"{title}: {rungs(one)}" for title, one in ways.items())
    return [
        *table(
            ["", "trainings on all rows", "processor time", "less compute", "lowest validation"
             " loss", "test RMSE of the fractions", "rank among all of those kept", "loss above the"
             " best of all, by the number kept [%]", "rank correlation of step 1, all candidates",
             "at equal cost"],
            table_rows,
        ),
        "",
        f"{n} candidates, {result['rows']} rows; step 2: {result['step_2']}. Rungs (epochs x"
        f" rows): {given}. The best network of all reaches {min(seeds):.2e} to"
        f" {max(seeds):.2e} with {len(seeds)} seeds.",
        "",
        conditions(result),
    ]  # fmt: skip


def first_of(ranks: Sequence[int], most: int = 6) -> str:
    """Return the best ranks, with the number of all ranks if some are left out."""
    shown = ", ".join(map(str, ranks[:most]))
    return shown if len(ranks) <= most else f"{shown}, ... ({len(ranks)})"


def two_steps_ten_thousand(result: Result) -> list[str]:
    epochs = np.array(result["seconds_per_epoch"])
    sides = {"random": result["random"], "picked": result["picked"]}

    def best(some: Sequence[Result]) -> Result:
        # The validation rows choose, as in all comparisons.
        return min(some, key=lambda row: float(row["value"]))

    reference = [
        [f"best of {len(some)} {name} candidates, all rows", best(some)["label"],
         f"{best(some)['value']:.3e}", f"{best(some)['rmse']:.5f}"]
        for name, some in sides.items() if some
    ]  # fmt: skip
    again = [
        ["two steps, another seed", result["label"], f"{one['value']:.3e}", f"{one['rmse']:.5f}"]
        for one in result["seeds"]
    ]
    again += [
        [f"two steps, all of the budget, candidates of seed {one['seed']}:"
         f" {one['step_1_seconds']:.0f} + {one['step_2_seconds']:.0f} s, {one['epochs']} epochs,"
         f" **{one['ratio']:.0f}x** less",
         one["label"], f"{one['value']:.3e}", f"{one['rmse']:.5f}"]
        for one in result.get("budget", [])
    ]  # fmt: skip
    all_values = [row["value"] for some in sides.values() for row in some]
    rank = 1 + sum(value < result["validation_loss"] for value in all_values)
    return [
        *table(
            ["", "every candidate", "two steps"],
            [
                ["how", "**multiplied**", "measured"],
                ["processor time", f"{result['all_seconds'] / 3600:.0f} h",
                 f"{result['step_1_seconds']:.0f} + {result['step_2_seconds']:.0f} s"],
            ],
        ),
        "",
        f"{result['candidates']} candidates, {result['rows']} rows, {result['top']} kept:"
        f" **{result['ratio']:.0f}x** less compute, goal {result['goal']}x:"
        f" {verdict(result['ratio'] >= result['goal'])}; the paper reports {result['paper']}x."
        f" Rungs (epochs x rows): {rungs(result)}; step 2: {result['step_2']}. Multiplied are"
        f" {result['candidates']} candidates, {result['epochs']} epochs and {epochs.mean():.2f} s"
        f" an epoch, the mean of {len(epochs)} candidates ({epochs.min():.2f} to"
        f" {epochs.max():.2f} s, standard error {100 * result['relative_standard_error']:.0f} %).",
        "",
        *table(
            ["", "network", "validation loss", "test RMSE of the fractions"],
            [
                ["**two steps**", result["label"], f"{result['validation_loss']:.3e}",
                 f"{result['test_rmse']:.5f}"],
                *again,
                *reference,
            ],
        ),
        "",
        f"{rank - 1} of the {len(all_values)} candidates of the reference have a lower validation"
        f" loss than the result of two steps; random ones have {quantiles(result['random'])}.",
        "",
        conditions(result),
    ]  # fmt: skip


def add_reference(result: Result, file: Path) -> None:
    """Add every candidate that was trained on all rows to the reference, also later ones."""
    known = {row["i"] for row in [*result["random"], *result["kept"]]}
    lines = file.read_text().splitlines() if file.is_file() else []
    rows = [row for row in map(json.loads, lines) if row["i"] not in known]
    result["picked"] = sorted(rows, key=lambda row: float(row["value"]))


def quantiles(rows: Sequence[Result]) -> str:
    values = np.quantile([row["value"] for row in rows], [0.25, 0.5, 0.75])
    return "{:.1e}, {:.1e} and {:.1e} (quartiles)".format(*values)


def skill_against_time(result: Result) -> list[str]:
    rows = [
        [str(r["n_train"]), r["label"], f"{r['steps']} x {r['batch_size']}",
         f"{r['training_seconds']:.0f} s", f"{r['validation_rmse']:.5f}",
         f"{r['ns_per_sample']:.1f}"]
        for r in result["rows"]
    ]  # fmt: skip
    for name, r in result["baselines"].items():
        ns = f"{r['ns_per_sample']:.1f} ({r['ns_min']:.0f} to {r['ns_max']:.0f})"
        rows.append(["-", name, "-", "-", f"{r['validation_rmse']:.5f}", ns])
    goals = [
        [g["goal"], g["choice"], f"**{g['test_rmse']:.5f}**",
         f"{g['ns_per_sample']:.1f} ns, {g['share']:.2f} of ARG2000's", verdict(g["reached"])]
        for g in result["goals"]
    ]  # fmt: skip
    return [
        *table(["goal", "chosen by the validation rows", "test RMSE", "cost", ""], goals),
        "",
        *table(
            ["training rows", "network", "steps x batch", "training", "validation RMSE",
             f"ns at {result['ncol']} columns"],
            rows,
        ),
        "",
        conditions(result),
    ]  # fmt: skip


def short(results: dict[str, Result]) -> list[str]:
    """Return the rows of the summary table."""
    fastest, two = results["reach"]["summary"][0], results["many"]
    reference = [*two["random"], *two["picked"]]
    best = min(reference, key=lambda row: float(row["value"]))
    bought, more = two.get("budget", []), ""
    if bought:
        worst = max(bought, key=lambda row: float(row["rmse"]))
        more = (
            f" ({min(row['ratio'] for row in bought):.0f}x and at most {worst['rmse']:.5f}, if all"
            " of the budget goes into one network)"
        )
    paper = [r for r in results["reach"]["summary"][1:] if r["backend"] == "tensorflow"]
    there = "".join(f"; {r['ratio']:.0f}x on TensorFlow, which the paper used" for r in paper)
    rows = [
        ["time to the loss that 60 trials of Keras Tuner reach"
         f" ({fastest['backend']}, its fastest backend here{there})",
         f"{fastest['ratio']:.0f}x less"],
        [f"compute of two steps against all {two['candidates']} candidates on {two['rows']} rows"
         " (multiplied from a sample)",
         f"{two['ratio']:.0f}x less; test RMSE {two['test_rmse']:.5f}{more}, the best of"
         f" {len(reference)} other candidates on all rows {best['rmse']:.5f}"],
    ]  # fmt: skip
    for g in results["skill"]["goals"]:
        data, _, _ = g["goal"].partition(":")
        n = next(r["n_train"] for r in results["skill"]["rows"] if r["data"] == data)
        rows.append([
            f"test RMSE of the number fraction, {g['choice']} trained on {n} rows",
            f"{g['test_rmse']:.4f} in {g['share']:.2f} of ARG2000's time",
        ])  # fmt: skip
    # Goals that the same network reaches share a row.
    return table(["", "measured"], list(map(list, dict.fromkeys(map(tuple, rows)))))


PARTS: dict[str, Callable[[Result], list[str]]] = {
    "reach": time_to_target,
    "two-step": two_steps_in_full,
    "many": two_steps_ten_thousand,
    "skill": skill_against_time,
}
#: Parts that the summary needs.
HEADLINES = {"reach", "many", "skill"}


def update(folder: Path) -> None:
    """Update the documents with the results in FOLDER; the summary needs all parts.

    Raises
    ------
    ValueError
        A result comes from a quick run.
    """
    results = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in PARTS
        if (folder / f"{name}.json").is_file()
    }
    if "many" in results:
        add_reference(results["many"], folder / "reference.jsonl")
    for name, result in results.items():
        if result["quick"]:
            raise ValueError(f"{folder / name}.json is from a quick run and has no valid figures")
    text = DOCUMENT.read_text()
    for name, result in results.items():
        text = replaced(text, name, "\n".join(PARTS[name](result)))
        if f"headline_{name}.png" in text:
            draw(name, result, folder / f"{name}.png")
            write_bytes(IMAGES / f"headline_{name}.png", (folder / f"{name}.png").read_bytes())
    write_text(DOCUMENT, text)
    if set(results) >= HEADLINES:
        write_text(DOCUMENT, replaced(DOCUMENT.read_text(), "headline", "\n".join(short(results))))
