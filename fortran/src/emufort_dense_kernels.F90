! Made from fortran/templates/dense_kernels.fypp by `make templates`; do not edit.

!> Kernels of the dense layers: y = max(bias + weights . x, lowest) for a few neurons, with all sums in registers.
!>
!> A name says for how many columns and neurons a kernel is: dense_32x8 computes 8 neurons on 32 columns. `of_16` says
!> that the neurons are a part of a packed panel of 16. `in_2` says that the inputs of each neuron form 2 chains
!> of n inputs each, which are summed side by side and added at the end (see emufort_dense).
!>
!> gfortran vectorises a simd loop over the lanes that has one scalar sum per neuron, but only if it knows all leading
!> dimensions. Hence there is one kernel for each number of neurons and columns held in registers. A kernel returns at
!> once if a chain has no input: otherwise the zero-trip test of the loop over k would keep gfortran from vectorising
!> over i, and the kernel would be 14 times slower. flang wants the loop over the lanes innermost and the sums as
!> arrays.
!>
!> In the kernels for a block of 32 or 16 columns, the lanes are columns. If few multiply-adds share an input, gfortran
!> may read it from memory for each of them, and a core cannot do as many loads. So the kernels with 2 chains load their
!> inputs one iteration ahead. They therefore read one input past the end of x and discard it; callers must provide that
!> padding.
!>
!> In the kernels for one column, the lanes are neurons. In each sum every multiply-add waits for the previous one
!> (4 cycles), while a core starts two per cycle, so a kernel works on up to 8 sums at a time. Where a kernel has few
!> neurons, each has a sum of its own that is written out. Compilers join these sums to vectors of any width, also with
!> -O2 and without instructions beyond those that every CPU has; a loop over lanes would then have one vector in flight.
!> Panels of 8 and 4 neurons in one chain use 16 lanes, and the values of the other lanes have no meaning. A loop of 8 or
!> 4 would be unrolled before it is vectorised, and gfortran does not fuse the products and sums of a single short vector
!> on some CPUs, so the bits would not be those of the other kernels.
module emufort_dense_kernels
  use emufort_kinds, only: wp, lanes, block_columns, widest_panel
  implicit none
  private

  public :: dense_32x8_of_16, dense_32x8, dense_32x4, dense_16x16
  public :: dense_16x8_of_16, dense_16x8, dense_16x4, dense_32x16_in_2
  public :: dense_32x4_of_8_in_2, dense_32x4_in_2, dense_16x8_of_16_in_2, dense_16x8_in_2
  public :: dense_16x4_of_16_in_2, dense_16x4_of_8_in_2, dense_16x4_in_2, dense_16x4_in_4
  public :: dense_16x2_of_4_in_4, dense_32x1_of_4_in_4, dense_16x1_of_4_in_4, add_32x4_in_2
  public :: dense_1x128, dense_1x64, dense_1x32, dense_1x16
  public :: dense_1x8, dense_1x4, dense_1x64_in_2, dense_1x32_in_2
  public :: dense_1x16_in_2, dense_1x8_in_2, dense_1x4_in_2, dense_1x4_in_4
  public :: dense_2x32, dense_2x16, dense_2x32_in_2, dense_2x16_in_2
  public :: dense_3x32, dense_3x16, dense_3x32_in_2, dense_3x16_in_2
  public :: dense_4x32, dense_4x16, dense_4x32_in_2, dense_4x16_in_2

contains

  !> 8 neurons of a panel of 16 on 32 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x8_of_16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(16, 0:*)                 !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(block_columns, 8)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
      b1(i) = w(1, 0)
      b2(i) = w(2, 0)
      b3(i) = w(3, 0)
      b4(i) = w(4, 0)
      b5(i) = w(5, 0)
      b6(i) = w(6, 0)
      b7(i) = w(7, 0)
      b8(i) = w(8, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        a2(i) = a2(i) + w(2, k)*x1
        b2(i) = b2(i) + w(2, k)*x2
        a3(i) = a3(i) + w(3, k)*x1
        b3(i) = b3(i) + w(3, k)*x2
        a4(i) = a4(i) + w(4, k)*x1
        b4(i) = b4(i) + w(4, k)*x2
        a5(i) = a5(i) + w(5, k)*x1
        b5(i) = b5(i) + w(5, k)*x2
        a6(i) = a6(i) + w(6, k)*x1
        b6(i) = b6(i) + w(6, k)*x2
        a7(i) = a7(i) + w(7, k)*x1
        b7(i) = b7(i) + w(7, k)*x2
        a8(i) = a8(i) + w(8, k)*x1
        b8(i) = b8(i) + w(8, k)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i, 5) = max(a5(i), lowest)
      y(i, 6) = max(a6(i), lowest)
      y(i, 7) = max(a7(i), lowest)
      y(i, 8) = max(a8(i), lowest)
      y(i + lanes, 1) = max(b1(i), lowest)
      y(i + lanes, 2) = max(b2(i), lowest)
      y(i + lanes, 3) = max(b3(i), lowest)
      y(i + lanes, 4) = max(b4(i), lowest)
      y(i + lanes, 5) = max(b5(i), lowest)
      y(i + lanes, 6) = max(b6(i), lowest)
      y(i + lanes, 7) = max(b7(i), lowest)
      y(i + lanes, 8) = max(b8(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      b1 = w(1, 0)
      b2 = w(2, 0)
      b3 = w(3, 0)
      b4 = w(4, 0)
      b5 = w(5, 0)
      b6 = w(6, 0)
      b7 = w(7, 0)
      b8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        a2 = a2 + w(2, k)*x1
        b2 = b2 + w(2, k)*x2
        a3 = a3 + w(3, k)*x1
        b3 = b3 + w(3, k)*x2
        a4 = a4 + w(4, k)*x1
        b4 = b4 + w(4, k)*x2
        a5 = a5 + w(5, k)*x1
        b5 = b5 + w(5, k)*x2
        a6 = a6 + w(6, k)*x1
        b6 = b6 + w(6, k)*x2
        a7 = a7 + w(7, k)*x1
        b7 = b7 + w(7, k)*x2
        a8 = a8 + w(8, k)*x1
        b8 = b8 + w(8, k)*x2
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i, 5) = max(a5, lowest)
      y(i, 6) = max(a6, lowest)
      y(i, 7) = max(a7, lowest)
      y(i, 8) = max(a8, lowest)
      y(i + lanes, 1) = max(b1, lowest)
      y(i + lanes, 2) = max(b2, lowest)
      y(i + lanes, 3) = max(b3, lowest)
      y(i + lanes, 4) = max(b4, lowest)
      y(i + lanes, 5) = max(b5, lowest)
      y(i + lanes, 6) = max(b6, lowest)
      y(i + lanes, 7) = max(b7, lowest)
      y(i + lanes, 8) = max(b8, lowest)
    end do
#endif

  end subroutine dense_32x8_of_16

  !> 8 neurons on 32 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(8, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(block_columns, 8)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
      b1(i) = w(1, 0)
      b2(i) = w(2, 0)
      b3(i) = w(3, 0)
      b4(i) = w(4, 0)
      b5(i) = w(5, 0)
      b6(i) = w(6, 0)
      b7(i) = w(7, 0)
      b8(i) = w(8, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        a2(i) = a2(i) + w(2, k)*x1
        b2(i) = b2(i) + w(2, k)*x2
        a3(i) = a3(i) + w(3, k)*x1
        b3(i) = b3(i) + w(3, k)*x2
        a4(i) = a4(i) + w(4, k)*x1
        b4(i) = b4(i) + w(4, k)*x2
        a5(i) = a5(i) + w(5, k)*x1
        b5(i) = b5(i) + w(5, k)*x2
        a6(i) = a6(i) + w(6, k)*x1
        b6(i) = b6(i) + w(6, k)*x2
        a7(i) = a7(i) + w(7, k)*x1
        b7(i) = b7(i) + w(7, k)*x2
        a8(i) = a8(i) + w(8, k)*x1
        b8(i) = b8(i) + w(8, k)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i, 5) = max(a5(i), lowest)
      y(i, 6) = max(a6(i), lowest)
      y(i, 7) = max(a7(i), lowest)
      y(i, 8) = max(a8(i), lowest)
      y(i + lanes, 1) = max(b1(i), lowest)
      y(i + lanes, 2) = max(b2(i), lowest)
      y(i + lanes, 3) = max(b3(i), lowest)
      y(i + lanes, 4) = max(b4(i), lowest)
      y(i + lanes, 5) = max(b5(i), lowest)
      y(i + lanes, 6) = max(b6(i), lowest)
      y(i + lanes, 7) = max(b7(i), lowest)
      y(i + lanes, 8) = max(b8(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      b1 = w(1, 0)
      b2 = w(2, 0)
      b3 = w(3, 0)
      b4 = w(4, 0)
      b5 = w(5, 0)
      b6 = w(6, 0)
      b7 = w(7, 0)
      b8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        a2 = a2 + w(2, k)*x1
        b2 = b2 + w(2, k)*x2
        a3 = a3 + w(3, k)*x1
        b3 = b3 + w(3, k)*x2
        a4 = a4 + w(4, k)*x1
        b4 = b4 + w(4, k)*x2
        a5 = a5 + w(5, k)*x1
        b5 = b5 + w(5, k)*x2
        a6 = a6 + w(6, k)*x1
        b6 = b6 + w(6, k)*x2
        a7 = a7 + w(7, k)*x1
        b7 = b7 + w(7, k)*x2
        a8 = a8 + w(8, k)*x1
        b8 = b8 + w(8, k)*x2
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i, 5) = max(a5, lowest)
      y(i, 6) = max(a6, lowest)
      y(i, 7) = max(a7, lowest)
      y(i, 8) = max(a8, lowest)
      y(i + lanes, 1) = max(b1, lowest)
      y(i + lanes, 2) = max(b2, lowest)
      y(i + lanes, 3) = max(b3, lowest)
      y(i + lanes, 4) = max(b4, lowest)
      y(i + lanes, 5) = max(b5, lowest)
      y(i + lanes, 6) = max(b6, lowest)
      y(i + lanes, 7) = max(b7, lowest)
      y(i + lanes, 8) = max(b8, lowest)
    end do
#endif

  end subroutine dense_32x8

  !> 4 neurons on 32 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(block_columns, 4)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = w(1, 0)
      b2(i) = w(2, 0)
      b3(i) = w(3, 0)
      b4(i) = w(4, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        a2(i) = a2(i) + w(2, k)*x1
        b2(i) = b2(i) + w(2, k)*x2
        a3(i) = a3(i) + w(3, k)*x1
        b3(i) = b3(i) + w(3, k)*x2
        a4(i) = a4(i) + w(4, k)*x1
        b4(i) = b4(i) + w(4, k)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i + lanes, 1) = max(b1(i), lowest)
      y(i + lanes, 2) = max(b2(i), lowest)
      y(i + lanes, 3) = max(b3(i), lowest)
      y(i + lanes, 4) = max(b4(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, b1, b2, b3, b4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = w(1, 0)
      b2 = w(2, 0)
      b3 = w(3, 0)
      b4 = w(4, 0)
      do k = 1, n_in
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        a2 = a2 + w(2, k)*x1
        b2 = b2 + w(2, k)*x2
        a3 = a3 + w(3, k)*x1
        b3 = b3 + w(3, k)*x2
        a4 = a4 + w(4, k)*x1
        b4 = b4 + w(4, k)*x2
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i + lanes, 1) = max(b1, lowest)
      y(i + lanes, 2) = max(b2, lowest)
      y(i + lanes, 3) = max(b3, lowest)
      y(i + lanes, 4) = max(b4, lowest)
    end do
#endif

  end subroutine dense_32x4

  !> 16 neurons on 16 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(16, 0:*)                 !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 16)            !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
      a9(i) = w(9, 0)
      a10(i) = w(10, 0)
      a11(i) = w(11, 0)
      a12(i) = w(12, 0)
      a13(i) = w(13, 0)
      a14(i) = w(14, 0)
      a15(i) = w(15, 0)
      a16(i) = w(16, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        a5(i) = a5(i) + w(5, k)*x1
        a6(i) = a6(i) + w(6, k)*x1
        a7(i) = a7(i) + w(7, k)*x1
        a8(i) = a8(i) + w(8, k)*x1
        a9(i) = a9(i) + w(9, k)*x1
        a10(i) = a10(i) + w(10, k)*x1
        a11(i) = a11(i) + w(11, k)*x1
        a12(i) = a12(i) + w(12, k)*x1
        a13(i) = a13(i) + w(13, k)*x1
        a14(i) = a14(i) + w(14, k)*x1
        a15(i) = a15(i) + w(15, k)*x1
        a16(i) = a16(i) + w(16, k)*x1
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i, 5) = max(a5(i), lowest)
      y(i, 6) = max(a6(i), lowest)
      y(i, 7) = max(a7(i), lowest)
      y(i, 8) = max(a8(i), lowest)
      y(i, 9) = max(a9(i), lowest)
      y(i, 10) = max(a10(i), lowest)
      y(i, 11) = max(a11(i), lowest)
      y(i, 12) = max(a12(i), lowest)
      y(i, 13) = max(a13(i), lowest)
      y(i, 14) = max(a14(i), lowest)
      y(i, 15) = max(a15(i), lowest)
      y(i, 16) = max(a16(i), lowest)
    end do
#else
    !$omp simd private(x1, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      a9 = w(9, 0)
      a10 = w(10, 0)
      a11 = w(11, 0)
      a12 = w(12, 0)
      a13 = w(13, 0)
      a14 = w(14, 0)
      a15 = w(15, 0)
      a16 = w(16, 0)
      do k = 1, n_in
        x1 = x(i, k)
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        a5 = a5 + w(5, k)*x1
        a6 = a6 + w(6, k)*x1
        a7 = a7 + w(7, k)*x1
        a8 = a8 + w(8, k)*x1
        a9 = a9 + w(9, k)*x1
        a10 = a10 + w(10, k)*x1
        a11 = a11 + w(11, k)*x1
        a12 = a12 + w(12, k)*x1
        a13 = a13 + w(13, k)*x1
        a14 = a14 + w(14, k)*x1
        a15 = a15 + w(15, k)*x1
        a16 = a16 + w(16, k)*x1
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i, 5) = max(a5, lowest)
      y(i, 6) = max(a6, lowest)
      y(i, 7) = max(a7, lowest)
      y(i, 8) = max(a8, lowest)
      y(i, 9) = max(a9, lowest)
      y(i, 10) = max(a10, lowest)
      y(i, 11) = max(a11, lowest)
      y(i, 12) = max(a12, lowest)
      y(i, 13) = max(a13, lowest)
      y(i, 14) = max(a14, lowest)
      y(i, 15) = max(a15, lowest)
      y(i, 16) = max(a16, lowest)
    end do
#endif

  end subroutine dense_16x16

  !> 8 neurons of a panel of 16 on 16 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x8_of_16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(16, 0:*)                 !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 8)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        a5(i) = a5(i) + w(5, k)*x1
        a6(i) = a6(i) + w(6, k)*x1
        a7(i) = a7(i) + w(7, k)*x1
        a8(i) = a8(i) + w(8, k)*x1
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i, 5) = max(a5(i), lowest)
      y(i, 6) = max(a6(i), lowest)
      y(i, 7) = max(a7(i), lowest)
      y(i, 8) = max(a8(i), lowest)
    end do
#else
    !$omp simd private(x1, a1, a2, a3, a4, a5, a6, a7, a8)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        a5 = a5 + w(5, k)*x1
        a6 = a6 + w(6, k)*x1
        a7 = a7 + w(7, k)*x1
        a8 = a8 + w(8, k)*x1
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i, 5) = max(a5, lowest)
      y(i, 6) = max(a6, lowest)
      y(i, 7) = max(a7, lowest)
      y(i, 8) = max(a8, lowest)
    end do
