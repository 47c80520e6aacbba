"""Gradients of any plan are those of autograd, for one network and for several side by side."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.plan import Plan
from emufort.training.torch_operations import Matrices, Passes
from tests.core.plans import plans

DOUBLE = torch.float64


def matrices_of(plan: Plan, m: int, seed: int) -> dict[str, Matrices]:
    """Random weights of m networks, biases in the last column."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in plan.parameter_shapes.items():
        if name.endswith(".weight"):
            n_out, n_in = shape
            w = torch.tensor(rng.normal(size=(m, n_out, n_in + 1)) / np.sqrt(n_in))
            found[name] = Matrices(w, torch.full_like(w, torch.nan), w[..., :-1].transpose(1, 2))
    return found


def of_autograd(
    plan: Plan, matrices: dict[str, torch.Tensor], x: torch.Tensor, delta: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Result (n_results, n), and gradients of its product with delta."""
    weights = {name: weight.clone().requires_grad_() for name, weight in matrices.items()}

    def step(operation, inputs):
        parameters = ()
        if operation.parameters:
            weight = weights[operation.parameters[0]]
            parameters = weight[:, :-1], weight[:, -1]
        z = operation.row.torch(torch, plan.layout(operation), inputs, parameters)
        return ACTIVATION_FUNCTIONS[operation.activation].torch(torch, z, operation.slope)

    result = plan.walk(x, step).T
    if weights:
        (result * delta).sum().backward()
    return result.detach(), {name: weight.grad for name, weight in weights.items()}


@settings(max_examples=60, deadline=None)
@given(plans(), st.sampled_from([None, 2]), st.integers(0, 1000))
def test_gradients_are_those_of_autograd(plan: Plan, m: int | None, seed: int) -> None:
    matrices = matrices_of(plan, m or 1, seed)
    if m is None:
        matrices = {
            name: Matrices(one.weight[0], one.gradient[0], one.transposed[0])
            for name, one in matrices.items()
        }
    n, rng = 6, np.random.default_rng(seed)
    x = torch.tensor(rng.normal(size=(m or 1, n, plan.sizes[plan.features])))
    ones = torch.cat([x, torch.ones((m or 1, n, 1), dtype=DOUBLE)], dim=2)
    ones = ones if m else ones[0]
    passes = Passes(plan, matrices, n, torch.device("cpu"), DOUBLE, m)
    for _ in range(2):  # the second time nothing of the first is left
        result = passes.forward(ones.transpose(-2, -1), ones)
        delta = torch.tensor(rng.normal(size=result.shape))
        passes.last.delta.copy_(delta)
        found = result.clone()
        passes.backward()
    for k in range(m or 1):
        alone = {name: one.weight[k] if m else one.weight for name, one in matrices.items()}
        expected, gradients = of_autograd(plan, alone, x[k], delta[k] if m else delta)
        np.testing.assert_allclose(found[k] if m else found, expected, rtol=1e-9, atol=1e-11)
        for name, gradient in gradients.items():
            ours = matrices[name].gradient
            scale = 1.0 + float(gradient.abs().max())
            np.testing.assert_allclose(
                ours[k] if m else ours, gradient, rtol=1e-8, atol=1e-10 * scale
            )
