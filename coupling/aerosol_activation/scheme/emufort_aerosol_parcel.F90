!> The fast path for hosts that pass one parcel per call: a single updraft, and all inputs of the emulator within range.
!>
!> It computes what `activate` of emufort_aerosol_activation computes for a chunk of one column, with the same bits. Its
!> statements have their counterparts in emufort_aerosol_block and emufort_aerosol_supersaturation, so change both. All
!> modes share one call of each vector function, and nothing is set that is not used.
module emufort_aerosol_parcel
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, lanes
  use emufort_math, only: vector_ln, vector_erfc
  use emufort_aerosol_contract, only: temperature_at => air_temperature_at, pressure_at => air_pressure_at, &
                                      updraft_at => updraft_speed_at, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  use emufort_aerosol_arg2000, only: critical_factors
  use emufort_aerosol_activation, only: least_number, least_volume, least_hygroscopicity
  use emufort_aerosol_updrafts, only: least_width
  use emufort_aerosol_scheme, only: scheme_type, hk => activation_kind, n_modes => n_emulated_modes, n_plain
  use emufort_aerosol_supersaturation, only: hygroscopicity_floor
  implicit none
  private

  public :: activate_parcel

  integer, parameter :: dp = real64
  !> One and two values for each mode, in full sets of lanes.
  integer, parameter :: n_single = lanes*((n_modes + lanes - 1)/lanes), n_pairs = lanes*((2*n_modes + lanes - 1)/lanes)
  !> Logarithms of supersaturations whose exponentials are certainly numbers above 0.
  real(dp), parameter :: usual_logarithm = 80.0_dp

contains

  !> Compute one parcel if it is a usual one that the emulator alone answers.
  recursive subroutine activate_parcel(scheme, nmode, w_mean, w_sigma, w_diabatic, temperature, density, na, volume, &
                                       hygro, in_cloud, smax_fixed, fn, fm, fluxn, fluxm, is_done)
    type(scheme_type), intent(in) :: scheme         !! after `init`
    integer, intent(in) :: nmode                    !! number of modes
    real(hk), intent(in) :: w_mean                  !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: w_sigma                 !! its standard deviation [m s-1]
    real(hk), intent(in) :: w_diabatic              !! diabatic vertical velocity [m s-1]
    real(hk), intent(in) :: temperature             !! [K]
    real(hk), intent(in) :: density                 !! [kg m-3]
    real(hk), intent(in) :: na(:)                   !! number concentration [m-3] (mode)
    real(hk), intent(in) :: volume(:)               !! volume concentration [m3 m-3] (mode)
    real(hk), intent(in) :: hygro(:)                !! hygroscopicity [1] (mode)
    logical, intent(in) :: in_cloud                 !! above cloud base
    real(hk), intent(in) :: smax_fixed              !! maximum supersaturation, negative: to be computed [1]
    real(hk), intent(inout) :: fn(:), fm(:)         !! fractions of number and mass that activate [1] (mode)
    real(hk), intent(inout) :: fluxn(:), fluxm(:)   !! their fluxes into cloud [m s-1] (mode)
    logical, intent(out) :: is_done                 !! whether the results were computed; otherwise they are unchanged
    real(dp) :: x(n_plain), y(1), number(n_modes), cube(n_modes), kappa(n_modes), t(1), factor(1)
    real(wp) :: logs(n_single), share(n_pairs)
    logical :: is_active(n_modes)
    integer :: m

    is_done = .false.
    if (nmode /= n_modes .or. .not. (scheme%is_fast .and. w_sigma <= real(least_width, hk) .and. &
                                     w_mean > 0.0_hk .and. smax_fixed < 0.0_hk) .or. in_cloud) return
    do m = 1, n_modes
      number(m) = real(na(m), dp)
      cube(m) = real(volume(m), dp)
      kappa(m) = real(hygro(m), dp)
    end do
    do m = 1, n_modes
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
    call vector_ln(n_single, logs)
    share = 0.0_wp
    do m = 1, n_modes
      share(m) = (logs(m) - 2.0_wp*real(y(1), wp))*scheme%steepness(m)
      share(n_modes + m) = share(m) - scheme%shift(m)
    end do
    call vector_erfc(n_pairs, share)
    do m = 1, n_modes
      share(m) = merge(0.5_wp*share(m), 0.0_wp, is_active(m))
      share(n_modes + m) = merge(max(0.5_wp*share(n_modes + m), share(m)), 0.0_wp, is_active(m))
    end do
    do m = 1, n_modes
      fn(m) = real(share(m), hk)
      fm(m) = real(share(n_modes + m), hk)
      fluxn(m) = real(real(share(m), dp)*real(w_mean, dp), hk)
      fluxm(m) = real(real(share(n_modes + m), dp)*real(w_mean, dp), hk)
    end do
    fn(n_modes + 1:) = 0.0_hk
    fm(n_modes + 1:) = 0.0_hk
    fluxn(n_modes + 1:) = 0.0_hk
    fluxm(n_modes + 1:) = 0.0_hk

  end subroutine activate_parcel

end module emufort_aerosol_parcel
