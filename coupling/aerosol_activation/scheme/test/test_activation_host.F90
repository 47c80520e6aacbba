!> Tests the requirements of a host: same bits in any decomposition, the fallback to ARG2000, counts, and the drop-in
!> procedures.
program test_activation_host
  use emufort_runtime, only: status_type, emufort_success, emulator_type, emufort_error_contract, emufort_error_shape
  use emufort_aerosol_contract, only: lower => aerosol_lower, upper => aerosol_upper, radius_at => dry_median_radius_at
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        outside_arg2000, outside_ratio, outside_clip, mismatch_fall_back
  use emufort_activate_modal, only: activate_modal_init, activate_modal, actdrop_mam_calc, activate_modal_scheme
  use activation_test_support, only: check, same_bits, sample_type, draw, mimic, mimic_fails, sigma, dp, &
                                     volume_of, contract_hash
  implicit none
  integer, parameter :: n = 512
  type(activation_type) :: scheme, classical
  type(activation_constants_type) :: constants
  type(activation_counts_type) :: counts, part, total
  type(status_type) :: status
  type(sample_type) :: s
  type(emulator_type) :: not_loaded
  real(dp) :: fn(n, 4), fm(n, 4), fluxn(n, 4), fluxm(n, 4), full(n), fn2(n, 4), fm2(n, 4), fluxn2(n, 4), fluxm2(n, 4), &
              full2(n), width(n), zero(n), ten(n), jump(0:2), w, outer(4), inner(4), drops
  integer, parameter :: chunks(8) = [1, 2, 3, 5, 7, 16, 41, 128]
  integer :: i, j, c, first, last, policy

  s = draw(n)
  zero = 0.0_dp
  ten = 10.0_dp
  ! spectra, single updrafts and columns out of range next to each other
  width = merge(0.4_dp, 0.0_dp, [(modulo(i, 3) == 0, i=1, n)])
  s%t(5::17) = 230.0_dp
  s%number(3::29, 1) = 0.0_dp
  s%volume(3::29, 1) = 0.0_dp
  call scheme%init(dp, constants, sigma, status, predictor=mimic, outside=outside_arg2000, &
                   contract_hash=contract_hash)
  call scheme%activate(n, n, 1, 4, s%w, width, zero, zero, ten, s%t, s%rho, s%number, s%volume, s%kappa, fn, fm, &
                       fluxn, fluxm, full, status, counts)
  call check(counts%n_outside > 0 .and. counts%n_outside < counts%n_parcels, 'some columns are out of range')
  call check(counts%n_outside == counts%n_fall_back .and. counts%n_bad == 0 .and. counts%n_invalid == 0, 'counts')

  ! ---- chunks, on any number of threads
  do c = 1, size(chunks)
    total = activation_counts_type()
    fn2 = -1.0_dp
    !$omp parallel do private(last, status, part) num_threads(3) schedule(dynamic)
    do first = 1, n, chunks(c)
      last = min(first + chunks(c) - 1, n)
      call run_chunk(last - first + 1, first, last, part)
      !$omp critical
      call total%add(part)
      !$omp end critical
    end do
    !$omp end parallel do
    call check(all(same_bits(fn, fn2)) .and. all(same_bits(fm, fm2)) .and. all(same_bits(fluxn, fluxn2)) .and. &
               all(same_bits(fluxm, fluxm2)) .and. all(same_bits(full, full2)), 'same bits in chunks')
    call check(total%n_outside == counts%n_outside .and. total%n_parcels == counts%n_parcels, 'counts add up')
  end do

  ! ---- levels, and columns that are dimensioned but not in use
  call levels()

  ! ---- one at a time, as E3SM and CAM call it
  call activate_modal_init(dp, constants, sigma, status, predictor=mimic, outside=outside_arg2000, &
                           contract_hash=contract_hash)
  call check(status%code == emufort_success .and. activate_modal_scheme%is_emulated(), 'init of the drop-in')
  do i = 1, n
    call activate_modal(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), s%number(i, :), 4, &
                        s%volume(i, :), s%kappa(i, :), fn2(i, :), fm2(i, :), fluxn2(i, :), fluxm2(i, :), full2(i))
  end do
  call check(all(same_bits(fn, fn2)) .and. all(same_bits(fluxm, fluxm2)) .and. all(same_bits(full, full2)), &
             'activate_modal')
  do i = 1, n
    call actdrop_mam_calc(s%w(i), width(i), 0.0_dp, 0.0_dp, 10.0_dp, s%t(i), s%rho(i), s%number(i, :), 4, &
                          s%volume(i, :), s%kappa(i, :), .false., 0.0_dp, fn2(i, :), fm2(i, :), fluxn2(i, :), &
                          fluxm2(i, :), full2(i))
  end do
  call check(all(same_bits(fn, fn2)) .and. all(same_bits(fluxm, fluxm2)) .and. all(same_bits(full, full2)), &
             'actdrop_mam_calc')

  ! ---- in cloud: the balance with the drops, no emulator
  drops = 1.0e8_dp*1.0e-5_dp
  call activate_modal(1.0_dp, 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), 4, s%volume(1, :), &
                      s%kappa(1, :), outer, inner, fluxn2(1, :), fluxm2(1, :), full2(1), in_cloud_in=.true., &
                      smax_f=drops, counts=counts)
  call check(counts%n_parcels == 0 .and. any(outer > 0.0_dp) .and. all(outer <= 1.0_dp), 'in cloud')
  call activate_modal(1.0_dp, 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), 4, s%volume(1, :), &
                      s%kappa(1, :), inner, fm2(1, :), fluxn2(1, :), fluxm2(1, :), full2(1), in_cloud_in=.true., &
                      smax_f=10.0_dp*drops)
  call check(all(inner <= outer), 'in cloud: more drops, less supersaturation')
  call activate_modal(1.0_dp, 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), 4, s%volume(1, :), &
                      s%kappa(1, :), inner, fm2(1, :), fluxn2(1, :), fluxm2(1, :), full2(1), in_cloud_in=.true., &
                      smax_f=0.0_dp)
  call check(.not. any(inner > 0.0_dp) .and. abs(full2(1) - 1.0_dp) <= 0.0_dp, 'in cloud without drops')
  call activate_modal(1.0_dp, 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), 4, s%volume(1, :), &
                      s%kappa(1, :), inner, fm2(1, :), fluxn2(1, :), fluxm2(1, :), full2(1), 0.0_dp)
  call check(.not. any(inner > 0.0_dp) .and. .not. full2(1) > 0.0_dp, 'prescribed supersaturation of nothing')

  ! ---- the way back to ARG2000: error of the emulator, other widths, other number of modes, no emulator
  call classical%init(dp, constants, sigma, status)
  call run(classical)
  fn2 = fn
  mimic_fails = .true.
  call run(scheme)
  call check(counts%n_bad == n .and. counts%n_fall_back == n .and. all(same_bits(fn, fn2)), 'an emulator that fails')
  mimic_fails = .false.
  call scheme%init(dp, constants, sigma + [0.0_dp, 0.0_dp, 0.0_dp, 0.1_dp], status, predictor=mimic, &
                   contract_hash=contract_hash)
  call check(status%code == emufort_error_contract .and. .not. scheme%is_emulated() .and. &
             index(status%message, 'width of mode 4') > 0, 'other widths are refused')
  call scheme%init(dp, constants, sigma + [0.0_dp, 0.0_dp, 0.0_dp, 0.1_dp], status, predictor=mimic, &
                   contract_hash=contract_hash, mismatch=mismatch_fall_back)
  call check(status%code == emufort_success .and. .not. scheme%is_emulated() .and. &
             index(status%message, 'width of mode 4') > 0, 'other widths')
  call run(scheme)
  call check(counts%n_fall_back == n, 'other widths go to ARG2000')
  call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call scheme%activate(n, n, 1, 3, s%w, zero, zero, zero, ten, s%t, s%rho, s%number, s%volume, s%kappa, fn, fm, fluxn, &
                       fluxm, full, status, counts)
  call check(status%code == emufort_success .and. counts%n_fall_back == n, 'three modes go to ARG2000')
  call scheme%activate(n, n, 1, 5, s%w, zero, zero, zero, ten, s%t, s%rho, s%number, s%volume, s%kappa, fn, fm, fluxn, &
                       fluxm, full, status, counts)
  call check(status%code == emufort_error_shape, 'more modes than there are')

  ! ---- wrong use
  call scheme%init(kind(1.0), constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call check(status%code == emufort_error_contract, 'another kind')
  call scheme%init(dp, constants, sigma, status, emulator=not_loaded)
  call check(status%code /= emufort_success .and. .not. scheme%is_emulated(), 'an emulator that is not loaded')
  call run(scheme)
  call check(counts%n_fall_back == n .and. all(same_bits(fn, fn2)), 'ARG2000 serves in spite of it')
  call scheme%init(dp, constants, sigma, status, outside=7)
  call check(status%code == emufort_error_contract, 'unknown policy')

  ! ---- no number in, no number out, for that column alone
  s = draw(n)
  call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call run(scheme)
  fn2 = fn
  s%t(7) = sqrt(-s%t(7))
  s%number(9, 2) = s%t(7)
  s%w(11) = s%t(7)
  call run(scheme)
  do i = 1, n
    if (any(i == [7, 9, 11])) then
      call check(.not. all(fn(i, :) >= 0.0_dp), 'no number stays none')
    else
      call check(all(same_bits(fn(i, :), fn2(i, :))), 'the others keep their bits')
    end if
  end do
  call check(counts%n_invalid == 3, 'counts of what is no number')

  ! ---- aerosol clamped to the limits of its size is inside, whatever the rounding
  s = draw(n)
  s%radius(:, 1) = lower(radius_at)
  s%radius(:, 2) = upper(radius_at + 1)
  s%volume(:, 1:2) = volume_of(s%number(:, 1:2), s%radius(:, 1:2), spread(sigma(1:2), 1, n))
  call run(scheme)
  call check(counts%n_outside == 0, 'on the edge is inside')

  ! ---- the step in a fraction across a limit of the range: stated, and none for the ratio
  do policy = outside_arg2000, outside_clip
    call scheme%init(dp, constants, sigma, status, predictor=mimic, outside=policy, contract_hash=contract_hash)
    jump(policy) = 0.0_dp
    do j = 0, 1
      s = draw(n)
      w = merge(0.01_dp, 10.0_dp, j == 0)
      s%w = w
      call run(scheme)
      call check(counts%n_outside == 0, 'inside')
      fn2 = fn
      s%w = merge(0.01_dp*(1.0_dp - 1.1e-4_dp), 10.0_dp*(1.0_dp + 1.1e-4_dp), j == 0)
      call run(scheme)
      call check(counts%n_outside == n, 'outside')
      jump(policy) = max(jump(policy), maxval(abs(fn - fn2)))
    end do
  end do
  print '(a, 3es9.1)', 'step in a fraction across the range, emulator 25 % off ARG2000: ARG2000, ratio, clip', jump
  call check(jump(outside_arg2000) < 0.2_dp .and. jump(outside_ratio) < 2.0e-4_dp .and. &
             jump(outside_clip) < 1.0e-5_dp, 'step across the range')
  print '(a)', 'a host can rely on it'

contains

  subroutine run(scheme)
    !! All columns, single updrafts.
    type(activation_type), intent(in) :: scheme
    call scheme%activate(n, n, 1, 4, s%w, zero, zero, zero, ten, s%t, s%rho, s%number, s%volume, s%kappa, fn, fm, &
                         fluxn, fluxm, full, status, counts)
    call check(status%code == emufort_success, 'activate')
  end subroutine run

  subroutine run_chunk(ncol, first, last, part)
    !! Columns `first` to `last`, into fn2 and so on.
    integer, intent(in) :: ncol, first, last
    type(activation_counts_type), intent(out) :: part
    type(status_type) :: status
    real(dp) :: out(ncol, 4, 4), up(ncol), z(ncol)
    z = 0.0_dp
    call scheme%activate(ncol, ncol, 1, 4, s%w(first:last), width(first:last), z, z, z + 10.0_dp, s%t(first:last), &
                         s%rho(first:last), s%number(first:last, :), s%volume(first:last, :), s%kappa(first:last, :), &
                         out(:, :, 1), out(:, :, 2), out(:, :, 3), out(:, :, 4), up, status, part)
    fn2(first:last, :) = out(:, :, 1)
    fm2(first:last, :) = out(:, :, 2)
    fluxn2(first:last, :) = out(:, :, 3)
    fluxm2(first:last, :) = out(:, :, 4)
    full2(first:last) = up
  end subroutine run_chunk

  subroutine levels()
    !! 16 levels of 29 columns in arrays for 32.
    integer, parameter :: pcols = 32, ncol = 29, pver = 16
    real(dp) :: out(pcols, pver, 4, 4), up(pcols, pver), wanted(pcols, pver, 4)
    real(dp) :: z(pcols, pver)
    logical :: used(pcols)
    integer :: k, m, q
    z = 0.0_dp
    out = -7.0_dp
    used = [(k <= ncol, k=1, pcols)]
    call scheme%activate(pcols, ncol, pver, 4, s%w, width, z, z, z + 10.0_dp, s%t, s%rho, s%number, s%volume, s%kappa, &
                         out(:, :, :, 1), out(:, :, :, 2), out(:, :, :, 3), out(:, :, :, 4), up, status, part)
    do q = 1, 4
      do m = 1, 4
        do k = 1, pver
          call check(all(abs(pack(out(:, k, m, q),.not. used) + 7.0_dp) <= 0.0_dp), 'columns not in use')
        end do
      end do
    end do
    wanted = reshape(fn, [pcols, pver, 4])
    call check(all(same_bits(out(1:ncol, :, :, 1), wanted(1:ncol, :, :))), 'levels')
  end subroutine levels

end program test_activation_host
