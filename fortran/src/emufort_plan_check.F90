#ifndef EMUFORT_LEVEL
!> The check of a plan from a file, which is untrusted: the operations follow a checked plan without further checks.
!>
!> Every operation stays within the scratch array, reads only features that were written before, and overwrites no input
!> that it still needs. Its weights are where `pack_weights` puts them, and its table is within the tables. The check
!> takes memory for one byte per feature of the scratch array, and time in proportion to the features that the
!> operations read and write, of which there is a largest number.
module emufort_plan_check
  use emufort_kinds, only: int8, int64, real64, lanes, max_width, max_dense_inputs, max_features, max_operations, &
                           max_plan_scratch, max_scratch
  use emufort_status, only: status_type, set_error, to_text, emufort_error_format, emufort_error_limit
  use emufort_dense, only: packed_slack
  use emufort_activations, only: n_activations
  use emufort_transforms, only: transform_affine, transform_ln, transform_logit, transform_sigmoid, &
                                transform_constant
  use emufort_ranges, only: is_finite
  use emufort_plan, only: &
    layout_type, layout_of, plan_size, numbers_size, buffer_room, packed_size_of, plan_scratch, plan_features, &
    plan_result, plan_table, first_operation, operation_size, operation_dense, operation_add, operation_multiply, &
    operation_maximum, operation_minimum, operation_select, operation_gather, operation_sparse, operation_matmul, &
    operation_maximum_of, operation_minimum_of, operation_product_of, operation_first_maximum_of, &
    operation_depthwise, operation_normalise, operation_softmax, has_weights, row_code, row_activation, row_input, &
    row_second_input, row_third_input, row_output, row_n_in, row_n_out, row_weights, row_count, row_stride, &
    row_table, row_step
  implicit none
  private

  public :: check_plan

  !> Largest number of features that all operations together read and write, and of places of their tables, for one
  !> column. The check of such a plan takes about a second.
  integer(int64), parameter :: most_work = 2_int64**31

