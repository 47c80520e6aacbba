!> The operations of a network on a block of columns, on one column, or on a few columns with separate buffers.
module emufort_operations
  use emufort_kinds, only: wp, real64, lanes, widest_panel
  use emufort_dense, only: dense_block, dense_half_block, dense_single, dense_few, few_columns, is_wide
  use emufort_elementwise, only: add, multiply, maximum, minimum, choose
  use emufort_tables, only: gather_block, gather_half_block, gather_single, sparse_block, sparse_half_block, &
                            sparse_single, reduce_block, reduce_half_block, reduce_single, first_maximum_block, &
                            first_maximum_half_block, first_maximum_single
  use emufort_products, only: matmul_block, matmul_half_block, matmul_single
  use emufort_depthwise, only: depthwise_block, depthwise_half_block, depthwise_single
  use emufort_normalisation, only: normalise_block, normalise_half_block, normalise_single, softmax_block, &
                                   softmax_half_block, softmax_single
  use emufort_activations, only: activate, activation_relu, activation_linear
  use emufort_plan, only: &
    operation_size, operation_dense, operation_add, operation_multiply, operation_maximum, operation_minimum, &
    operation_select, operation_gather, operation_sparse, operation_matmul, operation_first_maximum_of, &
    operation_depthwise, operation_normalise, operation_softmax, row_code, row_activation, row_input, &
    row_second_input, row_third_input, row_output, row_n_in, row_n_out, row_weights, row_count, row_stride, &
    row_table, row_step, buffer_room
  implicit none
  private

  public :: run_operations, run_operations_of_few

  !> Smallest number of repetitions that one column computes as the lanes of half a block. With fewer, the unused lanes
  !> cost more than they save.
  integer, parameter :: fewest_repetitions = 12
  !> Size in bytes of the first cache of a core, or somewhat less.
  integer, parameter :: cache_bytes = 32768
  !> Neurons whose outputs are copied together, and smallest number of neurons of a layer with repetitions as lanes.
  integer, parameter :: part = 8

