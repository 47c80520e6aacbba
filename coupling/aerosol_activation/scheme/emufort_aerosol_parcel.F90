!> The fast path for hosts that pass one parcel per call: a single updraft, and all inputs of the emulator within range.
!>
!> It computes what `activate` of emufort_aerosol_activation computes for a chunk of one column, with the same bits. Each
!> statement here has its counterpart there, so change both. All modes share one call of each vector function.
module emufort_aerosol_parcel
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, lanes
  use emufort_math, only: vector_ln, vector_exp, vector_erfc
  use emufort_aerosol_contract, only: temperature_at => air_temperature_at, pressure_at => air_pressure_at, &
                                      updraft_at => updraft_speed_at, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  use emufort_aerosol_arg2000, only: critical_factors
  use emufort_aerosol_head, only: steepness_factor, shift_factor, padded
  use emufort_aerosol_scheme, only: scheme_type, hk => activation_kind, n_modes => n_emulated_modes, n_plain
  use emufort_aerosol_supersaturation, only: hygroscopicity_floor, edge
  use emufort_aerosol_activation, only: least_number, least_volume, least_hygroscopicity
  implicit none
  private

  public :: activate_parcel

  integer, parameter :: dp = real64
  !> Two values for each mode, in full sets of lanes.
  integer, parameter :: n_pairs = lanes*((2*n_modes + lanes - 1)/lanes)

contains

  !> Compute the activated fractions of one parcel if the emulator alone answers.
  recursive subroutine activate_parcel(scheme, w_mean, w_diabatic, temperature, density, number, volume, kappa, fn, fm, &
                                       is_done)
    type(scheme_type), intent(in) :: scheme         !! after `init`, with an emulator for one column
    real(hk), intent(in) :: w_mean                  !! mean vertical velocity, above 0 [m s-1]
    real(hk), intent(in) :: w_diabatic              !! diabatic vertical velocity [m s-1]
    real(hk), intent(in) :: temperature             !! [K]
    real(hk), intent(in) :: density                 !! [kg m-3]
    real(hk), intent(in) :: number(n_modes)         !! [m-3] (mode)
    real(hk), intent(in) :: volume(n_modes)         !! [m3 m-3] (mode)
    real(hk), intent(in) :: kappa(n_modes)          !! hygroscopicity [1] (mode)
    real(hk), intent(inout) :: fn(n_modes)          !! fraction of the number that activates [1] (mode)
    real(hk), intent(inout) :: fm(n_modes)          !! fraction of the mass that activates [1] (mode)
    logical, intent(out) :: is_done                 !! whether the fractions were computed
    real(dp) :: x(n_plain), y(1), cube(n_modes), factor(1), t(1), kappa_cube
    real(wp) :: logs(n_pairs), radius(lanes*((n_modes + lanes - 1)/lanes)), smax(lanes), share(n_pairs)
    logical :: is_active(n_modes)
    integer :: m

    is_done = .false.
    do m = 1, n_modes
      if (.not. (real(number(m), dp) > least_number .and. real(volume(m), dp) > least_volume)) return
    end do
    t(1) = real(temperature, dp)
    call critical_factors(scheme%constants, 1, t, factor)
    x(temperature_at) = t(1)
    x(pressure_at) = scheme%constants%gas_constant_air*real(density, dp)*t(1)
    x(updraft_at) = real(w_mean, dp) + real(w_diabatic, dp)
    logs = 1.0_wp
    do m = 1, n_modes
      cube(m) = scheme%volume_factor(m)*real(volume(m), dp)/real(number(m), dp)
      is_active(m) = .not. real(kappa(m), dp) <= least_hygroscopicity
      kappa_cube = merge(real(kappa(m), dp)*cube(m), 1.0_dp, is_active(m))
      logs(m) = real(cube(m), wp)
      logs(n_modes + m) = real(merge(factor(1)/kappa_cube, 1.0e4_dp, is_active(m)), wp)
    end do
    call vector_ln(n_pairs, logs)
    radius = 0.0_wp
    do m = 1, n_modes
      radius(m) = logs(m)*(1.0_wp/3.0_wp)
    end do
    call vector_exp(size(radius), radius)
    do m = 1, n_modes
      x(number_at + m - 1) = real(number(m), dp)
      x(radius_at + m - 1) = real(radius(m), dp)
      x(kappa_at + m - 1) = merge(hygroscopicity_floor, real(kappa(m), dp), real(kappa(m), dp) < hygroscopicity_floor)
    end do
    do m = 1, n_plain
      x(m) = merge(scheme%lower(m), x(m), x(m) < scheme%lower(m) .and. x(m) >= scheme%lower(m)*(1.0_dp - edge))
      x(m) = merge(scheme%upper(m), x(m), x(m) > scheme%upper(m) .and. x(m) <= scheme%upper(m)*(1.0_dp + edge))
    end do

    if (associated(scheme%inside)) then
      call scheme%inside(x, y, is_done)
    else
      call scheme%emulator%predict_inside(x, y, is_done)
    end if
    if (.not. is_done) return
    is_done = y(1) > 0.0_dp .and. y(1) <= huge(1.0_dp)
    if (.not. is_done) return

    smax = 1.0_wp
    smax(1) = real(y(1), wp)
    call vector_ln(lanes, smax)
    share = 0.0_wp
    do m = 1, n_modes
      share(m) = (logs(n_modes + m) - 2.0_wp*smax(1))*real(steepness_factor/scheme%log_sigma(m), wp)
      share(n_modes + m) = share(m) - real(shift_factor*scheme%log_sigma(m), wp)
    end do
    call vector_erfc(n_pairs, share)
    do m = 1, n_modes
      fn(m) = real(merge(0.5_wp*share(m), 0.0_wp, is_active(m)), hk)
      fm(m) = real(merge(max(0.5_wp*share(n_modes + m), 0.5_wp*share(m)), 0.0_wp, is_active(m)), hk)
    end do

  end subroutine activate_parcel

end module emufort_aerosol_parcel
