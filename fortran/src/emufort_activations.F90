!> Activation functions, in place on a flat array.
!>
!> A block and a single column go through the same loops, so their bits are the same.
module emufort_activations
  use emufort_kinds, only: wp, lanes, block_columns
  use emufort_math, only: vector_exp, vector_ln, vector_tanh, vector_erfc, vector_sigmoid
  implicit none
  private

  public :: activate, activation_code
  public :: activation_linear, activation_relu, activation_squared_relu, activation_leaky_relu, activation_hardswish, &
            activation_tanh, activation_sigmoid, activation_silu, activation_gelu, activation_softplus, activation_elu
  public :: n_activations

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
  integer, parameter :: n_activations = 10

  character(len=12), parameter :: names(0:n_activations) = [character(len=12) :: 'linear', 'relu', 'squared_relu', &
                                        'leaky_relu', 'hardswish', 'tanh', 'sigmoid', 'silu', 'gelu', 'softplus', 'elu']

  !> Length of the scratch of the composed functions.
  integer, parameter :: chunk = block_columns

contains

  !> Code of an activation by name; -1 if there is none of that name.
  pure integer function activation_code(name)
    character(len=*), intent(in) :: name   !! such as 'relu'
    integer :: i

    activation_code = -1
    do i = 0, n_activations
      if (name == names(i)) activation_code = i
    end do

  end function activation_code

  !> Apply an activation function in place. `linear` and `relu` are left to the dense kernels.
  pure recursive subroutine activate(code, n, a, slope)
    integer, intent(in) :: code          !! one of the activation_* codes
    integer, intent(in) :: n             !! number of values, a multiple of 4
    real(wp), intent(inout) :: a(n)      !! values [1]
    real(wp), intent(in) :: slope        !! parameter of leaky_relu and elu [1]
    integer :: first, m

    select case (code)
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
    case (activation_silu, activation_gelu, activation_softplus, activation_elu)
      do first = 1, n, chunk
        m = min(chunk, n - first + 1)
        select case (code)
        case (activation_silu)
          call silu(m, a(first:first + m - 1))
        case (activation_gelu)
          call gelu(m, a(first:first + m - 1))
        case (activation_softplus)
          call softplus(m, a(first:first + m - 1))
        case default
          call elu(m, a(first:first + m - 1), slope)
        end select
      end do
    case default
    end select

  end subroutine activate

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
    integer :: i

    !$omp simd
    do i = 1, n
      a(i) = merge(a(i), slope*a(i), a(i) > 0.0_wp)
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

  pure recursive subroutine silu(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp) :: t(chunk)
    integer :: i

    t(1:n) = a
    call vector_sigmoid(n, t(1:n))
    !$omp simd
    do i = 1, n
      a(i) = a(i)*t(i)
    end do

  end subroutine silu

  pure recursive subroutine gelu(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp), parameter :: minus_root_half = -0.70710678118654752440_wp
    real(wp) :: t(chunk)
    integer :: i

    !$omp simd
    do i = 1, n
      t(i) = a(i)*minus_root_half
    end do
    call vector_erfc(n, t(1:n))
    !$omp simd
    do i = 1, n
      a(i) = (0.5_wp*a(i))*t(i)
    end do

  end subroutine gelu

  pure recursive subroutine softplus(n, a)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp) :: t(chunk), u(chunk), lost
    integer :: i

    !$omp simd
    do i = 1, n
      t(i) = -abs(a(i))
    end do
    call vector_exp(n, t(1:n))
    !$omp simd
    do i = 1, n
      u(i) = 1.0_wp + t(i)
    end do
    ! ln(1 + t) = ln(u) + (what the rounding of u lost)/u, which keeps the digits of a small t.
    !$omp simd private(lost)
    do i = 1, n
      lost = t(i) - (u(i) - 1.0_wp)
      t(i) = lost/u(i)
    end do
    call vector_ln(n, u(1:n))
    !$omp simd
    do i = 1, n
      a(i) = max(a(i), 0.0_wp) + (u(i) + t(i))
    end do

  end subroutine softplus

  pure recursive subroutine elu(n, a, slope)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n)
    real(wp), intent(in) :: slope
    real(wp) :: t(chunk)
    integer :: i

    !$omp simd
    do i = 1, n
      t(i) = 0.5_wp*min(a(i), 0.0_wp)
    end do
    call vector_tanh(n, t(1:n))
    ! exp(x) - 1 = 2 t/(1 - t) with t = tanh(x/2): no cancellation near 0.
    !$omp simd
    do i = 1, n
      t(i) = (slope*(t(i) + t(i)))/(1.0_wp - t(i))
    end do
    !$omp simd
    do i = 1, n
      a(i) = merge(a(i), t(i), a(i) > 0.0_wp)
    end do

  end subroutine elu

end module emufort_activations
