!> Tests that no call that cannot be answered is silent, and the special cases of a call.
program test_activation_calls
  use, intrinsic :: iso_fortran_env, only: int64
  use emufort_runtime, only: status_type, emufort_success, emufort_error_not_loaded, emufort_error_shape, &
                             emufort_error_contract
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        answered_by_error, answered_by_in_cloud
  use emufort_activate_modal, only: activate_modal_init, activate_modal, actdrop_mam_calc, activate_modal_errors, &
                                    activate_modal_scheme
  use activation_test_host, only: prepare_host, host_routine, host_abort, n_aborts, last_words
  use activation_test_support, only: check, same_bits, sample_type, draw, mimic, sigma, dp, contract_hash
  implicit none
  integer, parameter :: n = 20, n_modes = size(sigma)
  type(activation_constants_type) :: constants
  type(activation_type) :: unset, scheme
  type(activation_counts_type) :: counts
  type(status_type) :: status
  type(sample_type) :: s
  real(dp) :: f(n_modes, 4), full, first(n_modes, 4), chunk(n, n_modes, 4), chunk_full(n), zero(n), most(n), smax(n)
  real(dp) :: wanted(n_modes, 4), wanted_full, value
  logical :: cloud(n)
  integer :: by(n), flag, i
  character(len=160) :: message

  call prepare_host()
  s = draw(n)
  zero = 0.0_dp
  most = 10.0_dp

  ! ---- before init
  call parcel(n_modes)
  call check(all_nan() .and. activate_modal_errors() == 1_int64, 'before init the results are NaN')
  call parcel(n_modes, message, flag)
  call check(all_nan() .and. flag == emufort_error_not_loaded .and. index(message, 'before a successful init') > 0, &
             'before init there is an error')
  f = 0.0_dp
  call actdrop_mam_calc(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), n_modes, &
                        s%volume(1, :), s%kappa(1, :), .false., 0.0_dp, f(:, 1), f(:, 2), f(:, 3), f(:, 4), full, &
                        errflg=flag)
  call check(all_nan() .and. flag /= 0 .and. activate_modal_errors() == 3_int64, 'actdrop_mam_calc before init')
  call run(unset)
  call check(status%code == emufort_error_not_loaded .and. all(by == answered_by_error) .and. &
             .not. any(chunk >= 0.0_dp), 'a chunk before init')

  ! ---- an init that fails for wrong modes is none; init counts anew
  call activate_modal_init(dp, constants, sigma - 1.0_dp, status, abort=host_abort)
  call check(status%code /= emufort_success .and. activate_modal_errors() == 0_int64, 'init fails')
  call parcel(n_modes)
  call check(n_aborts == 1 .and. index(last_words, 'before a successful init') > 0 .and. all_nan(), 'the host ends')
  call parcel(n_modes, message, flag)
  call check(n_aborts == 1 .and. flag /= 0 .and. activate_modal_errors() == 2_int64, &
             'with error arguments the host does not end')

  ! ---- more modes than init was given
  call activate_modal_init(dp, constants, sigma(1:n_modes - 1), status, abort=host_abort)
  call parcel(n_modes, message, flag)
  call check(all_nan() .and. flag == emufort_error_shape .and. index(message, 'more aerosol modes') > 0, 'more modes')
  call parcel(n_modes)
  call check(n_aborts == 2 .and. index(last_words, 'more aerosol modes') > 0, 'more modes end the run')
  call activate_modal_init(dp, constants, sigma(1:n_modes - 1), status)
  call parcel(n_modes)
  call check(all_nan() .and. activate_modal_errors() == 1_int64, 'more modes, no scheme can answer')
  call activate_modal_init(dp, constants, sigma(1:n_modes - 1), status, host_routine=host_routine)
  call parcel(n_modes)
  call host_routine(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), n_modes, &
                    s%volume(1, :), s%kappa(1, :), wanted(:, 1), wanted(:, 2), wanted(:, 3), wanted(:, 4), wanted_full)
  call check(all(same_bits(f, wanted)) .and. same_bits(full, wanted_full) .and. activate_modal_errors() == 1_int64, &
             'more modes, the host answers and it is counted')
  call check(counts%n_fall_back == 1_int64, 'its answer is a fall-back')
  ! arrays that are too short
  call activate_modal_init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call check(status%code == emufort_success .and. activate_modal_scheme%is_emulated(), 'init')
  call activate_modal(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), n_modes, &
                      s%volume(1, :), s%kappa(1, :), f(:, 1), f(:, 2), f(1:2, 3), f(:, 4), full, errflg=flag)
  call check(flag == emufort_error_shape, 'short arrays')

  ! ---- a right call sets the error arguments to success
  call parcel(n_modes, message, flag)
  call check(flag == 0 .and. message == ' ' .and. all(f >= 0.0_dp) .and. any(f(:, 1) > 0.0_dp), 'success')
  first = f

  ! ---- in cloud without the drops, also if nothing is in cloud, as in CAM
  do i = 0, 1
    flag = 0
    call activate_modal(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), n_modes, &
                        s%volume(1, :), s%kappa(1, :), f(:, 1), f(:, 2), f(:, 3), f(:, 4), full, in_cloud_in=i == 1, &
                        errmsg=message, errflg=flag)
    call check(all_nan() .and. flag == emufort_error_contract .and. index(message, 'smax_f') > 0, 'no drops')
  end do
  cloud = .true.
  call scheme%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call run(scheme, cloud)
  call check(status%code == emufort_error_contract .and. .not. any(chunk >= 0.0_dp), 'a chunk without drops')
  ! a control run whose host cannot answer in cloud
  call activate_modal_init(dp, constants, sigma, status, host_routine=host_routine)
  call in_cloud(1000.0_dp, flag=flag)
  call check(flag == emufort_error_contract .and. all_nan(), 'the host has no routine in cloud')

  ! ---- in cloud and prescribed: in cloud, as in CAM; a prescribed supersaturation of 0 precedes both
  call activate_modal_init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call in_cloud(1000.0_dp)
  wanted = f
  call check(any(f(:, 1) > 0.0_dp), 'in cloud')
  call in_cloud(1000.0_dp, prescribed=0.02_dp)
  call check(all(same_bits(f, wanted)), 'in cloud precedes a prescribed supersaturation')
  call in_cloud(1000.0_dp, prescribed=0.0_dp)
  call check(.not. any(abs(f) > 0.0_dp) .and. .not. abs(full) > 0.0_dp, 'no supersaturation, no flux')
  call in_cloud(0.0_dp)
  call check(.not. any(abs(f) > 0.0_dp) .and. same_bits(full, s%w(1)), 'no drops, no supersaturation')
  call scheme%activate(n, n, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                       chunk(:, :, 1), chunk(:, :, 2), chunk(:, :, 3), chunk(:, :, 4), chunk_full, status, counts, &
                       cloud, zero + 1000.0_dp, zero + 0.02_dp, answered_by=by, smax=smax)
  call check(all(same_bits(chunk(1, :, :), wanted)) .and. all(by == answered_by_in_cloud), 'the same in chunks')
  call scheme%activate(n, n, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                       chunk(:, :, 1), chunk(:, :, 2), chunk(:, :, 3), chunk(:, :, 4), chunk_full, status, counts, &
                       cloud, zero + 1000.0_dp, zero)
  call check(.not. any(abs(chunk) > 0.0_dp) .and. .not. any(abs(chunk_full) > 0.0_dp), 'no supersaturation in chunks')
  ! a prescribed supersaturation that is NaN gives NaN
  value = sqrt(-s%w(1))
  call activate_modal(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), n_modes, &
                      s%volume(1, :), s%kappa(1, :), f(:, 1), f(:, 2), f(:, 3), f(:, 4), full, smax_prescribed=value)
  call check(.not. any(f(:, 1) >= 0.0_dp), 'a prescribed NaN')

  ! ---- zero modes, columns that are not in use, no columns
  f = -1.0_dp
  call parcel(0, message, flag)
  call check(flag == 0 .and. .not. any(abs(f) > 0.0_dp) .and. .not. abs(full) > 0.0_dp, 'zero modes')
  chunk = -7.0_dp
  by = -7
  call scheme%activate(n, 5, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                       chunk(:, :, 1), chunk(:, :, 2), chunk(:, :, 3), chunk(:, :, 4), chunk_full, status, counts, &
                       answered_by=by, smax=smax)
  call check(counts%n_parcels == 5_int64 .and. all(abs(chunk(6:, :, :) + 7.0_dp) <= 0.0_dp) .and. all(by(6:) == -7) &
             .and. all(same_bits(chunk(1, :, :), first)) .and. all(smax(1:5) > 0.0_dp), 'columns not in use')
  call scheme%activate(n, 0, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                       chunk(:, :, 1), chunk(:, :, 2), chunk(:, :, 3), chunk(:, :, 4), chunk_full, status, counts)
  call check(status%code == emufort_success .and. counts%n_parcels == 0_int64, 'no columns')
  call scheme%activate(n, n + 1, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                       chunk(:, :, 1), chunk(:, :, 2), chunk(:, :, 3), chunk(:, :, 4), chunk_full, status, counts)
  call check(status%code == emufort_error_shape, 'more columns than there are')
  print '(a)', 'no call is silent'

