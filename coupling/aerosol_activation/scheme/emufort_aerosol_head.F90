!> The physics behind the maximum supersaturation: which fractions of lognormal modes activate.
!>
!> Particles activate whose critical supersaturation lies below the maximum supersaturation s_max. With s_m, that of the
!> median radius, and sigma, the geometric standard deviation,
!>
!>     x = ln((s_m/s_max)**2)/(3 sqrt(2) ln(sigma)),  number fraction = erfc(x)/2,  mass fraction = erfc(x - shift)/2,
!>     shift = 1.5 sqrt(2) ln(sigma)
!>
!> Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161, eq. 13-15. Always on full sets of lanes, so that a column has
!> the same bits wherever it stands.
module emufort_aerosol_head
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, lanes
  use emufort_math, only: vector_erfc
  implicit none
  private

  public :: steepness_factor, shift_factor, activated_fractions_of_logs, padded

  !> The steepness 1/(3 sqrt(2) ln(sigma)) of a mode is this by ln(sigma) [1].
  real(real64), parameter :: steepness_factor = 1.0_real64/(3.0_real64*sqrt(2.0_real64))
  !> The shift of a mode is this times ln(sigma) [1].
  real(real64), parameter :: shift_factor = 1.5_real64*sqrt(2.0_real64)

contains

  !> Length of an array that holds n values in full sets of lanes.
  pure recursive integer function padded(n)
    integer, intent(in) :: n   !! number of values

    padded = lanes*((n + lanes - 1)/lanes)

  end function padded

  !> Activated fractions of any columns and modes.
  pure recursive subroutine activated_fractions_of_logs(n, log_ratio, steepness, shift, number, mass)
    integer, intent(in) :: n                 !! number of values, a multiple of `lanes`
    real(wp), intent(in) :: log_ratio(n)     !! ln((s_m/s_max)**2) [1]
    real(wp), intent(in) :: steepness(n)     !! 1/(3 sqrt(2) ln(sigma)) of the mode of each value [1]
    real(wp), intent(in) :: shift(n)         !! of the mode of each value [1]
    real(wp), intent(out) :: number(n)       !! activated fraction of the number [1]
    real(wp), intent(out) :: mass(n)         !! activated fraction of the mass, not below `number` [1]
    integer :: i

    ! One loop over all: of sets of lanes flang unrolls the inner loop and then gathers and scatters.
    !$omp simd
    do i = 1, n
      number(i) = log_ratio(i)*steepness(i)
      mass(i) = number(i) - shift(i)
    end do
    call vector_erfc(n, number)
    call vector_erfc(n, mass)
    !$omp simd
    do i = 1, n
      number(i) = 0.5_wp*number(i)
      ! Large particles activate first: rounding must not make it otherwise. False for NaN.
      mass(i) = merge(number(i), 0.5_wp*mass(i), 0.5_wp*mass(i) < number(i))
    end do

  end subroutine activated_fractions_of_logs

end module emufort_aerosol_head
