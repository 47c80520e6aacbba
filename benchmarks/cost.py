"""Fit the cost of a sample to the measured times of a run: overhead, multiply-adds, activations.

make demo
python -m benchmarks.cost runs/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from emufort.files import read_csv
from emufort.network.emulator import Emulator


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run whose candidates were timed")
    parser.add_argument("--ncol", type=int, default=16, help="columns per call of the times")
    arguments = parser.parse_args()
    terms, times = [], []
    for row in read_csv(arguments.run / "timing.csv"):
        if row["kind"] != "candidate" or int(row["ncol"]) != arguments.ncol:
            continue
        path = arguments.run / "retrain" / row["id"] / "weights.safetensors"
        network = Emulator.load(path).architecture
        is_dear = network.activation not in ("relu", "squared_relu")
        terms.append([1.0, network.multiply_adds, sum(network.hidden) * is_dear])
        times.append(float(row["ns_per_sample"]))
    fit, *_ = np.linalg.lstsq(np.array(terms), np.array(times), rcond=None)
    error = np.array(terms) @ fit - np.array(times)
    print(f"overhead {fit[0]:.1f} ns, {fit[1] * 1000:.2f} ns per 1,000 multiply-adds")
    print(f"an exponential function: {fit[2]:.3f} ns or {fit[2] / fit[1]:.0f} multiply-adds")
    print(f"rms error of the fit {np.sqrt(np.mean(error**2)):.1f} ns over {len(times)} networks")


if __name__ == "__main__":
    main()
