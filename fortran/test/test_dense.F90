!> Compares dense layers of 1 to 130 inputs and neurons, bit by bit, with the order of summation that emufort_dense
!> describes: in blocks of 32 and 16 columns, column by column, and for a few columns with separate buffers.
!>
!> Weights and inputs have at most half of the digits of the kind, so that a product is exact. A fused multiply-add then
!> gives the same bits as a multiplication and an addition, and the bits depend only on the order of the sums.
program test_dense
  use emufort_dense, only: dense_block, dense_half_block, dense_single, dense_few, few_columns, pack_layer, &
                           padded_width, packed_size, packed_slack
  use emufort_kinds, only: wp, int64, real32, lanes, block_columns, widest_panel
  use test_support, only: check
  implicit none
  integer, parameter :: largest = 130
  integer, parameter :: half_of_digits = merge(12, 26, wp == real32)
  real(wp) :: weight(largest, largest), bias(largest)
  real(wp) :: inputs(block_columns, largest + 1)
  real(wp), allocatable :: packed(:)
  integer(int64) :: state
  integer :: n_in, n_out

  state = 1_int64
  do n_in = 1, largest
    call fill(bias(n_in:n_in))
    call fill(weight(:, n_in))
    call fill(inputs(:, n_in))
    ! inputs of different magnitude, so that every addition rounds
    inputs(:, n_in) = inputs(:, n_in)*2.0_wp**(-mod(7*n_in, 11))
  end do
  ! the input past the end, which kernels may read and must not use
  inputs(:, largest + 1) = huge(1.0_wp)
  allocate (packed(packed_size(largest, largest) + packed_slack))
  packed = 0.0_wp
  do n_out = 1, largest
    do n_in = 1, largest
      ! with and without a lower bound, as for relu and for a linear layer
      call compare(merge(0.0_wp, -huge(1.0_wp), mod(n_in + n_out, 3) == 0))
    end do
  end do
  print '(a)', 'dense layers sum in the order that is promised'

contains

  !> Return random numbers between -1 and 1 with few digits.
  subroutine fill(values)
    real(wp), intent(out) :: values(:)   !! [1]
    integer(int64), parameter :: one = 2_int64**half_of_digits
    integer :: i

    do i = 1, size(values)
      ! Lehmer's generator
      state = mod(48271_int64*state, 2147483647_int64)
      values(i) = real(mod(state, 2*one) - one, wp)/real(one, wp)
    end do

  end subroutine fill

  !> Compare a layer of `n_in` inputs and `n_out` neurons with plain sums.
  subroutine compare(lowest)
    real(wp), intent(in) :: lowest   !! lower bound of the values [1]
    real(wp) :: wanted(block_columns, n_out)
    real(wp) :: whole(block_columns, padded_width(n_out)), half(lanes, padded_width(n_out))
    real(wp) :: one(padded_width(n_out) + widest_panel), column_of_inputs(n_in)
    real(wp) :: few(padded_width(n_out) + widest_panel, few_columns), inputs_of_few(n_in + 3, few_columns)
    character(len=60) :: what
    integer :: o, column, n, c

    write (what, '(i0,a,i0,a)') n_in, ' inputs, ', n_out, ' neurons, '
    do o = 1, n_out
      wanted(:, o) = plain_sum(weight(1:n_in, o), bias(o), lowest)
    end do
    call pack_layer(n_in, n_out, weight(1:n_in, 1:n_out), bias(1:n_out), packed(1:packed_size(n_in, n_out)))
    call dense_block(n_in, n_out, packed, inputs, whole, lowest)
    call check(all(same(whole(:, 1:n_out), wanted)), trim(what)//' a block')
    call dense_half_block(n_in, n_out, packed, inputs(1:lanes, :), half, lowest)
    call check(all(same(half(:, 1:n_out), wanted(1:lanes, :))), trim(what)//' half a block')
    column = 1 + mod(n_in + n_out, block_columns)
    column_of_inputs = inputs(column, 1:n_in)
    call dense_single(n_in, n_out, packed, column_of_inputs, one, lowest)
    call check(all(same(one(1:n_out), wanted(column, :))), trim(what)//' one column')
    do c = 1, few_columns
      inputs_of_few(1:n_in, c) = inputs(mod(column + c, block_columns) + 1, 1:n_in)
    end do
    inputs_of_few(n_in + 1:, :) = huge(1.0_wp)
    do n = 1, few_columns
      few = huge(1.0_wp)
      call dense_few(n, n_in, n_out, packed, inputs_of_few, size(inputs_of_few, 1), few, size(few, 1), lowest)
      do c = 1, n
        call check(all(same(few(1:n_out, c), wanted(mod(column + c, block_columns) + 1, :))), &
                   trim(what)//' a few columns')
      end do
      call check(all(few(:, n + 1:) >= huge(1.0_wp)), trim(what)//' columns that were not asked for')
    end do

  end subroutine compare

  !> Compute one neuron for all columns: chains of inputs in ascending order, the first of which starts from the bias;
  !> the chains are added at the end.
  function plain_sum(weights, start, lowest) result(y)
    real(wp), intent(in) :: weights(n_in)   !! [1]
    real(wp), intent(in) :: start           !! bias [1]
    real(wp), intent(in) :: lowest          !! lower bound of the values [1]
    real(wp) :: y(block_columns), sums(block_columns, 4)
    integer :: n_chains, n, chain, k, i

    n_chains = 1
    if (n_in >= 24 .and. n_out <= 64 .and. mod(n_in, 2) == 0) n_chains = 2
    if (n_in >= 24 .and. n_out <= 4 .and. mod(n_in, 4) == 0) n_chains = 4
    n = n_in/n_chains
    sums = 0.0_wp
    sums(:, 1) = start
    do chain = 1, n_chains
      do k = (chain - 1)*n + 1, chain*n
        do i = 1, block_columns
          sums(i, chain) = sums(i, chain) + weights(k)*inputs(i, k)
        end do
      end do
    end do
    y = max((sums(:, 1) + sums(:, 2)) + (sums(:, 3) + sums(:, 4)), lowest)

  end function plain_sum

  !> Whether two numbers have the same bits; neither may be NaN.
  pure elemental logical function same(x, y)
    real(wp), intent(in) :: x, y   !! [1]

    same = abs(x - y) <= 0.0_wp .and. sign(1.0_wp, x)*sign(1.0_wp, y) > 0.0_wp

  end function same

end program test_dense
