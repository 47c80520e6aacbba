"""Write the figures of the column model and of measure_activation into a document.

python document_figures.py --update docs/coupling.md --update docs/column_model.md build/column/*

Each folder belongs to one emulator. The tables have a row for each of them; the table of every
input outside the range is that of the first folder. A folder has summary.json, which
draw_column.py wrote, and outside.csv, the output of measure_activation. The script replaces the
text between ``<!-- NAME: begin ... -->`` and ``<!-- NAME: end -->`` for the names `column` and
`outside`. Each must be in exactly one of the documents.
"""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

from emufort.files import write_text

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
#: What the column model measures -> heading of its column [ns per parcel].
COSTS = {
    "scalar": "ARG2000 as models have it",
    "arg2000": "ARG2000 in this scheme",
    "emulator": "emulator",
}


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _fill(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _pair(rms: float, largest: float, digits: int) -> str:
    def text(value: float) -> str:
        return f"{value:.{digits}f}" if value >= 10.0**-digits else f"{value:.0e}"

    return "0" if largest == 0.0 else f"{text(rms)} ({text(largest)})"


def outside(lines: list[str], modes: list[str]) -> str:
    """Return the tables of the errors of each policy at and beyond the limits of the range."""
    steps: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    others: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    fall, n_columns = 0.0, 0
    for line in lines:
        kind, *cells = line.split(",")
        if kind == "columns":
            n_columns = int(cells[0])
        elif kind == "step":
            steps[cells[0]][cells[1]] = (float(cells[2]), float(cells[3]))
        elif kind == "soot":
            name = f"hygroscopicity {float(cells[1]):.0e} of {_mode(modes, cells[0])}"
            others[name][cells[2]] = (float(cells[3]), float(cells[4]))
        elif kind == "absent":
            name = f"no {_mode(modes, cells[0])} mode"
            others[name][cells[1]] = (float(cells[2]), float(cells[3]))
        elif kind == "fall":
            fall = float(cells[0])
    errors = beyond(lines)
    text = [f"{n_columns} columns in each case.", ""]
    text += ["Step when an input crosses a limit of the range, rms (largest):", ""]
    text += [_row("", *(f"`{p}`" for p in POLICIES[:3])), _row(*["---"] * 4)]
    text += [
        _row(INPUTS[name], *(_pair(*row[p], 5) for p in POLICIES[:3]))
        for name, row in steps.items()
    ]
    text += ["", "Error against the parcel model, rms (largest), the worse of both sides:", ""]
    text += [_row("beyond the range", "by", *(f"`{p}`" for p in POLICIES[:3]), "blended")]
    text += [_row(*["---"] * 6)]
    for (name, distance), row in errors.items():
        if distance not in SHOWN:
            continue
        cells = [_pair(max(row[p][::2]), max(row[p][1::2]), 3) for p in POLICIES]
        text.append(_row(INPUTS[name], f"{distance:g}", *cells))
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


def _mode(modes: list[str], number: str) -> str:
    return modes[int(number) - 1].replace("_", " ")


def beyond(lines: list[str]) -> dict[tuple[str, float], dict[str, list[float]]]:
    """Return the errors by input and distance, and policy: rms and largest of both sides."""
    errors: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        kind, *cells = line.split(",")
        if kind == "beyond":
            errors[cells[0], float(cells[2])][cells[3]] += [float(cells[4]), float(cells[5])]
    return errors


def outside_of_all(cases: dict[str, list[str]]) -> str:
    """Return a table with the errors beyond the range for each contract, over all inputs."""
    text = [_row("contract", "by", *(f"`{p}`" for p in POLICIES[:3])), _row(*["---"] * 5)]
    for name, lines in cases.items():
        for distance in SHOWN:
            rows = [row for (_, by), row in beyond(lines).items() if by == distance]
            cells = []
            for policy in POLICIES[:3]:
                squares = [value**2 for row in rows for value in row[policy][::2]]
                largest = max(value for row in rows for value in row[policy][1::2])
                cells.append(_pair((sum(squares) / len(squares)) ** 0.5, largest, 3))
            text.append(_row(f"`{name}`", f"{distance:g}", *cells))
    return "\n".join(
        ["Error against the parcel model over all inputs and sides, rms (largest):", "", *text]
    )


def column(cases: list[dict[str, Any]]) -> str:
    """Return the table of the column model's errors and costs for each contract."""
    head = ["contract", "network", "ARG2000", "Ghosh2025", "emulator", "times smaller"]
    head += [f"ns, {label}" for label in COSTS.values()]
    text = [_row(*head), _row(*["---"] * len(head))]
    for found in cases:
        errors = [
            f"{found[name]['droplet_number_relative_rms']:.4f}" if name in found else ""
            for name in ("arg2000", "ghosh2025", "emulator")
        ]
        times = [f"{found['ns_per_parcel'][name]:.0f}" for name in COSTS]
        smaller = f"{found['times_smaller']:.0f}"
        name = f"`{found['contract']}`"
        text.append(_row(name, found["network"], *errors, smaller, *times))
    parcels = sorted({found["parcels"] + found["parcels_without_truth"] for found in cases})
    machines = "; ".join(sorted({f"{found['cpu']}, {found['load']}" for found in cases}))
    numbers = " and ".join(map(str, parcels))
    return "\n".join(
        [
            _fill(
                "Relative error of the droplet number against the parcel model, rms; how many "
                "times smaller that of the emulator is than that of ARG2000; cost per parcel:"
            ),
            "",
            *text,
            "",
            _fill(
                f"{numbers} parcels for each contract. Processor time of the call alone, least of "
                f"15 rounds in turn; gfortran, -O3 -march=native, one core of {machines}."
            ),
        ]
    )


def update(paths: list[Path], name: str, text: str) -> None:
    """Replace the text between the markers of `name` in the document that has them."""
    pattern = rf"(<!-- {name}: begin[^>]*-->\n).*?(<!-- {name}: end -->)"
    found = [path for path in paths if re.search(pattern, path.read_text(), re.DOTALL)]
    if len(found) != 1:
        raise SystemExit(
            f"{len(found)} of the documents have the markers <!-- {name}: begin --> and end, not 1"
        )
    new = re.sub(
        pattern,
        lambda m: f"{m[1]}\n{text}\n\n{m[2]}",
        found[0].read_text(),
        count=1,
        flags=re.DOTALL,
    )
    write_text(found[0], new)


def main() -> None:
    """Read the command line and the folders, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--update", type=Path, action="append", required=True, help="document")
    arguments = parser.parse_args()
    folders = list(dict.fromkeys(arguments.folders))
    found = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    lines = [(folder / "outside.csv").read_text().splitlines() for folder in folders]
    tables = [f"Contract `{found[0]['contract']}`. {outside(lines[0], found[0]['modes'])}"]
    found, lines = map(
        list,
        zip(*sorted(zip(found, lines, strict=True), key=lambda x: x[0]["contract"]), strict=True),
    )
    if len(found) > 1:
        names = [case["contract"] for case in found]
        tables += ["", outside_of_all(dict(zip(names, lines, strict=True)))]
    update(arguments.update, "outside", "\n".join(tables))
    update(arguments.update, "column", column(found))


if __name__ == "__main__":
    main()
