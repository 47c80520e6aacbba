!> Ascent of a parcel up to its maximum of supersaturation.
module parcel_integrator
  use parcel_constants, only: wp, constants_type
  use parcel_thermodynamics, only: n_bulk, i_temperature, i_supersaturation, initial_bulk_state, kelvin_length
  use droplet_growth, only: equilibrium_radii
  use rodas_step, only: workspace_type, evaluate_rates, evaluate_jacobian, take_step
  implicit none
  private

  integer, parameter, public :: status_peak = 0 !! supersaturation passed a maximum above zero
  integer, parameter, public :: status_no_peak = 1 !! supersaturation still rising at the top of the ascent
  integer, parameter, public :: status_never_supersaturated = 2 !! supersaturation never above zero
  integer, parameter, public :: status_solver_failure = 3 !! invalid input, step too small or too many steps

  !> How to solve; the defaults are those of the data set.
  type, public :: parcel_options_type
    real(wp) :: initial_supersaturation = -0.02_wp !! below 0 [1]
    real(wp) :: relative_tolerance = 1.0e-5_wp !! of one step [1]
    real(wp) :: maximum_ascent = 3000.0_wp !! height above the start at which to give up [m]
    real(wp) :: prominence = 0.01_wp !! relative fall below a maximum that confirms it; 0: take the first [1]
    integer :: maximum_steps = 5000
  end type parcel_options_type

  !> What a solve finds. Without a peak, the values are those at the highest supersaturation of the ascent.
  type, public :: parcel_result_type
    integer :: status = status_solver_failure
    integer :: steps = 0 !! trial steps taken
    real(wp) :: max_supersaturation = 0.0_wp !! [1]
    real(wp) :: time = 0.0_wp !! of that maximum [s]
    real(wp) :: height = 0.0_wp !! of it above the start [m]
    real(wp) :: air_temperature = 0.0_wp !! at it [K]
  end type parcel_result_type

  public :: solve_parcel

