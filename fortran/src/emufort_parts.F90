#ifdef __flang__
#define SUMS real(wp), dimension(lanes)
#define LANE(sum) sum(i)
#define PART_OF_INPUTS end do; do k = 1, part; do i = 1, lanes
#define END_INPUTS end do; end do; do i = 1, lanes
#define AT_FIRST(v, element)
#define IN_TURN(v, element) v = element
#define NEXT(v, element)
#else
#define SUMS real(wp)
#define LANE(sum) sum
#define PART_OF_INPUTS do k = 1, part
#define END_INPUTS end do
#define AT_FIRST(v, element) v = element
#define IN_TURN(v, element)
#define NEXT(v, element) v = element
#endif
#define LANES do i = 1, lanes
#define END_LANES end do

!> Kernels of the dense layers for blocks of 32 and 16 columns whose sums go in parts (see emufort_dense), all parts of a
!> neuron at a time, or two and then the other two.
!>
!> To the words of emufort_panels these come:
!>
!>     AT_FIRST(x1, x(i, 1)), IN_TURN(x1, x(i, k)), NEXT(x1, x(i, k + 1))    x1 is the input of this k
!>
!> gfortran may read an input that few multiply-adds share from memory for each of them, which is more than a core can
!> load. An input that was read one turn ahead is in a register. So one more is read than there are, and not used.
module emufort_parts
  use emufort_kinds, only: wp, lanes
  implicit none
  private

  public :: two_parts_32x16, two_parts_32x4_of_8, two_parts_32x4, two_more_32x4, two_parts_16x8_of_16
  public :: two_parts_16x8, two_parts_16x4_of_16, two_parts_16x4_of_8, two_parts_16x4
  public :: quarters_32x1_of_4, quarters_16x4, quarters_16x2_of_4, quarters_16x1_of_4

