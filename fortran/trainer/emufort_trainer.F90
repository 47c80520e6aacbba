!> Training of small networks. A call trains one network for some steps, and later calls can continue the training.
!>
!> The arguments contain the whole state of a training: flat parameters and moments, the number of steps, the best loss.
!> The caller chooses the order of the samples and the learning rate of every step. A training that is interrupted
!> between two validations and continued gives the same bits as one call. No state is kept between calls or shared, so
!> several threads may train at the same time.
module emufort_trainer
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
  use, intrinsic :: ieee_arithmetic, only: ieee_support_underflow_control
  use, intrinsic :: ieee_arithmetic, only: ieee_get_underflow_mode, ieee_set_underflow_mode
  use emufort_kinds, only: wp, int32, int64, real64
  use emufort_train_activations, only: can_train
  use emufort_train_flat, only: flat_size
  use emufort_train_network, only: network_type
  implicit none
  private

  public :: train, mean_squared_error
  public :: train_ok, train_wrong_shape, train_wrong_activation, train_wrong_order, train_no_memory
  public :: train_goes_on, train_out_of_patience, train_diverged

  ! Error codes of a call.
  integer(int32), parameter :: train_ok = 0, train_wrong_shape = 1, train_wrong_activation = 2, train_wrong_order = 3, &
                               train_no_memory = 4

  ! Reasons for which a training stops.
  integer(int32), parameter :: train_goes_on = 0, train_out_of_patience = 1, train_diverged = 2

