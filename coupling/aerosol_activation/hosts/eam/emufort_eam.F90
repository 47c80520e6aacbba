!> Activation in EAM, the atmosphere of E3SM: prepares emufort, and keeps EAM's own routines as fall-back.
!>
!> The module ndrop calls `emufort_eam_init` as the last statement of `ndrop_init`; zm_microphysics takes
!> `actdrop_mam_calc` from here.
module emufort_eam
  use shr_kind_mod, only: r8 => shr_kind_r8
  use physconst, only: gravit, rair, rh2o, cpair, latvap, rhoh2o
  use cam_abortutils, only: endrun
  use activate_drop_mam, only: own_actdrop => actdrop_mam_calc
  use emufort_host, only: emufort_host_init, emufort_host_present, activate_modal
  implicit none
  private

  public :: emufort_eam_init, actdrop_mam_calc

  logical, parameter :: is_emulated = emufort_host_present  !! false: EAM's own routines answer every call
  !> Temperature at which EAM evaluates the surface tension and the Kelvin length [K].
  real(r8), parameter :: kelvin_temperature = 273.0_r8

  abstract interface
    !> EAM's activate_modal.
    subroutine eam_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                           fluxm, flux_fullact, smax_prescribed)
      import :: r8
      real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
      integer, intent(in) :: nmode
      real(r8), intent(in) :: volume(:), hygro(:)
      real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
      real(r8), optional :: smax_prescribed
    end subroutine eam_routine
  end interface

  procedure(eam_routine), pointer :: own_activate => null()

contains

  !> Prepare the emulator, or EAM's own routine in a build with the stub; ends the run if the modes differ.
  subroutine emufort_eam_init(sigmag_amode, activate)
    real(r8), intent(in) :: sigmag_amode(:)      !! geometric standard deviations of the modes [1] (mode)
    procedure(eam_routine) :: activate           !! EAM's own routine
    character(len=512) :: errmsg
    integer :: errflg

    own_activate => activate
    call emufort_host_init(r8, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag_amode, &
                           merge('emulator', 'host    ', is_emulated), 'ratio', 'paper', errmsg, errflg, &
                           host_routine=call_own, kelvin_temperature=kelvin_temperature, abort=end_run)
    if (errflg /= 0) call endrun(trim(errmsg))

  end subroutine emufort_eam_init

  !> Call EAM's own routine, whose optional argument has no intent.
  subroutine call_own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                      flux_fullact, smax_prescribed)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), intent(in), optional :: smax_prescribed
    real(r8) :: smax

    if (present(smax_prescribed)) then
      smax = smax_prescribed
      call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact, smax)
    else
      call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact)
    end if

  end subroutine call_own

  !> Activation in deep convection: EAM's own routine above cloud base, where no emulator is asked.
  subroutine actdrop_mam_calc(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, &
                              smax_f, fn, fm, fluxn, fluxm, flux_fullact)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    logical, intent(in) :: in_cloud
    real(r8), intent(in) :: smax_f
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact

    if (is_emulated .and. .not. in_cloud) then
      call activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                          fluxm, flux_fullact)
    else
      call own_actdrop(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, smax_f, fn, &
                       fm, fluxn, fluxm, flux_fullact)
    end if

  end subroutine actdrop_mam_calc

  !> End the run with a message, as the emulator asks for it.
  subroutine end_run(message)
    character(len=*), intent(in) :: message   !! what is wrong

    call endrun(message)

  end subroutine end_run

end module emufort_eam
