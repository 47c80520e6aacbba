!> A host model in small: loads an emulator, tests it, and predicts for columns with one NaN among them.
!>
!>     consumer WEIGHTS      prints the bits of the network's precision and `ok`
program consumer
  use, intrinsic :: iso_fortran_env, only: real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_is_nan
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_kind
  implicit none
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=1000) :: path
  real(real64), allocatable :: x(:, :), y(:, :)

  call get_command_argument(1, path)
  call emulator%load(trim(path), status)
  if (status%code /= emufort_success) error stop 'load'
  call emulator%self_test(status)
  if (status%code /= emufort_success) error stop 'self test'
  allocate (x(21, emulator%n_inputs()), y(21, emulator%n_outputs()))
  x = 1.0_real64
  x(7, 1) = ieee_value(x(7, 1), ieee_quiet_nan)
  call emulator%predict(x, y, status)
  if (status%code /= emufort_success .or. status%n_invalid /= 1) error stop 'predict'
  if (count(ieee_is_nan(y(:, 1))) /= 1) error stop 'NaN is not confined'
  print '(i0,a)', storage_size(1.0_emufort_kind), ' ok'

end program consumer
