! flang calls its run-time library for TRANSFER.
#ifdef __flang__
#define TWO_TO(k) power_of_two(k)
#define INTEGER_OF(t) int(min(max(t, -160.0_wp), 160.0_wp), int32)
#else
#define TWO_TO(k) transfer(shiftl(k + 127_int32, 23), 0.0_wp)
#define INTEGER_OF(t) int(t, int32)
#endif

!> Elementary functions on arrays, in place, written so that compilers vectorise them.
!>
!> Arithmetic only, always on a full set of lanes: no table, no branch, no loop over a remainder, so that a value
!> has the same bits wherever it stands in the array. In single precision the errors are bounded by (measured by
!> test_math over the whole range, in units in the last place): exp 1.5, ln 1.5, tanh 2, sigmoid 3, erfc 8. In
!> double precision the intrinsics are used.
module emufort_math
  use emufort_kinds, only: wp, int32, lanes
  implicit none
  private

  public :: vector_exp, vector_ln, vector_tanh, vector_erfc, vector_sigmoid

#ifndef EMUFORT_DOUBLE
  real(wp), parameter :: ln2_high = 0.693359375_wp, ln2_low = -2.12194440e-4_wp
  real(wp), parameter :: log2_e = 1.44269504088896341_wp
  !> 1.5*2**23: adding and subtracting it rounds to an integer.
  real(wp), parameter :: rounder = 12582912.0_wp

  ! Minimax polynomials: exp(r) = 1 + r + r**2 p(r) for |r| <= ln(2)/2
  real(wp), parameter :: e0 = 0.4999999341_wp, e1 = 0.1666652011_wp, e2 = 0.04166839422_wp, e3 = 0.008368780429_wp, &
                         e4 = 0.001381446674_wp
  ! ln(1 + f) = f - f**2/2 + f**3 p(f) for sqrt(1/2) <= 1 + f <= sqrt(2)
  real(wp), parameter :: l0 = 0.333333126_wp, l1 = -0.250000096_wp, l2 = 0.2000211866_wp, l3 = -0.1666799584_wp, &
          l4 = 0.1421955228_wp, l5 = -0.1240558906_wp, l6 = 0.1188816296_wp, l7 = -0.116756512_wp, l8 = 0.06746638261_wp
  ! tanh(x) = x + x**3 p(x**2) for |x| <= 0.625
  real(wp), parameter :: t0 = -0.3333328393_wp, t1 = 0.1333149128_wp, t2 = -0.05374349792_wp, t3 = 0.02065058679_wp, &
                         t4 = -0.005717044512_wp
  ! (1 + 2 x) exp(x**2) erfc(x) = p((x - 2)/(x + 2)) for 0 <= x <= 10.2
  real(wp), parameter :: c0 = 1.276978394_wp, c1 = -0.09276398501_wp, c2 = -0.1660314611_wp, c3 = 0.1640554253_wp, &
                      c4 = -0.05420388295_wp, c5 = -0.008060142056_wp, c6 = 0.008630094313_wp, c7 = 0.001313307363_wp, &
                         c8 = -0.001227999186_wp, c9 = -0.0003994469579_wp
  ! exp(d) = 1 + d + d**2/2 + d**3 (d3 + d4 d + d5 d**2)
  real(wp), parameter :: d3 = 1.0_wp/6.0_wp, d4 = 1.0_wp/24.0_wp, d5 = 1.0_wp/120.0_wp
#endif

contains

