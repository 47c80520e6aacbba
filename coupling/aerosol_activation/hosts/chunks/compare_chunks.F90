!> Compares both versions of the caller: they must give the same bits. With ROUNDS, measures their time as well.
!>
!>     compare_chunks COLUMNS LEVELS [ROUNDS]
!>
!> Prints `parcels N`, the calls of the version parcel by parcel, then `same bits: K columns per call` for every size of
!> the gathered call. With ROUNDS, lines `time NAME STEP ACTIVATION` follow: the processor time of the whole step
!> [us per column], and what activation adds to it, with the preparation of its arguments [ns per parcel]. The latter
!> is a difference from a step with given fractions, both with one substep of mixing. The versions take turns and the
!> smallest time of the rounds counts.
program compare_chunks
  use, intrinsic :: iso_fortran_env, only: int64, error_unit
  use emufort_aerosol_contract, only: sigma => aerosol_sigma, gravity => aerosol_gravity, &
                                      gas_constant_air => aerosol_gas_constant_air, &
                                      gas_constant_vapour => aerosol_gas_constant_vapour, &
                                      heat_capacity_air => aerosol_heat_capacity_air, &
                                      latent_heat => aerosol_latent_heat, density_water => aerosol_density_water
  use emufort_host, only: emufort_host_init
  use classical_activate_modal, only: classical_init
  use host_columns, only: r8, host_columns_type, make_columns
  use parcel_schemes, only: with_emulator, with_classical_scheme, with_given_fractions
  use mix_droplets_by_parcel, only: mix_by_parcel
  use mix_droplets_by_chunk, only: mix_by_chunk, parcels_type
  implicit none
  integer, parameter :: without = -2, classical = -1, by_parcel = 0   ! versions; above 0: a place in `sizes`
  integer, parameter :: sizes(3) = [1, 4, 16]                         ! columns per call
  integer, parameter :: last = size(sizes)
  real(r8), parameter :: time_step = 1800.0_r8, short_step = 1.0e-3_r8   ! [s]
  type(host_columns_type) :: start, expected, host
  type(parcels_type) :: parcels(last)
  character(len=512) :: errmsg
  real(r8) :: whole(without:last), short(without:last)
  integer :: errflg, n_columns, n_levels, rounds, round, n, n_chunk, version

  n_columns = argument(1, 16)
  n_levels = argument(2, 72)
  rounds = argument(3, 0)
  call emufort_host_init(r8, gravity, gas_constant_air, gas_constant_vapour, heat_capacity_air, latent_heat, &
                         density_water, sigma, 'emulator', 'ratio', 'paper', errmsg, errflg)
  if (errflg /= 0) call fail(errmsg)
  call classical_init(gravity, gas_constant_air, gas_constant_vapour, heat_capacity_air, latent_heat, density_water, &
                      sigma, 2.0_r8*0.076_r8/(gas_constant_vapour*273.0_r8*density_water))
  call make_columns(start, n_columns, n_levels)

  expected = start
  call mix_by_parcel(expected, time_step, with_emulator, n)
  print '(a, i0)', 'parcels ', n
  if (n == 0) call fail('no cloud grows and none has a base')
  if (same_bits(expected%droplets, start%droplets)) call fail('the step has no effect')
  do version = 1, last
    call parcels(version)%create(sizes(version), n_levels)
    host = start
    call mix_by_chunk(host, time_step, sizes(version), parcels(version), n_chunk, errmsg, errflg)
    if (errflg /= 0) call fail(errmsg)
    if (n_chunk /= n) call fail('the versions compute different parcels')
    if (.not. same_state(host, expected)) call fail('the versions differ')
    print '(a, i0, a)', 'same bits: ', sizes(version), ' columns per call'
  end do

  whole = huge(1.0_r8)
  short = huge(1.0_r8)
  do round = 1, rounds
    do version = without, last
      whole(version) = min(whole(version), seconds(version, time_step))
      short(version) = min(short(version), seconds(version, short_step))
    end do
  end do
  if (rounds > 0) then
    do version = classical, last
      print '(a, 2(1x, f0.3))', 'time '//name_of(version), 1.0e6_r8*whole(version)/real(n_columns, r8), &
        1.0e9_r8*(short(version) - short(without))/real(n, r8)
    end do
  end if

contains

  !> Return the name of a version.
  function name_of(version) result(name)
    integer, intent(in) :: version         !! to be named
    character(len=:), allocatable :: name
    character(len=16) :: text

    select case (version)
    case (without)
      name = 'without'
    case (classical)
      name = 'classical'
    case (by_parcel)
      name = 'parcel'
    case default
      write (text, '(a, i0)') 'chunk', sizes(version)
      name = trim(text)
    end select

  end function name_of

  !> Measure one step of a version [s].
  real(r8) function seconds(version, step)
    integer, intent(in) :: version         !! to be measured
    real(r8), intent(in) :: step           !! time step [s]
    real(r8) :: started, finished
    integer :: ignored

    host = start
    call cpu_time(started)
    select case (version)
    case (without)
      call mix_by_parcel(host, step, with_given_fractions, ignored)
    case (classical)
      call mix_by_parcel(host, step, with_classical_scheme, ignored)
    case (by_parcel)
      call mix_by_parcel(host, step, with_emulator, ignored)
    case default
      call mix_by_chunk(host, step, sizes(version), parcels(version), ignored, errmsg, errflg)
    end select
    call cpu_time(finished)
    seconds = finished - started

  end function seconds

  !> Return whether two chunks have the same bits.
  logical function same_state(a, b)
    type(host_columns_type), intent(in) :: a, b   !! chunks
    integer :: m

    same_state = same_bits(a%droplets, b%droplets)
    do m = 1, size(a%number, 3)
      same_state = same_state .and. same_bits(a%number(:, :, m), b%number(:, :, m)) .and. &
                   same_bits(a%volume(:, :, m), b%volume(:, :, m)) .and. &
                   same_bits(a%cloud_number(:, :, m), b%cloud_number(:, :, m)) .and. &
                   same_bits(a%cloud_volume(:, :, m), b%cloud_volume(:, :, m))
    end do

  end function same_state

  pure logical function same_bits(a, b)
    real(r8), intent(in) :: a(:, :), b(:, :)

    same_bits = all(transfer(a, [0_int64]) == transfer(b, [0_int64]))

  end function same_bits

  !> Return a command-line argument that is a number.
  integer function argument(place, default)
    integer, intent(in) :: place, default   !! of the argument; value if it is absent
    character(len=32) :: text
    integer :: failure

    argument = default
    call get_command_argument(place, text)
    if (text == '') return
    read (text, *, iostat=failure) argument
    if (failure /= 0 .or. argument < 0) call fail('usage: compare_chunks COLUMNS LEVELS [ROUNDS]')

  end function argument

  !> End with one line.
  subroutine fail(message)
    character(len=*), intent(in) :: message   !! of the error

    write (error_unit, '(a)') 'compare_chunks: '//trim(message)
    stop 2, quiet = .true.

  end subroutine fail

end program compare_chunks
