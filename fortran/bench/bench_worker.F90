!> Common part of the programs of `emufort bench`. They wait for requests on standard input and answer on standard
!> output.
!>
!>     time NCOL MILLISECONDS    ->  `time CPU WALL`: ns per column, processor time of this thread and wall time
!>     check NCOL FILE           ->  `done`: FILE contains y(NCOL, n_outputs) of the first NCOL inputs, float64
!>
!> Each contender is a process, and all run at the same time. The driver takes turns among them cell by cell, so that a
!> slower machine affects all of them equally. The first answer is `ready ...`; `failed ...` ends the program.
module bench_worker
  use, intrinsic :: iso_c_binding, only: c_int, c_long
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64, input_unit, output_unit
  implicit none
  private

  public :: hp, contender_type, serve, read_inputs, argument, integer_argument, fail, thread_seconds, chunk_of

#ifdef EMUFORT_BENCH_DOUBLE
  !> Kind of the host's arrays.
  integer, parameter :: hp = real64
#else
  !> Kind of the host's arrays (real64 with -DEMUFORT_BENCH_DOUBLE).
  integer, parameter :: hp = real32
#endif

#ifdef __APPLE__
  integer(c_int), parameter :: clock_thread_cpu = 16
#else
  integer(c_int), parameter :: clock_thread_cpu = 3
#endif

  !> Largest number of columns in use, and of their inputs and outputs, so that they are in the cache as in a host model
  !> that has just computed them.
  integer, parameter :: columns_in_cache = 2048, values_in_cache = 262144
  !> Chunks for threads begin at multiples of this number: a block of the runtime, or a few vectors.
  integer, parameter :: chunk_unit = 32

  !> A contender evaluates a network.
  type, abstract :: contender_type
    integer :: n_outputs = 0   !! number of outputs
  contains
    procedure(calls_interface), deferred :: calls
  end type contender_type

  abstract interface
    !> Call the network `n_passes` times on each x(:, :, k). The loop is in the contender, so that its calls follow each
    !> other directly.
    subroutine calls_interface(contender, n_passes, x, y)
      import :: contender_type, hp, int64
      class(contender_type), intent(inout) :: contender   !! contender that is timed
      integer(int64), intent(in) :: n_passes              !! number of passes over all calls
      real(hp), contiguous, intent(in) :: x(:, :, :)                  !! inputs (ncol, n_inputs, n_calls)
      real(hp), contiguous, intent(inout) :: y(:, :, :)               !! outputs (ncol, n_outputs, n_calls)
    end subroutine calls_interface
  end interface

  type, bind(c) :: timespec_type
    integer(c_long) :: seconds
    integer(c_long) :: nanoseconds
  end type timespec_type

  interface
    function clock_gettime(clock, time) bind(c, name='clock_gettime') result(failure)
      import :: c_int, timespec_type
      integer(c_int), value, intent(in) :: clock       !! which clock
      type(timespec_type), intent(out) :: time         !! time of the clock
      integer(c_int) :: failure                        !! 0 for success
    end function clock_gettime
  end interface

