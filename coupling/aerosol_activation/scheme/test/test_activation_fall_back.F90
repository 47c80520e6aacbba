!> Tests the fall-back on the routine of the host: its bits in a control run, and where the emulator does not answer.
program test_activation_fall_back
  use, intrinsic :: iso_fortran_env, only: int64
  use emufort_runtime, only: status_type, emufort_success
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        activation_n_counts, outside_host, outside_ratio, outside_arg2000, &
                                        outside_clip, answered_by_none, answered_by_emulator, answered_by_ratio, &
                                        answered_by_clip, answered_by_arg2000, answered_by_host, &
                                        answered_by_prescribed, answered_by_in_cloud
  use emufort_activate_modal, only: activate_modal_init, activate_modal, actdrop_mam_calc
  use activation_test_host, only: prepare_host, host_routine, host_in_cloud, host_kelvin_temperature
  use activation_test_support, only: check, same_bits, sample_type, draw, mimic, mimic_fails, mimic_clipped, sigma, &
                                     dp, contract_hash
  implicit none
  integer, parameter :: n = 96, pcols = 16, pver = n/pcols, n_modes = size(sigma)
  type(activation_constants_type) :: constants
  type(activation_type) :: scheme, plain
  type(activation_counts_type) :: counts
  type(status_type) :: status
  type(sample_type) :: s
  !> Arguments and results of one parcel are rows of a matrix, as in some callers of E3SM, so they have a stride.
  real(dp) :: width(n), zero(n), most(n), fixed(n), drops(n), rows(n, n_modes, 3), results(n, n_modes, 4), full(n)
  real(dp) :: wanted(n, n_modes, 4), wanted_full(n), f(n, n_modes, 4), chunk_full(n), smax(n), worst, with_constant
  logical :: cloud(n)
  integer :: by(n), column_counts(pcols, activation_n_counts), i, m, q, kind_of_call

  call prepare_host()
  s = draw(n)
  zero = 0.0_dp
  most = 10.0_dp
  width = merge(0.4_dp, 0.0_dp, [(modulo(i, 3) == 0, i=1, n)])
  s%w(5) = 0.0_dp
  s%w(6) = -0.3_dp
  s%number(7, :) = 0.0_dp
  s%volume(7, :) = 0.0_dp
  s%t(8::11) = 230.0_dp
  fixed = merge(0.004_dp, 0.0_dp, [(modulo(i, 5) /= 0, i=1, n)])
  drops = merge(2.0e3_dp, 0.0_dp, [(modulo(i, 7) /= 0, i=1, n)])
  cloud = [(modulo(i, 2) == 0, i=1, n)]

  ! ---- a control run: the bits of the host in every kind of call, one parcel a call and in chunks
  call activate_modal_init(dp, constants, sigma, status, host_routine=host_routine, in_cloud_routine=host_in_cloud)
  call check(status%code == emufort_success, 'init with the routine of the host')
  call scheme%init(dp, constants, sigma, status, host_routine=host_routine, in_cloud_routine=host_in_cloud)
  do kind_of_call = 1, 4   ! base, prescribed, in cloud, and by actdrop_mam_calc
    call ask_host(kind_of_call)
    do i = 1, n
      rows(i, :, 1) = s%number(i, :)
      rows(i, :, 2) = s%volume(i, :)
      rows(i, :, 3) = s%kappa(i, :)
    end do
    results = -1.0_dp
    call drop_in(kind_of_call)
    do i = 1, n
      call check(all(same_bits(results(i, :, :), wanted(i, :, :))) .and. same_bits(full(i), wanted_full(i)), &
                 'the bits of the host, one parcel a call')
    end do
    call run(scheme, kind_of_call)
    call check(all(same_bits(f, wanted)) .and. all(same_bits(chunk_full, wanted_full)), &
               'the bits of the host in chunks')
    call check(all(by == answered_by_host) .and. all(smax < 0.0_dp), 'the host answers')
    call check(all(column_counts(:, 1) == column_counts(:, 3)), 'all are counted as fall-back')
  end do
  call run(scheme, 1)
  call check(counts%n_parcels == n .and. counts%n_fall_back == n .and. all(column_counts(:, 1) == pver), 'counts')

  ! ---- the emulator inside its range, the host elsewhere
  call plain%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash, outside=outside_clip)
  call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash, outside=outside_host, &
                   host_routine=host_routine, in_cloud_routine=host_in_cloud)
  call check(status%code == emufort_success .and. scheme%is_emulated(), 'init with both')
  s%kappa(10, 4) = 1.0e-10_dp
  s%number(12, 3) = 0.0_dp
  s%volume(12, 3) = 0.0_dp
  call ask_host(1)
  mimic_clipped = 0_int64
  call run(plain, 1)
  call check(all(by(8::11) == answered_by_clip), 'some are outside')
  call check(counts%n_clipped == mimic_clipped .and. mimic_clipped > 100_int64, 'clipped inputs')
  do i = 1, n
    results(i, :, :) = f(i, :, :)
  end do
  full = chunk_full
  call run(scheme, 1)
  do i = 1, n
    if (by(i) == answered_by_host) then
      call check(all(same_bits(f(i, :, :), wanted(i, :, :))) .and. same_bits(chunk_full(i), wanted_full(i)), &
                 'outside the range the bits of the host')
    else
      call check(all(same_bits(f(i, :, :), results(i, :, :))) .and. same_bits(chunk_full(i), full(i)), &
                 'inside the range the bits of the emulator')
      call check(by(i) == merge(answered_by_none, answered_by_emulator, any(i == [5, 7])), 'who answered')
    end if
  end do
  call check(count(by == answered_by_host) > 10 .and. count(by == answered_by_emulator) > n/2, 'both answer')
  ! a spectrum that begins at 0 m/s has nodes below the range, so that the host answers for all of it
  call check(all(pack(by, width > 0.0_dp .and. s%w < 1.6_dp) == answered_by_host), 'spectra')
  call check(counts%n_fall_back == count(by == answered_by_host), 'counts of the host')
  call check(sum(column_counts(:, 1)) == counts%n_parcels .and. sum(column_counts(:, 2)) == counts%n_outside .and. &
             sum(column_counts(:, 3)) == counts%n_fall_back .and. sum(column_counts(:, 6)) == counts%n_clipped, &
             'counts of the columns add up')

  ! calls that do not need the emulator keep the bits of the host
  do kind_of_call = 2, 3
    call ask_host(kind_of_call)
    call run(scheme, kind_of_call)
    do i = 1, n
      if (by(i) == answered_by_host) call check(all(same_bits(f(i, :, :), wanted(i, :, :))), 'the bits of the host')
      if (kind_of_call == 2) call check(by(i) == answered_by_host, 'a prescribed supersaturation is for the host')
      if (kind_of_call == 3 .and. cloud(i) .and. width(i) <= 0.0_dp) &
        call check(by(i) == answered_by_host, 'in cloud is for the host')
    end do
  end do

  ! an emulator that fails
  mimic_fails = .true.
  call ask_host(1)
  call run(scheme, 1)
  mimic_fails = .false.
  call check(all(same_bits(f, wanted) .or. spread(spread(by == answered_by_none, 2, n_modes), 3, 4)), &
             'the bits of the host if the emulator fails')
  call check(counts%n_bad > 0, 'failures are counted')
  ! fewer modes than the emulator has
  call scheme%activate(n, n, 1, n_modes - 1, s%w, width, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                       f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), chunk_full, status, counts, answered_by=by)
  call check(status%code == emufort_success .and. all(by == answered_by_host), 'fewer modes are for the host')

  ! ---- outside the range: who answers by each option
  do q = 1, 3
    call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash, &
                     outside=merge(outside_ratio, merge(outside_clip, outside_arg2000, q == 2), q == 1))
    call run(scheme, 1)
    call check(all(by(8::11) == merge(answered_by_ratio, merge(answered_by_clip, answered_by_arg2000, q == 2), &
                                      q == 1)), 'who answers outside')
    call check(all(smax(8::11) > 0.0_dp), 'its supersaturation')
    call run(scheme, 2)
    call check(all(by == merge(answered_by_prescribed, answered_by_none, fixed > 0.0_dp .and. s%w > 0.0_dp) .or. &
                   width > 0.0_dp), 'prescribed')
    call run(scheme, 3)
    call check(all(by == answered_by_in_cloud .or. .not. cloud .or. width > 0.0_dp), 'in cloud')
  end do

  ! ---- no aerosol at all: the host finds that all of it activates
  s = draw(n)
  s%number = 0.0_dp
  s%volume = 0.0_dp
  s%w = max(s%w, 0.05_dp)
  call ask_host(1)
  call run(plain, 1)
  call check(all(by == answered_by_none), 'no answer is needed')
  worst = 0.0_dp
  do i = 1, n
    if (width(i) > 0.0_dp) then
      ! The exact share of the updrafts; the coarse quadrature of the host misses some of them near 0 m/s.
      call check(maxval(abs(f(i, :, 1:2) - 0.5_dp*(erf((10.0_dp - s%w(i))/(sqrt(2.0_dp)*width(i))) + &
                                                   erf(s%w(i)/(sqrt(2.0_dp)*width(i)))))) < 1.0e-4_dp, 'probability')
      call check(maxval(abs(f(i, :, 1:2) - wanted(i, :, 1:2))) < 0.03_dp, 'no aerosol in a spectrum')
      call check(maxval(abs(f(i, :, 3:4)/wanted_full(i) - 1.0_dp)) < 0.02_dp, 'fluxes of no aerosol in a spectrum')
    else
      worst = max(worst, maxval(abs(f(i, :, :) - wanted(i, :, :))))
    end if
  end do
  call check(worst < 1.0e-4_dp, 'no aerosol as in the host')

  ! ---- ARG2000 with the Kelvin length of the host is closer to the host
  s = draw(n)
  width = 0.0_dp
  call ask_host(1)
  call scheme%init(dp, constants, sigma, status)
  width = 0.4_dp
  call run(scheme, 1)
  drops = smax
  width = 0.0_dp
  call run(scheme, 1)
  call check(all(smax > 0.0_dp .and. drops > 1.02_dp*smax), 'the strongest updraft of a spectrum')
  worst = maxval(abs(f(:, :, 1:2) - wanted(:, :, 1:2)))
  call scheme%init(dp, constants, sigma, status, kelvin_temperature=host_kelvin_temperature)
  call check(status%code == emufort_success, 'init with a Kelvin temperature')
  call run(scheme, 1)
  with_constant = maxval(abs(f(:, :, 1:2) - wanted(:, :, 1:2)))
  print '(a, 2f8.4)', 'ARG2000 against the host, largest difference by temperature and with its Kelvin length', worst, &
    with_constant
  call check(with_constant < 0.01_dp .and. worst > 5.0_dp*with_constant, 'the Kelvin length of the host')
  fixed = 0.004_dp
  call ask_host(2)
  call run(scheme, 2)
  call check(maxval(abs(f(:, :, 1:2) - wanted(:, :, 1:2))) < 2.0e-6_dp, 'fractions at a prescribed supersaturation')
  print '(a)', 'the fall-back on the host holds'

