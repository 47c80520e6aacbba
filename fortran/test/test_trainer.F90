!> Tests that a training lowers the loss, continues bitwise after an interruption, and refuses wrong arguments.
!>
!> The tests in tests/training compare gradients and losses with torch.
program test_trainer
  use emufort_kinds, only: wp, int32, int64, real64
  use emufort_activations, only: activation_relu, activation_squared_relu, activation_tanh, activation_exp, &
                                 n_activations
  use emufort_train_activations, only: can_train
  use emufort_trainer, only: train, mean_squared_error, train_ok, train_wrong_shape, train_wrong_activation, &
                             train_wrong_order, train_goes_on, train_out_of_patience, train_diverged
  use test_support, only: check, same_bits
  implicit none
  integer, parameter :: n = 200, n_validation = 30, batch = 24, n_steps = 8, sizes(4) = [3, 20, 17, 2]
  integer, parameter :: n_flat = 80 + 368 + 48
  integer(int32), parameter :: sigmoid(2) = [0, 1]
  real(wp) :: x(3, n), y(2, n)
  ! parameter of the functions that have one
  real(real64), parameter :: parameters(2) = [0.1_real64, 0.2_real64]
  integer :: code

  !> State and results of a training.
  type :: training_type
    real(wp) :: weights(n_flat), moment1(n_flat), moment2(n_flat), best(n_flat)
    integer(int64) :: steps
    real(real64) :: best_loss
    integer(int32) :: stale, stopped, looks, code
  end type training_type

  call random_init(repeatable=.true., image_distinct=.false.)
  call random_number(x)
  y(1, :) = sin(3.0_wp*x(1, :)) + x(2, :)
  y(2, :) = 0.2_wp + 0.5_wp*x(3, :)*x(1, :)
  do code = 1, n_activations
    if (can_train(code)) call goes_on([code, code])
  end do
  call goes_on([activation_tanh, activation_relu])
  call ends()
  call refuses()
  print '(a)', 'trainings learn, continue and end as expected'

contains

  !> Train for some looks of `n_steps` steps each.
  subroutine go(training, activation, looks, rate, patience)
    type(training_type), intent(inout) :: training
    integer, intent(in) :: activation(2), looks, patience
    real(real64), intent(in) :: rate
    integer(int32) :: order(batch, n_steps*looks)
    real(real64) :: rates(n_steps*looks), losses(looks)
    integer :: i, j

    do j = 1, size(order, 2)
      do i = 1, batch
        order(i, j) = int(modulo((training%steps + j)*batch + 7*i, int(n, int64)), int32)
      end do
    end do
    rates = rate
    call train(sizes, activation, parameters, sigmoid, x, y, x(:, :n_validation), y(:, :n_validation), order, rates, &
               0.01_real64, looks, patience, training%weights, training%moment1, training%moment2, training%best, &
               training%steps, training%best_loss, training%stale, losses, training%looks, training%stopped, &
               training%code)

  end subroutine go

  function initial() result(training)
    type(training_type) :: training

    call random_init(repeatable=.true., image_distinct=.false.)
    call random_number(training%weights)
    training%weights = 0.6_wp*(training%weights - 0.5_wp)
    training%moment1 = 0.0_wp
    training%moment2 = 0.0_wp
    training%best = training%weights
    training%steps = 0
    training%best_loss = huge(1.0_real64)
    training%stale = 0

  end function initial

  subroutine goes_on(activation)
    integer, intent(in) :: activation(2)
    type(training_type) :: whole, parts
    real(real64) :: loss, first
    integer(int32) :: code

    whole = initial()
    call mean_squared_error(sizes, activation, parameters, sigmoid, x(:, :n_validation), y(:, :n_validation), &
                            whole%weights, first, code)
    call go(whole, activation, 30, 3.0e-3_real64, 1000)
    call check(whole%code == train_ok .and. whole%stopped == train_goes_on, 'it trains')
    call check(whole%best_loss < 0.1_real64*first, 'it learns')
    parts = initial()
    call go(parts, activation, 1, 3.0e-3_real64, 1000)
    call go(parts, activation, 17, 3.0e-3_real64, 1000)
    call go(parts, activation, 12, 3.0e-3_real64, 1000)
    call check(all(same_bits(real(whole%weights, real64), real(parts%weights, real64))) .and. &
               all(same_bits(real(whole%best, real64), real(parts%best, real64))) .and. &
               whole%steps == parts%steps .and. whole%stale == parts%stale, 'parts are bitwise the whole')
    call mean_squared_error(sizes, activation, parameters, sigmoid, x(:, :n_validation), y(:, :n_validation), &
                            whole%best, loss, code)
    call check(code == train_ok .and. same_bits(loss, whole%best_loss), 'the best weights give the best loss')

  end subroutine goes_on

  subroutine ends()
    type(training_type) :: training

    training = initial()
    training%best_loss = 0.0_real64
    call go(training, [activation_relu, activation_relu], 10, 1.0e-3_real64, 4)
    call check(training%stopped == train_out_of_patience .and. training%looks == 4, 'patience ends the training')
    training = initial()
    call go(training, [activation_squared_relu, activation_relu], 10, 1.0e30_real64, 4)
    call check(training%stopped == train_diverged .and. training%looks == 1, 'a training that diverges ends')

  end subroutine ends

  subroutine refuses()
    type(training_type) :: training
    real(real64) :: loss
    integer(int32) :: code

    training = initial()
    call go(training, [activation_relu, n_activations + 1], 1, 1.0e-3_real64, 4)
    call check(training%code == train_wrong_activation, 'an unknown activation is refused')
    call go(training, [activation_relu, activation_exp], 1, 1.0e-3_real64, 4)
    call check(training%code == train_wrong_activation, 'an activation of imported networks is refused')
    call mean_squared_error(sizes(:3), [activation_relu], parameters(:1), sigmoid, x, y, training%weights, loss, code)
    call check(code == train_wrong_shape, 'a wrong shape is refused')
    training%steps = -100
    call outside(training)
    call check(training%code == train_wrong_order, 'a row that does not exist is refused')

  end subroutine refuses

  subroutine outside(training)
    type(training_type), intent(inout) :: training
    integer(int32) :: order(1, 1)
    real(real64) :: losses(1)

    order = n
    call train(sizes, [1, 1], parameters, sigmoid, x, y, x, y, order, [1.0e-3_real64], 0.0_real64, 1, 4, &
               training%weights, training%moment1, training%moment2, training%best, training%steps, &
               training%best_loss, training%stale, losses, training%looks, training%stopped, training%code)

  end subroutine outside

end program test_trainer
