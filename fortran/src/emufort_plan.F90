#ifndef EMUFORT_LEVEL
!> The plan of an emulator: the meaning of its integers and numbers, and the check of a plan from a file.
!>
!> A network is a list of operations over buffers, which are places in one scratch array. The planner, which wrote the
!> file or the generated module, gives each buffer a place that no other buffer needs at that time. The runtime uses
!> these places. An emulator consists of three flat arrays, so that a module with constant data and a loaded object
!> share all code (docs/weights_format.md):
!>
!>     plan     n_inputs, n_features, n_outputs, n_operations, n_scratch, place of the features, place of the result,
!>              operation(operation_size, n_operations), feature(n_features), feature_kind(n_features),
!>              output_kind(n_outputs), reference(n_outputs)
!>     numbers  range(2, n_inputs), feature_coefficient(2, n_features), output_coefficient(2, n_outputs),
!>              output_bound(2, n_outputs), slope(n_operations)
!>     weights  those of each dense operation, packed by `pack_layer`
!>
!> A place counts features from 0 and is a multiple of `lanes`. With c columns, a buffer begins c times its place after
!> the beginning of the scratch array and has the layout (c, feature).
module emufort_plan
  use emufort_kinds, only: int64, real64, lanes, max_width, max_operations, max_scratch
  use emufort_status, only: status_type, set_error, to_text, emufort_error_format, emufort_error_limit
  use emufort_dense, only: packed_size, packed_slack
  use emufort_activations, only: n_activations
  use emufort_transforms, only: transform_affine, transform_ln, transform_logit, transform_sigmoid, &
                                transform_constant
  use emufort_ranges, only: is_finite
  implicit none
  private

  public :: layout_type, layout_of, plan_size, numbers_size, buffer_room, plan_chain, check_plan
  public :: operation_size, operation_dense, operation_add
  public :: row_code, row_activation, row_input, row_second_input, row_output, row_n_in, row_n_out, row_weights
  public :: plan_scratch, plan_features, plan_result, first_operation

  integer, parameter :: operation_dense = 1   !! activation(weights . input + bias)
  integer, parameter :: operation_add = 2     !! activation(input + second input)

  !> Integers of an operation.
  integer, parameter :: operation_size = 8
  integer, parameter :: row_code = 1          !! one of the operation_* codes
  integer, parameter :: row_activation = 2    !! one of the activation_* codes
  integer, parameter :: row_input = 3         !! place of the input
  integer, parameter :: row_second_input = 4  !! place of the second input; 0 if there is none
  integer, parameter :: row_output = 5        !! place of the output
  integer, parameter :: row_n_in = 6          !! features of the input
  integer, parameter :: row_n_out = 7         !! features of the output
  integer, parameter :: row_weights = 8       !! first weight among the packed weights, from 1; 0 if there are none

  !> Positions in the plan: size of the scratch array, place of the features, place of the result, first operation.
  integer, parameter :: plan_scratch = 5, plan_features = 6, plan_result = 7, first_operation = 8

  !> First elements of the parts of an emulator: the first four in the plan, the others in the numbers.
  type :: layout_type
    integer :: feature        !! input of each feature
    integer :: feature_kind   !! transform of each feature
    integer :: output_kind    !! transform of each output
    integer :: reference      !! reference input of each output
    integer :: feature_c      !! coefficients of the features
    integer :: output_c       !! coefficients of the outputs
    integer :: bound          !! bounds of the outputs
    integer :: slope          !! parameters of the activation functions
  end type layout_type

