!> Transforms from physical inputs to the inputs of the network, and from its outputs to physical outputs.
!>
!> Differences and quotients with the scalers are computed in double precision and rounded afterwards. In single
!> precision, the logarithm of 1e9 would lose two of its seven digits.
module emufort_transforms
  use emufort_kinds, only: wp, real64, lanes
  use emufort_math, only: vector_exp, vector_ln, vector_sigmoid
  implicit none
  private

  public :: transform_affine, transform_ln, transform_logit, transform_sigmoid, transform_constant
  public :: inputs_to_features, outputs_to_physical, column_to_features, column_to_physical
  public :: column_scratch

  integer, parameter :: transform_affine = 1    !! in: (x - c1)*c2          out: z*c1 + c2
  integer, parameter :: transform_ln = 2        !! in: ln(x*c1)*c2          out: c2*exp(z*c1)
  integer, parameter :: transform_logit = 3     !! in: ln(x/(1-x)*c1)*c2    out: none
  integer, parameter :: transform_sigmoid = 4   !! in: none                 out: sigmoid(z*c1 + c2)
  integer, parameter :: transform_constant = 5  !! in: none                 out: c2, without an output of the network

  !> Number of features or outputs of one column that are transformed together, and the scratch elements that this
  !> needs. Larger numbers are transformed in parts, by procedures that are not inlined, because inlined they would take
  !> registers from the usual case.
  integer, parameter :: column_part = 128
  integer, parameter :: column_scratch = column_part + 3*lanes

