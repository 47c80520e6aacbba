!> Reflectance and transmittance of scattering layers in the delta-Eddington two-stream approximation.
!!
!! Joseph, Wiscombe and Weinman (1976, J. Atmos. Sci. 33, 2452) scale the optical properties; Meador and Weaver (1980,
!! J. Atmos. Sci. 37, 630) solve the two-stream equations. The formulas are those of two_stream/delta_eddington.py.
module two_stream_delta_eddington
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: delta_eddington, delta_eddington_layer

  integer, parameter :: wp = real64
  !> Smallest diffusion exponent; below it the solution does not change, but the formulas lose digits.
  real(wp), parameter :: smallest_exponent = 1.0e-6_wp
  !> Relative distance that the diffusion exponent keeps from the removable singularity of the beam.
  real(wp), parameter :: distance = 1.0e-5_wp

contains

  !> The scheme for `ncol` columns.
  pure subroutine delta_eddington(ncol, optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine, reflectance, &
                                  transmittance)
    integer, intent(in) :: ncol                              !! number of columns
    real(wp), intent(in) :: optical_depth(ncol)              !! extinction optical depth, above 0 [1]
    real(wp), intent(in) :: coalbedo(ncol)                   !! one minus the single-scattering albedo, 0 to 1 [1]
    real(wp), intent(in) :: asymmetry_factor(ncol)           !! 0 to below 1 [1]
    real(wp), intent(in) :: solar_zenith_cosine(ncol)        !! cosine of the solar zenith angle, above 0 [1]
    real(wp), intent(out) :: reflectance(ncol, 2)            !! for direct and diffuse incidence [1]
    real(wp), intent(out) :: transmittance(ncol, 2)          !! likewise, direct and diffuse flux together [1]

    call delta_eddington_layer(optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine, reflectance(:, 1), &
                               transmittance(:, 1), reflectance(:, 2), transmittance(:, 2))

  end subroutine delta_eddington

  !> The scheme for one layer. Reflectances are limited to [0, 1], transmittances to what is not reflected.
  elemental subroutine delta_eddington_layer(optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine, &
                                             reflectance_direct, transmittance_direct, reflectance_diffuse, &
                                             transmittance_diffuse)
    real(wp), intent(in) :: optical_depth                    !! extinction optical depth, above 0 [1]
    real(wp), intent(in) :: coalbedo                         !! one minus the single-scattering albedo, 0 to 1 [1]
    real(wp), intent(in) :: asymmetry_factor                 !! 0 to below 1 [1]
    real(wp), intent(in) :: solar_zenith_cosine              !! cosine of the solar zenith angle, above 0 [1]
    real(wp), intent(out) :: reflectance_direct              !! of the solar beam [1]
    real(wp), intent(out) :: transmittance_direct            !! of the solar beam, direct and diffuse flux together [1]
    real(wp), intent(out) :: reflectance_diffuse             !! of isotropic radiation [1]
    real(wp), intent(out) :: transmittance_diffuse           !! of isotropic radiation [1]
    real(wp) :: peak, remaining, tau, absorbed, omega, g, gamma1, gamma2, gamma3, alpha1, alpha2, k, k_mu
    real(wp) :: decay, squared, beam, over, factor

    ! delta scaling: the forward peak g**2 counts as unscattered
    peak = asymmetry_factor*asymmetry_factor
    remaining = coalbedo + (1.0_wp - peak)*(1.0_wp - coalbedo)
    tau = remaining*optical_depth
    absorbed = coalbedo/remaining
    omega = 1.0_wp - absorbed
    g = asymmetry_factor/(1.0_wp + asymmetry_factor)

    ! Meador and Weaver, table 1, Eddington; gamma4 = 1 - gamma3
    gamma1 = 0.25_wp*(7.0_wp - omega*(4.0_wp + 3.0_wp*g))
    gamma2 = 0.25_wp*(omega*(4.0_wp - 3.0_wp*g) - 1.0_wp)
    gamma3 = 0.25_wp*(2.0_wp - 3.0_wp*g*solar_zenith_cosine)
    alpha1 = gamma1*(1.0_wp - gamma3) + gamma2*gamma3
    alpha2 = gamma1*gamma3 + gamma2*(1.0_wp - gamma3)
    ! (gamma1 - gamma2)*(gamma1 + gamma2), without the difference of two close numbers
    k = max(sqrt(3.0_wp*absorbed*(1.0_wp - omega*g)), smallest_exponent)
    if (abs(1.0_wp - k*solar_zenith_cosine) < distance) k = (1.0_wp - distance)/solar_zenith_cosine
    k_mu = k*solar_zenith_cosine

    decay = exp(-k*tau)
    squared = decay*decay
    beam = exp(-tau/solar_zenith_cosine)
    over = 1.0_wp/(k + gamma1 + (k - gamma1)*squared)
    reflectance_diffuse = gamma2*(1.0_wp - squared)*over
    transmittance_diffuse = 2.0_wp*k*decay*over

    ! Meador and Weaver, equations 14 and 15, multiplied by exp(-k tau) above and below
    factor = omega*over/(1.0_wp - k_mu*k_mu)
    reflectance_direct = factor*((1.0_wp - k_mu)*(alpha2 + k*gamma3) - &
                                 (1.0_wp + k_mu)*(alpha2 - k*gamma3)*squared - &
                                 2.0_wp*k*(gamma3 - alpha2*solar_zenith_cosine)*decay*beam)
    transmittance_direct = beam - factor*((1.0_wp + k_mu)*(alpha1 + k*(1.0_wp - gamma3))*beam - &
                                          (1.0_wp - k_mu)*(alpha1 - k*(1.0_wp - gamma3))*squared*beam - &
                                          2.0_wp*k*(1.0_wp - gamma3 + alpha1*solar_zenith_cosine)*decay)

    reflectance_direct = min(max(reflectance_direct, 0.0_wp), 1.0_wp)
    transmittance_direct = min(max(transmittance_direct, 0.0_wp), 1.0_wp - reflectance_direct)
    reflectance_diffuse = min(max(reflectance_diffuse, 0.0_wp), 1.0_wp)
    transmittance_diffuse = min(max(transmittance_diffuse, 0.0_wp), 1.0_wp - reflectance_diffuse)

  end subroutine delta_eddington_layer

end module two_stream_delta_eddington
