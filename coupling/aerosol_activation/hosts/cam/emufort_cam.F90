!> Activation in CAM of CESM 2: prepares emufort, with CAM's own activate_modal as fall-back.
!>
!> The module ndrop calls `emufort_cam_init` as the last statement of `ndrop_init`, and exports `activate_modal`.
module emufort_cam
  use shr_kind_mod, only: r8 => shr_kind_r8
  use physconst, only: gravit, rair, rh2o, cpair, latvap, rhoh2o
  use cam_abortutils, only: endrun
  use emufort_host, only: emufort_host_init, emufort_host_present, activate_modal
  implicit none
  private

  public :: emufort_cam_init, activate_modal

  !> Temperature at which CAM evaluates the surface tension and the Kelvin length [K].
  real(r8), parameter :: kelvin_temperature = 273.0_r8

  abstract interface
    !> CAM's activate_modal.
    subroutine cam_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                           fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f)
      import :: r8
      real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
      integer, intent(in) :: nmode
      real(r8), intent(in) :: volume(:), hygro(:)
      real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
      real(r8), intent(in), optional :: smax_prescribed
      logical, intent(in), optional :: in_cloud_in
      real(r8), intent(in), optional :: smax_f
    end subroutine cam_routine
  end interface

  procedure(cam_routine), pointer, save :: own => null()

contains

  !> Prepare the emulator, or CAM's own routine in a build with the stub; ends the run if the modes differ.
  subroutine emufort_cam_init(sigmag_amode, own_activate)
    real(r8), intent(in) :: sigmag_amode(:)      !! geometric standard deviations of the modes [1] (mode)
    procedure(cam_routine) :: own_activate       !! CAM's own activate_modal
    character(len=512) :: errmsg
    integer :: errflg

    own => own_activate
    call emufort_host_init(r8, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag_amode, &
                           merge('emulator', 'host    ', emufort_host_present), 'ratio', 'paper', errmsg, errflg, &
                           host_routine=at_base, kelvin_temperature=kelvin_temperature, abort=endrun, &
                           in_cloud_routine=in_cloud_above)
    if (errflg /= 0) call endrun(trim(errmsg))

  end subroutine emufort_cam_init

  !> CAM's own routine at cloud base, with the arguments of E3SM.
  recursive subroutine at_base(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                               fluxm, flux_fullact, smax_prescribed)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), optional :: smax_prescribed

    call own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
             flux_fullact, smax_prescribed=smax_prescribed)

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

    call own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
             flux_fullact, in_cloud_in=in_cloud, smax_f=smax_f)

  end subroutine in_cloud_above

end module emufort_cam
