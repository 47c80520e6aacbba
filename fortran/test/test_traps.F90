!> Tests a host that traps floating-point exceptions: no input stops it, and NaN and infinity stay in their columns.
program test_traps
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_positive_inf, ieee_negative_inf
  use, intrinsic :: ieee_exceptions, only: &
    ieee_set_halting_mode, ieee_get_halting_mode, ieee_support_halting, ieee_flag_type, ieee_invalid, &
    ieee_divide_by_zero, ieee_overflow
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: int8, int64, real32, real64
  use emufort_activations, only: n_activations, activation_exp, activation_ln, activation_sqrt, activation_reciprocal
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  implicit none
  integer, parameter :: ncol = 77, n_inputs = 8, n_outputs = 5, n_odd = 7
  type(ieee_flag_type), parameter :: flags(3) = [ieee_invalid, ieee_divide_by_zero, ieee_overflow]
  type(network_type) :: net
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer(int8), allocatable :: bytes(:)
  real(real64) :: x(ncol, n_inputs), y(ncol, n_outputs), bad(ncol, n_inputs), found(ncol, n_outputs), odd(n_odd)
  real(real64) :: turned(n_outputs, ncol)
  real(real32) :: bad32(ncol, n_inputs), found32(ncol, n_outputs)
  logical :: is_outside(ncol), is_spoilt(ncol), is_halting
  integer :: code, i, j, k, n

  if (.not. all([(ieee_support_halting(flags(i)), i=1, 3)])) then
    print '(a)', 'this processor cannot halt at exceptions: nothing to test'
    stop
  end if
  odd = [ieee_value(1.0_real64, ieee_quiet_nan), ieee_value(1.0_real64, ieee_positive_inf), &
         ieee_value(1.0_real64, ieee_negative_inf), 0.0_real64, -1.0_real64, 1.0e30_real64, -1.0e30_real64]
  do code = 0, n_activations
    ! The logarithm and the root of a negative number are NaN, and a comparison with it is an exception. The reciprocal of
    ! a small number is so large that an output may overflow.
    if (code == activation_ln .or. code == activation_sqrt .or. code == activation_reciprocal) cycle
    call ieee_set_halting_mode(flags, .false.)
    ! The exponential of an exponential may overflow.
    if (code == activation_exp) then
      net = make_network([40], n_inputs - 1, n_outputs, code, 3)
    else
      net = make_network([40, 21], n_inputs - 1, n_outputs, code, 3)
    end if
    call make_inputs(net, x)
    bytes = to_bytes(net, x(1:4, :), 1.0e-4_real64)
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, 'load')
    call emulator%predict(x, y, status)
    do k = 1, n_odd
      do j = 1, n_inputs
        bad = x
        is_spoilt = .false.
        ! In full blocks, in a short one, and among the few remaining columns.
        do i = 1 + mod(j, 5), ncol, 9
          bad(i, j) = odd(k)
          is_spoilt(i) = .true.
        end do
        bad32 = real(bad, real32)
        call ieee_set_halting_mode(flags, .true.)
        call ieee_get_halting_mode(ieee_invalid, is_halting)
        call check(is_halting, 'exceptions halt')
        call emulator%predict(bad, found, status, is_outside)
        call emulator%predict_transposed(transpose(bad), turned, status, is_outside)
        call emulator%predict(bad32, found32, status, is_outside)
        do n = 1, 20
          call emulator%predict(bad(1:n, :), found(1:n, :), status, is_outside(1:n))
        end do
        call ieee_set_halting_mode(flags, .false.)
        call emulator%predict(bad, found, status, is_outside)
        call check(all(is_outside .eqv. is_spoilt), 'columns with NaN, infinity or a value out of range are marked')
        if (k <= 3) then
          call check(status%n_invalid == count(is_spoilt) .and. status%n_clipped == 0, &
                     'columns of no numbers are counted')
        else
          call check(status%n_clipped == count(is_spoilt) .and. status%n_invalid == 0, 'clipped values are counted')
        end if
        do i = 1, ncol
          call check(all(same_bits(turned(:, i), found(i, :))), 'the same in the other layout')
          if (is_spoilt(i)) then
            call check(all(is_nan(found(i, :)) .eqv. k <= 3), 'NaN only in columns with NaN or infinity')
            call check(all(is_nan(real(found32(i, :), real64)) .eqv. k <= 3), 'NaN in single precision')
          else
            call check(all(same_bits(found(i, :), y(i, :))), 'the other columns are unchanged')
          end if
        end do
      end do
    end do
  end do
  print '(a)', 'no exception stops the host'

contains

  !> Whether a number is NaN, by its bits.
  pure elemental logical function is_nan(value)
    real(real64), intent(in) :: value   !! any number

    is_nan = iand(transfer(value, 0_int64), huge(0_int64)) > ishft(2047_int64, 52)

  end function is_nan

end program test_traps
