!> Tests plans: a network has the same bits for any places of its buffers, operations may share weights, and
!> `check_plan` refuses plans that the operations could not run.
program test_plan
  use emufort_runtime, only: status_type, emufort_success, emufort_error_format, emufort_error_limit
  use emufort_kinds, only: real32, real64, lanes, max_width, max_dense_inputs, max_features, max_operations, &
                           max_plan_scratch, max_scratch
  use emufort_dense, only: packed_size
  use emufort_activations, only: n_activations
  use emufort_plan, only: operation_size, operation_dense, operation_add, row_code, row_activation, row_input, &
                          row_second_input, row_output, row_n_in, row_n_out, row_weights, row_count, plan_scratch, &
                          plan_features, plan_result, first_operation, buffer_room
  use emufort_predictor, only: predictor_type
  use test_support, only: check, network_type, make_network, make_inputs, plan_of, same_bits
  implicit none
  integer, parameter :: n_features = 6, width = 21, n_outputs = 4, ncol = 70
  integer, parameter :: n_dense = 4, n_operations = 6
  integer, parameter :: n_plan = first_operation - 1 + operation_size*n_operations + 2*n_features + 2*n_outputs
  !> A network with two additions, as a list of buffers: features 0, layers and sums 1 to 6. A second input of 0 means
  !> none.
  integer, parameter :: inputs(n_operations) = [0, 1, 1, 3, 3, 5], second_inputs(n_operations) = [0, 0, 2, 0, 4, 0]
  type(network_type) :: net
  real(real64), allocatable :: numbers(:), weights(:)
  real(real64) :: x(ncol, n_features + 1)
  integer :: activation

  net = make_network([width, width, width], n_features, n_outputs, 7, 5)
  call make_inputs(net, x)
  do activation = 0, 10
    call compare_places(activation)
  end do
  call share_weights()
  call refuse_integers()
  call refuse_places()
  call refuse_limits()
  ! Variables of a program are never freed, which valgrind takes for a leak.
  deallocate (numbers, weights)
  print '(a)', 'plans are followed, and refused if they cannot be'