contains

  pure subroutine solve_parcel(work, air_temperature, air_pressure, updraft_speed, constants, options, result)
    !! Solve for the maximum supersaturation of a parcel whose cells are in the workspace.
    !!
    !! A maximum is where d(supersaturation)/dt turns negative. With few cells, the activation of one cell can make a
    !! small maximum on the way to the true one, and so can the error of a step where the supersaturation is nearly
    !! steady. So a maximum counts once the supersaturation has fallen by `prominence` below it.
    type(workspace_type), intent(inout) :: work !! cells set: dry radius, number, hygroscopicity
    real(wp), intent(in) :: air_temperature !! at the start [K]
    real(wp), intent(in) :: air_pressure !! at the start [Pa]
    real(wp), intent(in) :: updraft_speed !! above 0 [m s-1]
    type(constants_type), intent(in) :: constants
    type(parcel_options_type), intent(in) :: options
    type(parcel_result_type), intent(out) :: result
    real(wp), parameter :: growth_limit = 6.0_wp, shrink_limit = 0.2_wp, safety = 0.9_wp
    integer, parameter :: refinement_limit = 8
    real(wp) :: time, time_end, step, step_next, error, bulk_scale(n_bulk), theta, peak, node
    integer :: refinements
    logical :: have_candidate, fresh_jacobian

    if (.not. valid_input(work, air_temperature, air_pressure, updraft_speed, constants, options)) return
    work%solute = work%hygroscopicity*work%dry_radius**3
    work%now%bulk = initial_bulk_state(air_temperature, air_pressure, options%initial_supersaturation)
    call equilibrium_radii(work%n_cells, kelvin_length(air_temperature, constants), options%initial_supersaturation, &
                           work%dry_radius, work%solute, work%now%radius)
    call evaluate_rates(work, work%now%bulk, work%now%radius, updraft_speed, constants, &
                        work%now%bulk_rate, work%now%radius_rate)

    time = 0.0_wp
    time_end = options%maximum_ascent/updraft_speed
    step = min(1.0e-2_wp, 1.0e-3_wp/updraft_speed)
    refinements = 0
    have_candidate = .false.
    fresh_jacobian = .false.
    result%max_supersaturation = options%initial_supersaturation
    result%air_temperature = air_temperature

    do while (time < time_end)
      if (result%steps >= options%maximum_steps .or. step < 1.0e-13_wp*max(time, 1.0_wp)) return
      result%steps = result%steps + 1
      if (.not. fresh_jacobian) call evaluate_jacobian(work, updraft_speed, constants)
      fresh_jacobian = .true.
      bulk_scale = options%relative_tolerance*[1.0e5_wp, 300.0_wp, 1.0e-2_wp, &
                                               max(abs(work%now%bulk(i_supersaturation)), 1.0e-4_wp)]
      call take_step(work, step, updraft_speed, constants, bulk_scale, options%relative_tolerance, error)
      if (error > 1.0_wp) then
        step = step*max(shrink_limit, safety*min(error, 1.0e6_wp)**(-0.25_wp))
        cycle
      end if
      step_next = step*min(growth_limit, safety*max(error, 1.0e-8_wp)**(-0.25_wp))

      associate (s0 => work%now%bulk(i_supersaturation), s1 => work%next%bulk(i_supersaturation), &
                 rate0 => work%now%bulk_rate(i_supersaturation), rate1 => work%next%bulk_rate(i_supersaturation))
        if (rate0 > 0.0_wp .and. rate1 <= 0.0_wp) then
          call hermite_maximum(s0, s1, rate0*step, rate1*step, theta, peak)
          node = max(s0, s1)
          ! repeat the step up to the maximum, until interpolation adds nothing that matters
          if (refinements < refinement_limit .and. &
              abs(peak - node) > options%relative_tolerance*max(abs(peak), 1.0e-6_wp)) then
            refinements = refinements + 1
            step = step*merge(0.999_wp*theta, 0.5_wp, theta < 0.98_wp)
            cycle
          end if
          if (peak > 0.0_wp .and. (peak > result%max_supersaturation .or. .not. have_candidate)) then
            have_candidate = .true.
            result%max_supersaturation = peak
            result%time = time + theta*step
            result%air_temperature = (1.0_wp - theta)*work%now%bulk(i_temperature) + &
                                     theta*work%next%bulk(i_temperature)
          end if
          refinements = 0
        end if
      end associate

      time = time + step
      call accept_trial(work)
      fresh_jacobian = .false.
      step = min(step_next, max(time_end - time, 1.0e-9_wp)*1.0001_wp)

      node = work%now%bulk(i_supersaturation)
      if (have_candidate) then
        if (node <= (1.0_wp - options%prominence)*result%max_supersaturation .or. options%prominence <= 0.0_wp) then
          result%height = result%time*updraft_speed
          result%status = status_peak
          return
        end if
      end if
      if (node > result%max_supersaturation) then ! an earlier maximum was not the true one
        have_candidate = .false.
        result%max_supersaturation = node
        result%time = time
        result%air_temperature = work%now%bulk(i_temperature)
      end if
    end do

    result%height = result%time*updraft_speed
    if (have_candidate) then
      result%status = status_peak
    else if (result%max_supersaturation > 0.0_wp) then
      result%status = status_no_peak
    else
      result%status = status_never_supersaturated
    end if
  end subroutine solve_parcel

  pure subroutine accept_trial(work)
    !! The trial state becomes the accepted one.
    type(workspace_type), intent(inout) :: work
    work%now%bulk = work%next%bulk
    work%now%bulk_rate = work%next%bulk_rate
    work%now%radius = work%next%radius
    work%now%radius_rate = work%next%radius_rate
  end subroutine accept_trial

  pure logical function valid_input(work, air_temperature, air_pressure, updraft_speed, constants, options)
    !! Whether the solver can start; comparisons are written so that NaN fails them.
    type(workspace_type), intent(in) :: work
    real(wp), intent(in) :: air_temperature, air_pressure, updraft_speed !! [K], [Pa], [m s-1]
    type(constants_type), intent(in) :: constants
    type(parcel_options_type), intent(in) :: options
    logical :: valid_air, valid_cells, valid_constants, valid_options
    valid_air = within(air_temperature, 150.0_wp, 400.0_wp) .and. within(air_pressure, 1.0e3_wp, 1.0e7_wp) .and. &
                within(updraft_speed, 0.0_wp, 1.0e3_wp)
    valid_cells = all(within(work%dry_radius, 0.0_wp, 1.0_wp)) .and. all(work%number >= 0.0_wp) .and. &
                  all(work%number < 1.0e20_wp) .and. all(within(work%hygroscopicity, 0.0_wp, 1.0e3_wp))
    valid_options = within(options%initial_supersaturation, -1.0_wp, 0.0_wp) .and. &
                    options%relative_tolerance > 0.0_wp .and. options%maximum_ascent > 0.0_wp
    valid_constants = constants%gravity > 0.0_wp .and. constants%gas_constant_air > 0.0_wp .and. &
                      constants%gas_constant_vapour > 0.0_wp .and. constants%heat_capacity_air > 0.0_wp .and. &
                      constants%latent_heat > 0.0_wp .and. constants%density_water > 0.0_wp .and. &
                      constants%accommodation_coefficient > 0.0_wp
    valid_input = valid_air .and. valid_cells .and. valid_constants .and. valid_options
  end function valid_input

  pure elemental logical function within(value, lower, upper)
    !! Whether a value lies between two bounds, not on them; false for NaN.
    real(wp), intent(in) :: value, lower, upper
    within = value > lower .and. value < upper
  end function within

  pure subroutine hermite_maximum(s0, s1, slope0, slope1, theta, peak)
    !! Maximum of the cubic through two values with their slopes, slope0 > 0 >= slope1, on the unit interval.
    real(wp), intent(in) :: s0, s1 !! values [1]
    real(wp), intent(in) :: slope0, slope1 !! slopes per unit interval [1]
    real(wp), intent(out) :: theta !! place of the maximum in [0, 1]
    real(wp), intent(out) :: peak !! value there [1]
    real(wp) :: a, b, discriminant, c2, c3
    c2 = 3.0_wp*(s1 - s0) - 2.0_wp*slope0 - slope1
    c3 = 2.0_wp*(s0 - s1) + slope0 + slope1
    a = 3.0_wp*c3
    b = 2.0_wp*c2
    discriminant = max(b*b - 4.0_wp*a*slope0, 0.0_wp)
    ! this form of the root has no cancellation and holds for a = 0; b < 0 or a < 0 in this case
    if (-b + sqrt(discriminant) > 0.0_wp) then
      theta = 2.0_wp*slope0/(-b + sqrt(discriminant))
    else
      theta = 0.5_wp
    end if
    theta = min(max(theta, 0.02_wp), 1.0_wp)
    peak = s0 + theta*(slope0 + theta*(c2 + theta*c3))
  end subroutine hermite_maximum

end module parcel_integrator
