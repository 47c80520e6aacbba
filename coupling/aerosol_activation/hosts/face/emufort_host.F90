!> Interface of the activation scheme for a host model. Arguments have intrinsic types only, so that a stub with the
!> same interface can replace this module in a build without the emulator (coupling/aerosol_activation/hosts/stub).
module emufort_host
  use emufort_runtime, only: status_type, emufort_success, emufort_error_contract
  use emufort_aerosol_activation, only: activation_constants_type, activation_counts_type, activation_host_routine, &
                                        activation_in_cloud_routine, hk => activation_kind, outside_arg2000, &
                                        outside_ratio, outside_clip, outside_host, mismatch_refuse, &
                                        mismatch_fall_back, arg2000_paper, arg2000_e3sm, &
                                        emufort_host_n_counts => activation_n_counts, &
                                        emufort_answered_by_error => answered_by_error, &
                                        emufort_answered_by_none => answered_by_none, &
                                        emufort_answered_by_emulator => answered_by_emulator, &
                                        emufort_answered_by_ratio => answered_by_ratio, &
                                        emufort_answered_by_clip => answered_by_clip, &
                                        emufort_answered_by_arg2000 => answered_by_arg2000, &
                                        emufort_answered_by_host => answered_by_host, &
                                        emufort_answered_by_prescribed => answered_by_prescribed, &
                                        emufort_answered_by_in_cloud => answered_by_in_cloud
  use emufort_activate_modal, only: activate_modal_init, activate_modal, actdrop_mam_calc, activate_modal_scheme, &
                                    activation_abort, emufort_host_errors => activate_modal_errors
  use emufort_aerosol_binding, only: emufort_aerosol_init, emufort_aerosol_predict, emufort_aerosol_copy, &
                                     emufort_aerosol_hash, emufort_aerosol_contract_hash
  implicit none
  private

  public :: emufort_host_init, emufort_host_activate, emufort_host_errors, activate_modal, actdrop_mam_calc
  public :: activation_counts_type, activation_host_routine, activation_in_cloud_routine, activation_abort
  public :: emufort_host_present, emufort_host_kind, emufort_host_hash, emufort_host_n_counts
  public :: emufort_answered_by_error, emufort_answered_by_none, emufort_answered_by_emulator, emufort_answered_by_ratio
  public :: emufort_answered_by_clip, emufort_answered_by_arg2000, emufort_answered_by_host
  public :: emufort_answered_by_prescribed, emufort_answered_by_in_cloud

  logical, parameter :: emufort_host_present = .true.   !! whether this is the emulator and not its stub
  integer, parameter :: emufort_host_kind = hk          !! kind of the host's reals
  character(len=*), parameter :: emufort_host_hash = emufort_aerosol_hash   !! hash of the emulator

