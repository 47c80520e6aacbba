!> A minimal host: one polluted and one clean column of air in three updrafts, with the emulator and with ARG2000.
program example_host
  use, intrinsic :: iso_fortran_env, only: real64, error_unit
  use emufort_aerosol_contract, only: nmode => aerosol_modes, sigma => aerosol_sigma
  use emufort_host, only: emufort_host_init, emufort_host_hash, activate_modal
  implicit none
  integer, parameter :: r8 = real64
  character(len=*), parameter :: schemes(2) = [character(len=8) :: 'emulator', 'arg2000']
  real(r8), parameter :: updraft(3) = [0.1_r8, 0.5_r8, 2.0_r8]   ! [m s-1]
  ! accumulation, aitken, coarse, primary carbon
  real(r8), parameter :: diameter(nmode) = [1.1e-7_r8, 2.6e-8_r8, 2.0e-6_r8, 5.0e-8_r8]
  real(r8), parameter :: number(nmode) = [5.0e8_r8, 5.0e8_r8, 1.0e6_r8, 1.0e7_r8], hygro(nmode) = [0.5_r8, 0.5_r8, &
                                                                                                   0.9_r8, 0.01_r8]
  real(r8), parameter :: air_temperature = 283.0_r8, air_density = 1.1_r8   ! [K], [kg m-3]
  real(r8) :: volume(nmode), fn(nmode), fm(nmode), fluxn(nmode), fluxm(nmode), flux_fullact, clean
  character(len=512) :: errmsg
  integer :: errflg, i, j

  print '(a)', 'emulator '//emufort_host_hash
  do i = 1, size(schemes)
    call emufort_host_init(r8, 9.80616_r8, 287.042_r8, 461.505_r8, 1004.64_r8, 2.501e6_r8, 1000.0_r8, sigma, &
                           schemes(i), 'ratio', 'paper', errmsg, errflg)
    if (errflg /= 0) then
      write (error_unit, '(a)') trim(errmsg)
      error stop 1
    end if
    do j = 1, 2*size(updraft)
      clean = merge(0.1_r8, 1.0_r8, j > size(updraft))
      volume = clean*number*(3.14159265358979_r8/6.0_r8)*diameter**3*exp(4.5_r8*log(sigma)**2)
      call activate_modal(updraft(1 + mod(j - 1, 3)), 0.0_r8, 0.0_r8, 0.0_r8, 10.0_r8, air_temperature, air_density, &
                          clean*number, nmode, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact)
      print '(a, f5.1, a, f8.1, a)', schemes(i)//' updraft', updraft(1 + mod(j - 1, 3)), ' m/s:', &
        1.0e-6_r8*sum(fn*clean*number), ' drops per cm3'
    end do
  end do

end program example_host
