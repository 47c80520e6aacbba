"""Measure the gain of a warm start in the final trainings of step 2.

    python -m benchmarks.warm_start [--each 2] [--seeds 2] [--update docs/search.md]

The script trains random candidates of the default search space on the embedded data, as the rounds
of step 2 do. Then it trains each candidate `retrain.longer` times longer, from new weights (cold)
and from the weights of the rounds (warm). One warm training has as many steps as the cold one
including those of the rounds, the other has as many without them. The script prints the final loss
of the warm trainings as a multiple of the cold one: geometric mean, lowest and highest, by
activation function.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.markdown_tables import replaced, table
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import write_text
from emufort.provenance import cpu_model
from emufort.search.candidate_task import final_plan, final_task
from emufort.search.space import Candidate, at_point, n_dimensions
from emufort.training import Arrays, Trainer, TrainerState, backend_detail, make_trainer

#: Number of evaluations on the validation rows per training.
_LOOKS = 100
#: Name of the markers in the document.
_MARKER = "warm start"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=2, help="candidates per activation function")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20_000, help="steps in the rounds")
    parser.add_argument("--largest", type=int, default=5000, help="most multiply-adds of a network")
    parser.add_argument("--update", type=Path, metavar="FILE", help="insert the table into FILE")
    return parser.parse_args(words)


def draw(config: Config, each: int, largest: int) -> list[Candidate]:
    """Return `each` random candidates per activation function, up to `largest` multiply-adds."""
    space, rng = config.search.space, np.random.default_rng(config.seed)
    found: dict[str, list[Candidate]] = {name: [] for name in space.activation}
    while any(len(some) < each for some in found.values()):
        candidate = at_point(space, rng.random(n_dimensions(space)))
        small = candidate.architecture(15, 1).multiply_adds <= largest
        if small and len(found[candidate.activation]) < each:
            found[candidate.activation].append(candidate)
    return [candidate for some in found.values() for candidate in some]


def losses(
    trainer: Trainer, arrays: Arrays, candidate: Candidate, config: Config, seed: int
) -> tuple[float, float, float, float]:
    """Return the losses: of the rounds, cold, warm of equal length, warm of equal time."""
    options = config.retrain
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    task = final_task(candidate, candidate.architecture(*sizes), options, seed)

    def trained(state: TrainerState, times: int) -> TrainerState:
        plan = final_plan(task, options, trainer.n_train, _LOOKS, times)
        return trainer.run_steps(state, plan)

    rounds = trained(TrainerState.initial(task), 1)
    cold = trained(TrainerState.initial(task), options.longer)
    warm = [
        trained(TrainerState.from_weights(task, rounds.best_weights, rounds.value), times).value
        for times in (options.longer - 1, options.longer)
    ]
    return rounds.value, cold.value, warm[0], warm[1]


def lines(found: Sequence[tuple[str, float, float, float, float]], longer: int) -> list[str]:
    """Return the table as lines of Markdown.

    Parameters
    ----------
    found
        Activation function of a candidate, and its losses as `losses` returns them.
    longer
        Length of the cold trainings, in units of a training of the rounds.
    """
    head = [
        "activation function",
        "trainings",
        "rounds",
        f"{longer} in all",
        f"{longer + 1} in all",
    ]
    names = [*dict.fromkeys(name for name, *_ in found), "all"]
    rows = []
    for name in names:
        some = np.array([row for of, *row in found if name in (of, "all")])
        ratios = some[:, [0, 2, 3]] / some[:, [1]]
        cells = [
            f"{np.exp(np.log(r).mean()):.2f} ({r.min():.2f} to {r.max():.2f})" for r in ratios.T
        ]
        rows.append([name, str(len(some)), *cells])
    return table(head, rows)


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    config = Config.from_dict({"retrain": {"steps": options.steps}})
    data = Dataset.open(None, Contract.load("activation"))
    arrays, _, _ = Arrays.from_datasets(data.part("train"), data.part("validation"))
    trainer = make_trainer(arrays, "native")
    found = []
    for number, candidate in enumerate(draw(config, options.each, options.largest)):
        for seed in range(options.seeds):
            one = losses(trainer, arrays, candidate, config, (seed << 32) + number)
            found.append((candidate.activation, *one))
            label = candidate.architecture(15, 1).label
            print(label, " ".join(f"{loss:.2e}" for loss in one), flush=True)
    text = "\n".join(
        [
            *lines(found, config.retrain.longer),
            "",
            f"{options.each} random candidates of each activation function, up to "
            f"{options.largest:,} multiply-adds, {options.seeds} seeds; the rounds have "
            f"{options.steps:,} steps. Measured with {backend_detail('native')} on {cpu_model()}.",
        ]
    )
    print(text)
    if options.update is not None:
        write_text(options.update, replaced(options.update.read_text(), _MARKER, text))


if __name__ == "__main__":
    try:
        main()
    except EmufortError as error:
        raise SystemExit(f"error: {error}") from error
