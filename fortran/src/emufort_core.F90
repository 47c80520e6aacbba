!> One block of columns through the whole emulator, from physical inputs to physical outputs.
!>
!> The emulator is three flat arrays, so that a module with constant data and an object that was loaded from a
!> file share this code. See docs/weights_format.md for `plan` and `numbers`:
!>
!>     plan     n_inputs, n_features, n_outputs, n_layers, widths(0:n_layers), activation(n_layers),
!>              feature(n_features), feature_kind(n_features), output_kind(n_outputs), reference(n_outputs)
!>     numbers  range(2, n_inputs), feature_coefficient(2, n_features), output_coefficient(2, n_outputs),
!>              output_bound(2, n_outputs), slope(n_layers)
!>     weights  the layers, each packed by `pack_layer`
!>
!> Nothing is allocated. A call needs at most 128 kB of stack: the values of a block between two layers (`side_size`,
!> twice) and the physical inputs and outputs of a block (`physical_size`). These arrays belong to what the host calls and
!> are handed down, so that no compiler can have them twice by inlining. A network for which that is too little is evaluated
!> on fewer columns at a time, or in a workspace that the host has made; the bits of a column do not depend on it.
module emufort_core
  use, intrinsic :: iso_c_binding, only: c_loc, c_intptr_t
  use emufort_kinds, only: wp, int64, real64, lanes, block_columns, max_width, widest_panel
  use emufort_dense, only: dense_block, dense_half_block, dense_single, packed_size, is_wide
  use emufort_activations, only: activate, activation_relu, activation_linear
  use emufort_transforms, only: are_within, is_column_within, check_inputs, inputs_to_features, outputs_to_physical, &
                                column_to_features, column_to_physical
  implicit none
  private

  !> Bits of a quiet NaN in double precision.
  integer(int64), parameter :: nan_bits = ishft(4095_int64, 51)

  !> Where the parts of an emulator begin: the first four in the plan, the others in the numbers.
  type :: layout_type
    integer :: feature        ! input of each feature
    integer :: feature_kind   ! transform of each feature
    integer :: output_kind    ! transform of each output
    integer :: reference      ! reference input of each output
    integer :: feature_c      ! coefficients of the features
    integer :: output_c       ! coefficients of the outputs
    integer :: bound          ! bounds of the outputs
    integer :: slope          ! parameters of the activations
  end type layout_type

  public :: evaluate_block, evaluate_columns, evaluate_column, evaluate_network
  public :: workspace_type, make_workspace, choose_block
  public :: plan_size, numbers_size, few_columns, physical_size, side_size, aligned_place, not_a_number

  !> Up to this number, columns are computed one by one, which costs less than a padded block.
  integer, parameter :: few_columns = 4
  !> Columns that go through the layers together: in double precision half a block.
  integer, parameter :: working_columns = merge(block_columns, lanes, is_wide)
  !> Widest layer that the stack holds for `working_columns`.
  integer, parameter :: stack_width = 256
  !> Most inputs and outputs together that the stack holds for `block_columns`.
  integer, parameter :: stack_physical = 192
  !> Scratch on the stack for one side of a layer; the last lanes are room to align it to 64 bytes. One column of the
  !> widest network (max_width, and what `column_to_physical` needs) fits as well.
  integer, parameter :: side_size = max(working_columns*(stack_width + widest_panel), max_width + 3*lanes) + lanes
  !> Room on the stack for the physical inputs and outputs of a block.
  integer, parameter :: physical_size = max(stack_physical*block_columns, max_width)

  !> Memory in which networks too large for the stack are evaluated on whole blocks of columns: made once by
  !> `make_workspace`, one for each thread. It is empty for a network that needs none.
  type :: workspace_type
    real(wp), allocatable :: first(:), second(:)      !! the two sides of a layer
    real(real64), allocatable :: physical(:)          !! physical inputs and outputs of a block
  end type workspace_type

