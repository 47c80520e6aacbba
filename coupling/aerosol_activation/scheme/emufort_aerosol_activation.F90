!> Aerosol activation for a host model: what E3SM and CAM ask of `activate_modal`, by an emulator or by ARG2000.
!>
!> After `init` a scheme is constant: any number of threads may share it; `activate` stops nothing, allocates nothing,
!> reads and prints nothing. A column has the same bits whatever stands beside it. Compile without -ffast-math.
module emufort_aerosol_activation
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
  use emufort_kinds, only: wp, block => block_columns
  use emufort_math, only: vector_ln, vector_exp
  use emufort_status, only: set_error
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_clear_status, emufort_success, &
                             emufort_error_contract, emufort_error_shape, emufort_error_limit
  use emufort_aerosol_head, only: steepness_factor, shift_factor, activated_fractions_of_logs, padded
  use emufort_aerosol_arg2000, only: activation_constants_type, air_type, air_properties, arg2000_smax, &
                                     critical_supersaturation_squared, critical_factors, in_cloud_smax, arg2000_paper, &
                                     arg2000_e3sm
  implicit none
  private

  public :: activation_type, activation_constants_type, activation_counts_type, activation_predictor
  public :: activation_kind, activation_max_modes, arg2000_paper, arg2000_e3sm
  public :: outside_arg2000, outside_ratio, outside_clip

#ifdef EMUFORT_HOST_REAL32
  integer, parameter :: activation_kind = real32   !! kind of the host's reals
#else
  integer, parameter :: activation_kind = real64   !! kind of the host's reals (real32 with -DEMUFORT_HOST_REAL32)
#endif
  integer, parameter :: hk = activation_kind, dp = real64

  integer, parameter :: activation_max_modes = 16   !! most aerosol modes
  integer, parameter :: outside_arg2000 = 0   !! outside the emulator's range ARG2000 answers
  !> ARG2000 times the emulator over ARG2000 at the nearest point of its range: continuous, and in docs/coupling.md
  !> closer to the parcel model than ARG2000 however far outside.
  integer, parameter :: outside_ratio = 1
  integer, parameter :: outside_clip = 2      !! the emulator at the nearest point of its range

  integer, parameter :: n_emulated_modes = 4, n_plain = 15, most_inputs = 16
  real(dp), parameter :: pi = 3.14159265358979323846_dp, root2 = sqrt(2.0_dp)

  ! What E3SM counts as nothing: number [m-3], volume [m3 m-3], hygroscopicity [1], width of the spectrum [m s-1].
  real(dp), parameter :: least_number = 1.0e-39_dp, least_volume = 1.0e-39_dp, least_hygroscopicity = 1.0e-10_dp
  real(dp), parameter :: least_width = 1.0e-5_dp
  !> Less hygroscopicity than this is no less in the emulator's inputs and in the ratio beyond its range [1]: particles
  !> that take up next to nothing lower the supersaturation no less for it in the parcel model, as measured in
  !> docs/coupling.md. E3SM gives primary carbon 1e-10, where it counts a mode as nothing: rounding must not decide.
  real(dp), parameter :: felt_hygroscopicity = 1.0e-3_dp
  !> Inputs this close to a limit of the range are taken for the limit: hosts clamp aerosol sizes to the same limits,
  !> and the rounding of a cube root must not decide on the scheme.
  real(dp), parameter :: edge = 1.0e-4_dp

  ! The contract of the emulator: what it must take, and the range that data_prep drew from.
  character(len=*), parameter :: names(8) = [character(len=24) :: &
                                             'air_temperature', 'air_pressure', 'updraft_speed', &
                                             'number_concentration', 'dry_median_radius', 'hygroscopicity', &
                                             'smax_arg2000', 'max_supersaturation']
  character(len=*), parameter :: units(8) = [character(len=8) :: 'K', 'Pa', 'm s-1', 'm-3', 'm', '1', '1', '1']
  real(dp), parameter :: trained_sigma(n_emulated_modes) = [1.8_dp, 1.6_dp, 1.8_dp, 1.6_dp]
  real(dp), parameter :: trained_lower(n_plain) = [248.0_dp, 5.0e4_dp, 0.01_dp, 1.0e6_dp, 1.0e6_dp, 1.0e3_dp, &
                                                   1.0e4_dp, 2.675e-8_dp, 4.35e-9_dp, 5.0e-7_dp, 5.0e-9_dp, 0.05_dp, &
                                                   0.05_dp, 0.05_dp, 1.0e-3_dp]
  real(dp), parameter :: trained_upper(n_plain) = [310.0_dp, 1.05e5_dp, 10.0_dp, 1.0e10_dp, 1.0e10_dp, 5.0e6_dp, &
                                                   1.0e10_dp, 2.2e-7_dp, 2.6e-8_dp, 2.0e-6_dp, 5.0e-8_dp, 1.2_dp, &
                                                   1.2_dp, 1.2_dp, 0.2_dp]

  ! Spectrum of updrafts: Gauss-Legendre in t with w = w_min + (w_max - w_min) t**3, which is dense where the weak
  ! updrafts are and activation begins. Against 3,000 nodes in 300 cases: largest error 2e-5 in a fraction.
  integer, parameter :: n_nodes = 12
  real(dp), parameter :: spectrum_width = 4.0_dp   ! of the integration [standard deviations]
  real(dp), parameter :: node(n_nodes) = [ &
                         0.009219682876640378_dp, 0.0479413718147626_dp, 0.11504866290284765_dp, &
                         0.20634102285669126_dp, 0.31608425050090994_dp, 0.43738329574426554_dp, &
                         0.5626167042557344_dp, 0.6839157494990901_dp, 0.7936589771433087_dp, &
                         0.8849513370971523_dp, 0.9520586281852375_dp, 0.9907803171233596_dp]
  real(dp), parameter :: weight(n_nodes) = [ &
                         0.023587668193255706_dp, 0.05346966299765953_dp, 0.08003916427167321_dp, &
                         0.10158371336153287_dp, 0.1167462682691773_dp, 0.12457352290670134_dp, &
                         0.12457352290670134_dp, 0.1167462682691773_dp, 0.10158371336153287_dp, &
                         0.08003916427167321_dp, 0.05346966299765953_dp, 0.023587668193255706_dp]

  !> Who answered how often. A parcel is one updraft speed of one column: a spectrum of updrafts makes many.
  type :: activation_counts_type
    integer(int64) :: n_parcels = 0_int64     !! supersaturations that were asked for
    integer(int64) :: n_outside = 0_int64     !! of them, outside the range of the emulator
    integer(int64) :: n_fall_back = 0_int64   !! of them, answered by ARG2000 alone, whatever the reason
    integer(int64) :: n_bad = 0_int64         !! of them, the emulator failed or gave no positive number
    integer(int64) :: n_invalid = 0_int64     !! of them, the answer is not a number because an input is none
    integer(int64) :: n_clipped = 0_int64     !! input values that the emulator clipped to its range
  contains
    procedure :: add
  end type activation_counts_type

  abstract interface
    !> What the generated module of a bundle offers as `<name>_predict_block`.
    recursive subroutine activation_predictor(n, is_single, x, y, status, is_outside, workspace)
      import :: block, status_type, real64, workspace_type
      integer, intent(in) :: n                      !! number of parcels, 1 to emufort_block_columns
      logical, intent(in) :: is_single              !! whether the inputs were rounded to single precision
      real(real64), intent(inout) :: x(block, *)    !! inputs in contract order and units; clipped on return
      real(real64), intent(inout) :: y(block, *)    !! maximum supersaturation [1] (parcel, 1)
      type(status_type), intent(inout) :: status    !! outcome; counts are added to
      logical, intent(out) :: is_outside(block)     !! parcels out of range or invalid (parcel)
      type(workspace_type), intent(inout), optional :: workspace   !! for wide networks
    end subroutine activation_predictor
  end interface

  !> An activation scheme: the host's constants and modes, and who computes the maximum supersaturation.
  type :: activation_type
    private
    integer :: n_modes = 0
    integer :: formula = arg2000_paper
    integer :: outside = outside_ratio
    integer :: n_inputs = 0                                        ! of the emulator; 0: ARG2000 answers always
    type(activation_constants_type) :: constants
    real(dp) :: log_sigma(activation_max_modes) = 0.0_dp
    real(dp) :: volume_factor(activation_max_modes) = 0.0_dp       ! cube of the median radius by volume over number
    real(dp) :: breadth(activation_max_modes) = 0.0_dp
    real(dp) :: spread(activation_max_modes) = 0.0_dp
    real(dp) :: lower(n_plain) = trained_lower
    real(dp) :: upper(n_plain) = trained_upper
    type(emulator_type) :: emulator
    procedure(activation_predictor), pointer, nopass :: predictor => null()
  contains
    procedure :: init
    procedure :: is_emulated
    procedure :: make_workspace
    procedure :: activate
  end type activation_type

