!> Thermodynamics of moist air that the whole parcel shares: everything that does not depend on droplet size.
module parcel_thermodynamics
  use parcel_constants, only: wp, pi, gas_constant, thermal_accommodation, mass_ratio_water_air, constants_type
  implicit none
  private

  integer, parameter, public :: n_bulk = 4 !! number of bulk state variables
  integer, parameter, public :: i_pressure = 1 !! air pressure [Pa]
  integer, parameter, public :: i_temperature = 2 !! air temperature [K]
  integer, parameter, public :: i_vapour = 3 !! water vapour mixing ratio [kg kg-1]
  integer, parameter, public :: i_supersaturation = 4 !! supersaturation over water [1]

  !> Coefficients of the parcel equations at one bulk state.
  !!
  !! d(bulk)/dt = ascent + moment*condensation, where moment = sum over cells of N r^2 dr/dt [m3 m-3 s-1], and
  !! dr/dt = (S - S_eq(r)) / (resistance_slope r + resistance_offset).
  type, public :: bulk_coefficients_type
    real(wp) :: kelvin_length !! A in exp(A/r) [m]
    real(wp) :: resistance_slope !! continuum resistance to growth [s m-2]
    real(wp) :: resistance_offset !! kinetic correction of that resistance [s m-1]
    real(wp) :: ascent(n_bulk) !! tendency by adiabatic expansion (units of the state per s)
    real(wp) :: condensation(n_bulk) !! tendency per unit of the condensation moment
  end type bulk_coefficients_type

  public :: saturation_vapour_pressure, kelvin_length, bulk_coefficients, initial_bulk_state

contains

  pure elemental function saturation_vapour_pressure(air_temperature) result(pressure)
    !! Saturation vapour pressure over liquid water, Bolton (1980) as in pyrcel.
    real(wp), intent(in) :: air_temperature !! [K]
    real(wp) :: pressure !! [Pa]
    real(wp) :: celsius
    celsius = air_temperature - 273.15_wp
    pressure = 611.2_wp*exp(17.67_wp*celsius/(celsius + 243.5_wp))
  end function saturation_vapour_pressure

  pure elemental function kelvin_length(air_temperature, constants) result(length)
    !! Kelvin length A = 2 M_w sigma_w / (R T rho_w) of kappa-Koehler theory (Petters and Kreidenweis 2007).
    real(wp), intent(in) :: air_temperature !! [K]
    type(constants_type), intent(in) :: constants
    real(wp) :: length !! [m]
    real(wp) :: surface_tension !! [J m-2]
    real(wp) :: molar_mass_water !! [kg mol-1]
    molar_mass_water = gas_constant/constants%gas_constant_vapour
    surface_tension = 0.0761_wp - 1.55e-4_wp*(air_temperature - 273.15_wp)
    length = 2.0_wp*molar_mass_water*surface_tension/(gas_constant*air_temperature*constants%density_water)
  end function kelvin_length

  pure function bulk_coefficients(bulk, updraft_speed, constants) result(coefficients)
    !! Coefficients of the parcel equations at one bulk state.
    !!
    !! The size dependence of diffusivity and conductivity, D/(1 + D b/r), makes the resistance to growth exactly
    !! linear in r: it is split here into slope and offset, so the loop over cells has no division by these. The
    !! formulas have molar masses, as those of pyrcel have, so that both models round alike.
    real(wp), intent(in) :: bulk(n_bulk) !! pressure [Pa], temperature [K], vapour [kg kg-1], supersaturation [1]
    real(wp), intent(in) :: updraft_speed !! [m s-1]
    type(constants_type), intent(in) :: constants
    type(bulk_coefficients_type) :: coefficients
    real(wp) :: vapour_saturation, density, density_dry, diffusivity, conductivity
    real(wp) :: vapour_slope, vapour_length, heat_slope, heat_length, source, sink, liquid_rate
    real(wp) :: molar_mass_air, molar_mass_water !! [kg mol-1]

    molar_mass_air = gas_constant/constants%gas_constant_air
    molar_mass_water = gas_constant/constants%gas_constant_vapour
    associate (p => bulk(i_pressure), t => bulk(i_temperature), s => bulk(i_supersaturation), &
               gravity => constants%gravity, gas_constant_air => constants%gas_constant_air, &
               heat_capacity_air => constants%heat_capacity_air, latent_heat => constants%latent_heat, &
               density_water => constants%density_water)
      vapour_saturation = saturation_vapour_pressure(t)
      density = p/(gas_constant_air*(1.0_wp + 0.61_wp*bulk(i_vapour))*t)
      density_dry = (p - (1.0_wp + s)*vapour_saturation)/(gas_constant_air*t)
      diffusivity = 1.0e-4_wp*(0.211_wp/(p*1.01325e-5_wp))*(t/273.0_wp)**1.94_wp ! pressure conversion as in pyrcel
      conductivity = 1.0e-3_wp*(4.39_wp + 0.071_wp*t)

      vapour_slope = density_water*gas_constant*t/(vapour_saturation*diffusivity*molar_mass_water)
      vapour_length = diffusivity/constants%accommodation_coefficient*sqrt(2.0_wp*pi*molar_mass_water/(gas_constant*t))
      heat_slope = latent_heat*density_water*(latent_heat*molar_mass_water/(gas_constant*t) - 1.0_wp)/(conductivity*t)
      heat_length = conductivity/(thermal_accommodation*density*heat_capacity_air)* &
                    sqrt(2.0_wp*pi*molar_mass_air/(gas_constant*t))

      source = gravity*molar_mass_water*latent_heat/(heat_capacity_air*gas_constant*t*t) - &
               gravity*molar_mass_air/(gas_constant*t)
      sink = p*molar_mass_air/(molar_mass_water*vapour_saturation) + &
             molar_mass_water*latent_heat*latent_heat/(heat_capacity_air*gas_constant*t*t)
      liquid_rate = 4.0_wp*pi*density_water/density_dry

      coefficients%kelvin_length = kelvin_length(t, constants)
      coefficients%resistance_slope = vapour_slope + heat_slope
      coefficients%resistance_offset = vapour_slope*vapour_length + heat_slope*heat_length
      coefficients%ascent = [-density*gravity*updraft_speed, -gravity*updraft_speed/heat_capacity_air, 0.0_wp, &
                             source*updraft_speed]
      coefficients%condensation = [0.0_wp, latent_heat/heat_capacity_air*liquid_rate, -liquid_rate, &
                                   -sink*liquid_rate]
    end associate
  end function bulk_coefficients

  pure function initial_bulk_state(air_temperature, air_pressure, initial_supersaturation) result(bulk)
    !! Bulk state of the parcel at the start of the ascent.
    real(wp), intent(in) :: air_temperature !! [K]
    real(wp), intent(in) :: air_pressure !! [Pa]
    real(wp), intent(in) :: initial_supersaturation !! below 0 [1]
    real(wp) :: bulk(n_bulk)
    real(wp) :: vapour_saturation
    vapour_saturation = saturation_vapour_pressure(air_temperature)
    bulk(i_pressure) = air_pressure
    bulk(i_temperature) = air_temperature
    bulk(i_vapour) = (1.0_wp + initial_supersaturation)*mass_ratio_water_air*vapour_saturation/ &
                     (air_pressure - vapour_saturation)
    bulk(i_supersaturation) = initial_supersaturation
  end function initial_bulk_state

end module parcel_thermodynamics