contains

  !> Run the operations of a network: from the features in their buffer to the result in its buffer.
  recursive subroutine run_operations(n_operations, operations, slope, tables, weights, columns, scratch, room, &
                                      n_room)
    integer, intent(in) :: n_operations                               !! number of operations
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations of a plan that was checked
    real(real64), intent(in) :: slope(n_operations)                   !! parameter of each activation function
    integer, intent(in) :: tables(*)                                  !! tables of the operations
    real(wp), intent(in) :: weights(*)                                !! packed weights
    integer, intent(in) :: columns                                    !! 1, lanes or block_columns
    real(wp), intent(inout) :: scratch(*)                             !! all buffers (columns, feature)
    real(wp), intent(inout) :: room(*)                                !! memory that one column may use (n_room)
    integer, intent(in) :: n_room                                     !! its size, which may be 0
    integer :: i

    do i = 1, n_operations
      if (operations(row_code, i) == operation_dense .and. operations(row_count, i) == 1) then
        call dense(operations(row_n_in, i), operations(row_n_out, i), operations(row_activation, i), slope(i), &
                   weights(operations(row_weights, i)), columns, scratch(1 + columns*operations(row_input, i)), &
                   scratch(1 + columns*operations(row_output, i)))
      else
        ! Inlined by flang, they take registers from the dense operations, which costs one column 0.5 % of its time.
        !dir$ noinline
        call run_other(operations(:, i), slope(i), tables, weights, columns, scratch, room, n_room)
      end if
    end do

  end subroutine run_operations

  !> Run the operations of a network on a few columns, each with buffers of its own. Dense layers load each weight once for
  !> all columns; other operations are run column by column.
  recursive subroutine run_operations_of_few(n_operations, operations, slope, tables, weights, n, step, scratch, &
                                             room, n_room)
    integer, intent(in) :: n_operations                               !! number of operations
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations of a plan that was checked
    real(real64), intent(in) :: slope(n_operations)                   !! parameter of each activation function
    integer, intent(in) :: tables(*)                                  !! tables of the operations
    real(wp), intent(in) :: weights(*)                                !! packed weights
    integer, intent(in) :: n                                          !! number of columns, 1 to few_columns
    integer, intent(in) :: step                                       !! features of all buffers
    real(wp), intent(inout) :: scratch(*)                             !! all buffers of each column (step, n)
    real(wp), intent(inout) :: room(*)                                !! memory that one column may use (n_room)
    integer, intent(in) :: n_room                                     !! its size, which may be 0
    integer :: i, c, x, y, n_out, activation

    do i = 1, n_operations
      if (operations(row_code, i) == operation_dense .and. operations(row_count, i) == 1) then
        x = 1 + operations(row_input, i)
        y = 1 + operations(row_output, i)
        n_out = operations(row_n_out, i)
        activation = operations(row_activation, i)
        call dense_few(n, operations(row_n_in, i), n_out, weights(operations(row_weights, i)), scratch(x), step, &
                       scratch(y), step, lowest_of(activation))
        if (activation == activation_relu .or. activation == activation_linear) cycle
        do c = 0, n - 1
          call activate_column(activation, n_out, scratch(y + c*step), slope(i))
        end do
      else
        do c = 0, n - 1
          call run_other(operations(:, i), slope(i), tables, weights, 1, scratch(1 + c*step), room, n_room)
        end do
      end if
    end do

  end subroutine run_operations_of_few

  !> Return the lower bound that the operation applies to its outputs. For relu this bound is the activation function;
  !> for other activation functions it changes no finite number.
  pure recursive real(wp) function lowest_of(activation)
    integer, intent(in) :: activation   !! one of the activation_* codes

    lowest_of = -huge(1.0_wp)
    if (activation == activation_relu) lowest_of = 0.0_wp

  end function lowest_of

  !> Evaluate a dense layer.
  recursive subroutine dense(n_in, n_out, activation, slope, weights, columns, x, y)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    integer, intent(in) :: n_out              !! number of neurons of the layer
    integer, intent(in) :: activation         !! one of the activation_* codes
    real(real64), intent(in) :: slope         !! parameter of the activation function
    real(wp), intent(in) :: weights(*)        !! packed layer
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! inputs of the layer (columns, n_in)
    real(wp), intent(inout) :: y(*)           !! outputs of the layer (columns, n_out, padded)
    real(wp) :: lowest

    lowest = lowest_of(activation)
    select case (columns)
    case (1)
      call dense_single(n_in, n_out, weights, x, y, lowest)
    case (lanes)
      call dense_half_block(n_in, n_out, weights, x, y, lowest)
    case default
      call dense_block(n_in, n_out, weights, x, y, lowest)
    end select
    if (activation == activation_relu .or. activation == activation_linear) return
    if (columns == 1) then
      call activate_column(activation, n_out, y, slope)
    else
      call activate(activation, columns*n_out, y, real(slope, wp))
    end if

  end subroutine dense

  !> Apply the activation function to the outputs of a dense layer for one column.
  recursive subroutine activate_column(activation, n_out, y, slope)
    integer, intent(in) :: activation         !! one of the activation_* codes
    integer, intent(in) :: n_out              !! number of neurons of the layer
    real(wp), intent(inout) :: y(*)           !! outputs of the layer (n_out, padded)
    real(real64), intent(in) :: slope         !! parameter of the activation function
    integer :: i, n

    ! The activation function also gets the padding up to a full set of lanes. The kernels have written a multiple of 4
    ! neurons.
    n = n_out + modulo(-n_out, lanes)
    do i = n_out + modulo(-n_out, 4) + 1, n
      y(i) = 0.0_wp
    end do
    call activate(activation, n, y, real(slope, wp))

  end subroutine activate_column

  !> Evaluate a dense layer `count` times on parts of its input. The kernels write up to `lanes` neurons past the last one,
  !> which the next repetition replaces.
  recursive subroutine repeat_dense(n_in, n_out, count, stride, lowest, weights, columns, x, y, room, n_room)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    integer, intent(in) :: n_out              !! number of neurons of the layer
    integer, intent(in) :: count              !! number of repetitions
    integer, intent(in) :: stride             !! features between the inputs of two repetitions
    real(wp), intent(in) :: lowest            !! lower bound of the outputs [1]
    real(wp), intent(in) :: weights(*)        !! packed layer
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! inputs of the layer (columns, feature)
    real(wp), intent(inout) :: y(*)           !! outputs of the layer (columns, count*n_out, padded)
    real(wp), intent(inout) :: room(*)        !! memory that one column may use (n_room)
    integer, intent(in) :: n_room             !! its size
    integer :: r, from, to, n_done, n

    n_done = 0
    if (columns == 1 .and. mod(n_out, widest_panel) == 0) then
      ! Full panels write no padding, so repetitions can be computed together as if they were columns.
      do while (n_done < count)
        n = min(few_columns, count - n_done)
        call dense_few(n, n_in, n_out, weights, x(1 + n_done*stride), stride, y(1 + n_done*n_out), n_out, lowest)
        n_done = n_done + n
      end do
    else if (columns == 1 .and. gains_from_lanes(n_in, n_out) .and. &
             n_room/lanes >= buffer_room(n_in) + buffer_room(n_out)) then
      ! What is called twice, gfortran does not inline. Inlined, it costs one column of other networks 1 % of its time.
      do while (count - n_done >= lanes)
        call repeat_in_lanes(n_in, n_out, lanes, stride, lowest, weights, x(1 + n_done*stride), y(1 + n_done*n_out), &
                             room, room(1 + lanes*buffer_room(n_in)))
        n_done = n_done + lanes
      end do
      if (count - n_done >= fewest_repetitions) then
        call repeat_in_lanes(n_in, n_out, count - n_done, stride, lowest, weights, x(1 + n_done*stride), &
                             y(1 + n_done*n_out), room, room(1 + lanes*buffer_room(n_in)))
        n_done = count
      end if
    end if
    do r = n_done, count - 1
      from = 1 + columns*r*stride
      to = 1 + columns*r*n_out
      select case (columns)
      case (1)
        call dense_single(n_in, n_out, weights, x(from), y(to), lowest)
      case (lanes)
        call dense_half_block(n_in, n_out, weights, x(from), y(to), lowest)
      case default
        call dense_block(n_in, n_out, weights, x(from), y(to), lowest)
      end select
    end do

  end subroutine repeat_dense

  !> Whether one column computes a repeated layer faster with the repetitions as lanes. The bits do not depend on it.
  pure recursive logical function gains_from_lanes(n_in, n_out)
    integer, intent(in) :: n_in    !! number of inputs of the layer
    integer, intent(in) :: n_out   !! number of neurons of the layer

    ! Weights that do not stay in the first cache come from the second for every repetition. The copies of the inputs
    ! and outputs cost more than they save if there are few sums for each.
    gains_from_lanes = n_in >= 24 .and. n_out > lanes .and. n_in*n_out > cache_bytes/(storage_size(1.0_wp)/8)
