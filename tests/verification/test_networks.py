"""Every activation function and a residual network agree in all forms, compiled ones too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emufort.export.restore import restore
from emufort.network.activations import ACTIVATIONS
from emufort.network.architecture import Architecture
from emufort.verification import verify
from tests.export.emulators import mixed, random_emulator
from tests.verification.test_verification import bundle_of

pytestmark = pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs gfortran")

#: Two layers of every function, the other parameters, and a linear layer.
EVERY = (*ACTIVATIONS, "leaky_relu:0.2", "elu:0.5", "linear")


@pytest.mark.parametrize(
    ("hidden", "activation", "family"),
    [
        ((9,) * len(EVERY), EVERY, "mlp"),
        ((12, 12, 12), ("tanh", "elu:0.5", "leaky_relu:0.2"), "residual_mlp"),
    ],
    ids=["every function", "residual"],
)
def test_all_forms_agree(
    tmp_path: Path, hidden: tuple[int, ...], activation: tuple[str, ...], family: str
) -> None:
    emulator = random_emulator(mixed(), hidden, activation, family=family)
    bundle = bundle_of(emulator, tmp_path)
    result = verify(bundle, rows=300)
    result.raise_if_failed()
    assert result.status == "verified"
    again = restore(bundle.weights_file)
    assert again.architecture == emulator.architecture
    assert bundle.emulator().architecture == emulator.architecture
    expected = Architecture.from_label(bundle.manifest.architecture.label)
    assert expected == emulator.architecture
