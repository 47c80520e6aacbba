! Made from fortran/templates/math.fypp by `make templates`; do not edit.

!> Elementary and activation functions on arrays, in place. Each makes one pass over the array that compilers vectorise.
!>
!> A value has the same bits at any position of an array of any length. The functions therefore consist of arithmetic
!> only, without tables, branches or remainder loops, and always compute a full set of lanes, at one place of the code.
!> In single precision each function states the bound of its error, in units in the last place of the result; test_math
!> measures the errors over the whole range. In double precision the intrinsic functions are used. NaN gives NaN.
module emufort_math
  use emufort_kinds, only: wp, int32, real64, lanes
  implicit none
  private

  public :: vector_exp, vector_ln, vector_tanh, vector_erfc, vector_erf
  public :: vector_sin, vector_cos, vector_sigmoid, vector_silu, vector_gelu
  public :: vector_softplus, vector_elu

  real(wp), parameter :: root_half = 0.70710678118654752440_wp
#ifndef EMUFORT_DOUBLE
  real(wp), parameter :: ln2_high = 0.693359375_wp, ln2_low = -2.12194440e-4_wp
  real(wp), parameter :: log2_e = 1.44269504088896341_wp
  !> 1.5*2**23: adding and subtracting it rounds to an integer, which is in the last bits of the sum.
  real(wp), parameter :: rounder = 12582912.0_wp
  integer(int32), parameter :: infinity_bits = 2139095040_int32, nan_bits = 2143289344_int32

  ! Minimax polynomials: exp(r) = 1 + r + r**2 p(r) for |r| <= ln(2)/2
  real(wp), parameter :: e0 = 0.4999999341_wp, e1 = 0.1666652011_wp, e2 = 0.04166839422_wp, e3 = 0.008368780429_wp, &
                         e4 = 0.001381446674_wp
  ! the same for |r| <= 0.39
  real(wp), parameter :: w0 = 0.4999998675_wp, w1 = 0.1666643318_wp, w2 = 0.04166941682_wp, w3 = 0.008378096967_wp, &
                         w4 = 0.001379523184_wp
  ! ln(1 + f) = f - f**2/2 + f**3 p(f) for sqrt(1/2) <= 1 + f <= sqrt(2)
  real(wp), parameter :: l0 = 0.333333126_wp, l1 = -0.250000096_wp, l2 = 0.2000211866_wp, l3 = -0.1666799584_wp, &
                         l4 = 0.1421955228_wp, l5 = -0.1240558906_wp, l6 = 0.1188816296_wp, l7 = -0.116756512_wp, &
                         l8 = 0.06746638261_wp
  ! tanh(x) = x + x**3 p(x**2) for |x| <= 0.625
  real(wp), parameter :: t0 = -0.3333328393_wp, t1 = 0.1333149128_wp, t2 = -0.05374349792_wp, t3 = 0.02065058679_wp, &
                         t4 = -0.005717044512_wp
  ! (1 + 2 x) exp(x**2) erfc(x) = p((x - 2)/(x + 2)) for 0 <= x <= 10.2
  real(wp), parameter :: c0 = 1.276978394_wp, c1 = -0.09276398501_wp, c2 = -0.1660314611_wp, c3 = 0.1640554253_wp, &
                         c4 = -0.05420388295_wp, c5 = -0.008060142056_wp, c6 = 0.008630094313_wp, &
                         c7 = 0.001313307363_wp, c8 = -0.001227999186_wp, c9 = -0.0003994469579_wp
  ! erf(x) = x + x p(x**2) for |x| <= 1
  real(wp), parameter :: f0 = 0.1283791657_wp, f1 = -0.3761262582_wp, f2 = 0.1128358515_wp, f3 = -0.02685381187_wp, &
                         f4 = 0.00518832756_wp, f5 = -0.000801019252_wp, f6 = 7.853857704e-05_wp
  !> 1.5*2**52, see `rounder`.
  real(real64), parameter :: double_rounder = 6755399441055744.0_real64
  ! pi in two parts of 24 bits and a third; Taylor series of sin(x) for |x| <= pi/2
  real(real64), parameter :: pi = 3.14159265358979324_real64
  real(real64), parameter :: pi_high = 3.141592502593994_real64, pi_middle = 1.5099578831723193e-07_real64, &
                             pi_low = 1.0780605716316238e-14_real64
  real(real64), parameter :: s1 = -1.0_real64/6.0_real64, s2 = 1.0_real64/120.0_real64, &
                             s3 = -1.0_real64/5040.0_real64, s4 = 1.0_real64/362880.0_real64, &
                             s5 = -1.0_real64/39916800.0_real64, s6 = 1.0_real64/6227020800.0_real64
