"""What a person sees in the terminal: progress and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from emufort.files import read_csv, read_json
from emufort.run_folder import STEPS, Stopwatch
from emufort.selection import ONNX_RUNTIME_TIMES

if TYPE_CHECKING:
    from emufort.config import Config
    from emufort.dataset import Dataset
    from emufort.pipeline import Run
    from emufort.progress import Reporter

TITLES = {
    "search": "search: little data",
    "retrain": "retrain: all data",
    "time": "time: compiled Fortran",
    "select": "select: Pareto front",
    "export": "export: ONNX, Fortran",
    "verify": "verify: all forms agree",
    "report": "report",
    "prepare": "prepare: programs and workers",
    "check": "check: the numbers of all contenders",
    "measure": "measure: rounds",
}
_TITLE_WIDTH = 30


def titles(config: Config) -> dict[str, str]:
    """Return the titles of the steps of a run."""
    if config.timing.backend == "fortran":
        return TITLES
    return {**TITLES, "time": "time: ONNX Runtime"}


def _console() -> Console:
    return Console(highlight=False)


class StepDisplay:
    """Shows the steps of a run as progress bars, or as lines where there is no terminal."""

    def __init__(
        self,
        progress: Progress,
        console: Console,
        steps: tuple[str, ...],
        titles: Mapping[str, str] = TITLES,
    ) -> None:
        self._progress = progress
        self._console = console
        self._steps = steps
        self._titles = titles
        self._tasks: dict[str, Any] = {}
        self._watch = Stopwatch()
        self._quarters: dict[str, int] = {}

    def _head(self, step: str) -> str:
        return f"[{self._steps.index(step) + 1}/{len(self._steps)}] {self._titles[step]}"

    def _say(self, text: str) -> None:
        """Print a line where no live display is seen."""
        if not self._console.is_terminal:
            self._console.print(text, markup=False, soft_wrap=True)

    def skip(self, step: str) -> None:
        """Show a step that needs no work."""
        self._progress.add_task(self._head(step), total=1, completed=1, note="already finished")
        self._say(f"{self._head(step)}: already finished")

    def begin(self, step: str) -> None:
        """Show that a step begins."""
        self._watch = Stopwatch()
        self._quarters.pop(step, None)
        self._tasks[step] = self._progress.add_task(self._head(step), total=None, note="")
        self._say(self._head(step))

    def end(self, step: str) -> None:
        """Show that a step is finished."""
        task = self._tasks[step]
        total = self._progress.tasks[task].total or 1
        self._progress.update(task, total=total, completed=total)
        self._say(f"{self._head(step)}: done in {self._watch.seconds:.1f} s")

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """Be a `Reporter`: show how far the running step is."""
        if not self._tasks:
            return
        name = step if step in self._tasks else list(self._tasks)[-1]
        self._progress.update(self._tasks[name], completed=done, total=total, note=note)
        quarter = 4 * done // max(total, 1)
        if 0 < quarter < 4 and quarter > self._quarters.get(name, 0):
            self._quarters[name] = quarter
            self._say(f"    {done} of {total}{f', {note}' if note else ''}")

    def following(self) -> Reporter:
        """Return a `Reporter` that begins a step when it first hears of it, and ends the last."""
        current = ""

        def report(step: str, done: int, total: int, note: str = "") -> None:
            nonlocal current
            if step != current:
                current = step
                self.begin(step)
            self(step, done, total, note)
            if done == total:
                self.end(step)

        return report


@contextmanager
def progress(steps: tuple[str, ...], titles: Mapping[str, str] = TITLES) -> Iterator[StepDisplay]:
    """Show the progress of `steps` while the block runs."""
    console = _console()
    # The note is the first to give way on a narrow terminal.
    bars = Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(min_width=_TITLE_WIDTH)),
        BarColumn(bar_width=10, table_column=Column(min_width=10)),
        MofNCompleteColumn(table_column=Column(min_width=7)),
        TimeElapsedColumn(table_column=Column(min_width=7)),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        console=console,
        disable=not console.is_terminal,
    )
    with bars:
        yield StepDisplay(bars, console, steps, titles)


# ------------------------------------------------------------------------ tables


def closing(run: Run, steps: tuple[str, ...]) -> None:
    """Print what the run, or its last step, found."""
    last = steps[-1]
    printers = {
        "search": _search_table,
        "retrain": _retrain_table,
        "time": _timing_table,
        "select": _selection_words,
        "export": _bundle_words,
        "verify": _verification_table,
        "report": _closing_table if len(steps) > 1 else _report_words,
    }
    printers[last](run)


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right", no_wrap=True)
    return table


def _add(table: Table, *cells: str, style: str | None = None) -> None:
    """Add a row of plain text; brackets in names are no markup."""
    table.add_row(*(escape(cell) for cell in cells), style=style)


def _number(value: Any, digits: int = 4) -> str:
    return "-" if value is None or value == "" else f"{float(value):.{digits}g}"


def _short(label: str, most: int = 36) -> str:
    """Leave out the middle of a long label: deep networks would push numbers off the table."""
    if len(label) <= most:
        return label
    half = (most - 3) // 2
    return f"{label[:half]}...{label[-half:]}"


def _search_table(run: Run) -> None:
    from emufort.targets import with_target

    rows = [r for r in read_csv(run.folder.search / "trials.csv") if r["value"]]
    rows.sort(key=lambda r: float(r["value"]))
    measure = "error" if rows and "target" in rows[0] else "loss"
    table = _table("Best candidates of step 1", ["network", measure, "epochs", "learning rate"])
    for row in rows[:10]:
        _add(
            table,
            _short(with_target(row["label"], row.get("target", ""))),
            _number(row["value"]),
            row["epochs"],
            _number(row["learning_rate"], 2),
        )
    _console().print(table)
    summary = read_json(run.folder.search / "search.json")
    model = summary.get("cost_model")
    if model is not None:
        _console().print(
            f"All of them cost at most {summary['config']['search']['max_ns']:g} ns per sample as "
            f"predicted from {model['n']} measured networks ({model['source']}); the prediction "
            f"errs by {100 * model['error']:.0f} % (rms).",
            markup=False,
        )


def _retrain_table(run: Run) -> None:
    rows = sorted(read_csv(run.folder.retrain / "candidates.csv"), key=lambda r: float(r["rmse"]))
    table = _table("Retrained candidates", ["candidate", "network", "RMSE", "parameters"])
    for row in rows:
        _add(table, row["id"], _short(row["label"]), _number(row["rmse"]), row["n_parameters"])
    _console().print(table)
    found = read_json(run.folder.retrain / "agreement.json")
    words = [
        f"rank correlation {_number(found['spearman'], 2)}",
        f"best of step 1 {_percent(found['regret_top1'])} above the best, "
        f"best of its first five {_percent(found['regret_top5'])}",
        f"seeds differ by {_percent(found['seed_spread'])}",
    ]
    measure = "Error" if rows and "target" in rows[0] else "Loss"
    _console().print(f"{measure} of step 1 against step 2: {'; '.join(words)}.", markup=False)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _timing_table(run: Run) -> None:
    table = _table("Inference time", ["what", "backend", "columns", "ns per sample"])
    rows = read_csv(run.folder.timing)
    for row in rows:
        _add(table, row["id"], row["backend"], row["ncol"], _number(row["ns_per_sample"], 3))
    _console().print(table)
    if any(row["backend"] != "fortran" for row in rows):
        _console().print(ONNX_RUNTIME_TIMES, markup=False)


def _whose_times(selection: Mapping[str, Any]) -> str:
    """Return what the title of a table says of its times, if they are not of compiled Fortran."""
    foreign = selection.get("backend", "fortran") != "fortran"
    return "; times of ONNX Runtime" if foreign else ""


def _selection_words(run: Run) -> None:
    selection = read_json(run.folder.selection)
    table = _table(
        f"Pareto front{_whose_times(selection)}", ["candidate", "network", "RMSE", "ns per sample"]
    )
    for row in selection["front"]:
        mark = " <- chosen" if row["id"] == selection["choice"] else ""
        _add(
            table,
            row["id"] + mark,
            row["label"],
            _number(row["rmse"]),
            _number(row["ns_per_sample"], 3),
        )
    _console().print(table)
    _console().print(selection["reason"], markup=False)


def _bundle_words(run: Run) -> None:
    console = _console()
    console.print(f"{run.folder.bundle} holds", markup=False)
    for path in sorted(run.folder.bundle.iterdir()):
        console.print(f"  {path.name}  {path.stat().st_size} bytes", markup=False)


def _report_words(run: Run) -> None:
    _console().print(f"{run.folder.report} is written", markup=False)


def _verification_table(run: Run) -> None:
    verification(read_json(run.folder.verification))


def verification(content: dict[str, Any]) -> None:
    """Print the comparisons of verification.json."""
    verdict = "passed" if content["passed"] else "FAILED"
    table = _table(f"Verification {verdict}", ["form", "worst difference", "rows", "verdict"])
    for row in content["comparisons"]:
        skipped = row.get("skipped")
        _add(
            table,
            row["name"],
            "-" if skipped or row["max_difference"] is None else f"{row['max_difference']:.1e}",
            "-" if skipped else str(row["rows"]),
            f"skipped: {skipped}" if skipped else ("agrees" if row["passed"] else "DIFFERS"),
        )
    _console().print(table)


def _closing_table(run: Run) -> None:
    from emufort.skill import skill_of_baseline

    folder = run.folder
    selection = read_json(folder.selection)
    checked = read_json(folder.verification)
    manifest = read_json(folder.bundle / "manifest.json")
    console = _console()
    test = run.data.part("test")
    judged = ", ".join(run.data.contract.skill_variables)
    scale = ", in standard deviations" if run.data.contract.skill_is_normalised else ""
    table = _table(
        f"{judged}: errors on {len(test)} test rows{scale}{_whose_times(selection)}",
        ["scheme", "RMSE", "R2", "ns per sample"],
    )
    chosen = next(r for r in selection["all"] if r["id"] == selection["choice"])
    skill = manifest["skill"]["test"]["overall"]
    _add(
        table,
        f"emulator {chosen['label']}",
        _number(skill["rmse"]),
        f"{skill['r2']:.5f}",
        _number(chosen["ns_per_sample"], 3),
        style="bold",
    )
    times = {b["name"]: b["ns_per_sample"] for b in selection["baselines"]}
    for baseline in run.data.contract.baseline:
        overall = skill_of_baseline(test, baseline.name).overall
        _add(
            table,
            baseline.name,
            _number(overall.rmse),
            f"{overall.r2:.5f}",
            _number(times.get(baseline.name), 3),
        )
    console.print(table)
    agree = sum(bool(c["passed"]) and not c.get("skipped") for c in checked["comparisons"])
    console.print(
        f"{selection['reason']}\n"
        f"Verified: {agree} forms agree on {checked['rows']} rows "
        f"(tolerance {checked['tolerance']:g}).\n"
        f"Report: {folder.report}\nBundle: {folder.bundle}",
        markup=False,
    )
    seconds = folder.seconds()
    parts = ", ".join(f"{step} {seconds[step]:.0f} s" for step in STEPS if step in seconds)
    console.print(f"Time: {sum(seconds.values()):.0f} s ({parts})", markup=False)


def advice(found: dict[str, Any], folder: Path) -> None:
    """Print what `emufort search --advise` found."""
    table = _table(
        f"{found['candidates']} candidates, {found['seeds']} seeds; two seeds of the largest "
        f"subset correlate by {found['ceiling']:.2f}",
        ["rows", "rank corr.", "+-", "regret: 1", "5", str(found["keep"]), "seconds"],
    )
    for entry in found["sizes"]:
        _add(
            table,
            str(entry["rows"]) + (" <-" if entry["rows"] == found["subset"] else ""),
            f"{entry['rank_correlation']:.2f}",
            f"{entry['noise']:.2f}",
            *(f"{100 * entry[f'regret_top{k}']:.0f} %" for k in (1, 5, "K")),
            f"{entry['seconds']:.0f}",
        )
    _console().print(table)
    _console().print(f"{found['reason']}\nDrawn in {folder / 'advice.png'}", markup=False)


def status(run: Run) -> None:
    """Print which steps of a run are finished."""
    seconds = run.folder.seconds()
    table = _table(f"{run.folder.path}", ["step", "state", "seconds"])
    for step in STEPS:
        if run.is_finished(step):
            _add(table, step, "finished", f"{seconds[step]:.1f}")
        else:
            begun = {"search": run.folder.search, "retrain": run.folder.retrain}.get(step, Path())
            _add(table, step, "begun" if begun != Path() and begun.exists() else "to do", "-")
    _console().print(table)


def dataset(data: Dataset) -> None:
    """Print what a data set holds."""
    from emufort.dataset import SPLITS

    console = _console()
    console.print(f"{data.source}: {len(data)} usable rows", markup=False)
    for meaning, count in data.dropped.items():
        console.print(f"  left out as {meaning}: {count}", markup=False)
    for code, name in enumerate(SPLITS):
        console.print(f"  {name}: {int((data.split == code).sum())}", markup=False)
    table = _table("", ["column", "units", "lowest", "median", "highest"])
    for columns, values in (
        (data.contract.input_columns, data.x),
        (data.contract.output_columns, data.y),
    ):
        import numpy as np

        for j, column in enumerate(columns):
            low, mid, high = np.quantile(values[:, j], [0.0, 0.5, 1.0])
            _add(table, column.name, column.units, _number(low), _number(mid), _number(high))
    console.print(table)
