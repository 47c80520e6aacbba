!> Loads tens of thousands of mutated weights files. Each must be refused or harmless, and none may crash the program.
!>
!>     fuzz_load N [SEED]
!>
!> Build it with -fsanitize=address -fcheck=all, as the target `fuzz_load` of CMake does. Most mutants get a correct
!> checksum, so that they reach the later checks. An emulator from an accepted mutant must predict, run its self test
!> and describe itself. Every 500th mutant is loaded from a file.
program fuzz_load
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: int8, int32, int64, real64
  use emufort_weights_file, only: crc32
  use random_plans, only: make_mixed_network, n_codes
  use emufort_plan, only: row_code
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes
  implicit none
  integer, parameter :: n_parents = 8, n_columns = 37
  !> Values that are likely to cause errors.
  integer(int64), parameter :: hostile(12) = [0_int64, 1_int64, 2_int64, 7_int64, 64_int64, 511_int64, 513_int64, &
                                              65535_int64, 2147483647_int64, 2147483648_int64, 4294967295_int64, &
                                              -1_int64]
  type :: parent_type
    type(network_type) :: net
    integer(int8), allocatable :: bytes(:)
    real(real64), allocatable :: x(:, :)
  end type parent_type
  type(parent_type) :: parents(n_parents)
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer(int8), allocatable :: mutant(:)
  real(real64), allocatable :: y(:, :)
  character(len=400) :: text
  integer :: n, seed, i, p, n_taken, n_columns_now

  n = from_argument(1, 2000)
  seed = from_argument(2, 1)
  call make_parent(parents(1), [6], 3, 2, 1)
  call make_parent(parents(2), [17, 5, 33], 7, 4, 7)
  call make_parent(parents(3), [1], 1, 1, 10)
  call make_parent(parents(4), [40, 40], 15, 9, 9)
  call make_parent(parents(5), [9, 9, 9], 5, 3, 7, with_residuals=.true.)
  ! Kernels differ from `lanes` features on.
  call make_mixed_parent(parents(6), 11, 9, n_codes, 9)
  call make_mixed_parent(parents(7), 12, 10, n_codes, 24)
  call make_mixed_parent(parents(8), 40, 11, 3*n_codes, 60)
  call check_coverage(parents(6:))
  n_taken = 0
  do i = 1, n
    p = 1 + mod(i, n_parents)
    mutant = parents(p)%bytes
    call mutate(mutant, parents(pick(n_parents))%bytes)
    if (mod(i, 500) == 0) then
      call write_file(mutant)
      call emulator%load('fuzz_load.bin', status)
    else
      call emulator%load_bytes(mutant, status)
    end if
    if (status%code /= emufort_success) then
      call check(status%message /= ' ' .and. status%place /= ' ', 'a refusal says why')
      cycle
    end if
    n_taken = n_taken + 1
    n_columns_now = 1 + mod(i, n_columns)
    if (emulator%n_inputs() == size(parents(p)%x, 2)) then
      allocate (y(n_columns_now, emulator%n_outputs()))
      call emulator%predict(parents(p)%x(1:n_columns_now, :), y, status)
      deallocate (y)
    end if
    call emulator%self_test(status)
    call emulator%describe(text)
    call emulator%get_value('hash', text)
    call emulator%require(['v'], ['m s-1'], status)
  end do
  print '(i0,a,i0,a)', n, ' mutated files: ', n - n_taken, ' refused, the others harmless'