contains

  !> Train for a number of intervals (looks). Each has some steps of Adam, followed by the loss on the validation rows.
  !>
  !> The training ends early if this loss is not finite, or does not fall below its minimum for `patience` looks.
  subroutine train(sizes, activations, parameters, sigmoid, x, y, x_validation, y_validation, order, rates, &
                   weight_decay, looks, patience, weights, moment1, moment2, best_weights, steps, best_loss, stale, &
                   losses, looks_done, stopped, code)
    integer(int32), intent(in), contiguous :: sizes(:)         !! number of features, neurons of each layer
    integer(int32), intent(in), contiguous :: activations(:)   !! one of the activation_* codes (hidden layer)
    real(real64), intent(in), contiguous :: parameters(:)      !! parameter of the activation function (hidden layer)
    integer(int32), intent(in), contiguous :: sigmoid(:)       !! 1 where a sigmoid follows the last layer (output)
    real(wp), intent(in), contiguous :: x(:, :)                !! training features (feature, row)
    real(wp), intent(in), contiguous :: y(:, :)                !! training targets (output, row)
    real(wp), intent(in), contiguous :: x_validation(:, :)     !! validation features (feature, row)
    real(wp), intent(in), contiguous :: y_validation(:, :)     !! validation targets (output, row)
    integer(int32), intent(in), contiguous :: order(:, :)      !! rows of each step, from 0 (sample, step)
    real(real64), intent(in), contiguous :: rates(:)           !! learning rate of each step (step)
    real(real64), intent(in) :: weight_decay                   !! decoupled, per unit of learning rate
    integer(int32), intent(in) :: looks                        !! number of looks at the validation rows, evenly spaced
    integer(int32), intent(in) :: patience                     !! looks without a lower loss after which it ends
    real(wp), intent(inout), contiguous :: weights(:)          !! flat weights and biases
    real(wp), intent(inout), contiguous :: moment1(:)          !! flat first moment of the gradient
    real(wp), intent(inout), contiguous :: moment2(:)          !! flat second moment of the gradient
    real(wp), intent(inout), contiguous :: best_weights(:)     !! flat weights of the lowest loss
    integer(int64), intent(inout) :: steps                     !! steps before the call; on return all steps
    real(real64), intent(inout) :: best_loss                   !! lowest loss
    integer(int32), intent(inout) :: stale                     !! looks since the lowest loss
    real(real64), intent(inout), contiguous :: losses(:)       !! loss at each look
    integer(int32), intent(out) :: looks_done                  !! number of looks
    integer(int32), intent(out) :: stopped                     !! train_goes_on, train_out_of_patience, train_diverged
    integer(int32), intent(out) :: code                        !! train_ok, or an error code
    type(network_type), target :: network
    integer :: look, s, n_each
    logical :: gradual, improved

    looks_done = 0
    stopped = train_goes_on
    call prepare(network, sizes, activations, parameters, sigmoid, x, y, weights, code)
    if (code == train_ok .and. (size(x_validation, 1) /= size(x, 1) .or. size(y_validation, 1) /= size(y, 1) .or. &
                                size(x_validation, 2) /= size(y_validation, 2) .or. size(x_validation, 2) < 1 .or. &
                                size(rates) /= size(order, 2) .or. looks < 1 .or. size(losses) < looks .or. &
                                size(moment1) /= size(weights) .or. size(moment2) /= size(weights) .or. &
                                size(best_weights) /= size(weights))) code = train_wrong_shape
    if (code /= train_ok) return
    if (mod(size(rates), looks) /= 0 .or. size(order, 1) < 1) code = train_wrong_shape
    if (size(order) > 0) then
      if (minval(order) < 0 .or. maxval(order) >= size(x, 2)) code = train_wrong_order
    end if
    if (code /= train_ok) return

    call network%put(weights, moment1, moment2)
    n_each = size(rates)/looks
    improved = .false.
    call flush_to_zero(gradual)
    do look = 1, looks
      do s = (look - 1)*n_each + 1, look*n_each
        steps = steps + 1
        call network%step(x, y, order(:, s), steps, rates(s), weight_decay)
      end do
      losses(look) = network%loss(x_validation, y_validation)
      looks_done = int(look, int32)
      if (.not. ieee_is_finite(losses(look))) then
        stopped = train_diverged
      else if (losses(look) < best_loss) then
        best_loss = losses(look)
        stale = 0
        improved = .true.
        call network%keep_best()
      else
        stale = stale + 1
        if (stale >= patience) stopped = train_out_of_patience
      end if
      if (stopped /= train_goes_on) exit
    end do
    call restore_underflow(gradual)
    if (improved) then
      call network%get(weights, moment1, moment2, best_weights)
    else
      call network%get(weights, moment1, moment2)
    end if

  end subroutine train

  !> Compute the mean squared error of a network over all rows and outputs.
  subroutine mean_squared_error(sizes, activations, parameters, sigmoid, x, y, weights, error, code)
    integer(int32), intent(in), contiguous :: sizes(:)      !! number of features, neurons of each layer
    integer(int32), intent(in), contiguous :: activations(:)   !! one of the activation_* codes (hidden layer)
    real(real64), intent(in), contiguous :: parameters(:)      !! parameter of the activation function (hidden layer)
    integer(int32), intent(in), contiguous :: sigmoid(:)    !! 1 where a sigmoid follows the last layer (output)
    real(wp), intent(in), contiguous :: x(:, :)             !! features (feature, row)
    real(wp), intent(in), contiguous :: y(:, :)             !! targets (output, row)
    real(wp), intent(in), contiguous :: weights(:)          !! flat weights and biases
    real(real64), intent(out) :: error                      !! mean squared error
    integer(int32), intent(out) :: code                     !! train_ok, or an error code
    type(network_type), target :: network
    logical :: gradual

    error = 0.0_real64
    call prepare(network, sizes, activations, parameters, sigmoid, x, y, weights, code)
    if (code /= train_ok) return
    call network%put(weights)
    call flush_to_zero(gradual)
    error = network%loss(x, y)
    call restore_underflow(gradual)

  end subroutine mean_squared_error

  !> Check that a network and its data fit, and make the network.
  subroutine prepare(network, sizes, activations, parameters, sigmoid, x, y, weights, code)
    type(network_type), intent(out), target :: network
    integer(int32), intent(in), contiguous :: sizes(:)      !! number of features, neurons of each layer
    integer(int32), intent(in), contiguous :: activations(:)   !! one of the activation_* codes (hidden layer)
    real(real64), intent(in), contiguous :: parameters(:)      !! parameter of the activation function (hidden layer)
    integer(int32), intent(in), contiguous :: sigmoid(:)    !! 1 where a sigmoid follows the last layer (output)
    real(wp), intent(in), contiguous :: x(:, :)             !! features (feature, row)
    real(wp), intent(in), contiguous :: y(:, :)             !! targets (output, row)
    real(wp), intent(in), contiguous :: weights(:)          !! flat weights and biases
    integer(int32), intent(out) :: code                     !! train_ok, or an error code
    integer :: l, n
    logical :: ok

    code = train_wrong_shape
    n = size(sizes)
    if (n < 2) return
    if (minval(sizes) < 1 .or. size(x, 1) /= sizes(1) .or. size(y, 1) /= sizes(n)) return
    if (size(x, 2) /= size(y, 2) .or. size(x, 2) < 1 .or. size(sigmoid) /= sizes(n)) return
    if (size(weights, kind=int64) /= flat_size(sizes)) return
    if (size(activations) /= n - 2 .or. size(parameters) /= n - 2) return
    code = train_wrong_activation
    do l = 1, n - 2
      if (.not. can_train(int(activations(l)))) return
    end do
    code = train_no_memory
    call network%make(sizes, activations, parameters, sigmoid /= 0, ok)
    if (ok) code = train_ok

  end subroutine prepare

  !> Flush denormal numbers to zero in this thread. The moments of dead neurons decay into denormal numbers, with which
  !> many CPUs are a hundred times slower.
  subroutine flush_to_zero(gradual)
    logical, intent(out) :: gradual   !! previous mode of the thread

    gradual = .true.
    if (.not. ieee_support_underflow_control(1.0_wp)) return
    call ieee_get_underflow_mode(gradual)
    call ieee_set_underflow_mode(gradual=.false.)

  end subroutine flush_to_zero

  !> Restore the mode of the thread.
  subroutine restore_underflow(gradual)
    logical, intent(in) :: gradual   !! previous mode of the thread

    if (ieee_support_underflow_control(1.0_wp)) call ieee_set_underflow_mode(gradual)

  end subroutine restore_underflow

end module emufort_trainer
