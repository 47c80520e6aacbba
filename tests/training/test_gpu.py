"""Training on a GPU; what needs one is skipped without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emufort.errors import EmufortError
from emufort.training import StepPlan, TrainerState
from emufort.training import torch_graph as graphs
from emufort.training.torch_graph import StepGraph
from emufort.training.torch_rows import Rows, lean_torch
from emufort.training.torch_together import train_together
from emufort.training.torch_trainer import TorchTrainer
from tests.training.problems import smooth, task

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
PLAN = StepPlan(steps=200, warm_up=5, evaluate_every=50)


def test_a_full_gpu_is_an_error_of_one_line():
    with pytest.raises(EmufortError, match=r"too little memory .* fewer --workers"), lean_torch():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class Recorded:
    """A graph that repeats the step that was taken while it was captured, as those of CUDA do."""

    made = 0

    def __init__(self):
        self.step = None
        Recorded.made += 1

    def capture_begin(self, capture_error_mode):
        assert capture_error_mode == "thread_local"

    def capture_end(self):
        pass

    def replay(self):
        self.step()


@pytest.mark.parametrize("can_capture", [True, False])
def test_a_graph_takes_the_steps_in_order(monkeypatch, can_capture):
    inputs = torch.arange(8.0).reshape(8, 1)
    seen: list[float] = []
    graph = StepGraph((inputs,), lambda row: seen.append(float(row)), torch.device("cpu"))
    graph._may_capture = True
    monkeypatch.setattr(graphs, "_LEAST_STEPS", 10)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recorded)
    take = graph._step

    def capture():
        """Nothing is carried out while a graph of CUDA is captured."""
        captured = torch.cuda.CUDAGraph()
        graph._may_capture = False
        if can_capture:
            captured.step = take
            graph._graph = captured

    monkeypatch.setattr(graph, "_capture", capture)
    Recorded.made = 0
    graph.run(5, 9)  # too few are left for a graph
    assert Recorded.made == 0
    graph.run(8, 30)
    graph.run(4, 22)
    assert seen == [0, 1, 2, 3, 4, *range(8), 0, 1, 2, 3]
    assert Recorded.made == 1


def test_a_step_that_cannot_be_captured_is_taken_kernel_by_kernel(monkeypatch):
    class Refusing(Recorded):
        def capture_begin(self, capture_error_mode):
            raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Refusing)
    seen: list[float] = []
    inputs = torch.arange(60.0).reshape(60, 1)
    graph = StepGraph((inputs,), lambda row: seen.append(float(row)), torch.device("cpu"))
    graph._may_capture = True
    graph.run(60, 60)
    assert seen == list(range(60))
    assert not graph._may_capture


@needs_cuda
@pytest.mark.parametrize("activation", ["silu", "sigmoid", "gelu"])
def test_side_by_side_on_a_gpu_is_alone_on_a_cpu(activation):
    cpu = TorchTrainer(smooth(), dtype=torch.float64)
    gpu = TorchTrainer(smooth(), "cuda")
    tasks = [task(activation, (8, 5 + i), 1e-3, seed=i, weight_decay=0.1 * i) for i in range(5)]
    found = train_together(gpu, [TrainerState.initial(one) for one in tasks], lambda s: PLAN)
    for one, state in zip(tasks, found, strict=True):
        alone = cpu.run_steps(TrainerState.initial(one), PLAN)
        assert np.allclose(state.weights, alone.weights, rtol=1e-3, atol=1e-4)
        assert state.best_loss == pytest.approx(alone.best_loss, rel=1e-3)


@needs_cuda
def test_steps_are_captured_and_give_the_same(monkeypatch):
    trainer = TorchTrainer(smooth(), "cuda")
    captured = []
    capture = StepGraph._capture

    def watched(graph):
        capture(graph)
        captured.append(graph._graph is not None)

    monkeypatch.setattr(StepGraph, "_capture", watched)
    tasks = [task(hidden=(6, 6 + i), learning_rate=1e-3 * (i + 1), seed=i) for i in range(3)]
    first = train_together(trainer, [TrainerState.initial(t) for t in tasks], lambda s: PLAN)
    assert captured == [True]
    monkeypatch.setattr(graphs, "_LEAST_STEPS", 10**9)
    second = train_together(trainer, [TrainerState.initial(t) for t in tasks], lambda s: PLAN)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.weights, b.weights)


@needs_cuda
def test_data_that_do_not_fit_stay_in_host_memory():
    resident, elsewhere = TorchTrainer(smooth(), "cuda"), TorchTrainer(smooth(), "cuda")
    elsewhere.rows = Rows(smooth(), torch.device("cuda"), torch.float32, is_resident=False)
    assert elsewhere.rows.x.device.type == "cpu"
    a, b = (one.run_steps(TrainerState.initial(task()), PLAN) for one in (resident, elsewhere))
    assert np.array_equal(a.weights, b.weights)