contains

  !> Return the number of consecutive entries, from the first on, whose kind is one of two.
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
    ! Logarithms of neighbouring features are computed together.
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

  !> Transform the inputs of one column to features, with the same bits as `inputs_to_features`.
  pure recursive subroutine column_to_features(n_inputs, n_features, feature, kinds, coefficients, x, z, logarithms)
    integer, intent(in) :: n_inputs                           !! number of inputs
    integer, intent(in) :: n_features                         !! number of features
    integer, intent(in) :: feature(n_features)                !! input that each feature comes from
    integer, intent(in) :: kinds(n_features)                  !! one of the transform_* codes
    real(real64), intent(in) :: coefficients(2, n_features)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: x(n_inputs)                   !! physical inputs
    real(wp), intent(inout) :: z(*)                           !! features [1] (feature)
    real(wp), intent(inout) :: logarithms(*)                  !! scratch (column_scratch)
    real(real64) :: value
    integer :: f, i, n

    if (n_features > column_part) then
      !dir$ noinline
      call features_in_parts(n_inputs, n_features, feature, kinds, coefficients, x, z, logarithms)
      return
    end if
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
    ! All logarithms together, in full sets of lanes.
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

  !> Transform the inputs of one column to more than `column_part` features.
  pure recursive subroutine features_in_parts(n_inputs, n_features, feature, kinds, coefficients, x, z, logarithms)
    integer, intent(in) :: n_inputs                           !! number of inputs
    integer, intent(in) :: n_features                         !! number of features
    integer, intent(in) :: feature(n_features)                !! input that each feature comes from
    integer, intent(in) :: kinds(n_features)                  !! one of the transform_* codes
    real(real64), intent(in) :: coefficients(2, n_features)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: x(n_inputs)                   !! physical inputs
    real(wp), intent(inout) :: z(*)                           !! features [1] (feature)
    real(wp), intent(inout) :: logarithms(*)                  !! scratch (column_scratch)
    integer :: first

    do first = 1, n_features, column_part
      call column_to_features(n_inputs, min(column_part, n_features - first + 1), feature(first), kinds(first), &
                              coefficients(1, first), x, z(first), logarithms)
    end do

  end subroutine features_in_parts

  !> Transform one block of outputs of the network to physical outputs. The network has no constant outputs.
  pure recursive subroutine outputs_to_physical(n_columns, n_inputs, n_outputs, leading, kinds, reference, &
                                                coefficients, bounds, x, z, y)
    integer, intent(in) :: n_columns                         !! columns of the block, a multiple of lanes
    integer, intent(in) :: n_inputs                          !! number of inputs
    integer, intent(in) :: n_outputs                         !! number of outputs
    integer, intent(in) :: leading                           !! leading dimension of x and y
    integer, intent(in) :: kinds(n_outputs)                  !! one of the transform_* codes
    integer, intent(in) :: reference(n_outputs)              !! input that the output is relative to, or 0
    real(real64), intent(in) :: coefficients(2, n_outputs)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: bounds(2, n_outputs)         !! lower and upper bound of each output
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
        ! Written with comparisons that are false for NaN, so that clipping keeps a NaN.
        !$omp simd
        do i = 1, lanes
          y(first + i, j) = merge(lower, y(first + i, j), y(first + i, j) < lower)
          y(first + i, j) = merge(upper, y(first + i, j), y(first + i, j) > upper)
        end do
      end do
    end do

  end subroutine outputs_to_physical

  !> Transform the outputs of the network for one column to physical outputs, with the same bits as
  !> `outputs_to_physical`. The network has no constant outputs.
  pure recursive subroutine column_to_physical(n_inputs, n_outputs, kinds, reference, coefficients, bounds, x, z, &
                                               y, scratch)
    integer, intent(in) :: n_inputs                          !! number of inputs
    integer, intent(in) :: n_outputs                         !! number of outputs
    integer, intent(in) :: kinds(n_outputs)                  !! one of the transform_* codes
    integer, intent(in) :: reference(n_outputs)              !! input that the output is relative to, or 0
    real(real64), intent(in) :: coefficients(2, n_outputs)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: bounds(2, n_outputs)         !! lower and upper bound of each output
    real(real64), intent(in) :: x(n_inputs)                  !! physical inputs
    real(wp), intent(in) :: z(*)                             !! outputs of the network [1]
    real(real64), intent(inout) :: y(n_outputs)              !! physical outputs
    real(wp), intent(inout) :: scratch(*)                    !! (column_scratch)
    integer :: i, j, k, n_ln, n_sigmoid, at

    if (n_outputs > column_part) then
      !dir$ noinline
      call outputs_in_parts(n_inputs, n_outputs, kinds, reference, coefficients, bounds, x, z, y, scratch)
      return
    else if (n_outputs >= lanes) then
      if (count(kinds /= transform_affine .or. reference > 0) == 0) then
        !dir$ noinline
        call affine_outputs(n_outputs, coefficients, bounds, z, y)
        return
      end if
    end if
    ! Exponentials first, then sigmoids from the next cache line on.
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
    ! In a separate loop, so that it is one fused multiply-add as in `outputs_to_physical`.
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
      ! Comparisons are false for NaN, so that clipping keeps a NaN.
      if (y(j) < bounds(1, j)) y(j) = bounds(1, j)
      if (y(j) > bounds(2, j)) y(j) = bounds(2, j)
    end do

  end subroutine column_to_physical

  !> Transform outputs of one column that all have an affine transform. As vectors they take a fifth of the time.
  pure recursive subroutine affine_outputs(n_outputs, coefficients, bounds, z, y)
    integer, intent(in) :: n_outputs                         !! number of outputs
    real(real64), intent(in) :: coefficients(2, n_outputs)   !! coefficients c1, c2 of the transforms
    real(real64), intent(in) :: bounds(2, n_outputs)         !! lower and upper bound of each output
    real(wp), intent(in) :: z(n_outputs)                     !! outputs of the network [1]
    real(real64), intent(inout) :: y(n_outputs)              !! physical outputs
    integer :: j

    !$omp simd
    do j = 1, n_outputs
      y(j) = real(z(j), real64)*coefficients(1, j) + coefficients(2, j)
      ! Comparisons are false for NaN, so that clipping keeps a NaN.
      y(j) = merge(bounds(1, j), y(j), y(j) < bounds(1, j))
      y(j) = merge(bounds(2, j), y(j), y(j) > bounds(2, j))
    end do

  end subroutine affine_outputs

  !> Transform more than `column_part` outputs of one column to physical outputs.
  pure recursive subroutine outputs_in_parts(n_inputs, n_outputs, kinds, reference, coefficients, bounds, x, z, &
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
    real(wp), intent(inout) :: scratch(*)                    !! (column_scratch)
    integer :: first, n, k

    k = 1
    do first = 1, n_outputs, column_part
      n = min(column_part, n_outputs - first + 1)
      call column_to_physical(n_inputs, n, kinds(first), reference(first), coefficients(1, first), bounds(1, first), &
                              x, z(k), y(first), scratch)
      k = k + count(kinds(first:first + n - 1) /= transform_constant)
    end do

  end subroutine outputs_in_parts

end module emufort_transforms
