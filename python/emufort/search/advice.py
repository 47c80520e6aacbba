"""Recommend the size of the subset of step 1, measured on a sample of candidates.

The sample is trained on 250 rows, 500, 1000, ... A subset is large enough when it ranks the
candidates as well as a second seed of the largest subset does, because more rows cannot improve on
that. The number of rows grows until a subset of at most a quarter of the largest is large enough.
A largest subset of only twice the rows would be too similar to serve as the reference.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.config import AdviceConfig, Config
from emufort.dataset.dataset import Dataset
from emufort.dataset.targets import Targets, with_target
from emufort.errors import DataError
from emufort.files import sweep, write_csv, write_json
from emufort.lock import only_writer
from emufort.progress import Reporter, silent
from emufort.search.candidate_task import rung_task
from emufort.search.identity import check_same, read_results, search_identity
from emufort.search.plan import Plan
from emufort.search.rungs import RungUnit, carry_out
from emufort.search.samplers.registry import propose
from emufort.search.settled import check_use, device_entry, settle
from emufort.search.subset import draw_subset
from emufort.training import TrainerState
from emufort.workers.pool import Executor, executor_for
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.watch import Watch

Array = NDArray[np.float64]
#: (rows, seed, candidate) -> (loss, seconds); errors instead of losses where targets are searched.
Losses = dict[tuple[int, int, int], tuple[float, float]]

COLUMNS = ("rows", "seed", "candidate", "label", "loss", "seconds", "sha256")
#: The same columns where targets are compared by their error.
TARGET_COLUMNS = ("rows", "seed", "candidate", "label", "error", "seconds", "sha256")
_RESAMPLES = 400
#: The reference must have at least this many times the rows of the subset that it judges.
_JUDGE = 4


def advise(data: Dataset, config: Config, out: Path, report: Reporter = silent) -> dict[str, Any]:
    """Measure how small a subset may be, and return the content of ``advice.json``.

    After an interruption, the same call continues and repeats no finished training. The function
    writes ``losses.csv`` (``errors.csv`` where targets are searched), ``advice.json``,
    ``advice.png`` and ``advice.svg`` to `out`.

    Parameters
    ----------
    data
        All rows; subsets are drawn from the training rows, losses are those of validation rows.
    config
        Uses `seed`, `workers` and the sections `advice`, `search` and `retrain`.
    out
        Folder of the advice.
    report
        Receives the progress.

    Raises
    ------
    DataError
        There are too few training rows.
    EmufortError
        `out` holds the advice for another search or other data.
    """
    options = config.advice
    space = config.search.space
    config = settle(
        config, "search", out / "asked.json", space.only_mlps, space.typical_multiply_adds
    )
    check_use(config, out, read_results(out / "asked.json"))
    train, validation = data.part("train"), data.part("validation")
    validation = validation.subset(min(config.search.validation, len(validation)), config.seed)
    sizes = sizes_to_try(options, len(train))
    excluded = ("search.subset", "search.sampler", "search.sampler_options")
    identity = {
        **{k: v for k, v in search_identity(data, config).items() if k not in excluded},
        **{f"advice.{k}": v for k, v in options.model_dump(mode="json").items()},
    }
    with only_writer(out):
        sweep(out)
        if check_same(out / "asked.json", identity) is None:
            entry = device_entry(config.device)
            write_json(out / "asked.json", {"identity": identity, **entry})
        targets = Targets.of(data, config.search.space.target)
        trainings = _Trainings(targets, config, out, sizes)
        orders = [
            draw_subset(train, sizes[-1], config.search.subset_by, config.seed + 1000 * s).rows
            for s in range(options.seeds)
        ]
        sorter = np.argsort(train.rows)
        wanted = np.searchsorted(train.rows, np.concatenate(orders), sorter=sorter)
        rows = train.rows[sorter[wanted]]
        stored, _ = SharedArrays.from_targets(
            targets.part("train").at(rows),
            targets.part("validation").at(validation.rows),
            out,
            judged=True,
        )
        try:
            units = options.candidates * options.seeds
            total = units * len(sizes)
            with (
                Watch(report, "search", total, stored.folder, units * sum(sizes)) as watch,
                executor_for(config, stored, out, config.search.backend, units) as executor,
            ):
                for i, size in enumerate(sizes):
                    trainings.train(executor, size, watch)
                    found = conclude(trainings.losses, sizes[: i + 1], config)
                    if found["converged"]:
                        break
        finally:
            stored.remove()
        write_json(out / "advice.json", found)
        draw(found, out)
    return found


def sizes_to_try(options: AdviceConfig, n_train: int) -> list[int]:
    """Return the numbers of rows to try: doubled from the first to the largest.

    Raises
    ------
    DataError
        There are fewer than twice `advice.first` rows.
    """
    largest = min(options.largest, n_train)
    if largest < 2 * options.first:
        raise DataError(
            f"advice.first = {options.first} rows is more than half of the {largest} rows that can "
            "be used, so there is no larger subset to compare with; lower advice.first"
        )
    steps = int(math.log2(largest / options.first))
    sizes = [options.first * 2**i for i in range(steps + 1)]
    return sizes if sizes[-1] * 1.5 > largest else [*sizes, largest]


class _Trainings:
    """The trainings, and the table of the finished ones."""

    def __init__(self, targets: Targets, config: Config, out: Path, sizes: Sequence[int]) -> None:
        name = "errors.csv" if targets.named else "losses.csv"
        self._config, self._path = config, out / name
        self._columns = TARGET_COLUMNS if targets.named else COLUMNS
        self._sizes = sizes
        space, n = config.search.space, config.advice.candidates
        # Spread over the whole space, because the good regions are not known yet.
        self._candidates = propose("qmc", space, [], n, config.seed, 0)
        self._architectures = [c.architecture(*targets.sizes(c.target)) for c in self._candidates]
        self.losses: Losses = {}
        if self._path.exists():
            # Damaged rows are dropped, and their trainings are repeated.
            text = self._path.read_bytes().decode(errors="replace").replace("\0", "")
            for r in csv.DictReader(io.StringIO(text)):
                if r.get("sha256") == _checksum(r):
                    key = int(r["rows"]), int(r["seed"]), int(r["candidate"])
                    self.losses[key] = float(r[self._columns[4]]), float(r["seconds"])

    def train(self, executor: Executor, rows: int, watch: Watch) -> None:
        """Train all candidates with all seeds on `rows` rows."""
        options, search = self._config.advice, self._config.search
        # As long as the last rung of a search on this number of rows.
        on_rows = search.model_copy(update={"subset": rows, "rung_rows": ()})
        plan = Plan.of(self._config.model_copy(update={"search": on_rows}), rows)
        epochs = plan.rungs[-1]
        keys, units = [], []
        for seed, number in itertools.product(range(options.seeds), range(len(self._candidates))):
            candidate = self._candidates[number]
            task = rung_task(
                candidate,
                self._architectures[number],
                self._config,
                seed=((self._config.seed * 16 + seed) << 20) + number,
                samples=epochs * rows,
            )
            state = TrainerState.undrawn(task)
            keys.append((rows, seed, number))
            units.append(
                RungUnit(
                    state,
                    epochs,
                    search.patience,
                    rows,
                    first=seed * self._sizes[-1],
                    target=candidate.target,
                    anneal=search.schedule == "cosine",
                )
            )
        missing = [i for i, key in enumerate(keys) if key not in self.losses]
        note = f"{rows} rows"
        watch.at(len(self.losses), note, work=sum(n for n, _, _ in self.losses))
        cells = dict(
            zip(
                missing,
                watch.begin([float(rows)] * len(missing), [1.0] * len(missing)),
                strict=True,
            )
        )
        units = [replace(unit, cell=cells.get(i)) for i, unit in enumerate(units)]
        for i, state, _ in carry_out(executor, units, missing, search.side_by_side is True, rows):
            if i not in cells:
                continue  # known, but trained again with its group
            self.losses[keys[i]] = (state.value, round(state.seconds, 3))
            self._write()
            watch.finished(cells[i], note)

    def _label(self, number: int) -> str:
        return with_target(self._architectures[number].label, self._candidates[number].target)

    def _write(self) -> None:
        rows = [
            {
                "rows": n,
                "seed": seed,
                "candidate": number,
                "label": self._label(number),
                self._columns[4]: repr(loss),
                "seconds": seconds,
            }
            for (n, seed, number), (loss, seconds) in sorted(self.losses.items())
        ]
        table = [{**row, "sha256": _checksum(row)} for row in rows]
        write_csv(self._path, table, self._columns)


def _checksum(row: Mapping[str, Any]) -> str:
    """Return the start of the SHA-256 of the other cells of a row and their names."""
    cells = {str(k): str(v) for k, v in row.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


# ------------------------------------------------------------------- conclusions


def conclude(losses: Mapping[tuple[int, int, int], tuple[float, float]],
             sizes: Sequence[int], config: Config) -> dict[str, Any]:  # fmt: skip
    """Choose the smallest sufficient of `sizes` from trainings with every seed on every size.

    Correlations are between different seeds (other rows, other first weights). The correlation of
    the largest size with itself is therefore the highest attainable value: it is limited by the
    noise between seeds alone.

    Parameters
    ----------
    losses
        (rows, seed, candidate) -> (loss, seconds).
    sizes
        Numbers of rows, ascending.
    config
        Uses `seed`, `search.trials` and `retrain.top`.

    Returns
    -------
    dict
        Content of advice.json.
    """
    seeds = sorted({seed for _, seed, _ in losses})
    n = 1 + max(number for _, _, number in losses)
    table = {
        (size, seed): np.array([losses[size, seed, c][0] for c in range(n)])
        for size in sizes
        for seed in seeds
    }
    largest = sizes[-1]
    pairs = [(a, b) for a in seeds for b in seeds if a != b]
    rng = np.random.default_rng(config.seed)
    drawn = rng.integers(0, n, (_RESAMPLES, n))
    kept = config.retrain.top if isinstance(config.retrain.top, int) else 12
    share = kept / config.search.trials
    top = max(1, min(n, round(share * n)))
    ceiling, ceilings = _correlation(table, largest, largest, pairs, drawn)
    entries = []
    for size in sizes:
        value, values = _correlation(table, size, largest, pairs, drawn)
        # Both are estimated from the same candidates, so the spread of the difference matters.
        noise = float(np.nanstd(ceilings - values)) if size != largest else float(np.nanstd(values))
        regrets = {f"regret_top{k}": _regret(table, size, largest, pairs, drawn, k) for k in (1, 5)}
        entries.append(
            {
                "rows": size,
                "rank_correlation": value,
                "noise": noise,
                "enough": bool(size == largest or ceiling - value <= noise),
                **regrets,
                "regret_topK": _regret(table, size, largest, pairs, drawn, top),
                "seconds": round(sum(s for (r, _, _), (_, s) in losses.items() if r == size), 3),
            }
        )
    chosen = next(entry for entry in entries if entry["enough"])
    converged = bool(_JUDGE * chosen["rows"] <= largest)
    return {
        "subset": chosen["rows"],
        "converged": converged,
        "ceiling": ceiling,
        "candidates": n,
        "seeds": len(seeds),
        "keep": top,
        "keep_of": n,
        "expected_regret": chosen["regret_topK"],
        "sizes": entries,
        "reason": _reason(chosen, ceiling, converged, top, n, largest),
    }


def _reason(
    chosen: dict[str, Any], ceiling: float, converged: bool, top: int, n: int, largest: int
) -> str:
    if chosen["rows"] == largest:
        return (
            f"No subset below {largest} rows ranks the candidates as {largest} rows do; use "
            f"{largest} rows, or raise advice.largest if there are more rows."
        )
    text = (
        f"A subset of {chosen['rows']} rows ranks candidates as {largest} rows do: its rank "
        f"correlation is {chosen['rank_correlation']:.2f}, and two seeds of {largest} rows reach "
        f"{ceiling:.2f} (noise {chosen['noise']:.2f}). If the best {top} of {n} are kept, the best "
        f"of them is expected to be {100 * chosen['regret_topK']:.0f} % above the best of all."
    )
    return text if converged else f"{text} More than {largest} rows were not tried."


def _ranks(values: Array) -> Array:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), dtype=np.float64)


def _spearman(a: Array, b: Array) -> Array:
    """Return the rank correlation along the last axis; 0 for a constant."""
    a, b = _ranks(a), _ranks(b)
    a -= a.mean(axis=-1, keepdims=True)
    b -= b.mean(axis=-1, keepdims=True)
    size = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray((a * b).sum(axis=-1) / np.where(size > 0, size, np.inf))


def _correlation(
    table: Mapping[tuple[int, int], Array], size: int, largest: int,
    pairs: Sequence[tuple[int, int]], drawn: NDArray[np.int64],
) -> tuple[float, Array]:  # fmt: skip
    """Return the mean correlation over pairs of seeds, and the correlation of every resample."""
    both = [(table[size, a], table[largest, b]) for a, b in pairs]
    value = float(np.mean([_spearman(a, b) for a, b in both]))
    return value, np.mean([_spearman(a[drawn], b[drawn]) for a, b in both], axis=0)


def _regret(
    table: Mapping[tuple[int, int], Array], size: int, largest: int,
    pairs: Sequence[tuple[int, int]], drawn: NDArray[np.int64], k: int,
) -> float:  # fmt: skip
    """Return by how much the best of the top k is expected to exceed the best of all, as a share.

    One seed of `size` chooses the top k, and another seed of `largest` judges them. The result is
    averaged over resamples of the candidates, because a search proposes other candidates.
    """
    found = []
    for a, b in pairs:
        first = np.argsort(table[size, a][drawn], axis=1, kind="stable")[:, :k]
        judged = table[largest, b][drawn]
        best = judged.min(axis=1)
        kept = np.take_along_axis(judged, first, axis=1).min(axis=1)
        usable = np.isfinite(best) & np.isfinite(kept) & (best > 0)
        found.append(float(np.mean(kept[usable] / best[usable] - 1.0)) if usable.any() else 0.0)
    return float(np.mean(found))


def draw(found: dict[str, Any], out: Path) -> None:
    """Plot rank correlation and regret against the number of rows: advice.png, advice.svg."""
    from matplotlib.figure import Figure

    entries = found["sizes"]
    rows = [entry["rows"] for entry in entries]
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axhline(found["ceiling"], color="0.6", linestyle="--", label="two seeds of the largest")
    left.errorbar(
        rows,
        [entry["rank_correlation"] for entry in entries],
        [entry["noise"] for entry in entries],
        marker="o", capsize=3, label="with the largest",
    )  # fmt: skip
    left.set_ylabel("rank correlation of candidates")
    left.set_ylim(top=1.0)
    curves = {1: "regret_top1", 5: "regret_top5"} | {found["keep"]: "regret_topK"}
    for k, name in sorted(curves.items()):
        label = f"top {k} of {found['keep_of']}"
        right.plot(rows, [100 * entry[name] for entry in entries], marker="o", label=label)
    right.set_ylabel("expected regret (%)")
    right.set_ylim(bottom=0.0)
    for axes in (left, right):
        axes.axvline(found["subset"], color="C3", linewidth=1, label=f"{found['subset']} rows")
        axes.set_xscale("log", base=2)
        axes.set_xticks(rows, [str(n) for n in rows])
        axes.set_xlabel("rows of the subset")
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    for name in ("advice.png", "advice.svg"):
        figure.savefig(out / name, dpi=150)
