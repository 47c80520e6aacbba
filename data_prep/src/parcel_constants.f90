!> Physical constants of the parcel model [SI].
module parcel_constants
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  integer, parameter, public :: wp = real64 !! working precision of the whole parcel model

  real(wp), parameter, public :: pi = 3.14159265358979323846_wp
  real(wp), parameter, public :: gas_constant = 8.314_wp !! universal [J mol-1 K-1]
  real(wp), parameter, public :: thermal_accommodation = 0.96_wp !! [1]
  real(wp), parameter, public :: mass_ratio_water_air = 0.622_wp !! molar mass of water over that of air [1]

  !> Constants in which climate models differ.
  !!
  !! The defaults are those of pyrcel 2.0 (Rothenberg and Wang 2016, doi:10.1175/JAS-D-15-0223.1), so that the two
  !! models can be compared to solver accuracy. They are not the most recent values of these constants.
  type, public :: constants_type
    real(wp) :: gravity = 9.81_wp !! [m s-2]
    real(wp) :: gas_constant_air = gas_constant/0.0289_wp !! of dry air [J kg-1 K-1]
    real(wp) :: gas_constant_vapour = gas_constant/0.018_wp !! of water vapour [J kg-1 K-1]
    real(wp) :: heat_capacity_air = 1004.0_wp !! of dry air at constant pressure [J kg-1 K-1]
    real(wp) :: latent_heat = 2.25e6_wp !! of condensation of water [J kg-1]
    real(wp) :: density_water = 1.0e3_wp !! [kg m-3]
    real(wp) :: accommodation_coefficient = 1.0_wp !! mass accommodation coefficient of water [1]
  end type constants_type

end module parcel_constants
