#ifdef __flang__
#define SUMS real(wp), dimension(lanes)
#define LANE(sum) sum(i)
#define INPUTS end do; do k = 1, n_in; do i = 1, lanes
#define END_INPUTS end do; end do; do i = 1, lanes
#else
#define SUMS real(wp)
#define LANE(sum) sum
#define INPUTS do k = 1, n_in
#define END_INPUTS end do
#endif
#define LANES do i = 1, lanes
#define END_LANES end do

!> Dense layers on packed weights, for a block of columns (column fastest) and for one column.
!>
!> Every neuron of every column is one chain of multiply-adds, bias first, then the inputs in ascending order.
!> All kernels keep that order, so a column has the same bits in whichever of them it is computed.
!>
!> gfortran wants one scalar accumulator per neuron in a simd loop over the columns, and leading dimensions that it
!> knows: with one of run time it does not vectorise. So there is one kernel for each number of neurons and columns
!> held in registers. flang wants the loop over the columns (or neurons) innermost and the accumulators as arrays of
!> its length. The kernels are written once, with these words:
!>
!>     LANES ... END_LANES      for each lane i, before and after the sums
!>     INPUTS ... END_INPUTS    between them, for each input k and each lane i
!>     SUMS :: s1               declares an accumulator
!>     LANE(s1)                 the accumulator of lane i
module emufort_dense
  use emufort_kinds, only: wp, real32, lanes, block_columns, widest_panel
  implicit none
  private

  public :: dense_block, dense_half_block, dense_single, pack_layer, panel_width, padded_width, packed_size
  public :: is_wide, packed_slack

  !> Values that must follow the packed layers, because a narrow panel is read as if it were a wide one.
  integer, parameter :: packed_slack = widest_panel

  !> Whether full blocks of `block_columns` pay: in double precision their accumulators exceed the registers.
  logical, parameter :: is_wide = wp == real32

