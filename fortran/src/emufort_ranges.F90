!> Check of the inputs against their ranges, and treatment of values out of range, NaN and infinity.
module emufort_ranges
  use emufort_kinds, only: int32, int64, real32, real64, lanes
  implicit none
  private

  public :: are_within, is_column_within, check_inputs, is_finite, clip_numbers

contains

  !> Return the bits of a number.
  pure elemental integer(int64) function bits_of(x)
    real(real64), intent(in) :: x   !! any number
#ifdef __flang__
    ! flang calls its run-time library for TRANSFER. Little-endian.
    integer(int32) :: halves(2)
    real(real64) :: y
    equivalence(halves, y)

    y = x
    bits_of = ior(shiftl(int(halves(2), int64), 32), iand(int(halves(1), int64), 4294967295_int64))
#else

    bits_of = transfer(x, 0_int64)
#endif

  end function bits_of

  !> Whether a number is neither NaN nor infinite. The check uses the bits, because a host may trap comparisons with
  !> NaN, and with -ffast-math they may be true.
  pure elemental logical function is_finite(x)
    real(real64), intent(in) :: x   !! any number
    integer(int64), parameter :: exponent_bits = ishft(2047_int64, 52)

    is_finite = iand(bits_of(x), exponent_bits) /= exponent_bits

  end function is_finite

  !> Return an integer with the order of the number: infinity and NaN are beyond all others, -0 is below 0.
  pure elemental integer(int64) function order_of(x)
    real(real64), intent(in) :: x   !! any number
    integer(int64) :: bits

    bits = bits_of(x)
    order_of = ieor(bits, iand(shifta(bits, 63), huge(0_int64)))

  end function order_of

  !> Return a bound of an input in the precision of the host, so that a bound that the host rounded is within range.
  pure elemental real(real64) function bound_of_host(bound, is_single)
    real(real64), intent(in) :: bound    !! lower or upper bound of an input
    logical, intent(in) :: is_single     !! whether the inputs of the host are single precision

    bound_of_host = bound
    ! An input without a bound has the largest number, and a host may trap its conversion.
    if (is_single .and. abs(bound) <= huge(1.0_real32)) bound_of_host = real(real(bound, real32), real64)

  end function bound_of_host

  !> Whether all inputs of a block are numbers within their ranges, as they nearly always are. The result is also false
  !> for -0 at a bound of 0; `check_inputs` then finds that it is within range.
  pure recursive logical function are_within(n_columns, n_inputs, leading, is_single, ranges, x)
    integer, intent(in) :: n_columns                       !! columns, a multiple of lanes
    integer, intent(in) :: n_inputs                        !! number of inputs
    integer, intent(in) :: leading                         !! leading dimension of x
    logical, intent(in) :: is_single                       !! whether the inputs of the host are single precision
    real(real64), intent(in) :: ranges(2, n_inputs)        !! lower and upper bound of each input
    real(real64), intent(in) :: x(leading, n_inputs)       !! inputs (column, input)
    integer(int64) :: n_beyond(lanes), lower, upper, place
    integer :: first, i, j

    ! Compare integers, because a host may trap the comparison of a NaN.
    n_beyond = 0_int64
    do j = 1, n_inputs
      lower = order_of(bound_of_host(ranges(1, j), is_single))
      upper = order_of(bound_of_host(ranges(2, j), is_single))
      if (lower >= 0_int64) then
        ! All negative numbers are below, in any order, so the bits are enough.
        do first = 0, n_columns - lanes, lanes
          !$omp simd private(place)
          do i = 1, lanes
            place = bits_of(x(first + i, j))
            n_beyond(i) = ior(n_beyond(i), ieor(place, min(max(place, lower), upper)))
          end do
        end do
      else
        do first = 0, n_columns - lanes, lanes
          !$omp simd private(place)
          do i = 1, lanes
            place = order_of(x(first + i, j))
            n_beyond(i) = ior(n_beyond(i), ieor(place, min(max(place, lower), upper)))
          end do
        end do
      end if
    end do
    are_within = all(n_beyond == 0_int64)

  end function are_within

  !> `are_within` for one column, vectorised over the inputs.
  pure recursive logical function is_column_within(n_inputs, is_single, ranges, x)
    integer, intent(in) :: n_inputs                        !! number of inputs
    logical, intent(in) :: is_single                       !! whether the inputs of the host are single precision
    real(real64), intent(in) :: ranges(2, n_inputs)        !! lower and upper bound of each input
    real(real64), intent(in) :: x(n_inputs)                !! inputs
    integer(int64) :: beyond, place
    integer :: j

    beyond = 0_int64
    if (is_single) then
      do j = 1, n_inputs
        place = order_of(x(j))
        beyond = ior(beyond, ieor(place, min(max(place, order_of(bound_of_host(ranges(1, j), .true.))), &
                                             order_of(bound_of_host(ranges(2, j), .true.)))))
      end do
    else
      !$omp simd reduction(ior: beyond) private(place)
      do j = 1, n_inputs
        place = order_of(x(j))
        beyond = ior(beyond, ieor(place, min(max(place, order_of(ranges(1, j))), order_of(ranges(2, j)))))
      end do
    end if
    is_column_within = beyond == 0_int64

  end function is_column_within

  !> Clip one block of inputs to its range, count the clipped values, and find the columns with NaN or infinity.
  pure recursive subroutine check_inputs(n_columns, n_inputs, leading, is_single, ranges, x, n_outside, n_invalid)
    integer, intent(in) :: n_columns                         !! columns, including the padding of the block
    integer, intent(in) :: n_inputs                          !! number of inputs
    integer, intent(in) :: leading                           !! leading dimension of x
    logical, intent(in) :: is_single                         !! whether the inputs of the host are single precision
    real(real64), intent(in) :: ranges(2, n_inputs)          !! lower and upper bound of each input
    real(real64), intent(inout) :: x(leading, n_inputs)      !! inputs (column, input); on return within range
    integer(int64), intent(out) :: n_outside(n_columns)      !! inputs of the column that were clipped
    integer(int64), intent(out) :: n_invalid(n_columns)      !! inputs of the column that are NaN or infinite
    real(real64) :: lower, upper, value, fallback
    integer(int64) :: outside, invalid
    integer :: i, j

    do i = 1, n_columns
      n_outside(i) = 0_int64
      n_invalid(i) = 0_int64
    end do
    do j = 1, n_inputs
      lower = bound_of_host(ranges(1, j), is_single)
      upper = bound_of_host(ranges(2, j), is_single)
      ! Not a bound: without one, that would be the largest number, and the transform would overflow.
      fallback = min(max(1.0_real64, lower), upper)
      !$omp simd private(value, outside, invalid)
      do i = 1, n_columns
        value = x(i, j)
        invalid = merge(0_int64, 1_int64, is_finite(value))
        ! An invalid value is replaced by one in range, so that no transform overflows. The outputs of its column become
        ! NaN at the end.
        value = merge(fallback, value, invalid == 1_int64)
        outside = merge(1_int64, 0_int64, value < lower .or. value > upper)
        n_outside(i) = n_outside(i) + outside
        n_invalid(i) = n_invalid(i) + invalid
        x(i, j) = min(max(value, lower), upper)
      end do
    end do

  end subroutine check_inputs

  !> Clip values to a range. NaN and infinity are replaced by a number in the range and marked.
  pure recursive subroutine clip_numbers(n, range, values, is_invalid)
    integer, intent(in) :: n                          !! number of values
    real(real64), intent(in) :: range(2)              !! lowest and highest value
    real(real64), intent(inout) :: values(n)          !! values, in the units of the range
    integer(int64), intent(inout) :: is_invalid(n)    !! set to 1 where a value is NaN or infinite
    real(real64) :: value, lower, upper
    integer(int64) :: this
    integer :: i

    lower = range(1)
    upper = range(2)
    !$omp simd private(value, this)
    do i = 1, n
      value = values(i)
      this = merge(0_int64, 1_int64, is_finite(value))
      value = merge(lower, value, this == 1_int64)
      values(i) = min(max(value, lower), upper)
      is_invalid(i) = ior(is_invalid(i), this)
    end do

  end subroutine clip_numbers

end module emufort_ranges
