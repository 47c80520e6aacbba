!> Measures the cost of `activate_modal` with the emulator and of the classical scheme, in turn.
!>
!>     bench_activate_modal ROUNDS
!>
!> The parcels are spread over the range of the emulator. The program prints for each round
!> `NAME,ns_per_parcel` in processor time, where NAME is classical (one parcel per call), emulator (one parcel per
!> call) or chunk (16 columns per call). The exit code is 0, or 2 with one line on standard error.
program bench_activate_modal
  use, intrinsic :: iso_fortran_env, only: error_unit, int64, real64
  use emufort_host, only: emufort_host_init, emufort_host_activate, emufort_host_n_counts, activate_modal
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, n_inputs => aerosol_inputs, sigma => aerosol_sigma, &
                                      lower => aerosol_lower, upper => aerosol_upper, &
                                      number_at => number_concentration_at, radius_at => dry_median_radius_at, &
                                      kappa_at => hygroscopicity_at, gravity => aerosol_gravity, &
                                      gas_constant_air => aerosol_gas_constant_air, &
                                      gas_constant_vapour => aerosol_gas_constant_vapour, &
                                      heat_capacity_air => aerosol_heat_capacity_air, &
                                      latent_heat => aerosol_latent_heat, density_water => aerosol_density_water
  use classical_activate_modal, only: classical_init, classical_activate
  implicit none

  integer, parameter :: r8 = real64
  integer, parameter :: chunk = 16, n_chunks = 128, n = chunk*n_chunks
  integer, parameter :: n_passes = 10   ! about 10 ms per measurement
  real(r8), parameter :: pi = 3.14159265358979323846_r8
  real(r8), parameter :: kelvin_length = 2.0_r8*0.076_r8/(gas_constant_vapour*273.0_r8*density_water)   ! [m]
  real(r8) :: w(n), zero(n), most(n), t(n), rho(n)
  real(r8) :: number(n_modes, n), volume(n_modes, n), kappa(n_modes, n)                           ! for one parcel
  real(r8) :: numbers(chunk, n_modes, n_chunks), volumes(chunk, n_modes, n_chunks), kappas(chunk, n_modes, n_chunks)
  real(r8) :: fn(n_modes, n), fm(n_modes, n), fluxn(n_modes, n), fluxm(n_modes, n), full(n)
  real(r8), dimension(chunk, n_modes, n_chunks) :: fns, fms, fluxns, fluxms
  real(r8) :: x(n_inputs), sums(3), root
  character(len=200) :: errmsg, text
  integer :: counts(chunk, emufort_host_n_counts), outside, errflg, rounds, round, i, j, c

  call get_command_argument(1, text)
  read (text, *, iostat=errflg) rounds
  if (errflg /= 0) call fail('usage: bench_activate_modal ROUNDS')
  root = 2.0_r8
  do i = 1, 50
    root = (1.0_r8 + root)**(1.0_r8/real(n_inputs + 1, r8))
  end do
  do i = 1, n
    do j = 1, n_inputs
      ! a lattice of irrational steps (an R sequence, with the root above 1 of
      ! x**(n_inputs + 1) = x + 1), logarithmic except for temperature and pressure
      x(j) = 0.001_r8 + 0.998_r8*modulo(real(i, r8)*root**(-j), 1.0_r8)
      if (j < 3) then
        x(j) = lower(j) + x(j)*(upper(j) - lower(j))
      else
        x(j) = lower(j)*(upper(j)/lower(j))**x(j)
      end if
    end do
    t(i) = x(1)
    rho(i) = x(2)/(gas_constant_air*x(1))
    w(i) = x(3)
    number(:, i) = x(number_at:radius_at - 1)
    volume(:, i) = number(:, i)*4.0_r8/3.0_r8*pi*x(radius_at:kappa_at - 1)**3*exp(4.5_r8*log(sigma)**2)
    kappa(:, i) = x(kappa_at:)
  end do
  zero = 0.0_r8
  most = 10.0_r8
  do c = 1, n_chunks
    do i = 1, chunk
      numbers(i, :, c) = number(:, (c - 1)*chunk + i)
      volumes(i, :, c) = volume(:, (c - 1)*chunk + i)
      kappas(i, :, c) = kappa(:, (c - 1)*chunk + i)
    end do
  end do
  call classical_init(gravity, gas_constant_air, gas_constant_vapour, heat_capacity_air, latent_heat, density_water, &
                      sigma, kelvin_length)
  call emufort_host_init(r8, gravity, gas_constant_air, gas_constant_vapour, heat_capacity_air, latent_heat, &
                         density_water, sigma, 'emulator', 'ratio', 'paper', errmsg, errflg)
  if (errflg /= 0) call fail(trim(errmsg))
  do round = 1, rounds
    call time_classical('classical')
    sums(1) = sum(fn*number)
    call time_emulator('emulator')
    sums(2) = sum(fn*number)
    call time_chunks('chunk')
    sums(3) = sum(fns*numbers)
  end do
  ! the results are used, so that the compiler cannot omit their computation
  if (.not. (all(sums > 0.0_r8) .and. abs(sums(3)/sums(2) - 1.0_r8) < 1.0e-12_r8)) &
    call fail('the calls of one parcel and of chunks do not agree')
  if (100*outside > n) call fail('parcels are out of range')

