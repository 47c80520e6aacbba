!> Stub of the activation scheme for builds without the emulator, with the interface of the real module. If the host
!> passes its own routine to `emufort_host_init`, that routine answers every call with the arguments and results of the
!> host. Otherwise init reports an error, and a call ends the run with a message.
module emufort_host
  use, intrinsic :: ieee_arithmetic, only: ieee_quiet_nan, ieee_value
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  implicit none
  private

  public :: emufort_host_init, emufort_host_activate, emufort_host_errors, activate_modal, actdrop_mam_calc
  public :: activation_counts_type, activation_host_routine, activation_in_cloud_routine, activation_abort
  public :: emufort_host_present, emufort_host_kind, emufort_host_hash, emufort_host_n_counts
  public :: emufort_answered_by_error, emufort_answered_by_none, emufort_answered_by_emulator, emufort_answered_by_ratio
  public :: emufort_answered_by_clip, emufort_answered_by_arg2000, emufort_answered_by_host
  public :: emufort_answered_by_prescribed, emufort_answered_by_in_cloud

#ifdef EMUFORT_HOST_REAL32
  integer, parameter :: hk = real32
#else
  integer, parameter :: hk = real64
#endif
  logical, parameter :: emufort_host_present = .false.  !! whether this is the emulator and not its stub
  integer, parameter :: emufort_host_kind = hk          !! kind of the host's reals
  character(len=*), parameter :: emufort_host_hash = 'none'   !! hash of the emulator
  integer, parameter :: emufort_host_n_counts = 6       !! counts of `emufort_host_activate`
  real(hk), parameter :: least_width = 1.0e-5_hk        ! a narrower spectrum is a single updraft, as in E3SM [m s-1]
  character(len=*), parameter :: absent = 'emufort: this executable was built without the activation emulator; '// &
                                 'build with USE_EMUFORT=TRUE or choose another activation scheme'
  character(len=*), parameter :: no_drops = 'emufort: a call in cloud must pass smax_f, and emufort_host_init '// &
                                 'needs the argument in_cloud_routine'

  ! Who gave the maximum supersaturation of a column.
  integer, parameter :: emufort_answered_by_error = -1      !! no scheme: the call was in error, and the results are NaN
  integer, parameter :: emufort_answered_by_none = 0        !! no scheme: no updraft, or no aerosol
  integer, parameter :: emufort_answered_by_emulator = 1    !! the emulator, inside its range
  integer, parameter :: emufort_answered_by_ratio = 2       !! ARG2000 times the ratio at the nearest point of the range
  integer, parameter :: emufort_answered_by_clip = 3        !! the emulator at the nearest point of its range
  integer, parameter :: emufort_answered_by_arg2000 = 4     !! ARG2000
  integer, parameter :: emufort_answered_by_host = 5        !! the routine of the host; it returns no supersaturation
  integer, parameter :: emufort_answered_by_prescribed = 6  !! the host prescribed the supersaturation
  integer, parameter :: emufort_answered_by_in_cloud = 7    !! the balance with the drops, above cloud base

  !> Counts of the answers, see the real module.
  type :: activation_counts_type
    integer(int64) :: n_parcels = 0_int64     !! supersaturations that were computed
    integer(int64) :: n_outside = 0_int64     !! of these, outside the range of the emulator
    integer(int64) :: n_fall_back = 0_int64   !! of these, answered by the fall-back alone
    integer(int64) :: n_bad = 0_int64         !! of these, the emulator failed
    integer(int64) :: n_invalid = 0_int64     !! of these, the answer is NaN
    integer(int64) :: n_clipped = 0_int64     !! input values that the emulator clipped
  end type activation_counts_type

  abstract interface
    !> Interface of the routine of a host: `activate_modal` of E3SM, where the last argument has no intent either.
    recursive subroutine activation_host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                 hygro, fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed)
      import :: hk
      real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
      real(hk), intent(in) :: tair                              !! [K]
      real(hk), intent(in) :: rhoair                            !! [kg m-3]
      real(hk), intent(in) :: na(:)                             !! [m-3] (mode)
      integer, intent(in) :: nmode                              !! number of modes
      real(hk), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
      real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
      real(hk), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
      real(hk), optional :: smax_prescribed                     !! [1]
    end subroutine activation_host_routine

    !> Interface of the routine of a host for parcels in cloud: `actdrop_mam_calc` of E3SM.
    recursive subroutine activation_in_cloud_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, &
                                                     volume, hygro, in_cloud, smax_f, fn, fm, fluxn, fluxm, &
                                                     flux_fullact)
      import :: hk
      real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
      real(hk), intent(in) :: tair                              !! [K]
      real(hk), intent(in) :: rhoair                            !! [kg m-3]
      real(hk), intent(in) :: na(:)                             !! [m-3] (mode)
      integer, intent(in) :: nmode                              !! number of modes
      real(hk), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
      logical, intent(in) :: in_cloud                           !! above cloud base
      real(hk), intent(in) :: smax_f                            !! [m-2]
      real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
      real(hk), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
    end subroutine activation_in_cloud_routine

    !> Interface of the procedure with which a host ends its run: `endrun` of E3SM.
    subroutine activation_abort(string)
      character(len=*), intent(in), optional :: string   !! message
    end subroutine activation_abort
  end interface

  procedure(activation_host_routine), pointer, save :: routine => null()
  procedure(activation_in_cloud_routine), pointer, save :: cloud_routine => null()
  procedure(activation_abort), pointer, save :: abort_host => null()
  integer(int64), save :: n_errors = 0_int64

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

    routine => null()
    cloud_routine => null()
    abort_host => null()
    n_errors = 0_int64
    if (present(abort)) abort_host => abort
    errmsg = absent
    errflg = 1
    if (.not. present(host_routine) .or. host_kind /= hk) return
    if (scheme == 'host') then
      errmsg = ' '
    else if (present(mismatch)) then
      if (mismatch /= 'fall_back') return
      errmsg = absent//'; the routine of the host answers'
    else
      return
    end if
    errflg = 0
    routine => host_routine
    if (present(in_cloud_routine)) cloud_routine => in_cloud_routine

  end subroutine emufort_host_init

  !> Return the number of calls since `init` that could not be answered.
  recursive integer(int64) function emufort_host_errors()

    !$omp atomic read
    emufort_host_errors = n_errors

  end function emufort_host_errors

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
    logical :: is_in_cloud
    real(hk) :: fixed
    integer :: i, k

    n_counted = 0
    errflg = 1
    errmsg = absent
    if (.not. associated(routine)) return
    errmsg = no_drops
    is_in_cloud = .false.
    if (present(in_cloud)) is_in_cloud = any(in_cloud(1:ncol, :))
    if (present(in_cloud) .and. .not. present(smax_f)) return
    if (is_in_cloud .and. .not. associated(cloud_routine)) return
    errmsg = ' '
    errflg = 0
    do k = 1, pver
      do i = 1, ncol
        fixed = -1.0_hk
        if (present(smax_prescribed)) fixed = smax_prescribed(i, k)
        is_in_cloud = .false.
        if (present(in_cloud)) is_in_cloud = in_cloud(i, k)
        is_in_cloud = is_in_cloud .and. .not. (sigw(i, k) > least_width .or. abs(fixed) <= 0.0_hk)
        if (is_in_cloud) then
          call cloud_routine(wbar(i, k), sigw(i, k), wdiab(i, k), wminf(i, k), wmaxf(i, k), tair(i, k), rhoair(i, k), &
                             na(i, k, :), nmode, volume(i, k, :), hygro(i, k, :), .true., smax_f(i, k), fn(i, k, :), &
                             fm(i, k, :), fluxn(i, k, :), fluxm(i, k, :), flux_fullact(i, k))
        else if (.not. fixed < 0.0_hk) then
          call routine(wbar(i, k), sigw(i, k), wdiab(i, k), wminf(i, k), wmaxf(i, k), tair(i, k), rhoair(i, k), &
                       na(i, k, :), nmode, volume(i, k, :), hygro(i, k, :), fn(i, k, :), fm(i, k, :), fluxn(i, k, :), &
                       fluxm(i, k, :), flux_fullact(i, k), fixed)
        else
          call routine(wbar(i, k), sigw(i, k), wdiab(i, k), wminf(i, k), wmaxf(i, k), tair(i, k), rhoair(i, k), &
                       na(i, k, :), nmode, volume(i, k, :), hygro(i, k, :), fn(i, k, :), fm(i, k, :), fluxn(i, k, :), &
                       fluxm(i, k, :), flux_fullact(i, k))
          n_counted(i, [1, 3]) = n_counted(i, [1, 3]) + 1
        end if
        if (present(smax)) smax(i, k) = -1.0_hk
        if (present(answered_by)) answered_by(i, k) = emufort_answered_by_host
      end do
    end do

  end subroutine emufort_host_activate

  !> Compute the activated fractions of one parcel and their fluxes into cloud; arguments in the order of E3SM.
  recursive subroutine activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                      fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f, counts, &
                                      errmsg, errflg)
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
    character(len=*), intent(out), optional :: errmsg                !! error message, empty for success
    integer, intent(out), optional :: errflg                         !! 0 for success
    logical :: is_in_cloud

    is_in_cloud = .false.
    if (present(in_cloud_in)) is_in_cloud = in_cloud_in .and. .not. sigw > least_width
    if (present(smax_prescribed)) is_in_cloud = is_in_cloud .and. .not. smax_prescribed <= 0.0_hk
    if (.not. associated(routine)) then
      call refuse(absent, fn, fm, fluxn, fluxm, flux_fullact, errmsg, errflg)
    else if (present(in_cloud_in) .and. .not. present(smax_f)) then
      call refuse(no_drops, fn, fm, fluxn, fluxm, flux_fullact, errmsg, errflg)
    else if (.not. is_in_cloud) then
      call routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                   flux_fullact, smax_prescribed)
      call succeed(.not. present(smax_prescribed), counts, errmsg, errflg)
    else if (associated(cloud_routine)) then
      call cloud_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, .true., smax_f, fn, &
                         fm, fluxn, fluxm, flux_fullact)
      call succeed(.false., counts, errmsg, errflg)
    else
      call refuse(no_drops, fn, fm, fluxn, fluxm, flux_fullact, errmsg, errflg)
    end if

  end subroutine activate_modal

  !> Compute the activated fractions of one parcel and their fluxes into cloud; arguments in the order of CAM.
  recursive subroutine actdrop_mam_calc(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                                        in_cloud, smax_f, fn, fm, fluxn, fluxm, flux_fullact, counts, errmsg, errflg)
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
    character(len=*), intent(out), optional :: errmsg                !! error message, empty for success
    integer, intent(out), optional :: errflg                         !! 0 for success

    if (.not. associated(routine)) then
      call refuse(absent, fn, fm, fluxn, fluxm, flux_fullact, errmsg, errflg)
    else if (associated(cloud_routine)) then
      call cloud_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, smax_f, &
                         fn, fm, fluxn, fluxm, flux_fullact)
      call succeed(.not. in_cloud, counts, errmsg, errflg)
    else if (in_cloud .and. .not. sigw > least_width) then
      call refuse(no_drops, fn, fm, fluxn, fluxm, flux_fullact, errmsg, errflg)
    else
      call routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                   flux_fullact)
      call succeed(.true., counts, errmsg, errflg)
    end if

  end subroutine actdrop_mam_calc

  !> Record an answer of the host's routine.
  recursive subroutine succeed(is_computed, counts, errmsg, errflg)
    logical, intent(in) :: is_computed                               !! whether a supersaturation was computed
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers
    character(len=*), intent(out), optional :: errmsg                !! empty
    integer, intent(out), optional :: errflg                         !! 0

    if (present(errmsg)) errmsg = ' '
    if (present(errflg)) errflg = 0
    if (.not. (present(counts) .and. is_computed)) return
    counts%n_parcels = 1_int64
    counts%n_fall_back = 1_int64

  end subroutine succeed

  !> Answer a call that is wrong: by the error arguments, by the host's end of the run, or by ending it here.
  recursive subroutine refuse(message, fn, fm, fluxn, fluxm, flux_fullact, errmsg, errflg)
    character(len=*), intent(in) :: message                          !! what is wrong
    real(hk), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:)        !! NaN (mode)
    real(hk), intent(out) :: flux_fullact                            !! NaN
    character(len=*), intent(out), optional :: errmsg                !! error message
    integer, intent(out), optional :: errflg                         !! 1

    !$omp atomic update
    n_errors = n_errors + 1_int64
    flux_fullact = ieee_value(flux_fullact, ieee_quiet_nan)
    fn = flux_fullact
    fm = flux_fullact
    fluxn = flux_fullact
    fluxm = flux_fullact
    if (present(errmsg)) errmsg = message
    if (present(errflg)) errflg = 1
    if (present(errmsg) .or. present(errflg)) return
    if (.not. associated(abort_host)) error stop absent
    call abort_host(message)

  end subroutine refuse

end module emufort_host
