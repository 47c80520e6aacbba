!> One process reads the weights, all have them: for hosts with MPI that load an emulator at run time.
module emufort_broadcast
  use, intrinsic :: iso_fortran_env, only: int8, int64
  use mpi_f08, only: MPI_Comm, MPI_Comm_rank, MPI_Bcast, MPI_INTEGER, MPI_INTEGER1
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_error_file
  use emufort_status, only: set_error
  implicit none
  private

  public :: emufort_load_and_broadcast

contains

  !> Load an emulator on all processes of a communicator; collective. All get the same status.
  subroutine emufort_load_and_broadcast(emulator, filename, root, comm, status)
    type(emulator_type), intent(inout) :: emulator   !! unchanged if there is an error
    character(len=*), intent(in) :: filename         !! path of weights.bin; only `root` looks at it
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
    end if
    ! the length tells all whether there is anything to wait for
    call MPI_Bcast(length, 1, MPI_INTEGER, root, comm)
    if (length < 0) then
      call set_error(status, emufort_error_file, 'load_and_broadcast', 'cannot read '//filename)
      return
    end if
    if (rank /= root) allocate (bytes(length))
    call MPI_Bcast(bytes, length, MPI_INTEGER1, root, comm)
    call emulator%load_bytes(bytes, status)
    if (status%code /= emufort_success) status%message = trim(status%message)//': '//filename

  end subroutine emufort_load_and_broadcast

end module emufort_broadcast
