"""The task of a training and the arrays on which it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from emufort.dataset.dataset import Dataset
from emufort.network.architecture import Architecture
from emufort.network.scaler import Scaler
from emufort.training.scaling import fit_scalers

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingTask:
    """One network to fit and how to fit it.

    Attributes
    ----------
    architecture
        Shape of the network.
    learning_rate
        Adam's learning rate: constant in `run_epochs`, the peak in `run_steps`.
    batch_size
        Samples per step; capped at the number of training rows.
    seed
        Random seed of the initial weights and of the order of the samples.
    weight_decay
        Decoupled weight decay (AdamW) per unit of learning rate; it acts on biases too.
    precision
        ``"single"``, or ``"bfloat16"``: products and activation functions in bfloat16, weights and
        moments in single precision. Only torch trains in bfloat16.
    microbatch
        Most samples that pass through the network at once; the gradients of a batch are summed.
        None: the whole batch. Only torch divides batches.
    """

    architecture: Architecture
    learning_rate: float
    batch_size: int
    seed: int
    weight_decay: float = 0.0
    precision: Literal["single", "bfloat16"] = "single"
    microbatch: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether whole batches are trained in single precision, as every trainer can."""
        return self.precision == "single" and self.microbatch is None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; precision and microbatch only if they are not usual."""
        more = {} if self.is_plain else {"precision": self.precision, "microbatch": self.microbatch}
        return {
            "architecture": self.architecture.to_dict(),
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "weight_decay": self.weight_decay,
            **more,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            Architecture.from_dict(content["architecture"]),
            content["learning_rate"],
            content["batch_size"],
            content["seed"],
            content["weight_decay"],
            content.get("precision", "single"),
            content.get("microbatch"),
        )

    def seconds_estimate(self, steps: int) -> float:
        """Return a rough duration of `steps` steps [s], to start long trainings first."""
        # Measured: some 20 dispatches of 1 us per step, then 3 passes of 2 flops at 40 GFLOP/s.
        flops = 6.0 * self.architecture.multiply_adds * self.batch_size
        return steps * (2e-5 + flops / 4e10)


@dataclass(frozen=True)
class Arrays:
    """Scaled data that the network sees, single precision.

    Attributes
    ----------
    x_train, x_validation
        Scaled features, shape (n, n_features).
    y_train, y_validation
        Scaled targets of the outputs that vary, shape (n, n_outputs); targets of sigmoid outputs
        are physical fractions. Constant outputs are not included and take no part in training.
    sigmoid
        For each output whether a sigmoid follows the network's last layer; shape (n_outputs,).
    """

    x_train: Float32
    y_train: Float32
    x_validation: Float32
    y_validation: Float32
    sigmoid: tuple[bool, ...]

    @classmethod
    def from_datasets(cls, train: Dataset, validation: Dataset) -> tuple[Self, Scaler, Scaler]:
        """Scale two splits of a data set; return the arrays and the scalers of inputs and outputs.

        The scalers are fitted to the training rows only.

        Raises
        ------
        DataError
            A column cannot have the transform that the contract specifies.
        """
        x_scaler, y_scaler = fit_scalers(train)
        arrays = cls(
            x_scaler.forward(train.features).astype(np.float32),
            y_scaler.forward(train.targets).astype(np.float32),
            x_scaler.forward(validation.features).astype(np.float32),
            y_scaler.forward(validation.targets).astype(np.float32),
            tuple(y_scaler.kinds[j] == "sigmoid" for j in y_scaler.varying),
        )
        return arrays, x_scaler, y_scaler
