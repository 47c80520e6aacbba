"""Write the report of a run as one HTML file that contains its figures."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort.dataset.dataset import Dataset
from emufort.escape import html
from emufort.files import write_text
from emufort.progress import Reporter, silent
from emufort.report import plots, search_plots, style
from emufort.report.gather import Run, gather
from emufort.retrain.agreement_words import LEGEND, Agreement
from emufort.run.folder import RunFolder
from emufort.search.front import front_of
from emufort.search.importance_words import IMPORTANCE_LEGEND, importance_rows
from emufort.search.rung_words import rungs_in_words
from emufort.skill import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Largest number of panels in a figure; the table has all columns.
_MOST_PANELS = 12


def write_report(run_dir: Path, data: Dataset, report: Reporter = silent) -> Path:
    """Write ``report.html`` into a run folder.

    Sections about steps that have not run (verification, bundle) are left out.

    Parameters
    ----------
    run_dir
        The run folder; the selection and the steps before it must be finished.
    data
        The data of the run; the chosen emulator is judged on its test split.
    report
        Receives the progress.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    EmufortError
        A file of the run is missing or damaged.
    DataError
        `data` has no test split.
    """
    report("report", 0, 2, "evaluating the choice on the test split")
    run = gather(run_dir, data)
    report("report", 1, 2, "drawing")
    path = RunFolder(run_dir).report
    write_text(path, render(run))
    report("report", 2, 2)
    return path


def render(run: Run) -> str:
    """Return the report as HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=html,
    )
    environment.filters.update(
        number=number, signed=signed, r2=r2, seconds=duration, commas=commas, per_cent=per_cent
    )
    return environment.get_template("template.html.j2").render(
        run=run,
        contract=run.contract,
        choice=run.choice,
        architecture=run.emulator.architecture,
        selection=run.selection,
        headline=headline(run),
        cards=cards(run),
        schemes=list(run.skills.items()),
        quantities=[("overall", "overall"), *((c.name, _plain(c.name)) for c in run.columns)],
        score=_score,
        times=_times(run),
        candidates=_candidates(run),
        figures=_figures(run),
        hidden_panels=max(0, len(run.columns) - _MOST_PANELS),
        comparisons=[_comparison(c) for c in run.verification.get("comparisons", ())],
        chain=_chain(run),
        environment=_environment(run.provenance),
        agreement=Agreement.of(run.agreement),
        legend=LEGEND,
        rungs=rungs_in_words(run.search),
        importances=importance_rows(run.search),
        importance_legend=IMPORTANCE_LEGEND,
        search_front=front_of(run.trials),
        constants=run.emulator.constants,
    )


# --------------------------------------------------------------------------------------- in words


def number(value: Any, digits: int = 3) -> str:
    """Return a number with three significant digits, a dash for None."""
    if value is None or value != value:
        return "–"
    value = float(value)
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e5:
        text = f"{value:#.{digits}g}".rstrip(".")
        return commas(value) if abs(value) >= 1000 else text
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    superscripts = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"{mantissa}×10{str(int(exponent)).translate(superscripts)}"


def signed(value: Any) -> str:
    """Return a number with its sign."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 else text.replace("-", "−", 1)


def r2(value: Any) -> str:
    """Return a coefficient of determination with 3 decimals, or 5 from 0.99 on."""
    if value is None or value != value:
        return "–"
    text = f"{value:.3f}" if value < 0.99 else f"{value:.5f}"
    return text.replace("-", "−")


def commas(value: Any) -> str:
    """Return a whole number with thin spaces between thousands."""
    return f"{round(float(value)):,}".replace(",", "\u202f")


def per_cent(share: float) -> str:
    """Return a share as a whole number of per cent."""
    return f"{100 * share:.0f} %"


def duration(value: float) -> str:
    """Return a wall time with its unit."""
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def _compared_error(error: float, emulator: float) -> str:
    """Return an error as a multiple of the emulator's, unless one of them is 0."""
    if error == 0:
        return "no error"
    if emulator == 0:
        return f"an RMSE of {number(error)}"
    return f"{_ratio(error / emulator)} times the error"