#endif

  end subroutine dense_16x8_of_16

  !> 8 neurons on 16 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(8, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 8)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        a5(i) = a5(i) + w(5, k)*x1
        a6(i) = a6(i) + w(6, k)*x1
        a7(i) = a7(i) + w(7, k)*x1
        a8(i) = a8(i) + w(8, k)*x1
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i, 5) = max(a5(i), lowest)
      y(i, 6) = max(a6(i), lowest)
      y(i, 7) = max(a7(i), lowest)
      y(i, 8) = max(a8(i), lowest)
    end do
#else
    !$omp simd private(x1, a1, a2, a3, a4, a5, a6, a7, a8)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      do k = 1, n_in
        x1 = x(i, k)
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        a5 = a5 + w(5, k)*x1
        a6 = a6 + w(6, k)*x1
        a7 = a7 + w(7, k)*x1
        a8 = a8 + w(8, k)*x1
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i, 5) = max(a5, lowest)
      y(i, 6) = max(a6, lowest)
      y(i, 7) = max(a7, lowest)
      y(i, 8) = max(a8, lowest)
    end do
#endif

  end subroutine dense_16x8

  !> 4 neurons on 16 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 4)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
    real(wp) :: x1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4
#else
    real(wp) :: a1, a2, a3, a4
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        x1 = x(i, k)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
    end do
