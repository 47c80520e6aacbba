"""Which trainings run side by side: networks of similar shape, padded to a common shape.

All networks of a bucket have the same family, depth, activation functions, inputs, outputs and
batch size. Their widths may differ: every hidden layer is padded to the widest one at its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

from emufort.network.architecture import Architecture
from emufort.training.task import TrainingTask

#: Largest work of a bucket with padding as a multiple of the work of its networks alone.
MOST_PADDING = 1.5
#: Layers with fewer multiply-adds count as this many: a product that small takes a GPU as long.
_SMALLEST_LAYER = 64 * 64
#: Most parameters of a bucket, padding included, which bounds its memory: six arrays of this length
#: in single precision are 1.5 GiB.
_MOST_PARAMETERS = 2**26

#: Multiply-adds of a step on a CPU from which dispatch overhead is negligible compared with the
#: arithmetic.
_MOST_WORK_ON_CPU = 1_000_000


def pays(tasks: Sequence[TrainingTask]) -> bool:
    """Return whether trainings finish sooner together than one after the other on a CPU.

    This holds for small networks that differ only in their seed: benchmarks/ensembles.py measures a
    speed-up from 1.7 for 8 neurons down to 1.1 at the limit. Beyond the limit, the larger buffers
    make the joint training slower.
    """
    work = tasks[0].architecture.multiply_adds * tasks[0].batch_size
    equals = {(t.architecture, t.learning_rate, t.batch_size, t.weight_decay) for t in tasks}
    is_small = work <= _MOST_WORK_ON_CPU and tasks[0].is_plain
    return len(tasks) > 1 and len(equals) == 1 and is_small


def shape_of(task: TrainingTask) -> tuple[Hashable, ...]:
    """Return what all trainings of a bucket have in common."""
    one = task.architecture
    return (
        one.family, one.n_inputs, one.n_outputs, len(one.hidden), one.activation_label,
        task.batch_size,
    )  # fmt: skip


def padded(architectures: Sequence[Architecture]) -> Architecture:
    """Return the architecture whose layers are as wide as the widest of `architectures`."""
    first = architectures[0]
    hidden = tuple(max(widths) for widths in zip(*(a.hidden for a in architectures), strict=True))
    return Architecture(first.n_inputs, hidden, first.n_outputs, first.activation, first.family)


def work_of(architecture: Architecture) -> int:
    """Return the multiply-adds of one sample; small layers count as `_SMALLEST_LAYER`."""
    sizes = architecture.sizes
    return sum(max(a * b, _SMALLEST_LAYER) for a, b in itertools.pairwise(sizes))


def buckets(tasks: Sequence[TrainingTask]) -> list[list[int]]:
    """Divide trainings into buckets; the result depends on the tasks and their order alone.

    The largest networks come first, and each one joins the bucket that it needs to pad least. The
    work of a bucket is at most `MOST_PADDING` times that of its networks.

    Parameters
    ----------
    tasks
        Trainings in any order.

    Returns
    -------
    list
        Positions of the trainings of each bucket, ascending; the bucket with the most work first.
    """
    work = [work_of(task.architecture) for task in tasks]
    found: dict[tuple[Hashable, ...], list[_Bucket]] = {}
    for position in sorted(range(len(tasks)), key=lambda i: (-work[i], i)):
        task = tasks[position]
        same = found.setdefault(shape_of(task), [])
        offers = [
            bucket.with_member(position, task.architecture, work[position]) for bucket in same
        ]
        fits = [(one.padding, i) for i, one in enumerate(offers) if one.is_allowed]
        if fits:
            i = min(fits)[1]
            same[i] = offers[i]
        else:
            same.append(_Bucket((position,), task.architecture, work[position]))
    every = [bucket for same in found.values() for bucket in same]
    every.sort(key=lambda bucket: (-bucket.total, bucket.members))
    return [sorted(bucket.members) for bucket in every]


class _Bucket:
    """Positions of the members, their padded architecture, and their work without padding."""

    def __init__(self, members: tuple[int, ...], shape: Architecture, work: int) -> None:
        self.members, self.shape, self.work = members, shape, work
        self.total = len(members) * work_of(shape)

    def with_member(self, position: int, architecture: Architecture, work: int) -> _Bucket:
        shape = padded([self.shape, architecture])
        return _Bucket((*self.members, position), shape, self.work + work)

    @property
    def padding(self) -> float:
        return self.total / self.work

    @property
    def is_allowed(self) -> bool:
        parameters = len(self.members) * self.shape.n_parameters
        return self.padding <= MOST_PADDING and parameters <= _MOST_PARAMETERS
