"""Do the experiments of Yu et al. (2023, doi:10.1175/AIES-D-23-0013.1) with emufort.

    python -m benchmarks.paper --data FILE [--out FOLDER] [--minutes N] [--update]

The data are 16 inputs (one is noise) and 4 number activated fractions by the parcel model. FILE
has the contract `activation_fractions`; make it with

    python data_prep/make_dataset.py --train 262144 --validation 1024 --seed 5 --out FILE

Without --data the embedded data are used. Random candidates of the paper's space (1 to 20 layers of
8 to 2,048 neurons) with at most --most multiply-adds are trained on subsets of the set and on all
of it. Every training follows the code that the paper's authors published, see problem.py.

(a) order of the candidates in step 1 and after training on all rows, by size of the subset
(b) skill after step 2, by size of the subset and number of candidates kept
(c) processor time of two steps compared with training all candidates on all rows
(d) skill against parameters and measured time
(e) the same search with each sampler

Step 2 is the training on all rows with other initial weights than in step 1, by the same rules.
Every training is stored in FOLDER/trainings.jsonl when it ends. After a kill, or with more minutes,
the same command continues. Candidates and searches take turns, so that every experiment has results
early; candidates that lack a training are left out. The results are written to
FOLDER/results.json and as figures; --update inserts them into docs/paper.md and docs/images.
--minutes 0 trains nothing.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.headline.problem import ONE_THREAD, machine
from benchmarks.paper import document, figures, results, sizes, timing
from benchmarks.paper.plan import FULL, SAMPLERS, SMALL, Plan, whole
from benchmarks.paper.problem import Problem
from benchmarks.paper.sample import Sample, seconds
from benchmarks.paper.searches import Search, search
from benchmarks.paper.trainings import OutOfTimeError, Trainings
from emufort.errors import EmufortError
from emufort.files import write_json


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/paper"))
    parser.add_argument("--data", default=None, help="netCDF file; the embedded data otherwise")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no training later")
    parser.add_argument("--candidates", type=int, help="random candidates")
    parser.add_argument("--most", type=int, default=16_384, help="multiply-adds of a candidate")
    parser.add_argument("--small", action="store_true", help="few candidates, to try the script")
    parser.add_argument("--time", action="store_true", help="measure the time of networks for (d)")
    parser.add_argument("--update", action="store_true", help="insert the results into docs")
    return parser.parse_args(words)


def do_trainings(plan: Plan, problem: Problem, trainings: Trainings) -> None:
    """Do all trainings.

    Raises
    ------
    OutOfTimeError
        The time of this call is over.
    """
    hidden = [candidate.hidden for candidate in problem.candidates(plan.candidates)]
    for draw, block in enumerate(plan.blocks()):
        for sampler in SAMPLERS:
            best, result = search(sampler, draw, plan, problem, trainings).best
            _say(f"{sampler} {draw}: {problem.architecture(best).label}: {result.rmse:.5f}")
        for number in block:
            for unit in [*plan.step_1(hidden[number]), whole(hidden[number])]:
                result = trainings.result(unit)
            _say(f"{number} {problem.architecture(hidden[number]).label}: {result.rmse:.5f}")
        if draw == 0:
            for one in hidden[: plan.again]:
                trainings.result(whole(one, 1))


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def searches(plan: Plan, problem: Problem, trainings: Trainings) -> dict[str, list[Search]]:
    """Return the searches with each sampler, for the draws of which no search is unfinished."""
    found: dict[str, list[Search]] = {sampler: [] for sampler in SAMPLERS}
    table = trainings.only_read()
    for draw in range(plan.search_draws):
        with suppress(OutOfTimeError):
            of_draw = {name: search(name, draw, plan, problem, table) for name in SAMPLERS}
            for name, one in of_draw.items():
                found[name].append(one)
    return found


def evaluated(plan: Plan, problem: Problem, trainings: Trainings, out: Path) -> dict[str, Any]:
    """Return the numbers of all experiments."""
    sample = Sample.of(problem, trainings, plan)
    if len(sample) < 3:
        raise EmufortError(
            f"only {len(sample)} candidates are trained on all subsets and on all rows; allow more "
            "--minutes"
        )
    return {
        "machine": machine(),
        "rows": problem.n_rows,
        "test rows": len(problem.test_rows[0]),
        "most": problem.most,
        "candidates": len(sample),
        "planned": vars(plan),
        "trainings": len(trainings.done),
        "seconds": seconds(list(trainings.done.values())),
        "ranks": results.ranks(sample, problem, trainings, plan),
        "skills": results.skills(sample, problem),
        "speed": results.speed(sample, problem),
        "sizes": sizes.sizes(sample, problem, timing.measured(out)),
        "samplers": results.samplers(searches(plan, problem, trainings), problem),
    }


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    os.environ.update(ONE_THREAD)
    plan = SMALL if options.small else FULL
    if options.candidates:
        plan = replace(plan, candidates=options.candidates)
    try:
        problem = Problem.open(options.data, options.most, plan.rows)
        trainings = Trainings(problem, options.out, options.minutes)
        try:
            do_trainings(plan, problem, trainings)
        except OutOfTimeError:
            print("the time is over; the same command continues")
        if options.time:
            sample = Sample.of(problem, trainings, plan)
            timing.measure(problem, sizes.to_time(sample, timing.MOST), options.out)
        found = evaluated(plan, problem, trainings, options.out)
        write_json(options.out / "results.json", found)
        figures.draw(found, options.out)
        print(document.text(found))
        if options.update:
            document.update(found)
    except EmufortError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
