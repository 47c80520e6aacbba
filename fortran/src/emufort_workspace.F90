#ifndef EMUFORT_LEVEL
!> The memory in which a network is evaluated: the part on the stack, and the workspace of larger networks.
!>
!> A prediction allocates nothing and needs at most 128 kB of stack: the buffers of a network for the columns that are
!> computed together (`scratch_size`), and the physical inputs and outputs of a block (`physical_size`). The procedures
!> that the host calls declare these arrays and pass them on, so that inlining cannot duplicate them. A larger network
!> is evaluated on fewer columns at a time, or in a workspace that the host has made. The bits of a column do not depend
!> on this choice. A network with more than `max_scratch` features in its buffers needs a workspace.
module emufort_workspace
  use, intrinsic :: iso_c_binding, only: c_loc, c_intptr_t
  use emufort_kinds, only: wp, int64, real64, lanes, block_columns, max_width, max_scratch
  use emufort_dense, only: is_wide, few_columns
  use emufort_transforms, only: column_scratch
  use emufort_activations, only: activation_relu
  use emufort_plan, only: plan_scratch, first_operation, operation_size, operation_dense, operation_matmul, &
                          operation_sparse, row_code, row_activation, row_n_in, row_n_out, row_count, row_stride
  implicit none
  private

  public :: workspace_type, make_workspace, workspace_bytes, lacks_workspace, choose_block, columns_at_once
  public :: groups_type, choose_groups, next_group, fit_on_stack
  public :: aligned_place, no_workspace
  public :: stack_physical, scratch_size, physical_size

  !> Columns that are computed together by the operations: in double precision half a block.
  integer, parameter :: working_columns = merge(block_columns, lanes, is_wide)
  !> Largest number of features of all buffers of a network on the stack, for `working_columns`: two layers of 256
  !> neurons.
  integer, parameter :: stack_features = 544
  !> Largest number of inputs and outputs together on the stack, for `block_columns`.
  integer, parameter :: stack_physical = 192
  !> Size of the scratch array on the stack: for the buffers, or for those of one column and its transforms. The last
  !> lanes are for the alignment to 64 bytes.
  integer, parameter :: scratch_size = max(working_columns*stack_features, max_scratch + column_scratch) + lanes
  !> Part of it for the buffers of one column or a few.
  integer, parameter :: stack_room = scratch_size - column_scratch - lanes
  !> Size of the array on the stack for the physical inputs and outputs of a block.
  integer, parameter :: physical_size = max(stack_physical*block_columns, max_width)

  !> Largest size of the buffers of a network, in bytes, for which `working_columns` are computed together: with more,
  !> `lanes` columns are computed together, so that the buffers stay in the second cache of a core.
  integer, parameter :: cache_bytes = 1048576
  !> Message of the error of a prediction that lacks a workspace.
  character(len=*), parameter :: no_workspace = &
                                 'the network is too large for the stack: pass a workspace, see make_workspace'

  !> Memory in which networks that are too large for the stack are evaluated on whole blocks of columns.
  !> `make_workspace` makes it once for each thread. It is empty for a network that needs none.
  type :: workspace_type
    real(wp), allocatable :: scratch(:)               !! buffers of the network
    real(real64), allocatable :: physical(:)          !! physical inputs and outputs of a block
  end type workspace_type

  !> How the columns of a call are divided into groups that are computed together: blocks, and groups of a few columns,
  !> each with buffers of its own. The bits of a column do not depend on it. As declared, columns are computed one by one.
  type :: groups_type
    integer :: columns = 1             !! columns of a full block, 1 if no block fits in the memory
    integer :: few = 1                 !! largest number of columns of a group of a few, 1 to few_columns
    integer :: most = few_columns      !! up to this number, columns form groups of a few instead of a padded block
    logical :: in_workspace = .false.  !! whether blocks are evaluated in the workspace
  end type groups_type

