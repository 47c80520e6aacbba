!> Checks the scheme for any number of modes, see test_scheme_modes.py.
module modes_support
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use emufort_runtime, only: status_type, workspace_type, block => emufort_block_columns
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, n_inputs => aerosol_inputs, sigma => aerosol_sigma, &
                                      lower => aerosol_lower, upper => aerosol_upper, &
                                      number_at => number_concentration_at, radius_at => dry_median_radius_at, &
                                      kappa_at => hygroscopicity_at
  use emufort_aerosol_arg2000, only: activation_constants_type, air_type, air_properties, arg2000_smax, &
                                     critical_supersaturation_squared, arg2000_paper
  implicit none
  integer, parameter :: dp = real64
  real(dp), parameter :: breadth(n_modes) = 0.5_dp*exp(2.5_dp*log(sigma)**2)
  real(dp), parameter :: spread_of(n_modes) = 1.0_dp + 0.25_dp*log(sigma)

contains

  !> A predictor: 1.25 times ARG2000 at the inputs clipped to the range.
  recursive subroutine mimic(n, is_single, x, y, status, is_outside, workspace)
    integer, intent(in) :: n
    logical, intent(in) :: is_single
    real(dp), intent(inout) :: x(block, *), y(block, *)
    type(status_type), intent(inout) :: status
    logical, intent(out) :: is_outside(block)
    type(workspace_type), intent(inout), optional :: workspace
    real(dp) :: near(n_inputs)
    integer :: i

    if (is_single .or. present(workspace)) error stop 'mimic'
    is_outside = .false.
    do i = 1, n
      near = min(max(x(i, 1:n_inputs), lower), upper)
      is_outside(i) = any(abs(near - x(i, 1:n_inputs)) > 0.0_dp)
      status%n_clipped = status%n_clipped + count(abs(near - x(i, 1:n_inputs)) > 0.0_dp, kind=int64)
      x(i, 1:n_inputs) = near
      y(i, 1) = 1.25_dp*smax_of(near)
    end do

  end subroutine mimic

  !> Return the maximum supersaturation by ARG2000 [1].
  pure real(dp) function smax_of(x)
    real(dp), intent(in) :: x(n_inputs)   !! inputs in contract order
    type(activation_constants_type) :: constants
    type(air_type) :: air
    logical, parameter :: all_true(n_modes) = .true.

    air = air_properties(constants, x(1), x(2))
    smax_of = arg2000_smax(constants, arg2000_paper, n_modes, breadth, spread_of, air, x(3), &
                           x(number_at:number_at + n_modes - 1), &
                           critical_supersaturation_squared(air%kelvin_length, &
                                                            x(radius_at:radius_at + n_modes - 1)**3, &
                                                            x(kappa_at:kappa_at + n_modes - 1)), all_true)

  end function smax_of

  !> Return the activated fraction of the number (moment 0) or mass (moment 3) of a mode [1].
  pure real(dp) function fraction_of(x, m, smax, moment)
    real(dp), intent(in) :: x(n_inputs), smax
    integer, intent(in) :: m, moment
    type(activation_constants_type) :: constants
    type(air_type) :: air

    air = air_properties(constants, x(1), x(2))
    fraction_of = 0.5_dp*erfc(log(critical_supersaturation_squared(air%kelvin_length, x(radius_at + m - 1)**3, &
                                                                   x(kappa_at + m - 1))/smax**2)/ &
                              (3.0_dp*sqrt(2.0_dp)*log(sigma(m))) - real(moment, dp)/sqrt(2.0_dp)*log(sigma(m)))

  end function fraction_of

  pure elemental logical function same_bits(x, y)
    real(dp), intent(in) :: x, y
    same_bits = transfer(x, 0_int64) == transfer(y, 0_int64)
  end function same_bits

end module modes_support

