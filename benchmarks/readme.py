"""Put the result of a finished run into README.md: the table, the machine, the picture.

make demo
python benchmarks/readme.py runs/demo
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from emufort.files import read_json, write_bytes, write_text
from emufort.report.plots import pareto, png

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def table(run: Path) -> str:
    """Return the figures of the run as Markdown."""
    selection = read_json(run / "selection.json")
    provenance = read_json(run / "provenance.json")
    seconds = sum(step["seconds"] for step in read_json(run / "steps.json").values())
    skill = read_json(run / "bundle" / "manifest.json")["skill"]["test"]
    chosen = next(row for row in selection["all"] if row["id"] == selection["choice"])
    times = {row["name"]: row["ns_per_sample"] for row in selection["baselines"]}

    def line(name: str, overall: dict[str, Any], ns: float | None) -> str:
        time = "-" if ns is None else f"{ns:.0f}"
        return f"| {name} | {overall['rmse']:.4f} | {overall['r2']:.5f} | {time} |"

    lines = [
        f"| scheme | RMSE of {', '.join(skill_names(skill))} | R2 | ns per sample |",
        "|---|---|---|---|",
        line(f"**emulator {chosen['label']}**", skill["overall"], chosen["ns_per_sample"]),
    ]
    baselines = read_json(run / "bundle" / "manifest.json")["skill"]["baselines"]
    lines += [line(name, scores["overall"], times.get(name)) for name, scores in baselines.items()]
    machine = f"{provenance['cpu']}, {provenance['compiler']}"
    lines += [
        "",
        f"{skill['overall']['n']} values of the test split; time at {selection['ncol']} columns",
        f"per call, one core of {machine}.",
        f"The job took {seconds:.0f} s on {provenance['cores']} cores.",
    ]
    return "\n".join(lines)


def skill_names(skill: dict[str, Any]) -> list[str]:
    """Return the judged variables, without the labels of their columns."""
    return sorted({name.partition("[")[0] for name in skill["columns"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run = parser.parse_args().run
    readme = ROOT / "README.md"
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    text = pattern.sub(lambda _: f"{BEGIN}\n{table(run)}\n{END}", readme.read_text())
    write_text(readme, text)
    picture = png(pareto(read_json(run / "selection.json"), width=7.2, height=4.4), dpi=200)
    write_bytes(ROOT / "docs" / "images" / "pareto.png", picture)


if __name__ == "__main__":
    main()
