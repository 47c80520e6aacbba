"""The arithmetic of networks that torch trains side by side.

A step of a small network is mostly dispatch overhead, and a small network leaves most of a GPU
idle. Side by side, the products of all networks are one call (`torch.bmm`). Every network has
separate samples, weights, moments and rates; its result agrees up to rounding with that of a
training alone.

Narrower networks are padded: the weights of neurons that they do not have are zero, as are their
gradients and moments, so that these neurons contribute nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from emufort.network.activations import parse
from emufort.training.buckets import padded
from emufort.training.courses import Course
from emufort.training.layout import Layout
from emufort.training.torch_adam import EPSILON, AdamRows
from emufort.training.torch_graph import StepGraph
from emufort.training.torch_operations import Matrices, Passes
from emufort.training.torch_rows import Blocks
from emufort.training.torch_trainer import TorchTrainer

#: Numbers of the samples that are gathered at once, and of the largest layer of an evaluation. On a
#: CPU they stay in the cache.
_GATHERED = {"cpu": 2**18, "cuda": 2**24, "mps": 2**22}
_EVALUATED = {"cpu": 2**17, "cuda": 2**24, "mps": 2**22}
_BUFFERS = ("weights", "moment1", "moment2", "best_weights")


class Ensemble:
    """Buffers of m networks; row i of each buffer belongs to network i.

    Parameters
    ----------
    trainer
        Trainer with the data.
    courses
        Trainings of one shape, see `emufort.training.buckets`; their states are not modified.
    counts_on_device
        Whether the number of the step within the gathered samples is on the device, as the graphs
        of a GPU need it. Default: on a GPU.
    """

    def __init__(
        self,
        trainer: TorchTrainer,
        courses: Sequence[Course],
        counts_on_device: bool | None = None,
    ) -> None:
        self.rows, self.sigmoid, self.courses = trainer.rows, trainer.sigmoid, list(courses)
        tasks = [course.state.task for course in courses]
        device, dtype = self.rows.device, self.rows.dtype
        self.m, self.batch = len(courses), courses[0].batch
        shape = padded([task.architecture for task in tasks])
        self.layout, self.plan = Layout(shape), shape.plan
        self.places = [_places(Layout(task.architecture), self.layout) for task in tasks]
        is_cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if is_cuda else None  # type: ignore[no-untyped-call]
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(device))
        with self._on_stream():
            states = [course.state for course in courses]
            self.weights, self.moment1, self.moment2, self.best_weights = (
                self._joined([getattr(state, name) for state in states]) for name in _BUFFERS
            )
            self.gradient = torch.zeros_like(self.weights)
            self._mask = self._gradient_mask()
            losses = [state.best_loss for state in states]
            self._loss_type = torch.float32 if device.type == "mps" else torch.float64
            self.best_loss = torch.tensor(losses, dtype=self._loss_type, device=device)
            views = zip(self._layers(self.weights), self._layers(self.gradient), strict=True)
            self.matrices = {
                name: Matrices(weight, gradient, weight[:, :, :-1].transpose(1, 2))
                for name, (weight, gradient) in zip(self.layout.names, views, strict=True)
            }
            self.passes = Passes(self.plan, self.matrices, self.batch, device, dtype, self.m)
            n_outputs = self.plan.sizes[self.plan.result]
            self.adam = AdamRows(
                self.weights, self.gradient, self.moment1, self.moment2,
                _runs(courses),
                [task.weight_decay for task in tasks],
                # The gradient is that of half the summed squares. Adam ignores this scale if
                # epsilon has it too.
                EPSILON * self.batch * n_outputs / 2.0,
            )  # fmt: skip
            self._evaluation: dict[int, Passes] = {}
            #: Blocks of the rows of an evaluation; their size is that of this ensemble alone.
            self._blocks: dict[str, Blocks] = {}
            n_features = self.rows.x.shape[1]
            row = self.m * self.batch * (n_features + n_outputs + 1)
            self._most_steps = max(1, min(_GATHERED[device.type] // row, 4096))
            # Rows of features end with the 1 that the bias multiplies.
            n = self._most_steps
            self._x = torch.ones(
                (n, self.m, self.batch, n_features + 1), device=device, dtype=dtype
            )
            self._y = torch.empty((n, self.m, n_outputs, self.batch), device=device, dtype=dtype)
            n_columns = self.adam.coefficients(np.ones((1, self.m)), np.ones((1, self.m), int))
            self._coefficients = torch.zeros((n, *n_columns.shape[1:]), device=device, dtype=dtype)
            counts = is_cuda if counts_on_device is None else counts_on_device
            self._graph = (
                StepGraph((self._x, self._y, self._coefficients), self._step, device)
                if counts
                else None
            )

    # ------------------------------------------------------------------ steps

    def advance(self, steps: int) -> None:
        """Take `steps` steps; on a GPU, only start them."""
        done = 0
        while done < steps:
            n = min(steps - done, self._most_steps)
            with self._on_stream():
                self._gather(n)
                if self._graph is not None:
                    left = (c.last - c.position for c in self.courses if c.is_active)
                    self._graph.run(n, max(left))
                else:
                    for i in range(n):
                        self._step(self._x[i], self._y[i], self._coefficients[i])
            for course in self.courses:
                if course.is_active:
                    course.advance(n)
            done += n

    def _gather(self, steps: int) -> None:
        """Put samples and coefficients of the next steps into the buffers."""
        index = np.zeros((steps, self.m, self.batch), dtype=np.int64)
        rates = np.zeros((steps, self.m))
        counts = np.ones((steps, self.m), dtype=np.int64)
        known: dict[tuple[object, int], list[float]] = {}
        for i, course in enumerate(self.courses):
            if not course.is_active:
                continue
            index[:, i] = course.samples(steps)
            key = course.plan, course.position
            if key not in known:
                known[key] = course.factors(steps)
            rates[:, i] = course.state.task.learning_rate * np.array(known[key])
            counts[:, i] = course.state.step + 1 + np.arange(steps)
        x, y = self.rows.gather(torch.from_numpy(index.reshape(-1)))
        shape = (steps, self.m, self.batch, -1)
        self._x[:steps, ..., :-1].copy_(x.view(shape))
        self._y[:steps].copy_(y.view(shape).transpose(2, 3))
        coefficients = torch.from_numpy(self.adam.coefficients(rates, counts))
        self._coefficients[:steps].copy_(self.rows.upload(coefficients.to(self.rows.dtype)))

    def _step(self, x: torch.Tensor, y: torch.Tensor, row: torch.Tensor) -> None:
        out = self._forward(self.passes, x.transpose(1, 2), x)
        delta = torch.sub(out, y, out=self.passes.last.delta)
        for part in self.sigmoid:
            torch.ops.aten.sigmoid_backward.grad_input(
                delta[:, part], out[:, part], grad_input=delta[:, part]
            )
        self.passes.backward()
        if self._mask is not None:
            self.gradient.mul_(self._mask)
        self.adam.step(row)

    def _forward(self, passes: Passes, x: torch.Tensor, transposed: torch.Tensor) -> torch.Tensor:
        out = passes.forward(x, transposed)
        for part in self.sigmoid:
            torch.sigmoid(out[:, part], out=out[:, part])
        return out

    # ------------------------------------------------------------------ evaluations

    def look(self, due: Sequence[bool], curve: bool) -> Evaluation:
        """Evaluate all networks, and keep the weights of those of `due` with a lower loss.

        Parameters
        ----------
        due
            The networks whose trainings have an evaluation now (m,).
        curve
            Whether to compute the loss of some training rows too.
        """
        with self._on_stream():
            losses = self.losses("validation")
            wanted = self.rows.upload(torch.tensor(list(due)))
            lower = (losses < self.best_loss) & wanted
            self.best_loss = torch.where(lower, losses, self.best_loss)
            torch.where(lower.unsqueeze(1), self.weights, self.best_weights, out=self.best_weights)
            found = [losses, self.losses("sample")] if curve else [losses]
            return Evaluation(torch.stack(found), self._stream)

    def losses(self, split: str) -> torch.Tensor:
        """Return the mean squared error over all rows and outputs of each network (m,)."""
        device, dtype = self.rows.device, self.rows.dtype
        total = torch.zeros(self.m, dtype=self._loss_type, device=device)
        count = 0
        for x, y in self._blocks_of(split):
            n = x.shape[1]
            if n not in self._evaluation:
                self._evaluation[n] = Passes(
                    self.plan, self.matrices, n, device, dtype, self.m, only_forward=True
                )
            features = x.expand(self.m, *x.shape)
            error = self._forward(self._evaluation[n], features, features.transpose(1, 2)) - y
            total += error.to(self._loss_type).square().sum(dim=(1, 2))
            count += y.numel()
        return total / count

    def _blocks_of(self, split: str) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        widest = max(size for _, size in self.plan.buffers)
        block = max(32, _EVALUATED[self.rows.device.type] // (self.m * widest))
        if not self.rows.is_resident:
            return self.rows.cut(split, block)
        if split not in self._blocks:
            self._blocks[split] = list(self.rows.cut(split, block))
        return self._blocks[split]

    def store(self, numbers: Sequence[int]) -> None:
        """Copy what a resume needs into the states of the networks `numbers`."""
        if not numbers:
            return
        with self._on_stream():
            at = torch.tensor(list(numbers), device=self.rows.device)
            found = torch.stack([getattr(self, name).index_select(0, at) for name in _BUFFERS])
            rows = self.rows.download(found.float())
        for j, i in enumerate(numbers):
            here, there, size = self.places[i]
            for name, row in zip(_BUFFERS, rows[:, j], strict=True):
                flat = np.zeros(size, dtype=np.float32)
                flat[here] = row[there]
                setattr(self.courses[i].state, name, flat)

    # ------------------------------------------------------------------ layout

    def _joined(self, flats: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        """Return flat buffers of single networks as padded rows (m, n)."""
        rows = np.zeros((self.m, self.layout.size), dtype=np.float32)
        for row, flat, (here, there, _) in zip(rows, flats, self.places, strict=True):
            row[there] = flat[here]
        found = torch.from_numpy(rows)
        return self.rows.upload(found).to(self.rows.dtype, copy=True)

    def _layers(self, rows: torch.Tensor) -> Iterator[torch.Tensor]:
        for (r, c), start in zip(self.layout.shapes, self.layout.starts, strict=False):
            yield rows[:, start : start + r * c].view(self.m, r, c)

    def _gradient_mask(self) -> torch.Tensor | None:
        """Return 1 for every weight and 0 for padding, if padding would get gradients otherwise.

        Neurons of the padding have the value f(0). Where this is not zero, the weights to the next
        layer get a gradient.
        """
        is_padded = any(len(there) < len(self.places[0][1]) for _, there, _ in self.places) or any(
            len(there) < sum(r * c for r, c in self.layout.shapes) for _, there, _ in self.places
        )
        label = self.courses[0].state.task.architecture.activation_label
        rows = [parse(text) for text in label.split(",")]
        if not is_padded or all(row.value(np.zeros(1), p)[0] == 0.0 for row, p in rows):
            return None
        return self._joined([np.ones(size, dtype=np.float32) for _, _, size in self.places])

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


class Evaluation:
    """Losses of an evaluation, on their way from the device."""

    def __init__(self, losses: torch.Tensor, stream: torch.cuda.Stream | None) -> None:
        self._event = None
        if stream is None:
            self._losses = losses.cpu()
        else:
            self._losses = torch.empty(losses.shape, dtype=losses.dtype, pin_memory=True)
            self._losses.copy_(losses, non_blocking=True)
            self._event = stream.record_event()

    def read(self) -> NDArray[np.float64]:
        """Wait for the losses and return them: of the validation, then of the training rows."""
        if self._event is not None:
            self._event.synchronize()
        return self._losses.double().numpy()


def _places(alone: Layout, joined: Layout) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return where weights are in a flat buffer, where in a padded row, and the buffer's length."""
    here, there = [], []
    for (r, c), (_, wide), start, begin in zip(
        alone.shapes, joined.shapes, alone.starts, joined.starts, strict=False
    ):
        here.append(np.arange(start, start + r * c))
        columns = np.append(np.arange(c - 1), wide - 1)  # the bias is the last column
        there.append((begin + np.arange(r)[:, None] * wide + columns).ravel())
    return np.concatenate(here), np.concatenate(there), alone.size


def _runs(courses: Sequence[Course]) -> list[int]:
    """Return the first of each run of trainings with the same rates at the same steps.

    Trainings that have ended belong to any run with their rates.
    """
    first: list[int] = []
    rates_before: object = None
    place_before: object = None
    for i, course in enumerate(courses):
        task = course.state.task
        rates = task.learning_rate, task.weight_decay, course.plan
        place = (course.state.step, course.position) if course.is_active else place_before
        is_other = rates != rates_before or (place_before is not None and place != place_before)
        if i == 0 or is_other:
            first.append(i)
            place_before = None
        rates_before, place_before = rates, place if course.is_active else place_before
    return first
