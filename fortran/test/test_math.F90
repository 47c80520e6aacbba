!> Tests the errors of the vector functions in units in the last place over their whole ranges, limits, NaN,
!> floating-point exceptions, and that arrays of any length at any position give the same bits.
!>
!>     test_math [STRIDE]     tests every STRIDE-th single-precision number (default 1009)
program test_math
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_positive_inf, ieee_negative_inf, ieee_is_nan
  use, intrinsic :: ieee_exceptions, only: &
    ieee_set_flag, ieee_get_flag, ieee_flag_type, ieee_overflow, ieee_invalid, ieee_divide_by_zero
  use emufort_kinds, only: wp, int32, int64, real32, real64
  use emufort_math, only: vector_tanh, vector_sigmoid, vector_silu, vector_gelu, vector_softplus, vector_elu, &
                          vector_erf, vector_sin, vector_cos
  use emufort_dispatch, only: vector_exp, vector_ln, vector_erfc
  use emufort_activations, only: activate, n_activations, activation_names, activation_exp, activation_ln, &
                                 activation_sqrt, activation_reciprocal, activation_floor, activation_ceiling, &
                                 activation_round, activation_step
  use test_support, only: check
  implicit none
  integer, parameter :: n_functions = 12, chunk = 1600
  character(len=8), parameter :: names(n_functions) = [character(len=8) :: &
                                                       'exp', 'ln', 'tanh', 'sigmoid', 'erfc', 'silu', 'gelu', &
                                                       'softplus', 'elu', 'erf', 'sin', 'cos']
  !> Bounds of the errors in single precision [ulp], as docs/runtime.md and emufort_math state them.
  real(real64), parameter :: bound(n_functions) = [1.5_real64, 1.5_real64, 2.0_real64, 3.0_real64, 8.0_real64, &
                                                   3.0_real64, 8.0_real64, 3.0_real64, 3.0_real64, 2.0_real64, &
                                                   1.0_real64, 1.0_real64]
  !> Ranges. Beyond them, the result is not a normal number, or it is a limit that is checked below.
  real(real64), parameter :: largest = real(huge(1.0_real32), real64), least = real(tiny(1.0_real32), real64)
  real(real64), parameter :: low(n_functions) = [-87.3_real64, least, -largest, -87.3_real64, -largest, &
                                                 -87.99_real64, -12.9_real64, -86.99_real64, -largest, &
                                                 -largest, -1.0e9_real64, -1.0e9_real64]
  real(real64), parameter :: high(n_functions) = [88.7_real64, largest, largest, largest, 9.15_real64, &
                                                  largest, largest, largest, largest, largest, 1.0e9_real64, &
                                                  1.0e9_real64]
  real(wp), parameter :: slope = 0.7_wp
  type(ieee_flag_type), parameter :: flags(3) = [ieee_overflow, ieee_invalid, ieee_divide_by_zero]
  real(wp) :: x(chunk), y(chunk)
  real(real64) :: worst, at
  integer(int64) :: stride
  character(len=20) :: argument
  logical :: raised(3)
  integer :: f, i

  stride = 1009_int64
  if (command_argument_count() > 0) then
    call get_command_argument(1, argument)
    read (argument, *) stride
  end if
  do f = 1, n_functions
    call ieee_set_flag(flags, .false.)
    worst = 0.0_real64
    at = 0.0_real64
    call sweep_bits(f)
    call sweep_line(f)
    print '(a8,a,f6.2,a,es12.4)', names(f), ': largest error', worst, ' ulp at', at
    ! In double precision, the vector functions of the compiler are compared with its scalar ones. Far below 0, gelu
    ! magnifies the rounding of x/sqrt(2) in both.
    call check(worst <= merge(bound(f), merge(512.0_real64, 8.0_real64, names(f) == 'gelu'), wp == real32), &
               'error of '//names(f))
  end do
  call test_limits()
  call test_exact()
  call test_bits()
  print '(a)', 'the mathematics is within its bounds and has the same bits everywhere'

contains

  !> Apply one of the functions to an array.
  subroutine apply(f, n, a)
    integer, intent(in) :: f           !! number of the function
    integer, intent(in) :: n           !! number of values
    real(wp), intent(inout) :: a(n)    !! arguments, then results

    select case (f)
    case (1)
      call vector_exp(n, a)
    case (2)
      call vector_ln(n, a)
    case (3)
      call vector_tanh(n, a)
    case (4)
      call vector_sigmoid(n, a)
    case (5)
      call vector_erfc(n, a)
    case (6)
      call vector_silu(n, a)
    case (7)
      call vector_gelu(n, a)
    case (8)
      call vector_softplus(n, a)
    case (9)
      call vector_elu(n, a, slope)
    case (10)
      call vector_erf(n, a)
    case (11)
      call vector_sin(n, a)
    case default
      call vector_cos(n, a)
    end select

  end subroutine apply

  !> Return the same function by intrinsic functions, in a form without cancellation.
  pure elemental real(real64) function by_intrinsics(f, x)
    integer, intent(in) :: f        !! number of the function
    real(real64), intent(in) :: x   !! argument
    real(real64) :: t

    select case (f)
    case (1)
      by_intrinsics = exp(x)
    case (2)
      by_intrinsics = log(x)
    case (3)
      by_intrinsics = tanh(x)
    case (4)
      by_intrinsics = 1.0_real64/(1.0_real64 + exp(-max(x, -700.0_real64)))
    case (5)
      by_intrinsics = erfc(x)
    case (6)
      by_intrinsics = x/(1.0_real64 + exp(-max(x, -700.0_real64)))
    case (7)
      by_intrinsics = 0.5_real64*x*erfc(-x/sqrt(2.0_real64))
    case (8)
      t = exp(-abs(x))
      by_intrinsics = max(x, 0.0_real64) + 2.0_real64*atanh(t/(2.0_real64 + t))
    case (10)
      by_intrinsics = erf(x)
    case (11)
      by_intrinsics = sin(x)
    case (12)
      by_intrinsics = cos(x)
    case default
      by_intrinsics = x
      t = max(x, -700.0_real64)
      if (x < 0.0_real64) by_intrinsics = real(slope, real64)*(2.0_real64*sinh(0.5_real64*t)*exp(0.5_real64*t))
    end select

  end function by_intrinsics

  !> Test every `stride`-th number of the range.
  subroutine sweep_bits(f)
    integer, intent(in) :: f   !! number of the function
    integer(int64) :: bits
    real(real64) :: value
    integer :: n

    n = 0
    do bits = -int(huge(1_int32), int64), int(huge(1_int32), int64), stride
      ! Bits of negative numbers by sign and magnitude.
      value = real(transfer(int(abs(bits), int32), 1.0_real32), real64)
      if (bits < 0) value = -value
      if (.not. (value >= low(f) .and. value <= high(f))) cycle
      n = n + 1
      x(n) = real(value, wp)
      if (n == chunk) call measure(f, n)
    end do
    if (n > 0) call measure(f, n)

  end subroutine sweep_bits

  !> Test evenly spaced numbers where the function is neither a limit nor linear, and for ln near 1.
  subroutine sweep_line(f)
    integer, intent(in) :: f   !! number of the function
    integer, parameter :: most_chunks = 1250
    real(real64) :: first, last
    integer :: c, k, n, n_chunks

    n_chunks = min(most_chunks, int(1009_int64*most_chunks/stride))
    first = max(low(f), -20.0_real64)
    last = min(high(f), 20.0_real64)
    if (f == 2) then
      first = 0.5_real64
      last = 2.0_real64
    end if
    do c = 1, n_chunks
      do k = 1, chunk
        x(k) = real(first + (last - first)*(real(chunk, real64)*(c - 1) + k - 1)/(real(chunk, real64)*n_chunks), wp)
      end do
      n = chunk
      call measure(f, n)
    end do

  end subroutine sweep_line

  !> Measure the errors of the first values of `x`.
  subroutine measure(f, n)
    integer, intent(in) :: f       !! number of the function
    integer, intent(inout) :: n    !! number of values; 0 on return
    real(real64) :: wanted(chunk), error

    call ieee_set_flag(flags, .false.)
    y(1:n) = x(1:n)
    call apply(f, n, y)
    call ieee_get_flag(flags, raised)
    call check(.not. any(raised), names(f)//' raises no exception')
    wanted(1:n) = by_intrinsics(f, real(x(1:n), real64))
    do i = 1, n
      if (.not. abs(wanted(i)) <= largest) cycle
      error = abs(real(y(i), real64) - wanted(i))/real(spacing(real(max(abs(wanted(i)), least), wp)), real64)
      if (error <= worst) cycle
      worst = error
      at = real(x(i), real64)
    end do
    call ieee_set_flag(flags, .false.)
    n = 0

  end subroutine measure

  !> Test limits, values beyond the range, and NaN.
  subroutine test_limits()
    integer, parameter :: n = 16
    real(wp) :: a(n), b(n), wanted(5)
    real(wp), parameter :: tolerance = 4.0_wp*epsilon(1.0_wp), nothing = 1.0e-36_wp
    integer :: f, place

    do f = 1, n_functions
      a = 1.0_wp
      a(1:5) = [ieee_value(1.0_wp, ieee_negative_inf), -huge(1.0_wp), 0.0_wp, huge(1.0_wp), &
                ieee_value(1.0_wp, ieee_positive_inf)]
      ! Limits at minus infinity, 0 and plus infinity.
      select case (f)
      case (1)
        wanted = [0.0_wp, 0.0_wp, 1.0_wp, a(5), a(5)]
      case (2)
        cycle
      case (3)
        wanted = [-1.0_wp, -1.0_wp, 0.0_wp, 1.0_wp, 1.0_wp]
      case (4)
        wanted = [0.0_wp, 0.0_wp, 0.5_wp, 1.0_wp, 1.0_wp]
      case (5)
        wanted = [2.0_wp, 2.0_wp, 1.0_wp, 0.0_wp, 0.0_wp]
      case (6:7)
        wanted = [0.0_wp, 0.0_wp, 0.0_wp, a(4), a(5)]
      case (8)
        wanted = [0.0_wp, 0.0_wp, log(2.0_wp), a(4), a(5)]
      case (10)
        wanted = [-1.0_wp, -1.0_wp, 0.0_wp, 1.0_wp, 1.0_wp]
      case (11:12)
        cycle
      case default
        wanted = [-slope, -slope, 0.0_wp, a(4), a(5)]
      end select
      b = a
      call apply(f, n, b)
      do place = 1, 5
        if (abs(wanted(place)) > huge(1.0_wp)) then
          call check(b(place) > huge(1.0_wp), names(f)//' tends to infinity')
        else
          call check(abs(b(place) - wanted(place)) <= nothing + tolerance*abs(wanted(place)), &
                     names(f)//' at its limits')
        end if
      end do
    end do
    a = -1.0_wp
    call vector_ln(n, a)
    call check(all(ieee_is_nan(a)), 'ln of a negative number is NaN')
    a = 0.0_wp
    call vector_ln(n, a)
    call check(all(a < -87.0_wp), 'ln of 0 is below all other values')

    ! NaN does not affect other elements.
    do f = 1, n_functions
      b = 0.25_wp
      call apply(f, n, b)
      do place = 1, n
        a = 0.25_wp
        a(place) = ieee_value(1.0_wp, ieee_quiet_nan)
        call apply(f, n, a)
        call check(ieee_is_nan(a(place)), names(f)//' of NaN is NaN')
        a(place) = b(place)
        call check(all(same(a, b)), names(f)//': NaN does not change the other values')
      end do
    end do
    call ieee_set_flag(flags, .false.)

  end subroutine test_limits

  !> Test the activation functions that are exact, and those that replace what a host may trap, for every `stride`-th number.
  subroutine test_exact()
    integer, parameter :: codes(8) = [activation_exp, activation_ln, activation_sqrt, activation_reciprocal, &
                                      activation_floor, activation_ceiling, activation_round, activation_step]
    integer(int64) :: bits
    real(wp) :: nearest, wanted
    integer :: k, n

    n = 0
    do bits = -int(huge(1_int32), int64), int(huge(1_int32), int64), stride
      n = n + 1
      x(n) = real(transfer(int(abs(bits), int32), 1.0_real32), wp)
      if (bits < 0) x(n) = -x(n)
      if (n == 3) x(n) = anint(mod(x(1), 1000.0_wp)) + 0.5_wp
      if (.not. abs(x(n)) <= huge(1.0_wp)) n = n - 1
      if (n < chunk) cycle
      do k = 1, size(codes)
        call ieee_set_flag(flags, .false.)
        y = x
        call activate(codes(k), chunk, y, slope)
        call ieee_get_flag(flags, raised)
        call check(.not. any(raised), trim(activation_names(codes(k)))//' raises no exception')
        do i = 1, chunk
          nearest = anint(x(i))
          if (abs(abs(x(i) - aint(x(i))) - 0.5_wp) <= 0.0_wp) nearest = 2.0_wp*anint(0.5_wp*x(i))
          select case (codes(k))
          case (activation_exp)
            call check(y(i) <= huge(1.0_wp) .and. (y(i) > 0.0_wp .or. x(i) < -80.0_wp), 'exp is finite')
            cycle
          case (activation_ln)
            call check(ieee_is_nan(y(i)) .eqv. x(i) < 0.0_wp, 'ln of a negative number is NaN')
            call check(abs(y(i)) < 710.0_wp .or. x(i) < 0.0_wp, 'ln is finite')
            cycle
          case (activation_sqrt)
            call check(ieee_is_nan(y(i)) .eqv. x(i) < 0.0_wp, 'the root of a negative number is NaN')
            if (x(i) < 0.0_wp) cycle
            wanted = sqrt(x(i))
          case (activation_reciprocal)
            wanted = 1.0_wp/sign(max(abs(x(i)), tiny(1.0_wp)), x(i))
          case (activation_floor)
            wanted = nearest - merge(1.0_wp, 0.0_wp, nearest > x(i))
          case (activation_ceiling)
            wanted = nearest + merge(1.0_wp, 0.0_wp, nearest < x(i))
          case (activation_round)
            wanted = nearest
          case default
            wanted = merge(1.0_wp, 0.0_wp, x(i) > 0.0_wp)
          end select
          if (abs(y(i) - wanted) > 0.0_wp) call check(.false., trim(activation_names(codes(k)))//' is exact')
        end do
      end do
      n = 0
    end do
    call ieee_set_flag(flags, .false.)

  end subroutine test_exact

  !> Test every length from 1 to 100 at every position of an array.
  subroutine test_bits()
    integer, parameter :: longest = 100, n = longest + 12
    real(wp), parameter :: widths(4) = [1.0_wp, 8.0_wp, 30.0_wp, 250.0_wp]
    real(wp) :: a(n), b(n), part(n)
    integer :: f, m, first, k

    do f = 1, n_functions + n_activations
      call random_number(a)
      do k = 1, n
        a(k) = (a(k) - 0.5_wp)*widths(1 + mod(k, 4))
      end do
      if (f == 2) a = abs(a) + tiny(1.0_wp)
      b = a
      call apply_any(f, n, b)
      do m = 1, longest
        do first = 0, n - m
          part = -3.0_wp
          part(1:m) = a(first + 1:first + m)
          call apply_any(f, m, part(1:m))
          call check(all(same(part(1:m), b(first + 1:first + m))), 'same bits in any length, at any position')
          call check(all(same(part(m + 1:), spread(-3.0_wp, 1, n - m))), 'values beyond the length are unchanged')
        end do
      end do
    end do

  end subroutine test_bits

  subroutine apply_any(f, n, a)
    integer, intent(in) :: f           !! number of the function; activation functions follow the vector functions
    integer, intent(in) :: n           !! number of values
    real(wp), intent(inout) :: a(n)    !! arguments, then results

    if (f <= n_functions) then
      call apply(f, n, a)
    else
      call activate(f - n_functions, n, a, slope)
    end if

  end subroutine apply_any

  pure elemental logical function same(x, y)
    real(wp), intent(in) :: x, y

    same = transfer(real(x, real64), 0_int64) == transfer(real(y, real64), 0_int64)

  end function same

end program test_math