#ifdef __GFORTRAN__
    ! One column of a narrow layer has too few sums for the multiply-adds that a core has in flight.
    gains_from_lanes = gains_from_lanes .or. (is_wide .and. n_out >= part .and. n_out < 32)
#endif

  end function gains_from_lanes

  !> Evaluate a dense layer on up to `lanes` parts of the inputs of one column, with the repetitions as the lanes of half a
  !> block: each weight is then read once for all of them.
  recursive subroutine repeat_in_lanes(n_in, n_out, n, stride, lowest, weights, x, y, x_lanes, y_lanes)
    integer, intent(in) :: n_in                      !! number of inputs of the layer
    integer, intent(in) :: n_out                     !! number of neurons of the layer
    integer, intent(in) :: n                         !! number of repetitions, 1 to lanes
    integer, intent(in) :: stride                    !! features between the inputs of two repetitions
    real(wp), intent(in) :: lowest                   !! lower bound of the outputs [1]
    real(wp), intent(in) :: weights(*)               !! packed layer
    real(wp), intent(in) :: x(*)                     !! inputs of the layer (feature)
    real(wp), intent(inout) :: y(*)                  !! outputs of the layer (n*n_out)
    real(wp), intent(inout) :: x_lanes(lanes, *)     !! scratch: inputs (repetition, n_in, padded)
    real(wp), intent(inout) :: y_lanes(lanes, *)     !! scratch: outputs (repetition, n_out, padded)
    integer :: from(lanes), first, to, i, j, k

    ! Unused lanes repeat the last repetition.
    do i = 1, lanes
      from(i) = (min(i, n) - 1)*stride
    end do
#ifdef __flang__
    ! As vectors, flang would scatter the values, which takes 1.5 times as long.
    do i = 1, lanes
      !dir$ novector
      do k = 1, n_in
        x_lanes(i, k) = x(from(i) + k)
      end do
    end do
#else
    do k = 1, n_in
      do i = 1, lanes
        x_lanes(i, k) = x(from(i) + k)
      end do
    end do
