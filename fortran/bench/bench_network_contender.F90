!> The kernels of the runtime as a contender: a network between host arrays, divided into the blocks of the runtime.
module bench_network_contender
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: wp, lanes, block_columns
  use emufort_operations, only: run_operations, run_operations_of_few
  use emufort_plan, only: layout_type, layout_of, plan_scratch, plan_features, plan_result, first_operation
  use emufort_dense, only: few_columns
  use emufort_workspace, only: workspace_type, groups_type, choose_groups, next_group, aligned_place, columns_at_once
  use bench_worker, only: contender_type, hp, chunk_of, fail
  implicit none
  private

  public :: kernel_contender_type

  !> A network. Its transforms are ignored: the host passes features and gets results.
  type, extends(contender_type) :: kernel_contender_type
    integer :: n_threads = 1                   !! threads among which the columns of a call are split
    logical :: is_part = .false.               !! whether features are in blocks before the call
    integer, allocatable :: plan(:)            !! integers of the emulator
    real(real64), allocatable :: numbers(:)    !! real numbers of the emulator
    real(wp), allocatable :: weights(:)        !! packed weights, from `first` on
    integer :: first = 1                       !! on a cache line, as for constants of a module
    real(wp), allocatable :: scratch(:, :)     !! buffers of the network (value, thread)
    type(workspace_type) :: workspace          !! as a host would make it, for the choice of the blocks alone
  contains
    procedure :: prepare
    procedure :: calls
  end type kernel_contender_type

