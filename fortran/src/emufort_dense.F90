!> Dense layers on packed weights, for a block of columns (column fastest) and for one column.
!>
!> Every neuron of every column is one chain of multiply-adds, bias first, then the inputs in ascending order.
!> All kernels keep that order, so a column has the same bits in whichever of them it is computed.
!>
!> gfortran wants one scalar accumulator per neuron in a simd loop over the columns, and leading dimensions that it
!> knows: with one of run time it does not vectorise. So there is one kernel for each number of neurons and columns
!> held in registers.
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
    real(wp) :: x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      s5 = w(5, 0)
      s6 = w(6, 0)
      s7 = w(7, 0)
      s8 = w(8, 0)
      t1 = w(1, 0)
      t2 = w(2, 0)
      t3 = w(3, 0)
      t4 = w(4, 0)
      t5 = w(5, 0)
      t6 = w(6, 0)
      t7 = w(7, 0)
      t8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        s1 = s1 + w(1, k)*x1
        t1 = t1 + w(1, k)*x2
        s2 = s2 + w(2, k)*x1
        t2 = t2 + w(2, k)*x2
        s3 = s3 + w(3, k)*x1
        t3 = t3 + w(3, k)*x2
        s4 = s4 + w(4, k)*x1
        t4 = t4 + w(4, k)*x2
        s5 = s5 + w(5, k)*x1
        t5 = t5 + w(5, k)*x2
        s6 = s6 + w(6, k)*x1
        t6 = t6 + w(6, k)*x2
        s7 = s7 + w(7, k)*x1
        t7 = t7 + w(7, k)*x2
        s8 = s8 + w(8, k)*x1
        t8 = t8 + w(8, k)*x2
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
      y(i, 5) = max(s5, lowest)
      y(i, 6) = max(s6, lowest)
      y(i, 7) = max(s7, lowest)
      y(i, 8) = max(s8, lowest)
      y(i + lanes, 1) = max(t1, lowest)
      y(i + lanes, 2) = max(t2, lowest)
      y(i + lanes, 3) = max(t3, lowest)
      y(i + lanes, 4) = max(t4, lowest)
      y(i + lanes, 5) = max(t5, lowest)
      y(i + lanes, 6) = max(t6, lowest)
      y(i + lanes, 7) = max(t7, lowest)
      y(i + lanes, 8) = max(t8, lowest)
    end do

  end subroutine panel_32x8_of_16

  !> 8 neurons on 32 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_32x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(8, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(32, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      s5 = w(5, 0)
      s6 = w(6, 0)
      s7 = w(7, 0)
      s8 = w(8, 0)
      t1 = w(1, 0)
      t2 = w(2, 0)
      t3 = w(3, 0)
      t4 = w(4, 0)
      t5 = w(5, 0)
      t6 = w(6, 0)
      t7 = w(7, 0)
      t8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        s1 = s1 + w(1, k)*x1
        t1 = t1 + w(1, k)*x2
        s2 = s2 + w(2, k)*x1
        t2 = t2 + w(2, k)*x2
        s3 = s3 + w(3, k)*x1
        t3 = t3 + w(3, k)*x2
        s4 = s4 + w(4, k)*x1
        t4 = t4 + w(4, k)*x2
        s5 = s5 + w(5, k)*x1
        t5 = t5 + w(5, k)*x2
        s6 = s6 + w(6, k)*x1
        t6 = t6 + w(6, k)*x2
        s7 = s7 + w(7, k)*x1
        t7 = t7 + w(7, k)*x2
        s8 = s8 + w(8, k)*x1
        t8 = t8 + w(8, k)*x2
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
      y(i, 5) = max(s5, lowest)
      y(i, 6) = max(s6, lowest)
      y(i, 7) = max(s7, lowest)
      y(i, 8) = max(s8, lowest)
      y(i + lanes, 1) = max(t1, lowest)
      y(i + lanes, 2) = max(t2, lowest)
      y(i + lanes, 3) = max(t3, lowest)
      y(i + lanes, 4) = max(t4, lowest)
      y(i + lanes, 5) = max(t5, lowest)
      y(i + lanes, 6) = max(t6, lowest)
      y(i + lanes, 7) = max(t7, lowest)
      y(i + lanes, 8) = max(t8, lowest)
    end do

  end subroutine panel_32x8

  !> 4 neurons on 32 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_32x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(4, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(32, 4)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2, s1, s2, s3, s4, t1, t2, t3, t4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, x2, s1, s2, s3, s4, t1, t2, t3, t4)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      t1 = w(1, 0)
      t2 = w(2, 0)
      t3 = w(3, 0)
      t4 = w(4, 0)
      do k = 1, n_in
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        s1 = s1 + w(1, k)*x1
        t1 = t1 + w(1, k)*x2
        s2 = s2 + w(2, k)*x1
        t2 = t2 + w(2, k)*x2
        s3 = s3 + w(3, k)*x1
        t3 = t3 + w(3, k)*x2
        s4 = s4 + w(4, k)*x1
        t4 = t4 + w(4, k)*x2
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
      y(i + lanes, 1) = max(t1, lowest)
      y(i + lanes, 2) = max(t2, lowest)
      y(i + lanes, 3) = max(t3, lowest)
      y(i + lanes, 4) = max(t4, lowest)
    end do

  end subroutine panel_32x4

  !> 16 neurons on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 16)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      s5 = w(5, 0)
      s6 = w(6, 0)
      s7 = w(7, 0)
      s8 = w(8, 0)
      s9 = w(9, 0)
      s10 = w(10, 0)
      s11 = w(11, 0)
      s12 = w(12, 0)
      s13 = w(13, 0)
      s14 = w(14, 0)
      s15 = w(15, 0)
      s16 = w(16, 0)
      do k = 1, n_in
        x1 = x(i, k)
        s1 = s1 + w(1, k)*x1
        s2 = s2 + w(2, k)*x1
        s3 = s3 + w(3, k)*x1
        s4 = s4 + w(4, k)*x1
        s5 = s5 + w(5, k)*x1
        s6 = s6 + w(6, k)*x1
        s7 = s7 + w(7, k)*x1
        s8 = s8 + w(8, k)*x1
        s9 = s9 + w(9, k)*x1
        s10 = s10 + w(10, k)*x1
        s11 = s11 + w(11, k)*x1
        s12 = s12 + w(12, k)*x1
        s13 = s13 + w(13, k)*x1
        s14 = s14 + w(14, k)*x1
        s15 = s15 + w(15, k)*x1
        s16 = s16 + w(16, k)*x1
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
      y(i, 5) = max(s5, lowest)
      y(i, 6) = max(s6, lowest)
      y(i, 7) = max(s7, lowest)
      y(i, 8) = max(s8, lowest)
      y(i, 9) = max(s9, lowest)
      y(i, 10) = max(s10, lowest)
      y(i, 11) = max(s11, lowest)
      y(i, 12) = max(s12, lowest)
      y(i, 13) = max(s13, lowest)
      y(i, 14) = max(s14, lowest)
      y(i, 15) = max(s15, lowest)
      y(i, 16) = max(s16, lowest)
    end do

  end subroutine panel_16x16

  !> 8 neurons of a panel of 16 on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x8_of_16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, s1, s2, s3, s4, s5, s6, s7, s8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, s1, s2, s3, s4, s5, s6, s7, s8)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      s5 = w(5, 0)
      s6 = w(6, 0)
      s7 = w(7, 0)
      s8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        s1 = s1 + w(1, k)*x1
        s2 = s2 + w(2, k)*x1
        s3 = s3 + w(3, k)*x1
        s4 = s4 + w(4, k)*x1
        s5 = s5 + w(5, k)*x1
        s6 = s6 + w(6, k)*x1
        s7 = s7 + w(7, k)*x1
        s8 = s8 + w(8, k)*x1
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
      y(i, 5) = max(s5, lowest)
      y(i, 6) = max(s6, lowest)
      y(i, 7) = max(s7, lowest)
      y(i, 8) = max(s8, lowest)
    end do

  end subroutine panel_16x8_of_16

  !> 8 neurons on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(8, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 8)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, s1, s2, s3, s4, s5, s6, s7, s8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, s1, s2, s3, s4, s5, s6, s7, s8)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      s5 = w(5, 0)
      s6 = w(6, 0)
      s7 = w(7, 0)
      s8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        s1 = s1 + w(1, k)*x1
        s2 = s2 + w(2, k)*x1
        s3 = s3 + w(3, k)*x1
        s4 = s4 + w(4, k)*x1
        s5 = s5 + w(5, k)*x1
        s6 = s6 + w(6, k)*x1
        s7 = s7 + w(7, k)*x1
        s8 = s8 + w(8, k)*x1
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
      y(i, 5) = max(s5, lowest)
      y(i, 6) = max(s6, lowest)
      y(i, 7) = max(s7, lowest)
      y(i, 8) = max(s8, lowest)
    end do

  end subroutine panel_16x8

  !> 4 neurons on 16 columns: y = max(bias + weights . x, lowest), summed over k in ascending order.
  pure recursive subroutine panel_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(4, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 4)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, s1, s2, s3, s4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 1) return
    !$omp simd private(x1, s1, s2, s3, s4)
    do i = 1, lanes
      s1 = w(1, 0)
      s2 = w(2, 0)
      s3 = w(3, 0)
      s4 = w(4, 0)
      do k = 1, n_in
        x1 = x(i, k)
        s1 = s1 + w(1, k)*x1
        s2 = s2 + w(2, k)*x1
        s3 = s3 + w(3, k)*x1
        s4 = s4 + w(4, k)*x1
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
    end do

  end subroutine panel_16x4

  !> 64 neurons (4 panels) on one column, vectorised over the neurons; the sums are those of the blocks.
  pure recursive subroutine single_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 4)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 4)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: s1, s2, s3, s4

    if (n_in < 1) return
    !$omp simd private(s1, s2, s3, s4)
    do i = 1, widest_panel
      s1 = w(i, 0, 1)
      s2 = w(i, 0, 2)
      s3 = w(i, 0, 3)
      s4 = w(i, 0, 4)
      do k = 1, n_in
        s1 = s1 + w(i, k, 1)*x(k)
        s2 = s2 + w(i, k, 2)*x(k)
        s3 = s3 + w(i, k, 3)*x(k)
        s4 = s4 + w(i, k, 4)*x(k)
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
      y(i, 3) = max(s3, lowest)
      y(i, 4) = max(s4, lowest)
    end do

  end subroutine single_16x4

  !> 32 neurons (2 panels) on one column, vectorised over the neurons; the sums are those of the blocks.
  pure recursive subroutine single_16x2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 2)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 2)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: s1, s2

    if (n_in < 1) return
    !$omp simd private(s1, s2)
    do i = 1, widest_panel
      s1 = w(i, 0, 1)
      s2 = w(i, 0, 2)
      do k = 1, n_in
        s1 = s1 + w(i, k, 1)*x(k)
        s2 = s2 + w(i, k, 2)*x(k)
      end do
      y(i, 1) = max(s1, lowest)
      y(i, 2) = max(s2, lowest)
    end do

  end subroutine single_16x2

  !> 16 neurons (1 panel) on one column, vectorised over the neurons; the sums are those of the blocks.
  pure recursive subroutine single_16x1(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 1)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 1)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: s1

    if (n_in < 1) return
    !$omp simd private(s1)
    do i = 1, widest_panel
      s1 = w(i, 0, 1)
      do k = 1, n_in
        s1 = s1 + w(i, k, 1)*x(k)
      end do
      y(i, 1) = max(s1, lowest)
    end do

  end subroutine single_16x1

  !> 8 neurons on one column, in as many lanes as a wide panel has: the further lanes hold values of no meaning.
  pure recursive subroutine single_8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (8, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 8 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: s

    if (n_in < 1) return
    ! A loop of 8 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
    !$omp simd private(s)
    do i = 1, widest_panel
      s = w(i)
      do k = 1, n_in
        s = s + w(i + 8*k)*x(k)
      end do
      y(i) = max(s, lowest)
    end do

  end subroutine single_8

  !> 4 neurons on one column, in as many lanes as a wide panel has: the further lanes hold values of no meaning.
  pure recursive subroutine single_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (4, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 4 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: s

    if (n_in < 1) return
    ! A loop of 4 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
    !$omp simd private(s)
    do i = 1, widest_panel
      s = w(i)
      do k = 1, n_in
        s = s + w(i + 4*k)*x(k)
      end do
      y(i) = max(s, lowest)
    end do

  end subroutine single_4

end module emufort_dense
