!> Interface of the activation scheme for a host model. Arguments have intrinsic types only, so that a stub with the
!> same interface can replace this module in a build without the emulator (coupling/aerosol_activation/hosts/stub).
module emufort_host
  use emufort_runtime, only: status_type, emufort_success
  use emufort_aerosol_activation, only: activation_constants_type, activation_counts_type, hk => activation_kind, &
                                        outside_arg2000, outside_ratio, outside_clip, arg2000_paper, arg2000_e3sm
  use emufort_activate_modal, only: activate_modal_init, activate_modal, actdrop_mam_calc, activate_modal_scheme
  use emufort_aerosol_binding, only: emufort_aerosol_predict, emufort_aerosol_inside, emufort_aerosol_hash
  use emufort_aerosol_contract, only: aerosol_lower, aerosol_upper
  implicit none
  private

  public :: emufort_host_init, emufort_host_activate, activate_modal, actdrop_mam_calc, activation_counts_type
  public :: emufort_host_present, emufort_host_kind, emufort_host_hash, emufort_host_n_counts

  logical, parameter :: emufort_host_present = .true.   !! whether this is the emulator and not its stub
  integer, parameter :: emufort_host_kind = hk          !! kind of the host's reals
  character(len=*), parameter :: emufort_host_hash = emufort_aerosol_hash   !! hash of the emulator
  !> Counts: parcels, outside the range, answered by ARG2000, bad answers, invalid inputs, clipped values.
  integer, parameter :: emufort_host_n_counts = 6

contains

  !> Prepare the scheme, once and before any threads.
  subroutine emufort_host_init(host_kind, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag_amode, scheme, outside, &
                               formula, errmsg, errflg)
    integer, intent(in) :: host_kind               !! kind of the host's reals
    real(hk), intent(in) :: gravit                 !! acceleration of gravity [m s-2]
    real(hk), intent(in) :: rair                   !! gas constant of dry air [J kg-1 K-1]
    real(hk), intent(in) :: rh2o                   !! gas constant of water vapour [J kg-1 K-1]
    real(hk), intent(in) :: cpair                  !! heat capacity of dry air at constant pressure [J kg-1 K-1]
    real(hk), intent(in) :: latvap                 !! latent heat of condensation [J kg-1]
    real(hk), intent(in) :: rhoh2o                 !! density of water [kg m-3]
    real(hk), intent(in) :: sigmag_amode(:)        !! geometric standard deviations of the modes [1] (mode)
    character(len=*), intent(in) :: scheme         !! 'emulator' or 'arg2000'
    character(len=*), intent(in) :: outside        !! option outside the range: 'arg2000', 'ratio' or 'clip'
    character(len=*), intent(in) :: formula        !! of ARG2000: 'paper' or 'e3sm'
    character(len=*), intent(out) :: errmsg        !! error message, empty for success
    integer, intent(out) :: errflg                 !! 0 for success
    type(activation_constants_type) :: constants
    type(status_type) :: status
    integer :: policy, variant

    errmsg = ''
    errflg = 0
    constants%gravity = real(gravit, kind(constants%gravity))
    constants%gas_constant_air = real(rair, kind(constants%gravity))
    constants%gas_constant_vapour = real(rh2o, kind(constants%gravity))
    constants%heat_capacity_air = real(cpair, kind(constants%gravity))
    constants%latent_heat = real(latvap, kind(constants%gravity))
    constants%density_water = real(rhoh2o, kind(constants%gravity))
    policy = -1
    if (outside == 'arg2000') policy = outside_arg2000
    if (outside == 'ratio') policy = outside_ratio
    if (outside == 'clip') policy = outside_clip
    variant = -1
    if (formula == 'paper') variant = arg2000_paper
    if (formula == 'e3sm') variant = arg2000_e3sm
    select case (scheme)
    case ('emulator')
      call activate_modal_init(host_kind, constants, sigmag_amode, status, predictor=emufort_aerosol_predict, &
                               outside=policy, formula=variant, lower=real(aerosol_lower, hk), &
                               upper=real(aerosol_upper, hk), inside=emufort_aerosol_inside)
      if (status%code == emufort_success .and. .not. activate_modal_scheme%is_emulated()) then
        errflg = 1
        errmsg = 'emufort_host_init: the emulator was not trained for these aerosol modes; choose the scheme arg2000'
      end if
    case ('arg2000')
      call activate_modal_init(host_kind, constants, sigmag_amode, status, outside=policy, formula=variant)
    case default
      errflg = 1
      errmsg = 'emufort_host_init: the scheme must be emulator or arg2000, not '//trim(scheme)
      return
    end select
    if (status%code /= emufort_success) then
      errflg = status%code
      errmsg = 'emufort_host_init: '//trim(status%message)
    end if

  end subroutine emufort_host_init

  !> Compute the activated fractions of a chunk; arguments as those of `activate_modal`, for columns and levels.
  recursive subroutine emufort_host_activate(pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, &
                                             na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, n_counted, errmsg, &
                                             errflg, in_cloud, smax_f)
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
    integer, intent(out) :: n_counted(emufort_host_n_counts) !! see emufort_host_n_counts
    character(len=*), intent(out) :: errmsg                 !! error message, empty for success
    integer, intent(out) :: errflg                          !! 0 for success
    logical, intent(in), optional :: in_cloud(pcols, pver)  !! above cloud base
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! number times size factor of the drops, in cloud [m-2]
    type(status_type) :: status
    type(activation_counts_type) :: counts

    errmsg = ''
    call activate_modal_scheme%activate(pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                                        volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, status, counts, &
                                        in_cloud=in_cloud, smax_f=smax_f)
    n_counted = int([counts%n_parcels, counts%n_outside, counts%n_fall_back, counts%n_bad, counts%n_invalid, &
                     counts%n_clipped])
    errflg = status%code
    if (errflg /= emufort_success) errmsg = 'emufort_host_activate: '//trim(status%message)

  end subroutine emufort_host_activate

end module emufort_host
