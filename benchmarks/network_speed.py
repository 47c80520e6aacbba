"""Measure imported networks compared with other ways to run them, on one core.

    python -m benchmarks.network_speed --bundles DIR [--only NAME,NAME] [--ncol 1,16,1152]
        [--repeats 5] [--keep DIR] [--update docs/benchmark.md]

`python -m benchmarks.import_published --keep DIR` makes the bundles and keeps the originals, which
the other libraries run. onnx2c is measured if it is on the PATH. The results of every network are
those of `emufort bench`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.markdown_tables import replaced, table
from emufort.benchmark import Options, Result, run
from emufort.benchmark.machine import title
from emufort.benchmark.markdown import number

#: Networks of the table, unless others are named.
NETWORKS = (
    "residual_mlp",
    "two_heads",
    "convolutional",
    "unet",
    "convnext",
    "bilstm",
    "bigru",
    "encoder",
)
CONTENDERS = ("native-layers", "native-loaded", "onnxruntime-fortran", "onnx2c", "torch")
_NCOL = (1, 4, 16, 32, 128, 1152)


def measured(folder: Path, name: str, options: Options, out: Path) -> Result:
    """Measure one network with its originals, or read the results that an earlier run left."""
    found = out / f"{name}.json"
    if not found.is_file():
        originals = (folder / f"{name}.onnx", folder / f"{name}.pt2")
        # One folder for all networks, because most programs are the same.
        run(options.changed(bundle=folder / name, originals=originals), out / "run")
        (out / "run" / "bench.json").replace(found)
    return Result.read(found)


def rows_of(name: str, result: Result) -> list[list[str]]:
    """Return a row for every number of columns per call."""
    about = result.about["models"][0]
    model = about["name"]
    rows = []
    for cell in result.comparison():
        words = [
            f"`{name}`" if not rows else "",
            f"{about['multiply_adds']:,}" if not rows else "",
            f"{cell['ncol']:,}",
            number(cell["ns_native"]),
            f"{cell['percent_of_peak']:.0f}",
        ]
        for contender in CONTENDERS[2:]:
            row = result.get(model, contender, cell["ncol"], 1)
            if row is None or row.status != "ok" or not row.ns_per_column:
                words.append("" if row is None else row.status)
                continue
            faster = row.ns_per_column / cell["ns_native"]
            words.append(f"{number(row.ns_per_column)} ({faster:.2f})")
        rows.append(words)
    return rows


HEAD = [
    "network",
    "multiply-adds",
    "columns per call",
    "emufort, ns per column",
    "% of peak",
    "ONNX Runtime from Fortran (times slower)",
    "onnx2c (times slower)",
    "torch (times slower)",
]


def note(result: Result) -> str:
    """Return the sentence under the table about machine, compiler and load."""
    about = result.about
    return (
        f"One core of an {title(about['machine'])}, peak {about['peak']['gflops']:.0f} GFLOP/s; "
        f"{about['compiler']}, `{about['flags']}`; single precision, CPU time, median of "
        f"{about['options']['repeats']} rounds, load average {about['machine']['load_average']} "
        "before the last network."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundles", type=Path, required=True)
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--ncol", default=",".join(map(str, _NCOL)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--update", type=Path, default=None)
    given = parser.parse_args()
    options = Options(
        models=("bundle",),
        contenders=CONTENDERS,
        ncol=tuple(map(int, given.ncol.split(","))),
        repeats=given.repeats,
        threads=(1,),
    )
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.only.split(","):
            result = measured(given.bundles, name, options, given.keep or Path(scratch))
            rows += rows_of(name, result)
            for row in rows_of(name, result):
                print(" | ".join(row), flush=True)
            for flagged in result.flagged():
                print(f"{flagged.contender}: {flagged.status}, {flagged.note}", flush=True)
    if given.update is not None:
        body = "\n".join([*table(HEAD, rows), "", note(result)])
        given.update.write_text(replaced(given.update.read_text(), "imported networks", body))


if __name__ == "__main__":
    main()
