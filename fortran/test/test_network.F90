!> Compares every activation function, transform and odd width with a plain evaluation in double precision.
program test_network
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_kind
  use emufort_kinds, only: int8, real64
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, reference_prediction
  implicit none
  integer :: code, i
  integer, parameter :: odd(8) = [1, 3, 4, 5, 9, 13, 17, 31]

  do code = 0, 10
    call compare([24, 17], 7, 4, code)
  end do
  do i = 1, size(odd)
    call compare([odd(i)], odd(i), odd(9 - i), 1)
    call compare([odd(i), odd(9 - i), 64, odd(i)], 5, 3, 5)
  end do
  call compare([256, 100], 16, 8, 7)
  ! every division of sums into chains: halves and quarters, panels of 16, 8 and 4, more than 8 panels
  do i = 1, 4
    call compare([24 + i, 24, 28, 30], 24, i, 1)
    call compare([36, 44, 48, 64], 24, i, 1)
    call compare([64, 13, 26, 10], 32, i, 4)
    call compare([32, 4, 132, 72, 40], 32, i, 0)
  end do
  ! constant outputs, which the network does not compute: first, in between, last
  do i = 2, 18
    call compare([24, 17], 7, i, 1, with_constants=.true.)
  end do
  ! additions whose output replaces the first or the second summand
  do code = 0, 10
    call compare([(13 + code, i=1, 5)], 7, 4, code, with_residuals=.true.)
  end do
  call compare([64, 64, 64], 16, 8, 1, with_residuals=.true.)
  print '(a)', 'networks agree with the plain evaluation'

contains

  subroutine compare(hidden, n_features, n_outputs, code, with_constants, with_residuals)
    integer, intent(in) :: hidden(:), n_features, n_outputs, code
    logical, intent(in), optional :: with_constants, with_residuals
    integer, parameter :: ncol = 37
    type(network_type) :: net
    type(emulator_type) :: emulator
    type(status_type) :: status
    integer(int8), allocatable :: bytes(:)
    real(real64) :: x(ncol, n_features + 1), y(ncol, n_outputs), wanted(n_outputs), one(n_features + 1), tolerance
    character(len=120) :: what
    integer :: c

    write (what, '(a,i0,a,12(i0,"-"))') 'activation ', code, ' widths ', n_features, hidden, n_outputs
    net = make_network(hidden, n_features, n_outputs, code, 17 + code, with_constants, with_residuals)
    call make_inputs(net, x)
    tolerance = merge(3.0e-5_real64, 1.0e-11_real64, emufort_kind == kind(1.0))
    bytes = to_bytes(net, x(1:20, :), tolerance)
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads: '//status%message)
    call emulator%self_test(status)
    call check(status%code == emufort_success, trim(what)//' self test: '//status%message)
    call emulator%predict(x, y, status)
    call check(status%code == emufort_success .and. status%n_clipped == 0 .and. status%n_invalid == 0, &
               trim(what)//' predicts')
    do c = 1, ncol
      one = x(c, :)
      wanted = reference_prediction(net, one)
      call check(all(abs(y(c, :) - wanted) <= tolerance*(abs(wanted) + 1.0e-3_real64) + &
                     merge(tolerance, 0.0_real64, net%output_kind /= 2)), trim(what)//' is right')
      call check(all(net%output_kind /= 5 .or. .not. abs(y(c, :) - wanted) > 0.0_real64), &
                 trim(what)//' gives constants exactly')
    end do

  end subroutine compare

end program test_network
