"""Train networks with torch at little overhead: explicit gradients, no autograd, no DataLoader.

For the narrow networks of emulators, the arithmetic of a step takes less time than an eager
framework needs to dispatch it. Therefore every product writes into a preallocated buffer, samples
run along the columns (a bias then needs only one more row of ones), and Adam is one fused call on
one buffer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from emufort.errors import UsageError
from emufort.training.layout import Layout
from emufort.training.schedule import StepPlan
from emufort.training.start import output_biases, start
from emufort.training.state import TrainerState
from emufort.training.task import Arrays, TrainingTask
from emufort.training.torch_operations import Matrices, Passes
from emufort.training.trainer import Listener, ignore

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
#: Columns per block of an evaluation; the activations of a block stay in the cache.
_EVALUATION_BLOCK = 1024
#: Training rows whose loss the training curve records.
_CURVE_ROWS = 2048
#: Rows that are gathered per block, so that memory does not grow with the data (or a mapped file).
_GATHER_ROWS = 8192


@contextmanager
def _lean_torch() -> Iterator[None]:
    """Use one thread and no autograd, and flush denormals, which moments of dead neurons become."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


class TorchTrainer:
    """A `Trainer` on one CPU thread."""

    def __init__(
        self, arrays: Arrays, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"torch cannot use the device '{device}' on this machine") from error
        self.dtype = dtype
        self.sigmoid = _runs(arrays.sigmoid)
        self.biases = output_biases(arrays)
        with _lean_torch():
            self.x = _in_place(arrays.x_train, self.device, dtype)
            self.y = _in_place(arrays.y_train, self.device, dtype)
            self.validation = _blocks(
                _with_ones(arrays.x_validation, self.device, dtype),
                _tensor(arrays.y_validation, self.device, dtype),
            )
            self.sample = _blocks(
                _with_ones(arrays.x_train[:_CURVE_ROWS], self.device, dtype),
                _tensor(arrays.y_train[:_CURVE_ROWS], self.device, dtype),
            )

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return len(self.x)

    def run_epochs(
        self,
        state: TrainerState,
        until_epoch: int,
        patience: int,
        listener: Listener = ignore,
    ) -> TrainerState:
        """See `Trainer.run_epochs`."""
        begun = time.perf_counter()
        start(state, self.biases)
        with _lean_torch():
            network = _Network(self, state)
            rate = state.task.learning_rate
            while state.epoch < until_epoch and not state.stopped:
                for x, y in network.batches(state.epoch):
                    network.step(x, y, rate)
                state.epoch += 1
                state.look(network.loss(self.validation), network.flat_weights())
                if not state.stopped and state.stale >= patience:
                    state.stopped = "patience"
                listener(state)
            network.store(state)
        state.seconds += time.perf_counter() - begun
        return state

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """See `Trainer.run_steps`."""
        begun = time.perf_counter()
        start(state, self.biases)
        with _lean_torch():
            network = _Network(self, state)
            peak = state.task.learning_rate
            step = state.step
            while step < plan.steps and not state.stopped:
                epoch, position = divmod(step, network.steps_per_epoch)
                for x, y in network.batches(epoch, position):
                    rate = peak * plan.factor(step)
                    network.step(x, y, rate)
                    step += 1
                    if step % plan.evaluate_every == 0 or step == plan.steps:
                        validation = network.loss(self.validation)
                        state.look(validation, network.flat_weights())
                        if plan.curve:
                            training = network.loss(self.sample)
                            state.curve.append((step, training, validation, rate))
                        network.store(state)
                        now = time.perf_counter()
                        state.seconds += now - begun
                        begun = now
                        listener(state)
                    if step == plan.steps or state.stopped:
                        break
        return state


