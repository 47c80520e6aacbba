!> Lognormal aerosol modes as cells of equal logarithmic width.
module lognormal_bins
  use parcel_constants, only: wp
  implicit none
  private

  public :: lognormal_cells

contains

  pure subroutine lognormal_cells(n_bins, number_concentration, dry_median_radius, geometric_standard_deviation, &
                                  half_width, dry_radius, number)
    !! Cells over +-half_width standard deviations of ln r, each with exactly the number the distribution has there.
    integer, intent(in) :: n_bins
    real(wp), intent(in) :: number_concentration !! [m-3]
    real(wp), intent(in) :: dry_median_radius !! number-median [m]
    real(wp), intent(in) :: geometric_standard_deviation !! [1]
    real(wp), intent(in) :: half_width !! [standard deviations of ln r]
    real(wp), intent(out) :: dry_radius(n_bins) !! geometric middle of the cell [m] (n_bins)
    real(wp), intent(out) :: number(n_bins) !! [m-3] (n_bins)
    real(wp) :: lower, upper
    integer :: i
    do i = 1, n_bins
      lower = half_width*(2.0_wp*real(i - 1, wp)/real(n_bins, wp) - 1.0_wp)
      upper = half_width*(2.0_wp*real(i, wp)/real(n_bins, wp) - 1.0_wp)
      dry_radius(i) = dry_median_radius*exp(0.5_wp*(lower + upper)*log(geometric_standard_deviation))
      number(i) = number_concentration*interval_probability(lower, upper)
    end do
  end subroutine lognormal_cells

  pure real(wp) function interval_probability(lower, upper)
    !! Standard normal probability of [lower, upper]; erfc on the outer side keeps the tails accurate.
    real(wp), intent(in) :: lower, upper !! [standard deviations]
    real(wp), parameter :: root_half = sqrt(0.5_wp)
    if (lower > 0.0_wp) then
      interval_probability = 0.5_wp*(erfc(lower*root_half) - erfc(upper*root_half))
    else
      interval_probability = 0.5_wp*(erfc(-upper*root_half) - erfc(-lower*root_half))
    end if
  end function interval_probability

end module lognormal_bins
