! Made from fortran/templates/depthwise.fypp by `make templates`; do not edit.

!> Depthwise convolutions: feature c of repetition r is bias (c) + the sum over k of weights (c, k)*x (c + k*step + r*stride).
!>
!> Each sum is one chain of fused multiply-adds in every form, so its bits are the same in a block and for one column. In a
!> block, the lanes are columns. For one column, they are features, or repetitions where there are few features.
module emufort_depthwise
  use emufort_kinds, only: wp, lanes, block_columns
  implicit none
  private

  public :: depthwise_block, depthwise_half_block, depthwise_single

contains

  !> Compute a depthwise convolution for a block of columns.
  pure recursive subroutine depthwise_block(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(block_columns, *)         !! input (column, feature)
    real(wp), intent(inout) :: y(block_columns, *)      !! output (column, n_out*count)
    integer :: first

    do first = 1, block_columns, lanes
      call depthwise_32(n_taps, n_out, count, stride, step, weights, bias, x(first, 1), y(first, 1))
    end do

  end subroutine depthwise_block

  !> Compute a depthwise convolution for half a block of columns.
  pure recursive subroutine depthwise_half_block(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(lanes, *)                 !! input (column, feature)
    real(wp), intent(inout) :: y(lanes, *)              !! output (column, n_out*count)

    call depthwise_16(n_taps, n_out, count, stride, step, weights, bias, x, y)

  end subroutine depthwise_half_block

  !> Compute a depthwise convolution for one column.
  pure recursive subroutine depthwise_single(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(*)                        !! input (feature)
    real(wp), intent(inout) :: y(*)                     !! output (n_out*count)

    if (n_out >= lanes) then
      call with_features_as_lanes(n_taps, n_out, count, stride, step, weights, bias, x, y)
    else
      call with_repetitions_as_lanes(n_taps, n_out, count, stride, step, weights, bias, x, y)
    end if

  end subroutine depthwise_single

  !> Compute four repetitions, or four features if there are fewer repetitions, at a time for 16 columns of a block of
  !> 32. The last of them are computed several times.
  pure recursive subroutine depthwise_32(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(block_columns, *)         !! input (column, feature)
    real(wp), intent(inout) :: y(block_columns, *)      !! output (column, n_out*count)
    integer :: r, c, k, i, r1, r2, r3, r4, x1, x2, x3, x4
    real(wp), dimension(lanes) :: s1, s2, s3, s4

    if (count >= 4) then
      do c = 1, n_out
        do r = 0, count - 1, 4
          r1 = min(r, count - 1)
          r2 = min(r + 1, count - 1)
          r3 = min(r + 2, count - 1)
          r4 = min(r + 3, count - 1)
          x1 = r1*stride + c
          x2 = r2*stride + c
          x3 = r3*stride + c
          x4 = r4*stride + c
          do i = 1, lanes
            s1(i) = bias(c)
            s2(i) = bias(c)
            s3(i) = bias(c)
            s4(i) = bias(c)
          end do
          do k = 0, n_taps - 1
            do i = 1, lanes
              s1(i) = s1(i) + weights(c, k)*x(i, x1 + k*step)
              s2(i) = s2(i) + weights(c, k)*x(i, x2 + k*step)
              s3(i) = s3(i) + weights(c, k)*x(i, x3 + k*step)
              s4(i) = s4(i) + weights(c, k)*x(i, x4 + k*step)
            end do
          end do
          do i = 1, lanes
            y(i, r1*n_out + c) = s1(i)
            y(i, r2*n_out + c) = s2(i)
            y(i, r3*n_out + c) = s3(i)
            y(i, r4*n_out + c) = s4(i)
          end do
        end do
      end do
      return
    end if
    do r = 0, count - 1
      do c = 1, n_out, 4
        r1 = min(c, n_out)
        r2 = min(c + 1, n_out)
        r3 = min(c + 2, n_out)
        r4 = min(c + 3, n_out)
        x1 = r*stride + r1
        x2 = r*stride + r2
        x3 = r*stride + r3
        x4 = r*stride + r4
        do i = 1, lanes
          s1(i) = bias(r1)
          s2(i) = bias(r2)
          s3(i) = bias(r3)
          s4(i) = bias(r4)
        end do
        do k = 0, n_taps - 1
          do i = 1, lanes
            s1(i) = s1(i) + weights(r1, k)*x(i, x1 + k*step)
            s2(i) = s2(i) + weights(r2, k)*x(i, x2 + k*step)
            s3(i) = s3(i) + weights(r3, k)*x(i, x3 + k*step)
            s4(i) = s4(i) + weights(r4, k)*x(i, x4 + k*step)
          end do
        end do
        do i = 1, lanes
          y(i, r*n_out + r1) = s1(i)
          y(i, r*n_out + r2) = s2(i)
          y(i, r*n_out + r3) = s3(i)
          y(i, r*n_out + r4) = s4(i)
        end do
      end do
    end do

  end subroutine depthwise_32

  !> Compute four repetitions, or four features if there are fewer repetitions, at a time for 16 columns of a block of
  !> 16. The last of them are computed several times.
  pure recursive subroutine depthwise_16(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(lanes, *)                 !! input (column, feature)
    real(wp), intent(inout) :: y(lanes, *)              !! output (column, n_out*count)
    integer :: r, c, k, i, r1, r2, r3, r4, x1, x2, x3, x4
    real(wp), dimension(lanes) :: s1, s2, s3, s4

    if (count >= 4) then
      do c = 1, n_out
        do r = 0, count - 1, 4
          r1 = min(r, count - 1)
          r2 = min(r + 1, count - 1)
          r3 = min(r + 2, count - 1)
          r4 = min(r + 3, count - 1)
          x1 = r1*stride + c
          x2 = r2*stride + c
          x3 = r3*stride + c
          x4 = r4*stride + c
          do i = 1, lanes
            s1(i) = bias(c)
            s2(i) = bias(c)
            s3(i) = bias(c)
            s4(i) = bias(c)
          end do
          do k = 0, n_taps - 1
            do i = 1, lanes
              s1(i) = s1(i) + weights(c, k)*x(i, x1 + k*step)
              s2(i) = s2(i) + weights(c, k)*x(i, x2 + k*step)
              s3(i) = s3(i) + weights(c, k)*x(i, x3 + k*step)
              s4(i) = s4(i) + weights(c, k)*x(i, x4 + k*step)
            end do
          end do
          do i = 1, lanes
            y(i, r1*n_out + c) = s1(i)
            y(i, r2*n_out + c) = s2(i)
            y(i, r3*n_out + c) = s3(i)
            y(i, r4*n_out + c) = s4(i)
          end do
        end do
      end do
      return
    end if
    do r = 0, count - 1
      do c = 1, n_out, 4
        r1 = min(c, n_out)
        r2 = min(c + 1, n_out)
        r3 = min(c + 2, n_out)
        r4 = min(c + 3, n_out)
        x1 = r*stride + r1
        x2 = r*stride + r2
        x3 = r*stride + r3
        x4 = r*stride + r4
        do i = 1, lanes
          s1(i) = bias(r1)
          s2(i) = bias(r2)
          s3(i) = bias(r3)
          s4(i) = bias(r4)
        end do
        do k = 0, n_taps - 1
          do i = 1, lanes
            s1(i) = s1(i) + weights(r1, k)*x(i, x1 + k*step)
            s2(i) = s2(i) + weights(r2, k)*x(i, x2 + k*step)
            s3(i) = s3(i) + weights(r3, k)*x(i, x3 + k*step)
            s4(i) = s4(i) + weights(r4, k)*x(i, x4 + k*step)
          end do
        end do
        do i = 1, lanes
          y(i, r*n_out + r1) = s1(i)
          y(i, r*n_out + r2) = s2(i)
          y(i, r*n_out + r3) = s3(i)
          y(i, r*n_out + r4) = s4(i)
        end do
      end do
    end do

  end subroutine depthwise_16

  !> Compute four repetitions, or four sets of features of a single one, at a time with features as lanes. The last of them
  !> are computed several times, and the last set of features overlaps the one before.
  pure recursive subroutine with_features_as_lanes(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(*)                        !! input (feature)
    real(wp), intent(inout) :: y(*)                     !! output (n_out*count)
    integer :: r, c, k, i, first, r1, r2, r3, r4, x1, x2, x3, x4
    real(wp), dimension(lanes) :: s1, s2, s3, s4

    if (count == 1) then
      do c = 0, n_out - 1, 4*lanes
        r1 = min(c, n_out - lanes)
        r2 = min(c + 1*lanes, n_out - lanes)
        r3 = min(c + 2*lanes, n_out - lanes)
        r4 = min(c + 3*lanes, n_out - lanes)
        do i = 1, lanes
          s1(i) = bias(r1 + i)
          s2(i) = bias(r2 + i)
          s3(i) = bias(r3 + i)
          s4(i) = bias(r4 + i)
        end do
        do k = 0, n_taps - 1
          do i = 1, lanes
            s1(i) = s1(i) + weights(r1 + i, k)*x(r1 + k*step + i)
            s2(i) = s2(i) + weights(r2 + i, k)*x(r2 + k*step + i)
            s3(i) = s3(i) + weights(r3 + i, k)*x(r3 + k*step + i)
            s4(i) = s4(i) + weights(r4 + i, k)*x(r4 + k*step + i)
          end do
        end do
        do i = 1, lanes
          y(r1 + i) = s1(i)
          y(r2 + i) = s2(i)
          y(r3 + i) = s3(i)
          y(r4 + i) = s4(i)
        end do
      end do
      return
    end if
    do r = 0, count - 1, 4
      r1 = min(r, count - 1)
      r2 = min(r + 1, count - 1)
      r3 = min(r + 2, count - 1)
      r4 = min(r + 3, count - 1)
      do c = 0, n_out - 1, lanes
        first = min(c, n_out - lanes)
        x1 = r1*stride + first
        x2 = r2*stride + first
        x3 = r3*stride + first
        x4 = r4*stride + first
        do i = 1, lanes
          s1(i) = bias(first + i)
          s2(i) = bias(first + i)
          s3(i) = bias(first + i)
          s4(i) = bias(first + i)
        end do
        do k = 0, n_taps - 1
          do i = 1, lanes
            s1(i) = s1(i) + weights(first + i, k)*x(x1 + k*step + i)
            s2(i) = s2(i) + weights(first + i, k)*x(x2 + k*step + i)
            s3(i) = s3(i) + weights(first + i, k)*x(x3 + k*step + i)
            s4(i) = s4(i) + weights(first + i, k)*x(x4 + k*step + i)
          end do
        end do
        do i = 1, lanes
          y(r1*n_out + first + i) = s1(i)
          y(r2*n_out + first + i) = s2(i)
          y(r3*n_out + first + i) = s3(i)
          y(r4*n_out + first + i) = s4(i)
        end do
      end do
    end do

  end subroutine with_features_as_lanes

  !> Compute four features at a time, the last of them several times, with repetitions as lanes.
  pure recursive subroutine with_repetitions_as_lanes(n_taps, n_out, count, stride, step, weights, bias, x, y)
    integer, intent(in) :: n_taps                       !! summands of a feature
    integer, intent(in) :: n_out                        !! features of a repetition
    integer, intent(in) :: count                        !! repetitions
    integer, intent(in) :: stride                       !! features between the inputs of two repetitions
    integer, intent(in) :: step                         !! features between two summands
    real(wp), intent(in) :: weights(n_out, 0:n_taps - 1)   !! factor of each feature and summand [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp), intent(in) :: x(*)                        !! input (feature)
    real(wp), intent(inout) :: y(*)                     !! output (n_out*count)
    real(wp) :: tile(lanes, 4)
    integer :: from(lanes), r, c, k, i, j, c1, c2, c3, c4
    real(wp), dimension(lanes) :: s1, s2, s3, s4

    do r = 0, count - 1, lanes
      ! Unused lanes repeat the last repetition.
      do i = 1, lanes
        from(i) = min(r + i - 1, count - 1)*stride
      end do
      do c = 1, n_out, 4
        c1 = min(c, n_out)
        c2 = min(c + 1, n_out)
        c3 = min(c + 2, n_out)
        c4 = min(c + 3, n_out)
        do i = 1, lanes
          s1(i) = bias(c1)
          s2(i) = bias(c2)
          s3(i) = bias(c3)
          s4(i) = bias(c4)
        end do
        do k = 0, n_taps - 1
          do i = 1, lanes
            s1(i) = s1(i) + weights(c1, k)*x(from(i) + c1 + k*step)
            s2(i) = s2(i) + weights(c2, k)*x(from(i) + c2 + k*step)
            s3(i) = s3(i) + weights(c3, k)*x(from(i) + c3 + k*step)
            s4(i) = s4(i) + weights(c4, k)*x(from(i) + c4 + k*step)
          end do
        end do
        do i = 1, lanes
          tile(i, 1) = s1(i)
          tile(i, 2) = s2(i)
          tile(i, 3) = s3(i)
          tile(i, 4) = s4(i)
        end do
        do i = 0, min(lanes, count - r) - 1
          do j = 0, min(4, n_out - c + 1) - 1
            y((r + i)*n_out + c + j) = tile(i + 1, j + 1)
          end do
        end do
      end do
    end do

  end subroutine with_repetitions_as_lanes

end module emufort_depthwise
