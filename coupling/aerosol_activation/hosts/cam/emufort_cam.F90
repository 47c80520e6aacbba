!> Activation in CAM of CESM 2: prepares emufort, and keeps CAM's own activate_modal as fall-back.
!>
!> The module ndrop calls `emufort_cam_init` as the last statement of `ndrop_init`, and exports `activate_modal` of this
!> module.
module emufort_cam
  use shr_kind_mod, only: r8 => shr_kind_r8
  use physconst, only: gravit, rair, rh2o, cpair, latvap, rhoh2o
  use cam_abortutils, only: endrun
  use emufort_host, only: emufort_host_init, emufort_host_present, emulated => activate_modal
  implicit none
  private

  public :: emufort_cam_init, activate_modal

  logical, parameter :: is_emulated = emufort_host_present  !! false: CAM's own routine answers every call
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

  procedure(cam_routine), pointer :: own_activate => null()

contains

  !> Prepare the emulator, or CAM's own routine in a build with the stub; ends the run if the modes differ.
  subroutine emufort_cam_init(sigmag_amode, activate)
    real(r8), intent(in) :: sigmag_amode(:)      !! geometric standard deviations of the modes [1] (mode)
    procedure(cam_routine) :: activate           !! CAM's own routine
    character(len=512) :: errmsg
    integer :: errflg

    own_activate => activate
    call emufort_host_init(r8, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag_amode, &
                           merge('emulator', 'host    ', is_emulated), 'ratio', 'paper', errmsg, errflg, &
                           host_routine=call_own, kelvin_temperature=kelvin_temperature, abort=end_run)
    if (errflg /= 0) call endrun(trim(errmsg))

  end subroutine emufort_cam_init

  !> CAM's activate_modal: the emulator at cloud base, CAM's own routine above it, where no emulator is asked.
  subroutine activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                            fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), intent(in), optional :: smax_prescribed
    logical, intent(in), optional :: in_cloud_in
    real(r8), intent(in), optional :: smax_f
    logical :: asks_emulator

    asks_emulator = is_emulated
    if (present(in_cloud_in)) asks_emulator = is_emulated .and. .not. in_cloud_in
    if (asks_emulator) then
      call emulated(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                    flux_fullact, smax_prescribed=smax_prescribed)
    else
      call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact, smax_prescribed, in_cloud_in, smax_f)
    end if

  end subroutine activate_modal

  !> CAM's own routine at cloud base, with the arguments of the fall-back.
  subroutine call_own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                      flux_fullact, smax_prescribed)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), intent(in), optional :: smax_prescribed

    call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                      flux_fullact, smax_prescribed=smax_prescribed)

  end subroutine call_own

  !> End the run with a message, as the emulator asks for it.
  subroutine end_run(message)
    character(len=*), intent(in) :: message   !! what is wrong

    call endrun(message)

  end subroutine end_run

end module emufort_cam
