"""What it takes to add an activation function and an operation: few files, and all forms have it.

A copy of the sources gets a function and an operation that emufort does not have; they are computed
in numpy, torch and ONNX Runtime, written to ``weights.bin``, and run by the Fortran runtime.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PYTHON, SOURCES, TRAINER = "python/emufort", "fortran/src", "fortran/trainer"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs gfortran"),
    pytest.mark.skipif(not (TOP / SOURCES).is_dir(), reason="needs a checkout"),
]

Edits = dict[str, list[tuple[str, str]]]

#: z / (1 + |z|).
SOFTSIGN: Edits = {
    f"{PYTHON}/network/activations.py": [
        (
            ")\n\n#: Name -> row.",
            """    ActivationFunction(
        "softsign",
        code=22,
        cost=5.0,
        value=lambda z, _: z / (1.0 + np.abs(z)),
        derivative=lambda z, _: 1.0 / np.square(1.0 + np.abs(z)),
        onnx=lambda graph, a, _: graph.node("Softsign", [a], f"{a}_softsign"),
        torch=lambda torch, z, _: torch.nn.functional.softsign(z),
    ),
)

#: Name -> row.""",
        )
    ],
    f"{PYTHON}/training/torch_activations.py": [
        (
            '    "elu": _InPlace(',
            """    "softsign": _InPlace(
        lambda layer, _: torch.div(layer.z, 1.0 + layer.z.abs(), out=layer.a),
        lambda layer, _: layer.delta.div_((1.0 + layer.z.abs()).square_()),
    ),
    "elu": _InPlace(""",
        )
    ],
    f"{SOURCES}/emufort_activations.F90": [
        (
            "activation_round, activation_step\n",
            "activation_round, activation_step, &\n            activation_softsign\n",
        ),
        (
            "  integer, parameter :: n_activations = 21\n",
            "  integer, parameter :: activation_softsign = 22\n"
            "  integer, parameter :: n_activations = 22\n",
        ),
        ("'step']", "'step', 'softsign']"),
        (
            "    case default\n    end select\n\n  end subroutine activate",
            "    case (activation_softsign)\n      a = a/(1.0_wp + abs(a))\n"
            "    case default\n    end select\n\n  end subroutine activate",
        ),
    ],
    f"{TRAINER}/emufort_train_activations.F90": [
        (
            "activation_silu, activation_gelu, activation_softplus, activation_elu\n",
            "activation_silu, activation_gelu, activation_softplus, activation_elu, &\n"
            "                                 activation_softsign\n",
        ),
        ("activation_softplus, activation_elu)", "activation_softplus, activation_elu, &\n"
         "          activation_softsign)"),
        (
            "    case (activation_elu)\n",
            "    case (activation_softsign)\n      delta = delta*(1.0_wp - abs(a))**2\n"
            "    case (activation_elu)\n",
        ),
    ],
}  # fmt: skip

#: The difference of two buffers.
DIFFERENCE: Edits = {
    f"{PYTHON}/network/operations/elementwise.py": [
        (
            "    # The second input where",
            """    _elementwise(
        "difference",
        code=17,
        n_inputs=2,
        value=lambda a, b: a - b,
        onnx=lambda graph, inputs, output: graph.node("Sub", list(inputs), output),
        torch=lambda torch, a, b: a - b,
    ),
    # The second input where""",
        )
    ],
    f"{PYTHON}/training/torch_operations.py": [
        (
            "#: Name of an operation -> implementation.\n",
            """class _Difference(_Add):
    def forward(self) -> None:
        one, other = self.inputs
        torch.sub(one.a, other.a, out=self.y.z)

    def backward(self) -> None:
        for x, is_added, sign in zip(self.inputs, self.target.deltas, (1, -1), strict=True):
            if is_added:
                x.delta.add_(self.y.delta, alpha=sign)
            elif is_added is not None:
                torch.mul(self.y.delta, sign, out=x.delta)


#: Name of an operation -> implementation.
""",
        ),
        ('"add": _Add}', '"add": _Add, "difference": _Difference}'),
    ],
    f"{SOURCES}/emufort_plan.F90": [
        (
            "  public :: operation_size, ",
            "  public :: operation_difference\n  public :: operation_size, ",
        ),
        (
            "  !> Integers of an operation.",
            "  integer, parameter :: operation_difference = 17        !! a - b\n\n"
            "  !> Integers of an operation.",
        ),
    ],
    f"{SOURCES}/emufort_plan_check.F90": [
        (
            "operation_size, operation_dense,",
            "operation_size, operation_difference, &\n    operation_dense,",
        ),
        (
            "    is_elementwise = ",
            "    is_elementwise = code == operation_difference .or. &\n                     ",
        ),
    ],
    f"{SOURCES}/emufort_elementwise.F90": [
        ("  public :: add, ", "  public :: difference, add, "),
        (
            "  !> z = x*y\n",
            """  !> z = x - y
  pure recursive subroutine difference(n, x, y, z, scratch)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: x, y, z            !! first elements of the two inputs and of the output
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    integer :: i

    !$omp simd
    do i = 0, n - 1
      scratch(z + i) = scratch(x + i) - scratch(y + i)
    end do

  end subroutine difference

  !> z = x*y
""",
        ),
    ],
    f"{SOURCES}/emufort_operations.F90": [
        ("only: add, ", "only: difference, add, "),
        ("    operation_size, ", "    operation_difference, &\n    operation_size, "),
        (
            "    case (operation_multiply)\n",
            "    case (operation_difference)\n      call difference(n, x, second, y, scratch)\n"
            "    case (operation_multiply)\n",
        ),
    ],
}  # fmt: skip

