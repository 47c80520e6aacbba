"""Draw docs/images/pareto.png, the picture of the README, from a finished run.

emufort run --out runs/readme
python benchmarks/readme_figure.py runs/readme
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emufort.files import read_json, write_bytes
from emufort.report.plots import pareto, png

DEFAULT = Path(__file__).resolve().parent.parent / "docs" / "images" / "pareto.png"


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the Pareto front of a run as PNG.")
    parser.add_argument("run", type=Path, help="folder of a run that has made its selection")
    parser.add_argument("--out", type=Path, default=DEFAULT, help="the file to write")
    arguments = parser.parse_args()
    selection = read_json(arguments.run / "selection.json")
    write_bytes(arguments.out, png(pareto(selection, width=7.2, height=4.4), dpi=200))
    print(arguments.out)


if __name__ == "__main__":
    main()
