! Made from fortran/templates/normalisation.fypp by `make templates`; do not edit.

!> Normalisation of groups of features by their own mean and spread (layer, group and instance normalisation), and the softmax of
!> rows of features.
!>
!> A feature has the position (channel, repetition) in a part of the input, of which there are `count`. A group consists of all
!> repetitions of some consecutive channels. Its sum is made in one order in every form, so that a column has the same bits in
!> a block and alone: of each channel over the repetitions, then of every channel whose positions in the group differ by
!> a multiple of `lanes`, then of these `lanes` sums in pairs. A product is stored before something is added to it, because
!> compilers fuse multiplications and additions in some forms only. A variance is bounded from below by a comparison, which
!> keeps a NaN; what the intrinsic function max makes of a NaN depends on the form.
module emufort_normalisation
  use emufort_kinds, only: wp, real32, lanes, block_columns
  use emufort_activations, only: activate, activation_exp
  implicit none
  private

  public :: normalise_block, normalise_half_block, normalise_single, softmax_block, softmax_half_block, softmax_single

  !> Channels that one column normalises together. The stack of a call is short.
  integer, parameter :: part = merge(256, 64, wp == real32)

contains

  !> Normalise each group to mean 0 and variance 1, then scale and shift each channel, for a block of columns.
  pure recursive subroutine normalise_block(count, n_inner, n_groups, n_out, scale, shift, x, y)
    integer, intent(in) :: count                        !! parts of the input
    integer, intent(in) :: n_inner                      !! repetitions in a part
    integer, intent(in) :: n_groups                     !! groups of channels
    integer, intent(in) :: n_out                        !! channels
    real(wp), intent(in) :: scale(n_out + 1)            !! factor of each channel, then what is added to variances [1]
    real(wp), intent(in) :: shift(n_out)                !! summand of each channel [1]
    real(wp), intent(in) :: x(block_columns, n_out, n_inner, *) !! input (column, channel, repetition, part)
    real(wp), intent(inout) :: y(block_columns, n_out, n_inner, *) !! output, of the same shape
    real(wp), dimension(block_columns) :: mean, factor
    real(wp) :: n
    integer :: q, o, c, first, n_group, i

    n_group = n_out/n_groups
    n = real(n_group*n_inner, wp)
    do q = 1, count
      do first = 0, n_out - n_group, n_group
        call sum_block(n_group, n_inner, n_out, x(1, first + 1, 1, q), mean)
        !$omp simd
        do i = 1, block_columns
          mean(i) = mean(i)/n
        end do
        do o = 1, n_inner
          do c = first + 1, first + n_group
            !$omp simd
            do i = 1, block_columns
              y(i, c, o, q) = (x(i, c, o, q) - mean(i))*(x(i, c, o, q) - mean(i))
            end do
          end do
        end do
        call sum_block(n_group, n_inner, n_out, y(1, first + 1, 1, q), factor)
        !$omp simd
        do i = 1, block_columns
          factor(i) = factor(i)/n
        end do
        !$omp simd
        do i = 1, block_columns
          factor(i) = factor(i) + scale(n_out + 1)
          factor(i) = 1.0_wp/sqrt(merge(tiny(1.0_wp), factor(i), factor(i) < tiny(1.0_wp)))
        end do
        do o = 1, n_inner
          do c = first + 1, first + n_group
            !$omp simd
            do i = 1, block_columns
              y(i, c, o, q) = (x(i, c, o, q) - mean(i))*(factor(i)*scale(c))
            end do
          end do
          do c = first + 1, first + n_group
            !$omp simd
            do i = 1, block_columns
              y(i, c, o, q) = y(i, c, o, q) + shift(c)
            end do
          end do
        end do
      end do
    end do

  end subroutine normalise_block

  !> Compute the exponential of each feature of a row over the sum of those of the row, for a block of columns.
  pure recursive subroutine softmax_block(count, n, x, y)
    integer, intent(in) :: count                        !! rows
    integer, intent(in) :: n                            !! features of a row
    real(wp), intent(in) :: x(block_columns, n, *)      !! input (column, feature, row)
    real(wp), intent(inout) :: y(block_columns, n, *)   !! output, of the same shape
    real(wp) :: largest(block_columns), total(block_columns)
    integer :: r, j, i

    do r = 1, count
      !$omp simd
      do i = 1, block_columns
        largest(i) = x(i, 1, r)
      end do
      do j = 2, n
        !$omp simd
        do i = 1, block_columns
          largest(i) = merge(x(i, j, r), largest(i), x(i, j, r) > largest(i))
        end do
      end do
      do j = 1, n
        !$omp simd
        do i = 1, block_columns
          y(i, j, r) = x(i, j, r) - largest(i)
        end do
      end do
      call activate(activation_exp, block_columns*n, y(1, 1, r), 0.0_wp)
      call sum_block(n, 1, n, y(1, 1, r), total)
      !$omp simd
      do i = 1, block_columns
        total(i) = 1.0_wp/total(i)
      end do
      do j = 1, n
        !$omp simd
        do i = 1, block_columns
          y(i, j, r) = y(i, j, r)*total(i)
        end do
      end do
    end do

  end subroutine softmax_block

  !> Sum up the features of a group, for a block of columns.
  pure recursive subroutine sum_block(n_group, n_inner, n_out, x, total)
    integer, intent(in) :: n_group                      !! channels of the group
    integer, intent(in) :: n_inner                      !! repetitions
    integer, intent(in) :: n_out                        !! channels of all groups
    real(wp), intent(in) :: x(block_columns, n_out, *)  !! input (column, channel, repetition)
    real(wp), intent(inout) :: total(block_columns)     !! sum
    real(wp) :: partial(block_columns, lanes), of_channel(block_columns)
    integer :: c, o, l, i

    do l = n_group + 1, lanes
      !$omp simd
      do i = 1, block_columns
        partial(i, l) = 0.0_wp
      end do
    end do
    do c = 1, n_group
      !$omp simd
      do i = 1, block_columns
        of_channel(i) = x(i, c, 1)
      end do
      do o = 2, n_inner
        !$omp simd
        do i = 1, block_columns
          of_channel(i) = of_channel(i) + x(i, c, o)
        end do
      end do
      l = 1 + mod(c - 1, lanes)
      if (c <= lanes) then
        !$omp simd
        do i = 1, block_columns
          partial(i, l) = of_channel(i)
        end do
      else
        !$omp simd
        do i = 1, block_columns
          partial(i, l) = partial(i, l) + of_channel(i)
        end do
      end if
    end do
    do l = 1, 8
      !$omp simd
      do i = 1, block_columns
        partial(i, l) = partial(i, l) + partial(i, l + 8)
      end do
    end do
    do l = 1, 4
      !$omp simd
      do i = 1, block_columns
        partial(i, l) = partial(i, l) + partial(i, l + 4)
      end do
    end do
    do l = 1, 2
      !$omp simd
      do i = 1, block_columns
        partial(i, l) = partial(i, l) + partial(i, l + 2)
      end do
    end do
    do l = 1, 1
      !$omp simd
      do i = 1, block_columns
        partial(i, l) = partial(i, l) + partial(i, l + 1)
      end do
    end do
    !$omp simd
    do i = 1, block_columns
      total(i) = partial(i, 1)
    end do

  end subroutine sum_block

  !> Normalise each group to mean 0 and variance 1, then scale and shift each channel, for half a block of columns.
  pure recursive subroutine normalise_half_block(count, n_inner, n_groups, n_out, scale, shift, x, y)
    integer, intent(in) :: count                        !! parts of the input
    integer, intent(in) :: n_inner                      !! repetitions in a part
    integer, intent(in) :: n_groups                     !! groups of channels
    integer, intent(in) :: n_out                        !! channels
    real(wp), intent(in) :: scale(n_out + 1)            !! factor of each channel, then what is added to variances [1]
    real(wp), intent(in) :: shift(n_out)                !! summand of each channel [1]
    real(wp), intent(in) :: x(lanes, n_out, n_inner, *) !! input (column, channel, repetition, part)
    real(wp), intent(inout) :: y(lanes, n_out, n_inner, *) !! output, of the same shape
    real(wp), dimension(lanes) :: mean, factor
    real(wp) :: n
    integer :: q, o, c, first, n_group, i

    n_group = n_out/n_groups
    n = real(n_group*n_inner, wp)
    do q = 1, count
      do first = 0, n_out - n_group, n_group
        call sum_half_block(n_group, n_inner, n_out, x(1, first + 1, 1, q), mean)
        !$omp simd
        do i = 1, lanes
          mean(i) = mean(i)/n
        end do
        do o = 1, n_inner
          do c = first + 1, first + n_group
            !$omp simd
            do i = 1, lanes
              y(i, c, o, q) = (x(i, c, o, q) - mean(i))*(x(i, c, o, q) - mean(i))
            end do
          end do
        end do
        call sum_half_block(n_group, n_inner, n_out, y(1, first + 1, 1, q), factor)
        !$omp simd
        do i = 1, lanes
          factor(i) = factor(i)/n
        end do
        !$omp simd
        do i = 1, lanes
          factor(i) = factor(i) + scale(n_out + 1)
          factor(i) = 1.0_wp/sqrt(merge(tiny(1.0_wp), factor(i), factor(i) < tiny(1.0_wp)))
        end do
        do o = 1, n_inner
          do c = first + 1, first + n_group
            !$omp simd
            do i = 1, lanes
              y(i, c, o, q) = (x(i, c, o, q) - mean(i))*(factor(i)*scale(c))
            end do
          end do
          do c = first + 1, first + n_group
            !$omp simd
            do i = 1, lanes
              y(i, c, o, q) = y(i, c, o, q) + shift(c)
            end do
          end do
        end do
      end do
    end do

  end subroutine normalise_half_block

  !> Compute the exponential of each feature of a row over the sum of those of the row, for half a block of columns.
  pure recursive subroutine softmax_half_block(count, n, x, y)
    integer, intent(in) :: count                        !! rows
    integer, intent(in) :: n                            !! features of a row
    real(wp), intent(in) :: x(lanes, n, *)              !! input (column, feature, row)
    real(wp), intent(inout) :: y(lanes, n, *)           !! output, of the same shape
    real(wp) :: largest(lanes), total(lanes)
    integer :: r, j, i

    do r = 1, count
      !$omp simd
      do i = 1, lanes
        largest(i) = x(i, 1, r)
      end do
      do j = 2, n
        !$omp simd
        do i = 1, lanes
          largest(i) = merge(x(i, j, r), largest(i), x(i, j, r) > largest(i))
        end do
      end do
      do j = 1, n
        !$omp simd
        do i = 1, lanes
          y(i, j, r) = x(i, j, r) - largest(i)
        end do
      end do
      call activate(activation_exp, lanes*n, y(1, 1, r), 0.0_wp)
      call sum_half_block(n, 1, n, y(1, 1, r), total)
      !$omp simd
      do i = 1, lanes
        total(i) = 1.0_wp/total(i)
      end do
      do j = 1, n
        !$omp simd
        do i = 1, lanes
          y(i, j, r) = y(i, j, r)*total(i)
        end do
      end do
    end do

  end subroutine softmax_half_block

  !> Sum up the features of a group, for half a block of columns.
  pure recursive subroutine sum_half_block(n_group, n_inner, n_out, x, total)
    integer, intent(in) :: n_group                      !! channels of the group
    integer, intent(in) :: n_inner                      !! repetitions
    integer, intent(in) :: n_out                        !! channels of all groups
    real(wp), intent(in) :: x(lanes, n_out, *)          !! input (column, channel, repetition)
    real(wp), intent(inout) :: total(lanes)             !! sum
    real(wp) :: partial(lanes, lanes), of_channel(lanes)
    integer :: c, o, l, i

    do l = n_group + 1, lanes
      !$omp simd
      do i = 1, lanes
        partial(i, l) = 0.0_wp
      end do
    end do
    do c = 1, n_group
      !$omp simd
      do i = 1, lanes
        of_channel(i) = x(i, c, 1)
      end do
      do o = 2, n_inner
        !$omp simd
        do i = 1, lanes
          of_channel(i) = of_channel(i) + x(i, c, o)
        end do
      end do
      l = 1 + mod(c - 1, lanes)
      if (c <= lanes) then
        !$omp simd
        do i = 1, lanes
          partial(i, l) = of_channel(i)
        end do
      else
        !$omp simd
        do i = 1, lanes
          partial(i, l) = partial(i, l) + of_channel(i)
        end do
      end if
    end do
    do l = 1, 8
      !$omp simd
      do i = 1, lanes
        partial(i, l) = partial(i, l) + partial(i, l + 8)
      end do
    end do
    do l = 1, 4
      !$omp simd
      do i = 1, lanes
        partial(i, l) = partial(i, l) + partial(i, l + 4)
      end do
    end do
    do l = 1, 2
      !$omp simd
      do i = 1, lanes
        partial(i, l) = partial(i, l) + partial(i, l + 2)
      end do
    end do
    do l = 1, 1
      !$omp simd
      do i = 1, lanes
        partial(i, l) = partial(i, l) + partial(i, l + 1)
      end do
    end do
    !$omp simd
    do i = 1, lanes
      total(i) = partial(i, 1)
    end do

  end subroutine sum_half_block

  !> Normalise each group to mean 0 and variance 1, then scale and shift each channel, for one column.
  pure recursive subroutine normalise_single(count, n_inner, n_groups, n_out, scale, shift, x, y)
    integer, intent(in) :: count                        !! parts of the input
    integer, intent(in) :: n_inner                      !! repetitions in a part
    integer, intent(in) :: n_groups                     !! groups of channels
    integer, intent(in) :: n_out                        !! channels
    real(wp), intent(in) :: scale(n_out + 1)            !! factor of each channel, then what is added to variances [1]
    real(wp), intent(in) :: shift(n_out)                !! summand of each channel [1]
    real(wp), intent(in) :: x(n_out*n_inner*count)      !! input (channel, repetition, part)
    real(wp), intent(inout) :: y(n_out*n_inner*count)   !! output, of the same shape
    integer :: n_group, n_parts, n_all, q, g, n, at

    ! Without repetitions, the groups of all parts follow each other.
    n_group = n_out/n_groups
    n_parts = merge(1, count, n_inner == 1)
    n_all = merge(count*n_groups, n_groups, n_inner == 1)
    do q = 0, n_parts - 1
      g = 0
      do while (g < n_all)
        n = min(max(1, part/n_group), n_all - g)
        at = 1 + q*n_inner*n_out + g*n_group
        call normalise_groups(n, n_group, n_inner, n_out, g, scale, shift, x(at), y(at))
        g = g + n
      end do
    end do

  end subroutine normalise_single

  !> Normalise consecutive groups of at most `part` channels, or one group, for one column.
  pure recursive subroutine normalise_groups(n, n_group, n_inner, n_out, first, scale, shift, x, y)
    integer, intent(in) :: n                            !! groups
    integer, intent(in) :: n_group                      !! channels of a group
    integer, intent(in) :: n_inner                      !! repetitions
    integer, intent(in) :: n_out                        !! channels of all groups of a part
    integer, intent(in) :: first                        !! groups before these
    real(wp), intent(in) :: scale(n_out + 1)            !! factor of each channel, then what is added to variances [1]
    real(wp), intent(in) :: shift(n_out)                !! summand of each channel [1]
    real(wp), intent(in) :: x(*)                        !! input (channel, repetition), n_out from one repetition to the next
    real(wp), intent(inout) :: y(*)                     !! output
    real(wp), dimension(part) :: mean, factor, mean_of, factor_of, shift_of
    real(wp) :: n_features
    integer :: g, o, c, at, from, width

    n_features = real(n_group*n_inner, wp)
    call sum_single(n, n_group, n_inner, n_out, x, mean)
    do g = 1, n
      mean(g) = mean(g)/n_features
    end do
    do from = 0, n*n_group - 1, part
      width = min(part, n*n_group - from)
      call spread_out(n, n_group, from, width, mean, mean_of)
      do o = 0, n_inner - 1
        at = o*n_out + from
        !$omp simd
        do c = 1, width
          y(at + c) = (x(at + c) - mean_of(c))*(x(at + c) - mean_of(c))
        end do
      end do
    end do
    call sum_single(n, n_group, n_inner, n_out, y, factor)
    do g = 1, n
      factor(g) = factor(g)/n_features
    end do
    do g = 1, n
      factor(g) = factor(g) + scale(n_out + 1)
      factor(g) = 1.0_wp/sqrt(merge(tiny(1.0_wp), factor(g), factor(g) < tiny(1.0_wp)))
    end do
    do from = 0, n*n_group - 1, part
      width = min(part, n*n_group - from)
      call spread_out(n, n_group, from, width, mean, mean_of)
      call spread_out(n, n_group, from, width, factor, factor_of)
      call take_channels(n_out, first*n_group + from, width, scale, shift, factor_of, shift_of)
      do o = 0, n_inner - 1
        at = o*n_out + from
        !$omp simd
        do c = 1, width
          y(at + c) = (x(at + c) - mean_of(c))*factor_of(c)
        end do
        !$omp simd
        do c = 1, width
          y(at + c) = y(at + c) + shift_of(c)
        end do
      end do
    end do

  end subroutine normalise_groups

  !> Copy the number of each group to its channels.
  pure recursive subroutine spread_out(n, n_group, first, width, of_group, of_channel)
    integer, intent(in) :: n                            !! groups
    integer, intent(in) :: n_group                      !! channels of a group
    integer, intent(in) :: first                        !! channels before the first
    integer, intent(in) :: width                        !! channels
    real(wp), intent(in) :: of_group(n)                 !! numbers of the groups
    real(wp), intent(inout) :: of_channel(part)         !! numbers of the channels
    real(wp) :: number
    integer :: g, c

    do g = first/n_group, (first + width - 1)/n_group
      number = of_group(g + 1)
      !$omp simd
      do c = max(0, g*n_group - first) + 1, min(width, (g + 1)*n_group - first)
        of_channel(c) = number
      end do
    end do

  end subroutine spread_out

  !> Multiply the factors of channels by their scales, and copy their shifts. The channels of all parts follow each other.
  pure recursive subroutine take_channels(n_out, first, width, scale, shift, factor, shift_of)
    integer, intent(in) :: n_out                        !! channels of a part
    integer, intent(in) :: first                        !! channels before the first
    integer, intent(in) :: width                        !! channels
    real(wp), intent(in) :: scale(n_out)                !! factor of each channel of a part [1]
    real(wp), intent(in) :: shift(n_out)                !! summand of each channel of a part [1]
    real(wp), intent(inout) :: factor(part)             !! factors of the groups; on return also of the channels
    real(wp), intent(inout) :: shift_of(part)           !! summands
    integer :: done, from, n, c

    done = 0
    do while (done < width)
      from = mod(first + done, n_out)
      n = min(width - done, n_out - from)
      !$omp simd
      do c = 1, n
        factor(done + c) = factor(done + c)*scale(from + c)
        shift_of(done + c) = shift(from + c)
      end do
      done = done + n
    end do

  end subroutine take_channels

  !> Compute the exponential of each feature of a row over the sum of those of the row, for one column.
  pure recursive subroutine softmax_single(count, n, x, y)
    integer, intent(in) :: count                        !! rows
    integer, intent(in) :: n                            !! features of a row
    real(wp), intent(in) :: x(*)                        !! input (n features, row)
    real(wp), intent(inout) :: y(*)                     !! output, of the same shape, with room for full lanes
    real(wp) :: largest(lanes), total(part), most
    integer :: r, j, l, at, first, rows, n_all

    n_all = n*count
    do at = 0, n_all - n, n
      largest = x(at + 1)
      do j = 0, n - lanes, lanes
        !$omp simd
        do l = 1, lanes
          largest(l) = merge(x(at + j + l), largest(l), x(at + j + l) > largest(l))
        end do
      end do
      if (n >= lanes) then
        ! These may be some of the last once more.
        do l = 1, lanes
          largest(l) = merge(x(at + n - lanes + l), largest(l), x(at + n - lanes + l) > largest(l))
        end do
      else
        do j = 2, n
          largest(1) = merge(x(at + j), largest(1), x(at + j) > largest(1))
        end do
      end if
      do l = 1, 8
        largest(l) = merge(largest(l + 8), largest(l), largest(l + 8) > largest(l))
      end do
      do l = 1, 4
        largest(l) = merge(largest(l + 4), largest(l), largest(l + 4) > largest(l))
      end do
      do l = 1, 2
        largest(l) = merge(largest(l + 2), largest(l), largest(l + 2) > largest(l))
      end do
      do l = 1, 1
        largest(l) = merge(largest(l + 1), largest(l), largest(l + 1) > largest(l))
      end do
      most = largest(1)
      !$omp simd
      do j = 1, n
        y(at + j) = x(at + j) - most
      end do
    end do
    ! The exponential gets full sets of lanes.
    do j = n_all + 1, n_all + modulo(-n_all, lanes)
      y(j) = 0.0_wp
    end do
    call activate(activation_exp, n_all + modulo(-n_all, lanes), y, 0.0_wp)
    do first = 0, count - 1, part
      rows = min(part, count - first)
      call sum_single(rows, n, 1, n, y(first*n + 1), total)
      do r = 1, rows
        most = 1.0_wp/total(r)
        at = (first + r - 1)*n
        !$omp simd
        do j = 1, n
          y(at + j) = y(at + j)*most
        end do
      end do
    end do

  end subroutine softmax_single

  !> Sum up the features of consecutive groups, for one column.
  pure recursive subroutine sum_single(n, n_group, n_inner, n_out, x, total)
    integer, intent(in) :: n                            !! groups
    integer, intent(in) :: n_group                      !! channels of a group
    integer, intent(in) :: n_inner                      !! repetitions
    integer, intent(in) :: n_out                        !! channels from one repetition to the next
    real(wp), intent(in) :: x(*)                        !! input (channel, repetition)
    real(wp), intent(inout) :: total(n)                 !! sums
    real(wp) :: of_channel(part), partial(lanes)
    integer :: from, width, o, g, c, i, at, l

    g = 1
    i = 0
    ! Only sums over repetitions are kept for `part` channels, and then of one group if they are fewer than it has.
    do from = 0, n*n_group - 1, merge(n*n_group, part, n_inner == 1)
      width = n*n_group - from
      if (n_inner > 1) then
        width = min(part, width)
        !$omp simd
        do c = 1, width
          of_channel(c) = x(from + c)
        end do
        do o = 1, n_inner - 1
          at = o*n_out + from
          !$omp simd
          do c = 1, width
            of_channel(c) = of_channel(c) + x(at + c)
          end do
        end do
      end if
      c = 0
      ! `i` channels of the group g have been added, a multiple of `lanes`.
      do while (c < width)
        l = min(lanes, n_group - i, width - c)
        if (n_inner > 1) then
          call add_channels(i == 0, l, of_channel(c + 1), partial)
        else
          call add_channels(i == 0, l, x(from + c + 1), partial)
        end if
        c = c + l
        i = i + l
        if (i < n_group) cycle
        do l = 1, 8
          partial(l) = partial(l) + partial(l + 8)
        end do
        do l = 1, 4
          partial(l) = partial(l) + partial(l + 4)
        end do
        do l = 1, 2
          partial(l) = partial(l) + partial(l + 2)
        end do
        do l = 1, 1
          partial(l) = partial(l) + partial(l + 1)
        end do
        total(g) = partial(1)
        g = g + 1
        i = 0
      end do
    end do

  end subroutine sum_single

  !> Add up to `lanes` channels to the sums of a group.
  pure recursive subroutine add_channels(is_first, n, x, partial)
    logical, intent(in) :: is_first                     !! whether the group begins
    integer, intent(in) :: n                            !! channels
    real(wp), intent(in) :: x(*)                        !! their sums
    real(wp), intent(inout) :: partial(lanes)           !! sums of the group
    integer :: l

    if (n == lanes) then
      if (is_first) then
        do l = 1, lanes
          partial(l) = x(l)
        end do
      else
        do l = 1, lanes
          partial(l) = partial(l) + x(l)
        end do
      end if
    else if (is_first) then
      do l = 1, lanes
        partial(l) = 0.0_wp
      end do
      do l = 1, n
        partial(l) = x(l)
      end do
    else
      do l = 1, n
        partial(l) = partial(l) + x(l)
      end do
    end if

  end subroutine add_channels

end module emufort_normalisation
