! Made from fortran/templates/predictor.fypp by `make templates`; do not edit.
#ifndef EMUFORT_LEVEL
!> A network with its transforms. It predicts from host arrays of either kind and layout, from any number of threads.
module emufort_predictor
  use emufort_kinds, only: wp, int64, real32, real64, lanes, block_columns, max_scratch
  use emufort_status, only: status_type, set_error, clear_status, to_text, emufort_success, &
                            emufort_error_limit, emufort_error_shape, emufort_error_not_loaded
  use emufort_plan, only: plan_scratch, first_operation, operation_size, operation_dense, row_code, row_n_out, &
                          row_count, layout_type, layout_of
  use emufort_plan_check, only: check_plan
  use emufort_transforms, only: transform_affine, transform_ln
  use emufort_packing, only: pack_weights
  use emufort_dense, only: few_columns
  use emufort_workspace, only: workspace_type, groups_type, choose_groups, next_group, lacks_workspace, no_workspace, &
                               aligned_place, scratch_size, physical_size, make_workspace_of => make_workspace, &
                               workspace_bytes
  use emufort_core, only: not_a_number
  use emufort_dispatch, only: evaluate_block, evaluate_columns, evaluate_few, evaluate_inside
  implicit none
  private

  public :: predictor_type

  !> The three arrays of an emulator, see emufort_plan. Predictions have it as intent(in) and allocate nothing.
  type :: predictor_type
    private
    integer, allocatable :: plan(:)
    real(real64), allocatable :: numbers(:)
    real(wp), allocatable :: weights(:)         ! packed, from first_weight on
    integer :: first_weight = 1                 ! element of the first weight, which is on a cache line
  contains
    procedure :: set_network
    procedure :: take_network
    procedure :: hand_over
    procedure :: is_loaded
    procedure :: n_inputs
    procedure :: n_outputs
    procedure :: layers
    procedure :: make_workspace
    procedure :: workspace_size
    procedure :: requires_workspace
    procedure :: predict_block
    procedure :: predict_inside
    procedure :: copy_network
    procedure :: take_power
    procedure :: give_logarithm
    procedure :: predict_real32
    procedure :: predict_real64
    generic :: predict => predict_real32, predict_real64
    procedure :: predict_transposed_real32
    procedure :: predict_transposed_real64
    generic :: predict_transposed => predict_transposed_real32, predict_transposed_real64
    procedure :: predict_strided_real32
    procedure :: predict_strided_real64
  end type predictor_type

