!> Aerosol activation for a host model: the results of `activate_modal` in E3SM and CAM, by an emulator, by ARG2000 or
!> by the host's own routine.
!>
!> After `init` a scheme is constant, and any number of threads may share it. `activate` does not stop the program,
!> allocate memory, read or print. The bits of a column do not depend on the other columns. Compile without -ffast-math.
module emufort_aerosol_activation
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, block => block_columns
  use emufort_status, only: set_error
  use emufort_runtime, only: status_type, workspace_type, emufort_clear_status, emufort_error_shape, &
                             emufort_not_a_number
  use emufort_aerosol_arg2000, only: activation_constants_type, air_type, air_properties, in_cloud_smax, &
                                     arg2000_paper, arg2000_e3sm
  use emufort_aerosol_updrafts, only: least_width
  use emufort_aerosol_answers, only: activation_counts_type, answers_type, clear_answers, counts_of, &
                                     activation_n_counts => n_counts, answered_by_error, answered_by_none, &
                                     answered_by_emulator, answered_by_ratio, answered_by_clip, answered_by_arg2000, &
                                     answered_by_host, answered_by_prescribed, &
                                     answered_by_in_cloud
  use emufort_aerosol_scheme, only: scheme_type, activation_predictor, activation_network, activation_host_routine, &
                                    activation_in_cloud_routine, activation_kind, activation_max_modes, &
                                    n_emulated_modes, outside_arg2000, outside_ratio, outside_clip, outside_host, &
                                    mismatch_refuse, mismatch_fall_back
  use emufort_aerosol_block, only: activate_block
  use emufort_aerosol_calls, only: problem_of, problem_codes, problem_texts, no_problem, too_many_modes, ask_host
  implicit none
  private

  public :: activation_type, activation_constants_type, activation_counts_type, activation_predictor
  public :: activation_network, activation_host_routine, activation_in_cloud_routine
  public :: least_number, least_volume, least_hygroscopicity
  public :: activation_kind, activation_max_modes, activation_n_counts, arg2000_paper, arg2000_e3sm
  public :: outside_arg2000, outside_ratio, outside_clip, outside_host, mismatch_refuse, mismatch_fall_back
  public :: answered_by_error, answered_by_none, answered_by_emulator, answered_by_ratio, answered_by_clip
  public :: answered_by_arg2000, answered_by_host, answered_by_prescribed, answered_by_in_cloud

  integer, parameter :: hk = activation_kind, dp = real64

  ! E3SM ignores smaller values: number [m-3], volume [m3 m-3], hygroscopicity [1].
  real(dp), parameter :: least_number = 1.0e-39_dp, least_volume = 1.0e-39_dp, least_hygroscopicity = 1.0e-10_dp
  real(dp), parameter :: least_single = 1.0e-20_dp   ! number concentration if there is one mode [m-3]

  !> An activation scheme that computes fractions. It inherits `init`, `is_emulated` and `make_workspace`.
  type, extends(scheme_type) :: activation_type
  contains
    procedure :: activate
  end type activation_type