contains

  !> Return the length of the plan of an emulator.
  pure integer(int64) function plan_size(n_features, n_outputs, n_operations)
    integer, intent(in) :: n_features     !! number of features
    integer, intent(in) :: n_outputs      !! number of outputs
    integer, intent(in) :: n_operations   !! number of operations

    plan_size = first_operation - 1_int64 + int(operation_size, int64)*n_operations + 2_int64*n_features + &
                2_int64*n_outputs

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
      operations(:, l) = [operation_dense, activation(l), place(mod(l - 1, 2)), 0, place(mod(l, 2)), widths(l), &
                          widths(l + 1), next]
      next = next + packed_size(widths(l), widths(l + 1))
    end do

  end subroutine plan_chain

  !> Check plan and numbers of a file for everything that the computation relies on without a check.
  subroutine check_plan(plan, numbers, status)
    integer, intent(in) :: plan(:)                !! integers of the emulator, untrusted
    real(real64), intent(in) :: numbers(:)        !! real numbers of the emulator, untrusted
    type(status_type), intent(inout) :: status    !! outcome
    integer :: n_inputs, n_features, n_outputs, n_operations
    type(layout_type) :: at

    call set_error(status, emufort_error_format, 'load', 'the weights file has an invalid plan; export again')
    if (size(plan) < first_operation - 1) return
    n_inputs = plan(1)
    n_features = plan(2)
    n_outputs = plan(3)
    n_operations = plan(4)
    if (min(n_inputs, n_features, n_outputs, n_operations) < 1 .or. n_features > n_inputs) return
    if (max(n_inputs, n_outputs) > max_width - min(n_inputs, n_outputs)) then
      call set_limit_error(status, max_width, 'inputs and outputs')
      return
    end if
    if (n_operations > max_operations) then
      call set_limit_error(status, max_operations, 'operations')
      return
    end if
    if (size(plan, kind=int64) /= plan_size(n_features, n_outputs, n_operations)) return
    if (size(numbers, kind=int64) /= numbers_size(n_inputs, n_features, n_outputs, n_operations)) return
    at = layout_of(n_inputs, n_features, n_outputs, n_operations)
    if (.not. are_transforms_sound(n_inputs, n_features, n_outputs, plan(at%feature:), numbers)) return
    call check_operations(n_features, count(plan(at%output_kind:at%reference - 1) /= transform_constant), &
                          n_operations, plan(plan_scratch), plan(plan_features), plan(plan_result), &
                          plan(first_operation:at%feature - 1), status)

  end subroutine check_plan

  !> Record that something exceeds a limit of the runtime.
  subroutine set_limit_error(status, most, what)
    type(status_type), intent(inout) :: status   !! outcome
    integer, intent(in) :: most                  !! limit
    character(len=*), intent(in) :: what         !! quantity that exceeds the limit

    call set_error(status, emufort_error_limit, 'load', 'the network has more than '//to_text(most)//' '//what)

  end subroutine set_limit_error

  !> Whether the codes, places and numbers of the transforms are valid.
  pure logical function are_transforms_sound(n_inputs, n_features, n_outputs, codes, numbers) result(are_sound)
    integer, intent(in) :: n_inputs           !! number of inputs
    integer, intent(in) :: n_features         !! number of features
    integer, intent(in) :: n_outputs          !! number of outputs
    integer, intent(in) :: codes(:)           !! feature, feature_kind, output_kind, reference
    real(real64), intent(in) :: numbers(:)    !! real numbers of the emulator
    integer :: at, i, j, kind

    are_sound = .false.
    if (any(codes(1:n_features) < 1 .or. codes(1:n_features) > n_inputs)) return
    do j = 1, n_features
      associate (lower => numbers(2*codes(j) - 1), upper => numbers(2*codes(j)))
        select case (codes(n_features + j))
        case (transform_affine)
        case (transform_ln)
          if (.not. lower > 0.0_real64) return
        case (transform_logit)
          if (.not. (lower > 0.0_real64 .and. upper < 1.0_real64)) return
        case default
          return
        end select
      end associate
    end do
    at = 2*n_features
    do j = 1, n_outputs
      kind = codes(at + j)
      if (kind /= transform_affine .and. kind /= transform_ln .and. kind /= transform_sigmoid .and. &
          kind /= transform_constant) return
    end do
    at = at + n_outputs
    if (any(codes(at + 1:at + n_outputs) < 0 .or. codes(at + 1:at + n_outputs) > n_inputs)) return
    do i = 1, n_inputs
      if (.not. numbers(2*i - 1) < numbers(2*i)) return
    end do
    at = 2*n_inputs + 2*n_features + 2*n_outputs
    if (.not. all(is_finite(numbers(2*n_inputs + 1:at)))) return
    do i = 1, n_outputs
      if (.not. numbers(at + 2*i - 1) <= numbers(at + 2*i)) return
    end do
    are_sound = all(is_finite(numbers(at + 2*n_outputs + 1:)))

  end function are_transforms_sound

  !> Check that every operation stays within the scratch array, reads only values that were written before, and finds
  !> its weights where `pack_weights` puts them; and that the result exists at the end.
  subroutine check_operations(n_features, n_results, n_operations, n_scratch, features, result_place, &
                              operations, status)
    integer, intent(in) :: n_features      !! number of features
    integer, intent(in) :: n_results       !! number of outputs that are not constant
    integer, intent(in) :: n_operations    !! number of operations
    integer, intent(in) :: n_scratch       !! features of all buffers
    integer, intent(in) :: features        !! place of the features
    integer, intent(in) :: result_place    !! place of the result
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations
    type(status_type), intent(inout) :: status   !! in: an error of the format; out: outcome
    logical, allocatable :: is_written(:)
    integer(int64) :: next
    integer :: i, n_found

    if (n_scratch < 1 .or. mod(n_scratch, lanes) /= 0) return
    if (n_scratch > max_scratch) then
      call set_limit_error(status, max_scratch, 'features in all its buffers')
      return
    end if
    if (.not. is_place(features, n_features, n_scratch)) return
    allocate (is_written(n_scratch), source=.false.)
    is_written(features + 1:features + n_features) = .true.
    next = 1_int64
    n_found = 0
    do i = 1, n_operations
      associate (n_in => operations(row_n_in, i), n_out => operations(row_n_out, i), x => operations(row_input, i), &
                 second => operations(row_second_input, i), y => operations(row_output, i), &
                 activation => operations(row_activation, i), weights => operations(row_weights, i))
        if (max(n_in, n_out) > max_width) then
          call set_limit_error(status, max_width, 'neurons in a layer')
          return
        end if
        if (activation < 0 .or. activation > n_activations) return
        if (.not. is_place(y, n_out, n_scratch)) return
        if (.not. is_readable(x, n_in)) return
        select case (operations(row_code, i))
        case (operation_dense)
          if (second /= 0 .or. .not. are_apart(x, n_in, y, n_out)) return
          if (weights == next) then
            next = next + packed_size(n_in, n_out)
            if (next > huge(1) - packed_slack - lanes) then
              call set_limit_error(status, huge(1), 'packed weights')
              return
            end if
          else if (.not. is_shared(i)) then
            return
          end if
        case (operation_add)
          if (n_in /= n_out .or. weights /= 0) return
          if (.not. is_readable(second, n_in)) return
          ! In place or apart. With a partial overlap, the operation would read values that it has already overwritten.
          if (x /= y .and. .not. are_apart(x, n_in, y, n_out)) return
          if (second /= y .and. .not. are_apart(second, n_in, y, n_out)) return
        case default
          return
        end select
        is_written(y + 1:y + buffer_room(n_out)) = .false.
        is_written(y + 1:y + n_out) = .true.
        if (y == result_place) n_found = n_out
      end associate
    end do
    if (n_found /= n_results) return
    if (.not. all(is_written(result_place + 1:result_place + n_results))) return
    status = status_type()

  contains

    !> Whether all features of a buffer have been written.
    logical function is_readable(place, n)
      integer, intent(in) :: place   !! place of the buffer
      integer, intent(in) :: n       !! features of the buffer

      is_readable = is_place(place, n, n_scratch)
      if (is_readable) is_readable = all(is_written(place + 1:place + n))

    end function is_readable

    !> Whether a dense operation has the weights of an earlier one of the same sizes.
    logical function is_shared(i)
      integer, intent(in) :: i   !! number of the operation
      integer :: k

      is_shared = .false.
      do k = 1, i - 1
        is_shared = is_shared .or. (operations(row_code, k) == operation_dense .and. &
                                    all(operations(row_n_in:row_weights, k) == operations(row_n_in:row_weights, i)))
      end do

    end function is_shared

  end subroutine check_operations

  !> Whether a buffer with its padding lies within the scratch array, at a valid place.
  pure logical function is_place(place, n_features, n_scratch)
    integer, intent(in) :: place        !! place of the buffer
    integer, intent(in) :: n_features   !! features of the buffer
    integer, intent(in) :: n_scratch    !! features of all buffers

    is_place = .false.
    if (n_features < 1 .or. n_features > max_width .or. place < 0) return
    is_place = mod(place, lanes) == 0 .and. place <= n_scratch - buffer_room(n_features)

  end function is_place

  !> Whether two buffers with their padding do not overlap.
  pure logical function are_apart(one, n_one, other, n_other)
    integer, intent(in) :: one, other       !! places of the buffers
    integer, intent(in) :: n_one, n_other   !! features of the buffers

    are_apart = one + buffer_room(n_one) <= other .or. other + buffer_room(n_other) <= one

  end function are_apart

end module emufort_plan
#endif
