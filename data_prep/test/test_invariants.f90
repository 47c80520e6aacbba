!> What the equations conserve, the solver conserves: moist static energy and total water.
program test_invariants
  use parcel_constants, only: wp, pi, constants_type
  use parcel_thermodynamics, only: n_bulk, i_pressure, i_temperature, i_vapour, i_supersaturation, initial_bulk_state, &
                                   kelvin_length, saturation_vapour_pressure
  use droplet_growth, only: equilibrium_radii
  use rodas_step, only: workspace_type, evaluate_rates, evaluate_jacobian, take_step
  use parcel_integrator, only: parcel_options_type, parcel_result_type, solve_parcel, status_peak, &
                               status_solver_failure, status_never_supersaturated, status_no_peak
  implicit none
  integer, parameter :: n = 5
  type(constants_type) :: constants
  call check_energy()
  call check_water()
  call check_statuses()
  constants = constants_type(gravity=9.8_wp, gas_constant_air=287.0_wp, gas_constant_vapour=461.5_wp, &
                             heat_capacity_air=1004.6_wp, latent_heat=2.5e6_wp, density_water=997.0_wp, &
                             accommodation_coefficient=0.5_wp)
  call check_energy()
  call check_water()
  call check_statuses()
  constants%latent_heat = -1.0_wp
  call check_bad_constants()
  print '(a)', 'test_invariants: passed'