contains

  !> Ask the routine of the host itself for every column.
  subroutine ask_host(kind_of_call)
    integer, intent(in) :: kind_of_call   !! 1: base, 2: prescribed supersaturation, 3 and 4: in cloud

    do i = 1, n
      select case (kind_of_call)
      case (1)
        call host_routine(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), s%number(i, :), n_modes, &
                          s%volume(i, :), s%kappa(i, :), wanted(i, :, 1), wanted(i, :, 2), wanted(i, :, 3), &
                          wanted(i, :, 4), wanted_full(i))
      case (2)
        call host_routine(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), s%number(i, :), n_modes, &
                          s%volume(i, :), s%kappa(i, :), wanted(i, :, 1), wanted(i, :, 2), wanted(i, :, 3), &
                          wanted(i, :, 4), wanted_full(i), fixed(i))
      case default
        call host_in_cloud(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), s%number(i, :), n_modes, &
                           s%volume(i, :), s%kappa(i, :), cloud(i), drops(i), wanted(i, :, 1), wanted(i, :, 2), &
                           wanted(i, :, 3), wanted(i, :, 4), wanted_full(i))
      end select
    end do

  end subroutine ask_host

  !> Call the drop-in procedures for every column, with rows of matrices.
  subroutine drop_in(kind_of_call)
    integer, intent(in) :: kind_of_call   !! see `ask_host`; 3: activate_modal, 4: actdrop_mam_calc

    do i = 1, n
      select case (kind_of_call)
      case (1)
        call activate_modal(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), rows(i, :, 1), n_modes, &
                            rows(i, :, 2), rows(i, :, 3), results(i, :, 1), results(i, :, 2), results(i, :, 3), &
                            results(i, :, 4), full(i), counts=counts)
        call check(counts%n_fall_back == 1_int64, 'counted')
      case (2)
        call activate_modal(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), rows(i, :, 1), n_modes, &
                            rows(i, :, 2), rows(i, :, 3), results(i, :, 1), results(i, :, 2), results(i, :, 3), &
                            results(i, :, 4), full(i), smax_prescribed=fixed(i))
      case (3)
        call activate_modal(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), rows(i, :, 1), n_modes, &
                            rows(i, :, 2), rows(i, :, 3), results(i, :, 1), results(i, :, 2), results(i, :, 3), &
                            results(i, :, 4), full(i), in_cloud_in=cloud(i), smax_f=drops(i))
      case default
        call actdrop_mam_calc(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), rows(i, :, 1), n_modes, &
                              rows(i, :, 2), rows(i, :, 3), cloud(i), drops(i), results(i, :, 1), results(i, :, 2), &
                              results(i, :, 3), results(i, :, 4), full(i))
      end select
    end do

  end subroutine drop_in

  !> Run all columns as a chunk of `pcols` columns and `pver` levels.
  subroutine run(scheme, kind_of_call)
    type(activation_type), intent(in) :: scheme   !! any scheme
    integer, intent(in) :: kind_of_call           !! see `ask_host`

    f = -1.0_dp
    by = -7
    smax = -7.0_dp
    select case (kind_of_call)
    case (1)
      call scheme%activate(pcols, pcols, pver, n_modes, s%w, width, zero, zero, most, s%t, s%rho, s%number, s%volume, &
                           s%kappa, f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), chunk_full, status, counts, &
                           column_counts=column_counts, smax=smax, answered_by=by)
    case (2)
      call scheme%activate(pcols, pcols, pver, n_modes, s%w, width, zero, zero, most, s%t, s%rho, s%number, s%volume, &
                           s%kappa, f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), chunk_full, status, counts, &
                           smax_fixed=fixed, column_counts=column_counts, smax=smax, answered_by=by)
    case default
      call scheme%activate(pcols, pcols, pver, n_modes, s%w, width, zero, zero, most, s%t, s%rho, s%number, s%volume, &
                           s%kappa, f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), chunk_full, status, counts, cloud, &
                           drops, column_counts=column_counts, smax=smax, answered_by=by)
    end select
    call check(status%code == emufort_success, 'activate')
    if (kind_of_call /= 1) return
    do m = 1, activation_n_counts
      call check(all(column_counts(:, m) >= 0), 'counts of columns')
    end do

  end subroutine run

end program test_activation_fall_back
