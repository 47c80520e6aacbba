"""Draw the output of the column model, and compare the emulator with ARG2000.

python draw_column.py OUTPUT.nc FOLDER [--log LOG] [--bundle BUNDLE --columns COLUMNS.nc]

The script writes profiles.png, errors.png and summary.json into FOLDER. LOG is the printed output
of the column model; with it the cost is compared as well. The summary names the contract and the
network of BUNDLE, and has the errors of the scheme of Ghosh et al. (2025) for COLUMNS, the input of
the column model. The exit code is 1 if the error of the droplet number is not at least 20 times
smaller than that of ARG2000, or if the emulator costs more than ARG2000 as models have it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import netCDF4
import numpy as np
from classical_droplets import ghosh2025

from emufort.export import Bundle
from emufort.provenance import cpu_model

SCHEMES = {"arg2000": ("ARG2000", "tab:orange"), "emulator": ("emulator", "tab:blue")}
#: Names of the times in the log of the column model, with their descriptions.
COSTS = {
    "scalar": "ARG2000 as models have it: one call of activate_modal per parcel",
    "arg2000": "ARG2000 in this scheme: s_max parcel by parcel, the rest in vectors",
    "emulator": "the emulator in this scheme",
}
#: Required ratio of the error of ARG2000 to that of the emulator.
WANTED = 20.0


def errors(drops: np.ma.MaskedArray, truth: np.ma.MaskedArray) -> dict[str, float]:
    """Return the relative errors of a droplet number [1]."""
    error = (drops - truth) / truth
    return {
        "droplet_number_relative_rms": float(np.sqrt(np.ma.mean(error**2))),
        "droplet_number_relative_median": float(np.ma.median(abs(error))),
        "droplet_number_relative_largest": float(abs(error).max()),
    }


def summary(file: netCDF4.Dataset, log: str) -> dict[str, Any]:
    """Return errors and costs of both schemes."""
    truth = file["droplet_number_parcel"][:]
    found: dict[str, Any] = {
        "parcels": int(truth.count()),
        "parcels_without_truth": int(truth.size - truth.count()),
    }
    for name in SCHEMES:
        albedo = file[f"cloud_albedo_{name}"][:] - file["cloud_albedo_parcel"][:]
        found[name] = {
            **errors(file[f"droplet_number_{name}"][:], truth),
            "cloud_albedo_rms": float(np.sqrt(np.ma.mean(albedo**2))),
        }
    found["times_smaller"] = (
        found["arg2000"]["droplet_number_relative_rms"]
        / found["emulator"]["droplet_number_relative_rms"]
    )
    for name in COSTS:
        times = re.findall(rf"^time {name} +([\d.]+) ns", log, re.MULTILINE)
        if times:
            found.setdefault("ns_per_parcel", {})[name] = float(times[-1])
    return found


def origin(bundle: Bundle) -> dict[str, Any]:
    """Return what the figures belong to: contract, modes, network and machine."""
    contract, network = bundle.manifest.contract, bundle.manifest.architecture
    return {
        "contract": contract.name,
        "modes": list(contract.labels(contract.input[-1].dimensions[0])),
        "network": network.label,
        "cpu": cpu_model(),
        "load": f"load average {os.getloadavg()[0]:.0f} on {os.cpu_count()}",
    }


def draw_profiles(file: netCDF4.Dataset, path: Path) -> None:
    """Draw droplet number against pressure at the last time, in four polluted to clean columns."""
    truth = file["droplet_number_parcel"][-1]
    order = np.argsort(np.ma.mean(truth, axis=0))
    chosen = order[np.linspace(0, len(order) - 1, 4).astype(int)]
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.6), sharey=True, layout="constrained")
    for axis, column in zip(axes, chosen, strict=True):
        pressure = 1e-2 * file["air_pressure"][:, column]
        axis.plot(1e-6 * truth[:, column], pressure, "k-", lw=3, alpha=0.4, label="parcel model")
        for name, (label, colour) in SCHEMES.items():
            drops = 1e-6 * file[f"droplet_number_{name}"][-1, :, column]
            axis.plot(drops, pressure, "o-", ms=3, color=colour, label=label)
        axis.set_xlabel("droplets [cm$^{-3}$]")
        axis.set_xlim(left=0.0)
        axis.set_title(f"column {column}", fontsize=9)
    axes[0].set_ylabel("pressure [hPa]")
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_errors(file: netCDF4.Dataset, found: dict[str, Any], path: Path) -> None:
    """Draw the distribution of the error of each scheme, and both schemes against the truth."""
    truth = file["droplet_number_parcel"][:]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for name, (label, colour) in SCHEMES.items():
        drops = file[f"droplet_number_{name}"][:]
        error = np.sort(np.ma.compressed(abs(drops - truth) / truth))
        share = np.arange(1, error.size + 1) / error.size
        rms = found[name]["droplet_number_relative_rms"]
        left.plot(np.maximum(error, 1e-6), share, color=colour, label=f"{label}: rms {rms:.2g}")
        right.plot(1e-6 * truth.ravel(), 1e-6 * drops.ravel(), ".", ms=2, color=colour, label=label)
    left.set_xscale("log")
    left.set_xlabel("relative error of the droplet number")
    left.set_ylabel("share of parcels below")
    left.legend(fontsize=8)
    ends = [1e-6 * float(truth.min()), 1e-6 * float(truth.max())]
    right.plot(ends, ends, "k-", lw=0.7)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("droplets by the parcel model [cm$^{-3}$]")
    right.set_ylabel("droplets by the scheme [cm$^{-3}$]")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> int:
    """Read the command line, draw, print the summary, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--columns", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(arguments.output) as file:
        found = summary(file, arguments.log.read_text() if arguments.log else "")
        if arguments.bundle:
            bundle = Bundle.open(arguments.bundle)
            found = {**origin(bundle), **found}
            if arguments.columns:
                with netCDF4.Dataset(arguments.columns) as columns:
                    drops = ghosh2025(file, columns, bundle.manifest.contract)
                if drops is not None:
                    found["ghosh2025"] = errors(drops, file["droplet_number_parcel"][:])
        draw_profiles(file, arguments.folder / "profiles.png")
        draw_errors(file, found, arguments.folder / "errors.png")
    (arguments.folder / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, (label, _) in SCHEMES.items():
        rms = found[name]["droplet_number_relative_rms"]
        print(f"{label}: relative error of the droplet number {rms:.4f} rms")
    print(f"the error of the emulator is {found['times_smaller']:.0f} times smaller")
    times = found.get("ns_per_parcel", {})
    for name, nanoseconds in times.items():
        share = times["emulator"] / nanoseconds
        rest = "" if name == "emulator" else f"; the emulator costs {share:.2f} times as much"
        print(f"cost per parcel, {COSTS[name]}: {nanoseconds:.0f} ns{rest}")
    if found["times_smaller"] < WANTED:
        print(f"the error must be at least {WANTED:.0f} times smaller", file=sys.stderr)
        return 1
    if times and times["emulator"] > times["scalar"]:
        print("the emulator costs more than ARG2000 as models have it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
