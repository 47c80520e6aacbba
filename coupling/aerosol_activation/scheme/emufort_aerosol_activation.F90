!> Aerosol activation for a host model: the results of `activate_modal` in E3SM and CAM, by an emulator or by ARG2000.
!>
!> After `init` a scheme is constant, and any number of threads may share it. `activate` does not stop the program,
!> allocate memory, read or print. The bits of a column do not depend on the other columns. Compile without -ffast-math.
module emufort_aerosol_activation
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, block => block_columns
  use emufort_math, only: vector_ln
  use emufort_status, only: set_error
  use emufort_runtime, only: status_type, workspace_type, emufort_clear_status, emufort_error_shape
  use emufort_aerosol_head, only: steepness_factor, shift_factor, activated_fractions_of_logs, padded
  use emufort_aerosol_arg2000, only: activation_constants_type, air_type, air_properties, critical_factors, &
                                     in_cloud_smax, arg2000_paper, arg2000_e3sm
  use emufort_aerosol_updrafts, only: n_nodes, spectrum_width, updraft_quadrature
  use emufort_aerosol_scheme, only: scheme_type, activation_counts_type, activation_predictor, activation_inside, &
                                    activation_kind, activation_max_modes, n_emulated_modes, outside_arg2000, outside_ratio, &
                                    outside_clip
  use emufort_aerosol_supersaturation, only: find_smax
  implicit none
  private

  public :: activation_type, activation_constants_type, activation_counts_type, activation_predictor
  public :: activation_kind, activation_max_modes, arg2000_paper, arg2000_e3sm
  public :: outside_arg2000, outside_ratio, outside_clip
  public :: least_number, least_volume, least_hygroscopicity, least_width, activation_inside

  integer, parameter :: hk = activation_kind, dp = real64

  ! E3SM ignores smaller values: number [m-3], volume [m3 m-3], hygroscopicity [1], width of the spectrum [m s-1].
  real(dp), parameter :: least_number = 1.0e-39_dp, least_volume = 1.0e-39_dp, least_hygroscopicity = 1.0e-10_dp
  real(dp), parameter :: least_width = 1.0e-5_dp

  !> An activation scheme that computes fractions. It inherits `init`, `is_emulated` and `make_workspace`.
  type, extends(scheme_type) :: activation_type
  contains
    procedure :: activate
  end type activation_type

