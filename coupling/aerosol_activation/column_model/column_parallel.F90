!> Distribution of the columns over processes: with -DEMUFORT_MPI by MPI, otherwise one process has all columns.
module column_parallel
  use, intrinsic :: iso_fortran_env, only: int64, real64, error_unit
  use emufort_runtime, only: emulator_type, status_type
#ifdef EMUFORT_MPI
  use mpi_f08, only: MPI_Init, MPI_Finalize, MPI_Abort, MPI_Comm_rank, MPI_Comm_size, MPI_COMM_WORLD, MPI_Send, &
                     MPI_Recv, MPI_Allreduce, MPI_DOUBLE_PRECISION, MPI_INTEGER8, MPI_SUM, MPI_STATUS_IGNORE, &
                     MPI_Bcast, MPI_Init_thread, MPI_THREAD_FUNNELED
  use emufort_broadcast, only: emufort_load_and_broadcast
#endif
  implicit none
  private

  public :: parallel_begin, parallel_end, parallel_fail, rank, n_ranks, is_root, columns_of
  public :: scatter, gather, broadcast, total, load_emulator

  integer, parameter :: dp = real64
  integer, save, protected :: rank = 0      !! of this process
  integer, save, protected :: n_ranks = 1   !! number of processes
  logical, save, protected :: is_root = .true.   !! whether this process reads and writes

contains

  !> Initialise MPI. Must be called first.
  subroutine parallel_begin()
#ifdef EMUFORT_MPI
    integer :: provided
    call MPI_Init_thread(MPI_THREAD_FUNNELED, provided)
    call MPI_Comm_rank(MPI_COMM_WORLD, rank)
    call MPI_Comm_size(MPI_COMM_WORLD, n_ranks)
    is_root = rank == 0
#endif

  end subroutine parallel_begin

  !> Finalise MPI. Must be called last.
  subroutine parallel_end()
#ifdef EMUFORT_MPI
    call MPI_Finalize()
#endif

  end subroutine parallel_end

  !> Print an error message of one line and end all processes.
  subroutine parallel_fail(message)
    character(len=*), intent(in) :: message   !! error message

    write (error_unit, '(a)') 'column_model: '//trim(message)
#ifdef EMUFORT_MPI
    call MPI_Abort(MPI_COMM_WORLD, 2)
#endif
    stop 2, quiet = .true.

  end subroutine parallel_fail

  !> Return the columns of a process: `first + 1` to `first + n`.
  pure subroutine columns_of(process, n_columns, first, n)
    integer, intent(in) :: process     !! rank
    integer, intent(in) :: n_columns   !! of all processes
    integer, intent(out) :: first      !! columns before those of the process
    integer, intent(out) :: n          !! columns of the process

    first = int(int(n_columns, int64)*process/n_ranks)
    n = int(int(n_columns, int64)*(process + 1)/n_ranks) - first

  end subroutine columns_of

  !> Send each process its columns of an array of the root.
  subroutine scatter(n_columns, n, width, all_columns, mine)
    integer, intent(in) :: n_columns                        !! of all processes
    integer, intent(in) :: n                                !! of this process
    integer, intent(in) :: width                            !! values per column
    real(dp), intent(in) :: all_columns(n_columns, width)   !! input, used on the root only
    real(dp), intent(out) :: mine(n, width)                 !! columns of this process
#ifdef EMUFORT_MPI
    real(dp), allocatable :: part(:, :)
    integer :: process, first, m

    if (is_root) then
      mine = all_columns(1:n, :)
      do process = 1, n_ranks - 1
        call columns_of(process, n_columns, first, m)
        part = all_columns(first + 1:first + m, :)
        call MPI_Send(part, m*width, MPI_DOUBLE_PRECISION, process, 1, MPI_COMM_WORLD)
      end do
    else
      call MPI_Recv(mine, n*width, MPI_DOUBLE_PRECISION, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE)
    end if
#else
    mine = all_columns
#endif

  end subroutine scatter

  !> Collect the columns of all processes on the root.
  subroutine gather(n_columns, n, width, mine, all_columns)
    integer, intent(in) :: n_columns                           !! of all processes
    integer, intent(in) :: n                                   !! of this process
    integer, intent(in) :: width                               !! values per column
    real(dp), intent(in) :: mine(n, width)                     !! columns of this process
    real(dp), intent(inout) :: all_columns(n_columns, width)   !! set on the root
#ifdef EMUFORT_MPI
    real(dp), allocatable :: part(:, :)
    integer :: process, first, m

    if (is_root) then
      all_columns(1:n, :) = mine
      do process = 1, n_ranks - 1
        call columns_of(process, n_columns, first, m)
        allocate (part(m, width))
        call MPI_Recv(part, m*width, MPI_DOUBLE_PRECISION, process, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE)
        all_columns(first + 1:first + m, :) = part
        deallocate (part)
      end do
    else
      call MPI_Send(mine, n*width, MPI_DOUBLE_PRECISION, 0, 2, MPI_COMM_WORLD)
    end if
#else
    all_columns = mine
#endif

  end subroutine gather

  !> Send the numbers of the root to all processes.
  subroutine broadcast(values)
    integer, intent(inout) :: values(:)   !! any numbers
#ifdef EMUFORT_MPI
    integer(int64) :: wide(size(values))

    wide = int(values, int64)
    call MPI_Bcast(wide, size(values), MPI_INTEGER8, 0, MPI_COMM_WORLD)
    values = int(wide)
#else
    if (size(values) < 0) values = 0
#endif

  end subroutine broadcast

  !> Return the sum over all processes.
  integer(int64) function total(mine)
    integer(int64), intent(in) :: mine   !! of this process

    total = mine
#ifdef EMUFORT_MPI
    call MPI_Allreduce(mine, total, 1, MPI_INTEGER8, MPI_SUM, MPI_COMM_WORLD)
#endif

  end function total

  !> Load an emulator on all processes. The root reads the file.
  subroutine load_emulator(emulator, filename, status)
    type(emulator_type), intent(inout) :: emulator   !! unchanged if there is an error
    character(len=*), intent(in) :: filename         !! path of weights.bin
    type(status_type), intent(out) :: status         !! outcome

#ifdef EMUFORT_MPI
    call emufort_load_and_broadcast(emulator, filename, 0, MPI_COMM_WORLD, status)
#else
    call emulator%load(filename, status)
#endif

  end subroutine load_emulator

end module column_parallel