contains

  !> Call `activate_modal` for the first column.
  subroutine parcel(modes, errmsg, errflg)
    integer, intent(in) :: modes                              !! number of modes of the call
    character(len=*), intent(out), optional :: errmsg         !! error message
    integer, intent(out), optional :: errflg                  !! error flag

    f = 0.5_dp
    counts = activation_counts_type()
    call activate_modal(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), modes, &
                        s%volume(1, :), s%kappa(1, :), f(:, 1), f(:, 2), f(:, 3), f(:, 4), full, counts=counts, &
                        errmsg=errmsg, errflg=errflg)

  end subroutine parcel

  !> Call `activate_modal` for the first column in cloud.
  subroutine in_cloud(drops, prescribed, flag)
    real(dp), intent(in) :: drops                    !! number times size factor [m-2]
    real(dp), intent(in), optional :: prescribed     !! supersaturation [1]
    integer, intent(out), optional :: flag           !! error flag

    call activate_modal(s%w(1), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, s%t(1), s%rho(1), s%number(1, :), n_modes, &
                        s%volume(1, :), s%kappa(1, :), f(:, 1), f(:, 2), f(:, 3), f(:, 4), full, prescribed, .true., &
                        drops, errflg=flag)

  end subroutine in_cloud

  logical function all_nan()
    all_nan = .not. any(f >= 0.0_dp .or. f < 0.0_dp) .and. .not. (full >= 0.0_dp .or. full < 0.0_dp)
  end function all_nan

  !> Run all columns on one level.
  subroutine run(scheme, cloud)
    type(activation_type), intent(in) :: scheme       !! any scheme
    logical, intent(in), optional :: cloud(n)         !! above cloud base

    chunk = 0.5_dp
    call scheme%activate(n, n, 1, n_modes, s%w, zero, zero, zero, most, s%t, s%rho, s%number, s%volume, s%kappa, &
                         chunk(:, :, 1), chunk(:, :, 2), chunk(:, :, 3), chunk(:, :, 4), chunk_full, status, counts, &
                         cloud, answered_by=by, smax=smax)

  end subroutine run

end program test_activation_calls
