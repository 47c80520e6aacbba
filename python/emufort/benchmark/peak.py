"""Measure the peak of a core: multiply-adds in registers, and reading memory."""

from __future__ import annotations

import os
import statistics
from typing import Any

from emufort.benchmark.programs import Programs
from emufort.benchmark.workers import Process

#: Sizes of the arrays whose reading is timed, for both caches and memory [kB].
READS = {"L1": 32, "L2": 512, "memory": 262144}


class Peak:
    """Programs that measure one core, one for each vector width.

    Parameters
    ----------
    programs
        Builds the programs.
    """

    def __init__(self, programs: Programs) -> None:
        self._processes: dict[int, Process] = {}
        self._rates: dict[int, list[float]] = {}
        self._reads: dict[str, list[float]] = {name: [] for name in READS}
        try:
            for bits in (512, 256):
                process = Process([programs.peak(bits)], os.environ)
                self._processes[bits] = process
                self._rates[bits] = [self._rate(bits, 20.0) for _ in range(3)]
        except BaseException:
            self.close()
            raise
        #: Vector width that is faster on this machine [bits].
        self.bits = max(self._rates, key=lambda bits: max(self._rates[bits]))

    def measure(self, milliseconds: float) -> float:
        """Return the current peak [GFLOP/s]."""
        rate = self._rate(self.bits, milliseconds)
        self._rates[self.bits].append(rate)
        return rate

    def measure_all(self, milliseconds: float) -> None:
        """Measure both vector widths and the reading of memory, for the record."""
        for bits, rates in self._rates.items():
            rates.append(self._rate(bits, milliseconds))
        for name, kilobytes in READS.items():
            words = self._processes[self.bits].request(
                f"read {kilobytes} {milliseconds:.4f}", "read"
            )
            self._reads[name].append(float(words[0]))

    def _rate(self, bits: int, milliseconds: float) -> float:
        words = self._processes[bits].request(f"peak {milliseconds:.4f}", "peak")
        return float(words[0])

    def summary(self) -> dict[str, Any]:
        """Return the entry of bench.json about the core."""
        return {
            "bits": self.bits,
            "gflops": round(statistics.median(self._rates[self.bits]), 2),
            "gflops_best": round(max(self._rates[self.bits]), 2),
            "gflops_by_bits": {
                str(bits): round(statistics.median(rates), 2) for bits, rates in self._rates.items()
            },
            "read_gigabytes_per_second": {
                name: round(statistics.median(rates), 2)
                for name, rates in self._reads.items()
                if rates
            },
        }

    def close(self) -> None:
        """Stop the programs."""
        for process in self._processes.values():
            process.close()
