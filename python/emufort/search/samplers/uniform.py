"""The sampler ``random``: uniform points of the unit cube."""

from __future__ import annotations

import numpy as np

from emufort.search.samplers.base import CubeProposer, accepted
from emufort.search.space import Candidate


class UniformProposer(CubeProposer):
    """Draws candidates independently of each other and of the trials."""

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        rng = np.random.default_rng([self._seed, batch])
        return accepted(self._uniform(rng), size, self._accept)
