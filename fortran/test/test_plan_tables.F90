!> Tests that `check_plan` refuses repeated layers, tables and products of matrices that the operations could not run, and
!> that a network whose buffers exceed the stack needs a workspace.
program test_plan_tables
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan
  use emufort_runtime, only: status_type, workspace_type, emufort_success, emufort_error_format, emufort_error_limit, &
                             emufort_block_columns
  use emufort_kinds, only: int64, real64, max_features, max_operations, max_scratch
  use emufort_plan, only: &
    operation_size, operation_dense, operation_add, operation_select, operation_gather, operation_sparse, &
    operation_matmul, operation_maximum_of, operation_depthwise, operation_normalise, operation_softmax, row_code, &
    row_input, row_second_input, row_third_input, row_output, row_n_in, row_n_out, row_weights, row_count, row_stride, &
    row_table, row_step, first_operation, buffer_room
  use emufort_predictor, only: predictor_type
  use test_support, only: check, same_bits
  implicit none
  integer, parameter :: n_features = 6, n_operations = 7
  !> The network: a layer on two parts of the features, a gather of both, and so on; every buffer has its own place.
  integer, parameter :: operations(operation_size, n_operations) = &
                        reshape([ &
                                operation_dense, 0, 0, 0, 0, 32, 4, 5, 1, 2, 2, 0, &
                                operation_gather, 1, 0, 0, 0, 64, 8, 8, 0, 1, 0, 1, &
                                operation_sparse, 0, 0, 0, 0, 96, 6, 4, 49, 1, 0, 9, &
                                operation_matmul, 0, 64, 64, 0, 128, 2, 2, 0, 2, 2, 0, &
                                operation_select, 0, 129, 65, 96, 160, 4, 4, 0, 1, 0, 0, &
                                operation_maximum_of, 0, 0, 0, 0, 192, 5, 3, 0, 1, 0, 20, &
                                operation_dense, 0, 192, 0, 0, 224, 3, 2, 65, 1, 0, 0], &
                                [operation_size, n_operations])
  !> Places of the gather; rows and places of the sparse sums; rows and places of the maxima.
  integer, parameter :: tables(28) = [1, 33, 42, 0, 6, 34, 35, 36, &
                                      0, 2, 2, 5, 6, 65, 1, 72, 42, 33, 66, &
                                      0, 1, 3, 5, 161, 97, 100, 164, 129]
  !> A network with three repetitions of two features, which are then normalised in two groups.
  integer, parameter :: n_over_levels = 4
  integer, parameter :: over_levels(operation_size, n_over_levels) = &
                        reshape([ &
                                operation_depthwise, 0, 0, 0, 0, 32, 4, 2, 1, 3, 1, 2, &
                                operation_normalise, 1, 32, 0, 0, 64, 3, 2, 17, 1, 3, 2, &
                                operation_softmax, 0, 64, 0, 0, 96, 2, 2, 0, 3, 0, 0, &
                                operation_dense, 0, 96, 0, 0, 128, 6, 2, 33, 1, 0, 0], &
                                [operation_size, n_over_levels])
  integer, parameter :: n_weights_over_levels = 4 + 2 + 3 + 2 + 6*2 + 2
  integer, parameter :: n_weights = 4*5 + 5 + 6 + 4 + 3*2 + 2
  real(real64), allocatable :: numbers(:), weights(:)
  integer :: i

  numbers = make_numbers(n_operations)
  weights = [(0.03_real64*mod(7*i, 19) - 0.2_real64, i=1, n_weights)]
  call accept(make_plan(operations, tables), 'the network')
  call refuse_operations()
  call refuse_tables()
  call refuse_operations_over_levels()
  call limit_work()
  call need_workspace()
  deallocate (numbers, weights)
  print '(a)', 'tables, repetitions and products are checked'

