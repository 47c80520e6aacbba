!> Activation functions, in place on a flat array.
!>
!> A block and a single column use the same loops, so their bits are the same.
module emufort_activations
  use emufort_kinds, only: wp, int32, int64, real32
  use emufort_math, only: vector_tanh, vector_sigmoid, vector_silu, vector_gelu, vector_softplus, vector_elu, &
                          vector_exp, vector_ln, vector_sin, vector_cos, vector_erf
  implicit none
  private

  public :: activate, activation_code
  public :: activation_linear, activation_relu, activation_squared_relu, activation_leaky_relu, activation_hardswish, &
            activation_tanh, activation_sigmoid, activation_silu, activation_gelu, activation_softplus, activation_elu
  public :: activation_exp, activation_ln, activation_sqrt, activation_reciprocal, activation_sin, activation_cos, &
            activation_erf, activation_floor, activation_ceiling, activation_round, activation_step
  public :: n_activations, activation_names

  integer, parameter :: activation_linear = 0
  integer, parameter :: activation_relu = 1
  integer, parameter :: activation_squared_relu = 2   !! max(x, 0)**2
  integer, parameter :: activation_leaky_relu = 3     !! x above 0, slope*x below
  integer, parameter :: activation_hardswish = 4      !! x*min(max(x + 3, 0), 6)/6
  integer, parameter :: activation_tanh = 5
  integer, parameter :: activation_sigmoid = 6
  integer, parameter :: activation_silu = 7           !! x*sigmoid(x)
  integer, parameter :: activation_gelu = 8           !! x*erfc(-x/sqrt(2))/2
  integer, parameter :: activation_softplus = 9       !! ln(1 + exp(x))
  integer, parameter :: activation_elu = 10           !! x above 0, slope*(exp(x) - 1) below
  ! Only imported networks have the following functions.
  integer, parameter :: activation_exp = 11           !! the largest exponential that is finite beyond
  integer, parameter :: activation_ln = 12            !! NaN below 0; 0 counts as the smallest normal number
  integer, parameter :: activation_sqrt = 13          !! NaN below 0
  integer, parameter :: activation_reciprocal = 14    !! 0 counts as the smallest normal number
  integer, parameter :: activation_sin = 15
  integer, parameter :: activation_cos = 16
  integer, parameter :: activation_erf = 17
  integer, parameter :: activation_floor = 18
  integer, parameter :: activation_ceiling = 19
  integer, parameter :: activation_round = 20         !! halves to the even neighbour
  integer, parameter :: activation_step = 21          !! 1 above 0, else 0
  integer, parameter :: n_activations = 21

  character(len=12), parameter :: activation_names(0:n_activations) = [character(len=12) :: &
                                                                       'linear', 'relu', 'squared_relu', &
                                                                       'leaky_relu', 'hardswish', 'tanh', &
                                                                       'sigmoid', 'silu', 'gelu', 'softplus', 'elu', &
                                                                       'exp', 'ln', 'sqrt', 'reciprocal', 'sin', &
                                                                       'cos', 'erf', 'floor', 'ceiling', 'round', &
                                                                       'step']

  !> Largest argument whose exponential is finite.
  real(wp), parameter :: largest_exponent = merge(88.72_wp, 709.78_wp, wp == real32)
  !> A quiet NaN, whose bits are those of the largest integer of the same size.
  integer, parameter :: bits = merge(int32, int64, wp == real32)
  real(wp), parameter :: not_a_number = transfer(huge(0_bits), 0.0_wp)
  !> From this number on, every number is an integer.
  real(wp), parameter :: all_integers = 2.0_wp**(digits(1.0_wp) - 1)

