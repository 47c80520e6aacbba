!> Operations that compute each feature of the output from the same feature of their inputs. The output may replace an
!> input. Each is one operation of the standard of floating-point numbers, so its bits are the same in any loop.
module emufort_elementwise
  use emufort_kinds, only: wp
  implicit none
  private

  public :: add, multiply, maximum, minimum, choose

contains

  !> z = max(x + y, lowest)
  pure recursive subroutine add(n, x, y, z, lowest, scratch)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: x, y, z            !! first elements of the two inputs and of the output
    real(wp), intent(in) :: lowest            !! lower bound of the sums [1]
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    integer :: i

    !$omp simd
    do i = 0, n - 1
      scratch(z + i) = max(scratch(x + i) + scratch(y + i), lowest)
    end do

  end subroutine add

  !> z = x*y
  pure recursive subroutine multiply(n, x, y, z, scratch)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: x, y, z            !! first elements of the two inputs and of the output
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    integer :: i

    !$omp simd
    do i = 0, n - 1
      scratch(z + i) = scratch(x + i)*scratch(y + i)
    end do

  end subroutine multiply

  !> z = the larger of x and y, NaN if one of them is NaN
  pure recursive subroutine maximum(n, x, y, z, scratch)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: x, y, z            !! first elements of the two inputs and of the output
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    real(wp) :: a, b
    integer :: i

    !$omp simd private(a, b)
    do i = 0, n - 1
      a = scratch(x + i)
      b = scratch(y + i)
      scratch(z + i) = merge(merge(b, a, b > a), b, b <= b)
    end do

  end subroutine maximum

  !> z = the smaller of x and y, NaN if one of them is NaN
  pure recursive subroutine minimum(n, x, y, z, scratch)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: x, y, z            !! first elements of the two inputs and of the output
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    real(wp) :: a, b
    integer :: i

    !$omp simd private(a, b)
    do i = 0, n - 1
      a = scratch(x + i)
      b = scratch(y + i)
      scratch(z + i) = merge(merge(b, a, b < a), b, b <= b)
    end do

  end subroutine minimum

  !> z = x where c is above 0, else y
  pure recursive subroutine choose(n, c, x, y, z, scratch)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: c, x, y, z         !! first elements of the three inputs and of the output
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    real(wp) :: a, b, condition
    integer :: i

    ! Copies, because gfortran does not vectorise loads that depend on a condition.
    !$omp simd private(a, b, condition)
    do i = 0, n - 1
      condition = scratch(c + i)
      a = scratch(x + i)
      b = scratch(y + i)
      scratch(z + i) = merge(a, b, condition > 0.0_wp)
    end do

  end subroutine choose

end module emufort_elementwise