contains

  !> Check the arrays of an emulator, pack its weights and keep them. The predictor is unchanged if there is an error.
  subroutine set_network(predictor, plan, numbers, values, status)
    class(predictor_type), intent(inout) :: predictor   !! any predictor
    integer, intent(in) :: plan(:)                      !! integers of the emulator, untrusted
    real(real64), intent(in) :: numbers(:)              !! real numbers of the emulator, untrusted
    real(real64), intent(in) :: values(:)               !! weights and biases of the dense operations, untrusted
    type(status_type), intent(inout) :: status          !! outcome
    real(wp), allocatable :: weights(:)
    integer :: first_weight

    call check_plan(plan, numbers, status)
    if (status%code /= emufort_success) return
    call pack_weights(plan(4), plan(first_operation:), values, weights, first_weight, status)
    if (status%code /= emufort_success) return
    predictor%plan = plan
    predictor%numbers = numbers
    call move_alloc(weights, predictor%weights)
    predictor%first_weight = first_weight

  end subroutine set_network

  !> Move the network of another predictor into this one.
  subroutine take_network(predictor, other)
    class(predictor_type), intent(inout) :: predictor   !! any predictor
    class(predictor_type), intent(inout) :: other       !! with a network

    call other%hand_over(predictor%plan, predictor%numbers, predictor%weights, predictor%first_weight)

  end subroutine take_network

  !> Move the arrays to a generated module that contains no weights; the predictor has no network afterwards.
  subroutine hand_over(predictor, plan, numbers, weights, first_weight)
    class(predictor_type), intent(inout) :: predictor                  !! with a network
    integer, allocatable, intent(inout) :: plan(:)                     !! integers of the emulator
    real(real64), allocatable, intent(inout) :: numbers(:)             !! real numbers of the emulator
    real(wp), allocatable, intent(inout) :: weights(:)                 !! packed weights, from first_weight on
    integer, intent(out) :: first_weight                               !! element of the first weight

    call move_alloc(predictor%plan, plan)
    call move_alloc(predictor%numbers, numbers)
    call move_alloc(predictor%weights, weights)
    first_weight = predictor%first_weight

  end subroutine hand_over

  !> Keep a copy of the arrays of a generated module.
  subroutine copy_network(predictor, plan, numbers, weights)
    class(predictor_type), intent(inout) :: predictor   !! any predictor
    integer, intent(in) :: plan(:)                      !! integers of the emulator
    real(real64), intent(in) :: numbers(:)              !! real numbers of the emulator
    real(wp), intent(in) :: weights(:)                  !! packed weights

    predictor%plan = plan
    predictor%numbers = numbers
    if (allocated(predictor%weights)) deallocate (predictor%weights)
    allocate (predictor%weights(size(weights) + lanes), source=0.0_wp)
    predictor%first_weight = aligned_place(predictor%weights)
    predictor%weights(predictor%first_weight:predictor%first_weight + size(weights) - 1) = weights

  end subroutine copy_network

  !> Let the host pass a power of an input instead of the input, which the network takes as a logarithm. The host then
  !> needs no root, and the range is that of the power.
  subroutine take_power(predictor, input, power, is_done)
    class(predictor_type), intent(inout) :: predictor   !! with a network
    integer, intent(in) :: input                        !! position in the contract
    integer, intent(in) :: power                        !! above 0
    logical, intent(out) :: is_done                     !! false: not an input that is a logarithm alone; unchanged
    type(layout_type) :: at
    integer :: f, c

    is_done = allocated(predictor%plan) .and. power > 0
    if (.not. is_done) return
    associate (plan => predictor%plan, numbers => predictor%numbers)
      at = layout_of(plan(1), plan(2), plan(3), plan(4))
      is_done = input >= 1 .and. input <= plan(1)
      if (is_done) is_done = numbers(2*input - 1) > 0.0_real64 .and. &
                             numbers(2*input) < huge(1.0_real64)**(1.0_real64/real(power, real64)) .and. &
                             .not. any(plan(at%reference:at%reference + plan(3) - 1) == input)
      do f = 0, plan(2) - 1
        if (plan(at%feature + f) == input) is_done = is_done .and. plan(at%feature_kind + f) == transform_ln
      end do
      if (.not. is_done) return
      ! ln(x*c1)*c2 = ln((x*c1)**power)*(c2/power)
      numbers(2*input - 1:2*input) = numbers(2*input - 1:2*input)**power
      do f = 0, plan(2) - 1
        if (plan(at%feature + f) /= input) cycle
        c = at%feature_c + 2*f
        numbers(c) = numbers(c)**power
        numbers(c + 1) = numbers(c + 1)/real(power, real64)
      end do
    end associate

  end subroutine take_power

  !> Give the host the logarithm of an output instead of the output, which the network computes as a logarithm.
  subroutine give_logarithm(predictor, output, is_done)
    class(predictor_type), intent(inout) :: predictor   !! with a network
    integer, intent(in) :: output                       !! position in the contract
    logical, intent(out) :: is_done                     !! false: not an output that is an exponential alone; unchanged
    type(layout_type) :: at
    integer :: j, c

    is_done = allocated(predictor%plan)
    if (.not. is_done) return
    associate (plan => predictor%plan, numbers => predictor%numbers)
      at = layout_of(plan(1), plan(2), plan(3), plan(4))
      j = output - 1
      is_done = j >= 0 .and. j < plan(3)
      if (is_done) is_done = plan(at%output_kind + j) == transform_ln .and. plan(at%reference + j) == 0
      if (.not. is_done) return
      ! c2*exp(z*c1)
      plan(at%output_kind + j) = transform_affine
      c = at%output_c + 2*j
      numbers(c + 1) = log(numbers(c + 1))
      do c = at%bound + 2*j, at%bound + 2*j + 1
        if (numbers(c) > 0.0_real64) then
          numbers(c) = log(numbers(c))
        else
          numbers(c) = -huge(1.0_real64)
        end if
      end do
    end associate

  end subroutine give_logarithm

  !> Whether there is a network.
  pure recursive logical function is_loaded(predictor)
    class(predictor_type), intent(in) :: predictor   !! any predictor

    is_loaded = allocated(predictor%plan)

  end function is_loaded

  !> Return the number of input columns; 0 before `load`.
  pure recursive integer function n_inputs(predictor)
    class(predictor_type), intent(in) :: predictor   !! any predictor

    n_inputs = 0
    if (allocated(predictor%plan)) n_inputs = predictor%plan(1)

  end function n_inputs

  !> Return the number of output columns; 0 before `load`.
  pure recursive integer function n_outputs(predictor)
    class(predictor_type), intent(in) :: predictor   !! any predictor

    n_outputs = 0
    if (allocated(predictor%plan)) n_outputs = predictor%plan(3)

  end function n_outputs

  !> Return the sizes of the network, such as 15-64-64-1: its features and the neurons of each dense layer, 60x32 for one
  !> that is evaluated 60 times. The features of other operations are in parentheses. Of many operations, the first and the
  !> last are given.
  function layers(predictor) result(text)
    class(predictor_type), intent(in) :: predictor   !! with a network
    character(len=:), allocatable :: text
    integer, parameter :: most = 64
    integer :: i

    text = to_text(predictor%plan(2))
    do i = 1, predictor%plan(4)
      if (i == most .and. predictor%plan(4) > most) text = text//'-...'
      if (i >= most .and. i < predictor%plan(4)) cycle
      associate (operation => predictor%plan(first_operation + (i - 1)*operation_size: &
                                             first_operation + i*operation_size - 1))
        if (operation(row_code) /= operation_dense) then
          text = text//'-('//to_text(operation(row_n_out))//')'
        else if (operation(row_count) > 1) then
          text = text//'-'//to_text(operation(row_count))//'x'//to_text(operation(row_n_out))
        else
          text = text//'-'//to_text(operation(row_n_out))
        end if
      end associate
    end do

  end function layers

  !> Make the workspace in which a wide network is evaluated on whole blocks of columns. Each thread needs its own.
  !>
  !> Without a workspace `predict` gives the same bits, but takes longer for networks that are too large for the stack, and
  !> gives an error for those of which not even one column fits there. For other networks the workspace stays empty. Call
  !> this procedure again after another `load`.
  subroutine make_workspace(predictor, workspace, status)
    class(predictor_type), intent(in) :: predictor        !! with a network
    type(workspace_type), intent(out) :: workspace        !! last argument of `predict`
    type(status_type), intent(out) :: status              !! outcome
    integer :: failure

    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'make_workspace', 'the emulator has not been loaded')
      return
    end if
    call make_workspace_of(predictor%plan, workspace, failure)
    if (failure /= 0) call set_error(status, emufort_error_limit, 'make_workspace', 'no memory for a workspace')

  end subroutine make_workspace

  !> Return the size of the workspace in bytes; 0 if the network needs none, and before `load`.
  pure integer(int64) function workspace_size(predictor)
    class(predictor_type), intent(in) :: predictor   !! any predictor

    workspace_size = 0_int64
    if (allocated(predictor%plan)) workspace_size = workspace_bytes(predictor%plan)

  end function workspace_size

  !> Whether predictions without a workspace give an error, because not even one column fits on the stack.
  pure logical function requires_workspace(predictor)
    class(predictor_type), intent(in) :: predictor   !! any predictor

    requires_workspace = allocated(predictor%plan)
    if (requires_workspace) requires_workspace = lacks_workspace(predictor%plan)

  end function requires_workspace

  !> Predict for one block of columns that the host gathers itself, such as from one array per variable.
  recursive subroutine predict_block(predictor, n, is_single, x, y, status, is_outside, workspace)
    class(predictor_type), intent(in) :: predictor        !! with a network
    integer, intent(in) :: n                              !! number of columns, 0 to block_columns
    logical, intent(in) :: is_single                      !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(block_columns, *)    !! inputs (column, n_inputs); padded and clipped on return
    real(real64), intent(inout) :: y(block_columns, *)    !! outputs (column, n_outputs)
    type(status_type), intent(inout) :: status            !! outcome; its counts are incremented
    logical, intent(out) :: is_outside(block_columns)     !! columns with an input out of range or invalid
    type(workspace_type), intent(inout), optional :: workspace   !! by `make_workspace`, one per thread

    is_outside = .false.
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict_block', 'the emulator has not been loaded')
    else if (n < 0 .or. n > block_columns) then
      call set_error(status, emufort_error_shape, 'predict_block', 'the number of columns must be 0 to that of a block')
    else if (lacks_workspace(predictor%plan, workspace)) then
      call set_error(status, emufort_error_limit, 'predict_block', no_workspace)
      y(1:n, 1:predictor%plan(3)) = not_a_number()
      is_outside(1:n) = .true.
    else if (n > 0) then
      call evaluate_block(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, is_single, &
                          x, y, status%n_clipped, status%n_invalid, is_outside, workspace)
    end if

  end subroutine predict_block

  !> Predict for one column if all its inputs are within their ranges, for hosts that pass one column per call. Networks
  !> that need a workspace are not computed.
  recursive subroutine predict_inside(predictor, x, y, is_inside)
    class(predictor_type), intent(in) :: predictor        !! with a network
    real(real64), intent(in) :: x(*)                      !! inputs (n_inputs), double precision in the host
    real(real64), intent(inout) :: y(*)                   !! outputs (n_outputs); unchanged if not inside
    logical, intent(out) :: is_inside                     !! whether the outputs were computed

    is_inside = allocated(predictor%plan)
    if (is_inside) call evaluate_inside(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), &
                                        x, y, is_inside)

  end subroutine predict_inside

  !> Predict, host arrays in single
  !> precision.
  recursive subroutine predict_real32(predictor, x, y, status, is_outside, workspace)
    class(predictor_type), intent(in) :: predictor          !! with a network
    real(real32), intent(in) :: x(:, :)                      !! inputs in contract order and units (ncol, n_inputs)
    real(real32), intent(inout) :: y(:, :)                   !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(inout) :: status              !! outcome, numbers of clipped values and invalid columns
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, one per thread
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: n_in, n_out, ncol, columns, first, last, n, i, j

    call clear_status(status)
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = predictor%plan(1)
    n_out = predictor%plan(3)
    ncol = size(x, 1)
    if (size(x, 2) /= n_in .or. size(y, 2) /= n_out .or. &
        size(y, 1) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (ncol, n_inputs) and y (ncol, n_outputs)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    if (predictor%plan(plan_scratch) > max_scratch) then
      if (lacks_workspace(predictor%plan, workspace)) then
        call set_error(status, emufort_error_limit, 'predict', no_workspace)
        first = 0
        n = ncol
        do j = 1, n_out
          do i = 1, n
            y(first + i, j) = real(not_a_number(), real32)
          end do
        end do
        if (present(is_outside)) is_outside = .true.
        return
      end if
    end if
    if (ncol > 1) call choose_groups(predictor%plan, ncol, groups, workspace)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack((i - 1)*n_in + j) = real(x(first + i, j), real64)
          end do
        end do
        call evaluate_few(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, .true., &
                          on_stack(1), on_stack(n*n_in + 1), status%n_clipped, status%n_invalid, outside, scratch, &
                          workspace)
        do i = 1, n
          do j = 1, n_out
            y(first + i, j) = real(on_stack(n*n_in + (i - 1)*n_out + j), real32)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do j = 1, n_in
        do i = 1, n
          block_x(i + (j - 1)*columns) = real(x(first + i, j), real64)
        end do
      end do
      call evaluate_columns(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, columns, &
                            .true., block_x, block_y, status%n_clipped, status%n_invalid, outside, scratch, &
                            groups%in_workspace, workspace)
      do j = 1, n_out
        do i = 1, n
          y(first + i, j) = real(block_y(i + (j - 1)*columns), real32)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_real32

  !> Predict, host arrays in double
  !> precision.
  recursive subroutine predict_real64(predictor, x, y, status, is_outside, workspace)
    class(predictor_type), intent(in) :: predictor          !! with a network
    real(real64), intent(in) :: x(:, :)                      !! inputs in contract order and units (ncol, n_inputs)
    real(real64), intent(inout) :: y(:, :)                   !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(inout) :: status              !! outcome, numbers of clipped values and invalid columns
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, one per thread
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: n_in, n_out, ncol, columns, first, last, n, i, j

    call clear_status(status)
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = predictor%plan(1)
    n_out = predictor%plan(3)
    ncol = size(x, 1)
    if (size(x, 2) /= n_in .or. size(y, 2) /= n_out .or. &
        size(y, 1) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (ncol, n_inputs) and y (ncol, n_outputs)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    if (predictor%plan(plan_scratch) > max_scratch) then
      if (lacks_workspace(predictor%plan, workspace)) then
        call set_error(status, emufort_error_limit, 'predict', no_workspace)
        first = 0
        n = ncol
        do j = 1, n_out
          do i = 1, n
            y(first + i, j) = not_a_number()
          end do
        end do
        if (present(is_outside)) is_outside = .true.
        return
      end if
    end if
    if (ncol > 1) call choose_groups(predictor%plan, ncol, groups, workspace)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack((i - 1)*n_in + j) = x(first + i, j)
          end do
        end do
        call evaluate_few(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, .false., &
                          on_stack(1), on_stack(n*n_in + 1), status%n_clipped, status%n_invalid, outside, scratch, &
                          workspace)
        do i = 1, n
          do j = 1, n_out
            y(first + i, j) = on_stack(n*n_in + (i - 1)*n_out + j)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do j = 1, n_in
        do i = 1, n
          block_x(i + (j - 1)*columns) = x(first + i, j)
        end do
      end do
      call evaluate_columns(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, columns, &
                            .false., block_x, block_y, status%n_clipped, status%n_invalid, outside, scratch, &
                            groups%in_workspace, workspace)
      do j = 1, n_out
        do i = 1, n
          y(first + i, j) = block_y(i + (j - 1)*columns)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_real64

  !> Predict with the variable as the fastest dimension, host arrays in single
  !> precision.
  recursive subroutine predict_transposed_real32(predictor, x, y, status, is_outside, workspace)
    class(predictor_type), intent(in) :: predictor          !! with a network
    real(real32), intent(in) :: x(:, :)                      !! inputs in contract order and units (n_inputs, ncol)
    real(real32), intent(inout) :: y(:, :)                   !! outputs in contract order and units (n_outputs, ncol)
    type(status_type), intent(inout) :: status              !! outcome, numbers of clipped values and invalid columns
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, one per thread
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: n_in, n_out, ncol, columns, first, last, n, i, j

    call clear_status(status)
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = predictor%plan(1)
    n_out = predictor%plan(3)
    ncol = size(x, 2)
    if (size(x, 1) /= n_in .or. size(y, 1) /= n_out .or. &
        size(y, 2) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (n_inputs, ncol) and y (n_outputs, ncol)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    if (predictor%plan(plan_scratch) > max_scratch) then
      if (lacks_workspace(predictor%plan, workspace)) then
        call set_error(status, emufort_error_limit, 'predict', no_workspace)
        first = 0
        n = ncol
        do i = 1, n
          do j = 1, n_out
            y(j, first + i) = real(not_a_number(), real32)
          end do
        end do
        if (present(is_outside)) is_outside = .true.
        return
      end if
    end if
    if (ncol > 1) call choose_groups(predictor%plan, ncol, groups, workspace)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack((i - 1)*n_in + j) = real(x(j, first + i), real64)
          end do
        end do
        call evaluate_few(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, .true., &
                          on_stack(1), on_stack(n*n_in + 1), status%n_clipped, status%n_invalid, outside, scratch, &
                          workspace)
        do i = 1, n
          do j = 1, n_out
            y(j, first + i) = real(on_stack(n*n_in + (i - 1)*n_out + j), real32)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do i = 1, n
        do j = 1, n_in
          block_x(i + (j - 1)*columns) = real(x(j, first + i), real64)
        end do
      end do
      call evaluate_columns(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, columns, &
                            .true., block_x, block_y, status%n_clipped, status%n_invalid, outside, scratch, &
                            groups%in_workspace, workspace)
      do i = 1, n
        do j = 1, n_out
          y(j, first + i) = real(block_y(i + (j - 1)*columns), real32)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_transposed_real32

  !> Predict with the variable as the fastest dimension, host arrays in double
  !> precision.
  recursive subroutine predict_transposed_real64(predictor, x, y, status, is_outside, workspace)
    class(predictor_type), intent(in) :: predictor          !! with a network
    real(real64), intent(in) :: x(:, :)                      !! inputs in contract order and units (n_inputs, ncol)
    real(real64), intent(inout) :: y(:, :)                   !! outputs in contract order and units (n_outputs, ncol)
    type(status_type), intent(inout) :: status              !! outcome, numbers of clipped values and invalid columns
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, one per thread
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: n_in, n_out, ncol, columns, first, last, n, i, j

    call clear_status(status)
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = predictor%plan(1)
    n_out = predictor%plan(3)
    ncol = size(x, 2)
    if (size(x, 1) /= n_in .or. size(y, 1) /= n_out .or. &
        size(y, 2) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (n_inputs, ncol) and y (n_outputs, ncol)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    if (predictor%plan(plan_scratch) > max_scratch) then
      if (lacks_workspace(predictor%plan, workspace)) then
        call set_error(status, emufort_error_limit, 'predict', no_workspace)
        first = 0
        n = ncol
        do i = 1, n
          do j = 1, n_out
            y(j, first + i) = not_a_number()
          end do
        end do
        if (present(is_outside)) is_outside = .true.
        return
      end if
    end if
    if (ncol > 1) call choose_groups(predictor%plan, ncol, groups, workspace)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack((i - 1)*n_in + j) = x(j, first + i)
          end do
        end do
        call evaluate_few(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, .false., &
                          on_stack(1), on_stack(n*n_in + 1), status%n_clipped, status%n_invalid, outside, scratch, &
                          workspace)
        do i = 1, n
          do j = 1, n_out
            y(j, first + i) = on_stack(n*n_in + (i - 1)*n_out + j)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do i = 1, n
        do j = 1, n_in
          block_x(i + (j - 1)*columns) = x(j, first + i)
        end do
      end do
      call evaluate_columns(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, columns, &
                            .false., block_x, block_y, status%n_clipped, status%n_invalid, outside, scratch, &
                            groups%in_workspace, workspace)
      do i = 1, n
        do j = 1, n_out
          y(j, first + i) = block_y(i + (j - 1)*columns)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_transposed_real64

  !> Predict from host arrays of any shape in single precision, without copies. The strides are the numbers of
  !> elements from one column to the next, and from one variable to the next.
  recursive subroutine predict_strided_real32(predictor, ncol, x, x_strides, y, y_strides, status, is_outside, &
                                              workspace)
    class(predictor_type), intent(in) :: predictor          !! with a network
    integer, intent(in) :: ncol                             !! number of columns
    real(real32), intent(in) :: x(*)                         !! inputs in contract order and units
    integer, intent(in) :: x_strides(2)                     !! strides of x
    real(real32), intent(inout) :: y(*)                      !! outputs in contract order and units
    integer, intent(in) :: y_strides(2)                     !! strides of y
    type(status_type), intent(inout) :: status              !! outcome, numbers of clipped values and invalid columns
    logical, intent(out), optional :: is_outside(ncol)      !! columns with an input out of range or invalid
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, one per thread
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: n_in, n_out, columns, first, last, n, i, j

    call clear_status(status)
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = predictor%plan(1)
    n_out = predictor%plan(3)
    if (ncol < 0 .or. any(x_strides < 0) .or. any(y_strides < 0)) then
      call set_error(status, emufort_error_shape, 'predict', 'ncol or a stride is negative')
      return
    end if
    if (ncol < 1) return
    if (predictor%plan(plan_scratch) > max_scratch) then
      if (lacks_workspace(predictor%plan, workspace)) then
        call set_error(status, emufort_error_limit, 'predict', no_workspace)
        first = 0
        n = ncol
        do j = 1, n_out
          do i = 1, n
            y(element(first + i, j, y_strides)) = real(not_a_number(), real32)
          end do
        end do
        if (present(is_outside)) is_outside = .true.
        return
      end if
    end if
    if (ncol > 1) call choose_groups(predictor%plan, ncol, groups, workspace)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack((i - 1)*n_in + j) = real(x(element(first + i, j, x_strides)), real64)
          end do
        end do
        call evaluate_few(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, .true., &
                          on_stack(1), on_stack(n*n_in + 1), status%n_clipped, status%n_invalid, outside, scratch, &
                          workspace)
        do i = 1, n
          do j = 1, n_out
            y(element(first + i, j, y_strides)) = real(on_stack(n*n_in + (i - 1)*n_out + j), real32)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do j = 1, n_in
        do i = 1, n
          block_x(i + (j - 1)*columns) = real(x(element(first + i, j, x_strides)), real64)
        end do
      end do
      call evaluate_columns(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, columns, &
                            .true., block_x, block_y, status%n_clipped, status%n_invalid, outside, scratch, &
                            groups%in_workspace, workspace)
      do j = 1, n_out
        do i = 1, n
          y(element(first + i, j, y_strides)) = real(block_y(i + (j - 1)*columns), real32)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_strided_real32

  !> Predict from host arrays of any shape in double precision, without copies. The strides are the numbers of
  !> elements from one column to the next, and from one variable to the next.
  recursive subroutine predict_strided_real64(predictor, ncol, x, x_strides, y, y_strides, status, is_outside, &
                                              workspace)
    class(predictor_type), intent(in) :: predictor          !! with a network
    integer, intent(in) :: ncol                             !! number of columns
    real(real64), intent(in) :: x(*)                         !! inputs in contract order and units
    integer, intent(in) :: x_strides(2)                     !! strides of x
    real(real64), intent(inout) :: y(*)                      !! outputs in contract order and units
    integer, intent(in) :: y_strides(2)                     !! strides of y
    type(status_type), intent(inout) :: status              !! outcome, numbers of clipped values and invalid columns
    logical, intent(out), optional :: is_outside(ncol)      !! columns with an input out of range or invalid
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, one per thread
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: n_in, n_out, columns, first, last, n, i, j

    call clear_status(status)
    if (.not. allocated(predictor%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = predictor%plan(1)
    n_out = predictor%plan(3)
    if (ncol < 0 .or. any(x_strides < 0) .or. any(y_strides < 0)) then
      call set_error(status, emufort_error_shape, 'predict', 'ncol or a stride is negative')
      return
    end if
    if (ncol < 1) return
    if (predictor%plan(plan_scratch) > max_scratch) then
      if (lacks_workspace(predictor%plan, workspace)) then
        call set_error(status, emufort_error_limit, 'predict', no_workspace)
        first = 0
        n = ncol
        do j = 1, n_out
          do i = 1, n
            y(element(first + i, j, y_strides)) = not_a_number()
          end do
        end do
        if (present(is_outside)) is_outside = .true.
        return
      end if
    end if
    if (ncol > 1) call choose_groups(predictor%plan, ncol, groups, workspace)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack((i - 1)*n_in + j) = x(element(first + i, j, x_strides))
          end do
        end do
        call evaluate_few(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, .false., &
                          on_stack(1), on_stack(n*n_in + 1), status%n_clipped, status%n_invalid, outside, scratch, &
                          workspace)
        do i = 1, n
          do j = 1, n_out
            y(element(first + i, j, y_strides)) = on_stack(n*n_in + (i - 1)*n_out + j)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do j = 1, n_in
        do i = 1, n
          block_x(i + (j - 1)*columns) = x(element(first + i, j, x_strides))
        end do
      end do
      call evaluate_columns(predictor%plan, predictor%numbers, predictor%weights(predictor%first_weight), n, columns, &
                            .false., block_x, block_y, status%n_clipped, status%n_invalid, outside, scratch, &
                            groups%in_workspace, workspace)
      do j = 1, n_out
        do i = 1, n
          y(element(first + i, j, y_strides)) = block_y(i + (j - 1)*columns)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_strided_real64

  !> Return the place of the value of a variable in a host array.
  pure recursive integer(int64) function element(column, variable, strides)
    integer, intent(in) :: column       !! column, from 1
    integer, intent(in) :: variable     !! variable, from 1
    integer, intent(in) :: strides(2)   !! elements from one column to the next, and from one variable to the next

    element = 1_int64 + (column - 1_int64)*strides(1) + (variable - 1_int64)*strides(2)

  end function element

end module emufort_predictor
#endif