contains

  subroutine time_classical(name)
    character(len=*), intent(in) :: name
    real(r8) :: started, finished
    integer :: pass, i

    call cpu_time(started)
    do pass = 1, n_passes
      do i = 1, n
        call classical_activate(w(i), zero(i), zero(i), zero(i), most(i), t(i), rho(i), number(:, i), n_modes, &
                                volume(:, i), kappa(:, i), fn(:, i), fm(:, i), fluxn(:, i), fluxm(:, i), full(i))
      end do
    end do
    call cpu_time(finished)
    call show(name, finished - started)

  end subroutine time_classical

  subroutine time_emulator(name)
    character(len=*), intent(in) :: name
    real(r8) :: started, finished
    integer :: pass, i

    call cpu_time(started)
    do pass = 1, n_passes
      do i = 1, n
        call activate_modal(w(i), zero(i), zero(i), zero(i), most(i), t(i), rho(i), number(:, i), n_modes, &
                            volume(:, i), kappa(:, i), fn(:, i), fm(:, i), fluxn(:, i), fluxm(:, i), full(i))
      end do
    end do
    call cpu_time(finished)
    call show(name, finished - started)

  end subroutine time_emulator

  subroutine time_chunks(name)
    character(len=*), intent(in) :: name
    real(r8) :: started, finished
    integer :: pass, c, at

    call cpu_time(started)
    do pass = 1, n_passes
      outside = 0
      do c = 1, n_chunks
        at = (c - 1)*chunk + 1
        call emufort_host_activate(chunk, chunk, 1, n_modes, w(at), zero(at), zero(at), zero(at), most(at), t(at), &
                                   rho(at), numbers(1, 1, c), volumes(1, 1, c), kappas(1, 1, c), fns(1, 1, c), &
                                   fms(1, 1, c), fluxns(1, 1, c), fluxms(1, 1, c), full(at), counts, errmsg, errflg)
        outside = outside + sum(counts(:, 2))
      end do
    end do
    call cpu_time(finished)
    call show(name, finished - started)

  end subroutine time_chunks

  subroutine show(name, seconds)
    character(len=*), intent(in) :: name
    real(r8), intent(in) :: seconds

    write (*, '(a, f0.2)') name//',', 1.0e9_r8*seconds/(real(n, r8)*n_passes)

  end subroutine show

  subroutine fail(message)
    character(len=*), intent(in) :: message

    write (error_unit, '(a)') 'bench_activate_modal: '//message
    stop 2

  end subroutine fail

end program bench_activate_modal
