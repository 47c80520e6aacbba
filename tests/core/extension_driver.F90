!> Checks an emulator's golden vectors, and the derivative of an activation function as the trainer has it.
!>
!>     extension_driver WEIGHTS CODE
program extension_driver
  use emufort_kinds, only: wp
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_train_activations, only: can_train, activate, multiply_by_derivative
  implicit none
  integer, parameter :: n = 16
  real(wp), parameter :: step = 1.0e-5_wp, none = 0.0_wp
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=1000) :: argument
  real(wp) :: x(n), below(n), above(n), a(n), slope(n), delta(n), unused(n)
  integer :: code, i

  call get_command_argument(1, argument)
  call emulator%load(trim(argument), status)
  if (status%code == emufort_success) call emulator%self_test(status)
  if (status%code /= emufort_success) error stop 'emulator: '//status%message
  call get_command_argument(2, argument)
  read (argument, *) code
  if (.not. can_train(code)) error stop 'the trainer does not know the function'
  x = [(0.37_wp*(i - 8.3_wp), i=1, n)]
  a = x
  slope = 0.0_wp
  delta = 1.0_wp
  call activate(code, none, n, a, slope)
  call multiply_by_derivative(code, none, n, a, slope, delta)
  below = x - step
  above = x + step
  call activate(code, none, n, below, unused)
  call activate(code, none, n, above, unused)
  if (maxval(abs(delta - (above - below)/(2.0_wp*step))) > 1.0e-8_wp) error stop 'the derivative is wrong'
  print '(a)', 'follows'

end program extension_driver
