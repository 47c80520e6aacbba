!> Errors of the activation scheme at and beyond the range of an emulator, and its dependence on the updraft.
!>
!>     measure_activation WEIGHTS [COLUMNS]
!>
!> Prints comma-separated lines with root mean squares and largest values. Errors are those of the number fractions
!> against the parcel model:
!>
!>     columns,N                                          columns in each of the following cases
!>     step,INPUT,POLICY,rms,largest                      difference when an input crosses a limit by 0.02 %
!>     beyond,INPUT,SIDE,DISTANCE,POLICY,rms,largest,n    error beyond a limit, n columns with a peak
!>     soot,MODE,HYGROSCOPICITY,POLICY,rms,largest,n      error for low hygroscopicity of the least hygroscopic mode
!>     absent,MODE,POLICY,rms,largest,n                   error without that mode
!>     fall,VALUE                                         largest decrease of a fraction as the updraft grows, in range
!>
!> The distance is in widths of the range, of its logarithm if the network uses the logarithm. A policy is one of the
!> scheme, or `blended`: a power of the ratio that decreases from 1 at the limit to 0 at half a width, so that ARG2000
!> answers beyond. This program measures the tables of docs/coupling.md.
program measure_activation
  use, intrinsic :: iso_fortran_env, only: real64, error_unit
  use emufort_runtime, only: emulator_type, status_type, network_workspace_type => workspace_type, &
                             emufort_success
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, n_inputs => aerosol_inputs, lower => aerosol_lower, &
                                      upper => aerosol_upper, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  use emufort_aerosol_activation, only: activation_type, activation_counts_type
  use activation_test_support, only: sample_type, draw, sigma, volume_of, fraction_of, arg_of
  use parcel_integrator, only: solve_parcel, parcel_result_type, status_peak
  use lognormal_bins, only: lognormal_cells
  use rodas_step, only: workspace_type
  use contract_constants, only: constants, constants_of_parcel, options_of_parcel
  implicit none
  integer, parameter :: dp = real64, n_bins = 60, blended = 3
  character(len=*), parameter :: policies(0:blended) = [character(len=8) :: 'arg2000', 'ratio', 'clip', 'blended']
  !> The last entry changes three inputs of a column at once, on both sides.
  character(len=*), parameter :: inputs(7) = [character(len=14) :: &
                                              'temperature', 'pressure', 'updraft', 'number', 'radius', &
                                              'hygroscopicity', 'three']
  character(len=*), parameter :: sides(0:1) = [character(len=5) :: 'below', 'above']
  real(dp), parameter :: distances(5) = [0.02_dp, 0.05_dp, 0.1_dp, 0.2_dp, 0.4_dp], reach = 0.5_dp
  real(dp), parameter :: soot(3) = [1.0e-4_dp, 1.0e-6_dp, 1.0e-10_dp]
  type(emulator_type) :: emulator
  type(activation_type) :: schemes(0:blended - 1)
  type(activation_counts_type) :: counts
  type(status_type) :: status
  type(network_workspace_type) :: workspace
  type(sample_type) :: s
  type(workspace_type) :: work
  character(len=1024) :: argument
  real(dp), allocatable :: fn(:, :), truth(:, :), inside(:, :), before(:, :), x(:, :), smax(:, :)
  logical, allocatable :: known(:)
  real(dp) :: largest, squares, fall, w
  character(len=40) :: name
  integer :: n, failure, policy, i, side, step, d, least

  call get_command_argument(1, argument)
  call emulator%load(trim(argument), status)
  if (status%code == emufort_success) call emulator%make_workspace(workspace, status)
  do policy = 0, blended - 1
    if (status%code == emufort_success) &
      call schemes(policy)%init(dp, constants, sigma, status, emulator=emulator, outside=policy)
  end do
  if (status%code /= emufort_success) then
    write (error_unit, '(a)') 'measure_activation: '//trim(status%message)
    stop 2, quiet = .true.
  end if
  n = 200
  call get_command_argument(2, argument)
  if (argument /= '') read (argument, *) n
  allocate (fn(n, n_modes), truth(n, n_modes), inside(n, n_modes), before(n, n_modes), known(n))
  allocate (x(n, n_inputs), smax(n, 1))
  call work%create(n_modes*n_bins, failure)
  if (failure /= 0) error stop 'out of memory'

  print '(a, i0)', 'columns,', n
  do i = 1, 6
    do policy = 0, blended - 1
      largest = 0.0_dp
      squares = 0.0_dp
      do side = 0, 1
        s = moved(i, side, 0.0_dp, 0.0_dp)
        call run(schemes(policy), s)
        if (counts%n_outside > 0) error stop 'outside'
        inside = fn
        s = moved(i, side, 0.0_dp, 2.0e-4_dp)
        call run(schemes(policy), s)
        if (counts%n_outside < n .and. i < 6) error stop 'inside'
        largest = max(largest, maxval(abs(fn - inside)))
        squares = squares + sum((fn - inside)**2)/real(2*n_modes*n, dp)
      end do
      print '(a, 2(",", es9.2))', 'step,'//trim(inputs(i))//','//trim(policies(policy)), sqrt(squares), largest
    end do
  end do

  do i = 1, size(inputs)
    do side = 0, 1
      do d = 1, size(distances)
        s = moved(i, side, distances(d), 0.0_dp)
        write (name, '(a, f4.2)') trim(inputs(i))//','//trim(sides(side))//',', distances(d)
        call report('beyond,'//trim(name), distances(d))
      end do
    end do
  end do

  least = minloc(lower(kappa_at:), dim=1)
  do i = 1, size(soot)
    s = draw(n)
    s%kappa(:, least) = soot(i)
    write (name, '(i0, ",", es7.1)') least, soot(i)
    call report('soot,'//trim(name), -1.0_dp)
  end do
  do i = 1, n_modes
    s = draw(n)
    s%number(:, i) = 1.0_dp
    s%volume(:, i) = volume_of(s%number(:, i), s%radius(:, i), sigma(i))
    write (name, '(i0)') i
    call report('absent,'//trim(name), -1.0_dp)
  end do

  fall = 0.0_dp
  s = draw(n)
  before = 0.0_dp
  do step = 0, 300
    w = 0.01_dp*1000.0_dp**(real(step, dp)/300.0_dp)
    s%w = w
    call run(schemes(0), s)
    fall = max(fall, maxval(before - fn))
    before = max(before, fn)
  end do
  print '(a, es9.2)', 'fall,', fall

contains

  !> Return columns with one kind of input beyond a limit; with a distance of 0 they lie on the limit.
  function moved(kind, side, distance, share) result(s)
    integer, intent(in) :: kind         !! place in `inputs`
    integer, intent(in) :: side         !! 0: below the lower limit, 1: above the upper
    real(dp), intent(in) :: distance    !! in widths of the range
    real(dp), intent(in) :: share       !! additional distance, as a share of the limit
    type(sample_type) :: s
    integer :: i, j, m

    s = draw(n)
    do i = 1, n
      m = modulo(i, n_modes)
      select case (kind)
      case (1:3)
        call put(s, i, kind, beyond(kind, side, distance, share))
      case (4:6)
        m = number_at + (kind - 4)*n_modes + m
        call put(s, i, m, beyond(m, side, distance, share))
      case default
        do j = 0, 2   ! apart, so that they are of three kinds; on different sides within a column
          m = 1 + modulo(i + n_modes*j, n_inputs)
          call put(s, i, m, beyond(m, modulo(side + i*j, 2), distance, share))
        end do
      end select
      s%rho(i) = s%p(i)/(constants%gas_constant_air*s%t(i))
    end do
    s%volume = volume_of(s%number, s%radius, spread(sigma, 1, n))

  end function moved

  !> Return a value beyond a limit.
  pure real(dp) function beyond(input, side, distance, share)
    integer, intent(in) :: input        !! place in the contract
    integer, intent(in) :: side         !! 0: below the lower limit, 1: above the upper
    real(dp), intent(in) :: distance    !! in widths of the range
    real(dp), intent(in) :: share       !! additional distance, as a share of the limit
    real(dp) :: limit, other

    limit = merge(lower(input), upper(input), side == 0)
    other = merge(upper(input), lower(input), side == 0)
    if (input < 3) then
      beyond = limit + distance*(limit - other)
    else
      beyond = limit*(limit/other)**distance
    end if
    beyond = beyond*merge(1.0_dp - share, 1.0_dp + share, side == 0)

  end function beyond

  !> Set an input of a column.
  subroutine put(s, i, input, value)
    type(sample_type), intent(inout) :: s   !! columns
    integer, intent(in) :: i                !! column
    integer, intent(in) :: input            !! place in the contract
    real(dp), intent(in) :: value           !! in the contract's units

    select case (input)
    case (1)
      s%t(i) = value
    case (2)
      s%p(i) = value
    case (3)
      s%w(i) = value
    case (number_at:radius_at - 1)
      s%number(i, input - number_at + 1) = value
    case (radius_at:kappa_at - 1)
      s%radius(i, input - radius_at + 1) = value
    case default
      s%kappa(i, input - kappa_at + 1) = value
    end select

  end subroutine put

  !> Print the errors of all policies for the columns in `s`; those of `blended` only if there is a distance.
  subroutine report(name, distance)
    character(len=*), intent(in) :: name   !! of the line
    real(dp), intent(in) :: distance       !! in widths of the range, negative for none
    integer :: policy

    call solve(s)
    do policy = 0, merge(blended, blended - 1, distance >= 0.0_dp)
      if (policy < blended) then
        call run(schemes(policy), s)
      else
        call run_blended(max(0.0_dp, 1.0_dp - distance/reach))
      end if
      squares = sum((fn - truth)**2, mask=spread(known, 2, n_modes))/real(n_modes*max(1, count(known)), dp)
      largest = maxval(abs(fn - truth), mask=spread(known, 2, n_modes))
      print '(a, 2(",", f8.5), ",", i0)', name//','//trim(policies(policy)), sqrt(squares), largest, count(known)
    end do

  end subroutine report

  !> Compute the number fractions of single updrafts with a scheme, into fn.
  subroutine run(scheme, s)
    type(activation_type), intent(in) :: scheme   !! after init
    type(sample_type), intent(in) :: s            !! columns
    real(dp) :: zero(n), fm(n, n_modes), fluxn(n, n_modes), fluxm(n, n_modes), full(n)

    zero = 0.0_dp
    call scheme%activate(n, n, 1, n_modes, s%w, zero, zero, zero, zero + 1000.0_dp, s%t, s%rho, s%number, s%volume, &
                         s%kappa, fn, fm, fluxn, fluxm, full, status, counts)

  end subroutine run

  !> Compute the number fractions of the columns in `s` into fn, with ARG2000 times a power of the ratio at the nearest
  !> point.
  subroutine run_blended(power)
    real(dp), intent(in) :: power   !! of the ratio [1]
    real(dp) :: there, here
    integer :: i

    x(:, 1) = s%t
    x(:, 2) = s%p
    x(:, 3) = s%w
    x(:, number_at:radius_at - 1) = s%number
    x(:, radius_at:kappa_at - 1) = s%radius
    x(:, kappa_at:) = s%kappa
    x = min(max(x, spread(lower, 1, n)), spread(upper, 1, n))
    call emulator%predict(x, smax, status, workspace=workspace)
    do i = 1, n
      there = arg_of(x(i, 1), x(i, 2), x(i, 3), x(i, number_at:radius_at - 1), &
                     x(i, radius_at:kappa_at - 1), x(i, kappa_at:))
      here = arg_of(s%t(i), s%p(i), s%w(i), s%number(i, :), s%radius(i, :), s%kappa(i, :))
      fn(i, :) = fraction_of(s%t(i), here*(smax(i, 1)/there)**power, s%radius(i, :), s%kappa(i, :), sigma, 0)
    end do

  end subroutine run_blended

  !> Compute the number fractions with the parcel model, into truth; `known` where it finds a peak.
  subroutine solve(s)
    type(sample_type), intent(in) :: s   !! columns
    type(parcel_result_type) :: found
    integer :: i, m, at

    do i = 1, n
      do m = 1, n_modes
        at = (m - 1)*n_bins
        call lognormal_cells(n_bins, s%number(i, m), s%radius(i, m), sigma(m), 5.0_dp, &
                             work%dry_radius(at + 1:at + n_bins), work%number(at + 1:at + n_bins))
        work%hygroscopicity(at + 1:at + n_bins) = s%kappa(i, m)
      end do
      call solve_parcel(work, s%t(i), s%p(i), s%w(i), constants_of_parcel, options_of_parcel, found)
      known(i) = found%status == status_peak
      truth(i, :) = 0.0_dp
      if (.not. known(i)) cycle
      do m = 1, n_modes
        truth(i, m) = fraction_of(s%t(i), found%max_supersaturation, s%radius(i, m), s%kappa(i, m), sigma(m), 0)
      end do
    end do

  end subroutine solve

end program measure_activation
