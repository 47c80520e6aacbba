"""Offline benchmark: what an emulator costs on this machine, beside the other ways to run it.

`run` measures, `Result` holds what it found; see docs/benchmark.md for how to read it.
"""

from __future__ import annotations

from emufort.benchmark.options import Options
from emufort.benchmark.result import Result, Row
from emufort.benchmark.run import run

__all__ = ["Options", "Result", "Row", "run"]
