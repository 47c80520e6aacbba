"""Runs of the command on the synthetic process, and what must be the same after each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from safetensors.numpy import load_file

from emufort.files import read_csv, read_json


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "emufort.cli", *map(str, arguments)]


def emufort(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=300, check=False, **options
    )  # type: ignore[call-overload, no-any-return]


def results(out: Path) -> dict[str, object]:
    """Return everything of a run that must not depend on how often it was killed."""
    candidates = read_csv(out / "retrain" / "candidates.csv")
    kept = ("id", "label", "search_loss", "validation_loss", "rmse")
    weights = {
        row["id"]: {
            name: tensor.tobytes()
            for name, tensor in load_file(
                out / "retrain" / row["id"] / "weights.safetensors"
            ).items()
        }
        for row in candidates
    }
    trials = read_csv(out / "search" / "trials.csv")
    chain = read_json(out / "bundle" / "manifest.json")["chain"]
    return {
        "data and study": chain[:2],
        "trials": [(r["number"], r["value"], r["label"], r["learning_rate"]) for r in trials],
        "candidates": [[row[k] for k in kept] for row in candidates],
        "weights": weights,
    }
