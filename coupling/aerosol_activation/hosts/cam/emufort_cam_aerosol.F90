!> Activation in recent CAM (cam_development): prepares emufort, with CAM's own activate_aerosol as fall-back.
!>
!> The module ndrop calls `emufort_cam_init` as the last statement of `ndrop_init`, and exports `activate_aerosol` of
!> this module. The bins of CAM's aerosol properties must be the modes of the emulator.
module emufort_cam_aerosol
  use shr_kind_mod, only: r8 => shr_kind_r8
  use physconst, only: gravit, rair, rh2o, cpair, latvap, rhoh2o
  use cam_abortutils, only: endrun
  use aerosol_properties_mod, only: aerosol_properties
  use emufort_host, only: emufort_host_init, emufort_host_present, activate_modal
  implicit none
  private

  public :: emufort_cam_init, activate_aerosol

  !> Temperature at which CAM evaluates the surface tension and the Kelvin length [K].
  real(r8), parameter :: kelvin_temperature = 273.0_r8
  !> CAM keeps logarithms of widths, and exp(log(1.8)) is not exactly 1.8; widths have at most six decimals.
  real(r8), parameter :: width_steps = 1.0e6_r8

  abstract interface
    !> CAM's activate_aerosol.
    subroutine cam_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nbins, volume, hygro, aero_props, fn, &
                           fm, fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f)
      import :: r8, aerosol_properties
      real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
      integer, intent(in) :: nbins
      real(r8), intent(in) :: volume(:), hygro(:)
      class(aerosol_properties), intent(in) :: aero_props
      real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
      real(r8), intent(in), optional :: smax_prescribed
      logical, intent(in), optional :: in_cloud_in
      real(r8), intent(in), optional :: smax_f
    end subroutine cam_routine
  end interface

  procedure(cam_routine), pointer, save :: own => null()
  !> Properties for the fall-back, whose argument list has none. CAM has one such object and never changes it.
  class(aerosol_properties), allocatable, save :: properties

contains

  !> Prepare the emulator, or CAM's own routine in a build with the stub; ends the run if the modes differ.
  subroutine emufort_cam_init(aero_props, own_activate)
    class(aerosol_properties), intent(in) :: aero_props   !! CAM's aerosol properties
    procedure(cam_routine) :: own_activate                !! CAM's own activate_aerosol
    character(len=512) :: errmsg
    real(r8) :: widths(aero_props%nbins())
    integer :: errflg, m

    own => own_activate
    if (.not. allocated(properties)) allocate (properties, source=aero_props)
    do m = 1, size(widths)
      widths(m) = anint(exp(aero_props%alogsig(m))*width_steps)/width_steps
    end do
    call emufort_host_init(r8, gravit, rair, rh2o, cpair, latvap, rhoh2o, widths, &
                           merge('emulator', 'host    ', emufort_host_present), 'ratio', 'paper', errmsg, errflg, &
                           host_routine=at_base, kelvin_temperature=kelvin_temperature, abort=endrun, &
                           in_cloud_routine=in_cloud_above)
    if (errflg /= 0) call endrun(trim(errmsg))

  end subroutine emufort_cam_init

  !> CAM's activate_aerosol. The modes of the emulator are those of init, so `aero_props` is not used.
  recursive subroutine activate_aerosol(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nbins, volume, hygro, &
                                        aero_props, fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, &
                                        smax_f)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nbins
    real(r8), intent(in) :: volume(:), hygro(:)
    class(aerosol_properties), intent(in) :: aero_props
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), intent(in), optional :: smax_prescribed
    logical, intent(in), optional :: in_cloud_in
    real(r8), intent(in), optional :: smax_f

    if (aero_props%nbins() /= nbins) then
      call endrun('activate_aerosol: aero_props has another number of bins than the call')
    end if
    call activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nbins, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact, smax_prescribed, in_cloud_in, smax_f)

  end subroutine activate_aerosol

  !> CAM's own routine at cloud base, with the arguments of E3SM.
  recursive subroutine at_base(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                               fluxm, flux_fullact, smax_prescribed)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), optional :: smax_prescribed

    call own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, properties, fn, fm, fluxn, &
             fluxm, flux_fullact, smax_prescribed=smax_prescribed)

  end subroutine at_base

  !> CAM's own routine above cloud base, with the arguments of E3SM's actdrop_mam_calc.
  recursive subroutine in_cloud_above(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                                      in_cloud, smax_f, fn, fm, fluxn, fluxm, flux_fullact)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    logical, intent(in) :: in_cloud
    real(r8), intent(in) :: smax_f
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact

    call own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, properties, fn, fm, fluxn, &
             fluxm, flux_fullact, in_cloud_in=in_cloud, smax_f=smax_f)

  end subroutine in_cloud_above

end module emufort_cam_aerosol
