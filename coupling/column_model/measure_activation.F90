!> What the activation scheme does at and beyond the range of an emulator, and how it depends on the updraft.
!>
!>     measure_activation WEIGHTS [COLUMNS]
!>
!> Prints, for each policy outside the range (arg2000, ratio, clip): the step in a number fraction when an input crosses
!> a limit, and the error against the parcel model beyond the limits; then how far the number fractions fall where the
!> updraft grows. The figures of docs/coupling.md come from here.
program measure_activation
  use, intrinsic :: iso_fortran_env, only: real64, error_unit
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_activation, only: activation_type, activation_constants_type, activation_counts_type
  use activation_test_support, only: sample_type, draw, sigma, volume_of, fraction_of
  use parcel_integrator, only: solve_parcel, parcel_options_type, parcel_result_type, status_peak
  use lognormal_bins, only: lognormal_cells
  use rodas_step, only: workspace_type
  implicit none
  integer, parameter :: dp = real64, n_bins = 60, n_inputs = 15
  character(len=*), parameter :: policies(0:2) = [character(len=8) :: 'ARG2000', 'ratio', 'clip']
  character(len=*), parameter :: inputs(6) = [character(len=16) :: 'temperature', 'pressure', 'updraft', 'number', &
                                                                                             'radius', 'hygroscopicity']
  real(dp), parameter :: lower(n_inputs) = [248.0_dp, 5.0e4_dp, 0.01_dp, 1.0e6_dp, 1.0e6_dp, 1.0e3_dp, 1.0e4_dp, &
                                    2.675e-8_dp, 4.35e-9_dp, 5.0e-7_dp, 5.0e-9_dp, 0.05_dp, 0.05_dp, 0.05_dp, 1.0e-3_dp]
  real(dp), parameter :: upper(n_inputs) = [310.0_dp, 1.05e5_dp, 10.0_dp, 1.0e10_dp, 1.0e10_dp, 5.0e6_dp, 1.0e10_dp, &
                                            2.2e-7_dp, 2.6e-8_dp, 2.0e-6_dp, 5.0e-8_dp, 1.2_dp, 1.2_dp, 1.2_dp, 0.2_dp]
  type(emulator_type) :: emulator
  type(activation_type) :: schemes(0:2)
  type(activation_constants_type) :: constants
  type(activation_counts_type) :: counts
  type(status_type) :: status
  type(sample_type) :: s
  type(workspace_type) :: work
  character(len=1024) :: argument
  real(dp), allocatable :: fn(:, :), truth(:, :), inside(:, :), before(:, :)
  logical, allocatable :: known(:)
  real(dp) :: largest(0:2), squares(0:2), fall, w, beyond
  integer :: n, failure, policy, i, m, side, step, n_known

  call get_command_argument(1, argument)
  call emulator%load(trim(argument), status)
  do policy = 0, 2
    if (status%code == emufort_success) &
      call schemes(policy)%init(dp, constants, sigma, status, emulator=emulator, outside=policy)
  end do
  if (status%code /= emufort_success) then
    write (error_unit, '(a)') 'measure_activation: '//trim(status%message)
    stop 2, quiet = .true.
  end if
  n = 300
  call get_command_argument(2, argument)
  if (argument /= '') read (argument, *) n
  allocate (fn(n, 4), truth(n, 4), inside(n, 4), before(n, 4), known(n))
  call work%create(4*n_bins, failure)
  if (failure /= 0) error stop 'out of memory'

  print '(a)', 'step in a number fraction when an input crosses a limit by 0.02 %, rms and largest'
  print '(a, 3(2x, a10, 8x))', '                 ', policies
  do i = 1, size(inputs)
    largest = 0.0_dp
    squares = 0.0_dp
    do side = 0, 1
      do policy = 0, 2
        s = moved(i, side, 0.0_dp)
        call run(schemes(policy), s)
        if (counts%n_outside > 0) error stop 'outside'
        inside = fn
        s = moved(i, side, 2.0e-4_dp)
        call run(schemes(policy), s)
        if (counts%n_outside < n) error stop 'inside'
        largest(policy) = max(largest(policy), maxval(abs(fn - inside)))
        squares(policy) = squares(policy) + sum((fn - inside)**2)/real(8*n, dp)
      end do
    end do
    print '(a, 3(2f9.5, 2x))', inputs(i)//' ', (sqrt(squares(policy)), largest(policy), policy=0, 2)
  end do

  print '(a)', 'error of the number fractions against the parcel model beyond a limit, rms and largest; samples'
  do i = 1, size(inputs)
    beyond = merge(0.03_dp, 0.5_dp, i == 1)
    if (i == 2) beyond = 0.2_dp
    largest = 0.0_dp
    squares = 0.0_dp
    n_known = 0
    do side = 0, 1
      s = moved(i, side, beyond)
      call solve(s)
      do policy = 0, 2
        call run(schemes(policy), s)
        do m = 1, 4
          largest(policy) = max(largest(policy), maxval(abs(fn(:, m) - truth(:, m)), mask=known))
          squares(policy) = squares(policy) + sum((fn(:, m) - truth(:, m))**2, mask=known)
        end do
      end do
      n_known = n_known + count(known)
    end do
    squares = sqrt(squares/real(4*max(1, n_known), dp))
    print '(a, 3(2f9.5, 2x), i7)', inputs(i)//' ', (squares(policy), largest(policy), policy=0, 2), n_known
  end do
  ! soot that takes up no water, as hosts have it, and modes that are not there
  s = draw(n)
  s%kappa(:, 4) = 1.0e-6_dp
  call report('inert soot')
  s = draw(n)
  s%number(:, 3) = 1.0_dp
  s%volume(:, 3) = volume_of(s%number(:, 3), s%radius(:, 3), sigma(3))
  call report('no coarse')

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
  print '(a, es9.1)', 'largest fall of a number fraction while the updraft grows within the range', fall

