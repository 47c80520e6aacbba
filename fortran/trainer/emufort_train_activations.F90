!> Activation functions and their derivatives, in place on flat arrays.
module emufort_train_activations
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_negative_inf
  use emufort_kinds, only: wp
  use emufort_activations, only: evaluate => activate, activation_linear, activation_relu, activation_squared_relu, &
                                 activation_leaky_relu, activation_hardswish, activation_tanh, activation_sigmoid, &
                                 activation_silu, activation_gelu, activation_softplus, activation_elu
  use emufort_math, only: vector_exp, vector_erfc, vector_sigmoid
  implicit none
  private

  public :: can_train, lowest_of, activate, multiply_by_derivative

  !> Length of the scratch of gelu.
  integer, parameter :: chunk = 256

contains

  !> Whether networks with an activation function can be trained.
  pure logical function can_train(code)
    integer, intent(in) :: code   !! one of the activation_* codes of emufort_activations

    select case (code)
    case (activation_linear, activation_relu, activation_squared_relu, activation_leaky_relu, activation_hardswish, &
          activation_tanh, activation_sigmoid, activation_silu, activation_gelu, activation_softplus, activation_elu)
      can_train = .true.
    case default
      can_train = .false.
    end select

  end function can_train

  !> Return the lower bound that the product of the layer applies.
  pure real(wp) function lowest_of(code)
    integer, intent(in) :: code   !! one of the activation_* codes

    select case (code)
    case (activation_relu, activation_squared_relu)
      lowest_of = 0.0_wp
    case default
      ! Minus infinity has no effect; the largest finite number would hide a sum that has overflowed.
      lowest_of = ieee_value(1.0_wp, ieee_negative_inf)
    end select

  end function lowest_of

  !> Apply an activation function to the product of the layer, to which the bound `lowest_of` has been applied.
  pure recursive subroutine activate(code, parameter, n, a, slope)
    integer, intent(in) :: code             !! one of the activation_* codes
    real(wp), intent(in) :: parameter       !! parameter of the function [1]
    integer, intent(in) :: n                !! number of values, a multiple of 16
    real(wp), intent(inout) :: a(n)         !! sums [1]; on return their function [1]
    real(wp), intent(inout) :: slope(*)     !! derivative [1] (n), if it does not follow from a
    integer :: first, m

    select case (code)
    case (activation_squared_relu)
      call squared_relu(n, a, slope)
    case (activation_hardswish)
      call hardswish_slope(n, a, slope)
      call evaluate(code, n, a, parameter)
    case (activation_silu)
      call silu(n, a, slope)
    case (activation_gelu)
      do first = 1, n, chunk
        m = min(chunk, n - first + 1)
        call gelu(m, a(first), slope(first))
      end do
    case (activation_softplus)
      slope(1:n) = a
      call vector_sigmoid(n, slope)
      call evaluate(code, n, a, parameter)
    case default
      call evaluate(code, n, a, parameter)
    end select

  end subroutine activate

  !> Compute delta = delta*(derivative of the activation function).
  pure recursive subroutine multiply_by_derivative(code, parameter, n, a, slope, delta)
    integer, intent(in) :: code             !! one of the activation_* codes
    real(wp), intent(in) :: parameter       !! parameter of the function [1]
    integer, intent(in) :: n                !! number of values
    real(wp), intent(in) :: a(n)            !! values of the function [1]
    real(wp), intent(in) :: slope(*)        !! derivative [1] (n), from `activate`
    real(wp), intent(inout) :: delta(n)     !! derivative of the loss by the values; on return by the sums
    real(wp) :: p
    integer :: i

    ! A copy, because gfortran does not vectorise with the argument.
    p = parameter
    select case (code)
    case (activation_linear)
    case (activation_relu)
      !$omp simd
      do i = 1, n
        delta(i) = merge(delta(i), 0.0_wp, a(i) > 0.0_wp)
      end do
    case (activation_leaky_relu)
      !$omp simd
      do i = 1, n
        delta(i) = merge(delta(i), p*delta(i), a(i) > 0.0_wp)
      end do
    case (activation_tanh)
      !$omp simd
      do i = 1, n
        delta(i) = delta(i)*(1.0_wp - a(i)*a(i))
      end do
    case (activation_sigmoid)
      !$omp simd
      do i = 1, n
        delta(i) = (delta(i)*(1.0_wp - a(i)))*a(i)
      end do
    case (activation_elu)
      !$omp simd
      do i = 1, n
        delta(i) = merge(delta(i), delta(i)*(a(i) + p), a(i) > 0.0_wp)
      end do
    case default
      !$omp simd
      do i = 1, n
        delta(i) = delta(i)*slope(i)
      end do
    end select

  end subroutine multiply_by_derivative

  pure recursive subroutine squared_relu(n, a, slope)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n), slope(n)
    integer :: i

    !$omp simd
    do i = 1, n
      slope(i) = 2.0_wp*a(i)
      a(i) = a(i)*a(i)
    end do

  end subroutine squared_relu

  !> Return the derivative of x*min(max(x + 3, 0), 6)/6.
  pure recursive subroutine hardswish_slope(n, x, slope)
    integer, intent(in) :: n
    real(wp), intent(in) :: x(n)
    real(wp), intent(inout) :: slope(n)
    real(wp), parameter :: third = 1.0_wp/3.0_wp
    integer :: i

    !$omp simd
    do i = 1, n
      slope(i) = merge(0.0_wp, merge(third*x(i) + 0.5_wp, 1.0_wp, x(i) < 3.0_wp), x(i) <= -3.0_wp)
    end do

  end subroutine hardswish_slope

  pure recursive subroutine silu(n, a, slope)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n), slope(n)
    integer :: i
    real(wp) :: s

    slope = a
    call vector_sigmoid(n, slope)
    !$omp simd private(s)
    do i = 1, n
      s = slope(i)
      a(i) = a(i)*s
      slope(i) = s + a(i)*(1.0_wp - s)
    end do

  end subroutine silu

  pure recursive subroutine gelu(n, a, slope)
    integer, intent(in) :: n
    real(wp), intent(inout) :: a(n), slope(n)
    real(wp), parameter :: minus_root_half = -0.70710678118654752440_wp, root_half_pi = 0.39894228040143267794_wp
    real(wp) :: density(chunk), cumulative
    integer :: i

    !$omp simd
    do i = 1, n
      slope(i) = a(i)*minus_root_half
      density(i) = -0.5_wp*(a(i)*a(i))
    end do
    call vector_erfc(n, slope)
    call vector_exp(n, density)
    !$omp simd private(cumulative)
    do i = 1, n
      cumulative = 0.5_wp*slope(i)
      slope(i) = cumulative + a(i)*(root_half_pi*density(i))
      a(i) = a(i)*cumulative
    end do

  end subroutine gelu

end module emufort_train_activations
