"""Any plan gives the same numbers in numpy, torch, ONNX Runtime and the Fortran runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import assume, given, settings

from emufort.contract import Contract
from emufort.export.onnx import build_onnx
from emufort.export.unflatten import plan_of
from emufort.export.weights_file import WeightsFile
from emufort.native.bindings import FortranEmulator
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.network.plan import Plan
from emufort.network.scaler import Scaler
from emufort.network.torch_module import EmulatorModule
from tests.core.plans import EVERY, parameters_of, plans


def emulator_of(plan: Plan) -> Emulator:
    """An emulator without transforms around a plan that no family need build."""
    n_in, n_out = plan.sizes[plan.features], plan.sizes[plan.result]
    side = {"units": "1", "transform": "none"}
    contract = Contract.from_dict(
        {
            "name": "plan",
            "dimensions": {
                "i": [f"i{j}" for j in range(n_in)],
                "o": [f"o{j}" for j in range(n_out)],
            },
            "input": [{"name": "x", "dimension": "i", **side}],
            "output": [{"name": "y", "dimension": "o", **side}],
        }
    )
    architecture = Architecture(n_in, (), n_out)
    vars(architecture)["plan"] = plan
    scalers = (Scaler(("affine",) * n, np.zeros(n), np.ones(n)) for n in (n_in, n_out))
    return Emulator(contract, architecture, *scalers, parameters_of(plan))


def well_conditioned(emulator: Emulator, x: np.ndarray) -> tuple[np.ndarray, float]:
    """The outputs in double precision and the size of the largest, at least 1.

    Plans that amplify what is rounded are not considered: powers of powers, and the sine of a large
    product, which single precision hardly knows.
    """
    expected = emulator.predict(x)
    size = max(1.0, float(np.abs(expected).max()))
    assume(size < 1e4)
    assume(np.abs(emulator.predict(x, "single") - expected).max() < 1e-4 * size)
    return expected, size


def outputs_without_compiler(emulator: Emulator, x: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of the forms in single precision that need no Fortran."""
    session = onnxruntime.InferenceSession(
        build_onnx(emulator).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    with torch.inference_mode():
        in_torch = EmulatorModule(emulator)(torch.from_numpy(x)).numpy()
    return {"torch": in_torch, "ONNX": session.run(None, {"x": x})[0]}


@settings(max_examples=40, deadline=None)
@given(plans(EVERY))
@pytest.mark.usefixtures("bindings")
def test_all_forms_follow_the_plan(plan: Plan) -> None:
    emulator = emulator_of(plan)
    x = np.random.default_rng(2).normal(size=(70, plan.sizes[plan.features])).astype(np.float32)
    expected, size = well_conditioned(emulator, x)
    file = WeightsFile.from_emulator(emulator)
    found, parameters = plan_of(WeightsFile.from_bytes(file.to_bytes()).flat)
    assert found.renamed() == plan.renamed()
    np.testing.assert_array_equal(
        found.evaluate(x.astype(float), parameters),
        plan.evaluate(x.astype(float), emulator.parameters),
    )
    fortran = FortranEmulator.from_bytes(file.to_bytes())
    forms = {
        **outputs_without_compiler(emulator, x),
        "Fortran": fortran.predict(x).y,
        "Fortran, double": fortran.predict(x.astype(float)).y,
    }
    for name, y in forms.items():
        np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3 * size, err_msg=name)
    # A column has the same bits alone and among others.
    for n in (1, 5):
        assert fortran.predict(x[:n]).y.tobytes() == forms["Fortran"][:n].tobytes()