#else
    !$omp simd private(x1, a1, a2, a3, a4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      do k = 1, n_in
        x1 = x(i, k)
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
    end do
#endif

  end subroutine dense_16x4

  !> 16 neurons on 32 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x16_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(16, 0:*)                 !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(block_columns, 16)    !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n, o
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#endif

    if (n_in < 2) return
    n = n_in/2
    do o = 0, 12, 4
#ifdef __flang__
      do i = 1, lanes
        a1(i) = w(o + 1, 0)
        a2(i) = w(o + 2, 0)
        a3(i) = w(o + 3, 0)
        a4(i) = w(o + 4, 0)
        b1(i) = w(o + 1, 0)
        b2(i) = w(o + 2, 0)
        b3(i) = w(o + 3, 0)
        b4(i) = w(o + 4, 0)
        c1(i) = 0.0_wp
        c2(i) = 0.0_wp
        c3(i) = 0.0_wp
        c4(i) = 0.0_wp
        d1(i) = 0.0_wp
        d2(i) = 0.0_wp
        d3(i) = 0.0_wp
        d4(i) = 0.0_wp
      end do
      do k = 1, n
        do i = 1, lanes
          x1 = x(i, k)
          x2 = x(i + lanes, k)
          x3 = x(i, k + n)
          x4 = x(i + lanes, k + n)
          a1(i) = a1(i) + w(o + 1, k)*x1
          b1(i) = b1(i) + w(o + 1, k)*x2
          a2(i) = a2(i) + w(o + 2, k)*x1
          b2(i) = b2(i) + w(o + 2, k)*x2
          a3(i) = a3(i) + w(o + 3, k)*x1
          b3(i) = b3(i) + w(o + 3, k)*x2
          a4(i) = a4(i) + w(o + 4, k)*x1
          b4(i) = b4(i) + w(o + 4, k)*x2
          c1(i) = c1(i) + w(o + 1, k + n)*x3
          d1(i) = d1(i) + w(o + 1, k + n)*x4
          c2(i) = c2(i) + w(o + 2, k + n)*x3
          d2(i) = d2(i) + w(o + 2, k + n)*x4
          c3(i) = c3(i) + w(o + 3, k + n)*x3
          d3(i) = d3(i) + w(o + 3, k + n)*x4
          c4(i) = c4(i) + w(o + 4, k + n)*x3
          d4(i) = d4(i) + w(o + 4, k + n)*x4
        end do
      end do
      do i = 1, lanes
        y(i, o + 1) = max(a1(i) + c1(i), lowest)
        y(i, o + 2) = max(a2(i) + c2(i), lowest)
        y(i, o + 3) = max(a3(i) + c3(i), lowest)
        y(i, o + 4) = max(a4(i) + c4(i), lowest)
        y(i + lanes, o + 1) = max(b1(i) + d1(i), lowest)
        y(i + lanes, o + 2) = max(b2(i) + d2(i), lowest)
        y(i + lanes, o + 3) = max(b3(i) + d3(i), lowest)
        y(i + lanes, o + 4) = max(b4(i) + d4(i), lowest)
      end do
#else
      !$omp simd private(x1, x2, x3, x4, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4)
      do i = 1, lanes
        a1 = w(o + 1, 0)
        a2 = w(o + 2, 0)
        a3 = w(o + 3, 0)
        a4 = w(o + 4, 0)
        b1 = w(o + 1, 0)
        b2 = w(o + 2, 0)
        b3 = w(o + 3, 0)
        b4 = w(o + 4, 0)
        c1 = 0.0_wp
        c2 = 0.0_wp
        c3 = 0.0_wp
        c4 = 0.0_wp
        d1 = 0.0_wp
        d2 = 0.0_wp
        d3 = 0.0_wp
        d4 = 0.0_wp
        x1 = x(i, 1)
        x2 = x(i + lanes, 1)
        x3 = x(i, 1 + n)
        x4 = x(i + lanes, 1 + n)
        do k = 1, n
          a1 = a1 + w(o + 1, k)*x1
          b1 = b1 + w(o + 1, k)*x2
          a2 = a2 + w(o + 2, k)*x1
          b2 = b2 + w(o + 2, k)*x2
          a3 = a3 + w(o + 3, k)*x1
          b3 = b3 + w(o + 3, k)*x2
          a4 = a4 + w(o + 4, k)*x1
          b4 = b4 + w(o + 4, k)*x2
          c1 = c1 + w(o + 1, k + n)*x3
          d1 = d1 + w(o + 1, k + n)*x4
          c2 = c2 + w(o + 2, k + n)*x3
          d2 = d2 + w(o + 2, k + n)*x4
          c3 = c3 + w(o + 3, k + n)*x3
          d3 = d3 + w(o + 3, k + n)*x4
          c4 = c4 + w(o + 4, k + n)*x3
          d4 = d4 + w(o + 4, k + n)*x4
          x1 = x(i, k + 1)
          x2 = x(i + lanes, k + 1)
          x3 = x(i, k + n + 1)
          x4 = x(i + lanes, k + n + 1)
        end do
        y(i, o + 1) = max(a1 + c1, lowest)
        y(i, o + 2) = max(a2 + c2, lowest)
        y(i, o + 3) = max(a3 + c3, lowest)
        y(i, o + 4) = max(a4 + c4, lowest)
        y(i + lanes, o + 1) = max(b1 + d1, lowest)
        y(i + lanes, o + 2) = max(b2 + d2, lowest)
        y(i + lanes, o + 3) = max(b3 + d3, lowest)
        y(i + lanes, o + 4) = max(b4 + d4, lowest)
      end do
#endif
    end do

  end subroutine dense_32x16_in_2

  !> 4 neurons of a panel of 8 on 32 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x4_of_8_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(8, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(block_columns, 4)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = w(1, 0)
      b2(i) = w(2, 0)
      b3(i) = w(3, 0)
      b4(i) = w(4, 0)
      c1(i) = 0.0_wp
      c2(i) = 0.0_wp
      c3(i) = 0.0_wp
      c4(i) = 0.0_wp
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
      d3(i) = 0.0_wp
      d4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        x3 = x(i, k + n)
        x4 = x(i + lanes, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        a2(i) = a2(i) + w(2, k)*x1
        b2(i) = b2(i) + w(2, k)*x2
        a3(i) = a3(i) + w(3, k)*x1
        b3(i) = b3(i) + w(3, k)*x2
        a4(i) = a4(i) + w(4, k)*x1
        b4(i) = b4(i) + w(4, k)*x2
        c1(i) = c1(i) + w(1, k + n)*x3
        d1(i) = d1(i) + w(1, k + n)*x4
        c2(i) = c2(i) + w(2, k + n)*x3
        d2(i) = d2(i) + w(2, k + n)*x4
        c3(i) = c3(i) + w(3, k + n)*x3
        d3(i) = d3(i) + w(3, k + n)*x4
        c4(i) = c4(i) + w(4, k + n)*x3
        d4(i) = d4(i) + w(4, k + n)*x4
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + c1(i), lowest)
      y(i, 2) = max(a2(i) + c2(i), lowest)
      y(i, 3) = max(a3(i) + c3(i), lowest)
      y(i, 4) = max(a4(i) + c4(i), lowest)
      y(i + lanes, 1) = max(b1(i) + d1(i), lowest)
      y(i + lanes, 2) = max(b2(i) + d2(i), lowest)
      y(i + lanes, 3) = max(b3(i) + d3(i), lowest)
      y(i + lanes, 4) = max(b4(i) + d4(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = w(1, 0)
      b2 = w(2, 0)
      b3 = w(3, 0)
      b4 = w(4, 0)
      c1 = 0.0_wp
      c2 = 0.0_wp
      c3 = 0.0_wp
      c4 = 0.0_wp
      d1 = 0.0_wp
      d2 = 0.0_wp
      d3 = 0.0_wp
      d4 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i + lanes, 1)
      x3 = x(i, 1 + n)
      x4 = x(i + lanes, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        a2 = a2 + w(2, k)*x1
        b2 = b2 + w(2, k)*x2
        a3 = a3 + w(3, k)*x1
        b3 = b3 + w(3, k)*x2
        a4 = a4 + w(4, k)*x1
        b4 = b4 + w(4, k)*x2
        c1 = c1 + w(1, k + n)*x3
        d1 = d1 + w(1, k + n)*x4
        c2 = c2 + w(2, k + n)*x3
        d2 = d2 + w(2, k + n)*x4
        c3 = c3 + w(3, k + n)*x3
        d3 = d3 + w(3, k + n)*x4
        c4 = c4 + w(4, k + n)*x3
        d4 = d4 + w(4, k + n)*x4
        x1 = x(i, k + 1)
        x2 = x(i + lanes, k + 1)
        x3 = x(i, k + n + 1)
        x4 = x(i + lanes, k + n + 1)
      end do
      y(i, 1) = max(a1 + c1, lowest)
      y(i, 2) = max(a2 + c2, lowest)
      y(i, 3) = max(a3 + c3, lowest)
      y(i, 4) = max(a4 + c4, lowest)
      y(i + lanes, 1) = max(b1 + d1, lowest)
      y(i + lanes, 2) = max(b2 + d2, lowest)
      y(i + lanes, 3) = max(b3 + d3, lowest)
      y(i + lanes, 4) = max(b4 + d4, lowest)
    end do
#endif

  end subroutine dense_32x4_of_8_in_2

  !> 4 neurons on 32 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x4_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(block_columns, 4)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = w(1, 0)
      b2(i) = w(2, 0)
      b3(i) = w(3, 0)
      b4(i) = w(4, 0)
      c1(i) = 0.0_wp
      c2(i) = 0.0_wp
      c3(i) = 0.0_wp
      c4(i) = 0.0_wp
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
      d3(i) = 0.0_wp
      d4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        x3 = x(i, k + n)
        x4 = x(i + lanes, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        a2(i) = a2(i) + w(2, k)*x1
        b2(i) = b2(i) + w(2, k)*x2
        a3(i) = a3(i) + w(3, k)*x1
        b3(i) = b3(i) + w(3, k)*x2
        a4(i) = a4(i) + w(4, k)*x1
        b4(i) = b4(i) + w(4, k)*x2
        c1(i) = c1(i) + w(1, k + n)*x3
        d1(i) = d1(i) + w(1, k + n)*x4
        c2(i) = c2(i) + w(2, k + n)*x3
        d2(i) = d2(i) + w(2, k + n)*x4
        c3(i) = c3(i) + w(3, k + n)*x3
        d3(i) = d3(i) + w(3, k + n)*x4
        c4(i) = c4(i) + w(4, k + n)*x3
        d4(i) = d4(i) + w(4, k + n)*x4
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + c1(i), lowest)
      y(i, 2) = max(a2(i) + c2(i), lowest)
      y(i, 3) = max(a3(i) + c3(i), lowest)
      y(i, 4) = max(a4(i) + c4(i), lowest)
      y(i + lanes, 1) = max(b1(i) + d1(i), lowest)
      y(i + lanes, 2) = max(b2(i) + d2(i), lowest)
      y(i + lanes, 3) = max(b3(i) + d3(i), lowest)
      y(i + lanes, 4) = max(b4(i) + d4(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = w(1, 0)
      b2 = w(2, 0)
      b3 = w(3, 0)
      b4 = w(4, 0)
      c1 = 0.0_wp
      c2 = 0.0_wp
      c3 = 0.0_wp
      c4 = 0.0_wp
      d1 = 0.0_wp
      d2 = 0.0_wp
      d3 = 0.0_wp
      d4 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i + lanes, 1)
      x3 = x(i, 1 + n)
      x4 = x(i + lanes, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        a2 = a2 + w(2, k)*x1
        b2 = b2 + w(2, k)*x2
        a3 = a3 + w(3, k)*x1
        b3 = b3 + w(3, k)*x2
        a4 = a4 + w(4, k)*x1
        b4 = b4 + w(4, k)*x2
        c1 = c1 + w(1, k + n)*x3
        d1 = d1 + w(1, k + n)*x4
        c2 = c2 + w(2, k + n)*x3
        d2 = d2 + w(2, k + n)*x4
        c3 = c3 + w(3, k + n)*x3
        d3 = d3 + w(3, k + n)*x4
        c4 = c4 + w(4, k + n)*x3
        d4 = d4 + w(4, k + n)*x4
        x1 = x(i, k + 1)
        x2 = x(i + lanes, k + 1)
        x3 = x(i, k + n + 1)
        x4 = x(i + lanes, k + n + 1)
      end do
      y(i, 1) = max(a1 + c1, lowest)
      y(i, 2) = max(a2 + c2, lowest)
      y(i, 3) = max(a3 + c3, lowest)
      y(i, 4) = max(a4 + c4, lowest)
      y(i + lanes, 1) = max(b1 + d1, lowest)
      y(i + lanes, 2) = max(b2 + d2, lowest)
      y(i + lanes, 3) = max(b3 + d3, lowest)
      y(i + lanes, 4) = max(b4 + d4, lowest)
    end do
#endif

  end subroutine dense_32x4_in_2

  !> 8 neurons of a panel of 16 on 16 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x8_of_16_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(16, 0:*)                 !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(lanes, 8)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
      b5(i) = 0.0_wp
      b6(i) = 0.0_wp
      b7(i) = 0.0_wp
      b8(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        a5(i) = a5(i) + w(5, k)*x1
        a6(i) = a6(i) + w(6, k)*x1
        a7(i) = a7(i) + w(7, k)*x1
        a8(i) = a8(i) + w(8, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        b3(i) = b3(i) + w(3, k + n)*x2
        b4(i) = b4(i) + w(4, k + n)*x2
        b5(i) = b5(i) + w(5, k + n)*x2
        b6(i) = b6(i) + w(6, k + n)*x2
        b7(i) = b7(i) + w(7, k + n)*x2
        b8(i) = b8(i) + w(8, k + n)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
      y(i, 3) = max(a3(i) + b3(i), lowest)
      y(i, 4) = max(a4(i) + b4(i), lowest)
      y(i, 5) = max(a5(i) + b5(i), lowest)
      y(i, 6) = max(a6(i) + b6(i), lowest)
      y(i, 7) = max(a7(i) + b7(i), lowest)
      y(i, 8) = max(a8(i) + b8(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      b5 = 0.0_wp
      b6 = 0.0_wp
      b7 = 0.0_wp
      b8 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        a5 = a5 + w(5, k)*x1
        a6 = a6 + w(6, k)*x1
        a7 = a7 + w(7, k)*x1
        a8 = a8 + w(8, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        b3 = b3 + w(3, k + n)*x2
        b4 = b4 + w(4, k + n)*x2
        b5 = b5 + w(5, k + n)*x2
        b6 = b6 + w(6, k + n)*x2
        b7 = b7 + w(7, k + n)*x2
        b8 = b8 + w(8, k + n)*x2
        x1 = x(i, k + 1)
        x2 = x(i, k + n + 1)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
      y(i, 3) = max(a3 + b3, lowest)
      y(i, 4) = max(a4 + b4, lowest)
      y(i, 5) = max(a5 + b5, lowest)
      y(i, 6) = max(a6 + b6, lowest)
      y(i, 7) = max(a7 + b7, lowest)
      y(i, 8) = max(a8 + b8, lowest)
    end do
#endif

  end subroutine dense_16x8_of_16_in_2

  !> 8 neurons on 16 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x8_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(8, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(lanes, 8)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      a5(i) = w(5, 0)
      a6(i) = w(6, 0)
      a7(i) = w(7, 0)
      a8(i) = w(8, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
      b5(i) = 0.0_wp
      b6(i) = 0.0_wp
      b7(i) = 0.0_wp
      b8(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        a5(i) = a5(i) + w(5, k)*x1
        a6(i) = a6(i) + w(6, k)*x1
        a7(i) = a7(i) + w(7, k)*x1
        a8(i) = a8(i) + w(8, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        b3(i) = b3(i) + w(3, k + n)*x2
        b4(i) = b4(i) + w(4, k + n)*x2
        b5(i) = b5(i) + w(5, k + n)*x2
        b6(i) = b6(i) + w(6, k + n)*x2
        b7(i) = b7(i) + w(7, k + n)*x2
        b8(i) = b8(i) + w(8, k + n)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
      y(i, 3) = max(a3(i) + b3(i), lowest)
      y(i, 4) = max(a4(i) + b4(i), lowest)
      y(i, 5) = max(a5(i) + b5(i), lowest)
      y(i, 6) = max(a6(i) + b6(i), lowest)
      y(i, 7) = max(a7(i) + b7(i), lowest)
      y(i, 8) = max(a8(i) + b8(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      a5 = w(5, 0)
      a6 = w(6, 0)
      a7 = w(7, 0)
      a8 = w(8, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      b5 = 0.0_wp
      b6 = 0.0_wp
      b7 = 0.0_wp
      b8 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        a5 = a5 + w(5, k)*x1
        a6 = a6 + w(6, k)*x1
        a7 = a7 + w(7, k)*x1
        a8 = a8 + w(8, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        b3 = b3 + w(3, k + n)*x2
        b4 = b4 + w(4, k + n)*x2
        b5 = b5 + w(5, k + n)*x2
        b6 = b6 + w(6, k + n)*x2
        b7 = b7 + w(7, k + n)*x2
        b8 = b8 + w(8, k + n)*x2
        x1 = x(i, k + 1)
        x2 = x(i, k + n + 1)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
      y(i, 3) = max(a3 + b3, lowest)
      y(i, 4) = max(a4 + b4, lowest)
      y(i, 5) = max(a5 + b5, lowest)
      y(i, 6) = max(a6 + b6, lowest)
      y(i, 7) = max(a7 + b7, lowest)
      y(i, 8) = max(a8 + b8, lowest)
    end do
#endif

  end subroutine dense_16x8_in_2

  !> 4 neurons of a panel of 16 on 16 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x4_of_16_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(16, 0:*)                 !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(lanes, 4)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        b3(i) = b3(i) + w(3, k + n)*x2
        b4(i) = b4(i) + w(4, k + n)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
      y(i, 3) = max(a3(i) + b3(i), lowest)
      y(i, 4) = max(a4(i) + b4(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, b1, b2, b3, b4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        b3 = b3 + w(3, k + n)*x2
        b4 = b4 + w(4, k + n)*x2
        x1 = x(i, k + 1)
        x2 = x(i, k + n + 1)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
      y(i, 3) = max(a3 + b3, lowest)
      y(i, 4) = max(a4 + b4, lowest)
    end do
#endif

  end subroutine dense_16x4_of_16_in_2

  !> 4 neurons of a panel of 8 on 16 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x4_of_8_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(8, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(lanes, 4)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        b3(i) = b3(i) + w(3, k + n)*x2
        b4(i) = b4(i) + w(4, k + n)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
      y(i, 3) = max(a3(i) + b3(i), lowest)
      y(i, 4) = max(a4(i) + b4(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, b1, b2, b3, b4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        b3 = b3 + w(3, k + n)*x2
        b4 = b4 + w(4, k + n)*x2
        x1 = x(i, k + 1)
        x2 = x(i, k + n + 1)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
      y(i, 3) = max(a3 + b3, lowest)
      y(i, 4) = max(a4 + b4, lowest)
    end do
#endif

  end subroutine dense_16x4_of_8_in_2

  !> 4 neurons on 16 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x4_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(lanes, 4)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        b3(i) = b3(i) + w(3, k + n)*x2
        b4(i) = b4(i) + w(4, k + n)*x2
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
      y(i, 3) = max(a3(i) + b3(i), lowest)
      y(i, 4) = max(a4(i) + b4(i), lowest)
    end do
#else
    !$omp simd private(x1, x2, a1, a2, a3, a4, b1, b2, b3, b4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        b3 = b3 + w(3, k + n)*x2
        b4 = b4 + w(4, k + n)*x2
        x1 = x(i, k + 1)
        x2 = x(i, k + n + 1)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
      y(i, 3) = max(a3 + b3, lowest)
      y(i, 4) = max(a4 + b4, lowest)
    end do
#endif

  end subroutine dense_16x4_in_2

  !> 4 neurons on 16 columns, each in 4 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x4_in_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 4)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#endif

    if (n_in < 4) return
    n = n_in/4
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      a3(i) = w(3, 0)
      a4(i) = w(4, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
      c1(i) = 0.0_wp
      c2(i) = 0.0_wp
      c3(i) = 0.0_wp
      c4(i) = 0.0_wp
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
      d3(i) = 0.0_wp
      d4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        x3 = x(i, k + 2*n)
        x4 = x(i, k + 3*n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        a3(i) = a3(i) + w(3, k)*x1
        a4(i) = a4(i) + w(4, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        b3(i) = b3(i) + w(3, k + n)*x2
        b4(i) = b4(i) + w(4, k + n)*x2
        c1(i) = c1(i) + w(1, k + 2*n)*x3
        c2(i) = c2(i) + w(2, k + 2*n)*x3
        c3(i) = c3(i) + w(3, k + 2*n)*x3
        c4(i) = c4(i) + w(4, k + 2*n)*x3
        d1(i) = d1(i) + w(1, k + 3*n)*x4
        d2(i) = d2(i) + w(2, k + 3*n)*x4
        d3(i) = d3(i) + w(3, k + 3*n)*x4
        d4(i) = d4(i) + w(4, k + 3*n)*x4
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max((a1(i) + b1(i)) + (c1(i) + d1(i)), lowest)
      y(i, 2) = max((a2(i) + b2(i)) + (c2(i) + d2(i)), lowest)
      y(i, 3) = max((a3(i) + b3(i)) + (c3(i) + d3(i)), lowest)
      y(i, 4) = max((a4(i) + b4(i)) + (c4(i) + d4(i)), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      a3 = w(3, 0)
      a4 = w(4, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      c1 = 0.0_wp
      c2 = 0.0_wp
      c3 = 0.0_wp
      c4 = 0.0_wp
      d1 = 0.0_wp
      d2 = 0.0_wp
      d3 = 0.0_wp
      d4 = 0.0_wp
      do k = 1, n
        x1 = x(i, k)
        x2 = x(i, k + n)
        x3 = x(i, k + 2*n)
        x4 = x(i, k + 3*n)
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        a3 = a3 + w(3, k)*x1
        a4 = a4 + w(4, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        b3 = b3 + w(3, k + n)*x2
        b4 = b4 + w(4, k + n)*x2
        c1 = c1 + w(1, k + 2*n)*x3
        c2 = c2 + w(2, k + 2*n)*x3
        c3 = c3 + w(3, k + 2*n)*x3
        c4 = c4 + w(4, k + 2*n)*x3
        d1 = d1 + w(1, k + 3*n)*x4
        d2 = d2 + w(2, k + 3*n)*x4
        d3 = d3 + w(3, k + 3*n)*x4
        d4 = d4 + w(4, k + 3*n)*x4
      end do
      y(i, 1) = max((a1 + b1) + (c1 + d1), lowest)
      y(i, 2) = max((a2 + b2) + (c2 + d2), lowest)
      y(i, 3) = max((a3 + b3) + (c3 + d3), lowest)
      y(i, 4) = max((a4 + b4) + (c4 + d4), lowest)
    end do
#endif

  end subroutine dense_16x4_in_4

  !> 2 neurons of a panel of 4 on 16 columns, each in 4 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x2_of_4_in_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 2)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2, c1, c2, d1, d2
#else
    real(wp) :: a1, a2, b1, b2, c1, c2, d1, d2
#endif

    if (n_in < 4) return
    n = n_in/4
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      a2(i) = w(2, 0)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      c1(i) = 0.0_wp
      c2(i) = 0.0_wp
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        x3 = x(i, k + 2*n)
        x4 = x(i, k + 3*n)
        a1(i) = a1(i) + w(1, k)*x1
        a2(i) = a2(i) + w(2, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        b2(i) = b2(i) + w(2, k + n)*x2
        c1(i) = c1(i) + w(1, k + 2*n)*x3
        c2(i) = c2(i) + w(2, k + 2*n)*x3
        d1(i) = d1(i) + w(1, k + 3*n)*x4
        d2(i) = d2(i) + w(2, k + 3*n)*x4
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max((a1(i) + b1(i)) + (c1(i) + d1(i)), lowest)
      y(i, 2) = max((a2(i) + b2(i)) + (c2(i) + d2(i)), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, a1, a2, b1, b2, c1, c2, d1, d2)
    do i = 1, lanes
      a1 = w(1, 0)
      a2 = w(2, 0)
      b1 = 0.0_wp
      b2 = 0.0_wp
      c1 = 0.0_wp
      c2 = 0.0_wp
      d1 = 0.0_wp
      d2 = 0.0_wp
      do k = 1, n
        x1 = x(i, k)
        x2 = x(i, k + n)
        x3 = x(i, k + 2*n)
        x4 = x(i, k + 3*n)
        a1 = a1 + w(1, k)*x1
        a2 = a2 + w(2, k)*x1
        b1 = b1 + w(1, k + n)*x2
        b2 = b2 + w(2, k + n)*x2
        c1 = c1 + w(1, k + 2*n)*x3
        c2 = c2 + w(2, k + 2*n)*x3
        d1 = d1 + w(1, k + 3*n)*x4
        d2 = d2 + w(2, k + 3*n)*x4
      end do
      y(i, 1) = max((a1 + b1) + (c1 + d1), lowest)
      y(i, 2) = max((a2 + b2) + (c2 + d2), lowest)
    end do
#endif

  end subroutine dense_16x2_of_4_in_4

  !> The first neuron of a panel of 4 on 32 columns, its sum in 4 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_32x1_of_4_in_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(block_columns, 1)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4, x5, x6, x7, x8
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1, d1, e1, f1, g1, h1
#else
    real(wp) :: a1, b1, c1, d1, e1, f1, g1, h1
#endif

    if (n_in < 4) return
    n = n_in/4
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      b1(i) = w(1, 0)
      c1(i) = 0.0_wp
      d1(i) = 0.0_wp
      e1(i) = 0.0_wp
      f1(i) = 0.0_wp
      g1(i) = 0.0_wp
      h1(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        x3 = x(i, k + n)
        x4 = x(i + lanes, k + n)
        x5 = x(i, k + 2*n)
        x6 = x(i + lanes, k + 2*n)
        x7 = x(i, k + 3*n)
        x8 = x(i + lanes, k + 3*n)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        c1(i) = c1(i) + w(1, k + n)*x3
        d1(i) = d1(i) + w(1, k + n)*x4
        e1(i) = e1(i) + w(1, k + 2*n)*x5
        f1(i) = f1(i) + w(1, k + 2*n)*x6
        g1(i) = g1(i) + w(1, k + 3*n)*x7
        h1(i) = h1(i) + w(1, k + 3*n)*x8
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max((a1(i) + c1(i)) + (e1(i) + g1(i)), lowest)
      y(i + lanes, 1) = max((b1(i) + d1(i)) + (f1(i) + h1(i)), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, x5, x6, x7, x8, a1, b1, c1, d1, e1, f1, g1, h1)
    do i = 1, lanes
      a1 = w(1, 0)
      b1 = w(1, 0)
      c1 = 0.0_wp
      d1 = 0.0_wp
      e1 = 0.0_wp
      f1 = 0.0_wp
      g1 = 0.0_wp
      h1 = 0.0_wp
      do k = 1, n
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        x3 = x(i, k + n)
        x4 = x(i + lanes, k + n)
        x5 = x(i, k + 2*n)
        x6 = x(i + lanes, k + 2*n)
        x7 = x(i, k + 3*n)
        x8 = x(i + lanes, k + 3*n)
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        c1 = c1 + w(1, k + n)*x3
        d1 = d1 + w(1, k + n)*x4
        e1 = e1 + w(1, k + 2*n)*x5
        f1 = f1 + w(1, k + 2*n)*x6
        g1 = g1 + w(1, k + 3*n)*x7
        h1 = h1 + w(1, k + 3*n)*x8
      end do
      y(i, 1) = max((a1 + c1) + (e1 + g1), lowest)
      y(i + lanes, 1) = max((b1 + d1) + (f1 + h1), lowest)
    end do
#endif

  end subroutine dense_32x1_of_4_in_4

  !> The first neuron of a panel of 4 on 16 columns, its sum in 4 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_16x1_of_4_in_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 4
    real(wp), intent(in) :: w(4, 0:*)                  !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(lanes, *)                !! inputs [1] (column, input)
    real(wp), intent(inout) :: y(lanes, 1)             !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1, d1
#else
    real(wp) :: a1, b1, c1, d1
#endif

    if (n_in < 4) return
    n = n_in/4
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(1, 0)
      b1(i) = 0.0_wp
      c1(i) = 0.0_wp
      d1(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i, k + n)
        x3 = x(i, k + 2*n)
        x4 = x(i, k + 3*n)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k + n)*x2
        c1(i) = c1(i) + w(1, k + 2*n)*x3
        d1(i) = d1(i) + w(1, k + 3*n)*x4
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max((a1(i) + b1(i)) + (c1(i) + d1(i)), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, a1, b1, c1, d1)
    do i = 1, lanes
      a1 = w(1, 0)
      b1 = 0.0_wp
      c1 = 0.0_wp
      d1 = 0.0_wp
      do k = 1, n
        x1 = x(i, k)
        x2 = x(i, k + n)
        x3 = x(i, k + 2*n)
        x4 = x(i, k + 3*n)
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k + n)*x2
        c1 = c1 + w(1, k + 2*n)*x3
        d1 = d1 + w(1, k + 3*n)*x4
      end do
      y(i, 1) = max((a1 + b1) + (c1 + d1), lowest)
    end do
#endif

  end subroutine dense_16x1_of_4_in_4

  !> 4 neurons on 32 columns, two further chains of each: y = max(y + weights . x, lowest).
  pure recursive subroutine add_32x4_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(4, *)                    !! weights of the two chains [1]
    real(wp), intent(in) :: x(block_columns, *)        !! inputs [1] (column, input), and one more that is discarded
    real(wp), intent(inout) :: y(block_columns, 4)     !! outputs [1] (column, neuron)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
    real(wp) :: x1, x2, x3, x4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = 0.0_wp
      a2(i) = 0.0_wp
      a3(i) = 0.0_wp
      a4(i) = 0.0_wp
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
      c1(i) = 0.0_wp
      c2(i) = 0.0_wp
      c3(i) = 0.0_wp
      c4(i) = 0.0_wp
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
      d3(i) = 0.0_wp
      d4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        x1 = x(i, k)
        x2 = x(i + lanes, k)
        x3 = x(i, k + n)
        x4 = x(i + lanes, k + n)
        a1(i) = a1(i) + w(1, k)*x1
        b1(i) = b1(i) + w(1, k)*x2
        a2(i) = a2(i) + w(2, k)*x1
        b2(i) = b2(i) + w(2, k)*x2
        a3(i) = a3(i) + w(3, k)*x1
        b3(i) = b3(i) + w(3, k)*x2
        a4(i) = a4(i) + w(4, k)*x1
        b4(i) = b4(i) + w(4, k)*x2
        c1(i) = c1(i) + w(1, k + n)*x3
        d1(i) = d1(i) + w(1, k + n)*x4
        c2(i) = c2(i) + w(2, k + n)*x3
        d2(i) = d2(i) + w(2, k + n)*x4
        c3(i) = c3(i) + w(3, k + n)*x3
        d3(i) = d3(i) + w(3, k + n)*x4
        c4(i) = c4(i) + w(4, k + n)*x3
        d4(i) = d4(i) + w(4, k + n)*x4
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(y(i, 1) + (a1(i) + c1(i)), lowest)
      y(i, 2) = max(y(i, 2) + (a2(i) + c2(i)), lowest)
      y(i, 3) = max(y(i, 3) + (a3(i) + c3(i)), lowest)
      y(i, 4) = max(y(i, 4) + (a4(i) + c4(i)), lowest)
      y(i + lanes, 1) = max(y(i + lanes, 1) + (b1(i) + d1(i)), lowest)
      y(i + lanes, 2) = max(y(i + lanes, 2) + (b2(i) + d2(i)), lowest)
      y(i + lanes, 3) = max(y(i + lanes, 3) + (b3(i) + d3(i)), lowest)
      y(i + lanes, 4) = max(y(i + lanes, 4) + (b4(i) + d4(i)), lowest)
    end do
#else
    !$omp simd private(x1, x2, x3, x4, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4)
    do i = 1, lanes
      a1 = 0.0_wp
      a2 = 0.0_wp
      a3 = 0.0_wp
      a4 = 0.0_wp
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      c1 = 0.0_wp
      c2 = 0.0_wp
      c3 = 0.0_wp
      c4 = 0.0_wp
      d1 = 0.0_wp
      d2 = 0.0_wp
      d3 = 0.0_wp
      d4 = 0.0_wp
      x1 = x(i, 1)
      x2 = x(i + lanes, 1)
      x3 = x(i, 1 + n)
      x4 = x(i + lanes, 1 + n)
      do k = 1, n
        a1 = a1 + w(1, k)*x1
        b1 = b1 + w(1, k)*x2
        a2 = a2 + w(2, k)*x1
        b2 = b2 + w(2, k)*x2
        a3 = a3 + w(3, k)*x1
        b3 = b3 + w(3, k)*x2
        a4 = a4 + w(4, k)*x1
        b4 = b4 + w(4, k)*x2
        c1 = c1 + w(1, k + n)*x3
        d1 = d1 + w(1, k + n)*x4
        c2 = c2 + w(2, k + n)*x3
        d2 = d2 + w(2, k + n)*x4
        c3 = c3 + w(3, k + n)*x3
        d3 = d3 + w(3, k + n)*x4
        c4 = c4 + w(4, k + n)*x3
        d4 = d4 + w(4, k + n)*x4
        x1 = x(i, k + 1)
        x2 = x(i + lanes, k + 1)
        x3 = x(i, k + n + 1)
        x4 = x(i + lanes, k + n + 1)
      end do
      y(i, 1) = max(y(i, 1) + (a1 + c1), lowest)
      y(i, 2) = max(y(i, 2) + (a2 + c2), lowest)
      y(i, 3) = max(y(i, 3) + (a3 + c3), lowest)
      y(i, 4) = max(y(i, 4) + (a4 + c4), lowest)
      y(i + lanes, 1) = max(y(i + lanes, 1) + (b1 + d1), lowest)
      y(i + lanes, 2) = max(y(i + lanes, 2) + (b2 + d2), lowest)
      y(i + lanes, 3) = max(y(i + lanes, 3) + (b3 + d3), lowest)
      y(i + lanes, 4) = max(y(i + lanes, 4) + (b4 + d4), lowest)
    end do
#endif

  end subroutine add_32x4_in_2

  !> 128 neurons on one column: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x128(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 8) !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(widest_panel, 8)      !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, a5, a6, a7, a8
#else
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0, 1)
      a2(i) = w(i, 0, 2)
      a3(i) = w(i, 0, 3)
      a4(i) = w(i, 0, 4)
      a5(i) = w(i, 0, 5)
      a6(i) = w(i, 0, 6)
      a7(i) = w(i, 0, 7)
      a8(i) = w(i, 0, 8)
    end do
    do k = 1, n_in
      do i = 1, lanes
        a1(i) = a1(i) + w(i, k, 1)*x(k)
        a2(i) = a2(i) + w(i, k, 2)*x(k)
        a3(i) = a3(i) + w(i, k, 3)*x(k)
        a4(i) = a4(i) + w(i, k, 4)*x(k)
        a5(i) = a5(i) + w(i, k, 5)*x(k)
        a6(i) = a6(i) + w(i, k, 6)*x(k)
        a7(i) = a7(i) + w(i, k, 7)*x(k)
        a8(i) = a8(i) + w(i, k, 8)*x(k)
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
      y(i, 5) = max(a5(i), lowest)
      y(i, 6) = max(a6(i), lowest)
      y(i, 7) = max(a7(i), lowest)
      y(i, 8) = max(a8(i), lowest)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, a5, a6, a7, a8)
    do i = 1, lanes
      a1 = w(i, 0, 1)
      a2 = w(i, 0, 2)
      a3 = w(i, 0, 3)
      a4 = w(i, 0, 4)
      a5 = w(i, 0, 5)
      a6 = w(i, 0, 6)
      a7 = w(i, 0, 7)
      a8 = w(i, 0, 8)
      do k = 1, n_in
        a1 = a1 + w(i, k, 1)*x(k)
        a2 = a2 + w(i, k, 2)*x(k)
        a3 = a3 + w(i, k, 3)*x(k)
        a4 = a4 + w(i, k, 4)*x(k)
        a5 = a5 + w(i, k, 5)*x(k)
        a6 = a6 + w(i, k, 6)*x(k)
        a7 = a7 + w(i, k, 7)*x(k)
        a8 = a8 + w(i, k, 8)*x(k)
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
      y(i, 5) = max(a5, lowest)
      y(i, 6) = max(a6, lowest)
      y(i, 7) = max(a7, lowest)
      y(i, 8) = max(a8, lowest)
    end do
#endif

  end subroutine dense_1x128

  !> 64 neurons on one column: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x64(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 4) !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(widest_panel, 4)      !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4
#else
    real(wp) :: a1, a2, a3, a4
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0, 1)
      a2(i) = w(i, 0, 2)
      a3(i) = w(i, 0, 3)
      a4(i) = w(i, 0, 4)
    end do
    do k = 1, n_in
      do i = 1, lanes
        a1(i) = a1(i) + w(i, k, 1)*x(k)
        a2(i) = a2(i) + w(i, k, 2)*x(k)
        a3(i) = a3(i) + w(i, k, 3)*x(k)
        a4(i) = a4(i) + w(i, k, 4)*x(k)
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i), lowest)
      y(i, 2) = max(a2(i), lowest)
      y(i, 3) = max(a3(i), lowest)
      y(i, 4) = max(a4(i), lowest)
    end do
#else
    !$omp simd private(a1, a2, a3, a4)
    do i = 1, lanes
      a1 = w(i, 0, 1)
      a2 = w(i, 0, 2)
      a3 = w(i, 0, 3)
      a4 = w(i, 0, 4)
      do k = 1, n_in
        a1 = a1 + w(i, k, 1)*x(k)
        a2 = a2 + w(i, k, 2)*x(k)
        a3 = a3 + w(i, k, 3)*x(k)
        a4 = a4 + w(i, k, 4)*x(k)
      end do
      y(i, 1) = max(a1, lowest)
      y(i, 2) = max(a2, lowest)
      y(i, 3) = max(a3, lowest)
      y(i, 4) = max(a4, lowest)
    end do
#endif

  end subroutine dense_1x64

  !> 32 neurons on one column: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x32(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(16, 0:n_in, 2)           !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(16, 2)                !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    real(wp) :: x1
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
    real(wp) :: a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32
    integer :: k

    a1 = w(1, 0, 1)
    a2 = w(2, 0, 1)
    a3 = w(3, 0, 1)
    a4 = w(4, 0, 1)
    a5 = w(5, 0, 1)
    a6 = w(6, 0, 1)
    a7 = w(7, 0, 1)
    a8 = w(8, 0, 1)
    a9 = w(9, 0, 1)
    a10 = w(10, 0, 1)
    a11 = w(11, 0, 1)
    a12 = w(12, 0, 1)
    a13 = w(13, 0, 1)
    a14 = w(14, 0, 1)
    a15 = w(15, 0, 1)
    a16 = w(16, 0, 1)
    a17 = w(1, 0, 2)
    a18 = w(2, 0, 2)
    a19 = w(3, 0, 2)
    a20 = w(4, 0, 2)
    a21 = w(5, 0, 2)
    a22 = w(6, 0, 2)
    a23 = w(7, 0, 2)
    a24 = w(8, 0, 2)
    a25 = w(9, 0, 2)
    a26 = w(10, 0, 2)
    a27 = w(11, 0, 2)
    a28 = w(12, 0, 2)
    a29 = w(13, 0, 2)
    a30 = w(14, 0, 2)
    a31 = w(15, 0, 2)
    a32 = w(16, 0, 2)
    !GCC$ novector
    do k = 1, n_in
      x1 = x(k)
      a1 = a1 + w(1, k, 1)*x1
      a2 = a2 + w(2, k, 1)*x1
      a3 = a3 + w(3, k, 1)*x1
      a4 = a4 + w(4, k, 1)*x1
      a5 = a5 + w(5, k, 1)*x1
      a6 = a6 + w(6, k, 1)*x1
      a7 = a7 + w(7, k, 1)*x1
      a8 = a8 + w(8, k, 1)*x1
      a9 = a9 + w(9, k, 1)*x1
      a10 = a10 + w(10, k, 1)*x1
      a11 = a11 + w(11, k, 1)*x1
      a12 = a12 + w(12, k, 1)*x1
      a13 = a13 + w(13, k, 1)*x1
      a14 = a14 + w(14, k, 1)*x1
      a15 = a15 + w(15, k, 1)*x1
      a16 = a16 + w(16, k, 1)*x1
      a17 = a17 + w(1, k, 2)*x1
      a18 = a18 + w(2, k, 2)*x1
      a19 = a19 + w(3, k, 2)*x1
      a20 = a20 + w(4, k, 2)*x1
      a21 = a21 + w(5, k, 2)*x1
      a22 = a22 + w(6, k, 2)*x1
      a23 = a23 + w(7, k, 2)*x1
      a24 = a24 + w(8, k, 2)*x1
      a25 = a25 + w(9, k, 2)*x1
      a26 = a26 + w(10, k, 2)*x1
      a27 = a27 + w(11, k, 2)*x1
      a28 = a28 + w(12, k, 2)*x1
      a29 = a29 + w(13, k, 2)*x1
      a30 = a30 + w(14, k, 2)*x1
      a31 = a31 + w(15, k, 2)*x1
      a32 = a32 + w(16, k, 2)*x1
    end do
    y(1, 1) = max(a1, lowest)
    y(2, 1) = max(a2, lowest)
    y(3, 1) = max(a3, lowest)
    y(4, 1) = max(a4, lowest)
    y(5, 1) = max(a5, lowest)
    y(6, 1) = max(a6, lowest)
    y(7, 1) = max(a7, lowest)
    y(8, 1) = max(a8, lowest)
    y(9, 1) = max(a9, lowest)
    y(10, 1) = max(a10, lowest)
    y(11, 1) = max(a11, lowest)
    y(12, 1) = max(a12, lowest)
    y(13, 1) = max(a13, lowest)
    y(14, 1) = max(a14, lowest)
    y(15, 1) = max(a15, lowest)
    y(16, 1) = max(a16, lowest)
    y(1, 2) = max(a17, lowest)
    y(2, 2) = max(a18, lowest)
    y(3, 2) = max(a19, lowest)
    y(4, 2) = max(a20, lowest)
    y(5, 2) = max(a21, lowest)
    y(6, 2) = max(a22, lowest)
    y(7, 2) = max(a23, lowest)
    y(8, 2) = max(a24, lowest)
    y(9, 2) = max(a25, lowest)
    y(10, 2) = max(a26, lowest)
    y(11, 2) = max(a27, lowest)
    y(12, 2) = max(a28, lowest)
    y(13, 2) = max(a29, lowest)
    y(14, 2) = max(a30, lowest)
    y(15, 2) = max(a31, lowest)
    y(16, 2) = max(a32, lowest)

  end subroutine dense_1x32

  !> 16 neurons on one column: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x16(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(16, 0:n_in, 1)           !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(16, 1)                !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    real(wp) :: x1
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
    integer :: k

    a1 = w(1, 0, 1)
    a2 = w(2, 0, 1)
    a3 = w(3, 0, 1)
    a4 = w(4, 0, 1)
    a5 = w(5, 0, 1)
    a6 = w(6, 0, 1)
    a7 = w(7, 0, 1)
    a8 = w(8, 0, 1)
    a9 = w(9, 0, 1)
    a10 = w(10, 0, 1)
    a11 = w(11, 0, 1)
    a12 = w(12, 0, 1)
    a13 = w(13, 0, 1)
    a14 = w(14, 0, 1)
    a15 = w(15, 0, 1)
    a16 = w(16, 0, 1)
    !GCC$ novector
    do k = 1, n_in
      x1 = x(k)
      a1 = a1 + w(1, k, 1)*x1
      a2 = a2 + w(2, k, 1)*x1
      a3 = a3 + w(3, k, 1)*x1
      a4 = a4 + w(4, k, 1)*x1
      a5 = a5 + w(5, k, 1)*x1
      a6 = a6 + w(6, k, 1)*x1
      a7 = a7 + w(7, k, 1)*x1
      a8 = a8 + w(8, k, 1)*x1
      a9 = a9 + w(9, k, 1)*x1
      a10 = a10 + w(10, k, 1)*x1
      a11 = a11 + w(11, k, 1)*x1
      a12 = a12 + w(12, k, 1)*x1
      a13 = a13 + w(13, k, 1)*x1
      a14 = a14 + w(14, k, 1)*x1
      a15 = a15 + w(15, k, 1)*x1
      a16 = a16 + w(16, k, 1)*x1
    end do
    y(1, 1) = max(a1, lowest)
    y(2, 1) = max(a2, lowest)
    y(3, 1) = max(a3, lowest)
    y(4, 1) = max(a4, lowest)
    y(5, 1) = max(a5, lowest)
    y(6, 1) = max(a6, lowest)
    y(7, 1) = max(a7, lowest)
    y(8, 1) = max(a8, lowest)
    y(9, 1) = max(a9, lowest)
    y(10, 1) = max(a10, lowest)
    y(11, 1) = max(a11, lowest)
    y(12, 1) = max(a12, lowest)
    y(13, 1) = max(a13, lowest)
    y(14, 1) = max(a14, lowest)
    y(15, 1) = max(a15, lowest)
    y(16, 1) = max(a16, lowest)

  end subroutine dense_1x16

  !> 8 neurons on one column: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x8(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(*)                       !! bias and weights [1] (8, 0:n_in), then widest_panel more
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(widest_panel)         !! outputs [1]; only the first 8 have a meaning
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
#ifdef __flang__
    real(wp), dimension(lanes) :: a1
#else
    real(wp) :: a1
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i)
    end do
    do k = 1, n_in
      do i = 1, lanes
        a1(i) = a1(i) + w(i + 8*k)*x(k)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
    end do
#else
    !$omp simd private(a1)
    do i = 1, lanes
      a1 = w(i)
      do k = 1, n_in
        a1 = a1 + w(i + 8*k)*x(k)
      end do
      y(i) = max(a1, lowest)
    end do
#endif

  end subroutine dense_1x8

  !> 4 neurons on one column: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(*)                       !! bias and weights [1] (4, 0:n_in), then widest_panel more
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(widest_panel)         !! outputs [1]; only the first 4 have a meaning
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k
#ifdef __flang__
    real(wp), dimension(lanes) :: a1
#else
    real(wp) :: a1
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i)
    end do
    do k = 1, n_in
      do i = 1, lanes
        a1(i) = a1(i) + w(i + 4*k)*x(k)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
    end do
#else
    !$omp simd private(a1)
    do i = 1, lanes
      a1 = w(i)
      do k = 1, n_in
        a1 = a1 + w(i + 4*k)*x(k)
      end do
      y(i) = max(a1, lowest)
    end do
#endif

  end subroutine dense_1x4

  !> 64 neurons on one column, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x64_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 4) !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(widest_panel, 4)      !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, a3, a4, b1, b2, b3, b4
#else
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0, 1)
      a2(i) = w(i, 0, 2)
      a3(i) = w(i, 0, 3)
      a4(i) = w(i, 0, 4)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      b3(i) = 0.0_wp
      b4(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        a1(i) = a1(i) + w(i, k, 1)*x(k)
        a2(i) = a2(i) + w(i, k, 2)*x(k)
        a3(i) = a3(i) + w(i, k, 3)*x(k)
        a4(i) = a4(i) + w(i, k, 4)*x(k)
        b1(i) = b1(i) + w(i, k + n, 1)*x(k + n)
        b2(i) = b2(i) + w(i, k + n, 2)*x(k + n)
        b3(i) = b3(i) + w(i, k + n, 3)*x(k + n)
        b4(i) = b4(i) + w(i, k + n, 4)*x(k + n)
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
      y(i, 3) = max(a3(i) + b3(i), lowest)
      y(i, 4) = max(a4(i) + b4(i), lowest)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, b2, b3, b4)
    do i = 1, lanes
      a1 = w(i, 0, 1)
      a2 = w(i, 0, 2)
      a3 = w(i, 0, 3)
      a4 = w(i, 0, 4)
      b1 = 0.0_wp
      b2 = 0.0_wp
      b3 = 0.0_wp
      b4 = 0.0_wp
      do k = 1, n
        a1 = a1 + w(i, k, 1)*x(k)
        a2 = a2 + w(i, k, 2)*x(k)
        a3 = a3 + w(i, k, 3)*x(k)
        a4 = a4 + w(i, k, 4)*x(k)
        b1 = b1 + w(i, k + n, 1)*x(k + n)
        b2 = b2 + w(i, k + n, 2)*x(k + n)
        b3 = b3 + w(i, k + n, 3)*x(k + n)
        b4 = b4 + w(i, k + n, 4)*x(k + n)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
      y(i, 3) = max(a3 + b3, lowest)
      y(i, 4) = max(a4 + b4, lowest)
    end do
#endif

  end subroutine dense_1x64_in_2

  !> 32 neurons on one column, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x32_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:n_in, 2) !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(widest_panel, 2)      !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer :: i, k, n
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2
#else
    real(wp) :: a1, a2, b1, b2
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0, 1)
      a2(i) = w(i, 0, 2)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        a1(i) = a1(i) + w(i, k, 1)*x(k)
        a2(i) = a2(i) + w(i, k, 2)*x(k)
        b1(i) = b1(i) + w(i, k + n, 1)*x(k + n)
        b2(i) = b2(i) + w(i, k + n, 2)*x(k + n)
      end do
    end do
    do i = 1, lanes
      y(i, 1) = max(a1(i) + b1(i), lowest)
      y(i, 2) = max(a2(i) + b2(i), lowest)
    end do
#else
    !$omp simd private(a1, a2, b1, b2)
    do i = 1, lanes
      a1 = w(i, 0, 1)
      a2 = w(i, 0, 2)
      b1 = 0.0_wp
      b2 = 0.0_wp
      do k = 1, n
        a1 = a1 + w(i, k, 1)*x(k)
        a2 = a2 + w(i, k, 2)*x(k)
        b1 = b1 + w(i, k + n, 1)*x(k + n)
        b2 = b2 + w(i, k + n, 2)*x(k + n)
      end do
      y(i, 1) = max(a1 + b1, lowest)
      y(i, 2) = max(a2 + b2, lowest)
    end do
#endif

  end subroutine dense_1x32_in_2

  !> 16 neurons on one column, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x16_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(16, 0:n_in, 1)           !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(16, 1)                !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    real(wp) :: x1, x2
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
    real(wp) :: b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, b16
    integer :: k, n

    n = n_in/2
    a1 = w(1, 0, 1)
    a2 = w(2, 0, 1)
    a3 = w(3, 0, 1)
    a4 = w(4, 0, 1)
    a5 = w(5, 0, 1)
    a6 = w(6, 0, 1)
    a7 = w(7, 0, 1)
    a8 = w(8, 0, 1)
    a9 = w(9, 0, 1)
    a10 = w(10, 0, 1)
    a11 = w(11, 0, 1)
    a12 = w(12, 0, 1)
    a13 = w(13, 0, 1)
    a14 = w(14, 0, 1)
    a15 = w(15, 0, 1)
    a16 = w(16, 0, 1)
    b1 = 0.0_wp
    b2 = 0.0_wp
    b3 = 0.0_wp
    b4 = 0.0_wp
    b5 = 0.0_wp
    b6 = 0.0_wp
    b7 = 0.0_wp
    b8 = 0.0_wp
    b9 = 0.0_wp
    b10 = 0.0_wp
    b11 = 0.0_wp
    b12 = 0.0_wp
    b13 = 0.0_wp
    b14 = 0.0_wp
    b15 = 0.0_wp
    b16 = 0.0_wp
    !GCC$ novector
    do k = 1, n
      x1 = x(k)
      x2 = x(k + n)
      a1 = a1 + w(1, k, 1)*x1
      a2 = a2 + w(2, k, 1)*x1
      a3 = a3 + w(3, k, 1)*x1
      a4 = a4 + w(4, k, 1)*x1
      a5 = a5 + w(5, k, 1)*x1
      a6 = a6 + w(6, k, 1)*x1
      a7 = a7 + w(7, k, 1)*x1
      a8 = a8 + w(8, k, 1)*x1
      a9 = a9 + w(9, k, 1)*x1
      a10 = a10 + w(10, k, 1)*x1
      a11 = a11 + w(11, k, 1)*x1
      a12 = a12 + w(12, k, 1)*x1
      a13 = a13 + w(13, k, 1)*x1
      a14 = a14 + w(14, k, 1)*x1
      a15 = a15 + w(15, k, 1)*x1
      a16 = a16 + w(16, k, 1)*x1
      b1 = b1 + w(1, k + n, 1)*x2
      b2 = b2 + w(2, k + n, 1)*x2
      b3 = b3 + w(3, k + n, 1)*x2
      b4 = b4 + w(4, k + n, 1)*x2
      b5 = b5 + w(5, k + n, 1)*x2
      b6 = b6 + w(6, k + n, 1)*x2
      b7 = b7 + w(7, k + n, 1)*x2
      b8 = b8 + w(8, k + n, 1)*x2
      b9 = b9 + w(9, k + n, 1)*x2
      b10 = b10 + w(10, k + n, 1)*x2
      b11 = b11 + w(11, k + n, 1)*x2
      b12 = b12 + w(12, k + n, 1)*x2
      b13 = b13 + w(13, k + n, 1)*x2
      b14 = b14 + w(14, k + n, 1)*x2
      b15 = b15 + w(15, k + n, 1)*x2
      b16 = b16 + w(16, k + n, 1)*x2
    end do
    y(1, 1) = max(a1 + b1, lowest)
    y(2, 1) = max(a2 + b2, lowest)
    y(3, 1) = max(a3 + b3, lowest)
    y(4, 1) = max(a4 + b4, lowest)
    y(5, 1) = max(a5 + b5, lowest)
    y(6, 1) = max(a6 + b6, lowest)
    y(7, 1) = max(a7 + b7, lowest)
    y(8, 1) = max(a8 + b8, lowest)
    y(9, 1) = max(a9 + b9, lowest)
    y(10, 1) = max(a10 + b10, lowest)
    y(11, 1) = max(a11 + b11, lowest)
    y(12, 1) = max(a12 + b12, lowest)
    y(13, 1) = max(a13 + b13, lowest)
    y(14, 1) = max(a14 + b14, lowest)
    y(15, 1) = max(a15 + b15, lowest)
    y(16, 1) = max(a16 + b16, lowest)

  end subroutine dense_1x16_in_2

  !> 8 neurons on one column, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x8_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(8, 0:n_in, 1)            !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(8, 1)                 !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    real(wp) :: x1, x2
    real(wp) :: a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8
    integer :: k, n

    n = n_in/2
    a1 = w(1, 0, 1)
    a2 = w(2, 0, 1)
    a3 = w(3, 0, 1)
    a4 = w(4, 0, 1)
    a5 = w(5, 0, 1)
    a6 = w(6, 0, 1)
    a7 = w(7, 0, 1)
    a8 = w(8, 0, 1)
    b1 = 0.0_wp
    b2 = 0.0_wp
    b3 = 0.0_wp
    b4 = 0.0_wp
    b5 = 0.0_wp
    b6 = 0.0_wp
    b7 = 0.0_wp
    b8 = 0.0_wp
    !GCC$ novector
    do k = 1, n
      x1 = x(k)
      x2 = x(k + n)
      a1 = a1 + w(1, k, 1)*x1
      a2 = a2 + w(2, k, 1)*x1
      a3 = a3 + w(3, k, 1)*x1
      a4 = a4 + w(4, k, 1)*x1
      a5 = a5 + w(5, k, 1)*x1
      a6 = a6 + w(6, k, 1)*x1
      a7 = a7 + w(7, k, 1)*x1
      a8 = a8 + w(8, k, 1)*x1
      b1 = b1 + w(1, k + n, 1)*x2
      b2 = b2 + w(2, k + n, 1)*x2
      b3 = b3 + w(3, k + n, 1)*x2
      b4 = b4 + w(4, k + n, 1)*x2
      b5 = b5 + w(5, k + n, 1)*x2
      b6 = b6 + w(6, k + n, 1)*x2
      b7 = b7 + w(7, k + n, 1)*x2
      b8 = b8 + w(8, k + n, 1)*x2
    end do
    y(1, 1) = max(a1 + b1, lowest)
    y(2, 1) = max(a2 + b2, lowest)
    y(3, 1) = max(a3 + b3, lowest)
    y(4, 1) = max(a4 + b4, lowest)
    y(5, 1) = max(a5 + b5, lowest)
    y(6, 1) = max(a6 + b6, lowest)
    y(7, 1) = max(a7 + b7, lowest)
    y(8, 1) = max(a8 + b8, lowest)

  end subroutine dense_1x8_in_2

  !> 4 neurons on one column, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x4_in_2(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(4, 0:n_in, 1)            !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(4, 1)                 !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    real(wp) :: x1, x2
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
    integer :: k, n

    n = n_in/2
    a1 = w(1, 0, 1)
    a2 = w(2, 0, 1)
    a3 = w(3, 0, 1)
    a4 = w(4, 0, 1)
    b1 = 0.0_wp
    b2 = 0.0_wp
    b3 = 0.0_wp
    b4 = 0.0_wp
    !GCC$ novector
    do k = 1, n
      x1 = x(k)
      x2 = x(k + n)
      a1 = a1 + w(1, k, 1)*x1
      a2 = a2 + w(2, k, 1)*x1
      a3 = a3 + w(3, k, 1)*x1
      a4 = a4 + w(4, k, 1)*x1
      b1 = b1 + w(1, k + n, 1)*x2
      b2 = b2 + w(2, k + n, 1)*x2
      b3 = b3 + w(3, k + n, 1)*x2
      b4 = b4 + w(4, k + n, 1)*x2
    end do
    y(1, 1) = max(a1 + b1, lowest)
    y(2, 1) = max(a2 + b2, lowest)
    y(3, 1) = max(a3 + b3, lowest)
    y(4, 1) = max(a4 + b4, lowest)

  end subroutine dense_1x4_in_2

  !> 4 neurons on one column, each in 4 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_1x4_in_4(n_in, w, x, y, lowest)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 4
    real(wp), intent(in) :: w(4, 0:n_in, 1)            !! bias (k = 0) and weights [1]
    real(wp), intent(in) :: x(n_in)                    !! inputs [1]
    real(wp), intent(inout) :: y(4, 1)                 !! outputs [1]
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    real(wp) :: x1, x2, x3, x4
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4
    integer :: k, n

    n = n_in/4
    a1 = w(1, 0, 1)
    a2 = w(2, 0, 1)
    a3 = w(3, 0, 1)
    a4 = w(4, 0, 1)
    b1 = 0.0_wp
    b2 = 0.0_wp
    b3 = 0.0_wp
    b4 = 0.0_wp
    c1 = 0.0_wp
    c2 = 0.0_wp
    c3 = 0.0_wp
    c4 = 0.0_wp
    d1 = 0.0_wp
    d2 = 0.0_wp
    d3 = 0.0_wp
    d4 = 0.0_wp
    !GCC$ novector
    do k = 1, n
      x1 = x(k)
      x2 = x(k + n)
      x3 = x(k + 2*n)
      x4 = x(k + 3*n)
      a1 = a1 + w(1, k, 1)*x1
      a2 = a2 + w(2, k, 1)*x1
      a3 = a3 + w(3, k, 1)*x1
      a4 = a4 + w(4, k, 1)*x1
      b1 = b1 + w(1, k + n, 1)*x2
      b2 = b2 + w(2, k + n, 1)*x2
      b3 = b3 + w(3, k + n, 1)*x2
      b4 = b4 + w(4, k + n, 1)*x2
      c1 = c1 + w(1, k + 2*n, 1)*x3
      c2 = c2 + w(2, k + 2*n, 1)*x3
      c3 = c3 + w(3, k + 2*n, 1)*x3
      c4 = c4 + w(4, k + 2*n, 1)*x3
      d1 = d1 + w(1, k + 3*n, 1)*x4
      d2 = d2 + w(2, k + 3*n, 1)*x4
      d3 = d3 + w(3, k + 3*n, 1)*x4
      d4 = d4 + w(4, k + 3*n, 1)*x4
    end do
    y(1, 1) = max((a1 + b1) + (c1 + d1), lowest)
    y(2, 1) = max((a2 + b2) + (c2 + d2), lowest)
    y(3, 1) = max((a3 + b3) + (c3 + d3), lowest)
    y(4, 1) = max((a4 + b4) + (c4 + d4), lowest)

  end subroutine dense_1x4_in_4

  !> 32 neurons on 2 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_2x32(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k
    real(wp) :: w1, w2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2
#else
    real(wp) :: a1, a2, b1, b2
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      a2(i) = w(i, n_in + 1)
      b1(i) = w(i, 0)
      b2(i) = w(i, n_in + 1)
    end do
    do k = 1, n_in
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n_in + 1)
        a1(i) = a1(i) + w1*x(k)
        b1(i) = b1(i) + w1*x(k + x_step)
        a2(i) = a2(i) + w2*x(k)
        b2(i) = b2(i) + w2*x(k + x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
      y(i + widest_panel) = max(a2(i), lowest)
      y(i + y_step) = max(b1(i), lowest)
      y(i + widest_panel + y_step) = max(b2(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, a1, a2, b1, b2)
    do i = 1, lanes
      a1 = w(i, 0)
      a2 = w(i, n_in + 1)
      b1 = w(i, 0)
      b2 = w(i, n_in + 1)
      w1 = w(i, 1)
      w2 = w(i, 1 + n_in + 1)
      do k = 1, n_in
        a1 = a1 + w1*x(k)
        b1 = b1 + w1*x(k + x_step)
        a2 = a2 + w2*x(k)
        b2 = b2 + w2*x(k + x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + 1 + n_in + 1)
      end do
      y(i) = max(a1, lowest)
      y(i + widest_panel) = max(a2, lowest)
      y(i + y_step) = max(b1, lowest)
      y(i + widest_panel + y_step) = max(b2, lowest)
    end do
#endif

  end subroutine dense_2x32

  !> 16 neurons on 2 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_2x16(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k
    real(wp) :: w1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1
#else
    real(wp) :: a1, b1
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      b1(i) = w(i, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        w1 = w(i, k)
        a1(i) = a1(i) + w1*x(k)
        b1(i) = b1(i) + w1*x(k + x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
      y(i + y_step) = max(b1(i), lowest)
    end do
#else
    !$omp simd private(w1, a1, b1)
    do i = 1, lanes
      a1 = w(i, 0)
      b1 = w(i, 0)
      w1 = w(i, 1)
      do k = 1, n_in
        a1 = a1 + w1*x(k)
        b1 = b1 + w1*x(k + x_step)
        w1 = w(i, k + 1)
      end do
      y(i) = max(a1, lowest)
      y(i + y_step) = max(b1, lowest)
    end do
#endif

  end subroutine dense_2x16

  !> 32 neurons on 2 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_2x32_in_2(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k, n
    real(wp) :: w1, w2, w3, w4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2, c1, c2, d1, d2
#else
    real(wp) :: a1, a2, b1, b2, c1, c2, d1, d2
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      a2(i) = w(i, n_in + 1)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      c1(i) = w(i, 0)
      c2(i) = w(i, n_in + 1)
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n_in + 1)
        w3 = w(i, k + n)
        w4 = w(i, k + n + n_in + 1)
        a1(i) = a1(i) + w1*x(k)
        c1(i) = c1(i) + w1*x(k + x_step)
        a2(i) = a2(i) + w2*x(k)
        c2(i) = c2(i) + w2*x(k + x_step)
        b1(i) = b1(i) + w3*x(k + n)
        d1(i) = d1(i) + w3*x(k + n + x_step)
        b2(i) = b2(i) + w4*x(k + n)
        d2(i) = d2(i) + w4*x(k + n + x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i) + b1(i), lowest)
      y(i + widest_panel) = max(a2(i) + b2(i), lowest)
      y(i + y_step) = max(c1(i) + d1(i), lowest)
      y(i + widest_panel + y_step) = max(c2(i) + d2(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, w3, w4, a1, a2, b1, b2, c1, c2, d1, d2)
    do i = 1, lanes
      a1 = w(i, 0)
      a2 = w(i, n_in + 1)
      b1 = 0.0_wp
      b2 = 0.0_wp
      c1 = w(i, 0)
      c2 = w(i, n_in + 1)
      d1 = 0.0_wp
      d2 = 0.0_wp
      w1 = w(i, 1)
      w2 = w(i, 1 + n_in + 1)
      w3 = w(i, 1 + n)
      w4 = w(i, 1 + n + n_in + 1)
      do k = 1, n
        a1 = a1 + w1*x(k)
        c1 = c1 + w1*x(k + x_step)
        a2 = a2 + w2*x(k)
        c2 = c2 + w2*x(k + x_step)
        b1 = b1 + w3*x(k + n)
        d1 = d1 + w3*x(k + n + x_step)
        b2 = b2 + w4*x(k + n)
        d2 = d2 + w4*x(k + n + x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + 1 + n_in + 1)
        w3 = w(i, k + n + 1)
        w4 = w(i, k + n + 1 + n_in + 1)
      end do
      y(i) = max(a1 + b1, lowest)
      y(i + widest_panel) = max(a2 + b2, lowest)
      y(i + y_step) = max(c1 + d1, lowest)
      y(i + widest_panel + y_step) = max(c2 + d2, lowest)
    end do
#endif

  end subroutine dense_2x32_in_2

  !> 16 neurons on 2 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_2x16_in_2(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k, n
    real(wp) :: w1, w2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1, d1
#else
    real(wp) :: a1, b1, c1, d1
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      b1(i) = 0.0_wp
      c1(i) = w(i, 0)
      d1(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n)
        a1(i) = a1(i) + w1*x(k)
        c1(i) = c1(i) + w1*x(k + x_step)
        b1(i) = b1(i) + w2*x(k + n)
        d1(i) = d1(i) + w2*x(k + n + x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i) + b1(i), lowest)
      y(i + y_step) = max(c1(i) + d1(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, a1, b1, c1, d1)
    do i = 1, lanes
      a1 = w(i, 0)
      b1 = 0.0_wp
      c1 = w(i, 0)
      d1 = 0.0_wp
      w1 = w(i, 1)
      w2 = w(i, 1 + n)
      do k = 1, n
        a1 = a1 + w1*x(k)
        c1 = c1 + w1*x(k + x_step)
        b1 = b1 + w2*x(k + n)
        d1 = d1 + w2*x(k + n + x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + n + 1)
      end do
      y(i) = max(a1 + b1, lowest)
      y(i + y_step) = max(c1 + d1, lowest)
    end do
#endif

  end subroutine dense_2x16_in_2

  !> 32 neurons on 3 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_3x32(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k
    real(wp) :: w1, w2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2, c1, c2
#else
    real(wp) :: a1, a2, b1, b2, c1, c2
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      a2(i) = w(i, n_in + 1)
      b1(i) = w(i, 0)
      b2(i) = w(i, n_in + 1)
      c1(i) = w(i, 0)
      c2(i) = w(i, n_in + 1)
    end do
    do k = 1, n_in
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n_in + 1)
        a1(i) = a1(i) + w1*x(k)
        b1(i) = b1(i) + w1*x(k + x_step)
        c1(i) = c1(i) + w1*x(k + 2*x_step)
        a2(i) = a2(i) + w2*x(k)
        b2(i) = b2(i) + w2*x(k + x_step)
        c2(i) = c2(i) + w2*x(k + 2*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
      y(i + widest_panel) = max(a2(i), lowest)
      y(i + y_step) = max(b1(i), lowest)
      y(i + widest_panel + y_step) = max(b2(i), lowest)
      y(i + 2*y_step) = max(c1(i), lowest)
      y(i + widest_panel + 2*y_step) = max(c2(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, a1, a2, b1, b2, c1, c2)
    do i = 1, lanes
      a1 = w(i, 0)
      a2 = w(i, n_in + 1)
      b1 = w(i, 0)
      b2 = w(i, n_in + 1)
      c1 = w(i, 0)
      c2 = w(i, n_in + 1)
      w1 = w(i, 1)
      w2 = w(i, 1 + n_in + 1)
      do k = 1, n_in
        a1 = a1 + w1*x(k)
        b1 = b1 + w1*x(k + x_step)
        c1 = c1 + w1*x(k + 2*x_step)
        a2 = a2 + w2*x(k)
        b2 = b2 + w2*x(k + x_step)
        c2 = c2 + w2*x(k + 2*x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + 1 + n_in + 1)
      end do
      y(i) = max(a1, lowest)
      y(i + widest_panel) = max(a2, lowest)
      y(i + y_step) = max(b1, lowest)
      y(i + widest_panel + y_step) = max(b2, lowest)
      y(i + 2*y_step) = max(c1, lowest)
      y(i + widest_panel + 2*y_step) = max(c2, lowest)
    end do
#endif

  end subroutine dense_3x32

  !> 16 neurons on 3 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_3x16(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k
    real(wp) :: w1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1
#else
    real(wp) :: a1, b1, c1
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      b1(i) = w(i, 0)
      c1(i) = w(i, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        w1 = w(i, k)
        a1(i) = a1(i) + w1*x(k)
        b1(i) = b1(i) + w1*x(k + x_step)
        c1(i) = c1(i) + w1*x(k + 2*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
      y(i + y_step) = max(b1(i), lowest)
      y(i + 2*y_step) = max(c1(i), lowest)
    end do
#else
    !$omp simd private(w1, a1, b1, c1)
    do i = 1, lanes
      a1 = w(i, 0)
      b1 = w(i, 0)
      c1 = w(i, 0)
      w1 = w(i, 1)
      do k = 1, n_in
        a1 = a1 + w1*x(k)
        b1 = b1 + w1*x(k + x_step)
        c1 = c1 + w1*x(k + 2*x_step)
        w1 = w(i, k + 1)
      end do
      y(i) = max(a1, lowest)
      y(i + y_step) = max(b1, lowest)
      y(i + 2*y_step) = max(c1, lowest)
    end do
#endif

  end subroutine dense_3x16

  !> 32 neurons on 3 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_3x32_in_2(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k, n
    real(wp) :: w1, w2, w3, w4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2, c1, c2, d1, d2, e1, e2, f1, f2
#else
    real(wp) :: a1, a2, b1, b2, c1, c2, d1, d2, e1, e2, f1, f2
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      a2(i) = w(i, n_in + 1)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      c1(i) = w(i, 0)
      c2(i) = w(i, n_in + 1)
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
      e1(i) = w(i, 0)
      e2(i) = w(i, n_in + 1)
      f1(i) = 0.0_wp
      f2(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n_in + 1)
        w3 = w(i, k + n)
        w4 = w(i, k + n + n_in + 1)
        a1(i) = a1(i) + w1*x(k)
        c1(i) = c1(i) + w1*x(k + x_step)
        e1(i) = e1(i) + w1*x(k + 2*x_step)
        a2(i) = a2(i) + w2*x(k)
        c2(i) = c2(i) + w2*x(k + x_step)
        e2(i) = e2(i) + w2*x(k + 2*x_step)
        b1(i) = b1(i) + w3*x(k + n)
        d1(i) = d1(i) + w3*x(k + n + x_step)
        f1(i) = f1(i) + w3*x(k + n + 2*x_step)
        b2(i) = b2(i) + w4*x(k + n)
        d2(i) = d2(i) + w4*x(k + n + x_step)
        f2(i) = f2(i) + w4*x(k + n + 2*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i) + b1(i), lowest)
      y(i + widest_panel) = max(a2(i) + b2(i), lowest)
      y(i + y_step) = max(c1(i) + d1(i), lowest)
      y(i + widest_panel + y_step) = max(c2(i) + d2(i), lowest)
      y(i + 2*y_step) = max(e1(i) + f1(i), lowest)
      y(i + widest_panel + 2*y_step) = max(e2(i) + f2(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, w3, w4, a1, a2, b1, b2, c1, c2, d1, d2, e1, e2, f1, f2)
    do i = 1, lanes
      a1 = w(i, 0)
      a2 = w(i, n_in + 1)
      b1 = 0.0_wp
      b2 = 0.0_wp
      c1 = w(i, 0)
      c2 = w(i, n_in + 1)
      d1 = 0.0_wp
      d2 = 0.0_wp
      e1 = w(i, 0)
      e2 = w(i, n_in + 1)
      f1 = 0.0_wp
      f2 = 0.0_wp
      w1 = w(i, 1)
      w2 = w(i, 1 + n_in + 1)
      w3 = w(i, 1 + n)
      w4 = w(i, 1 + n + n_in + 1)
      do k = 1, n
        a1 = a1 + w1*x(k)
        c1 = c1 + w1*x(k + x_step)
        e1 = e1 + w1*x(k + 2*x_step)
        a2 = a2 + w2*x(k)
        c2 = c2 + w2*x(k + x_step)
        e2 = e2 + w2*x(k + 2*x_step)
        b1 = b1 + w3*x(k + n)
        d1 = d1 + w3*x(k + n + x_step)
        f1 = f1 + w3*x(k + n + 2*x_step)
        b2 = b2 + w4*x(k + n)
        d2 = d2 + w4*x(k + n + x_step)
        f2 = f2 + w4*x(k + n + 2*x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + 1 + n_in + 1)
        w3 = w(i, k + n + 1)
        w4 = w(i, k + n + 1 + n_in + 1)
      end do
      y(i) = max(a1 + b1, lowest)
      y(i + widest_panel) = max(a2 + b2, lowest)
      y(i + y_step) = max(c1 + d1, lowest)
      y(i + widest_panel + y_step) = max(c2 + d2, lowest)
      y(i + 2*y_step) = max(e1 + f1, lowest)
      y(i + widest_panel + 2*y_step) = max(e2 + f2, lowest)
    end do
#endif

  end subroutine dense_3x32_in_2

  !> 16 neurons on 3 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_3x16_in_2(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k, n
    real(wp) :: w1, w2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1, d1, e1, f1
#else
    real(wp) :: a1, b1, c1, d1, e1, f1
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      b1(i) = 0.0_wp
      c1(i) = w(i, 0)
      d1(i) = 0.0_wp
      e1(i) = w(i, 0)
      f1(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n)
        a1(i) = a1(i) + w1*x(k)
        c1(i) = c1(i) + w1*x(k + x_step)
        e1(i) = e1(i) + w1*x(k + 2*x_step)
        b1(i) = b1(i) + w2*x(k + n)
        d1(i) = d1(i) + w2*x(k + n + x_step)
        f1(i) = f1(i) + w2*x(k + n + 2*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i) + b1(i), lowest)
      y(i + y_step) = max(c1(i) + d1(i), lowest)
      y(i + 2*y_step) = max(e1(i) + f1(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, a1, b1, c1, d1, e1, f1)
    do i = 1, lanes
      a1 = w(i, 0)
      b1 = 0.0_wp
      c1 = w(i, 0)
      d1 = 0.0_wp
      e1 = w(i, 0)
      f1 = 0.0_wp
      w1 = w(i, 1)
      w2 = w(i, 1 + n)
      do k = 1, n
        a1 = a1 + w1*x(k)
        c1 = c1 + w1*x(k + x_step)
        e1 = e1 + w1*x(k + 2*x_step)
        b1 = b1 + w2*x(k + n)
        d1 = d1 + w2*x(k + n + x_step)
        f1 = f1 + w2*x(k + n + 2*x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + n + 1)
      end do
      y(i) = max(a1 + b1, lowest)
      y(i + y_step) = max(c1 + d1, lowest)
      y(i + 2*y_step) = max(e1 + f1, lowest)
    end do
#endif

  end subroutine dense_3x16_in_2

  !> 32 neurons on 4 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_4x32(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k
    real(wp) :: w1, w2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2, c1, c2, d1, d2
#else
    real(wp) :: a1, a2, b1, b2, c1, c2, d1, d2
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      a2(i) = w(i, n_in + 1)
      b1(i) = w(i, 0)
      b2(i) = w(i, n_in + 1)
      c1(i) = w(i, 0)
      c2(i) = w(i, n_in + 1)
      d1(i) = w(i, 0)
      d2(i) = w(i, n_in + 1)
    end do
    do k = 1, n_in
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n_in + 1)
        a1(i) = a1(i) + w1*x(k)
        b1(i) = b1(i) + w1*x(k + x_step)
        c1(i) = c1(i) + w1*x(k + 2*x_step)
        d1(i) = d1(i) + w1*x(k + 3*x_step)
        a2(i) = a2(i) + w2*x(k)
        b2(i) = b2(i) + w2*x(k + x_step)
        c2(i) = c2(i) + w2*x(k + 2*x_step)
        d2(i) = d2(i) + w2*x(k + 3*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
      y(i + widest_panel) = max(a2(i), lowest)
      y(i + y_step) = max(b1(i), lowest)
      y(i + widest_panel + y_step) = max(b2(i), lowest)
      y(i + 2*y_step) = max(c1(i), lowest)
      y(i + widest_panel + 2*y_step) = max(c2(i), lowest)
      y(i + 3*y_step) = max(d1(i), lowest)
      y(i + widest_panel + 3*y_step) = max(d2(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, a1, a2, b1, b2, c1, c2, d1, d2)
    do i = 1, lanes
      a1 = w(i, 0)
      a2 = w(i, n_in + 1)
      b1 = w(i, 0)
      b2 = w(i, n_in + 1)
      c1 = w(i, 0)
      c2 = w(i, n_in + 1)
      d1 = w(i, 0)
      d2 = w(i, n_in + 1)
      w1 = w(i, 1)
      w2 = w(i, 1 + n_in + 1)
      do k = 1, n_in
        a1 = a1 + w1*x(k)
        b1 = b1 + w1*x(k + x_step)
        c1 = c1 + w1*x(k + 2*x_step)
        d1 = d1 + w1*x(k + 3*x_step)
        a2 = a2 + w2*x(k)
        b2 = b2 + w2*x(k + x_step)
        c2 = c2 + w2*x(k + 2*x_step)
        d2 = d2 + w2*x(k + 3*x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + 1 + n_in + 1)
      end do
      y(i) = max(a1, lowest)
      y(i + widest_panel) = max(a2, lowest)
      y(i + y_step) = max(b1, lowest)
      y(i + widest_panel + y_step) = max(b2, lowest)
      y(i + 2*y_step) = max(c1, lowest)
      y(i + widest_panel + 2*y_step) = max(c2, lowest)
      y(i + 3*y_step) = max(d1, lowest)
      y(i + widest_panel + 3*y_step) = max(d2, lowest)
    end do
#endif

  end subroutine dense_4x32

  !> 16 neurons on 4 columns: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_4x16(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k
    real(wp) :: w1
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1, d1
#else
    real(wp) :: a1, b1, c1, d1
#endif

    if (n_in < 1) return
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      b1(i) = w(i, 0)
      c1(i) = w(i, 0)
      d1(i) = w(i, 0)
    end do
    do k = 1, n_in
      do i = 1, lanes
        w1 = w(i, k)
        a1(i) = a1(i) + w1*x(k)
        b1(i) = b1(i) + w1*x(k + x_step)
        c1(i) = c1(i) + w1*x(k + 2*x_step)
        d1(i) = d1(i) + w1*x(k + 3*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i), lowest)
      y(i + y_step) = max(b1(i), lowest)
      y(i + 2*y_step) = max(c1(i), lowest)
      y(i + 3*y_step) = max(d1(i), lowest)
    end do
#else
    !$omp simd private(w1, a1, b1, c1, d1)
    do i = 1, lanes
      a1 = w(i, 0)
      b1 = w(i, 0)
      c1 = w(i, 0)
      d1 = w(i, 0)
      w1 = w(i, 1)
      do k = 1, n_in
        a1 = a1 + w1*x(k)
        b1 = b1 + w1*x(k + x_step)
        c1 = c1 + w1*x(k + 2*x_step)
        d1 = d1 + w1*x(k + 3*x_step)
        w1 = w(i, k + 1)
      end do
      y(i) = max(a1, lowest)
      y(i + y_step) = max(b1, lowest)
      y(i + 2*y_step) = max(c1, lowest)
      y(i + 3*y_step) = max(d1, lowest)
    end do
#endif

  end subroutine dense_4x16

  !> 32 neurons on 4 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_4x32_in_2(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k, n
    real(wp) :: w1, w2, w3, w4
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, a2, b1, b2, c1, c2, d1, d2, e1, e2, f1, f2, g1, g2, h1, h2
#else
    real(wp) :: a1, a2, b1, b2, c1, c2, d1, d2, e1, e2, f1, f2, g1, g2, h1, h2
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      a2(i) = w(i, n_in + 1)
      b1(i) = 0.0_wp
      b2(i) = 0.0_wp
      c1(i) = w(i, 0)
      c2(i) = w(i, n_in + 1)
      d1(i) = 0.0_wp
      d2(i) = 0.0_wp
      e1(i) = w(i, 0)
      e2(i) = w(i, n_in + 1)
      f1(i) = 0.0_wp
      f2(i) = 0.0_wp
      g1(i) = w(i, 0)
      g2(i) = w(i, n_in + 1)
      h1(i) = 0.0_wp
      h2(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n_in + 1)
        w3 = w(i, k + n)
        w4 = w(i, k + n + n_in + 1)
        a1(i) = a1(i) + w1*x(k)
        c1(i) = c1(i) + w1*x(k + x_step)
        e1(i) = e1(i) + w1*x(k + 2*x_step)
        g1(i) = g1(i) + w1*x(k + 3*x_step)
        a2(i) = a2(i) + w2*x(k)
        c2(i) = c2(i) + w2*x(k + x_step)
        e2(i) = e2(i) + w2*x(k + 2*x_step)
        g2(i) = g2(i) + w2*x(k + 3*x_step)
        b1(i) = b1(i) + w3*x(k + n)
        d1(i) = d1(i) + w3*x(k + n + x_step)
        f1(i) = f1(i) + w3*x(k + n + 2*x_step)
        h1(i) = h1(i) + w3*x(k + n + 3*x_step)
        b2(i) = b2(i) + w4*x(k + n)
        d2(i) = d2(i) + w4*x(k + n + x_step)
        f2(i) = f2(i) + w4*x(k + n + 2*x_step)
        h2(i) = h2(i) + w4*x(k + n + 3*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i) + b1(i), lowest)
      y(i + widest_panel) = max(a2(i) + b2(i), lowest)
      y(i + y_step) = max(c1(i) + d1(i), lowest)
      y(i + widest_panel + y_step) = max(c2(i) + d2(i), lowest)
      y(i + 2*y_step) = max(e1(i) + f1(i), lowest)
      y(i + widest_panel + 2*y_step) = max(e2(i) + f2(i), lowest)
      y(i + 3*y_step) = max(g1(i) + h1(i), lowest)
      y(i + widest_panel + 3*y_step) = max(g2(i) + h2(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, w3, w4, a1, a2, b1, b2, c1, c2, d1, d2, e1, e2, f1, f2, g1, g2, h1, h2)
    do i = 1, lanes
      a1 = w(i, 0)
      a2 = w(i, n_in + 1)
      b1 = 0.0_wp
      b2 = 0.0_wp
      c1 = w(i, 0)
      c2 = w(i, n_in + 1)
      d1 = 0.0_wp
      d2 = 0.0_wp
      e1 = w(i, 0)
      e2 = w(i, n_in + 1)
      f1 = 0.0_wp
      f2 = 0.0_wp
      g1 = w(i, 0)
      g2 = w(i, n_in + 1)
      h1 = 0.0_wp
      h2 = 0.0_wp
      w1 = w(i, 1)
      w2 = w(i, 1 + n_in + 1)
      w3 = w(i, 1 + n)
      w4 = w(i, 1 + n + n_in + 1)
      do k = 1, n
        a1 = a1 + w1*x(k)
        c1 = c1 + w1*x(k + x_step)
        e1 = e1 + w1*x(k + 2*x_step)
        g1 = g1 + w1*x(k + 3*x_step)
        a2 = a2 + w2*x(k)
        c2 = c2 + w2*x(k + x_step)
        e2 = e2 + w2*x(k + 2*x_step)
        g2 = g2 + w2*x(k + 3*x_step)
        b1 = b1 + w3*x(k + n)
        d1 = d1 + w3*x(k + n + x_step)
        f1 = f1 + w3*x(k + n + 2*x_step)
        h1 = h1 + w3*x(k + n + 3*x_step)
        b2 = b2 + w4*x(k + n)
        d2 = d2 + w4*x(k + n + x_step)
        f2 = f2 + w4*x(k + n + 2*x_step)
        h2 = h2 + w4*x(k + n + 3*x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + 1 + n_in + 1)
        w3 = w(i, k + n + 1)
        w4 = w(i, k + n + 1 + n_in + 1)
      end do
      y(i) = max(a1 + b1, lowest)
      y(i + widest_panel) = max(a2 + b2, lowest)
      y(i + y_step) = max(c1 + d1, lowest)
      y(i + widest_panel + y_step) = max(c2 + d2, lowest)
      y(i + 2*y_step) = max(e1 + f1, lowest)
      y(i + widest_panel + 2*y_step) = max(e2 + f2, lowest)
      y(i + 3*y_step) = max(g1 + h1, lowest)
      y(i + widest_panel + 3*y_step) = max(g2 + h2, lowest)
    end do
#endif

  end subroutine dense_4x32_in_2

  !> 16 neurons on 4 columns, each in 2 chains: y = max(bias + weights . x, lowest).
  pure recursive subroutine dense_4x16_in_2(n_in, w, x, y, lowest, x_step, y_step)
    integer, intent(in) :: n_in                        !! number of inputs, a multiple of 2
    real(wp), intent(in) :: w(widest_panel, 0:*)       !! bias (k = 0) and weights of each panel [1], then widest_panel more
    real(wp), intent(in) :: x(*)                       !! inputs [1] (x_step, column)
    real(wp), intent(inout) :: y(*)                    !! outputs [1] (y_step, column)
    real(wp), intent(in) :: lowest                     !! lower bound of the outputs [1]
    integer, intent(in) :: x_step                      !! elements between the inputs of two columns
    integer, intent(in) :: y_step                      !! elements between the outputs of two columns
    integer :: i, k, n
    real(wp) :: w1, w2
#ifdef __flang__
    real(wp), dimension(lanes) :: a1, b1, c1, d1, e1, f1, g1, h1
#else
    real(wp) :: a1, b1, c1, d1, e1, f1, g1, h1
#endif

    if (n_in < 2) return
    n = n_in/2
#ifdef __flang__
    do i = 1, lanes
      a1(i) = w(i, 0)
      b1(i) = 0.0_wp
      c1(i) = w(i, 0)
      d1(i) = 0.0_wp
      e1(i) = w(i, 0)
      f1(i) = 0.0_wp
      g1(i) = w(i, 0)
      h1(i) = 0.0_wp
    end do
    do k = 1, n
      do i = 1, lanes
        w1 = w(i, k)
        w2 = w(i, k + n)
        a1(i) = a1(i) + w1*x(k)
        c1(i) = c1(i) + w1*x(k + x_step)
        e1(i) = e1(i) + w1*x(k + 2*x_step)
        g1(i) = g1(i) + w1*x(k + 3*x_step)
        b1(i) = b1(i) + w2*x(k + n)
        d1(i) = d1(i) + w2*x(k + n + x_step)
        f1(i) = f1(i) + w2*x(k + n + 2*x_step)
        h1(i) = h1(i) + w2*x(k + n + 3*x_step)
      end do
    end do
    do i = 1, lanes
      y(i) = max(a1(i) + b1(i), lowest)
      y(i + y_step) = max(c1(i) + d1(i), lowest)
      y(i + 2*y_step) = max(e1(i) + f1(i), lowest)
      y(i + 3*y_step) = max(g1(i) + h1(i), lowest)
    end do
#else
    !$omp simd private(w1, w2, a1, b1, c1, d1, e1, f1, g1, h1)
    do i = 1, lanes
      a1 = w(i, 0)
      b1 = 0.0_wp
      c1 = w(i, 0)
      d1 = 0.0_wp
      e1 = w(i, 0)
      f1 = 0.0_wp
      g1 = w(i, 0)
      h1 = 0.0_wp
      w1 = w(i, 1)
      w2 = w(i, 1 + n)
      do k = 1, n
        a1 = a1 + w1*x(k)
        c1 = c1 + w1*x(k + x_step)
        e1 = e1 + w1*x(k + 2*x_step)
        g1 = g1 + w1*x(k + 3*x_step)
        b1 = b1 + w2*x(k + n)
        d1 = d1 + w2*x(k + n + x_step)
        f1 = f1 + w2*x(k + n + 2*x_step)
        h1 = h1 + w2*x(k + n + 3*x_step)
        w1 = w(i, k + 1)
        w2 = w(i, k + n + 1)
      end do
      y(i) = max(a1 + b1, lowest)
      y(i + y_step) = max(c1 + d1, lowest)
      y(i + 2*y_step) = max(e1 + f1, lowest)
      y(i + 3*y_step) = max(g1 + h1, lowest)
    end do
#endif

  end subroutine dense_4x16_in_2

end module emufort_dense_kernels
