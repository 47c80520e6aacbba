!> Errors of the vector functions in units in the last place, over their whole ranges.
program test_math
  use emufort_kinds, only: wp, real64
  use emufort_math, only: vector_exp, vector_ln, vector_tanh, vector_erfc, vector_sigmoid
  use test_support, only: check
  implicit none
  integer, parameter :: n = 2000000, chunk = 1600
  real(wp) :: x(chunk), y(chunk), special(16)
  real(real64) :: worst(5), low(5), high(5), at(5)
  real(real64), parameter :: bound(5) = [1.5_real64, 1.5_real64, 2.0_real64, 3.0_real64, 8.0_real64]
  character(len=7), parameter :: names(5) = [character(len=7) :: 'exp', 'ln', 'tanh', 'sigmoid', 'erfc']
  integer :: f, first, i

  low = [-87.0_real64, -37.9_real64, -10.0_real64, -87.0_real64, -4.0_real64]
  high = [88.7_real64, 38.5_real64, 10.0_real64, 20.0_real64, 9.15_real64]
  worst = 0.0_real64
  at = 0.0_real64
  do f = 1, 5
    do first = 1, n, chunk
      do i = 1, chunk
        x(i) = real(low(f) + (high(f) - low(f))*real(first + i - 1, real64)/real(n + chunk, real64), wp)
        if (f == 2) x(i) = 10.0_wp**x(i)
        if (f == 2 .and. mod(i, 4) == 0) x(i) = 1.0_wp + 0.5_wp*real(first + i - n/2, wp)/real(n, wp)
        if (f == 3 .and. mod(i, 4) == 0) x(i) = x(i)*1.0e-3_wp
      end do
      y = x
      select case (f)
      case (1)
        call vector_exp(chunk, y)
      case (2)
        call vector_ln(chunk, y)
      case (3)
        call vector_tanh(chunk, y)
      case (4)
        call vector_sigmoid(chunk, y)
      case default
        call vector_erfc(chunk, y)
      end select
      do i = 1, chunk
        call compare(f, real(x(i), real64), y(i))
      end do
    end do
    print '(a7,a,f6.2,a,es12.4)', names(f), ': largest error', worst(f), ' ulp at', at(f)
  end do
  do f = 1, 5
    ! In double precision the compiler's vector functions are measured, against its scalar ones.
    call check(worst(f) <= merge(bound(f), 8.0_real64, wp == kind(1.0)), 'error of '//names(f))
  end do

  special = 0.0_wp
  special(1:4) = [-200.0_wp, 200.0_wp, 0.0_wp, -huge(1.0_wp)]
  call vector_exp(16, special)
  call check(special(1) < tiny(1.0_wp) .and. special(2) > 1.0e38_wp .and. abs(special(3) - 1.0_wp) <= 0.0_wp .and. &
             special(4) <= 0.0_wp .or. wp == real64, 'exp beyond its range')
  special(1:4) = [-40.0_wp, 40.0_wp, 0.0_wp, -0.0_wp]
  call vector_tanh(16, special)
  call check(abs(special(1) + 1.0_wp) <= 0.0_wp .and. abs(special(2) - 1.0_wp) <= 0.0_wp .and. &
             abs(special(3)) <= 0.0_wp, &
             'tanh saturates')
  special(1:3) = [-40.0_wp, 40.0_wp, 0.0_wp]
  call vector_erfc(16, special)
  call check(abs(special(1) - 2.0_wp) <= 0.0_wp .and. special(2) < 1.0e-37_wp .and. &
             abs(special(3) - 1.0_wp) <= 2.0_wp*epsilon(1.0_wp), 'erfc saturates')

contains

  subroutine compare(f, x, y)
    integer, intent(in) :: f
    real(real64), intent(in) :: x
    real(wp), intent(in) :: y
    real(real64) :: wanted, error

    select case (f)
    case (1)
      wanted = exp(x)
    case (2)
      wanted = log(x)
    case (3)
      wanted = tanh(x)
    case (4)
      wanted = 1.0_real64/(1.0_real64 + exp(-x))
    case default
      wanted = erfc(x)
    end select
    if (abs(wanted) < tiny(1.0_wp) .and. f /= 2 .and. f /= 3) return
    error = abs(real(y, real64) - wanted)/real(spacing(real(abs(wanted), wp)), real64)
    if (error > worst(f)) then
      worst(f) = error
      at(f) = x
    end if

  end subroutine compare

end program test_math
