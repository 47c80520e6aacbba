!> Compares products of matrices of many sizes, bit by bit, with sums in ascending order: in blocks of 32 and 16 columns, and
!> column by column.
!>
!> The values have at most half of the digits of the kind, so that a product is exact. A fused multiply-add then gives the
!> same bits as a multiplication and an addition, and the bits depend only on the order of the sums. With values of all
!> digits, the bits of the three forms must be the same.
program test_products
  use emufort_products, only: matmul_block, matmul_half_block, matmul_single
  use emufort_kinds, only: wp, int64, real32, lanes, block_columns
  use test_support, only: check
  implicit none
  integer, parameter :: largest = 70
  integer, parameter :: half_of_digits = merge(12, 26, wp == real32)
  integer, parameter :: sizes(11) = [1, 2, 3, 4, 5, 7, 8, 15, 17, 33, 70]
  real(wp) :: a_of(block_columns, largest*largest), b_of(block_columns, largest*largest)
  integer(int64) :: state
  integer :: i, j, k

  state = 1_int64
  do i = 1, largest**2
    call fill(a_of(:, i), half_of_digits)
    call fill(b_of(:, i), half_of_digits)
    ! of different magnitude, so that every addition rounds
    a_of(:, i) = a_of(:, i)*2.0_wp**(-mod(7*i, 11))
  end do
  do i = 1, size(sizes)
    do j = 1, size(sizes)
      do k = 1, size(sizes)
        call compare(sizes(i), sizes(k), sizes(j), .true.)
      end do
    end do
  end do
  do i = 1, largest**2
    call fill(a_of(:, i), 2*half_of_digits)
    call fill(b_of(:, i), 2*half_of_digits)
  end do
  do i = 1, size(sizes)
    do j = 1, size(sizes)
      call compare(sizes(i), sizes(1 + mod(i + j, size(sizes))), sizes(j), .false.)
    end do
  end do
  print '(a)', 'products of matrices sum in ascending order'

contains

  !> Return random numbers between -1 and 1.
  subroutine fill(values, n_digits)
    real(wp), intent(out) :: values(:)   !! [1]
    integer, intent(in) :: n_digits      !! binary digits
    integer :: i, n

    values = 0.0_wp
    do i = 1, size(values)
      do n = 0, n_digits - 1, 13
        ! Lehmer's generator
        state = mod(48271_int64*state, 2147483647_int64)
        values(i) = values(i) + real(mod(state, 2_int64**min(13, n_digits - n)), wp)*2.0_wp**(-n - min(13, n_digits - n))
      end do
      if (btest(state, 20)) values(i) = -values(i)
    end do

  end subroutine fill

  !> Compare one product.
  subroutine compare(n_m, n_k, n_n, is_exact)
    integer, intent(in) :: n_m, n_k, n_n   !! sizes
    logical, intent(in) :: is_exact        !! whether products of two values are exact
    real(wp), allocatable :: a(:, :), b(:, :), whole(:, :, :), half(:, :, :), one(:, :), wanted(:, :, :)
    character(len=60) :: what
    integer :: m, n, k, column

    write (what, '(i0,2(a,i0))') n_m, ' rows, ', n_k, ' terms, ', n_n
    what = trim(what)//' columns: '
    ! The feature past the end, which kernels may read and must not use.
    allocate (a(block_columns, n_k*n_m + 1), source=huge(1.0_wp))
    allocate (b(block_columns, n_n*n_k), source=b_of(:, :n_n*n_k))
    a(:, :n_k*n_m) = a_of(:, :n_k*n_m)
    allocate (whole(block_columns, n_n, n_m), half(lanes, n_n, n_m), one(n_n, n_m))
    call matmul_block(n_m, n_k, n_n, a, b, whole)
    if (is_exact) then
      allocate (wanted(block_columns, n_n, n_m), source=0.0_wp)
      do m = 1, n_m
        do n = 1, n_n
          do k = 1, n_k
            wanted(:, n, m) = wanted(:, n, m) + a(:, (m - 1)*n_k + k)*b(:, (k - 1)*n_n + n)
          end do
        end do
      end do
      call check(.not. any(abs(whole - wanted) > 0.0_wp), trim(what)//' the sums')
    end if
    call matmul_half_block(n_m, n_k, n_n, a(lanes/2 + 1:lanes/2 + lanes, :), b(lanes/2 + 1:lanes/2 + lanes, :), half)
    call check(.not. any(abs(whole(lanes/2 + 1:lanes/2 + lanes, :, :) - half) > 0.0_wp), trim(what)//' half a block')
    do column = 1 + mod(n_m + n_n, 5), block_columns, 9
      call matmul_single(n_m, n_k, n_n, a(column, :), b(column, :), one)
      call check(.not. any(abs(whole(column, :, :) - one) > 0.0_wp), trim(what)//' one column')
    end do

  end subroutine compare

end program test_products
