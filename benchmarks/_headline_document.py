"""Put the results of benchmarks/headline.py into docs/headline.md, README.md and docs/images."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _two_step import LONGER

from emufort.files import write_bytes, write_text

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT, README, IMAGES = ROOT / "docs/headline.md", ROOT / "README.md", ROOT / "docs/images"

Result = dict[str, Any]


def replaced(text: str, name: str, body: str) -> str:
    """Return the text with `body` between the markers of `name`.

    Raises
    ------
    ValueError
        The markers are not there.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no {begin} ... {end}")
    return pattern.sub(lambda _: f"{begin}\n{body}\n{end}", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def conditions(result: Result) -> str:
    machine = result["machine"]
    load, after = machine["load_average"][0], result["load_average_after"][0]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, one used; {machine['trainer']};"
        f" {machine['date'][:10]}; load average {load} at the start, {after} at the end."
    )


def verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"


def reach(result: Result) -> list[str]:
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
            f"{row['ratio_native_in_full']:.0f}x",
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


def two_step(result: Result) -> list[str]:
    n, ranks = result["candidates"], ", ".join(map(str, result["ranks_of_kept"]))
    regret = result.get("regret", {})
    costs = [f"{k}: {percent:.0f} %" for k, percent in regret.items()]
    head = ["", "every candidate", "two steps"]
    rows = [
        ["trainings on all rows", str(n), str(result["top"])],
        ["processor time", f"{result['all_seconds']:.0f} s",
         f"{result['step_1_seconds']:.1f} + {result['step_2_seconds']:.1f} s"],
        ["lowest validation loss", f"{result['validation_loss_all']:.3e}",
         f"{result['validation_loss_two_step']:.3e}"],
        ["test RMSE of the fractions", f"{result['test_rmse_all']:.5f}",
         f"{result['test_rmse_two_step']:.5f}"],
        ["less compute", "", f"{result['ratio']:.1f}x"],
    ]  # fmt: skip
    if "longer" in result:
        longer = result["longer"]
        head.append(f"two steps, the second longer ({longer['schedule']})")
        more = [
            str(result["top"]),
            f"{result['step_1_seconds']:.1f} + {longer['step_2_seconds']:.1f} s",
            f"{longer['validation_loss']:.3e}", f"{longer['test_rmse']:.5f}",
            f"{longer['ratio']:.1f}x",
        ]  # fmt: skip
        rows = [[*row, cell] for row, cell in zip(rows, more, strict=True)]
    return [
        *table(head, rows),
        "",
        f"{n} candidates, {result['rows']} rows, a subset of {result['subset']}. Of all {n} after"
        " training on all rows, the kept ones are"
        f" number {ranks} by validation loss."
        + f" Loss above the best of all, by the number kept: {', '.join(costs)}." * bool(costs),
        "",
        conditions(result),
    ]  # fmt: skip


def many(result: Result) -> list[str]:
    epochs = np.array(result["seconds_per_epoch"])
    n_epochs = result["epochs_of_sample"]
    longer = ""
    if not result["schedule"].startswith("constant"):
        seconds = result["step_1_seconds"] + LONGER * result["step_2_seconds"]
        longer = (
            f" With a second step {LONGER} times as long (its time multiplied by that) it is"
            f" {result['all_seconds'] / seconds:.0f}x."
        )
    return [
        *table(
            ["", "every candidate", "two steps"],
            [
                ["how", "**multiplied**", "measured"],
                ["processor time", f"{result['all_seconds'] / 3600:.0f} h",
                 f"{result['step_1_seconds']:.0f} + {result['step_2_seconds']:.0f} s"],
                ["test RMSE of the fractions",
                 f"{result['test_rmse_best_of_sample']:.5f} (best of {len(n_epochs)} trained)",
                 f"{result['test_rmse_two_step']:.5f} (best of {result['top']})"],
            ],
        ),
        "",
        f"{result['candidates']} candidates, {result['rows']} rows, a subset of {result['subset']},"
        f" {result['top']} kept: **{result['ratio']:.0f}x** less"
        f" compute, goal {result['goal']}x: {verdict(result['ratio'] >= result['goal'])}; the paper"
        f" reports {result['paper']}x. Multiplied are {result['candidates']} candidates,"
        f" {np.mean(n_epochs):.0f} epochs and {epochs.mean():.2f} s an epoch, the mean of"
        f" {len(epochs)} candidates ({epochs.min():.2f} to {epochs.max():.2f} s, standard error"
        f" {100 * result['relative_standard_error']:.0f} %).{longer}",
        "",
        conditions(result),
    ]  # fmt: skip


def skill(result: Result) -> list[str]:
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
    """Return README's table."""
    best, two = results["reach"]["summary"][0], results["many"]
    rows = [
        ["time to the loss that 60 trials of Keras Tuner reach"
         f" ({best['backend']}, its fastest backend here)", f"{best['ratio']:.0f}x less"],
        [f"compute of two steps against all {two['candidates']} candidates on {two['rows']} rows"
         " (multiplied from a sample)",
         f"{two['ratio']:.0f}x less; test RMSE {two['test_rmse_two_step']:.4f}, the best of"
         f" {len(two['epochs_of_sample'])} random candidates on all rows"
         f" {two['test_rmse_best_of_sample']:.4f}"],
    ]  # fmt: skip
    for g in results["skill"]["goals"]:
        data, _, _ = g["goal"].partition(":")
        n = next(r["n_train"] for r in results["skill"]["rows"] if r["data"] == data)
        rows.append([
            f"test RMSE of the number fraction, {g['choice']} trained on {n} rows",
            f"{g['test_rmse']:.4f} in {g['share']:.2f} of ARG2000's time",
        ])  # fmt: skip
    return table(["", "measured"], rows)


PARTS: dict[str, Callable[[Result], list[str]]] = {
    "reach": reach,
    "two-step": two_step,
    "two-step-constant": two_step,
    "many": many,
    "many-constant": many,
    "skill": skill,
}
#: What README needs.
HEADLINES = {"reach", "many", "skill"}


def update(folder: Path) -> None:
    """Renew what FOLDER has results of; README when all parts are there.

    Raises
    ------
    ValueError
        A result is of a quick run.
    """
    results = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in PARTS
        if (folder / f"{name}.json").is_file()
    }
    for name, result in results.items():
        if result["quick"]:
            raise ValueError(f"{folder / name}.json is of a quick run: its figures mean nothing")
    text = DOCUMENT.read_text()
    for name, result in results.items():
        text = replaced(text, name, "\n".join(PARTS[name](result)))
        if f"headline_{name}.png" in text:
            write_bytes(IMAGES / f"headline_{name}.png", (folder / f"{name}.png").read_bytes())
    write_text(DOCUMENT, text)
    if set(results) >= HEADLINES:
        write_text(README, replaced(README.read_text(), "headline", "\n".join(short(results))))
