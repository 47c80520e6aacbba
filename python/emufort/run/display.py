"""Display the results of a run as tables and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from emufort.errors import ContractError
from emufort.escape import terminal
from emufort.files import read_csv, read_json
from emufort.retrain.agreement_words import LEGEND, Agreement
from emufort.screen import Table, console
from emufort.search.importance_words import IMPORTANCE_LEGEND, importance_rows
from emufort.search.rung_words import rungs_in_words
from emufort.selection.words import ONNX_RUNTIME_TIMES, nanoseconds
from emufort.steps import STEP_NAMES

if TYPE_CHECKING:
    from emufort.dataset.dataset import Dataset
    from emufort.processes.process import Preset
    from emufort.run.pipeline import Run
    from emufort.run.status import RunStatus


def _console() -> Console:
    return console()


def _table(title: str, columns: list[str], text: tuple[str, ...] = ()) -> Table:
    return Table(title, columns, text)


def _add(table: Table, *cells: str, style: str | None = None) -> None:
    table.add(*cells, style=style)


def _number(value: Any, digits: int = 4) -> str:
    return "-" if value is None or value == "" else f"{float(value):.{digits}g}"


def _nanoseconds(value: Any) -> str:
    """Format a time with three digits, without an exponent."""
    return "-" if value is None or value == "" else nanoseconds(float(value))


def _r2(value: float | None) -> str:
    """Format a coefficient of determination, which is undefined if the truth does not vary."""
    return "-" if value is None or value != value else f"{value:.5f}"


def _search_table(run: Run) -> None:
    from emufort.dataset.targets import with_target

    rows = [r for r in read_csv(run.folder.search / "trials.csv") if r["value"]]
    # Losses of different rungs cannot be compared; the ranks can.
    by = "predicted_rank" if rows and rows[0].get("predicted_rank") else "value"
    rows.sort(key=lambda r: float(r[by]))
    measure = "error" if rows and "target" in rows[0] else "loss"
    table = _table("Best candidates of step 1", ["network", measure, "epochs", "learning rate"])
    for row in rows[:10]:
        _add(
            table,
            with_target(row["label"], row.get("target", "")),
            _number(row["value"]),
            row["epochs"],
            _number(row["learning_rate"], 2),
        )
    _console().print(table)
    if by == "predicted_rank" and len({r["epochs"] for r in rows}) > 1:
        _console().print(
            f"The order is that of the {measure} at the last rung, which is predicted for "
            "candidates that stopped earlier.",
            markup=False,
        )
    summary = read_json(run.folder.search / "search.json")
    _search_front(run, measure)
    _importances(summary)
    _console().print(rungs_in_words(summary), markup=False)
    model = summary.get("cost_model")
    max_ns = summary["config"]["search"]["max_ns"]
    if model is not None and max_ns is not None:
        # The limit does not apply to candidates of the user.
        enqueued = run.config.search.enqueue
        who = "All candidates of the sampler" if enqueued else "All of them"
        _console().print(
            f"{who} cost at most {max_ns:g} ns per sample as "
            f"predicted from {model['n']} measured networks ({model['source']}); the prediction "
            f"errs by {100 * model['error']:.0f} % (rms).",
            markup=False,
        )


def _search_front(run: Run, measure: str) -> None:
    """Print the front of loss against predicted time, if time was an objective."""
    from emufort.dataset.targets import with_target
    from emufort.search.front import front_of
    from emufort.search.result import load_search

    if "time" not in run.config.search.objectives:
        return
    front = front_of(load_search(run.folder.search).trials)
    if not front:
        return
    columns = ["network", measure, "predicted ns"]
    table = _table("Front of step 1, candidates of the last rung", columns)
    for trial in front:
        network = with_target(trial.architecture.label, trial.target)
        _add(table, network, _number(trial.value), _nanoseconds(trial.predicted_ns))
    _console().print(table)


def _importances(summary: Mapping[str, Any]) -> None:
    """Print the importances of the hyperparameters, if the search had enough candidates."""
    rows = importance_rows(summary)
    if not rows:
        return
    columns = ["hyperparameter", "for the skill", "for the time"]
    table = _table("Importance of the hyperparameters", columns, ("hyperparameter",))
    for row in rows:
        _add(table, row.name, f"{100 * row.skill:.0f} %", f"{100 * row.time:.0f} %")
    _console().print(table)
    _console().print(IMPORTANCE_LEGEND, markup=False)


def _scale(run: Run) -> str:
    """Return the unit of errors for a title, if it is not a physical unit."""
    return ", in standard deviations" if run.data.contract.skill_is_normalised else ""


def _retrain_table(run: Run) -> None:
    rows = sorted(read_csv(run.folder.retrain / "candidates.csv"), key=lambda r: float(r["rmse"]))
    columns = ["candidate", "network", "RMSE", "parameters", "taken as"]
    table = _table(f"Retrained candidates{_scale(run)}", columns, ("network", "taken as"))
    for row in rows:
        cells = (row["id"], row["label"], _number(row["rmse"]), row["n_parameters"], row["why"])
        _add(table, *cells)
    _console().print(table)
    _agreement(run)


def _agreement(run: Run) -> None:
    """Print how well step 1 predicted step 2, and a warning if it did not."""
    found = Agreement.read(run.folder.retrain)
    if found is None:
        return
    console = _console()
    if found.title:
        columns = ["of all candidates", "value", "90 % interval"]
        table = _table(found.title, columns, ("of all candidates",))
        for row in found.rows:
            _add(table, row.what, row.value, row.interval)
        console.print(table)
        console.print(LEGEND, markup=False)
    console.print(" ".join(found.sentences()), markup=False)
    _warn_of(found)


def _warn_of(found: Agreement | None) -> None:
    if found is not None and found.verdict:
        _console().print(f"Warning: {found.verdict}", markup=False, style="bold yellow")


def _timing_table(run: Run) -> None:
    table = _table("Inference time", ["what", "columns", "ns per sample", "backend"], ("backend",))
    rows = read_csv(run.folder.timing)
    for row in rows:
        _add(table, row["id"], row["ncol"], _nanoseconds(row["ns_per_sample"]), row["backend"])
    _console().print(table)
    if any(row["backend"] != "fortran" for row in rows):
        _console().print(ONNX_RUNTIME_TIMES, markup=False)


def _whose_times(selection: Mapping[str, Any]) -> str:
    """Return a note on the times for the title of a table, if they are not of compiled Fortran."""
    foreign = selection.get("backend", "fortran") != "fortran"
    return "; times of ONNX Runtime" if foreign else ""


def _selection_words(run: Run) -> None:
    selection = read_json(run.folder.selection)
    columns = ["candidate", "network", "RMSE", "ns per sample"]
    table = _table(f"Pareto front{_scale(run)}{_whose_times(selection)}", columns, ("network",))
    for row in selection["front"]:
        mark = " <- chosen" if row["id"] == selection["choice"] else ""
        _add(
            table,
            row["id"] + mark,
            row["label"],
            _number(row["rmse"]),
            _nanoseconds(row["ns_per_sample"]),
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
    titles = {
        "verified": "Verification passed",
        "not verified": "NOT VERIFIED",
        "failed": "Verification FAILED",
    }
    columns = ["form", "worst difference", "rows", "verdict"]
    table = _table(titles[content["status"]], columns, ("verdict",))
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
    if not content["passed"]:
        _console().print(content["reason"], markup=False)


def _closing_table(run: Run) -> None:
    from emufort.skill import skill_of_baseline

    folder = run.folder
    selection = read_json(folder.selection)
    checked = read_json(folder.verification)
    manifest = read_json(folder.bundle / "manifest.json")
    console = _console()
    test = run.data.part("test")
    judged = ", ".join(run.data.contract.skill_variables)
    table = _table(
        f"{judged}: errors on {len(test)} test rows{_scale(run)}{_whose_times(selection)}",
        ["scheme", "RMSE", "R2", "ns per sample"],
    )
    chosen = next(r for r in selection["all"] if r["id"] == selection["choice"])
    skill = manifest["skill"]["test"]["overall"]
    _add(
        table,
        f"emulator {chosen['label']}",
        _number(skill["rmse"]),
        _r2(skill["r2"]),
        _nanoseconds(chosen["ns_per_sample"]),
        style="bold",
    )
    times = {b["name"]: b["ns_per_sample"] for b in selection["baselines"]}
    for baseline in run.data.contract.baseline:
        overall = skill_of_baseline(test, baseline.name).overall
        _add(
            table,
            baseline.name,
            _number(overall.rmse),
            _r2(overall.r2),
            _nanoseconds(times.get(baseline.name)),
        )
    console.print(table)
    console.print(rungs_in_words(read_json(folder.search / "search.json")), markup=False)
    found = Agreement.read(folder.retrain)
    if found is not None:
        console.print(found.brief, markup=False)
    _warn_of(found)
    agree = sum(bool(c["passed"]) and not c.get("skipped") for c in checked["comparisons"])
    agreement = (
        f"{agree} forms agree on {checked['rows']} rows (tolerance {checked['tolerance']:g})"
    )
    verdict = f"Verified: {agreement}" if checked["passed"] else f"{checked['reason']}; {agreement}"
    console.print(
        f"{selection['reason']}\n"
        f"{verdict[:1].upper()}{verdict[1:]}.\n"
        f"Report: {folder.report}\nBundle: {folder.bundle}",
        markup=False,
    )
    seconds = folder.seconds()
    parts = ", ".join(f"{step} {seconds[step]:.0f} s" for step in STEP_NAMES if step in seconds)
    console.print(f"Time: {sum(seconds.values()):.0f} s ({parts})", markup=False)


def advice(found: dict[str, Any], folder: Path) -> None:
    """Print the result of `emufort search --advise`."""
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


def status(found: RunStatus) -> None:
    """Print the progress of a run."""
    table = _table(str(found.folder), ["step", "state", "done", "seconds"], ("state",))
    for step in found.steps:
        count = f"{step.done} of {step.total}" if step.total > 1 else ""
        seconds = "-" if step.seconds is None else f"{step.seconds:.1f}"
        _add(table, step.name, step.state, count, seconds)
    _console().print(table)
    _console().print(found.words, markup=False, soft_wrap=True)


def dataset(data: Dataset) -> None:
    """Print a summary of a data set."""
    from emufort.dataset.splits import SPLITS

    console = _console()
    console.print(f"{data.source}: {len(data)} usable rows", markup=False)
    for meaning, count in data.dropped.items():
        console.print(f"  left out as {meaning}: {count}", markup=False)
    for code, name in enumerate(SPLITS):
        console.print(f"  {name}: {int((data.split == code).sum())}", markup=False)
    table = _table("", ["column", "lowest", "median", "highest", "units"], ("units",))
    for columns, values in (
        (data.contract.input_columns, data.x),
        (data.contract.output_columns, data.y),
    ):
        import numpy as np

        for j, column in enumerate(columns):
            low, mid, high = np.quantile(values[:, j], [0.0, 0.5, 1.0])
            _add(table, column.name, _number(low), _number(mid), _number(high), column.units)
    console.print(table)


def processes() -> None:
    """Print every registered process, or the reason why it cannot be imported."""
    from emufort.contract_files import bundled_contracts
    from emufort.processes.registry import registered

    bundled = bundled_contracts()
    for name, one in registered().items():
        lines = [f"{name} ({one.package})"]
        try:
            process = one.load()
        except ContractError as error:
            lines.append(f"  error: {error}")
        else:
            contracts = (
                contract if bundled.get(contract) == path else f"{name}.{contract}"
                for contract, path in process.contract_files().items()
            )
            lines += [
                f"  {what}: {', '.join(names) or 'none'}"
                for what, names in (
                    ("heads", process.heads),
                    ("timing sources", process.timing_sources),
                    ("contracts", contracts),
                    ("hosts", dict.fromkeys(("plain", *process.host.hosts))),
                    ("label makers", process.label_makers),
                )
            ]
        print("\n".join(lines))


def presets(found: Mapping[str, Preset]) -> None:
    """Print presets by name: what they serve, their host glue and further facts."""
    for name, preset in found.items():
        lines = [f"{name}: {preset.title}" if preset.title else name]
        lines += [f"  serves: {one}" for one in preset.serves]
        lines += [f"  {what}: {_words(fact)}" for what, fact in preset.facts.items()]
        lines.append(f"  glue: {', '.join(preset.glue)}")
        print("\n".join(map(terminal, lines)))


def _words(fact: object) -> str:
    """Return plain data as text of one line."""
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {_words(value)}" for name, value in fact.items())
    if isinstance(fact, (list, tuple)):
        return " ".join(map(_words, fact))
    return f"{fact:.10g}" if isinstance(fact, float) else str(fact)


CLOSING: dict[str, Callable[[Run], None]] = {
    "search": _search_table,
    "retrain": _retrain_table,
    "time": _timing_table,
    "select": _selection_words,
    "export": _bundle_words,
    "verify": _verification_table,
    "report": _report_words,
}


def closing(run: Run, steps: tuple[str, ...]) -> None:
    """Print the results of the run, or of its last step."""
    last = steps[-1]
    (_closing_table if last == "report" and len(steps) > 1 else CLOSING[last])(run)
