!> Dense layers on packed weights, for a block of columns (column fastest) and for one column.
!>
!> Every neuron of every column is a sum of multiply-adds in an order that depends on the sizes of the layer alone, so
!> a column has the same bits in whichever kernel it is computed: bias first, then the inputs in ascending order, in as
!> many parts of equal length as `n_parts` says, each a chain of its own; the parts are added at the end.
module emufort_dense
  use emufort_kinds, only: wp, real32, lanes, block_columns, widest_panel
  use emufort_panels, only: panel_32x8_of_16, panel_32x8, panel_32x4, panel_16x16, panel_16x8_of_16, panel_16x8, &
                            panel_16x4
  use emufort_parts, only: two_parts_32x16, two_parts_32x4_of_8, two_parts_32x4, two_more_32x4, &
                           two_parts_16x8_of_16, two_parts_16x8, two_parts_16x4_of_16, two_parts_16x4_of_8, &
                           two_parts_16x4, quarters_32x1_of_4, quarters_16x4, quarters_16x2_of_4, &
                           quarters_16x1_of_4
  use emufort_single, only: single_16x8, single_16x4, single_16x2, single_16x1, single_8, single_4, halves_16x4, &
                            halves_16x2, halves_16x1, halves_8, halves_4, quarters_4
  implicit none
  private

  public :: dense_block, dense_half_block, dense_single, pack_layer, panel_width, padded_width, packed_size
  public :: is_wide, packed_slack

  !> Values that must follow the packed layers, because a narrow panel is read as if it were a wide one.
  integer, parameter :: packed_slack = widest_panel

  !> Whether full blocks of `block_columns` pay: in double precision their accumulators exceed the registers.
  logical, parameter :: is_wide = wp == real32

  !> Layers of more neurons have chains enough for one column without parts.
  integer, parameter :: most_neurons_of_halves = 64, most_neurons_of_quarters = 4
  !> With fewer inputs the sums are short anyway.
  integer, parameter :: least_inputs_of_parts = 24

