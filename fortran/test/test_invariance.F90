!> Tests that the bits of a column do not depend on the number of columns, its position, or the layout of the arrays of
!> the host.
!>
!>     test_invariance [few]     few: not all numbers of columns and positions, for further builds of the same sources
program test_invariance
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_block_columns
  use emufort_kinds, only: int8, real32, real64
  use random_plans, only: make_mixed_network
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  use host_ways, only: n_ways, way_names, is_single_way, predict_by
  implicit none
  integer, parameter :: ncol = 257
  integer, parameter :: most_of_few = 40
  integer :: code, step_of_many, step_of_positions

  step_of_many = 1
  step_of_positions = 1
  if (command_argument_count() > 0) then
    ! These have no common divisor with the number of columns in a block, so all remainders occur.
    step_of_many = 7
    step_of_positions = 3
  end if
  do code = 0, 10
    call compare([40, 21, 16], 7, 5, code)
  end do
  call compare([1], 1, 1, 7)
  call compare([5, 3], 2, 6, 5)
  call compare([17, 48, 33], 15, 4, 8)
  call compare([64, 64], 16, 8, 1)
  call compare([130], 15, 9, 9)
  ! sums in four chains, for 1 to 4 neurons
  do code = 1, 4
    call compare([32], 7, code, 7)
  end do
  call compare([28, 2, 24, 4], 24, 3, 7)
  ! constant outputs, which the network does not compute
  call compare([40, 21], 7, 5, 5, with_constants=.true.)
  call compare([130], 15, 18, 7, with_constants=.true.)
  call compare([24], 15, 140, 5, with_constants=.true.)
  ! additions
  do code = 0, 10
    call compare([21, 21, 21, 21], 7, 5, code, with_residuals=.true.)
  end do
  ! operations of all kinds
  do code = 1, 3
    call compare_mixed(code)
  end do
  print '(a)', 'the bits of a column are its own'

contains

  !> Compare all parts of the columns with the whole.
  subroutine compare(hidden, n_features, n_outputs, code, with_constants, with_residuals)
    integer, intent(in) :: hidden(:)    !! neurons of the hidden layers
    integer, intent(in) :: n_features   !! number of features; there is one input more
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: code         !! activation function of the hidden layers
    logical, intent(in), optional :: with_constants   !! whether some outputs are constant
    logical, intent(in), optional :: with_residuals   !! whether there are additions
    type(network_type) :: net
    real(real64) :: x(ncol, n_features + 1)
    character(len=80) :: what

    write (what, '(a,i0,a,10(i0,"-"))') 'activation ', code, ' widths ', n_features, hidden, n_outputs
    net = make_network(hidden, n_features, n_outputs, code, 3, with_constants, with_residuals)
    call make_inputs(net, x)
    call compare_parts(net, x, n_outputs, what)

  end subroutine compare

  !> Compare all parts of the columns with the whole, for operations of all kinds.
  subroutine compare_mixed(seed)
    integer, intent(in) :: seed   !! seed of the network
    integer, parameter :: n_features = 9, n_outputs = 4
    type(network_type) :: net
    real(real64) :: x(ncol, n_features + 1)
    character(len=80) :: what

    write (what, '(a,i0)') 'mixed network ', seed
    call make_mixed_network(seed, n_features, n_outputs, 26, 20, net, x)
    call compare_parts(net, x, n_outputs, what)

  end subroutine compare_mixed

  !> Compare all parts of the columns of a network with the whole.
  subroutine compare_parts(net, x, n_outputs, what)
    type(network_type), intent(in) :: net   !! network
    real(real64), intent(in) :: x(:, :)     !! inputs (ncol, n_inputs)
    integer, intent(in) :: n_outputs        !! number of outputs
    character(len=*), intent(in) :: what    !! name of the network
    type(emulator_type) :: emulator
    type(status_type) :: status
    integer(int8), allocatable :: bytes(:)
    real(real64) :: whole(ncol, n_outputs, n_ways), turned(ncol, n_outputs)
    real(real64), allocatable :: part(:, :)
    integer :: way, n, start, first, last, step

    allocate (bytes, source=to_bytes(net, x(1:4, :), 1.0e-4_real64))
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads')
    do way = 1, n_ways
      call predict_by(way, emulator, x, whole(:, :, way), status)
      call check(status%code == emufort_success .and. status%n_clipped == 0 .and. status%n_invalid == 0, &
                 trim(what)//' predicts, '//way_names(way))
      if (is_single_way(way)) then
        call check(all(same_bits(whole(:, :, way), real(real(whole(:, :, 1), real32), real64))), &
                   trim(what)//': the rounded bits, '//way_names(way))
      else
        call check(all(same_bits(whole(:, :, way), whole(:, :, 1))), trim(what)//': the same bits, '//way_names(way))
      end if
      call predict_by(way, emulator, x(ncol:1:-1, :), turned(ncol:1:-1, :), status)
      call check(all(same_bits(turned, whole(:, :, way))), &
                 trim(what)//': the same bits from the last column to the first, '//way_names(way))
      do n = 1, ncol
        if (n > most_of_few .and. mod(n - most_of_few, step_of_many) /= 0) cycle
        ! Few columns at every position; about one block of columns at positions of each remainder modulo 32; other
        ! numbers at one position.
        start = 1
        step = step_of_positions
        if (abs(n - emufort_block_columns) <= 1) then
          step = 5
        else if (n > 5) then
          start = 1 + mod(7*n, ncol - n + 1)
          step = ncol
        end if
        allocate (part(n, n_outputs))
        do first = start, ncol - n + 1, step
          last = first + n - 1
          call predict_by(way, emulator, x(first:last, :), part, status)
          call check(all(same_bits(part, whole(first:last, :, way))), &
                     trim(what)//': the same bits in any number of columns, '//way_names(way))
        end do
        deallocate (part)
      end do
    end do

  end subroutine compare_parts

end program test_invariance
