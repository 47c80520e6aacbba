"""Train networks that differ only in their random seed side by side with torch.

A step of a small network is mostly dispatch overhead. Side by side, the products of all networks
are one call (`torch.bmm`), so that they share the overhead. Every network has separate samples,
weights and moments; its result agrees up to rounding with that of a training alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch

from emufort.errors import EmufortError
from emufort.training import torch_trainer as alone
from emufort.training.layout import Layout
from emufort.training.schedule import StepPlan
from emufort.training.start import start
from emufort.training.state import TrainerState
from emufort.training.task import TrainingTask
from emufort.training.torch_operations import Matrices, Passes
from emufort.training.torch_trainer import TorchTrainer
from emufort.training.trainer import Listener, ignore

#: Multiply-adds of a step from which dispatch overhead is negligible compared with the arithmetic.
_MOST_WORK = 1_000_000


def pays(tasks: Sequence[TrainingTask]) -> bool:
    """Return whether these trainings finish sooner together than one after the other.

    This holds for small networks that differ only in their seed: benchmarks/ensembles.py measures a
    speed-up from 2.4 for 8 neurons down to 1.1 at the limit. Beyond the limit, the larger buffers
    make the joint training slower.
    """
    work = tasks[0].architecture.multiply_adds * tasks[0].batch_size
    return len(tasks) > 1 and are_equals(tasks) and work <= _MOST_WORK


def are_equals(tasks: Sequence[TrainingTask]) -> bool:
    """Return whether tasks differ only in their seed."""
    return (
        len({(t.architecture, t.learning_rate, t.batch_size, t.weight_decay) for t in tasks}) == 1
    )


def run_steps_together(
    trainer: TorchTrainer,
    states: Sequence[TrainerState],
    plan: StepPlan,
    listener: Listener = ignore,
) -> list[TrainerState]:
    """Do what `TorchTrainer.run_steps` does for several states at once.

    Parameters
    ----------
    states
        States of equal tasks (see `are_equals`), all at the same step; they are modified.
    listener
        Receives every state after every evaluation.

    Raises
    ------
    EmufortError
        The tasks of the states are not equal, or the states are not at the same step.
    """
    if not are_equals([s.task for s in states]) or len({s.step for s in states}) > 1:
        raise EmufortError("only trainings that differ only in their seed can run together")
    begun = time.perf_counter()
    for state in states:
        start(state, trainer.biases)
    with alone._lean_torch():
        networks = _Networks(trainer, states)
        peak = states[0].task.learning_rate
        step = states[0].step
        while step < plan.steps and not all(s.stopped for s in states):
            epoch, position = divmod(step, networks.steps_per_epoch)
            for x, y in networks.batches(epoch, position):
                rate = peak * plan.factor(step)
                networks.step(x, y, rate)
                step += 1
                if step % plan.evaluate_every == 0 or step == plan.steps:
                    networks.look(step, rate, plan.curve)
                    now = time.perf_counter()
                    for state in states:
                        state.seconds += (now - begun) / len(states)
                        listener(state)
                    begun = now
                if step == plan.steps or all(s.stopped for s in states):
                    break
    return list(states)


class _Networks:
    """Weights, gradients, activations and moments of m networks, per layer (m, rows, columns)."""

    def __init__(self, trainer: TorchTrainer, states: Sequence[TrainerState]) -> None:
        self.trainer, self.states = trainer, states
        self.members = [alone._Network(trainer, state) for state in states]
        task = states[0].task
        self.task = task
        device, dtype = trainer.device, trainer.dtype
        self.layout = Layout(task.architecture)
        m = len(states)
        self.batch = self.members[0].batch
        self.steps_per_epoch = self.members[0].steps_per_epoch
        starts = [0]
        for rows, columns in self.layout.shapes:
            starts.append(starts[-1] + m * rows * columns)
        self.starts = starts
        self.flat, self.moment1, self.moment2 = (
            self._gather([getattr(member, name) for member in self.members])
            for name in ("flat", "moment1", "moment2")
        )
        self.gradient = torch.zeros_like(self.flat)
        self.n_steps = torch.tensor(float(states[0].step), dtype=torch.float32, device=device)
        self.done = states[0].step
        layers = zip(
            self.layout.names, self._layers(self.flat), self._layers(self.gradient), strict=True
        )
        matrices = {
            name: Matrices(weight, gradient, weight[:, :, :-1].transpose(1, 2))
            for name, weight, gradient in layers
        }
        plan = task.architecture.plan
        self.passes = Passes(plan, matrices, self.batch, device, dtype, m)
        self.epsilon = self.members[0].epsilon

    def _layers(self, flat: torch.Tensor) -> list[torch.Tensor]:
        m = len(self.states)
        return [
            flat[a : a + m * r * c].view(m, r, c)
            for (r, c), a in zip(self.layout.shapes, self.starts, strict=False)
        ]

    def _gather(self, flats: Sequence[torch.Tensor]) -> torch.Tensor:
        """Join flat buffers of single networks, layer by layer."""
        joined = torch.zeros(self.starts[-1], device=flats[0].device, dtype=flats[0].dtype)
        for layer, (r, c), a in zip(
            self._layers(joined), self.layout.shapes, self.layout.starts, strict=False
        ):
            for i, flat in enumerate(flats):
                layer[i] = flat[a : a + r * c].view(r, c)
        return joined

    def _scatter(self, joined: torch.Tensor, name: str) -> None:
        """Inverse of `_gather`, into the members' buffers."""
        for layer, (r, c), a in zip(
            self._layers(joined), self.layout.shapes, self.layout.starts, strict=False
        ):
            for i, member in enumerate(self.members):
                getattr(member, name)[a : a + r * c].view(r, c).copy_(layer[i])

    def batches(self, epoch: int, first: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield x (m, batch, n_features + 1), y (m, n_outputs, batch); see `_Network.batches`."""
        for pairs in zip(*(n.batches(epoch, first) for n in self.members), strict=True):
            yield torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])

    def step(self, x: torch.Tensor, y: torch.Tensor, learning_rate: float) -> None:
        """Take one step of Adam (AdamW with weight decay)."""
        out = self.passes.forward(x.transpose(1, 2), x)
        for rows in self.trainer.sigmoid:
            torch.sigmoid(out[:, rows], out=out[:, rows])
        delta = torch.sub(out, y, out=self.passes.last.delta)
        for rows in self.trainer.sigmoid:
            torch.ops.aten.sigmoid_backward.grad_input(
                delta[:, rows], out[:, rows], grad_input=delta[:, rows]
            )
        self.passes.backward()
        self.done += 1
        if self.task.weight_decay > 0:
            self.flat.mul_(1.0 - learning_rate * self.task.weight_decay)
        self.n_steps.fill_(self.done)
        alone._adam(
            self.flat, self.gradient, self.moment1, self.moment2, self.n_steps,
            learning_rate, self.epsilon,
        )  # fmt: skip

    def look(self, step: int, rate: float, curve: bool) -> None:
        """Evaluate the validation rows with every unfinished network, and store the networks."""
        for name, joined in (
            ("flat", self.flat), ("moment1", self.moment1), ("moment2", self.moment2),
        ):  # fmt: skip
            self._scatter(joined, name)
        for member, state in zip(self.members, self.states, strict=True):
            member.done = self.done
            if state.stopped:
                state.step = self.done  # its result is not used, but all states stay at one step
                continue
            validation = member.loss(self.trainer.validation)
            state.look(validation, member.flat_weights())
            if curve:
                training = member.loss(self.trainer.sample)
                state.curve.append((step, training, validation, rate))
            member.store(state)
