! Made from fortran/templates/products.fypp by `make templates`; do not edit.

!> Products of two matrices: y (m, n) = sum over k of a (m, k)*b (k, n), in ascending order of k, from zero.
!>
!> Each sum is one chain of fused multiply-adds in every form, so its bits are the same in a block and for one column. In a
!> block, the lanes are columns, and a kernel computes a tile of the product. For one column, the lanes are columns of the
!> product: of `lanes` columns of the right matrix a part is copied at a time, with zeros as padding.
module emufort_products
  use emufort_kinds, only: wp, lanes, block_columns
  implicit none
  private

  public :: matmul_block, matmul_half_block, matmul_single

  !> Rows of the right matrix that are copied at a time. The stack of a call is short.
  integer, parameter :: part = 16

contains

  !> Multiply two matrices for a block of columns.
  pure recursive subroutine matmul_block(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(block_columns, n_k, n_m)      !! left matrix (column, k, m)
    real(wp), intent(in) :: b(block_columns, n_n, n_k)      !! right matrix (column, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, n_m)   !! product (column, n, m)
    integer :: m, n, first

    do first = 1, block_columns, lanes
      if (n_n == 1) then
        do m = 1, n_m, 4
          call product_32_4x1(n_m, n_k, n_n, m, 1, a(first, 1, 1), b(first, 1, 1), y(first, 1, 1))
        end do
      else if (n_m == 1) then
        do n = 1, n_n, 4
          call product_32_1x4(n_m, n_k, n_n, 1, n, a(first, 1, 1), b(first, 1, 1), y(first, 1, 1))
        end do
      else
        do n = 1, n_n, 4
          do m = 1, n_m, 4
            call product_32_4x4(n_m, n_k, n_n, m, n, a(first, 1, 1), b(first, 1, 1), y(first, 1, 1))
          end do
        end do
      end if
    end do

  end subroutine matmul_block

  !> Multiply two matrices for half a block of columns.
  pure recursive subroutine matmul_half_block(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(lanes, n_k, n_m)      !! left matrix (column, k, m)
    real(wp), intent(in) :: b(lanes, n_n, n_k)      !! right matrix (column, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, n_m)   !! product (column, n, m)
    integer :: m, n, first

    do first = 1, lanes, lanes
      if (n_n == 1) then
        do m = 1, n_m, 4
          call product_16_4x1(n_m, n_k, n_n, m, 1, a(first, 1, 1), b(first, 1, 1), y(first, 1, 1))
        end do
      else if (n_m == 1) then
        do n = 1, n_n, 4
          call product_16_1x4(n_m, n_k, n_n, 1, n, a(first, 1, 1), b(first, 1, 1), y(first, 1, 1))
        end do
      else
        do n = 1, n_n, 4
          do m = 1, n_m, 4
            call product_16_4x4(n_m, n_k, n_n, m, n, a(first, 1, 1), b(first, 1, 1), y(first, 1, 1))
          end do
        end do
      end if
    end do

  end subroutine matmul_half_block

  !> Multiply two matrices for one column.
  pure recursive subroutine matmul_single(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(n_k, n_m)                !! left matrix (k, m)
    real(wp), intent(in) :: b(n_n, n_k)                !! right matrix (n, k)
    real(wp), intent(inout) :: y(n_n, n_m)             !! product (n, m)
    real(wp) :: panel(lanes, part), tile(lanes, 4)
    integer :: first, n, k, n_rows, m, i, j, r

    do first = 0, n_n - 1, lanes
      n = min(lanes, n_n - first)
      do k = 0, n_k - 1, part
        n_rows = min(part, n_k - k)
        do j = 1, n_rows
          do i = 1, n
            panel(i, j) = b(first + i, k + j)
          end do
          do i = n + 1, lanes
            panel(i, j) = 0.0_wp
          end do
        end do
        do m = 1, n_m, 4
          do r = 1, 4
            tile(:, r) = 0.0_wp
            if (k == 0) cycle
            do i = 1, n
              tile(i, r) = y(first + i, min(m + r - 1, n_m))
            end do
          end do
          call product_1(n_m, n_k, k, n_rows, m, a, panel, tile)
          do r = 1, min(4, n_m - m + 1)
            do i = 1, n
              y(first + i, m + r - 1) = tile(i, r)
            end do
          end do
        end do
      end do
    end do

  end subroutine matmul_single

  !> 4 rows and 4 columns of a product, on 32 columns of a block: 16 lanes of them.
  pure recursive subroutine product_32_4x4(n_m, n_k, n_n, m, n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    integer, intent(in) :: m, n                        !! first row and column
    real(wp), intent(in) :: a(block_columns, n_k, *)        !! left matrix (lane, k, m)
    real(wp), intent(in) :: b(block_columns, n_n, *)        !! right matrix (lane, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, *)     !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, n1, n2, n3, n4
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#else
    real(wp) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    m2 = min(m + 1, n_m)
    m3 = min(m + 2, n_m)
    m4 = min(m + 3, n_m)
    n1 = min(n, n_n)
    n2 = min(n + 1, n_n)
    n3 = min(n + 2, n_n)
    n4 = min(n + 3, n_n)
#ifdef __flang__
    do i = 1, lanes
      p1(i) = 0.0_wp
      p2(i) = 0.0_wp
      p3(i) = 0.0_wp
      p4(i) = 0.0_wp
      q1(i) = 0.0_wp
      q2(i) = 0.0_wp
      q3(i) = 0.0_wp
      q4(i) = 0.0_wp
      r1(i) = 0.0_wp
      r2(i) = 0.0_wp
      r3(i) = 0.0_wp
      r4(i) = 0.0_wp
      s1(i) = 0.0_wp
      s2(i) = 0.0_wp
      s3(i) = 0.0_wp
      s4(i) = 0.0_wp
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1(i) = p1(i) + a1*b1
        p2(i) = p2(i) + a1*b2
        p3(i) = p3(i) + a1*b3
        p4(i) = p4(i) + a1*b4
        q1(i) = q1(i) + a2*b1
        q2(i) = q2(i) + a2*b2
        q3(i) = q3(i) + a2*b3
        q4(i) = q4(i) + a2*b4
        r1(i) = r1(i) + a3*b1
        r2(i) = r2(i) + a3*b2
        r3(i) = r3(i) + a3*b3
        r4(i) = r4(i) + a3*b4
        s1(i) = s1(i) + a4*b1
        s2(i) = s2(i) + a4*b2
        s3(i) = s3(i) + a4*b3
        s4(i) = s4(i) + a4*b4
      end do
    end do
    do i = 1, lanes
      y(i, n1, m1) = p1(i)
      y(i, n2, m1) = p2(i)
      y(i, n3, m1) = p3(i)
      y(i, n4, m1) = p4(i)
      y(i, n1, m2) = q1(i)
      y(i, n2, m2) = q2(i)
      y(i, n3, m2) = q3(i)
      y(i, n4, m2) = q4(i)
      y(i, n1, m3) = r1(i)
      y(i, n2, m3) = r2(i)
      y(i, n3, m3) = r3(i)
      y(i, n4, m3) = r4(i)
      y(i, n1, m4) = s1(i)
      y(i, n2, m4) = s2(i)
      y(i, n3, m4) = s3(i)
      y(i, n4, m4) = s4(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, b2, b3, b4, p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4)
    do i = 1, lanes
      p1 = 0.0_wp
      p2 = 0.0_wp
      p3 = 0.0_wp
      p4 = 0.0_wp
      q1 = 0.0_wp
      q2 = 0.0_wp
      q3 = 0.0_wp
      q4 = 0.0_wp
      r1 = 0.0_wp
      r2 = 0.0_wp
      r3 = 0.0_wp
      r4 = 0.0_wp
      s1 = 0.0_wp
      s2 = 0.0_wp
      s3 = 0.0_wp
      s4 = 0.0_wp
      do k = 1, n_k
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1 = p1 + a1*b1
        p2 = p2 + a1*b2
        p3 = p3 + a1*b3
        p4 = p4 + a1*b4
        q1 = q1 + a2*b1
        q2 = q2 + a2*b2
        q3 = q3 + a2*b3
        q4 = q4 + a2*b4
        r1 = r1 + a3*b1
        r2 = r2 + a3*b2
        r3 = r3 + a3*b3
        r4 = r4 + a3*b4
        s1 = s1 + a4*b1
        s2 = s2 + a4*b2
        s3 = s3 + a4*b3
        s4 = s4 + a4*b4
      end do
      y(i, n1, m1) = p1
      y(i, n2, m1) = p2
      y(i, n3, m1) = p3
      y(i, n4, m1) = p4
      y(i, n1, m2) = q1
      y(i, n2, m2) = q2
      y(i, n3, m2) = q3
      y(i, n4, m2) = q4
      y(i, n1, m3) = r1
      y(i, n2, m3) = r2
      y(i, n3, m3) = r3
      y(i, n4, m3) = r4
      y(i, n1, m4) = s1
      y(i, n2, m4) = s2
      y(i, n3, m4) = s3
      y(i, n4, m4) = s4
    end do
#endif

  end subroutine product_32_4x4

  !> 4 rows and 1 columns of a product, on 32 columns of a block: 16 lanes of them.
  pure recursive subroutine product_32_4x1(n_m, n_k, n_n, m, n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    integer, intent(in) :: m, n                        !! first row and column
    real(wp), intent(in) :: a(block_columns, n_k, *)        !! left matrix (lane, k, m)
    real(wp), intent(in) :: b(block_columns, n_n, *)        !! right matrix (lane, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, *)     !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, n1
    real(wp) :: a1, a2, a3, a4, b1
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, q1, r1, s1
#else
    real(wp) :: p1, q1, r1, s1
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    m2 = min(m + 1, n_m)
    m3 = min(m + 2, n_m)
    m4 = min(m + 3, n_m)
    n1 = min(n, n_n)
#ifdef __flang__
    do i = 1, lanes
      p1(i) = 0.0_wp
      q1(i) = 0.0_wp
      r1(i) = 0.0_wp
      s1(i) = 0.0_wp
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        p1(i) = p1(i) + a1*b1
        q1(i) = q1(i) + a2*b1
        r1(i) = r1(i) + a3*b1
        s1(i) = s1(i) + a4*b1
      end do
    end do
    do i = 1, lanes
      y(i, n1, m1) = p1(i)
      y(i, n1, m2) = q1(i)
      y(i, n1, m3) = r1(i)
      y(i, n1, m4) = s1(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, p1, q1, r1, s1)
    do i = 1, lanes
      p1 = 0.0_wp
      q1 = 0.0_wp
      r1 = 0.0_wp
      s1 = 0.0_wp
      do k = 1, n_k
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        p1 = p1 + a1*b1
        q1 = q1 + a2*b1
        r1 = r1 + a3*b1
        s1 = s1 + a4*b1
      end do
      y(i, n1, m1) = p1
      y(i, n1, m2) = q1
      y(i, n1, m3) = r1
      y(i, n1, m4) = s1
    end do
#endif

  end subroutine product_32_4x1

  !> 1 rows and 4 columns of a product, on 32 columns of a block: 16 lanes of them.
  pure recursive subroutine product_32_1x4(n_m, n_k, n_n, m, n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    integer, intent(in) :: m, n                        !! first row and column
    real(wp), intent(in) :: a(block_columns, n_k, *)        !! left matrix (lane, k, m)
    real(wp), intent(in) :: b(block_columns, n_n, *)        !! right matrix (lane, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, *)     !! product (lane, n, m)
    integer :: i, k, m1, n1, n2, n3, n4
    real(wp) :: a1, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4
#else
    real(wp) :: p1, p2, p3, p4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    n1 = min(n, n_n)
    n2 = min(n + 1, n_n)
    n3 = min(n + 2, n_n)
    n4 = min(n + 3, n_n)
#ifdef __flang__
    do i = 1, lanes
      p1(i) = 0.0_wp
      p2(i) = 0.0_wp
      p3(i) = 0.0_wp
      p4(i) = 0.0_wp
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k, m1)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1(i) = p1(i) + a1*b1
        p2(i) = p2(i) + a1*b2
        p3(i) = p3(i) + a1*b3
        p4(i) = p4(i) + a1*b4
      end do
    end do
    do i = 1, lanes
      y(i, n1, m1) = p1(i)
      y(i, n2, m1) = p2(i)
      y(i, n3, m1) = p3(i)
      y(i, n4, m1) = p4(i)
    end do
#else
    !$omp simd private(a1, b1, b2, b3, b4, p1, p2, p3, p4)
    do i = 1, lanes
      p1 = 0.0_wp
      p2 = 0.0_wp
      p3 = 0.0_wp
      p4 = 0.0_wp
      do k = 1, n_k
        a1 = a(i, k, m1)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1 = p1 + a1*b1
        p2 = p2 + a1*b2
        p3 = p3 + a1*b3
        p4 = p4 + a1*b4
      end do
      y(i, n1, m1) = p1
      y(i, n2, m1) = p2
      y(i, n3, m1) = p3
      y(i, n4, m1) = p4
    end do
#endif

  end subroutine product_32_1x4

  !> 4 rows and 4 columns of a product, on 16 columns of a block: 16 lanes of them.
  pure recursive subroutine product_16_4x4(n_m, n_k, n_n, m, n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    integer, intent(in) :: m, n                        !! first row and column
    real(wp), intent(in) :: a(lanes, n_k, *)        !! left matrix (lane, k, m)
    real(wp), intent(in) :: b(lanes, n_n, *)        !! right matrix (lane, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, *)     !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, n1, n2, n3, n4
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#else
    real(wp) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    m2 = min(m + 1, n_m)
    m3 = min(m + 2, n_m)
    m4 = min(m + 3, n_m)
    n1 = min(n, n_n)
    n2 = min(n + 1, n_n)
    n3 = min(n + 2, n_n)
    n4 = min(n + 3, n_n)
#ifdef __flang__
    do i = 1, lanes
      p1(i) = 0.0_wp
      p2(i) = 0.0_wp
      p3(i) = 0.0_wp
      p4(i) = 0.0_wp
      q1(i) = 0.0_wp
      q2(i) = 0.0_wp
      q3(i) = 0.0_wp
      q4(i) = 0.0_wp
      r1(i) = 0.0_wp
      r2(i) = 0.0_wp
      r3(i) = 0.0_wp
      r4(i) = 0.0_wp
      s1(i) = 0.0_wp
      s2(i) = 0.0_wp
      s3(i) = 0.0_wp
      s4(i) = 0.0_wp
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1(i) = p1(i) + a1*b1
        p2(i) = p2(i) + a1*b2
        p3(i) = p3(i) + a1*b3
        p4(i) = p4(i) + a1*b4
        q1(i) = q1(i) + a2*b1
        q2(i) = q2(i) + a2*b2
        q3(i) = q3(i) + a2*b3
        q4(i) = q4(i) + a2*b4
        r1(i) = r1(i) + a3*b1
        r2(i) = r2(i) + a3*b2
        r3(i) = r3(i) + a3*b3
        r4(i) = r4(i) + a3*b4
        s1(i) = s1(i) + a4*b1
        s2(i) = s2(i) + a4*b2
        s3(i) = s3(i) + a4*b3
        s4(i) = s4(i) + a4*b4
      end do
    end do
    do i = 1, lanes
      y(i, n1, m1) = p1(i)
      y(i, n2, m1) = p2(i)
      y(i, n3, m1) = p3(i)
      y(i, n4, m1) = p4(i)
      y(i, n1, m2) = q1(i)
      y(i, n2, m2) = q2(i)
      y(i, n3, m2) = q3(i)
      y(i, n4, m2) = q4(i)
      y(i, n1, m3) = r1(i)
      y(i, n2, m3) = r2(i)
      y(i, n3, m3) = r3(i)
      y(i, n4, m3) = r4(i)
      y(i, n1, m4) = s1(i)
      y(i, n2, m4) = s2(i)
      y(i, n3, m4) = s3(i)
      y(i, n4, m4) = s4(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, b2, b3, b4, p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4)
    do i = 1, lanes
      p1 = 0.0_wp
      p2 = 0.0_wp
      p3 = 0.0_wp
      p4 = 0.0_wp
      q1 = 0.0_wp
      q2 = 0.0_wp
      q3 = 0.0_wp
      q4 = 0.0_wp
      r1 = 0.0_wp
      r2 = 0.0_wp
      r3 = 0.0_wp
      r4 = 0.0_wp
      s1 = 0.0_wp
      s2 = 0.0_wp
      s3 = 0.0_wp
      s4 = 0.0_wp
      do k = 1, n_k
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1 = p1 + a1*b1
        p2 = p2 + a1*b2
        p3 = p3 + a1*b3
        p4 = p4 + a1*b4
        q1 = q1 + a2*b1
        q2 = q2 + a2*b2
        q3 = q3 + a2*b3
        q4 = q4 + a2*b4
        r1 = r1 + a3*b1
        r2 = r2 + a3*b2
        r3 = r3 + a3*b3
        r4 = r4 + a3*b4
        s1 = s1 + a4*b1
        s2 = s2 + a4*b2
        s3 = s3 + a4*b3
        s4 = s4 + a4*b4
      end do
      y(i, n1, m1) = p1
      y(i, n2, m1) = p2
      y(i, n3, m1) = p3
      y(i, n4, m1) = p4
      y(i, n1, m2) = q1
      y(i, n2, m2) = q2
      y(i, n3, m2) = q3
      y(i, n4, m2) = q4
      y(i, n1, m3) = r1
      y(i, n2, m3) = r2
      y(i, n3, m3) = r3
      y(i, n4, m3) = r4
      y(i, n1, m4) = s1
      y(i, n2, m4) = s2
      y(i, n3, m4) = s3
      y(i, n4, m4) = s4
    end do
#endif

  end subroutine product_16_4x4

  !> 4 rows and 1 columns of a product, on 16 columns of a block: 16 lanes of them.
  pure recursive subroutine product_16_4x1(n_m, n_k, n_n, m, n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    integer, intent(in) :: m, n                        !! first row and column
    real(wp), intent(in) :: a(lanes, n_k, *)        !! left matrix (lane, k, m)
    real(wp), intent(in) :: b(lanes, n_n, *)        !! right matrix (lane, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, *)     !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, n1
    real(wp) :: a1, a2, a3, a4, b1
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, q1, r1, s1
#else
    real(wp) :: p1, q1, r1, s1
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    m2 = min(m + 1, n_m)
    m3 = min(m + 2, n_m)
    m4 = min(m + 3, n_m)
    n1 = min(n, n_n)
#ifdef __flang__
    do i = 1, lanes
      p1(i) = 0.0_wp
      q1(i) = 0.0_wp
      r1(i) = 0.0_wp
      s1(i) = 0.0_wp
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        p1(i) = p1(i) + a1*b1
        q1(i) = q1(i) + a2*b1
        r1(i) = r1(i) + a3*b1
        s1(i) = s1(i) + a4*b1
      end do
    end do
    do i = 1, lanes
      y(i, n1, m1) = p1(i)
      y(i, n1, m2) = q1(i)
      y(i, n1, m3) = r1(i)
      y(i, n1, m4) = s1(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, p1, q1, r1, s1)
    do i = 1, lanes
      p1 = 0.0_wp
      q1 = 0.0_wp
      r1 = 0.0_wp
      s1 = 0.0_wp
      do k = 1, n_k
        a1 = a(i, k, m1)
        a2 = a(i, k, m2)
        a3 = a(i, k, m3)
        a4 = a(i, k, m4)
        b1 = b(i, n1, k)
        p1 = p1 + a1*b1
        q1 = q1 + a2*b1
        r1 = r1 + a3*b1
        s1 = s1 + a4*b1
      end do
      y(i, n1, m1) = p1
      y(i, n1, m2) = q1
      y(i, n1, m3) = r1
      y(i, n1, m4) = s1
    end do
#endif

  end subroutine product_16_4x1

  !> 1 rows and 4 columns of a product, on 16 columns of a block: 16 lanes of them.
  pure recursive subroutine product_16_1x4(n_m, n_k, n_n, m, n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    integer, intent(in) :: m, n                        !! first row and column
    real(wp), intent(in) :: a(lanes, n_k, *)        !! left matrix (lane, k, m)
    real(wp), intent(in) :: b(lanes, n_n, *)        !! right matrix (lane, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, *)     !! product (lane, n, m)
    integer :: i, k, m1, n1, n2, n3, n4
    real(wp) :: a1, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4
#else
    real(wp) :: p1, p2, p3, p4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    n1 = min(n, n_n)
    n2 = min(n + 1, n_n)
    n3 = min(n + 2, n_n)
    n4 = min(n + 3, n_n)
#ifdef __flang__
    do i = 1, lanes
      p1(i) = 0.0_wp
      p2(i) = 0.0_wp
      p3(i) = 0.0_wp
      p4(i) = 0.0_wp
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k, m1)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1(i) = p1(i) + a1*b1
        p2(i) = p2(i) + a1*b2
        p3(i) = p3(i) + a1*b3
        p4(i) = p4(i) + a1*b4
      end do
    end do
    do i = 1, lanes
      y(i, n1, m1) = p1(i)
      y(i, n2, m1) = p2(i)
      y(i, n3, m1) = p3(i)
      y(i, n4, m1) = p4(i)
    end do
#else
    !$omp simd private(a1, b1, b2, b3, b4, p1, p2, p3, p4)
    do i = 1, lanes
      p1 = 0.0_wp
      p2 = 0.0_wp
      p3 = 0.0_wp
      p4 = 0.0_wp
      do k = 1, n_k
        a1 = a(i, k, m1)
        b1 = b(i, n1, k)
        b2 = b(i, n2, k)
        b3 = b(i, n3, k)
        b4 = b(i, n4, k)
        p1 = p1 + a1*b1
        p2 = p2 + a1*b2
        p3 = p3 + a1*b3
        p4 = p4 + a1*b4
      end do
      y(i, n1, m1) = p1
      y(i, n2, m1) = p2
      y(i, n3, m1) = p3
      y(i, n4, m1) = p4
    end do
#endif

  end subroutine product_16_1x4

  !> Add a part of the products to 4 rows of a product for one column.
  pure recursive subroutine product_1(n_m, ld, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld                          !! columns of the left matrix
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(ld, *)                   !! left matrix (k, m)
    real(wp), intent(in) :: b(lanes, *)                !! part of the right matrix (lane, k)
    real(wp), intent(inout) :: y(lanes, 4)    !! part of the product (lane, m)
    integer :: i, k, m1, m2, m3, m4
    real(wp) :: x
#ifdef __flang__
    real(wp), dimension(lanes) :: s1, s2, s3, s4
#else
    real(wp) :: s1, s2, s3, s4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    m2 = min(m + 1, n_m)
    m3 = min(m + 2, n_m)
    m4 = min(m + 3, n_m)
#ifdef __flang__
    do i = 1, lanes
      s1(i) = y(i, 1)
      s2(i) = y(i, 2)
      s3(i) = y(i, 3)
      s4(i) = y(i, 4)
    end do
    do k = 1, n_k
      do i = 1, lanes
        x = b(i, k)
        s1(i) = s1(i) + a(first + k, m1)*x
        s2(i) = s2(i) + a(first + k, m2)*x
        s3(i) = s3(i) + a(first + k, m3)*x
        s4(i) = s4(i) + a(first + k, m4)*x
      end do
    end do
    do i = 1, lanes
      y(i, 1) = s1(i)
      y(i, 2) = s2(i)
      y(i, 3) = s3(i)
      y(i, 4) = s4(i)
    end do
#else
    !$omp simd private(x, s1, s2, s3, s4)
    do i = 1, lanes
      s1 = y(i, 1)
      s2 = y(i, 2)
      s3 = y(i, 3)
      s4 = y(i, 4)
      do k = 1, n_k
        x = b(i, k)
        s1 = s1 + a(first + k, m1)*x
        s2 = s2 + a(first + k, m2)*x
        s3 = s3 + a(first + k, m3)*x
        s4 = s4 + a(first + k, m4)*x
      end do
      y(i, 1) = s1
      y(i, 2) = s2
      y(i, 3) = s3
      y(i, 4) = s4
    end do
#endif

  end subroutine product_1

end module emufort_products
