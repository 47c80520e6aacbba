"""The classical scheme: the delta-Eddington two-stream approximation.

Joseph, Wiscombe and Weinman (1976, J. Atmos. Sci. 33, 2452) scale the optical properties; Meador
and Weaver (1980, J. Atmos. Sci. 37, 630) solve the two-stream equations. The same formulas are in
`fortran/two_stream_delta_eddington.F90`, which models call and emufort times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from two_stream.adding_doubling import delta_scaled

Array = NDArray[np.float64]

#: Smallest diffusion exponent; below it the solution does not change, but the formulas lose digits.
SMALLEST_EXPONENT = 1e-6
#: Relative distance that the diffusion exponent keeps from the removable singularity of the beam.
DISTANCE = 1e-5


def layer_fluxes(
    optical_depth: ArrayLike,
    coalbedo: ArrayLike,
    asymmetry_factor: ArrayLike,
    solar_zenith_cosine: ArrayLike,
) -> Array:
    """Return the reflectances and transmittances of layers in the delta-Eddington approximation.

    Parameters
    ----------
    optical_depth : array_like
        Extinction optical depth [1], above 0. All four are broadcast to the shape (n,).
    coalbedo : array_like
        One minus the single-scattering albedo [1], from 0 to 1.
    asymmetry_factor : array_like
        [1], from 0 to below 1.
    solar_zenith_cosine : array_like
        Cosine of the solar zenith angle [1], above 0 and up to 1.

    Returns
    -------
    ndarray, shape (n, 4), float64
        As `two_stream.adding_doubling.layer_fluxes`. The approximation can leave the range of a
        fraction. As in climate models, reflectances are limited to [0, 1], and transmittances to
        one minus the reflectance.
    """
    arguments = (optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine)
    tau, omega_c, g, mu = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in arguments)
    )
    tau, omega_c = delta_scaled(tau, omega_c, g * g)
    g = g / (1.0 + g)
    omega = 1.0 - omega_c
    # Meador and Weaver, table 1, Eddington; gamma4 = 1 - gamma3
    gamma1 = 0.25 * (7.0 - omega * (4.0 + 3.0 * g))
    gamma2 = 0.25 * (omega * (4.0 - 3.0 * g) - 1.0)
    gamma3 = 0.25 * (2.0 - 3.0 * g * mu)
    alpha1 = gamma1 * (1.0 - gamma3) + gamma2 * gamma3
    alpha2 = gamma1 * gamma3 + gamma2 * (1.0 - gamma3)
    # (gamma1 - gamma2) (gamma1 + gamma2), without the difference of two close numbers
    k = np.sqrt(3.0 * omega_c * (1.0 - omega * g))
    k = np.maximum(k, SMALLEST_EXPONENT)
    k = np.where(np.abs(1.0 - k * mu) < DISTANCE, (1.0 - DISTANCE) / mu, k)

    decay, beam = np.exp(-k * tau), np.exp(-tau / mu)
    denominator = k + gamma1 + (k - gamma1) * decay**2
    diffuse_r = gamma2 * (1.0 - decay**2) / denominator
    diffuse_t = 2.0 * k * decay / denominator
    # Meador and Weaver, equations 14 and 15, multiplied by exp(-k tau) above and below
    factor = omega / ((1.0 - (k * mu) ** 2) * denominator)
    direct_r = factor * (
        (1.0 - k * mu) * (alpha2 + k * gamma3)
        - (1.0 + k * mu) * (alpha2 - k * gamma3) * decay**2
        - 2.0 * k * (gamma3 - alpha2 * mu) * decay * beam
    )
    direct_t = beam - factor * (
        (1.0 + k * mu) * (alpha1 + k * (1.0 - gamma3)) * beam
        - (1.0 - k * mu) * (alpha1 - k * (1.0 - gamma3)) * decay**2 * beam
        - 2.0 * k * (1.0 - gamma3 + alpha1 * mu) * decay
    )
    reflectance = np.clip(np.column_stack([direct_r, diffuse_r]), 0.0, 1.0)
    transmittance = np.clip(np.column_stack([direct_t, diffuse_t]), 0.0, 1.0 - reflectance)
    return np.stack([reflectance, transmittance], axis=-1).reshape(len(tau), -1)