program modes_driver
  use emufort_runtime, only: status_type
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, n_inputs => aerosol_inputs, sigma => aerosol_sigma, &
                                      lower => aerosol_lower, upper => aerosol_upper, &
                                      number_at => number_concentration_at, radius_at => dry_median_radius_at, &
                                      kappa_at => hygroscopicity_at, aerosol_contract_hash, aerosol_mode_names
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        answered_by_emulator, answered_by_ratio
  use emufort_activate_modal, only: activate_modal_init, activate_modal
  use activation_fractions, only: activated_fractions
  use arg2000, only: arg2000_max_supersaturation, arg2000_activated_fractions
  use modes_support, only: dp, mimic, smax_of, fraction_of, same_bits
  implicit none
  integer, parameter :: n = 70
  type(activation_constants_type) :: constants
  type(activation_type) :: scheme
  type(activation_counts_type) :: counts
  type(status_type) :: status
  real(dp) :: x(n, n_inputs), volume(n, n_modes), f(n, n_modes, 4), one(n_modes, 4), full(n), full_one, rho(n), zero(n)
  real(dp) :: most(n), smax(n), reference, worst, number(n, n_modes), mass(n, n_modes), part(n, n_modes, 2)
  integer :: by(n), i, j, m, q

  do i = 1, n
    do j = 1, n_inputs
      reference = 0.002_dp + 0.996_dp*modulo(real(i*j*j + 7*i, dp)*0.6180339887498949_dp, 1.0_dp)
      x(i, j) = lower(j)*(upper(j)/lower(j))**reference
    end do
    rho(i) = x(i, 2)/(constants%gas_constant_air*x(i, 1))
    volume(i, :) = x(i, number_at:number_at + n_modes - 1)*4.0_dp/3.0_dp*acos(-1.0_dp)* &
                   x(i, radius_at:radius_at + n_modes - 1)**3*exp(4.5_dp*log(sigma)**2)
  end do
  zero = 0.0_dp
  most = 10.0_dp
  call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash=aerosol_contract_hash)
  if (status%code /= 0 .or. .not. scheme%is_emulated()) error stop 'init'
  call scheme%activate(n, n, 1, n_modes, x(:, 3), zero, zero, zero, most, x(:, 1), rho, x(:, number_at:radius_at - 1), &
                       volume, x(:, kappa_at:), f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), full, status, counts, &
                       smax=smax, answered_by=by)
  if (status%code /= 0 .or. any(by /= answered_by_emulator) .or. counts%n_parcels /= n) error stop 'inside the range'
  worst = 0.0_dp
  do i = 1, n
    if (abs(smax(i)/(1.25_dp*smax_of(x(i, :))) - 1.0_dp) > 1.0e-5_dp) error stop 'supersaturation'
    do m = 1, n_modes
      worst = max(worst, abs(f(i, m, 1) - fraction_of(x(i, :), m, smax(i), 0)), &
                  abs(f(i, m, 2) - fraction_of(x(i, :), m, smax(i), 3)))
    end do
    call arg2000_max_supersaturation(x(i, 1), x(i, 2), x(i, 3), x(i, number_at:radius_at - 1), &
                                     x(i, radius_at:kappa_at - 1), x(i, kappa_at:), reference)
    if (abs(reference/smax_of(x(i, :)) - 1.0_dp) > 1.0e-12_dp) error stop 'the baseline'
    call arg2000_activated_fractions(x(i, 1), x(i, radius_at:kappa_at - 1), x(i, kappa_at:), reference, number(i, :), &
                                     mass(i, :))
    if (abs(number(i, n_modes) - fraction_of(x(i, :), n_modes, reference, 0)) > 1.0e-12_dp) error stop 'its fractions'
  end do
  if (worst > 2.0e-6_dp) error stop 'fractions'

  ! ---- the drop-in, one parcel a call
  call activate_modal_init(dp, constants, sigma, status, predictor=mimic, contract_hash=aerosol_contract_hash)
  do i = 1, n
    call activate_modal(x(i, 3), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, x(i, 1), rho(i), x(i, number_at:radius_at - 1), &
                        n_modes, volume(i, :), x(i, kappa_at:), one(:, 1), one(:, 2), one(:, 3), one(:, 4), full_one)
    if (.not. all(same_bits(one, f(i, :, :))) .or. .not. same_bits(full_one, full(i))) error stop 'bits of one parcel'
  end do

  ! ---- outside the range
  call scheme%activate(n, n, 1, n_modes, x(:, 3), zero, zero, zero, most, zero + 230.0_dp, rho, &
                       x(:, number_at:radius_at - 1), volume, x(:, kappa_at:), f(:, :, 1), f(:, :, 2), f(:, :, 3), &
                       f(:, :, 4), full, status, counts, answered_by=by)
  if (any(by /= answered_by_ratio) .or. .not. all(f >= 0.0_dp)) error stop 'outside the range'

  ! ---- no aerosol: as in E3SM all of it activates, or nothing if there is one mode
  call scheme%activate(n, n, 1, n_modes, x(:, 3), zero, zero, zero, most, x(:, 1), rho, 0.0_dp*volume, 0.0_dp*volume, &
                       x(:, kappa_at:), f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), full, status, counts)
  if (any(abs(f(:, :, 1:2) - merge(0.0_dp, 1.0_dp, n_modes == 1)) > 0.0_dp)) error stop 'no aerosol'
  do i = 1, n
    call activate_modal(x(i, 3), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, x(i, 1), rho(i), 0.0_dp*volume(i, :), n_modes, &
                        0.0_dp*volume(i, :), x(i, kappa_at:), one(:, 1), one(:, 2), one(:, 3), one(:, 4), full_one)
    if (.not. all(same_bits(one, f(i, :, :))) .or. .not. same_bits(full_one, full(i))) error stop 'one parcel without'
  end do

  ! ---- the fractions alone, in any batch
  call activated_fractions(n, x(:, 1), x(:, radius_at:kappa_at - 1), x(:, kappa_at:), smax, number, mass)
  do i = 1, n
    do m = 1, n_modes
      if (abs(number(i, m) - fraction_of(x(i, :), m, smax(i), 0)) > 2.0e-6_dp .or. &
          abs(mass(i, m) - fraction_of(x(i, :), m, smax(i), 3)) > 2.0e-6_dp) error stop 'fractions alone'
    end do
  end do
  do q = 1, 40
    call activated_fractions(q, x(7:6 + q, 1), x(7:6 + q, radius_at:kappa_at - 1), x(7:6 + q, kappa_at:), &
                             smax(7:6 + q), part(1:q, :, 1), part(1:q, :, 2))
    if (.not. all(same_bits(part(1:q, :, 1), number(7:6 + q, :))) .or. &
        .not. all(same_bits(part(1:q, :, 2), mass(7:6 + q, :)))) error stop 'bits of a batch'
  end do

  ! ---- another number of modes
  call scheme%init(dp, constants, [sigma, 1.9_dp], status, predictor=mimic, contract_hash=aerosol_contract_hash)
  if (status%code == 0 .or. scheme%is_emulated()) error stop 'one mode more'
  print '(a, i0, a)', 'right for ', n_modes, ' modes, the last is '//trim(aerosol_mode_names(n_modes))

end program modes_driver