class _Network:
    """Buffers of one training: weights, gradients, activations, moments."""

    def __init__(self, trainer: TorchTrainer, state: TrainerState) -> None:
        self.trainer = trainer
        self.task: TrainingTask = state.task
        device, dtype = trainer.device, trainer.dtype
        layout = Layout(state.task.architecture)
        self.batch = min(state.task.batch_size, trainer.n_train)
        self.steps_per_epoch = trainer.n_train // self.batch
        # Fresh tensors rather than views of numpy's memory: torch aligns them, and the last bits of
        # a matrix product may depend on the alignment.
        self.flat = _tensor(state.weights, device, dtype)
        self.gradient = torch.zeros_like(self.flat)
        self.moment1 = _tensor(state.moment1, device, dtype)
        self.moment2 = _tensor(state.moment2, device, dtype)
        self.n_steps = torch.tensor(float(state.step), dtype=torch.float32, device=device)
        self.done = state.step
        views = [
            (start, start + rows * columns, rows, columns)
            for (rows, columns), start in zip(layout.shapes, layout.starts, strict=False)
        ]
        weights = [self.flat[a:b].view(r, c) for a, b, r, c in views]
        gradients = [self.gradient[a:b].view(r, c) for a, b, r, c in views]
        self.matrices = {
            name: Matrices(weight, gradient, weight[:, :-1].t())
            for name, weight, gradient in zip(layout.names, weights, gradients, strict=True)
        }
        self.plan = state.task.architecture.plan
        self.passes = Passes(self.plan, self.matrices, self.batch, device, dtype)
        # The gradient is that of half the summed squares. Adam ignores this scale if epsilon has it
        # too.
        self.epsilon = _EPSILON * self.batch * self.plan.sizes[self.plan.result] / 2.0
        self.evaluation: dict[int, Passes] = {}

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield x (batch, n_features + 1) and y (n_outputs, batch) of an epoch from batch `first`.

        The order depends on (seed, epoch) only. An incomplete last batch is left out; its rows
        differ from epoch to epoch.
        """
        trainer = self.trainer
        used = self.steps_per_epoch * self.batch
        rng = np.random.default_rng([self.task.seed, 1, epoch])
        order = torch.from_numpy(rng.permutation(trainer.n_train)[:used]).to(trainer.device)
        at_once = max(1, _GATHER_ROWS // self.batch)
        # Blocks start at the same batches wherever an epoch is resumed, because bits may depend on
        # the alignment of a batch within its block.
        for begin in range(first - first % at_once, self.steps_per_epoch, at_once):
            rows = order[begin * self.batch : (begin + at_once) * self.batch]
            shape = (len(rows) // self.batch, self.batch, -1)
            # Rows of features end with the 1 that the bias multiplies.
            x = torch.ones(
                (len(rows), trainer.x.shape[1] + 1), device=trainer.device, dtype=trainer.dtype
            )
            x[:, :-1] = trainer.x.index_select(0, rows)
            y = trainer.y.index_select(0, rows).view(shape).transpose(1, 2).contiguous()
            skipped = max(0, first - begin)
            yield from zip(x.view(shape).unbind()[skipped:], y.unbind()[skipped:], strict=True)

    def forward(
        self, passes: Passes, with_ones: torch.Tensor, transposed: torch.Tensor
    ) -> torch.Tensor:
        """Return the network's output (n_outputs, n) for features (n_features + 1, n)."""
        out = passes.forward(with_ones, transposed)
        for rows in self.trainer.sigmoid:
            torch.sigmoid(out[rows], out=out[rows])
        return out

    def backward(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Fill the gradient of half the summed squared error for x (n, n_features + 1)."""
        out = self.forward(self.passes, x.t(), x)
        delta = torch.sub(out, y, out=self.passes.last.delta)
        for rows in self.trainer.sigmoid:
            torch.ops.aten.sigmoid_backward.grad_input(
                delta[rows], out[rows], grad_input=delta[rows]
            )
        self.passes.backward()

    def step(self, x: torch.Tensor, y: torch.Tensor, learning_rate: float) -> None:
        """Take one step of Adam (AdamW with weight decay)."""
        self.backward(x, y)
        self.done += 1
        if self.task.weight_decay > 0:
            self.flat.mul_(1.0 - learning_rate * self.task.weight_decay)
        self.n_steps.fill_(self.done)
        _adam(
            self.flat, self.gradient, self.moment1, self.moment2, self.n_steps,
            learning_rate, self.epsilon,
        )  # fmt: skip

    def loss(self, blocks: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
        """Return the mean squared error over all rows and outputs."""
        total = torch.zeros((), dtype=torch.float64, device=self.flat.device)
        count = 0
        for x, y in blocks:
            n = x.shape[1]
            if n not in self.evaluation:
                self.evaluation[n] = Passes(
                    self.plan, self.matrices, n, self.flat.device, self.flat.dtype
                )
            passes = self.evaluation[n]
            error = torch.sub(self.forward(passes, x, x.t()), y, out=passes.last.delta)
            total += error.double().square().sum()
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


def _fused_adam(
    flat: torch.Tensor, gradient: torch.Tensor, moment1: torch.Tensor, moment2: torch.Tensor,
    n_steps: torch.Tensor, learning_rate: float, epsilon: float,
) -> None:  # fmt: skip
    torch._fused_adam_(
        [flat], [gradient], [moment1], [moment2], [], [n_steps],
        lr=learning_rate, beta1=_BETA1, beta2=_BETA2, weight_decay=0.0, eps=epsilon,
        amsgrad=False, maximize=False,
    )  # fmt: skip


def _plain_adam(
    flat: torch.Tensor, gradient: torch.Tensor, moment1: torch.Tensor, moment2: torch.Tensor,
    n_steps: torch.Tensor, learning_rate: float, epsilon: float,
) -> None:  # fmt: skip
    t = int(n_steps)
    moment1.lerp_(gradient, 1.0 - _BETA1)
    moment2.mul_(_BETA2).addcmul_(gradient, gradient, value=1.0 - _BETA2)
    root = (1.0 - _BETA2**t) ** 0.5
    denominator = moment2.sqrt().div_(root).add_(epsilon)
    flat.addcdiv_(moment1, denominator, value=-learning_rate / (1.0 - _BETA1**t))


#: torch.optim.Adam(fused=True) calls this function. Its name is not public, so a fallback exists.
_adam: Callable[..., None] = _fused_adam if hasattr(torch, "_fused_adam_") else _plain_adam


def _tensor(array: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, dtype, copy=True)


def _in_place(array: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Share the memory of `array` where torch can, else copy it; the result is never written to."""
    if device.type == "cpu" and dtype == torch.float32 and array.flags.writeable:
        return torch.from_numpy(np.ascontiguousarray(array))
    return _tensor(array, device, dtype)


def _with_ones(x: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    rows = torch.ones((len(x), x.shape[1] + 1), device=device, dtype=dtype)
    rows[:, :-1] = _tensor(x, device, dtype)
    return rows


def _blocks(x: torch.Tensor, y: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Cut rows into blocks whose samples run along the columns."""
    return [
        (a.t().contiguous(), b.t().contiguous())
        for a, b in zip(
            torch.split(x, _EVALUATION_BLOCK), torch.split(y, _EVALUATION_BLOCK), strict=True
        )
    ]


def _runs(flags: tuple[bool, ...]) -> list[slice]:
    """Return the runs of consecutive True values; outputs of one kind are mostly adjacent."""
    runs: list[slice] = []
    for i, flag in enumerate(flags):
        if flag and runs and runs[-1].stop == i:
            runs[-1] = slice(runs[-1].start, i + 1)
        elif flag:
            runs.append(slice(i, i + 1))
    return runs