#endif
    call dense_half_block(n_in, n_out, weights, x_lanes, y_lanes, lowest)
    ! A constant number of values is copied in half the time. The last part may overlap the one before.
    do first = 0, n_out - 1, part
      j = min(first, n_out - part)
      do i = 1, n
        to = (i - 1)*n_out + j
        do k = 1, part
          y(to + k) = y_lanes(i, j + k)
        end do
      end do
    end do

  end subroutine repeat_in_lanes

  !> Run an operation that is not a dense layer, or one that is repeated.
  recursive subroutine run_other(operation, slope, tables, weights, columns, scratch, room, n_room)
    integer, intent(in) :: operation(operation_size)   !! its integers
    real(real64), intent(in) :: slope                  !! parameter of the activation function
    integer, intent(in) :: tables(*)                   !! tables of all operations
    real(wp), intent(in) :: weights(*)                 !! packed weights
    integer, intent(in) :: columns                     !! 1, lanes or block_columns
    real(wp), intent(inout) :: scratch(*)              !! all buffers (columns, feature)
    real(wp), intent(inout) :: room(*)                 !! memory that one column may use (n_room)
    integer, intent(in) :: n_room                      !! its size
    integer :: n_out, activation, x, second, y, n, i

    n_out = operation(row_n_out)
    activation = operation(row_activation)
    x = 1 + columns*operation(row_input)
    second = 1 + columns*operation(row_second_input)
    y = 1 + columns*operation(row_output)
    n = columns*n_out
    select case (operation(row_code))
    case (operation_dense)
      call repeat_dense(operation(row_n_in), n_out, operation(row_count), operation(row_stride), &
                        lowest_of(activation), weights(operation(row_weights)), columns, scratch(x), scratch(y), &
                        room, n_room)
      if (activation == activation_relu) return
      n = n*operation(row_count)
    case (operation_add)
      call add(n, x, second, y, lowest_of(activation), scratch)
      if (activation == activation_relu) return
    case (operation_multiply)
      call multiply(n, x, second, y, scratch)
    case (operation_maximum)
      call maximum(n, x, second, y, scratch)
    case (operation_minimum)
      call minimum(n, x, second, y, scratch)
    case (operation_select)
      call choose(n, x, second, 1 + columns*operation(row_third_input), y, scratch)
    case (operation_matmul)
      call products(operation(row_count), operation(row_stride), operation(row_n_in), n_out, columns, scratch(x), &
                    scratch(second), scratch(y))
      n = n*operation(row_count)*operation(row_stride)
    case (operation_depthwise)
      call depthwise(operation(row_n_in)/n_out, n_out, operation(row_count), operation(row_stride), &
                     operation(row_step), weights(operation(row_weights)), columns, scratch(x), scratch(y))
      n = n*operation(row_count)
    case (operation_normalise)
      call normalise(operation(row_count), operation(row_stride), operation(row_step), n_out, &
                     weights(operation(row_weights)), columns, scratch(x), scratch(y))
      n = n*operation(row_count)*operation(row_stride)
    case (operation_softmax)
      call softmax(operation(row_count), n_out, columns, scratch(x), scratch(y))
      n = n*operation(row_count)
    case default
      call follow_table(operation, tables(operation(row_table)), weights, columns, scratch, scratch(y))
    end select
    if (activation == activation_linear) return
    ! The activation function gets full sets of lanes.
    do i = n, n + modulo(-n, lanes) - 1
      scratch(y + i) = 0.0_wp
    end do
    call activate(activation, n + modulo(-n, lanes), scratch(y), real(slope, wp))

  end subroutine run_other

  !> Run an operation with a table. Only features that the output does not replace are read.
  recursive subroutine follow_table(operation, table, weights, columns, x, y)
    integer, intent(in) :: operation(operation_size)   !! its integers
    integer, intent(in) :: table(*)                    !! its rows, if it has some, and its places
    real(wp), intent(in) :: weights(*)                 !! packed weights of the network
    integer, intent(in) :: columns                     !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)                       !! all buffers (columns, feature)
    real(wp), intent(inout) :: y(*)                    !! output (columns, n_out)
    integer :: code, n_in, n_out, places, weight

    code = operation(row_code)
    n_in = operation(row_n_in)
    n_out = operation(row_n_out)
    places = n_out + 2
    weight = operation(row_weights)
    select case (code)
    case (operation_gather)
      select case (columns)
      case (1)
        call gather_single(n_out, table, x, y)
      case (lanes)
        call gather_half_block(n_out, table, x, y)
      case default
        call gather_block(n_out, table, x, y)
      end select
    case (operation_sparse)
      select case (columns)
      case (1)
        call sparse_single(n_in, n_out, table, table(places), weights(weight), weights(weight + n_in), x, y)
      case (lanes)
        call sparse_half_block(n_in, n_out, table, table(places), weights(weight), weights(weight + n_in), x, y)
      case default
        call sparse_block(n_in, n_out, table, table(places), weights(weight), weights(weight + n_in), x, y)
      end select
    case (operation_first_maximum_of)
      select case (columns)
      case (1)
        call first_maximum_single(n_in, n_out, table, table(places), x, y)
      case (lanes)
        call first_maximum_half_block(n_in, n_out, table, table(places), x, y)
      case default
        call first_maximum_block(n_in, n_out, table, table(places), x, y)
      end select
    case default
      select case (columns)
      case (1)
        call reduce_single(code, n_in, n_out, table, table(places), x, y)
      case (lanes)
        call reduce_half_block(code, n_in, n_out, table, table(places), x, y)
      case default
        call reduce_block(code, n_in, n_out, table, table(places), x, y)
      end select
    end select

  end subroutine follow_table

  !> Multiply `count` pairs of matrices.
  recursive subroutine products(count, n_m, n_k, n_n, columns, a, b, y)
    integer, intent(in) :: count              !! number of products
    integer, intent(in) :: n_m, n_k, n_n      !! sizes of each
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: a(*)              !! left matrices (columns, k, m, product)
    real(wp), intent(in) :: b(*)              !! right matrices (columns, n, k, product)
    real(wp), intent(inout) :: y(*)           !! products (columns, n, m, product)
    integer :: p, i, j, k

    do p = 0, count - 1
      i = 1 + columns*p*n_m*n_k
      j = 1 + columns*p*n_k*n_n
      k = 1 + columns*p*n_m*n_n
      select case (columns)
      case (1)
        call matmul_single(n_m, n_k, n_n, a(i), b(j), y(k))
      case (lanes)
        call matmul_half_block(n_m, n_k, n_n, a(i), b(j), y(k))
      case default
        call matmul_block(n_m, n_k, n_n, a(i), b(j), y(k))
      end select
    end do

  end subroutine products

  !> Compute a depthwise convolution.
  recursive subroutine depthwise(n_taps, n_out, count, stride, step, weights, columns, x, y)
    integer, intent(in) :: n_taps             !! summands of a feature
    integer, intent(in) :: n_out              !! features of a repetition
    integer, intent(in) :: count              !! repetitions
    integer, intent(in) :: stride             !! features between the inputs of two repetitions
    integer, intent(in) :: step               !! features between two summands
    real(wp), intent(in) :: weights(*)        !! weights (n_out, n_taps), then biases
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! input (columns, feature)
    real(wp), intent(inout) :: y(*)           !! output (columns, n_out*count)
    integer :: bias

    bias = 1 + n_taps*n_out
    select case (columns)
    case (1)
      call depthwise_single(n_taps, n_out, count, stride, step, weights, weights(bias), x, y)
    case (lanes)
      call depthwise_half_block(n_taps, n_out, count, stride, step, weights, weights(bias), x, y)
    case default
      call depthwise_block(n_taps, n_out, count, stride, step, weights, weights(bias), x, y)
    end select

  end subroutine depthwise

  !> Normalise groups of features.
  recursive subroutine normalise(count, n_inner, n_groups, n_out, weights, columns, x, y)
    integer, intent(in) :: count              !! parts of the input
    integer, intent(in) :: n_inner            !! repetitions of the channels in a part
    integer, intent(in) :: n_groups           !! groups of channels
    integer, intent(in) :: n_out              !! channels
    real(wp), intent(in) :: weights(*)        !! scales and summand of variances (n_out + 1), then shifts
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! input (columns, channel, repetition, part)
    real(wp), intent(inout) :: y(*)           !! output, of the same shape

    select case (columns)
    case (1)
      call normalise_single(count, n_inner, n_groups, n_out, weights, weights(n_out + 2), x, y)
    case (lanes)
      call normalise_half_block(count, n_inner, n_groups, n_out, weights, weights(n_out + 2), x, y)
    case default
      call normalise_block(count, n_inner, n_groups, n_out, weights, weights(n_out + 2), x, y)
    end select

  end subroutine normalise

  !> Compute the softmax of rows of features.
  recursive subroutine softmax(count, n, columns, x, y)
    integer, intent(in) :: count              !! rows
    integer, intent(in) :: n                  !! features of a row
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! input (columns, feature, row)
    real(wp), intent(inout) :: y(*)           !! output, of the same shape

    select case (columns)
    case (1)
      call softmax_single(count, n, x, y)
    case (lanes)
      call softmax_half_block(count, n, x, y)
    case default
      call softmax_block(count, n, x, y)
    end select

  end subroutine softmax

end module emufort_operations