contains

  !> Columns of which one kind of input lies beyond a limit, by a share of it; at 0 they lie on it.
  function moved(kind, side, beyond) result(s)
    integer, intent(in) :: kind         !! place in `inputs`
    integer, intent(in) :: side         !! 0: below the lower limit, 1: above the upper
    real(dp), intent(in) :: beyond      !! share of the limit
    type(sample_type) :: s
    real(dp) :: limit(n_inputs)
    integer :: i, m

    s = draw(n)
    limit = merge(lower*(1.0_dp - beyond), upper*(1.0_dp + beyond), side == 0)
    do i = 1, n
      m = 1 + modulo(i, 4)
      select case (kind)
      case (1)
        s%t(i) = limit(1)
      case (2)
        s%p(i) = limit(2)
      case (3)
        s%w(i) = limit(3)
      case (4)
        s%number(i, m) = limit(3 + m)
      case (5)
        s%radius(i, m) = limit(7 + m)
      case default
        s%kappa(i, m) = limit(11 + m)
      end select
      s%rho(i) = s%p(i)/(constants%gas_constant_air*s%t(i))
    end do
    s%volume = volume_of(s%number, s%radius, spread(sigma, 1, n))

  end function moved

  !> Errors of all policies for the columns in `s`.
  subroutine report(name)
    character(len=*), intent(in) :: name   !! of the case
    integer :: m, policy
    character(len=16) :: shown

    call solve(s)
    largest = 0.0_dp
    squares = 0.0_dp
    do policy = 0, 2
      call run(schemes(policy), s)
      do m = 1, 4
        largest(policy) = max(largest(policy), maxval(abs(fn(:, m) - truth(:, m)), mask=known))
        squares(policy) = squares(policy) + sum((fn(:, m) - truth(:, m))**2, mask=known)
      end do
    end do
    squares = sqrt(squares/real(4*max(1, count(known)), dp))
    shown = name
    print '(a, 3(2f9.5, 2x), i7)', shown//' ', (squares(policy), largest(policy), policy=0, 2), count(known)

  end subroutine report

  !> Number fractions of single updrafts by a scheme, into fn.
  subroutine run(scheme, s)
    type(activation_type), intent(in) :: scheme   !! after init
    type(sample_type), intent(in) :: s            !! columns
    real(dp) :: zero(n), fm(n, 4), fluxn(n, 4), fluxm(n, 4), full(n)

    zero = 0.0_dp
    call scheme%activate(n, n, 1, 4, s%w, zero, zero, zero, zero + 20.0_dp, s%t, s%rho, s%number, s%volume, s%kappa, &
                         fn, fm, fluxn, fluxm, full, status, counts)

  end subroutine run

  !> Number fractions by the parcel model, into truth; known where it finds a peak.
  subroutine solve(s)
    type(sample_type), intent(in) :: s   !! columns
    type(parcel_options_type) :: options
    type(parcel_result_type) :: found
    integer :: i, m, at

    do i = 1, n
      do m = 1, 4
        at = (m - 1)*n_bins
        call lognormal_cells(n_bins, s%number(i, m), s%radius(i, m), sigma(m), 5.0_dp, &
                             work%dry_radius(at + 1:at + n_bins), work%number(at + 1:at + n_bins))
        work%hygroscopicity(at + 1:at + n_bins) = s%kappa(i, m)
      end do
      call solve_parcel(work, s%t(i), s%p(i), s%w(i), options, found)
      known(i) = found%status == status_peak
      truth(i, :) = 0.0_dp
      if (.not. known(i)) cycle
      do m = 1, 4
        truth(i, m) = fraction_of(s%t(i), found%max_supersaturation, s%radius(i, m), s%kappa(i, m), sigma(m), 0)
      end do
    end do

  end subroutine solve

end program measure_activation