contains

  subroutine prepare(work, supersaturation, speed)
    !! A parcel in equilibrium.
    type(workspace_type), intent(out) :: work
    real(wp), intent(in) :: supersaturation, speed
    integer :: status
    call work%create(n, status)
    work%dry_radius = [2.0e-8_wp, 5.0e-8_wp, 1.0e-7_wp, 3.0e-7_wp, 1.0e-6_wp]
    work%number = [5.0e8_wp, 4.0e8_wp, 2.0e8_wp, 1.0e7_wp, 1.0e6_wp]
    work%hygroscopicity = 0.6_wp
    work%solute = work%hygroscopicity*work%dry_radius**3
    work%now%bulk = initial_bulk_state(285.0_wp, 9.0e4_wp, supersaturation)
    call equilibrium_radii(n, kelvin_length(285.0_wp, constants), supersaturation, work%dry_radius, work%solute, &
                           work%now%radius)
    call evaluate_rates(work, work%now%bulk, work%now%radius, speed, constants, work%now%bulk_rate, &
                        work%now%radius_rate)
  end subroutine prepare

  subroutine advance(work, step, speed, steps)
    !! Constant steps.
    type(workspace_type), intent(inout) :: work
    real(wp), intent(in) :: step, speed
    integer, intent(in) :: steps
    real(wp) :: error, scale(n_bulk)
    integer :: i
    scale = 1.0_wp
    do i = 1, steps
      call evaluate_jacobian(work, speed, constants)
      call take_step(work, step, speed, constants, scale, 1.0_wp, error)
      if (error >= huge(error)) error stop 'a step left the physical range'
      work%now%bulk = work%next%bulk
      work%now%bulk_rate = work%next%bulk_rate
      work%now%radius = work%next%radius
      work%now%radius_rate = work%next%radius_rate
    end do
  end subroutine advance

  subroutine check_energy()
    !! c_p T + g z + L w is constant in an adiabatic ascent: linear, so a Rosenbrock method keeps it to rounding.
    type(workspace_type) :: work
    real(wp) :: before, after
    real(wp), parameter :: speed = 1.0_wp, step = 0.05_wp
    integer, parameter :: steps = 2000
    call prepare(work, -0.02_wp, speed)
    before = static_energy(work)
    call advance(work, step, speed, steps)
    after = static_energy(work) + constants%gravity*speed*step*real(steps, wp)
    if (abs(after/before - 1.0_wp) > 1.0e-11_wp) error stop 'moist static energy is not conserved'
  end subroutine check_energy

  function static_energy(work) result(energy)
    !! c_p T + L w [J kg-1].
    type(workspace_type), intent(in) :: work
    real(wp) :: energy
    energy = constants%heat_capacity_air*work%now%bulk(i_temperature) + constants%latent_heat*work%now%bulk(i_vapour)
  end function static_energy

  subroutine check_water()
    !! Without ascent, vapour lost is liquid gained: particles pushed out of equilibrium relax in still air.
    !! Only the density that converts volume to mass ratio drifts, by the latent heat released.
    type(workspace_type) :: work
    real(wp) :: vapour, liquid, gained, lost
    call prepare(work, -0.02_wp, 0.0_wp)
    work%now%radius = work%dry_radius + 0.5_wp*(work%now%radius - work%dry_radius)
    call evaluate_rates(work, work%now%bulk, work%now%radius, 0.0_wp, constants, work%now%bulk_rate, &
                        work%now%radius_rate)
    vapour = work%now%bulk(i_vapour)
    liquid = liquid_water(work)
    call advance(work, 1.0e-6_wp, 0.0_wp, 20000)
    gained = liquid_water(work) - liquid
    lost = vapour - work%now%bulk(i_vapour)
    if (.not. gained > 1.0e-3_wp*liquid) error stop 'the particles did not take up water'
    if (abs(gained/lost - 1.0_wp) > 1.0e-5_wp) error stop 'total water is not conserved'
  end subroutine check_water

  function liquid_water(work) result(ratio)
    !! Liquid water mixing ratio [kg kg-1].
    type(workspace_type), intent(in) :: work
    real(wp) :: ratio, density
    density = (work%now%bulk(i_pressure) - (1.0_wp + work%now%bulk(i_supersaturation))* &
               saturation_vapour_pressure(work%now%bulk(i_temperature)))/ &
              (constants%gas_constant_air*work%now%bulk(i_temperature))
    ratio = 4.0_wp/3.0_wp*pi*constants%density_water*sum(work%number*(work%now%radius**3 - work%dry_radius**3))/density
  end function liquid_water

  subroutine check_statuses()
    !! Each outcome has its status, and bad input fails instead of looping.
    type(workspace_type) :: work
    type(parcel_options_type) :: options
    type(parcel_result_type) :: found
    call prepare(work, -0.02_wp, 1.0_wp)
    call solve_parcel(work, 285.0_wp, 9.0e4_wp, 1.0_wp, constants, options, found)
    if (found%status /= status_peak .or. found%max_supersaturation <= 0.0_wp) error stop 'no peak in an ordinary case'
    options%maximum_ascent = 45.0_wp
    call solve_parcel(work, 285.0_wp, 9.0e4_wp, 1.0_wp, constants, options, found)
    if (found%status /= status_no_peak) error stop 'an ascent cut short must have status no_peak'
    options%maximum_ascent = 5.0_wp
    call solve_parcel(work, 285.0_wp, 9.0e4_wp, 1.0_wp, constants, options, found)
    if (found%status /= status_never_supersaturated) error stop 'a tiny ascent must never be supersaturated'
    options = parcel_options_type()
    call solve_parcel(work, 285.0_wp, 9.0e4_wp, -1.0_wp, constants, options, found)
    if (found%status /= status_solver_failure) error stop 'a downdraft must fail'
    options%maximum_steps = 10
    call solve_parcel(work, 285.0_wp, 9.0e4_wp, 1.0_wp, constants, options, found)
    if (found%status /= status_solver_failure .or. found%steps > 10) error stop 'the limit of steps must hold'
  end subroutine check_statuses

  subroutine check_bad_constants()
    !! Constants that are not positive fail instead of giving a result.
    type(workspace_type) :: work
    type(parcel_result_type) :: found
    call prepare(work, -0.02_wp, 1.0_wp)
    call solve_parcel(work, 285.0_wp, 9.0e4_wp, 1.0_wp, constants, parcel_options_type(), found)
    if (found%status /= status_solver_failure) error stop 'a negative latent heat must fail'
  end subroutine check_bad_constants

end program test_invariants
