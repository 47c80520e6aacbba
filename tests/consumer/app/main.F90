!> A host model in small: loads an emulator, tests it, and predicts for columns from a file and one with NaN.
!>
!>     consumer WEIGHTS COLUMNS      prints the bits of the network's precision, then the outputs of each column
!>
!> COLUMNS is text: the number of columns, then a line of inputs for each.
program consumer
  use, intrinsic :: iso_fortran_env, only: real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_is_nan
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_kind
  implicit none
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=1000) :: path
  real(real64), allocatable :: x(:, :), y(:, :)
  integer :: unit, ncol, i

  call get_command_argument(1, path)
  call emulator%load(trim(path), status)
  if (status%code /= emufort_success) error stop 'load'
  call emulator%self_test(status)
  if (status%code /= emufort_success) error stop 'self test'
  call get_command_argument(2, path)
  open (newunit=unit, file=trim(path), status='old', action='read')
  read (unit, *) ncol
  allocate (x(ncol + 1, emulator%n_inputs()), y(ncol + 1, emulator%n_outputs()))
  do i = 1, ncol
    read (unit, *) x(i, :)
  end do
  close (unit)
  x(ncol + 1, :) = x(1, :)
  x(ncol + 1, 1) = ieee_value(1.0_real64, ieee_quiet_nan)
  call emulator%predict(x, y, status)
  if (status%code /= emufort_success .or. status%n_clipped /= 0) error stop 'predict'
  if (status%n_invalid /= 1 .or. .not. all(ieee_is_nan(y(ncol + 1, :)))) error stop 'NaN is not counted'
  print '(i0)', storage_size(1.0_emufort_kind)
  do i = 1, ncol
    print '(*(es26.16e3))', y(i, :)
  end do

end program consumer
