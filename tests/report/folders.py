"""Run folders made without a run, for tests and for looking at the report."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from emufort.dataset.dataset import Dataset
from emufort.files import make_directory, write_csv, write_json, write_text
from emufort.network.activations import parse
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler
from emufort.run.record import write_record
from emufort.selection.select import select
from emufort.skill import skill_of, skill_of_baseline
from emufort.timing.measure import COLUMNS, Time

HIDDEN = ((8,), (16, 16), (32, 32), (48, 48), (64, 64))
ACTIVATIONS = ("relu", "squared_relu", "tanh", "silu")


def fitted(data: Dataset, hidden: tuple[int, ...], activation: str, seed: int) -> Emulator:
    """Random hidden layers and a least-squares last one: fair skill without any training."""
    contract = data.contract
    train = data.part("train")
    train = train.take(np.arange(min(len(train), 4000)))
    inputs = [contract.input_columns[j] for j in contract.feature_indices]
    scalers = (
        Scaler.fit(inputs, train.features),
        Scaler.fit(contract.output_columns, train.targets),
    )
    architecture = Architecture(len(inputs), hidden, len(contract.output_columns), activation)
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for i, o in zip(architecture.sizes, architecture.sizes[1:], strict=False):
        weights.append(rng.normal(0.0, 0.8 / math.sqrt(i), (o, i)).astype(np.float32))
        biases.append(rng.normal(0.0, 0.5, o).astype(np.float32))
    draft = Emulator(contract, architecture, *scalers, dense_parameters(weights, biases))
    z = scalers[1].forward(train.targets)
    # The identity in place of the last layer shows what the last hidden layer gives.
    width = hidden[-1]
    a = scalers[0].forward(train.features)
    function, parameter = parse(activation)
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        a = function.value(a @ w.T + b, parameter)
    ones = np.ones((len(a), 1))
    solved, *_ = np.linalg.lstsq(np.hstack([a, ones]), z, rcond=1e-8)
    last = solved[:width].T.astype(np.float32), solved[width].astype(np.float32)
    parameters = dense_parameters((*weights[:-1], last[0]), (*biases[:-1], last[1]))
    return dataclasses.replace(draft, parameters=parameters)


def run_folder(folder: Path, data: Dataset, seeds: int = 2, unfinished: bool = False) -> Path:
    """Write everything up to the selection, and unless `unfinished` also what comes after it."""
    validation = data.part("validation")
    candidates: list[dict[str, Any]] = []
    times: list[dict[str, Any]] = []
    pairs = []
    for trial, hidden in enumerate(HIDDEN):
        activation = ACTIVATIONS[trial % len(ACTIVATIONS)]
        for seed in range(1, seeds + 1):
            identity = f"t{trial:05d}-s{seed}"
            emulator = fitted(data, hidden, activation, 10 * trial + seed)
            emulator.save(folder / "retrain" / identity / "weights.safetensors")
            skill = skill_of(validation, emulator.predict(validation.x)).overall
            step = np.arange(0, 4001, 250)
            loss = skill.rmse**2 * (1 + 40 * np.exp(-step / 600))
            write_csv(
                folder / "retrain" / identity / "curve.csv",
                [
                    {"step": s, "train_loss": 0.9 * v, "validation_loss": v, "learning_rate": 1e-3}
                    for s, v in zip(step.tolist(), loss.tolist(), strict=True)
                ],
                ("step", "train_loss", "validation_loss", "learning_rate"),
            )
            candidates.append(
                {
                    "id": identity,
                    "trial": trial,
                    "seed": seed,
                    "why": "control" if trial < 2 else "front",
                    "label": emulator.architecture.label,
                    "activation": activation,
                    "n_parameters": emulator.architecture.n_parameters,
                    "multiply_adds": emulator.architecture.multiply_adds,
                    "search_loss": 1.7 * skill.rmse**2,
                    "validation_loss": skill.rmse**2,
                    **{k: v for k, v in dataclasses.asdict(skill).items() if k != "n"},
                    "seconds": 4.2,
                }
            )
            for ncol, factor in ((1, 4.0), (16, 1.0), (1152, 0.97)):
                ns = (12 + 0.02 * emulator.architecture.multiply_adds) * factor * (1 + 0.01 * seed)
                row = Time(
                    identity,
                    "candidate",
                    "fortran",
                    "GNU Fortran 12.2.0",
                    "-O3 -march=native",
                    ncol,
                    ns,
                    0.97 * ns,
                    1.2 * ns,
                    7,
                )
                times.append(dataclasses.asdict(row))
        best = min(c["validation_loss"] for c in candidates if c["trial"] == trial)
        pairs.append(
            {
                "trial": trial,
                "control": trial < 2,
                "search_loss": 1.7 * best * (1 + 0.1 * trial),
                "validation_loss": best,
            }
        )
    for baseline in data.contract.baseline[:1]:
        for ncol in (1, 16, 1152):
            row = Time(
                baseline.name,
                "baseline",
                "fortran",
                "GNU Fortran 12.2.0",
                "-O3",
                ncol,
                240.0,
                231.0,
                263.0,
                7,
            )
            times.append(dataclasses.asdict(row))
    write_csv(folder / "retrain" / "candidates.csv", candidates, tuple(candidates[0]))
    write_csv(folder / "timing.csv", times, COLUMNS)
    selection = select(
        candidates,
        times,
        baselines={
            b.name: skill_of_baseline(validation, b.name).overall.rmse
            for b in data.contract.baseline
        },
    )
    write_json(folder / "selection.json", selection.to_dict())
    if not unfinished:
        _rest(folder, data, pairs)
    return folder


#: What step 1 foretold, by a control group of 16.
OF_ALL: dict[str, Any] = {
    "n": 128,
    "control_group": 16,
    "spearman": {"value": 0.912, "low": 0.71, "high": 0.97},
    "spearman_at_equal_cost": {"value": 0.783, "low": 0.44, "high": 0.93},
    "spearman_of_cost_alone": {"value": 0.746, "low": 0.52, "high": 0.88},
    "error": 0.2,
    "error_uncalibrated": 0.5,
    "expected_regret": {"value": 0.012, "low": 0.0, "high": 0.055},
    "expected_regret_along_the_front": {"value": 0.034, "low": 0.005, "high": 0.081},
    "verdict": "",
}


def old_agreement(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return agreement.json as it was before there was a control group."""
    known = ("trial", "search_loss", "validation_loss")
    return {
        "spearman": 0.9,
        "n": len(pairs),
        "regret_top1": 0.03,
        "regret_top5": 0.0,
        "regret_topK": 0.0,
        "seed_spread": 0.04,
        "pairs": [{key: pair[key] for key in known} for pair in pairs],
    }


