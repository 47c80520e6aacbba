!> Tests the entry for one column within the range, copies of a network, and changes of its variables: powers of inputs
!> and logarithms of outputs.
program test_inside
  use emufort_kinds, only: int8, real64
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  implicit none
  integer, parameter :: n = 200, n_features = 15, n_outputs = 5
  type(network_type) :: net
  type(emulator_type) :: emulator, other, empty
  type(status_type) :: status
  integer(int8), allocatable :: bytes(:)
  real(real64) :: x(n, n_features + 1), one(n_features + 1), y(n, n_outputs), z(n, n_outputs), single(n_outputs)
  logical :: is_inside, is_done, is_outside(n)
  integer :: i, j, activation, n_insides

  one = 1.0_real64
  call empty%predict_inside(one, single, is_inside)
  call check(.not. is_inside, 'no network, no prediction')
  do activation = 1, 10
    net = make_network([48, 24, 19], n_features, n_outputs, activation, 5)
    call make_inputs(net, x)
    bytes = to_bytes(net, x(1:3, :), 1.0e-3_real64)
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, 'the network loads')

    ! inside, and at and beyond the limits
    x(1, :) = net%ranges(1, :)
    x(2, :) = net%ranges(2, :)
    x(3, 4) = nearest(net%ranges(1, 4), -1.0_real64)
    x(4, 7) = nearest(net%ranges(2, 7), 1.0_real64)
    x(5, 2) = sqrt(-abs(x(5, 2)))
    call emulator%predict(x, y, status, is_outside)
    n_insides = 0
    do i = 1, n
      single = -1.0_real64
      call emulator%predict_inside(x(i, :), single, is_inside)
      call check(is_inside .neqv. is_outside(i), 'inside is what is not outside')
      if (is_inside) then
        n_insides = n_insides + 1
        call check(all(same_bits(single, y(i, :))), 'the bits of a block')
      else
        call check(all(same_bits(single, [(-1.0_real64, j=1, n_outputs)])), 'unchanged outside')
      end if
    end do
    call check(n_insides > 0 .and. n_insides < n, 'some columns are inside')

    ! input 2 is a logarithm, 1 is affine, 3 a logit; the last input is not a feature but a reference
    other = emulator
    do j = 1, n_features + 2
      call other%take_power(j, 3, is_done)
      call check(is_done .eqv. (j <= n_features .and. mod(j, 3) == 2), 'powers of logarithms only')
    end do
    call other%take_power(0, 3, is_done)
    call check(.not. is_done, 'no input 0')
    do j = 1, n_features
      if (mod(j, 3) == 2) x(:, j) = x(:, j)**3
    end do
    call other%predict(x, z, status, is_outside)
    do i = 1, n
      if (is_outside(i) .or. i <= 5) cycle
      call check(all(abs(z(i, :) - y(i, :)) <= 2.0e-5_real64*(abs(y(i, :)) + 0.01_real64)), 'the same of powers')
      call other%predict_inside(x(i, :), single, is_inside)
      call check(is_inside .and. all(same_bits(single, z(i, :))), 'the bits of a block of powers')
    end do
    call check(count(is_outside) < 20, 'the range is that of the power')
    do j = 1, n_features
      if (mod(j, 3) == 2) x(:, j) = x(:, j)**(1.0_real64/3.0_real64)
    end do

    ! outputs 1 and 5 are exponentials; 4 is one times its reference, 2 a sigmoid, 3 affine
    call make_inputs(net, x)
    call emulator%predict(x, y, status, is_outside)
    do j = 0, n_outputs + 1
      call emulator%give_logarithm(j, is_done)
      call check(is_done .eqv. (j == 1 .or. j == 5), 'logarithms of exponentials only')
    end do
    call emulator%predict(x, z, status, is_outside)
    do j = 1, n_outputs
      if (j == 1 .or. j == 5) then
        call check(all(abs(z(:, j) - log(y(:, j))) <= 2.0e-6_real64*(abs(z(:, j)) + 1.0_real64)), 'the logarithm')
      else
        call check(all(same_bits(z(:, j), y(:, j))), 'the other outputs')
      end if
    end do
  end do
  print '(a)', 'one column inside the range, powers and logarithms: passed'

end program test_inside