contains

  !> Add the counts of another call.
  pure recursive subroutine add(counts, other)
    class(activation_counts_type), intent(inout) :: counts   !! sum
    type(activation_counts_type), intent(in) :: other        !! what to add

    counts%n_parcels = counts%n_parcels + other%n_parcels
    counts%n_outside = counts%n_outside + other%n_outside
    counts%n_fall_back = counts%n_fall_back + other%n_fall_back
    counts%n_bad = counts%n_bad + other%n_bad
    counts%n_invalid = counts%n_invalid + other%n_invalid
    counts%n_clipped = counts%n_clipped + other%n_clipped

  end subroutine add

  !> Prepare a scheme. Without `emulator` and `predictor`, or if one does not fit, ARG2000 answers always.
  subroutine init(scheme, host_kind, constants, geometric_standard_deviation, status, emulator, predictor, outside, &
                  formula, lower, upper)
    class(activation_type), intent(out) :: scheme                      !! ready for use, even if there is an error
    integer, intent(in) :: host_kind                                   !! kind of the host's reals
    type(activation_constants_type), intent(in) :: constants           !! of the host
    real(hk), intent(in) :: geometric_standard_deviation(:)            !! of the host's modes, above 1 [1] (mode)
    type(status_type), intent(out) :: status                           !! outcome
    type(emulator_type), intent(in), optional :: emulator              !! a loaded emulator; a copy is kept
    procedure(activation_predictor), optional :: predictor             !! or the procedure of a generated module
    integer, intent(in), optional :: outside                           !! outside_ratio (default), _arg2000 or _clip
    integer, intent(in), optional :: formula                           !! arg2000_paper (default) or arg2000_e3sm
    real(hk), intent(in), optional :: lower(:), upper(:)               !! range of the emulator, contract units (15)
    character(len=*), parameter :: place = 'activation init'
    integer :: m

    scheme%constants = constants
    scheme%n_modes = min(size(geometric_standard_deviation), activation_max_modes)
    do m = 1, scheme%n_modes
      scheme%log_sigma(m) = log(real(geometric_standard_deviation(m), dp))
      scheme%volume_factor(m) = 3.0_dp/(4.0_dp*pi*exp(4.5_dp*scheme%log_sigma(m)**2))
      scheme%breadth(m) = 0.5_dp*exp(2.5_dp*scheme%log_sigma(m)**2)
      scheme%spread(m) = 1.0_dp + 0.25_dp*scheme%log_sigma(m)
    end do
    if (present(outside)) scheme%outside = outside
    if (present(formula)) scheme%formula = formula

    if (host_kind /= hk) then
      call set_error(status, emufort_error_contract, place, &
                     'compiled for another kind of reals than the host: see EMUFORT_HOST_REAL32')
    else if (size(geometric_standard_deviation) > activation_max_modes .or. size(geometric_standard_deviation) < 1) then
      call set_error(status, emufort_error_limit, place, 'there must be 1 to 16 aerosol modes')
    else if (.not. all(geometric_standard_deviation > 1.0_hk)) then
      call set_error(status, emufort_error_limit, place, 'a geometric standard deviation is not above 1')
    else if (scheme%outside < outside_arg2000 .or. scheme%outside > outside_clip) then
      call set_error(status, emufort_error_contract, place, 'outside must be outside_arg2000, _ratio or _clip')
    else if (scheme%formula /= arg2000_paper .and. scheme%formula /= arg2000_e3sm) then
      call set_error(status, emufort_error_contract, place, 'formula must be arg2000_paper or arg2000_e3sm')
    else if (present(emulator) .and. present(predictor)) then
      call set_error(status, emufort_error_contract, place, 'give a loaded emulator or a predictor, not both')
    else if (present(lower) .neqv. present(upper)) then
      call set_error(status, emufort_error_contract, place, 'give both limits of the range or none')
    end if
    if (status%code /= emufort_success) return
    if (present(lower)) then
      if (size(lower) /= n_plain .or. size(upper) /= n_plain) then
        call set_error(status, emufort_error_shape, place, 'the limits of the range must be (15)')
        return
      end if
      scheme%lower = real(lower, dp)
      scheme%upper = real(upper, dp)
    end if
    if (present(emulator)) then
      if (emulator%n_inputs() == most_inputs) then
        call emulator%require(names, units, status)
      else
        call emulator%require([names(1:6), names(8)], [units(1:6), units(8)], status)
      end if
      if (status%code /= emufort_success) return
      scheme%emulator = emulator
      scheme%n_inputs = emulator%n_inputs()
    else if (present(predictor)) then
      scheme%predictor => predictor
      scheme%n_inputs = n_plain
    end if
    ! The emulator knows one set of modes; a host with another is served by ARG2000.
    if (scheme%n_modes /= n_emulated_modes) then
      scheme%n_inputs = 0
    else if (any(abs(scheme%log_sigma(1:n_emulated_modes) - log(trained_sigma)) > 1.0e-6_dp)) then
      scheme%n_inputs = 0
    end if

  end subroutine init

  !> Whether an emulator answers within its range; otherwise ARG2000 answers always.
  pure recursive logical function is_emulated(scheme)
    class(activation_type), intent(in) :: scheme   !! any scheme

    is_emulated = scheme%n_inputs > 0

  end function is_emulated

  !> Make the workspace that a wide network needs, see docs/runtime.md: one for each thread, the last argument of
  !> `activate`. It stays empty for other networks and without a loaded emulator.
  subroutine make_workspace(scheme, workspace, status)
    class(activation_type), intent(in) :: scheme          !! after `init`
    type(workspace_type), intent(out) :: workspace        !! of one thread
    type(status_type), intent(out) :: status              !! outcome

    if (scheme%emulator%is_loaded()) call scheme%emulator%make_workspace(workspace, status)

  end subroutine make_workspace

  !> Activated fractions of the columns and levels of a chunk, and their fluxes into cloud.
  !>
  !> Arguments and meaning are those of `activate_modal`. Up to `pcols` columns are dimensioned, `ncol` are worked on;
  !> the others stay as they are.
  recursive subroutine activate(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                                volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, status, counts, in_cloud, smax_f, &
                                smax_fixed, workspace)
    class(activation_type), intent(in) :: scheme            !! after `init`
    integer, intent(in) :: pcols                            !! first dimension of the arrays
    integer, intent(in) :: ncol                             !! columns in use, at most pcols
    integer, intent(in) :: pver                             !! levels
    integer, intent(in) :: nmode                            !! aerosol modes, at most those of `init`
    real(hk), intent(in) :: wbar(pcols, pver)               !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw(pcols, pver)               !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab(pcols, pver)              !! diabatic vertical velocity, 0 if adiabatic [m s-1]
    real(hk), intent(in) :: wminf(pcols, pver)              !! least updraft of the spectrum [m s-1]
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
    real(hk), intent(inout) :: flux_fullact(pcols, pver)    !! flux if everything activated [m s-1]
    type(status_type), intent(inout) :: status              !! wrong dimensions; the emulator's own error is in counts
    type(activation_counts_type), intent(out) :: counts     !! who answered
    logical, intent(in), optional :: in_cloud(pcols, pver)  !! above cloud base: balance with the drops that are there
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! number times size factor of the drops, in cloud [m-2]
    real(hk), intent(in), optional :: smax_fixed(pcols, pver) !! maximum supersaturation, negative if to be found [1]
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network, this thread's own

    call emufort_clear_status(status)
    if (nmode < 1 .or. nmode > scheme%n_modes .or. ncol > pcols .or. min(ncol, pver) < 0) then
      call set_error(status, emufort_error_shape, 'activate', 'modes or columns beyond those of init or of the arrays')
      return
    end if
    ! Each with room of its own (inlined, they would have both): what ARG2000 needs for other modes is not on the stack
    ! under the emulator.
    if (nmode > n_emulated_modes) then
      !DIR$ NOINLINE
      call activate_many_modes()
    else
      !DIR$ NOINLINE
      call activate_few_modes()
    end if

  contains

    !> The modes of the emulator, or fewer.
    recursive subroutine activate_few_modes()
      real(dp), dimension(block, n_emulated_modes) :: number, cube, kappa, critical
      real(dp) :: f(block, n_emulated_modes, 4)
      real(wp) :: log_critical(block, n_emulated_modes)
      logical :: is_active(block, n_emulated_modes)

      call activate_blocks(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                           volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, in_cloud, smax_f, smax_fixed, &
                           workspace, n_emulated_modes, number, cube, kappa, critical, f, log_critical, is_active)

    end subroutine activate_few_modes

    !> More modes than the emulator has.
    recursive subroutine activate_many_modes()
      real(dp), dimension(block, activation_max_modes) :: number, cube, kappa, critical
      real(dp) :: f(block, activation_max_modes, 4)
      real(wp) :: log_critical(block, activation_max_modes)
      logical :: is_active(block, activation_max_modes)

      call activate_blocks(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                           volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, in_cloud, smax_f, smax_fixed, &
                           workspace, activation_max_modes, number, cube, kappa, critical, f, log_critical, is_active)

    end subroutine activate_many_modes

  end subroutine activate

  !> `activate` in the given room.
  recursive subroutine activate_blocks(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, &
                                       rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, &
                                       in_cloud, smax_f, smax_fixed, workspace, n_most, number, cube, kappa, critical, &
                                       f, log_critical, is_active)
    type(activation_type), intent(in) :: scheme             !! after `init`
    integer, intent(in) :: pcols                            !! first dimension of the arrays
    integer, intent(in) :: ncol                             !! columns in use, at most pcols
    integer, intent(in) :: pver                             !! levels
    integer, intent(in) :: nmode                            !! aerosol modes, at most those of `init`
    real(hk), intent(in) :: wbar(pcols, pver)               !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw(pcols, pver)               !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab(pcols, pver)              !! diabatic vertical velocity, 0 if adiabatic [m s-1]
    real(hk), intent(in) :: wminf(pcols, pver)              !! least updraft of the spectrum [m s-1]
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
    real(hk), intent(inout) :: flux_fullact(pcols, pver)    !! flux if everything activated [m s-1]
    type(activation_counts_type), intent(inout) :: counts   !! who answered
    logical, intent(in), optional :: in_cloud(pcols, pver)  !! above cloud base: balance with the drops that are there
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! number times size factor of the drops, in cloud [m-2]
    real(hk), intent(in), optional :: smax_fixed(pcols, pver) !! maximum supersaturation, negative if to be found [1]
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network, this thread's own
    integer, intent(in) :: n_most                           !! modes that the room is for
    real(dp), dimension(block, n_most), intent(inout) :: number, cube, kappa, critical   !! see `activate_block`
    real(dp), intent(inout) :: f(block, n_most, 4)          !! see `activate_block`
    real(wp), intent(inout) :: log_critical(block, n_most)  !! see `activate_block`
    logical, intent(inout) :: is_active(block, n_most)      !! see `activate_block`
    real(dp) :: w_mean(block), w_sigma(block), w_diabatic(block), w_least(block), w_most(block), t(block), p(block)
    real(dp) :: full(block), given(block), safe
    logical :: is_present
    integer :: first, n, i, m, c, k, total, column(block), level(block), place(block)

    total = ncol*pver
    c = 0
    k = 1
    do first = 0, total - 1, block
      n = min(block, total - first)
      do i = 1, n
        c = c + 1
        if (c > ncol) then
          c = 1
          k = k + 1
        end if
        column(i) = c
        level(i) = k
        place(i) = (k - 1)*pcols + c
      end do
      call gather(n, place, wbar, w_mean)
      call gather(n, place, sigw, w_sigma)
      call gather(n, place, wdiab, w_diabatic)
      call gather(n, place, wminf, w_least)
      call gather(n, place, wmaxf, w_most)
      call gather(n, place, tair, t)
      call gather(n, place, rhoair, p)
      do i = 1, n
        p(i) = scheme%constants%gas_constant_air*p(i)*t(i)
      end do
      do m = 1, nmode
        call gather(n, place, na(1, 1, m), number(:, m))
        call gather(n, place, hygro(1, 1, m), kappa(:, m))
        call gather(n, place, volume(1, 1, m), cube(:, m))
        do i = 1, n
          ! written so that a NaN is present and active and shows in the result
          is_present = .not. (number(i, m) <= least_number .or. cube(i, m) <= least_volume)
          is_active(i, m) = is_present .and. .not. kappa(i, m) <= least_hygroscopicity
          ! no division by zero, which a host may trap
          safe = merge(number(i, m), 1.0_dp, is_present)
          cube(i, m) = merge(scheme%volume_factor(m)*cube(i, m)/safe, 0.0_dp, is_present)
        end do
      end do
      given(1:n) = -1.0_dp
      if (present(smax_fixed)) call gather(n, place, smax_fixed, given)
      if (present(in_cloud)) then
        do i = 1, n
          ! E3SM and CAM know the balance with drops for a single updraft alone
          if (.not. in_cloud(column(i), level(i)) .or. w_sigma(i) > least_width .or. given(i) >= 0.0_dp) cycle
          given(i) = 0.0_dp
          if (present(smax_f)) given(i) = in_cloud_smax(scheme%constants, &
                                                        air_properties(scheme%constants, t(i), p(i)), w_mean(i), &
                                                        real(smax_f(column(i), level(i)), dp))
        end do
      end if
      call activate_block(scheme, n, nmode, w_mean, w_sigma, w_diabatic, w_least, w_most, t, p, number, cube, kappa, &
                          is_active, given, n_most, f, critical, log_critical, full, counts, workspace)
      do m = 1, nmode
        call scatter(n, place, f(:, m, 1), fn(1, 1, m))
        call scatter(n, place, f(:, m, 2), fm(1, 1, m))
        call scatter(n, place, f(:, m, 3), fluxn(1, 1, m))
        call scatter(n, place, f(:, m, 4), fluxm(1, 1, m))
      end do
      call scatter(n, place, full, flux_fullact)
    end do

  end subroutine activate_blocks

  !> Values of a block out of an array of the host.
  pure recursive subroutine gather(n, place, array, values)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: place(block)       !! where they are in the array, rising (value)
    real(hk), intent(in) :: array(*)          !! of the host
    real(dp), intent(inout) :: values(block)  !! the same units (value)
    integer :: i, before

    before = place(1) - 1
    if (place(n) == before + n) then   ! neighbours, as they nearly always are
      do i = 1, n
        values(i) = real(array(before + i), dp)
      end do
    else
      do i = 1, n
        values(i) = real(array(place(i)), dp)
      end do
    end if

  end subroutine gather

  !> Values of a block into an array of the host.
  pure recursive subroutine scatter(n, place, values, array)
    integer, intent(in) :: n                !! number of values
    integer, intent(in) :: place(block)     !! where they belong in the array, rising (value)
    real(dp), intent(in) :: values(block)   !! any units (value)
    real(hk), intent(inout) :: array(*)     !! of the host, the same units
    integer :: i, before

    before = place(1) - 1
    if (place(n) == before + n) then
      do i = 1, n
        array(before + i) = real(values(i), hk)
      end do
    else
      do i = 1, n
        array(place(i)) = real(values(i), hk)
      end do
    end if

  end subroutine scatter

  !> One block of columns: single updrafts first, then the spectra node by node.
  recursive subroutine activate_block(scheme, n, n_modes, w_mean, w_sigma, w_diabatic, w_least, w_most, t, p, number, &
                                      cube, kappa, is_active, given, n_most, f, critical, log_critical, full, &
                                      counts, workspace)
    type(activation_type), intent(in) :: scheme           !! after `init`
    integer, intent(in) :: n                              !! columns, at most `block`
    integer, intent(in) :: n_modes                        !! modes
    real(dp), intent(in) :: w_mean(block)                 !! mean vertical velocity [m s-1] (column)
    real(dp), intent(in) :: w_sigma(block)                !! its standard deviation [m s-1] (column)
    real(dp), intent(in) :: w_diabatic(block)             !! diabatic vertical velocity [m s-1] (column)
    real(dp), intent(in) :: w_least(block)                !! least updraft [m s-1] (column)
    real(dp), intent(in) :: w_most(block)                 !! largest updraft [m s-1] (column)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius, or 0 [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that count (column, mode)
    real(dp), intent(in) :: given(block)                  !! supersaturation, negative: to be found [1] (column)
    integer, intent(in) :: n_most                         !! modes that the next three are for
    real(dp), intent(out) :: f(block, n_most, 4)          !! fn, fm, fluxn, fluxm (column, mode, which)
    real(dp), intent(inout) :: critical(block, n_most)    !! square of the critical supersaturation [1]; scratch
    real(wp), intent(inout) :: log_critical(block, n_most)   !! its logarithm [1]; scratch
    real(dp), intent(out) :: full(block)                  !! flux if everything activated [m s-1] (column)
    type(activation_counts_type), intent(inout) :: counts !! who answered
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network
    real(dp) :: lower(block), upper(block), w(block), smax(block)
    real(dp) :: speed(n_nodes, block), share(n_nodes, block), flux(n_nodes, block)
    real(wp) :: log_smax(block), fraction(block, 2)
    type(air_type) :: air(block)
    real(dp) :: factor(block), safe
    integer :: at(block), n_at, i, j, m, q
    logical :: is_spectral(block), has_air(block)

    call critical_factors(scheme%constants, n, t, factor)
    do i = 1, n
      is_spectral(i) = .not. w_sigma(i) <= least_width
      has_air(i) = .false.
    end do
    do m = 1, n_modes
      do i = 1, n
        safe = merge(kappa(i, m)*cube(i, m), 1.0_dp, is_active(i, m))
        critical(i, m) = merge(factor(i)/safe, 1.0e4_dp, is_active(i, m))
        log_critical(i, m) = real(critical(i, m), wp)
      end do
      call vector_ln(n, log_critical(:, m))
    end do

    ! Single updrafts.
    n_at = 0
    do i = 1, n
      full(i) = 0.0_dp
      if (is_spectral(i) .or. w_mean(i) <= 0.0_dp .or. w_mean(i) + w_diabatic(i) <= 0.0_dp) cycle
      full(i) = w_mean(i)
      if (abs(given(i)) <= 0.0_dp) cycle
      n_at = n_at + 1
      at(n_at) = i
      w(n_at) = w_mean(i) + w_diabatic(i)
    end do
    if (n_at < n) f(1:n, 1:n_modes, :) = 0.0_dp
    if (n_at > 0) then
      call find_smax(scheme, n_at, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, smax, &
                     log_smax, air, has_air, counts, workspace)
      do m = 1, n_modes
        call fractions(n_at, n, at, scheme%log_sigma(m), smax, log_smax, log_critical(:, m), is_active(:, m), fraction)
        if (n_at == n) then
          do i = 1, n
            f(i, m, 1) = real(fraction(i, 1), dp)
            f(i, m, 2) = real(fraction(i, 2), dp)
            f(i, m, 3) = f(i, m, 1)*w_mean(i)
            f(i, m, 4) = f(i, m, 2)*w_mean(i)
          end do
          cycle
        end if
        do j = 1, n_at
          i = at(j)
          f(i, m, 1) = real(fraction(j, 1), dp)
          f(i, m, 2) = real(fraction(j, 2), dp)
          f(i, m, 3) = f(i, m, 1)*w_mean(i)
          f(i, m, 4) = f(i, m, 2)*w_mean(i)
        end do
      end do
      if (n_at == n) return
    end if

    ! Spectra: limits, and what makes the weights add up to the exact integrals.
    n_at = 0
    do i = 1, n
      if (.not. is_spectral(i)) cycle
      if (abs(given(i)) <= 0.0_dp) cycle
      lower(i) = max(w_least(i), -w_diabatic(i), w_mean(i) - spectrum_width*w_sigma(i))
      upper(i) = min(w_most(i), w_mean(i) + spectrum_width*w_sigma(i))
      if (upper(i) <= lower(i)) cycle
      n_at = n_at + 1
      at(n_at) = i
      call weigh(lower(i), upper(i), w_most(i), w_mean(i), w_sigma(i), speed(:, i), share(:, i), flux(:, i), full(i))
    end do
    if (n_at == 0) return
    do q = 1, n_nodes
      do j = 1, n_at
        w(j) = speed(q, at(j)) + w_diabatic(at(j))
      end do
      call find_smax(scheme, n_at, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, smax, &
                     log_smax, air, has_air, counts, workspace)
      do m = 1, n_modes
        call fractions(n_at, n, at, scheme%log_sigma(m), smax, log_smax, log_critical(:, m), is_active(:, m), fraction)
        do j = 1, n_at
          i = at(j)
          f(i, m, 1) = f(i, m, 1) + share(q, i)*real(fraction(j, 1), dp)
          f(i, m, 2) = f(i, m, 2) + share(q, i)*real(fraction(j, 2), dp)
          f(i, m, 3) = f(i, m, 3) + flux(q, i)*real(fraction(j, 1), dp)
          f(i, m, 4) = f(i, m, 4) + flux(q, i)*real(fraction(j, 2), dp)
        end do
      end do
    end do
    do m = 1, n_modes
      do j = 1, n_at
        ! the sum of shares may exceed 1 by rounding; written so that a NaN stays
        if (f(at(j), m, 1) > 1.0_dp) f(at(j), m, 1) = 1.0_dp
        if (f(at(j), m, 2) > 1.0_dp) f(at(j), m, 2) = 1.0_dp
      end do
    end do

  end subroutine activate_block

  !> Maximum supersaturation of some columns of a block, each with an updraft.
  recursive subroutine find_smax(scheme, n, n_columns, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, &
                                 given, smax, log_smax, air, has_air, counts, workspace)
    type(activation_type), intent(in) :: scheme           !! after `init`
    integer, intent(in) :: n                              !! number of updrafts
    integer, intent(in) :: n_columns                      !! number of columns; if as many, updraft j is that of column j
    integer, intent(in) :: at(block)                      !! their columns (updraft)
    integer, intent(in) :: n_modes                        !! modes
    real(dp), intent(in) :: w(block)                      !! speeds [m s-1] (updraft)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    real(dp), intent(in) :: critical(block, *)            !! square of the critical supersaturation [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that count (column, mode)
    real(dp), intent(in) :: given(block)                  !! supersaturation if 0 or above [1] (column)
    real(dp), intent(out) :: smax(block)                  !! maximum supersaturation [1] (updraft)
    real(wp), intent(out) :: log_smax(block)              !! its logarithm [1] (updraft)
    type(air_type), intent(inout) :: air(block)           !! air of the columns for ARG2000, where it was needed (column)
    logical, intent(inout) :: has_air(block)              !! whether it is there (column)
    type(activation_counts_type), intent(inout) :: counts !! who answered
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network
    real(dp) :: x(block, most_inputs), found(block, 1)
    logical :: is_outside(block), use_emulator
    integer :: j, n_others
    type(status_type) :: status

    use_emulator = scheme%n_inputs > 0 .and. n_modes == n_emulated_modes
    if (use_emulator) use_emulator = any(given(at(1:n)) < 0.0_dp)
    n_others = n
    if (use_emulator) then
      call fill_inputs(scheme, n, n_columns, at, w, t, p, number, cube, kappa, is_active, critical, x)
      if (associated(scheme%predictor)) then
        call scheme%predictor(n, .false., x, found, status, is_outside, workspace)
      else
        call scheme%emulator%predict_block(n, .false., x, found, status, is_outside, workspace)
      end if
      if (status%code /= emufort_success) then
        use_emulator = .false.
        counts%n_bad = counts%n_bad + n
      else
        if (scheme%outside /= outside_arg2000) counts%n_clipped = counts%n_clipped + status%n_clipped
        n_others = 0
        do j = 1, n
          smax(j) = found(j, 1)
          n_others = n_others + merge(0, 1, found(j, 1) > 0.0_dp .and. found(j, 1) <= huge(1.0_dp) .and. &
                                      .not. is_outside(j) .and. given(at(j)) < 0.0_dp)
        end do
      end if
    end if
    if (n_others > 0) then
      call answer_others(scheme, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, &
                         use_emulator, x, found, is_outside, smax, air, has_air, counts)
    else
      counts%n_parcels = counts%n_parcels + n
    end if

    do j = 1, n
      log_smax(j) = real(smax(j), wp)
    end do
    call vector_ln(n, log_smax)

  end subroutine find_smax

  !> Maximum supersaturation of the updrafts of a block where the emulator alone does not give all of them.
  recursive subroutine answer_others(scheme, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, &
                                     has_found, x, found, is_outside, smax, air, has_air, counts)
    type(activation_type), intent(in) :: scheme           !! after `init`
    integer, intent(in) :: n                              !! number of updrafts
    integer, intent(in) :: at(block)                      !! their columns (updraft)
    integer, intent(in) :: n_modes                        !! modes
    real(dp), intent(in) :: w(block)                      !! speeds [m s-1] (updraft)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius, 0 without a mode [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    real(dp), intent(in) :: critical(block, *)            !! square of the critical supersaturation [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that count (column, mode)
    real(dp), intent(in) :: given(block)                  !! supersaturation if 0 or above [1] (column)
    logical, intent(in) :: has_found                      !! whether the emulator was asked, the next three hold
    real(dp), intent(in) :: x(block, most_inputs)         !! its inputs, clipped to its range (updraft, input)
    real(dp), intent(in) :: found(block)                  !! its answers [1] (updraft)
    logical, intent(in) :: is_outside(block)              !! whether it is out of its range (updraft)
    real(dp), intent(out) :: smax(block)                  !! maximum supersaturation [1] (updraft)
    type(air_type), intent(inout) :: air(block)           !! air of the columns for ARG2000, where it was needed (column)
    logical, intent(inout) :: has_air(block)              !! whether it is there (column)
    type(activation_counts_type), intent(inout) :: counts !! who answered
    type(air_type) :: there
    real(dp) :: own(activation_max_modes), its(activation_max_modes)
    logical :: mask(activation_max_modes), is_out, is_good
    integer :: i, j

    do j = 1, n
      i = at(j)
      if (.not. given(i) < 0.0_dp) then
        smax(j) = given(i)
        cycle
      end if
      counts%n_parcels = counts%n_parcels + 1
      is_out = .false.
      is_good = .false.
      if (has_found) then
        is_out = is_outside(j)
        is_good = found(j) > 0.0_dp .and. ieee_is_finite(found(j))
        smax(j) = found(j)
        if (is_out) counts%n_outside = counts%n_outside + 1
        if (.not. is_out .and. .not. is_good) counts%n_bad = counts%n_bad + 1
        if (is_good .and. (.not. is_out .or. scheme%outside == outside_clip)) cycle
      end if
      if (.not. has_air(i)) air(i) = air_properties(scheme%constants, t(i), p(i))
      has_air(i) = .true.
      its(1:n_modes) = number(i, 1:n_modes)
      if (is_good .and. scheme%outside == outside_ratio) then
        mask(1:4) = .not. cube(i, 1:4) <= 0.0_dp
        own(1:4) = critical_supersaturation_squared(air(i)%kelvin_length, merge(cube(i, 1:4), 1.0_dp, mask(1:4)), &
                                                    felt(kappa(i, 1:4)))
        smax(j) = arg2000_smax(scheme%constants, scheme%formula, n_modes, scheme%breadth, scheme%spread, air(i), w(j), &
                               its, own, mask)
        there = air(i)
        if (abs(x(j, 1) - t(i)) > 0.0_dp .or. abs(x(j, 2) - p(i)) > 0.0_dp) &
          there = air_properties(scheme%constants, x(j, 1), x(j, 2))
        own(1:4) = critical_supersaturation_squared(there%kelvin_length, x(j, 8:11)**3, x(j, 12:15))
        its(1:4) = x(j, 4:7)
        mask(1:4) = .true.
        smax(j) = smax(j)*(found(j)/arg2000_smax(scheme%constants, scheme%formula, n_modes, scheme%breadth, &
                                                 scheme%spread, there, x(j, 3), its, own, mask))
      else
        own(1:n_modes) = critical(i, 1:n_modes)
        mask(1:n_modes) = is_active(i, 1:n_modes)
        smax(j) = arg2000_smax(scheme%constants, scheme%formula, n_modes, scheme%breadth, scheme%spread, air(i), w(j), &
                               its, own, mask)
        counts%n_fall_back = counts%n_fall_back + 1
      end if
      if (.not. smax(j) >= 0.0_dp) counts%n_invalid = counts%n_invalid + 1
    end do

  end subroutine answer_others

  !> Inputs of the emulator in contract order; what is at the edge of the range is put on it.
  recursive subroutine fill_inputs(scheme, n, n_columns, at, w, t, p, number, cube, kappa, is_active, critical, x)
    type(activation_type), intent(in) :: scheme           !! after `init`
    integer, intent(in) :: n                              !! number of updrafts
    integer, intent(in) :: n_columns                      !! number of columns; if as many, updraft j is that of column j
    integer, intent(in) :: at(block)                      !! columns of the updrafts, rising (updraft)
    real(dp), intent(in) :: w(block)                      !! speeds [m s-1] (updraft)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius, 0 without a mode [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that count (column, mode)
    real(dp), intent(in) :: critical(block, *)            !! square of the critical supersaturation [1] (column, mode)
    real(dp), intent(inout) :: x(block, most_inputs)      !! inputs (updraft, place in the contract)
    real(dp) :: own(n_emulated_modes), its(n_emulated_modes), least, most, value, middle
    logical :: mask(n_emulated_modes)
    real(wp) :: radius(block)
    integer :: i, j, m

    call take(n, n_columns, at, t, x(:, 1))
    call take(n, n_columns, at, p, x(:, 2))
    do j = 1, n
      x(j, 3) = w(j)
    end do
    do m = 1, n_emulated_modes
      call take(n, n_columns, at, number(:, m), x(:, 3 + m))
      call take(n, n_columns, at, cube(:, m), x(:, 7 + m))
      call take(n, n_columns, at, kappa(:, m), x(:, 11 + m))
      do j = 1, n
        radius(j) = real(merge(1.0_dp, x(j, 7 + m), x(j, 7 + m) <= 0.0_dp), wp)
      end do
      call vector_ln(n, radius)
      do j = 1, n
        radius(j) = radius(j)*(1.0_wp/3.0_wp)
      end do
      call vector_exp(n, radius)
      ! a mode of nothing: no number, and size and substance that do not matter
      middle = sqrt(scheme%lower(7 + m)*scheme%upper(7 + m))
      least = scheme%lower(11 + m)
      do j = 1, n
        x(j, 3 + m) = merge(0.0_dp, x(j, 3 + m), x(j, 7 + m) <= 0.0_dp)
        x(j, 11 + m) = merge(least, felt(x(j, 11 + m)), x(j, 7 + m) <= 0.0_dp)
        x(j, 7 + m) = merge(middle, real(radius(j), dp), x(j, 7 + m) <= 0.0_dp)
      end do
    end do
    do m = 1, n_plain
      least = scheme%lower(m)
      most = scheme%upper(m)
      do j = 1, n
        value = x(j, m)
        value = merge(least, value, value < least .and. value >= least*(1.0_dp - edge))
        x(j, m) = merge(most, value, value > most .and. value <= most*(1.0_dp + edge))
      end do
    end do
    if (scheme%n_inputs == n_plain) return
    do j = 1, n
      i = at(j)
      own = critical(i, 1:n_emulated_modes)
      its = number(i, 1:n_emulated_modes)
      mask = is_active(i, 1:n_emulated_modes)
      x(j, most_inputs) = arg2000_smax(scheme%constants, arg2000_paper, n_emulated_modes, &
                                       scheme%breadth(1:n_emulated_modes), scheme%spread(1:n_emulated_modes), &
                                       air_properties(scheme%constants, t(i), p(i)), w(j), its, own, mask)
    end do

  end subroutine fill_inputs

  !> Hygroscopicity as it is felt by the supersaturation [1].
  elemental recursive real(dp) function felt(kappa)
    real(dp), intent(in) :: kappa   !! hygroscopicity [1]

    felt = merge(felt_hygroscopicity, kappa, kappa < felt_hygroscopicity)   ! a NaN stays one

  end function felt

  !> Values of the columns that the updrafts are of.
  pure recursive subroutine take(n, n_columns, at, values, taken)
    integer, intent(in) :: n                  !! number of updrafts
    integer, intent(in) :: n_columns          !! number of columns
    integer, intent(in) :: at(block)          !! columns of the updrafts, rising (updraft)
    real(dp), intent(in) :: values(block)     !! any units (column)
    real(dp), intent(inout) :: taken(block)   !! the same units (updraft)
    integer :: j

    if (n == n_columns) then
      do j = 1, n
        taken(j) = values(j)
      end do
    else
      do j = 1, n
        taken(j) = values(at(j))
      end do
    end if

  end subroutine take

  !> Number and mass fraction of one mode above the size that activates at a supersaturation.
  recursive subroutine fractions(n, n_columns, at, log_sigma, smax, log_smax, log_critical, is_active, fraction)
    integer, intent(in) :: n                          !! number of updrafts
    integer, intent(in) :: n_columns                  !! number of columns; if as many, updraft j is that of column j
    integer, intent(in) :: at(block)                  !! columns of the updrafts, rising (updraft)
    real(dp), intent(in) :: log_sigma                 !! ln of the geometric standard deviation of the mode [1]
    real(dp), intent(in) :: smax(block)               !! maximum supersaturation [1] (updraft)
    real(wp), intent(in) :: log_smax(block)           !! its logarithm [1] (updraft)
    real(wp), intent(in) :: log_critical(block)       !! ln of the square of the critical supersaturation [1] (column)
    logical, intent(in) :: is_active(block)           !! whether the mode counts (column)
    real(wp), intent(out) :: fraction(block, 2)       !! number and mass fraction [1] (updraft, which)
    real(wp), dimension(block) :: log_ratio, steepness, shift, number, mass
    logical :: counts(block)
    integer :: j

    steepness = real(steepness_factor/log_sigma, wp)
    shift = real(shift_factor*log_sigma, wp)
    if (n == n_columns) then
      do j = 1, n
        log_ratio(j) = log_critical(j) - 2.0_wp*log_smax(j)
        counts(j) = is_active(j) .and. .not. smax(j) <= 0.0_dp
      end do
    else
      do j = 1, n
        log_ratio(j) = log_critical(at(j)) - 2.0_wp*log_smax(j)
        counts(j) = is_active(at(j)) .and. .not. smax(j) <= 0.0_dp
      end do
    end if
    log_ratio(n + 1:padded(n)) = 0.0_wp
    call activated_fractions_of_logs(padded(n), log_ratio, steepness, shift, number, mass)
    do j = 1, n
      fraction(j, 1) = merge(number(j), 0.0_wp, counts(j))
      fraction(j, 2) = merge(mass(j), 0.0_wp, counts(j))
    end do

  end subroutine fractions

  !> Speeds and weights of the spectrum of one column. The loop is over the nodes, whose number is fixed: in a loop over
  !> columns the compiler may take another exponential for the body than for the rest.
  recursive subroutine weigh(lower, upper, most, mean, sigma, speed, share, flux, full)
    real(dp), intent(in) :: lower, upper      !! limits of the quadrature [m s-1]
    real(dp), intent(in) :: most              !! largest updraft [m s-1]
    real(dp), intent(in) :: mean, sigma       !! of the updraft speed [m s-1]
    real(dp), intent(out) :: speed(n_nodes)   !! [m s-1] (node)
    real(dp), intent(out) :: share(n_nodes)   !! what a fraction is weighted with [1] (node)
    real(dp), intent(out) :: flux(n_nodes)    !! what a flux is weighted with [m s-1] (node)
    real(dp), intent(out) :: full             !! flux if everything activated [m s-1]
    real(dp) :: exact, tail
    integer :: q

    do q = 1, n_nodes
      speed(q) = lower + (upper - lower)*(node(q)*node(q)*node(q))
      share(q) = weight(q)*(upper - lower)*(3.0_dp*node(q)*node(q))*density_at(speed(q), mean, sigma)
      flux(q) = share(q)*max(speed(q), 0.0_dp)
    end do
    ! what is known exactly, the weights add up to
    share = share*(probability(lower, upper, mean, sigma)/sum(share))
    exact = mean_speed(max(lower, 0.0_dp), upper, mean, sigma)
    if (sum(flux) > 0.0_dp) flux = flux*(exact/sum(flux))
    full = max(exact, 0.0_dp)
    if (most > upper) then   ! stronger updrafts than the last node activate what it activates
      share(n_nodes) = share(n_nodes) + probability(upper, most, mean, sigma)
      tail = max(0.0_dp, mean_speed(upper, most, mean, sigma))
      flux(n_nodes) = flux(n_nodes) + tail
      full = full + tail
    end if

  end subroutine weigh

  !> Density of a normal distribution [s m-1].
  pure recursive real(dp) function density_at(speed, mean, sigma)
    real(dp), intent(in) :: speed, mean, sigma   !! [m s-1]

    density_at = exp(-0.5_dp*((speed - mean)/sigma)**2)/(sqrt(2.0_dp*pi)*sigma)

  end function density_at

  !> Probability that the updraft lies between two speeds [1].
  pure recursive real(dp) function probability(lower, upper, mean, sigma)
    real(dp), intent(in) :: lower, upper, mean, sigma   !! [m s-1]
    real(dp) :: a, b

    a = (lower - mean)/(root2*sigma)
    b = (upper - mean)/(root2*sigma)
    if (a > 0.0_dp) then   ! no difference of numbers close to 1
      probability = 0.5_dp*(erfc(a) - erfc(b))
    else
      probability = 0.5_dp*(erf(b) - erf(a))
    end if

  end function probability

  !> Integral of the updraft speed between two speeds [m s-1].
  pure recursive real(dp) function mean_speed(lower, upper, mean, sigma)
    real(dp), intent(in) :: lower, upper, mean, sigma   !! [m s-1]

    mean_speed = mean*probability(lower, upper, mean, sigma) + &
                 sigma*sigma*(density_at(lower, mean, sigma) - density_at(upper, mean, sigma))

  end function mean_speed

end module emufort_aerosol_activation
