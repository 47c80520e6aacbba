!> The fast path for hosts that pass one parcel per call: a single updraft, and all inputs of the emulator within range.
!>
!> It computes what `activate` of emufort_aerosol_activation computes for a chunk of one column, with the same bits. Its
!> statements have their counterparts in emufort_aerosol_block and emufort_aerosol_supersaturation, so change both. All
!> modes share one call of each vector function, and nothing is set that is not used.
module emufort_aerosol_parcel
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, lanes
  use emufort_dispatch, only: vector_ln, vector_erfc
  use emufort_aerosol_contract, only: temperature_at => air_temperature_at, pressure_at => air_pressure_at, &
                                      updraft_at => updraft_speed_at, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  use emufort_aerosol_arg2000, only: critical_factors
  use emufort_aerosol_activation, only: least_number, least_volume, least_hygroscopicity
  use emufort_aerosol_scheme, only: scheme_type, hk => activation_kind, n_modes => n_emulated_modes, n_plain
  use emufort_aerosol_supersaturation, only: hygroscopicity_floor
  implicit none
  private

  public :: activate_parcel

  integer, parameter :: dp = real64
  !> Two values for each mode, in full sets of lanes.
  integer, parameter :: n_pairs = merge(lanes, 2*lanes, 2*n_modes <= lanes)
  !> Logarithms of supersaturations whose exponentials are certainly numbers above 0.
  real(dp), parameter :: usual_logarithm = 80.0_dp

contains

  !> Compute the activated fractions of one parcel if it is a usual one, which the emulator alone answers.
  recursive subroutine activate_parcel(scheme, w_mean, w_diabatic, temperature, density, na, volume, hygro, fractions, &
                                       is_done)
    type(scheme_type), intent(in) :: scheme              !! with a fast path
    real(hk), intent(in) :: w_mean                       !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: w_diabatic                   !! diabatic vertical velocity [m s-1]
    real(hk), intent(in) :: temperature                  !! [K]
    real(hk), intent(in) :: density                      !! [kg m-3]
    real(hk), intent(in) :: na(n_modes)                  !! number concentration [m-3] (mode)
    real(hk), intent(in) :: volume(n_modes)              !! volume concentration [m3 m-3] (mode)
    real(hk), intent(in) :: hygro(n_modes)               !! hygroscopicity [1] (mode)
    real(hk), intent(inout) :: fractions(n_modes, 2)     !! of number and mass that activate [1] (mode, quantity)
    logical, intent(out) :: is_done                      !! whether they were computed; otherwise they are unchanged
    real(dp) :: x(n_plain), y(1), number(n_modes), cube(n_modes), kappa(n_modes), t(1), factor(1)
    real(wp) :: logs(lanes), share(n_pairs)
    logical :: is_active(n_modes)
    integer :: m

    is_done = .false.
    if (.not. w_mean > 0.0_hk) return
    do m = 1, n_modes
      number(m) = real(na(m), dp)
      cube(m) = real(volume(m), dp)
      kappa(m) = real(hygro(m), dp)
      if (.not. (number(m) > least_number .and. cube(m) > least_volume)) return
    end do
    t(1) = real(temperature, dp)
    call critical_factors(scheme%constants, 1, t, factor)
    x(temperature_at) = t(1)
    x(pressure_at) = scheme%constants%gas_constant_air*real(density, dp)*t(1)
    x(updraft_at) = real(w_mean, dp) + real(w_diabatic, dp)
    logs = 1.0_wp
    do m = 1, n_modes
      cube(m) = scheme%volume_factor(m)*cube(m)/number(m)
      is_active(m) = .not. kappa(m) <= least_hygroscopicity
      x(number_at + m - 1) = number(m)
      x(radius_at + m - 1) = cube(m)
      x(kappa_at + m - 1) = merge(hygroscopicity_floor, kappa(m), kappa(m) < hygroscopicity_floor)
      logs(m) = real(merge(factor(1)/merge(kappa(m)*cube(m), 1.0_dp, is_active(m)), 1.0e4_dp, is_active(m)), wp)
    end do
    do m = 1, n_plain
      x(m) = merge(scheme%least(m), x(m), x(m) < scheme%least(m) .and. x(m) >= scheme%from(m))
      x(m) = merge(scheme%most(m), x(m), x(m) > scheme%most(m) .and. x(m) <= scheme%to(m))
    end do
    call scheme%emulator%predict_inside(x, y, is_done)
    if (.not. is_done) return
    is_done = abs(y(1)) < usual_logarithm
    if (.not. is_done) return
    call vector_ln(lanes, logs)
    share = 0.0_wp
    do m = 1, n_modes
      share(m) = (logs(m) - 2.0_wp*real(y(1), wp))*scheme%steepness(m)
      share(n_modes + m) = share(m) - scheme%shift(m)
    end do
    call vector_erfc(n_pairs, share)
    do m = 1, n_modes
      fractions(m, 1) = real(merge(0.5_wp*share(m), 0.0_wp, is_active(m)), hk)
      fractions(m, 2) = real(merge(0.5_wp*max(share(m), share(n_modes + m)), 0.0_wp, is_active(m)), hk)
    end do

  end subroutine activate_parcel

end module emufort_aerosol_parcel