contains

  !> Check plan and numbers of a file for everything that the computation relies on without a check.
  subroutine check_plan(plan, numbers, status)
    integer, intent(in) :: plan(:)                !! integers of the emulator, untrusted
    real(real64), intent(in) :: numbers(:)        !! real numbers of the emulator, untrusted
    type(status_type), intent(inout) :: status    !! outcome
    integer :: n_inputs, n_features, n_outputs, n_operations, n_table
    type(layout_type) :: at

    call set_error(status, emufort_error_format, 'load', 'the weights file has an invalid plan; export again')
    if (size(plan) < first_operation - 1) return
    n_inputs = plan(1)
    n_features = plan(2)
    n_outputs = plan(3)
    n_operations = plan(4)
    n_table = plan(plan_table)
    if (min(n_inputs, n_features, n_outputs, n_operations) < 1 .or. n_features > n_inputs .or. n_table < 0) return
    if (max(n_inputs, n_outputs) > max_width - min(n_inputs, n_outputs)) then
      call set_limit_error(status, max_width, 'inputs and outputs')
      return
    end if
    if (n_operations > max_operations) then
      call set_limit_error(status, max_operations, 'operations')
      return
    end if
    if (size(plan, kind=int64) /= plan_size(n_features, n_outputs, n_operations, n_table)) return
    if (size(numbers, kind=int64) /= numbers_size(n_inputs, n_features, n_outputs, n_operations)) return
    at = layout_of(n_inputs, n_features, n_outputs, n_operations)
    if (.not. are_transforms_sound(n_inputs, n_features, n_outputs, plan(at%feature:), numbers)) return
    call check_operations(n_features, count(plan(at%output_kind:at%reference - 1) /= transform_constant), &
                          n_operations, plan(plan_scratch), plan(plan_features), plan(plan_result), &
                          plan(first_operation:at%feature - 1), plan(at%tables:), status)

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

  !> Check the operations, and that the result exists at the end.
  subroutine check_operations(n_features, n_results, n_operations, n_scratch, features, result_place, operations, &
                              tables, status)
    integer, intent(in) :: n_features      !! number of features
    integer, intent(in) :: n_results       !! number of outputs that are not constant
    integer, intent(in) :: n_operations    !! number of operations
    integer, intent(in) :: n_scratch       !! features of all buffers
    integer, intent(in) :: features        !! place of the features
    integer, intent(in) :: result_place    !! place of the result
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations
    integer, intent(in) :: tables(:)                                  !! tables of the operations
    type(status_type), intent(inout) :: status   !! in: an error of the format; out: outcome
    integer(int8), allocatable :: is_written(:)  ! 1 for a feature that has a value, else 0
    integer, allocatable :: layers(:)            ! operations with weights that no earlier operation has
    integer(int64) :: sizes(3), size_out, next, work
    integer :: i, k, places(3), n_layers, n_found, n_needed, failure

    if (n_scratch < 1 .or. mod(n_scratch, lanes) /= 0) return
    if (n_scratch > max_plan_scratch) then
      call set_limit_error(status, max_plan_scratch, 'features in all its buffers')
      return
    end if
    if (.not. is_place(features, int(n_features, int64), n_scratch)) return
    allocate (is_written(n_scratch), layers(n_operations), stat=failure)
    if (failure /= 0) then
      call set_error(status, emufort_error_limit, 'load', 'no memory to check the network')
      return
    end if
    is_written = 0_int8
    is_written(features + 1:features + n_features) = 1_int8
    next = 1_int64
    work = 0_int64
    n_layers = 0
    n_found = 0
    n_needed = features + buffer_room(n_features)
    do i = 1, n_operations
      associate (operation => operations(:, i), code => operations(row_code, i), y => operations(row_output, i))
        if (operation(row_activation) < 0 .or. operation(row_activation) > n_activations) return
        call get_sizes(operation, sizes, size_out, status)
        if (size_out < 1_int64) return
        work = work + sum(sizes) + size_out
        if (has_table(code)) work = work + operation(row_n_in)
        if (work > most_work) then
          call set_error(status, emufort_error_limit, 'load', &
                         'the operations of the network read and write more than 2**31 features of a column')
          return
        end if
        if (.not. is_place(y, size_out, n_scratch)) return
        places = [operation(row_input), operation(row_second_input), operation(row_third_input)]
        do k = 1, 3
          if (sizes(k) == 0_int64 .and. places(k) /= 0) return
          if (sizes(k) == 0_int64) cycle
          if (.not. is_readable(places(k), sizes(k))) return
          ! In place or apart. With a partial overlap, the operation would read values that it has already overwritten.
          if (is_elementwise(code) .and. places(k) == y) cycle
          if (.not. are_apart(places(k), sizes(k), y, size_out)) return
        end do
        if (has_table(code)) then
          if (.not. is_table_sound(operation)) return
        else if (operation(row_step) /= 0 .and. .not. has_step(code)) then
          return
        end if
        if (has_weights(code)) then
          if (.not. are_weights_sound(i)) return
          if (next > huge(1) - packed_slack - lanes) then
            call set_limit_error(status, huge(1), 'packed weights')
            return
          end if
        else if (operation(row_weights) /= 0) then
          return
        end if
        is_written(y + 1:y + buffer_room(int(size_out))) = 0_int8
        is_written(y + 1:y + int(size_out)) = 1_int8
        if (y == result_place) n_found = int(size_out)
        n_needed = max(n_needed, y + buffer_room(int(size_out)))
      end associate
    end do
    ! A small file must not ask for a large workspace that its buffers do not need.
    if (n_scratch > max(n_needed, max_scratch)) return
    if (n_found /= n_results) return
    if (.not. is_readable(result_place, int(n_results, int64))) return
    status = status_type()

  contains

    !> Whether all features of an input have been written.
    logical function is_readable(place, n)
      integer, intent(in) :: place          !! place of the input
      integer(int64), intent(in) :: n       !! features of the input

      is_readable = place >= 0 .and. n <= n_scratch
      if (is_readable) is_readable = end_of(place, n) <= n_scratch
      if (is_readable) is_readable = all(is_written(place + 1:place + int(n)) == 1_int8)

    end function is_readable

    !> Whether a table lies within the tables, has rows of places where the operation needs them, and names only
    !> features that have been written and that the operation does not overwrite.
    logical function is_table_sound(operation)
      integer, intent(in) :: operation(operation_size)   !! an operation with a table
      integer(int64) :: first
      integer :: j, start, room

      is_table_sound = .false.
      associate (code => operation(row_code), n_in => operation(row_n_in), n_out => operation(row_n_out), &
                 y => operation(row_output), table => operation(row_table))
        first = table
        if (code /= operation_gather) first = first + n_out + 1_int64
        if (table < 1 .or. first - 1_int64 + n_in > size(tables)) return
        if (code /= operation_gather) then
          if (tables(table) /= 0 .or. tables(table + n_out) /= n_in) return
          do j = table, table + n_out - 1
            ! Numbers from 0 to n_in have differences without overflow.
            if (tables(j + 1) < 0 .or. tables(j + 1) > n_in) return
            if (tables(j + 1) - tables(j) < merge(0, 1, code == operation_sparse)) return
          end do
        end if
        start = int(first)
        room = buffer_room(n_out)
        do j = start, start + n_in - 1
          if (tables(j) == 0 .and. code == operation_gather) cycle
          if (tables(j) < 1 .or. tables(j) > n_scratch) return
          if (is_written(tables(j)) /= 1_int8) return
          if (tables(j) > y .and. tables(j) <= y + room) return
        end do
      end associate
      is_table_sound = .true.

    end function is_table_sound

    !> Whether an operation has the next weights, or those of an earlier one of the same kind and sizes.
    logical function are_weights_sound(i)
      integer, intent(in) :: i   !! number of the operation
      integer :: lower, upper, middle

      associate (weights => operations(row_weights, i), n_in => operations(row_n_in, i), &
                 n_out => operations(row_n_out, i))
        are_weights_sound = weights == next
        if (are_weights_sound) then
          n_layers = n_layers + 1
          layers(n_layers) = i
          next = next + packed_size_of(operations(row_code, i), n_in, n_out)
          return
        end if
        ! The first weights of `layers` ascend.
        lower = 1
        upper = n_layers
        do while (lower <= upper)
          middle = (lower + upper)/2
          associate (other => operations(:, layers(middle)))
            if (other(row_weights) == weights) then
              are_weights_sound = other(row_code) == operations(row_code, i) .and. other(row_n_in) == n_in .and. &
                                  other(row_n_out) == n_out
              return
            else if (other(row_weights) < weights) then
              lower = middle + 1
            else
              upper = middle - 1
            end if
          end associate
        end do
      end associate

    end function are_weights_sound

  end subroutine check_operations

  !> Get the numbers of features that an operation reads from its inputs and writes to its output.
  subroutine get_sizes(operation, sizes, size_out, status)
    integer, intent(in) :: operation(operation_size)   !! integers of the operation
    integer(int64), intent(out) :: sizes(3)            !! features from first to last of each input, 0 without it
    integer(int64), intent(out) :: size_out            !! features of the output, 0 if there is an error
    type(status_type), intent(inout) :: status         !! on return another error if a limit is exceeded
    integer(int64) :: n_in, n_out, count, stride, step

    sizes = 0_int64
    size_out = 0_int64
    n_in = operation(row_n_in)
    n_out = operation(row_n_out)
    count = operation(row_count)
    stride = operation(row_stride)
    if (min(n_in, stride) < 0_int64 .or. min(n_out, count) < 1_int64) return
    if (max(count, stride, n_out) > max_features) then
      call set_limit_error(status, max_features, 'features in a buffer')
      return
    end if
    select case (operation(row_code))
    case (operation_dense)
      if (n_in < 1_int64 .or. (count > 1_int64 .neqv. stride > 0_int64)) return
      if (n_out > max_width) then
        call set_limit_error(status, max_width, 'neurons in a layer')
        return
      else if (n_in > max_dense_inputs) then
        call set_limit_error(status, max_dense_inputs, 'inputs of a layer')
        return
      end if
      sizes(1) = (count - 1_int64)*stride + n_in
      size_out = count*n_out
    case (operation_matmul)
      if (min(n_in, stride) < 1_int64 .or. n_in > max_features) return
      sizes(1) = count*stride*n_in
      sizes(2) = count*n_in*n_out
      size_out = count*stride*n_out
    case (operation_depthwise)
      step = operation(row_step)
      if (n_in < n_out .or. mod(n_in, n_out) /= 0_int64 .or. step < 0_int64) return
      if ((count > 1_int64 .neqv. stride > 0_int64) .or. (n_in > n_out .neqv. step > 0_int64)) return
      if (step > max_features .or. n_in/n_out > max_features) then
        call set_limit_error(status, max_features, 'features in a buffer')
        return
      end if
      sizes(1) = (count - 1_int64)*stride + (n_in/n_out - 1_int64)*step + n_out
      size_out = count*n_out
    case (operation_normalise)
      step = operation(row_step)
      if (min(stride, step) < 1_int64 .or. n_in /= n_out + 1_int64) return
      if (mod(n_out, step) /= 0_int64) return
      sizes(1) = count*stride*n_out
      size_out = sizes(1)
    case (operation_softmax)
      if (n_in /= n_out .or. stride > 0_int64) return
      sizes(1) = count*n_out
      size_out = sizes(1)
    case default
      if (count > 1_int64 .or. stride > 0_int64) return
      if (is_elementwise(operation(row_code))) then
        if (n_in /= n_out) return
        sizes(1:2) = n_in
        if (operation(row_code) == operation_select) sizes(3) = n_in
      else if (operation(row_code) == operation_gather) then
        if (n_in /= n_out) return
      else if (.not. has_table(operation(row_code))) then
        return
      end if
      size_out = n_out
    end select
    if (max(maxval(sizes), size_out) > max_features) then
      call set_limit_error(status, max_features, 'features in a buffer')
      size_out = 0_int64
    end if

  end subroutine get_sizes

  !> Whether an operation computes each feature of its output from the same feature of its inputs.
  pure logical function is_elementwise(code)
    integer, intent(in) :: code   !! any number

    is_elementwise = code == operation_add .or. code == operation_multiply .or. code == operation_maximum .or. &
                     code == operation_minimum .or. code == operation_select

  end function is_elementwise

  !> Whether an operation has a step, in the place where others have their table.
  pure logical function has_step(code)
    integer, intent(in) :: code   !! any number

    has_step = code == operation_depthwise .or. code == operation_normalise

  end function has_step

  !> Whether a table names the features that an operation reads.
  pure logical function has_table(code)
    integer, intent(in) :: code   !! any number

    has_table = code == operation_gather .or. code == operation_sparse .or. code == operation_maximum_of .or. &
                code == operation_minimum_of .or. code == operation_product_of .or. &
                code == operation_first_maximum_of

  end function has_table

  !> Whether an output with its padding lies within the scratch array, at a valid place.
  pure logical function is_place(place, n_features, n_scratch)
    integer, intent(in) :: place                !! place of the buffer
    integer(int64), intent(in) :: n_features    !! features of the buffer
    integer, intent(in) :: n_scratch            !! features of all buffers

    is_place = .false.
    if (n_features < 1_int64 .or. n_features > max_features .or. place < 0) return
    is_place = mod(place, lanes) == 0 .and. place <= n_scratch - buffer_room(int(n_features))

  end function is_place

  !> Return the end of an input with its padding: of the buffer that the input is the end of.
  pure integer(int64) function end_of(place, n)
    integer, intent(in) :: place          !! place of the input
    integer(int64), intent(in) :: n       !! features of the input

    end_of = lanes*((place + n + lanes - 1_int64)/lanes) + lanes

  end function end_of

  !> Whether an input and an output, with their padding, do not overlap.
  pure logical function are_apart(x, n_in, y, n_out)
    integer, intent(in) :: x, y                    !! places of the input and of the output
    integer(int64), intent(in) :: n_in, n_out      !! features of the input and of the output

    are_apart = end_of(x, n_in) <= y .or. y + buffer_room(int(n_out)) <= x

  end function are_apart

end module emufort_plan_check
#endif
