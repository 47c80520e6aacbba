"""Train networks with torch at little overhead: explicit gradients, no autograd, no DataLoader.

For the narrow networks of emulators, the arithmetic of a step takes less time than an eager
framework needs to dispatch it. Therefore every product writes into a preallocated buffer, samples
run along the columns (a bias then needs only one more row of ones), and Adam is one fused call on
one buffer.
"""

from __future__ import annotations

import time

import torch

from emufort.errors import UsageError
from emufort.training.schedule import StepPlan
from emufort.training.start import output_biases, start
from emufort.training.state import TrainerState
from emufort.training.task import Arrays
from emufort.training.torch_network import Network
from emufort.training.torch_rows import Rows, lean_torch
from emufort.training.trainer import Listener, ignore


class TorchTrainer:
    """A `Trainer` on one CPU thread or a GPU."""

    def __init__(
        self, arrays: Arrays, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
            if self.device.type == "cuda":
                # Otherwise each worker also takes memory of the first GPU.
                torch.cuda.set_device(self.device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"torch cannot use the device '{device}' on this machine") from error
        self.dtype = dtype
        self.sigmoid = _runs(arrays.sigmoid)
        self.biases = output_biases(arrays)
        with lean_torch():
            self.rows = Rows(arrays, self.device, dtype)

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return len(self.rows.x)

    def _network(self, state: TrainerState) -> Network:
        return Network(self.rows, self.sigmoid, state)

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
        with lean_torch():
            network = self._network(state)
            rate = state.task.learning_rate
            while state.epoch < until_epoch and not state.stopped:
                for x, y in network.batches(state.epoch):
                    network.step(x, y, rate)
                state.epoch += 1
                state.look(network.loss("validation"), network.flat_weights())
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
        with lean_torch():
            network = self._network(state)
            peak = state.task.learning_rate
            step = state.step
            while step < plan.steps and not state.stopped:
                epoch, position = divmod(step, network.steps_per_epoch)
                for x, y in network.batches(epoch, position):
                    rate = peak * plan.factor(step)
                    network.step(x, y, rate)
                    step += 1
                    if step % plan.evaluate_every == 0 or step == plan.steps:
                        validation = network.loss("validation")
                        state.look(validation, network.flat_weights())
                        if plan.curve:
                            training = network.loss("sample")
                            state.curve.append((step, training, validation, rate))
                        network.store(state)
                        now = time.perf_counter()
                        state.seconds += now - begun
                        begun = now
                        listener(state)
                    if step == plan.steps or state.stopped:
                        break
        return state


def _runs(flags: tuple[bool, ...]) -> list[slice]:
    """Return the runs of consecutive True values; outputs of one kind are mostly adjacent."""
    runs: list[slice] = []
    for i, flag in enumerate(flags):
        if flag and runs and runs[-1].stop == i:
            runs[-1] = slice(runs[-1].start, i + 1)
        elif flag:
            runs.append(slice(i, i + 1))
    return runs
