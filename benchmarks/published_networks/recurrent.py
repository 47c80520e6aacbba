"""Recurrent networks over the levels of a column."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.published_networks.profiles import PROFILES, SCALARS, ColumnOfProfiles


class BidirectionalLstm(ColumnOfProfiles):
    """Layers of bidirectional LSTM."""

    def __init__(self, levels: int, hidden: int, layers: int) -> None:
        super().__init__(levels, 2 * hidden)
        self.recurrent = nn.LSTM(
            PROFILES + SCALARS, hidden, layers, batch_first=True, bidirectional=True
        )

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.recurrent(self.profiles(x).transpose(1, 2))
        return self.results(h.transpose(1, 2))


class ResidualLstm(ColumnOfProfiles):
    """Bidirectional LSTM layers whose result is added to their input."""

    def __init__(self, levels: int, hidden: int, layers: int) -> None:
        super().__init__(levels, 2 * hidden)
        self.first = nn.Linear(PROFILES + SCALARS, 2 * hidden)
        self.recurrent = nn.ModuleList(
            nn.LSTM(2 * hidden, hidden, batch_first=True, bidirectional=True) for _ in range(layers)
        )
        self.last = nn.Sequential(nn.LayerNorm(2 * hidden), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(self.profiles(x).transpose(1, 2))
        for layer in self.recurrent:
            h = h + layer(h)[0]
        return self.results(self.last(h).transpose(1, 2))


class RadiationGru(nn.Module):
    """A GRU upwards from the surface and one downwards, and the fluxes at the half levels."""

    def __init__(self, levels: int, of_level: int, of_surface: int, hidden: int) -> None:
        super().__init__()
        self.inputs = {"profiles": (levels, of_level), "surface": (of_surface,)}
        self.initial = nn.Linear(of_surface, hidden)
        self.up = nn.GRU(of_level, hidden, batch_first=True)
        self.down = nn.GRU(hidden, hidden, batch_first=True)
        self.top = nn.Linear(hidden, 2)
        self.fluxes = nn.Linear(2 * hidden, 2)

    def forward(self, profiles: Tensor, surface: Tensor) -> Tensor:
        start = torch.tanh(self.initial(surface)).unsqueeze(0)
        upwards, _ = self.up(profiles.flip(1), start)
        upwards = upwards.flip(1)
        downwards, last = self.down(upwards)
        of_levels = torch.sigmoid(self.fluxes(torch.cat([upwards, downwards], dim=2)))
        at_surface = torch.sigmoid(self.top(last.squeeze(0))).unsqueeze(1)
        return torch.cat([of_levels, at_surface], dim=1)


class BidirectionalGru(nn.Module):
    """A bidirectional GRU, and heating rates and fluxes from it."""

    def __init__(self, levels: int, of_level: int, hidden: int) -> None:
        super().__init__()
        self.inputs = {"profiles": (levels, of_level)}
        self.recurrent = nn.GRU(of_level, hidden, batch_first=True, bidirectional=True)
        self.heating = nn.Linear(2 * hidden, 1)
        self.surface = nn.Linear(2 * hidden, 4)

    def forward(self, profiles: Tensor) -> tuple[Tensor, Tensor]:
        h, _ = self.recurrent(profiles)
        return self.heating(h).squeeze(2), torch.relu(self.surface(h[:, -1]))


class ElmanRnn(nn.Module):
    """A simple recurrent network over time steps, of which the last gives the result."""

    def __init__(self, steps: int, of_step: int, hidden: int, n_out: int) -> None:
        super().__init__()
        self.inputs = {"series": (steps, of_step)}
        self.recurrent = nn.RNN(of_step, hidden, 2, batch_first=True)
        self.last = nn.Linear(hidden, n_out)

    def forward(self, series: Tensor) -> Tensor:
        h, _ = self.recurrent(series)
        return self.last(h[:, -1])
