!> Cost of an activation scheme in a host: processor time of its call only, on one thread, with prepared chunks.
module column_timing
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_runtime, only: status_type, workspace_type
  use emufort_aerosol_activation, only: activation_type, activation_counts_type
  use classical_activate_modal, only: classical_init, classical_activate
  use column_physics, only: columns_type, updraft_at, n_modes, sigma
  use contract_constants, only: constants
  implicit none
  private

  public :: time_schemes

  integer, parameter :: dp = real64, repeats = 15
  real(dp), parameter :: surface_tension = 0.076_dp, freezing = 273.0_dp   ! of the Kelvin length of E3SM [N m-1], [K]

  !> Columns in chunks, as in a host, with the shape (column of the chunk, level, chunk) or (column of the chunk, level,
  !> mode, chunk).
  type :: chunks_type
    integer :: n = 0, n_levels = 0, n_chunks = 0
    real(dp), allocatable, dimension(:, :, :) :: w, temperature, pressure, density   ! [m s-1], [K], [Pa], [kg m-3]
    real(dp), allocatable, dimension(:, :, :, :) :: number, volume, kappa            ! [m-3], [m3 m-3], [1]
  end type chunks_type

contains

  !> Measure the smallest time per parcel [ns] of ARG2000 as models have it, and of each scheme in chunks and column by
  !> column.
  subroutine time_schemes(columns, schemes, chunk, scalar, blocked, single)
    type(columns_type), intent(in) :: columns        !! of this process
    type(activation_type), intent(in) :: schemes(:)  !! after init
    integer, intent(in) :: chunk                     !! columns of a chunk
    real(dp), intent(out) :: scalar                  !! ARG2000 parcel by parcel [ns]
    real(dp), intent(out) :: blocked(:)              !! in chunks of `chunk` columns, all levels [ns] (scheme)
    real(dp), intent(out) :: single(:)               !! in chunks of one column, all levels [ns] (scheme)
    type(chunks_type) :: many, one
    integer :: repeat, s, passes

    many = chunks_of(columns, min(chunk, columns%n))
    one = chunks_of(columns, 1)
    passes = max(1, 50000/(columns%n*columns%n_levels))
    scalar = huge(1.0_dp)
    blocked = huge(1.0_dp)
    single = huge(1.0_dp)
    ! in turns, so that a change of the load affects all of them
    do repeat = 1, repeats
      scalar = min(scalar, scalar_time(many, passes))
      do s = 1, size(schemes)
        blocked(s) = min(blocked(s), scheme_time(schemes(s), many, passes))
        single(s) = min(single(s), scheme_time(schemes(s), one, passes))
      end do
    end do

  end subroutine time_schemes

  !> Divide columns into chunks of a size. The columns that do not fill a chunk are left out.
  function chunks_of(columns, n) result(chunks)
    type(columns_type), intent(in) :: columns   !! of this process
    integer, intent(in) :: n                    !! columns of a chunk
    type(chunks_type) :: chunks
    integer :: c, i, k, at

    chunks%n = n
    chunks%n_levels = columns%n_levels
    chunks%n_chunks = columns%n/n
    associate (l => columns%n_levels, m => chunks%n_chunks)
      allocate (chunks%w(n, l, m), chunks%temperature(n, l, m), chunks%pressure(n, l, m), chunks%density(n, l, m))
      allocate (chunks%number(n, l, n_modes, m), chunks%volume(n, l, n_modes, m), chunks%kappa(n, l, n_modes, m))
    end associate
    do c = 1, chunks%n_chunks
      do k = 1, columns%n_levels
        do i = 1, n
          at = (c - 1)*n + i
          chunks%w(i, k, c) = updraft_at(columns, at, k, 0.0_dp)
          chunks%temperature(i, k, c) = columns%temperature(at, k)
          chunks%pressure(i, k, c) = columns%pressure(at, k)
          chunks%density(i, k, c) = columns%pressure(at, k)/(constants%gas_constant_air*columns%temperature(at, k))
          chunks%number(i, k, :, c) = columns%number(at, k, :)
          chunks%volume(i, k, :, c) = columns%volume(at, k, :)
          chunks%kappa(i, k, :, c) = columns%kappa(at, k, :)
        end do
      end do
    end do

  end function chunks_of

  !> Measure the time per parcel of a scheme [ns].
  real(dp) function scheme_time(scheme, chunks, passes)
    type(activation_type), intent(in) :: scheme   !! after init
    type(chunks_type), intent(in) :: chunks       !! prepared
    integer, intent(in) :: passes                 !! number of passes over all chunks
    real(dp), dimension(chunks%n, chunks%n_levels) :: zero, most, full
    real(dp), dimension(chunks%n, chunks%n_levels, n_modes) :: fn, fm, fluxn, fluxm
    type(activation_counts_type) :: counts
    type(status_type) :: status
    type(workspace_type) :: workspace
    real(dp) :: started, finished
    integer :: pass, c

    call scheme%make_workspace(workspace, status)
    zero = 0.0_dp
    most = 10.0_dp
    call cpu_time(started)
    do pass = 1, passes
      do c = 1, chunks%n_chunks
        call scheme%activate(chunks%n, chunks%n, chunks%n_levels, n_modes, chunks%w(:, :, c), zero, zero, zero, most, &
                             chunks%temperature(:, :, c), chunks%density(:, :, c), chunks%number(:, :, :, c), &
                             chunks%volume(:, :, :, c), chunks%kappa(:, :, :, c), fn, fm, fluxn, fluxm, full, status, &
                             counts, workspace=workspace)
      end do
    end do
    call cpu_time(finished)
    scheme_time = per_parcel(finished - started, chunks, passes)

  end function scheme_time

  !> Measure the time per parcel of ARG2000 as climate models have it [ns]: one call of `activate_modal` per parcel.
  real(dp) function scalar_time(chunks, passes)
    type(chunks_type), intent(in) :: chunks   !! prepared
    integer, intent(in) :: passes             !! number of passes over all chunks
    real(dp), dimension(n_modes) :: na, volume, hygro, fn, fm, fluxn, fluxm
    real(dp) :: started, finished, full, total
    integer :: pass, c, i, k

    associate (host => constants)
      call classical_init(host%gravity, host%gas_constant_air, host%gas_constant_vapour, host%heat_capacity_air, &
                          host%latent_heat, host%density_water, sigma, &
                          2.0_dp*surface_tension/(host%gas_constant_vapour*freezing*host%density_water))
    end associate
    total = 0.0_dp
    call cpu_time(started)
    do pass = 1, passes
      do c = 1, chunks%n_chunks
        do k = 1, chunks%n_levels
          do i = 1, chunks%n
            na = chunks%number(i, k, :, c)
            volume = chunks%volume(i, k, :, c)
            hygro = chunks%kappa(i, k, :, c)
            call classical_activate(chunks%w(i, k, c), 0.0_dp, 0.0_dp, 0.0_dp, 10.0_dp, chunks%temperature(i, k, c), &
                                    chunks%density(i, k, c), na, n_modes, volume, hygro, fn, fm, fluxn, fluxm, full)
            total = total + fn(1) + fm(1)
          end do
        end do
      end do
    end do
    call cpu_time(finished)
    scalar_time = per_parcel(finished - started, chunks, passes)
    ! the results are used, so that the compiler cannot omit their computation
    if (.not. total > 0.0_dp) scalar_time = huge(1.0_dp)

  end function scalar_time

  !> Return the time per parcel [ns].
  pure real(dp) function per_parcel(seconds, chunks, passes)
    real(dp), intent(in) :: seconds           !! of all passes [s]
    type(chunks_type), intent(in) :: chunks   !! prepared
    integer, intent(in) :: passes             !! number of passes over all chunks

    per_parcel = 1.0e9_dp*seconds/(real(passes, dp)*real(chunks%n*chunks%n_levels, dp)*real(chunks%n_chunks, dp))

  end function per_parcel

end module column_timing
