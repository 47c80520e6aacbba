!> Evaluation of one block of columns with the whole emulator, from physical inputs to physical outputs. emufort_plan
!> describes the content of `plan` and `numbers`.
module emufort_core
  use emufort_kinds, only: wp, int64, real64, lanes, block_columns, max_scratch
  use emufort_plan, only: layout_type, layout_of, plan_scratch, plan_features, plan_result, first_operation
  use emufort_ranges, only: are_within, is_column_within, check_inputs
  use emufort_transforms, only: inputs_to_features, outputs_to_physical, column_to_features, column_to_physical
  use emufort_dense, only: few_columns
  use emufort_operations, only: run_operations, run_operations_of_few
  use emufort_workspace, only: workspace_type, groups_type, choose_groups, next_group, fit_on_stack, columns_at_once, &
                               aligned_place, stack_physical, scratch_size
  implicit none
  private

  public :: evaluate_block, evaluate_columns, evaluate_few, evaluate_inside, not_a_number

  !> Bits of a quiet NaN in double precision.
  integer(int64), parameter :: nan_bits = ishft(4095_int64, 51)

contains

  !> Evaluate the emulator on up to `block_columns` columns that the caller holds as a block.
  recursive subroutine evaluate_block(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                      workspace)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    logical, intent(in) :: is_single                      !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(block_columns, *)    !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(block_columns, *)    !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid            !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(block_columns)   !! set if an input of the column was clipped or invalid
    type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack
    real(real64) :: physical(stack_physical)
    real(wp), target :: scratch(scratch_size)
    type(groups_type) :: groups
    integer :: n_inputs, n_outputs, first, last, i, j, k

    n_inputs = plan(1)
    n_outputs = plan(3)
    if (n > 1) call choose_groups(plan, n, groups, workspace, in_block=.true.)
    last = 0
    do while (last < n)
      first = last + 1
      k = 1
      if (n > 1) k = next_group(groups, n - last)
      last = last + k
      if (k > few_columns) then
        call evaluate_columns(plan, numbers, weights, k, block_columns, is_single, x(first, 1), y(first, 1), &
                              n_clipped, n_invalid, is_outside(first), scratch, groups%in_workspace, workspace)
      else if (k*(n_inputs + n_outputs) > stack_physical) then
        call bring_together(n_inputs, first, x)
        call bring_together(n_outputs, first, y)
        call evaluate_few(plan, numbers, weights, 1, is_single, x, y, n_clipped, n_invalid, is_outside(first), &
                          scratch, workspace)
        call put_back(n_inputs, first, x)
        call put_back(n_outputs, first, y)
      else
        do i = 0, k - 1
          do j = 1, n_inputs
            physical(i*n_inputs + j) = x(first + i, j)
          end do
        end do
        call evaluate_few(plan, numbers, weights, k, is_single, physical(1), physical(k*n_inputs + 1), n_clipped, &
                          n_invalid, is_outside(first), scratch, workspace)
        do i = 0, k - 1
          do j = 1, n_inputs
            x(first + i, j) = physical(i*n_inputs + j)
          end do
          do j = 1, n_outputs
            y(first + i, j) = physical(k*n_inputs + i*n_outputs + j)
          end do
        end do
      end if
    end do

  end subroutine evaluate_block

  !> Move the values of one column to the beginning of a block, by exchange with the values there. A copy of one column
  !> with very many inputs and outputs would need a quarter of the stack that a call may have.
  pure recursive subroutine bring_together(n, column, block)
    integer, intent(in) :: n                    !! values of a column
    integer, intent(in) :: column               !! which column
    real(real64), intent(inout) :: block(*)     !! values (block_columns, n)
    real(real64) :: kept
    integer :: j

    ! A place that has its final value is not changed again, because exchanges happen at j and beyond.
    do j = 1, n
      kept = block(j)
      block(j) = block(column + (j - 1)*block_columns)
      block(column + (j - 1)*block_columns) = kept
    end do

  end subroutine bring_together

  !> Undo `bring_together`.
  pure recursive subroutine put_back(n, column, block)
    integer, intent(in) :: n                    !! values of a column
    integer, intent(in) :: column               !! which column
    real(real64), intent(inout) :: block(*)     !! values (block_columns, n)
    real(real64) :: kept
    integer :: j

    do j = n, 1, -1
      kept = block(j)
      block(j) = block(column + (j - 1)*block_columns)
      block(column + (j - 1)*block_columns) = kept
    end do

  end subroutine put_back

  !> Evaluate the emulator on the number of columns of a block, or fewer.
  recursive subroutine evaluate_columns(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                        is_outside, scratch, in_workspace, workspace)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    integer, intent(in) :: leading                        !! leading dimension of x and y, for n padded to lanes
    logical, intent(in) :: is_single                      !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(leading, *)          !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(leading, *)          !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid            !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(*)               !! set if an input of the column was clipped or invalid
    real(wp), intent(inout), target :: scratch(scratch_size)   !! memory for the buffers of the network
    logical, intent(in) :: in_workspace                   !! whether to use the workspace instead
    type(workspace_type), intent(inout), optional :: workspace   !! must then be present

    if (in_workspace) then
      call through_block(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, is_outside, &
                         workspace%scratch(aligned_place(workspace%scratch)))
    else
      call through_block(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, is_outside, &
                         scratch(aligned_place(scratch)))
    end if

  end subroutine evaluate_columns

  !> Evaluate the emulator on a block, with the given scratch array.
  recursive subroutine through_block(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                     is_outside, scratch)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    integer, intent(in) :: leading                        !! leading dimension of x and y, for n padded to lanes
    logical, intent(in) :: is_single                      !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(leading, *)          !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(leading, *)          !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid            !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(*)               !! set if an input of the column was clipped or invalid
    real(wp), intent(inout) :: scratch(*)                 !! buffers of the network
    type(layout_type) :: at
    integer :: n_inputs, n_outputs, columns, working, first, i, j
    integer(int64) :: outside(block_columns), invalid(block_columns)
    logical :: is_within

    n_inputs = plan(1)
    n_outputs = plan(3)
    at = layout_of(plan(1), plan(2), plan(3), plan(4))

    columns = block_columns
    if (n <= lanes) columns = lanes
    do j = 1, n_inputs
      do i = n + 1, columns
        x(i, j) = x(n, j)
      end do
    end do
    is_within = are_within(columns, n_inputs, leading, is_single, numbers, x)
    if (.not. is_within) call check_inputs(columns, n_inputs, leading, is_single, numbers, x, outside, invalid)

    working = min(columns, columns_at_once(plan(plan_scratch)))
    do first = 1, columns, working
      call inputs_to_features(working, n_inputs, plan(2), leading, plan(at%feature), plan(at%feature_kind), &
                              numbers(at%feature_c), x(first, 1), scratch(1 + working*plan(plan_features)))
      call run_operations(plan(4), plan(first_operation), numbers(at%slope), plan(at%tables), weights, working, &
                          scratch, scratch, 0)
      call outputs_to_physical(working, n_inputs, n_outputs, leading, plan(at%output_kind), plan(at%reference), &
                               numbers(at%output_c), numbers(at%bound), x(first, 1), &
                               scratch(1 + working*plan(plan_result)), y(first, 1))
    end do

    do i = 1, n
      is_outside(i) = .false.
    end do
    if (is_within) return
    do i = 1, n
      is_outside(i) = outside(i) + invalid(i) > 0_int64
      n_clipped = n_clipped + outside(i)
      if (invalid(i) > 0_int64) then
        n_invalid = n_invalid + 1_int64
        do j = 1, n_outputs
          y(i, j) = not_a_number()
        end do
      end if
    end do

  end subroutine through_block

  !> Evaluate the emulator on one column or a few, each with buffers of its own and without the padding of a block.
  recursive subroutine evaluate_few(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                    scratch, workspace)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to few_columns
    logical, intent(in) :: is_single                      !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(*)                   !! physical inputs (input, column); clipped on return
    real(real64), intent(inout) :: y(*)                   !! physical outputs (output, column)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid            !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(*)               !! set if an input of the column was clipped or invalid
    real(wp), intent(inout), target :: scratch(scratch_size)   !! memory for the buffers of the network
    type(workspace_type), intent(inout), optional :: workspace   !! of a network that needs one
    integer :: n_inputs, n_outputs, c, j
    integer(int64) :: outside(few_columns), invalid(few_columns)

    if (n == 1) then
      call evaluate_column(plan, numbers, weights, is_single, x, y, n_clipped, n_invalid, is_outside(1), scratch, &
                           workspace)
      return
    end if
    n_inputs = plan(1)
    n_outputs = plan(3)
    do c = 1, n
      is_outside(c) = .not. is_column_within(n_inputs, is_single, numbers, x(1 + (c - 1)*n_inputs))
      if (is_outside(c)) call check_inputs(1, n_inputs, 1, is_single, numbers, x(1 + (c - 1)*n_inputs), outside(c:c), &
                                           invalid(c:c))
    end do
    if (fit_on_stack(n, plan(plan_scratch))) then
      call through_few(plan, numbers, weights, n, x, y, scratch, scratch_size)
    else
      call through_few(plan, numbers, weights, n, x, y, workspace%scratch, size(workspace%scratch))
    end if
    do c = 1, n
      if (.not. is_outside(c)) cycle
      n_clipped = n_clipped + outside(c)
      is_outside(c) = outside(c) + invalid(c) > 0_int64
      if (invalid(c) > 0_int64) then
        n_invalid = n_invalid + 1_int64
        do j = 1, n_outputs
          y((c - 1)*n_outputs + j) = not_a_number()
        end do
      end if
    end do

  end subroutine evaluate_few

  !> Evaluate the emulator on one column, without the padding of a block.
  recursive subroutine evaluate_column(plan, numbers, weights, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                       scratch, workspace)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    logical, intent(in) :: is_single                      !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(*)                   !! physical inputs (input); clipped on return
    real(real64), intent(inout) :: y(*)                   !! physical outputs (output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid            !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside                  !! whether an input was clipped or invalid
    real(wp), intent(inout), target :: scratch(scratch_size)   !! memory for the buffers of the network
    type(workspace_type), intent(inout), optional :: workspace   !! of a network that needs one
    integer :: n_inputs, n_outputs, j
    integer(int64) :: outside(1), invalid(1)
    logical :: is_within

    n_inputs = plan(1)
    n_outputs = plan(3)
    is_within = is_column_within(n_inputs, is_single, numbers, x)
    if (.not. is_within) call check_inputs(1, n_inputs, 1, is_single, numbers, x, outside, invalid)
    if (fit_on_stack(1, plan(plan_scratch))) then
      call through_column(plan, numbers, weights, x, y, scratch, scratch_size)
    else
      call through_column(plan, numbers, weights, x, y, workspace%scratch, size(workspace%scratch))
    end if
    is_outside = .not. is_within
    if (is_within) return
    n_clipped = n_clipped + outside(1)
    is_outside = outside(1) + invalid(1) > 0_int64
    if (invalid(1) > 0_int64) then
      n_invalid = n_invalid + 1_int64
      do j = 1, n_outputs
        y(j) = not_a_number()
      end do
    end if

  end subroutine evaluate_column

  !> Evaluate the emulator on one column if all inputs are within their ranges and the network needs no workspace, with the
  !> same bits as the other procedures. Otherwise the outputs are unchanged.
  recursive subroutine evaluate_inside(plan, numbers, weights, x, y, is_inside)
    integer, intent(in) :: plan(*)            !! integers of the emulator
    real(real64), intent(in) :: numbers(*)    !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)        !! packed weights
    real(real64), intent(in) :: x(*)          !! physical inputs (input), double precision in the host
    real(real64), intent(inout) :: y(*)       !! physical outputs (output)
    logical, intent(out) :: is_inside         !! whether the outputs were computed
    real(wp), target :: scratch(scratch_size)

    is_inside = plan(plan_scratch) <= max_scratch
    if (is_inside) is_inside = is_column_within(plan(1), .false., numbers, x)
    if (.not. is_inside) return
    call through_column(plan, numbers, weights, x, y, scratch, scratch_size)

  end subroutine evaluate_inside

  !> Evaluate the emulator on one column whose inputs are within their ranges.
  recursive subroutine through_column(plan, numbers, weights, x, y, scratch, n_elements)
    integer, intent(in) :: plan(*)              !! integers of the emulator
    real(real64), intent(in) :: numbers(*)      !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)          !! packed weights
    real(real64), intent(in) :: x(*)            !! physical inputs (input)
    real(real64), intent(inout) :: y(*)         !! physical outputs (output)
    real(wp), intent(inout), target :: scratch(*)   !! memory for the buffers of the network and the transforms
    integer, intent(in) :: n_elements           !! its size
    type(layout_type) :: at
    integer :: a, free

    at = layout_of(plan(1), plan(2), plan(3), plan(4))
    ! The transforms and repeated layers use the elements after the buffers.
    a = aligned_place(scratch)
    free = a + plan(plan_scratch)
    call column_to_features(plan(1), plan(2), plan(at%feature), plan(at%feature_kind), numbers(at%feature_c), x, &
                            scratch(a + plan(plan_features)), scratch(free))
    call run_operations(plan(4), plan(first_operation), numbers(at%slope), plan(at%tables), weights, 1, scratch(a), &
                        scratch(free), n_elements - free + 1)
    call column_to_physical(plan(1), plan(3), plan(at%output_kind), plan(at%reference), numbers(at%output_c), &
                            numbers(at%bound), x, scratch(a + plan(plan_result)), y, scratch(free))

  end subroutine through_column

  !> Evaluate the emulator on a few columns whose inputs are within their ranges.
  recursive subroutine through_few(plan, numbers, weights, n, x, y, scratch, n_elements)
    integer, intent(in) :: plan(*)              !! integers of the emulator
    real(real64), intent(in) :: numbers(*)      !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)          !! packed weights
    integer, intent(in) :: n                    !! number of columns, 2 to few_columns
    real(real64), intent(in) :: x(*)            !! physical inputs (input, column)
    real(real64), intent(inout) :: y(*)         !! physical outputs (output, column)
    real(wp), intent(inout), target :: scratch(*)   !! memory for the buffers of the network and the transforms
    integer, intent(in) :: n_elements           !! its size
    type(layout_type) :: at
    integer :: a, free, step, c

    at = layout_of(plan(1), plan(2), plan(3), plan(4))
    ! The transforms and repeated layers use the elements after the buffers.
    a = aligned_place(scratch)
    step = plan(plan_scratch)
    free = a + n*step
    do c = 0, n - 1
      call column_to_features(plan(1), plan(2), plan(at%feature), plan(at%feature_kind), numbers(at%feature_c), &
                              x(1 + c*plan(1)), scratch(a + c*step + plan(plan_features)), scratch(free))
    end do
    call run_operations_of_few(plan(4), plan(first_operation), numbers(at%slope), plan(at%tables), weights, n, step, &
                               scratch(a), scratch(free), n_elements - free + 1)
    do c = 0, n - 1
      call column_to_physical(plan(1), plan(3), plan(at%output_kind), plan(at%reference), numbers(at%output_c), &
                              numbers(at%bound), x(1 + c*plan(1)), scratch(a + c*step + plan(plan_result)), &
                              y(1 + c*plan(3)), scratch(free))
    end do

  end subroutine through_few

  !> Return a quiet NaN.
  pure recursive real(real64) function not_a_number()

    not_a_number = transfer(nan_bits, 0.0_real64)

  end function not_a_number

end module emufort_core
