#ifndef EMUFORT_LEVEL
!> The plan of an emulator: the meaning of its integers and numbers. emufort_plan_check checks a plan from a file.
!>
!> A network is a list of operations over buffers, which are places in one scratch array. The planner, which wrote the
!> file or the generated module, gives each buffer a place that no other buffer needs at that time. The runtime uses
!> these places. An emulator consists of three flat arrays, so that a module with constant data and a loaded object
!> share all code (docs/weights_format.md):
!>
!>     plan     n_inputs, n_features, n_outputs, n_operations, n_scratch, place of the features, place of the result,
!>              n_table, operation(operation_size, n_operations), feature(n_features), feature_kind(n_features),
!>              output_kind(n_outputs), reference(n_outputs), tables(n_table)
!>     numbers  range(2, n_inputs), feature_coefficient(2, n_features), output_coefficient(2, n_outputs),
!>              output_bound(2, n_outputs), slope(n_operations)
!>     weights  those of each operation with weights, as emufort_packing packs them
!>
!> A place counts features from 0. Buffers begin at multiples of `lanes`, and outputs are whole buffers; an input may
!> begin at any feature of a buffer. With c columns, a buffer begins c times its place after the beginning of the scratch
!> array and has the layout (c, feature).
module emufort_plan
  use emufort_kinds, only: int64, lanes
  use emufort_dense, only: packed_size
  implicit none
  private

  public :: layout_type, layout_of, plan_size, numbers_size, buffer_room, packed_size_of, plan_chain
  public :: operation_size, operation_dense, operation_add, operation_multiply, operation_maximum, operation_minimum, &
            operation_select, operation_gather, operation_sparse, operation_matmul, operation_maximum_of, &
            operation_minimum_of, operation_product_of, operation_first_maximum_of, operation_depthwise, &
            operation_normalise, operation_softmax, has_weights
  public :: row_code, row_activation, row_input, row_second_input, row_third_input, row_output, row_n_in, row_n_out, &
            row_weights, row_count, row_stride, row_table, row_step
  public :: plan_scratch, plan_features, plan_result, plan_table, first_operation

  !> Codes of the operations; the activation function is applied to the result.
  integer, parameter :: operation_dense = 1              !! weights . input + bias, `count` times
  integer, parameter :: operation_add = 2                !! a + b
  integer, parameter :: operation_multiply = 3           !! a*b
  integer, parameter :: operation_maximum = 4            !! max(a, b)
  integer, parameter :: operation_minimum = 5            !! min(a, b)
  integer, parameter :: operation_select = 6             !! b where a > 0, c elsewhere
  integer, parameter :: operation_gather = 7             !! the feature at each place
  integer, parameter :: operation_sparse = 8             !! bias + sum of weight*feature over the places of a row
  integer, parameter :: operation_matmul = 9             !! (count, stride, n_in) . (count, n_in, n_out)
  integer, parameter :: operation_maximum_of = 10        !! largest feature of a row of places
  integer, parameter :: operation_minimum_of = 11        !! smallest feature of a row
  integer, parameter :: operation_product_of = 12        !! product of the features of a row
  integer, parameter :: operation_first_maximum_of = 13  !! position in the row, from 0, of its first largest feature
  integer, parameter :: operation_depthwise = 14         !! bias + sum of weight*feature over shifted parts, see there
  integer, parameter :: operation_normalise = 15         !! groups of features with mean 0 and variance 1, scale and shift
  integer, parameter :: operation_softmax = 16           !! exponential over the sum of those of a row, `count` times

  !> Integers of an operation. Those that an operation does not have are 0, except that the count is 1.
  integer, parameter :: operation_size = 12
  integer, parameter :: row_code = 1          !! one of the operation_* codes
  integer, parameter :: row_activation = 2    !! one of the activation_* codes
  integer, parameter :: row_input = 3         !! place of the input
  integer, parameter :: row_second_input = 4  !! place of the second input
  integer, parameter :: row_third_input = 5   !! place of the third input
  integer, parameter :: row_output = 6        !! place of the output
  integer, parameter :: row_n_in = 7          !! features of the input of one repetition; number of places of a table or of
                                              !! weights
  integer, parameter :: row_n_out = 8         !! features of the output of one repetition, channels of a normalise
  integer, parameter :: row_weights = 9       !! first weight among the packed weights, from 1
  integer, parameter :: row_count = 10        !! repetitions, products of a matmul, parts of a normalise
  integer, parameter :: row_stride = 11       !! features between the inputs of two repetitions; rows of a product;
                                              !! repetitions of the channels of a normalise
  integer, parameter :: row_table = 12        !! first element of the table, from 1
  integer, parameter :: row_step = row_table  !! features between two summands of a depthwise, groups of a normalise

  !> Positions in the plan: size of the scratch array, place of the features, place of the result, length of the tables,
  !> first operation.
  integer, parameter :: plan_scratch = 5, plan_features = 6, plan_result = 7, plan_table = 8, first_operation = 9

  !> First elements of the parts of an emulator: the first five in the plan, the others in the numbers.
  type :: layout_type
    integer :: feature        !! input of each feature
    integer :: feature_kind   !! transform of each feature
    integer :: output_kind    !! transform of each output
    integer :: reference      !! reference input of each output
    integer :: tables         !! tables of the operations
    integer :: feature_c      !! coefficients of the features
    integer :: output_c       !! coefficients of the outputs
    integer :: bound          !! bounds of the outputs
    integer :: slope          !! parameters of the activation functions
  end type layout_type

