!> Tests that a prediction needs at most 128 kB of stack and allocates nothing, for any network, entry point, number of
!> columns and workspace.
!>
!> Each call runs in a thread on a stack that was filled with a known pattern; the bytes that changed were used. The
!> calls of malloc, calloc and realloc are counted. Linux only.
program test_stack
  use, intrinsic :: iso_c_binding, only: c_funloc, c_loc, c_null_ptr, c_size_t
  use emufort_runtime, only: status_type, workspace_type, emufort_success, emufort_block_columns
  use emufort_kinds, only: int8, real32, real64, max_scratch
  use emufort_plan, only: buffer_room, row_output
  use emufort_c, only: emufort_load_bytes, emufort_free
  use emufort_emulator, only: emulator_type
  use painted_stack, only: stack_of_thread, most => stack_allowed
  use random_plans, only: make_mixed_network
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes
  use test_stack_calls, only: emulator, workspace, x, y, x_t, y_t, x32, y32, x32_t, y32_t, block_x, block_y, way, &
                              ncol, failed, n_ways, call_in_thread, n_allocations
  use test_stack_calls, only: handle, plan, numbers_of => numbers, weights, first_weight
  implicit none
  integer, parameter :: numbers(6) = [1, 4, 5, 16, 33, 70]

  integer :: code, largest

  largest = 0
  do code = 0, 10
    call measure([24, 17], 7, 3, code)
  end do
  call measure([256, 256], 16, 4, 7)
  call measure([300], 16, 4, 1)
  call measure([600, 16, 600], 16, 4, 8)
  call measure([8, 2048, 2048, 8], 15, 1, 9)
  call measure([4096, 4], 5, 2, 1)
  call measure([40], 300, 200, 1)
  call measure([16], 2000, 2000, 7)
  call measure([600, 600, 600], 16, 4, 8, with_residuals=.true.)
  call measure([2048, 2048], 40, 4, 8, with_residuals=.true.)
  ! operations of all kinds, for every division into blocks; the last network needs a workspace
  call measure_mixed(1, 30, 20)
  call measure_mixed(2, 40, 60)
  call measure_mixed(3, 60, 150)
  print '(a,i0,a)', 'a prediction needs at most ', largest, ' bytes of stack'

contains

  !> Measure all ways to call a network.
  subroutine measure(hidden, n_features, n_outputs, activation, with_residuals)
    integer, intent(in) :: hidden(:)    !! neurons of the hidden layers
    integer, intent(in) :: n_features   !! number of features; there is one input more
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: activation   !! activation function of the hidden layers
    logical, intent(in), optional :: with_residuals   !! whether there are additions
    type(network_type) :: net
    real(real64), allocatable :: golden(:, :)
    character(len=80) :: what

    write (what, '(a,i0,a,10(i0,"-"))') 'activation ', activation, ' widths ', n_features, hidden, n_outputs
    net = make_network(hidden, n_features, n_outputs, activation, 3, with_residuals=with_residuals)
    allocate (golden(1, n_features + 1))
    call make_inputs(net, golden)
    call measure_network(net, golden, n_features, n_outputs, what)

  end subroutine measure

  !> Measure all ways to call a network with operations of all kinds.
  subroutine measure_mixed(seed, n_operations, width)
    integer, intent(in) :: seed, n_operations, width   !! as in `make_mixed_network`
    integer, parameter :: n_features = 7, n_outputs = 3
    type(network_type) :: net
    real(real64) :: golden(1, n_features + 1)
    character(len=80) :: what

    write (what, '(a,i0)') 'mixed network ', seed
    call make_mixed_network(seed, n_features, n_outputs, n_operations, width, net, golden)
    ! With its result this far away, the network needs a workspace.
    if (seed == 3) then
      net%n_scratch = net%n_scratch + max_scratch
      net%operations(row_output, size(net%operations, 2)) = net%n_scratch - buffer_room(n_outputs)
    end if
    call measure_network(net, golden, n_features, n_outputs, what)

  end subroutine measure_mixed

  !> Measure all ways to call a network.
  subroutine measure_network(net, golden, n_features, n_outputs, what)
    type(network_type), intent(in) :: net     !! network
    real(real64), intent(in) :: golden(:, :)  !! golden inputs
    integer, intent(in) :: n_features         !! number of features; there is one input more
    integer, intent(in) :: n_outputs          !! number of outputs
    character(len=*), intent(in) :: what      !! name of the network
    type(status_type) :: status
    type(emulator_type) :: second
    integer(int8), allocatable, target :: bytes(:)
    integer :: i, empty, used

    empty = 0
    allocate (bytes, source=to_bytes(net, golden, 1.0e-3_real64))
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads')
    call second%load_bytes(bytes, status)
    call second%hand_over(plan, numbers_of, weights, first_weight)
    call emufort_free(handle)
    handle = emufort_load_bytes(c_loc(bytes), size(bytes, kind=c_size_t), c_null_ptr)
    do way = 0, n_ways
      if (way > n_ways/2) then
        call emulator%make_workspace(workspace, status)
        call check(status%code == emufort_success, trim(what)//' has a workspace')
      else
        workspace = workspace_type()
      end if
      do i = 1, size(numbers)
        ncol = numbers(i)
        call make_arrays(n_features + 1, n_outputs)
        call make_inputs(net, x)
        x_t = transpose(x)
        x32 = real(x, real32)
        x32_t = transpose(x32)
        block_x = x(1:emufort_block_columns, :)
        ! The way 0 does nothing and measures the stack that any thread needs.
        used = stack_of_thread(c_funloc(call_in_thread))
        if (way == 0) empty = used
        call check(failed .eqv. (emulator%requires_workspace() .and. way > 0 .and. way <= n_ways/2), &
                   trim(what)//' predicts, or says that it needs a workspace')
        call check(n_allocations == 0, trim(what)//': a prediction allocates nothing')
        if (used - empty > most) print '(a,i0,a,i0,a,i0,a)', trim(what)//' way ', way, ', ', ncol, ' columns: ', &
          used - empty, ' bytes'
        call check(used - empty <= most, trim(what)//': a prediction needs at most 128 kB of stack')
        largest = max(largest, used - empty)
      end do
    end do

  end subroutine measure_network

  !> Allocate arrays of the host for `ncol` columns, at least one block.
  subroutine make_arrays(n_in, n_out)
    integer, intent(in) :: n_in, n_out   !! inputs and outputs
    integer :: n

    if (allocated(x)) deallocate (x, y, x_t, y_t, x32, y32, x32_t, y32_t, block_x, block_y)
    n = max(ncol, emufort_block_columns)
    allocate (x(n, n_in), y(n, n_out), x_t(n_in, n), y_t(n_out, n), x32(n, n_in), y32(n, n_out), x32_t(n_in, n), &
              y32_t(n_out, n), block_x(emufort_block_columns, n_in), block_y(emufort_block_columns, n_out))

  end subroutine make_arrays

end program test_stack