contains

  !> Choose how to divide the columns of a call with more than one column.
  pure recursive subroutine choose_groups(plan, ncol, groups, workspace, in_block)
    integer, intent(in) :: plan(*)                            !! integers of the emulator
    integer, intent(in) :: ncol                               !! number of columns of the call
    type(groups_type), intent(out) :: groups                  !! how to divide the columns
    type(workspace_type), intent(in), optional :: workspace   !! made for this network
    logical, intent(in), optional :: in_block                 !! whether the caller holds a block of columns itself
    integer :: n_scratch, n_physical, room

    call choose_block(plan, groups%columns, groups%in_workspace, workspace, in_block)
    ! Without columns beside full blocks, nothing else is to be chosen.
    if (groups%columns > 1 .and. mod(ncol, lanes) == 0) return
    n_scratch = plan(plan_scratch)
    n_physical = plan(1) + plan(3)
    room = physical_size
    if (present(in_block)) then
      if (in_block) room = stack_physical
    end if
    groups%few = min(few_columns, max(1, room/n_physical))
    room = stack_room
    if (present(workspace)) then
      if (allocated(workspace%scratch)) room = max(room, size(workspace%scratch) - lanes - column_scratch)
    end if
    groups%few = min(groups%few, max(1, room/n_scratch))
    call limit_groups(plan, plan(first_operation), groups)

  end subroutine choose_groups

  !> Choose by the operations of a network between a few columns together, columns one by one, and a padded block.
  !>
  !> The costs are in units of a multiply-add of a dense layer in full vectors, as measured on a core that starts one
  !> vector per cycle. A choice that is not the best one costs time but changes no bits.
  pure recursive subroutine limit_groups(plan, operations, groups)
    integer, intent(in) :: plan(*)                            !! integers of the emulator
    integer, intent(in) :: operations(operation_size, plan(4))   !! operations of the plan
    type(groups_type), intent(inout) :: groups                !! limited on return
    integer(int64) :: shared, repeated, elements, of_tables, outputs, of_few, of_block
    integer :: i

    shared = 0_int64
    repeated = 0_int64
    elements = 0_int64
    of_tables = 0_int64
    do i = 1, plan(4)
      outputs = int(operations(row_n_out, i), int64)*operations(row_count, i)
      select case (operations(row_code, i))
      case (operation_dense)
        if (operations(row_count, i) == 1) then
          shared = shared + operations(row_n_in, i)*outputs
        else
          repeated = repeated + operations(row_n_in, i)*outputs
        end if
        if (operations(row_activation, i) > activation_relu) elements = elements + outputs
      case (operation_matmul)
        repeated = repeated + operations(row_n_in, i)*outputs*operations(row_stride, i)
      case (operation_sparse)
        of_tables = of_tables + operations(row_n_in, i)
      case default
        elements = elements + max(operations(row_n_in, i), operations(row_n_out, i))
      end select
    end do
    ! With few layers whose weights are shared, the buffers of several columns would take the cache for nothing.
    if (3_int64*shared < repeated) groups%few = 1
    of_few = shared + repeated + 10_int64*elements + 80_int64*of_tables + 540_int64*plan(4) + &
             45_int64*(plan(1) + plan(3)) + 2500_int64
    if (groups%few == 1) of_few = of_few + shared
    of_block = shared + repeated + 9_int64*(elements + of_tables) + 50_int64*plan(4) + 10_int64*(plan(1) + plan(3))
    ! 14 instead of 16 columns: in doubt, the block.
    groups%most = min(lanes - 1, max(few_columns, int((lanes - 2)*of_block/of_few)))

  end subroutine limit_groups

  !> Return the number of columns in the next group. With up to `few_columns` it is a group of a few, else a block.
  pure recursive integer function next_group(groups, n_left)
    type(groups_type), intent(in) :: groups   !! how the columns are divided
    integer, intent(in) :: n_left             !! columns that have no group yet, at least 1
    integer :: n_groups

    next_group = min(n_left, max(groups%columns, few_columns))
    if (groups%columns > 1) then
      if (next_group == groups%columns) return
      if (next_group > lanes) then
        if (next_group - lanes <= groups%most) next_group = lanes
        return
      end if
      if (next_group > groups%most) return
    end if
    ! Groups of equal size, because the kernels are slowest for a single column.
    ! Written so that no sum exceeds the largest number of columns.
    n_groups = 1 + (n_left - 1)/groups%few
    next_group = 1 + (n_left - 1)/n_groups

  end function next_group

  !> Whether the buffers of a few columns fit in the scratch array on the stack.
  pure recursive logical function fit_on_stack(n, n_scratch)
    integer, intent(in) :: n           !! number of columns
    integer, intent(in) :: n_scratch   !! features of all buffers

    fit_on_stack = n*n_scratch <= stack_room

  end function fit_on_stack

  !> Return the number of columns that the operations compute together in a full block.
  pure recursive integer function columns_at_once(n_scratch)
    integer, intent(in) :: n_scratch   !! features of all buffers

    columns_at_once = working_columns
    if (n_scratch > cache_bytes/(working_columns*(storage_size(1.0_wp)/8))) columns_at_once = lanes

  end function columns_at_once

  !> Return the number of elements that the buffers of a network need.
  pure recursive integer function room_of(n_scratch, columns)
    integer, intent(in) :: n_scratch   !! features of all buffers
    integer, intent(in) :: columns     !! columns of the block, lanes or block_columns

    room_of = min(columns, columns_at_once(n_scratch))*n_scratch + lanes

  end function room_of

  !> Whether a prediction is impossible: the network needs a workspace, and there is none that was made for it.
  pure recursive logical function lacks_workspace(plan, workspace)
    integer, intent(in) :: plan(*)                             !! integers of the emulator
    type(workspace_type), intent(in), optional :: workspace    !! of the host

    lacks_workspace = plan(plan_scratch) > max_scratch
    if (.not. (lacks_workspace .and. present(workspace))) return
    if (.not. allocated(workspace%physical)) return
    lacks_workspace = size(workspace%scratch) < room_of(plan(plan_scratch), block_columns) .or. &
                      size(workspace%physical) < block_columns*(plan(1) + plan(3))

  end function lacks_workspace

  !> Make the workspace of a network. It stays empty if whole blocks fit on the stack.
  subroutine make_workspace(plan, workspace, failure)
    integer, intent(in) :: plan(*)                     !! integers of the emulator
    type(workspace_type), intent(out) :: workspace     !! memory for one thread
    integer, intent(out) :: failure                    !! 0, or another number if there is not enough memory
    integer :: columns
    logical :: in_workspace

    failure = 0
    call choose_block(plan, columns, in_workspace)
    if (columns == block_columns) return
    allocate (workspace%scratch(room_of(plan(plan_scratch), block_columns)), &
              workspace%physical(block_columns*(plan(1) + plan(3))), stat=failure)
    if (failure /= 0) return
    workspace%scratch = 0.0_wp
    workspace%physical = 0.0_real64

  end subroutine make_workspace

  !> Return the size of the workspace of a network in bytes; 0 if whole blocks fit on the stack.
  pure integer(int64) function workspace_bytes(plan) result(bytes)
    integer, intent(in) :: plan(*)   !! integers of the emulator
    integer :: columns
    logical :: in_workspace

    bytes = 0_int64
    call choose_block(plan, columns, in_workspace)
    if (columns == block_columns) return
    bytes = (int(room_of(plan(plan_scratch), block_columns), int64)*storage_size(1.0_wp) + &
             int(block_columns*(plan(1) + plan(3)), int64)*storage_size(1.0_real64))/8_int64

  end function workspace_bytes

  !> Choose the number of columns to gather at a time, and between the workspace and the stack.
  !>
  !> A workspace that was made for a smaller network is not used.
  pure recursive subroutine choose_block(plan, columns, in_workspace, workspace, holds_physical)
    integer, intent(in) :: plan(*)                                 !! integers of the emulator
    integer, intent(out) :: columns                                !! block_columns, lanes or 1
    logical, intent(out) :: in_workspace                           !! whether to use the workspace
    type(workspace_type), intent(in), optional :: workspace        !! made for this network
    logical, intent(in), optional :: holds_physical                !! whether the caller has the physical block itself
    integer :: n_scratch, n_physical

    n_scratch = plan(plan_scratch)
    n_physical = plan(1) + plan(3)
    if (present(holds_physical)) then
      if (holds_physical) n_physical = 0
    end if
    in_workspace = .false.
    columns = block_columns
    if (room_of(n_scratch, columns) <= scratch_size .and. columns*n_physical <= physical_size) return
    if (present(workspace)) then
      if (allocated(workspace%physical)) then
        in_workspace = size(workspace%scratch) >= room_of(n_scratch, columns) .and. &
                       size(workspace%physical) >= columns*n_physical
        if (in_workspace) return
      end if
    end if
    columns = lanes
    if (room_of(n_scratch, columns) <= scratch_size .and. columns*n_physical <= physical_size) return
    columns = 1

  end subroutine choose_block

  !> Return the first element of an array on a boundary of 64 bytes, because a vector across two cache lines costs two
  !> loads.
  recursive integer function aligned_place(array)
    real(wp), intent(in), target :: array(*)   !! scratch
    integer(c_intptr_t) :: beyond

#ifdef __flang__
    ! With flang, TRANSFER calls the run-time library, which allocates.
    beyond = mod(loc(array), 64_c_intptr_t)
#else
    beyond = mod(transfer(c_loc(array), 0_c_intptr_t), 64_c_intptr_t)
#endif
    aligned_place = 1 + int(mod(64_c_intptr_t - beyond, 64_c_intptr_t)/(storage_size(1.0_wp)/8))

  end function aligned_place

end module emufort_workspace
#endif
