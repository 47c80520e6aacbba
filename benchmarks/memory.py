"""Measure the memory of a search and a retraining for different numbers of rows.

    python -m benchmarks.memory [--data large.nc million.nc] [--steps 4000] [--json FILE]

The script reads the embedded data and each given file, searches (64 candidates on 2,000 rows) and
retrains (2 networks on all rows), with one process per data set. The anonymous memory of the
process is sampled every 5 ms. Pages of mapped files are added in the peak of the resident memory;
all workers share them, and the operating system frees them when it needs the memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset


def status(key: str) -> float:
    """Return an entry of /proc/self/status of this process [MB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


class Peak(threading.Thread):
    """Samples the anonymous memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.start()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, status("RssAnon"))
            time.sleep(0.005)

    def take(self) -> float:
        """Return the peak since the last call [MB]."""
        peak, self.peak = max(self.peak, status("RssAnon")), 0.0
        return round(peak, 1)


def measure(path: str | None, steps: int) -> dict[str, Any]:
    """Search and retrain in this process; return the peaks [MB]."""
    from emufort.retrain.driver import retrain
    from emufort.search.driver import search

    config = Config.from_dict(
        {
            "workers": 1,
            "search": {"trials": 64, "subset": 2000, "schedule": "constant", "rungs": [1, 4, 16]},
            "retrain": {"top": 2, "control": 0, "seeds": 1, "steps": steps},
        }
    )
    import xarray  # noqa: F401, excludes the memory of libraries from the measurement

    watch = Peak()
    found: dict[str, Any] = {"before": watch.take()}
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset.open(path, Contract.load("activation"))
        found["rows"] = len(data)
        found["read"] = watch.take()
        search(data, config, Path(folder) / "search")
        found["search"] = watch.take()
        retrain(Path(folder) / "search", data, config, Path(folder) / "retrain")
        found["retrain"] = watch.take()
    found["resident"] = round(status("VmHWM"), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(measure(options.only or None, options.steps)))
        return
    results = []
    print("peak memory in MB  before    read  search  retrain  with mapped files")
    for path in ("", *options.data):
        command = [sys.executable, __file__, "--only", path, "--steps", str(options.steps)]
        one = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        results.append(one)
        print(
            f"{one['rows']:>10,} rows {one['before']:11.0f} {one['read']:7.0f} "
            f"{one['search']:7.0f} {one['retrain']:8.0f} {one['resident']:18.0f}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