contains

  !> Return the number of features of a buffer.
  pure integer function features_of(buffer)
    integer, intent(in) :: buffer   !! 0 to n_operations

    features_of = width
    if (buffer == 0) features_of = n_features
    if (buffer == n_operations) features_of = n_outputs

  end function features_of

  !> Return the plan of the network with additions, and its numbers and weights.
  function make_plan(places, n_scratch, activation) result(plan)
    integer, intent(in) :: places(0:n_operations)   !! places of the buffers
    integer, intent(in) :: n_scratch                !! features of all buffers
    integer, intent(in) :: activation               !! of all operations except the last
    integer :: plan(n_plan)
    integer :: operations(operation_size, n_operations), i, next

    next = 1
    do i = 1, n_operations
      operations(:, i) = 0
      operations(row_count, i) = 1
      operations(row_activation, i) = merge(activation, 0, i < n_operations)
      operations(row_input, i) = places(inputs(i))
      operations(row_output, i) = places(i)
      operations(row_n_in, i) = features_of(inputs(i))
      operations(row_n_out, i) = features_of(i)
      if (second_inputs(i) > 0) then
        operations(row_code, i) = operation_add
        operations(row_second_input, i) = places(second_inputs(i))
      else
        operations(row_code, i) = operation_dense
        operations(row_weights, i) = next
        next = next + packed_size(features_of(inputs(i)), features_of(i))
      end if
    end do
    plan = [n_features + 1, n_features, n_outputs, n_operations, n_scratch, places(0), places(n_operations), 0, &
            operations, net%feature, net%feature_kind, net%output_kind, net%reference]
    call make_numbers(n_operations)

  end function make_plan

  !> Return numbers and weights of a network with `n` operations, of which four are dense.
  subroutine make_numbers(n)
    integer, intent(in) :: n   !! number of operations
    integer :: i

    numbers = [reshape(net%ranges, [size(net%ranges)]), reshape(net%feature_c, [size(net%feature_c)]), &
               reshape(net%output_c, [size(net%output_c)]), reshape(net%bounds, [size(net%bounds)]), &
               [(0.125_real64, i=1, n)]]
    weights = real(net%weights, real64)

  end subroutine make_numbers

  !> Test that a network gives the same bits whether every buffer has its own place, in any order, or reuses the place
  !> of a buffer that is no longer needed; and that all columns at once give the same bits as each column alone.
  subroutine compare_places(activation)
    integer, intent(in) :: activation   !! of all operations except the last
    integer, parameter :: n_ways = 5
    integer :: places(0:n_operations), n_scratch, way, i, room
    real(real64) :: y(ncol, n_outputs), wanted(ncol, n_outputs), one(1, n_outputs)
    real(real32) :: y32(n_outputs, ncol)
    type(predictor_type) :: predictor
    type(status_type) :: status

    room = buffer_room(width)
    do way = 1, n_ways
      select case (way)
      case (1)
        places = [(i*room, i=0, n_operations)]
      case (2)
        places = [((n_operations - i)*room + 5*lanes, i=0, n_operations)]
      case (3)
        ! the sums replace the first summand
        places = [0, 1, 2, 1, 2, 1, 0]*room
      case (4)
        ! the sums replace the second summand, the features are in the middle
        places = [1, 2, 0, 0, 1, 1, 2]*room
      case default
        ! the sums overlap neither summand
        places = [0, 1, 2, 0, 1, 2, 1]*room
      end select
      n_scratch = maxval(places) + room
      call predictor%set_network(make_plan(places, n_scratch, activation), numbers, weights, status)
      call check(status%code == emufort_success, 'a plan is accepted: '//trim(status%message))
      call predictor%predict(x, y, status)
      call check(status%code == emufort_success .and. status%n_invalid == 0, 'it predicts')
      if (way == 1) wanted = y
      call check(all(same_bits(y, wanted)), 'the same bits for any places of the buffers')
      call predictor%predict_transposed(real(transpose(x), real32), y32, status)
      call check(all(same_bits(real(transpose(y32), real64), real(real(wanted, real32), real64))), &
                 'the rounded bits for a host in single precision')
      do i = 1, ncol
        call predictor%predict(x(i:i, :), one, status)
        call check(all(same_bits(one(1, :), wanted(i, :))), 'a column has the same bits alone')
      end do
    end do

  end subroutine compare_places

  !> Test that two layers that share weights give the same bits as two layers with copies of these weights.
  subroutine share_weights()
    integer :: plan(n_plan - operation_size*(n_operations - n_dense)), n_layer
    real(real64) :: y(ncol, n_outputs), wanted(ncol, n_outputs)
    type(predictor_type) :: predictor
    type(status_type) :: status

    plan = plan_of(net)
    call make_numbers(n_dense)
    n_layer = (width + 1)*width
    ! the third layer has the weights of the second
    weights(1 + (n_features + 1)*width + n_layer:(n_features + 1)*width + 2*n_layer) = &
      weights(1 + (n_features + 1)*width:(n_features + 1)*width + n_layer)
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_success, 'a chain of layers is accepted')
    call predictor%predict(x, wanted, status)

    associate (third => first_operation - 1 + 2*operation_size, fourth => first_operation - 1 + 3*operation_size)
      plan(third + row_weights) = plan(third - operation_size + row_weights)
      plan(fourth + row_weights) = plan(fourth + row_weights) - packed_size(width, width)
      call predictor%set_network(plan, numbers, weights, status)
      call check(status%code == emufort_error_format, 'a first weight that no layer has is refused')
      weights = [weights(:(n_features + 1)*width + n_layer), weights((n_features + 1)*width + 2*n_layer + 1:)]
      call predictor%set_network(plan, numbers, weights, status)
      call check(status%code == emufort_success, 'a layer may share the weights of another: '//trim(status%message))
      call predictor%predict(x, y, status)
      call check(all(same_bits(y, wanted)), 'shared weights give the same bits')
      plan(third + row_n_out) = width - 1
      plan(fourth + row_n_in) = width - 1
      call refuse(plan, 'weights shared with a layer of another size')
    end associate

  end subroutine share_weights

  !> Set each integer of the network to values that it must not have.
  subroutine refuse_integers()
    integer, parameter :: hostile(15) = [-huge(1) - 1, -huge(1), -lanes, -1, 0, 1, 2, lanes, lanes + 1, 11, 22, 255, &
                                         4096, huge(1) - lanes, huge(1)]
    integer :: plan(n_plan), damaged(n_plan)
    integer :: places(0:n_operations), i, k, row, n_taken
    real(real64) :: y(ncol, n_outputs)
    type(predictor_type) :: predictor
    type(status_type) :: status

    places = [0, 1, 2, 1, 2, 1, 0]*buffer_room(width)
    plan = make_plan(places, 3*buffer_room(width), 7)
    n_taken = 0
    do i = 1, first_operation - 1 + operation_size*n_operations
      row = 0
      if (i >= first_operation) row = 1 + mod(i - first_operation, operation_size)
      do k = 1, size(hostile)
        if (hostile(k) == plan(i)) cycle
        damaged = plan
        damaged(i) = hostile(k)
        call predictor%set_network(damaged, numbers, weights, status)
        if (row == row_activation .and. hostile(k) >= 0 .and. hostile(k) <= n_activations) then
          call check(status%code == emufort_success, 'any activation function is accepted')
          n_taken = n_taken + 1
        else if (i == plan_scratch .and. hostile(k) == 4096) then
          call check(status%code == emufort_success, 'a larger scratch array than needed is accepted')
        else if (row == row_output .and. (hostile(k) == 0 .or. hostile(k) == lanes)) then
          ! Another place may give another valid network or an invalid one.
          continue
        else
          call check(status%code == emufort_error_format .or. status%code == emufort_error_limit, &
                     'an impossible integer is refused')
        end if
        if (status%code == emufort_success) call predictor%predict(x, y, status)
      end do
    end do
    call check(n_taken == 6*(n_operations - 1) + 5, 'every operation accepts other activation functions')

  end subroutine refuse_integers

  !> Test places at which an operation would read undefined values or overwrite its inputs.
  subroutine refuse_places()
    integer :: room, places(0:n_operations), plan(n_plan), i
    type(predictor_type) :: predictor
    type(status_type) :: status

    room = buffer_room(width)
    places = [(i*room, i=0, n_operations)]
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + 2*operation_size + row_output) = places(1) + lanes
    call refuse(plan, 'a sum half over its first summand')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + 2*operation_size + row_output) = places(2) + room - lanes
    call refuse(plan, 'a sum over the padding of its second summand')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + operation_size + row_output) = places(1)
    call refuse(plan, 'a layer in place')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + operation_size + row_output) = places(1) + room - lanes
    call refuse(plan, 'a layer over the padding of its input')
    ! the first layer is the second summand of the second sum
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + 4*operation_size + row_second_input) = places(1)
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_success, 'a buffer may be read long after it was written')
    plan(first_operation - 1 + 3*operation_size + row_output) = places(1) - lanes
    call refuse(plan, 'a summand that was overwritten by a part')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + row_input) = places(3)
    call refuse(plan, 'an input that nothing has written yet')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + 2*operation_size + row_second_input) = places(4)
    call refuse(plan, 'a second summand that nothing has written yet')
    plan = make_plan(places, 7*room, 7)
    plan(plan_result) = places(0)
    call refuse(plan, 'features as the result')
    plan = make_plan(places, 7*room, 7)
    plan(plan_result) = places(5)
    call refuse(plan, 'a result of another size')
    plan = make_plan(places, 7*room, 7)
    plan(plan_features) = places(6)
    call refuse(plan, 'features where no operation reads them')
    plan = make_plan(places, 7*room, 7)
    plan(plan_scratch) = places(6) + buffer_room(n_outputs) - lanes
    call refuse(plan, 'a buffer whose padding does not fit')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + row_weights) = 2
    call refuse(plan, 'weights that begin in the middle')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + 2*operation_size + row_weights) = 1
    call refuse(plan, 'an addition with weights')
    plan = make_plan(places, 7*room, 7)
    plan(first_operation - 1 + row_second_input) = lanes
    call refuse(plan, 'a layer with two inputs')
    call refuse(plan(:first_operation - 2), 'a plan without operations')
    call refuse([integer ::], 'an empty plan')

  end subroutine refuse_places

  !> Check that a plan is refused and leaves the predictor without a network.
  subroutine refuse(plan, what)
    integer, intent(in) :: plan(:)          !! a wrong plan
    character(len=*), intent(in) :: what    !! description of the mistake
    type(predictor_type) :: predictor
    type(status_type) :: status

    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_error_format .and. len_trim(status%message) > 0, what//' is refused')
    call check(.not. predictor%is_loaded(), what//' leaves no network')

  end subroutine refuse

  !> Test the limits of the runtime.
  subroutine refuse_limits()
    integer, allocatable :: many(:), operations(:, :)
    integer :: places(0:n_operations), plan(n_plan), i
    type(predictor_type) :: predictor
    type(status_type) :: status

    places = [(i*buffer_room(width), i=0, n_operations)]
    plan = make_plan(places, max_plan_scratch, 7)
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_error_format, 'a large scratch array that no buffer needs is refused')
    plan = make_plan([places(:n_operations - 1), max_plan_scratch - buffer_room(n_outputs)], max_plan_scratch, 7)
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_success, 'the largest scratch array is accepted')
    plan = make_plan(places, max_plan_scratch + lanes, 7)
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_error_limit, 'a larger scratch array is refused')
    plan = make_plan(places, max_scratch, 7)
    plan(first_operation - 1 + row_n_out) = max_width + 1
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_error_limit, 'a wider layer is refused')
    plan = make_plan(places, max_scratch, 7)
    plan(first_operation - 1 + row_n_in) = max_dense_inputs + 1
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_error_limit, 'a layer with more inputs is refused')
    plan = make_plan(places, max_scratch, 7)
    plan(first_operation - 1 + row_count) = max_features + 1
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_error_limit, 'a larger buffer is refused')
    ! as many additions of the features as allowed, and one more
    do i = max_operations, max_operations + 1
      if (allocated(operations)) deallocate (operations)
      allocate (operations(operation_size, i), source=0)
      operations(row_code, :) = operation_add
      operations(row_count, :) = 1
      operations(row_n_in, :) = n_features
      operations(row_n_out, :) = n_features
      operations(:, i) = [operation_dense, 0, 0, 0, 0, buffer_room(n_features), n_features, n_outputs, 1, 1, 0, 0]
      many = [n_features + 1, n_features, n_outputs, i, max_scratch, 0, buffer_room(n_features), 0, operations, &
              net%feature, net%feature_kind, net%output_kind, net%reference]
      call make_numbers(i)
      weights = weights(:(n_features + 1)*n_outputs)
      call predictor%set_network(many, numbers, weights, status)
      call check(status%code == merge(emufort_success, emufort_error_limit, i == max_operations), &
                 'the number of operations is limited')
    end do

  end subroutine refuse_limits

end program test_plan
