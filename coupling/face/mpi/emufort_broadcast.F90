!> For hosts with MPI that load an emulator at run time: one process reads the weights and broadcasts them.
module emufort_broadcast
  use, intrinsic :: iso_fortran_env, only: int8, int64
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank, MPI_Comm_size, MPI_Bcast, MPI_Allreduce, MPI_INTEGER, MPI_INTEGER1, &
                     MPI_CHARACTER, MPI_MIN
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_error_file, emufort_error_limit
  use emufort_status, only: set_error
  implicit none
  private

  public :: emufort_load_and_broadcast, emufort_agree

contains

  !> Load an emulator on all processes of a communicator; collective. All processes get the same status.
  subroutine emufort_load_and_broadcast(emulator, filename, root, comm, status)
    type(emulator_type), intent(inout) :: emulator   !! must not be used if there is an error
    character(len=*), intent(in) :: filename         !! path of weights.bin; used on `root` only
    integer, intent(in) :: root                      !! rank of the process that reads
    type(MPI_Comm), intent(in) :: comm               !! communicator
    type(status_type), intent(out) :: status         !! outcome
    integer(int8), allocatable :: bytes(:)
    integer :: rank, unit, failure, length
    integer(int64) :: size_of_file

    call MPI_Comm_rank(comm, rank)
    length = -1
    if (rank == root) then
      open (newunit=unit, file=filename, access='stream', form='unformatted', status='old', action='read', &
            iostat=failure)
      if (failure == 0) then
        inquire (unit=unit, size=size_of_file)
        if (size_of_file >= 0_int64 .and. size_of_file < huge(length)) then
          allocate (bytes(size_of_file), stat=failure)
          if (failure == 0) read (unit, iostat=failure) bytes
          if (failure == 0) length = int(size_of_file)
        end if
        close (unit)
      end if
      if (length < 0) call set_error(status, emufort_error_file, 'load_and_broadcast', 'cannot read '//filename)
    end if
    call MPI_Bcast(length, 1, MPI_INTEGER, root, comm)
    if (rank /= root .and. length >= 0) then
      allocate (bytes(length), stat=failure)
      if (failure /= 0) call set_error(status, emufort_error_limit, 'load_and_broadcast', 'no memory for '//filename)
    end if
    call emufort_agree(status, comm)
    if (status%code /= emufort_success) return
    call MPI_Bcast(bytes, length, MPI_INTEGER1, root, comm)
    call emulator%load_bytes(bytes, status)
    if (status%code /= emufort_success) status%message = trim(status%message)//': '//filename
    call emufort_agree(status, comm)

  end subroutine emufort_load_and_broadcast

  !> Report an error on any process of a communicator to all of them; collective.
  !>
  !> All processes get the code, place and message of the failed process with the lowest rank. Each process then knows
  !> whether the others continue, and any of them can print the message.
  subroutine emufort_agree(status, comm)
    type(status_type), intent(inout) :: status   !! in: status of this process; out: equal on all if any has failed
    type(MPI_Comm), intent(in) :: comm           !! communicator
    integer :: rank, n_ranks, candidate, failed

    call MPI_Comm_rank(comm, rank)
    call MPI_Comm_size(comm, n_ranks)
    candidate = merge(rank, n_ranks, status%code /= emufort_success)
    call MPI_Allreduce(candidate, failed, 1, MPI_INTEGER, MPI_MIN, comm)
    if (failed == n_ranks) return
    call MPI_Bcast(status%code, 1, MPI_INTEGER, failed, comm)
    call MPI_Bcast(status%place, len(status%place), MPI_CHARACTER, failed, comm)
    call MPI_Bcast(status%message, len(status%message), MPI_CHARACTER, failed, comm)

  end subroutine emufort_agree

end module emufort_broadcast
