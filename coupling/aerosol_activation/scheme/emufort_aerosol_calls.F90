!> What surrounds the computation of a call: the check of its arguments, and the answers of the host's own routine.
module emufort_aerosol_calls
  use emufort_runtime, only: emufort_success, emufort_error_contract, emufort_error_shape, emufort_error_not_loaded
  use emufort_aerosol_answers, only: answers_type, count_parcels, count_fall_back, count_invalid, answered_by_host, &
                                     answered_by_in_cloud, unknown_smax
  use emufort_aerosol_scheme, only: scheme_type, activation_max_modes, hk => activation_kind
  implicit none
  private

  public :: problem_of, is_for_host_alone, ask_host, problem_codes, problem_texts, no_problem, too_many_modes

  ! What can be wrong with a call.
  integer, parameter :: no_problem = 0, before_init = 1, too_many_modes = 2, short_arrays = 3, no_drops = 4, &
                        no_in_cloud_routine = 5
  !> Error codes of the problems (problem).
  integer, parameter :: problem_codes(0:5) = [emufort_success, emufort_error_not_loaded, emufort_error_shape, &
                                              emufort_error_shape, emufort_error_contract, emufort_error_contract]
  !&<
  !> Lines that describe the problems (problem).
  character(len=*), parameter :: problem_texts(0:5) = [character(len=112) :: ' ', &
    'the activation scheme was called before a successful init; call its init in the init phase of the host', &
    'the call has more aerosol modes than init was given; pass the widths of all modes to init', &
    'the arrays of the call have fewer aerosol modes than nmode', &
    'the call says what is in cloud, but not smax_f, the number times size factor of the drops; pass both', &
    'the routine of the host does not answer in cloud; pass its routine for parcels in cloud to init as well']
  !&>

contains

  !> Return what is wrong with a call, or `no_problem`.
  pure recursive integer function problem_of(scheme, nmode, n_arrays, has_in_cloud, has_smax_f, is_in_cloud)
    type(scheme_type), intent(in) :: scheme      !! scheme of the call
    integer, intent(in) :: nmode                 !! modes of the call
    integer, intent(in) :: n_arrays              !! modes of the smallest array
    logical, intent(in) :: has_in_cloud          !! whether the argument that says what is in cloud is present
    logical, intent(in) :: has_smax_f            !! whether the size factor of the drops is present
    logical, intent(in) :: is_in_cloud           !! whether a parcel is in cloud

    problem_of = no_problem
    if (.not. scheme%is_ready) then
      problem_of = before_init
    else if (nmode > scheme%n_modes) then
      problem_of = too_many_modes
    else if (nmode > n_arrays) then
      problem_of = short_arrays
    else if (has_in_cloud .and. .not. has_smax_f) then
      problem_of = no_drops
    else if (is_in_cloud .and. is_for_host_alone(scheme) .and. .not. associated(scheme%in_cloud_routine)) then
      problem_of = no_in_cloud_routine
    end if

  end function problem_of

  !> Whether the routine of the host answers every call.
  pure recursive logical function is_for_host_alone(scheme)
    type(scheme_type), intent(in) :: scheme   !! after `init`

    is_for_host_alone = scheme%n_inputs == 0 .and. associated(scheme%host_routine)

  end function is_for_host_alone

  !> Let the routine of the host answer for one column and level, from and into the arrays of the host.
  recursive subroutine ask_host(scheme, pcols, pver, nmode, c, k, wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, &
                                volume, hygro, fn, fm, fluxn, fluxm, flux_fullact, i, answers, smax_f, smax_fixed)
    type(scheme_type), intent(in) :: scheme                 !! after `init`
    integer, intent(in) :: pcols, pver, nmode               !! dimensions of the arrays
    integer, intent(in) :: c, k                             !! column and level
    real(hk), intent(in) :: wbar(pcols, pver), sigw(pcols, pver), wdiab(pcols, pver)   !! see `activate`
    real(hk), intent(in) :: wminf(pcols, pver), wmaxf(pcols, pver), tair(pcols, pver), rhoair(pcols, pver)
    real(hk), intent(in) :: na(pcols, pver, nmode), volume(pcols, pver, nmode), hygro(pcols, pver, nmode)
    real(hk), intent(inout) :: fn(pcols, pver, nmode), fm(pcols, pver, nmode)
    real(hk), intent(inout) :: fluxn(pcols, pver, nmode), fluxm(pcols, pver, nmode), flux_fullact(pcols, pver)
    integer, intent(in) :: i                                !! column of the block
    type(answers_type), intent(inout) :: answers            !! record of the block
    real(hk), intent(in), optional :: smax_f(pcols, pver)   !! [m-2]
    real(hk), intent(in), optional :: smax_fixed(pcols, pver)   !! negative: to be computed [1]
    real(hk) :: aerosol(activation_max_modes, 3), f(activation_max_modes, 4), full, prescribed
    logical :: is_prescribed
    integer :: m

    do m = 1, nmode
      aerosol(m, 1) = na(c, k, m)
      aerosol(m, 2) = volume(c, k, m)
      aerosol(m, 3) = hygro(c, k, m)
    end do
    is_prescribed = .false.
    if (present(smax_fixed)) is_prescribed = .not. smax_fixed(c, k) < 0.0_hk
    if (answers%by(i) == answered_by_in_cloud) then
      call scheme%in_cloud_routine(wbar(c, k), sigw(c, k), wdiab(c, k), wminf(c, k), wmaxf(c, k), tair(c, k), &
                                   rhoair(c, k), aerosol(1:nmode, 1), nmode, aerosol(1:nmode, 2), aerosol(1:nmode, 3), &
                                   .true., smax_f(c, k), f(1:nmode, 1), f(1:nmode, 2), f(1:nmode, 3), f(1:nmode, 4), &
                                   full)
    else if (is_prescribed) then
      prescribed = smax_fixed(c, k)
      call scheme%host_routine(wbar(c, k), sigw(c, k), wdiab(c, k), wminf(c, k), wmaxf(c, k), tair(c, k), &
                               rhoair(c, k), aerosol(1:nmode, 1), nmode, aerosol(1:nmode, 2), aerosol(1:nmode, 3), &
                               f(1:nmode, 1), f(1:nmode, 2), f(1:nmode, 3), f(1:nmode, 4), full, prescribed)
    else
      call scheme%host_routine(wbar(c, k), sigw(c, k), wdiab(c, k), wminf(c, k), wmaxf(c, k), tair(c, k), &
                               rhoair(c, k), aerosol(1:nmode, 1), nmode, aerosol(1:nmode, 2), aerosol(1:nmode, 3), &
                               f(1:nmode, 1), f(1:nmode, 2), f(1:nmode, 3), f(1:nmode, 4), full)
      answers%counted(i, count_parcels) = 1
      answers%counted(i, count_fall_back) = 1
      answers%counted(i, count_invalid) = merge(0, 1, all(f(1:nmode, 1) >= 0.0_hk))
    end if
    do m = 1, nmode
      fn(c, k, m) = f(m, 1)
      fm(c, k, m) = f(m, 2)
      fluxn(c, k, m) = f(m, 3)
      fluxm(c, k, m) = f(m, 4)
    end do
    flux_fullact(c, k) = full
    answers%by(i) = answered_by_host
    answers%smax(i) = unknown_smax

  end subroutine ask_host

end module emufort_aerosol_calls
