!> ARG2000 for a host model: any number of modes of any width, the host's constants, the paper's formula or E3SM's.
!>
!> This module is the fall-back of the emulator unless the host passes its own routine. With the default constants and
!> the formula of the paper it gives the results of the module `arg2000`, which is for timing and has the constants of
!> the labels compiled in. Reference: Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161, called ARG below.
module emufort_aerosol_arg2000
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_aerosol_contract, only: aerosol_gravity, aerosol_gas_constant_air, aerosol_gas_constant_vapour, &
                                      aerosol_heat_capacity_air, aerosol_latent_heat, aerosol_density_water
  implicit none
  private

  public :: activation_constants_type, air_type, air_properties, critical_supersaturation_squared, arg2000_smax
  public :: critical_factors, in_cloud_smax, kelvin_length, arg2000_paper, arg2000_e3sm

  integer, parameter :: dp = real64
  integer, parameter :: arg2000_paper = 0   !! (zeta/eta)**1.5 in eq. 6, as published
  !> (zeta/eta)**2: an error of earlier versions of E3SM, which multiply by the square root twice. Today's default of
  !> E3SM (fix_g1_err_ndrop) and CAM have the formula of the paper. Only for a comparison with such a version.
  integer, parameter :: arg2000_e3sm = 1
  real(dp), parameter :: pi = 3.14159265358979323846_dp

  !> Physical constants of the host. The defaults are those with which the labels of the emulator were made.
  type :: activation_constants_type
    real(dp) :: gravity = aerosol_gravity                           !! [m s-2]
    real(dp) :: gas_constant_air = aerosol_gas_constant_air         !! of dry air [J kg-1 K-1]
    real(dp) :: gas_constant_vapour = aerosol_gas_constant_vapour   !! of water vapour [J kg-1 K-1]
    real(dp) :: heat_capacity_air = aerosol_heat_capacity_air       !! of dry air at constant pressure [J kg-1 K-1]
    real(dp) :: latent_heat = aerosol_latent_heat                   !! of condensation of water [J kg-1]
    real(dp) :: density_water = aerosol_density_water               !! [kg m-3]
  end type activation_constants_type

  !> Properties of the air of one parcel that the schemes need.
  type :: air_type
    real(dp) :: kelvin_length   !! A = 2 sigma/(R_v T rho_w) [m]
    real(dp) :: source          !! alpha, supersaturation gained per ascent [m-1]
    real(dp) :: sink            !! gamma, supersaturation lost per condensate [m3 kg-1]
    real(dp) :: resistance      !! 1/G, resistance to growth [s m-2]
  end type air_type