contains

  !> Damage a file in one to four ways, and correct its checksum in nine of ten cases.
  subroutine mutate(bytes, other)
    integer(int8), allocatable, intent(inout) :: bytes(:)   !! file
    integer(int8), intent(in) :: other(:)                   !! file from which pieces are copied
    integer :: k, at, from, length
    integer(int64) :: word

    do k = 1, pick(4)
      if (size(bytes) < 65) exit
      ! In half of the cases, the header and the table, which contain the sizes.
      at = merge(pick(min(size(bytes), 64 + 7*32)), pick(size(bytes)), pick(2) == 1)
      select case (pick(9))
      case (1)
        bytes(at) = ieor(bytes(at), int(2**(pick(7) - 1), int8))
      case (2)
        bytes(at) = int(pick(256) - 129, int8)
      case (3, 4)
        ! A whole integer at an aligned position.
        at = 1 + 4*((at - 1)/4)
        word = hostile(pick(size(hostile)))
        if (at + 3 <= size(bytes)) bytes(at:at + 3) = transfer(word, bytes, 4)
      case (5)
        at = 1 + 8*((at - 1)/8)
        word = hostile(pick(size(hostile)))
        if (pick(2) == 1) word = ishft(2047_int64, 52) + pick(2) - 1
        if (at + 7 <= size(bytes)) bytes(at:at + 7) = transfer(word, bytes, 8)
      case (6)
        bytes = bytes(1:at)
        call mend_length(bytes)
      case (7)
        length = min(pick(200), size(other))
        from = pick(size(other) - length + 1)
        bytes = [bytes(1:at), other(from:from + length - 1), bytes(at + 1:)]
        call mend_length(bytes)
      case (8)
        ! Integers of a plan that differ a little are plausible sizes and places.
        at = 1 + 4*((at - 1)/4)
        if (at + 3 <= size(bytes)) &
          bytes(at:at + 3) = transfer(nearby(transfer(bytes(at:at + 3), 0_int32)), bytes, 4)
      case default
        length = min(pick(64), size(bytes) - at + 1, size(other))
        from = pick(size(other) - length + 1)
        bytes(at:at + length - 1) = other(from:from + length - 1)
      end select
    end do
    k = pick(10)
    if (size(bytes) >= 32 .and. k > 1) &
      bytes(29:32) = transfer(transfer(crc32(bytes, 29_int64), [0_int32], 1), [0_int8])

  end subroutine mutate

  !> Return an integer that differs by at most 16.
  integer(int32) function nearby(number)
    integer(int32), intent(in) :: number   !! any integer
    integer(int64) :: other

    other = number + int(pick(33) - 17, int64)
    nearby = int(max(-int(huge(number), int64), min(int(huge(number), int64), other)), int32)

  end function nearby

  !> Write the length of a file into its header.
  subroutine mend_length(bytes)
    integer(int8), intent(inout) :: bytes(:)   !! file
    integer :: k

    k = pick(4)
    if (size(bytes) >= 24 .and. k > 1) bytes(17:24) = transfer(size(bytes, kind=int64), [0_int8])

  end subroutine mend_length

  !> Return a random integer from 1 to n.
  integer function pick(n)
    integer, intent(in) :: n   !! largest
    real(real64) :: random

    call random_number(random)
    pick = min(n, 1 + int(random*n))

  end function pick

  !> Make a file that is mutated.
  subroutine make_parent(parent, hidden, n_features, n_outputs, activation, with_residuals)
    type(parent_type), intent(out) :: parent   !! file, network and inputs
    integer, intent(in) :: hidden(:)           !! neurons of the hidden layers
    integer, intent(in) :: n_features          !! number of features
    integer, intent(in) :: n_outputs           !! number of outputs
    integer, intent(in) :: activation          !! code of the activation function
    logical, intent(in), optional :: with_residuals   !! whether there are additions

    parent%net = make_network(hidden, n_features, n_outputs, activation, seed, with_residuals=with_residuals)
    allocate (parent%x(n_columns, n_features + 1))
    call make_inputs(parent%net, parent%x)
    parent%bytes = to_bytes(parent%net, parent%x(1:3, :), 1.0e-4_real64)

  end subroutine make_parent

  !> Make a file of a network with operations of all kinds.
  subroutine make_mixed_parent(parent, n_features, n_outputs, n_operations, width)
    type(parent_type), intent(out) :: parent                            !! file, network and inputs
    integer, intent(in) :: n_features, n_outputs, n_operations, width   !! as in `make_mixed_network`

    allocate (parent%x(n_columns, n_features + 1))
    call make_mixed_network(seed + n_features, n_features, n_outputs, n_operations, width, parent%net, parent%x)
    parent%bytes = to_bytes(parent%net, parent%x(1:3, :), 1.0e-4_real64)

  end subroutine make_mixed_parent

  !> Check that the networks together have operations of every kind.
  subroutine check_coverage(mixed)
    type(parent_type), intent(in) :: mixed(:)   !! files of networks with operations of several kinds
    integer :: code, p
    logical :: is_found

    do code = 1, n_codes
      is_found = .false.
      do p = 1, size(mixed)
        is_found = is_found .or. any(mixed(p)%net%operations(row_code, :) == code)
      end do
      call check(is_found, 'a mutated network has an operation of each kind')
    end do

  end subroutine check_coverage

  !> Write a file.
  subroutine write_file(bytes)
    integer(int8), intent(in) :: bytes(:)   !! content
    integer :: unit

    open (newunit=unit, file='fuzz_load.bin', access='stream', form='unformatted', status='replace', action='write')
    write (unit) bytes
    close (unit)

  end subroutine write_file

  !> Return an argument that is a positive integer.
  integer function from_argument(place, fallback)
    integer, intent(in) :: place      !! which argument
    integer, intent(in) :: fallback   !! value if it is missing
    character(len=32) :: argument
    integer :: failure

    from_argument = fallback
    if (command_argument_count() < place) return
    call get_command_argument(place, argument)
    read (argument, *, iostat=failure) from_argument
    call check(failure == 0 .and. from_argument > 0, 'usage: fuzz_load N [SEED]')

  end function from_argument

end program fuzz_load
