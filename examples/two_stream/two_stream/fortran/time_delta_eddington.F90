!> Time of the delta-Eddington scheme on a file of samples, as emufort asks for it.
!!
!!     time_delta_eddington INPUT REPEATS [OUTPUT]
!!
!! INPUT is a little-endian stream of real64: the number of samples, then for each sample the inputs of the contract,
!! optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine. For each repeat it prints `ns_per_sample VALUE` in CPU
!! time.
!! OUTPUT receives the four fluxes of each sample as a stream of real64. The scheme is called with 16 columns at a time.
!! Exit code 0, or 2 for wrong use or a bad file.
program time_delta_eddington
  use, intrinsic :: iso_fortran_env, only: real64, int64, error_unit
  use two_stream_delta_eddington, only: delta_eddington
  implicit none

  integer, parameter :: n_inputs = 4, block = 16
  real(real64), parameter :: seconds_per_repeat = 0.02_real64 ! well above the resolution of the clock
  real(real64), allocatable :: samples(:, :), inputs(:, :), reflectance(:, :, :), transmittance(:, :, :)
  real(real64) :: header, elapsed
  integer(int64) :: passes
  integer :: n_samples, n_blocks, repeats, repeat, i, j, unit, status
  character(len=32) :: text

  call get_command_argument(2, text)
  read (text, *, iostat=status) repeats
  if (status /= 0 .or. command_argument_count() < 2) call fail('usage: time_delta_eddington INPUT REPEATS [OUTPUT]')

  open (newunit=unit, file=argument(1), access='stream', form='unformatted', status='old', action='read', iostat=status)
  if (status /= 0) call fail('cannot open '//argument(1))
  read (unit, iostat=status) header
  if (status /= 0) call fail('cannot read the number of samples from '//argument(1))
  if (.not. (header >= 1.0_real64 .and. header <= 1.0e8_real64)) call fail('bad number of samples in '//argument(1))
  n_samples = nint(header)
  allocate (samples(n_inputs, n_samples))
  read (unit, iostat=status) samples
  if (status /= 0) call fail('fewer samples than announced in '//argument(1))
  close (unit)

  ! whole blocks, each input contiguous as in a model; the last block is filled up with the last sample
  n_blocks = (n_samples + block - 1)/block
  allocate (inputs(block*n_blocks, n_inputs), reflectance(block, 2, n_blocks), transmittance(block, 2, n_blocks))
  do j = 1, n_inputs
    inputs(:n_samples, j) = samples(j, :)
    inputs(n_samples:, j) = samples(j, n_samples)
  end do

  passes = 1
  do
    call run()
    if (elapsed >= seconds_per_repeat) exit
    passes = passes*max(2_int64, min(1000_int64, int(1.5_real64*seconds_per_repeat/max(elapsed, 1.0e-6_real64), int64)))
  end do
  do repeat = 1, repeats
    call run()
    write (*, '(a, f0.3)') 'ns_per_sample ', 1.0e9_real64*elapsed/(real(passes, real64)*real(block*n_blocks, real64))
  end do

  if (command_argument_count() >= 3) then
    open (newunit=unit, file=argument(3), access='stream', form='unformatted', status='replace', action='write', &
          iostat=status)
    if (status /= 0) call fail('cannot write '//argument(3))
    do i = 1, n_samples
      j = 1 + mod(i - 1, block)
      write (unit, iostat=status) reflectance(j, 1, 1 + (i - 1)/block), transmittance(j, 1, 1 + (i - 1)/block), &
        reflectance(j, 2, 1 + (i - 1)/block), transmittance(j, 2, 1 + (i - 1)/block)
      if (status /= 0) call fail('cannot write '//argument(3))
    end do
    close (unit)
  end if

contains

  !> Call the scheme for every block, `passes` times, and take the time.
  subroutine run()
    real(real64) :: started, finished
    integer(int64) :: pass
    integer :: b, first, last
    call cpu_time(started)
    do pass = 1, passes
      do b = 1, n_blocks
        first = (b - 1)*block + 1
        last = b*block
        call delta_eddington(block, inputs(first:last, 1), inputs(first:last, 2), inputs(first:last, 3), &
                             inputs(first:last, 4), reflectance(:, :, b), transmittance(:, :, b))
      end do
    end do
    call cpu_time(finished)
    elapsed = finished - started
  end subroutine run

  !> Command-line argument at its full length.
  function argument(position) result(value)
    integer, intent(in) :: position
    character(len=:), allocatable :: value
    integer :: length
    call get_command_argument(position, length=length)
    allocate (character(len=length) :: value)
    call get_command_argument(position, value)
  end function argument

  !> One line on what is wrong, then the end.
  subroutine fail(message)
    character(len=*), intent(in) :: message
    write (error_unit, '(a)') 'time_delta_eddington: '//message
    stop 2, quiet = .true.
  end subroutine fail

end program time_delta_eddington
