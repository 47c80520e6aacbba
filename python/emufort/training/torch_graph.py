"""Steps as a graph of the GPU: the whole step is started by one call instead of one per kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch

#: Steps before a graph is captured, because libraries allocate their memory in the first ones.
_WARM_UP = 3
#: Fewest steps for which capturing a graph saves time. This is an estimate.
_LEAST_STEPS = 50


class StepGraph:
    """Runs steps whose inputs are rows of buffers on the device; the row's number is there too.

    Where a graph cannot be captured, every step is started kernel by kernel.

    Parameters
    ----------
    buffers
        Inputs of many steps, each of shape (most steps, ...).
    step
        Takes one row of each buffer; it must allocate nothing that outlives it and must not wait
        for the device.
    device
        The device of the buffers.
    """

    def __init__(
        self,
        buffers: tuple[torch.Tensor, ...],
        step: Callable[..., None],
        device: torch.device,
    ) -> None:
        self._buffers, self._step_function = buffers, step
        self._rows = [torch.empty_like(buffer[:1]) for buffer in buffers]
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self._done = 0
        self._may_capture = device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, steps: int, expected: int) -> None:
        """Take the steps of the first `steps` rows.

        Parameters
        ----------
        steps
            Number of steps.
        expected
            Number of steps from here to the end of the training, which a graph has to be worth.
        """
        self._at.zero_()
        for _ in range(steps):
            if self._may_capture and self._done >= _WARM_UP and expected >= _LEAST_STEPS:
                self._capture()
            if self._graph is not None:
                self._graph.replay()
            else:
                self._step()
                self._done += 1

    def _step(self) -> None:
        for row, buffer in zip(self._rows, self._buffers, strict=True):
            torch.index_select(buffer, 0, self._at, out=row)
        self._step_function(*(row[0] for row in self._rows))
        self._at.add_(1)

    def _capture(self) -> None:
        # One attempt: what cannot be captured once cannot be captured later.
        self._may_capture = False
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads and streams may go on; torch.cuda.graph would wait for the whole device.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._step()
            finally:
                graph.capture_end()
        except RuntimeError:
            return
        self._graph = graph