contains

  !> Prepare the scheme, once and before any threads. docs/coupling.md describes the options.
  subroutine emufort_host_init(host_kind, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag_amode, scheme, outside, &
                               formula, errmsg, errflg, host_routine, mismatch, kelvin_temperature, abort, &
                               in_cloud_routine)
    integer, intent(in) :: host_kind               !! kind of the host's reals
    real(hk), intent(in) :: gravit                 !! acceleration of gravity [m s-2]
    real(hk), intent(in) :: rair                   !! gas constant of dry air [J kg-1 K-1]
    real(hk), intent(in) :: rh2o                   !! gas constant of water vapour [J kg-1 K-1]
    real(hk), intent(in) :: cpair                  !! heat capacity of dry air at constant pressure [J kg-1 K-1]
    real(hk), intent(in) :: latvap                 !! latent heat of condensation [J kg-1]
    real(hk), intent(in) :: rhoh2o                 !! density of water [kg m-3]
    real(hk), intent(in) :: sigmag_amode(:)        !! geometric standard deviations of the modes [1] (mode)
    character(len=*), intent(in) :: scheme         !! 'emulator', 'host' or 'arg2000'
    character(len=*), intent(in) :: outside        !! option outside the range: 'ratio', 'host', 'arg2000' or 'clip'
    character(len=*), intent(in) :: formula        !! of ARG2000: 'paper', or 'e3sm' for an error of E3SM's past
    character(len=*), intent(out) :: errmsg        !! empty, an error message, or with errflg = 0 a line for the log
    integer, intent(out) :: errflg                 !! 0 for success
    procedure(activation_host_routine), optional :: host_routine          !! the host's own `activate_modal`
    character(len=*), intent(in), optional :: mismatch                    !! 'refuse' (default) or 'fall_back'
    real(hk), intent(in), optional :: kelvin_temperature                  !! of the Kelvin length in ARG2000 [K]
    procedure(activation_abort), optional :: abort                        !! ends the run of the host
    procedure(activation_in_cloud_routine), optional :: in_cloud_routine  !! the host's own `actdrop_mam_calc`
    type(activation_constants_type) :: constants
    type(status_type) :: status
    integer :: policy, variant, difference

    errmsg = ' '
    errflg = emufort_error_contract
    select case (outside)
    case ('ratio')
      policy = outside_ratio
    case ('host')
      policy = outside_host
    case ('arg2000')
      policy = outside_arg2000
    case ('clip')
      policy = outside_clip
    case default
      errmsg = 'emufort_host_init: outside must be ratio, host, arg2000 or clip, not '//trim(outside)
      return
    end select
    select case (formula)
    case ('paper')
      variant = arg2000_paper
    case ('e3sm')
      variant = arg2000_e3sm
    case default
      errmsg = 'emufort_host_init: formula must be paper or e3sm, not '//trim(formula)
      return
    end select
    difference = mismatch_refuse
    if (present(mismatch)) then
      if (mismatch == 'fall_back') difference = mismatch_fall_back
      if (mismatch /= 'fall_back' .and. mismatch /= 'refuse') then
        errmsg = 'emufort_host_init: mismatch must be refuse or fall_back, not '//trim(mismatch)
        return
      end if
    end if
    if (.not. present(host_routine) .and. &
        (scheme == 'host' .or. (scheme == 'emulator' .and. policy == outside_host))) then
      errmsg = 'emufort_host_init: the option host needs the argument host_routine, the routine of the host'
      return
    end if
    constants%gravity = real(gravit, kind(constants%gravity))
    constants%gas_constant_air = real(rair, kind(constants%gravity))
    constants%gas_constant_vapour = real(rh2o, kind(constants%gravity))
    constants%heat_capacity_air = real(cpair, kind(constants%gravity))
    constants%latent_heat = real(latvap, kind(constants%gravity))
    constants%density_water = real(rhoh2o, kind(constants%gravity))
    select case (scheme)
    case ('emulator')
      call emufort_aerosol_init(status)
      if (status%code == emufort_success) then
        call activate_modal_init(host_kind, constants, sigmag_amode, status, predictor=emufort_aerosol_predict, &
                                 outside=policy, formula=variant, contract_hash=emufort_aerosol_contract_hash, &
                                 mismatch=difference, host_routine=host_routine, in_cloud_routine=in_cloud_routine, &
                                 kelvin_temperature=kelvin_temperature, abort=abort, network=emufort_aerosol_copy)
      end if
    case ('host')
      call activate_modal_init(host_kind, constants, sigmag_amode, status, host_routine=host_routine, &
                               in_cloud_routine=in_cloud_routine, abort=abort)
    case ('arg2000')
      call activate_modal_init(host_kind, constants, sigmag_amode, status, formula=variant, &
                               kelvin_temperature=kelvin_temperature, abort=abort)
    case default
      errmsg = 'emufort_host_init: scheme must be emulator, host or arg2000, not '//trim(scheme)
      return
    end select
    errflg = status%code
    if (errflg /= emufort_success) then
      errmsg = 'emufort_host_init: '//trim(status%message)
    else if (status%message /= ' ') then
      errmsg = 'emufort: '//trim(status%message)//'; the emulator is not used'
    end if

  end subroutine emufort_host_init

  !> Compute the activated fractions of a chunk; arguments as those of `activate_modal`, for columns and levels. The
  !> counts are parcels, outside the range, answered by the fall-back, bad answers, invalid inputs, clipped values. For
  !> a spectrum of updrafts `smax` and `answered_by` are those of its strongest updraft.
  recursive subroutine emufort_host_activate(pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, &
                                             na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, n_counted, errmsg, &
                                             errflg, in_cloud, smax_f, smax, answered_by, smax_prescribed)
    integer, intent(in) :: pcols                            !! first dimension of the arrays
    integer, intent(in) :: ncol                             !! columns in use
    integer, intent(in) :: pver                             !! levels
    integer, intent(in) :: nmode                            !! aerosol modes
    real(hk), intent(in) :: wbar(pcols, pver)               !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw(pcols, pver)               !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab(pcols, pver)              !! diabatic vertical velocity [m s-1]
    real(hk), intent(in) :: wminf(pcols, pver)              !! smallest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: wmaxf(pcols, pver)              !! largest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: tair(pcols, pver)               !! air temperature [K]
    real(hk), intent(in) :: rhoair(pcols, pver)             !! air density [kg m-3]
    real(hk), intent(in) :: na(pcols, pver, nmode)          !! aerosol number concentration [m-3]
    real(hk), intent(in) :: volume(pcols, pver, nmode)      !! aerosol volume concentration [m3 m-3]
    real(hk), intent(in) :: hygro(pcols, pver, nmode)       !! hygroscopicity [1]
    real(hk), intent(inout) :: fn(pcols, pver, nmode)       !! fraction of the number that activates [1]
    real(hk), intent(inout) :: fm(pcols, pver, nmode)       !! fraction of the mass that activates [1]
    real(hk), intent(inout) :: fluxn(pcols, pver, nmode)    !! flux of that number fraction into cloud [m s-1]
    real(hk), intent(inout) :: fluxm(pcols, pver, nmode)    !! flux of that mass fraction into cloud [m s-1]
    real(hk), intent(inout) :: flux_fullact(pcols, pver)    !! flux if all particles activated [m s-1]
    integer, intent(out) :: n_counted(pcols, emufort_host_n_counts) !! counts of each column; 0 if it is not in use
    character(len=*), intent(out) :: errmsg                 !! error message, empty for success
    integer, intent(out) :: errflg                          !! 0 for success
    logical, intent(in), optional :: in_cloud(pcols, pver)  !! above cloud base; needs smax_f
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! number times size factor of the drops, in cloud [m-2]
    real(hk), intent(inout), optional :: smax(pcols, pver)  !! maximum supersaturation, negative if unknown [1]
    integer, intent(inout), optional :: answered_by(pcols, pver)     !! who gave it, one of the emufort_answered_by_*
    real(hk), intent(in), optional :: smax_prescribed(pcols, pver)   !! the same, negative: compute it [1]
    type(status_type) :: status
    type(activation_counts_type) :: counts

    errmsg = ' '
    n_counted = 0
    call activate_modal_scheme%activate(pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                                        volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, status, counts, in_cloud, &
                                        smax_f, smax_prescribed, column_counts=n_counted, smax=smax, &
                                        answered_by=answered_by)
    errflg = status%code
    if (errflg /= emufort_success) errmsg = 'emufort_host_activate: '//status%message

  end subroutine emufort_host_activate

end module emufort_host
