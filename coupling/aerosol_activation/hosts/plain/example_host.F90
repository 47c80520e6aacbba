!> A minimal host: one polluted and one clean column of air in three updrafts, with the emulator and with ARG2000.
program example_host
  use, intrinsic :: iso_fortran_env, only: real64, error_unit
  use emufort_aerosol_contract, only: nmode => aerosol_modes, sigma => aerosol_sigma, aerosol_gravity, &
                                      aerosol_gas_constant_air, aerosol_gas_constant_vapour, &
                                      aerosol_heat_capacity_air, aerosol_latent_heat, aerosol_density_water, &
                                      lower => aerosol_lower, upper => aerosol_upper, &
                                      number_at => number_concentration_at, radius_at => dry_median_radius_at, &
                                      kappa_at => hygroscopicity_at
  use emufort_host, only: emufort_host_init, emufort_host_hash, activate_modal
  implicit none
  integer, parameter :: r8 = real64
  character(len=*), parameter :: schemes(2) = [character(len=8) :: 'emulator', 'arg2000']
  real(r8), parameter :: updraft(3) = [0.1_r8, 0.5_r8, 2.0_r8]   ! [m s-1]
  real(r8), parameter :: air_temperature = 283.0_r8, air_density = 1.1_r8   ! [K], [kg m-3]
  real(r8) :: radius(nmode), number(nmode), hygro(nmode), volume(nmode)
  real(r8) :: fn(nmode), fm(nmode), fluxn(nmode), fluxm(nmode), flux_fullact, clean
  character(len=512) :: errmsg
  integer :: errflg, i, j

  print '(a)', 'emulator '//emufort_host_hash
  ! the middle of the range of every mode, on a logarithmic scale
  number = sqrt(lower(number_at:number_at + nmode - 1)*upper(number_at:number_at + nmode - 1))
  radius = sqrt(lower(radius_at:radius_at + nmode - 1)*upper(radius_at:radius_at + nmode - 1))
  hygro = sqrt(lower(kappa_at:kappa_at + nmode - 1)*upper(kappa_at:kappa_at + nmode - 1))
  do i = 1, size(schemes)
    ! a host passes its own constants and widths; init compares them with those of the labels of the emulator
    call emufort_host_init(r8, aerosol_gravity, aerosol_gas_constant_air, aerosol_gas_constant_vapour, &
                           aerosol_heat_capacity_air, aerosol_latent_heat, aerosol_density_water, sigma, schemes(i), &
                           'ratio', 'paper', errmsg, errflg)
    if (errflg /= 0) then
      write (error_unit, '(a)') trim(errmsg)
      error stop 1
    end if
    do j = 1, 2*size(updraft)
      clean = merge(0.1_r8, 1.0_r8, j > size(updraft))
      volume = clean*number*(4.0_r8*3.14159265358979_r8/3.0_r8)*radius**3*exp(4.5_r8*log(sigma)**2)
      call activate_modal(updraft(1 + mod(j - 1, 3)), 0.0_r8, 0.0_r8, 0.0_r8, 10.0_r8, air_temperature, air_density, &
                          clean*number, nmode, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact)
      print '(a, f5.1, a, f8.1, a)', schemes(i)//' updraft', updraft(1 + mod(j - 1, 3)), ' m/s:', &
        1.0e-6_r8*sum(fn*clean*number), ' drops per cm3'
    end do
  end do

end program example_host
