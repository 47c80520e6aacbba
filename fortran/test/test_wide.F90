!> Tests networks that are too large for the stack: the same bits with a workspace, without one, and column by column;
!> and the limits.
program test_wide
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_error_limit, &
                             emufort_error_not_loaded, emufort_error_shape, emufort_block_columns
  use emufort_kinds, only: int8, real32, real64, max_width
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  use host_ways, only: n_ways, way_names, is_single_way, predict_by
  implicit none
  integer, parameter :: numbers(14) = [1, 2, 3, 4, 5, 7, 10, 15, 16, 17, 30, 32, 33, 71]
  type(emulator_type) :: empty
  type(workspace_type) :: of_smaller
  type(status_type) :: status

  call empty%make_workspace(of_smaller, status)
  call check(status%code == emufort_error_not_loaded, 'no workspace without a network')
  ! whole blocks on the stack, half blocks, single columns; the last networks because of their inputs and outputs
  call compare([24], 7, 3, 7, needs_workspace=.false.)
  call compare([256, 19], 16, 4, 1, needs_workspace=.false.)
  call compare([256, 256, 256], 16, 4, 7, needs_workspace=.false.)
  call compare([257, 240], 16, 4, 5, needs_workspace=.false.)
  call compare([257, 241], 16, 4, 5, needs_workspace=.true.)
  call compare([400], 16, 3, 9, needs_workspace=.false.)
  call compare([528, 528], 16, 3, 9, needs_workspace=.true.)
  call compare([600, 8, 600], 16, 5, 8, needs_workspace=.true.)
  call compare([7, 2048, 24], 15, 1, 7, needs_workspace=.true.)
  call compare([40], 120, 71, 6, needs_workspace=.false.)
  call compare([40], 120, 72, 6, needs_workspace=.true.)
  call compare([16], 500, 300, 1, needs_workspace=.true.)
  call compare([300, 300, 300], 16, 4, 7, needs_workspace=.true., with_residuals=.true.)
  call compare([700, 700, 700], 16, 4, 7, needs_workspace=.true., with_residuals=.true.)
  call limits()
  print '(a)', 'wide networks have the bits of their columns'

contains

  !> Compare blocks of all sizes, with and without a workspace.
  subroutine compare(hidden, n_features, n_outputs, code, needs_workspace, with_residuals)
    integer, intent(in) :: hidden(:)          !! neurons of the hidden layers
    integer, intent(in) :: n_features         !! number of features; there is one input more
    integer, intent(in) :: n_outputs          !! number of outputs
    integer, intent(in) :: code               !! activation function of the hidden layers
    logical, intent(in) :: needs_workspace    !! whether whole blocks do not fit on the stack
    logical, intent(in), optional :: with_residuals   !! whether there are additions
    type(network_type) :: net
    type(emulator_type) :: emulator
    type(workspace_type) :: workspace
    integer(int8), allocatable :: bytes(:)
    real(real64) :: x(numbers(size(numbers)), n_features + 1)
    real(real64), dimension(size(x, 1), n_outputs) :: columns, found
    character(len=80) :: what
    integer :: way, i, n, kind_of_workspace

    write (what, '(a,i0,a,10(i0,"-"))') 'activation ', code, ' widths ', n_features, hidden, n_outputs
    net = make_network(hidden, n_features, n_outputs, code, 3, with_residuals=with_residuals)
    call make_inputs(net, x)
    bytes = to_bytes(net, x(1:3, :), 1.0e-3_real64)
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads')
    call emulator%self_test(status)
    call check(status%code == emufort_success, trim(what)//': '//trim(status%message))
    call emulator%make_workspace(workspace, status)
    call check(status%code == emufort_success, trim(what)//' has a workspace')
    call check(allocated(workspace%physical) .eqv. needs_workspace, trim(what)//' has a workspace if it needs one')
    do i = 1, size(x, 1)
      call emulator%predict(x(i:i, :), columns(i:i, :), status)
    end do
    ! with a workspace, without one, with one for a smaller network or an empty one
    do kind_of_workspace = 1, 3
      do way = 1, n_ways
        do i = 1, size(numbers)
          n = numbers(i)
          found = -1.0_real64
          select case (kind_of_workspace)
          case (1)
            call predict_by(way, emulator, x(1:n, :), found(1:n, :), status, workspace)
          case (2)
            call predict_by(way, emulator, x(1:n, :), found(1:n, :), status)
          case default
            call predict_by(way, emulator, x(1:n, :), found(1:n, :), status, of_smaller)
          end select
          call check(status%code == emufort_success .and. status%n_clipped == 0 .and. status%n_invalid == 0, &
                     trim(what)//' predicts, '//way_names(way))
          if (is_single_way(way)) then
            call check(all(same_bits(found(1:n, :), real(real(columns(1:n, :), real32), real64))), &
                       trim(what)//': the rounded bits, '//way_names(way))
          else
            call check(all(same_bits(found(1:n, :), columns(1:n, :))), trim(what)//': the same bits, '//way_names(way))
          end if
        end do
      end do
    end do
    of_smaller = workspace

  end subroutine compare

  !> Test that too large networks and invalid numbers of columns are refused.
  subroutine limits()
    type(network_type) :: net
    type(emulator_type) :: emulator
    real(real64) :: x(emufort_block_columns, 3), y(emufort_block_columns, 1)
    logical :: is_outside(emufort_block_columns)

    net = make_network([max_width], 2, 1, 1, 3)
    call make_inputs(net, x)
    call emulator%load_bytes(to_bytes(net, x(1:1, :), 1.0e-3_real64), status)
    call check(status%code == emufort_success, 'the widest layer loads')
    call emulator%predict_block(-huge(1) - 1, .false., x, y, status, is_outside)
    call check(status%code == emufort_error_shape, 'a negative number of columns is refused')
    call emulator%predict_block(emufort_block_columns + 1, .false., x, y, status, is_outside)
    call check(status%code == emufort_error_shape, 'more columns than a block has are refused')
    net = make_network([max_width + 1], 2, 1, 1, 3)
    call emulator%load_bytes(to_bytes(net, x(1:1, :), 1.0e-3_real64), status)
    call check(status%code == emufort_error_limit, 'a wider layer is refused')
    net = make_network([4], max_width/2, max_width/2, 1, 3)
    call emulator%load_bytes(to_bytes(net, reshape([real(real64) ::], [0, max_width/2 + 1]), 1.0e-3_real64), status)
    call check(status%code == emufort_error_limit, 'more inputs and outputs are refused')

  end subroutine limits

end program test_wide