contains

  !> Answer requests until standard input ends.
  subroutine serve(contender, inputs, about)
    class(contender_type), intent(inout) :: contender   !! contender that is timed
    real(hp), intent(in) :: inputs(:, :)                !! inputs (n, n_inputs)
    character(len=*), intent(in) :: about               !! text of the first answer
    character(len=4096) :: line, word, file
    integer(int64) :: n_passes(64)
    integer :: known(64), n_known, ncol, k, failure
    real(real64) :: milliseconds, cpu, wall

    n_known = 0
    known = 0
    n_passes = 1_int64
    call answer('ready '//about)
    do
      read (input_unit, '(a)', iostat=failure) line
      if (failure /= 0) return
      read (line, *, iostat=failure) word, ncol
      if (failure /= 0 .or. ncol < 1) call fail('not a request: '//trim(line))
      select case (word)
      case ('time')
        read (line, *, iostat=failure) word, ncol, milliseconds
        if (failure /= 0) call fail('not a request: '//trim(line))
        k = findloc(known(:n_known), ncol, dim=1)
        if (k == 0) then
          n_known = mod(n_known, size(known)) + 1
          k = n_known
          known(k) = ncol
          n_passes(k) = 0_int64
        end if
        call time_calls(contender, inputs, ncol, 1.0e-3_real64*milliseconds, n_passes(k), cpu, wall)
        write (line, '(a,2(1x,es16.8))') 'time', cpu, wall
        call answer(trim(line))
      case ('check')
        read (line, *, iostat=failure) word, ncol, file
        if (failure /= 0) call fail('not a request: '//trim(line))
        call write_outputs(contender, inputs, ncol, trim(file))
        call answer('done')
      case default
        call fail('not a request: '//trim(line))
      end select
    end do

  end subroutine serve

  !> Time calls with `ncol` columns.
  subroutine time_calls(contender, inputs, ncol, shortest, n_passes, cpu, wall)
    class(contender_type), intent(inout) :: contender   !! contender that is timed
    real(hp), intent(in) :: inputs(:, :)                !! inputs (n, n_inputs)
    integer, intent(in) :: ncol                         !! columns per call
    real(real64), intent(in) :: shortest                !! smallest duration [s]
    integer(int64), intent(inout) :: n_passes           !! passes that last `shortest`; 0 if unknown
    real(real64), intent(out) :: cpu                    !! time of this thread [ns per column]
    real(real64), intent(out) :: wall                   !! wall time [ns per column]
    real(hp), allocatable :: x(:, :, :), y(:, :, :)
    integer(int64) :: started, finished, rate
    real(real64) :: start, columns

    call make_calls(inputs, ncol, contender%n_outputs, x, y)
    call contender%calls(1_int64, x, y)
    if (n_passes < 1_int64) then
      n_passes = 1_int64
      do
        call system_clock(started, rate)
        call contender%calls(n_passes, x, y)
        call system_clock(finished)
        wall = real(finished - started, real64)/real(rate, real64)
        if (wall >= 0.3_real64*shortest) exit
        n_passes = 2_int64*n_passes
      end do
      n_passes = max(1_int64, ceiling(shortest/wall*real(n_passes, real64), int64))
    end if
    start = thread_seconds()
    call system_clock(started, rate)
    call contender%calls(n_passes, x, y)
    call system_clock(finished)
    cpu = thread_seconds() - start
    wall = real(finished - started, real64)/real(rate, real64)
    columns = real(n_passes, real64)*real(ncol, real64)*real(size(x, 3), real64)
    cpu = 1.0e9_real64*cpu/columns
    wall = 1.0e9_real64*wall/columns

  end subroutine time_calls

  !> Write the outputs of the contender for the first `ncol` inputs.
  subroutine write_outputs(contender, inputs, ncol, file)
    class(contender_type), intent(inout) :: contender   !! contender that is timed
    real(hp), intent(in) :: inputs(:, :)                !! inputs (n, n_inputs)
    integer, intent(in) :: ncol                         !! columns per call
    character(len=*), intent(in) :: file                !! file to write
    real(hp), allocatable :: x(:, :, :), y(:, :, :)
    integer :: unit, failure

    call make_calls(inputs, ncol, contender%n_outputs, x, y)
    call contender%calls(1_int64, x, y)
    open (newunit=unit, file=file, access='stream', form='unformatted', status='replace', action='write', &
          iostat=failure)
    if (failure == 0) write (unit, iostat=failure) real(y(:, :, 1), real64)
    if (failure /= 0) call fail('cannot write '//file)
    close (unit)

  end subroutine write_outputs

  !> Divide the inputs into calls of `ncol` columns, as many as fit in the cache; short inputs are repeated.
  subroutine make_calls(inputs, ncol, n_outputs, x, y)
    real(hp), intent(in) :: inputs(:, :)                   !! inputs (n, n_inputs)
    integer, intent(in) :: ncol                            !! columns per call
    integer, intent(in) :: n_outputs                       !! number of outputs
    real(hp), allocatable, intent(out) :: x(:, :, :)       !! inputs (ncol, n_inputs, n_calls)
    real(hp), allocatable, intent(out) :: y(:, :, :)       !! zeros (ncol, n_outputs, n_calls)
    integer :: n_calls, c, r

    n_calls = max(1, min(columns_in_cache, values_in_cache/(size(inputs, 2) + n_outputs))/ncol)
    allocate (x(ncol, size(inputs, 2), n_calls))
    allocate (y(ncol, n_outputs, n_calls), source=0.0_hp)
    do c = 1, n_calls
      do r = 1, ncol
        x(r, :, c) = inputs(1 + mod((c - 1)*ncol + r - 1, size(inputs, 1)), :)
      end do
    end do

  end subroutine make_calls

  !> Return the columns of a call that a thread computes. The host divides them evenly, in whole units.
  pure subroutine chunk_of(ncol, n_threads, thread, first, last)
    integer, intent(in) :: ncol        !! columns of the call
    integer, intent(in) :: n_threads   !! number of threads
    integer, intent(in) :: thread      !! which thread, from 0
    integer, intent(out) :: first      !! first column of the thread
    integer, intent(out) :: last       !! last column of the thread; less than `first` if there is none
    integer :: n_units

    n_units = (ncol + chunk_unit - 1)/chunk_unit
    first = 1 + chunk_unit*((n_units*thread)/n_threads)
    last = min(ncol, chunk_unit*((n_units*(thread + 1))/n_threads))

  end subroutine chunk_of

  !> Read a file of inputs: int32 n and n_inputs, float64 x(n, n_inputs).
  subroutine read_inputs(file, inputs)
    character(len=*), intent(in) :: file                    !! path
    real(hp), allocatable, intent(out) :: inputs(:, :)      !! inputs (n, n_inputs)
    real(real64), allocatable :: values(:, :)
    integer(int32) :: n, n_inputs
    integer :: unit, failure

    open (newunit=unit, file=file, access='stream', form='unformatted', status='old', action='read', iostat=failure)
    if (failure /= 0) call fail('cannot open '//file)
    read (unit, iostat=failure) n, n_inputs
    if (failure /= 0 .or. min(n, n_inputs) < 1) call fail('cannot read '//file)
    allocate (values(n, n_inputs))
    read (unit, iostat=failure) values
    if (failure /= 0) call fail('cannot read '//file)
    close (unit)
    inputs = real(values, hp)

  end subroutine read_inputs

  !> Return the processor time of this thread [s].
  real(real64) function thread_seconds()
    type(timespec_type) :: time

    if (clock_gettime(clock_thread_cpu, time) /= 0_c_int) call fail('this system cannot measure the time of a thread')
    thread_seconds = real(time%seconds, real64) + 1.0e-9_real64*real(time%nanoseconds, real64)

  end function thread_seconds

  !> Return an argument of the command line at its full length.
  function argument(position) result(value)
    integer, intent(in) :: position           !! which argument, from 1
    character(len=:), allocatable :: value    !! the argument, empty if there is none
    integer :: length

    call get_command_argument(position, length=length)
    allocate (character(len=length) :: value)
    call get_command_argument(position, value)

  end function argument

  !> Return an argument of the command line that is a positive integer.
  integer function integer_argument(position)
    integer, intent(in) :: position   !! which argument, from 1
    character(len=:), allocatable :: text
    integer :: failure

    text = argument(position)
    read (text, *, iostat=failure) integer_argument
    if (failure /= 0) integer_argument = 0
    if (integer_argument < 1) call fail('not a positive integer: '//text)

  end function integer_argument

  !> Send a line to the driver without buffering.
  subroutine answer(text)
    character(len=*), intent(in) :: text   !! one line

    write (output_unit, '(a)') text
    flush (output_unit)

  end subroutine answer

  !> Send an error message to the driver and end the program.
  subroutine fail(message)
    character(len=*), intent(in) :: message   !! error message

    call answer('failed '//message)
    stop 1, quiet = .true.

  end subroutine fail

end module bench_worker
