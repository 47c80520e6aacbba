!> Stub of the activation scheme for builds without the emulator. It has the interface of the real module, and its
!> procedures end the run with a message. A host that does not call them gives the same results as before.
module emufort_host
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  implicit none
  private

  public :: emufort_host_init, emufort_host_activate, activate_modal, actdrop_mam_calc, activation_counts_type
  public :: emufort_host_present, emufort_host_kind, emufort_host_hash, emufort_host_n_counts

#ifdef EMUFORT_HOST_REAL32
  integer, parameter :: hk = real32
#else
  integer, parameter :: hk = real64
#endif
  logical, parameter :: emufort_host_present = .false.  !! whether this is the emulator and not its stub
  integer, parameter :: emufort_host_kind = hk          !! kind of the host's reals
  character(len=*), parameter :: emufort_host_hash = 'none'   !! hash of the emulator
  integer, parameter :: emufort_host_n_counts = 6       !! counts of `emufort_host_activate`
  character(len=*), parameter :: absent = 'emufort: this executable was built without the activation emulator; '// &
                                 'build with USE_EMUFORT=TRUE or choose another activation scheme'

  !> Counts of the answers, see the real module.
  type :: activation_counts_type
    integer(int64) :: n_parcels = 0_int64     !! supersaturations that were computed
    integer(int64) :: n_outside = 0_int64     !! of these, outside the range of the emulator
    integer(int64) :: n_fall_back = 0_int64   !! of these, answered by ARG2000 alone
    integer(int64) :: n_bad = 0_int64         !! of these, the emulator failed
    integer(int64) :: n_invalid = 0_int64     !! of these, the answer is NaN
    integer(int64) :: n_clipped = 0_int64     !! input values that the emulator clipped
  end type activation_counts_type

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

    errmsg = absent
    errflg = 1

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

    error stop absent

  end subroutine emufort_host_activate

  !> Compute the activated fractions of one parcel and their fluxes into cloud; arguments in the order of E3SM.
  recursive subroutine activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                      fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f, counts)
    real(hk), intent(in) :: wbar             !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw             !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab            !! diabatic vertical velocity, 0 if adiabatic [m s-1]
    real(hk), intent(in) :: wminf            !! smallest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: wmaxf            !! largest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: tair             !! air temperature [K]
    real(hk), intent(in) :: rhoair           !! air density [kg m-3]
    real(hk), intent(in) :: na(:)            !! aerosol number concentration [m-3] (mode)
    integer, intent(in) :: nmode             !! number of modes
    real(hk), intent(in) :: volume(:)        !! aerosol volume concentration [m3 m-3] (mode)
    real(hk), intent(in) :: hygro(:)         !! hygroscopicity [1] (mode)
    real(hk), intent(out) :: fn(:)           !! fraction of the number that activates [1] (mode)
    real(hk), intent(out) :: fm(:)           !! fraction of the mass that activates [1] (mode)
    real(hk), intent(out) :: fluxn(:)        !! flux of that number fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: fluxm(:)        !! flux of that mass fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact    !! flux if all particles activated [m s-1]
    real(hk), intent(in), optional :: smax_prescribed                !! maximum supersaturation [1]
    logical, intent(in), optional :: in_cloud_in                     !! above cloud base
    real(hk), intent(in), optional :: smax_f                         !! number times size factor of the drops [m-2]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers

    error stop absent

  end subroutine activate_modal

  !> Compute the activated fractions of one parcel and their fluxes into cloud; arguments in the order of CAM.
  recursive subroutine actdrop_mam_calc(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                                        in_cloud, smax_f, fn, fm, fluxn, fluxm, flux_fullact, counts)
    real(hk), intent(in) :: wbar             !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw             !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab            !! diabatic vertical velocity, 0 if adiabatic [m s-1]
    real(hk), intent(in) :: wminf            !! smallest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: wmaxf            !! largest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: tair             !! air temperature [K]
    real(hk), intent(in) :: rhoair           !! air density [kg m-3]
    real(hk), intent(in) :: na(:)            !! aerosol number concentration [m-3] (mode)
    integer, intent(in) :: nmode             !! number of modes
    real(hk), intent(in) :: volume(:)        !! aerosol volume concentration [m3 m-3] (mode)
    real(hk), intent(in) :: hygro(:)         !! hygroscopicity [1] (mode)
    logical, intent(in) :: in_cloud          !! above cloud base
    real(hk), intent(in) :: smax_f           !! number times size factor of the drops [m-2]
    real(hk), intent(out) :: fn(:)           !! fraction of the number that activates [1] (mode)
    real(hk), intent(out) :: fm(:)           !! fraction of the mass that activates [1] (mode)
    real(hk), intent(out) :: fluxn(:)        !! flux of that number fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: fluxm(:)        !! flux of that mass fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact    !! flux if all particles activated [m s-1]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers

    error stop absent

  end subroutine actdrop_mam_calc

end module emufort_host
