// SPDX-License-Identifier: Apache-2.0
//
// emufort_activation.hpp: aerosol activation for hosts in C++17, with the number of modes as a compile-time constant.
// It consists of this header over emufort_activation.h.
//
//   emufort::activate_modal<4>(w, wmax, tair, rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact);
//
// The functions run on the CPU. A host with Kokkos calls them in a host execution space.
#ifndef EMUFORT_ACTIVATION_HPP
#define EMUFORT_ACTIVATION_HPP

#include "emufort.hpp"
#include "emufort_activation.h"

namespace emufort {

/// Prepare the scheme, once and before any threads; returns whether there was no error. A message without an error is a
/// line for the log of the host.
template <int Modes>
bool activation_init(const emufort_activation_constants &constants, const double (&sigmag)[Modes],
                     const emufort_activation_options &options, status &outcome) noexcept {
  return emufort_activation_init(&constants, Modes, sigmag, &options, outcome.get()) == EMUFORT_SUCCESS;
}

/// Compute the activated fractions of one parcel with a single updraft, as mam4xx; returns whether there was no error.
/// All arrays have `Modes` elements.
template <int Modes>
bool activate_modal(double w_in, double wmaxf, double tair, double rhoair, const double *na, const double *volume,
                    const double *hygro, double *fn, double *fm, double *fluxn, double *fluxm, double &flux_fullact,
                    status &outcome) noexcept {
  static_assert(Modes > 0, "a host has at least one aerosol mode");
  emufort_activation_modal(w_in, 0.0, 0.0, 0.0, wmaxf, tair, rhoair, na, Modes, volume, hygro, fn, fm, fluxn, fluxm,
                           &flux_fullact, nullptr, outcome.get());
  return outcome.ok();
}

/// The same without a status: a call in error calls the abort of the host, or is answered by its routine, or gives NaN.
template <int Modes>
void activate_modal(double w_in, double wmaxf, double tair, double rhoair, const double *na, const double *volume,
                    const double *hygro, double *fn, double *fm, double *fluxn, double *fluxm, double &flux_fullact) {
  static_assert(Modes > 0, "a host has at least one aerosol mode");
  emufort_activation_modal(w_in, 0.0, 0.0, 0.0, wmaxf, tair, rhoair, na, Modes, volume, hygro, fn, fm, fluxn, fluxm,
                           &flux_fullact, nullptr, nullptr);
}

/// The same with the arguments of ndrop::activate_modal of mam4xx. The logarithms of the widths of the modes and the
/// Kelvin length are not used: `activation_init` gets the widths.
template <int Modes>
void activate_modal(double w_in, double wmaxf, double tair, double rhoair, const double *na, const double *volume,
                    const double *hygro, const double * /* exp45logsig */, const double * /* alogsig */,
                    double /* aten */, double *fn, double *fm, double *fluxn, double *fluxm, double &flux_fullact) {
  activate_modal<Modes>(w_in, wmaxf, tair, rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact);
}

} // namespace emufort

#endif // EMUFORT_ACTIVATION_HPP
