!> Networks of random operations of all kinds, for the tests.
!>
!> The values of the network are computed while it is made, for the columns that a test will use, so that every activation
!> function gets arguments for which it is defined and continuous.
module random_plans
  use emufort_kinds, only: real32, real64, lanes
  use emufort_plan, only: &
    operation_size, operation_dense, operation_add, operation_multiply, operation_maximum, operation_minimum, &
    operation_select, operation_gather, operation_sparse, operation_matmul, operation_first_maximum_of, &
    operation_depthwise, operation_normalise, operation_softmax, row_code, row_activation, row_input, &
    row_second_input, row_third_input, row_output, row_n_in, row_n_out, row_weights, row_count, row_stride, &
    row_table, row_step, buffer_room, packed_size_of
  use plain_operations, only: plain_operation, plain_activation, written_by
  use test_support, only: network_type, make_network, make_inputs, reference_features
  implicit none
  private

  public :: make_mixed_network, n_codes

  !> Number of kinds of operations.
  integer, parameter :: n_codes = 16
  !> Values stay below this magnitude, and away from the discontinuities of functions by this distance.
  real(real64), parameter :: largest = 8.0_real64, margin = 1.0e-3_real64

contains

  !> Make a network, and inputs for it. Each kind of operation comes in turns.
  subroutine make_mixed_network(seed, n_features, n_outputs, n_operations, width, net, x)
    integer, intent(in) :: seed                   !! seed
    integer, intent(in) :: n_features             !! number of features; there is one input more
    integer, intent(in) :: n_outputs              !! number of outputs
    integer, intent(in) :: n_operations           !! number of operations before the last, which is dense
    integer, intent(in) :: width                  !! about the number of features of a buffer
    type(network_type), intent(out) :: net        !! network
    real(real64), intent(inout) :: x(:, :)        !! inputs (ncol, n_features + 1)
    integer :: places(n_operations + 2), sizes(n_operations + 2), n_buffers, next, i, k, trial
    integer :: operation(operation_size)
    integer, allocatable :: table(:)
    real(real32), allocatable :: weights(:)
    real(real64), allocatable :: values(:, :), found(:, :), grown(:, :)

    ! The transforms of a simple network.
    net = make_network([4], n_features, n_outputs, 1, seed)
    call make_inputs(net, x)
    deallocate (net%operations, net%weights, net%tables)
    allocate (net%operations(operation_size, 0), net%weights(0), net%tables(0))
    net%features = lanes*pick(0, 3)
    n_buffers = 1
    places(1) = net%features
    sizes(1) = n_features
    net%n_scratch = net%features + buffer_room(n_features)
    next = 1
    allocate (values(net%n_scratch, size(x, 1)), source=0.0_real64)
    do k = 1, size(x, 1)
      values(net%features + 1:net%features + n_features, k) = reference_features(net, x(k, :))
    end do
    do i = 1, n_operations + 1
      do trial = 1, 100
        if (allocated(weights)) deallocate (weights, table)
        if (i > n_operations) then
          call choose_operation(operation_dense, 1, n_outputs, n_buffers, places, sizes, operation, table, weights)
        else
          call choose_operation(1 + mod(i + trial/20, n_codes), merge(20, 4, width >= 100), width, n_buffers, places, &
                                sizes, operation, table, weights)
        end if
        if (operation(row_code) == 0) cycle
        if (allocated(found)) deallocate (found)
        operation(row_output) = net%n_scratch
        ! An elementwise operation may replace its first input, unless it reads another part of the same buffer.
        k = pick(1, 3)
        if (k == 1 .and. operation(row_code) >= operation_add .and. operation(row_code) <= operation_select) then
          if (any(places(:n_buffers) == operation(row_input) .and. sizes(:n_buffers) == operation(row_n_out)) .and. &
              all(is_apart(operation([row_second_input, row_third_input])))) &
            operation(row_output) = operation(row_input)
        end if
        if (size(weights) > 0) operation(row_weights) = next
        if (size(table) > 0) operation(row_table) = size(net%tables) + 1
        allocate (found(written_by(operation), size(x, 1)))
        call evaluate()
        if (maxval(abs(found)) > 1.0e3_real64 .or. .not. is_continuous(operation, [net%tables, table], values)) cycle
        if (i <= n_operations) call choose_activation(found, operation(row_activation))
        exit
      end do
      if (trial > 100) error stop 'no operation found'
      net%operations = reshape([net%operations, operation], [operation_size, i])
      net%weights = [net%weights, weights]
      net%tables = [net%tables, table]
      if (operation(row_weights) > 0) next = next + int(packed_size_of(operation(row_code), operation(row_n_in), &
                                                                       operation(row_n_out)))
      if (operation(row_output) == net%n_scratch) then
        n_buffers = n_buffers + 1
        places(n_buffers) = operation(row_output)
        sizes(n_buffers) = written_by(operation)
        net%n_scratch = net%n_scratch + buffer_room(written_by(operation))
        allocate (grown(net%n_scratch, size(x, 1)), source=0.0_real64)
        grown(1:size(values, 1), :) = values
        call move_alloc(grown, values)
      end if
      do k = 1, size(x, 1)
        call plain_operation(operation, 0.125_real64, net%tables, weights, values(:, k))
      end do
    end do
    net%slope = [(0.125_real64, i=1, n_operations + 1)]

  contains

    !> Whether a place is that of the first input, or not within its buffer.
    elemental logical function is_apart(place)
      integer, intent(in) :: place   !! place of another input

      is_apart = place <= operation(row_input) .or. place >= operation(row_input) + operation(row_n_out)

    end function is_apart

    !> Get the values of the operation before its activation function.
    subroutine evaluate()
      integer :: linear(operation_size)
      real(real64), allocatable :: column(:)

      linear = operation
      linear(row_output) = 0
      linear(row_activation) = 0
      allocate (column(size(values, 1) + size(found, 1)))
      do k = 1, size(x, 1)
        column(:size(values, 1)) = values(:, k)
        call plain_operation(linear, 0.0_real64, [net%tables, table], weights, column)
        found(:, k) = column(1:size(found, 1))
      end do

    end subroutine evaluate

  end subroutine make_mixed_network

  !> Choose the inputs and sizes of an operation; its code is 0 if the buffers do not allow it.
  subroutine choose_operation(code, most_repetitions, width, n_buffers, places, sizes, operation, table, weights)
    integer, intent(in) :: code                              !! one of the operation_* codes
    integer, intent(in) :: most_repetitions                  !! of a dense layer
    integer, intent(in) :: width                             !! about the number of features of the output
    integer, intent(in) :: n_buffers                         !! number of buffers
    integer, intent(in) :: places(:), sizes(:)               !! of the buffers
    integer, intent(out) :: operation(operation_size)        !! its integers, without output, weights and table
    integer, allocatable, intent(out) :: table(:)            !! its table
    real(real32), allocatable, intent(out) :: weights(:)     !! its weights and biases
    integer :: b(3), first(3), n, i, j, n_places, length
    integer, allocatable :: rows(:), chosen(:)

    operation = 0
    operation(row_count) = 1
    allocate (table(0), weights(0))
    do i = 1, 3
      b(i) = pick(max(1, n_buffers - 5), n_buffers)
      first(i) = pick(0, min(3, sizes(b(i)) - 1))
    end do
    associate (n_in => operation(row_n_in), n_out => operation(row_n_out), count => operation(row_count), &
               stride => operation(row_stride))
      select case (code)
      case (operation_dense)
        operation(row_input) = places(b(1)) + first(1)
        n = sizes(b(1)) - first(1)
        count = pick(1, most_repetitions)
        if (count > 1) stride = pick(1, max(1, n/count))
        n_in = n - (count - 1)*stride
        if (n_in < 1) return
        if (pick(1, 2) == 1) n_in = pick(1, n_in)
        n_out = width
        if (most_repetitions > 1) n_out = max(1, pick(width/2, width)/count)
        weights = random_weights((n_in + 1)*n_out, n_in)
      case (operation_matmul)
        operation(row_input) = places(b(1)) + first(1)
        operation(row_second_input) = places(b(2)) + first(2)
        count = pick(1, 3)
        n_in = pick(1, 6)
        stride = (sizes(b(1)) - first(1))/(count*n_in)
        n_out = (sizes(b(2)) - first(2))/(count*n_in)
        if (min(stride, n_out) < 1) return
        stride = pick(1, min(stride, 9))
        n_out = pick(1, min(n_out, 9))
      case (operation_add:operation_select)
        n = minval(sizes(b) - first)
        if (code /= operation_select) n = minval(sizes(b(1:2)) - first(1:2))
        operation(row_input) = places(b(1)) + first(1)
        operation(row_second_input) = places(b(2)) + first(2)
        if (code == operation_select) operation(row_third_input) = places(b(3)) + first(3)
        n_in = n
        n_out = n
      case (operation_depthwise)
        operation(row_input) = places(b(1)) + first(1)
        n = sizes(b(1)) - first(1)
        n_out = pick(1, min(n, pick(1, 2)*16 + 1))
        length = pick(1, min(5, n - n_out + 1))
        if (length > 1) operation(row_step) = pick(1, (n - n_out)/(length - 1))
        n = n - n_out - (length - 1)*operation(row_step)
        count = pick(1, min(9, n + 1))
        if (count > 1) stride = pick(1, n/(count - 1))
        if (min(stride, operation(row_step)) > 0 .and. n_out > 8) then
          stride = min(stride, operation(row_step))
          operation(row_step) = stride
        end if
        n_in = length*n_out
        weights = random_weights(n_in + n_out, length)
      case (operation_normalise)
        operation(row_input) = places(b(1)) + first(1)
        n = sizes(b(1)) - first(1)
        count = pick(1, min(n, 3))
        stride = pick(1, min(n/count, 5))
        operation(row_step) = pick(1, min(n/(count*stride), 4))
        n_out = operation(row_step)*pick(1, n/(count*stride*operation(row_step)))
        n_in = n_out + 1
        weights = random_weights(n_in + n_out, 4)
        weights(n_in) = 0.5_real32
      case (operation_softmax)
        operation(row_input) = places(b(1)) + first(1)
        n = sizes(b(1)) - first(1)
        count = pick(1, min(n, 20))
        n_out = n/count
        n_in = n_out
      case default
        n_out = pick(1, width)
        allocate (rows(0:n_out), chosen(0))
        rows(0) = 0
        do i = 1, n_out
          length = pick(1, 5)
          if (code == operation_gather) length = 1
          if (code == operation_sparse) length = pick(0, 9)
          do j = 1, length
            n = pick(1, n_buffers)
            n_places = places(n) + pick(1, sizes(n))
            n = pick(1, 8)
            if (code == operation_gather .and. n == 1) n_places = 0
            chosen = [chosen, n_places]
          end do
          rows(i) = size(chosen)
        end do
        if (code == operation_gather .and. n_out >= lanes) then
          ! One column copies full lanes of consecutive features, or of one feature, as vectors.
          if (pick(1, 2) == 1) n_out = n_out - mod(n_out, lanes)
          chosen = chosen(:n_out)
          n = pick(1, 3)
          if (n == 1) then
            chosen(:lanes) = chosen(1)
          else if (n == 2 .and. sizes(b(1)) >= lanes) then
            chosen(:lanes) = [(places(b(1)) + j, j=1, lanes)]
          end if
        end if
        n_in = size(chosen)
        table = chosen
        if (code /= operation_gather) table = [rows, chosen]
        if (code == operation_sparse) weights = random_weights(n_in + n_out, 4)
      end select
    end associate
    operation(row_code) = code

  end subroutine choose_operation

  !> Whether an operation is continuous near the values that it gets.
  logical function is_continuous(operation, tables, values)
    integer, intent(in) :: operation(:)             !! its integers
    integer, intent(in) :: tables(:)                !! tables
    real(real64), intent(in) :: values(:, :)        !! values of all buffers for each column
    real(real64), allocatable :: row(:)
    integer :: o, k, from, at

    is_continuous = .true.
    if (operation(row_code) == operation_select) then
      at = operation(row_input)
      is_continuous = minval(abs(values(at + 1:at + operation(row_n_out), :))) > margin
    else if (operation(row_code) == operation_first_maximum_of) then
      do o = 0, operation(row_n_out) - 1
        at = operation(row_table) + o
        from = operation(row_table) + operation(row_n_out)
        do k = 1, size(values, 2)
          row = values(tables(from + tables(at) + 1:from + tables(at + 1)), k)
          is_continuous = is_continuous .and. count(row > maxval(row) - margin) == 1
        end do
      end do
    end if

  end function is_continuous

  !> Choose an activation function that is defined and continuous for the values that it gets.
  subroutine choose_activation(values, activation)
    real(real64), intent(in) :: values(:, :)   !! values of the operation for each column
    integer, intent(inout) :: activation       !! on return one of the activation_* codes
    real(real64), allocatable :: y(:, :)
    real(real64) :: least
    integer :: trial

    least = minval(values)
    do trial = 1, 100
      activation = pick(0, 21)
      if (any(activation == [12, 13, 14]) .and. least < 0.1_real64) cycle
      if (activation == 11 .and. maxval(values) > 2.0_real64) cycle
      ! Floor and ceiling jump at integers, round between them, step at 0.
      if (any(activation == [18, 19]) .and. minval(abs(values - anint(values))) < margin) cycle
      if (activation == 20 .and. minval(abs(abs(values - anint(values)) - 0.5_real64)) < margin) cycle
      if (activation == 21 .and. minval(abs(values)) < margin) cycle
      y = plain_activation(activation, values, 0.125_real64)
      if (maxval(abs(y)) < largest) return
    end do
    activation = 5

  end subroutine choose_activation

  !> Return random weights of layers with about `n_in` inputs.
  function random_weights(n, n_in) result(weights)
    integer, intent(in) :: n      !! number of weights
    integer, intent(in) :: n_in   !! number of inputs
    real(real32) :: weights(n)

    call random_number(weights)
    weights = (2.0_real32*weights - 1.0_real32)*real(sqrt(3.0_real64/n_in), real32)

  end function random_weights

  !> Return a random integer.
  integer function pick(first, last)
    integer, intent(in) :: first, last   !! smallest and largest
    real(real64) :: random

    call random_number(random)
    pick = min(last, first + int(random*(last - first + 1)))

  end function pick

end module random_plans