contains

  !> Return the numbers of an emulator with six inputs and two outputs.
  function make_numbers(n) result(numbers)
    integer, intent(in) :: n   !! number of operations
    real(real64), allocatable :: numbers(:)
    integer :: j

    numbers = [([-4.0_real64, 4.0_real64], j=1, n_features), ([0.0_real64, 1.0_real64], j=1, n_features), &
               ([1.0_real64, 0.0_real64], j=1, 2), ([-1.0e30_real64, 1.0e30_real64], j=1, 2), (0.0_real64, j=1, n)]

  end function make_numbers

  !> Return a plan with the features at place 0 whose last operation gives the result.
  function make_plan(rows, table, n_scratch) result(plan)
    integer, intent(in) :: rows(:, :)               !! operations
    integer, intent(in) :: table(:)                 !! tables
    integer, intent(in), optional :: n_scratch      !! features of all buffers
    integer, allocatable :: plan(:)
    integer :: j, n

    n = 256
    if (present(n_scratch)) n = n_scratch
    plan = [n_features, n_features, 2, size(rows, 2), n, 0, rows(row_output, size(rows, 2)), size(table), rows, &
            (j, j=1, n_features), (1, j=1, n_features), 1, 1, 0, 0, table]

  end function make_plan

  !> Check that a plan is accepted and that its columns have the same bits in blocks and alone.
  subroutine accept(plan, what)
    integer, intent(in) :: plan(:)          !! a plan
    character(len=*), intent(in) :: what    !! what it is
    integer, parameter :: ncol = 37
    type(predictor_type) :: predictor
    type(status_type) :: status
    real(real64) :: x(ncol, n_features), y(ncol, 2), one(1, 2)
    integer :: c, j

    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_success, what//' is accepted: '//trim(status%message))
    do j = 1, n_features
      x(:, j) = [(0.1_real64*mod(13*c + 5*j, 41) - 2.0_real64, c=1, ncol)]
    end do
    call predictor%predict(x, y, status)
    call check(status%code == emufort_success, what//' predicts')
    do c = 1, ncol
      call predictor%predict(x(c:c, :), one, status)
      call check(all(same_bits(one(1, :), y(c, :))), what//': a column has the same bits alone')
    end do

  end subroutine accept

  !> Check that the plan is refused if one integer of an operation has another value.
  subroutine refuse(i, row, value, what)
    integer, intent(in) :: i                !! number of the operation
    integer, intent(in) :: row              !! which integer
    integer, intent(in) :: value            !! its value
    character(len=*), intent(in) :: what    !! what is wrong
    integer :: changed(operation_size, n_operations)

    changed = operations
    changed(row, i) = value
    call refuse_plan(make_plan(changed, tables), what)

  end subroutine refuse

  !> Check that a plan is refused.
  subroutine refuse_plan(plan, what, code)
    integer, intent(in) :: plan(:)                !! a plan
    character(len=*), intent(in) :: what          !! what is wrong
    integer, intent(in), optional :: code         !! code of the error, that of the format by default
    type(predictor_type) :: predictor
    type(status_type) :: status
    integer :: wanted

    wanted = emufort_error_format
    if (present(code)) wanted = code
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == wanted .and. len_trim(status%message) > 0, what//' is refused: '//trim(status%message))
    call check(.not. predictor%is_loaded(), what//' leaves no network')

  end subroutine refuse_plan

  !> Test operations whose sizes or places do not fit.
  subroutine refuse_operations()
    integer :: changed(operation_size, n_operations)

    call refuse(1, row_count, 1, 'a stride without repetitions')
    call refuse(1, row_count, 3, 'a repetition that reads past the features')
    call refuse(1, row_stride, 0, 'repetitions of the same input')
    call refuse(1, row_stride, 3, 'a stride past the features')
    call refuse(1, row_input, 1, 'a start past the features')
    call refuse(1, row_third_input, 32, 'a layer with a third input')
    call refuse(1, row_output, 16, 'a repeated layer over the padding of its input')
    call refuse(1, row_table, 1, 'a layer with a table')
    call refuse(4, row_count, 4, 'a product of more matrices than there are')
    call refuse(4, row_stride, 3, 'a product with more rows than there are')
    call refuse(4, row_n_in, 3, 'a product with more terms than there are')
    call refuse(4, row_n_out, 3, 'a product with more columns than there are')
    call refuse(4, row_n_in, 0, 'a product without terms')
    call refuse(4, row_stride, 0, 'a product without rows')
    call refuse(4, row_output, 64, 'a product in place')
    call refuse(4, row_weights, 1, 'a product with weights')
    call refuse(5, row_third_input, 97, 'a third input past its buffer')
    call refuse(5, row_count, 2, 'a select that is repeated')
    call refuse(5, row_output, 128, 'a select half over its condition')
    call refuse(5, row_code, operation_add, 'a sum with three inputs')
    call refuse(6, row_input, 64, 'a maximum with an input')
    call refuse(6, row_stride, 1, 'a maximum with a stride')
    call refuse(3, row_weights, 50, 'sparse weights that begin in the middle')
    call refuse(3, row_weights, 1, 'sparse weights that are those of a layer')
    call refuse(7, row_weights, 49, 'a layer with the weights of a sparse operation')
    ! A buffer may be read from any place, and an elementwise operation may replace an input.
    changed = operations
    changed(row_output, 5) = 96
    changed(row_input, 5) = 128
    call accept(make_plan(changed, [tables(:23), 97, 99, 98, 100, 65]), 'a select in place')

  end subroutine refuse_operations

  !> Test depthwise convolutions, normalisations and softmaxes whose sizes or places do not fit.
  subroutine refuse_operations_over_levels()
    numbers = make_numbers(n_over_levels)
    weights = [(0.03_real64*mod(7*i, 19) + 0.4_real64, i=1, n_weights_over_levels)]
    call accept(make_plan(over_levels, tables(:0)), 'the network over levels')
    call refuse_level(1, row_count, 1, 'a stride of one repetition')
    call refuse_level(1, row_count, 4, 'a repetition past the features')
    call refuse_level(1, row_count, 0, 'no repetition')
    call refuse_level(1, row_stride, 0, 'a depthwise convolution without a stride')
    call refuse_level(1, row_stride, 3, 'a stride past the features')
    call refuse_level(1, row_stride, huge(1), 'a huge stride', emufort_error_limit)
    call refuse_level(1, row_step, 0, 'two summands of the same features')
    call refuse_level(1, row_step, 3, 'a summand past the features')
    call refuse_level(1, row_step, -1, 'a negative step')
    call refuse_level(1, row_step, huge(1), 'a huge step', emufort_error_limit)
    call refuse_level(1, row_n_in, 5, 'summands of different numbers of features')
    call refuse_level(1, row_n_in, 6, 'a summand past the features')
    call refuse_level(1, row_n_in, 0, 'no summand')
    call refuse_level(1, row_n_in, huge(1) - 1, 'a huge number of summands', emufort_error_limit)
    call refuse_level(1, row_input, 1, 'a depthwise convolution from the second feature')
    call refuse_level(1, row_second_input, 32, 'a depthwise convolution with a second input')
    call refuse_level(1, row_weights, 0, 'a depthwise convolution without weights')
    call refuse_level(1, row_output, 0, 'a depthwise convolution in place')
    call refuse_level(2, row_step, 0, 'no groups')
    call refuse_level(2, row_step, 3, 'groups that do not divide the channels')
    call refuse_level(2, row_step, -1, 'a negative number of groups')
    call refuse_level(2, row_stride, 0, 'channels without repetitions')
    call refuse_level(2, row_stride, 4, 'repetitions past the input')
    call refuse_level(2, row_stride, huge(1), 'a huge number of repetitions', emufort_error_limit)
    call refuse_level(2, row_count, 2, 'parts past the input')
    call refuse_level(2, row_count, huge(1), 'a huge number of parts', emufort_error_limit)
    call refuse_level(2, row_n_in, 2, 'a normalisation with another number of weights')
    call refuse_level(2, row_n_out, 3, 'a normalisation of another number of channels')
    call refuse_level(2, row_weights, 1, 'a normalisation with the weights of a depthwise convolution')
    call refuse_level(2, row_output, 32, 'a normalisation in place')
    call refuse_level(3, row_count, 4, 'rows past the input')
    call refuse_level(3, row_count, 0, 'no rows')
    call refuse_level(3, row_n_in, 3, 'a softmax of other rows')
    call refuse_level(3, row_stride, 1, 'a softmax with a stride')
    call refuse_level(3, row_step, 1, 'a softmax with a step')
    call refuse_level(3, row_weights, 1, 'a softmax with weights')
    call refuse_level(3, row_output, 64, 'a softmax in place')
    numbers = make_numbers(n_operations)
    weights = [(0.03_real64*mod(7*i, 19) - 0.2_real64, i=1, n_weights)]

  end subroutine refuse_operations_over_levels

  !> Check that the network over levels is refused if one integer of an operation has another value.
  subroutine refuse_level(i, row, value, what, code)
    integer, intent(in) :: i                      !! number of the operation
    integer, intent(in) :: row                    !! which integer
    integer, intent(in) :: value                  !! its value
    character(len=*), intent(in) :: what          !! what is wrong
    integer, intent(in), optional :: code         !! code of the error, that of the format by default
    integer :: changed(operation_size, n_over_levels)

    changed = over_levels
    changed(row, i) = value
    call refuse_plan(make_plan(changed, tables(:0)), what, code)

  end subroutine refuse_level

  !> Test tables that are wrong.
  subroutine refuse_tables()
    call refuse_table(1, 257, 'a place past the scratch array')
    call refuse_table(1, -1, 'a negative place')
    call refuse_table(1, huge(1), 'a huge place')
    call refuse_table(2, 43, 'a place that was never written')
    call refuse_table(2, 65, 'a place of the output')
    call refuse_table(14, 0, 'the constant 0 in a sum')
    call refuse_table(9, 1, 'rows that do not begin with 0')
    call refuse_table(13, 5, 'rows that do not end with the number of places')
    call refuse_table(10, 3, 'rows that go back')
    call refuse_table(10, -huge(1), 'rows of a negative number of places')
    call refuse_table(11, huge(1), 'rows of a huge number of places')
    call refuse_table(21, 0, 'a maximum of nothing')
    call refuse_table(22, huge(1), 'a maximum of a huge number of places')
    call refuse(2, row_table, 0, 'a gather without a table')
    call refuse(2, row_table, 22, 'a table that does not fit')
    call refuse(2, row_n_in, 7, 'a gather with another number of places')
    call refuse(6, row_table, 21, 'a table whose places do not fit')
    call refuse(6, row_table, huge(1), 'a table that begins far away')
    call refuse(6, row_n_in, 2**29, 'a table with a huge number of places')
    call refuse(6, row_n_in, -1, 'a table with a negative number of places')
    call refuse_plan(make_plan(operations, tables(:27)), 'a table that is cut off')

  end subroutine refuse_tables

  !> Check that the plan is refused if one integer of the tables has another value.
  subroutine refuse_table(i, value, what)
    integer, intent(in) :: i                !! which integer
    integer, intent(in) :: value            !! its value
    character(len=*), intent(in) :: what    !! what is wrong
    integer :: changed(size(tables))

    changed = tables
    changed(i) = value
    call refuse_plan(make_plan(operations, changed), what)

  end subroutine refuse_table

  !> Test that the check itself has bounded work: many operations that read the same large table.
  subroutine limit_work()
    integer, allocatable :: many(:, :), places(:), plan(:)
    integer :: room

    room = buffer_room(max_features)
    allocate (many(operation_size, max_operations), source=0)
    many(row_code, :) = operation_gather
    many(row_n_in, :) = max_features
    many(row_n_out, :) = max_features
    many(row_count, :) = 1
    many(row_table, :) = 1
    many(row_output, :) = 32
    allocate (places(max_features), source=1)
    plan = make_plan(many, places, 32 + room)
    numbers = make_numbers(max_operations)
    call refuse_plan(plan, 'too much work', emufort_error_limit)
    numbers = make_numbers(n_operations)

  end subroutine limit_work

  !> Test a network of which not even one column fits on the stack.
  subroutine need_workspace()
    integer, parameter :: n = max_scratch, ncol = 2*emufort_block_columns + 3
    integer, allocatable :: plan(:)
    type(predictor_type) :: predictor, small
    type(workspace_type) :: workspace, of_small
    type(status_type) :: status
    real(real64) :: x(ncol, n_features), y(ncol, 2), one(1, 2), block_x(emufort_block_columns, n_features)
    real(real64) :: block_y(emufort_block_columns, 2)
    logical :: is_outside(emufort_block_columns), is_inside
    integer :: c, j, numbers_of_columns(3), k, last

    call small%set_network(make_plan(operations, tables), numbers, weights, status)
    call check(.not. small%requires_workspace() .and. small%workspace_size() == 0_int64, 'a small network needs none')
    call small%make_workspace(of_small, status)
    ! The features n times, then the small network on them.
    plan = make_plan(reshape([operation_gather, 0, 0, 0, 0, 256, n, n, 0, 1, 0, size(tables) + 1, operations], &
                             [operation_size, n_operations + 1]), [tables, [(mod(j, n_features), j=1, n)]], &
                     256 + buffer_room(n))
    plan(first_operation + operation_size + row_input - 1) = 0
    numbers = make_numbers(n_operations + 1)
    call predictor%set_network(plan, numbers, weights, status)
    call check(status%code == emufort_success, 'a large network is accepted: '//trim(status%message))
    call check(predictor%requires_workspace(), 'a large network needs a workspace')
    do j = 1, n_features
      x(:, j) = [(0.1_real64*mod(13*c + 5*j, 41) - 2.0_real64, c=1, ncol)]
    end do
    block_x = x(:emufort_block_columns, :)
    numbers_of_columns = [1, 5, ncol]
    do k = 1, 3
      last = numbers_of_columns(k)
      y = 0.0_real64
      call predictor%predict(x(:last, :), y(:last, :), status)
      call check(status%code == emufort_error_limit .and. index(status%message, 'workspace') > 0, 'it says so')
      call check(all(ieee_is_nan(y(:last, :))) .and. all(abs(y(last + 1:, :)) <= 0.0_real64), 'its answers are NaN')
      call predictor%predict(x(:last, :), y(:last, :), status, workspace=of_small)
      call check(status%code == emufort_error_limit, 'a workspace of a smaller network is refused')
    end do
    status = status_type()
    call predictor%predict_block(7, .false., block_x, block_y, status, is_outside)
    call check(status%code == emufort_error_limit, 'a block without a workspace is refused')
    call predictor%predict_inside(x(1, :), one(1, :), is_inside)
    call check(.not. is_inside, 'nothing is computed without a workspace')
    call predictor%make_workspace(workspace, status)
    call check(status%code == emufort_success .and. predictor%workspace_size() > 0_int64, 'it has a workspace')
    call predictor%predict(x, y, status, workspace=workspace)
    call check(status%code == emufort_success, 'it predicts with a workspace')
    do c = 1, ncol
      call predictor%predict(x(c:c, :), one, status, workspace=workspace)
      call check(status%code == emufort_success .and. all(same_bits(one(1, :), y(c, :))), 'a column has the same bits')
      call small%predict(x(c:c, :), one, status)
      call check(all(same_bits(one(1, :), y(c, :))), 'the bits of the small network')
    end do
    status = status_type()
    call predictor%predict_block(7, .false., block_x, block_y, status, is_outside, workspace)
    call check(status%code == emufort_success, 'a block is predicted')
    call check(all(same_bits(block_y(:7, :), y(:7, :))), 'a block has the same bits')
    call predictor%predict_block(3, .false., block_x, block_y, status, is_outside, workspace)
    call check(all(same_bits(block_y(:3, :), y(:3, :))), 'a few columns have the same bits')

  end subroutine need_workspace

end program test_plan_tables
