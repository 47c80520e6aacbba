/* SPDX-License-Identifier: Apache-2.0
 *
 * emufort_activation.h: aerosol activation for hosts in C (C99) and C++, double precision, one parcel per call.
 *
 *   emufort_activation_init    once and before any threads, like emufort_host_init in Fortran
 *   emufort_activation_modal     the arguments of E3SM's activate_modal; same bits as the call from Fortran
 *
 * All quantities are in SI units. emufort_activation_modal allocates nothing, and any number of threads may call it.
 * docs/coupling.md describes the options.
 */
#ifndef EMUFORT_ACTIVATION_H
#define EMUFORT_ACTIVATION_H

#include "emufort.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Constants of the host. They must be those with which the emulator was trained. */
typedef struct emufort_activation_constants {
  double gravity;             /* acceleration of gravity [m s-2] */
  double gas_constant_air;    /* gas constant of dry air [J kg-1 K-1] */
  double gas_constant_vapour; /* gas constant of water vapour [J kg-1 K-1] */
  double heat_capacity_air;   /* heat capacity of dry air at constant pressure [J kg-1 K-1] */
  double latent_heat;         /* latent heat of condensation [J kg-1] */
  double density_water;       /* density of water [kg m-3] */
} emufort_activation_constants;

/* The host's own activate_modal. smax_prescribed is a null pointer unless the supersaturation is given. All results are
 * 0 before the call. */
typedef void (*emufort_host_routine)(double wbar, double sigw, double wdiab, double wminf, double wmaxf, double tair,
                                     double rhoair, const double *na, int nmode, const double *volume,
                                     const double *hygro, double *fn, double *fm, double *fluxn, double *fluxm,
                                     double *flux_fullact, const double *smax_prescribed);

/* Ends the run of the host. It must not throw an exception through the scheme. */
typedef void (*emufort_host_abort)(const char *message);

/* Options; null pointers and 0 stand for the defaults, so {0} is complete. */
typedef struct emufort_activation_options {
  const char *scheme;                /* "emulator" (default), "host" or "arg2000" */
  const char *outside;               /* outside the range: "ratio" (default), "host", "arg2000" or "clip" */
  const char *formula;               /* of ARG2000: "paper" (default) or "e3sm" */
  const char *mismatch;              /* of constants or modes: "refuse" (default) or "fall_back" */
  double kelvin_temperature;         /* temperature of the Kelvin length of ARG2000 [K]; 0: that of the air */
  emufort_host_routine host_routine; /* the host's own routine, for the schemes and answers "host" */
  emufort_host_abort abort;          /* called for errors of a call without a status */
} emufort_activation_options;

/* Prepare the scheme for nmode modes with the geometric standard deviations sigmag. Returns status->code. With the code
 * 0 a message is a line for the log of the host: it names a difference for which the fall-back answers. */
int emufort_activation_init(const emufort_activation_constants *constants, int nmode, const double *sigmag,
                            const emufort_activation_options *options, emufort_status *status);

/* Compute the activated fractions of one parcel and their fluxes into cloud.
 *
 *   wbar, sigw, wdiab, wminf, wmaxf   vertical velocity: mean, standard deviation, diabatic, smallest, largest [m s-1]
 *   tair, rhoair                      air temperature [K] and density [kg m-3]
 *   na, volume, hygro                 number [m-3], volume [m3 m-3] and hygroscopicity [1] of nmode modes
 *   fn, fm, fluxn, fluxm              activated fractions of number and mass [1], their fluxes [m s-1], nmode values
 *   flux_fullact                      flux if all particles activated [m s-1]
 *   smax_prescribed                   maximum supersaturation [1]; or a null pointer: it is computed
 *   status                            outcome; or a null pointer: a call in error calls the abort of the host, or is
 *                                     answered by its routine, or gives NaN
 */
void emufort_activation_modal(double wbar, double sigw, double wdiab, double wminf, double wmaxf, double tair,
                              double rhoair, const double *na, int nmode, const double *volume, const double *hygro,
                              double *fn, double *fm, double *fluxn, double *fluxm, double *flux_fullact,
                              const double *smax_prescribed, emufort_status *status);

/* Number of calls since the initialisation that could not be answered. */
int64_t emufort_activation_errors(void);

/* Hash of the emulator; "none" in a build without it. */
const char *emufort_activation_hash(void);

#ifdef __cplusplus
}
#endif

#endif
