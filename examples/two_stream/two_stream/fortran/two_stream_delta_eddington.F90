!> Reflectance and transmittance of scattering layers in the delta-Eddington two-stream approximation.
!!
!! Joseph, Wiscombe and Weinman (1976, J. Atmos. Sci. 33, 2452) scale the optical properties; Meador and Weaver (1980,
!! J. Atmos. Sci. 37, 630) solve the two-stream equations. The formulas are those of two_stream/delta_eddington.py.
module two_stream_delta_eddington
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: delta_eddington

  integer, parameter :: wp = real64
  !> Smallest diffusion exponent; below it the solution does not change, but the formulas lose digits.
  real(wp), parameter :: smallest_exponent = 1.0e-6_wp
  !> Relative distance that the diffusion exponent keeps from the removable singularity of the beam.
  real(wp), parameter :: distance = 1.0e-5_wp

contains

  !> The scheme for `ncol` columns. Reflectances are limited to [0, 1], transmittances to what is not reflected.
  pure subroutine delta_eddington(ncol, optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine, reflectance, &
                                  transmittance)
    integer, intent(in) :: ncol                              !! number of columns
    real(wp), intent(in) :: optical_depth(ncol)              !! extinction optical depth, above 0 [1]
    real(wp), intent(in) :: coalbedo(ncol)                   !! one minus the single-scattering albedo, 0 to 1 [1]
    real(wp), intent(in) :: asymmetry_factor(ncol)           !! 0 to below 1 [1]
    real(wp), intent(in) :: solar_zenith_cosine(ncol)        !! cosine of the solar zenith angle, above 0 [1]
    real(wp), intent(out) :: reflectance(ncol, 2)            !! for direct and for diffuse incidence [1]
    real(wp), intent(out) :: transmittance(ncol, 2)          !! likewise; direct and scattered flux together [1]
    real(wp) :: mu, peak, remaining, tau, absorbed, omega, g, gamma1, gamma2, gamma3, gamma4, alpha1, alpha2, k, k_mu
    real(wp) :: decay, squared, beam, over, factor, reflected, transmitted
    integer :: i

    ! one loop without calls except exp and sqrt, so that compilers vectorise it
    do i = 1, ncol
      mu = solar_zenith_cosine(i)
      ! delta scaling: the forward peak g**2 is treated as unscattered
      peak = asymmetry_factor(i)*asymmetry_factor(i)
      remaining = coalbedo(i) + (1.0_wp - peak)*(1.0_wp - coalbedo(i))
      tau = remaining*optical_depth(i)
      absorbed = coalbedo(i)/remaining
      omega = 1.0_wp - absorbed
      g = asymmetry_factor(i)/(1.0_wp + asymmetry_factor(i))

      ! Meador and Weaver, table 1, Eddington
      gamma1 = 0.25_wp*(7.0_wp - omega*(4.0_wp + 3.0_wp*g))
      gamma2 = 0.25_wp*(omega*(4.0_wp - 3.0_wp*g) - 1.0_wp)
      gamma3 = 0.25_wp*(2.0_wp - 3.0_wp*g*mu)
      gamma4 = 1.0_wp - gamma3
      alpha1 = gamma1*gamma4 + gamma2*gamma3
      alpha2 = gamma1*gamma3 + gamma2*gamma4
      ! (gamma1 - gamma2)*(gamma1 + gamma2), without the difference of two close numbers
      k = max(sqrt(3.0_wp*absorbed*(1.0_wp - omega*g)), smallest_exponent)
      if (abs(1.0_wp - k*mu) < distance) k = (1.0_wp - distance)/mu
      k_mu = k*mu

      decay = exp(-k*tau)
      squared = decay*decay
      beam = exp(-tau/mu)
      over = 1.0_wp/(k + gamma1 + (k - gamma1)*squared)

      ! Meador and Weaver, equations 14 and 15, multiplied by exp(-k tau) above and below
      factor = omega*over/(1.0_wp - k_mu*k_mu)
      reflected = factor*((1.0_wp - k_mu)*(alpha2 + k*gamma3) - (1.0_wp + k_mu)*(alpha2 - k*gamma3)*squared - &
                          2.0_wp*k*(gamma3 - alpha2*mu)*decay*beam)
      transmitted = beam - factor*((1.0_wp + k_mu)*(alpha1 + k*gamma4)*beam - &
                                   (1.0_wp - k_mu)*(alpha1 - k*gamma4)*squared*beam - &
                                   2.0_wp*k*(gamma4 + alpha1*mu)*decay)
      reflectance(i, 1) = min(max(reflected, 0.0_wp), 1.0_wp)
      transmittance(i, 1) = min(max(transmitted, 0.0_wp), 1.0_wp - reflectance(i, 1))

      reflected = gamma2*(1.0_wp - squared)*over
      transmitted = 2.0_wp*k*decay*over
      reflectance(i, 2) = min(max(reflected, 0.0_wp), 1.0_wp)
      transmittance(i, 2) = min(max(transmitted, 0.0_wp), 1.0_wp - reflectance(i, 2))
    end do

  end subroutine delta_eddington

end module two_stream_delta_eddington
