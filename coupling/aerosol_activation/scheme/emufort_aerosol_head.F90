!> Activated fractions of lognormal modes at a maximum supersaturation.
!>
!> Particles activate if their critical supersaturation is below the maximum supersaturation s_max. With the critical
!> supersaturation s_m of the median radius and the geometric standard deviation sigma,
!>
!>     x = ln((s_m/s_max)**2)/(3 sqrt(2) ln(sigma)),  number fraction = erfc(x)/2,  mass fraction = erfc(x - shift)/2,
!>     shift = 1.5 sqrt(2) ln(sigma)
!>
!> Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161, eq. 13-15. All computations use full sets of lanes, so that a
!> column has the same bits at any position.
module emufort_aerosol_head
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, lanes
  use emufort_dispatch, only: vector_erfc
  implicit none
  private

  public :: steepness_factor, shift_factor, activated_fractions_of_logs, padded

  !> The steepness 1/(3 sqrt(2) ln(sigma)) of a mode is this factor divided by ln(sigma) [1].
  real(real64), parameter :: steepness_factor = 1.0_real64/(3.0_real64*sqrt(2.0_real64))
  !> The shift of a mode is this factor times ln(sigma) [1].
  real(real64), parameter :: shift_factor = 1.5_real64*sqrt(2.0_real64)

contains

  !> Return the length of an array that holds n values in full sets of lanes.
  pure recursive integer function padded(n)
    integer, intent(in) :: n   !! number of values

    padded = lanes*((n + lanes - 1)/lanes)

  end function padded

  !> Compute the activated fractions of any columns and modes.
  pure recursive subroutine activated_fractions_of_logs(n, log_ratio, steepness, shift, number, mass)
    integer, intent(in) :: n                 !! number of values, a multiple of `lanes`
    real(wp), intent(in) :: log_ratio(n)     !! ln((s_m/s_max)**2) [1]
    real(wp), intent(in) :: steepness(n)     !! 1/(3 sqrt(2) ln(sigma)) of the mode of each value [1]
    real(wp), intent(in) :: shift(n)         !! shift of the mode of each value [1]
    real(wp), intent(out) :: number(n)       !! activated fraction of the number [1]
    real(wp), intent(out) :: mass(n)         !! activated fraction of the mass, not below `number` [1]
    integer :: i

    ! One loop over all values: with an inner loop over lanes, flang unrolls it and then gathers and scatters.
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
      ! Large particles activate first, so rounding must not make the mass fraction smaller. False for NaN.
      mass(i) = merge(number(i), 0.5_wp*mass(i), 0.5_wp*mass(i) < number(i))
    end do

  end subroutine activated_fractions_of_logs

end module emufort_aerosol_head
