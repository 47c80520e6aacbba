"""Import every published network, and compare it with the original.

    python -m benchmarks.import_published [--size published] [--only NAME,NAME] [--keep DIR]
        [--update docs/import.md]

For every network of `benchmarks.published_networks`, the table says whether it is imported, how
many operations and multiply-adds its plan has, how far its outputs are from those of torch in
double precision, and how long the import takes. `--keep` keeps the bundles, with the original as
``NAME.onnx`` and ``NAME.pt2`` next to them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.markdown_tables import replaced, table
from benchmarks.published_networks import NETWORKS, SIZES, Exported, PublishedNetwork, exported
from benchmarks.published_networks.table import Size
from emufort.api import import_network
from emufort.errors import EmufortError
from emufort.network.emulator import Emulator

#: Samples on which the networks are compared.
_SAMPLES = 256


@dataclass(frozen=True)
class Outcome:
    """What became of one network.

    Attributes
    ----------
    network
        The network.
    original
        Its export.
    seconds
        Time of the import, with its checks and the bundle [s].
    emulator
        The imported network; None if it was refused.
    refusal
        Why it was refused.
    """

    network: PublishedNetwork
    original: Exported
    seconds: float
    emulator: Emulator | None
    refusal: str = ""

    def row(self) -> list[str]:
        """Return the row of the table."""
        name, source = f"`{self.network.name}`", self.network.source
        if self.emulator is None:
            return [name, source, *[""] * 4, f"{self.seconds:.1f}", f"refused: {self.refusal}"]
        plan = self.emulator.plan
        found, own = self.differences()
        return [
            name,
            source,
            f"{self.original.n_inputs} to {plan.sizes[plan.result]}",
            f"{len(plan.operations):,}",
            f"{plan.multiply_adds:,}",
            f"{multiply_adds(self.original):,}",
            f"{self.seconds:.1f}",
            f"{found:.0e} ({own:.0e})",
        ]

    def differences(self) -> tuple[float, float]:
        """Return how far the imported network, and torch in single precision, are from torch.

        Both are relative to the spread of each output over the samples.
        """
        assert self.emulator is not None
        x = self.original.samples(_SAMPLES)
        wanted = self.original.outputs(x, torch.float64)
        spread = np.maximum(wanted.std(axis=0), 1e-3 * np.abs(wanted).max(axis=0))
        spread[spread == 0.0] = 1.0
        found = self.emulator.predict(x), self.original.outputs(x, torch.float32)
        one, other = (float((np.abs(y - wanted) / spread).max()) for y in found)
        return one, other


def multiply_adds(original: Exported) -> int:
    """Return the multiply-adds of one column in torch's matrix products and convolutions."""
    counter = FlopCounterMode(display=False)
    # The fused recurrent layers of oneDNN are not counted.
    with counter, torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False):
        original.module(*(torch.zeros(1, *shape) for shape in original.shapes.values()))
    return int(counter.get_total_flops() // 2)


def imported(network: PublishedNetwork, size: Size, folder: Path) -> Outcome:
    """Export a network from torch, and import it from ONNX."""
    original = exported(network, size)
    started = time.perf_counter()
    try:
        bundle = import_network(
            original.model, folder / network.name, name=network.name, example=original.samples(1152)
        )
    except EmufortError as refusal:
        return Outcome(network, original, time.perf_counter() - started, None, str(refusal))
    seconds = time.perf_counter() - started
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(original.program, folder / f"{network.name}.pt2")
    (folder / f"{network.name}.onnx").write_bytes(original.model.SerializeToString())
    return Outcome(network, original, seconds, bundle.emulator())


HEAD = [
    "network",
    "from",
    "values in and out",
    "operations",
    "multiply-adds",
    "of the original",
    "import, s",
    "difference (torch, single)",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="published")
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--update", type=Path, default=None)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.only.split(","):
            rows.append(imported(NETWORKS[name], options.size, folder).row())
            print(" | ".join(rows[-1]), flush=True)
    if options.update is not None:
        text = options.update.read_text()
        body = "\n".join(table(HEAD, rows))
        options.update.write_text(replaced(text, "published networks", body))
    if any(row[-1].startswith("refused") for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