contains

  !> Load the network.
  subroutine prepare(contender, filename)
    class(kernel_contender_type), intent(inout) :: contender   !! any contender
    character(len=*), intent(in) :: filename                   !! path of weights.bin
    type(emulator_type) :: emulator
    type(status_type) :: status

    call emulator%load(filename, status)
    if (status%code /= emufort_success) call fail(trim(status%message))
    contender%n_outputs = emulator%n_outputs()
    call emulator%make_workspace(contender%workspace, status)
    if (status%code /= emufort_success) call fail(trim(status%message))
    call emulator%hand_over(contender%plan, contender%numbers, contender%weights, contender%first)
    associate (n_scratch => contender%plan(plan_scratch))
      allocate (contender%scratch(columns_at_once(n_scratch)*n_scratch + lanes, contender%n_threads), source=0.0_wp)
    end associate

  end subroutine prepare

  !> Implement the interface in bench_worker.
  subroutine calls(contender, n_passes, x, y)
    class(kernel_contender_type), intent(inout) :: contender   !! contender that is timed
    integer(int64), intent(in) :: n_passes                     !! number of passes over all calls
    real(hp), contiguous, intent(in) :: x(:, :, :)                         !! inputs (ncol, n_inputs, n_calls)
    real(hp), contiguous, intent(inout) :: y(:, :, :)                      !! outputs (ncol, n_outputs, n_calls)
    integer(int64) :: pass
    integer :: call, ncol, thread, first, last

    if (contender%is_part) then
      call passes_over_blocks(contender, n_passes, x, y)
      return
    end if
    ncol = size(x, 1)
    do pass = 1_int64, n_passes
      do call = 1, size(x, 3)
        if (contender%n_threads == 1 .or. ncol <= block_columns) then
          call columns_of_call(contender%plan, contender%numbers, contender%weights(contender%first), ncol, 1, ncol, &
                               x(:, :, call), y(:, :, call), contender%scratch(:, 1), contender%workspace)
        else
          !$omp parallel do default(shared) private(first, last) num_threads(contender%n_threads)
          do thread = 0, contender%n_threads - 1
            call chunk_of(ncol, contender%n_threads, thread, first, last)
            call columns_of_call(contender%plan, contender%numbers, contender%weights(contender%first), ncol, first, &
                                 last, x(:, :, call), y(:, :, call), contender%scratch(:, thread + 1), &
                                 contender%workspace)
          end do
          !$omp end parallel do
        end if
      end do
    end do

  end subroutine calls

  !> Evaluate some columns of a call, in the blocks of the runtime.
  recursive subroutine columns_of_call(plan, numbers, weights, ncol, first, last, x, y, scratch, workspace)
    integer, intent(in) :: plan(*)                !! integers of the emulator
    real(real64), intent(in) :: numbers(*)        !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)            !! packed weights
    integer, intent(in) :: ncol                   !! columns of the call
    integer, intent(in) :: first                  !! first column
    integer, intent(in) :: last                   !! last column
    real(hp), intent(in) :: x(ncol, *)            !! inputs
    real(hp), intent(inout) :: y(ncol, *)         !! outputs
    real(wp), intent(inout), target :: scratch(*) !! buffers of the network
    type(workspace_type), intent(in) :: workspace !! as a host would make it
    type(groups_type) :: groups
    integer :: a, at, n, columns, step

    if (last > first) call choose_groups(plan, last - first + 1, groups, workspace)
    a = aligned_place(scratch)
    step = plan(plan_scratch)
    at = first
    do while (at <= last)
      call next_block(plan, groups, last - at + 1, n, columns)
      call gather(ncol, n, columns, step, plan(2), x(at, 1), scratch(place_of(a, columns, plan(plan_features))))
      call run(plan, numbers, weights, columns, scratch(a))
      call scatter(ncol, n, columns, step, plan(3), scratch(place_of(a, columns, plan(plan_result))), y(at, 1))
      at = at + n
    end do

  end subroutine columns_of_call

  !> Run the operations on one block.
  recursive subroutine run(plan, numbers, weights, columns, scratch)
    integer, intent(in) :: plan(*)                !! integers of the emulator
    real(real64), intent(in) :: numbers(*)        !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)            !! packed weights
    integer, intent(in) :: columns                !! lanes, block_columns, or a few
    real(wp), intent(inout) :: scratch(*)         !! buffers of the network
    type(layout_type) :: at

    at = layout_of(plan(1), plan(2), plan(3), plan(4))
    if (columns > 1 .and. columns <= few_columns) then
      call run_operations_of_few(plan(4), plan(first_operation), numbers(at%slope), plan(at%tables), weights, columns, &
                                 plan(plan_scratch), scratch, scratch(1 + columns*plan(plan_scratch)), &
                                 (columns_at_once(plan(plan_scratch)) - columns)*plan(plan_scratch))
      return
    end if
    call run_operations(plan(4), plan(first_operation), numbers(at%slope), plan(at%tables), weights, columns, scratch, &
                        scratch(1 + columns*plan(plan_scratch)), &
                        (columns_at_once(plan(plan_scratch)) - columns)*plan(plan_scratch))

  end subroutine run

  !> Return the element at which a buffer begins.
  pure integer function place_of(a, columns, place)
    integer, intent(in) :: a           !! first element of all buffers
    integer, intent(in) :: columns     !! lanes, block_columns, or a few
    integer, intent(in) :: place       !! place of the buffer in the plan

    place_of = a + merge(1, columns, columns <= few_columns)*place

  end function place_of

  !> Evaluate the network on contiguous blocks: a call without the copies from and to the host.
  !>
  !> The blocks are made before the passes, and the outputs of the host after them. A pass copies the features of a
  !> block to the scratch array of the network, because the network overwrites them, and keeps the outputs.
  subroutine passes_over_blocks(contender, n_passes, x, y)
    class(kernel_contender_type), intent(inout) :: contender   !! contender that is timed
    integer(int64), intent(in) :: n_passes                     !! number of passes over all calls
    real(hp), contiguous, intent(in) :: x(:, :, :)             !! inputs (ncol, n_inputs, n_calls)
    real(hp), contiguous, intent(inout) :: y(:, :, :)          !! outputs (ncol, n_outputs, n_calls)
    real(wp), allocatable, target :: features(:), outputs(:)
    real(wp), allocatable, target :: scratch(:)
    integer, allocatable :: columns(:)
    integer(int64) :: pass
    type(groups_type) :: groups
    integer :: a, at, n, width, ncol, n_in, n_out, n_blocks, call, k, c, from, to, at_features, at_outputs

    ncol = size(x, 1)
    if (ncol > 1) call choose_groups(contender%plan, ncol, groups, contender%workspace)
    n_in = size(x, 2)
    n_out = size(y, 2)
    ! The blocks of one call; all calls have the same.
    allocate (columns(ncol))
    n_blocks = 0
    at = 1
    do while (at <= ncol)
      n_blocks = n_blocks + 1
      call next_block(contender%plan, groups, ncol - at + 1, n, columns(n_blocks))
      at = at + n
    end do
    width = sum(columns(1:n_blocks))
    allocate (features(width*n_in*size(x, 3) + lanes), outputs(width*n_out*size(x, 3) + lanes))
    at_features = aligned_place(features)
    at_outputs = aligned_place(outputs)
    allocate (scratch(size(contender%scratch, 1)))
    a = aligned_place(scratch)
    do call = 1, size(x, 3)
      call to_blocks(contender%plan, groups, ncol, n_in, x(:, :, call), features(at_features + (call - 1)*width*n_in))
    end do

    associate (plan => contender%plan, numbers => contender%numbers)
      do pass = 1_int64, n_passes
        from = at_features
        to = at_outputs
        do call = 1, size(x, 3)
          do k = 1, n_blocks
            n = columns(k)
            if (n <= few_columns) then
              do c = 0, n - 1
                call copy_values(n_in, features(from + c*n_in), &
                                 scratch(a + c*plan(plan_scratch) + plan(plan_features)))
              end do
            else
              call copy_values(n*n_in, features(from), scratch(a + n*plan(plan_features)))
            end if
            call run(plan, numbers, contender%weights(contender%first), n, scratch(a))
            if (n <= few_columns) then
              do c = 0, n - 1
                call copy_values(n_out, scratch(a + c*plan(plan_scratch) + plan(plan_result)), outputs(to + c*n_out))
              end do
            else
              call copy_values(n*n_out, scratch(a + n*plan(plan_result)), outputs(to))
            end if
            from = from + n*n_in
            to = to + n*n_out
          end do
        end do
      end do
    end associate

    do call = 1, size(x, 3)
      call from_blocks(contender%plan, groups, ncol, n_out, outputs(at_outputs + (call - 1)*width*n_out), y(:, :, call))
    end do

  end subroutine passes_over_blocks

  !> Copy values. Full sets of lanes take one or two instructions. For an array section, gfortran would call memcpy and
  !> flang its run-time library, which is slow for a single column.
  pure recursive subroutine copy_values(n, from, to)
    integer, intent(in) :: n              !! number of values
    real(wp), intent(in) :: from(*)       !! values
    real(wp), intent(inout) :: to(*)      !! destination
    integer :: first, i

    do first = 0, n - lanes, lanes
      do i = first + 1, first + lanes
        to(i) = from(i)
      end do
    end do
    do i = n - mod(n, lanes) + 1, n
      to(i) = from(i)
    end do

  end subroutine copy_values

  !> Divide the inputs of a call into contiguous blocks.
  subroutine to_blocks(plan, groups, ncol, n_inputs, x, blocks)
    integer, intent(in) :: plan(:)               !! integers of the emulator
    type(groups_type), intent(in) :: groups      !! how the columns are divided
    integer, intent(in) :: ncol                  !! columns of the call
    integer, intent(in) :: n_inputs              !! number of inputs
    real(hp), intent(in) :: x(ncol, n_inputs)    !! inputs of the host
    real(wp), intent(inout) :: blocks(*)         !! (column, input) of each block
    integer :: at, place, n, columns

    at = 1
    place = 1
    do while (at <= ncol)
      call next_block(plan, groups, ncol - at + 1, n, columns)
      call gather(ncol, n, columns, n_inputs, n_inputs, x(at, 1), blocks(place))
      place = place + columns*n_inputs
      at = at + n
    end do

  end subroutine to_blocks

  !> Copy outputs from the blocks to the array of the host.
  subroutine from_blocks(plan, groups, ncol, n_outputs, blocks, y)
    integer, intent(in) :: plan(:)                   !! integers of the emulator
    type(groups_type), intent(in) :: groups          !! how the columns are divided
    integer, intent(in) :: ncol                      !! columns of the call
    integer, intent(in) :: n_outputs                 !! number of outputs
    real(wp), intent(in) :: blocks(*)                !! (column, output) of each block
    real(hp), intent(inout) :: y(ncol, n_outputs)    !! outputs of the host
    integer :: at, place, n, columns

    at = 1
    place = 1
    do while (at <= ncol)
      call next_block(plan, groups, ncol - at + 1, n, columns)
      call scatter(ncol, n, columns, n_outputs, n_outputs, blocks(place), y(at, 1))
      place = place + columns*n_outputs
      at = at + n
    end do

  end subroutine from_blocks

  !> Return the block that the runtime takes from the remaining columns.
  pure subroutine next_block(plan, groups, n_left, n, columns)
    integer, intent(in) :: plan(*)             !! integers of the emulator
    type(groups_type), intent(in) :: groups    !! how the columns are divided
    integer, intent(in) :: n_left              !! remaining columns, at least 1
    integer, intent(out) :: n                  !! columns in the block
    integer, intent(out) :: columns            !! lanes or block_columns, to which the block is padded, or n if a few

    n = 1
    if (n_left > 1) n = next_group(groups, n_left)
    columns = n
    if (n <= few_columns) return
    n = min(columns_at_once(plan(plan_scratch)), n)
    columns = merge(lanes, block_columns, n <= lanes)

  end subroutine next_block

  !> Copy the inputs of a block from the array of the host.
  pure recursive subroutine gather(ncol, n, columns, step, n_inputs, x, block)
    integer, intent(in) :: ncol                         !! columns of the call
    integer, intent(in) :: n                            !! columns of the block
    integer, intent(in) :: columns                      !! as of `next_block`
    integer, intent(in) :: step                         !! elements from one of a few columns to the next
    integer, intent(in) :: n_inputs                     !! number of inputs
    real(hp), intent(in) :: x(ncol, *)                  !! inputs of the host, from the first column of the block
    real(wp), intent(inout) :: block(*)                 !! inputs of the block (columns, n_inputs), or (step, columns)
    integer :: i, j

    if (columns <= few_columns) then
      do i = 0, n - 1
        do j = 1, n_inputs
          block(i*step + j) = real(x(1 + i, j), wp)
        end do
      end do
    else if (n == block_columns) then
      call copy_block(n_inputs, ncol, x, block_columns, block)
    else if (n == lanes) then
      call copy_half_block(n_inputs, ncol, x, lanes, block)
    else
      do j = 1, n_inputs
        do i = 1, n
          block((j - 1)*columns + i) = real(x(i, j), wp)
        end do
        do i = n + 1, columns
          block((j - 1)*columns + i) = block((j - 1)*columns + n)
        end do
      end do
    end if

  end subroutine gather

  !> Copy the outputs of a block to the array of the host.
  pure recursive subroutine scatter(ncol, n, columns, step, n_outputs, block, y)
    integer, intent(in) :: ncol                     !! columns of the call
    integer, intent(in) :: n                        !! columns of the block
    integer, intent(in) :: columns                  !! as of `next_block`
    integer, intent(in) :: step                     !! elements from one of a few columns to the next
    integer, intent(in) :: n_outputs                !! number of outputs
    real(wp), intent(in) :: block(*)                !! outputs of the block (columns, n_outputs), or (step, columns)
    real(hp), intent(inout) :: y(ncol, *)           !! outputs of the host, from the first column of the block
    integer :: i, j

    if (columns <= few_columns) then
      do i = 0, n - 1
        do j = 1, n_outputs
          y(1 + i, j) = real(block(i*step + j), hp)
        end do
      end do
    else if (n == block_columns) then
      call copy_block(n_outputs, block_columns, block, ncol, y)
    else if (n == lanes) then
      call copy_half_block(n_outputs, lanes, block, ncol, y)
    else
      do j = 1, n_outputs
        do i = 1, n
          y(i, j) = real(block((j - 1)*columns + i), hp)
        end do
      end do
    end if

  end subroutine scatter

  !> Copy the columns of a full block: the loop of constant length takes two vectors. (Host arrays are single precision
  !> here.)
  pure recursive subroutine copy_block(n_variables, n_from, from, n_to, to)
    integer, intent(in) :: n_variables              !! number of variables
    integer, intent(in) :: n_from                   !! columns of `from`
    real(wp), intent(in) :: from(n_from, *)         !! (column, variable)
    integer, intent(in) :: n_to                     !! columns of `to`
    real(wp), intent(inout) :: to(n_to, *)          !! (column, variable)
    integer :: i, j

    do j = 1, n_variables
      do i = 1, block_columns
        to(i, j) = from(i, j)
      end do
    end do

  end subroutine copy_block

  !> Copy the columns of half a block.
  pure recursive subroutine copy_half_block(n_variables, n_from, from, n_to, to)
    integer, intent(in) :: n_variables              !! number of variables
    integer, intent(in) :: n_from                   !! columns of `from`
    real(wp), intent(in) :: from(n_from, *)         !! (column, variable)
    integer, intent(in) :: n_to                     !! columns of `to`
    real(wp), intent(inout) :: to(n_to, *)          !! (column, variable)
    integer :: i, j

    do j = 1, n_variables
      do i = 1, lanes
        to(i, j) = from(i, j)
      end do
    end do

  end subroutine copy_half_block

end module bench_network_contender
