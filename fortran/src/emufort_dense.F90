!> Dense layers on packed weights, for a block of columns (column fastest), for one column, and for a few columns, each
!> with buffers of its own.
!>
!> Every neuron of every column is a sum of multiply-adds in an order that depends only on the sizes of the layer, so a
!> column has the same bits in every kernel. The inputs are divided into `n_chains` chains of equal length.
!> Each chain is summed in ascending order of its inputs, the first one from the bias, the others from zero. The chains
!> are added at the end: a + b, or (a + b) + (c + d).
module emufort_dense
  use emufort_kinds, only: wp, real32, lanes, block_columns, widest_panel
  use emufort_dense_kernels, only: &
    dense_32x8_of_16, dense_32x8, dense_32x4, dense_16x16, dense_16x8_of_16, dense_16x8, dense_16x4, &
    dense_32x16_in_2, dense_32x4_of_8_in_2, dense_32x4_in_2, dense_16x8_of_16_in_2, dense_16x8_in_2, &
    dense_16x4_of_16_in_2, dense_16x4_of_8_in_2, dense_16x4_in_2, dense_16x4_in_4, dense_16x2_of_4_in_4, &
    dense_32x1_of_4_in_4, dense_16x1_of_4_in_4, add_32x4_in_2, &
    dense_1x128, dense_1x64, dense_1x32, dense_1x16, dense_1x8, dense_1x4, &
    dense_1x64_in_2, dense_1x32_in_2, dense_1x16_in_2, dense_1x8_in_2, dense_1x4_in_2, dense_1x4_in_4, &
    dense_2x32, dense_2x16, dense_2x32_in_2, dense_2x16_in_2, dense_3x32, dense_3x16, dense_3x32_in_2, &
    dense_3x16_in_2, dense_4x32, dense_4x16, dense_4x32_in_2, dense_4x16_in_2
  implicit none
  private

  public :: dense_block, dense_half_block, dense_single, dense_few, pack_layer, panel_width, padded_width, packed_size
  public :: few_columns, is_wide, packed_slack

  !> Number of values that must follow the packed layers, because a narrow panel is read as if it were a wide one.
  integer, parameter :: packed_slack = widest_panel

  !> Largest number of columns for which `dense_few` loads each weight once.
  integer, parameter :: few_columns = 4

  !> Whether full blocks of `block_columns` are faster. In double precision their accumulators exceed the registers.
  logical, parameter :: is_wide = wp == real32

  !> Largest number of neurons of a layer whose sums are divided into 2 chains, and into 4. Wider layers have enough
  !> sums for one column.
  integer, parameter :: most_neurons_in_2 = 64, most_neurons_in_4 = 4
  !> Smallest number of inputs of a layer whose sums are divided. With fewer inputs, the sums are short.
  integer, parameter :: fewest_inputs = 24

