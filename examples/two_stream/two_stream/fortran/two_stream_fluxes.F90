!> Convert outputs of the emulator to reflectance and transmittance; the head `layer_fluxes` of two_stream/head.py.
module two_stream_fluxes
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: layer_fluxes

  integer, parameter :: wp = real64

contains

  !> Reflectance and transmittance of one layer; they add up to no more than 1.
  elemental subroutine layer_fluxes(absorptance, reflected_share, reflectance, transmittance)
    real(wp), intent(in) :: absorptance        !! fraction of the incident flux that the layer absorbs, 0 to 1 [1]
    real(wp), intent(in) :: reflected_share    !! reflected fraction of the flux that is not absorbed, 0 to 1 [1]
    real(wp), intent(out) :: reflectance       !! fraction of the incident flux [1]
    real(wp), intent(out) :: transmittance     !! fraction of the incident flux, direct and diffuse together [1]

    reflectance = (1.0_wp - absorptance)*reflected_share
    transmittance = (1.0_wp - absorptance) - reflectance

  end subroutine layer_fluxes

end module two_stream_fluxes
