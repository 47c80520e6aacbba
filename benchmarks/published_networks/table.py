"""The table of the published networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from benchmarks.published_networks import attention, columns, profiles, recurrent

#: The sizes in which every network exists.
SIZES = ("small", "published")
Size = Literal["small", "published"]


@dataclass(frozen=True)
class PublishedNetwork:
    """A published architecture.

    Attributes
    ----------
    name
        Short name, usable as the name of an emulator.
    source
        Where it was published.
    build
        Class or function that makes the module. The module names the shapes of its inputs, without
        the dimension of the columns, in the attribute ``inputs``.
    small, published
        Arguments of `build` for a network that is small enough for tests, and for one of the size
        that people use.
    has_weights
        Whether the module chooses its initial weights itself.
    """

    name: str
    source: str
    build: Callable[..., nn.Module]
    small: Mapping[str, Any]
    published: Mapping[str, Any]
    has_weights: bool = False

    def module(self, size: Size, seed: int = 1) -> nn.Module:
        """Return the module for inference; the same arguments give the same weights."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            module = self.build(**(self.small if size == "small" else self.published))
            for part in module.modules():
                if isinstance(part, nn.BatchNorm1d):
                    _randomise(part)
                elif isinstance(part, _LAYERS) and not self.has_weights:
                    # With torch's smaller weights, deep networks hardly depend on their inputs.
                    nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
        return module.eval().requires_grad_(False)


_LAYERS = (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)


def _randomise(norm: nn.BatchNorm1d) -> None:
    """Give a batch normalisation the statistics and weights of a trained network."""
    for values, low, high in (
        (norm.running_mean, -0.3, 0.3),
        (norm.running_var, 0.5, 1.5),
        (norm.weight, 0.7, 1.3),
        (norm.bias, -0.3, 0.3),
    ):
        assert values is not None
        nn.init.uniform_(values, low, high)


_LEVELS, _FEW_LEVELS = 60, 12

