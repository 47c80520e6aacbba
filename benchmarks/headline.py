"""The headline figures: how much faster to the same skill, and what skill in the end.

    python benchmarks/headline.py reach|two-step|skill|all [--out FOLDER] [--quick] ...

reach      (a) processor time to the validation loss that the paper's procedure (Keras Tuner random
           search, 60 trials on the same subset) reaches
two-step   (b) two steps against training every candidate on all data: measured on the embedded rows
           for as many candidates as fit, skill beside compute; and for 10,000 candidates on
           1,000,000 rows per epoch measured, the rest multiplied (and labelled as such)
skill      (c) RMSE of the number fraction and time per sample of a few networks, beside ARG2000;
           --large FILE adds those trained on more rows (data_prep/make_dataset.py --train 262144)

Each part runs alone on one core, prints, and writes FOLDER/PART.json and FOLDER/PART.png. Times are
processor times, which other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _space import (
    EPOCHS,
    ETA,
    PATIENCE,
    ROWS,
    RUNGS,
    SPACE,
    arrays_of_paper,
    keras_is_there,
    keras_tuner_search,
    machine,
    tasks_of_space,
)

from emufort.config import TimingConfig
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.network import Architecture, Emulator
from emufort.search.halving import successive_halving
from emufort.search.sampling import propose
from emufort.skill import skill_of, skill_of_baseline
from emufort.timing import time_candidates
from emufort.training import (
    Arrays,
    Layout,
    StepPlan,
    Trainer,
    TrainerState,
    TrainingTask,
    make_trainer,
)

#: Trials of the paper's procedure, candidates and rows of the large comparison.
PAPER_TRIALS, MANY_CANDIDATES, MANY_ROWS = 60, 10_000, 1_000_000
#: Candidates that are cut together, and candidates that are kept for step 2.
BATCH, TOP = 64, 5
STEPS, RETRAIN_BATCH = 40_000, 256


def cpu(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return processor seconds and the result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


# ------------------------------------------------------------------ (a)


def improvements(trainer: Trainer, arrays: Arrays, seed: int) -> Iterator[tuple[float, float, int]]:
    """Search without end; yield (CPU seconds, best loss, candidates asked for).

    At each improvement, and after each batch: a search may never find anything better.
    """
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    start = time.process_time()
    best, asked, batch = math.inf, 0, 0
    while True:
        tasks = [
            TrainingTask(
                c.architecture(*sizes), c.learning_rate, c.batch_size, (seed << 20) + asked + i
            )
            for i, c in enumerate(propose("random", SPACE, [], BATCH, seed, batch))
        ]
        asked, batch = asked + BATCH, batch + 1
        states = [TrainerState.initial(task) for task in tasks]
        # As `successive_halving`, but with a look at the clock after each training.
        for last in RUNGS:
            for state in states:
                trainer.run_epochs(state, last, PATIENCE)
                if state.value < best:
                    best = state.value
                    yield time.process_time() - start, best, asked
            states = sorted(states, key=lambda s: s.value)[: max(1, len(states) // ETA)]
        yield time.process_time() - start, best, asked


def reach(options: argparse.Namespace) -> dict[str, Any]:
    arrays = arrays_of_paper(options.data)
    trials = 4 if options.quick else options.keras_trials
    tasks = tasks_of_space(trials, arrays)
    measured = keras_is_there()
    if measured:
        course = keras_tuner_search(tasks, arrays, options.keras_backend)
        who = f"Keras Tuner ({options.keras_backend}), {trials} trials"
    else:
        # The loss that so many random trials reach does not hang on who trains them; the time does.
        trainer = make_trainer(arrays, "native")
        course, spent = [], 0.0
        for task in tasks:
            state = TrainerState.initial(task)
            seconds, _ = cpu(lambda s=state: trainer.run_epochs(s, EPOCHS, PATIENCE))
            spent += seconds
            course.append((spent, state.value))
        who = f"random search with the native trainer, {trials} trials (Keras Tuner not installed)"
    target, seconds = min(loss for _, loss in course), course[-1][0]
    trainer = make_trainer(arrays, "native")
    runs = []
    for seed in range(1, 1 + (2 if options.quick else options.repeats)):
        curve = []
        for spent, best, asked in improvements(trainer, arrays, seed):
            curve.append((spent, best, asked))
            if best <= target or spent > seconds:
                break
        runs.append(curve)
    times = [curve[-1][0] for curve in runs]
    reached = sum(curve[-1][1] <= target for curve in runs)
    median = float(np.median(times))
    print(f"(a) {who}: loss {target:.3e} in {seconds:.1f} s")
    if reached < len(runs):
        print(f"    {len(runs) - reached} searches did not reach it in that time: they count as it")
    print(
        f"    emufort: the same loss in {median:.2f} s (median of {len(runs)} searches, "
        f"{min(times):.2f} to {max(times):.2f}): {seconds / median:.0f}x faster, goal 150x"
    )
    return {
        "paper": {"who": who, "is_keras_tuner": measured, "seconds": seconds, "loss": target,
                  "course": course},
        "emufort": {"reached": reached, "seconds": times, "median": median, "courses": runs},
        "ratio": seconds / median,
        "goal": 150,
    }  # fmt: skip


def plot_reach(result: dict[str, Any], axes: Any) -> None:
    seconds, losses = np.array(result["paper"]["course"]).T
    axes.step(seconds, np.minimum.accumulate(losses), where="post", label=result["paper"]["who"])
    for i, curve in enumerate(result["emufort"]["courses"]):
        spent, best, _ = np.array(curve).T
        axes.step(spent, best, where="post", color="C1", label=None if i else "emufort")
    axes.set(xscale="log", yscale="log", xlabel="processor time [s]", ylabel="lowest loss")
    axes.legend()


# ------------------------------------------------------------------ (b)


def retrained(trainer: Trainer, task: TrainingTask, steps: int) -> TrainerState:
    plan = StepPlan(steps, max(1, steps // 50), max(1, steps // 20))
    peak = replace(task, batch_size=RETRAIN_BATCH, learning_rate=3e-3)
    return trainer.run_steps(TrainerState.initial(peak), plan)


def test_loss(trainer_of_test: Any, state: TrainerState) -> float:
    """Return the mean squared error of the best weights over the test rows."""
    t = trainer_of_test
    (loss,) = t.call(
        "mean_squared_error", state.task, t._x_validation, t._y_validation, state.best_weights
    )
    return float(loss)


def two_step(options: argparse.Namespace) -> dict[str, Any]:
    candidates = 8 if options.quick else options.candidates
    steps = 2000 if options.quick else STEPS
    contract = Contract.load("activation_fractions")
    data = Dataset.open(options.data, contract)
    parts = {name: data.part(name) for name in ("train", "validation", "test")}
    full, x_scaler, y_scaler = Arrays.from_datasets(parts["train"], parts["validation"])
    as_test = Arrays(
        full.x_train[:64], full.y_train[:64],
        x_scaler.forward(parts["test"].features).astype(np.float32),
        y_scaler.forward(parts["test"].targets).astype(np.float32), full.sigmoid,
    )  # fmt: skip
    rows = np.random.default_rng(1).permutation(len(full.x_train))[:ROWS]
    subset = replace(
        full, x_train=full.x_train[rows], y_train=full.y_train[rows],
        x_validation=full.x_validation[:800], y_validation=full.y_validation[:800],
    )  # fmt: skip
    tasks = tasks_of_space(candidates, full)
    on_all, on_few = make_trainer(full, "native"), make_trainer(subset, "native")
    judge = make_trainer(as_test, "native")

    def everything() -> list[TrainerState]:
        return [on_all.run_epochs(TrainerState.initial(t), EPOCHS, PATIENCE) for t in tasks]

    def first_step(some: Sequence[TrainingTask]) -> list[int]:
        states = [TrainerState.initial(task) for task in some]

        def rung(positions: Sequence[int], epochs: int) -> list[float]:
            return [on_few.run_epochs(states[p], epochs, PATIENCE).value for p in positions]

        courses = successive_halving(len(states), RUNGS, ETA, rung)
        # Those that went further come first, whatever their loss.
        order = sorted(range(len(some)), key=lambda i: (-len(courses[i].rungs), courses[i].value))
        return order[:TOP]

    all_seconds, all_states = cpu(everything)
    one_seconds, kept = cpu(lambda: first_step(tasks))
    two_seconds, finals = cpu(lambda: [retrained(on_all, tasks[i], steps) for i in kept])
    best_of_all = min(all_states, key=lambda s: s.value)
    best_of_two = min(finals, key=lambda s: s.value)
    skill_all, skill_two = test_loss(judge, best_of_all), test_loss(judge, best_of_two)

    # The large comparison: rows by drawing from those that there are, for the cost of an epoch does
    # not hang on the labels.
    n = 100_000 if options.quick else options.rows
    many = np.random.default_rng(2).integers(0, len(full.x_train), n)
    large = replace(full, x_train=full.x_train[many], y_train=full.y_train[many])
    on_large = make_trainer(large, "native")
    sample = tasks[: min(len(tasks), 4 if options.quick else options.epoch_candidates)]
    epoch_seconds, _ = cpu(
        lambda: [on_large.run_epochs(TrainerState.initial(t), 1, PATIENCE) for t in sample]
    )
    epochs = float(np.mean([s.epoch for s in all_states]))
    per_candidate = epoch_seconds / len(sample) * epochs
    everything_large = per_candidate * MANY_CANDIDATES
    first_large = one_seconds / candidates * MANY_CANDIDATES
    large_ratio = everything_large / (first_large + two_seconds)
    result = {
        "measured": {
            "candidates": candidates, "rows": len(full.x_train),
            "all_seconds": all_seconds, "step_1_seconds": one_seconds,
            "step_2_seconds": two_seconds, "kept": kept,
            "ratio": all_seconds / (one_seconds + two_seconds),
            "test_rmse_all": math.sqrt(skill_all), "test_rmse_two_step": math.sqrt(skill_two),
        },
        "large": {
            "how": "one epoch of some candidates measured, epochs and candidates multiplied",
            "candidates": MANY_CANDIDATES, "rows": n, "candidates_measured": len(sample),
            "seconds_per_epoch": epoch_seconds / len(sample),
            "epochs_assumed": epochs, "all_seconds": everything_large,
            "step_1_seconds": first_large, "step_2_seconds": two_seconds, "ratio": large_ratio,
        },
        "goal": 1000,
        "paper": 135,
    }  # fmt: skip
    m = result["measured"]
    print(
        f"(b) measured, {candidates} candidates, {len(full.x_train)} rows: all {all_seconds:.0f} s,"
        f" two steps {one_seconds:.1f} + {two_seconds:.1f} s: {m['ratio']:.0f}x less"
    )
    print(
        f"    test RMSE of the fractions: all {m['test_rmse_all']:.5f}, two steps "
        f"{m['test_rmse_two_step']:.5f}"
    )
    print(
        f"    MULTIPLIED from one measured epoch: {MANY_CANDIDATES} candidates, {n} rows, "
        f"{epochs:.0f} epochs: all {everything_large / 3600:.0f} h, two steps "
        f"{(first_large + two_seconds) / 60:.1f} min: {large_ratio:.0f}x less, goal 1000x, "
        "the paper 135x"
    )
    return result


def plot_two_step(result: dict[str, Any], axes: Any) -> None:
    names, everything, two = [], [], []
    for key in ("measured", "large"):
        one = result[key]
        names.append(f"{one['candidates']} candidates\n{one['rows']} rows\n({key})")
        everything.append(one["all_seconds"])
        two.append(one["step_1_seconds"] + one["step_2_seconds"])
    at = np.arange(len(names))
    axes.bar(at - 0.2, everything, 0.4, label="every candidate on all data")
    axes.bar(at + 0.2, two, 0.4, label="two steps")
    axes.set(yscale="log", ylabel="processor time [s]", xticks=at, xticklabels=names)
    axes.legend()


# ------------------------------------------------------------------ (c)


@dataclass(frozen=True)
class Recipe:
    hidden: tuple[int, ...]
    activation: Any
    learning_rate: float = 5e-3

    @property
    def label(self) -> str:
        return "-".join(map(str, self.hidden)) + f" {self.activation}"


RECIPES = (
    Recipe((16, 16), "squared_relu"),
    Recipe((24, 24), "squared_relu"),
    Recipe((32, 32), "squared_relu"),
    Recipe((32, 32), "silu"),
    Recipe((48, 48), "silu"),
    Recipe((64, 64), "silu"),
)


def skill(options: argparse.Namespace) -> dict[str, Any]:
    contract = Contract.load("activation")
    embedded = Dataset.open(options.data, contract)
    sets = {"embedded": embedded}
    if options.large is not None:
        sets["large"] = Dataset.open(options.large, contract)
    steps = 2000 if options.quick else options.steps
    rows: list[dict[str, Any]] = []
    for name, data in sets.items():
        train, validation, test = (data.part(p) for p in ("train", "validation", "test"))
        arrays, x_scaler, y_scaler = Arrays.from_datasets(train, validation)
        trainer = make_trainer(arrays, "native")
        weights: dict[str, Path] = {}
        for recipe in RECIPES[:2] if options.quick else RECIPES:
            architecture = Architecture(
                arrays.x_train.shape[1], recipe.hidden, arrays.y_train.shape[1], recipe.activation
            )
            task = TrainingTask(architecture, recipe.learning_rate, RETRAIN_BATCH, 1)
            plan = StepPlan(steps, steps // 50, steps // 50)
            initial = TrainerState.initial(task)
            seconds, state = cpu(lambda t=trainer, s=initial, p=plan: t.run_steps(s, p))
            emulator = Emulator(
                contract, architecture, x_scaler, y_scaler,
                *Layout(architecture).split(state.best_weights),
            )  # fmt: skip
            rmse = skill_of(test, emulator.predict(test.x)).overall.rmse
            identity = f"{name} {recipe.label}"
            weights[identity] = (
                options.out / "weights" / f"{identity.replace(' ', '_')}.safetensors"
            )
            weights[identity].parent.mkdir(parents=True, exist_ok=True)
            emulator.save(weights[identity])
            rows.append({"id": identity, "data": name, "n_train": len(train), "rmse": rmse,
                         "training_seconds": seconds})  # fmt: skip
        times = time_candidates(
            weights, contract, TimingConfig(), options.out / f"timing_{name}.csv",
            options.out / "work" / name, train.subset(2048, 1).x,
        )  # fmt: skip
        at = {t.id: t.ns_per_sample for t in times if t.ncol == options.ncol}
        for row in rows:
            row.setdefault("ns_per_sample", at.get(row["id"]))
        baseline = {k: v for k, v in at.items() if k not in weights}
    test = embedded.part("test")
    classical = {
        name: {"ns_per_sample": ns, "rmse": skill_of_baseline(test, name).overall.rmse}
        for name, ns in baseline.items()
    }
    print(
        "(c) RMSE of the number fraction over the test rows, "
        f"ns per sample at {options.ncol} columns"
    )
    for row in rows:
        print(f"    {row['id']:28s} {row['rmse']:.5f} {row['ns_per_sample']:8.1f} ns"
              f"   trained in {row['training_seconds']:.1f} s")  # fmt: skip
    for name, row in classical.items():
        print(f"    {name:28s} {row['rmse']:.5f} {row['ns_per_sample']:8.1f} ns")
    goals: dict[str, Any] = {}
    if "ARG2000" in classical:
        cost = classical["ARG2000"]["ns_per_sample"]

        def met(name: str, rmse: float, share: float) -> bool:
            return any(
                r["data"] == name and r["rmse"] <= rmse and r["ns_per_sample"] <= share * cost
                for r in rows
            )

        goals["embedded: RMSE <= 0.0028 below ARG2000's cost"] = met("embedded", 0.0028, 1.0)
        goals["embedded: RMSE <= 0.0036 at half of it"] = met("embedded", 0.0036, 0.5)
        if "large" in sets:
            goals["262,144 rows: RMSE <= 0.0015 below ARG2000's cost"] = met("large", 0.0015, 1.0)
        for goal, is_met in goals.items():
            print(f"    {'reached' if is_met else 'MISSED'}: {goal}")
    return {"rows": rows, "classical": classical, "goals": goals, "ncol": options.ncol,
            "steps": steps, "batch_size": RETRAIN_BATCH}  # fmt: skip


def plot_skill(result: dict[str, Any], axes: Any) -> None:
    for name in dict.fromkeys(row["data"] for row in result["rows"]):
        some = [r for r in result["rows"] if r["data"] == name]
        axes.plot([r["ns_per_sample"] for r in some], [r["rmse"] for r in some], "o", label=name)
    for name, row in result["classical"].items():
        axes.plot(row["ns_per_sample"], row["rmse"], "s", label=name)
    axes.set(xscale="log", yscale="log", xlabel="ns per sample", ylabel="RMSE")
    axes.legend()


# ------------------------------------------------------------------

PARTS: dict[str, tuple[Callable[[argparse.Namespace], dict[str, Any]], Callable[..., None]]] = {
    "reach": (reach, plot_reach),
    "two-step": (two_step, plot_two_step),
    "skill": (skill, plot_skill),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--out", type=Path, default=Path("runs/headline"))
    parser.add_argument("--data", default=None, help="netCDF file; the embedded data otherwise")
    parser.add_argument("--large", default=None, help="netCDF file with more rows, for (c)")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try the script")
    parser.add_argument("--keras-trials", type=int, default=PAPER_TRIALS)
    parser.add_argument("--keras-backend", default="torch")
    parser.add_argument("--repeats", type=int, default=7, help="searches of (a)")
    parser.add_argument("--candidates", type=int, default=48, help="trained on all data in (b)")
    parser.add_argument("--rows", type=int, default=MANY_ROWS)
    parser.add_argument("--epoch-candidates", type=int, default=16)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--ncol", type=int, default=16, help="columns per call in (c)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for name in PARTS if options.part == "all" else (options.part,):
        run, plot = PARTS[name]
        before = machine()
        result = {"machine": before, "quick": options.quick, **run(options)}
        (options.out / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        plot(result, axes)
        figure.savefig(options.out / f"{name}.png", dpi=150)
        pyplot.close(figure)


if __name__ == "__main__":
    main()