contains

  !> Code of an activation by name; -1 if there is none of that name.
  pure integer function activation_code(name)
    character(len=*), intent(in) :: name   !! such as 'relu'
    integer :: i

    activation_code = -1
    do i = 0, n_activations
      if (name == activation_names(i)) activation_code = i
    end do

  end function activation_code

  !> Apply an activation function in place. For dense layers, the kernels apply `relu`.
  pure recursive subroutine activate(code, n, a, slope)
    integer, intent(in) :: code          !! one of the activation_* codes
    integer, intent(in) :: n             !! number of values, a multiple of 4
    real(wp), intent(inout) :: a(n)      !! values [1]
    real(wp), intent(in) :: slope        !! parameter of leaky_relu and elu [1]

    select case (code)
    case (activation_relu)
      call relu(n, a)
    case (activation_squared_relu)
      call squared_relu(n, a)
    case (activation_leaky_relu)
      call leaky_relu(n, a, slope)
    case (activation_hardswish)
      call hardswish(n, a)
    case (activation_tanh)
      call vector_tanh(n, a)
    case (activation_sigmoid)
      call vector_sigmoid(n, a)
    case (activation_silu)
      call vector_silu(n, a)
    case (activation_gelu)
      call vector_gelu(n, a)
    case (activation_softplus)
      call vector_softplus(n, a)
    case (activation_elu)
      call vector_elu(n, a, slope)
    case (activation_exp)
      call bounded_exp(n, a)
    case (activation_ln)
      call bounded_ln(n, a)
    case (activation_sqrt)
      call square_root(n, a)
    case (activation_reciprocal)
      call reciprocal(n, a)
    case (activation_sin)
      call vector_sin(n, a)
    case (activation_cos)
      call vector_cos(n, a)
    case (activation_erf)
      call vector_erf(n, a)
    case (activation_floor, activation_ceiling, activation_round)
      call round_to_integer(code, n, a)
    case (activation_step)
      call step(n, a)
    case default
    end select

  end subroutine activate

  pure recursive subroutine relu(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    integer :: i

    !$omp simd
    do i = 1, n
      a(i) = merge(0.0_wp, a(i), a(i) < 0.0_wp)
    end do

  end subroutine relu

  pure recursive subroutine squared_relu(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    integer :: i
    real(wp) :: t

    !$omp simd private(t)
    do i = 1, n
      t = max(a(i), 0.0_wp)
      a(i) = t*t
    end do

  end subroutine squared_relu

  pure recursive subroutine leaky_relu(n, a, slope)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp), intent(in) :: slope
    real(wp) :: factor
    integer :: i

    ! A copy, because gfortran does not vectorise with the argument.
    factor = slope
    !$omp simd
    do i = 1, n
      a(i) = merge(a(i), factor*a(i), a(i) > 0.0_wp)
    end do

  end subroutine leaky_relu

  pure recursive subroutine hardswish(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp), parameter :: sixth = 1.0_wp/6.0_wp
    integer :: i
    real(wp) :: t

    !$omp simd private(t)
    do i = 1, n
      t = min(max(a(i) + 3.0_wp, 0.0_wp), 6.0_wp)
      a(i) = a(i)*(t*sixth)
    end do

  end subroutine hardswish

  ! The following functions replace arguments for which a host may trap an exception. They do so with min and max, because
  ! compilers also compute the branch that a condition of MERGE excludes; MERGE then gives NaN for NaN.

  !> a = exp(a), or the largest finite exponential
  pure recursive subroutine bounded_exp(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    integer :: i

    !$omp simd
    do i = 1, n
      a(i) = merge(min(a(i), largest_exponent), a(i), a(i) <= a(i))
    end do
    call vector_exp(n, a)

  end subroutine bounded_exp

  !> a = ln(a); 0 counts as the smallest normal number
  pure recursive subroutine bounded_ln(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp) :: t
    integer :: i

    !$omp simd private(t)
    do i = 1, n
      t = max(a(i), tiny(1.0_wp))
      a(i) = merge(t, not_a_number, a(i) >= 0.0_wp)
    end do
    call vector_ln(n, a)

  end subroutine bounded_ln

  pure recursive subroutine square_root(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp) :: t
    integer :: i

    !$omp simd private(t)
    do i = 1, n
      t = sqrt(max(a(i), 0.0_wp))
      a(i) = merge(t, not_a_number, a(i) >= 0.0_wp)
    end do

  end subroutine square_root

  pure recursive subroutine reciprocal(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp) :: t
    integer :: i

    !$omp simd private(t)
    do i = 1, n
      t = 1.0_wp/sign(max(abs(a(i)), tiny(1.0_wp)), a(i))
      a(i) = merge(t, a(i), a(i) <= a(i))
    end do

  end subroutine reciprocal

  !> Round to an integer: down, up, or to the nearest. Adding and subtracting a number from which on all numbers are
  !> integers rounds to the nearest, halves to the even neighbour.
  pure recursive subroutine round_to_integer(code, n, a)
    integer, intent(in) :: code
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp) :: t, up, down
    integer :: i

    up = merge(1.0_wp, 0.0_wp, code == activation_ceiling)
    down = merge(1.0_wp, 0.0_wp, code == activation_floor)
    !$omp simd private(t)
    do i = 1, n
      t = merge(abs(a(i)), (abs(a(i)) + all_integers) - all_integers, abs(a(i)) >= all_integers)
      t = sign(t, a(i))
      t = t - merge(down, 0.0_wp, t > a(i))
      a(i) = t + merge(up, 0.0_wp, t < a(i))
    end do

  end subroutine round_to_integer

  pure recursive subroutine step(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    integer :: i

    !$omp simd
    do i = 1, n
      a(i) = merge(1.0_wp, merge(0.0_wp, a(i), a(i) <= 0.0_wp), a(i) > 0.0_wp)
    end do

  end subroutine step

end module emufort_activations
