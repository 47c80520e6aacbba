!> The generated module of the emulator `pond`, which takes one array a variable: the bits of a column do not depend on
!> the number of columns, on its place among them, on the precision of the host, or on threads, and are those of the
!> loaded emulator.
!>
!>     module_invariance WEIGHTS
program module_invariance
  use omp_lib, only: omp_get_num_threads
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use emufort_runtime, only: emulator_type, emufort_success
  use pond_emulator, only: pond_emulator_predict, status_type
  implicit none
  integer, parameter :: ncol = 257, n_inputs = 4, n_outputs = 3
  integer, parameter :: numbers(4) = [1, 2, 3, 8], chunks(3) = [1, 13, 32]
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=1000) :: path
  real(real64) :: x(ncol, n_inputs), y(ncol, n_outputs), whole(ncol, n_outputs)
  real(real32) :: x32(ncol, n_inputs), y32(ncol, n_outputs), whole32(ncol, n_outputs)
  integer :: i, j, n, first, last, n_threads

  call random_number(x)
  x(:, 1) = 0.2_real64 + 20.0_real64*x(:, 1)
  x(:, 2) = 276.0_real64 + 20.0_real64*x(:, 2)
  x(:, 3) = 276.0_real64 + 15.0_real64*x(:, 3)
  x(:, 4) = 1.0e-6_real64 + 1.0e-4_real64*x(:, 4)
  x32 = real(x, real32)
  x = real(x32, real64)

  call get_command_argument(1, path)
  call emulator%load(trim(path), status)
  if (status%code /= emufort_success) error stop 'load'
  call emulator%predict(x, whole, status)
  if (status%code /= emufort_success .or. status%n_clipped /= 0) error stop 'predict'
  whole32 = real(whole, real32)

  do n = 1, ncol
    do first = 1 + mod(5*n, 17), ncol - n + 1, max(1, n/3)
      last = first + n - 1
      y = -1.0_real64
      y32 = -1.0_real32
      call predict(first, last)
      call predict_single(first, last)
      call compare(first, last)
    end do
  end do

  do j = 1, size(chunks)
    do i = 1, size(numbers)
      y = -1.0_real64
      y32 = -1.0_real32
      n_threads = 0
      !$omp parallel num_threads(numbers(i)) private(last)
      !$omp single
      n_threads = omp_get_num_threads()
      !$omp end single
      !$omp do schedule(dynamic)
      do first = 1, ncol, chunks(j)
        last = min(first + chunks(j) - 1, ncol)
        call predict(first, last)
        call predict_single(first, last)
      end do
      !$omp end do
      !$omp end parallel
      if (n_threads /= numbers(i)) error stop 'threads are missing'
      call compare(1, ncol)
    end do
  end do
  print '(a)', 'the same bits'

contains

  !> Predict some columns, arrays in double precision.
  recursive subroutine predict(first, last)
    integer, intent(in) :: first, last   !! columns
    type(status_type) :: status

    call pond_emulator_predict(last - first + 1, x(first:last, 1), x(first:last, 2:3), x(first:last, 4), &
                               y(first:last, 1), y(first:last, 2:3), status)

  end subroutine predict

  !> Predict some columns, arrays in single precision.
  recursive subroutine predict_single(first, last)
    integer, intent(in) :: first, last   !! columns
    type(status_type) :: status

    call pond_emulator_predict(last - first + 1, x32(first:last, 1), x32(first:last, 2:3), x32(first:last, 4), &
                               y32(first:last, 1), y32(first:last, 2:3), status)

  end subroutine predict_single

  !> Stop unless some columns have their bits.
  subroutine compare(first, last)
    integer, intent(in) :: first, last   !! columns

    if (any(transfer(y(first:last, :), [0_int64]) /= transfer(whole(first:last, :), [0_int64]))) &
      error stop 'other bits in double precision'
    if (any(transfer(y32(first:last, :), [0_int32]) /= transfer(whole32(first:last, :), [0_int32]))) &
      error stop 'other bits in single precision'

  end subroutine compare

end program module_invariance
