"""Convert predictions of the network to reflectance and transmittance, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def network_outputs(fluxes: Array) -> tuple[Array, Array]:
    """Return the network outputs for given fluxes; inverse of `layer_fluxes`.

    Parameters
    ----------
    fluxes
        In the order of `two_stream.adding_doubling.FLUXES`, shape (n, 4).

    Returns
    -------
    absorptance, reflected_share : ndarray, shape (n, 2)
        For direct and diffuse incidence [1].
    """
    reflectance, transmittance = fluxes[:, 0::2], fluxes[:, 1::2]
    returned = reflectance + transmittance
    return np.clip(1.0 - returned, 0.0, 1.0), reflectance / returned


def layer_fluxes(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the reflectances and transmittances for outputs of the network.

    Parameters
    ----------
    inputs
        Not used.
    outputs
        `absorptance` and `reflected_share` [1], shape (n, 2).

    Returns
    -------
    dict
        `flux` [1], shape (n, 4), in the order of `two_stream.adding_doubling.FLUXES`.
    """
    passed_on = 1.0 - outputs["absorptance"]
    reflectance = passed_on * outputs["reflected_share"]
    return {"flux": np.stack([reflectance, passed_on - reflectance], axis=-1).reshape(-1, 4)}


def fluxes_as_given(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the fluxes of a scheme that provides them directly, `flux` (n, 4)."""
    return {"flux": outputs["flux"]}
