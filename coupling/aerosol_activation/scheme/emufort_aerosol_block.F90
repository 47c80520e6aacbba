!> Activated fractions of one block of columns.
module emufort_aerosol_block
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_kinds, only: wp, block => block_columns
  use emufort_dispatch, only: vector_ln
  use emufort_runtime, only: workspace_type
  use emufort_aerosol_head, only: activated_fractions_of_logs, padded
  use emufort_aerosol_arg2000, only: air_type, critical_factors
  use emufort_aerosol_updrafts, only: n_nodes, least_width, spectrum_width, updraft_quadrature
  use emufort_aerosol_answers, only: answers_type
  use emufort_aerosol_scheme, only: scheme_type
  use emufort_aerosol_supersaturation, only: find_smax
  implicit none
  private

  public :: activate_block

  integer, parameter :: dp = real64

contains

  !> Compute one block of columns: single updrafts first, then the spectra node by node.
  recursive subroutine activate_block(scheme, n, n_modes, w_mean, w_sigma, w_diabatic, w_least, w_most, t, p, number, &
                                      cube, kappa, is_active, given, n_most, f, critical, log_critical, full, &
                                      answers, workspace)
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
    type(answers_type), intent(inout) :: answers          !! record of the block
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network
    real(dp) :: lower(block), upper(block), w(block), smax(block)
    real(dp) :: speed(n_nodes, block), share(n_nodes, block), flux(n_nodes, block)
    real(wp) :: log_smax(block), fraction(block, 2)
    type(air_type) :: air(block)
    real(dp) :: factor(block), safe
    integer :: at(block), n_at, i, j, m, q
    logical :: is_spectral(block), has_air(block), is_clean(block)

    call critical_factors(scheme%constants, n, t, factor)
    do i = 1, n
      is_spectral(i) = .not. w_sigma(i) <= least_width
      has_air(i) = .false.
      is_clean(i) = given(i) < 0.0_dp
    end do
    do m = 1, n_modes
      do i = 1, n
        safe = merge(kappa(i, m)*cube(i, m), 1.0_dp, is_active(i, m))
        critical(i, m) = merge(factor(i)/safe, 1.0e4_dp, is_active(i, m))
        log_critical(i, m) = real(critical(i, m), wp)
        is_clean(i) = is_clean(i) .and. cube(i, m) <= 0.0_dp
      end do
      call vector_ln(n, log_critical(:, m))
    end do

    ! Single updrafts.
    n_at = 0
    do i = 1, n
      full(i) = 0.0_dp
      if (is_spectral(i) .or. w_mean(i) <= 0.0_dp .or. w_mean(i) + w_diabatic(i) <= 0.0_dp) cycle
      full(i) = w_mean(i)
      if (abs(given(i)) <= 0.0_dp .or. is_clean(i)) cycle
      n_at = n_at + 1
      at(n_at) = i
      w(n_at) = w_mean(i) + w_diabatic(i)
    end do
    if (n_at < n) then
      f(1:n, 1:n_modes, :) = 0.0_dp
      ! without any aerosol E3SM and CAM find a supersaturation that activates everything
      do i = 1, n
        if (.not. is_clean(i) .or. is_spectral(i) .or. full(i) <= 0.0_dp) cycle
        f(i, 1:n_modes, 1:2) = 1.0_dp
        f(i, 1:n_modes, 3:4) = full(i)
      end do
    end if
    if (n_at > 0) then
      call find_smax(scheme, n_at, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, smax, &
                     log_smax, air, has_air, answers, workspace)
      do m = 1, n_modes
        call fractions(n_at, n, at, scheme%steepness(m), scheme%shift(m), smax, log_smax, log_critical(:, m), &
                       is_active(:, m), fraction)
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
      call updraft_quadrature(lower(i), upper(i), w_most(i), w_mean(i), w_sigma(i), speed(:, i), share(:, i), &
                              flux(:, i), full(i))
      if (is_clean(i)) then
        f(i, 1:n_modes, 1:2) = min(sum(share(:, i)), 1.0_dp)
        f(i, 1:n_modes, 3:4) = full(i)
        cycle
      end if
      n_at = n_at + 1
      at(n_at) = i
    end do
    if (n_at == 0) return
    do q = 1, n_nodes
      do j = 1, n_at
        w(j) = speed(q, at(j)) + w_diabatic(at(j))
      end do
      call find_smax(scheme, n_at, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, smax, &
                     log_smax, air, has_air, answers, workspace)
      do m = 1, n_modes
        call fractions(n_at, n, at, scheme%steepness(m), scheme%shift(m), smax, log_smax, log_critical(:, m), &
                       is_active(:, m), fraction)
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
  recursive subroutine fractions(n, n_columns, at, mode_steepness, mode_shift, smax, log_smax, log_critical, &
                                 is_active, fraction)
    integer, intent(in) :: n                          !! number of updrafts
    integer, intent(in) :: n_columns                  !! columns; if equal to n, updraft j is that of column j
    integer, intent(in) :: at(block)                  !! columns of the updrafts, ascending (updraft)
    real(wp), intent(in) :: mode_steepness            !! of the mode, see emufort_aerosol_head [1]
    real(wp), intent(in) :: mode_shift                !! of the mode [1]
    real(dp), intent(in) :: smax(block)               !! maximum supersaturation [1] (updraft)
    real(wp), intent(in) :: log_smax(block)           !! its logarithm [1] (updraft)
    real(wp), intent(in) :: log_critical(block)       !! ln of the square of the critical supersaturation [1] (column)
    logical, intent(in) :: is_active(block)           !! whether the mode can activate (column)
    real(wp), intent(out) :: fraction(block, 2)       !! number and mass fraction [1] (updraft, quantity)
    real(wp), dimension(block) :: log_ratio, steepness, shift, number, mass
    logical :: counts(block)
    integer :: j

    steepness = mode_steepness
    shift = mode_shift
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

end module emufort_aerosol_block
