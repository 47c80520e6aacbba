"""Networks over one vector per column: multilayer perceptrons and their relatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def mlp(
    sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU, **settings: float
) -> nn.Sequential:
    """Return dense layers with the activation function between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation(**settings)]
    return nn.Sequential(*layers[:-1])


class Scaled(nn.Module):
    """Standardise the input, as networks do that hold their own scaler."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.randn(n))
        self.register_buffer("spread", 0.5 + torch.rand(n))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread


class TwoHeads(nn.Module):
    """Leaky ReLU layers with a linear head for tendencies and a ReLU head for fluxes."""

    def __init__(self, widths: Sequence[int], linear: int, positive: int) -> None:
        super().__init__()
        self.inputs = {"x": (widths[0],)}
        self.scaler = Scaled(widths[0])
        self.body = nn.Sequential(
            mlp(widths, nn.LeakyReLU, negative_slope=0.15), nn.LeakyReLU(0.15)
        )
        self.tendencies = nn.Linear(widths[-1], linear)
        self.fluxes = nn.Linear(widths[-1], positive)
        # Most fluxes of random weights would be 0 otherwise.
        nn.init.uniform_(self.fluxes.bias, 0.2, 0.6)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(self.scaler(x))
        return torch.cat([self.tendencies(h), torch.relu(self.fluxes(h))], dim=1)


class BatchNormMlp(nn.Module):
    """Dense layers, each with batch normalisation."""

    def __init__(self, n_in: int, width: int, layers: int, n_out: int) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        parts: list[nn.Module] = []
        for layer in range(layers):
            parts += [nn.Linear(width if layer else n_in, width), nn.BatchNorm1d(width), nn.ELU()]
        self.layers = nn.Sequential(*parts, nn.Linear(width, n_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ResidualMlp(nn.Module):
    """Blocks h + W2 act(W1 h), optionally with layer normalisation before each block."""

    def __init__(
        self, n_in: int, width: int, blocks: int, n_out: int, *, normalised: bool = False
    ) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        self.first = nn.Linear(n_in, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width) if normalised else nn.Identity(),
                mlp((width, width, width), nn.SiLU),
            )
            for _ in range(blocks)
        )
        self.last = nn.Linear(width, n_out)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)


class GasOptics(nn.Module):
    """Optical depths at the g-points: softsign layers, and outputs that were powers in training."""

    def __init__(self, gases: int, width: int, g_points: int, power: int = 8) -> None:
        super().__init__()
        self.inputs = {"x": (gases,)}
        self.scaler = Scaled(gases)
        self.layers = mlp((gases, width, width, g_points), nn.Softsign)
        self.power = power
        self.register_buffer("mean", 0.5 + torch.rand(g_points))
        self.register_buffer("spread", 0.1 + 0.1 * torch.rand(g_points))

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(self.scaler(x)) * self.spread + self.mean) ** self.power


class RandomlyWired(nn.Module):
    """Layers that read random subsets of all layers before them."""

    def __init__(self, n_in: int, width: int, layers: int, n_out: int, probability: float) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        self.read: list[list[int]] = []
        self.layers = nn.ModuleList()
        for layer in range(layers):
            sources = [k for k in range(layer) if torch.rand(()) < probability]
            # A layer without an earlier one would be cut off; it reads the layer before it.
            self.read.append(sources or [layer - 1])
        sizes = [n_in, *([width] * layers)]
        for sources in self.read:
            self.layers.append(nn.Linear(sum(sizes[k + 1] for k in sources), width))
        self.last = nn.Linear(width * layers, n_out)

    def forward(self, x: Tensor) -> Tensor:
        values: list[Tensor] = []
        for sources, layer in zip(self.read, self.layers, strict=True):
            given = [x if k < 0 else values[k] for k in sources]
            values.append(torch.relu(layer(torch.cat(given, dim=1))))
        return self.last(torch.cat(values, dim=1))


class DeepONet(nn.Module):
    """Branch network over a profile, trunk network over coordinates, and their products."""

    def __init__(
        self, sensors: int, coordinates: int, width: int, terms: int, outputs: int
    ) -> None:
        super().__init__()
        self.inputs = {"profile": (sensors,), "coordinates": (coordinates,)}
        self.branch = mlp((sensors, width, width, terms * outputs), nn.Tanh)
        self.trunk = nn.Sequential(mlp((coordinates, width, width, terms), nn.Tanh), nn.Tanh())
        self.bias = nn.Parameter(torch.randn(outputs))
        self.shape = (outputs, terms)

    def forward(self, profile: Tensor, coordinates: Tensor) -> Tensor:
        branch = self.branch(profile).reshape(-1, *self.shape)
        return (branch * self.trunk(coordinates).unsqueeze(1)).sum(dim=2) + self.bias


class DeepSets(nn.Module):
    """Aerosol modes in any order: features of each mode, their sum, and a result of each mode."""

    def __init__(self, modes: int, of_mode: int, shared: int, width: int) -> None:
        super().__init__()
        self.inputs = {"modes": (modes, of_mode), "state": (shared,)}
        self.encoder = mlp((of_mode, width, width), nn.SiLU)
        self.decoder = mlp((2 * width + shared, width, 1), nn.SiLU)

    def forward(self, modes: Tensor, state: Tensor) -> Tensor:
        each = self.encoder(modes)
        together = torch.cat([each.sum(dim=1), state], dim=1).unsqueeze(1)
        together = together.expand(-1, modes.shape[1], -1)
        return torch.sigmoid(self.decoder(torch.cat([each, together], dim=2))).squeeze(2)


class MixtureOfExperts(nn.Module):
    """Experts that a softmax gate weights."""

    def __init__(self, n_in: int, width: int, experts: int, n_out: int) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        self.gate = nn.Linear(n_in, experts)
        self.experts = nn.ModuleList(mlp((n_in, width, n_out), nn.GELU) for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(self.gate(x), dim=1)
        results = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (weights.unsqueeze(2) * results).sum(dim=1)


class FourierFeatures(nn.Module):
    """Sines and cosines of random projections, then dense layers."""

    def __init__(self, n_in: int, frequencies: int, width: int, n_out: int) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        self.register_buffer("projection", torch.randn(n_in, frequencies))
        self.layers = mlp((2 * frequencies, width, width, n_out), nn.GELU)

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.projection
        return self.layers(torch.cat([torch.sin(phase), torch.cos(phase)], dim=1))


class NeuralOde(nn.Module):
    """Steps of the classical Runge-Kutta method through a network for the tendency."""

    def __init__(self, state: int, width: int, steps: int) -> None:
        super().__init__()
        self.inputs = {"x": (state,)}
        self.tendency = mlp((state, width, width, state), nn.Tanh)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        h = 1.0 / self.steps
        for _ in range(self.steps):
            k1 = self.tendency(x)
            k2 = self.tendency(x + 0.5 * h * k1)
            k3 = self.tendency(x + 0.5 * h * k2)
            k4 = self.tendency(x + h * k3)
            x = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return x


class Highway(nn.Module):
    """Layers with a gate between the new value and the old one."""

    def __init__(self, n_in: int, width: int, layers: int, n_out: int) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        self.first = nn.Linear(n_in, width)
        self.values = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.last = nn.Linear(width, n_out)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        for value, gate in zip(self.values, self.gates, strict=True):
            share = torch.sigmoid(gate(h))
            h = share * torch.relu(value(h)) + (1.0 - share) * h
        return self.last(h)


class Siren(nn.Module):
    """Layers with sine as activation function, and the initial weights that it needs."""

    def __init__(self, n_in: int, width: int, layers: int, n_out: int, omega: float = 5.0) -> None:
        super().__init__()
        self.inputs = {"x": (n_in,)}
        self.omega = omega
        sizes = [n_in, *([width] * layers)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.last = nn.Linear(width, n_out)
        for number, layer in enumerate(self.layers):
            bound = 1.0 / n_in if number == 0 else math.sqrt(6.0 / width) / omega
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.sin(self.omega * layer(x))
        return self.last(x)