contains

  !> Compute the activated fractions of the columns and levels of a chunk, and their fluxes into cloud.
  !>
  !> The arguments have the same meaning as in `activate_modal`. The arrays have `pcols` columns. The scheme computes
  !> the first `ncol` columns and leaves the others unchanged. After an error the fractions and fluxes are NaN.
  recursive subroutine activate(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                                volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, status, counts, in_cloud, smax_f, &
                                smax_fixed, workspace, column_counts, smax, answered_by)
    class(activation_type), intent(in) :: scheme            !! after `init`
    integer, intent(in) :: pcols                            !! first dimension of the arrays
    integer, intent(in) :: ncol                             !! columns in use, at most pcols
    integer, intent(in) :: pver                             !! levels
    integer, intent(in) :: nmode                            !! aerosol modes, at most those of `init`
    real(hk), intent(in) :: wbar(pcols, pver)               !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw(pcols, pver)               !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab(pcols, pver)              !! diabatic vertical velocity, 0 if adiabatic [m s-1]
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
    type(status_type), intent(inout) :: status              !! wrong dimensions; counts include errors of the emulator
    type(activation_counts_type), intent(out) :: counts     !! counts of the answers
    logical, intent(in), optional :: in_cloud(pcols, pver)  !! above cloud base: balance with existing drops
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! number times size factor of the drops, in cloud [m-2]
    real(hk), intent(in), optional :: smax_fixed(pcols, pver) !! maximum supersaturation, negative: to be computed [1]
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network, one per thread
    integer, intent(inout), optional :: column_counts(pcols, activation_n_counts)   !! counts of each column
    !> Maximum supersaturation [1]; negative where the routine of the host answers, which does not return it. For a
    !> spectrum it is that of the strongest updraft.
    real(hk), intent(inout), optional :: smax(pcols, pver)
    integer, intent(inout), optional :: answered_by(pcols, pver)   !! who gave it, one of the answered_by_* codes
    logical :: is_in_cloud
    integer :: k, m, problem

    call emufort_clear_status(status)
    if (ncol > pcols .or. min(ncol, pver) < 0 .or. nmode < 1) then
      call set_error(status, emufort_error_shape, 'activate', &
                     'ncol must be 0 to pcols, pver at least 0 and nmode at least 1')
      return
    end if
    if (present(column_counts)) column_counts(1:ncol, :) = 0
    is_in_cloud = .false.
    if (present(in_cloud)) is_in_cloud = any(in_cloud(1:ncol, :))
    problem = problem_of(scheme%scheme_type, nmode, nmode, present(in_cloud), present(smax_f), is_in_cloud)
    if (problem /= no_problem) then
      call set_error(status, problem_codes(problem), 'activate', problem_texts(problem))
      ! the arrays of a host that passes too many modes may have fewer
      m = nmode
      if (problem == too_many_modes) m = scheme%n_modes
      do k = 1, pver
        fn(1:ncol, k, 1:m) = real(emufort_not_a_number(), hk)
        fm(1:ncol, k, 1:m) = real(emufort_not_a_number(), hk)
        fluxn(1:ncol, k, 1:m) = real(emufort_not_a_number(), hk)
        fluxm(1:ncol, k, 1:m) = real(emufort_not_a_number(), hk)
        flux_fullact(1:ncol, k) = real(emufort_not_a_number(), hk)
        if (present(smax)) smax(1:ncol, k) = real(emufort_not_a_number(), hk)
        if (present(answered_by)) answered_by(1:ncol, k) = answered_by_error
      end do
      return
    end if
    ! Not inlined, so that each has only its own arrays on the stack: a call of the emulator then does not hold the
    ! arrays that ARG2000 needs for more modes.
    if (nmode > n_emulated_modes) then
      !DIR$ NOINLINE
      call activate_many_modes()
    else
      !DIR$ NOINLINE
      call activate_few_modes()
    end if

  contains

    !> Compute as many modes as the emulator has, or fewer.
    recursive subroutine activate_few_modes()
      real(dp), dimension(block, n_emulated_modes) :: number, cube, kappa, critical
      real(dp) :: f(block, n_emulated_modes, 4)
      real(wp) :: log_critical(block, n_emulated_modes)
      logical :: is_active(block, n_emulated_modes)

      call activate_blocks(scheme%scheme_type, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, &
                           rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, in_cloud, smax_f, &
                           smax_fixed, workspace, column_counts, smax, answered_by, n_emulated_modes, number, cube, &
                           kappa, critical, f, log_critical, is_active)

    end subroutine activate_few_modes

    !> Compute more modes than the emulator has.
    recursive subroutine activate_many_modes()
      real(dp), dimension(block, activation_max_modes) :: number, cube, kappa, critical
      real(dp) :: f(block, activation_max_modes, 4)
      real(wp) :: log_critical(block, activation_max_modes)
      logical :: is_active(block, activation_max_modes)

      call activate_blocks(scheme%scheme_type, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, &
                           rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, in_cloud, smax_f, &
                           smax_fixed, workspace, column_counts, smax, answered_by, activation_max_modes, number, &
                           cube, kappa, critical, f, log_critical, is_active)

    end subroutine activate_many_modes

  end subroutine activate

  !> Do the work of `activate` with the given scratch arrays.
  recursive subroutine activate_blocks(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, &
                                       rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, &
                                       in_cloud, smax_f, smax_fixed, workspace, column_counts, smax, answered_by, &
                                       n_most, number, cube, kappa, critical, f, log_critical, is_active)
    type(scheme_type), intent(in) :: scheme                 !! after `init`
    integer, intent(in) :: pcols                            !! first dimension of the arrays
    integer, intent(in) :: ncol                             !! columns in use, at most pcols
    integer, intent(in) :: pver                             !! levels
    integer, intent(in) :: nmode                            !! aerosol modes, at most those of `init`
    real(hk), intent(in) :: wbar(pcols, pver)               !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw(pcols, pver)               !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab(pcols, pver)              !! diabatic vertical velocity, 0 if adiabatic [m s-1]
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
    type(activation_counts_type), intent(inout) :: counts   !! counts of the answers
    logical, intent(in), optional :: in_cloud(pcols, pver)  !! above cloud base: balance with existing drops
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! number times size factor of the drops, in cloud [m-2]
    real(hk), intent(in), optional :: smax_fixed(pcols, pver) !! maximum supersaturation, negative: to be computed [1]
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network, one per thread
    integer, intent(inout), optional :: column_counts(pcols, activation_n_counts)   !! counts of each column, added to
    real(hk), intent(inout), optional :: smax(pcols, pver)         !! see `activate` [1]
    integer, intent(inout), optional :: answered_by(pcols, pver)   !! see `activate`
    integer, intent(in) :: n_most                           !! modes of the scratch arrays
    real(dp), dimension(block, n_most), intent(inout) :: number, cube, kappa, critical   !! see `activate_block`
    real(dp), intent(inout) :: f(block, n_most, 4)          !! see `activate_block`
    real(wp), intent(inout) :: log_critical(block, n_most)  !! see `activate_block`
    logical, intent(inout) :: is_active(block, n_most)      !! see `activate_block`
    real(dp) :: w_mean(block), w_sigma(block), w_diabatic(block), w_least(block), w_most(block), t(block), p(block)
    real(dp) :: full(block), given(block), safe
    type(air_type) :: air
    type(answers_type) :: answers
    logical :: is_present, is_for_host(block), has_no_emulator
    integer :: first, n, i, m, c, k, q, total, column(block), level(block), place(block)

    has_no_emulator = scheme%n_inputs == 0 .or. nmode /= n_emulated_modes
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
          ! written so that a mode with a NaN is present and active, and the result is NaN
          is_present = .not. (number(i, m) <= least_number .or. cube(i, m) <= least_volume)
          is_active(i, m) = is_present .and. .not. kappa(i, m) <= least_hygroscopicity
          ! avoids a division by zero, which a host may trap
          safe = merge(number(i, m), 1.0_dp, is_present)
          cube(i, m) = merge(scheme%volume_factor(m)*cube(i, m)/safe, 0.0_dp, is_present)
        end do
      end do
      call clear_answers(answers, n)
      given(1:n) = -1.0_dp
      if (present(smax_fixed)) call gather(n, place, smax_fixed, given)
      do i = 1, n
        ! the host's routine answers what the emulator is not asked for
        is_for_host(i) = associated(scheme%host_routine) .and. (has_no_emulator .or. .not. given(i) < 0.0_dp)
        ! without supersaturation, or if the only mode is empty, the fluxes are 0 as well, as in E3SM and CAM
        if (abs(given(i)) <= 0.0_dp .or. (nmode == 1 .and. number(i, 1) < least_single)) then
          w_mean(i) = 0.0_dp
          w_sigma(i) = 0.0_dp
        end if
      end do
      if (present(in_cloud)) then
        do i = 1, n
          ! as in CAM the balance with the drops is only for a single updraft, and precedes a prescribed supersaturation
          if (.not. in_cloud(column(i), level(i)) .or. w_sigma(i) > least_width .or. abs(given(i)) <= 0.0_dp) cycle
          is_for_host(i) = associated(scheme%in_cloud_routine)
          answers%by(i) = answered_by_in_cloud
          air = air_properties(scheme%constants, t(i), p(i))
          given(i) = in_cloud_smax(scheme%constants, air, w_mean(i), real(smax_f(column(i), level(i)), dp))
        end do
      end if
      do i = 1, n
        if (.not. is_for_host(i)) cycle
        w_mean(i) = 0.0_dp
        w_sigma(i) = 0.0_dp
      end do
      call activate_block(scheme, n, nmode, w_mean, w_sigma, w_diabatic, w_least, w_most, t, p, number, cube, kappa, &
                          is_active, given, n_most, f, critical, log_critical, full, answers, workspace)
      do m = 1, nmode
        call scatter(n, place, f(:, m, 1), fn(1, 1, m))
        call scatter(n, place, f(:, m, 2), fm(1, 1, m))
        call scatter(n, place, f(:, m, 3), fluxn(1, 1, m))
        call scatter(n, place, f(:, m, 4), fluxm(1, 1, m))
      end do
      call scatter(n, place, full, flux_fullact)
      do i = 1, n
        if (is_for_host(i) .or. answers%wants_host(i)) &
          call ask_host(scheme, pcols, pver, nmode, column(i), level(i), wbar, sigw, wdiab, wminf, wmaxf, tair, &
                        rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, i, answers, smax_f, smax_fixed)
      end do
      call counts%add(counts_of(answers, n))
      if (present(column_counts)) then
        do q = 1, activation_n_counts
          do i = 1, n
            column_counts(column(i), q) = column_counts(column(i), q) + answers%counted(i, q)
          end do
        end do
      end if
      if (present(smax)) call scatter(n, place, answers%smax, smax)
      if (present(answered_by)) then
        do i = 1, n
          answered_by(column(i), level(i)) = answers%by(i)
        end do
      end if
    end do

  end subroutine activate_blocks

  !> Copy the values of a block from an array of the host.
  pure recursive subroutine gather(n, place, array, values)
    integer, intent(in) :: n                  !! number of values
    integer, intent(in) :: place(block)       !! positions in the array, ascending (value)
    real(hk), intent(in) :: array(*)          !! of the host
    real(dp), intent(inout) :: values(block)  !! the same units (value)
    integer :: i, before

    before = place(1) - 1
    if (place(n) == before + n) then   ! contiguous, as nearly always
      do i = 1, n
        values(i) = real(array(before + i), dp)
      end do
    else
      do i = 1, n
        values(i) = real(array(place(i)), dp)
      end do
    end if

  end subroutine gather

  !> Copy the values of a block into an array of the host.
  pure recursive subroutine scatter(n, place, values, array)
    integer, intent(in) :: n                !! number of values
    integer, intent(in) :: place(block)     !! positions in the array, ascending (value)
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

end module emufort_aerosol_activation