contains

  !> Length of the plan of a network.
  pure integer(int64) function plan_size(n_features, n_outputs, n_layers)
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: n_layers     !! number of layers

    plan_size = 5_int64 + 2_int64*n_layers + 2_int64*n_features + 2_int64*n_outputs

  end function plan_size

  !> Length of the numbers of a network.
  pure integer(int64) function numbers_size(n_inputs, n_features, n_outputs, n_layers)
    integer, intent(in) :: n_inputs     !! number of inputs
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: n_layers     !! number of layers

    numbers_size = 2_int64*n_inputs + 2_int64*n_features + 4_int64*n_outputs + n_layers

  end function numbers_size

  !> Where the parts of an emulator begin.
  pure recursive type(layout_type) function layout_of(n_inputs, n_features, n_outputs, n_layers) result(at)
    integer, intent(in) :: n_inputs     !! number of inputs
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: n_layers     !! number of layers

    at%feature = 6 + 2*n_layers
    at%feature_kind = at%feature + n_features
    at%output_kind = at%feature_kind + n_features
    at%reference = at%output_kind + n_outputs
    at%feature_c = 1 + 2*n_inputs
    at%output_c = at%feature_c + 2*n_features
    at%bound = at%output_c + 2*n_outputs
    at%slope = at%bound + 2*n_outputs

  end function layout_of

  !> Evaluate the network alone: features to outputs of the last layer, both dimensionless.
  !>
  !> The layers go back and forth between `a` and `b`: the result is in `b` if their number is odd, else in `a`.
  recursive subroutine evaluate_network(n_layers, widths, activation, slope, weights, columns, a, b)
    integer, intent(in) :: n_layers                  !! number of layers
    integer, intent(in) :: widths(0:n_layers)        !! number of features, neurons of each layer
    integer, intent(in) :: activation(n_layers)      !! one of the activation_* codes for each layer
    real(real64), intent(in) :: slope(n_layers)      !! parameter of the activation of each layer
    real(wp), intent(in) :: weights(*)               !! packed weights
    integer, intent(in) :: columns                   !! 1, lanes or block_columns
    real(wp), intent(inout) :: a(*)                  !! features [1] (columns, feature); scratch
    real(wp), intent(inout) :: b(*)                  !! scratch (columns, neuron)
    integer :: l, start

    start = 1
    do l = 1, n_layers
      if (mod(l, 2) == 1) then
        call evaluate_layer(widths(l - 1), widths(l), activation(l), slope(l), weights(start), columns, a, b)
      else
        call evaluate_layer(widths(l - 1), widths(l), activation(l), slope(l), weights(start), columns, b, a)
      end if
      start = start + packed_size(widths(l - 1), widths(l))
    end do

  end subroutine evaluate_network

  !> Evaluate one layer on 1, `lanes` or `block_columns` columns.
  recursive subroutine evaluate_layer(n_in, n_out, activation, slope, weights, columns, x, y)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    integer, intent(in) :: n_out              !! number of neurons of the layer
    integer, intent(in) :: activation         !! one of the activation_* codes
    real(real64), intent(in) :: slope         !! parameter of the activation
    real(wp), intent(in) :: weights(*)        !! packed layer
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! inputs of the layer (columns, n_in)
    real(wp), intent(inout) :: y(*)           !! outputs of the layer (columns, n_out, padded)
    real(wp) :: lowest
    integer :: n

    ! relu is the maximum that the kernels take anyway; the others get a bound that changes no finite number.
    lowest = -huge(1.0_wp)
    if (activation == activation_relu) lowest = 0.0_wp
    select case (columns)
    case (1)
      call dense_single(n_in, n_out, weights, x, y, lowest)
    case (lanes)
      call dense_half_block(n_in, n_out, weights, x, y, lowest)
    case default
      call dense_block(n_in, n_out, weights, x, y, lowest)
    end select
    if (activation == activation_relu .or. activation == activation_linear) return
    ! One column is activated with the padding up to a full set of lanes, which its kernels write; the padding of a block
    ! may never have been.
    n = columns*n_out
    if (columns == 1) n = n_out + modulo(-n_out, lanes)
    call activate(activation, n, y, real(slope, wp))

  end subroutine evaluate_layer

  !> Widest layer of a network, the features included.
  pure recursive integer function widest_layer(plan)
    integer, intent(in) :: plan(*)   !! integers of the emulator
    integer :: l

    widest_layer = plan(5)
    do l = 6, 5 + plan(4)
      widest_layer = max(widest_layer, plan(l))
    end do

  end function widest_layer

  !> Room that one side of a layer needs.
  pure recursive integer function room_of_side(widest, columns)
    integer, intent(in) :: widest    !! widest layer of the network
    integer, intent(in) :: columns   !! columns of the block, lanes or block_columns

    room_of_side = min(columns, working_columns)*(widest + widest_panel) + lanes

  end function room_of_side

  !> Make the workspace of a network. It stays empty if whole blocks fit on the stack.
  subroutine make_workspace(plan, workspace, failure)
    integer, intent(in) :: plan(*)                     !! integers of the emulator
    type(workspace_type), intent(out) :: workspace     !! memory for one thread
    integer, intent(out) :: failure                    !! 0, or not if there is not enough memory
    integer :: columns, n_side
    logical :: in_workspace

    failure = 0
    call choose_block(plan, columns, in_workspace)
    if (columns == block_columns) return
    n_side = room_of_side(widest_layer(plan), block_columns)
    allocate (workspace%first(n_side), workspace%second(n_side), &
              workspace%physical(block_columns*(plan(1) + plan(3))), stat=failure)
    if (failure /= 0) return
    workspace%first = 0.0_wp
    workspace%second = 0.0_wp
    workspace%physical = 0.0_real64

  end subroutine make_workspace

  !> How many columns to gather at a time, and whether they go into the workspace or on the stack.
  !>
  !> A workspace that is missing, or was made for a smaller network, is not used.
  pure recursive subroutine choose_block(plan, columns, in_workspace, workspace, holds_physical)
    integer, intent(in) :: plan(*)                                 !! integers of the emulator
    integer, intent(out) :: columns                                !! block_columns, lanes or 1
    logical, intent(out) :: in_workspace                           !! whether to use the workspace
    type(workspace_type), intent(in), optional :: workspace        !! made for this network
    logical, intent(in), optional :: holds_physical                !! whether the caller has the physical block itself
    integer :: widest, n_physical

    widest = widest_layer(plan)
    n_physical = plan(1) + plan(3)
    if (present(holds_physical)) then
      if (holds_physical) n_physical = 0
    end if
    in_workspace = .false.
    columns = block_columns
    if (room_of_side(widest, columns) <= side_size .and. columns*n_physical <= physical_size) return
    if (present(workspace)) then
      if (allocated(workspace%physical)) then
        in_workspace = size(workspace%first) >= room_of_side(widest, columns) .and. &
                       size(workspace%physical) >= columns*n_physical
        if (in_workspace) return
      end if
    end if
    columns = lanes
    if (room_of_side(widest, columns) <= side_size .and. columns*n_physical <= physical_size) return
    columns = 1

  end subroutine choose_block

  !> Evaluate the emulator on up to `block_columns` columns that the caller holds as a block.
  recursive subroutine evaluate_block(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                      workspace)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(real64), intent(inout) :: x(block_columns, *)    !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(block_columns, *)    !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the values that were clipped
    integer(int64), intent(inout) :: n_invalid            !! incremented by the columns that hold NaN or infinity
    logical, intent(inout) :: is_outside(block_columns)   !! set if an input of the column was clipped or invalid
    type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack
    real(real64) :: one(stack_physical)
    real(wp), target :: first_side(side_size), second_side(side_size)
    integer :: n_inputs, n_outputs, columns, first, i, j
    logical :: in_workspace

    columns = 1
    if (n > few_columns) call choose_block(plan, columns, in_workspace, workspace, holds_physical=.true.)
    if (columns > 1) then
      do first = 1, n, columns
        call evaluate_columns(plan, numbers, weights, min(columns, n - first + 1), block_columns, is_single, &
                              x(first, 1), y(first, 1), n_clipped, n_invalid, is_outside(first), first_side, &
                              second_side, in_workspace, workspace)
      end do
      return
    end if
    n_inputs = plan(1)
    n_outputs = plan(3)
    if (n_inputs + n_outputs > stack_physical) then
      do i = 1, n
        call bring_together(n_inputs, i, x)
        call bring_together(n_outputs, i, y)
        call evaluate_column(plan, numbers, weights, is_single, x, y, n_clipped, n_invalid, is_outside(i), first_side, &
                             second_side)
        call put_back(n_inputs, i, x)
        call put_back(n_outputs, i, y)
      end do
      return
    end if
    do i = 1, n
      do j = 1, n_inputs
        one(j) = x(i, j)
      end do
      call evaluate_column(plan, numbers, weights, is_single, one(1), one(n_inputs + 1), n_clipped, n_invalid, &
                           is_outside(i), first_side, second_side)
      do j = 1, n_inputs
        x(i, j) = one(j)
      end do
      do j = 1, n_outputs
        y(i, j) = one(n_inputs + j)
      end do
    end do

  end subroutine evaluate_block

  !> Bring the values of one column of a block together at its beginning, by exchange with what is there: one column of
  !> very many inputs and outputs would need a quarter of the stack that a call may have.
  pure recursive subroutine bring_together(n, column, block)
    integer, intent(in) :: n                    !! values of a column
    integer, intent(in) :: column               !! which column
    real(real64), intent(inout) :: block(*)     !! values (block_columns, n)
    real(real64) :: kept
    integer :: j

    ! A place that has its value is not touched again: exchanges lie at j and beyond.
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

  !> Evaluate the emulator on as many columns as `choose_block` says, or fewer.
  recursive subroutine evaluate_columns(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                        is_outside, first, second, in_workspace, workspace)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    integer, intent(in) :: leading                        !! leading dimension of x and y, for n padded to lanes
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(real64), intent(inout) :: x(leading, *)          !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(leading, *)          !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the values that were clipped
    integer(int64), intent(inout) :: n_invalid            !! incremented by the columns that hold NaN or infinity
    logical, intent(inout) :: is_outside(*)               !! set if an input of the column was clipped or invalid
    real(wp), intent(inout), target :: first(side_size), second(side_size)   !! scratch for the two sides of a layer
    logical, intent(in) :: in_workspace                   !! whether to take the workspace instead
    type(workspace_type), intent(inout), optional :: workspace   !! must be there then

    if (in_workspace) then
      call through_block(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, is_outside, &
                         workspace%first(aligned_place(workspace%first)), &
                         workspace%second(aligned_place(workspace%second)))
    else
      call through_block(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, is_outside, &
                         first(aligned_place(first)), second(aligned_place(second)))
    end if

  end subroutine evaluate_columns

  !> Evaluate the emulator on a block in given scratch.
  recursive subroutine through_block(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                     is_outside, a, b)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    integer, intent(in) :: leading                        !! leading dimension of x and y, for n padded to lanes
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(real64), intent(inout) :: x(leading, *)          !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(leading, *)          !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the values that were clipped
    integer(int64), intent(inout) :: n_invalid            !! incremented by the columns that hold NaN or infinity
    logical, intent(inout) :: is_outside(*)               !! set if an input of the column was clipped or invalid
    real(wp), intent(inout) :: a(*), b(*)                 !! scratch for the two sides of a layer
    type(layout_type) :: at
    integer :: n_inputs, n_features, n_outputs, n_layers, columns, working, first, i, j
    integer(int64) :: outside(block_columns), invalid(block_columns)
    logical :: is_within

    n_inputs = plan(1)
    n_features = plan(2)
    n_outputs = plan(3)
    n_layers = plan(4)
    at = layout_of(n_inputs, n_features, n_outputs, n_layers)

    columns = block_columns
    if (n <= lanes) columns = lanes
    do j = 1, n_inputs
      do i = n + 1, columns
        x(i, j) = x(n, j)
      end do
    end do
    is_within = are_within(columns, n_inputs, leading, is_single, numbers, x)
    if (.not. is_within) call check_inputs(columns, n_inputs, leading, is_single, numbers, x, outside, invalid)

    working = min(columns, working_columns)
    do first = 1, columns, working
      call inputs_to_features(working, n_inputs, n_features, leading, plan(at%feature), plan(at%feature_kind), &
                              numbers(at%feature_c), x(first, 1), a)
      call evaluate_network(n_layers, plan(5), plan(6 + n_layers), numbers(at%slope), weights, working, a, b)
      if (mod(n_layers, 2) == 1) then
        call outputs_to_physical(working, n_inputs, n_outputs, leading, plan(at%output_kind), plan(at%reference), &
                                 numbers(at%output_c), numbers(at%bound), x(first, 1), b, y(first, 1))
      else
        call outputs_to_physical(working, n_inputs, n_outputs, leading, plan(at%output_kind), plan(at%reference), &
                                 numbers(at%output_c), numbers(at%bound), x(first, 1), a, y(first, 1))
      end if
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

  !> Evaluate the emulator on one column, without the padding that a block has.
  recursive subroutine evaluate_column(plan, numbers, weights, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                       first, second)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(real64), intent(inout) :: x(*)                   !! physical inputs (input); clipped on return
    real(real64), intent(inout) :: y(*)                   !! physical outputs (output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the values that were clipped
    integer(int64), intent(inout) :: n_invalid            !! incremented by the columns that hold NaN or infinity
    logical, intent(inout) :: is_outside                  !! whether an input was clipped or invalid
    real(wp), intent(inout), target :: first(side_size), second(side_size)   !! scratch for the two sides of a layer
    type(layout_type) :: at
    integer :: n_inputs, n_features, n_outputs, n_layers, j, a, b
    integer(int64) :: outside(1), invalid(1)
    logical :: is_within

    n_inputs = plan(1)
    n_features = plan(2)
    n_outputs = plan(3)
    n_layers = plan(4)
    at = layout_of(n_inputs, n_features, n_outputs, n_layers)

    is_within = is_column_within(n_inputs, is_single, numbers, x)
    if (.not. is_within) call check_inputs(1, n_inputs, 1, is_single, numbers, x, outside, invalid)

    a = aligned_place(first)
    b = aligned_place(second)
    call column_to_features(n_inputs, n_features, plan(at%feature), plan(at%feature_kind), numbers(at%feature_c), &
                            x, first(a), second(b))
    call evaluate_network(n_layers, plan(5), plan(6 + n_layers), numbers(at%slope), weights, 1, first(a), second(b))
    if (mod(n_layers, 2) == 1) then
      call column_to_physical(n_inputs, n_outputs, plan(at%output_kind), plan(at%reference), numbers(at%output_c), &
                              numbers(at%bound), x, second(b), y, first(a))
    else
      call column_to_physical(n_inputs, n_outputs, plan(at%output_kind), plan(at%reference), numbers(at%output_c), &
                              numbers(at%bound), x, first(a), y, second(b))
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

  !> A quiet NaN.
  pure recursive real(real64) function not_a_number()

    not_a_number = transfer(nan_bits, 0.0_real64)

  end function not_a_number

  !> First element of an array that lies on a boundary of 64 bytes: a vector that straddles two cache lines costs
  !> two loads.
  recursive integer function aligned_place(array)
    real(wp), intent(in), target :: array(*)   !! scratch
    integer(c_intptr_t) :: beyond

#ifdef __flang__
    ! TRANSFER is a call of flang's run-time library, which allocates.
    beyond = mod(loc(array), 64_c_intptr_t)
#else
    beyond = mod(transfer(c_loc(array), 0_c_intptr_t), 64_c_intptr_t)
#endif
    aligned_place = 1 + int(mod(64_c_intptr_t - beyond, 64_c_intptr_t)/(storage_size(1.0_wp)/8))

  end function aligned_place

end module emufort_core
