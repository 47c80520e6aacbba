!> C interface of the parcel model: batches of samples, arrays column-first as numpy holds them.
module parcel_model_c
  use, intrinsic :: iso_c_binding, only: c_int, c_double
  use parcel_constants, only: wp, constants_type
  use lognormal_bins, only: lognormal_cells
  use rodas_step, only: workspace_type
  use parcel_integrator, only: parcel_options_type, parcel_result_type, solve_parcel
  implicit none
  private

  integer, parameter :: n_constants = 7
  integer, parameter :: n_options = 5
  integer, parameter :: n_results = 4

  public :: emufort_parcel_modes, emufort_parcel_cells

contains

  function emufort_parcel_modes(n_samples, n_modes, n_bins, half_width, constants, options, &
                                geometric_standard_deviation, air_temperature, air_pressure, updraft_speed, &
                                number_concentration, dry_median_radius, hygroscopicity, &
                                results, status, steps) result(error) bind(c)
    !! Maximum supersaturation of samples of lognormal modes.
    integer(c_int), value :: n_samples, n_modes, n_bins !! n_bins cells a mode
    real(c_double), value :: half_width !! of the cells of a mode [standard deviations of ln r]
    real(c_double), intent(in) :: constants(n_constants) !! see `constants_from_array`
    real(c_double), intent(in) :: options(n_options) !! see `options_from_array`
    real(c_double), intent(in) :: geometric_standard_deviation(n_modes) !! [1]
    real(c_double), intent(in) :: air_temperature(n_samples) !! [K] (n_samples)
    real(c_double), intent(in) :: air_pressure(n_samples) !! [Pa] (n_samples)
    real(c_double), intent(in) :: updraft_speed(n_samples) !! [m s-1] (n_samples)
    real(c_double), intent(in) :: number_concentration(n_modes, n_samples) !! [m-3] (n_modes, n_samples)
    real(c_double), intent(in) :: dry_median_radius(n_modes, n_samples) !! [m] (n_modes, n_samples)
    real(c_double), intent(in) :: hygroscopicity(n_modes, n_samples) !! [1] (n_modes, n_samples)
    real(c_double), intent(out) :: results(n_results, n_samples) !! max supersaturation, T, height, time there
    integer(c_int), intent(out) :: status(n_samples), steps(n_samples)
    integer(c_int) :: error !! 0, or not enough memory
    type(workspace_type) :: work
    integer :: i, mode, first
    results = 0.0_wp
    status = -1
    steps = 0
    call work%create(n_modes*n_bins, error)
    if (error /= 0) return
    do i = 1, n_samples
      do mode = 1, n_modes
        first = (mode - 1)*n_bins + 1
        call lognormal_cells(n_bins, number_concentration(mode, i), dry_median_radius(mode, i), &
                             geometric_standard_deviation(mode), half_width, &
                             work%dry_radius(first:first + n_bins - 1), work%number(first:first + n_bins - 1))
        work%hygroscopicity(first:first + n_bins - 1) = hygroscopicity(mode, i)
      end do
      call solve_one(work, air_temperature(i), air_pressure(i), updraft_speed(i), constants, options, results(:, i), &
                     status(i), steps(i))
    end do
  end function emufort_parcel_modes

  function emufort_parcel_cells(n_samples, n_cells, constants, options, air_temperature, air_pressure, updraft_speed, &
                                dry_radius, number, hygroscopicity, results, status, steps) result(error) bind(c)
    !! Maximum supersaturation of samples with cells that the caller made.
    integer(c_int), value :: n_samples, n_cells
    real(c_double), intent(in) :: constants(n_constants) !! see `constants_from_array`
    real(c_double), intent(in) :: options(n_options) !! see `options_from_array`
    real(c_double), intent(in) :: air_temperature(n_samples) !! [K] (n_samples)
    real(c_double), intent(in) :: air_pressure(n_samples) !! [Pa] (n_samples)
    real(c_double), intent(in) :: updraft_speed(n_samples) !! [m s-1] (n_samples)
    real(c_double), intent(in) :: dry_radius(n_cells, n_samples) !! [m] (n_cells, n_samples)
    real(c_double), intent(in) :: number(n_cells, n_samples) !! [m-3] (n_cells, n_samples)
    real(c_double), intent(in) :: hygroscopicity(n_cells, n_samples) !! [1] (n_cells, n_samples)
    real(c_double), intent(out) :: results(n_results, n_samples) !! max supersaturation, T, height, time there
    integer(c_int), intent(out) :: status(n_samples), steps(n_samples)
    integer(c_int) :: error !! 0, or not enough memory
    type(workspace_type) :: work
    integer :: i
    results = 0.0_wp
    status = -1
    steps = 0
    call work%create(n_cells, error)
    if (error /= 0) return
    do i = 1, n_samples
      work%dry_radius = dry_radius(:, i)
      work%number = number(:, i)
      work%hygroscopicity = hygroscopicity(:, i)
      call solve_one(work, air_temperature(i), air_pressure(i), updraft_speed(i), constants, options, results(:, i), &
                     status(i), steps(i))
    end do
  end function emufort_parcel_cells

  pure subroutine solve_one(work, air_temperature, air_pressure, updraft_speed, constants, options, results, status, &
                            steps)
    !! Solve one sample and unpack its result.
    type(workspace_type), intent(inout) :: work
    real(wp), intent(in) :: air_temperature, air_pressure, updraft_speed !! [K], [Pa], [m s-1]
    real(wp), intent(in) :: constants(n_constants)
    real(wp), intent(in) :: options(n_options)
    real(wp), intent(out) :: results(n_results)
    integer(c_int), intent(out) :: status, steps
    type(parcel_result_type) :: found
    call solve_parcel(work, air_temperature, air_pressure, updraft_speed, constants_from_array(constants), &
                      options_from_array(options), found)
    results = [found%max_supersaturation, found%air_temperature, found%height, found%time]
    status = int(found%status, c_int)
    steps = int(found%steps, c_int)
  end subroutine solve_one

  pure function constants_from_array(values) result(constants)
    !! Constants in the order of the Python side.
    real(wp), intent(in) :: values(n_constants)
    type(constants_type) :: constants
    constants%gravity = values(1)
    constants%gas_constant_air = values(2)
    constants%gas_constant_vapour = values(3)
    constants%heat_capacity_air = values(4)
    constants%latent_heat = values(5)
    constants%density_water = values(6)
    constants%accommodation_coefficient = values(7)
  end function constants_from_array

  pure function options_from_array(values) result(options)
    !! Options in the order of the Python side.
    real(wp), intent(in) :: values(n_options)
    type(parcel_options_type) :: options
    options%initial_supersaturation = values(1)
    options%relative_tolerance = values(2)
    options%maximum_ascent = values(3)
    options%prominence = values(4)
    options%maximum_steps = nint(values(5))
  end function options_from_array

end module parcel_model_c