#endif

contains

  !> a = exp(a). 0 and infinity beyond the range. Error below 1.5 ulp.
  pure recursive subroutine vector_exp(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = exp_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_exp(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_exp

  !> a = ln(a). NaN below 0; an a below the smallest normal number counts as that. Error below 1.5 ulp.
  pure recursive subroutine vector_ln(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = ln_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_ln(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_ln

  !> a = tanh(a). Error below 2 ulp.
  pure recursive subroutine vector_tanh(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = tanh_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_tanh(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_tanh

  !> a = erfc(a). Error below 8 ulp where the result is a normal number.
  pure recursive subroutine vector_erfc(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = erfc_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_erfc(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_erfc

  !> a = erf(a). Error below 2 ulp.
  pure recursive subroutine vector_erf(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = erf_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_erf(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_erf

  !> a = sin(a). Error below 1 ulp up to 1e9; beyond, the sine of 1e9.
  pure recursive subroutine vector_sin(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = sin_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_sin(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_sin

  !> a = cos(a). Error below 1 ulp up to 1e9; beyond, the cosine of 1e9.
  pure recursive subroutine vector_cos(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = cos_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_cos(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_cos

  !> a = 1/(1 + exp(-a)). 0 below -88 (-700 in double precision). Error below 3 ulp.
  pure recursive subroutine vector_sigmoid(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = sigmoid_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_sigmoid(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_sigmoid

  !> a = a/(1 + exp(-a)). 0 below -88 (-700 in double precision). Error below 3 ulp.
  pure recursive subroutine vector_silu(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = silu_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_silu(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_silu

  !> a = a*erfc(-a/sqrt(2))/2. Error below 8 ulp where the result is a normal number.
  pure recursive subroutine vector_gelu(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = gelu_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_gelu(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_gelu

  !> a = ln(1 + exp(a)). Error below 3 ulp.
  pure recursive subroutine vector_softplus(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp) :: rest(lanes)
    integer :: first, i

    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = softplus_of(a(i))
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_softplus(lanes, rest)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_softplus

  !> a = a above 0, slope*(exp(a) - 1) below. Error below 3 ulp.
  pure recursive subroutine vector_elu(n, a, slope)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]
    real(wp), intent(in) :: slope     !! factor below 0 [1]
    real(wp) :: rest(lanes), factor
    integer :: first, i

    ! A copy, because gfortran does not vectorise with the argument.
    factor = slope
    do first = 0, n - lanes, lanes
      !$omp simd
      do i = first + 1, first + lanes
        a(i) = elu_of(a(i), factor)
      end do
    end do
    first = n - mod(n, lanes)
    if (first < n) then
      rest = 1.0_wp
      rest(1:n - first) = a(first + 1:n)
      call vector_elu(lanes, rest, slope)
      a(first + 1:n) = rest(1:n - first)
    end if

  end subroutine vector_elu

#ifdef EMUFORT_DOUBLE

  pure elemental real(wp) function exp_of(x)
    real(wp), intent(in) :: x   !! [1]

    exp_of = exp(x)

  end function exp_of

  pure elemental real(wp) function ln_of(x)
    real(wp), intent(in) :: x   !! [1]

    ln_of = log(x)

  end function ln_of

  pure elemental real(wp) function tanh_of(x)
    real(wp), intent(in) :: x   !! [1]

    tanh_of = tanh(x)

  end function tanh_of

  pure elemental real(wp) function erfc_of(x)
    real(wp), intent(in) :: x   !! [1]

    erfc_of = erfc(x)

  end function erfc_of

  pure elemental real(wp) function erf_of(x)
    real(wp), intent(in) :: x   !! [1]

    erf_of = erf(x)

  end function erf_of

  pure elemental real(wp) function sin_of(x)
    real(wp), intent(in) :: x   !! [1]

    sin_of = sin(x)

  end function sin_of

  pure elemental real(wp) function cos_of(x)
    real(wp), intent(in) :: x   !! [1]

    cos_of = cos(x)

  end function cos_of

  pure elemental real(wp) function gelu_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y

    y = 0.5_wp*merge(-40.0_wp, x, x < -40.0_wp)
    gelu_of = y*erfc(-root_half*x)

  end function gelu_of

  pure elemental real(wp) function sigmoid_of(x)
    real(wp), intent(in) :: x   !! [1]

    ! The exponential must not overflow, because a host may trap it.
    sigmoid_of = merge(0.0_wp, 1.0_wp/(1.0_wp + exp(-merge(-700.0_wp, x, x <= -700.0_wp))), x <= -700.0_wp)

  end function sigmoid_of

  pure elemental real(wp) function silu_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y

    y = merge(0.0_wp, x, x <= -700.0_wp)
    silu_of = y/(1.0_wp + exp(-y))

  end function silu_of

  pure elemental real(wp) function softplus_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: t, u

    t = exp(-abs(x))
    u = 1.0_wp + t
    ! ln(1 + t) = ln(u) + (rounding error of u)/u, which keeps the digits of a small t.
    softplus_of = max(x, 0.0_wp) + (log(u) + (t - (u - 1.0_wp))/u)

  end function softplus_of

  pure elemental real(wp) function elu_of(x, slope)
    real(wp), intent(in) :: x       !! [1]
    real(wp), intent(in) :: slope   !! [1]
    real(wp) :: t

    ! exp(x) - 1 = 2 t/(1 - t) with t = tanh(x/2): no cancellation near 0.
    t = tanh(0.5_wp*min(x, 0.0_wp))
    elu_of = merge((slope*(t + t))/(1.0_wp - t), x, x < 0.0_wp)

  end function elu_of

#else

  !> Return the bits of a number.
  pure elemental integer(int32) function bits_of(x)
    real(wp), intent(in) :: x   !! any number
#ifdef __flang__
    ! With flang, TRANSFER calls the run-time library.
    integer(int32) :: bits
    real(wp) :: y
    equivalence(bits, y)

    y = x
    bits_of = bits
#else

    bits_of = transfer(x, 0_int32)
#endif

  end function bits_of

  !> Return the number with the given bits.
  pure elemental real(wp) function number_of(bits)
    integer(int32), intent(in) :: bits   !! any
#ifdef __flang__
    integer(int32) :: same
    real(wp) :: y
    equivalence(same, y)

    same = bits
    number_of = y
#else

    number_of = transfer(bits, 0.0_wp)
#endif

  end function number_of

  !> Return y, or NaN if x is NaN. With bits instead of MERGE, which gfortran -O2 makes a branch and then does not
  !> vectorise.
  pure elemental real(wp) function or_nan(y, x)
    real(wp), intent(in) :: y, x   !! any numbers

    or_nan = number_of(ior(bits_of(y), iand(nan_bits, shifta(infinity_bits - iand(bits_of(x), huge(0_int32)), 31))))

  end function or_nan

  !> Reduce x = k ln(2) + r with integer k, so that exp(x) = e*2**k. The last 9 bits of `shifted` are those of k -
  !> offset.
  pure elemental subroutine reduce(x, offset, shifted, e)
    real(wp), intent(in) :: x          !! [1], within -104 and 104
    real(wp), intent(in) :: offset     !! a small integer
    real(wp), intent(out) :: shifted   !! k, shifted to the end of the mantissa
    real(wp), intent(out) :: e         !! exp(r) [1]
    real(wp) :: k, r

    shifted = x*log2_e + (rounder - offset)
    k = shifted - (rounder - offset)
    r = (x - k*ln2_high) - k*ln2_low
    e = (((((e4*r + e3)*r + e2)*r + e1)*r + e0)*r + 1.0_wp)*r + 1.0_wp

  end subroutine reduce

  !> Return e*2**k by adding k to the exponent, which must not overflow.
  pure elemental real(wp) function scaled(e, shifted)
    real(wp), intent(in) :: e         !! [1], normal
    real(wp), intent(in) :: shifted   !! number with the bits of k at its end

    scaled = number_of(bits_of(e) + shiftl(bits_of(shifted), 23))

  end function scaled

  pure elemental real(wp) function exp_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: shifted, e
    integer(int32) :: k, half

    call reduce(max(min(x, 89.0_wp), -104.0_wp), 0.0_wp, shifted, e)
    ! 2**k in two factors, because 2**k itself may exceed the range where exp(x) does not.
    k = bits_of(shifted)
    half = shifta(k, 1)
    e = number_of(bits_of(e) + shiftl(half, 23))*number_of(shiftl(k - half + 127_int32, 23))
    exp_of = or_nan(e, x)

  end function exp_of

  !> Return ln(1 + f) + k ln(2) for sqrt(1/2) <= 1 + f <= sqrt(2).
  pure elemental real(wp) function ln_of_parts(f, k)
    real(wp), intent(in) :: f   !! [1]
    real(wp), intent(in) :: k   !! an integer
    real(wp) :: p, q

    q = f*f
    ! In pairs, which do not depend on each other.
    p = (((l8*q + (l7*f + l6))*q + (l5*f + l4))*q + (l3*f + l2))*q + (l1*f + l0)
    p = (q*f)*p
    p = k*ln2_low + p
    p = p - 0.5_wp*q
    p = p + f
    ln_of_parts = k*ln2_high + p

  end function ln_of_parts

  pure elemental real(wp) function ln_of(x)
    real(wp), intent(in) :: x   !! [1]
    integer(int32), parameter :: root_half_bits = 1060439283_int32
    integer(int32) :: bits, k

    bits = max(bits_of(x), bits_of(tiny(1.0_wp)))
    ! Exponent such that the mantissa lies between sqrt(1/2) and sqrt(2).
    k = shifta(bits - root_half_bits, 23)
    ln_of = ln_of_parts(number_of(bits - shiftl(k, 23)) - 1.0_wp, real(k, wp))
    ! The sign bit of `bits` is set if x is negative, but not for -0, or NaN: all bits of a NaN are then set.
    bits = bits_of(x + 0.0_wp)
    bits = ior(bits, infinity_bits - iand(bits, huge(0_int32)))
    ln_of = number_of(ior(bits_of(ln_of), iand(nan_bits, shifta(bits, 31))))

  end function ln_of

  pure elemental real(wp) function tanh_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y, z, shifted, e, small, large

    ! All functions clip with min: compilers also compute the branch that a condition excludes, where it may overflow,
    ! and a host may trap the overflow.
    y = min(abs(x), 10.0_wp)
    z = y*y
    small = (((t4*z + t3)*z + t2)*z + t1)*z + t0
    small = (y*z)*small + abs(x)
    call reduce(2.0_wp*y, 0.0_wp, shifted, e)
    large = 1.0_wp - 2.0_wp/(scaled(e, shifted) + 1.0_wp)
    ! NaN passes through the polynomial.
    tanh_of = sign(merge(large, small, abs(x) >= 0.625_wp), x)

  end function tanh_of

  !> Return a positive number rounded to a multiple of 1/256, whose square is exact up to 16.
  pure elemental real(wp) function rounded(x)
    real(wp), intent(in) :: x   !! [1]

    rounded = (x + rounder*0.00390625_wp) - rounder*0.00390625_wp

  end function rounded

  pure elemental real(wp) function erfc_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y, high, square, shifted, k, r, e, s, p, q, t

    y = min(abs(x), 10.2_wp)
    ! y**2 = high**2 + (y - high)*(y + high): exp() would magnify the rounding of y**2.
    high = rounded(y)
    ! exp(-y**2)*2**32, so that it is a normal number.
    square = high*high
    shifted = (rounder + 32.0_wp) - square*log2_e
    k = shifted - (rounder + 32.0_wp)
    r = (-square - k*ln2_high) - k*ln2_low
    r = r + (high - y)*(high + y)
    e = (((((w4*r + w3)*r + w2)*r + w1)*r + w0)*r + 1.0_wp)*r + 1.0_wp
    ! One division for (y - 2)/(y + 2) and p/(1 + 2 y).
    t = 1.0_wp/((y + 2.0_wp)*(1.0_wp + 2.0_wp*y))
    s = ((y - 2.0_wp)*(1.0_wp + 2.0_wp*y))*t
    q = s*s
    p = ((((c9*s + c8)*q + (c7*s + c6))*q + (c5*s + c4))*q + (c3*s + c2))*q + (c1*s + c0)
    p = p*((y + 2.0_wp)*t)
    p = (p*scaled(e, shifted))*2.0_wp**(-32)
    ! 2 - p for a negative x.
    s = sign(1.0_wp, x)
    erfc_of = or_nan(s*p + (1.0_wp - s), x)

  end function erfc_of

  pure elemental real(wp) function erf_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y, high, square, shifted, k, r, e, s, p, q, t

    y = min(abs(x), 10.2_wp)
    high = rounded(y)
    ! exp(-y**2)*2**32, so that it is a normal number.
    square = high*high
    shifted = (rounder + 32.0_wp) - square*log2_e
    k = shifted - (rounder + 32.0_wp)
    r = (-square - k*ln2_high) - k*ln2_low
    r = r + (high - y)*(high + y)
    e = (((((w4*r + w3)*r + w2)*r + w1)*r + w0)*r + 1.0_wp)*r + 1.0_wp
    ! One division for (y - 2)/(y + 2) and p/(1 + 2 y).
    t = 1.0_wp/((y + 2.0_wp)*(1.0_wp + 2.0_wp*y))
    s = ((y - 2.0_wp)*(1.0_wp + 2.0_wp*y))*t
    q = s*s
    p = ((((c9*s + c8)*q + (c7*s + c6))*q + (c5*s + c4))*q + (c3*s + c2))*q + (c1*s + c0)
    p = p*((y + 2.0_wp)*t)
    p = (p*scaled(e, shifted))*2.0_wp**(-32)
    q = y*y
    s = (((((f6*q + f5)*q + f4)*q + f3)*q + f2)*q + f1)*q + f0
    s = y*s + abs(x)
    erf_of = or_nan(sign(merge(s, 1.0_wp - p, abs(x) < 1.0_wp), x), x)

  end function erf_of

  pure elemental real(wp) function sin_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(real64) :: y, k, m, r, half, q, p

    y = real(sign(min(abs(x), 1.0e9_wp), x), real64)
    k = (y*(1.0_real64/pi) + 0.0_real64) + double_rounder
    k = k - double_rounder
    m = k - 0.0_real64
    r = ((y - m*pi_high) - m*pi_middle) - m*pi_low
    ! Half of an odd k is rounded up or down by a half, half of an even one is exact.
    half = 0.5_real64*k
    half = half - ((half + double_rounder) - double_rounder)
    q = r*r
    p = ((((s6*q + s5)*q + s4)*q + s3)*q + s2)*q + s1
    sin_of = or_nan(real((1.0_real64 - 4.0_real64*abs(half))*(r + (r*q)*p), wp), x)

  end function sin_of

  pure elemental real(wp) function cos_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(real64) :: y, k, m, r, half, q, p

    y = real(sign(min(abs(x), 1.0e9_wp), x), real64)
    k = (y*(1.0_real64/pi) + 0.5_real64) + double_rounder
    k = k - double_rounder
    m = k - 0.5_real64
    r = ((y - m*pi_high) - m*pi_middle) - m*pi_low
    ! Half of an odd k is rounded up or down by a half, half of an even one is exact.
    half = 0.5_real64*k
    half = half - ((half + double_rounder) - double_rounder)
    q = r*r
    p = ((((s6*q + s5)*q + s4)*q + s3)*q + s2)*q + s1
    cos_of = or_nan(real((1.0_real64 - 4.0_real64*abs(half))*(r + (r*q)*p), wp), x)

  end function cos_of

  pure elemental real(wp) function gelu_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y, high, square, shifted, k, r, e, s, p, q, t

    y = min(abs(x), 14.4_wp)
    ! The square of x/sqrt(2) is computed from that of x to keep its digits.
    high = rounded(y)
    y = y*root_half
    ! exp(-y**2)*2**32, so that it is a normal number.
    square = 0.5_wp*(high*high)
    shifted = (rounder + 32.0_wp) - square*log2_e
    k = shifted - (rounder + 32.0_wp)
    r = (-square - k*ln2_high) - k*ln2_low
    r = r + (0.5_wp*(high - min(abs(x), 14.4_wp)))*(high + min(abs(x), 14.4_wp))
    e = (((((w4*r + w3)*r + w2)*r + w1)*r + w0)*r + 1.0_wp)*r + 1.0_wp
    ! One division for (y - 2)/(y + 2) and p/(1 + 2 y).
    t = 1.0_wp/((y + 2.0_wp)*(1.0_wp + 2.0_wp*y))
    s = ((y - 2.0_wp)*(1.0_wp + 2.0_wp*y))*t
    q = s*s
    p = ((((c9*s + c8)*q + (c7*s + c6))*q + (c5*s + c4))*q + (c3*s + c2))*q + (c1*s + c0)
    p = p*((y + 2.0_wp)*t)
    p = (p*scaled(e, shifted))*2.0_wp**(-32)
    ! 2 - p for a positive x. The factor is NaN for NaN.
    s = sign(1.0_wp, -x)
    p = s*p + (1.0_wp - s)
    y = 0.5_wp*max(x, -14.4_wp)
    gelu_of = or_nan(y*p, x)

  end function gelu_of

  pure elemental real(wp) function sigmoid_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y, shifted, e

    ! exp(-x)*2**(-32), so that the exponent does not overflow.
    call reduce(min(max(-x, -60.0_wp), 88.0_wp), 32.0_wp, shifted, e)
    ! The numerator is 0 where exp(-x) would overflow.
    y = merge(0.0_wp, 1.0_wp, x <= -88.0_wp)
    sigmoid_of = or_nan(y/(scaled(e, shifted)*2.0_wp**32 + 1.0_wp), x)

  end function sigmoid_of

  pure elemental real(wp) function silu_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: y, shifted, e

    call reduce(min(max(-x, -60.0_wp), 88.0_wp), 32.0_wp, shifted, e)
    ! The numerator is 0 where exp(-x) would overflow, and NaN for NaN.
    y = merge(0.0_wp, x, x <= -88.0_wp)
    silu_of = y/(scaled(e, shifted)*2.0_wp**32 + 1.0_wp)

  end function silu_of

  pure elemental real(wp) function softplus_of(x)
    real(wp), intent(in) :: x   !! [1]
    real(wp) :: shifted, e
    logical :: is_large

    call reduce(max(-abs(x), -87.0_wp), 0.0_wp, shifted, e)
    e = scaled(e, shifted)
    ! 1 + exp(-|x|) lies between 1 and 2: halved, if it is beyond sqrt(2); otherwise f = exp(-|x|) with all its digits.
    is_large = e > 0.41421356_wp
    e = ln_of_parts(merge(0.5_wp*e - 0.5_wp, e, is_large), merge(1.0_wp, 0.0_wp, is_large))
    softplus_of = merge(0.0_wp, x, x <= 0.0_wp) + merge(0.0_wp, e, x <= -87.0_wp)

  end function softplus_of

  pure elemental real(wp) function elu_of(x, slope)
    real(wp), intent(in) :: x       !! [1]
    real(wp), intent(in) :: slope   !! [1]
    real(wp) :: y, shifted, k, r, e, power

    ! exp(y) - 1 = 2**k (exp(r) - 1) + (2**k - 1): no cancellation near 0. The last bits of `shifted` are those of the
    ! exponent of 2**k.
    y = max(min(x, 0.0_wp), -87.0_wp)
    shifted = y*log2_e + (rounder + 127.0_wp)
    k = shifted - (rounder + 127.0_wp)
    r = (y - k*ln2_high) - k*ln2_low
    e = (((e4*r + e3)*r + e2)*r + e1)*r + e0
    e = (r*r)*e + r
    power = number_of(shiftl(bits_of(shifted), 23))
    e = power*e + (power - 1.0_wp)
    elu_of = merge(slope*e, x, x < 0.0_wp)

  end function elu_of

#endif

end module emufort_math
