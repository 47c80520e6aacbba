"""Step 1: many candidates on a small subset, cut by successive halving; see `search`."""

from __future__ import annotations

from emufort.search.driver import search
from emufort.search.result import SearchResult, load_search
from emufort.search.trials import Trial

__all__ = ["SearchResult", "Trial", "load_search", "search"]
