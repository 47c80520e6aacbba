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

!> Kernels of the dense layers for blocks of 32 and 16 columns (column fastest): a few neurons each.
!>
!> gfortran wants one scalar accumulator per neuron in a simd loop over the columns, and leading dimensions that it
!> knows: with one of run time it does not vectorise. So there is one kernel for each number of neurons and columns
!> held in registers. flang wants the loop over the columns innermost and the accumulators as arrays of its length.
!> The kernels are written once, with these words:
!>
!>     LANES ... END_LANES      for each lane i, before and after the sums
!>     INPUTS ... END_INPUTS    between them, for each input k and each lane i
!>     SUMS :: s1               declares an accumulator
!>     LANE(s1)                 the accumulator of lane i
!>
!> A name says how the inputs are summed (see emufort_dense), columns x neurons, and the width of the panel if the
!> neurons are a part of one.
module emufort_panels
  use emufort_kinds, only: wp, lanes
  implicit none
  private

  public :: panel_32x8_of_16, panel_32x8, panel_32x4, panel_16x16, panel_16x8_of_16, panel_16x8, panel_16x4

contains

  !> 8 neurons of a panel of 16 on 32 columns: y = max(bias + weights . x, lowest).
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

  !> 8 neurons on 32 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine panel_32x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(8, 0:*)        !! bias (k = 0) and weights [1]
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

  !> 4 neurons on 32 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine panel_32x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(4, 0:*)        !! bias (k = 0) and weights [1]
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

  !> 16 neurons on 16 columns: y = max(bias + weights . x, lowest).
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

  !> 8 neurons of a panel of 16 on 16 columns: y = max(bias + weights . x, lowest).
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

  !> 8 neurons on 16 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine panel_16x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(8, 0:*)        !! bias (k = 0) and weights [1]
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

  !> 4 neurons on 16 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine panel_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    real(wp), intent(in) :: w(4, 0:*)        !! bias (k = 0) and weights [1]
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

end module emufort_panels
