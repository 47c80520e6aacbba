!> Halving a constant step divides the error by about 2^4.
program test_rodas_order
  use parcel_constants, only: wp, constants_type
  use parcel_thermodynamics, only: n_bulk, initial_bulk_state, kelvin_length
  use droplet_growth, only: equilibrium_radii
  use rodas_step, only: workspace_type, evaluate_rates, evaluate_jacobian, take_step
  implicit none
  integer, parameter :: n = 5, n_levels = 4
  real(wp), parameter :: duration = 30.0_wp, speed = 4.0_wp
  real(wp) :: reference(n), error(n_levels), order
  integer :: level
  reference = final_radii(4096)
  do level = 1, n_levels
    error(level) = maxval(abs(final_radii(16*2**level)/reference - 1.0_wp))
  end do
  do level = 2, n_levels
    order = log(error(level - 1)/error(level))/log(2.0_wp)
    print '(a, i5, a, es9.2, a, f5.2)', 'steps', 16*2**level, '  error', error(level), '  order', order
  end do
  if (order < 3.6_wp .or. order > 4.6_wp) error stop 'the method is not of order 4'
  print '(a)', 'test_rodas_order: passed'
contains

  function final_radii(steps) result(value)
    !! Wet radii after `duration`, past the maximum of supersaturation, in equal steps [m].
    integer, intent(in) :: steps
    real(wp) :: value(n)
    type(workspace_type) :: work
    real(wp) :: error, scale(n_bulk)
    type(constants_type), parameter :: constants = constants_type()
    integer :: i, status
    call work%create(n, status)
    work%dry_radius = [3.0e-7_wp, 4.0e-7_wp, 5.0e-7_wp, 7.0e-7_wp, 1.0e-6_wp]
    work%number = [1.0e8_wp, 1.0e8_wp, 1.0e8_wp, 2.0e7_wp, 1.0e6_wp]
    work%hygroscopicity = 0.6_wp
    work%solute = work%hygroscopicity*work%dry_radius**3
    work%now%bulk = initial_bulk_state(285.0_wp, 9.0e4_wp, -0.02_wp)
    call equilibrium_radii(n, kelvin_length(285.0_wp, constants), -0.02_wp, work%dry_radius, work%solute, &
                           work%now%radius)
    call evaluate_rates(work, work%now%bulk, work%now%radius, speed, constants, work%now%bulk_rate, &
                        work%now%radius_rate)
    scale = 1.0_wp
    do i = 1, steps
      call evaluate_jacobian(work, speed, constants)
      call take_step(work, duration/real(steps, wp), speed, constants, scale, 1.0_wp, error)
      if (error >= huge(error)) error stop 'a step left the physical range'
      work%now%bulk = work%next%bulk
      work%now%bulk_rate = work%next%bulk_rate
      work%now%radius = work%next%radius
      work%now%radius_rate = work%next%radius_rate
    end do
    value = work%now%radius
  end function final_radii

end program test_rodas_order