#ifdef EMUFORT_DOUBLE

  !> a = exp(a)
  pure recursive subroutine vector_exp(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first, m

    ! Always a full set of lanes, in one place of the code: compilers have a vector and a scalar version of the
    ! intrinsic, of other bits.
    b = 1.0_wp
    do first = 0, n - 1, lanes
      m = min(lanes, n - first)
      b(1:m) = a(first + 1:first + m)
      b = exp(b)
      a(first + 1:first + m) = b(1:m)
    end do

  end subroutine vector_exp

  !> a = ln(a)
  pure recursive subroutine vector_ln(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1], positive
    real(wp) :: b(lanes)
    integer :: first, m

    ! Always a full set of lanes, in one place of the code: compilers have a vector and a scalar version of the
    ! intrinsic, of other bits.
    b = 1.0_wp
    do first = 0, n - 1, lanes
      m = min(lanes, n - first)
      b(1:m) = a(first + 1:first + m)
      b = log(b)
      a(first + 1:first + m) = b(1:m)
    end do

  end subroutine vector_ln

  !> a = tanh(a)
  pure recursive subroutine vector_tanh(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first, m

    ! Always a full set of lanes, in one place of the code: compilers have a vector and a scalar version of the
    ! intrinsic, of other bits.
    b = 1.0_wp
    do first = 0, n - 1, lanes
      m = min(lanes, n - first)
      b(1:m) = a(first + 1:first + m)
      b = tanh(b)
      a(first + 1:first + m) = b(1:m)
    end do

  end subroutine vector_tanh

  !> a = erfc(a)
  pure recursive subroutine vector_erfc(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first, m

    ! Always a full set of lanes, in one place of the code: compilers have a vector and a scalar version of the
    ! intrinsic, of other bits.
    b = 1.0_wp
    do first = 0, n - 1, lanes
      m = min(lanes, n - first)
      b(1:m) = a(first + 1:first + m)
      b = erfc(b)
      a(first + 1:first + m) = b(1:m)
    end do

  end subroutine vector_erfc

  !> a = 1/(1 + exp(-a))
  pure recursive subroutine vector_sigmoid(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    integer :: i

    do i = 1, n
      a(i) = -a(i)
    end do
    call vector_exp(n, a)
    do i = 1, n
      a(i) = 1.0_wp/(1.0_wp + a(i))
    end do

  end subroutine vector_sigmoid

#else

  !> a = exp(a); 0 and infinity beyond the range, NaN for NaN. Error below 1.5 ulp.
  pure recursive subroutine vector_exp(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first

    do first = 1, n - lanes + 1, lanes
      call exp_lanes(a(first:first + lanes - 1))
    end do
    first = n - mod(n, lanes) + 1
    if (first <= n) then
      b = 1.0_wp
      b(1:n - first + 1) = a(first:n)
      call exp_lanes(b)
      a(first:n) = b(1:n - first + 1)
    end if

  end subroutine vector_exp

  !> a = ln(a); NaN below 0, what is smaller than the smallest normal number counts as that. Error below 1.5 ulp.
  pure recursive subroutine vector_ln(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1], positive
    real(wp) :: b(lanes)
    integer :: first

    do first = 1, n - lanes + 1, lanes
      call ln_lanes(a(first:first + lanes - 1))
    end do
    first = n - mod(n, lanes) + 1
    if (first <= n) then
      b = 1.0_wp
      b(1:n - first + 1) = a(first:n)
      call ln_lanes(b)
      a(first:n) = b(1:n - first + 1)
    end if

  end subroutine vector_ln

  !> a = tanh(a). Error below 2 ulp.
  pure recursive subroutine vector_tanh(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first

    do first = 1, n - lanes + 1, lanes
      call tanh_lanes(a(first:first + lanes - 1))
    end do
    first = n - mod(n, lanes) + 1
    if (first <= n) then
      b = 1.0_wp
      b(1:n - first + 1) = a(first:n)
      call tanh_lanes(b)
      a(first:n) = b(1:n - first + 1)
    end if

  end subroutine vector_tanh

  !> a = erfc(a). Error below 8 ulp where the result is a normal number.
  pure recursive subroutine vector_erfc(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first

    do first = 1, n - lanes + 1, lanes
      call erfc_lanes(a(first:first + lanes - 1))
    end do
    first = n - mod(n, lanes) + 1
    if (first <= n) then
      b = 1.0_wp
      b(1:n - first + 1) = a(first:n)
      call erfc_lanes(b)
      a(first:n) = b(1:n - first + 1)
    end if

  end subroutine vector_erfc

  !> a = 1/(1 + exp(-a)). Error below 3 ulp in single precision.
  pure recursive subroutine vector_sigmoid(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: b(lanes)
    integer :: first

    do first = 1, n - lanes + 1, lanes
      call sigmoid_lanes(a(first:first + lanes - 1))
    end do
    first = n - mod(n, lanes) + 1
    if (first <= n) then
      b = 1.0_wp
      b(1:n - first + 1) = a(first:n)
      call sigmoid_lanes(b)
      a(first:n) = b(1:n - first + 1)
    end if

  end subroutine vector_sigmoid

#ifdef __flang__
  !> 2**k for -76 <= k <= 75, exactly.
  pure elemental real(wp) function power_of_two(k)
    integer(int32), intent(in) :: k   !! exponent
    integer(int32) :: m

    m = k + 76_int32
    power_of_two = 2.0_wp**(-76)
    if (btest(m, 0)) power_of_two = power_of_two*2.0_wp**1
    if (btest(m, 1)) power_of_two = power_of_two*2.0_wp**2
    if (btest(m, 2)) power_of_two = power_of_two*2.0_wp**4
    if (btest(m, 3)) power_of_two = power_of_two*2.0_wp**8
    if (btest(m, 4)) power_of_two = power_of_two*2.0_wp**16
    if (btest(m, 5)) power_of_two = power_of_two*2.0_wp**32
    if (btest(m, 6)) power_of_two = power_of_two*2.0_wp**64
    if (btest(m, 7)) power_of_two = power_of_two*2.0_wp**64*2.0_wp**64

  end function power_of_two

#endif
  !> exp of a full set of lanes.
  pure recursive subroutine exp_lanes(a)
    real(wp), intent(inout) :: a(lanes)   !! values [1]
    real(wp) :: x, t, r, p
    integer(int32) :: k, half
    integer :: i

    !$omp simd private(x, t, r, p, k, half)
    do i = 1, lanes
      x = a(i)
      x = merge(-104.0_wp, x, x < -104.0_wp)
      x = merge(89.0_wp, x, x > 89.0_wp)
      t = (x*log2_e + rounder) - rounder
      k = INTEGER_OF(t)
      r = (x - t*ln2_high) - t*ln2_low
      p = (((e4*r + e3)*r + e2)*r + e1)*r + e0
      p = (r*r)*p + r
      p = p + 1.0_wp
      ! 2**k in two factors, because 2**k itself may exceed the range where exp(x) does not.
      half = shifta(k, 1)
      p = p*TWO_TO(half)
      a(i) = p*TWO_TO(k - half)
    end do

  end subroutine exp_lanes

  !> ln of a full set of lanes.
  pure recursive subroutine ln_lanes(a)
    real(wp), intent(inout) :: a(lanes)   !! values [1]
    real(wp), parameter :: least = tiny(1.0_wp)
    real(wp), parameter :: not_a_number = transfer(2143289344_int32, 0.0_wp)
    real(wp) :: x, f, e, p, q
    integer :: i
#ifdef __flang__
    real(wp), parameter :: two_127 = 2.0_wp**127, root_half = transfer(1060439283_int32, 0.0_wp)
#else
    integer(int32), parameter :: root_half_bits = 1060439283_int32
    integer(int32) :: bits, k
#endif

#ifndef __flang__
    !$omp simd private(x, f, e, p, q, bits, k)
#endif
    do i = 1, lanes
      x = max(a(i), least)
#ifdef __flang__
      ! The same without looking at the bits: first above sqrt(1/2), then down by powers of two.
      e = merge(-127.0_wp, 0.0_wp, x < root_half)
      x = merge(x*two_127, x, x < root_half)
      e = merge(e + 64.0_wp, e, x >= 2.0_wp**64*root_half)
      x = merge(x*0.5_wp**64, x, x >= 2.0_wp**64*root_half)
      e = merge(e + 32.0_wp, e, x >= 2.0_wp**32*root_half)
      x = merge(x*0.5_wp**32, x, x >= 2.0_wp**32*root_half)
      e = merge(e + 16.0_wp, e, x >= 2.0_wp**16*root_half)
      x = merge(x*0.5_wp**16, x, x >= 2.0_wp**16*root_half)
      e = merge(e + 8.0_wp, e, x >= 2.0_wp**8*root_half)
      x = merge(x*0.5_wp**8, x, x >= 2.0_wp**8*root_half)
      e = merge(e + 4.0_wp, e, x >= 2.0_wp**4*root_half)
      x = merge(x*0.5_wp**4, x, x >= 2.0_wp**4*root_half)
      e = merge(e + 2.0_wp, e, x >= 2.0_wp**2*root_half)
      x = merge(x*0.5_wp**2, x, x >= 2.0_wp**2*root_half)
      e = merge(e + 1.0_wp, e, x >= 2.0_wp**1*root_half)
      x = merge(x*0.5_wp**1, x, x >= 2.0_wp**1*root_half)
      e = merge(e + 1.0_wp, e, x >= 2.0_wp**1*root_half)
      x = merge(x*0.5_wp**1, x, x >= 2.0_wp**1*root_half)
      f = x - 1.0_wp
#else
      bits = transfer(x, 0_int32)
      ! Exponent such that the mantissa lies between sqrt(1/2) and sqrt(2).
      k = shifta(bits - root_half_bits, 23)
      f = transfer(bits - shiftl(k, 23), 0.0_wp) - 1.0_wp
      e = real(k, wp)
#endif
      p = (((((((l8*f + l7)*f + l6)*f + l5)*f + l4)*f + l3)*f + l2)*f + l1)*f + l0
      q = f*f
      p = (q*f)*p
      p = e*ln2_low + p
      p = p - 0.5_wp*q
      p = p + f
      p = e*ln2_high + p
      a(i) = merge(p, not_a_number, a(i) >= 0.0_wp)
    end do

  end subroutine ln_lanes

  !> tanh of a full set of lanes.
  pure recursive subroutine tanh_lanes(a)
    real(wp), intent(inout) :: a(lanes)   !! values [1]
    real(wp) :: b(lanes), z, small, large
    integer :: i

    !$omp simd
    do i = 1, lanes
      b(i) = 2.0_wp*abs(a(i))
    end do
    call exp_lanes(b)
    !$omp simd private(z, small, large)
    do i = 1, lanes
      z = a(i)*a(i)
      small = (((t4*z + t3)*z + t2)*z + t1)*z + t0
      small = (a(i)*z)*small + a(i)
      large = 1.0_wp - 2.0_wp/(b(i) + 1.0_wp)
      large = sign(large, a(i))
      a(i) = merge(small, large, z < 0.390625_wp)
    end do

  end subroutine tanh_lanes

  !> erfc of a full set of lanes.
  pure recursive subroutine erfc_lanes(a)
    real(wp), intent(inout) :: a(lanes)   !! values [1]
    real(wp) :: x, high, d, s, p, q, r, t
    integer(int32) :: k, half
    integer :: i

    ! In one loop, with exp written out: the values stay in registers.
    !$omp simd private(x, high, d, s, p, q, r, t, k, half)
    do i = 1, lanes
      x = min(abs(a(i)), 10.2_wp)
      ! x**2 = high**2 + (x - high)*(x + high), where high, a multiple of 1/256, has an exact square: exp() would
      ! magnify its rounding.
      high = (x + rounder*0.00390625_wp) - rounder*0.00390625_wp
      d = (high - x)*(high + x)
      ! exp(-high**2)
      q = -(high*high)
      t = (q*log2_e + rounder) - rounder
      k = INTEGER_OF(t)
      r = (q - t*ln2_high) - t*ln2_low
      q = (((e4*r + e3)*r + e2)*r + e1)*r + e0
      q = (r*r)*q + r
      q = q + 1.0_wp
      half = shifta(k, 1)
      q = q*TWO_TO(half)
      ! exp(d) - 1, where abs(d) < 0.05
      d = ((((d*d5 + d4)*d + d3)*d + 0.5_wp)*d + 1.0_wp)*d
      s = (x - 2.0_wp)/(x + 2.0_wp)
      p = ((((((((c9*s + c8)*s + c7)*s + c6)*s + c5)*s + c4)*s + c3)*s + c2)*s + c1)*s + c0
      p = p/(1.0_wp + 2.0_wp*x)
      p = (p + p*d)*q
      p = p*TWO_TO(k - half)
      p = merge(p, 2.0_wp - p, a(i) >= 0.0_wp)
      a(i) = merge(p, a(i), abs(a(i)) >= 0.0_wp)
    end do

  end subroutine erfc_lanes

  !> 1/(1 + exp(-a)) of a full set of lanes.
  pure recursive subroutine sigmoid_lanes(a)
    real(wp), intent(inout) :: a(lanes)   !! values [1]
    integer :: i

    !$omp simd
    do i = 1, lanes
      a(i) = -a(i)
    end do
    call exp_lanes(a)
    !$omp simd
    do i = 1, lanes
      a(i) = 1.0_wp/(1.0_wp + a(i))
    end do

  end subroutine sigmoid_lanes

#endif

end module emufort_math
