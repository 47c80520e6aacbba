!> Measures the best rates of one core: fused multiply-adds in registers, and reading memory.
!>
!> Requests on standard input, answers on standard output, as in bench_worker:
!>
!>     peak MILLISECONDS               ->  `peak GFLOPS`: two operations per multiply-add
!>     read KILOBYTES MILLISECONDS     ->  `read GIGABYTES_PER_SECOND` of an array of that size
!>
!> Compile it with -mprefer-vector-width=512 and =256 to measure vectors of both widths.
program bench_peak
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64, input_unit, output_unit
  use bench_worker, only: thread_seconds, fail
  use bench_registers, only: multiply_add, multiply_add_arrays, sum_of, n_values
  implicit none
  character(len=256) :: line, word
  real(real64) :: milliseconds
  real(real32) :: r(n_values)
  real(real32), allocatable :: memory(:)
  integer :: kilobytes, failure, form
  integer(int64) :: n_steps, n_passes

  n_steps = 0_int64
  form = 0
  n_passes = 0_int64
  call random_number(r)
  allocate (memory(0))
  call answer('ready peak')
  do
    read (input_unit, '(a)', iostat=failure) line
    if (failure /= 0) exit
    read (line, *, iostat=failure) word
    if (word == 'peak') then
      read (line, *, iostat=failure) word, milliseconds
      if (failure /= 0) call fail('not a request: '//trim(line))
      write (line, '(a,1x,es16.8)') 'peak', operations(1.0e-3_real64*milliseconds)
    else if (word == 'read') then
      read (line, *, iostat=failure) word, kilobytes, milliseconds
      if (failure /= 0 .or. kilobytes < 1) call fail('not a request: '//trim(line))
      write (line, '(a,1x,es16.8)') 'read', bandwidth(kilobytes, 1.0e-3_real64*milliseconds)
    else
      call fail('not a request: '//trim(line))
    end if
    call answer(trim(line))
  end do

contains

  !> Return the rate of multiply-adds in registers [1e9 operations per second], in the faster form for this compiler.
  real(real64) function operations(shortest)
    real(real64), intent(in) :: shortest   !! smallest duration [s]

    if (form == 0) form = merge(1, 2, rate_of(1, 1.0e-3_real64) > rate_of(2, 1.0e-3_real64))
    operations = rate_of(form, shortest)

  end function operations

  !> Return the rate of one form [1e9 operations per second].
  real(real64) function rate_of(form, shortest)
    integer, intent(in) :: form            !! 1: scalars under `simd`, 2: arrays
    real(real64), intent(in) :: shortest   !! smallest duration [s]
    real(real64) :: start, seconds

    n_steps = max(n_steps, 10000_int64)
    do
      start = thread_seconds()
      if (form == 1) then
        call multiply_add(n_steps, r)
      else
        call multiply_add_arrays(n_steps, r)
      end if
      seconds = thread_seconds() - start
      if (seconds >= shortest) exit
      n_steps = 2_int64*n_steps
    end do
    ! The result is used, so that the compiler cannot omit the computation.
    if (.not. sum(r) < huge(1.0_real32)) call fail('the multiply-adds overflow')
    rate_of = 2.0e-9_real64*real(n_values, real64)*real(n_steps, real64)/seconds

  end function rate_of

  !> Return the rate of reading an array repeatedly [1e9 bytes per second].
  real(real64) function bandwidth(kilobytes, shortest)
    integer, intent(in) :: kilobytes       !! size of the array [kB]
    real(real64), intent(in) :: shortest   !! smallest duration [s]
    real(real64) :: start, seconds
    real(real32) :: total
    integer(int64) :: pass

    if (size(memory) /= 256*kilobytes) then
      deallocate (memory)
      allocate (memory(256*kilobytes), source=1.0e-6_real32)
      n_passes = 1_int64
    end if
    total = 0.0_real32
    do
      start = thread_seconds()
      do pass = 1_int64, n_passes
        total = total + sum_of(size(memory), memory)
      end do
      seconds = thread_seconds() - start
      if (seconds >= shortest) exit
      n_passes = 2_int64*n_passes
    end do
    if (.not. total < huge(1.0_real32)) call fail('the sum overflows')
    bandwidth = 4.0e-9_real64*real(size(memory), real64)*real(n_passes, real64)/seconds

  end function bandwidth

  !> Send a line to the driver without buffering.
  subroutine answer(text)
    character(len=*), intent(in) :: text   !! one line

    write (output_unit, '(a)') text
    flush (output_unit)

  end subroutine answer

end program bench_peak