#: Runs in the copy: all forms of a network with both, and the gradient.
CHECK = """
import sys
import numpy as np
import torch
from emufort.export.weights_file import WeightsFile
from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.operation import Operation
from emufort.network.plan import Plan
from emufort.toolchain.sources import fortran_sources
from emufort.training.torch_operations import Passes
from tests.runtime.test_plans import emulator_of, outputs_without_compiler
from tests.training.test_torch_operations import matrices_of, of_autograd

row = ACTIVATION_FUNCTIONS["softsign"]
assert row.code == 22, sys.path
z = np.linspace(-3, 3, 50)
slope = (row.value(z + 1e-6, 0.0) - row.value(z - 1e-6, 0.0)) / 2e-6
np.testing.assert_allclose(row.derivative(z, 0.0), slope, rtol=1e-6, atol=1e-6)

dense = ("w.weight", "w.bias"), ("v.weight", "v.bias"), ("u.weight", "u.bias")
plan = Plan(
    (("x", 5), ("a", 20), ("b", 20), ("c", 20), ("y", 3)),
    (
        Operation("dense", ("x",), "a", dense[0], "softsign"),
        Operation("dense", ("a",), "b", dense[1], "softsign"),
        Operation("difference", ("a", "b"), "c"),
        Operation("dense", ("c",), "y", dense[2]),
    ),
    "x", "y",
)
emulator = emulator_of(plan)
x = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
for name, y in outputs_without_compiler(emulator, x).items():
    np.testing.assert_allclose(y, emulator.predict(x), rtol=1e-4, atol=1e-5, err_msg=name)

one = {n: m.__class__(m.weight[0], m.gradient[0], m.transposed[0])
       for n, m in matrices_of(plan, 1, 0).items()}
ones = torch.cat([torch.tensor(x, dtype=torch.float64), torch.ones(70, 1, dtype=torch.float64)], 1)
passes = Passes(plan, one, 70, torch.device("cpu"), torch.float64)
delta = torch.ones_like(passes.forward(ones.t(), ones))
passes.last.delta.copy_(delta)
passes.backward()
_, gradients = of_autograd(
    plan, {n: m.weight for n, m in one.items()}, torch.tensor(x, dtype=torch.float64), delta
)
for name, gradient in gradients.items():
    np.testing.assert_allclose(one[name].gradient, gradient, rtol=1e-9, atol=1e-11)

WeightsFile.from_emulator(
    emulator, x.astype(float), relative_tolerance=1e-9, absolute_tolerance=1e-9
).write(__import__("pathlib").Path("weights.bin"))
print(*fortran_sources("extension_driver", "fortran/trainer"), sep="\\n")
"""


def copy_with(edits: Edits, folder: Path) -> None:
    """Apply edits to the copy; each text that is replaced is there once."""
    for name, pairs in edits.items():
        path = folder / name
        text = path.read_text()
        for old, new in pairs:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        path.write_text(text)


def test_a_function_takes_four_files_and_an_operation_six(tmp_path: Path) -> None:
    for name in (PYTHON, SOURCES, TRAINER, "tests"):
        shutil.copytree(
            TOP / name, tmp_path / name,
            ignore=shutil.ignore_patterns("*.so", "*.nc", "__pycache__", "_fortran"),
        )  # fmt: skip
    (tmp_path / "fortran/app").mkdir()
    shutil.copy(Path(__file__).parent / "extension_driver.F90", tmp_path / "fortran/app")
    copy_with(SOFTSIGN, tmp_path)
    copy_with(DIFFERENCE, tmp_path)
    assert len(SOFTSIGN) <= 4
    assert len(DIFFERENCE) <= 6

    environment = {"PYTHONPATH": f"{tmp_path / 'python'}:{tmp_path}", "OMP_NUM_THREADS": "1"}
    sources = run(tmp_path, [sys.executable, "-c", CHECK], environment).split()
    flags = ["-O0", "-fopenmp-simd", "-DEMUFORT_DOUBLE", "-J", str(tmp_path)]
    run(tmp_path, ["gfortran", *flags, *sources, "-o", "driver"])
    assert run(tmp_path, ["./driver", "weights.bin", "22"]).strip() == "follows"


def run(folder: Path, command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
