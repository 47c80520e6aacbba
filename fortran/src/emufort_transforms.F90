!> From physical inputs to the network's inputs, and from its outputs to physical outputs.
!>
!> Differences and quotients with the scalers are formed in double precision and rounded afterwards: the
!> logarithm of 1e9 in single precision would waste two of its seven digits.
module emufort_transforms
  use emufort_kinds, only: wp, int64, real32, real64
  use emufort_math, only: vector_exp, vector_ln, vector_sigmoid
  implicit none
  private

  public :: transform_affine, transform_ln, transform_logit, transform_sigmoid
  public :: check_inputs, inputs_to_features, outputs_to_physical, is_finite

  integer, parameter :: transform_affine = 1    !! in: (x - c1)*c2          out: z*c1 + c2
  integer, parameter :: transform_ln = 2        !! in: ln(x*c1)*c2          out: c2*exp(z*c1)
  integer, parameter :: transform_logit = 3     !! in: ln(x/(1-x)*c1)*c2    out: none
  integer, parameter :: transform_sigmoid = 4   !! in: none                 out: sigmoid(z*c1 + c2)

contains

  !> Whether a number is neither NaN nor infinite; by its bits, so that it holds under -ffast-math as well.
  pure elemental logical function is_finite(x)
    real(real64), intent(in) :: x   !! any number
    integer(int64), parameter :: exponent_bits = ishft(2047_int64, 52)

    is_finite = iand(transfer(x, 0_int64), exponent_bits) /= exponent_bits

  end function is_finite

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
    integer(int64), parameter :: exponent_bits = ishft(2047_int64, 52)
    integer :: i, j

    do i = 1, n_columns
      n_outside(i) = 0_int64
      n_invalid(i) = 0_int64
    end do
    do j = 1, n_inputs
      lower = ranges(1, j)
      upper = ranges(2, j)
      ! A bound that the host rounded to its own precision is no value out of range.
      if (is_single) then
        lower = real(real(lower, real32), real64)
        upper = real(real(upper, real32), real64)
      end if
      fallback = 0.0_real64
      if (abs(lower) <= huge(lower)) then
        fallback = lower
      else if (abs(upper) <= huge(upper)) then
        fallback = upper
      end if
      !$omp simd private(value, outside, invalid)
      do i = 1, n_columns
        value = x(i, j)
        invalid = merge(1_int64, 0_int64, iand(transfer(value, 0_int64), exponent_bits) == exponent_bits)
        outside = merge(1_int64, 0_int64, value < lower .or. value > upper)
        n_outside(i) = n_outside(i) + outside*(1_int64 - invalid)
        n_invalid(i) = n_invalid(i) + invalid
        ! An invalid value is replaced by one in range, so that nothing is trapped; its outputs become NaN at the end.
        value = merge(fallback, value, invalid == 1_int64)
        x(i, j) = min(max(value, lower), upper)
      end do
    end do

  end subroutine check_inputs

  !> Transform one block of inputs to features of the network.
  pure recursive subroutine inputs_to_features(n_columns, n_inputs, n_features, leading, feature, kinds, &
                                               coefficients, x, z)
    integer, intent(in) :: n_columns                          !! columns, with those that pad the block
    integer, intent(in) :: n_inputs                           !! number of inputs
    integer, intent(in) :: n_features                         !! number of features
    integer, intent(in) :: leading                            !! leading dimension of x
    integer, intent(in) :: feature(n_features)                !! input that each feature comes from
    integer, intent(in) :: kinds(n_features)                  !! one of the transform_* codes
    real(real64), intent(in) :: coefficients(2, n_features)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: x(leading, n_inputs)          !! physical inputs (column, input)
    real(wp), intent(inout) :: z(n_columns, *)                !! features [1] (column, feature)
    real(real64) :: c1, c2
    integer :: i, j, f

    do f = 1, n_features
      j = feature(f)
      c1 = coefficients(1, f)
      c2 = coefficients(2, f)
      select case (kinds(f))
      case (transform_ln)
        !$omp simd
        do i = 1, n_columns
          z(i, f) = real(x(i, j)*c1, wp)
        end do
        call vector_ln(n_columns, z(:, f))
      case (transform_logit)
        !$omp simd
        do i = 1, n_columns
          z(i, f) = real(x(i, j)/(1.0_real64 - x(i, j))*c1, wp)
        end do
        call vector_ln(n_columns, z(:, f))
      case default
        !$omp simd
        do i = 1, n_columns
          z(i, f) = real((x(i, j) - c1)*c2, wp)
        end do
        cycle
      end select
      !$omp simd
      do i = 1, n_columns
        z(i, f) = z(i, f)*real(c2, wp)
      end do
    end do

  end subroutine inputs_to_features

  !> Transform one block of the network's outputs to physical outputs.
  pure recursive subroutine outputs_to_physical(n_columns, n_inputs, n_outputs, leading, kinds, reference, &
                                                coefficients, bounds, x, z, y)
    integer, intent(in) :: n_columns                         !! columns, with those that pad the block
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
    real(real64) :: c1, c2, lower, upper
    integer :: i, j, r

    do j = 1, n_outputs
      c1 = coefficients(1, j)
      c2 = coefficients(2, j)
      select case (kinds(j))
      case (transform_ln)
        !$omp simd
        do i = 1, n_columns
          z(i, j) = z(i, j)*real(c1, wp)
        end do
        call vector_exp(n_columns, z(:, j))
        !$omp simd
        do i = 1, n_columns
          y(i, j) = real(z(i, j), real64)*c2
        end do
      case (transform_sigmoid)
        !$omp simd
        do i = 1, n_columns
          z(i, j) = real(real(z(i, j), real64)*c1 + c2, wp)
        end do
        call vector_sigmoid(n_columns, z(:, j))
        !$omp simd
        do i = 1, n_columns
          y(i, j) = real(z(i, j), real64)
        end do
      case default
        !$omp simd
        do i = 1, n_columns
          y(i, j) = real(z(i, j), real64)*c1 + c2
        end do
      end select
      r = reference(j)
      if (r > 0) then
        !$omp simd
        do i = 1, n_columns
          y(i, j) = y(i, j)*x(i, r)
        end do
      end if
      lower = bounds(1, j)
      upper = bounds(2, j)
      ! Written with comparisons that are false for NaN, so that a NaN is not clamped away.
      !$omp simd
      do i = 1, n_columns
        y(i, j) = merge(lower, y(i, j), y(i, j) < lower)
        y(i, j) = merge(upper, y(i, j), y(i, j) > upper)
      end do
    end do

  end subroutine outputs_to_physical

end module emufort_transforms
