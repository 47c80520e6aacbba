"""Networks with attention between the levels of a column."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.published_networks.profiles import PROFILES, SCALARS, ColumnOfProfiles


class SelfAttention(nn.Module):
    """Attention with several heads between the levels, (n, level, channel)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, h: Tensor) -> Tensor:
        levels, channels = h.shape[1], h.shape[2]
        query, key, value = (
            part.reshape(-1, levels, self.heads, channels // self.heads).transpose(1, 2)
            for part in self.project(h).chunk(3, dim=2)
        )
        z = functional.scaled_dot_product_attention(query, key, value)
        return self.out(z.transpose(1, 2).reshape(-1, levels, channels))


class EncoderLayer(nn.Module):
    """Attention and two dense layers, each after a layer normalisation and with a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.attention = SelfAttention(channels, heads)
        self.wide = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attention(self.norms[0](h))
        return h + self.narrow(functional.gelu(self.wide(self.norms[1](h))))


class Encoder(ColumnOfProfiles):
    """A transformer encoder over the levels with learned positions."""

    def __init__(self, levels: int, channels: int, heads: int, layers: int) -> None:
        super().__init__(levels, channels)
        self.first = nn.Linear(PROFILES + SCALARS, channels)
        self.position = nn.Parameter(0.1 * torch.randn(levels, channels))
        self.layers = nn.Sequential(*(EncoderLayer(channels, heads) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(self.profiles(x).transpose(1, 2)) + self.position
        return self.results(self.layers(h).transpose(1, 2))


class ConvolutionModule(nn.Module):
    """Gated dense layer, depthwise convolution, batch normalisation, silu, dense layer."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.BatchNorm1d(channels)
        self.narrow = nn.Conv1d(channels, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        z = functional.glu(self.wide(h.transpose(1, 2)), dim=1)
        return self.narrow(functional.silu(self.norm(self.depthwise(z)))).transpose(1, 2)


class SqueezeformerBlock(nn.Module):
    """Attention, dense layers, convolution module, dense layers; normalised after each shortcut."""

    def __init__(self, channels: int, heads: int, kernel: int) -> None:
        super().__init__()

        def dense() -> nn.Module:
            return nn.Sequential(
                nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, channels)
            )

        self.parts = nn.ModuleList(
            [
                SelfAttention(channels, heads),
                dense(),
                ConvolutionModule(channels, kernel),
                dense(),
            ]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in self.parts)

    def forward(self, h: Tensor) -> Tensor:
        for part, norm in zip(self.parts, self.norms, strict=True):
            h = norm(h + part(h))
        return h


class Squeezeformer(ColumnOfProfiles):
    """Squeezeformer blocks over the levels."""

    def __init__(self, levels: int, channels: int, heads: int, blocks: int, kernel: int) -> None:
        super().__init__(levels, channels)
        self.first = nn.Linear(PROFILES + SCALARS, channels)
        self.blocks = nn.Sequential(
            *(SqueezeformerBlock(channels, heads, kernel) for _ in range(blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(self.profiles(x).transpose(1, 2))
        return self.results(self.blocks(h).transpose(1, 2))
