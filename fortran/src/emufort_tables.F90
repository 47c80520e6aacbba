!> Operations whose table names the features that make each feature of the output: `places`, which count the features of
!> the scratch array from 1, and `rows`, the numbers of places before each row.
!>
!> With several columns, `lanes` of them are computed together. A product is rounded before it is added, so that the bits
!> do not depend on whether a compiler fuses the two, which it may do for a vector of columns and not for one column.
module emufort_tables
  use emufort_kinds, only: wp, lanes
  use emufort_plan, only: operation_maximum_of, operation_minimum_of
  implicit none
  private

  public :: gather, sparse, reduce, first_maximum_of

contains

  !> y = the feature at each place, or 0 at the place 0
  pure recursive subroutine gather(n_out, places, columns, x, y)
    integer, intent(in) :: n_out               !! features of the output
    integer, intent(in) :: places(n_out)       !! one place for each
    integer, intent(in) :: columns             !! 1 or a multiple of lanes
    real(wp), intent(in) :: x(*)               !! all buffers (columns, feature)
    real(wp), intent(inout) :: y(*)            !! output (columns, feature)
    integer :: o, first, from, to, i

    if (columns == 1) then
      do o = 1, n_out
        y(o) = 0.0_wp
        if (places(o) > 0) y(o) = x(places(o))
      end do
      return
    end if
    do o = 1, n_out
      do first = 0, columns - lanes, lanes
        to = columns*(o - 1) + first
        if (places(o) > 0) then
          from = columns*(places(o) - 1) + first
          !$omp simd
          do i = 1, lanes
            y(to + i) = x(from + i)
          end do
        else
          !$omp simd
          do i = 1, lanes
            y(to + i) = 0.0_wp
          end do
        end if
      end do
    end do

  end subroutine gather

  !> y = bias + sum of the weighted features of each row, in the order of its places
  pure recursive subroutine sparse(n_in, n_out, rows, places, weights, bias, columns, x, y)
    integer, intent(in) :: n_in                !! number of places
    integer, intent(in) :: n_out               !! features of the output
    integer, intent(in) :: rows(0:n_out)       !! rows of the table
    integer, intent(in) :: places(n_in)        !! places of the table
    real(wp), intent(in) :: weights(n_in)      !! one weight for each place [1]
    real(wp), intent(in) :: bias(n_out)        !! [1]
    integer, intent(in) :: columns             !! 1 or a multiple of lanes
    real(wp), intent(in) :: x(*)               !! all buffers (columns, feature)
    real(wp), intent(inout) :: y(*)            !! output (columns, feature)
    real(wp) :: total(lanes), one, weight
    integer :: o, first, from, to, i, j

    if (columns == 1) then
      do o = 1, n_out
        one = bias(o)
        do j = rows(o - 1) + 1, rows(o)
          one = one + (weights(j)*x(places(j)))
        end do
        y(o) = one
      end do
      return
    end if
    do o = 1, n_out
      do first = 0, columns - lanes, lanes
        do i = 1, lanes
          total(i) = bias(o)
        end do
        do j = rows(o - 1) + 1, rows(o)
          from = columns*(places(j) - 1) + first
          weight = weights(j)
          !$omp simd
          do i = 1, lanes
            total(i) = total(i) + (weight*x(from + i))
          end do
        end do
        to = columns*(o - 1) + first
        !$omp simd
        do i = 1, lanes
          y(to + i) = total(i)
        end do
      end do
    end do

  end subroutine sparse

  !> y = the largest or smallest feature of each row, or the product of its features
  pure recursive subroutine reduce(code, n_in, n_out, rows, places, columns, x, y)
    integer, intent(in) :: code                !! operation_maximum_of, operation_minimum_of or operation_product_of
    integer, intent(in) :: n_in                !! number of places
    integer, intent(in) :: n_out               !! features of the output
    integer, intent(in) :: rows(0:n_out)       !! rows of the table; none is empty
    integer, intent(in) :: places(n_in)        !! places of the table
    integer, intent(in) :: columns             !! 1 or a multiple of lanes
    real(wp), intent(in) :: x(*)               !! all buffers (columns, feature)
    real(wp), intent(inout) :: y(*)            !! output (columns, feature)
    real(wp) :: found(lanes), next
    integer :: o, first, from, to, i, j, n

    n = min(columns, lanes)
    do o = 1, n_out
      do first = 0, columns - n, n
        from = columns*(places(rows(o - 1) + 1) - 1) + first
        do i = 1, n
          found(i) = x(from + i)
        end do
        do j = rows(o - 1) + 2, rows(o)
          from = columns*(places(j) - 1) + first
          ! If one of the two is NaN, the larger and the smaller are NaN.
          select case (code)
          case (operation_maximum_of)
            !$omp simd private(next)
            do i = 1, n
              next = x(from + i)
              found(i) = merge(merge(next, found(i), next > found(i)), next, next <= next)
            end do
          case (operation_minimum_of)
            !$omp simd private(next)
            do i = 1, n
              next = x(from + i)
              found(i) = merge(merge(next, found(i), next < found(i)), next, next <= next)
            end do
          case default
            !$omp simd
            do i = 1, n
              found(i) = found(i)*x(from + i)
            end do
          end select
        end do
        to = columns*(o - 1) + first
        do i = 1, n
          y(to + i) = found(i)
        end do
      end do
    end do

  end subroutine reduce

  !> y = the position in each row, from 0, of its first largest feature
  pure recursive subroutine first_maximum_of(n_in, n_out, rows, places, columns, x, y)
    integer, intent(in) :: n_in                !! number of places
    integer, intent(in) :: n_out               !! features of the output
    integer, intent(in) :: rows(0:n_out)       !! rows of the table; none is empty
    integer, intent(in) :: places(n_in)        !! places of the table
    integer, intent(in) :: columns             !! 1 or a multiple of lanes
    real(wp), intent(in) :: x(*)               !! all buffers (columns, feature)
    real(wp), intent(inout) :: y(*)            !! output (columns, feature)
    real(wp) :: largest(lanes), position(lanes), next
    integer :: o, first, from, to, i, j, n

    n = min(columns, lanes)
    do o = 1, n_out
      do first = 0, columns - n, n
        from = columns*(places(rows(o - 1) + 1) - 1) + first
        do i = 1, n
          largest(i) = x(from + i)
          position(i) = 0.0_wp
        end do
        do j = rows(o - 1) + 2, rows(o)
          from = columns*(places(j) - 1) + first
          next = real(j - rows(o - 1) - 1, wp)
          !$omp simd
          do i = 1, n
            position(i) = merge(next, position(i), x(from + i) > largest(i))
            largest(i) = merge(x(from + i), largest(i), x(from + i) > largest(i))
          end do
        end do
        to = columns*(o - 1) + first
        do i = 1, n
          y(to + i) = position(i)
        end do
      end do
    end do

  end subroutine first_maximum_of

end module emufort_tables
