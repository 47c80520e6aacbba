"""Ways of step 1: how candidates are trained, and which ones continue from rung to rung."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from emufort.config import Config
from emufort.errors import UsageError
from emufort.search.plan import Plan

#: Syntax of a way.
FORM = "SCHEDULE:EPOCHS:ROWS[:BATCH[:RATE]]"


@dataclass(frozen=True)
class Way:
    """One way to train a candidate in step 1.

    Attributes
    ----------
    schedule
        ``"constant"``: the candidate's learning rate and batch size, without a decay;
        ``"cosine"``: a short version of step 2, which is the default of the search.
    epochs, rows
        Number of passes through `rows` training rows (0: all of them).
    batch_size
        Samples per step with ``"cosine"``; 0 for the search's choice at this length.
    rate
        Learning rate with ``"cosine"``, as a multiple of the rate of step 2 scaled for the batch
        size alone; 0 for the search's choice, which is also scaled for the number of steps.
    """

    schedule: str
    epochs: int
    rows: int
    batch_size: int = 0
    rate: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``SCHEDULE:EPOCHS:ROWS[:BATCH]``, such as ``cosine:16:0:32``."""
        schedule, *numbers = text.split(":")
        if schedule not in ("constant", "cosine") or not 2 <= len(numbers) <= 4:
            raise UsageError(f"'{text}' is no way to train: use {FORM}")
        try:
            way = cls(schedule, *map(int, numbers[:3]), *map(float, numbers[3:]))
        except ValueError as error:
            raise UsageError(f"'{text}' is no way to train: {error}") from error
        if way.epochs < 1 or min(way.rows, way.batch_size) < 0 or not 0 <= way.rate < math.inf:
            raise UsageError(
                f"'{text}' is no way to train: it needs 1 epoch or more, and rows >= 0"
            )
        if way.schedule == "constant" and (way.batch_size or way.rate):
            raise UsageError(f"'{text}' is no way to train: with 'constant' leave BATCH out")
        return way

    def continues(self, before: Self) -> bool:
        """Return whether a candidate continues from the result of `before` (constant rate only)."""
        return self.schedule == before.schedule == "constant" and self.rows == before.rows

    def __str__(self) -> str:
        batch = f":{self.batch_size}" if self.batch_size or self.rate else ""
        batch += f":{self.rate:g}" if self.rate else ""
        return f"{self.schedule}:{self.epochs}:{self.rows}{batch}"


@dataclass(frozen=True)
class Rungs:
    """A sequence of ways: the best one in `eta` of a rung continue to the next.

    A single way is one rung, which all candidates reach.

    Attributes
    ----------
    ways
        Ways of the rungs, n of them.
    etas
        One in `eta` continues, for each rung except the last (n - 1 numbers).
    """

    ways: tuple[Way, ...]
    etas: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``WAY/ETA+WAY/ETA+WAY``, such as ``cosine:4:0:16/4+cosine:8:0:16``."""
        *first, last = text.split("+")
        ways, etas = [], []
        for part in first:
            way, _, eta = part.rpartition("/")
            if not eta.isdecimal() or int(eta) < 2:
                raise UsageError(
                    f"'{text}' is no way to train: add to every rung except the last the share "
                    f"that continues, {FORM}/ETA+{FORM}"
                )
            ways.append(Way.parse(way))
            etas.append(int(eta))
        return cls((*ways, Way.parse(last)), tuple(etas))

    @classmethod
    def of(cls, config: Config, n_train: int) -> Self:
        """Return the rungs of a search with `n_train` training rows and a single batch."""
        search, plan = config.search, Plan.of(config, n_train)
        pairs = zip(plan.rungs, plan.rung_rows, strict=True)
        ways = tuple(Way(search.schedule, epochs, n) for epochs, n in pairs)
        return cls(ways, (search.eta,) * (len(ways) - 1))

    def __str__(self) -> str:
        first = (f"{way}/{eta}" for way, eta in zip(self.ways, self.etas, strict=False))
        return "+".join([*first, str(self.ways[-1])])


def parse_ways(text: str, config: Config, n_train: int) -> list[Rungs]:
    """Read a comma-separated list of ways; ``default`` means those of the configuration.

    Raises
    ------
    UsageError
        A way cannot be read, or the list is empty.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError(f"--ways lists no way to train: use {FORM},...")
    found = (
        Rungs.of(config, n_train) if word == "default" else Rungs.parse(word) for word in words
    )
    return list(dict.fromkeys(found))
