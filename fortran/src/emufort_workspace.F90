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
  use emufort_dense, only: is_wide
  use emufort_transforms, only: column_scratch
  use emufort_plan, only: plan_scratch
  implicit none
  private

  public :: workspace_type, make_workspace, workspace_bytes, lacks_workspace, choose_block, columns_at_once
  public :: aligned_place, no_workspace
  public :: few_columns, stack_physical, scratch_size, physical_size

  !> Up to this number, columns are computed one by one, which costs less than a padded block.
  integer, parameter :: few_columns = 4
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

contains

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
