!> Activation in recent CAM (cam_development): prepares emufort, and keeps CAM's own activate_aerosol as fall-back.
!>
!> The module ndrop calls `emufort_cam_init` as the last statement of `ndrop_init`, and exports `activate_aerosol` of
!> this module. The bins of CAM's aerosol properties must be the modes of the emulator.
module emufort_cam_aerosol
  use shr_kind_mod, only: r8 => shr_kind_r8
  use physconst, only: gravit, rair, rh2o, cpair, latvap, rhoh2o
  use cam_abortutils, only: endrun
  use aerosol_properties_mod, only: aerosol_properties
  use emufort_host, only: emufort_host_init, emufort_host_present, emulated => activate_modal
  implicit none
  private

  public :: emufort_cam_init, activate_aerosol

  logical, parameter :: is_emulated = emufort_host_present  !! false: CAM's own routine answers every call
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

  procedure(cam_routine), pointer :: own_activate => null()
  !> Properties for the fall-back, whose argument list has none. CAM has one such object and never changes it.
  class(aerosol_properties), allocatable :: properties

contains

  !> Prepare the emulator, or CAM's own routine in a build with the stub; ends the run if the modes differ.
  subroutine emufort_cam_init(aero_props, activate)
    class(aerosol_properties), intent(in) :: aero_props   !! CAM's aerosol properties
    procedure(cam_routine) :: activate                    !! CAM's own routine
    character(len=512) :: errmsg
    real(r8) :: widths(aero_props%nbins())
    integer :: errflg, m

    own_activate => activate
    if (.not. allocated(properties)) allocate (properties, source=aero_props)
    do m = 1, size(widths)
      widths(m) = anint(exp(aero_props%alogsig(m))*width_steps)/width_steps
    end do
    call emufort_host_init(r8, gravit, rair, rh2o, cpair, latvap, rhoh2o, widths, &
                           merge('emulator', 'host    ', is_emulated), 'ratio', 'paper', errmsg, errflg, &
                           host_routine=call_own, kelvin_temperature=kelvin_temperature, abort=end_run)
    if (errflg /= 0) call endrun(trim(errmsg))

  end subroutine emufort_cam_init

  !> CAM's activate_aerosol: the emulator at cloud base, CAM's own routine above it, where no emulator is asked.
  subroutine activate_aerosol(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nbins, volume, hygro, aero_props, fn, &
                              fm, fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nbins
    real(r8), intent(in) :: volume(:), hygro(:)
    class(aerosol_properties), intent(in) :: aero_props
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), intent(in), optional :: smax_prescribed
    logical, intent(in), optional :: in_cloud_in
    real(r8), intent(in), optional :: smax_f
    logical :: asks_emulator

    asks_emulator = is_emulated
    if (present(in_cloud_in)) asks_emulator = is_emulated .and. .not. in_cloud_in
    if (asks_emulator) then
      call emulated(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nbins, volume, hygro, fn, fm, fluxn, fluxm, &
                    flux_fullact, smax_prescribed=smax_prescribed)
    else
      call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nbins, volume, hygro, aero_props, fn, fm, &
                        fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f)
    end if

  end subroutine activate_aerosol

  !> CAM's own routine at cloud base, with the arguments of the fall-back.
  subroutine call_own(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                      flux_fullact, smax_prescribed)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:)
    integer, intent(in) :: nmode
    real(r8), intent(in) :: volume(:), hygro(:)
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(r8), intent(in), optional :: smax_prescribed

    call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, properties, fn, fm, &
                      fluxn, fluxm, flux_fullact, smax_prescribed=smax_prescribed)

  end subroutine call_own

  !> End the run with a message, as the emulator asks for it.
  subroutine end_run(message)
    character(len=*), intent(in) :: message   !! what is wrong

    call endrun(message)

  end subroutine end_run

end module emufort_cam_aerosol
