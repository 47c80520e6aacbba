"""Measure how well step 1 predicts step 2: train every candidate by every way of step 1, and fully.

    python -m benchmarks.foretell [--case embedded,large,...] [--samples 1,2,3] [--ways ...]

Random candidates of a search space are trained by each way of step 1 (few rows, few epochs) and all
of them by step 2 (all rows, several seeds). The order of step 1 can therefore be compared with the
final order over **all** candidates, not only over those that were kept. For every way, the script
prints: Spearman's rank correlation over all candidates and at equal cost; the regret of retraining
the first 1, 5 and K; the regret along the front of loss against cost with K candidates kept; the
activation function, batch size or depth that is placed too low (positive) or too high by most
ranks; and processor time. The K candidates are kept along the front that step 1 predicts. The rows
"calibrated" show the procedure of `emufort retrain`: first a control group, which counts among the
K, then rounds along the front, each of which corrects the prediction. Their numbers are medians
over several control groups. For comparison, the script gives the same numbers for the multiply-adds
of a network without any training, for K candidates drawn at random, and for a second seed of step
2, which is the upper limit. scores.py defines every number.

A way is SCHEDULE:EPOCHS:ROWS[:BATCH[:RATE]]. 0 rows means all. Without BATCH and RATE, the rules of
the search apply. RATE is a multiple of the rate of step 2, scaled for the batch size.
Rungs are WAY/ETA+WAY: the best one in ETA continues. The word default means the rungs of the
configuration (--config, or those of `emufort search`), whose batches and groups define the
candidates to compare with. A way does not include the trainings of `subset = "auto"` before the
first batch: 32 trainings of 16 candidates on fewer rows, each as long as the first rung.

Several samples of candidates give the median and the range of each number. The interval (95 %) of a
rank correlation comes from a bootstrap over the candidates; with several samples it is the interval
of the median.

Cases (--case), each in a separate folder under --out:
  embedded     the embedded data: 15 inputs, maximum supersaturation
  large        the same with more rows, from --large FILE, which you make by
               python data_prep/make_dataset.py --train 262144 --out FILE
  fractions    16 inputs and 4 number activated fractions, as in Yu et al. (2023)
  evaporation  fluxes over the sea by bulk formulae (benchmarks/sea_fluxes.py)
  config       data and contract of --config

The other cases take only the sections [search] and [retrain] of --config, such as
benchmarks/spaces/four_batch_sizes.toml, a space of several batch sizes.

After an interruption, the same command continues. foretell.json and foretell.png hold the results
of a case. --update docs/step1.md inserts the tables of the command's cases into that document.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.foretell.cases import CASES, Request, parse_cases
from benchmarks.foretell.predictions import compare
from benchmarks.foretell.table import Results, check, draw, lines, summary, update
from benchmarks.foretell.trainings import Trainings
from benchmarks.foretell.ways import FORM, Rungs, parse_ways
from emufort.config import Config, SearchConfig
from emufort.errors import EmufortError
from emufort.files import write_json
from emufort.provenance import cpu_model
from emufort.training import backend_detail

WAYS = (
    "default,constant:5:2000,constant:20:2000,constant:100:2000,cosine:100:2000,cosine:25:8000,"
    "cosine:50:16000,cosine:16:0:32"
)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.foretell",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/foretell"))
    parser.add_argument("--case", default="embedded", help=f"one or more of {','.join(CASES)}")
    parser.add_argument("--large", type=Path, help="netCDF file of the case 'large'")
    parser.add_argument("--config", type=Path, help="TOML file with [search] and [retrain]")
    parser.add_argument("--candidates", type=int, default=128, help="candidates in each sample")
    parser.add_argument(
        "--samples", type=numbers, default=[1], help="seeds of the candidates: 1,2,3"
    )
    parser.add_argument("--ways", default=WAYS, help=f"default, {FORM} or rungs, comma-separated")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of step 2")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of step 2")
    parser.add_argument("--keep", type=int, default=28, help="candidates K that step 2 retrains")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--update", type=Path, metavar="FILE", help="insert the tables into FILE")
    options = parser.parse_args(words)
    for name in ("candidates", "steps", "seeds", "keep", "workers"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


def numbers(text: str) -> list[int]:
    """Read whole numbers separated by commas, for `argparse`."""
    return list(dict.fromkeys(map(int, text.split(","))))


def run(case: str, options: argparse.Namespace, config: Config) -> tuple[dict[str, Any], Results]:
    """Run one case; return a description of the measurement and the results."""
    title, arrays_of = CASES[case]
    folder = options.out / case
    arrays = arrays_of(Request(config, options.large, folder))
    n_train = len(arrays.x_train)
    ways = parse_ways(options.ways, config, n_train)
    trainings = Trainings(arrays, config, options.candidates, folder)
    trainings.do_all(options.samples, ways, options.seeds, options.workers)
    usual = config.model_copy(update={"search": SearchConfig()})
    about = {
        "title": title,
        "case": case,
        "rows": n_train,
        "inputs": arrays.x_train.shape[1],
        "outputs": arrays.y_train.shape[1],
        "candidates": options.candidates,
        "steps": config.retrain.steps,
        "seeds": options.seeds,
        "keep": options.keep,
        "ways": [str(way) for way in ways],
        "default": str(Rungs.of(usual, n_train)),
        "cpu": cpu_model(),
        "trainer": backend_detail("native"),
        "date": time.strftime("%Y-%m-%d"),
    }
    results = {
        sample: compare(trainings, sample, ways, options.seeds, options.keep)
        for sample in options.samples
    }
    plain = {
        sample: {
            name: {key: value for key, value in one.items() if key != "resampled"}
            for name, one in found.items()
        }
        for sample, found in results.items()
    }
    over_samples = {
        name: {key: dataclasses.asdict(number) for key, number in of_name.items()}
        for name, of_name in summary(results).items()
    }
    content = {"about": about, "samples": plain, "over samples": over_samples}
    write_json(folder / "foretell.json", content)
    draw(results, folder / "foretell.png")
    print("\n".join(lines(about, results)), flush=True)
    return about, results


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    try:
        if options.update:
            check(options.update)
        config = Config.load(options.config) if options.config else Config()
        retrain = config.retrain.model_copy(update={"steps": options.steps})
        config = config.model_copy(update={"retrain": retrain})
        found = [run(case, options, config) for case in parse_cases(options.case)]
        if options.update:
            update(options.update, found)
    except EmufortError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
