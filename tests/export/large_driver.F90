!> The generated module of a network of which one column is too large for the stack, from several threads.
!>
!>     large_driver WEIGHTS
!>
!> With -DLOADS the module has no weights of its own. Every column must have the bits that the loaded emulator gives it
!> with a workspace.
program large_driver
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use omp_lib, only: omp_get_thread_num, omp_set_num_threads
  use emufort_runtime, only: emulator_type, emufort_success, emufort_error_limit, emufort_error_not_loaded, &
                             emufort_block_columns
#ifdef LOADS
  use pond_emulator, only: pond_emulator_load
#else
  use pond_emulator, only: pond_emulator_init
#endif
  use pond_emulator, only: pond_emulator_predict, pond_emulator_predict_block, pond_emulator_make_workspace, &
                           pond_emulator_strided_real64, status_type, workspace_type
  implicit none
  integer, parameter :: ncol = 67, n_threads = 3
  type(emulator_type) :: emulator
  type(workspace_type) :: workspace
  type(status_type) :: status
  character(len=1000) :: path
  real(real64) :: x(ncol, 4), y(ncol, 3), columns(ncol, 3)
  real(real32) :: x32(ncol, 4), y32(ncol, 3)
  real(real64) :: block_x(emufort_block_columns, 4), block_y(emufort_block_columns, 3)
  logical :: is_outside(ncol)
  integer :: first, n, n_failed, n_refused

  call random_number(x)
  x(:, 1) = 0.2_real64 + 20.0_real64*x(:, 1)
  x(:, 2) = 276.0_real64 + 20.0_real64*x(:, 2)
  x(:, 3) = 276.0_real64 + 15.0_real64*x(:, 3)
  x(:, 4) = 1.0e-6_real64 + 1.0e-4_real64*x(:, 4)
  x32 = real(x, real32)
  x = real(x32, real64)
  call get_command_argument(1, path)
  call emulator%load(trim(path), status)
  call expect(emufort_success, 'load')
  call emulator%predict(x, columns, status)
  call expect(emufort_error_limit, 'the loaded emulator without a workspace')
  call emulator%make_workspace(workspace, status)
  call expect(emufort_success, 'a workspace of the loaded emulator')
  call emulator%predict(x, columns, status, workspace=workspace)
  call expect(emufort_success, 'the loaded emulator')
  if (.not. all(columns == columns)) error stop 'outputs are no numbers'

  call refuse('predict before the workspaces are made', emufort_error_not_loaded)
#ifdef LOADS
  call omp_set_num_threads(n_threads)
  call pond_emulator_load(trim(path), status)
#else
  ! A caller with a workspace needs no others.
  y = -1.0_real64
  call pond_emulator_predict(ncol, x(:, 1), x(:, 2:3), x(:, 4), y(:, 1), y(:, 2:3), status, workspace=workspace)
  call expect(emufort_success, 'predict with a workspace')
  call compare('with a workspace')
  call omp_set_num_threads(n_threads)
  call pond_emulator_init(status)
#endif
  call expect(emufort_success, 'the workspaces of the threads')
  do n = 1, 40, 13
    y = -1.0_real64
    y32 = -1.0_real32
    n_failed = 0
    !$omp parallel do num_threads(n_threads) reduction(+:n_failed)
    do first = 1, ncol, n
      call predict(first, min(first + n - 1, ncol), n_failed)
    end do
    !$omp end parallel do
    if (n_failed > 0) error stop 'predict'
    call compare('from threads')
    if (any(abs(y32 - real(columns, real32)) > 0.0_real32)) error stop 'other bits in single precision'
  end do
  block_x = x(1:emufort_block_columns, :)
  call pond_emulator_predict_block(7, .false., block_x, block_y, status, is_outside)
  call expect(emufort_success, 'predict_block')
  if (any(transfer(block_y(1:7, :), [0_int64]) /= transfer(columns(1:7, :), [0_int64]))) then
    error stop 'other bits in a block'
  end if
  y = -1.0_real64
  call pond_emulator_strided_real64(ncol, reshape([1, 1, 1, ncol, 1, 1, 1, 1, 1, ncol], [2, 5]), x(:, 1), x(:, 2:3), &
                                    x(:, 4), y(:, 1), y(:, 2:3), status)
  call expect(emufort_success, 'strided')
  call compare('strided')

  ! More threads than workspaces: each has the right outputs or an error.
  n_failed = 0
  n_refused = 0
  !$omp parallel do num_threads(4*n_threads) reduction(+:n_failed, n_refused) schedule(static, 1)
  do first = 1, 400*n_threads
    call try(n_failed, n_refused)
  end do
  !$omp end parallel do
  if (n_failed > 0) error stop 'wrong outputs'
  print '(a)', 'the same bits'

