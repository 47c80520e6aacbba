!> Times an emulator: ns per sample from physical inputs to physical outputs, one core, host arrays real64.
!>
!>     time_emulator WEIGHTS INPUTS NCOL[,NCOL...] REPEATS
!>
!> INPUTS contains int32 n and n_inputs, then float64 x(n, n_inputs), column fastest. For each NCOL, the program repeats
!> calls of NCOL columns. It uses only as many columns as stay in the cache (2,048 columns, or NCOL if that is more;
!> short inputs are repeated), because a host model has just computed its columns. Prints lines
!> `ncol,repeat,ns_per_sample`. Every repeat lasts at least 20 ms; a first one is not printed.
program time_emulator
  use, intrinsic :: iso_fortran_env, only: int32, int64, real64, output_unit, error_unit
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success
  implicit none
  integer, parameter :: columns_in_cache = 2048
  real(real64), parameter :: shortest = 20.0e-3_real64
  type(emulator_type) :: emulator
  type(status_type) :: status
  type(workspace_type) :: workspace
  character(len=4096) :: argument
  integer, allocatable :: ncol(:)
  real(real64), allocatable :: inputs(:, :), x(:, :, :), y(:, :, :)
  real(real64) :: seconds, longest_try
  integer(int64) :: n_passes, n_tries
  integer :: repeats, i, r, c, n_calls

  if (command_argument_count() /= 4) call fail('usage: time_emulator WEIGHTS INPUTS NCOL[,NCOL...] REPEATS')
  call get_command_argument(1, argument)
  call emulator%load(trim(argument), status)
  if (status%code /= emufort_success) call fail(trim(status%message))
  call emulator%make_workspace(workspace, status)
  if (status%code /= emufort_success) call fail(trim(status%message))
  call get_command_argument(2, argument)
  call read_inputs(trim(argument))
  call get_command_argument(3, argument)
  call read_ncol(trim(argument))
  call get_command_argument(4, argument)
  read (argument, *, iostat=i) repeats
  if (i /= 0 .or. repeats < 1) call fail('REPEATS must be a positive integer')

  do i = 1, size(ncol)
    n_calls = max(1, columns_in_cache/ncol(i))
    allocate (x(ncol(i), emulator%n_inputs(), n_calls), y(ncol(i), emulator%n_outputs(), n_calls))
    do c = 1, n_calls
      do r = 1, ncol(i)
        x(r, :, c) = inputs(1 + mod((c - 1)*ncol(i) + r - 1, size(inputs, 1)), :)
      end do
    end do
    y = 0.0_real64
    ! Increase the number of passes until their time is well above the resolution of the clock; also warms the caches
    ! up.
    n_tries = 1_int64
    longest_try = 0.0_real64
    do while (longest_try < 0.25_real64*shortest)
      longest_try = time_passes(n_tries)
      if (longest_try < 0.25_real64*shortest) n_tries = 2_int64*n_tries
    end do
    n_passes = max(1_int64, ceiling(1.2_real64*shortest/longest_try*real(n_tries, real64), int64))
    do r = 1, repeats
      seconds = time_passes(n_passes)
      write (output_unit, '(i0,",",i0,",",f0.3)') ncol(i), r, &
        1.0e9_real64*seconds/(real(n_passes, real64)*n_calls*ncol(i))
    end do
    deallocate (x, y)
  end do

contains

  !> Return the time of `n` passes over all columns [s].
  real(real64) function time_passes(n)
    integer(int64), intent(in) :: n   !! number of passes
    real(real64) :: start, finish
    integer(int64) :: pass
    integer :: call

    ! Processor time, not wall time: other programs on the machine are not part of the cost of the emulator.
    call cpu_time(start)
    do pass = 1_int64, n
      do call = 1, n_calls
        call emulator%predict(x(:, :, call), y(:, :, call), status, workspace=workspace)
        if (status%code /= emufort_success) call fail(trim(status%message))
      end do
    end do
    call cpu_time(finish)
    time_passes = finish - start

  end function time_passes

  !> Read the file of inputs.
  subroutine read_inputs(filename)
    character(len=*), intent(in) :: filename   !! path of the file
    integer(int32) :: n, n_inputs
    integer(int64) :: length
    integer :: unit, failure

    open (newunit=unit, file=filename, access='stream', form='unformatted', status='old', action='read', iostat=failure)
    if (failure /= 0) call fail('cannot open '//filename)
    inquire (unit=unit, size=length)
    read (unit, iostat=failure) n, n_inputs
    if (failure /= 0) call fail('cannot read '//filename)
    if (n < 1 .or. n_inputs /= emulator%n_inputs() .or. length /= 8_int64 + 8_int64*n*n_inputs) &
      call fail(filename//' does not contain inputs of this emulator')
    allocate (inputs(n, n_inputs))
    read (unit, iostat=failure) inputs
    if (failure /= 0) call fail('cannot read '//filename)
    close (unit)

  end subroutine read_inputs

  !> Read the list of numbers of columns.
  subroutine read_ncol(text)
    character(len=*), intent(in) :: text   !! numbers between commas
    integer :: n, k, failure

    n = 1
    do k = 1, len(text)
      if (text(k:k) == ',') n = n + 1
    end do
    allocate (ncol(n), source=0)
    read (text, *, iostat=failure) ncol
    if (failure /= 0 .or. minval(ncol) < 1) call fail('NCOL must be positive integers between commas: '//text)

  end subroutine read_ncol

  !> Print an error message and end the program.
  subroutine fail(message)
    character(len=*), intent(in) :: message   !! error message

    write (error_unit, '(a)') 'time_emulator: '//message
    stop 1, quiet = .true.

  end subroutine fail

end program time_emulator
