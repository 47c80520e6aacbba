"""Data of a torch trainer: on its device, or in host memory where the device has no room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.training.task import Arrays

Blocks = list[tuple[torch.Tensor, torch.Tensor]]

#: Training rows whose loss the training curve records.
_CURVE_ROWS = 2048
#: Largest share of a GPU's free memory that the data may take.
_SHARE_OF_MEMORY = 0.5


@contextmanager
def lean_torch() -> Iterator[None]:
    """Use one thread and no autograd, and flush denormals, which moments of dead neurons become.

    Raises
    ------
    EmufortError
        The memory of a GPU is exhausted.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        raise EmufortError(
            "the GPU has too little memory for these trainings; use fewer --workers, "
            "retrain.microbatch or search.side_by_side = false, then run the same command again: "
            "finished work is kept"
        ) from error
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


class Rows:
    """Training and validation rows for a device.

    Attributes
    ----------
    x, y
        Features and targets of the training rows, one row per sample.
    is_resident
        Whether the training rows are on the device. Otherwise the samples of each step are
        gathered in host memory and copied.

    Parameters
    ----------
    arrays
        The data.
    device, dtype
        Where and how the trainer computes.
    is_resident
        Default: whether the data take at most half of the free memory of the device.
    """

    def __init__(
        self,
        arrays: Arrays,
        device: torch.device,
        dtype: torch.dtype,
        is_resident: bool | None = None,
    ) -> None:
        self.device, self.dtype = device, dtype
        self._arrays = arrays
        self.is_resident = _fits(arrays, device) if is_resident is None else is_resident
        place = device if self.is_resident else torch.device("cpu")
        self.x = _in_place(arrays.x_train, place, dtype)
        self.y = _in_place(arrays.y_train, place, dtype)
        self._blocks: dict[tuple[str, int], Blocks] = {}

    def gather(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features and targets of training rows, on the device."""
        if self.is_resident:
            index = self.upload(index)
            return self.x.index_select(0, index), self.y.index_select(0, index)
        return (
            self.upload(self.x.index_select(0, index)),
            self.upload(self.y.index_select(0, index)),
        )

    def blocks(self, split: str, size: int) -> Blocks | Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Return what `cut` yields; it is kept for every size, so ask for few sizes only."""
        if not self.is_resident:
            return self.cut(split, size)
        if (split, size) not in self._blocks:
            self._blocks[split, size] = list(self.cut(split, size))
        return self._blocks[split, size]

    def cut(self, split: str, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield blocks of `size` rows whose samples run along the columns.

        Parameters
        ----------
        split
            ``"validation"``, or ``"sample"`` for the first training rows.
        size
            Rows of a block; the last block may have fewer.

        Yields
        ------
        Features with a last row of ones (n_features + 1, n), and targets (n_outputs, n), of each
        block.
        """
        arrays = self._arrays
        x, y = arrays.x_validation, arrays.y_validation
        if split == "sample":
            x, y = arrays.x_train[:_CURVE_ROWS], arrays.y_train[:_CURVE_ROWS]
        for begin in range(0, len(x), size):
            part = slice(begin, begin + size)
            features = self._tensor(x[part])
            block = torch.ones(
                (features.shape[1] + 1, len(features)), device=self.device, dtype=self.dtype
            )
            block[:-1] = features.t()
            yield block, self._tensor(y[part]).t().contiguous()

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        return tensor(array, self.device, self.dtype)

    def upload(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the host on the device; a GPU does not wait for them."""
        if self.device.type != "cuda":
            return values.to(self.device)
        return values.pin_memory().to(self.device, non_blocking=True)

    def download(self, values: torch.Tensor) -> NDArray[np.float32]:
        """Wait for values of the device and return them."""
        if values.device.type == "cuda":
            pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            values = pinned.copy_(values)
        found: NDArray[np.float32] = values.cpu().numpy()
        return found


def _fits(arrays: Arrays, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return arrays.x_train.nbytes + arrays.y_train.nbytes <= _SHARE_OF_MEMORY * free


def tensor(array: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return a copy of `array` on a device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, dtype, copy=True)


def _in_place(array: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Share the memory of `array` where torch can, else copy it; the result is never written to."""
    if device.type == "cpu" and dtype == torch.float32 and array.flags.writeable:
        return torch.from_numpy(np.ascontiguousarray(array))
    return tensor(array, device, dtype)
