"""Convolutional networks over the levels of a column, (n, level, channel) at both ends."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Profiles and scalars of a column of ClimSim, and what is predicted of them: six tendencies per
#: level and eight numbers.
PROFILES, SCALARS, TENDENCIES, FLUXES = 9, 16, 6, 8


class ColumnOfProfiles(nn.Module):
    """The vector of a column as profiles, and the results as a vector again.

    The vector holds nine profiles and sixteen scalars. A scalar is repeated at all levels.
    """

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        self.inputs = {"x": (PROFILES * levels + SCALARS,)}
        self.levels = levels
        self.profile_head = nn.Conv1d(channels, TENDENCIES, 1)
        self.scalar_head = nn.Linear(channels, FLUXES)
        # Most fluxes of random weights would be 0 otherwise.
        nn.init.uniform_(self.scalar_head.bias, 0.2, 0.6)

    def profiles(self, x: Tensor) -> Tensor:
        """Return (n, channel, level)."""
        n = PROFILES * self.levels
        profiles = x[:, :n].reshape(-1, PROFILES, self.levels)
        scalars = x[:, n:].unsqueeze(2).expand(-1, -1, self.levels)
        return torch.cat([profiles, scalars], dim=1)

    def results(self, h: Tensor) -> Tensor:
        """Return the vector of the results for (n, channel, level)."""
        tendencies = self.profile_head(h).flatten(1)
        return torch.cat([tendencies, torch.relu(self.scalar_head(h.mean(dim=2)))], dim=1)


class Convolutional(ColumnOfProfiles):
    """Convolutions with group normalisation."""

    def __init__(self, levels: int, channels: int, layers: int, groups: int) -> None:
        super().__init__(levels, channels)
        parts: list[nn.Module] = []
        for layer in range(layers):
            n_in = channels if layer else PROFILES + SCALARS
            parts += [
                nn.Conv1d(n_in, channels, 3, padding=1),
                nn.GroupNorm(groups, channels),
                nn.SiLU(),
            ]
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.results(self.layers(self.profiles(x)))


class PlainConvolutional(ColumnOfProfiles):
    """Convolutions with ReLU and nothing else."""

    def __init__(self, levels: int, channels: int, layers: int) -> None:
        super().__init__(levels, channels)
        parts: list[nn.Module] = []
        for layer in range(layers):
            n_in = channels if layer else PROFILES + SCALARS
            parts += [nn.Conv1d(n_in, channels, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.results(self.layers(self.profiles(x)))


class SqueezeBlock(nn.Module):
    """Residual convolutions with a gate per channel from the mean over the levels."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.one = nn.Conv1d(channels, channels, 3, padding=1)
        self.two = nn.Conv1d(channels, channels, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(2))
        self.down = nn.Linear(channels, channels // reduction)
        self.up = nn.Linear(channels // reduction, channels)

    def forward(self, h: Tensor) -> Tensor:
        z = torch.relu(self.norms[0](self.one(h)))
        z = self.norms[1](self.two(z))
        gate = torch.sigmoid(self.up(torch.relu(self.down(z.mean(dim=2)))))
        return torch.relu(h + z * gate.unsqueeze(2))


class ResidualConvolutional(ColumnOfProfiles):
    """A residual network with squeeze and excitation."""

    def __init__(self, levels: int, channels: int, blocks: int) -> None:
        super().__init__(levels, channels)
        self.first = nn.Conv1d(PROFILES + SCALARS, channels, 1)
        self.blocks = nn.Sequential(*(SqueezeBlock(channels, 4) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.results(self.blocks(self.first(self.profiles(x))))


class ConvNextBlock(nn.Module):
    """Depthwise convolution, layer normalisation, two dense layers per level, layer scale."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(0.1 + 0.1 * torch.rand(channels))

    def forward(self, h: Tensor) -> Tensor:
        z = self.norm(self.depthwise(h).transpose(1, 2))
        z = self.scale * self.narrow(functional.gelu(self.wide(z)))
        return h + z.transpose(1, 2)


class ConvNext(ColumnOfProfiles):
    """ConvNeXt over the levels."""

    def __init__(self, levels: int, channels: int, blocks: int, kernel: int = 7) -> None:
        super().__init__(levels, channels)
        self.first = nn.Conv1d(PROFILES + SCALARS, channels, 1)
        self.blocks = nn.Sequential(*(ConvNextBlock(channels, kernel) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.results(self.blocks(self.first(self.profiles(x))))


class Separable(ColumnOfProfiles):
    """Depthwise-separable convolutions with growing dilation."""

    def __init__(self, levels: int, channels: int, layers: int) -> None:
        super().__init__(levels, channels)
        self.first = nn.Conv1d(PROFILES + SCALARS, channels, 1)
        parts: list[nn.Module] = []
        for layer in range(layers):
            dilation = 2**layer
            parts += [
                nn.Conv1d(
                    channels, channels, 3, padding=dilation, dilation=dilation, groups=channels
                ),
                nn.Conv1d(channels, channels, 1),
                nn.BatchNorm1d(channels),
                nn.Hardswish(),
            ]
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.results(self.layers(self.first(self.profiles(x))))


class UnetBlock(nn.Module):
    """Two convolutions with group normalisation and a shortcut."""

    def __init__(self, n_in: int, n_out: int, groups: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(groups, n_in), nn.GroupNorm(groups, n_out)])
        self.one = nn.Conv1d(n_in, n_out, 3, padding=1)
        self.two = nn.Conv1d(n_out, n_out, 3, padding=1)
        self.shortcut = nn.Conv1d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        z = self.one(functional.silu(self.norms[0](h)))
        z = self.two(functional.silu(self.norms[1](z)))
        return self.shortcut(h) + z


class Unet(ColumnOfProfiles):
    """U-Net: strided convolutions down, nearest neighbours up, concatenated shortcuts."""

    def __init__(self, levels: int, channels: int, depth: int, groups: int) -> None:
        super().__init__(levels, channels)
        widths = [channels * (1 + k) for k in range(depth + 1)]
        self.padding = -levels % 2**depth
        self.first = nn.Conv1d(PROFILES + SCALARS, channels, 3, padding=1)
        self.down = nn.ModuleList(UnetBlock(w, w, groups) for w in widths[:-1])
        self.stride = nn.ModuleList(
            nn.Conv1d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.middle = UnetBlock(widths[-1], widths[-1], groups)
        self.up = nn.ModuleList(
            UnetBlock(widths[k + 1] + widths[k], widths[k], groups) for k in reversed(range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(functional.pad(self.profiles(x), (self.padding, 0)))
        kept = []
        for block, stride in zip(self.down, self.stride, strict=True):
            h = block(h)
            kept.append(h)
            h = stride(h)
        h = self.middle(h)
        for block, other in zip(self.up, reversed(kept), strict=True):
            h = functional.interpolate(h, scale_factor=2.0, mode="nearest")
            h = block(torch.cat([h, other], dim=1))
        return self.results(h[:, :, self.padding :])


class Pooled(ColumnOfProfiles):
    """Encoder with maximum pooling and transposed convolutions back to all levels."""

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__(levels, channels)
        self.layers = nn.Sequential(
            nn.Conv1d(PROFILES + SCALARS, channels, 5, padding=2),
            nn.PReLU(channels),
            nn.MaxPool1d(2),
            nn.Conv1d(channels, 2 * channels, 3, padding=1),
            nn.Mish(),
            nn.AvgPool1d(2),
            nn.Conv1d(2 * channels, 2 * channels, 3, padding=1),
            nn.GELU(approximate="tanh"),
            nn.ConvTranspose1d(2 * channels, channels, 4, stride=2, padding=1),
            nn.SELU(),
            nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=1),
            nn.Softplus(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.results(self.layers(self.profiles(x)))