contains

  !> Return the length of the plan of an emulator.
  pure integer(int64) function plan_size(n_features, n_outputs, n_operations, n_table)
    integer, intent(in) :: n_features     !! number of features
    integer, intent(in) :: n_outputs      !! number of outputs
    integer, intent(in) :: n_operations   !! number of operations
    integer, intent(in) :: n_table        !! length of the tables

    plan_size = first_operation - 1_int64 + int(operation_size, int64)*n_operations + 2_int64*n_features + &
                2_int64*n_outputs + n_table

  end function plan_size

  !> Return the length of the numbers of an emulator.
  pure integer(int64) function numbers_size(n_inputs, n_features, n_outputs, n_operations)
    integer, intent(in) :: n_inputs       !! number of inputs
    integer, intent(in) :: n_features     !! number of features
    integer, intent(in) :: n_outputs      !! number of outputs
    integer, intent(in) :: n_operations   !! number of operations

    numbers_size = 2_int64*n_inputs + 2_int64*n_features + 4_int64*n_outputs + n_operations

  end function numbers_size

  !> Return the first elements of the parts of an emulator.
  pure recursive type(layout_type) function layout_of(n_inputs, n_features, n_outputs, n_operations) result(at)
    integer, intent(in) :: n_inputs       !! number of inputs
    integer, intent(in) :: n_features     !! number of features
    integer, intent(in) :: n_outputs      !! number of outputs
    integer, intent(in) :: n_operations   !! number of operations

    at%feature = first_operation + operation_size*n_operations
    at%feature_kind = at%feature + n_features
    at%output_kind = at%feature_kind + n_features
    at%reference = at%output_kind + n_outputs
    at%tables = at%reference + n_outputs
    at%feature_c = 1 + 2*n_inputs
    at%output_c = at%feature_c + 2*n_features
    at%bound = at%output_c + 2*n_outputs
    at%slope = at%bound + 2*n_outputs

  end function layout_of

  !> Return the number of features that a buffer occupies in the scratch array.
  !>
  !> The kernels write whole panels: with one column, up to 12 features beyond a multiple of `lanes`. They read one
  !> input past the end. python/emufort/network/plan.py has the same rule.
  pure recursive integer function buffer_room(n_features)
    integer, intent(in) :: n_features   !! features of the buffer

    buffer_room = lanes*((n_features + lanes - 1)/lanes) + lanes

  end function buffer_room

  !> Return the number of packed values of an operation with weights. It is a multiple of `lanes`, so that the next
  !> operation begins on a cache line if this one does. All but dense ones have their weights and biases as in a file.
  pure integer(int64) function packed_size_of(code, n_in, n_out)
    integer, intent(in) :: code    !! code of an operation with weights
    integer, intent(in) :: n_in    !! inputs of the layer, or number of weights
    integer, intent(in) :: n_out   !! neurons of the layer, or features of the output

    if (code == operation_dense) then
      packed_size_of = packed_size(n_in, n_out)
    else
      packed_size_of = lanes*((int(n_in, int64) + n_out + lanes - 1_int64)/lanes)
    end if

  end function packed_size_of

  !> Whether an operation has weights and biases.
  pure logical function has_weights(code)
    integer, intent(in) :: code   !! any number

    has_weights = code == operation_dense .or. code == operation_sparse .or. code == operation_depthwise .or. &
                  code == operation_normalise

  end function has_weights

  !> Plan a chain of dense layers whose buffers alternate between two places; the features are at place 0.
  pure subroutine plan_chain(widths, activation, operations, n_scratch)
    integer, intent(in) :: widths(:)                                         !! features, neurons of each layer
    integer, intent(in) :: activation(:)                                     !! codes, one for each layer
    integer, intent(out) :: operations(operation_size, size(activation))     !! operations of the plan
    integer, intent(out) :: n_scratch                                        !! features of all buffers
    integer :: place(0:1), l, next

    place = [0, buffer_room(maxval(widths(1::2)))]
    n_scratch = place(1) + buffer_room(maxval(widths(2::2)))
    next = 1
    do l = 1, size(activation)
      operations(:, l) = [operation_dense, activation(l), place(mod(l - 1, 2)), 0, 0, place(mod(l, 2)), widths(l), &
                          widths(l + 1), next, 1, 0, 0]
      next = next + packed_size(widths(l), widths(l + 1))
    end do

  end subroutine plan_chain

end module emufort_plan
#endif