contains

  !> A panel of 16 neurons on 32 columns, 4 at a time: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_32x16(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(32, 16)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k, o
    real(wp) :: x1, x2, x3, x4
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
    do o = 0, 12, 4
#ifndef __flang__
      !$omp simd private(x1, x2, x3, x4, s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4)
#endif
      LANES
      LANE(s1) = w(o + 1, 0)
      LANE(s2) = w(o + 2, 0)
      LANE(s3) = w(o + 3, 0)
      LANE(s4) = w(o + 4, 0)
      LANE(t1) = w(o + 1, 0)
      LANE(t2) = w(o + 2, 0)
      LANE(t3) = w(o + 3, 0)
      LANE(t4) = w(o + 4, 0)
      LANE(u1) = 0.0_wp
      LANE(u2) = 0.0_wp
      LANE(u3) = 0.0_wp
      LANE(u4) = 0.0_wp
      LANE(v1) = 0.0_wp
      LANE(v2) = 0.0_wp
      LANE(v3) = 0.0_wp
      LANE(v4) = 0.0_wp
      AT_FIRST(x1, x(i, 1))
      AT_FIRST(x2, x(i + lanes, 1))
      AT_FIRST(x3, x(i, 1 + part))
      AT_FIRST(x4, x(i + lanes, 1 + part))
      PART_OF_INPUTS
      IN_TURN(x1, x(i, k))
      IN_TURN(x2, x(i + lanes, k))
      IN_TURN(x3, x(i, k + part))
      IN_TURN(x4, x(i + lanes, k + part))
      LANE(s1) = LANE(s1) + w(o + 1, k)*x1
      LANE(t1) = LANE(t1) + w(o + 1, k)*x2
      LANE(s2) = LANE(s2) + w(o + 2, k)*x1
      LANE(t2) = LANE(t2) + w(o + 2, k)*x2
      LANE(s3) = LANE(s3) + w(o + 3, k)*x1
      LANE(t3) = LANE(t3) + w(o + 3, k)*x2
      LANE(s4) = LANE(s4) + w(o + 4, k)*x1
      LANE(t4) = LANE(t4) + w(o + 4, k)*x2
      LANE(u1) = LANE(u1) + w(o + 1, k + part)*x3
      LANE(v1) = LANE(v1) + w(o + 1, k + part)*x4
      LANE(u2) = LANE(u2) + w(o + 2, k + part)*x3
      LANE(v2) = LANE(v2) + w(o + 2, k + part)*x4
      LANE(u3) = LANE(u3) + w(o + 3, k + part)*x3
      LANE(v3) = LANE(v3) + w(o + 3, k + part)*x4
      LANE(u4) = LANE(u4) + w(o + 4, k + part)*x3
      LANE(v4) = LANE(v4) + w(o + 4, k + part)*x4
      NEXT(x1, x(i, k + 1))
      NEXT(x2, x(i + lanes, k + 1))
      NEXT(x3, x(i, k + part + 1))
      NEXT(x4, x(i + lanes, k + part + 1))
      END_INPUTS
      y(i, o + 1) = max(LANE(s1) + LANE(u1), lowest)
      y(i, o + 2) = max(LANE(s2) + LANE(u2), lowest)
      y(i, o + 3) = max(LANE(s3) + LANE(u3), lowest)
      y(i, o + 4) = max(LANE(s4) + LANE(u4), lowest)
      y(i + lanes, o + 1) = max(LANE(t1) + LANE(v1), lowest)
      y(i + lanes, o + 2) = max(LANE(t2) + LANE(v2), lowest)
      y(i + lanes, o + 3) = max(LANE(t3) + LANE(v3), lowest)
      y(i + lanes, o + 4) = max(LANE(t4) + LANE(v4), lowest)
      END_LANES
    end do

  end subroutine two_parts_32x16

  !> 4 neurons of a panel of 8 on 32 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_32x4_of_8(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(8, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(32, 4)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2, x3, x4
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, x3, x4, s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4)
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
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    LANE(v1) = 0.0_wp
    LANE(v2) = 0.0_wp
    LANE(v3) = 0.0_wp
    LANE(v4) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i + lanes, 1))
    AT_FIRST(x3, x(i, 1 + part))
    AT_FIRST(x4, x(i + lanes, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i + lanes, k))
    IN_TURN(x3, x(i, k + part))
    IN_TURN(x4, x(i + lanes, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(t1) = LANE(t1) + w(1, k)*x2
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t2) = LANE(t2) + w(2, k)*x2
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(t3) = LANE(t3) + w(3, k)*x2
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t4) = LANE(t4) + w(4, k)*x2
    LANE(u1) = LANE(u1) + w(1, k + part)*x3
    LANE(v1) = LANE(v1) + w(1, k + part)*x4
    LANE(u2) = LANE(u2) + w(2, k + part)*x3
    LANE(v2) = LANE(v2) + w(2, k + part)*x4
    LANE(u3) = LANE(u3) + w(3, k + part)*x3
    LANE(v3) = LANE(v3) + w(3, k + part)*x4
    LANE(u4) = LANE(u4) + w(4, k + part)*x3
    LANE(v4) = LANE(v4) + w(4, k + part)*x4
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i + lanes, k + 1))
    NEXT(x3, x(i, k + part + 1))
    NEXT(x4, x(i + lanes, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    y(i + lanes, 1) = max(LANE(t1) + LANE(v1), lowest)
    y(i + lanes, 2) = max(LANE(t2) + LANE(v2), lowest)
    y(i + lanes, 3) = max(LANE(t3) + LANE(v3), lowest)
    y(i + lanes, 4) = max(LANE(t4) + LANE(v4), lowest)
    END_LANES

  end subroutine two_parts_32x4_of_8

  !> 4 neurons on 32 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_32x4(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(4, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(32, 4)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2, x3, x4
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, x3, x4, s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4)
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
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    LANE(v1) = 0.0_wp
    LANE(v2) = 0.0_wp
    LANE(v3) = 0.0_wp
    LANE(v4) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i + lanes, 1))
    AT_FIRST(x3, x(i, 1 + part))
    AT_FIRST(x4, x(i + lanes, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i + lanes, k))
    IN_TURN(x3, x(i, k + part))
    IN_TURN(x4, x(i + lanes, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(t1) = LANE(t1) + w(1, k)*x2
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t2) = LANE(t2) + w(2, k)*x2
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(t3) = LANE(t3) + w(3, k)*x2
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t4) = LANE(t4) + w(4, k)*x2
    LANE(u1) = LANE(u1) + w(1, k + part)*x3
    LANE(v1) = LANE(v1) + w(1, k + part)*x4
    LANE(u2) = LANE(u2) + w(2, k + part)*x3
    LANE(v2) = LANE(v2) + w(2, k + part)*x4
    LANE(u3) = LANE(u3) + w(3, k + part)*x3
    LANE(v3) = LANE(v3) + w(3, k + part)*x4
    LANE(u4) = LANE(u4) + w(4, k + part)*x3
    LANE(v4) = LANE(v4) + w(4, k + part)*x4
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i + lanes, k + 1))
    NEXT(x3, x(i, k + part + 1))
    NEXT(x4, x(i + lanes, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    y(i + lanes, 1) = max(LANE(t1) + LANE(v1), lowest)
    y(i + lanes, 2) = max(LANE(t2) + LANE(v2), lowest)
    y(i + lanes, 3) = max(LANE(t3) + LANE(v3), lowest)
    y(i + lanes, 4) = max(LANE(t4) + LANE(v4), lowest)
    END_LANES

  end subroutine two_parts_32x4

  !> 4 neurons on 32 columns, two further parts: y = max(y + (weights . x + weights . x), lowest).
  pure recursive subroutine two_more_32x4(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(4, *)           !! weights of the two parts [1]
    real(wp), intent(in) :: x(32, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(32, 4)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2, x3, x4
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, x3, x4, s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4)
#endif
    LANES
    LANE(s1) = 0.0_wp
    LANE(s2) = 0.0_wp
    LANE(s3) = 0.0_wp
    LANE(s4) = 0.0_wp
    LANE(t1) = 0.0_wp
    LANE(t2) = 0.0_wp
    LANE(t3) = 0.0_wp
    LANE(t4) = 0.0_wp
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    LANE(v1) = 0.0_wp
    LANE(v2) = 0.0_wp
    LANE(v3) = 0.0_wp
    LANE(v4) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i + lanes, 1))
    AT_FIRST(x3, x(i, 1 + part))
    AT_FIRST(x4, x(i + lanes, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i + lanes, k))
    IN_TURN(x3, x(i, k + part))
    IN_TURN(x4, x(i + lanes, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(t1) = LANE(t1) + w(1, k)*x2
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t2) = LANE(t2) + w(2, k)*x2
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(t3) = LANE(t3) + w(3, k)*x2
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t4) = LANE(t4) + w(4, k)*x2
    LANE(u1) = LANE(u1) + w(1, k + part)*x3
    LANE(v1) = LANE(v1) + w(1, k + part)*x4
    LANE(u2) = LANE(u2) + w(2, k + part)*x3
    LANE(v2) = LANE(v2) + w(2, k + part)*x4
    LANE(u3) = LANE(u3) + w(3, k + part)*x3
    LANE(v3) = LANE(v3) + w(3, k + part)*x4
    LANE(u4) = LANE(u4) + w(4, k + part)*x3
    LANE(v4) = LANE(v4) + w(4, k + part)*x4
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i + lanes, k + 1))
    NEXT(x3, x(i, k + part + 1))
    NEXT(x4, x(i + lanes, k + part + 1))
    END_INPUTS
    y(i, 1) = max(y(i, 1) + (LANE(s1) + LANE(u1)), lowest)
    y(i, 2) = max(y(i, 2) + (LANE(s2) + LANE(u2)), lowest)
    y(i, 3) = max(y(i, 3) + (LANE(s3) + LANE(u3)), lowest)
    y(i, 4) = max(y(i, 4) + (LANE(s4) + LANE(u4)), lowest)
    y(i + lanes, 1) = max(y(i + lanes, 1) + (LANE(t1) + LANE(v1)), lowest)
    y(i + lanes, 2) = max(y(i + lanes, 2) + (LANE(t2) + LANE(v2)), lowest)
    y(i + lanes, 3) = max(y(i + lanes, 3) + (LANE(t3) + LANE(v3)), lowest)
    y(i + lanes, 4) = max(y(i + lanes, 4) + (LANE(t4) + LANE(v4)), lowest)
    END_LANES

  end subroutine two_more_32x4

  !> 8 neurons of a panel of 16 on 16 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_16x8_of_16(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(16, 8)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8, u1, u2, u3, u4, u5, u6, u7, u8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, u1, u2, u3, u4, u5, u6, u7, u8)
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
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    LANE(u5) = 0.0_wp
    LANE(u6) = 0.0_wp
    LANE(u7) = 0.0_wp
    LANE(u8) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(s8) = LANE(s8) + w(8, k)*x1
    LANE(u1) = LANE(u1) + w(1, k + part)*x2
    LANE(u2) = LANE(u2) + w(2, k + part)*x2
    LANE(u3) = LANE(u3) + w(3, k + part)*x2
    LANE(u4) = LANE(u4) + w(4, k + part)*x2
    LANE(u5) = LANE(u5) + w(5, k + part)*x2
    LANE(u6) = LANE(u6) + w(6, k + part)*x2
    LANE(u7) = LANE(u7) + w(7, k + part)*x2
    LANE(u8) = LANE(u8) + w(8, k + part)*x2
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    y(i, 5) = max(LANE(s5) + LANE(u5), lowest)
    y(i, 6) = max(LANE(s6) + LANE(u6), lowest)
    y(i, 7) = max(LANE(s7) + LANE(u7), lowest)
    y(i, 8) = max(LANE(s8) + LANE(u8), lowest)
    END_LANES

  end subroutine two_parts_16x8_of_16

  !> 8 neurons on 16 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_16x8(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(8, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(16, 8)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8, u1, u2, u3, u4, u5, u6, u7, u8

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, s5, s6, s7, s8, u1, u2, u3, u4, u5, u6, u7, u8)
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
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    LANE(u5) = 0.0_wp
    LANE(u6) = 0.0_wp
    LANE(u7) = 0.0_wp
    LANE(u8) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(s5) = LANE(s5) + w(5, k)*x1
    LANE(s6) = LANE(s6) + w(6, k)*x1
    LANE(s7) = LANE(s7) + w(7, k)*x1
    LANE(s8) = LANE(s8) + w(8, k)*x1
    LANE(u1) = LANE(u1) + w(1, k + part)*x2
    LANE(u2) = LANE(u2) + w(2, k + part)*x2
    LANE(u3) = LANE(u3) + w(3, k + part)*x2
    LANE(u4) = LANE(u4) + w(4, k + part)*x2
    LANE(u5) = LANE(u5) + w(5, k + part)*x2
    LANE(u6) = LANE(u6) + w(6, k + part)*x2
    LANE(u7) = LANE(u7) + w(7, k + part)*x2
    LANE(u8) = LANE(u8) + w(8, k + part)*x2
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    y(i, 5) = max(LANE(s5) + LANE(u5), lowest)
    y(i, 6) = max(LANE(s6) + LANE(u6), lowest)
    y(i, 7) = max(LANE(s7) + LANE(u7), lowest)
    y(i, 8) = max(LANE(s8) + LANE(u8), lowest)
    END_LANES

  end subroutine two_parts_16x8

  !> 4 neurons of a panel of 16 on 16 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_16x4_of_16(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(16, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(16, 4)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, u1, u2, u3, u4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, u1, u2, u3, u4)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(u1) = LANE(u1) + w(1, k + part)*x2
    LANE(u2) = LANE(u2) + w(2, k + part)*x2
    LANE(u3) = LANE(u3) + w(3, k + part)*x2
    LANE(u4) = LANE(u4) + w(4, k + part)*x2
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    END_LANES

  end subroutine two_parts_16x4_of_16

  !> 4 neurons of a panel of 8 on 16 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_16x4_of_8(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(8, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(16, 4)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, u1, u2, u3, u4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, u1, u2, u3, u4)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(u1) = LANE(u1) + w(1, k + part)*x2
    LANE(u2) = LANE(u2) + w(2, k + part)*x2
    LANE(u3) = LANE(u3) + w(3, k + part)*x2
    LANE(u4) = LANE(u4) + w(4, k + part)*x2
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    END_LANES

  end subroutine two_parts_16x4_of_8

  !> 4 neurons on 16 columns: y = max((bias + weights . x) + weights . x, lowest), in 2 parts.
  pure recursive subroutine two_parts_16x4(part, w, x, y, lowest)
    integer, intent(in) :: part               !! inputs of each part
    real(wp), intent(in) :: w(4, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, *)          !! inputs of the two parts [1] (column, input), and one that is only read
    real(wp), intent(inout) :: y(16, 4)       !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k
    real(wp) :: x1, x2
    SUMS :: s1, s2, s3, s4, u1, u2, u3, u4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (part < 1) return
#ifndef __flang__
    !$omp simd private(x1, x2, s1, s2, s3, s4, u1, u2, u3, u4)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    AT_FIRST(x1, x(i, 1))
    AT_FIRST(x2, x(i, 1 + part))
    PART_OF_INPUTS
    IN_TURN(x1, x(i, k))
    IN_TURN(x2, x(i, k + part))
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(u1) = LANE(u1) + w(1, k + part)*x2
    LANE(u2) = LANE(u2) + w(2, k + part)*x2
    LANE(u3) = LANE(u3) + w(3, k + part)*x2
    LANE(u4) = LANE(u4) + w(4, k + part)*x2
    NEXT(x1, x(i, k + 1))
    NEXT(x2, x(i, k + part + 1))
    END_INPUTS
    y(i, 1) = max(LANE(s1) + LANE(u1), lowest)
    y(i, 2) = max(LANE(s2) + LANE(u2), lowest)
    y(i, 3) = max(LANE(s3) + LANE(u3), lowest)
    y(i, 4) = max(LANE(s4) + LANE(u4), lowest)
    END_LANES

  end subroutine two_parts_16x4

  !> 4 neurons on 16 columns: y = max(bias + weights . x, lowest), in 4 parts.
  pure recursive subroutine quarters_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 4)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k, part
    real(wp) :: x1, x2, x3, x4
    SUMS :: s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 4) return
    part = n_in/4
#ifndef __flang__
    !$omp simd private(x1, x2, x3, x4, s1, s2, s3, s4, t1, t2, t3, t4, u1, u2, u3, u4, v1, v2, v3, v4)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(s3) = w(3, 0)
    LANE(s4) = w(4, 0)
    LANE(t1) = 0.0_wp
    LANE(t2) = 0.0_wp
    LANE(t3) = 0.0_wp
    LANE(t4) = 0.0_wp
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(u3) = 0.0_wp
    LANE(u4) = 0.0_wp
    LANE(v1) = 0.0_wp
    LANE(v2) = 0.0_wp
    LANE(v3) = 0.0_wp
    LANE(v4) = 0.0_wp
    PART_OF_INPUTS
    x1 = x(i, k)
    x2 = x(i, k + part)
    x3 = x(i, k + 2*part)
    x4 = x(i, k + 3*part)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(s3) = LANE(s3) + w(3, k)*x1
    LANE(s4) = LANE(s4) + w(4, k)*x1
    LANE(t1) = LANE(t1) + w(1, k + part)*x2
    LANE(t2) = LANE(t2) + w(2, k + part)*x2
    LANE(t3) = LANE(t3) + w(3, k + part)*x2
    LANE(t4) = LANE(t4) + w(4, k + part)*x2
    LANE(u1) = LANE(u1) + w(1, k + 2*part)*x3
    LANE(u2) = LANE(u2) + w(2, k + 2*part)*x3
    LANE(u3) = LANE(u3) + w(3, k + 2*part)*x3
    LANE(u4) = LANE(u4) + w(4, k + 2*part)*x3
    LANE(v1) = LANE(v1) + w(1, k + 3*part)*x4
    LANE(v2) = LANE(v2) + w(2, k + 3*part)*x4
    LANE(v3) = LANE(v3) + w(3, k + 3*part)*x4
    LANE(v4) = LANE(v4) + w(4, k + 3*part)*x4
    END_INPUTS
    y(i, 1) = max((LANE(s1) + LANE(t1)) + (LANE(u1) + LANE(v1)), lowest)
    y(i, 2) = max((LANE(s2) + LANE(t2)) + (LANE(u2) + LANE(v2)), lowest)
    y(i, 3) = max((LANE(s3) + LANE(t3)) + (LANE(u3) + LANE(v3)), lowest)
    y(i, 4) = max((LANE(s4) + LANE(t4)) + (LANE(u4) + LANE(v4)), lowest)
    END_LANES

  end subroutine quarters_16x4

  !> 2 neurons of a panel of 4 on 16 columns: y = max(bias + weights . x, lowest), in 4 parts.
  pure recursive subroutine quarters_16x2_of_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)        !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16, 2)      !! outputs of the layer [1] (column, neuron)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k, part
    real(wp) :: x1, x2, x3, x4
    SUMS :: s1, s2, t1, t2, u1, u2, v1, v2

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 4) return
    part = n_in/4
