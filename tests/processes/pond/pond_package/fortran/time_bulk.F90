!> Time of the classical scheme: time_bulk INPUT NCOL[,NCOL...] REPEATS [OUTPUT], see docs/processes.md.
program time_bulk
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use pond_bulk, only: bulk
  implicit none
  real(real64), allocatable :: samples(:, :), x(:, :), rate(:), cooling(:, :)
  real(real64) :: header, started, finished
  integer, allocatable :: ncol(:)
  integer(int64) :: passes, pass
  integer :: unit, n, repeats, repeat, i, first
  character(len=4096) :: argument

  call get_command_argument(1, argument)
  open (newunit=unit, file=trim(argument), access='stream', form='unformatted', status='old', action='read')
  read (unit) header
  n = nint(header)
  allocate (samples(3, n))
  read (unit) samples
  close (unit)
  x = transpose(samples)
  call get_command_argument(2, argument)
  allocate (ncol(1 + count([(argument(i:i) == ',', i=1, len_trim(argument))])))
  read (argument, *) ncol
  call get_command_argument(3, argument)
  read (argument, *) repeats
  allocate (rate(n), cooling(n, 2))
  do i = 1, size(ncol)
    passes = 1
    repeat = 0
    do while (repeat < repeats)
      call cpu_time(started)
      do pass = 1, passes
        do first = 1, n - ncol(i) + 1, ncol(i)
          call bulk(ncol(i), x(first:first + ncol(i) - 1, 1), x(first:first + ncol(i) - 1, 2), &
                    x(first:first + ncol(i) - 1, 3), rate(first:first + ncol(i) - 1), cooling(:ncol(i), :))
        end do
      end do
      call cpu_time(finished)
      ! what takes less than the clock can see is repeated
      if (finished - started < 1.0e-3_real64) then
        passes = 2*passes
        cycle
      end if
      repeat = repeat + 1
      print '(i0, a, i0, a, f0.3)', ncol(i), ',', repeat, ',', &
        1.0e9_real64*(finished - started)/(real(passes, real64)*real(ncol(i)*(n/ncol(i)), real64))
    end do
  end do
  if (command_argument_count() >= 4) then
    call bulk(n, x(:, 1), x(:, 2), x(:, 3), rate, cooling)
    call get_command_argument(4, argument)
    open (newunit=unit, file=trim(argument), access='stream', form='unformatted', status='replace', action='write')
    write (unit) (rate(i), cooling(i, :), i=1, n)
    close (unit)
  end if

end program time_bulk
