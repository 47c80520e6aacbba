!> Drop-in replacements of `activate_modal` (E3SM) and `actdrop_mam_calc` (CAM) with the same arguments.
!>
!> The optional arguments of `activate_modal` are in the order of CAM. E3SM has only the first of them.
!>
!> As in E3SM and CAM, the module holds the scheme: `activate_modal_init` sets it once, and it is constant afterwards.
!> Hosts that pass their state as arguments use `activation_type` of the module `emufort_aerosol_activation` instead.
!>
!> A call that cannot be answered is never silent: before `init`, with more modes than `init` was given, or in cloud
!> without `smax_f`. It sets the error arguments. Without them it calls the procedure `abort` of the host. Without that
!> the routine of the host answers if it can, and otherwise the results are NaN. `activate_modal_errors` counts these
!> calls.
module emufort_activate_modal
  use, intrinsic :: iso_fortran_env, only: int64, dp => real64
  use emufort_runtime, only: emulator_type, status_type, emufort_not_a_number
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        activation_predictor, activation_network, activation_host_routine, &
                                        activation_in_cloud_routine, &
                                        hk => activation_kind, activation_max_modes
  use emufort_aerosol_calls, only: problem_of, is_for_host_alone, problem_codes, problem_texts, no_problem, &
                                   too_many_modes
  use emufort_aerosol_updrafts, only: least_width
  use emufort_aerosol_scheme, only: n_emulated_modes
  use emufort_aerosol_parcel, only: activate_parcel
  implicit none
  private

  public :: activate_modal_init, activate_modal, actdrop_mam_calc, activate_modal_scheme, activate_modal_errors
  public :: activation_abort

  abstract interface
    !> Interface of the procedure with which a host ends its run: `endrun` of E3SM.
    subroutine activation_abort(string)
      character(len=*), intent(in), optional :: string   !! message
    end subroutine activation_abort
  end interface

  type(activation_type), save, protected :: activate_modal_scheme   !! for calls with whole chunks
  procedure(activation_abort), pointer, save :: abort_host => null()
  integer(int64), save :: n_errors = 0_int64

