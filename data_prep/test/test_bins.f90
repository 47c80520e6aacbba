!> Cells of a lognormal mode hold its number and its moments; equilibrium radii solve the Koehler equation.
program test_bins
  use parcel_constants, only: wp, constants_type
  use parcel_thermodynamics, only: kelvin_length
  use lognormal_bins, only: lognormal_cells
  use droplet_growth, only: equilibrium_radii
  implicit none
  integer, parameter :: n = 400
  real(wp), parameter :: total = 3.0e8_wp, median = 5.0e-8_wp, sigma = 1.8_wp, kappa = 0.3_wp
  real(wp) :: dry_radius(n), number(n), radius(n), ratio(n), exact, kelvin
  integer :: i
  call lognormal_cells(n, total, median, sigma, 5.0_wp, dry_radius, number)
  if (abs(sum(number)/total - erf(5.0_wp/sqrt(2.0_wp))) > 1.0e-12_wp) error stop 'cells lose particles'
  exact = median*exp(0.5_wp*log(sigma)**2)
  if (abs(sum(number*dry_radius)/sum(number)/exact - 1.0_wp) > 1.0e-3_wp) error stop 'mean radius is wrong'
  do i = 1, n/2
    if (abs(number(i)/number(n + 1 - i) - 1.0_wp) > 1.0e-9_wp) error stop 'cells are not symmetric in the tails'
  end do
  kelvin = kelvin_length(280.0_wp, constants_type())
  call equilibrium_radii(n, kelvin, -0.02_wp, dry_radius, kappa*dry_radius**3, radius)
  if (any(radius <= dry_radius)) error stop 'a wet radius is below its dry radius'
  ratio = (radius**3 - dry_radius**3)/(radius**3 - dry_radius**3*(1.0_wp - kappa))
  if (maxval(abs(exp(kelvin/radius)*ratio - 0.98_wp)) > 1.0e-9_wp) &
    error stop 'a wet radius is not in equilibrium'
  print '(a)', 'test_bins: passed'
end program test_bins
