!> Tests the limits that activated fractions must respect with every scheme, and the spectrum against a dense
!> integration.
program test_activation_limits
  use emufort_runtime, only: status_type, emufort_success
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        outside_arg2000, outside_ratio, outside_clip, arg2000_e3sm
  use arg2000, only: arg2000_max_supersaturation
  use activation_test_support, only: check, sample_type, draw, mimic, mimic_factor, sigma, dp, arg_of, fraction_of, &
                                     contract_hash
  implicit none
  integer, parameter :: n = 500
  real(dp), parameter :: rounding = 2.0e-6_dp   ! fractions are evaluated in single precision
  type(activation_type) :: emulated, classical, ratio
  type(activation_constants_type) :: constants
  type(activation_counts_type) :: counts
  type(status_type) :: status
  type(sample_type) :: s
  real(dp) :: fn(n, 4), fm(n, 4), fluxn(n, 4), fluxm(n, 4), full(n), before(n, 4)
  real(dp) :: zero(n), smax, reference, worst
  integer :: i, m, step, policy

  call emulated%init(dp, constants, sigma, status, predictor=mimic, contract_hash=contract_hash)
  call check(status%code == emufort_success .and. emulated%is_emulated(), 'init with an emulator')
  call ratio%init(dp, constants, sigma, status, predictor=mimic, outside=outside_ratio, &
                  contract_hash=contract_hash)
  call check(status%code == emufort_success, 'init with another policy')
  call classical%init(dp, constants, sigma, status)
  call check(status%code == emufort_success .and. .not. classical%is_emulated(), 'init without an emulator')
  s = draw(n)
  zero = 0.0_dp

  ! ---- ARG2000 agrees with the scheme of the data set
  worst = 0.0_dp
  do i = 1, n
    call arg2000_max_supersaturation(s%t(i), s%p(i), s%w(i), s%number(i, :), s%radius(i, :), s%kappa(i, :), reference)
    smax = arg_of(s%t(i), s%p(i), s%w(i), s%number(i, :), s%radius(i, :), s%kappa(i, :))
    worst = max(worst, abs(smax/reference - 1.0_dp))
    call check(arg_of(s%t(i), s%p(i), s%w(i), s%number(i, :), s%radius(i, :), s%kappa(i, :), arg2000_e3sm) > 0.0_dp, &
               'formula of E3SM')
  end do
  call check(worst < 1.0e-12_dp, 'ARG2000 agrees with the baseline')

  ! ---- fractions in range, in double precision
  call run(emulated, s, zero)
  call check(counts%n_parcels == n .and. counts%n_fall_back == 0 .and. counts%n_outside == 0, 'all by the emulator')
  worst = 0.0_dp
  do i = 1, n
    smax = mimic_factor*arg_of(s%t(i), s%p(i), s%w(i), s%number(i, :), s%radius(i, :), s%kappa(i, :))
    do m = 1, 4
      worst = max(worst, abs(fn(i, m) - fraction_of(s%t(i), smax, s%radius(i, m), s%kappa(i, m), sigma(m), 0)), &
                  abs(fm(i, m) - fraction_of(s%t(i), smax, s%radius(i, m), s%kappa(i, m), sigma(m), 3)))
    end do
  end do
  print '(a, es8.1)', 'fractions against double precision, largest difference', worst
  call check(worst < rounding, 'fractions of a single updraft')
  call check(all(abs(fluxn - fn*spread(s%w, 2, 4)) <= 1.0e-15_dp*fluxn) .and. all(abs(full - s%w) <= 0.0_dp), &
             'fluxes of a single updraft')
  call bounds('single updraft')
  call run(classical, s, zero)
  call check(counts%n_fall_back == n, 'all by ARG2000')
  call bounds('ARG2000')

  ! ---- fractions grow monotonically with the updraft, from weak to very strong, across both limits of the range
  do policy = 1, 2
    before = 0.0_dp
    do step = -40, 30
      s%w = 0.0101_dp*10.0_dp**(real(step, dp)/10.0_dp)
      if (policy == 1) call run(ratio, s, zero)
      if (policy == 2) call run(classical, s, zero)
      call bounds('any updraft')
      call check(all(fn >= before - rounding), 'fractions grow with the updraft')
      before = fn
    end do
  end do

  ! ---- fractions grow monotonically with a prescribed supersaturation
  before = 0.0_dp
  do step = -60, 10
    s%w = 0.5_dp
    call run(emulated, s, zero, smax_fixed=spread(10.0_dp**(real(step, dp)/10.0_dp), 1, n))
    call bounds('any supersaturation')
    call check(all(fn >= before - rounding), 'fractions grow with the supersaturation')
    call check(counts%n_parcels == 0, 'a prescribed supersaturation calls no scheme')
    before = fn
  end do
  call run(emulated, s, zero, smax_fixed=zero)
  call check(.not. any(fn > 0.0_dp .or. fm > 0.0_dp), 'no supersaturation')

  ! ---- no aerosol, or no updraft
  s = draw(n)
  s%w = 0.0_dp
  call run(emulated, s, zero)
  call check(.not. any(fn > 0.0_dp .or. fm > 0.0_dp .or. fluxn > 0.0_dp) .and. .not. any(full > 0.0_dp), 'no updraft')
  s%w = -1.0_dp
  call run(emulated, s, zero)
  call check(.not. any(fn > 0.0_dp .or. fm > 0.0_dp .or. fluxn > 0.0_dp) .and. .not. any(full > 0.0_dp), 'downdraft')
  do policy = outside_arg2000, outside_clip
    s = draw(n)
    s%number = 0.0_dp
    s%volume = 0.0_dp
    call emulated%init(dp, constants, sigma, status, predictor=mimic, outside=policy, contract_hash=contract_hash)
    call run(emulated, s, zero)
    call check(all(abs(fn - 1.0_dp) <= 0.0_dp .and. abs(fm - 1.0_dp) <= 0.0_dp) .and. all(abs(full - s%w) <= 0.0_dp) &
               .and. all(abs(fluxn - spread(s%w, 2, 4)) <= 0.0_dp), 'no aerosol: all of nothing activates, as in E3SM')
    s = draw(n)
    s%kappa = 0.0_dp
    call run(emulated, s, zero)
    call check(.not. any(fn > 0.0_dp .or. fm > 0.0_dp), 'no hygroscopicity')
    s = draw(n)
    s%kappa(:, 4) = 1.0e-10_dp   ! value of fresh soot in E3SM
    call run(emulated, s, zero)
    call bounds('soot')
    call check(.not. any(fn(:, 4) > 0.0_dp) .and. any(fn(:, 1) > 0.1_dp), 'soot stays, the rest activates')
    call check(counts%n_outside == 0 .and. counts%n_fall_back == 0, 'the emulator answers for soot')
    ! a hygroscopicity below the floor does not affect the other modes, on both sides of the threshold for ignoring a
    ! mode
    before = fn
    do m = -12, -4
      s%kappa(:, 4) = 10.0_dp**m
      call run(emulated, s, zero)
      call check(all(abs(fn(:, 1:3) - before(:, 1:3)) <= 0.0_dp), 'soot of any hygroscopicity')
    end do
  end do

  ! ---- one dominating mode: the others take up no water
  s = draw(n)
  s%number(:, 2:4) = s%number(:, 2:4)*1.0e-12_dp
  s%volume(:, 2:4) = s%volume(:, 2:4)*1.0e-12_dp
  call run(ratio, s, zero)
  before = fn
  s%number(:, 2:4) = 0.0_dp
  s%volume(:, 2:4) = 0.0_dp
  call run(ratio, s, zero)
  call check(maxval(abs(fn(:, 1) - before(:, 1))) < 1.0e-4_dp, 'one dominating mode')
  call bounds('one dominating mode')

  ! ---- the mass fraction of a mode is not below its number fraction
  s = draw(n)
  call run(classical, s, zero)
  call check(all(fm(:, 1) >= fn(:, 1)), 'mass before number')

  ! ---- spectrum of updrafts against 4,000 nodes
  call spectrum(0.0_dp, 0.05_dp)
  call spectrum(0.0_dp, 0.7_dp)
  call spectrum(0.3_dp, 0.2_dp)
  call spectrum(1.0_dp, 2.0_dp)
  call spectrum(-0.5_dp, 0.3_dp)

  ! a narrow spectrum is a single updraft
  s = draw(n)
  s%w = min(max(s%w, 0.1_dp), 8.0_dp)
  call run(emulated, s, zero)
  before = fn
  call run(emulated, s, zero + 2.0e-5_dp)
  call check(maxval(abs(fn - before)) < 1.0e-3_dp, 'a narrow spectrum is a single updraft')
  print '(a)', 'limits hold'