#ifndef __flang__
    !$omp simd private(x1, x2, x3, x4, s1, s2, t1, t2, u1, u2, v1, v2)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(2, 0)
    LANE(t1) = 0.0_wp
    LANE(t2) = 0.0_wp
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(v1) = 0.0_wp
    LANE(v2) = 0.0_wp
    PART_OF_INPUTS
    x1 = x(i, k)
    x2 = x(i, k + part)
    x3 = x(i, k + 2*part)
    x4 = x(i, k + 3*part)
    LANE(s1) = LANE(s1) + w(1, k)*x1
    LANE(s2) = LANE(s2) + w(2, k)*x1
    LANE(t1) = LANE(t1) + w(1, k + part)*x2
    LANE(t2) = LANE(t2) + w(2, k + part)*x2
    LANE(u1) = LANE(u1) + w(1, k + 2*part)*x3
    LANE(u2) = LANE(u2) + w(2, k + 2*part)*x3
    LANE(v1) = LANE(v1) + w(1, k + 3*part)*x4
    LANE(v2) = LANE(v2) + w(2, k + 3*part)*x4
    END_INPUTS
    y(i, 1) = max((LANE(s1) + LANE(t1)) + (LANE(u1) + LANE(v1)), lowest)
    y(i, 2) = max((LANE(s2) + LANE(t2)) + (LANE(u2) + LANE(v2)), lowest)
    END_LANES

  end subroutine quarters_16x2_of_4

  !> The first neuron of a panel of 4 on 32 columns: y = max(bias + weights . x, lowest), in 4 parts.
  pure recursive subroutine quarters_32x1_of_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(32, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(32)          !! outputs of the layer [1] (column)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s1, s2, t1, t2, u1, u2, v1, v2

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 4) return
    part = n_in/4
