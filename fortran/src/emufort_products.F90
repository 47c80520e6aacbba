! Made from fortran/templates/products.fypp by `make templates`; do not edit.

!> Products of two matrices: y (m, n) = sum over k of a (m, k)*b (k, n), in ascending order of k, from zero. The kernels read one
!> feature past the end of a and discard it.
!>
!> Each sum is one chain of fused multiply-adds in every form, so its bits are the same in a block and for one column. In a
!> block, the lanes are columns, and a kernel computes a tile of the product. For one column, the lanes are columns of the
!> product. Parts of the right matrix are copied, because gfortran vectorises a kernel only if it knows all strides, and for
!> one column because the last lanes need zeros as padding.
module emufort_products
  use emufort_kinds, only: wp, real32, lanes, block_columns
  implicit none
  private

  public :: matmul_block, matmul_half_block, matmul_single

  !> Rows of the right matrix that are copied at a time. The stack of a call is short.
  integer, parameter :: part = merge(16, 3, wp == real32)
  !> Rows of the tiles of four columns. In double precision, 16 sums exceed the registers.
  integer, parameter :: tile_rows = merge(4, 2, wp == real32)

contains

  !> Multiply two matrices for a block of columns.
  pure recursive subroutine matmul_block(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(block_columns, n_k, n_m) !! left matrix (column, k, m)
    real(wp), intent(in) :: b(block_columns, n_n, n_k) !! right matrix (column, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, n_m) !! product (column, n, m)
    real(wp) :: panel(lanes, 4*part + 4)
    integer :: first, m, n, k, n_part, j, l, i

    do m = 1, n_m
      do n = 1, n_n
        do i = 1, block_columns
          y(i, n, m) = 0.0_wp
        end do
      end do
    end do
    do first = 0, block_columns - lanes, lanes
      n = 1
      do while (n <= n_n)
        if (n_n - n + 1 >= 4) then
          do k = 0, n_k - 1, part
            n_part = min(part, n_k - k)
            do l = 1, n_part
              do j = 0, 3
                do i = 1, lanes
                  panel(i, 4*l - 3 + j) = b(first + i, n + j, k + l)
                end do
              end do
            end do
            do m = 1, n_m, tile_rows
              if (tile_rows == 4) then
                call product_32_4x4(n_m, n_k, n_n, k, n_part, m, a(first + 1, 1, 1), panel, y(first + 1, n, 1))
              else
                call product_32_2x4(n_m, n_k, n_n, k, n_part, m, a(first + 1, 1, 1), panel, y(first + 1, n, 1))
              end if
            end do
          end do
          n = n + 4
        else
          do k = 0, n_k - 1, 4*part
            n_part = min(4*part, n_k - k)
            do l = 1, n_part
              do i = 1, lanes
                panel(i, l) = b(first + i, n, k + l)
              end do
            end do
            do m = 1, n_m, 4
              call product_32_4x1(n_m, n_k, n_n, k, n_part, m, a(first + 1, 1, 1), panel, y(first + 1, n, 1))
            end do
          end do
          n = n + 1
        end if
      end do
    end do

  end subroutine matmul_block

  !> Multiply two matrices for half a block of columns.
  pure recursive subroutine matmul_half_block(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(lanes, n_k, n_m)         !! left matrix (column, k, m)
    real(wp), intent(in) :: b(lanes, n_n, n_k)         !! right matrix (column, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, n_m)      !! product (column, n, m)
    real(wp) :: panel(lanes, 4*part + 4)
    integer :: first, m, n, k, n_part, j, l, i

    do m = 1, n_m
      do n = 1, n_n
        do i = 1, lanes
          y(i, n, m) = 0.0_wp
        end do
      end do
    end do
    do first = 0, lanes - lanes, lanes
      n = 1
      do while (n <= n_n)
        if (n_n - n + 1 >= 4) then
          do k = 0, n_k - 1, part
            n_part = min(part, n_k - k)
            do l = 1, n_part
              do j = 0, 3
                do i = 1, lanes
                  panel(i, 4*l - 3 + j) = b(first + i, n + j, k + l)
                end do
              end do
            end do
            do m = 1, n_m, tile_rows
              if (tile_rows == 4) then
                call product_16_4x4(n_m, n_k, n_n, k, n_part, m, a(first + 1, 1, 1), panel, y(first + 1, n, 1))
              else
                call product_16_2x4(n_m, n_k, n_n, k, n_part, m, a(first + 1, 1, 1), panel, y(first + 1, n, 1))
              end if
            end do
          end do
          n = n + 4
        else
          do k = 0, n_k - 1, 4*part
            n_part = min(4*part, n_k - k)
            do l = 1, n_part
              do i = 1, lanes
                panel(i, l) = b(first + i, n, k + l)
              end do
            end do
            do m = 1, n_m, 4
              call product_16_4x1(n_m, n_k, n_n, k, n_part, m, a(first + 1, 1, 1), panel, y(first + 1, n, 1))
            end do
          end do
          n = n + 1
        end if
      end do
    end do

  end subroutine matmul_half_block

  !> Multiply two matrices for one column.
  pure recursive subroutine matmul_single(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(n_k, n_m)                !! left matrix (k, m)
    real(wp), intent(in) :: b(n_n, n_k)                !! right matrix (n, k)
    real(wp), intent(inout) :: y(n_n, n_m)             !! product (n, m)
    real(wp) :: panel(lanes, 4*part + 1), tile(lanes, 4)
    integer :: first, n, k, n_rows, m, i, j, r

    if (n_n <= 2) then
      call product_by_vector(n_m, n_k, n_n, a, b, y)
      return
    end if
    do first = 0, n_n - 1, lanes
      n = min(lanes, n_n - first)
      if (n < lanes) panel = 0.0_wp
      do k = 0, n_k - 1, 4*part
        n_rows = min(4*part, n_k - k)
        do j = 1, n_rows
          call copy(n, b(first + 1, k + j), panel(1, j))
        end do
        do m = 1, n_m, 4
          do r = 1, 4
            do i = 1, lanes
              tile(i, r) = 0.0_wp
            end do
            if (k > 0) call copy(n, y(first + 1, min(m + r - 1, n_m)), tile(1, r))
          end do
          call product_1(n_m, n_k, k, n_rows, m, a, panel, tile)
          do r = 1, min(4, n_m - m + 1)
            call copy(n, tile(1, r), y(first + 1, m + r - 1))
          end do
        end do
      end do
    end do

  end subroutine matmul_single

  !> Multiply a matrix and a narrow one for one column: 4 sums at a time, the last of them several times.
  pure recursive subroutine product_by_vector(n_m, n_k, n_n, a, b, y)
    integer, intent(in) :: n_m, n_k, n_n               !! sizes of the product
    real(wp), intent(in) :: a(n_k, n_m)                !! left matrix (k, m)
    real(wp), intent(in) :: b(n_n, n_k)                !! right matrix (n, k)
    real(wp), intent(inout) :: y(n_n, n_m)             !! product (n, m)
    real(wp) :: s1, s2, s3, s4
    integer :: m, n, k, m1, m2, m3, m4

    do m = 1, n_m, 4
      m1 = min(m, n_m)
      m2 = min(m + 1, n_m)
      m3 = min(m + 2, n_m)
      m4 = min(m + 3, n_m)
      do n = 1, n_n
        s1 = 0.0_wp
        s2 = 0.0_wp
        s3 = 0.0_wp
        s4 = 0.0_wp
        !GCC$ novector
        do k = 1, n_k
          s1 = s1 + a(k, m1)*b(n, k)
          s2 = s2 + a(k, m2)*b(n, k)
          s3 = s3 + a(k, m3)*b(n, k)
          s4 = s4 + a(k, m4)*b(n, k)
        end do
        y(n, m1) = s1
        y(n, m2) = s2
        y(n, m3) = s3
        y(n, m4) = s4
      end do
    end do

  end subroutine product_by_vector

  !> Copy up to `lanes` values. A full set takes one or two instructions. For a number that is not constant, compilers would
  !> call memcpy.
  pure recursive subroutine copy(n, from, to)
    integer, intent(in) :: n              !! number of values
    real(wp), intent(in) :: from(*)       !! values
    real(wp), intent(inout) :: to(*)      !! destination
    integer :: i

    if (n == lanes) then
      do i = 1, lanes
        to(i) = from(i)
      end do
      return
    end if
    !GCC$ novector
    do i = 1, n
      to(i) = from(i)
    end do

  end subroutine copy

  !> Add a part of the sums to 4 rows and 4 columns of a product, for 16 columns of a block of 32.
  pure recursive subroutine product_32_4x4(n_m, ld, n_n, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld, n_n                     !! columns of the left matrix and of the product
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(block_columns, *)        !! left matrix (lane, k of each m)
    real(wp), intent(in) :: b(lanes, 4, *)             !! part of the right matrix (lane, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, *) !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, k1, k2, k3, k4
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#else
    real(wp) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    k1 = ld*(m1 - 1) + first
    m2 = min(m + 1, n_m)
    k2 = ld*(m2 - 1) + first
    m3 = min(m + 2, n_m)
    k3 = ld*(m3 - 1) + first
    m4 = min(m + 3, n_m)
    k4 = ld*(m4 - 1) + first
#ifdef __flang__
    do i = 1, lanes
      p1(i) = y(i, 1, m1)
      p2(i) = y(i, 2, m1)
      p3(i) = y(i, 3, m1)
      p4(i) = y(i, 4, m1)
      q1(i) = y(i, 1, m2)
      q2(i) = y(i, 2, m2)
      q3(i) = y(i, 3, m2)
      q4(i) = y(i, 4, m2)
      r1(i) = y(i, 1, m3)
      r2(i) = y(i, 2, m3)
      r3(i) = y(i, 3, m3)
      r4(i) = y(i, 4, m3)
      s1(i) = y(i, 1, m4)
      s2(i) = y(i, 2, m4)
      s3(i) = y(i, 3, m4)
      s4(i) = y(i, 4, m4)
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k1 + k)
        a2 = a(i, k2 + k)
        a3 = a(i, k3 + k)
        a4 = a(i, k4 + k)
        b1 = b(i, 1, k)
        b2 = b(i, 2, k)
        b3 = b(i, 3, k)
        b4 = b(i, 4, k)
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
      y(i, 1, m1) = p1(i)
      y(i, 2, m1) = p2(i)
      y(i, 3, m1) = p3(i)
      y(i, 4, m1) = p4(i)
      y(i, 1, m2) = q1(i)
      y(i, 2, m2) = q2(i)
      y(i, 3, m2) = q3(i)
      y(i, 4, m2) = q4(i)
      y(i, 1, m3) = r1(i)
      y(i, 2, m3) = r2(i)
      y(i, 3, m3) = r3(i)
      y(i, 4, m3) = r4(i)
      y(i, 1, m4) = s1(i)
      y(i, 2, m4) = s2(i)
      y(i, 3, m4) = s3(i)
      y(i, 4, m4) = s4(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, b2, b3, b4, p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4)
    do i = 1, lanes
      p1 = y(i, 1, m1)
      p2 = y(i, 2, m1)
      p3 = y(i, 3, m1)
      p4 = y(i, 4, m1)
      q1 = y(i, 1, m2)
      q2 = y(i, 2, m2)
      q3 = y(i, 3, m2)
      q4 = y(i, 4, m2)
      r1 = y(i, 1, m3)
      r2 = y(i, 2, m3)
      r3 = y(i, 3, m3)
      r4 = y(i, 4, m3)
      s1 = y(i, 1, m4)
      s2 = y(i, 2, m4)
      s3 = y(i, 3, m4)
      s4 = y(i, 4, m4)
      a1 = a(i, k1 + 1)
      a2 = a(i, k2 + 1)
      a3 = a(i, k3 + 1)
      a4 = a(i, k4 + 1)
      b1 = b(i, 1, 1)
      b2 = b(i, 2, 1)
      b3 = b(i, 3, 1)
      b4 = b(i, 4, 1)
      do k = 1, n_k
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
        a1 = a(i, k1 + k + 1)
        a2 = a(i, k2 + k + 1)
        a3 = a(i, k3 + k + 1)
        a4 = a(i, k4 + k + 1)
        b1 = b(i, 1, k + 1)
        b2 = b(i, 2, k + 1)
        b3 = b(i, 3, k + 1)
        b4 = b(i, 4, k + 1)
      end do
      y(i, 1, m1) = p1
      y(i, 2, m1) = p2
      y(i, 3, m1) = p3
      y(i, 4, m1) = p4
      y(i, 1, m2) = q1
      y(i, 2, m2) = q2
      y(i, 3, m2) = q3
      y(i, 4, m2) = q4
      y(i, 1, m3) = r1
      y(i, 2, m3) = r2
      y(i, 3, m3) = r3
      y(i, 4, m3) = r4
      y(i, 1, m4) = s1
      y(i, 2, m4) = s2
      y(i, 3, m4) = s3
      y(i, 4, m4) = s4
    end do
#endif

  end subroutine product_32_4x4

  !> Add a part of the sums to 2 rows and 4 columns of a product, for 16 columns of a block of 32.
  pure recursive subroutine product_32_2x4(n_m, ld, n_n, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld, n_n                     !! columns of the left matrix and of the product
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(block_columns, *)        !! left matrix (lane, k of each m)
    real(wp), intent(in) :: b(lanes, 4, *)             !! part of the right matrix (lane, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, *) !! product (lane, n, m)
    integer :: i, k, m1, m2, k1, k2
    real(wp) :: a1, a2, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4, q1, q2, q3, q4
#else
    real(wp) :: p1, p2, p3, p4, q1, q2, q3, q4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    k1 = ld*(m1 - 1) + first
    m2 = min(m + 1, n_m)
    k2 = ld*(m2 - 1) + first
#ifdef __flang__
    do i = 1, lanes
      p1(i) = y(i, 1, m1)
      p2(i) = y(i, 2, m1)
      p3(i) = y(i, 3, m1)
      p4(i) = y(i, 4, m1)
      q1(i) = y(i, 1, m2)
      q2(i) = y(i, 2, m2)
      q3(i) = y(i, 3, m2)
      q4(i) = y(i, 4, m2)
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k1 + k)
        a2 = a(i, k2 + k)
        b1 = b(i, 1, k)
        b2 = b(i, 2, k)
        b3 = b(i, 3, k)
        b4 = b(i, 4, k)
        p1(i) = p1(i) + a1*b1
        p2(i) = p2(i) + a1*b2
        p3(i) = p3(i) + a1*b3
        p4(i) = p4(i) + a1*b4
        q1(i) = q1(i) + a2*b1
        q2(i) = q2(i) + a2*b2
        q3(i) = q3(i) + a2*b3
        q4(i) = q4(i) + a2*b4
      end do
    end do
    do i = 1, lanes
      y(i, 1, m1) = p1(i)
      y(i, 2, m1) = p2(i)
      y(i, 3, m1) = p3(i)
      y(i, 4, m1) = p4(i)
      y(i, 1, m2) = q1(i)
      y(i, 2, m2) = q2(i)
      y(i, 3, m2) = q3(i)
      y(i, 4, m2) = q4(i)
    end do
#else
    !$omp simd private(a1, a2, b1, b2, b3, b4, p1, p2, p3, p4, q1, q2, q3, q4)
    do i = 1, lanes
      p1 = y(i, 1, m1)
      p2 = y(i, 2, m1)
      p3 = y(i, 3, m1)
      p4 = y(i, 4, m1)
      q1 = y(i, 1, m2)
      q2 = y(i, 2, m2)
      q3 = y(i, 3, m2)
      q4 = y(i, 4, m2)
      a1 = a(i, k1 + 1)
      a2 = a(i, k2 + 1)
      b1 = b(i, 1, 1)
      b2 = b(i, 2, 1)
      b3 = b(i, 3, 1)
      b4 = b(i, 4, 1)
      do k = 1, n_k
        p1 = p1 + a1*b1
        p2 = p2 + a1*b2
        p3 = p3 + a1*b3
        p4 = p4 + a1*b4
        q1 = q1 + a2*b1
        q2 = q2 + a2*b2
        q3 = q3 + a2*b3
        q4 = q4 + a2*b4
        a1 = a(i, k1 + k + 1)
        a2 = a(i, k2 + k + 1)
        b1 = b(i, 1, k + 1)
        b2 = b(i, 2, k + 1)
        b3 = b(i, 3, k + 1)
        b4 = b(i, 4, k + 1)
      end do
      y(i, 1, m1) = p1
      y(i, 2, m1) = p2
      y(i, 3, m1) = p3
      y(i, 4, m1) = p4
      y(i, 1, m2) = q1
      y(i, 2, m2) = q2
      y(i, 3, m2) = q3
      y(i, 4, m2) = q4
    end do
#endif

  end subroutine product_32_2x4

  !> Add a part of the sums to 4 rows and 1 columns of a product, for 16 columns of a block of 32.
  pure recursive subroutine product_32_4x1(n_m, ld, n_n, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld, n_n                     !! columns of the left matrix and of the product
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(block_columns, *)        !! left matrix (lane, k of each m)
    real(wp), intent(in) :: b(lanes, 1, *)             !! part of the right matrix (lane, n, k)
    real(wp), intent(inout) :: y(block_columns, n_n, *) !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, k1, k2, k3, k4
    real(wp) :: a1, a2, a3, a4, b1
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, q1, r1, s1
#else
    real(wp) :: p1, q1, r1, s1
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    k1 = ld*(m1 - 1) + first
    m2 = min(m + 1, n_m)
    k2 = ld*(m2 - 1) + first
    m3 = min(m + 2, n_m)
    k3 = ld*(m3 - 1) + first
    m4 = min(m + 3, n_m)
    k4 = ld*(m4 - 1) + first
#ifdef __flang__
    do i = 1, lanes
      p1(i) = y(i, 1, m1)
      q1(i) = y(i, 1, m2)
      r1(i) = y(i, 1, m3)
      s1(i) = y(i, 1, m4)
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k1 + k)
        a2 = a(i, k2 + k)
        a3 = a(i, k3 + k)
        a4 = a(i, k4 + k)
        b1 = b(i, 1, k)
        p1(i) = p1(i) + a1*b1
        q1(i) = q1(i) + a2*b1
        r1(i) = r1(i) + a3*b1
        s1(i) = s1(i) + a4*b1
      end do
    end do
    do i = 1, lanes
      y(i, 1, m1) = p1(i)
      y(i, 1, m2) = q1(i)
      y(i, 1, m3) = r1(i)
      y(i, 1, m4) = s1(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, p1, q1, r1, s1)
    do i = 1, lanes
      p1 = y(i, 1, m1)
      q1 = y(i, 1, m2)
      r1 = y(i, 1, m3)
      s1 = y(i, 1, m4)
      a1 = a(i, k1 + 1)
      a2 = a(i, k2 + 1)
      a3 = a(i, k3 + 1)
      a4 = a(i, k4 + 1)
      b1 = b(i, 1, 1)
      do k = 1, n_k
        p1 = p1 + a1*b1
        q1 = q1 + a2*b1
        r1 = r1 + a3*b1
        s1 = s1 + a4*b1
        a1 = a(i, k1 + k + 1)
        a2 = a(i, k2 + k + 1)
        a3 = a(i, k3 + k + 1)
        a4 = a(i, k4 + k + 1)
        b1 = b(i, 1, k + 1)
      end do
      y(i, 1, m1) = p1
      y(i, 1, m2) = q1
      y(i, 1, m3) = r1
      y(i, 1, m4) = s1
    end do
#endif

  end subroutine product_32_4x1

  !> Add a part of the sums to 4 rows and 4 columns of a product, for 16 columns of a block of 16.
  pure recursive subroutine product_16_4x4(n_m, ld, n_n, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld, n_n                     !! columns of the left matrix and of the product
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(lanes, *)                !! left matrix (lane, k of each m)
    real(wp), intent(in) :: b(lanes, 4, *)             !! part of the right matrix (lane, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, *)        !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, k1, k2, k3, k4
    real(wp) :: a1, a2, a3, a4, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#else
    real(wp) :: p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    k1 = ld*(m1 - 1) + first
    m2 = min(m + 1, n_m)
    k2 = ld*(m2 - 1) + first
    m3 = min(m + 2, n_m)
    k3 = ld*(m3 - 1) + first
    m4 = min(m + 3, n_m)
    k4 = ld*(m4 - 1) + first
#ifdef __flang__
    do i = 1, lanes
      p1(i) = y(i, 1, m1)
      p2(i) = y(i, 2, m1)
      p3(i) = y(i, 3, m1)
      p4(i) = y(i, 4, m1)
      q1(i) = y(i, 1, m2)
      q2(i) = y(i, 2, m2)
      q3(i) = y(i, 3, m2)
      q4(i) = y(i, 4, m2)
      r1(i) = y(i, 1, m3)
      r2(i) = y(i, 2, m3)
      r3(i) = y(i, 3, m3)
      r4(i) = y(i, 4, m3)
      s1(i) = y(i, 1, m4)
      s2(i) = y(i, 2, m4)
      s3(i) = y(i, 3, m4)
      s4(i) = y(i, 4, m4)
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k1 + k)
        a2 = a(i, k2 + k)
        a3 = a(i, k3 + k)
        a4 = a(i, k4 + k)
        b1 = b(i, 1, k)
        b2 = b(i, 2, k)
        b3 = b(i, 3, k)
        b4 = b(i, 4, k)
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
      y(i, 1, m1) = p1(i)
      y(i, 2, m1) = p2(i)
      y(i, 3, m1) = p3(i)
      y(i, 4, m1) = p4(i)
      y(i, 1, m2) = q1(i)
      y(i, 2, m2) = q2(i)
      y(i, 3, m2) = q3(i)
      y(i, 4, m2) = q4(i)
      y(i, 1, m3) = r1(i)
      y(i, 2, m3) = r2(i)
      y(i, 3, m3) = r3(i)
      y(i, 4, m3) = r4(i)
      y(i, 1, m4) = s1(i)
      y(i, 2, m4) = s2(i)
      y(i, 3, m4) = s3(i)
      y(i, 4, m4) = s4(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, b2, b3, b4, p1, p2, p3, p4, q1, q2, q3, q4, r1, r2, r3, r4, s1, s2, s3, s4)
    do i = 1, lanes
      p1 = y(i, 1, m1)
      p2 = y(i, 2, m1)
      p3 = y(i, 3, m1)
      p4 = y(i, 4, m1)
      q1 = y(i, 1, m2)
      q2 = y(i, 2, m2)
      q3 = y(i, 3, m2)
      q4 = y(i, 4, m2)
      r1 = y(i, 1, m3)
      r2 = y(i, 2, m3)
      r3 = y(i, 3, m3)
      r4 = y(i, 4, m3)
      s1 = y(i, 1, m4)
      s2 = y(i, 2, m4)
      s3 = y(i, 3, m4)
      s4 = y(i, 4, m4)
      a1 = a(i, k1 + 1)
      a2 = a(i, k2 + 1)
      a3 = a(i, k3 + 1)
      a4 = a(i, k4 + 1)
      b1 = b(i, 1, 1)
      b2 = b(i, 2, 1)
      b3 = b(i, 3, 1)
      b4 = b(i, 4, 1)
      do k = 1, n_k
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
        a1 = a(i, k1 + k + 1)
        a2 = a(i, k2 + k + 1)
        a3 = a(i, k3 + k + 1)
        a4 = a(i, k4 + k + 1)
        b1 = b(i, 1, k + 1)
        b2 = b(i, 2, k + 1)
        b3 = b(i, 3, k + 1)
        b4 = b(i, 4, k + 1)
      end do
      y(i, 1, m1) = p1
      y(i, 2, m1) = p2
      y(i, 3, m1) = p3
      y(i, 4, m1) = p4
      y(i, 1, m2) = q1
      y(i, 2, m2) = q2
      y(i, 3, m2) = q3
      y(i, 4, m2) = q4
      y(i, 1, m3) = r1
      y(i, 2, m3) = r2
      y(i, 3, m3) = r3
      y(i, 4, m3) = r4
      y(i, 1, m4) = s1
      y(i, 2, m4) = s2
      y(i, 3, m4) = s3
      y(i, 4, m4) = s4
    end do
#endif

  end subroutine product_16_4x4

  !> Add a part of the sums to 2 rows and 4 columns of a product, for 16 columns of a block of 16.
  pure recursive subroutine product_16_2x4(n_m, ld, n_n, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld, n_n                     !! columns of the left matrix and of the product
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(lanes, *)                !! left matrix (lane, k of each m)
    real(wp), intent(in) :: b(lanes, 4, *)             !! part of the right matrix (lane, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, *)        !! product (lane, n, m)
    integer :: i, k, m1, m2, k1, k2
    real(wp) :: a1, a2, b1, b2, b3, b4
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, p2, p3, p4, q1, q2, q3, q4
#else
    real(wp) :: p1, p2, p3, p4, q1, q2, q3, q4
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    k1 = ld*(m1 - 1) + first
    m2 = min(m + 1, n_m)
    k2 = ld*(m2 - 1) + first
#ifdef __flang__
    do i = 1, lanes
      p1(i) = y(i, 1, m1)
      p2(i) = y(i, 2, m1)
      p3(i) = y(i, 3, m1)
      p4(i) = y(i, 4, m1)
      q1(i) = y(i, 1, m2)
      q2(i) = y(i, 2, m2)
      q3(i) = y(i, 3, m2)
      q4(i) = y(i, 4, m2)
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k1 + k)
        a2 = a(i, k2 + k)
        b1 = b(i, 1, k)
        b2 = b(i, 2, k)
        b3 = b(i, 3, k)
        b4 = b(i, 4, k)
        p1(i) = p1(i) + a1*b1
        p2(i) = p2(i) + a1*b2
        p3(i) = p3(i) + a1*b3
        p4(i) = p4(i) + a1*b4
        q1(i) = q1(i) + a2*b1
        q2(i) = q2(i) + a2*b2
        q3(i) = q3(i) + a2*b3
        q4(i) = q4(i) + a2*b4
      end do
    end do
    do i = 1, lanes
      y(i, 1, m1) = p1(i)
      y(i, 2, m1) = p2(i)
      y(i, 3, m1) = p3(i)
      y(i, 4, m1) = p4(i)
      y(i, 1, m2) = q1(i)
      y(i, 2, m2) = q2(i)
      y(i, 3, m2) = q3(i)
      y(i, 4, m2) = q4(i)
    end do
#else
    !$omp simd private(a1, a2, b1, b2, b3, b4, p1, p2, p3, p4, q1, q2, q3, q4)
    do i = 1, lanes
      p1 = y(i, 1, m1)
      p2 = y(i, 2, m1)
      p3 = y(i, 3, m1)
      p4 = y(i, 4, m1)
      q1 = y(i, 1, m2)
      q2 = y(i, 2, m2)
      q3 = y(i, 3, m2)
      q4 = y(i, 4, m2)
      a1 = a(i, k1 + 1)
      a2 = a(i, k2 + 1)
      b1 = b(i, 1, 1)
      b2 = b(i, 2, 1)
      b3 = b(i, 3, 1)
      b4 = b(i, 4, 1)
      do k = 1, n_k
        p1 = p1 + a1*b1
        p2 = p2 + a1*b2
        p3 = p3 + a1*b3
        p4 = p4 + a1*b4
        q1 = q1 + a2*b1
        q2 = q2 + a2*b2
        q3 = q3 + a2*b3
        q4 = q4 + a2*b4
        a1 = a(i, k1 + k + 1)
        a2 = a(i, k2 + k + 1)
        b1 = b(i, 1, k + 1)
        b2 = b(i, 2, k + 1)
        b3 = b(i, 3, k + 1)
        b4 = b(i, 4, k + 1)
      end do
      y(i, 1, m1) = p1
      y(i, 2, m1) = p2
      y(i, 3, m1) = p3
      y(i, 4, m1) = p4
      y(i, 1, m2) = q1
      y(i, 2, m2) = q2
      y(i, 3, m2) = q3
      y(i, 4, m2) = q4
    end do
#endif

  end subroutine product_16_2x4

  !> Add a part of the sums to 4 rows and 1 columns of a product, for 16 columns of a block of 16.
  pure recursive subroutine product_16_4x1(n_m, ld, n_n, first, n_k, m, a, b, y)
    integer, intent(in) :: n_m                         !! rows of the product
    integer, intent(in) :: ld, n_n                     !! columns of the left matrix and of the product
    integer, intent(in) :: first, n_k                  !! columns of the left matrix before the part, and in it
    integer, intent(in) :: m                           !! first row
    real(wp), intent(in) :: a(lanes, *)                !! left matrix (lane, k of each m)
    real(wp), intent(in) :: b(lanes, 1, *)             !! part of the right matrix (lane, n, k)
    real(wp), intent(inout) :: y(lanes, n_n, *)        !! product (lane, n, m)
    integer :: i, k, m1, m2, m3, m4, k1, k2, k3, k4
    real(wp) :: a1, a2, a3, a4, b1
#ifdef __flang__
    real(wp), dimension(lanes) :: p1, q1, r1, s1
#else
    real(wp) :: p1, q1, r1, s1
#endif

    if (n_k < 1) return
    m1 = min(m, n_m)
    k1 = ld*(m1 - 1) + first
    m2 = min(m + 1, n_m)
    k2 = ld*(m2 - 1) + first
    m3 = min(m + 2, n_m)
    k3 = ld*(m3 - 1) + first
    m4 = min(m + 3, n_m)
    k4 = ld*(m4 - 1) + first
#ifdef __flang__
    do i = 1, lanes
      p1(i) = y(i, 1, m1)
      q1(i) = y(i, 1, m2)
      r1(i) = y(i, 1, m3)
      s1(i) = y(i, 1, m4)
    end do
    do k = 1, n_k
      do i = 1, lanes
        a1 = a(i, k1 + k)
        a2 = a(i, k2 + k)
        a3 = a(i, k3 + k)
        a4 = a(i, k4 + k)
        b1 = b(i, 1, k)
        p1(i) = p1(i) + a1*b1
        q1(i) = q1(i) + a2*b1
        r1(i) = r1(i) + a3*b1
        s1(i) = s1(i) + a4*b1
      end do
    end do
    do i = 1, lanes
      y(i, 1, m1) = p1(i)
      y(i, 1, m2) = q1(i)
      y(i, 1, m3) = r1(i)
      y(i, 1, m4) = s1(i)
    end do
#else
    !$omp simd private(a1, a2, a3, a4, b1, p1, q1, r1, s1)
    do i = 1, lanes
      p1 = y(i, 1, m1)
      q1 = y(i, 1, m2)
      r1 = y(i, 1, m3)
      s1 = y(i, 1, m4)
      a1 = a(i, k1 + 1)
      a2 = a(i, k2 + 1)
      a3 = a(i, k3 + 1)
      a4 = a(i, k4 + 1)
      b1 = b(i, 1, 1)
      do k = 1, n_k
        p1 = p1 + a1*b1
        q1 = q1 + a2*b1
        r1 = r1 + a3*b1
        s1 = s1 + a4*b1
        a1 = a(i, k1 + k + 1)
        a2 = a(i, k2 + k + 1)
        a3 = a(i, k3 + k + 1)
        a4 = a(i, k4 + k + 1)
        b1 = b(i, 1, k + 1)
      end do
      y(i, 1, m1) = p1
      y(i, 1, m2) = q1
      y(i, 1, m3) = r1
      y(i, 1, m4) = s1
    end do
#endif

  end subroutine product_16_4x1

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
      x = b(i, 1)
      do k = 1, n_k
        s1 = s1 + a(first + k, m1)*x
        s2 = s2 + a(first + k, m2)*x
        s3 = s3 + a(first + k, m3)*x
        s4 = s4 + a(first + k, m4)*x
        x = b(i, k + 1)
      end do
      y(i, 1) = s1
      y(i, 2) = s2
      y(i, 3) = s3
      y(i, 4) = s4
    end do
#endif

  end subroutine product_1

end module emufort_products
