!> Quadrature of the spectrum of updrafts of a column, a normal distribution.
module emufort_aerosol_updrafts
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: n_nodes, least_width, spectrum_width, updraft_quadrature

  integer, parameter :: dp = real64
  real(dp), parameter :: pi = 3.14159265358979323846_dp, root2 = sqrt(2.0_dp)

  ! Gauss-Legendre quadrature in t with w = w_min + (w_max - w_min) t**3, which is dense for weak updrafts, where
  ! activation begins. The largest error against 3,000 nodes in 300 cases is 2e-5 in a fraction.
  integer, parameter :: n_nodes = 12
  real(dp), parameter :: least_width = 1.0e-5_dp   ! a narrower spectrum is a single updraft, as in E3SM [m s-1]
  real(dp), parameter :: spectrum_width = 4.0_dp   ! half-width of the integration [standard deviations]
  real(dp), parameter :: node(n_nodes) = [ &
                         0.009219682876640378_dp, 0.0479413718147626_dp, 0.11504866290284765_dp, &
                         0.20634102285669126_dp, 0.31608425050090994_dp, 0.43738329574426554_dp, &
                         0.5626167042557344_dp, 0.6839157494990901_dp, 0.7936589771433087_dp, &
                         0.8849513370971523_dp, 0.9520586281852375_dp, 0.9907803171233596_dp]
  real(dp), parameter :: weight(n_nodes) = [ &
                         0.023587668193255706_dp, 0.05346966299765953_dp, 0.08003916427167321_dp, &
                         0.10158371336153287_dp, 0.1167462682691773_dp, 0.12457352290670134_dp, &
                         0.12457352290670134_dp, 0.1167462682691773_dp, 0.10158371336153287_dp, &
                         0.08003916427167321_dp, 0.05346966299765953_dp, 0.023587668193255706_dp]

contains

  !> Compute the speeds and weights of the spectrum of one column. The loop is over the nodes, whose number is fixed: in
  !> a loop over columns the compiler may use another exponential function for the body than for the remainder.
  recursive subroutine updraft_quadrature(lower, upper, most, mean, sigma, speed, share, flux, full)
    real(dp), intent(in) :: lower, upper      !! limits of the quadrature [m s-1]
    real(dp), intent(in) :: most              !! largest updraft [m s-1]
    real(dp), intent(in) :: mean, sigma       !! mean and standard deviation of the updraft speed [m s-1]
    real(dp), intent(out) :: speed(n_nodes)   !! [m s-1] (node)
    real(dp), intent(out) :: share(n_nodes)   !! weights of a fraction [1] (node)
    real(dp), intent(out) :: flux(n_nodes)    !! weights of a flux [m s-1] (node)
    real(dp), intent(out) :: full             !! flux if all particles activated [m s-1]
    real(dp) :: exact, tail
    integer :: q

    do q = 1, n_nodes
      speed(q) = lower + (upper - lower)*(node(q)*node(q)*node(q))
      share(q) = weight(q)*(upper - lower)*(3.0_dp*node(q)*node(q))*density_at(speed(q), mean, sigma)
      flux(q) = share(q)*max(speed(q), 0.0_dp)
    end do
    ! scale the weights so that their sums equal the exact integrals
    share = share*(probability(lower, upper, mean, sigma)/sum(share))
    exact = mean_speed(max(lower, 0.0_dp), upper, mean, sigma)
    if (sum(flux) > 0.0_dp) flux = flux*(exact/sum(flux))
    full = max(exact, 0.0_dp)
    if (most > upper) then   ! stronger updrafts activate the same fraction as the last node
      share(n_nodes) = share(n_nodes) + probability(upper, most, mean, sigma)
      tail = max(0.0_dp, mean_speed(upper, most, mean, sigma))
      flux(n_nodes) = flux(n_nodes) + tail
      full = full + tail
    end if

  end subroutine updraft_quadrature

  !> Return the density of a normal distribution [s m-1].
  pure recursive real(dp) function density_at(speed, mean, sigma)
    real(dp), intent(in) :: speed, mean, sigma   !! [m s-1]

    density_at = exp(-0.5_dp*((speed - mean)/sigma)**2)/(sqrt(2.0_dp*pi)*sigma)

  end function density_at

  !> Return the probability that the updraft lies between two speeds [1].
  pure recursive real(dp) function probability(lower, upper, mean, sigma)
    real(dp), intent(in) :: lower, upper, mean, sigma   !! [m s-1]
    real(dp) :: a, b

    a = (lower - mean)/(root2*sigma)
    b = (upper - mean)/(root2*sigma)
    if (a > 0.0_dp) then   ! avoids the difference of numbers close to 1
      probability = 0.5_dp*(erfc(a) - erfc(b))
    else
      probability = 0.5_dp*(erf(b) - erf(a))
    end if

  end function probability

  !> Return the integral of speed times density between two speeds [m s-1].
  pure recursive real(dp) function mean_speed(lower, upper, mean, sigma)
    real(dp), intent(in) :: lower, upper, mean, sigma   !! [m s-1]

    mean_speed = mean*probability(lower, upper, mean, sigma) + &
                 sigma*sigma*(density_at(lower, mean, sigma) - density_at(upper, mean, sigma))

  end function mean_speed

end module emufort_aerosol_updrafts