contains

  !> Compute the activated fractions of the columns and levels of a chunk, and their fluxes into cloud.
  !>
  !> The arguments have the same meaning as in `activate_modal`. The arrays have `pcols` columns. The scheme computes the
  !> first `ncol` columns and leaves the others unchanged.
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

    call emufort_clear_status(status)
    if (nmode < 1 .or. nmode > scheme%n_modes .or. ncol > pcols .or. min(ncol, pver) < 0) then
      call set_error(status, emufort_error_shape, 'activate', &
                     'there are more modes than in init or more columns than in the arrays')
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
                           smax_fixed, workspace, n_emulated_modes, number, cube, kappa, critical, f, &
                           log_critical, is_active)

    end subroutine activate_few_modes

    !> Compute more modes than the emulator has.
    recursive subroutine activate_many_modes()
      real(dp), dimension(block, activation_max_modes) :: number, cube, kappa, critical
      real(dp) :: f(block, activation_max_modes, 4)
      real(wp) :: log_critical(block, activation_max_modes)
      logical :: is_active(block, activation_max_modes)

      call activate_blocks(scheme%scheme_type, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, &
                           rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, in_cloud, smax_f, &
                           smax_fixed, workspace, activation_max_modes, number, cube, kappa, critical, f, &
                           log_critical, is_active)

    end subroutine activate_many_modes

  end subroutine activate

  !> Do the work of `activate` with the given scratch arrays.
  recursive subroutine activate_blocks(scheme, pcols, ncol, pver, nmode, wbar, sigw, wdiab, wminf, wmaxf, tair, &
                                       rhoair, na, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, counts, &
                                       in_cloud, smax_f, smax_fixed, workspace, n_most, number, cube, kappa, &
                                       critical, f, log_critical, is_active)
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
    integer, intent(in) :: n_most                           !! modes of the scratch arrays
    real(dp), dimension(block, n_most), intent(inout) :: number, cube, kappa, critical   !! see `activate_block`
    real(dp), intent(inout) :: f(block, n_most, 4)          !! see `activate_block`
    real(wp), intent(inout) :: log_critical(block, n_most)  !! see `activate_block`
    logical, intent(inout) :: is_active(block, n_most)      !! see `activate_block`
    real(dp) :: w_mean(block), w_sigma(block), w_diabatic(block), w_least(block), w_most(block), t(block), p(block)
    real(dp) :: full(block), given(block), safe
    type(air_type) :: air
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
          ! written so that a mode with a NaN is present and active, and the result is NaN
          is_present = .not. (number(i, m) <= least_number .or. cube(i, m) <= least_volume)
          is_active(i, m) = is_present .and. .not. kappa(i, m) <= least_hygroscopicity
          ! avoids a division by zero, which a host may trap
          safe = merge(number(i, m), 1.0_dp, is_present)
          cube(i, m) = merge(scheme%volume_factor(m)*cube(i, m)/safe, 0.0_dp, is_present)
        end do
      end do
      given(1:n) = -1.0_dp
      if (present(smax_fixed)) call gather(n, place, smax_fixed, given)
      if (present(in_cloud)) then
        do i = 1, n
          ! E3SM and CAM have the balance with drops only for a single updraft
          if (.not. in_cloud(column(i), level(i)) .or. w_sigma(i) > least_width .or. given(i) >= 0.0_dp) cycle
          given(i) = 0.0_dp
          if (present(smax_f)) then
            air = air_properties(scheme%constants, t(i), p(i))
            given(i) = in_cloud_smax(scheme%constants, air, w_mean(i), real(smax_f(column(i), level(i)), dp))
          end if
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

  !> Compute one block of columns: single updrafts first, then the spectra node by node.
  recursive subroutine activate_block(scheme, n, n_modes, w_mean, w_sigma, w_diabatic, w_least, w_most, t, p, number, &
                                      cube, kappa, is_active, given, n_most, f, critical, log_critical, full, &
                                      counts, workspace)
    type(scheme_type), intent(in) :: scheme               !! after `init`
    integer, intent(in) :: n                              !! columns, at most `block`
    integer, intent(in) :: n_modes                        !! modes
    real(dp), intent(in) :: w_mean(block)                 !! mean vertical velocity [m s-1] (column)
    real(dp), intent(in) :: w_sigma(block)                !! standard deviation of it [m s-1] (column)
    real(dp), intent(in) :: w_diabatic(block)             !! diabatic vertical velocity [m s-1] (column)
    real(dp), intent(in) :: w_least(block)                !! smallest updraft [m s-1] (column)
    real(dp), intent(in) :: w_most(block)                 !! largest updraft [m s-1] (column)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius, or 0 [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that can activate (column, mode)
    real(dp), intent(in) :: given(block)                  !! supersaturation, negative: to be computed [1] (column)
    integer, intent(in) :: n_most                         !! modes of the next three arrays
    real(dp), intent(out) :: f(block, n_most, 4)          !! fn, fm [1], fluxn, fluxm [m s-1] (column, mode, quantity)
    real(dp), intent(inout) :: critical(block, n_most)    !! square of the critical supersaturation [1]; scratch
    real(wp), intent(inout) :: log_critical(block, n_most)   !! its logarithm [1]; scratch
    real(dp), intent(out) :: full(block)                  !! flux if all particles activated [m s-1] (column)
    type(activation_counts_type), intent(inout) :: counts !! counts of the answers
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

    ! Spectra: limits of the quadrature, its nodes and weights.
    n_at = 0
    do i = 1, n
      if (.not. is_spectral(i)) cycle
      if (abs(given(i)) <= 0.0_dp) cycle
      lower(i) = max(w_least(i), -w_diabatic(i), w_mean(i) - spectrum_width*w_sigma(i))
      upper(i) = min(w_most(i), w_mean(i) + spectrum_width*w_sigma(i))
      if (upper(i) <= lower(i)) cycle
      n_at = n_at + 1
      at(n_at) = i
      call updraft_quadrature(lower(i), upper(i), w_most(i), w_mean(i), w_sigma(i), speed(:, i), share(:, i), &
                              flux(:, i), full(i))
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
        ! rounding may make the sum of shares exceed 1; written so that a NaN remains
        if (f(at(j), m, 1) > 1.0_dp) f(at(j), m, 1) = 1.0_dp
        if (f(at(j), m, 2) > 1.0_dp) f(at(j), m, 2) = 1.0_dp
      end do
    end do

  end subroutine activate_block

  !> Compute the number and mass fraction of one mode above the size that activates at a supersaturation.
  recursive subroutine fractions(n, n_columns, at, log_sigma, smax, log_smax, log_critical, is_active, fraction)
    integer, intent(in) :: n                          !! number of updrafts
    integer, intent(in) :: n_columns                  !! columns; if equal to n, updraft j is that of column j
    integer, intent(in) :: at(block)                  !! columns of the updrafts, ascending (updraft)
    real(dp), intent(in) :: log_sigma                 !! ln of the geometric standard deviation of the mode [1]
    real(dp), intent(in) :: smax(block)               !! maximum supersaturation [1] (updraft)
    real(wp), intent(in) :: log_smax(block)           !! its logarithm [1] (updraft)
    real(wp), intent(in) :: log_critical(block)       !! ln of the square of the critical supersaturation [1] (column)
    logical, intent(in) :: is_active(block)           !! whether the mode can activate (column)
    real(wp), intent(out) :: fraction(block, 2)       !! number and mass fraction [1] (updraft, quantity)
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

end module emufort_aerosol_activation
