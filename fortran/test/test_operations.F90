!> Compares networks of random operations of all kinds with plain loops in double precision, and the bits of each column
!> alone with those in blocks.
program test_operations
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_kind
  use emufort_kinds, only: int8, real64
  use emufort_plan, only: row_code
  use random_plans, only: make_mixed_network
  use test_support, only: check, network_type, to_bytes, reference_prediction, same_bits
  implicit none
  integer :: seed, n_seen(13)

  n_seen = 0
  do seed = 1, 60
    call compare(seed, 3 + mod(seed, 9), 1 + mod(seed, 5), 14 + mod(seed, 12), 6 + mod(7*seed, 40))
  end do
  ! more features than fit on the stack for a block
  do seed = 61, 64
    call compare(seed, 30, 5, 40, 150)
  end do
  call check(minval(n_seen) > 20, 'every operation is tested')
  print '(a,13(1x,i0))', 'operations agree with plain loops; tested:', n_seen

contains

  !> Compare one network.
  subroutine compare(seed, n_features, n_outputs, n_operations, width)
    integer, intent(in) :: seed, n_features, n_outputs, n_operations, width   !! as in `make_mixed_network`
    integer, parameter :: ncol = 41, numbers(8) = [1, 4, 5, 16, 17, 31, 36, 41]
    type(network_type) :: net
    type(emulator_type) :: emulator
    type(workspace_type) :: workspace
    type(status_type) :: status
    integer(int8), allocatable :: bytes(:)
    real(real64) :: x(ncol, n_features + 1), y(ncol, n_outputs), part(ncol, n_outputs), one(n_features + 1)
    real(real64) :: wanted(n_outputs), tolerance
    character(len=60) :: what
    integer :: c, i, n

    write (what, '(a,i0)') 'network ', seed
    call make_mixed_network(seed, n_features, n_outputs, n_operations, width, net, x)
    do i = 1, size(net%operations, 2)
      n_seen(net%operations(row_code, i)) = n_seen(net%operations(row_code, i)) + 1
    end do
    tolerance = merge(2.0e-3_real64, 1.0e-10_real64, emufort_kind == kind(1.0))
    allocate (bytes, source=to_bytes(net, x(1:3, :), tolerance))
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads: '//status%message)
    call emulator%self_test(status)
    call check(status%code == emufort_success, trim(what)//' self test: '//status%message)
    call emulator%predict(x, y, status)
    call check(status%code == emufort_success .and. status%n_clipped == 0, trim(what)//' predicts')
    do c = 1, ncol
      one = x(c, :)
      wanted = reference_prediction(net, one)
      call check(all(abs(y(c, :) - wanted) <= tolerance*(abs(wanted) + 1.0e-2_real64) + &
                     merge(tolerance, 0.0_real64, net%output_kind /= 2)), trim(what)//' agrees with plain loops')
    end do
    call emulator%make_workspace(workspace, status)
    do i = 1, size(numbers)
      n = numbers(i)
      call emulator%predict(x(ncol - n + 1:, :), part(1:n, :), status)
      call check(all(same_bits(part(1:n, :), y(ncol - n + 1:, :))), trim(what)//': the same bits in any number of columns')
      call emulator%predict(x(1:n, :), part(1:n, :), status, workspace=workspace)
      call check(all(same_bits(part(1:n, :), y(1:n, :))), trim(what)//': the same bits with a workspace')
    end do
    do c = 1, ncol
      call emulator%predict(x(c:c, :), part(1:1, :), status)
      call check(all(same_bits(part(1, :), y(c, :))), trim(what)//': a column has the same bits alone')
    end do

  end subroutine compare

end program test_operations
