"""Predict the inference time of a candidate before training, by a linear model of measured times.

A call of the runtime performs the multiply-adds of every layer (in blocks of 8 neurons), applies
the activation function to every neuron, and has an overhead for each layer and each sample. The
coefficients of these terms are fitted to measured times and are never negative.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from emufort.config import Config
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json, write_json
from emufort.network.activations import ACTIVATION_FUNCTIONS, parse
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.progress import Reporter, silent
from emufort.search.samplers.registry import propose
from emufort.timing.measure import TIMING_ROWS, time_candidates
from emufort.training import Layout
from emufort.training.scaling import fit_scalers, network_sizes

#: Number of networks that a quick measurement times, and number of its rounds.
_SAMPLES, _ROUNDS = 24, 3
#: Shortest predicted time [ns].
_LEAST = 1e-3
_BLOCK = 8
#: Usual time of a sample besides its layers, and of a multiply-add [ns]. `measured` found these
#: values on an AMD EPYC (family 25, model 17) with gfortran 12 for calls of 16 columns.
_USUAL_SAMPLE, _USUAL_MULTIPLY_ADD = 16.0, 0.017
#: Usual time of a layer besides its neurons, in multiply-adds. This is an estimate.
_USUAL_LAYER = 44.0


def _terms(architecture: Architecture) -> dict[str, float]:
    sizes = architecture.sizes
    padded = [-(-n // _BLOCK) * _BLOCK for n in sizes[1:]]
    macs = sum(i * o for i, o in zip(sizes[:-1], padded, strict=True))
    terms = {
        "sample": 1.0,
        "layer": float(len(architecture.plan.operations) - 1),
        "multiply_add": float(macs),
    }
    # The cost of an activation function does not depend on its parameter.
    for text, n in zip(architecture.activations, padded[:-1], strict=True):
        name = f"neuron {parse(text)[0].name}"
        terms[name] = terms.get(name, 0.0) + n
    return terms


@dataclass(frozen=True)
class CostModel:
    """Predicts the inference time in ns per sample.

    Attributes
    ----------
    coefficients
        Name of a term -> time per unit of the term [ns].
    error
        Root mean square of the relative error, where each network is predicted from the others;
        None if no network was measured.
    n
        Number of measured networks.
    source
        Origin of the measured times.
    """

    coefficients: Mapping[str, float]
    error: float | None
    n: int
    source: str

    @classmethod
    def fit(cls, architectures: Sequence[Architecture], ns: Sequence[float], source: str) -> Self:
        """Fit the model to measured times; relative errors count, so cheap networks count too.

        Parameters
        ----------
        architectures
            The measured networks.
        ns
            Their times [ns per sample].
        source
            Origin of the times.

        Raises
        ------
        UsageError
            There are too few times, or one is not positive.
        """
        times = np.asarray(ns, dtype=float)
        if len(times) < 6 or not (times > 0).all():
            raise UsageError(
                f"{source} has {len(times)} usable times; a cost model needs at least 6 networks"
            )
        terms = [_terms(a) for a in architectures]
        names = sorted({name for t in terms for name in t})
        rows = np.array([[t.get(name, 0.0) for name in names] for t in terms])
        fitted = _nnls(rows, times)
        left_out = [
            rows[i] @ _nnls(np.delete(rows, i, axis=0), np.delete(times, i)) / times[i] - 1.0
            for i in range(len(times))
        ]
        error = float(np.sqrt(np.mean(np.square(left_out))))
        return cls(dict(zip(names, map(float, fitted), strict=True)), error, len(times), source)

    def predict(self, architecture: Architecture) -> float:
        """Return the predicted time [ns per sample].

        An activation function that was not measured is assumed to cost as much as the most
        expensive one that was.
        """
        neurons = [v for k, v in self.coefficients.items() if k.startswith("neuron")]
        predicted = sum(
            self.coefficients.get(name, max(neurons, default=0.0)) * amount
            for name, amount in _terms(architecture).items()
        )
        return max(predicted, _LEAST)  # a time of 0 has no logarithm

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "coefficients": dict(self.coefficients),
            "error": self.error,
            "n": self.n,
            "source": self.source,
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON file that holds `to_dict`; raise `EmufortError` if it is damaged."""
        try:
            return cls.from_dict(read_json(path))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EmufortError(
                f"{path} is damaged; remove the folder {path.parent} and search again"
            ) from error

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; raises ValueError for impossible coefficients."""
        coefficients = {str(name): float(v) for name, v in content["coefficients"].items()}
        if not all(0.0 <= value < math.inf for value in coefficients.values()):
            raise ValueError("a time is never negative")
        error = content["error"]
        return cls(
            coefficients,
            None if error is None else float(error),
            int(content["n"]),
            str(content["source"]),
        )


def usual_cost_model() -> CostModel:
    """Return a model with fixed coefficients, for searches without measured times.

    Its predictions are the same on every machine, so that the trials of a search with time as an
    objective are too. The order of the predicted times and their ratios matter in such a search,
    their unit does not.
    """
    coefficients = {
        "sample": _USUAL_SAMPLE,
        "layer": _USUAL_MULTIPLY_ADD * _USUAL_LAYER,
        "multiply_add": _USUAL_MULTIPLY_ADD,
    }
    neurons = {
        f"neuron {name}": _USUAL_MULTIPLY_ADD * function.cost
        for name, function in ACTIVATION_FUNCTIONS.items()
    }
    return CostModel({**coefficients, **neurons}, None, 0, "fixed coefficients")


def _nnls(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    from scipy.optimize import nnls

    weighted = rows / times[:, None]
    scale = np.maximum(np.abs(weighted).max(axis=0), 1e-300)
    solution: np.ndarray = nnls(weighted / scale, np.ones(len(times)))[0] / scale
    return solution


def cost_model(
    data: Dataset, config: Config, out: Path, report: Reporter = silent
) -> CostModel | None:
    """Return the model that predicts times in a search, or None if the search needs no times.

    A search needs them for the limit `max_ns` and for time as an objective. The model is fitted to
    `cost_table` if there is one. Otherwise networks are measured for the limit; for the objective
    alone, the model has fixed coefficients.

    The model is made once and kept in ``cost_model.json``, so that a search that continues makes
    the same decisions.

    Parameters
    ----------
    data
        The data, whose training rows are the inputs of a measurement.
    config
        Uses the sections `search`, `select` and `timing`.
    out
        Folder of the search.
    report
        Receives the progress.

    Raises
    ------
    UsageError
        `search.cost_table` is not a table of times.
    """
    options = config.search
    if options.max_ns is None and "time" not in options.objectives:
        return None
    kept = out / "cost_model.json"
    if kept.exists():
        return CostModel.load(kept)
    with suppress(EmufortError, KeyError, TypeError, ValueError, AttributeError):
        # The summary of the search also holds the model.
        model = CostModel.from_dict(read_json(out / "search.json")["cost_model"])
        write_json(kept, model.to_dict())
        return model
    if options.cost_table is not None:
        model = from_table(Path(options.cost_table), config.select.ncol)
    elif options.max_ns is None:
        model = usual_cost_model()
    else:
        report("search", 0, options.trials, "measuring inference times of networks")
        model = measured(data, config, out / "cost")
        shutil.rmtree(out / "cost", ignore_errors=True)
    write_json(kept, model.to_dict())
    return model


def from_table(path: Path, ncol: int) -> CostModel:
    """Fit to a CSV table: columns ``label`` and ``ns_per_sample``, or timing.csv of a run.

    Parameters
    ----------
    path
        The CSV file.
    ncol
        Columns per call of the times to use, where the table has a column ``ncol``.

    Raises
    ------
    UsageError
        The file is not a table of times, or has too few of them.
    """
    try:
        rows = read_csv(path)
        if rows and "label" not in rows[0]:
            candidates = read_csv(path.parent / "retrain" / "candidates.csv")
            labels = {row["id"]: row["label"] for row in candidates}
            rows = [{**r, "label": labels[r["id"]]} for r in rows if r["id"] in labels]
        if rows and "ncol" in rows[0]:
            rows = [row for row in rows if int(row["ncol"]) == ncol]
        architectures = [Architecture.from_label(row["label"]) for row in rows]
        return CostModel.fit(architectures, [float(r["ns_per_sample"]) for r in rows], str(path))
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"search.cost_table: {path} is no table with the columns label (such as '15-64-1 relu')"
            " and ns_per_sample, and not the timing.csv of a run folder"
        ) from error


def measured(data: Dataset, config: Config, work: Path) -> CostModel:
    """Time networks of the search space with random weights in the compiled runtime."""
    contract = data.contract
    train = data.part("train")
    sample = train.subset(min(TIMING_ROWS, len(train)), config.seed)
    scalers = fit_scalers(sample)
    sizes = network_sizes(data)
    candidates = propose("qmc", config.search.space, [], _SAMPLES, config.seed, 0)
    architectures = list(dict.fromkeys(c.architecture(*sizes) for c in candidates))
    paths = {}
    for i, architecture in enumerate(architectures):
        layout = Layout(architecture)
        parameters = layout.parameters(layout.initial(i))
        paths[str(i)] = work / f"{i}.safetensors"
        Emulator(contract, architecture, *scalers, parameters).save(paths[str(i)])
    ncol = config.select.ncol
    timing = config.timing.model_copy(update={"ncol": (ncol,), "repeats": _ROUNDS})
    times = time_candidates(paths, contract, timing, work / "timing.csv", work, sample.x)
    ns = {t.id: t.ns_per_sample for t in times}
    backend = f"{times[0].backend} {times[0].compiler}, {ncol} columns per call"
    return CostModel.fit(architectures, [ns[str(i)] for i in range(len(architectures))], backend)