contains

  subroutine run(scheme, s, width, smax_fixed)
    !! Run all columns of a sample on one level.
    type(activation_type), intent(in) :: scheme
    type(sample_type), intent(in) :: s
    real(dp), intent(in) :: width(n)   !! of the spectrum of updrafts [m s-1]
    real(dp), intent(in), optional :: smax_fixed(n)   !! [1]
    type(status_type) :: status
    fn = -1.0_dp
    fm = -1.0_dp
    call scheme%activate(n, n, 1, 4, s%w, width, zero, zero, zero + 10.0_dp, s%t, s%rho, s%number, s%volume, s%kappa, &
                         fn, fm, fluxn, fluxm, full, status, counts, smax_fixed=smax_fixed)
    call check(status%code == emufort_success, 'activate')
  end subroutine run

  subroutine bounds(what)
    character(len=*), intent(in) :: what
    call check(all(fn >= 0.0_dp .and. fn <= 1.0_dp .and. fm >= 0.0_dp .and. fm <= 1.0_dp), what//': 0 <= f <= 1')
    call check(all(fm >= fn), what//': mass activates before number')
  end subroutine bounds

  subroutine spectrum(mean, width)
    !! Compare a Gaussian spectrum of the scheme with a dense integration, both with ARG2000.
    real(dp), intent(in) :: mean, width   !! [m s-1]
    integer, parameter :: nodes = 4000
    real(dp) :: lower, upper, at, w, density, sums(4, 4), total, flux, worst_flux
    integer :: i, m, q
    s = draw(n)
    s%w = mean
    call run(classical, s, zero + width)
    call bounds('spectrum')
    worst = 0.0_dp
    worst_flux = 0.0_dp
    lower = max(0.0_dp, mean - 8.0_dp*width)
    upper = min(10.0_dp, mean + 8.0_dp*width)
    do i = 1, n, 25
      sums = 0.0_dp
      total = 0.0_dp
      flux = 0.0_dp
      do q = 1, nodes
        at = (real(q, dp) - 0.5_dp)/real(nodes, dp)
        w = lower + (upper - lower)*at**2   ! dense where activation begins
        density = exp(-0.5_dp*((w - mean)/width)**2)/(sqrt(2.0_dp*acos(-1.0_dp))*width)* &
                  (upper - lower)*2.0_dp*at/real(nodes, dp)
        smax = arg_of(s%t(i), s%p(i), w, s%number(i, :), s%radius(i, :), s%kappa(i, :))
        total = total + density
        flux = flux + density*w
        do m = 1, 4
          sums(m, 1) = sums(m, 1) + density*fraction_of(s%t(i), smax, s%radius(i, m), s%kappa(i, m), sigma(m), 0)
          sums(m, 2) = sums(m, 2) + density*fraction_of(s%t(i), smax, s%radius(i, m), s%kappa(i, m), sigma(m), 3)
          sums(m, 3) = sums(m, 3) + density*w*fraction_of(s%t(i), smax, s%radius(i, m), s%kappa(i, m), sigma(m), 0)
          sums(m, 4) = sums(m, 4) + density*w*fraction_of(s%t(i), smax, s%radius(i, m), s%kappa(i, m), sigma(m), 3)
        end do
      end do
      worst = max(worst, maxval(abs(fn(i, :) - sums(:, 1))), maxval(abs(fm(i, :) - sums(:, 2))))
      worst_flux = max(worst_flux, maxval(abs(fluxn(i, :) - sums(:, 3))/flux), &
                       maxval(abs(fluxm(i, :) - sums(:, 4))/flux))
      call check(abs(full(i)/flux - 1.0_dp) < 1.0e-3_dp, 'flux if all particles activated')
      call check(all(fn(i, :) <= total + 1.0e-5_dp), 'fractions are at most the probability of an updraft')
    end do
    print '(a, 2f6.2, a, 2es9.1)', 'spectrum', mean, width, ': largest error of fractions and of fluxes over full', &
      worst, worst_flux
    call check(worst < 1.0e-4_dp .and. worst_flux < 5.0e-4_dp, 'spectrum of updrafts')
  end subroutine spectrum

end program test_activation_limits
