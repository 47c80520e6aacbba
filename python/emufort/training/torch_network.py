"""One network that torch trains: its weights, gradients, activations and moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from emufort.training.layout import Layout
from emufort.training.state import TrainerState
from emufort.training.task import TrainingTask
from emufort.training.torch_adam import EPSILON, adam
from emufort.training.torch_operations import Matrices, Passes
from emufort.training.torch_rows import Rows, tensor

#: Columns per block of an evaluation; the activations of a block stay in the cache.
_EVALUATION_BLOCK = 1024
#: Rows that are gathered per block, so that memory does not grow with the data (or a mapped file).
_GATHER_ROWS = 8192


class Network:
    """Buffers of one training.

    Parameters
    ----------
    rows
        The data.
    sigmoid
        Outputs that a sigmoid follows.
    state
        The training; it is modified only by `store`.
    """

    def __init__(self, rows: Rows, sigmoid: Sequence[slice], state: TrainerState) -> None:
        self.rows, self.sigmoid = rows, sigmoid
        self.task: TrainingTask = state.task
        device, dtype = rows.device, rows.dtype
        layout = Layout(state.task.architecture)
        self.batch = min(state.task.batch_size, len(rows.x))
        self.steps_per_epoch = len(rows.x) // self.batch
        # Fresh tensors rather than views of numpy's memory: torch aligns them, and the last bits of
        # a matrix product may depend on the alignment.
        self.flat = tensor(state.weights, device, dtype)
        self.gradient = torch.zeros_like(self.flat)
        self.moment1 = tensor(state.moment1, device, dtype)
        self.moment2 = tensor(state.moment2, device, dtype)
        self.n_steps = torch.tensor(float(state.step), dtype=torch.float32, device=device)
        self.done = state.step
        views = [
            (start, start + n_out * n_in, n_out, n_in)
            for (n_out, n_in), start in zip(layout.shapes, layout.starts, strict=False)
        ]

        def matrices(flat: torch.Tensor, gradient: torch.Tensor) -> dict[str, Matrices]:
            weights = [flat[a:b].view(r, c) for a, b, r, c in views]
            gradients = [gradient[a:b].view(r, c) for a, b, r, c in views]
            return {
                name: Matrices(weight, gradient, weight[:, :-1].t())
                for name, weight, gradient in zip(layout.names, weights, gradients, strict=True)
            }

        self.matrices = matrices(self.flat, self.gradient)
        self.plan = state.task.architecture.plan
        part = min(state.task.microbatch or self.batch, self.batch)
        self.parts = [slice(a, min(a + part, self.batch)) for a in range(0, self.batch, part)]
        self.is_plain = state.task.precision == "single" and len(self.parts) == 1
        if self.is_plain:
            self.passes = Passes(self.plan, self.matrices, self.batch, device, dtype)
        else:
            self.computed = torch.bfloat16 if state.task.precision == "bfloat16" else dtype
            # The weights that products read, and the gradient of one part of a batch.
            self.low = self.flat if self.computed == dtype else self.flat.to(self.computed)
            self.part_gradient = torch.zeros_like(self.low)
            of_part = matrices(self.low, self.part_gradient)
            sizes = {part.stop - part.start for part in self.parts}
            self.part_passes = {
                n: Passes(self.plan, of_part, n, device, self.computed) for n in sizes
            }
        # The gradient is that of half the summed squares. Adam ignores this scale if epsilon has it
        # too.
        self.epsilon = EPSILON * self.batch * self.plan.sizes[self.plan.result] / 2.0
        self.evaluation: dict[int, Passes] = {}

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield x (batch, n_features + 1) and y (n_outputs, batch) of an epoch from batch `first`.

        The order depends on (seed, epoch) only. An incomplete last batch is left out; its rows
        differ from epoch to epoch.
        """
        rows = self.rows
        used = self.steps_per_epoch * self.batch
        rng = np.random.default_rng([self.task.seed, 1, epoch])
        order = torch.from_numpy(rng.permutation(len(rows.x))[:used])
        at_once = max(1, _GATHER_ROWS // self.batch)
        # Blocks start at the same batches wherever an epoch is resumed, because bits may depend on
        # the alignment of a batch within its block.
        for begin in range(first - first % at_once, self.steps_per_epoch, at_once):
            index = order[begin * self.batch : (begin + at_once) * self.batch]
            shape = (len(index) // self.batch, self.batch, -1)
            features, targets = rows.gather(index)
            # Rows of features end with the 1 that the bias multiplies.
            width = features.shape[1] + 1
            x = torch.ones((len(index), width), device=rows.device, dtype=rows.dtype)
            x[:, :-1] = features
            y = targets.view(shape).transpose(1, 2).contiguous()
            skipped = max(0, first - begin)
            yield from zip(x.view(shape).unbind()[skipped:], y.unbind()[skipped:], strict=True)

    def forward(
        self, passes: Passes, with_ones: torch.Tensor, transposed: torch.Tensor
    ) -> torch.Tensor:
        """Return the network's output (n_outputs, n) for features (n_features + 1, n)."""
        out = passes.forward(with_ones, transposed)
        for part in self.sigmoid:
            torch.sigmoid(out[part], out=out[part])
        return out

    def backward(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Fill the gradient of half the summed squared error for x (n, n_features + 1)."""
        if not self.is_plain:
            self._backward_in_parts(x, y)
            return
        out = self.forward(self.passes, x.t(), x)
        delta = torch.sub(out, y, out=self.passes.last.delta)
        self._through_sigmoids(delta, out)
        self.passes.backward()

    def _backward_in_parts(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Do the same with a part of the samples at a time, or in another precision.

        Outputs, errors and the sum of the gradients have the precision of the weights.
        """
        if self.low is not self.flat:
            self.low.copy_(self.flat)
        self.gradient.zero_()
        for part in self.parts:
            passes = self.part_passes[part.stop - part.start]
            features = x[part].to(self.computed)
            out = passes.forward(features.t(), features).to(self.flat.dtype)
            for rows in self.sigmoid:
                out[rows] = torch.sigmoid(out[rows])
            delta = out - y[:, part]
            self._through_sigmoids(delta, out)
            passes.last.delta.copy_(delta)
            passes.backward()
            self.gradient.add_(self.part_gradient)

    def _through_sigmoids(self, delta: torch.Tensor, out: torch.Tensor) -> None:
        for part in self.sigmoid:
            torch.ops.aten.sigmoid_backward.grad_input(
                delta[part], out[part], grad_input=delta[part]
            )

    def step(self, x: torch.Tensor, y: torch.Tensor, learning_rate: float) -> None:
        """Take one step of Adam (AdamW with weight decay)."""
        self.backward(x, y)
        self.done += 1
        if self.task.weight_decay > 0:
            self.flat.mul_(1.0 - learning_rate * self.task.weight_decay)
        self.n_steps.fill_(self.done)
        adam(
            self.flat, self.gradient, self.moment1, self.moment2, self.n_steps,
            learning_rate, self.epsilon,
        )  # fmt: skip

    def loss(self, split: str) -> float:
        """Return the mean squared error over all rows and outputs; see `Rows.blocks`."""
        device = self.flat.device
        # The GPUs of Apple have no double precision.
        precision = torch.float32 if device.type == "mps" else torch.float64
        total = torch.zeros((), dtype=precision, device=device)
        count = 0
        for x, y in self.rows.blocks(split, _EVALUATION_BLOCK):
            n = x.shape[1]
            if n not in self.evaluation:
                self.evaluation[n] = Passes(self.plan, self.matrices, n, device, self.flat.dtype)
            passes = self.evaluation[n]
            error = torch.sub(self.forward(passes, x, x.t()), y, out=passes.last.delta)
            total += error.to(precision).square().sum()
            count += y.numel()
        return float(total) / count

    def flat_weights(self) -> np.ndarray:
        """Return the weights as a numpy array; valid until the next step."""
        array: np.ndarray = self.flat.cpu().float().numpy()
        return array

    def store(self, state: TrainerState) -> None:
        """Copy what a resume needs into `state`."""
        state.step = self.done
        state.weights = self.flat_weights().copy()
        state.moment1 = self.moment1.cpu().float().numpy().copy()
        state.moment2 = self.moment2.cpu().float().numpy().copy()
