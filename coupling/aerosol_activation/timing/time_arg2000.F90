!> Measures the time of the scalar ARG2000 call for a file of samples.
!!
!!     time_arg2000 INPUT REPEATS [OUTPUT [call]]
!!
!! INPUT is a little-endian stream of float64: the number of samples, then for each sample air_temperature,
!! air_pressure, updraft_speed, and for every mode number_concentration, dry_median_radius, hygroscopicity (all modes
!! of one quantity, then the next), SI units. The modes are those of emufort_aerosol_contract.
!! Prints for each repeat `ns_per_sample VALUE` in CPU time of this thread, then `checksum VALUE`, the mean of the
!! results. OUTPUT receives the results as a stream of float64, sample by sample: the maximum supersaturation and, with
!! `call`, the number and mass fractions of the modes, which are then part of the time. The exit code is 0, or 2 after
!! wrong arguments or a bad file.
program time_arg2000
  use, intrinsic :: iso_fortran_env, only: real64, int64, error_unit
  use arg2000, only: arg2000_max_supersaturation, arg2000_activated_fractions, n_modes => arg2000_n_modes
  implicit none

  integer, parameter :: number = 4, radius = number + n_modes, kappa = radius + n_modes ! positions of the first mode
  integer, parameter :: n_inputs = kappa + n_modes - 1
  real(real64), parameter :: seconds_per_repeat = 0.02_real64 ! well above the resolution of the clock
  real(real64), allocatable :: inputs(:, :), results(:, :)
  real(real64) :: header, started, finished, elapsed
  integer(int64) :: passes, pass
  integer :: n_samples, repeats, repeat, i, unit, status
  logical :: has_fractions
  character(len=:), allocatable :: input_file, output_file, text

  if (command_argument_count() < 2) call fail('usage: time_arg2000 INPUT REPEATS [OUTPUT]')
  input_file = argument(1)
  text = argument(2)
  read (text, *, iostat=status) repeats
  if (status /= 0) call fail('REPEATS must be an integer: '//text)
  if (repeats < 1) call fail('REPEATS must be at least 1: '//text)

  open (newunit=unit, file=input_file, access='stream', form='unformatted', status='old', action='read', iostat=status)
  if (status /= 0) call fail('cannot open '//input_file)
  read (unit, iostat=status) header
  if (status /= 0) call fail('cannot read the number of samples from '//input_file)
  if (.not. (header >= 1.0_real64 .and. header <= 1.0e9_real64)) call fail('bad number of samples in '//input_file)
  n_samples = nint(header)
  has_fractions = .false.
  if (command_argument_count() >= 4) has_fractions = argument(4) == 'call'
  allocate (inputs(n_inputs, n_samples), results(merge(1 + 2*n_modes, 1, has_fractions), n_samples), stat=status)
  if (status /= 0) call fail('not enough memory for the samples of '//input_file)
  read (unit, iostat=status) inputs
  if (status /= 0) call fail('fewer samples than its header says in '//input_file)
  close (unit)

  ! find a number of passes over the samples that takes long enough to time; this also warms the caches
  passes = 1
  do
    call run(passes, elapsed)
    if (elapsed >= seconds_per_repeat) exit
    passes = passes*max(2_int64, min(1000_int64, int(1.5_real64*seconds_per_repeat/max(elapsed, 1.0e-6_real64), int64)))
  end do
  do repeat = 1, repeats
    call run(passes, elapsed)
    write (*, '(a, f0.3)') 'ns_per_sample ', 1.0e9_real64*elapsed/(real(passes, real64)*real(n_samples, real64))
  end do
  write (*, '(a, es24.16)') 'checksum ', sum(results(1, :))/real(n_samples, real64)

  if (command_argument_count() >= 3) then
    output_file = argument(3)
    open (newunit=unit, file=output_file, access='stream', form='unformatted', status='replace', action='write', &
          iostat=status)
    if (status /= 0) call fail('cannot write '//output_file)
    write (unit, iostat=status) results
    if (status /= 0) call fail('cannot write '//output_file)
    close (unit)
  end if

contains

  subroutine run(passes, elapsed)
    !! Call the scheme for every sample, `passes` times.
    integer(int64), intent(in) :: passes
    real(real64), intent(out) :: elapsed !! CPU time [s]
    call cpu_time(started)
    do pass = 1, passes
      do i = 1, n_samples
        call arg2000_max_supersaturation(inputs(1, i), inputs(2, i), inputs(3, i), inputs(number:radius - 1, i), &
                                         inputs(radius:kappa - 1, i), inputs(kappa:, i), results(1, i))
        if (has_fractions) &
          call arg2000_activated_fractions(inputs(1, i), inputs(radius:kappa - 1, i), inputs(kappa:, i), &
                                           results(1, i), results(2:1 + n_modes, i), results(2 + n_modes:, i))
      end do
    end do
    call cpu_time(finished)
    elapsed = finished - started
  end subroutine run

  function argument(position) result(value)
    !! Return a command-line argument at its full length.
    integer, intent(in) :: position
    character(len=:), allocatable :: value
    integer :: length
    call get_command_argument(position, length=length)
    allocate (character(len=length) :: value)
    call get_command_argument(position, value)
  end function argument

  subroutine fail(message)
    !! Print an error message of one line and end the program.
    character(len=*), intent(in) :: message
    write (error_unit, '(a)') 'time_arg2000: '//message
    stop 2, quiet = .true.
  end subroutine fail

end program time_arg2000
