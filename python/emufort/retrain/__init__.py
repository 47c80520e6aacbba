"""Step 2: some candidates of a search on all training rows."""

from __future__ import annotations

from emufort.retrain.retrain import retrain
from emufort.retrain.table import Retrained

__all__ = ["Retrained", "retrain"]
