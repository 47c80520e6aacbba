"""Measure the headline figures: the time to a given skill compared with others, and final skill.

    python -m benchmarks.headline reach|two-step|many|skill|all [--out FOLDER] [--quick] ...
    python -m benchmarks.headline update --out FOLDER

reach      (a) processor time to the validation loss that the paper's procedure (Keras Tuner random
           search, 60 trials on the same subset) reaches; --keras jax:3,tensorflow gives the
           backends of Keras and the number of searches, --keras-python their interpreter
two-step   (b) two steps compared with training every candidate on all data, both in full on the
           embedded rows: skill and compute
many       (b) the same for 10,000 candidates on the rows of --many FILE (data_prep/make_dataset.py
           --train 1000000), where the time of training them all is extrapolated
skill      (c) RMSE of the number fraction and time per sample of a few networks, compared with
           ARG2000; --large FILE adds networks trained on more rows (data_prep/make_dataset.py
           --train 262144)
update     insert the results of FOLDER into docs/headline.md and docs/images

Each part runs alone on one core, prints its results, and writes FOLDER/PART.json and
FOLDER/PART.png. Times are processor times, which other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import torch

from benchmarks.headline import document
from benchmarks.headline.figures import PARTS, draw
from benchmarks.headline.problem import ONE_THREAD, machine


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.headline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=[*PARTS, "all", "update"])
    parser.add_argument("--out", type=Path, default=Path("runs/headline"))
    parser.add_argument("--data", default=None, help="netCDF file; the embedded data otherwise")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try the script")
    reach = parser.add_argument_group("reach")
    reach.add_argument("--keras", default="tensorflow,jax:3,torch", help="backend:searches,...")
    reach.add_argument("--keras-python", default=sys.executable, help="interpreter with Keras")
    reach.add_argument("--keras-trials", type=int, default=60)
    reach.add_argument("--repeats", type=int, default=9, help="searches of emufort per target")
    reach.add_argument("--plain-repeats", type=int, default=3, help="the same without halving")
    two = parser.add_argument_group("two-step")
    two.add_argument("--many", default=None, help="netCDF file with 1,000,000 rows")
    two.add_argument("--top", type=int, default=5, help="candidates that step 2 retrains")
    two.add_argument("--candidates", type=int, default=192, help="trained on all embedded rows")
    two.add_argument("--many-candidates", type=int, default=10_000, help="for the rows of --many")
    two.add_argument("--many-top", type=int, default=1, help="candidates retrained on these rows")
    two.add_argument("--step-candidates", type=int, default=100, help="candidates to time a step")
    two.add_argument("--reference", type=int, default=20, help="random candidates trained in full")
    two.add_argument("--reference-more", default="", help="further ones by number: 12,3456")
    two.add_argument("--budget", type=float, default=0, help="spend 1/RATIO of the full compute")
    two.add_argument("--budget-seeds", default="3", help="seeds of the candidates: 3,4")
    skill = parser.add_argument_group("skill")
    skill.add_argument("--large", default=None, help="netCDF file with 262,144 rows")
    skill.add_argument("--ncol", type=int, default=16, help="columns per call")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.part == "update":
        document.update(options.out)
        return
    os.environ.update(ONE_THREAD)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in PARTS if options.part == "all" else (options.part,):
        before = machine()
        result = PARTS[name].run(options)
        load = [round(load, 2) for load in os.getloadavg()]
        about = {"machine": before, "load_average_after": load, "quick": options.quick}
        (options.out / f"{name}.json").write_text(json.dumps(about | result, indent=1) + "\n")
        draw(name, result, options.out / f"{name}.png")


if __name__ == "__main__":
    main()
