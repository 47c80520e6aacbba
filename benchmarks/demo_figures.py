"""Insert the results of a finished run into a document: table, machine and figure.

make demo
python -m benchmarks.demo_figures runs/demo
python -m benchmarks.demo_figures runs/layer --document examples/two_stream/README.md
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from emufort.files import read_csv, read_json, write_bytes, write_text
from emufort.report.plots import pareto
from emufort.report.style import png

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def table(run: Path) -> str:
    """Return the results of the run as a Markdown table with a note."""
    selection = read_json(run / "selection.json")
    provenance = read_json(run / "provenance.json")
    seconds = sum(step["seconds"] for step in read_json(run / "steps.json")["steps"].values())
    skill = read_json(run / "bundle" / "manifest.json")["skill"]
    chosen = next(row for row in selection["all"] if row["id"] == selection["choice"])
    times: dict[str, dict[int, float]] = {}
    for row in read_csv(run / "timing.csv"):
        times.setdefault(row["id"], {})[int(row["ncol"])] = float(row["ns_per_sample"])
    sizes = sorted(times[chosen["id"]])

    def line(name: str, overall: dict[str, Any], identity: str) -> str:
        known = times.get(identity, {})
        cells = [f"{known[n]:.0f}" if n in known else "-" for n in sizes]
        return f"| {name} | {overall['rmse']:.4f} | {overall['r2']:.5f} | {' | '.join(cells)} |"

    judged = ", ".join(skill_names(skill["test"]))
    lines = [
        f"| scheme | RMSE of {judged} | R2 | {' | '.join(f'ns, ncol {n}' for n in sizes)} |",
        "|---|---|---|" + "---|" * len(sizes),
        line(f"**emulator {chosen['label']}**", skill["test"]["overall"], chosen["id"]),
    ]
    for name, scores in skill["baselines"].items():
        lines.append(line(name, scores["overall"], name))
    lines += [
        "",
        f"{skill['test']['overall']['n']} values of the test split; ns per sample with ncol",
        f"columns per call, one core of an {provenance['cpu']},",
        f"{provenance['compiler']}. The times at {selection['ncol']} columns decided the choice.",
        f"The job took {seconds:.0f} s on {provenance['cores']} cores.",
    ]
    return "\n".join(lines)


def skill_names(skill: dict[str, Any]) -> list[str]:
    """Return the judged variables, without the labels of their columns."""
    return sorted({name.partition("[")[0] for name in skill["columns"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument(
        "--document",
        type=Path,
        default=ROOT / "docs" / "tutorial.md",
        help="Markdown file with the markers of the table; the figure goes to images/ next to it",
    )
    options = parser.parse_args()
    run, document = options.run, options.document
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    text = pattern.sub(lambda _: f"{BEGIN}\n{table(run)}\n{END}", document.read_text())
    write_text(document, text)
    picture = png(pareto(read_json(run / "selection.json"), width=7.2, height=4.4), dpi=200)
    (document.parent / "images").mkdir(exist_ok=True)
    write_bytes(document.parent / "images" / "pareto.png", picture)


if __name__ == "__main__":
    main()