contains

  !> Return the number of chains into which the inputs of a layer are divided: 1, 2 or 4, a divisor of `n_in`.
  !>
  !> A core has 8 multiply-adds in flight: it starts 2 per cycle, and each takes 4 cycles. In a block, every neuron of
  !> every vector of columns is an independent sum. One column of a narrow layer has fewer than 8 sums, unless they are
  !> divided into chains.
  pure recursive integer function n_chains(n_in, n_out)
    integer, intent(in) :: n_in    !! number of inputs of the layer
    integer, intent(in) :: n_out   !! number of neurons of the layer

    n_chains = 1
    if (n_in < fewest_inputs) return
    if (n_out <= most_neurons_in_4 .and. mod(n_in, 4) == 0) then
      n_chains = 4
    else if (n_out <= most_neurons_in_2 .and. mod(n_in, 2) == 0) then
      n_chains = 2
    end if

  end function n_chains

  !> Return the number of neurons in the next panel if `n_left` neurons remain.
  pure recursive integer function panel_width(n_left)
    integer, intent(in) :: n_left   !! neurons that have no panel yet

    if (n_left > 12) then
      panel_width = widest_panel
    else if (n_left > 4) then
      panel_width = 8
    else
      panel_width = 4
    end if

  end function panel_width

  !> Return the number of neurons of a layer, with the padding of its last panel.
  pure recursive integer function padded_width(n_out)
    integer, intent(in) :: n_out   !! number of neurons of the layer

    padded_width = 4*((n_out + 3)/4)

  end function padded_width

  !> Return the number of values of a packed layer. It is a multiple of `lanes`, so that the next layer begins on a
  !> cache line if this one does. A vector across two cache lines costs two loads, and one column then takes up to 1.5
  !> times as long.
  pure recursive integer function packed_size(n_in, n_out)
    integer, intent(in) :: n_in    !! number of inputs of the layer
    integer, intent(in) :: n_out   !! number of neurons of the layer

    packed_size = lanes*((padded_width(n_out)*(n_in + 1) + lanes - 1)/lanes)

  end function packed_size

  !> Pack a layer into panels of 16, 8 or 4 neurons: (neuron of the panel, 0:n_in), bias at 0, zeros as padding.
  pure recursive subroutine pack_layer(n_in, n_out, weight, bias, packed)
    integer, intent(in) :: n_in                    !! number of inputs of the layer
    integer, intent(in) :: n_out                   !! number of neurons of the layer
    real(wp), intent(in) :: weight(n_in, n_out)    !! weights [1]
    real(wp), intent(in) :: bias(n_out)            !! biases [1]
    real(wp), intent(out) :: packed(:)             !! packed layer [1] (packed_size(n_in, n_out))
    integer :: first, width, start, o, k, place

    packed = 0.0_wp
    first = 0
    start = 0
    do while (first < n_out)
      width = panel_width(n_out - first)
      do o = 1, min(width, n_out - first)
        packed(start + o) = bias(first + o)
        do k = 1, n_in
          place = start + k*width + o
          packed(place) = weight(k, first + o)
        end do
      end do
      start = start + width*(n_in + 1)
      first = first + width
    end do

  end subroutine pack_layer

  !> Evaluate a dense layer on a full block of columns.
  pure recursive subroutine dense_block(n_in, n_out, w, x, y, lowest)
    integer, intent(in) :: n_in                            !! number of inputs of the layer
    integer, intent(in) :: n_out                           !! number of neurons of the layer
    real(wp), intent(in) :: w(*)                           !! packed layer [1]
    real(wp), intent(in) :: x(block_columns, n_in)         !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(block_columns, *)         !! outputs of the layer [1] (column, neuron), padded
    real(wp), intent(in) :: lowest                         !! lower bound of the outputs [1]
    integer :: first, width, start, chains, o

    chains = n_chains(n_in, n_out)
    if (chains == 4 .and. n_out == 1) then
      call dense_32x1_of_4_in_4(n_in, w, x, y, lowest)
      return
    else if (chains == 4) then
      call dense_32x4_in_2(n_in/2, w, x, y, -huge(1.0_wp))
      call add_32x4_in_2(n_in/2, w(1 + 4*(n_in/2 + 1)), x(1, n_in/2 + 1), y, lowest)
      return
    end if
    first = 1
    start = 1
    do while (first <= n_out)
      width = panel_width(n_out - first + 1)
      if (chains == 2) then
        select case (width)
        case (widest_panel)
          call dense_32x16_in_2(n_in, w(start), x, y(1, first), lowest)
        case (8)
          do o = 0, 4, 4
            call dense_32x4_of_8_in_2(n_in, w(start + o), x, y(1, first + o), lowest)
          end do
        case default
          call dense_32x4_in_2(n_in, w(start), x, y(1, first), lowest)
        end select
      else if (width == widest_panel) then
        call dense_32x8_of_16(n_in, w(start), x, y(1, first), lowest)
        call dense_32x8_of_16(n_in, w(start + 8), x, y(1, first + 8), lowest)
      else if (width == 8) then
        call dense_32x8(n_in, w(start), x, y(1, first), lowest)
      else
        call dense_32x4(n_in, w(start), x, y(1, first), lowest)
      end if
      start = start + width*(n_in + 1)
      first = first + width
    end do

  end subroutine dense_block

  !> Evaluate a dense layer on half a block of columns.
  pure recursive subroutine dense_half_block(n_in, n_out, w, x, y, lowest)
    integer, intent(in) :: n_in                  !! number of inputs of the layer
    integer, intent(in) :: n_out                 !! number of neurons of the layer
    real(wp), intent(in) :: w(*)                 !! packed layer [1]
    real(wp), intent(in) :: x(lanes, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(lanes, *)       !! outputs of the layer [1] (column, neuron), padded
    real(wp), intent(in) :: lowest               !! lower bound of the outputs [1]
    integer :: first, width, start, chains, o

    chains = n_chains(n_in, n_out)
    if (chains == 4) then
      if (n_out == 1) then
        call dense_16x1_of_4_in_4(n_in, w, x, y, lowest)
      else if (is_wide .and. n_out > 2) then
        call dense_16x4_in_4(n_in, w, x, y, lowest)
      else
        do o = 0, n_out - 1, 2
          call dense_16x2_of_4_in_4(n_in, w(1 + o), x, y(1, 1 + o), lowest)
        end do
      end if
      return
    end if
    first = 1
    start = 1
    do while (first <= n_out)
      width = panel_width(n_out - first + 1)
      if (chains == 2) then
        do o = 0, width - 1, merge(8, 4, is_wide)
          if (width == 4) then
            call dense_16x4_in_2(n_in, w(start), x, y(1, first), lowest)
          else if (width == 8 .and. is_wide) then
            call dense_16x8_in_2(n_in, w(start), x, y(1, first), lowest)
          else if (width == 8) then
            call dense_16x4_of_8_in_2(n_in, w(start + o), x, y(1, first + o), lowest)
          else if (is_wide) then
            call dense_16x8_of_16_in_2(n_in, w(start + o), x, y(1, first + o), lowest)
          else
            call dense_16x4_of_16_in_2(n_in, w(start + o), x, y(1, first + o), lowest)
          end if
        end do
      else if (width == widest_panel .and. is_wide) then
        call dense_16x16(n_in, w(start), x, y(1, first), lowest)
      else if (width == widest_panel) then
        call dense_16x8_of_16(n_in, w(start), x, y(1, first), lowest)
        call dense_16x8_of_16(n_in, w(start + 8), x, y(1, first + 8), lowest)
      else if (width == 8) then
        call dense_16x8(n_in, w(start), x, y(1, first), lowest)
      else
        call dense_16x4(n_in, w(start), x, y(1, first), lowest)
      end if
      start = start + width*(n_in + 1)
      first = first + width
    end do

  end subroutine dense_half_block

  !> Evaluate a dense layer on one column.
  pure recursive subroutine dense_single(n_in, n_out, w, x, y, lowest)
    integer, intent(in) :: n_in              !! number of inputs of the layer
    integer, intent(in) :: n_out             !! number of neurons of the layer
    real(wp), intent(in) :: w(*)             !! packed layer [1]
    real(wp), intent(in) :: x(n_in)          !! inputs of the layer [1]
    real(wp), intent(inout) :: y(*)          !! outputs of the layer [1], padded
    real(wp), intent(in) :: lowest           !! lower bound of the outputs [1]
    integer :: first, left, start, chains, n_panels

    chains = n_chains(n_in, n_out)
    first = 1
    start = 1
    do
      left = n_out - first + 1
      ! Remaining panels of 16; the last may have 13 to 15 neurons.
      n_panels = (left + 3)/widest_panel
      if (n_panels >= 8) then
        n_panels = 8
        call dense_1x128(n_in, w(start), x, y(first), lowest)
      else if (n_panels >= 4) then
        n_panels = 4
        if (chains == 1) then
          call dense_1x64(n_in, w(start), x, y(first), lowest)
        else
          call dense_1x64_in_2(n_in, w(start), x, y(first), lowest)
        end if
      else if (n_panels >= 2) then
        n_panels = 2
        if (chains == 1) then
          call dense_1x32(n_in, w(start), x, y(first), lowest)
        else
          call dense_1x32_in_2(n_in, w(start), x, y(first), lowest)
        end if
      else if (n_panels == 1) then
        if (chains == 1) then
          call dense_1x16(n_in, w(start), x, y(first), lowest)
        else
          call dense_1x16_in_2(n_in, w(start), x, y(first), lowest)
        end if
      else
        exit
      end if
      first = first + n_panels*widest_panel
      start = start + n_panels*widest_panel*(n_in + 1)
    end do
    if (left > 4) then
      if (chains == 1) then
        call dense_1x8(n_in, w(start), x, y(first), lowest)
      else
        call dense_1x8_in_2(n_in, w(start), x, y(first), lowest)
      end if
      first = first + 8
      start = start + 8*(n_in + 1)
      left = left - 8
    end if
    if (left < 1) return
    select case (chains)
    case (1)
      call dense_1x4(n_in, w(start), x, y(first), lowest)
    case (2)
      call dense_1x4_in_2(n_in, w(start), x, y(first), lowest)
    case default
      call dense_1x4_in_4(n_in, w(start), x, y(first), lowest)
    end select

  end subroutine dense_single

  !> Evaluate a dense layer on a few columns, each with the layout of one column. Every weight is loaded once for all of
  !> them, because one column of a large layer waits for its weights to come from the second cache.
  pure recursive subroutine dense_few(n, n_in, n_out, w, x, x_step, y, y_step, lowest)
    integer, intent(in) :: n                 !! number of columns, 1 to few_columns
    integer, intent(in) :: n_in              !! number of inputs of the layer
    integer, intent(in) :: n_out             !! number of neurons of the layer
    real(wp), intent(in) :: w(*)             !! packed layer [1]
    real(wp), intent(in) :: x(*)             !! inputs of the layer [1] (x_step, column)
    integer, intent(in) :: x_step            !! elements between the inputs of two columns
    real(wp), intent(inout) :: y(*)          !! outputs of the layer [1] (y_step, column), each padded
    integer, intent(in) :: y_step            !! elements between the outputs of two columns
    real(wp), intent(in) :: lowest           !! lower bound of the outputs [1]
    integer :: chains, first, start, left, c

    chains = n_chains(n_in, n_out)
    if (n == 1 .or. chains == 4) then
      do c = 0, n - 1
        call dense_single(n_in, n_out, w, x(1 + c*x_step), y(1 + c*y_step), lowest)
      end do
      return
    end if
    left = n_out
    first = 1
    start = 1
    ! The last panel of 16 may have 13 to 15 neurons.
    do while (left > 28)
      call few_of_32(n, chains, n_in, w(start), x, x_step, y(first), y_step, lowest)
      left = left - 2*widest_panel
      first = first + 2*widest_panel
      start = start + 2*widest_panel*(n_in + 1)
    end do
    if (left > 12) then
      call few_of_16(n, chains, n_in, w(start), x, x_step, y(first), y_step, lowest)
      left = left - widest_panel
      first = first + widest_panel
      start = start + widest_panel*(n_in + 1)
    end if
    ! Narrow panels gain little, because their neurons use a part of the lanes only.
    do c = 0, n - 1
      call narrow_panels(left, chains, n_in, w(start), x(1 + c*x_step), y(first + c*y_step), lowest)
    end do

  end subroutine dense_few

  !> Evaluate 32 neurons on 2 to 4 columns.
  pure recursive subroutine few_of_32(n, chains, n_in, w, x, x_step, y, y_step, lowest)
    integer, intent(in) :: n                 !! number of columns
    integer, intent(in) :: chains            !! chains of each sum, 1 or 2
    integer, intent(in) :: n_in              !! number of inputs of the layer
    real(wp), intent(in) :: w(*)             !! two panels [1]
    real(wp), intent(in) :: x(*)             !! inputs of the layer [1] (x_step, column)
    integer, intent(in) :: x_step            !! elements between the inputs of two columns
    real(wp), intent(inout) :: y(*)          !! outputs of the layer [1] (y_step, column)
    integer, intent(in) :: y_step            !! elements between the outputs of two columns
    real(wp), intent(in) :: lowest           !! lower bound of the outputs [1]

    select case (10*n + chains)
    case (21)
      call dense_2x32(n_in, w, x, y, lowest, x_step, y_step)
    case (31)
      call dense_3x32(n_in, w, x, y, lowest, x_step, y_step)
    case (41)
      call dense_4x32(n_in, w, x, y, lowest, x_step, y_step)
    case (22)
      call dense_2x32_in_2(n_in, w, x, y, lowest, x_step, y_step)
    case (32)
      call dense_3x32_in_2(n_in, w, x, y, lowest, x_step, y_step)
    case default
      call dense_4x32_in_2(n_in, w, x, y, lowest, x_step, y_step)
    end select

  end subroutine few_of_32

  !> Evaluate 16 neurons on 2 to 4 columns.
  pure recursive subroutine few_of_16(n, chains, n_in, w, x, x_step, y, y_step, lowest)
    integer, intent(in) :: n                 !! number of columns
    integer, intent(in) :: chains            !! chains of each sum, 1 or 2
    integer, intent(in) :: n_in              !! number of inputs of the layer
    real(wp), intent(in) :: w(*)             !! one panel [1]
    real(wp), intent(in) :: x(*)             !! inputs of the layer [1] (x_step, column)
    integer, intent(in) :: x_step            !! elements between the inputs of two columns
    real(wp), intent(inout) :: y(*)          !! outputs of the layer [1] (y_step, column)
    integer, intent(in) :: y_step            !! elements between the outputs of two columns
    real(wp), intent(in) :: lowest           !! lower bound of the outputs [1]

    select case (10*n + chains)
    case (21)
      call dense_2x16(n_in, w, x, y, lowest, x_step, y_step)
    case (31)
      call dense_3x16(n_in, w, x, y, lowest, x_step, y_step)
    case (41)
      call dense_4x16(n_in, w, x, y, lowest, x_step, y_step)
    case (22)
      call dense_2x16_in_2(n_in, w, x, y, lowest, x_step, y_step)
    case (32)
      call dense_3x16_in_2(n_in, w, x, y, lowest, x_step, y_step)
    case default
      call dense_4x16_in_2(n_in, w, x, y, lowest, x_step, y_step)
    end select

  end subroutine few_of_16

  !> Evaluate the last 1 to 12 neurons of a layer on one column.
  pure recursive subroutine narrow_panels(left, chains, n_in, w, x, y, lowest)
    integer, intent(in) :: left              !! number of neurons; nothing is done if there are none
    integer, intent(in) :: chains            !! chains of each sum, 1 or 2
    integer, intent(in) :: n_in              !! number of inputs of the layer
    real(wp), intent(in) :: w(*)             !! panel of 8 and panel of 4, or one of them [1]
    real(wp), intent(in) :: x(n_in)          !! inputs of the layer [1]
    real(wp), intent(inout) :: y(*)          !! outputs of the neurons [1], padded
    real(wp), intent(in) :: lowest           !! lower bound of the outputs [1]
    integer :: first

    first = 0
    if (left > 4) then
      if (chains == 1) then
        call dense_1x8(n_in, w, x, y, lowest)
      else
        call dense_1x8_in_2(n_in, w, x, y, lowest)
      end if
      first = 8
    end if
    if (left <= first) return
    if (chains == 1) then
      call dense_1x4(n_in, w(1 + first*(n_in + 1)), x, y(1 + first), lowest)
    else
      call dense_1x4_in_2(n_in, w(1 + first*(n_in + 1)), x, y(1 + first), lowest)
    end if

  end subroutine narrow_panels

end module emufort_dense
