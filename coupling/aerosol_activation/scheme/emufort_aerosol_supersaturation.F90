!> Maximum supersaturation of updrafts: by the emulator inside its range, by ARG2000, by both or by the host elsewhere.
module emufort_aerosol_supersaturation
  use, intrinsic :: iso_fortran_env, only: real64
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
  use emufort_kinds, only: wp, block => block_columns
  use emufort_dispatch, only: vector_ln, vector_exp
  use emufort_runtime, only: status_type, workspace_type, emufort_success
  use emufort_aerosol_contract, only: temperature_at => air_temperature_at, pressure_at => air_pressure_at, &
                                      updraft_at => updraft_speed_at, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  use emufort_aerosol_arg2000, only: air_type, air_properties, arg2000_smax, critical_supersaturation_squared, &
                                     kelvin_length, arg2000_paper
  use emufort_aerosol_answers, only: answers_type, count_parcels, count_outside, count_fall_back, count_bad, &
                                     count_invalid, count_clipped, answered_by_emulator, answered_by_ratio, &
                                     answered_by_clip, answered_by_arg2000, answered_by_prescribed, answered_by_in_cloud
  use emufort_aerosol_scheme, only: scheme_type, activation_max_modes, n_emulated_modes, n_plain, most_inputs, &
                                    outside_arg2000, outside_ratio, outside_clip
  implicit none
  private

  public :: find_smax, hygroscopicity_floor

  integer, parameter :: dp = real64

  !> Hygroscopicity is floored at this value in the emulator inputs and in the ratio beyond its range [1]. Below it the
  !> supersaturation of the parcel model does not depend on the hygroscopicity, as measured in docs/coupling.md. E3SM
  !> gives primary carbon 1e-10, exactly its threshold for ignoring a mode; rounding must not decide on the result.
  real(dp), parameter :: hygroscopicity_floor = 1.0e-3_dp

