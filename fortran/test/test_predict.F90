!> Tests the requirements of a host: NaN stays in its column, clipping is counted, shapes and contract are checked. See
!> test_invariance for the bits.
program test_predict
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_positive_inf, ieee_is_nan
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_error_shape, &
                             emufort_error_not_loaded, emufort_error_contract
  use emufort_kinds, only: int8, real32, real64
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  implicit none
  integer, parameter :: ncol = 257, n_inputs = 8, n_outputs = 5
  type(network_type) :: net
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer(int8), allocatable :: bytes(:)
  real(real64) :: x(ncol, n_inputs), y(ncol, n_outputs), bad(ncol, n_inputs), other(ncol, n_outputs)
  real(real32) :: x32(ncol, n_inputs), y32(ncol, n_outputs)
  logical :: is_outside(ncol), expected(ncol)
  character(len=200) :: text
  character(len=8) :: names(n_inputs), units(n_inputs)
  integer :: n_clipped, code, i
  integer, parameter :: spoilt(3) = [1, 40, 257]

  x = 1.0_real64
  y = 2.0_real64
  call emulator%predict(x, y, status)
  call check(status%code == emufort_error_not_loaded .and. all(same_bits(y, 2.0_real64)), 'not loaded')

  do code = 0, 10
    net = make_network([40, 21, 16], n_inputs - 1, n_outputs, code, 3)
    call make_inputs(net, x)
    bytes = to_bytes(net, x(1:4, :), 1.0e-4_real64)
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, 'load')
    call emulator%predict(x, y, status)
    call check(status%code == emufort_success .and. status%n_clipped == 0 .and. status%n_invalid == 0, 'predict')

    ! NaN and infinity stay in their columns and are counted.
    bad = x
    expected = .false.
    do i = 1, 3
      bad(spoilt(i), 1 + mod(i, n_inputs)) = merge(ieee_value(1.0_real64, ieee_quiet_nan), &
                                                   ieee_value(1.0_real64, ieee_positive_inf), i /= 2)
      expected(spoilt(i)) = .true.
    end do
    call emulator%predict(bad, other, status, is_outside)
    call check(status%n_invalid == 3 .and. status%n_clipped == 0, 'invalid columns are counted')
    call check(all(is_outside .eqv. expected), 'the mask shows the invalid columns')
    do i = 1, ncol
      call check(all(ieee_is_nan(other(i, :))) .eqv. expected(i), 'NaN in its column only')
      if (.not. expected(i)) call check(all(same_bits(other(i, :), y(i, :))), 'the other columns are unchanged')
    end do

    ! Values out of range are clipped and counted.
    bad = x
    bad(5, 1) = 1.0_real64
    bad(5, 2) = 1.0e20_real64
    bad(100, 3) = -7.0_real64
    expected = .false.
    expected([5, 100]) = .true.
    call emulator%predict(bad, other, status, is_outside)
    call check(status%n_clipped == 3 .and. status%n_invalid == 0 .and. status%code == emufort_success, &
               'clipped are counted')
    call check(all(is_outside .eqv. expected), 'the mask shows the clipped columns')
    n_clipped = 0
    do i = 1, ncol
      call emulator%predict(bad(i:i, :), y(i:i, :), status, is_outside(i:i))
      n_clipped = n_clipped + int(status%n_clipped)
    end do
    call check(n_clipped == 3 .and. all(is_outside .eqv. expected) .and. all(same_bits(y, other)), &
               'the same of one column at a time')
    bad(5, 1:2) = [net%ranges(1, 1), net%ranges(2, 2)]
    bad(100, 3) = net%ranges(1, 3)
    call emulator%predict(bad, y, status)
    call check(status%n_clipped == 0 .and. all(same_bits(y, other)), 'clipped to the range')
  end do
  x32 = real(x, real32)
  do i = 1, n_inputs
    x32(1, i) = real(net%ranges(1, i), real32)
    x32(2, i) = real(net%ranges(2, i), real32)
  end do
  call emulator%predict(x32, y32, status)
  call check(status%n_clipped == 0, 'a bound rounded to single precision is within range')

  ! Wrong use is an error, not a crash.
  call emulator%predict(x(:, 1:3), y, status)
  call check(status%code == emufort_error_shape, 'wrong shape')
  call emulator%predict(x(1:0, :), y(1:0, :), status)
  call check(status%code == emufort_success .and. status%message == ' ' .and. status%place == ' ', &
             'nothing of an earlier error in no columns')
  bad(5, 1) = 1.0e20_real64
  call emulator%predict(bad(5:5, :), y(1:1, :), status)
  call check(status%n_clipped == 1, 'one column is clipped')
  call emulator%predict(x(1:1, :), y(1:1, :), status)
  call check(status%n_clipped == 0, 'counts are those of the last call')
  do i = 1, n_inputs
    write (names(i), '(a,i0,a)') 'v[', i, ']'
  end do
  units = 'm s-1'
  call emulator%require(names, units, status)
  call check(status%code == emufort_success, 'contract by columns: '//status%message)
  call emulator%require(['v'], ['m s-1'], status)
  call check(status%code == emufort_success, 'contract by variables: '//status%message)
  call emulator%require(['w'], ['m s-1'], status)
  call check(status%code == emufort_error_contract, 'wrong name')
  units(3) = 'cm s-1'
  call emulator%require(names, units, status)
  call check(status%code == emufort_error_contract, 'wrong units')
  call emulator%require(names(1:3), units(1:3), status)
  call check(status%code == emufort_error_contract, 'wrong number')
  call emulator%describe(text)
  call check(index(text, '7-40-21-16-5') > 0, 'description')
  call emulator%get_value('hash', text)
  call check(text == '0123', 'hash')
  print '(a)', 'predictions keep their promises'

end program test_predict
