!> Activation functions, in place on a flat array.
!>
!> A block and a single column use the same loops, so their bits are the same.
module emufort_activations
  use emufort_kinds, only: wp
  use emufort_math, only: vector_tanh, vector_sigmoid, vector_silu, vector_gelu, vector_softplus, vector_elu
  implicit none
  private

  public :: activate, activation_code
  public :: activation_linear, activation_relu, activation_squared_relu, activation_leaky_relu, activation_hardswish, &
            activation_tanh, activation_sigmoid, activation_silu, activation_gelu, activation_softplus, activation_elu
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
  integer, parameter :: n_activations = 10

  character(len=12), parameter :: activation_names(0:n_activations) = [character(len=12) :: &
                                                                       'linear', 'relu', 'squared_relu', &
                                                                       'leaky_relu', 'hardswish', 'tanh', &
                                                                       'sigmoid', 'silu', 'gelu', 'softplus', 'elu']

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

  !> Apply an activation function in place. `linear` and `relu` are left to the dense kernels.
  pure recursive subroutine activate(code, n, a, slope)
    integer, intent(in) :: code          !! one of the activation_* codes
    integer, intent(in) :: n             !! number of values, a multiple of 4
    real(wp), intent(inout) :: a(n)      !! values [1]
    real(wp), intent(in) :: slope        !! parameter of leaky_relu and elu [1]

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
    case (activation_silu)
      call vector_silu(n, a)
    case (activation_gelu)
      call vector_gelu(n, a)
    case (activation_softplus)
      call vector_softplus(n, a)
    case (activation_elu)
      call vector_elu(n, a, slope)
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

end module emufort_activations
