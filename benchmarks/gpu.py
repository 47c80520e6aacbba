"""Measure a search on one GPU: trials per minute, memory, utilisation, and the lowest loss.

    python -m benchmarks.gpu [--minutes 8] [--device cuda:0] [--workers 4] [--json FILE]
                             [--keras torch] [--keras-python PYTHON]
    python -m benchmarks.gpu --device cpu --small

The search space is that of Yu et al. (2023): 1 to 20 layers of 8 to 2,048 neurons, 3,200 rows, and
at most 100 epochs with successive halving (1, 4, 16, 100 epochs; one candidate in four continues;
every rung starts again). Candidates are trained side by side until the time is over. How long the
10,000 candidates of the aim would take is extrapolated from the candidates of that time.

Two contenders train some of the same candidates one by one: the native trainer on one CPU core of
the same machine, and Keras Tuner on the same GPU. Both are slow and train a few candidates for a
few epochs. What halving would cost them in full is extrapolated and labelled as such. Keras is left
out if it is not installed (pip install keras keras-tuner, and a backend that uses the GPU).

--small is a test of the script for machines without a GPU. It says nothing about GPUs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_contenders import SMALL, Size, on_one_core, tasks_of, with_keras
from benchmarks.headline.problem import keras_is_installed, machine
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import read_json
from emufort.search.driver import search
from emufort.training import Arrays, native_trainer
from emufort.training.device import check_device, device_detail

#: The aim: so many candidates in so many minutes on an H100.
AIM = 10_000, 10.0


class OutOfTimeError(Exception):
    """The time of the search is over."""


class Monitor(threading.Thread):
    """Utilisation and memory of GPU 0, every second, as nvidia-smi reports them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, float]] = []
        self._process: subprocess.Popen[str] | None = None
        if shutil.which("nvidia-smi"):
            query = "--query-gpu=utilization.gpu,memory.used"
            self._process = subprocess.Popen(
                ["nvidia-smi", "--id=0", query, "--format=csv,noheader,nounits", "-l", "1"],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            self.start()

    def run(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                utilisation, memory = map(float, line.split(","))
            except ValueError:
                continue  # "[N/A]"
            self.seen.append((utilisation, memory))

    def end(self) -> dict[str, float] | None:
        """Stop; return the mean utilisation [%] and the largest memory [MiB], if known."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self.join()
        if not self.seen:
            return None
        mean = sum(utilisation for utilisation, _ in self.seen) / len(self.seen)
        return {"mean_utilisation": mean, "most_memory_mib": max(m for _, m in self.seen)}


def searched(
    data: Dataset, size: Size, device: str, workers: int, seconds: float, most: int, out: Path
) -> dict[str, Any]:
    """Search until `seconds` are over or `most` candidates are trained; whole batches count."""
    begun = time.perf_counter()

    def report(*_: object) -> None:
        if time.perf_counter() - begun > seconds:
            raise OutOfTimeError

    with suppress(OutOfTimeError):
        search(data, size.config(most, device, workers), out, report)
    if not (out / "search.json").exists():
        return {"trials": 0, "seconds": time.perf_counter() - begun}
    summary = read_json(out / "search.json")
    best = summary["best"]
    return {
        **{key: summary[key] for key in ("trials", "seconds", "trials_per_minute", "diverged")},
        "best": {"label": best["label"], "loss": best["value"], "rmse": best["value"] ** 0.5},
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and return the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all measurements")
    parser.add_argument("--workers", type=int, default=4, help="processes that share the GPU")
    parser.add_argument("--small", action="store_true", help="test the script in a minute")
    parser.add_argument("--keras", default="torch", help="backend of Keras, or none")
    parser.add_argument("--keras-python", default=sys.executable, help="interpreter with Keras")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        check_device(options.device)
    except EmufortError as error:
        raise SystemExit(f"{error}; or test the script: --device cpu --small") from error
    size = SMALL if options.small else Size()
    workers = 1 if options.small else options.workers
    data = Dataset.open(None, Contract.load("activation_fractions"))
    arrays, _, _ = Arrays.from_datasets(
        data.part("train").subset(size.rows, 1), data.part("validation").subset(size.validation, 1)
    )
    result: dict[str, Any] = {
        "machine": machine(),
        "device": device_detail(options.device),
        "cuda": torch.version.cuda,
        "small": options.small,
        "space": {"depth": size.depth, "width": size.width, "rows": size.rows,
                  "rungs": size.rungs, "eta": size.eta},
        "workers": workers,
    }  # fmt: skip
    print(f"{result['device']}; {result['machine']['cpu']}; torch {torch.__version__}")
    budget = 60 * options.minutes
    monitor = Monitor()
    with tempfile.TemporaryDirectory() as scratch:
        most = 2 * size.batch if options.small else AIM[0]
        found = searched(
            data, size, options.device, workers, 0.55 * budget, most, Path(scratch) / "search"
        )
    result["search"], result["gpu"] = found, monitor.end()
    _print_search(result)
    tasks = tasks_of(size, 512, arrays)
    if native_trainer.available():
        core = on_one_core(tasks[: 8 if options.small else 512], arrays, 0.12 * budget)
        core["trials_per_minute"] = 60 / (core["seconds_per_epoch"] * size.epochs_per_trial)
        result["native_one_core"] = core
        _print_contender("native trainer, one core", core, found)
    else:
        print("the native trainer is not built here: left out")
    if size.of_keras == 0 or options.keras == "none":
        print("Keras Tuner: left out")
    elif not keras_is_installed(options.keras_python, options.keras):
        print(f"Keras Tuner with {options.keras} is not installed: left out")
    else:
        few = tasks[: size.of_keras]
        result["keras"] = with_keras(few, arrays, size, options.keras, options.keras_python)
        _print_contender(f"Keras Tuner ({options.keras})", result["keras"], found)
    if options.device == "cpu":
        print("measured on a CPU: this says nothing about GPUs")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _print_search(result: dict[str, Any]) -> None:
    found = result["search"]
    if not found["trials"]:
        print(f"no batch of candidates was finished in {found['seconds']:.0f} s")
        return
    rate, best = found["trials_per_minute"], found["best"]
    print(
        f"search side by side: {found['trials']} candidates in {found['seconds']:.0f} s, "
        f"{rate:.1f} trials/min; {found['diverged']} diverged"
    )
    print(f"best: {best['label']}, loss {best['loss']:.3e}, RMSE {best['rmse']:.4f}")
    if not result["small"]:
        n, minutes = AIM
        how = "measured" if found["trials"] >= n else "extrapolated"
        print(
            f"{n} candidates: {n / rate:.1f} min ({how}); the aim on an H100 is {minutes:.0f} min"
        )
    if result["gpu"] is None:
        print("utilisation and memory of a GPU: not known, nvidia-smi is not here")
    else:
        gpu = result["gpu"]
        print(
            f"GPU: {gpu['mean_utilisation']:.0f} % of the time busy, at most "
            f"{gpu['most_memory_mib']:.0f} MiB"
        )


def _print_contender(name: str, row: dict[str, Any], found: dict[str, Any]) -> None:
    rate = row["trials_per_minute"]
    ratio = f"; the search is {found['trials_per_minute'] / rate:.1f}x" if found["trials"] else ""
    print(
        f"{name}: {rate:.2f} trials/min (extrapolated from {row['candidates']} candidates, "
        f"{row['seconds_per_epoch']:.3g} s per epoch){ratio}"
    )


if __name__ == "__main__":
    main()