NETWORKS: dict[str, PublishedNetwork] = {
    network.name: network
    for network in (
        PublishedNetwork(
            "two_heads",
            "baseline of ClimSim (Yu et al. 2023)",
            columns.TwoHeads,
            {"widths": (20, 24, 16, 16), "linear": 12, "positive": 4},
            {"widths": (124, 384, 256, 256, 128), "linear": 120, "positive": 8},
        ),
        PublishedNetwork(
            "batch_norm_mlp",
            "batch normalisation (Ioffe and Szegedy 2015), ELU (Clevert et al. 2016)",
            columns.BatchNormMlp,
            {"n_in": 12, "width": 16, "layers": 2, "n_out": 5},
            {"n_in": 124, "width": 256, "layers": 4, "n_out": 128},
        ),
        PublishedNetwork(
            "residual_mlp",
            "residual blocks (He et al. 2016) of dense layers, ClimSim competition (2024)",
            columns.ResidualMlp,
            {"n_in": 12, "width": 16, "blocks": 2, "n_out": 5},
            {"n_in": 556, "width": 256, "blocks": 4, "n_out": 368},
        ),
        PublishedNetwork(
            "layer_norm_mlp",
            "layer normalisation (Ba et al. 2016) before each residual block",
            columns.ResidualMlp,
            {"n_in": 12, "width": 16, "blocks": 2, "n_out": 5, "normalised": True},
            {"n_in": 556, "width": 256, "blocks": 4, "n_out": 368, "normalised": True},
        ),
        PublishedNetwork(
            "gas_optics",
            "RTE-RRTMGP-NN (Ukkonen et al. 2020)",
            columns.GasOptics,
            {"gases": 7, "width": 16, "g_points": 16},
            {"gases": 18, "width": 58, "g_points": 256},
        ),
        PublishedNetwork(
            "randomly_wired",
            "aerosol optics (Geiss et al. 2023)",
            columns.RandomlyWired,
            {"n_in": 5, "width": 8, "layers": 4, "n_out": 3, "probability": 0.6},
            {"n_in": 9, "width": 48, "layers": 8, "n_out": 3, "probability": 0.5},
        ),
        PublishedNetwork(
            "deeponet",
            "DeepONet (Lu et al. 2021)",
            columns.DeepONet,
            {"sensors": 12, "coordinates": 2, "width": 16, "terms": 8, "outputs": 3},
            {"sensors": 60, "coordinates": 3, "width": 128, "terms": 64, "outputs": 4},
        ),
        PublishedNetwork(
            "deep_sets",
            "deep sets (Zaheer et al. 2017) over aerosol modes",
            columns.DeepSets,
            {"modes": 3, "of_mode": 4, "shared": 3, "width": 8},
            {"modes": 5, "of_mode": 4, "shared": 3, "width": 64},
        ),
        PublishedNetwork(
            "mixture_of_experts",
            "adaptive mixtures of local experts (Jacobs et al. 1991)",
            columns.MixtureOfExperts,
            {"n_in": 10, "width": 12, "experts": 3, "n_out": 4},
            {"n_in": 124, "width": 128, "experts": 8, "n_out": 128},
        ),
        PublishedNetwork(
            "fourier_features",
            "random Fourier features (Tancik et al. 2020)",
            columns.FourierFeatures,
            {"n_in": 4, "frequencies": 8, "width": 16, "n_out": 3},
            {"n_in": 10, "frequencies": 128, "width": 256, "n_out": 8},
        ),
        PublishedNetwork(
            "neural_ode",
            "neural ordinary differential equations (Chen et al. 2018)",
            columns.NeuralOde,
            {"state": 5, "width": 8, "steps": 1},
            {"state": 12, "width": 64, "steps": 4},
        ),
        PublishedNetwork(
            "highway",
            "highway networks (Srivastava et al. 2015)",
            columns.Highway,
            {"n_in": 10, "width": 16, "layers": 2, "n_out": 4},
            {"n_in": 124, "width": 128, "layers": 6, "n_out": 128},
        ),
        PublishedNetwork(
            "siren",
            "periodic activation functions (Sitzmann et al. 2020)",
            columns.Siren,
            {"n_in": 4, "width": 16, "layers": 2, "n_out": 3},
            {"n_in": 10, "width": 128, "layers": 4, "n_out": 8},
            has_weights=True,
        ),
        PublishedNetwork(
            "convolutional",
            "convolutions over the levels, baseline of ClimSim (Yu et al. 2023)",
            profiles.PlainConvolutional,
            {"levels": _FEW_LEVELS, "channels": 16, "layers": 2},
            {"levels": _LEVELS, "channels": 64, "layers": 5},
        ),
        PublishedNetwork(
            "group_norm_cnn",
            "convolutions with group normalisation (Wu and He 2018)",
            profiles.Convolutional,
            {"levels": _FEW_LEVELS, "channels": 16, "layers": 2, "groups": 4},
            {"levels": _LEVELS, "channels": 64, "layers": 5, "groups": 8},
        ),
        PublishedNetwork(
            "squeeze_excitation",
            "residual convolutions with squeeze and excitation (Hu et al. 2018)",
            profiles.ResidualConvolutional,
            {"levels": _FEW_LEVELS, "channels": 16, "blocks": 2},
            {"levels": _LEVELS, "channels": 64, "blocks": 4},
        ),
        PublishedNetwork(
            "convnext",
            "ConvNeXt (Liu et al. 2022) over the levels, ClimSim competition (2024)",
            profiles.ConvNext,
            {"levels": _FEW_LEVELS, "channels": 16, "blocks": 2},
            {"levels": _LEVELS, "channels": 64, "blocks": 4},
        ),
        PublishedNetwork(
            "separable",
            "depthwise-separable convolutions (Howard et al. 2017) with dilation",
            profiles.Separable,
            {"levels": _FEW_LEVELS, "channels": 16, "layers": 2},
            {"levels": _LEVELS, "channels": 64, "layers": 5},
        ),
        PublishedNetwork(
            "unet",
            "U-Net (Ronneberger et al. 2015) over the levels, as in Hu et al. (2025)",
            profiles.Unet,
            {"levels": _FEW_LEVELS, "channels": 8, "depth": 2, "groups": 4},
            {"levels": _LEVELS, "channels": 32, "depth": 3, "groups": 8},
        ),
        PublishedNetwork(
            "pooled",
            "convolutions with pooling, and transposed convolutions",
            profiles.Pooled,
            {"levels": _FEW_LEVELS, "channels": 8},
            {"levels": _LEVELS, "channels": 32},
        ),
        PublishedNetwork(
            "bilstm",
            "bidirectional LSTM over the levels (Heuer et al. 2025)",
            recurrent.BidirectionalLstm,
            {"levels": _FEW_LEVELS, "hidden": 8, "layers": 2},
            {"levels": _LEVELS, "hidden": 64, "layers": 2},
        ),
        PublishedNetwork(
            "residual_lstm",
            "bidirectional LSTM layers with shortcuts, ClimSim competition (2024)",
            recurrent.ResidualLstm,
            {"levels": _FEW_LEVELS, "hidden": 8, "layers": 2},
            {"levels": _LEVELS, "hidden": 64, "layers": 3},
        ),
        PublishedNetwork(
            "radiation_gru",
            "GRU upwards and downwards for radiative fluxes (Ukkonen 2022)",
            recurrent.RadiationGru,
            {"levels": _FEW_LEVELS, "of_level": 5, "of_surface": 4, "hidden": 8},
            {"levels": _LEVELS, "of_level": 8, "of_surface": 16, "hidden": 32},
        ),
        PublishedNetwork(
            "bigru",
            "bidirectional GRU for radiative fluxes (Ukkonen 2022)",
            recurrent.BidirectionalGru,
            {"levels": _FEW_LEVELS, "of_level": 5, "hidden": 8},
            {"levels": _LEVELS, "of_level": 8, "hidden": 32},
        ),
        PublishedNetwork(
            "elman_rnn",
            "simple recurrent network (Elman 1990) over time steps",
            recurrent.ElmanRnn,
            {"steps": 6, "of_step": 4, "hidden": 8, "n_out": 3},
            {"steps": 24, "of_step": 8, "hidden": 32, "n_out": 8},
        ),
        PublishedNetwork(
            "encoder",
            "transformer encoder (Vaswani et al. 2017) over the levels",
            attention.Encoder,
            {"levels": _FEW_LEVELS, "channels": 16, "heads": 2, "layers": 1},
            {"levels": _LEVELS, "channels": 64, "heads": 4, "layers": 2},
        ),
        PublishedNetwork(
            "squeezeformer",
            "Squeezeformer (Kim et al. 2022) over the levels, ClimSim competition (2024)",
            attention.Squeezeformer,
            {"levels": _FEW_LEVELS, "channels": 16, "heads": 2, "blocks": 1, "kernel": 5},
            {"levels": _LEVELS, "channels": 64, "heads": 4, "blocks": 2, "kernel": 7},
        ),
    )
}
