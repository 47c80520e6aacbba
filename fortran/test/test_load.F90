!> Tests that damaged weights files are refused: every truncation, many flipped bits, and hostile sizes with a correct
!> checksum.
program test_load
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_error_file
  use emufort_kinds, only: int8, int32, int64, real64
  use emufort_weights_file, only: crc32
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  implicit none
  type(network_type) :: net
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer(int8), allocatable :: bytes(:), damaged(:)
  real(real64) :: x(5, 4), y(5, 2), again(5, 2), random(3)
  integer :: i, place, refused
  integer, parameter :: n_flips = 4000, n_hostile = 4000

  net = make_network([6], 3, 2, 1, 5)
  call make_inputs(net, x)
  bytes = to_bytes(net, x, 1.0e-4_real64)
  call emulator%load_bytes(bytes, status)
  call check(status%code == emufort_success, 'load: '//status%message)
  call emulator%predict(x, y, status)

  do i = 0, size(bytes) - 1
    call emulator%load_bytes(bytes(1:i), status)
    call check(status%code /= emufort_success .and. status%message /= ' ', 'a truncated file is refused')
  end do
  do i = 1, n_flips
    call random_number(random)
    damaged = bytes
    place = 1 + int(random(1)*size(bytes))
    damaged(place) = ieor(damaged(place), int(2**int(random(2)*7), int8))
    call emulator%load_bytes(damaged, status)
    call check(status%code /= emufort_success, 'a flipped bit is detected')
  end do

  ! With a correct checksum, a file may be accepted or refused, but must not crash the program.
  refused = 0
  do i = 1, n_hostile
    call random_number(random)
    damaged = bytes
    place = 9 + int(random(1)*merge(size(bytes) - 8, 56 + 32*7 + 300, mod(i, 2) == 0))
    damaged(place) = int(int(random(2)*256) - 128, int8)
    if (mod(i, 3) == 0) damaged(place:min(place + 3, size(bytes))) = -1_int8
    damaged(29:32) = transfer(transfer(crc32(damaged, 29_int64), [0_int32], 1), [0_int8])
    call emulator%load_bytes(damaged, status)
    if (status%code /= emufort_success) then
      refused = refused + 1
    else
      call emulator%predict(x, again, status)
      call emulator%self_test(status)
      call emulator%load_bytes(bytes, status)
    end if
  end do
  print '(i0,a,i0,a)', refused, ' of ', n_hostile, ' hostile files are refused, the others do no harm'

  call emulator%load_bytes(bytes, status)
  call emulator%load('there/is/no/such/file', status)
  call check(status%code == emufort_error_file, 'a missing file')
  call emulator%predict(x, again, status)
  call check(all(same_bits(y, again)), 'a failed load leaves the emulator unchanged')

  open (newunit=place, file='test_load.bin', access='stream', form='unformatted', status='replace', action='write')
  write (place) bytes
  close (place)
  call emulator%load('test_load.bin', status)
  call check(status%code == emufort_success, 'load from a file')
  call emulator%predict(x, again, status)
  call check(all(same_bits(y, again)), 'the file gives the same emulator as its bytes')
  open (newunit=place, file='test_load.bin')
  close (place, status='delete')

end program test_load
