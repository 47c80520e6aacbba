!> Measure the time of the delta-Eddington scheme on a file of samples, with the interface that emufort requires.
!!
!!     time_delta_eddington INPUT NCOL[,NCOL...] REPEATS [OUTPUT]
!!
!! INPUT is a little-endian stream of real64: the number of samples, then for each sample the inputs of the contract:
!! optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine. For each number of columns per call and each repeat
!! it prints `ncol,repeat,ns_per_sample` in CPU time. OUTPUT receives the four fluxes of each sample, as the last number
!! of columns gives them, as a stream of real64. Exit code 0, or 2 for wrong use or a bad file.
program time_delta_eddington
  use, intrinsic :: iso_fortran_env, only: real64, int64, error_unit
  use two_stream_delta_eddington, only: delta_eddington
  implicit none

  integer, parameter :: n_inputs = 4, most_sizes = 100
  real(real64), parameter :: seconds_per_repeat = 0.02_real64 ! well above the resolution of the clock
  real(real64), allocatable :: samples(:, :), inputs(:, :), reflectance(:, :, :), transmittance(:, :, :)
  real(real64) :: header, elapsed
  integer(int64) :: passes
  integer :: sizes(most_sizes), n_sizes, n_samples, n_blocks, ncol, repeats, repeat, i, j, unit, status
  character(len=*), parameter :: usage = 'usage: time_delta_eddington INPUT NCOL[,NCOL...] REPEATS [OUTPUT]'
  character(len=:), allocatable :: text

  if (command_argument_count() < 3) call fail(usage)
  text = argument(2)
  n_sizes = 1 + count([(text(i:i) == ',', i=1, len(text))])
  if (n_sizes > most_sizes) call fail(usage)
  read (text, *, iostat=status) sizes(:n_sizes)
  if (status /= 0) call fail(usage)
  text = argument(3)
  read (text, *, iostat=status) repeats
  if (status /= 0 .or. any(sizes(:n_sizes) < 1)) call fail(usage)

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

  do i = 1, n_sizes
    ncol = sizes(i)
    call prepare()
    passes = 1
    do
      call run()
      if (elapsed >= seconds_per_repeat) exit
      passes = passes*max(2, min(1000, int(1.5_real64*seconds_per_repeat/max(elapsed, 1.0e-6_real64))))
    end do
    do repeat = 1, repeats
      call run()
      write (*, '(i0, a, i0, a, f0.3)') ncol, ',', repeat, ',', &
        1.0e9_real64*elapsed/(real(passes, real64)*real(ncol, real64)*real(n_blocks, real64))
    end do
  end do

  if (command_argument_count() >= 4) then
    open (newunit=unit, file=argument(4), access='stream', form='unformatted', status='replace', action='write', &
          iostat=status)
    if (status /= 0) call fail('cannot write '//argument(4))
    do i = 0, n_samples - 1
      j = 1 + mod(i, ncol)
      write (unit, iostat=status) reflectance(j, 1, 1 + i/ncol), transmittance(j, 1, 1 + i/ncol), &
        reflectance(j, 2, 1 + i/ncol), transmittance(j, 2, 1 + i/ncol)
      if (status /= 0) call fail('cannot write '//argument(4))
    end do
    close (unit)
  end if

contains

  !> Put the samples into whole blocks of `ncol` columns, each input contiguous as in a model. The last block is
  !> filled up with the last sample.
  subroutine prepare()
    integer :: k
    n_blocks = (n_samples + ncol - 1)/ncol
    if (allocated(inputs)) deallocate (inputs, reflectance, transmittance)
    allocate (inputs(ncol*n_blocks, n_inputs), reflectance(ncol, 2, n_blocks), transmittance(ncol, 2, n_blocks))
    do k = 1, n_inputs
      inputs(:n_samples, k) = samples(k, :)
      inputs(n_samples + 1:, k) = samples(k, n_samples)
    end do
  end subroutine prepare

  !> Call the scheme for every block, `passes` times, and measure the time.
  subroutine run()
    real(real64) :: started, finished
    integer(int64) :: pass
    integer :: block, first, last
    call cpu_time(started)
    do pass = 1, passes
      do block = 1, n_blocks
        first = (block - 1)*ncol + 1
        last = block*ncol
        call delta_eddington(ncol, inputs(first:last, 1), inputs(first:last, 2), inputs(first:last, 3), &
                             inputs(first:last, 4), reflectance(:, :, block), transmittance(:, :, block))
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

  !> Print one line that says what is wrong, then stop.
  subroutine fail(message)
    character(len=*), intent(in) :: message
    write (error_unit, '(a)') 'time_delta_eddington: '//message
    stop 2, quiet = .true.
  end subroutine fail

end program time_delta_eddington
