!> Threads with a small stack call the generated module of the emulator `pond`, with and without a workspace.
!>
!>     wide_driver WEIGHTS OTHER_WEIGHTS
!>
!> With -DLOADS the module has no weights of its own, with -DDECODES they are text. Every column must have the bits that it has alone in the loaded
!> emulator.
program wide_driver
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use omp_lib, only: omp_get_thread_num
  use emufort_runtime, only: emulator_type, emufort_success, emufort_error_shape, emufort_error_not_loaded, &
                             emufort_error_contract, emufort_block_columns
#ifdef LOADS
  use pond_emulator, only: pond_emulator_load
#else
  use pond_emulator, only: pond_emulator_init
#endif
  use pond_emulator, only: pond_emulator_predict, pond_emulator_predict_block, pond_emulator_make_workspace, &
                           status_type, workspace_type
  implicit none
  integer, parameter :: ncol = 131, n_threads = 4
  type(emulator_type) :: emulator
  type(workspace_type) :: workspaces(n_threads)
  type(status_type) :: status
  character(len=1000) :: path, other
  real(real64) :: x(ncol, 4), y(ncol, 3), columns(ncol, 3)
  real(real32) :: x32(ncol, 4), y32(ncol, 3)
  real(real64) :: block_x(emufort_block_columns, 4), block_y(emufort_block_columns, 3)
  logical :: is_outside(ncol)
  integer :: i, t, n, first, kind_of_workspace, n_failed

  call random_number(x)
  x(:, 1) = 0.2_real64 + 20.0_real64*x(:, 1)
  x(:, 2) = 276.0_real64 + 20.0_real64*x(:, 2)
  x(:, 3) = 276.0_real64 + 15.0_real64*x(:, 3)
  x(:, 4) = 1.0e-6_real64 + 1.0e-4_real64*x(:, 4)
  x32 = real(x, real32)
  x = real(x32, real64)
  call get_command_argument(1, path)
  call get_command_argument(2, other)
  block_x = x(1:emufort_block_columns, :)

#if defined(LOADS) || defined(DECODES)
  y = 0.0_real64
  call pond_emulator_predict(ncol, x(:, 1), x(:, 2:3), x(:, 4), y(:, 1), y(:, 2:3), status, is_outside)
  call expect(emufort_error_not_loaded, 'predict before load')
  if (.not. (all(y /= y) .and. all(is_outside))) error stop 'outputs before load are numbers'
  y32 = 0.0_real32
  call pond_emulator_predict(ncol, x32(:, 1), x32(:, 2:3), x32(:, 4), y32(:, 1), y32(:, 2:3), status)
  call expect(emufort_error_not_loaded, 'predict before load')
  if (.not. all(y32 /= y32)) error stop 'outputs before load are numbers'
  block_y = 0.0_real64
  call pond_emulator_predict_block(7, .false., block_x, block_y, status, is_outside)
  call expect(emufort_error_not_loaded, 'predict_block before load')
  if (.not. all(block_y(1:7, :) /= block_y(1:7, :))) error stop 'outputs before load are numbers'
  call pond_emulator_make_workspace(workspaces(1), status)
  call expect(emufort_error_not_loaded, 'workspace before load')
#endif
#ifdef LOADS
  call pond_emulator_load(trim(other), status)
  call expect(emufort_error_contract, 'weights of another export')
  call pond_emulator_load(trim(path), status)
  call expect(emufort_success, 'load')
#else
  n_failed = 0
  !$omp parallel num_threads(n_threads) reduction(+:n_failed)
  call decode(n_failed)
  !$omp end parallel
  if (n_failed > 0) error stop 'init'
#endif
  call pond_emulator_predict(-huge(1) - 1, x(:, 1), x(:, 2:3), x(:, 4), y(:, 1), y(:, 2:3), status)
  call expect(emufort_error_shape, 'the smallest number of columns')
  call pond_emulator_predict_block(-huge(1) - 1, .false., block_x, block_y, status, is_outside)
  call expect(emufort_error_shape, 'the smallest number of columns in a block')
  call pond_emulator_predict_block(emufort_block_columns + 1, .false., block_x, block_y, status, is_outside)
  call expect(emufort_error_shape, 'more columns than a block has')

  call emulator%load(trim(path), status)
  call expect(emufort_success, 'load')
  do i = 1, ncol
    call emulator%predict(x(i:i, :), columns(i:i, :), status)
    call expect(emufort_success, 'predict')
  end do
  do kind_of_workspace = 1, 2
    if (kind_of_workspace == 2) then
      do t = 1, n_threads
        call pond_emulator_make_workspace(workspaces(t), status)
        call expect(emufort_success, 'workspace')
      end do
    end if
    do n = 1, 40, 13
      y = -1.0_real64
      y32 = -1.0_real32
      n_failed = 0
      !$omp parallel do num_threads(n_threads) private(t) reduction(+:n_failed)
      do first = 1, ncol, n
        t = omp_get_thread_num() + 1
        call predict(first, min(first + n - 1, ncol), workspaces(t), n_failed)
      end do
      !$omp end parallel do
      if (n_failed > 0) error stop 'predict'
      if (any(transfer(y, [0_int64]) /= transfer(columns, [0_int64]))) error stop 'other bits'
      if (any(abs(y32 - real(columns, real32)) > 0.0_real32)) error stop 'other bits in single precision'
    end do
  end do
  print '(a)', 'the same bits'

contains

#ifndef LOADS
  !> Have the weights decoded; all threads but one find them decoded.
  subroutine decode(n_failed)
    integer, intent(inout) :: n_failed   !! incremented by an error
    type(status_type) :: status

    call pond_emulator_init(status)
    if (status%code /= emufort_success) n_failed = n_failed + 1

  end subroutine decode

#endif
  !> Predict some columns, arrays of both precisions.
  recursive subroutine predict(first, last, workspace, n_failed)
    integer, intent(in) :: first, last                    !! columns
    type(workspace_type), intent(inout) :: workspace      !! of this thread
    integer, intent(inout) :: n_failed                    !! incremented by errors
    type(status_type) :: status

    call pond_emulator_predict(last - first + 1, x(first:last, 1), x(first:last, 2:3), x(first:last, 4), &
                               y(first:last, 1), y(first:last, 2:3), status, workspace=workspace)
    if (status%code /= emufort_success) n_failed = n_failed + 1
    call pond_emulator_predict(last - first + 1, x32(first:last, 1), x32(first:last, 2:3), x32(first:last, 4), &
                               y32(first:last, 1), y32(first:last, 2:3), status, workspace=workspace)
    if (status%code /= emufort_success) n_failed = n_failed + 1

  end subroutine predict

  !> Stop unless a call ended as it should.
  subroutine expect(code, what)
    integer, intent(in) :: code            !! status code
    character(len=*), intent(in) :: what   !! call

    if (status%code == code) return
    print '(a,i0,2a)', what//': ', status%code, ' ', trim(status%message)
    error stop

  end subroutine expect

end program wide_driver
