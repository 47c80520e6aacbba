"""Ways of step 1: how a candidate is trained, and which candidates go on where there are rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from emufort.config import Config
from emufort.errors import UsageError
from emufort.search.plan import Plan

#: How a way is written.
FORM = "SCHEDULE:EPOCHS:ROWS[:BATCH[:RATE]]"


@dataclass(frozen=True)
class Way:
    """One way to train a candidate in step 1.

    Attributes
    ----------
    schedule
        ``"constant"``: the candidate's learning rate and batch size, without a decay;
        ``"cosine"``: step 2 in small, as the search does it where nothing else is said.
    epochs, rows
        Passes through so many training rows (0: all of them).
    batch_size
        Samples per step of a cosine; 0 for what the search takes for that length.
    rate
        The rate of a cosine, as a multiple of that of step 2 scaled for the batch size alone; 0 for
        what the search takes, which is scaled for the number of steps as well.
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
            raise UsageError(f"'{text}' is no way to train: say {FORM}")
        try:
            way = cls(schedule, *map(int, numbers[:3]), *map(float, numbers[3:]))
        except ValueError as error:
            raise UsageError(f"'{text}' is no way to train: {error}") from error
        if way.epochs < 1 or min(way.rows, way.batch_size) < 0 or not 0 <= way.rate < math.inf:
            raise UsageError(f"'{text}' is no way to train: 1 epoch or more, rows not negative")
        if way.schedule == "constant" and (way.batch_size or way.rate):
            raise UsageError(f"'{text}' is no way to train: with 'constant' leave BATCH out")
        return way

    def continues(self, before: Self) -> bool:
        """Whether a candidate goes on from where `before` left it: at a constant rate only."""
        return self.schedule == before.schedule == "constant" and self.rows == before.rows

    def __str__(self) -> str:
        batch = f":{self.batch_size}" if self.batch_size or self.rate else ""
        batch += f":{self.rate:g}" if self.rate else ""
        return f"{self.schedule}:{self.epochs}:{self.rows}{batch}"


@dataclass(frozen=True)
class Rungs:
    """Ways one after the other: the best one in `eta` of a rung go on to the next.

    A single way is one rung, which all candidates reach.

    Attributes
    ----------
    ways
        Of the rungs, shape (n,).
    etas
        Of all rungs but the last one, shape (n - 1,).
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
                    f"'{text}' is no way to train: say after every rung but the last one which "
                    f"share goes on, {FORM}/ETA+{FORM}"
                )
            ways.append(Way.parse(way))
            etas.append(int(eta))
        return cls((*ways, Way.parse(last)), tuple(etas))

    @classmethod
    def of(cls, config: Config, n_train: int) -> Self:
        """Return the rungs of a search of `n_train` training rows, all candidates in one batch."""
        search, plan = config.search, Plan.of(config, n_train)
        pairs = zip(plan.rungs, plan.rung_rows, strict=True)
        ways = tuple(Way(search.schedule, epochs, n) for epochs, n in pairs)
        return cls(ways, (search.eta,) * (len(ways) - 1))

    def __str__(self) -> str:
        first = (f"{way}/{eta}" for way, eta in zip(self.ways, self.etas, strict=False))
        return "+".join([*first, str(self.ways[-1])])


def parse_ways(text: str, config: Config, n_train: int) -> list[Rungs]:
    """Read a list of ways with commas between; ``default`` stands for those of the configuration.

    Raises
    ------
    UsageError
        A way cannot be read, or there is none.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError(f"--ways lists no way to train: say {FORM},...")
    found = (
        Rungs.of(config, n_train) if word == "default" else Rungs.parse(word) for word in words
    )
    return list(dict.fromkeys(found))
