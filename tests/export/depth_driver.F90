!> Threads with a small stack share a loaded emulator of the process `pond`: the golden vectors are reproduced, and a
!> column has the same bits alone, in blocks without a workspace, and in blocks with one.
!>
!>     depth_driver WEIGHTS
program depth_driver
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success
  implicit none
  integer, parameter :: ncol = 40, n_threads = 2
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=1000) :: path
  real(real64) :: x(ncol, 4)
  integer :: thread, n_failed

  call get_command_argument(1, path)
  call emulator%load(trim(path), status)
  if (status%code /= emufort_success) error stop 'load'
  call random_number(x)
  x(:, 1) = 0.2_real64 + 20.0_real64*x(:, 1)
  x(:, 2:3) = 276.0_real64 + 15.0_real64*x(:, 2:3)
  x(:, 4) = 1.0e-6_real64 + 1.0e-4_real64*x(:, 4)
  n_failed = 0
  !$omp parallel do num_threads(n_threads) reduction(+:n_failed)
  do thread = 1, n_threads
    call work(n_failed)
  end do
  !$omp end parallel do
  if (n_failed > 0) error stop 'a thread has other numbers'
  print '(a)', 'well'

contains

  !> What one thread does.
  recursive subroutine work(n_failed)
    integer, intent(inout) :: n_failed   !! incremented by what is wrong
    real(real64), allocatable :: blocks(:, :), y(:, :)
    type(workspace_type) :: workspace
    type(status_type) :: status
    integer :: i

    allocate (blocks(ncol, 3), y(ncol, 3))
    call emulator%self_test(status)
    if (status%code /= emufort_success) n_failed = n_failed + 1
    call emulator%make_workspace(workspace, status)
    if (status%code /= emufort_success) n_failed = n_failed + 1
    call emulator%predict(x, blocks, status, workspace=workspace)
    if (status%code /= emufort_success .or. any(blocks /= blocks)) n_failed = n_failed + 1
    call emulator%predict(x, y, status)
    if (any(transfer(y, [0_int64]) /= transfer(blocks, [0_int64]))) n_failed = n_failed + 1
    do i = 1, ncol, 13
      call emulator%predict(x(i:i, :), y(i:i, :), status)
    end do
    if (any(transfer(y, [0_int64]) /= transfer(blocks, [0_int64]))) n_failed = n_failed + 1

  end subroutine work

end program depth_driver
