"""What a core can do at best, measured: multiply-adds in registers, and reading memory."""

from __future__ import annotations

import os
import statistics
from typing import Any

from emufort.benchmark.programs import Programs
from emufort.benchmark.workers import Process

#: Arrays whose reading is timed, in kB: in the first cache, in the second, in memory.
READS = {"L1": 32, "L2": 512, "memory": 262144}


class Peak:
    """Programs that measure one core, one for each width of vectors.

    Parameters
    ----------
    programs
        Builds them.
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
        #: Width of the vectors that are faster here.
        self.bits = max(self._rates, key=lambda bits: max(self._rates[bits]))

    def measure(self, milliseconds: float) -> float:
        """Return the peak of this moment in GFLOP/s."""
        rate = self._rate(self.bits, milliseconds)
        self._rates[self.bits].append(rate)
        return rate

    def measure_all(self, milliseconds: float) -> None:
        """Measure both widths and reading, for the record."""
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
        """Return what bench.json says of the core."""
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
        """End the programs."""
        for process in self._processes.values():
            process.close()
