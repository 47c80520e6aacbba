"""Measure the time of each operation of imported networks in the Fortran runtime, on one core.

    python -m benchmarks.operation_speed BUNDLE [BUNDLE ...] [--columns 1,16,32] [--passes 40]

Operations of the same kind, activation function and sizes are added up. The time of an operation is
the shortest of all passes over the network, per column of one block.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.markdown_tables import table
from emufort.benchmark.options import Options
from emufort.benchmark.programs import Programs
from emufort.network.plan import Plan

HEAD = ["operation", "times", "µs per column", "% of all", "multiply-adds per ns"]


@dataclass(frozen=True)
class Share:
    """What operations of the same kind and sizes cost.

    Attributes
    ----------
    name
        Kind, sizes and activation function.
    number
        Number of operations.
    microseconds
        Time of all of them per column.
    multiply_adds
        Of all of them for one column.
    """

    name: str
    number: int
    microseconds: float
    multiply_adds: int


def shares(plan: Plan, microseconds: Sequence[float]) -> list[Share]:
    """Return what operations cost, the most expensive first.

    Parameters
    ----------
    plan
        Plan of a network.
    microseconds
        Time of each of its operations per column.
    """
    found: dict[str, Share] = {}
    for operation, time in zip(plan.operations, microseconds, strict=True):
        layout = plan.layout(operation)
        read = "+".join(map(str, layout.inputs))
        name = f"{operation.kind} {read} to {layout.n_out}"
        if operation.extent:
            name += f" ({', '.join(map(str, operation.extent))})"
        if operation.activation != "linear":
            name += f", {operation.activation}"
        old = found.get(name, Share(name, 0, 0.0, 0))
        found[name] = Share(
            name,
            old.number + 1,
            old.microseconds + time,
            old.multiply_adds + operation.row.multiply_adds(layout),
        )
    return sorted(found.values(), key=lambda share: -share.microseconds)


def measured(program: Path, weights: Path, columns: int, passes: int) -> list[float]:
    """Return the time of each operation of a weights file, in microseconds per column."""
    done = subprocess.run(
        [program, weights, str(columns), str(passes)], capture_output=True, text=True, check=True
    )
    return [float(line.rpartition(",")[2]) / columns for line in done.stdout.splitlines()]


def rows_of(found: Sequence[Share]) -> list[list[str]]:
    """Return the rows of a table."""
    total = sum(share.microseconds for share in found)
    rows = [
        [
            f"`{share.name}`",
            str(share.number),
            f"{share.microseconds:.2f}",
            f"{100 * share.microseconds / total:.1f}",
            f"{share.multiply_adds / (1e3 * share.microseconds):.1f}"
            if share.multiply_adds
            else "",
        ]
        for share in found
    ]
    return [*rows, ["all", str(sum(s.number for s in found)), f"{total:.2f}", "100.0", ""]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--columns", default="1,16,32")
    parser.add_argument("--passes", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        program = Programs(Options(), Path(work)).operations()
        for bundle in given.bundles:
            weights = bundle / "weights.bin"
            plan = Plan.from_dict(json.loads((bundle / "manifest.json").read_text())["plan"])
            for columns in map(int, given.columns.split(",")):
                found = shares(plan, measured(program, weights, columns, given.passes))
                print(f"\n{bundle.name}, {columns} columns\n")
                print("\n".join(table(HEAD, rows_of(found))), flush=True)


if __name__ == "__main__":
    main()
