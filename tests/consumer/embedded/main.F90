!> A host model in small that has the emulator `pond` compiled in: the two source files of its bundle and this one.
!>
!>     consumer COLUMNS      prints the bits of the network's precision, then the outputs of each column
!>
!> COLUMNS is text: the number of columns, then a line of inputs for each.
program consumer
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_runtime, only: emufort_success, emufort_kind
  use pond_emulator, only: pond_emulator_predict, status_type
  implicit none
  type(status_type) :: status
  character(len=1000) :: path
  real(real64), allocatable :: wind_speed(:), water_temperature(:, :), first_guess(:), evaporation(:), heat_flux(:, :)
  integer :: unit, ncol, i

  call get_command_argument(1, path)
  open (newunit=unit, file=trim(path), status='old', action='read')
  read (unit, *) ncol
  allocate (wind_speed(ncol), water_temperature(ncol, 2), first_guess(ncol), evaporation(ncol), heat_flux(ncol, 2))
  do i = 1, ncol
    read (unit, *) wind_speed(i), water_temperature(i, :), first_guess(i)
  end do
  close (unit)
  call pond_emulator_predict(ncol, wind_speed, water_temperature, first_guess, evaporation, heat_flux, status)
  if (status%code /= emufort_success .or. status%n_clipped /= 0 .or. status%n_invalid /= 0) error stop 'predict'
  print '(i0)', storage_size(1.0_emufort_kind)
  do i = 1, ncol
    print '(*(es26.16e3))', evaporation(i), heat_flux(i, :)
  end do

end program consumer
