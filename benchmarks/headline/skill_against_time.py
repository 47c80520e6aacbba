"""Headline (c): skill of the final networks against their measured time.

Every network is trained on all rows by step 2's plan (Adam, warm-up, cosine down to zero). For each
goal, the validation rows choose among the networks that are fast enough by measured time. The test
rows are used once, for the figure of the chosen network.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emufort.config import TimingConfig
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.skill import skill_of, skill_of_baseline
from emufort.timing.measure import TIMING_ROWS, time_candidates
from emufort.training import Arrays, Layout, StepPlan, TrainerState, TrainingTask, make_trainer

#: Data set -> number of steps of a training, and batch size.
LENGTH = {"embedded": (100_000, 256), "large": (200_000, 512)}
#: Activation function -> peak learning rate.
LEARNING_RATE = {"squared_relu": 5e-3, "silu": 1e-2}
BASELINE = "ARG2000"


@dataclass(frozen=True)
class Goal:
    """A goal: an RMSE of the number fraction at no more than a share of the baseline's time."""

    data: str
    rmse: float
    share: float

    @property
    def label(self) -> str:
        share = "less than" if self.share == 1 else f"at most {self.share:g} of"
        return f"{self.data}: RMSE <= {self.rmse:g} in {share} {BASELINE}'s time"


GOALS = (
    Goal("embedded", 0.0028, 1.0),
    Goal("embedded", 0.0036, 0.5),
    Goal("large", 0.0015, 1.0),
)
#: Hidden layers and activation function.
NETWORKS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((16, 16), "squared_relu"),
    ((24, 24), "squared_relu"),
    ((32, 32), "squared_relu"),
    ((48, 48), "squared_relu"),
    ((64, 64), "squared_relu"),
    ((32, 32, 32), "squared_relu"),
    ((16, 16), "silu"),
    ((32, 32), "silu"),
    ((48, 48), "silu"),
    ((32, 32, 32), "silu"),
)


