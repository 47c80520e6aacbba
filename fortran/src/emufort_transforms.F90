!> From physical inputs to the network's inputs, and from its outputs to physical outputs.
!>
!> Differences and quotients with the scalers are formed in double precision and rounded afterwards: the
!> logarithm of 1e9 in single precision would waste two of its seven digits.
module emufort_transforms
  use emufort_kinds, only: wp, int32, int64, real32, real64, lanes
  use emufort_math, only: vector_exp, vector_ln, vector_sigmoid
  implicit none
  private

  public :: transform_affine, transform_ln, transform_logit, transform_sigmoid, transform_constant
  public :: are_within, is_column_within, check_inputs, inputs_to_features, outputs_to_physical, is_finite, clip_numbers
  public :: column_to_features, column_to_physical

  integer, parameter :: transform_affine = 1    !! in: (x - c1)*c2          out: z*c1 + c2
  integer, parameter :: transform_ln = 2        !! in: ln(x*c1)*c2          out: c2*exp(z*c1)
  integer, parameter :: transform_logit = 3     !! in: ln(x/(1-x)*c1)*c2    out: none
  integer, parameter :: transform_sigmoid = 4   !! in: none                 out: sigmoid(z*c1 + c2)
  integer, parameter :: transform_constant = 5  !! in: none                 out: c2, without an output of the network