contains

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

    padded_width = 0
    do while (padded_width < n_out)
      padded_width = padded_width + panel_width(n_out - padded_width)
    end do

  end function padded_width

  !> Number of values that a packed layer takes.
  pure recursive integer function packed_size(n_in, n_out)
    integer, intent(in) :: n_in    !! number of inputs of the layer
    integer, intent(in) :: n_out   !! number of neurons of the layer

    packed_size = padded_width(n_out)*(n_in + 1)

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
    integer :: first, width, start

    first = 1
    start = 1
    do while (first <= n_out)
      width = panel_width(n_out - first + 1)
      select case (width)
      case (widest_panel)
        call panel_32x8_of_16(n_in, w(start), x, y(1, first), lowest)
        call panel_32x8_of_16(n_in, w(start + 8), x, y(1, first + 8), lowest)
      case (8)
        call panel_32x8(n_in, w(start), x, y(1, first), lowest)
      case default
        call panel_32x4(n_in, w(start), x, y(1, first), lowest)
      end select
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
    integer :: first, width, start

    first = 1
    start = 1
    do while (first <= n_out)
      width = panel_width(n_out - first + 1)
      select case (width)
      case (widest_panel)
        if (is_wide) then
          call panel_16x16(n_in, w(start), x, y(1, first), lowest)
        else
          call panel_16x8_of_16(n_in, w(start), x, y(1, first), lowest)
          call panel_16x8_of_16(n_in, w(start + 8), x, y(1, first + 8), lowest)
        end if
      case (8)
        call panel_16x8(n_in, w(start), x, y(1, first), lowest)
      case default
        call panel_16x4(n_in, w(start), x, y(1, first), lowest)
      end select
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
    integer :: first, left, start, panel

    first = 1
    start = 1
    panel = widest_panel*(n_in + 1)
    do
      left = n_out - first + 1
      ! Several panels at a time keep enough independent chains in flight; the last may be one of 13 to 15 neurons.
      if (left > 3*widest_panel + 12) then
        call single_16x4(n_in, w(start), x, y(first), lowest)
        first = first + 4*widest_panel
        start = start + 4*panel
      else if (left > widest_panel + 12) then
        call single_16x2(n_in, w(start), x, y(first), lowest)
        first = first + 2*widest_panel
        start = start + 2*panel
      else if (left > 12) then
        call single_16x1(n_in, w(start), x, y(first), lowest)
        first = first + widest_panel
        start = start + panel
      else if (left > 4) then
        call single_8(n_in, w(start), x, y(first), lowest)
        first = first + 8
        start = start + 8*(n_in + 1)
      else if (left > 0) then
        call single_4(n_in, w(start), x, y(first), lowest)
        first = first + 4
        start = start + 4*(n_in + 1)
      else
        exit
      end if
    end do

  end subroutine dense_single

  !> 8 neurons of a panel of 16 on 32 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_32x8_of_16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(32, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(s5) = w(5, 0)
    LANE(s6) = w(6, 0)
    LANE(s7) = w(7, 0)
    LANE(s8) = w(8, 0)
    LANE(t1) = w(1, 0)
    LANE(t2) = w(2, 0)
    LANE(t3) = w(3, 0)
    LANE(t4) = w(4, 0)
    LANE(t5) = w(5, 0)
    LANE(t6) = w(6, 0)
    LANE(t7) = w(7, 0)
    LANE(t8) = w(8, 0)
    INPUTS
    x1 = x(i, k)
    x2 = x(i + lanes, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(t1) = LANE(t1) + w(1, k)*x2
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t2) = LANE(t2) + w(2, k)*x2
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(t3) = LANE(t3) + w(3, k)*x2
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t4) = LANE(t4) + w(4, k)*x2
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(t5) = LANE(t5) + w(5, k)*x2
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(t6) = LANE(t6) + w(6, k)*x2
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(t7) = LANE(t7) + w(7, k)*x2
    LANE(s8) = LANE(s8) + w(8, k)*x1
    LANE(t8) = LANE(t8) + w(8, k)*x2
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    y(i, 5) = max(LANE(s5), lowest)
    y(i, 6) = max(LANE(s6), lowest)
    y(i, 7) = max(LANE(s7), lowest)
    y(i, 8) = max(LANE(s8), lowest)
    y(i + lanes, 1) = max(LANE(t1), lowest)
    y(i + lanes, 2) = max(LANE(t2), lowest)
    y(i + lanes, 3) = max(LANE(t3), lowest)
    y(i + lanes, 4) = max(LANE(t4), lowest)
    y(i + lanes, 5) = max(LANE(t5), lowest)
    y(i + lanes, 6) = max(LANE(t6), lowest)
    y(i + lanes, 7) = max(LANE(t7), lowest)
    y(i + lanes, 8) = max(LANE(t8), lowest)
    END_LANES

  end subroutine panel_32x8_of_16

  !> 8 neurons on 32 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_32x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(8, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(32, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(s5) = w(5, 0)
    LANE(s6) = w(6, 0)
    LANE(s7) = w(7, 0)
    LANE(s8) = w(8, 0)
    LANE(t1) = w(1, 0)
    LANE(t2) = w(2, 0)
    LANE(t3) = w(3, 0)
    LANE(t4) = w(4, 0)
    LANE(t5) = w(5, 0)
    LANE(t6) = w(6, 0)
    LANE(t7) = w(7, 0)
    LANE(t8) = w(8, 0)
    INPUTS
    x1 = x(i, k)
    x2 = x(i + lanes, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(t1) = LANE(t1) + w(1, k)*x2
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t2) = LANE(t2) + w(2, k)*x2
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(t3) = LANE(t3) + w(3, k)*x2
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t4) = LANE(t4) + w(4, k)*x2
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(t5) = LANE(t5) + w(5, k)*x2
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(t6) = LANE(t6) + w(6, k)*x2
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(t7) = LANE(t7) + w(7, k)*x2
    LANE(s8) = LANE(s8) + w(8, k)*x1
    LANE(t8) = LANE(t8) + w(8, k)*x2
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    y(i, 5) = max(LANE(s5), lowest)
    y(i, 6) = max(LANE(s6), lowest)
    y(i, 7) = max(LANE(s7), lowest)
    y(i, 8) = max(LANE(s8), lowest)
    y(i + lanes, 1) = max(LANE(t1), lowest)
    y(i + lanes, 2) = max(LANE(t2), lowest)
    y(i + lanes, 3) = max(LANE(t3), lowest)
    y(i + lanes, 4) = max(LANE(t4), lowest)
    y(i + lanes, 5) = max(LANE(t5), lowest)
    y(i + lanes, 6) = max(LANE(t6), lowest)
    y(i + lanes, 7) = max(LANE(t7), lowest)
    y(i + lanes, 8) = max(LANE(t8), lowest)
    END_LANES

  end subroutine panel_32x8

  !> 4 neurons on 32 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_32x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(4, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(32, 4)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, t1, t2, t3, t4)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(t1) = w(1, 0)
    LANE(t2) = w(2, 0)
    LANE(t3) = w(3, 0)
    LANE(t4) = w(4, 0)
    INPUTS
    x1 = x(i, k)
    x2 = x(i + lanes, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(t1) = LANE(t1) + w(1, k)*x2
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t2) = LANE(t2) + w(2, k)*x2
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(t3) = LANE(t3) + w(3, k)*x2
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t4) = LANE(t4) + w(4, k)*x2
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    y(i + lanes, 1) = max(LANE(t1), lowest)
    y(i + lanes, 2) = max(LANE(t2), lowest)
    y(i + lanes, 3) = max(LANE(t3), lowest)
    y(i + lanes, 4) = max(LANE(t4), lowest)
    END_LANES

  end subroutine panel_32x4

  !> 16 neurons on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 16)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(s5) = w(5, 0)
    LANE(s6) = w(6, 0)
    LANE(s7) = w(7, 0)
    LANE(s8) = w(8, 0)
    LANE(s9) = w(9, 0)
    LANE(s10) = w(10, 0)
    LANE(s11) = w(11, 0)
    LANE(s12) = w(12, 0)
    LANE(s13) = w(13, 0)
    LANE(s14) = w(14, 0)
    LANE(s15) = w(15, 0)
    LANE(s16) = w(16, 0)
    INPUTS
    x1 = x(i, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(s8) = LANE(s8) + w(8, k)*x1
    LANE(s9) = LANE(s9) + w(9, k)*x1
    LANE(s10) = LANE(s10) + w(10, k)*x1
    LANE(s11) = LANE(s11) + w(11, k)*x1
    LANE(s12) = LANE(s12) + w(12, k)*x1
    LANE(s13) = LANE(s13) + w(13, k)*x1
    LANE(s14) = LANE(s14) + w(14, k)*x1
    LANE(s15) = LANE(s15) + w(15, k)*x1
    LANE(s16) = LANE(s16) + w(16, k)*x1
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    y(i, 5) = max(LANE(s5), lowest)
    y(i, 6) = max(LANE(s6), lowest)
    y(i, 7) = max(LANE(s7), lowest)
    y(i, 8) = max(LANE(s8), lowest)
    y(i, 9) = max(LANE(s9), lowest)
    y(i, 10) = max(LANE(s10), lowest)
    y(i, 11) = max(LANE(s11), lowest)
    y(i, 12) = max(LANE(s12), lowest)
    y(i, 13) = max(LANE(s13), lowest)
    y(i, 14) = max(LANE(s14), lowest)
    y(i, 15) = max(LANE(s15), lowest)
    y(i, 16) = max(LANE(s16), lowest)
    END_LANES

  end subroutine panel_16x16

  !> 8 neurons of a panel of 16 on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x8_of_16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, s1, s2, s3, s4, s5, s6, s7, s8)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(s5) = w(5, 0)
    LANE(s6) = w(6, 0)
    LANE(s7) = w(7, 0)
    LANE(s8) = w(8, 0)
    INPUTS
    x1 = x(i, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(s8) = LANE(s8) + w(8, k)*x1
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    y(i, 5) = max(LANE(s5), lowest)
    y(i, 6) = max(LANE(s6), lowest)
    y(i, 7) = max(LANE(s7), lowest)
    y(i, 8) = max(LANE(s8), lowest)
    END_LANES

  end subroutine panel_16x8_of_16

  !> 8 neurons on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(8, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, s1, s2, s3, s4, s5, s6, s7, s8)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(s5) = w(5, 0)
    LANE(s6) = w(6, 0)
    LANE(s7) = w(7, 0)
    LANE(s8) = w(8, 0)
    INPUTS
    x1 = x(i, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(s8) = LANE(s8) + w(8, k)*x1
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    y(i, 5) = max(LANE(s5), lowest)
    y(i, 6) = max(LANE(s6), lowest)
    y(i, 7) = max(LANE(s7), lowest)
    y(i, 8) = max(LANE(s8), lowest)
    END_LANES

  end subroutine panel_16x8

  !> 4 neurons on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(4, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 4)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1
    SUMS :: s1, s2, s3, s4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(x1, s1, s2, s3, s4)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    INPUTS
    x1 = x(i, k)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    END_LANES

  end subroutine panel_16x4

  !> 64 neurons (4 panels) on one column, vectorised over the neurons; the sums are those of the blocks.
  pure recursive subroutine single_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 4)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 4)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    SUMS :: s1, s2, s3, s4

    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(s1, s2, s3, s4)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    LANE(s2) = w(i, 0, 2)
    LANE(s3) = w(i, 0, 3)
    LANE(s4) = w(i, 0, 4)
    INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    LANE(s2) = LANE(s2) + w(i, k, 2)*x(k)
    LANE(s3) = LANE(s3) + w(i, k, 3)*x(k)
    LANE(s4) = LANE(s4) + w(i, k, 4)*x(k)
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    y(i, 3) = max(LANE(s3), lowest)
    y(i, 4) = max(LANE(s4), lowest)
    END_LANES

  end subroutine single_16x4

  !> 32 neurons (2 panels) on one column, vectorised over the neurons; the sums are those of the blocks.
  pure recursive subroutine single_16x2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 2)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 2)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    SUMS :: s1, s2

    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(s1, s2)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    LANE(s2) = w(i, 0, 2)
    INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    LANE(s2) = LANE(s2) + w(i, k, 2)*x(k)
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    y(i, 2) = max(LANE(s2), lowest)
    END_LANES

  end subroutine single_16x2

  !> 16 neurons (1 panel) on one column, vectorised over the neurons; the sums are those of the blocks.
  pure recursive subroutine single_16x1(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 1)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 1)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    SUMS :: s1

    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(s1)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    END_INPUTS
    y(i, 1) = max(LANE(s1), lowest)
    END_LANES

  end subroutine single_16x1

  !> 8 neurons on one column, in as many lanes as a wide panel has: the further lanes hold values of no meaning.
  pure recursive subroutine single_8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (8, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 8 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k
    SUMS :: s

    if (n_in < 1) return
    ! A loop of 8 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
#ifndef __flang__
    !$omp simd private(s)
#endif
    LANES
    LANE(s) = w(i)
    INPUTS
    LANE(s) = LANE(s) + w(i + 8*k)*x(k)
    END_INPUTS
    y(i) = max(LANE(s), lowest)
    END_LANES

  end subroutine single_8

  !> 4 neurons on one column, in as many lanes as a wide panel has: the further lanes hold values of no meaning.
  pure recursive subroutine single_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (4, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 4 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k
    SUMS :: s

    if (n_in < 1) return
    ! A loop of 4 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
#ifndef __flang__
    !$omp simd private(s)
#endif
    LANES
    LANE(s) = w(i)
    INPUTS
    LANE(s) = LANE(s) + w(i + 4*k)*x(k)
    END_INPUTS
    y(i) = max(LANE(s), lowest)
    END_LANES

  end subroutine single_4

end module emufort_dense
