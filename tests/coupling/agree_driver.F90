!> Every rank from a given one on fails in its own words; each prints what it knows afterwards.
program agree_driver
  use mpi_f08, only: MPI_Init, MPI_Finalize, MPI_Comm_rank, MPI_COMM_WORLD
  use emufort_runtime, only: status_type, emufort_error_file
  use emufort_status, only: set_error
  use emufort_broadcast, only: emufort_agree
  implicit none
  type(status_type) :: status
  character(len=8) :: text
  integer :: rank, first

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call get_command_argument(1, text)
  read (text, *) first
  if (rank >= first) then
    write (text, '(i0)') rank
    call set_error(status, emufort_error_file + rank, 'place '//text, 'rank '//trim(text)//' failed')
  end if
  call emufort_agree(status, MPI_COMM_WORLD)
  print '(i0, a, i0, 4a)', rank, ': ', status%code, ', ', trim(status%place), ', ', trim(status%message)
  call MPI_Finalize()
end program agree_driver