#ifndef __flang__
    !$omp simd private(s1, s2, t1, t2, u1, u2, v1, v2)
#endif
    LANES
    LANE(s1) = w(1, 0)
    LANE(s2) = w(1, 0)
    LANE(t1) = 0.0_wp
    LANE(t2) = 0.0_wp
    LANE(u1) = 0.0_wp
    LANE(u2) = 0.0_wp
    LANE(v1) = 0.0_wp
    LANE(v2) = 0.0_wp
    PART_OF_INPUTS
    LANE(s1) = LANE(s1) + w(1, k)*x(i, k)
    LANE(s2) = LANE(s2) + w(1, k)*x(i + lanes, k)
    LANE(t1) = LANE(t1) + w(1, k + part)*x(i, k + part)
    LANE(t2) = LANE(t2) + w(1, k + part)*x(i + lanes, k + part)
    LANE(u1) = LANE(u1) + w(1, k + 2*part)*x(i, k + 2*part)
    LANE(u2) = LANE(u2) + w(1, k + 2*part)*x(i + lanes, k + 2*part)
    LANE(v1) = LANE(v1) + w(1, k + 3*part)*x(i, k + 3*part)
    LANE(v2) = LANE(v2) + w(1, k + 3*part)*x(i + lanes, k + 3*part)
    END_INPUTS
    y(i) = max((LANE(s1) + LANE(t1)) + (LANE(u1) + LANE(v1)), lowest)
    y(i + lanes) = max((LANE(s2) + LANE(t2)) + (LANE(u2) + LANE(v2)), lowest)
    END_LANES

  end subroutine quarters_32x1_of_4

  !> The first neuron of a panel of 4 on 16 columns: y = max(bias + weights . x, lowest), in 4 parts.
  pure recursive subroutine quarters_16x1_of_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in               !! number of inputs of the layer, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)         !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(16, n_in)       !! inputs of the layer [1] (column, input)
    real(wp), intent(inout) :: y(16)          !! outputs of the layer [1] (column)
    real(wp), intent(in) :: lowest            !! values below are raised to this [1]
    integer :: i, k, part
    SUMS :: s, t, u, v

    ! Without this guard the zero-trip test of the k loop keeps gfortran from vectorising over i (14 times slower).
    if (n_in < 4) return
    part = n_in/4
#ifndef __flang__
    !$omp simd private(s, t, u, v)
#endif
    LANES
    LANE(s) = w(1, 0)
    LANE(t) = 0.0_wp
    LANE(u) = 0.0_wp
    LANE(v) = 0.0_wp
    PART_OF_INPUTS
    LANE(s) = LANE(s) + w(1, k)*x(i, k)
    LANE(t) = LANE(t) + w(1, k + part)*x(i, k + part)
    LANE(u) = LANE(u) + w(1, k + 2*part)*x(i, k + 2*part)
    LANE(v) = LANE(v) + w(1, k + 3*part)*x(i, k + 3*part)
    END_INPUTS
    y(i) = max((LANE(s) + LANE(t)) + (LANE(u) + LANE(v)), lowest)
    END_LANES

  end subroutine quarters_16x1_of_4

end module emufort_parts