def _ratio(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 9.5 else f"{ratio:.2g}"


def headline(run: Run) -> str:
    """Return one sentence with the main result."""
    score = run.skills["emulator"].overall
    ns = _chosen(run)["ns_per_sample"]
    architecture = run.emulator.architecture
    words = (
        f"A {architecture.label} network with {commas(architecture.n_parameters)} parameters "
        f"reproduces {_joined(run.contract.skill_variables)} with an RMSE of {number(score.rmse)}"
        f"{' standard deviations' if run.normalised else ''} "
        f"on {commas(run.rows)} test samples at {number(ns)} ns per sample{_in_what(run)}"
    )
    clauses = []
    for baseline in run.selection["baselines"]:
        if baseline["name"] not in run.skills:
            continue
        error = run.skills[baseline["name"]].overall.rmse
        clause = f"{baseline['name']} has {_compared_error(error, score.rmse)}"
        if baseline["ns_per_sample"] is not None:
            clause += f" and takes {_ratio(baseline['ns_per_sample'] / ns)} times as long"
        clauses.append(clause)
    return ". ".join([words, *(["; ".join(clauses)] if clauses else [])]) + "."


def _plain(name: str) -> str:
    """Return the name of a column as words: rain rate, deep cloud for ``rain_rate[deep_cloud]``."""
    return name.replace("_", " ").replace("[", ", ").rstrip("]")


def _joined(names: Sequence[str]) -> str:
    words = [_plain(name) for name in names]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


@dataclass(frozen=True)
class Card:
    """One figure at the top of the report: a value, its label, and whether it is good or bad."""

    value: str
    label: str
    state: str = ""


def cards(run: Run) -> list[Card]:
    """Return the main figures for the top of the report."""
    score = run.skills["emulator"].overall
    ncol = run.selection["ncol"]
    found = [
        Card(
            number(score.rmse),
            f"RMSE{', in standard deviations' if run.normalised else ''}, test split",
        ),
        Card(r2(score.r2), "R², test split"),
        Card(
            f"{number(_chosen(run)['ns_per_sample'])} ns",
            f"per sample{_in_what(run)}, {ncol} column{'s' * (ncol != 1)} per call",
        ),
        Card(commas(run.emulator.architecture.n_parameters), "parameters"),
    ]
    if run.verification:
        passed = bool(run.verification["passed"])
        status = run.verification.get("status", "verified" if passed else "failed")
        forms = run.verification.get("comparisons", ())
        n_skipped = sum(1 for form in forms if form.get("skipped"))
        label = f"{len(forms) - n_skipped} forms agree"
        label = "see the comparisons" if status == "failed" else label
        label += f", {n_skipped} skipped" if n_skipped else ""
        found.append(Card(status, label, "good" if passed else "bad"))
    return found


# -------------------------------------------------------------------------------------- the tables


def _chosen(run: Run) -> Mapping[str, Any]:
    return next(e for e in run.selection["all"] if e["id"] == run.choice)


def _in_what(run: Run) -> str:
    """Return the source of the times as words, empty if it is compiled Fortran."""
    foreign = run.selection.get("backend", "fortran") != "fortran"
    return " in ONNX Runtime" if foreign else ""


def _score(skill: Any, quantity: str) -> Score:
    found: Score = skill.overall if quantity == "overall" else skill.columns[quantity]
    return found


def _times(run: Run) -> list[dict[str, Any]]:
    """Return the measured times of the choice and the baselines, one row each."""
    rows: dict[str, dict[str, Any]] = {}
    for row in run.times:
        if row["kind"] == "candidate" and row["id"] != run.choice:
            continue
        entry = rows.setdefault(row["id"], {**row, "at": {}})
        entry["at"][int(row["ncol"])] = row
    return list(rows.values())


def _candidates(run: Run) -> list[dict[str, Any]]:
    """Return every candidate with its skill and time, best first."""
    front = {entry["id"] for entry in run.selection["front"]}
    return [
        {
            "n_parameters": None,
            **run.candidates.get(entry["id"], {}),
            **entry,
            "on_front": entry["id"] in front,
            "is_choice": entry["id"] == run.choice,
        }
        for entry in run.selection["all"]
    ]


def _comparison(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return one comparison of verification.json as a row: result and largest difference."""
    largest = next((v for k, v in entry.items() if k.startswith("max_")), None)
    if entry.get("skipped"):
        state, words = "note", f"skipped: {entry['skipped']}"
    elif entry.get("passed"):
        state, words = "good", "passed"
    else:
        what = entry.get("problem") or entry.get("worst")
        state, words = "bad", f"failed: {what}" if what else "failed"
    # Comparisons without rows, such as the check of a hash, have no difference either.
    ran = not entry.get("skipped") and not entry.get("problem") and entry.get("rows")
    return {
        "name": entry["name"],
        "backend": entry.get("backend", ""),
        "rows": entry.get("rows") if ran else None,
        "max": largest if ran else None,
        "tolerance": entry.get("tolerance") if ran else None,
        "state": state,
        "words": words,
    }


def _chain(run: Run) -> list[tuple[str, str]]:
    """Return the known links of the hash chain from the data to the generated code."""
    links = run.manifest.get("chain")
    if links:
        return [(str(link["link"]), str(link["sha256"] or "unknown")) for link in links]
    known = run.provenance.get("data", {}).get("sha256")
    return [("contract", run.contract.sha256), *([("data", known)] if known else [])]


def _environment(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Flatten provenance.json into lines for a table."""
    lines = []
    for key, value in provenance.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            inner = ((k, v) for k, v in value.items() if not isinstance(v, Mapping))
            text = ", ".join(f"{k} {v}" for k, v in inner)
        elif isinstance(value, (list, tuple)):
            text = shlex.join(map(str, value))
        else:
            text = str(value)
        lines.append((key, text))
    return lines


# ------------------------------------------------------------------------------------- the figures


def _figures(run: Run) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "pareto": _inline(plots.pareto(run.selection, run.normalised)),
        "density": [
            (_plain(column.name), _inline(plots.density(column)))
            for column in run.columns[:_MOST_PANELS]
        ],
        "curves": None,
        "agreement": None,
        "predictions": None,
        "importances": None,
        "search_front": None,
    }
    if run.curves:
        figures["curves"] = _inline(plots.learning_curves(run.curves, run.choice))
    trial = run.candidates.get(run.choice, {}).get("trial")
    chosen = int(trial) if trial not in (None, "") else None
    pairs = run.agreement.get("pairs")
    if pairs:
        figures["agreement"] = _inline(plots.agreement(pairs, chosen, run.measure))
    if run.predictions:
        figures["predictions"] = _inline(plots.predictions(run.predictions, chosen, run.measure))
    if rows := importance_rows(run.search):
        figures["importances"] = _inline(search_plots.importances(rows))
    if run.trials:
        figures["search_front"] = _inline(search_plots.search_front(run.trials, run.measure))
    return figures


def _inline(figure: Figure) -> str:
    """Return a figure as a data URL."""
    return "data:image/svg+xml;base64," + base64.b64encode(style.svg(figure)).decode()
