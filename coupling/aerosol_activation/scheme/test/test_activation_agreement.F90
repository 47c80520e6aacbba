!> Tests the comparison of a host with the labels of the emulator, and what the tolerance of the constants allows.
program test_activation_agreement
  use emufort_runtime, only: status_type, emufort_success, emufort_error_contract
  use emufort_aerosol_agreement, only: constants_tolerance
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        mismatch_fall_back, answered_by_arg2000
  use emufort_aerosol_arg2000, only: air_type, air_properties, arg2000_smax, critical_supersaturation_squared, &
                                     arg2000_paper
  use activation_test_support, only: check, same_bits, sample_type, draw, mimic, sigma, breadth, &
                                     spread_of => spread, dp, contract_hash
  implicit none
  integer, parameter :: n = 400, n_modes = size(sigma)
  character(len=*), parameter :: constant_names(6) = [character(len=28) :: &
                                                      'acceleration of gravity', 'gas constant of dry air', &
                                                      'gas constant of water vapour', 'heat capacity of dry air', &
                                                      'latent heat of condensation', 'density of water']
  type(activation_type) :: scheme, classical
  type(activation_constants_type) :: constants, other
  type(status_type) :: status
  type(sample_type) :: s
  real(dp) :: worst(2), change(2), widths(n_modes)
  character(len=8) :: label
  integer :: c, m

  ! ---- equal, almost equal, and different constants
  call set(constants, sigma)
  call check(status%code == emufort_success .and. status%message == ' ' .and. scheme%is_emulated(), 'equal constants')
  do c = 1, 6
    call set(changed(constants, c, 0.99_dp*constants_tolerance), sigma)
    call check(status%code == emufort_success .and. scheme%is_emulated(), 'within the tolerance')
    other = changed(constants, c, -1.01_dp*constants_tolerance)
    call set(other, sigma)
    call check(status%code == emufort_error_contract .and. .not. scheme%is_emulated() .and. &
               index(status%message, trim(constant_names(c))) > 0, 'another '//constant_names(c))
    call set(other, sigma, mismatch_fall_back)
    call check(status%code == emufort_success .and. index(status%message, trim(constant_names(c))) > 0 .and. &
               .not. scheme%is_emulated(), 'the fall-back answers and the line names the constant')
    call check_fall_back(other)
  end do
  call set(changed(constants, 5, sqrt(-constants_tolerance*real(c, dp))), sigma)
  call check(status%code /= emufort_success, 'a constant that is NaN')

  ! ---- modes
  do m = 1, n_modes
    widths = sigma
    widths(m) = sigma(m)*(1.0_dp + 2.0_dp*epsilon(1.0))
    call set(constants, widths)
    call check(status%code == emufort_success, 'a width in single precision')
    widths(m) = sigma(m)*1.000001_dp
    call set(constants, widths)
    write (label, '(a, i0)') 'mode ', m
    call check(status%code == emufort_error_contract .and. index(status%message, trim(label)) > 0, 'another width')
  end do
  call set(constants, sigma(1:n_modes - 1))
  call check(status%code == emufort_error_contract .and. index(status%message, 'aerosol modes') > 0, 'fewer modes')
  call set(constants, [sigma, 1.2_dp], mismatch_fall_back)
  call check(status%code == emufort_success .and. index(status%message, 'aerosol modes') > 0, 'more modes')

  ! ---- the contract of a predictor
  call scheme%init(dp, constants, sigma, status, predictor=mimic)
  call check(status%code == emufort_error_contract .and. index(status%message, 'contract_hash') > 0, 'no contract')
  call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash='0'//contract_hash(2:))
  call check(status%code == emufort_error_contract .and. index(status%message, '0'//contract_hash(2:8)) > 0 .and. &
             .not. scheme%is_emulated(), 'another contract')

  ! ---- what the tolerance allows: the change of the maximum supersaturation and of a number fraction
  s = draw(n)
  worst = 0.0_dp
  do c = 1, 6
    change = effect(changed(constants, c, constants_tolerance))
    print '(a, 2f8.3)', constant_names(c)//' by the tolerance: relative change of smax and change of a fraction [%]', &
      100.0_dp*change
    worst = max(worst, change)
  end do
  call check(worst(1) < 2.0e-3_dp .and. worst(1) > 1.0e-3_dp .and. worst(2) < 1.0e-3_dp, 'effect of the tolerance')
  print '(a)', 'host and labels agree'

contains

  !> Init the scheme with an emulator.
  subroutine set(constants, widths, mismatch)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    real(dp), intent(in) :: widths(:)                          !! of its modes [1] (mode)
    integer, intent(in), optional :: mismatch                  !! refuse or fall back

    call scheme%init(dp, constants, widths, status, predictor=mimic, contract_hash=contract_hash, mismatch=mismatch)

  end subroutine set

  !> Check that ARG2000 answers with the constants of the host.
  subroutine check_fall_back(constants)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    type(activation_counts_type) :: counts
    real(dp) :: f(n_modes, 4, 2), full(1), zero(1), most(1)
    integer :: by(1)

    zero = 0.0_dp
    most = 10.0_dp
    s = draw(1)
    call scheme%activate(1, 1, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                         f(:, 1, 1), f(:, 2, 1), f(:, 3, 1), f(:, 4, 1), full, status, counts, answered_by=by)
    call classical%init(dp, constants, sigma, status)
    call classical%activate(1, 1, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                            f(:, 1, 2), f(:, 2, 2), f(:, 3, 2), f(:, 4, 2), full, status, counts)
    call check(all(same_bits(f(:, :, 1), f(:, :, 2))) .and. by(1) == answered_by_arg2000, 'ARG2000 of the host')

  end subroutine check_fall_back

  !> Return constants with one that differs by a relative amount.
  pure function changed(constants, c, amount) result(other)
    type(activation_constants_type), intent(in) :: constants   !! unchanged ones
    integer, intent(in) :: c                                   !! which one
    real(dp), intent(in) :: amount                             !! relative difference [1]
    type(activation_constants_type) :: other

    other = constants
    if (c == 1) other%gravity = other%gravity*(1.0_dp + amount)
    if (c == 2) other%gas_constant_air = other%gas_constant_air*(1.0_dp + amount)
    if (c == 3) other%gas_constant_vapour = other%gas_constant_vapour*(1.0_dp + amount)
    if (c == 4) other%heat_capacity_air = other%heat_capacity_air*(1.0_dp + amount)
    if (c == 5) other%latent_heat = other%latent_heat*(1.0_dp + amount)
    if (c == 6) other%density_water = other%density_water*(1.0_dp + amount)

  end function changed

  !> Return the largest relative change of smax by ARG2000, and the change of a number fraction that follows from it.
  function effect(other) result(largest)
    type(activation_constants_type), intent(in) :: other   !! of the host
    real(dp) :: largest(2)
    real(dp) :: smax(2), critical(n_modes), x(2)
    type(air_type) :: air(2)
    logical, parameter :: all_true(n_modes) = .true.
    integer :: i, m

    largest = 0.0_dp
    do i = 1, n
      air(1) = air_properties(constants, s%t(i), s%p(i))
      air(2) = air_properties(other, s%t(i), s%p(i))
      do m = 1, 2
        critical = critical_supersaturation_squared(air(m)%kelvin_length, s%radius(i, :)**3, s%kappa(i, :))
        smax(m) = arg2000_smax(merge(constants, other, m == 1), arg2000_paper, n_modes, breadth, spread_of, air(m), &
                               s%w(i), s%number(i, :), critical, all_true)
      end do
      largest(1) = max(largest(1), abs(smax(2)/smax(1) - 1.0_dp))
      critical = critical_supersaturation_squared(air(1)%kelvin_length, s%radius(i, :)**3, s%kappa(i, :))
      do m = 1, n_modes
        x = log(critical(m)/smax**2)/(3.0_dp*sqrt(2.0_dp)*log(sigma(m)))
        largest(2) = max(largest(2), 0.5_dp*abs(erfc(x(2)) - erfc(x(1))))
      end do
    end do

  end function effect

end program test_activation_agreement