contains

  !> Compute the maximum supersaturation of some columns of a block, each with an updraft.
  recursive subroutine find_smax(scheme, n, n_columns, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, &
                                 given, smax, log_smax, air, has_air, answers, workspace)
    type(scheme_type), intent(in) :: scheme               !! after `init`
    integer, intent(in) :: n                              !! number of updrafts
    integer, intent(in) :: n_columns                      !! columns; if equal to n, updraft j is that of column j
    integer, intent(in) :: at(block)                      !! columns of the updrafts (updraft)
    integer, intent(in) :: n_modes                        !! modes
    real(dp), intent(in) :: w(block)                      !! speeds [m s-1] (updraft)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    real(dp), intent(in) :: critical(block, *)            !! square of the critical supersaturation [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that can activate (column, mode)
    real(dp), intent(in) :: given(block)                  !! given supersaturation if 0 or above [1] (column)
    real(dp), intent(out) :: smax(block)                  !! maximum supersaturation [1] (updraft)
    real(wp), intent(out) :: log_smax(block)              !! its logarithm [1] (updraft)
    type(air_type), intent(inout) :: air(block)           !! air for ARG2000, where it was needed (column)
    logical, intent(inout) :: has_air(block)              !! whether `air` has been computed (column)
    type(answers_type), intent(inout) :: answers          !! record of the block
    type(workspace_type), intent(inout), optional :: workspace !! for a wide network
    real(dp) :: x(block, most_inputs), found(block, 1), log_shift(block)
    logical :: is_outside(block), is_direct(block), use_emulator
    real(wp) :: log_found(block)
    integer :: i, j, n_others
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
        do j = 1, n
          if (given(at(j)) < 0.0_dp) answers%counted(at(j), count_bad) = answers%counted(at(j), count_bad) + 1
        end do
      else
        if (scheme%gives_logarithm) then
          do j = 1, n
            log_found(j) = real(found(j, 1), wp)
            log_smax(j) = log_found(j)
          end do
          call vector_exp(n, log_smax)
          do j = 1, n
            found(j, 1) = real(log_smax(j), dp)
          end do
        end if
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
                         use_emulator, x, found, is_outside, smax, log_shift, is_direct, air, has_air, answers)
    else
      do j = 1, n
        i = at(j)
        answers%counted(i, count_parcels) = answers%counted(i, count_parcels) + 1
        answers%by(i) = answered_by_emulator
        answers%smax(i) = smax(j)
      end do
    end if

    if (n_others == 0 .and. scheme%gives_logarithm) then
      log_smax(1:n) = log_found(1:n)
      return
    end if
    do j = 1, n
      log_smax(j) = real(smax(j), wp)
    end do
    call vector_ln(n, log_smax)
    if (n_others > 0 .and. use_emulator .and. scheme%gives_logarithm) then
      do j = 1, n
        if (is_direct(j)) log_smax(j) = log_found(j)
      end do
    end if
    if (n_others > 0 .and. scheme%kelvin_length > 0.0_dp) then
      do j = 1, n
        log_smax(j) = log_smax(j) - real(log_shift(j), wp)
      end do
    end if

  end subroutine find_smax

  !> Compute the maximum supersaturation of the updrafts of a block if the emulator alone does not give all of them.
  recursive subroutine answer_others(scheme, n, at, n_modes, w, t, p, number, cube, kappa, critical, is_active, given, &
                                     has_found, x, found, is_outside, smax, log_shift, is_direct, air, has_air, answers)
    type(scheme_type), intent(in) :: scheme               !! after `init`
    integer, intent(in) :: n                              !! number of updrafts
    integer, intent(in) :: at(block)                      !! columns of the updrafts (updraft)
    integer, intent(in) :: n_modes                        !! modes
    real(dp), intent(in) :: w(block)                      !! speeds [m s-1] (updraft)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius, 0: no mode [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    real(dp), intent(in) :: critical(block, *)            !! square of the critical supersaturation [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that can activate (column, mode)
    real(dp), intent(in) :: given(block)                  !! given supersaturation if 0 or above [1] (column)
    logical, intent(in) :: has_found                      !! whether the emulator was called and set the next three
    real(dp), intent(in) :: x(block, most_inputs)         !! inputs of the emulator, clipped (updraft, input)
    real(dp), intent(in) :: found(block)                  !! answers of the emulator [1] (updraft)
    logical, intent(in) :: is_outside(block)              !! whether an input was out of range (updraft)
    real(dp), intent(out) :: smax(block)                  !! maximum supersaturation [1] (updraft)
    logical, intent(out) :: is_direct(block)              !! whether it is the answer of the emulator (updraft)
    real(dp), intent(out) :: log_shift(block)             !! of ln(smax) by the host's Kelvin length [1] (updraft)
    type(air_type), intent(inout) :: air(block)           !! air for ARG2000, where it was needed (column)
    logical, intent(inout) :: has_air(block)              !! whether `air` has been computed (column)
    type(answers_type), intent(inout) :: answers          !! record of the block
    type(air_type) :: nearest_air, host_air
    real(dp) :: mode_critical(activation_max_modes), mode_number(activation_max_modes)
    logical :: mask(activation_max_modes), is_out, is_good
    real(dp) :: longer
    integer :: i, j

    do j = 1, n
      i = at(j)
      log_shift(j) = 0.0_dp
      is_direct(j) = .false.
      longer = 1.0_dp   ! Kelvin length of the host by that of the air
      if (scheme%kelvin_length > 0.0_dp) longer = scheme%kelvin_length/kelvin_length(scheme%constants, t(i))
      if (.not. given(i) < 0.0_dp) then
        smax(j) = given(i)
        answers%smax(i) = given(i)
        if (answers%by(i) /= answered_by_in_cloud) answers%by(i) = answered_by_prescribed
        if (scheme%kelvin_length > 0.0_dp) log_shift(j) = 1.5_dp*log(longer)
        cycle
      end if
      answers%counted(i, count_parcels) = answers%counted(i, count_parcels) + 1
      is_out = .false.
      is_good = .false.
      if (has_found) then
        is_out = is_outside(j)
        is_good = found(j) > 0.0_dp .and. ieee_is_finite(found(j))
        smax(j) = found(j)
        answers%smax(i) = found(j)
        answers%by(i) = merge(answered_by_clip, answered_by_emulator, is_out)
        if (is_out) answers%counted(i, count_outside) = answers%counted(i, count_outside) + 1
        if (is_out .and. any(scheme%outside == [outside_ratio, outside_clip])) &
          answers%counted(i, count_clipped) = answers%counted(i, count_clipped) + &
                                              n_clipped_of(scheme, w(j), t(i), p(i), number(i, 1:n_emulated_modes), &
                                                           cube(i, 1:n_emulated_modes), kappa(i, 1:n_emulated_modes))
        if (.not. is_out .and. .not. is_good) answers%counted(i, count_bad) = answers%counted(i, count_bad) + 1
        is_direct(j) = is_good .and. (.not. is_out .or. scheme%outside == outside_clip)
        if (is_direct(j)) cycle
      end if
      ! Where the emulator cannot be corrected, the fall-back answers: the host's routine unless the option says
      ! ARG2000.
      if (associated(scheme%host_routine) .and. .not. (is_good .and. scheme%outside == outside_ratio) .and. &
          .not. (is_out .and. scheme%outside == outside_arg2000)) then
        answers%wants_host(i) = .true.
        smax(j) = 1.0_dp
        cycle
      end if
      if (.not. has_air(i)) air(i) = air_properties(scheme%constants, t(i), p(i))
      has_air(i) = .true.
      mode_number(1:n_modes) = number(i, 1:n_modes)
      if (is_good .and. scheme%outside == outside_ratio) then
        mask(1:n_emulated_modes) = .not. cube(i, 1:n_emulated_modes) <= 0.0_dp
        mode_critical(1:n_emulated_modes) = critical_supersaturation_squared( &
                                            air(i)%kelvin_length, &
                                            merge(cube(i, 1:n_emulated_modes), 1.0_dp, mask(1:n_emulated_modes)), &
                                            floored(kappa(i, 1:n_emulated_modes)))
        smax(j) = arg2000_smax(scheme%constants, scheme%formula, n_modes, scheme%breadth, scheme%spread, air(i), w(j), &
                               mode_number, mode_critical, mask)
        nearest_air = air(i)
        if (abs(x(j, temperature_at) - t(i)) > 0.0_dp .or. abs(x(j, pressure_at) - p(i)) > 0.0_dp) &
          nearest_air = air_properties(scheme%constants, x(j, temperature_at), x(j, pressure_at))
        mode_critical(1:n_emulated_modes) = critical_supersaturation_squared( &
                                            nearest_air%kelvin_length, merge(x(j, radius_at:kappa_at - 1), &
                                                                             x(j, radius_at:kappa_at - 1)**3, &
                                                                             scheme%takes_cube), &
                                            x(j, kappa_at:n_plain))
        mode_number(1:n_emulated_modes) = x(j, number_at:radius_at - 1)
        mask(1:n_emulated_modes) = .true.
        smax(j) = smax(j)*(found(j)/arg2000_smax(scheme%constants, scheme%formula, n_modes, scheme%breadth, &
                                                 scheme%spread, nearest_air, x(j, updraft_at), mode_number, &
                                                 mode_critical, mask))
        answers%by(i) = answered_by_ratio
      else
        host_air = air(i)
        mode_critical(1:n_modes) = critical(i, 1:n_modes)
        if (scheme%kelvin_length > 0.0_dp) then
          host_air%kelvin_length = scheme%kelvin_length
          mode_critical(1:n_modes) = mode_critical(1:n_modes)*longer**3
          log_shift(j) = 1.5_dp*log(longer)
        end if
        mask(1:n_modes) = is_active(i, 1:n_modes)
        smax(j) = arg2000_smax(scheme%constants, scheme%formula, n_modes, scheme%breadth, scheme%spread, host_air, &
                               w(j), mode_number, mode_critical, mask)
        answers%counted(i, count_fall_back) = answers%counted(i, count_fall_back) + 1
        answers%by(i) = answered_by_arg2000
      end if
      answers%smax(i) = smax(j)
      if (.not. smax(j) >= 0.0_dp) answers%counted(i, count_invalid) = answers%counted(i, count_invalid) + 1
    end do

  end subroutine answer_others

  !> Return how many inputs of an updraft are out of range, as the emulator clips them. The bounds of the radius are
  !> compared as cubes, which needs no root.
  pure recursive integer function n_clipped_of(scheme, w, t, p, number, cube, kappa)
    type(scheme_type), intent(in) :: scheme                   !! after `init`
    real(dp), intent(in) :: w                                 !! speed [m s-1]
    real(dp), intent(in) :: t                                 !! air temperature [K]
    real(dp), intent(in) :: p                                 !! air pressure [Pa]
    real(dp), intent(in) :: number(n_emulated_modes)          !! [m-3] (mode)
    real(dp), intent(in) :: cube(n_emulated_modes)            !! cube of the median radius, 0: no mode [m3] (mode)
    real(dp), intent(in) :: kappa(n_emulated_modes)           !! hygroscopicity [1] (mode)
    integer :: m

    n_clipped_of = is_beyond(t, temperature_at, 1) + is_beyond(p, pressure_at, 1) + is_beyond(w, updraft_at, 1)
    do m = 1, n_emulated_modes
      if (cube(m) <= 0.0_dp) then
        n_clipped_of = n_clipped_of + is_beyond(0.0_dp, number_at + m - 1, 1)
      else
        n_clipped_of = n_clipped_of + is_beyond(number(m), number_at + m - 1, 1) + &
                       is_beyond(cube(m), radius_at + m - 1, merge(1, 3, scheme%takes_cube(m))) + &
                       is_beyond(floored(kappa(m)), kappa_at + m - 1, 1)
      end if
    end do

  contains

    !> Return 1 if a power of an input is out of range, else 0.
    pure recursive integer function is_beyond(value, input, power)
      real(dp), intent(in) :: value          !! power of the input
      integer, intent(in) :: input, power    !! position of the input, and the power

      is_beyond = merge(1, 0, value < scheme%from(input)**power .or. value > scheme%to(input)**power)

    end function is_beyond

  end function n_clipped_of

  !> Set the inputs of the emulator in contract order. Inputs close to a limit of the range are set to the limit.
  recursive subroutine fill_inputs(scheme, n, n_columns, at, w, t, p, number, cube, kappa, is_active, critical, x)
    type(scheme_type), intent(in) :: scheme               !! after `init`
    integer, intent(in) :: n                              !! number of updrafts
    integer, intent(in) :: n_columns                      !! columns; if equal to n, updraft j is that of column j
    integer, intent(in) :: at(block)                      !! columns of the updrafts, ascending (updraft)
    real(dp), intent(in) :: w(block)                      !! speeds [m s-1] (updraft)
    real(dp), intent(in) :: t(block)                      !! air temperature [K] (column)
    real(dp), intent(in) :: p(block)                      !! air pressure [Pa] (column)
    real(dp), intent(in) :: number(block, *)              !! [m-3] (column, mode)
    real(dp), intent(in) :: cube(block, *)                !! cube of the median radius, 0: no mode [m3] (column, mode)
    real(dp), intent(in) :: kappa(block, *)               !! hygroscopicity [1] (column, mode)
    logical, intent(in) :: is_active(block, *)            !! modes that can activate (column, mode)
    real(dp), intent(in) :: critical(block, *)            !! square of the critical supersaturation [1] (column, mode)
    real(dp), intent(inout) :: x(block, most_inputs)      !! inputs (updraft, place in the contract)
    real(dp) :: mode_critical(n_emulated_modes), mode_number(n_emulated_modes), least, most, from, to, value, &
                middle
    logical :: mask(n_emulated_modes), is_empty(block)
    real(wp) :: radius(block)
    integer :: i, j, m

    call pick(n, n_columns, at, t, x(:, temperature_at))
    call pick(n, n_columns, at, p, x(:, pressure_at))
    do j = 1, n
      x(j, updraft_at) = w(j)
    end do
    do m = 1, n_emulated_modes
      call pick(n, n_columns, at, number(:, m), x(:, number_at + m - 1))
      call pick(n, n_columns, at, cube(:, m), x(:, radius_at + m - 1))
      call pick(n, n_columns, at, kappa(:, m), x(:, kappa_at + m - 1))
      do j = 1, n
        is_empty(j) = x(j, radius_at + m - 1) <= 0.0_dp
      end do
      if (.not. scheme%takes_cube(m)) then
        do j = 1, n
          radius(j) = real(merge(1.0_dp, x(j, radius_at + m - 1), is_empty(j)), wp)
        end do
        call vector_ln(n, radius)
        do j = 1, n
          radius(j) = radius(j)*(1.0_wp/3.0_wp)
        end do
        call vector_exp(n, radius)
        do j = 1, n
          x(j, radius_at + m - 1) = real(radius(j), dp)
        end do
      end if
      ! an empty mode: number 0, and any radius and hygroscopicity within the range
      middle = sqrt(scheme%least(radius_at + m - 1)*scheme%most(radius_at + m - 1))
      least = scheme%least(kappa_at + m - 1)
      do j = 1, n
        x(j, number_at + m - 1) = merge(0.0_dp, x(j, number_at + m - 1), is_empty(j))
        x(j, kappa_at + m - 1) = merge(least, floored(x(j, kappa_at + m - 1)), is_empty(j))
        x(j, radius_at + m - 1) = merge(middle, x(j, radius_at + m - 1), is_empty(j))
      end do
    end do
    do m = 1, n_plain
      least = scheme%least(m)
      most = scheme%most(m)
      from = scheme%from(m)
      to = scheme%to(m)
      do j = 1, n
        value = x(j, m)
        value = merge(least, value, value < least .and. value >= from)
        x(j, m) = merge(most, value, value > most .and. value <= to)
      end do
    end do
    if (scheme%n_inputs == n_plain) return
    do j = 1, n
      i = at(j)
      mode_critical = critical(i, 1:n_emulated_modes)
      mode_number = number(i, 1:n_emulated_modes)
      mask = is_active(i, 1:n_emulated_modes)
      x(j, most_inputs) = arg2000_smax(scheme%constants, arg2000_paper, n_emulated_modes, &
                                       scheme%breadth(1:n_emulated_modes), scheme%spread(1:n_emulated_modes), &
                                       air_properties(scheme%constants, t(i), p(i)), w(j), mode_number, &
                                       mode_critical, mask)
    end do

  end subroutine fill_inputs

  !> Return the hygroscopicity, or its floor if it is smaller [1].
  elemental recursive real(dp) function floored(kappa)
    real(dp), intent(in) :: kappa   !! hygroscopicity [1]

    floored = merge(hygroscopicity_floor, kappa, kappa < hygroscopicity_floor)   ! a NaN remains a NaN

  end function floored

  !> Copy the values of the columns of the updrafts.
  pure recursive subroutine pick(n, n_columns, at, values, taken)
    integer, intent(in) :: n                  !! number of updrafts
    integer, intent(in) :: n_columns          !! number of columns
    integer, intent(in) :: at(block)          !! columns of the updrafts, ascending (updraft)
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

  end subroutine pick

end module emufort_aerosol_supersaturation
