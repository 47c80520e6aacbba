! Made from fortran/templates/tables.fypp by `make templates`; do not edit.

!> Operations whose table names the features that make each feature of the output: `places`, which count the features of
!> the scratch array from 1, and `rows`, the numbers of places before each row.
!>
!> A sum is a chain of additions in the order of the places. Its products are computed before, in a separate loop, so that they
!> are rounded: compilers fuse multiplications and additions of vectors more often than those of single numbers, and then one
!> column would have other bits than a block.
module emufort_tables
  use emufort_kinds, only: wp, lanes, block_columns
  use emufort_plan, only: operation_maximum_of, operation_minimum_of
  implicit none
  private

  public :: gather_block, gather_half_block, gather_single
  public :: sparse_block, sparse_half_block, sparse_single
  public :: reduce_block, reduce_half_block, reduce_single
  public :: first_maximum_block, first_maximum_half_block, first_maximum_single

  !> Products of a sum that are computed before they are added: more than a compiler unrolls, because it could then fuse the
  !> two loops.
  integer, parameter :: part = 24

contains

  !> Take the feature at each place, or 0 at the place 0, for a block of columns.
  pure recursive subroutine gather_block(n_out, places, x, y)
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: places(n_out)                !! one place for each
    real(wp), intent(in) :: x(block_columns, *)         !! all buffers (column, feature)
    real(wp), intent(inout) :: y(block_columns, n_out)  !! output (column, feature)
    integer :: o, i

    do o = 1, n_out
      if (places(o) > 0) then
        !$omp simd
        do i = 1, block_columns
          y(i, o) = x(i, places(o))
        end do
      else
        !$omp simd
        do i = 1, block_columns
          y(i, o) = 0.0_wp
        end do
      end if
    end do

  end subroutine gather_block

  !> Compute bias + the sum of the weighted features of each row, for a block of columns.
  pure recursive subroutine sparse_block(n_in, n_out, rows, places, weights, bias, x, y)
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(block_columns, *)         !! all buffers (column, feature)
    real(wp), intent(inout) :: y(block_columns, n_out)  !! output (column, feature)
    real(wp), intent(in) :: weights(n_in)               !! one weight for each place [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp) :: products(block_columns, part), total(block_columns)
    integer :: o, first, n, i, j

    o = 1
    !$omp simd
    do i = 1, block_columns
      total(i) = bias(1)
    end do
    do first = 0, n_in - 1, part
      n = min(part, n_in - first)
      do j = 1, n
        !$omp simd
        do i = 1, block_columns
          products(i, j) = weights(first + j)*x(i, places(first + j))
        end do
      end do
      j = 1
      do while (j <= n)
        ! The rows that end before this place are complete.
        do while (first + j > rows(o))
          !$omp simd
          do i = 1, block_columns
            y(i, o) = total(i)
            total(i) = bias(o + 1)
          end do
          o = o + 1
        end do
        do j = j, min(n, rows(o) - first)
          !$omp simd
          do i = 1, block_columns
            total(i) = total(i) + products(i, j)
          end do
        end do
      end do
    end do
    !$omp simd
    do i = 1, block_columns
      y(i, o) = total(i)
    end do
    do o = o + 1, n_out
      !$omp simd
      do i = 1, block_columns
        y(i, o) = bias(o)
      end do
    end do

  end subroutine sparse_block

  !> Find the largest or smallest feature of each row, or the product of its features, for a block of columns. The
  !> larger and the smaller of two numbers are NaN if one of them is NaN.
  pure recursive subroutine reduce_block(code, n_in, n_out, rows, places, x, y)
    integer, intent(in) :: code                         !! operation_maximum_of, operation_minimum_of, or for the product
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(block_columns, *)         !! all buffers (column, feature)
    real(wp), intent(inout) :: y(block_columns, n_out)  !! output (column, feature)
    integer :: o, i, j

    do o = 1, n_out
      j = places(rows(o - 1) + 1)
      !$omp simd
      do i = 1, block_columns
        y(i, o) = x(i, j)
      end do
      do j = rows(o - 1) + 2, rows(o)
        select case (code)
        case (operation_maximum_of)
          !$omp simd
          do i = 1, block_columns
            y(i, o) = merge(merge(x(i, places(j)), y(i, o), x(i, places(j)) > y(i, o)), &
                            x(i, places(j)), x(i, places(j)) <= x(i, places(j)))
          end do
        case (operation_minimum_of)
          !$omp simd
          do i = 1, block_columns
            y(i, o) = merge(merge(x(i, places(j)), y(i, o), x(i, places(j)) < y(i, o)), &
                            x(i, places(j)), x(i, places(j)) <= x(i, places(j)))
          end do
        case default
          !$omp simd
          do i = 1, block_columns
            y(i, o) = y(i, o)*x(i, places(j))
          end do
        end select
      end do
    end do

  end subroutine reduce_block

  !> Find the position in each row, from 0, of its first largest feature, for a block of columns.
  pure recursive subroutine first_maximum_block(n_in, n_out, rows, places, x, y)
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(block_columns, *)         !! all buffers (column, feature)
    real(wp), intent(inout) :: y(block_columns, n_out)  !! output (column, feature)
    real(wp) :: largest(block_columns), position
    integer :: o, i, j

    do o = 1, n_out
      j = places(rows(o - 1) + 1)
      !$omp simd
      do i = 1, block_columns
        largest(i) = x(i, j)
        y(i, o) = 0.0_wp
      end do
      do j = rows(o - 1) + 2, rows(o)
        position = real(j - rows(o - 1) - 1, wp)
        !$omp simd
        do i = 1, block_columns
          y(i, o) = merge(position, y(i, o), x(i, places(j)) > largest(i))
          largest(i) = merge(x(i, places(j)), largest(i), x(i, places(j)) > largest(i))
        end do
      end do
    end do

  end subroutine first_maximum_block

  !> Take the feature at each place, or 0 at the place 0, for half a block of columns.
  pure recursive subroutine gather_half_block(n_out, places, x, y)
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: places(n_out)                !! one place for each
    real(wp), intent(in) :: x(lanes, *)                 !! all buffers (column, feature)
    real(wp), intent(inout) :: y(lanes, n_out)          !! output (column, feature)
    integer :: o, i

    do o = 1, n_out
      if (places(o) > 0) then
        !$omp simd
        do i = 1, lanes
          y(i, o) = x(i, places(o))
        end do
      else
        !$omp simd
        do i = 1, lanes
          y(i, o) = 0.0_wp
        end do
      end if
    end do

  end subroutine gather_half_block

  !> Compute bias + the sum of the weighted features of each row, for half a block of columns.
  pure recursive subroutine sparse_half_block(n_in, n_out, rows, places, weights, bias, x, y)
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(lanes, *)                 !! all buffers (column, feature)
    real(wp), intent(inout) :: y(lanes, n_out)          !! output (column, feature)
    real(wp), intent(in) :: weights(n_in)               !! one weight for each place [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp) :: products(lanes, part), total(lanes)
    integer :: o, first, n, i, j

    o = 1
    !$omp simd
    do i = 1, lanes
      total(i) = bias(1)
    end do
    do first = 0, n_in - 1, part
      n = min(part, n_in - first)
      do j = 1, n
        !$omp simd
        do i = 1, lanes
          products(i, j) = weights(first + j)*x(i, places(first + j))
        end do
      end do
      j = 1
      do while (j <= n)
        ! The rows that end before this place are complete.
        do while (first + j > rows(o))
          !$omp simd
          do i = 1, lanes
            y(i, o) = total(i)
            total(i) = bias(o + 1)
          end do
          o = o + 1
        end do
        do j = j, min(n, rows(o) - first)
          !$omp simd
          do i = 1, lanes
            total(i) = total(i) + products(i, j)
          end do
        end do
      end do
    end do
    !$omp simd
    do i = 1, lanes
      y(i, o) = total(i)
    end do
    do o = o + 1, n_out
      !$omp simd
      do i = 1, lanes
        y(i, o) = bias(o)
      end do
    end do

  end subroutine sparse_half_block

  !> Find the largest or smallest feature of each row, or the product of its features, for half a block of columns. The
  !> larger and the smaller of two numbers are NaN if one of them is NaN.
  pure recursive subroutine reduce_half_block(code, n_in, n_out, rows, places, x, y)
    integer, intent(in) :: code                         !! operation_maximum_of, operation_minimum_of, or for the product
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(lanes, *)                 !! all buffers (column, feature)
    real(wp), intent(inout) :: y(lanes, n_out)          !! output (column, feature)
    integer :: o, i, j

    do o = 1, n_out
      j = places(rows(o - 1) + 1)
      !$omp simd
      do i = 1, lanes
        y(i, o) = x(i, j)
      end do
      do j = rows(o - 1) + 2, rows(o)
        select case (code)
        case (operation_maximum_of)
          !$omp simd
          do i = 1, lanes
            y(i, o) = merge(merge(x(i, places(j)), y(i, o), x(i, places(j)) > y(i, o)), &
                            x(i, places(j)), x(i, places(j)) <= x(i, places(j)))
          end do
        case (operation_minimum_of)
          !$omp simd
          do i = 1, lanes
            y(i, o) = merge(merge(x(i, places(j)), y(i, o), x(i, places(j)) < y(i, o)), &
                            x(i, places(j)), x(i, places(j)) <= x(i, places(j)))
          end do
        case default
          !$omp simd
          do i = 1, lanes
            y(i, o) = y(i, o)*x(i, places(j))
          end do
        end select
      end do
    end do

  end subroutine reduce_half_block

  !> Find the position in each row, from 0, of its first largest feature, for half a block of columns.
  pure recursive subroutine first_maximum_half_block(n_in, n_out, rows, places, x, y)
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(lanes, *)                 !! all buffers (column, feature)
    real(wp), intent(inout) :: y(lanes, n_out)          !! output (column, feature)
    real(wp) :: largest(lanes), position
    integer :: o, i, j

    do o = 1, n_out
      j = places(rows(o - 1) + 1)
      !$omp simd
      do i = 1, lanes
        largest(i) = x(i, j)
        y(i, o) = 0.0_wp
      end do
      do j = rows(o - 1) + 2, rows(o)
        position = real(j - rows(o - 1) - 1, wp)
        !$omp simd
        do i = 1, lanes
          y(i, o) = merge(position, y(i, o), x(i, places(j)) > largest(i))
          largest(i) = merge(x(i, places(j)), largest(i), x(i, places(j)) > largest(i))
        end do
      end do
    end do

  end subroutine first_maximum_half_block

  !> Take the feature at each place, or 0 at the place 0, for one column.
  pure recursive subroutine gather_single(n_out, places, x, y)
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: places(n_out)                !! one place for each
    real(wp), intent(in) :: x(1, *)                     !! all buffers (column, feature)
    real(wp), intent(inout) :: y(1, n_out)              !! output (column, feature)
    real(wp) :: value
    integer :: o, i, first, last, step, equal

    ! Full lanes of consecutive features or of one feature are copied as vectors.
    last = n_out - mod(n_out, lanes)
    do o = 0, last - 1, lanes
      first = places(o + 1)
      step = 0
      equal = 0
      !$omp simd reduction(ior: step, equal)
      do i = 1, lanes
        step = ior(step, ieor(places(o + i), first + i - 1))
        equal = ior(equal, ieor(places(o + i), first))
      end do
      if (step == 0 .and. first > 0) then
        do i = 1, lanes
          y(1, o + i) = x(1, first + i - 1)
        end do
      else if (equal == 0) then
        value = 0.0_wp
        if (first > 0) value = x(1, first)
        do i = 1, lanes
          y(1, o + i) = value
        end do
      else
        call copy_one_by_one(lanes, places(o + 1), x, y(1, o + 1))
      end if
    end do
    if (last < n_out) call copy_one_by_one(n_out - last, places(last + 1), x, y(1, last + 1))

  end subroutine gather_single

  !> Take the feature at each place, or 0 at the place 0, for one column, one feature after the other.
  pure recursive subroutine copy_one_by_one(n_out, places, x, y)
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: places(n_out)                !! one place for each
    real(wp), intent(in) :: x(1, *)                     !! all buffers (column, feature)
    real(wp), intent(inout) :: y(1, n_out)              !! output (column, feature)
    integer :: o

    !GCC$ novector
    do o = 1, n_out
      if (places(o) > 0) then
        y(1, o) = x(1, places(o))
      else
        y(1, o) = 0.0_wp
      end if
    end do

  end subroutine copy_one_by_one

  !> Compute bias + the sum of the weighted features of each row, for one column.
  pure recursive subroutine sparse_single(n_in, n_out, rows, places, weights, bias, x, y)
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(1, *)                     !! all buffers (column, feature)
    real(wp), intent(inout) :: y(1, n_out)              !! output (column, feature)
    real(wp), intent(in) :: weights(n_in)               !! one weight for each place [1]
    real(wp), intent(in) :: bias(n_out)                 !! [1]
    real(wp) :: products(1, part), total(1)
    integer :: o, first, n, i, j

    o = 1
    !$omp simd
    do i = 1, 1
      total(i) = bias(1)
    end do
    do first = 0, n_in - 1, part
      n = min(part, n_in - first)
      do j = 1, n
        !$omp simd
        do i = 1, 1
          products(i, j) = weights(first + j)*x(i, places(first + j))
        end do
      end do
      j = 1
      do while (j <= n)
        ! The rows that end before this place are complete.
        do while (first + j > rows(o))
          !$omp simd
          do i = 1, 1
            y(i, o) = total(i)
            total(i) = bias(o + 1)
          end do
          o = o + 1
        end do
        do j = j, min(n, rows(o) - first)
          !$omp simd
          do i = 1, 1
            total(i) = total(i) + products(i, j)
          end do
        end do
      end do
    end do
    !$omp simd
    do i = 1, 1
      y(i, o) = total(i)
    end do
    do o = o + 1, n_out
      !$omp simd
      do i = 1, 1
        y(i, o) = bias(o)
      end do
    end do

  end subroutine sparse_single

  !> Find the largest or smallest feature of each row, or the product of its features, for one column. The
  !> larger and the smaller of two numbers are NaN if one of them is NaN.
  pure recursive subroutine reduce_single(code, n_in, n_out, rows, places, x, y)
    integer, intent(in) :: code                         !! operation_maximum_of, operation_minimum_of, or for the product
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(1, *)                     !! all buffers (column, feature)
    real(wp), intent(inout) :: y(1, n_out)              !! output (column, feature)
    integer :: o, i, j

    do o = 1, n_out
      j = places(rows(o - 1) + 1)
      !$omp simd
      do i = 1, 1
        y(i, o) = x(i, j)
      end do
      do j = rows(o - 1) + 2, rows(o)
        select case (code)
        case (operation_maximum_of)
          !$omp simd
          do i = 1, 1
            y(i, o) = merge(merge(x(i, places(j)), y(i, o), x(i, places(j)) > y(i, o)), &
                            x(i, places(j)), x(i, places(j)) <= x(i, places(j)))
          end do
        case (operation_minimum_of)
          !$omp simd
          do i = 1, 1
            y(i, o) = merge(merge(x(i, places(j)), y(i, o), x(i, places(j)) < y(i, o)), &
                            x(i, places(j)), x(i, places(j)) <= x(i, places(j)))
          end do
        case default
          !$omp simd
          do i = 1, 1
            y(i, o) = y(i, o)*x(i, places(j))
          end do
        end select
      end do
    end do

  end subroutine reduce_single

  !> Find the position in each row, from 0, of its first largest feature, for one column.
  pure recursive subroutine first_maximum_single(n_in, n_out, rows, places, x, y)
    integer, intent(in) :: n_in                         !! number of places
    integer, intent(in) :: n_out                        !! features of the output
    integer, intent(in) :: rows(0:n_out)                !! rows of the table
    integer, intent(in) :: places(n_in)                 !! places of the table
    real(wp), intent(in) :: x(1, *)                     !! all buffers (column, feature)
    real(wp), intent(inout) :: y(1, n_out)              !! output (column, feature)
    real(wp) :: largest(1), position
    integer :: o, i, j

    do o = 1, n_out
      j = places(rows(o - 1) + 1)
      !$omp simd
      do i = 1, 1
        largest(i) = x(i, j)
        y(i, o) = 0.0_wp
      end do
      do j = rows(o - 1) + 2, rows(o)
        position = real(j - rows(o - 1) - 1, wp)
        !$omp simd
        do i = 1, 1
          y(i, o) = merge(position, y(i, o), x(i, places(j)) > largest(i))
          largest(i) = merge(x(i, places(j)), largest(i), x(i, places(j)) > largest(i))
        end do
      end do
    end do

  end subroutine first_maximum_single

end module emufort_tables