def _rest(folder: Path, data: Dataset, pairs: list[dict[str, Any]]) -> None:
    write_json(
        folder / "retrain" / "agreement.json",
        {
            "compares": "loss of the network's side",
            "all_candidates": OF_ALL,
            "retrained": {
                "n": len(pairs), "spearman": 0.9, "regret_top1": 0.03, "regret_top5": 0.0
            },
            "seed_spread": 0.04,
            "pairs": pairs,
        },
    )  # fmt: skip
    predicted = [
        {
            "rank": rank,
            "trial": trial,
            "label": "",
            "multiply_adds": 100 * (trial + 1),
            "loss": 0.01 * rank,
            "low": 0.005 * rank,
            "high": 0.02 * rank,
            "trained": 0.011 * rank if trial < len(pairs) else "",
        }
        for rank, trial in enumerate(range(9), start=1)
    ]
    write_csv(folder / "retrain" / "predictions.csv", predicted, tuple(predicted[0]))
    write_json(
        folder / "search" / "search.json",
        {
            "trials": 128,
            "seconds": 30,
            "trials_per_minute": 256,
            "rungs": [1, 3],
            "rung_rows": [500, 2000],
            "subset": 2000,
            "subset_reason": "500 rows rank 16 candidates as 2000 rows do",
        },
    )
    differing = {"max_abs_ln_difference": 8.1e-7, "passed": True, "skipped": None}
    write_json(
        folder / "verification.json",
        {
            "passed": True,
            "rows": 500,
            "tolerance": 1e-5,
            "reference": "torch 2.4 in double precision",
            "comparisons": [
                {"name": "ONNX Runtime", "backend": "onnxruntime", "rows": 500, **differing},
                {"name": "Fortran, weights.bin", "backend": "fortran", "rows": 500, **differing},
                {
                    "name": "generated module",
                    "backend": "gfortran",
                    "rows": 0,
                    "max_abs_ln_difference": None,
                    "passed": None,
                    "skipped": "no Fortran compiler",
                },
            ],
        },
    )
    links = ("data", "study", "candidate", "onnx", "weights", "fortran")
    write_json(
        make_directory(folder / "bundle") / "manifest.json",
        {
            "hash": "f" * 64,
            "chain": [{"link": n, "sha256": n[0] * 64, "chain": "c" * 64} for n in links],
        },
    )
    write_json(
        folder / "provenance.json",
        {
            "time": "2026-01-01T00:00:00+00:00",
            "versions": {"python": "3.11", "numpy": "2.0"},
            "compiler": "GNU Fortran 12.2.0",
            "cpu": "a fast one",
            "cores": 2,
            "command": ["emufort", "run", "--out", "a b"],
            "revision": None,
            "data": {"path": str(data.source), "sha256": data.sha256},
        },
    )
    steps = {name: {"fingerprint": "", "seconds": 12.5} for name in ("search", "retrain", "time")}
    write_record(folder / "steps.json", {"steps": steps})
    write_text(folder / "config.toml", 'contract = "<none>"\n')
