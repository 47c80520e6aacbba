!> Activation in EAM, the atmosphere of E3SM: prepares emufort, with EAM's own routines as fall-back.
!>
!> The module ndrop calls `emufort_eam_init` as the last statement of `ndrop_init` and exports `activate_modal`;
!> zm_microphysics uses `actdrop_mam_calc`.
module emufort_eam
  use shr_kind_mod, only: r8 => shr_kind_r8
  use physconst, only: gravit, rair, rh2o, cpair, latvap, rhoh2o
  use cam_abortutils, only: endrun
  use activate_drop_mam, only: own_actdrop => actdrop_mam_calc
  use emufort_host, only: emufort_host_init, emufort_host_present, activation_host_routine, activate_modal, &
                          actdrop_mam_calc
  implicit none
  private

  public :: emufort_eam_init, activate_modal, actdrop_mam_calc

  !> Temperature at which EAM evaluates the surface tension and the Kelvin length [K].
  real(r8), parameter :: kelvin_temperature = 273.0_r8

contains

  !> Prepare the emulator, or EAM's own routines in a build with the stub; ends the run if the modes differ.
  subroutine emufort_eam_init(sigmag_amode, own_activate)
    real(r8), intent(in) :: sigmag_amode(:)              !! geometric standard deviations of the modes [1] (mode)
    procedure(activation_host_routine) :: own_activate   !! EAM's own activate_modal
    character(len=512) :: errmsg
    integer :: errflg

    call emufort_host_init(r8, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag_amode, &
                           merge('emulator', 'host    ', emufort_host_present), 'ratio', 'paper', errmsg, errflg, &
                           host_routine=own_activate, kelvin_temperature=kelvin_temperature, abort=endrun, &
                           in_cloud_routine=own_actdrop)
    if (errflg /= 0) call endrun(trim(errmsg))

  end subroutine emufort_eam_init

end module emufort_eam
