!> Condensational growth of the aerosol cells, its derivatives, and the wet radii in equilibrium.
!!
!! A cell is a number of identical particles. Its Koehler curve (Petters and Kreidenweis 2007,
!! doi:10.5194/acp-7-1961-2007) is S_eq(r) = exp(A/r) (r^3 - rd^3)/(r^3 - rd^3 (1 - kappa)) - 1. The cube difference
!! is factored, since r - rd may be smaller than r by many orders of magnitude.
module droplet_growth
  use parcel_constants, only: wp
  use parcel_thermodynamics, only: n_bulk, bulk_coefficients_type
  implicit none
  private

  public :: growth_rates, growth_derivatives, equilibrium_radii

contains

  pure subroutine growth_rates(n_cells, coefficients, supersaturation, dry_radius, solute, number, radius, rate, moment)
    !! Growth rate of every cell and the condensation moment.
    integer, intent(in) :: n_cells
    type(bulk_coefficients_type), intent(in) :: coefficients
    real(wp), intent(in) :: supersaturation !! [1]
    real(wp), intent(in) :: dry_radius(n_cells) !! [m] (n_cells)
    real(wp), intent(in) :: solute(n_cells) !! kappa rd^3 [m3] (n_cells)
    real(wp), intent(in) :: number(n_cells) !! [m-3] (n_cells)
    real(wp), intent(in) :: radius(n_cells) !! wet radius [m] (n_cells)
    real(wp), intent(out) :: rate(n_cells) !! dr/dt [m s-1] (n_cells)
    real(wp), intent(out) :: moment !! sum of N r^2 dr/dt [s-1]
    real(wp) :: water, equilibrium, kelvin, slope, offset
    integer :: i
    kelvin = coefficients%kelvin_length
    slope = coefficients%resistance_slope
    offset = coefficients%resistance_offset
    moment = 0.0_wp
    !$omp simd reduction(+:moment) private(water, equilibrium)
    do i = 1, n_cells
      water = (radius(i) - dry_radius(i))*(radius(i)*(radius(i) + dry_radius(i)) + dry_radius(i)*dry_radius(i))
      equilibrium = exp(kelvin/radius(i))*water/(water + solute(i)) - 1.0_wp
      rate(i) = (supersaturation - equilibrium)/(slope*radius(i) + offset)
      moment = moment + number(i)*radius(i)*radius(i)*rate(i)
    end do
  end subroutine growth_rates

  pure subroutine growth_derivatives(n_cells, coefficients, coefficient_gradient, supersaturation, dry_radius, &
                                     solute, number, radius, rate_by_radius, rate_by_bulk, moment_by_radius, &
                                     moment_by_bulk, moment)
    !! Derivatives of the growth rates and of the condensation moment, in the blocks that the arrowhead solver takes.
    integer, intent(in) :: n_cells
    type(bulk_coefficients_type), intent(in) :: coefficients
    real(wp), intent(in) :: coefficient_gradient(3, n_bulk) !! of Kelvin length, resistance slope, offset by bulk state
    real(wp), intent(in) :: supersaturation !! [1]
    real(wp), intent(in) :: dry_radius(n_cells) !! [m] (n_cells)
    real(wp), intent(in) :: solute(n_cells) !! kappa rd^3 [m3] (n_cells)
    real(wp), intent(in) :: number(n_cells) !! [m-3] (n_cells)
    real(wp), intent(in) :: radius(n_cells) !! wet radius [m] (n_cells)
    real(wp), intent(out) :: rate_by_radius(n_cells) !! [s-1] (n_cells); a rate depends on its own radius only
    real(wp), intent(out) :: rate_by_bulk(n_cells, n_bulk) !! [m s-1 per unit of the bulk variable] (n_cells, n_bulk)
    real(wp), intent(out) :: moment_by_radius(n_cells) !! [m-1 s-1] (n_cells)
    real(wp), intent(out) :: moment_by_bulk(n_bulk) !! at fixed radii [s-1 per unit of the bulk variable] (n_bulk)
    real(wp), intent(out) :: moment !! sum of N r^2 dr/dt [s-1]
    real(wp) :: r, rd, water, kelvin_factor, ratio, inverse_resistance, rate, equilibrium_slope, surface
    real(wp) :: kelvin, slope, offset, by_kelvin, g(3, n_bulk), m1, m2, m3, m4
    integer :: i
    kelvin = coefficients%kelvin_length
    slope = coefficients%resistance_slope
    offset = coefficients%resistance_offset
    g = coefficient_gradient
    moment = 0.0_wp
    m1 = 0.0_wp; m2 = 0.0_wp; m3 = 0.0_wp; m4 = 0.0_wp
    !$omp simd reduction(+:moment, m1, m2, m3, m4) private(r, rd, water, kelvin_factor, ratio, &
    !$omp inverse_resistance, rate, equilibrium_slope, surface, by_kelvin)
    do i = 1, n_cells
      r = radius(i)
      rd = dry_radius(i)
      water = (r - rd)*(r*(r + rd) + rd*rd)
      kelvin_factor = exp(kelvin/r)
      ratio = water/(water + solute(i))
      inverse_resistance = 1.0_wp/(slope*r + offset)
      rate = (supersaturation - kelvin_factor*ratio + 1.0_wp)*inverse_resistance
      equilibrium_slope = kelvin_factor*(3.0_wp*r*r*solute(i)/(water + solute(i))**2 - kelvin*ratio/(r*r))
      surface = number(i)*r*r
      rate_by_radius(i) = -(equilibrium_slope + rate*slope)*inverse_resistance
      moment = moment + surface*rate
      moment_by_radius(i) = number(i)*2.0_wp*r*rate + surface*rate_by_radius(i)
      by_kelvin = kelvin_factor*ratio/r
      rate_by_bulk(i, 1) = -(by_kelvin*g(1, 1) + rate*(r*g(2, 1) + g(3, 1)))*inverse_resistance
      rate_by_bulk(i, 2) = -(by_kelvin*g(1, 2) + rate*(r*g(2, 2) + g(3, 2)))*inverse_resistance
      rate_by_bulk(i, 3) = -(by_kelvin*g(1, 3) + rate*(r*g(2, 3) + g(3, 3)))*inverse_resistance
      rate_by_bulk(i, 4) = (1.0_wp - by_kelvin*g(1, 4) - rate*(r*g(2, 4) + g(3, 4)))*inverse_resistance
      m1 = m1 + surface*rate_by_bulk(i, 1)
      m2 = m2 + surface*rate_by_bulk(i, 2)
      m3 = m3 + surface*rate_by_bulk(i, 3)
      m4 = m4 + surface*rate_by_bulk(i, 4)
    end do
    moment_by_bulk = [m1, m2, m3, m4]
  end subroutine growth_derivatives

  pure subroutine equilibrium_radii(n_cells, kelvin, supersaturation, dry_radius, solute, radius)
    !! Wet radii in stable equilibrium with a supersaturation below zero.
    !!
    !! On [rd, infinity) S_eq starts at -1 and crosses a negative supersaturation once: the rise before its
    !! maximum, which is above zero, is the only branch there. So doubling brackets the root, and bisection of
    !! ln(r - rd) finds it whatever the ratio of r to rd is; Newton steps would need the same safeguards.
    integer, intent(in) :: n_cells
    real(wp), intent(in) :: kelvin !! Kelvin length [m]
    real(wp), intent(in) :: supersaturation !! below 0 [1]
    real(wp), intent(in) :: dry_radius(n_cells) !! [m] (n_cells)
    real(wp), intent(in) :: solute(n_cells) !! kappa rd^3 [m3] (n_cells)
    real(wp), intent(out) :: radius(n_cells) !! wet radius [m] (n_cells)
    real(wp) :: low, high, middle
    integer :: i, iteration
    do i = 1, n_cells
      low = 1.0e-12_wp*dry_radius(i)
      high = dry_radius(i)
      do iteration = 1, 40
        if (excess(high, i) > 0.0_wp) exit
        low = high
        high = 2.0_wp*high
      end do
      do iteration = 1, 60
        middle = sqrt(low*high)
        if (excess(middle, i) > 0.0_wp) then
          high = middle
        else
          low = middle
        end if
        if (high - low < 1.0e-11_wp*low) exit
      end do
      radius(i) = dry_radius(i) + sqrt(low*high)
    end do

  contains

    pure real(wp) function excess(film, cell)
      !! Equilibrium supersaturation minus the given one for a film of water of this thickness.
      real(wp), intent(in) :: film !! r - rd [m]
      integer, intent(in) :: cell
      real(wp) :: r, water
      r = dry_radius(cell) + film
      water = film*(r*(r + dry_radius(cell)) + dry_radius(cell)**2)
      excess = exp(kelvin/r)*water/(water + solute(cell)) - 1.0_wp - supersaturation
    end function excess

  end subroutine equilibrium_radii

end module droplet_growth