def trained(
    data: Dataset, name: str, options: argparse.Namespace, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, Path]]:
    """Train all networks on one data set; return a row and the file of weights for each."""
    contract = data.contract
    train, validation = data.part("train"), data.part("validation")
    arrays, x_scaler, y_scaler = Arrays.from_datasets(train, validation)
    trainer = make_trainer(arrays, "native")
    steps, batch_size = LENGTH[name]
    steps = 2000 if options.quick else steps
    plan = StepPlan(steps, max(1, steps // 50), max(1, steps // 50))
    rows, weights = [], {}
    for hidden, activation in NETWORKS[:2] if options.quick else NETWORKS:
        sizes = arrays.x_train.shape[1], hidden, arrays.y_train.shape[1]
        architecture = Architecture(*sizes, activation)
        task = TrainingTask(architecture, LEARNING_RATE[activation], batch_size, seed=1)
        start = time.process_time()
        state = trainer.run_steps(TrainerState.initial(task), plan)
        seconds = time.process_time() - start
        emulator = Emulator(
            contract, architecture, x_scaler, y_scaler,
            Layout(architecture).parameters(state.best_weights),
        )  # fmt: skip
        identity = f"{name} {architecture.label}"
        weights[identity] = folder / f"{identity.replace(' ', '_')}.safetensors"
        emulator.save(weights[identity])
        rmse = skill_of(validation, emulator.predict(validation.x)).overall.rmse
        rows.append({
            "id": identity, "data": name, "label": architecture.label, "n_train": len(train),
            "steps": steps, "batch_size": batch_size, "learning_rate": task.learning_rate,
            "validation_rmse": rmse, "training_seconds": seconds,
        })  # fmt: skip
        print(f"    {identity:34s} validation RMSE {rmse:.5f} in {seconds:.0f} s", flush=True)
    return rows, weights


def run(options: argparse.Namespace) -> dict[str, Any]:
    contract = Contract.load("activation")
    sets = {"embedded": Dataset.open(options.data, contract)}
    if options.large is not None:
        sets["large"] = Dataset.open(options.large, contract)
    folder = options.out / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    weights: dict[str, Path] = {}
    for name, data in sets.items():
        some, files = trained(data, name, options, folder)
        rows += some
        weights |= files
    # All are in one table, so that its rounds time every network and the baseline in turn.
    inputs = sets["embedded"].part("train").subset(TIMING_ROWS, 1).x
    config = TimingConfig(ncol=(options.ncol,))
    times = time_candidates(
        weights, contract, config, options.out / "timing.csv", options.out / "work", inputs
    )
    at = {t.id: t for t in times}
    for row in rows:
        t = at[row["id"]]
        row |= {"ns_per_sample": t.ns_per_sample, "ns_min": t.ns_min, "ns_max": t.ns_max}
    baselines = {
        t.id: {"ns_per_sample": t.ns_per_sample, "ns_min": t.ns_min, "ns_max": t.ns_max}
        for t in times
        if t.id not in weights
    }
    for name in baselines:
        validation = sets["embedded"].part("validation")
        baselines[name]["validation_rmse"] = skill_of_baseline(validation, name).overall.rmse
    goals = [
        judged(goal, sets[goal.data], rows, weights, baselines[BASELINE]["ns_per_sample"])
        for goal in GOALS
        if goal.data in sets and BASELINE in baselines
    ]
    print(f"(c) at {options.ncol} columns per call, {BASELINE} in double precision, scalar")
    for row in [*rows, *({"id": k} | v for k, v in baselines.items())]:
        print(
            f"    {row['id']:34s} validation RMSE {row['validation_rmse']:.5f}"
            f" {row['ns_per_sample']:8.1f} ns ({row['ns_min']:.1f} to {row['ns_max']:.1f})"
        )
    for g in goals:
        verdict = "reached" if g["reached"] else "MISSED"
        print(f"    {verdict}: {g['goal']}: test RMSE {g['test_rmse']:.5f}, {g['choice']},"
              f" {g['ns_per_sample']:.0f} ns, {g['share']:.2f} of {BASELINE}'s")  # fmt: skip
    return {"rows": rows, "baselines": baselines, "goals": goals, "ncol": options.ncol,
            "test_rows": {name: len(data.part("test")) for name, data in sets.items()}}  # fmt: skip


def judged(
    goal: Goal,
    data: Dataset,
    rows: list[dict[str, Any]],
    weights: dict[str, Path],
    baseline_ns: float,
) -> dict[str, Any]:
    """Choose by the validation rows among the fast enough networks; judge by the test rows."""
    cheap = [
        row
        for row in rows
        if row["data"] == goal.data and row["ns_per_sample"] < goal.share * baseline_ns
    ]
    if not cheap:
        return {"goal": goal.label, "choice": "none is cheap enough", "reached": False,
                "test_rmse": float("nan"), "ns_per_sample": float("nan"),
                "share": float("nan")}  # fmt: skip
    choice = min(cheap, key=lambda row: row["validation_rmse"])
    emulator = Emulator.load(weights[choice["id"]])
    test = data.part("test")
    rmse = skill_of(test, emulator.predict(test.x)).overall.rmse
    return {
        "goal": goal.label,
        "choice": choice["label"],
        "id": choice["id"],
        "validation_rmse": choice["validation_rmse"],
        "test_rmse": rmse,
        "ns_per_sample": choice["ns_per_sample"],
        "share": choice["ns_per_sample"] / baseline_ns,
        "reached": rmse <= goal.rmse,
    }


def plot(result: dict[str, Any], axes: Any) -> None:
    for name in dict.fromkeys(row["data"] for row in result["rows"]):
        some = [r for r in result["rows"] if r["data"] == name]
        n = some[0]["n_train"]
        axes.plot([r["ns_per_sample"] for r in some], [r["validation_rmse"] for r in some], "o",
                  label=f"{n} rows")  # fmt: skip
    for name, row in result["baselines"].items():
        axes.plot(row["ns_per_sample"], row["validation_rmse"], "s", label=name)
    axes.set(
        xscale="log", yscale="log",
        xlabel=f"ns per sample, {result['ncol']} columns per call",
        ylabel="RMSE of the number fraction (validation)",
    )  # fmt: skip
    axes.legend()
