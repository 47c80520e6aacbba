#ifdef __flang__
#define SUMS real(wp), dimension(lanes)
#define LANE(sum) sum(i)
#define INPUTS end do; do k = 1, n_in; do i = 1, lanes
#define PART_OF_INPUTS end do; do k = 1, part; do i = 1, lanes
#define END_INPUTS end do; end do; do i = 1, lanes
#else
#define SUMS real(wp)
#define LANE(sum) sum
#define INPUTS do k = 1, n_in
#define PART_OF_INPUTS do k = 1, part
#define END_INPUTS end do
#endif
#define LANES do i = 1, lanes
#define END_LANES end do

!> Kernels of the dense layers for one column, vectorised over the neurons; the sums are those of emufort_panels,
!> whose words and names these kernels share.
!>
!> Each sum is a chain in which every multiply-add waits for the one before (4 cycles), while a core starts two a cycle:
!> so a kernel works on up to 8 chains at a time.
module emufort_single
  use emufort_kinds, only: wp, lanes, widest_panel
  implicit none
  private

  public :: single_16x8, single_16x4, single_16x2, single_16x1, single_8, single_4
  public :: halves_16x4, halves_16x2, halves_16x1, halves_8, halves_4, quarters_4

contains

  !> 128 neurons (8 panels) on one column.
  pure recursive subroutine single_16x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 8)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 8)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8

    if (n_in < 1) return
#ifndef __flang__
    !$omp simd private(s1, s2, s3, s4, s5, s6, s7, s8)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    LANE(s2) = w(i, 0, 2)
    LANE(s3) = w(i, 0, 3)
    LANE(s4) = w(i, 0, 4)
    LANE(s5) = w(i, 0, 5)
    LANE(s6) = w(i, 0, 6)
    LANE(s7) = w(i, 0, 7)
    LANE(s8) = w(i, 0, 8)
    INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    LANE(s2) = LANE(s2) + w(i, k, 2)*x(k)
    LANE(s3) = LANE(s3) + w(i, k, 3)*x(k)
    LANE(s4) = LANE(s4) + w(i, k, 4)*x(k)
    LANE(s5) = LANE(s5) + w(i, k, 5)*x(k)
    LANE(s6) = LANE(s6) + w(i, k, 6)*x(k)
    LANE(s7) = LANE(s7) + w(i, k, 7)*x(k)
    LANE(s8) = LANE(s8) + w(i, k, 8)*x(k)
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

  end subroutine single_16x8

  !> 64 neurons (4 panels) on one column.
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

  !> 32 neurons (2 panels) on one column.
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

  !> 16 neurons (1 panel) on one column.
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

  !> 64 neurons (4 panels) on one column, its inputs in two parts.
  pure recursive subroutine halves_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 4)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 4)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4

    if (n_in < 2) return
    part = n_in/2
#ifndef __flang__
    !$omp simd private(s1, s2, s3, s4, t1, t2, t3, t4)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    LANE(s2) = w(i, 0, 2)
    LANE(s3) = w(i, 0, 3)
    LANE(s4) = w(i, 0, 4)
    LANE(t1) = 0.0_wp
    LANE(t2) = 0.0_wp
    LANE(t3) = 0.0_wp
    LANE(t4) = 0.0_wp
    PART_OF_INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    LANE(s2) = LANE(s2) + w(i, k, 2)*x(k)
    LANE(s3) = LANE(s3) + w(i, k, 3)*x(k)
    LANE(s4) = LANE(s4) + w(i, k, 4)*x(k)
    LANE(t1) = LANE(t1) + w(i, k + part, 1)*x(k + part)
    LANE(t2) = LANE(t2) + w(i, k + part, 2)*x(k + part)
    LANE(t3) = LANE(t3) + w(i, k + part, 3)*x(k + part)
    LANE(t4) = LANE(t4) + w(i, k + part, 4)*x(k + part)
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(t1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(t2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(t3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(t4), lowest)
    END_LANES

  end subroutine halves_16x4

  !> 32 neurons (2 panels) on one column, its inputs in two parts.
  pure recursive subroutine halves_16x2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 2)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 2)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s1, s2, t1, t2

    if (n_in < 2) return
    part = n_in/2