contains

  !> Set the scheme. If it is not successful and the constants and modes are usable, the fall-back answers.
  subroutine activate_modal_init(host_kind, constants, sigmag_amode, status, emulator, predictor, outside, formula, &
                                 lower, upper, contract_hash, mismatch, host_routine, in_cloud_routine, &
                                 kelvin_temperature, abort, network)
    integer, intent(in) :: host_kind                          !! kind of the host's reals
    type(activation_constants_type), intent(in) :: constants  !! of the host
    real(hk), intent(in) :: sigmag_amode(:)                   !! geometric standard deviations of the modes [1] (mode)
    type(status_type), intent(out) :: status                  !! outcome; success with a message: the fall-back answers
    type(emulator_type), intent(in), optional :: emulator     !! a loaded emulator
    procedure(activation_predictor), optional :: predictor    !! or `<name>_predict_block` of a generated module
    integer, intent(in), optional :: outside                  !! outside_ratio (default), _arg2000, _clip or _host
    integer, intent(in), optional :: formula                  !! arg2000_paper (default) or arg2000_e3sm
    real(hk), intent(in), optional :: lower(:), upper(:)      !! another range of the emulator, contract units (input)
    character(len=*), intent(in), optional :: contract_hash   !! contract of `predictor`
    integer, intent(in), optional :: mismatch                 !! mismatch_refuse (default) or mismatch_fall_back
    procedure(activation_host_routine), optional :: host_routine         !! fall-back instead of ARG2000
    procedure(activation_in_cloud_routine), optional :: in_cloud_routine !! the same for parcels in cloud
    real(hk), intent(in), optional :: kelvin_temperature      !! of the Kelvin length in ARG2000 [K]
    procedure(activation_abort), optional :: abort            !! ends the run of the host
    procedure(activation_network), optional :: network        !! `<name>_copy`, with `predictor`: faster

    n_errors = 0_int64
    abort_host => null()
    if (present(abort)) abort_host => abort
    call activate_modal_scheme%init(host_kind, constants, sigmag_amode, status, emulator, predictor, outside, formula, &
                                    lower, upper, contract_hash, mismatch, host_routine, in_cloud_routine, &
                                    kelvin_temperature, network)

  end subroutine activate_modal_init

  !> Return the number of calls since `init` that could not be answered. If threads make such calls at the same time and
  !> the scheme is compiled without OpenMP, it is a lower bound above 0.
  recursive integer(int64) function activate_modal_errors()

    !$omp atomic read
    activate_modal_errors = n_errors

  end function activate_modal_errors

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
    logical :: in_cloud, is_done
    real(hk) :: drops, fixed, number(n_emulated_modes), cubes(n_emulated_modes), kappa(n_emulated_modes)
    real(hk) :: fractions(n_emulated_modes, 2)
    integer :: problem, m

    if (present(errmsg)) errmsg = ' '
    if (present(errflg)) errflg = 0
    if (activate_modal_scheme%is_fast .and. nmode == n_emulated_modes .and. sigw <= real(least_width, hk) .and. &
        .not. (present(smax_prescribed) .or. present(in_cloud_in))) then
      if (least_size(na, volume, hygro, fn, fm, fluxn, fluxm) >= n_emulated_modes) then
        do m = 1, n_emulated_modes
          number(m) = na(m)
          cubes(m) = volume(m)
          kappa(m) = hygro(m)
        end do
        call activate_parcel(activate_modal_scheme%scheme_type, wbar, wdiab, tair, rhoair, number, cubes, kappa, &
                             fractions, is_done)
        if (is_done) then
          do m = 1, n_emulated_modes
            fn(m) = fractions(m, 1)
            fm(m) = fractions(m, 2)
            fluxn(m) = real(real(fractions(m, 1), dp)*real(wbar, dp), hk)
            fluxm(m) = real(real(fractions(m, 2), dp)*real(wbar, dp), hk)
          end do
          if (size(fn) > n_emulated_modes) fn(n_emulated_modes + 1:) = 0.0_hk
          if (size(fm) > n_emulated_modes) fm(n_emulated_modes + 1:) = 0.0_hk
          if (size(fluxn) > n_emulated_modes) fluxn(n_emulated_modes + 1:) = 0.0_hk
          if (size(fluxm) > n_emulated_modes) fluxm(n_emulated_modes + 1:) = 0.0_hk
          flux_fullact = wbar
          if (present(counts)) counts = activation_counts_type(n_parcels=1_int64)
          return
        end if
      end if
    end if
    in_cloud = .false.
    drops = 0.0_hk
    fixed = -1.0_hk
    if (present(in_cloud_in)) in_cloud = in_cloud_in .and. .not. sigw > real(least_width, hk)
    if (present(smax_f)) drops = smax_f
    if (present(smax_prescribed)) then
      fixed = smax_prescribed
      if (fixed <= 0.0_hk) then   ! a NaN remains
        fixed = 0.0_hk
        in_cloud = .false.
      end if
    end if
    problem = problem_of(activate_modal_scheme%scheme_type, nmode, &
                         least_size(na, volume, hygro, fn, fm, fluxn, fluxm), present(in_cloud_in), &
                         present(smax_f), in_cloud)
    if (problem /= no_problem) then
      call refuse(problem, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                  fluxm, flux_fullact, counts, errmsg, errflg)
    else if (is_for_host_alone(activate_modal_scheme%scheme_type)) then
      ! the arguments pass through unchanged
      if (in_cloud) then
        call activate_modal_scheme%in_cloud_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                    hygro, in_cloud, drops, fn, fm, fluxn, fluxm, flux_fullact)
      else
        call activate_modal_scheme%host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                hygro, fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed)
      end if
      if (present(counts)) call count_host(counts, fn,.not. (in_cloud .or. present(smax_prescribed)))
    else
      call one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, drops, fixed, &
                      fn, fm, fluxn, fluxm, flux_fullact, counts)
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
    integer :: problem

    if (activate_modal_scheme%is_fast .and. .not. in_cloud) then
      call activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                          fluxm, flux_fullact, counts=counts, errmsg=errmsg, errflg=errflg)
      return
    end if
    if (present(errmsg)) errmsg = ' '
    if (present(errflg)) errflg = 0
    problem = problem_of(activate_modal_scheme%scheme_type, nmode, &
                         least_size(na, volume, hygro, fn, fm, fluxn, fluxm), .true., .true., &
                         in_cloud .and. .not. sigw > real(least_width, hk))
    if (problem /= no_problem) then
      call refuse(problem, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                  fluxm, flux_fullact, counts, errmsg, errflg)
    else if (is_for_host_alone(activate_modal_scheme%scheme_type)) then
      if (associated(activate_modal_scheme%in_cloud_routine)) then
        call activate_modal_scheme%in_cloud_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                    hygro, in_cloud, smax_f, fn, fm, fluxn, fluxm, flux_fullact)
      else
        call activate_modal_scheme%host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                hygro, fn, fm, fluxn, fluxm, flux_fullact)
      end if
      if (present(counts)) call count_host(counts, fn,.not. in_cloud)
    else
      call one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, smax_f, &
                      -1.0_hk, fn, fm, fluxn, fluxm, flux_fullact, counts)
    end if

  end subroutine actdrop_mam_calc

  !> Compute one parcel for both procedures, after their checks.
  recursive subroutine one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, &
                                  smax_f, smax_fixed, fn, fm, fluxn, fluxm, flux_fullact, counts)
    real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(hk), intent(in) :: tair                              !! [K]
    real(hk), intent(in) :: rhoair                            !! [kg m-3]
    real(hk), intent(in) :: na(:)                             !! [m-3] (mode)
    integer, intent(in) :: nmode                              !! number of modes
    real(hk), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
    logical, intent(in) :: in_cloud                           !! above cloud base
    real(hk), intent(in) :: smax_f                            !! [m-2]
    real(hk), intent(in) :: smax_fixed                        !! maximum supersaturation, negative: to be computed [1]
    real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
    real(hk), intent(out) :: fluxn(:), fluxm(:)               !! [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact                     !! [m s-1]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers
    type(status_type) :: status
    type(activation_counts_type) :: own_counts
    real(hk) :: input(activation_max_modes, 3), output(activation_max_modes, 4), air(7), full(1)
    integer :: n

    fn = 0.0_hk
    fm = 0.0_hk
    fluxn = 0.0_hk
    fluxm = 0.0_hk
    flux_fullact = 0.0_hk
    ! As in E3SM, the fluxes are 0 as well for a single empty mode or a prescribed supersaturation of 0.
    if (nmode == 1) then
      if (na(1) < 1.0e-20_hk) return
    end if
    if (nmode < 1 .or. abs(smax_fixed) <= 0.0_hk) return
    n = nmode
    air = [wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair]
    input(1:n, 1) = na(1:n)
    input(1:n, 2) = volume(1:n)
    input(1:n, 3) = hygro(1:n)
    output(1:n, :) = 0.0_hk
    full = 0.0_hk
    call activate_modal_scheme%activate(1, 1, 1, n, air(1), air(2), air(3), air(4), air(5), air(6), air(7), &
                                        input(1, 1), input(1, 2), input(1, 3), output(1, 1), output(1, 2), &
                                        output(1, 3), output(1, 4), full, status, own_counts, [in_cloud], [smax_f], &
                                        [smax_fixed])
    fn(1:n) = output(1:n, 1)
    fm(1:n) = output(1:n, 2)
    fluxn(1:n) = output(1:n, 3)
    fluxm(1:n) = output(1:n, 4)
    flux_fullact = full(1)
    if (present(counts)) counts = own_counts

  end subroutine one_parcel

  !> Answer a call that is wrong: by the error arguments, by the host's end of the run, by its routine or by NaN.
  recursive subroutine refuse(problem, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, &
                              fm, fluxn, fluxm, flux_fullact, counts, errmsg, errflg)
    integer, intent(in) :: problem                            !! what is wrong
    real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(hk), intent(in) :: tair                              !! [K]
    real(hk), intent(in) :: rhoair                            !! [kg m-3]
    real(hk), intent(in) :: na(:)                             !! [m-3] (mode)
    integer, intent(in) :: nmode                              !! number of modes
    real(hk), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
    real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
    real(hk), intent(out) :: fluxn(:), fluxm(:)               !! [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact                     !! [m s-1]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers
    character(len=*), intent(out), optional :: errmsg                !! error message, empty for success
    integer, intent(out), optional :: errflg                         !! 0 for success

    !$omp atomic update
    n_errors = n_errors + 1_int64
    fn = real(emufort_not_a_number(), hk)
    fm = real(emufort_not_a_number(), hk)
    flux_fullact = real(emufort_not_a_number(), hk)
    fluxn = flux_fullact
    fluxm = flux_fullact
    if (present(errmsg)) errmsg = problem_texts(problem)
    if (present(errflg)) errflg = problem_codes(problem)
    if (present(errmsg) .or. present(errflg)) return
    if (associated(abort_host)) call abort_host(problem_texts(problem))
    if (problem /= too_many_modes .or. .not. associated(activate_modal_scheme%host_routine)) return
    call activate_modal_scheme%host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                                            fn, fm, fluxn, fluxm, flux_fullact)
    if (present(counts)) call count_host(counts, fn, .true.)

  end subroutine refuse

  !> Return the number of modes of the smallest array.
  pure recursive integer function least_size(na, volume, hygro, fn, fm, fluxn, fluxm)
    real(hk), intent(in) :: na(:), volume(:), hygro(:), fn(:), fm(:), fluxn(:), fluxm(:)   !! arrays of a call (mode)

    least_size = min(size(na), size(volume), size(hygro), size(fn), size(fm), size(fluxn), size(fluxm))

  end function least_size

  !> Count an answer of the host's routine.
  pure recursive subroutine count_host(counts, fn, is_computed)
    type(activation_counts_type), intent(out) :: counts   !! counts of one parcel
    real(hk), intent(in) :: fn(:)                         !! its number fractions [1] (mode)
    logical, intent(in) :: is_computed                    !! whether a supersaturation was computed

    if (.not. is_computed) return
    counts%n_parcels = 1_int64
    counts%n_fall_back = 1_int64
    if (.not. all(fn >= 0.0_hk)) counts%n_invalid = 1_int64

  end subroutine count_host

end module emufort_activate_modal