contains

  !> Number of parts in which the inputs of a layer are summed: a divisor of `n_in`.
  !>
  !> A core has 8 multiply-adds in flight (2 begun a cycle, 4 cycles each). In a block every neuron of every vector of
  !> columns is a chain of its own. One column of a narrow layer has fewer chains than that, unless each is cut.
  pure recursive integer function n_parts(n_in, n_out)
    integer, intent(in) :: n_in    !! number of inputs of the layer
    integer, intent(in) :: n_out   !! number of neurons of the layer

    n_parts = 1
    if (n_in < least_inputs_of_parts) return
    if (n_out <= most_neurons_of_quarters .and. mod(n_in, 4) == 0) then
      n_parts = 4
    else if (n_out <= most_neurons_of_halves .and. mod(n_in, 2) == 0) then
      n_parts = 2
    end if

  end function n_parts

  !> Number of neurons in the next panel when `n_left` neurons are left.
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

  !> Number of neurons of a layer with those that fill up its last panel.
  pure recursive integer function padded_width(n_out)
    integer, intent(in) :: n_out   !! number of neurons of the layer

    padded_width = 4*((n_out + 3)/4)

  end function padded_width

  !> Number of values that a packed layer takes: a multiple of `lanes`, so that the next layer begins on a cache line
  !> if this one does. A vector that straddles two lines costs two loads, which one column feels (up to 1.5 times).
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

  !> A dense layer on a full block of columns.
  pure recursive subroutine dense_block(n_in, n_out, w, x, y, lowest)
    integer, intent(in) :: n_in                            !! number of inputs of the layer
    integer, intent(in) :: n_out                           !! number of neurons of the layer
    real(wp), intent(in) :: w(*)                           !! packed layer [1]
    real(wp), intent(in) :: x(block_columns, n_in)         !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(block_columns, *)         !! outputs of the layer [1] (column, neuron), padded
    real(wp), intent(in) :: lowest                         !! values below are raised to this [1]
    integer :: first, width, start, parts, part, o

    parts = n_parts(n_in, n_out)
    part = n_in/parts
    if (parts == 4 .and. n_out == 1) then
      call quarters_32x1_of_4(n_in, w, x, y, lowest)
      return
    else if (parts == 4) then
      call two_parts_32x4(part, w, x, y, -huge(1.0_wp))
      call two_more_32x4(part, w(1 + 4*(2*part + 1)), x(1, 2*part + 1), y, lowest)
      return
    end if
    first = 1
    start = 1
    do while (first <= n_out)
      width = panel_width(n_out - first + 1)
      if (parts == 2) then
        select case (width)
        case (widest_panel)
          call two_parts_32x16(part, w(start), x, y(1, first), lowest)
        case (8)
          do o = 0, 4, 4
            call two_parts_32x4_of_8(part, w(start + o), x, y(1, first + o), lowest)
          end do
        case default
          call two_parts_32x4(part, w(start), x, y(1, first), lowest)
        end select
      else if (width == widest_panel) then
        call panel_32x8_of_16(n_in, w(start), x, y(1, first), lowest)
        call panel_32x8_of_16(n_in, w(start + 8), x, y(1, first + 8), lowest)
      else if (width == 8) then
        call panel_32x8(n_in, w(start), x, y(1, first), lowest)
      else
        call panel_32x4(n_in, w(start), x, y(1, first), lowest)
      end if
      start = start + width*(n_in + 1)
      first = first + width
    end do

  end subroutine dense_block

  !> A dense layer on half a block of columns.
  pure recursive subroutine dense_half_block(n_in, n_out, w, x, y, lowest)
    integer, intent(in) :: n_in                  !! number of inputs of the layer
    integer, intent(in) :: n_out                 !! number of neurons of the layer
    real(wp), intent(in) :: w(*)                 !! packed layer [1]
    real(wp), intent(in) :: x(lanes, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(lanes, *)       !! outputs of the layer [1] (column, neuron), padded
    real(wp), intent(in) :: lowest               !! values below are raised to this [1]
    integer :: first, width, start, parts, part, o

    parts = n_parts(n_in, n_out)
    part = n_in/parts
    if (parts == 4) then
      if (n_out == 1) then
        call quarters_16x1_of_4(n_in, w, x, y, lowest)
      else if (is_wide .and. n_out > 2) then
        call quarters_16x4(n_in, w, x, y, lowest)
      else
        do o = 0, n_out - 1, 2
          call quarters_16x2_of_4(n_in, w(1 + o), x, y(1, 1 + o), lowest)
        end do
      end if
      return
    end if
    first = 1
    start = 1
    do while (first <= n_out)
      width = panel_width(n_out - first + 1)
      if (parts == 2) then
        do o = 0, width - 1, merge(8, 4, is_wide)
          if (width == 4) then
            call two_parts_16x4(part, w(start), x, y(1, first), lowest)
          else if (width == 8 .and. is_wide) then
            call two_parts_16x8(part, w(start), x, y(1, first), lowest)
          else if (width == 8) then
            call two_parts_16x4_of_8(part, w(start + o), x, y(1, first + o), lowest)
          else if (is_wide) then
            call two_parts_16x8_of_16(part, w(start + o), x, y(1, first + o), lowest)
          else
            call two_parts_16x4_of_16(part, w(start + o), x, y(1, first + o), lowest)
          end if
        end do
      else if (width == widest_panel .and. is_wide) then
        call panel_16x16(n_in, w(start), x, y(1, first), lowest)
      else if (width == widest_panel) then
        call panel_16x8_of_16(n_in, w(start), x, y(1, first), lowest)
        call panel_16x8_of_16(n_in, w(start + 8), x, y(1, first + 8), lowest)
      else if (width == 8) then
        call panel_16x8(n_in, w(start), x, y(1, first), lowest)
      else
        call panel_16x4(n_in, w(start), x, y(1, first), lowest)
      end if
      start = start + width*(n_in + 1)
      first = first + width
    end do

  end subroutine dense_half_block

  !> A dense layer on one column.
  pure recursive subroutine dense_single(n_in, n_out, w, x, y, lowest)
    integer, intent(in) :: n_in              !! number of inputs of the layer
    integer, intent(in) :: n_out             !! number of neurons of the layer
    real(wp), intent(in) :: w(*)             !! packed layer [1]
    real(wp), intent(in) :: x(n_in)          !! inputs of the layer [1]
    real(wp), intent(inout) :: y(*)          !! outputs of the layer [1], padded
    real(wp), intent(in) :: lowest           !! values below are raised to this [1]
    integer :: first, left, start, panel, n, parts

    parts = n_parts(n_in, n_out)
    first = 1
    start = 1
    panel = widest_panel*(n_in + 1)
    do
      left = n_out - first + 1
      ! Panels of 16 that are left; the last may be one of 13 to 15 neurons.
      n = (left + 3)/widest_panel
      if (n >= 8) then
        n = 8
        call single_16x8(n_in, w(start), x, y(first), lowest)
      else if (n >= 4) then
        n = 4
        if (parts == 1) then
          call single_16x4(n_in, w(start), x, y(first), lowest)
        else
          call halves_16x4(n_in, w(start), x, y(first), lowest)
        end if
      else if (n >= 2) then
        n = 2
        if (parts == 1) then
          call single_16x2(n_in, w(start), x, y(first), lowest)
        else
          call halves_16x2(n_in, w(start), x, y(first), lowest)
        end if
      else if (n == 1) then
        if (parts == 1) then
          call single_16x1(n_in, w(start), x, y(first), lowest)
        else
          call halves_16x1(n_in, w(start), x, y(first), lowest)
        end if
      else
        exit
      end if
      first = first + n*widest_panel
      start = start + n*panel
    end do
    if (left > 4) then
      if (parts == 1) then
        call single_8(n_in, w(start), x, y(first), lowest)
      else
        call halves_8(n_in, w(start), x, y(first), lowest)
      end if
      first = first + 8
      start = start + 8*(n_in + 1)
      left = left - 8
    end if
    if (left < 1) return
    select case (parts)
    case (1)
      call single_4(n_in, w(start), x, y(first), lowest)
    case (2)
      call halves_4(n_in, w(start), x, y(first), lowest)
    case default
      call quarters_4(n_in, w(start), x, y(first), lowest)
    end select

  end subroutine dense_single

end module emufort_dense