#ifndef __flang__
    !$omp simd private(s1, s2, t1, t2)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    LANE(s2) = w(i, 0, 2)
    LANE(t1) = 0.0_wp
    LANE(t2) = 0.0_wp
    PART_OF_INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    LANE(s2) = LANE(s2) + w(i, k, 2)*x(k)
    LANE(t1) = LANE(t1) + w(i, k + part, 1)*x(k + part)
    LANE(t2) = LANE(t2) + w(i, k + part, 2)*x(k + part)
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(t1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(t2), lowest)
    END_LANES

  end subroutine halves_16x2

  !> 16 neurons (1 panel) on one column, its inputs in two parts.
  pure recursive subroutine halves_16x1(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                             !! number of inputs of the layer, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 1)      !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                         !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel, 1)           !! outputs of the layer [1]
    real(wp), intent(in) :: lowest                          !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s1, t1

    if (n_in < 2) return
    part = n_in/2
#ifndef __flang__
    !$omp simd private(s1, t1)
#endif
    LANES
    LANE(s1) = w(i, 0, 1)
    LANE(t1) = 0.0_wp
    PART_OF_INPUTS
    LANE(s1) = LANE(s1) + w(i, k, 1)*x(k)
    LANE(t1) = LANE(t1) + w(i, k + part, 1)*x(k + part)
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(t1), lowest)
    END_LANES

  end subroutine halves_16x1

  !> 8 neurons on one column, in as many lanes as a wide panel has: the further lanes mean nothing.
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

  !> 4 neurons on one column, in as many lanes as a wide panel has: the further lanes mean nothing.
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

  !> 8 neurons on one column, in as many lanes as a wide panel has; its inputs in two parts.
  pure recursive subroutine halves_8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer, a multiple of 2
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (8, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 8 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s, t

    if (n_in < 2) return
    part = n_in/2
    ! A loop of 8 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
#ifndef __flang__
    !$omp simd private(s, t)
#endif
    LANES
    LANE(s) = w(i)
    LANE(t) = 0.0_wp
    PART_OF_INPUTS
    LANE(s) = LANE(s) + w(i + 8*k)*x(k)
    LANE(t) = LANE(t) + w(i + 8*(k + part))*x(k + part)
    END_INPUTS
    y(i) = max(LANE(s) + LANE(t), lowest)
    END_LANES

  end subroutine halves_8

  !> 4 neurons on one column, in as many lanes as a wide panel has; its inputs in two parts.
  pure recursive subroutine halves_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer, a multiple of 2
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (4, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 4 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s, t

    if (n_in < 2) return
    part = n_in/2
    ! A loop of 4 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
#ifndef __flang__
    !$omp simd private(s, t)
#endif
    LANES
    LANE(s) = w(i)
    LANE(t) = 0.0_wp
    PART_OF_INPUTS
    LANE(s) = LANE(s) + w(i + 4*k)*x(k)
    LANE(t) = LANE(t) + w(i + 4*(k + part))*x(k + part)
    END_INPUTS
    y(i) = max(LANE(s) + LANE(t), lowest)
    END_LANES

  end subroutine halves_4

  !> 4 neurons on one column, in as many lanes as a wide panel has; its inputs in four parts.
  pure recursive subroutine quarters_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                     !! number of inputs of the layer, a multiple of 4
    real(wp), intent(in) :: w(*)                    !! bias and weights [1] (4, 0:n_in), then at least widest_panel more
    real(wp), intent(in) :: x(n_in)                 !! inputs of the layer [1]
    real(wp), intent(inout) :: y(widest_panel)      !! outputs of the layer [1]; the first 4 count
    real(wp), intent(in) :: lowest                  !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s, t, u, v

    if (n_in < 4) return
    part = n_in/4
    ! A loop of 4 would be unrolled before it could be vectorised, and its sums lose the fused multiply-adds.
#ifndef __flang__
    !$omp simd private(s, t, u, v)
#endif
    LANES
    LANE(s) = w(i)
    LANE(t) = 0.0_wp
    LANE(u) = 0.0_wp
    LANE(v) = 0.0_wp
    PART_OF_INPUTS
    LANE(s) = LANE(s) + w(i + 4*k)*x(k)
    LANE(t) = LANE(t) + w(i + 4*(k + part))*x(k + part)
    LANE(u) = LANE(u) + w(i + 4*(k + 2*part))*x(k + 2*part)
    LANE(v) = LANE(v) + w(i + 4*(k + 3*part))*x(k + 3*part)
    END_INPUTS
    y(i) = max((LANE(s) + LANE(t)) + (LANE(u) + LANE(v)), lowest)
    END_LANES

  end subroutine quarters_4

end module emufort_single
