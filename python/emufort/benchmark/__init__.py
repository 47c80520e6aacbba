"""Offline benchmark: the inference time of an emulator compared with other ways to run it.

`run` measures, `Result` holds the results; docs/benchmark.md explains how to read them.
"""

from __future__ import annotations

from emufort.benchmark.options import Options
from emufort.benchmark.result import Result, Row
from emufort.benchmark.run import run

__all__ = ["Options", "Result", "Row", "run"]