contains

  !> Compute the properties of the air of one parcel.
  pure recursive function air_properties(constants, air_temperature, air_pressure) result(air)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    real(dp), intent(in) :: air_temperature                    !! [K]
    real(dp), intent(in) :: air_pressure                       !! [Pa]
    type(air_type) :: air
    real(dp) :: celsius, saturation, diffusivity, conductivity, latent_number

    celsius = air_temperature - 273.15_dp
    saturation = 611.2_dp*exp(17.67_dp*celsius/(celsius + 243.5_dp))   ! vapour pressure [Pa], Bolton (1980)
    diffusivity = 1.0e-4_dp*(0.211_dp/(air_pressure*1.01325e-5_dp))*(air_temperature/273.0_dp)**1.94_dp   ! [m2 s-1]
    conductivity = 1.0e-3_dp*(4.39_dp + 0.071_dp*air_temperature)   ! [J m-1 s-1 K-1]
    associate (c => constants, t => air_temperature)
      latent_number = c%latent_heat/(c%gas_constant_vapour*t)
      air%kelvin_length = kelvin_length(c, t)
      air%source = c%gravity*(latent_number/c%heat_capacity_air - 1.0_dp/c%gas_constant_air)/t
      air%sink = c%gas_constant_vapour*t/saturation + c%gas_constant_air/c%gas_constant_vapour*c%latent_heat**2/ &
                 (c%heat_capacity_air*t*air_pressure)
      air%resistance = c%density_water*(c%gas_constant_vapour*t/(saturation*diffusivity) + &
                                        c%latent_heat*(latent_number - 1.0_dp)/(conductivity*t))
    end associate

  end function air_properties

  !> Return the Kelvin length A = 2 sigma/(R_v T rho_w) [m].
  pure recursive real(dp) function kelvin_length(constants, air_temperature)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    real(dp), intent(in) :: air_temperature                    !! [K]

    kelvin_length = 2.0_dp*(0.0761_dp - 1.55e-4_dp*(air_temperature - 273.15_dp))/ &
                    (constants%gas_constant_vapour*air_temperature*constants%density_water)

  end function kelvin_length

  !> Return the square of the critical supersaturation of particles of the median radius, ARG eq. 9 [1].
  elemental recursive real(dp) function critical_supersaturation_squared(kelvin_length, radius_cubed, hygroscopicity)
    real(dp), intent(in) :: kelvin_length    !! [m]
    real(dp), intent(in) :: radius_cubed     !! cube of the dry number-median radius, above 0 [m3]
    real(dp), intent(in) :: hygroscopicity   !! kappa, above 0 [1]

    critical_supersaturation_squared = 4.0_dp*kelvin_length**3/(27.0_dp*hygroscopicity*radius_cubed)

  end function critical_supersaturation_squared

  !> Compute the product of the squared critical supersaturation, the hygroscopicity and the cubed radius, ARG eq. 9.
  pure recursive subroutine critical_factors(constants, n, air_temperature, factor)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    integer, intent(in) :: n                                   !! number of columns
    real(dp), intent(in) :: air_temperature(n)                 !! [K] (column)
    real(dp), intent(out) :: factor(n)                         !! 4 A**3/27 [m3] (column)
    real(dp) :: length
    integer :: i

    do i = 1, n
      length = kelvin_length(constants, air_temperature(i))
      factor(i) = 4.0_dp*(length*length*length)/27.0_dp
    end do

  end subroutine critical_factors

  !> Return the maximum supersaturation of one parcel by ARG [1]; 0 without an updraft or without active modes.
  pure recursive function arg2000_smax(constants, formula, n_modes, breadth, spread, air, updraft_speed, number, &
                                       critical_squared, is_active) result(smax)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    integer, intent(in) :: formula                             !! arg2000_paper or arg2000_e3sm
    integer, intent(in) :: n_modes                             !! number of modes
    real(dp), intent(in) :: breadth(n_modes)                   !! f = exp(2.5 ln(sigma)**2)/2, ARG eq. 7 [1] (mode)
    real(dp), intent(in) :: spread(n_modes)                    !! g = 1 + ln(sigma)/4, ARG eq. 8 [1] (mode)
    type(air_type), intent(in) :: air                          !! from `air_properties`
    real(dp), intent(in) :: updraft_speed                      !! [m s-1]
    real(dp), intent(in) :: number(n_modes)                    !! number concentration [m-3] (mode)
    real(dp), intent(in) :: critical_squared(n_modes)          !! square of the critical supersaturation [1] (mode)
    logical, intent(in) :: is_active(n_modes)                  !! modes that can activate (mode)
    real(dp) :: smax
    real(dp) :: forcing, root, zeta, eta, ratio, competition, total
    integer :: m

    smax = 0.0_dp
    if (updraft_speed <= 0.0_dp) return
    forcing = air%source*updraft_speed*air%resistance   ! alpha V/G [m-2]
    root = sqrt(forcing)
    zeta = (2.0_dp/3.0_dp)*air%kelvin_length*root       ! ARG eq. 10
    total = 0.0_dp
    do m = 1, n_modes
      if (.not. is_active(m)) cycle
      eta = forcing*root/(2.0_dp*pi*constants%density_water*air%sink*number(m))   ! ARG eq. 11
      ratio = zeta/eta
      if (formula == arg2000_e3sm) then
        ratio = ratio*ratio
      else
        ratio = ratio*sqrt(ratio)
      end if
      competition = sqrt(critical_squared(m)/(eta + 3.0_dp*zeta))
      competition = competition*sqrt(competition)
      total = total + (breadth(m)*ratio + spread(m)*competition)/critical_squared(m)
    end do
    if (total > 0.0_dp) then
      smax = 1.0_dp/sqrt(total)   ! ARG eq. 6
    else if (.not. total <= 0.0_dp) then
      smax = total                ! a NaN remains a NaN
    end if

  end function arg2000_smax

  !> Return the supersaturation above cloud base [1], where the gain by ascent equals the loss to the existing drops.
  pure recursive real(dp) function in_cloud_smax(constants, air, updraft_speed, drop_length)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    type(air_type), intent(in) :: air                          !! from `air_properties`
    real(dp), intent(in) :: updraft_speed                      !! [m s-1]
    real(dp), intent(in) :: drop_length                        !! number times mean radius scale of the drops [m-2]

    in_cloud_smax = 0.0_dp
    if (drop_length > 0.0_dp .and. updraft_speed > 0.0_dp) &
      in_cloud_smax = air%source*updraft_speed*air%resistance/(2.0_dp*pi*constants%density_water*air%sink*drop_length)

  end function in_cloud_smax

end module emufort_aerosol_arg2000
