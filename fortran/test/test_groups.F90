!> Tests how the columns of a call are divided into groups: the groups are complete, each fits in the memory that it gets,
!> and a few columns of a network with wide layers are computed together. The bits of the columns are compared for numbers
!> of columns up to 67.
program test_groups
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: int8, real64, lanes, block_columns, max_scratch
  use emufort_dense, only: few_columns
  use emufort_plan, only: plan_scratch
  use emufort_workspace, only: workspace_type, groups_type, make_workspace, choose_groups, next_group, fit_on_stack
  use test_support, only: check, network_type, make_network, make_inputs, plan_of, to_bytes, same_bits
  implicit none
  integer, parameter :: ncol = 67
  integer :: most_seen(few_columns)

  most_seen = 0
  ! narrow layers, wide layers with activation functions, a network that is too large for the stack, many inputs
  call compare([32, 32], 16, 4, 1)
  call compare([61, 64, 13], 24, 5, 7)
  call compare([128, 200, 96], 30, 40, 5)
  call compare([256, 256], 120, 100, 1)
  call compare([900, 900], 40, 30, 3)
  call compare([1800, 4090], 40, 30, 8, step=11)
  call compare([4090, 300], 40, 30, 1, step=5)
  call compare([64], 2000, 900, 1)
  call compare([64], 2800, 1200, 4)
  call check(all(most_seen > 0), 'groups of every size occur')
  call check(most_seen(few_columns) > few_columns, 'more columns than one group are computed without a padded block')
  call divide_many()
  print '(a)', 'columns are divided into groups'

contains

  !> Check the first group of the largest numbers of columns, for every size of a block and of a group of a few.
  subroutine divide_many()
    type(groups_type) :: groups
    integer :: columns(3), few, i, n, k

    columns = [1, lanes, block_columns]
    do i = 1, 3
      do few = 1, few_columns
        groups%columns = columns(i)
        groups%few = few
        do n = huge(n) - block_columns, huge(n) - 1
          k = next_group(groups, n + 1)
          call check(k >= 1 .and. k <= max(columns(i), few), 'the groups of many columns have a valid size')
        end do
      end do
    end do

  end subroutine divide_many

  !> Check the groups of a network, and the bits of its columns.
  subroutine compare(hidden, n_features, n_outputs, code, step)
    integer, intent(in) :: hidden(:)      !! neurons of the hidden layers
    integer, intent(in) :: n_features     !! number of features; there is one input more
    integer, intent(in) :: n_outputs      !! number of outputs
    integer, intent(in) :: code           !! activation function of the hidden layers
    integer, intent(in), optional :: step   !! from one number of columns to the next, for large networks
    type(network_type) :: net
    type(emulator_type) :: emulator
    type(status_type) :: status
    type(workspace_type) :: workspace, empty
    integer(int8), allocatable :: bytes(:)
    integer, allocatable :: plan(:)
    real(real64) :: x(ncol, n_features + 1), whole(ncol, n_outputs), part(ncol, n_outputs)
    logical :: requires
    character(len=80) :: what
    integer :: n, failure, next

    write (what, '(a,i0,a,10(i0,"-"))') 'activation ', code, ' widths ', n_features, hidden, n_outputs
    net = make_network(hidden, n_features, n_outputs, code, 5)
    call make_inputs(net, x)
    plan = plan_of(net)
    requires = plan(plan_scratch) > max_scratch
    call make_workspace(plan, workspace, failure)
    call check(failure == 0, trim(what)//' has a workspace')
    if (.not. requires) call divide(plan, trim(what)//', on the stack', empty)
    call divide(plan, trim(what)//', with a workspace', workspace)

    allocate (bytes, source=to_bytes(net, x(1:3, :), 1.0e-3_real64))
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads')
    do n = 1, ncol
      call emulator%predict(x(n:n, :), whole(n:n, :), status, workspace=workspace)
      call check(status%code == emufort_success, trim(what)//' predicts')
    end do
    next = 1
    if (present(step)) next = step
    do n = 2, ncol, next
      call emulator%predict(x(ncol - n + 1:, :), part(:n, :), status, workspace=workspace)
      call check(all(same_bits(part(:n, :), whole(ncol - n + 1:, :))), trim(what)//': the bits, with a workspace')
      if (requires) cycle
      call emulator%predict(x(:n, :), part(:n, :), status)
      call check(all(same_bits(part(:n, :), whole(:n, :))), trim(what)//': the bits, on the stack')
    end do

  end subroutine compare

  !> Check the groups of every number of columns.
  subroutine divide(plan, what, workspace)
    integer, intent(in) :: plan(:)                   !! integers of the emulator
    character(len=*), intent(in) :: what             !! name of the network
    type(workspace_type), intent(in) :: workspace    !! made for the network, or empty
    type(groups_type) :: groups
    integer :: n, n_left, k, smallest, largest

    do n = 2, ncol
      call choose_groups(plan, n, groups, workspace)
      call check(any(groups%columns == [1, lanes, block_columns]), what//': columns of a block')
      n_left = n
      smallest = few_columns
      largest = 1
      do while (n_left > 0)
        k = next_group(groups, n_left)
        call check(k >= 1 .and. k <= n_left, what//': a group has columns')
        if (k > few_columns) then
          call check(k <= groups%columns, what//': no more columns than a block has')
        else
          smallest = min(smallest, k)
          largest = max(largest, k)
          call check(k <= groups%few, what//': no more columns than a group of a few has')
          call check(k == 1 .or. fit_on_stack(k, plan(plan_scratch)) .or. holds(workspace, k*plan(plan_scratch)), &
                     what//': the buffers of a group fit in its memory')
          most_seen(k) = max(most_seen(k), n_left)
        end if
        n_left = n_left - k
      end do
      call check(largest - smallest <= 1 .or. largest == 1, what//': groups of a few have about the same size')
    end do

  end subroutine divide

  !> Whether a workspace is larger than a number of elements.
  pure logical function holds(workspace, n)
    type(workspace_type), intent(in) :: workspace   !! made for a network, or empty
    integer, intent(in) :: n                        !! elements

    holds = allocated(workspace%scratch)
    if (holds) holds = size(workspace%scratch) > n

  end function holds

end program test_groups