contains

  !> Predict some columns, in both precisions.
  subroutine predict(first, last, n_failed)
    integer, intent(in) :: first, last       !! columns
    integer, intent(inout) :: n_failed       !! incremented by an error
    type(status_type) :: status

    call pond_emulator_predict(last - first + 1, x(first:last, 1), x(first:last, 2:3), x(first:last, 4), &
                               y(first:last, 1), y(first:last, 2:3), status)
    if (status%code /= emufort_success) n_failed = n_failed + 1
    call pond_emulator_predict(last - first + 1, x32(first:last, 1), x32(first:last, 2:3), x32(first:last, 4), &
                               y32(first:last, 1), y32(first:last, 2:3), status)
    if (status%code /= emufort_success) n_failed = n_failed + 1

  end subroutine predict

  !> Predict with more threads than workspaces.
  subroutine try(n_failed, n_refused)
    integer, intent(inout) :: n_failed, n_refused   !! incremented by wrong outputs and by an error
    type(status_type) :: status
    real(real64) :: z(2, 3)

    z = -1.0_real64
    call pond_emulator_predict(2, x(1:2, 1), x(1:2, 2:3), x(1:2, 4), z(:, 1), z(:, 2:3), status)
    if (status%code == emufort_success) then
      if (any(transfer(z, [0_int64]) /= transfer(columns(1:2, :), [0_int64]))) n_failed = n_failed + 1
    else
      n_refused = n_refused + 1
      if (status%code /= emufort_error_limit .or. any(z == z)) n_failed = n_failed + 1
    end if

  end subroutine try

  !> Every procedure refuses to predict, with NaN.
  subroutine refuse(what, code)
    character(len=*), intent(in) :: what   !! what is tested
    integer, intent(in) :: code            !! expected code

    y = 0.0_real64
    call pond_emulator_predict(ncol, x(:, 1), x(:, 2:3), x(:, 4), y(:, 1), y(:, 2:3), status, is_outside)
    call expect(code, what)
    if (.not. (all(y /= y) .and. all(is_outside))) error stop 'outputs are numbers'
    y = 0.0_real64
    call pond_emulator_strided_real64(ncol, reshape([1, 1, 1, ncol, 1, 1, 1, 1, 1, ncol], [2, 5]), x(:, 1), x(:, 2:3), &
                                      x(:, 4), y(:, 1), y(:, 2:3), status)
    call expect(code, what)
    if (.not. all(y /= y)) error stop 'outputs are numbers'
    block_x = x(1:emufort_block_columns, :)
    block_y = 0.0_real64
    call pond_emulator_predict_block(7, .false., block_x, block_y, status, is_outside)
    call expect(code, what)
    if (.not. all(block_y(1:7, :) /= block_y(1:7, :))) error stop 'outputs are numbers'

  end subroutine refuse

  !> Stop unless the outputs have the bits of the loaded emulator.
  subroutine compare(what)
    character(len=*), intent(in) :: what   !! how they were computed

    if (all(transfer(y, [0_int64]) == transfer(columns, [0_int64]))) return
    print '(2a)', 'other bits ', what
    error stop 1

  end subroutine compare

  !> Stop unless the status has a code.
  subroutine expect(code, what)
    integer, intent(in) :: code            !! expected code
    character(len=*), intent(in) :: what   !! what was called

    if (status%code == code) return
    print '(3a,i0,2a)', 'FAILED: ', what, ': code ', status%code, ', ', trim(status%message)
    error stop 1

  end subroutine expect

end program large_driver
