"""Published architectures of networks, built in torch with random weights.

`NETWORKS` lists them; each has a small and a published size. They are built from the descriptions
in the papers. Where a paper leaves a width open, the width is that of a network for a column of
60 levels.
"""

from __future__ import annotations

from benchmarks.published_networks.exporting import Exported, exported
from benchmarks.published_networks.table import NETWORKS, SIZES, PublishedNetwork

__all__ = ["NETWORKS", "SIZES", "Exported", "PublishedNetwork", "exported"]