contains

  !> Bits of a number.
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

  !> Whether a number is neither NaN nor infinite; by its bits, because comparisons of NaN may be trapped, and hold for
  !> anything under -ffast-math.
  pure elemental logical function is_finite(x)
    real(real64), intent(in) :: x   !! any number
    integer(int64), parameter :: exponent_bits = ishft(2047_int64, 52)

    is_finite = iand(bits_of(x), exponent_bits) /= exponent_bits

  end function is_finite

  !> An integer that has the order of the number: infinity and NaN lie beyond all others, -0 lies below 0.
  pure elemental integer(int64) function order_of(x)
    real(real64), intent(in) :: x   !! any number
    integer(int64) :: bits

    bits = bits_of(x)
    order_of = ieor(bits, iand(shifta(bits, 63), huge(0_int64)))

  end function order_of

  !> Bounds of an input as the host's precision has them: one that it rounded is no value out of range.
  pure elemental real(real64) function bound_of_host(bound, is_single)
    real(real64), intent(in) :: bound    !! lower or upper bound of an input
    logical, intent(in) :: is_single     !! whether the host's inputs are single precision

    bound_of_host = bound
    ! Without a bound it is the largest number, whose conversion a host may trap.
    if (is_single .and. abs(bound) <= huge(1.0_real32)) bound_of_host = real(real(bound, real32), real64)

  end function bound_of_host

  !> Whether all inputs of a block are numbers within their ranges, as they nearly always are. False for -0 at a bound
  !> of 0 as well, of which `check_inputs` then finds that it is within.
  pure recursive logical function are_within(n_columns, n_inputs, leading, is_single, ranges, x)
    integer, intent(in) :: n_columns                       !! columns, a multiple of lanes
    integer, intent(in) :: n_inputs                        !! number of inputs
    integer, intent(in) :: leading                         !! leading dimension of x
    logical, intent(in) :: is_single                       !! whether the host's inputs are single precision
    real(real64), intent(in) :: ranges(2, n_inputs)        !! lower and upper bound of each input
    real(real64), intent(in) :: x(leading, n_inputs)       !! inputs (column, input)
    integer(int64) :: n_beyond(lanes), lower, upper, place
    integer :: first, i, j

    ! As integers: a host may trap the comparison of a NaN.
    n_beyond = 0_int64
    do j = 1, n_inputs
      lower = order_of(bound_of_host(ranges(1, j), is_single))
      upper = order_of(bound_of_host(ranges(2, j), is_single))
      if (lower >= 0_int64) then
        ! All that is negative lies below, in whatever order: the bits will do.
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
    logical, intent(in) :: is_single                       !! whether the host's inputs are single precision
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

  !> Clip one block of inputs to its range, count what was clipped, and find the columns that hold no numbers.
  pure recursive subroutine check_inputs(n_columns, n_inputs, leading, is_single, ranges, x, n_outside, n_invalid)
    integer, intent(in) :: n_columns                         !! columns, with those that pad the block
    integer, intent(in) :: n_inputs                          !! number of inputs
    integer, intent(in) :: leading                           !! leading dimension of x
    logical, intent(in) :: is_single                         !! whether the host's inputs are single precision
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
      ! Not a bound itself: where there is none, that is the largest number, and the transform would overflow.
      fallback = min(max(1.0_real64, lower), upper)
      !$omp simd private(value, outside, invalid)
      do i = 1, n_columns
        value = x(i, j)
        invalid = merge(0_int64, 1_int64, is_finite(value))
        ! An invalid value is replaced by one in range, so that no transform overflows; its outputs become NaN at the end.
        value = merge(fallback, value, invalid == 1_int64)
        outside = merge(1_int64, 0_int64, value < lower .or. value > upper)
        n_outside(i) = n_outside(i) + outside
        n_invalid(i) = n_invalid(i) + invalid
        x(i, j) = min(max(value, lower), upper)
      end do
    end do

  end subroutine check_inputs

  !> Clip values to a range; what is no number becomes one and is remembered.
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

  !> Number of entries from the first on whose kind is one of two.
  pure recursive integer function run_length(kinds, kind, other_kind)
    integer, intent(in) :: kinds(:)            !! transform_* codes
    integer, intent(in) :: kind, other_kind    !! transform_* codes

    do run_length = 0, size(kinds) - 1
      if (kinds(run_length + 1) /= kind .and. kinds(run_length + 1) /= other_kind) exit
    end do

  end function run_length

  !> Transform one block of inputs to features of the network.
  pure recursive subroutine inputs_to_features(n_columns, n_inputs, n_features, leading, feature, kinds, &
                                               coefficients, x, z)
    integer, intent(in) :: n_columns                          !! columns of the block, a multiple of lanes
    integer, intent(in) :: n_inputs                           !! number of inputs
    integer, intent(in) :: n_features                         !! number of features
    integer, intent(in) :: leading                            !! leading dimension of x
    integer, intent(in) :: feature(n_features)                !! input that each feature comes from
    integer, intent(in) :: kinds(n_features)                  !! one of the transform_* codes
    real(real64), intent(in) :: coefficients(2, n_features)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: x(leading, n_inputs)          !! physical inputs (column, input)
    real(wp), intent(inout) :: z(n_columns, *)                !! features [1] (column, feature)
    real(real64) :: c1, c2
    real(wp) :: scale
    integer :: first, i, j, f, g, n

    do f = 1, n_features
      j = feature(f)
      c1 = coefficients(1, f)
      c2 = coefficients(2, f)
      do first = 0, n_columns - lanes, lanes
        select case (kinds(f))
        case (transform_ln)
          !$omp simd
          do i = 1, lanes
            z(first + i, f) = real(x(first + i, j)*c1, wp)
          end do
        case (transform_logit)
          !$omp simd
          do i = 1, lanes
            z(first + i, f) = real(x(first + i, j)/(1.0_real64 - x(first + i, j))*c1, wp)
          end do
        case default
          !$omp simd
          do i = 1, lanes
            z(first + i, f) = real((x(first + i, j) - c1)*c2, wp)
          end do
        end select
      end do
    end do
    ! Logarithms of neighbouring features in one go.
    f = 1
    do while (f <= n_features)
      n = run_length(kinds(f:), transform_ln, transform_logit)
      if (n > 0) call vector_ln(n*n_columns, z(1, f))
      do g = f, f + n - 1
        scale = real(coefficients(2, g), wp)
        do first = 0, n_columns - lanes, lanes
          !$omp simd
          do i = 1, lanes
            z(first + i, g) = z(first + i, g)*scale
          end do
        end do
      end do
      f = f + n + 1
    end do

  end subroutine inputs_to_features

  !> Transform the inputs of one column to features, to the bits of `inputs_to_features`.
  pure recursive subroutine column_to_features(n_inputs, n_features, feature, kinds, coefficients, x, z, logarithms)
    integer, intent(in) :: n_inputs                           !! number of inputs
    integer, intent(in) :: n_features                         !! number of features
    integer, intent(in) :: feature(n_features)                !! input that each feature comes from
    integer, intent(in) :: kinds(n_features)                  !! one of the transform_* codes
    real(real64), intent(in) :: coefficients(2, n_features)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: x(n_inputs)                   !! physical inputs
    real(wp), intent(inout) :: z(*)                           !! features [1] (feature)
    real(wp), intent(inout) :: logarithms(*)                  !! scratch (n_features + lanes)
    real(real64) :: value
    integer :: f, i, n

    n = 0
    do f = 1, n_features
      value = x(feature(f))
      select case (kinds(f))
      case (transform_ln)
        n = n + 1
        logarithms(n) = real(value*coefficients(1, f), wp)
      case (transform_logit)
        n = n + 1
        logarithms(n) = real(value/(1.0_real64 - value)*coefficients(1, f), wp)
      case default
        z(f) = real((value - coefficients(1, f))*coefficients(2, f), wp)
      end select
    end do
    if (n == 0) return
    ! All in one go, and a full set of lanes.
    do i = n + 1, n + lanes
      logarithms(i) = 1.0_wp
    end do
    call vector_ln(n + modulo(-n, lanes), logarithms)
    n = 0
    do f = 1, n_features
      if (kinds(f) == transform_ln .or. kinds(f) == transform_logit) then
        n = n + 1
        z(f) = logarithms(n)*real(coefficients(2, f), wp)
      end if
    end do

  end subroutine column_to_features

  !> Transform one block of the network's outputs to physical outputs. The network has those that are not constant.
  pure recursive subroutine outputs_to_physical(n_columns, n_inputs, n_outputs, leading, kinds, reference, &
                                                coefficients, bounds, x, z, y)
    integer, intent(in) :: n_columns                         !! columns of the block, a multiple of lanes
    integer, intent(in) :: n_inputs                          !! number of inputs
    integer, intent(in) :: n_outputs                         !! number of outputs
    integer, intent(in) :: leading                           !! leading dimension of x and y
    integer, intent(in) :: kinds(n_outputs)                  !! one of the transform_* codes
    integer, intent(in) :: reference(n_outputs)              !! input that the output is relative to, or 0
    real(real64), intent(in) :: coefficients(2, n_outputs)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: bounds(2, n_outputs)         !! the output is clamped to these
    real(real64), intent(in) :: x(leading, n_inputs)         !! physical inputs (column, input)
    real(wp), intent(inout) :: z(n_columns, *)               !! outputs of the network [1]; overwritten
    real(real64), intent(inout) :: y(leading, n_outputs)     !! physical outputs (column, output)
    real(real64) :: c1, c2, factor, lower, upper
    real(wp) :: scale
    integer :: first, i, j, k, r

    k = 0
    do j = 1, n_outputs
      if (kinds(j) /= transform_constant) k = k + 1
      c1 = coefficients(1, j)
      c2 = coefficients(2, j)
      lower = bounds(1, j)
      upper = bounds(2, j)
      r = reference(j)
      do first = 0, n_columns - lanes, lanes
        select case (kinds(j))
        case (transform_ln)
          scale = real(c1, wp)
          !$omp simd
          do i = 1, lanes
            z(first + i, k) = z(first + i, k)*scale
          end do
          call vector_exp(lanes, z(first + 1, k))
          !$omp simd
          do i = 1, lanes
            y(first + i, j) = real(z(first + i, k), real64)*c2
          end do
        case (transform_sigmoid)
          !$omp simd
          do i = 1, lanes
            z(first + i, k) = real(real(z(first + i, k), real64)*c1 + c2, wp)
          end do
          call vector_sigmoid(lanes, z(first + 1, k))
          !$omp simd
          do i = 1, lanes
            y(first + i, j) = real(z(first + i, k), real64)
          end do
        case (transform_constant)
          !$omp simd
          do i = 1, lanes
            y(first + i, j) = c2
          end do
        case default
          !$omp simd
          do i = 1, lanes
            y(first + i, j) = real(z(first + i, k), real64)*c1 + c2
          end do
        end select
        if (r > 0) then
          !$omp simd private(factor)
          do i = 1, lanes
            factor = x(first + i, r)
            y(first + i, j) = y(first + i, j)*factor
          end do
        end if
        ! Written with comparisons that are false for NaN, so that a NaN is not clamped away.
        !$omp simd
        do i = 1, lanes
          y(first + i, j) = merge(lower, y(first + i, j), y(first + i, j) < lower)
          y(first + i, j) = merge(upper, y(first + i, j), y(first + i, j) > upper)
        end do
      end do
    end do

  end subroutine outputs_to_physical

  !> Transform the network's outputs of one column to physical outputs, to the bits of `outputs_to_physical`. The network
  !> has those that are not constant.
  pure recursive subroutine column_to_physical(n_inputs, n_outputs, kinds, reference, coefficients, bounds, x, z, &
                                               y, scratch)
    integer, intent(in) :: n_inputs                          !! number of inputs
    integer, intent(in) :: n_outputs                         !! number of outputs
    integer, intent(in) :: kinds(n_outputs)                  !! one of the transform_* codes
    integer, intent(in) :: reference(n_outputs)              !! input that the output is relative to, or 0
    real(real64), intent(in) :: coefficients(2, n_outputs)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: bounds(2, n_outputs)         !! the output is clamped to these
    real(real64), intent(in) :: x(n_inputs)                  !! physical inputs
    real(wp), intent(in) :: z(*)                             !! outputs of the network [1]
    real(real64), intent(inout) :: y(n_outputs)              !! physical outputs
    real(wp), intent(inout) :: scratch(*)                    !! (n_outputs + 3*lanes)
    integer :: i, j, k, n_ln, n_sigmoid, at

    ! Exponentials first, sigmoids behind them on a cache line of their own.
    n_ln = 0
    n_sigmoid = 0
    k = 0
    at = 0
    do j = 1, n_outputs
      if (kinds(j) == transform_ln) at = at + 1
    end do
    at = at + modulo(-at, lanes)
    do j = 1, n_outputs
      if (kinds(j) /= transform_constant) k = k + 1
    end do
    ! In a loop of its own, so that it is one fused multiply-add as in `outputs_to_physical`.
    if (k == n_outputs) then
      do j = 1, n_outputs
        y(j) = real(z(j), real64)*coefficients(1, j) + coefficients(2, j)
      end do
    else
      k = 0
      do j = 1, n_outputs
        if (kinds(j) == transform_constant) then
          y(j) = coefficients(2, j)
        else
          k = k + 1
          y(j) = real(z(k), real64)*coefficients(1, j) + coefficients(2, j)
        end if
      end do
    end if
    k = 0
    do j = 1, n_outputs
      if (kinds(j) /= transform_constant) k = k + 1
      select case (kinds(j))
      case (transform_ln)
        n_ln = n_ln + 1
        scratch(n_ln) = z(k)*real(coefficients(1, j), wp)
      case (transform_sigmoid)
        n_sigmoid = n_sigmoid + 1
        scratch(at + n_sigmoid) = real(y(j), wp)
      case default
      end select
    end do
    if (n_ln > 0) then
      do i = n_ln + 1, at
        scratch(i) = 0.0_wp
      end do
      call vector_exp(at, scratch)
    end if
    if (n_sigmoid > 0) then
      do i = n_sigmoid + 1, n_sigmoid + lanes
        scratch(at + i) = 0.0_wp
      end do
      call vector_sigmoid(n_sigmoid + modulo(-n_sigmoid, lanes), scratch(at + 1))
    end if
    n_ln = 0
    n_sigmoid = 0
    do j = 1, n_outputs
      select case (kinds(j))
      case (transform_ln)
        n_ln = n_ln + 1
        y(j) = real(scratch(n_ln), real64)*coefficients(2, j)
      case (transform_sigmoid)
        n_sigmoid = n_sigmoid + 1
        y(j) = real(scratch(at + n_sigmoid), real64)
      case default
      end select
      if (reference(j) > 0) y(j) = y(j)*x(reference(j))
      ! Comparisons are false for NaN, which so is not clamped away.
      if (y(j) < bounds(1, j)) y(j) = bounds(1, j)
      if (y(j) > bounds(2, j)) y(j) = bounds(2, j)
    end do

  end subroutine column_to_physical

end module emufort_transforms
