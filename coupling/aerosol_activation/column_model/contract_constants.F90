!> The physical constants of the contract of the emulator, for the schemes and for the parcel model.
module contract_constants
  use emufort_aerosol_contract, only: aerosol_gravity, aerosol_gas_constant_air, aerosol_gas_constant_vapour, &
                                      aerosol_heat_capacity_air, aerosol_latent_heat, aerosol_density_water, &
                                      aerosol_initial_supersaturation, aerosol_accommodation_coefficient
  use emufort_aerosol_activation, only: activation_constants_type
  use parcel_constants, only: constants_type
  use parcel_integrator, only: parcel_options_type
  implicit none
  private

  !> Constants of the host, for the schemes.
  type(activation_constants_type), parameter, public :: constants = activation_constants_type()

  !> The same constants for the parcel model.
  type(constants_type), parameter, public :: constants_of_parcel = constants_type( &
                                             gravity=aerosol_gravity, gas_constant_air=aerosol_gas_constant_air, &
                                             gas_constant_vapour=aerosol_gas_constant_vapour, &
                                             heat_capacity_air=aerosol_heat_capacity_air, &
                                             latent_heat=aerosol_latent_heat, density_water=aerosol_density_water, &
                                             accommodation_coefficient=aerosol_accommodation_coefficient)

  !> Start of the parcel model as for the labels.
  type(parcel_options_type), parameter, public :: options_of_parcel = parcel_options_type( &
                                                  initial_supersaturation=aerosol_initial_supersaturation)

end module contract_constants
