"""Measure the figures of docs/coupling.md again and write them into the document.

python document_figures.py MEASURE WEIGHTS FOLDER docs/coupling.md

MEASURE is the program measure_activation, and FOLDER the folder that draw_column.py wrote. The
script replaces the text between ``<!-- NAME: begin ... -->`` and ``<!-- NAME: end -->``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

from draw_column import COSTS

from emufort.provenance import cpu_model

#: Policies in the order of the tables. The last one appears only where it was measured.
POLICIES = ("ratio", "arg2000", "clip", "blended")
#: Distances beyond the range that the table shows, of those that were measured.
SHOWN = (0.02, 0.1, 0.4)
INPUTS = {
    "temperature": "temperature",
    "pressure": "pressure",
    "updraft": "updraft",
    "number": "one number concentration",
    "radius": "one radius",
    "hygroscopicity": "one hygroscopicity",
    "three": "three inputs at once",
}
MODES = ("accumulation", "aitken", "coarse", "primary carbon")


def machine() -> str:
    """Return processor and load, for the text below a table."""
    return f"{cpu_model()}, one core, load average {os.getloadavg()[0]:.0f} on {os.cpu_count()}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _fill(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _pair(rms: float, largest: float, digits: int) -> str:
    def text(value: float) -> str:
        return f"{value:.{digits}f}" if value >= 10.0**-digits else f"{value:.0e}"

    return "0" if largest == 0.0 else f"{text(rms)} ({text(largest)})"


def outside(lines: list[str]) -> str:
    """Return the tables of the errors of each policy at and beyond the limits of the range."""
    steps: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    errors: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    others: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    fall = 0.0
    for line in lines:
        kind, *cells = line.split(",")
        if kind == "step":
            steps[cells[0]][cells[1]] = (float(cells[2]), float(cells[3]))
        elif kind == "beyond":
            errors[cells[0], cells[2]][cells[3]] += [float(cells[4]), float(cells[5])]
        elif kind == "soot":
            name = f"hygroscopicity {float(cells[0]):.0e} of primary carbon"
            others[name][cells[1]] = (float(cells[2]), float(cells[3]))
        elif kind == "absent":
            name = f"no {MODES[int(cells[0]) - 1]} mode"
            others[name][cells[1]] = (float(cells[2]), float(cells[3]))
        elif kind == "fall":
            fall = float(cells[0])
    text = ["Step when an input crosses a limit of the range, rms (largest):", ""]
    text += [_row("", *(f"`{p}`" for p in POLICIES[:3])), _row(*["---"] * 4)]
    text += [
        _row(INPUTS[name], *(_pair(*row[p], 5) for p in POLICIES[:3]))
        for name, row in steps.items()
    ]
    text += ["", "Error against the parcel model, rms (largest), the worse of both sides:", ""]
    text += [_row("beyond the range", "by", *(f"`{p}`" for p in POLICIES[:3]), "blended")]
    text += [_row(*["---"] * 6)]
    for (name, distance), row in errors.items():
        if float(distance) not in SHOWN:
            continue
        cells = [_pair(max(row[p][::2]), max(row[p][1::2]), 3) for p in POLICIES]
        text.append(_row(INPUTS[name], f"{float(distance):g}", *cells))
    for name, found in others.items():
        text.append(_row(name, "", *(_pair(*found[p], 3) for p in POLICIES[:3]), ""))
    cases = [
        {policy: values[side] for policy, values in row.items()}
        for row in errors.values()
        for side in (0, 2)
    ]
    beaten = sum(case["ratio"] < case["arg2000"] for case in cases)
    blended = sum(case["ratio"] < case["blended"] for case in cases)
    text += [
        "",
        _fill(
            f"Of {len(cases)} cases (input, side, distance) the rms of `ratio` is below that of "
            f"`arg2000` in {beaten}, below that of the blended one in {blended}. While the updraft "
            f"grows within the range, no fraction falls by more than {fall:.0e}."
        ),
    ]
    return "\n".join(text)


def column(found: dict[str, Any], architecture: str) -> str:
    """Return the table of the column model's errors and costs."""
    times = found["ns_per_parcel"]
    text = [_row("", "relative error of the droplet number, rms", "ns per parcel")]
    text.append(_row(*["---"] * 3))
    for name, label in COSTS.items():
        error = found["arg2000" if name == "scalar" else name]["droplet_number_relative_rms"]
        text.append(_row(label, f"{error:.4f}", f"{times[name]:.0f}"))
    return "\n".join(
        [
            f"Network {architecture}, {found['parcels'] + found['parcels_without_truth']} parcels:",
            "",
            *text,
            "",
            _fill(
                f"The error is {found['times_smaller']:.0f} times smaller; the cost is "
                f"{times['emulator'] / times['scalar']:.2f} of that of ARG2000 as models have it, "
                f"{times['emulator'] / times['arg2000']:.2f} of that of ARG2000 in this scheme "
                f"({machine()}; processor time of the call alone, least of 15 rounds in turn)."
            ),
        ]
    )


def replaced(document: str, name: str, text: str) -> str:
    """Return the document with `text` between the markers of `name`."""
    pattern = rf"(<!-- {name}: begin[^>]*-->\n).*?(<!-- {name}: end -->)"
    new, count = re.subn(
        pattern, lambda m: f"{m[1]}\n{text}\n\n{m[2]}", document, count=1, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"the document has no markers <!-- {name}: begin --> and end")
    return new


def main() -> None:
    """Read the command line, measure, write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("document", type=Path)
    arguments = parser.parse_args()
    found = json.loads((arguments.folder / "summary.json").read_text())
    manifest = json.loads((arguments.weights.parent / "manifest.json").read_text())
    measured = subprocess.run(
        [arguments.measure, arguments.weights], check=True, capture_output=True, text=True
    )
    document = arguments.document.read_text()
    document = replaced(document, "outside", outside(measured.stdout.splitlines()))
    document = replaced(document, "column", column(found, _architecture(manifest)))
    arguments.document.write_text(document)


def _architecture(manifest: dict[str, Any]) -> str:
    """Return the layers and the activation function of the network of a bundle."""
    found = manifest["architecture"]
    widths = [found["n_inputs"], *found["hidden"], found["n_outputs"]]
    return f"{'-'.join(str(width) for width in widths)} {found['activation']}"


if __name__ == "__main__":
    main()
