!> Activation scheme of Abdul-Razzak and Ghan (2000), as climate models call it: one air parcel at a time, real64.
!!
!! The cost of the emulator is compared with this scheme. The formula is that of
!! python/emufort/processes/aerosol_activation/arg2000.py, the constants are those of the contract.
!! Reference: doi:10.1029/1999JD901161, called ARG below.
module arg2000
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_aerosol_contract, only: aerosol_modes, aerosol_sigma, gravity => aerosol_gravity, &
                                      gas_constant_air => aerosol_gas_constant_air, &
                                      gas_constant_vapour => aerosol_gas_constant_vapour, &
                                      heat_capacity_air => aerosol_heat_capacity_air, &
                                      latent_heat => aerosol_latent_heat, density_water => aerosol_density_water
  implicit none
  private

  integer, parameter, public :: arg2000_kind = real64 !! kind of all arguments
  integer, parameter, public :: arg2000_n_modes = aerosol_modes !! number of aerosol modes
  integer, parameter :: wp = arg2000_kind

  real(wp), parameter, public :: arg2000_geometric_standard_deviation(arg2000_n_modes) = &
                                 aerosol_sigma !! of the modes [1]

  real(wp), parameter :: pi = 3.14159265358979323846_wp
  ! the widths of the modes are fixed, so these factors are known at compile time
  real(wp), parameter :: log_sigma(arg2000_n_modes) = log(arg2000_geometric_standard_deviation)
  real(wp), parameter :: breadth(arg2000_n_modes) = 0.5_wp*exp(2.5_wp*log_sigma*log_sigma) ! f, ARG eq. 7
  real(wp), parameter :: spread(arg2000_n_modes) = 1.0_wp + 0.25_wp*log_sigma ! g, ARG eq. 8

  public :: arg2000_max_supersaturation, arg2000_activated_fractions

contains

  pure subroutine arg2000_max_supersaturation(air_temperature, air_pressure, updraft_speed, number_concentration, &
                                              dry_median_radius, hygroscopicity, max_supersaturation)
    !! Compute the maximum supersaturation of one air parcel with lognormal aerosol modes; accommodation
    !! coefficient 1.
    real(wp), intent(in) :: air_temperature !! [K]
    real(wp), intent(in) :: air_pressure !! [Pa]
    real(wp), intent(in) :: updraft_speed !! above 0 [m s-1]
    real(wp), intent(in) :: number_concentration(arg2000_n_modes) !! above 0 [m-3] (mode)
    real(wp), intent(in) :: dry_median_radius(arg2000_n_modes) !! number-median, above 0 [m] (mode)
    real(wp), intent(in) :: hygroscopicity(arg2000_n_modes) !! kappa, above 0 [1] (mode)
    real(wp), intent(out) :: max_supersaturation !! [1]
    real(wp) :: celsius, saturation, kelvin_length, diffusivity, conductivity, source, sink, resistance, forcing
    real(wp) :: zeta, eta, critical_squared, total
    integer :: mode

    celsius = air_temperature - 273.15_wp
    saturation = 611.2_wp*exp(17.67_wp*celsius/(celsius + 243.5_wp)) ! vapour pressure [Pa]
    kelvin_length = 2.0_wp*(0.0761_wp - 1.55e-4_wp*celsius)/(gas_constant_vapour*air_temperature*density_water) ! [m]
    diffusivity = 1.0e-4_wp*(0.211_wp/(air_pressure*1.01325e-5_wp))*(air_temperature/273.0_wp)**1.94_wp ! [m2 s-1]
    conductivity = 1.0e-3_wp*(4.39_wp + 0.071_wp*air_temperature) ! [J m-1 s-1 K-1]

    ! alpha [m-1], gamma [m3 kg-1] and 1/G [s m-2] of ARG eq. 3 and 4
    source = gravity*(latent_heat/(heat_capacity_air*gas_constant_vapour*air_temperature) - 1.0_wp/gas_constant_air)/ &
             air_temperature
    sink = gas_constant_vapour*air_temperature/saturation + &
           gas_constant_air*latent_heat**2/(heat_capacity_air*gas_constant_vapour*air_temperature*air_pressure)
    resistance = density_water*gas_constant_vapour*air_temperature/(saturation*diffusivity) + &
                 latent_heat*density_water*(latent_heat/(gas_constant_vapour*air_temperature) - 1.0_wp)/ &
                 (conductivity*air_temperature)

    forcing = source*updraft_speed*resistance ! alpha V / G [m-2]
    zeta = (2.0_wp/3.0_wp)*kelvin_length*sqrt(forcing) ! ARG eq. 10
    total = 0.0_wp
    do mode = 1, arg2000_n_modes
      critical_squared = 4.0_wp*kelvin_length**3/(27.0_wp*hygroscopicity(mode)*dry_median_radius(mode)**3) ! ARG eq. 9
      eta = forcing**1.5_wp/(2.0_wp*pi*density_water*sink*number_concentration(mode)) ! ARG eq. 11
      total = total + (breadth(mode)*(zeta/eta)**1.5_wp + &
                       spread(mode)*(critical_squared/(eta + 3.0_wp*zeta))**0.75_wp)/critical_squared
    end do
    max_supersaturation = 1.0_wp/sqrt(total) ! ARG eq. 6
  end subroutine arg2000_max_supersaturation

  pure subroutine arg2000_activated_fractions(air_temperature, dry_median_radius, hygroscopicity, max_supersaturation, &
                                              number_activated_fraction, mass_activated_fraction)
    !! Compute the activated fractions of the modes of one air parcel at its maximum supersaturation, ARG eq. 13-15.
    real(wp), intent(in) :: air_temperature !! [K]
    real(wp), intent(in) :: dry_median_radius(arg2000_n_modes) !! number-median, above 0 [m] (mode)
    real(wp), intent(in) :: hygroscopicity(arg2000_n_modes) !! kappa, above 0 [1] (mode)
    real(wp), intent(in) :: max_supersaturation !! above 0 [1]
    real(wp), intent(out) :: number_activated_fraction(arg2000_n_modes) !! [1] (mode)
    real(wp), intent(out) :: mass_activated_fraction(arg2000_n_modes) !! [1] (mode)
    real(wp) :: kelvin_length, critical_squared, x
    integer :: mode

    kelvin_length = 2.0_wp*(0.0761_wp - 1.55e-4_wp*(air_temperature - 273.15_wp))/ &
                    (gas_constant_vapour*air_temperature*density_water) ! [m]
    do mode = 1, arg2000_n_modes
      critical_squared = 4.0_wp*kelvin_length**3/(27.0_wp*hygroscopicity(mode)*dry_median_radius(mode)**3) ! ARG eq. 9
      x = log(critical_squared/max_supersaturation**2)/(3.0_wp*sqrt(2.0_wp)*log_sigma(mode))
      number_activated_fraction(mode) = 0.5_wp*erfc(x)
      mass_activated_fraction(mode) = 0.5_wp*erfc(x - 1.5_wp*sqrt(2.0_wp)*log_sigma(mode))
    end do
  end subroutine arg2000_activated_fractions

end module arg2000
