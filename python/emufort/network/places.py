"""The places of the buffers of a plan in the scratch of the runtime, by their lifetimes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Positions of buffers are multiples of this, as ``lanes`` of ``fortran/src/emufort_kinds.F90``.
LANES = 16


class Use(NamedTuple):
    """The buffers that an operation reads and writes.

    Attributes
    ----------
    inputs, output
        Names of buffers.
    overwritable
        Inputs whose place the output may take.
    """

    inputs: tuple[str, ...]
    output: str
    overwritable: frozenset[str]


def buffer_room(n_features: int) -> int:
    """Return the features that a buffer occupies in the scratch, as ``emufort_plan`` does.

    Kernels write whole panels and read one feature past the end of their input.
    """
    return -(-n_features // LANES) * LANES + LANES


def places_of(
    size: Callable[[str], int], uses: Sequence[Use], features: str, result: str
) -> dict[str, int]:
    """Return for each buffer the number of features before it.

    Buffers share slots; a slot is as large as its largest buffer. The output of an operation gets a
    slot whose buffer is no longer needed. A chain of layers has two slots.

    Parameters
    ----------
    size
        Returns the number of features of a buffer.
    uses
        The operations in the order of execution.
    features, result
        Names of the buffer that exists before the first operation, and of the one that must exist
        after the last.
    """
    last_read = {features: -1, result: len(uses)}
    for number, use in enumerate(uses):
        for name in (*use.inputs, use.output):
            last_read[name] = max(last_read.get(name, -1), number)
    slots, rooms = {features: 0}, [buffer_room(size(features))]
    #: The buffer that each slot holds.
    held = [features]
    for number, use in enumerate(uses):
        room = buffer_room(size(use.output))
        free = [
            slot
            for slot, name in enumerate(held)
            if last_read[name] < number or (last_read[name] == number and name in use.overwritable)
        ]
        if not free:
            free = [len(rooms)]
            rooms.append(0)
            held.append("")
        # The smallest slot that fits, or else the slot that has to grow least.
        slot = min(free, key=lambda s: (rooms[s] < room, abs(rooms[s] - room), s))
        rooms[slot] = max(rooms[slot], room)
        slots[use.output], held[slot] = slot, use.output
    starts = list(itertools.accumulate(rooms, initial=0))
    return {name: starts[slot] for name, slot in slots.items()}
