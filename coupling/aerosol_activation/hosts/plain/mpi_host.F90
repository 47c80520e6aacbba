!> Example of a host with MPI. Rank 0 reads the weights, and each rank activates its share of the columns. The answers
!> do not depend on the number of ranks.
!>
!>     mpirun -n 3 mpi_host WEIGHTS
!>
!> Prints the number of columns and a checksum of the bits of all fractions. The exit code is 1 after an error.
program mpi_host
  use, intrinsic :: iso_fortran_env, only: int64, real64, error_unit
  use mpi_f08, only: MPI_Init, MPI_Finalize, MPI_Barrier, MPI_Comm_rank, MPI_Comm_size, MPI_COMM_WORLD, MPI_Reduce, &
                     MPI_INTEGER8, MPI_BXOR, MPI_SUM
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, aerosol_sigma, lower => aerosol_lower, &
                                      upper => aerosol_upper, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        activation_kind
  use emufort_broadcast, only: emufort_load_and_broadcast, emufort_agree
  implicit none
  integer, parameter :: hk = activation_kind, n_columns = 1000
  real(hk), parameter :: sigma(n_modes) = real(aerosol_sigma, hk)
  type(emulator_type) :: emulator
  type(status_type) :: status
  type(activation_type) :: scheme
  type(activation_constants_type) :: constants
  type(activation_counts_type) :: counts
  real(hk), allocatable :: air(:, :), aerosol(:, :, :), fractions(:, :, :), full(:)
  character(len=4096) :: filename
  integer(int64) :: checksum, total, mine(2), all_of(2)
  integer :: rank, ranks, first, last, n, i, m, q

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks)
  call get_command_argument(1, filename)
  call emufort_load_and_broadcast(emulator, trim(filename), 0, MPI_COMM_WORLD, status)
  if (status%code == emufort_success) call emulator%self_test(status)
  if (status%code == emufort_success) call scheme%init(hk, constants, sigma, status, emulator=emulator)
  call emufort_agree(status, MPI_COMM_WORLD)
  if (status%code /= emufort_success) then
    ! print the message before any process ends: a launcher kills all processes when the first one fails
    if (rank == 0) then
      write (error_unit, '(a)') 'mpi_host: '//trim(status%message)
      flush (error_unit)
    end if
    call MPI_Barrier(MPI_COMM_WORLD)
    call MPI_Finalize()
    stop 1, quiet = .true.
  end if

  ! this rank has the columns first+1 to last
  first = n_columns*rank/ranks
  last = n_columns*(rank + 1)/ranks
  n = last - first
  allocate (air(n, 7), aerosol(n, n_modes, 3), fractions(n, n_modes, 4), full(n))
  do i = 1, n
    call make_column(first + i, air(i, :), aerosol(i, :, :))
  end do
  call scheme%activate(n, n, 1, n_modes, air(:, 1), air(:, 2), air(:, 3), air(:, 4), air(:, 5), air(:, 6), air(:, 7), &
                       aerosol(:, :, 1), aerosol(:, :, 2), aerosol(:, :, 3), fractions(:, :, 1), fractions(:, :, 2), &
                       fractions(:, :, 3), fractions(:, :, 4), full, status, counts)
  checksum = 0_int64
  do q = 1, 4
    do m = 1, n_modes
      do i = 1, n
        checksum = ieor(checksum, ishftc(transfer(real(fractions(i, m, q), real64), 0_int64), modulo(first + i, 64)))
      end do
    end do
  end do
  mine = [counts%n_parcels, counts%n_fall_back]
  call MPI_Reduce(checksum, total, 1, MPI_INTEGER8, MPI_BXOR, 0, MPI_COMM_WORLD)
  call MPI_Reduce(mine, all_of, 2, MPI_INTEGER8, MPI_SUM, 0, MPI_COMM_WORLD)
  if (rank == 0) print '(a, i0, a, i0, a, z16.16)', 'parcels ', all_of(1), ', by ARG2000 ', all_of(2), ', bits ', total
  call MPI_Finalize()

contains

  !> Make a column that depends only on its number.
  pure subroutine make_column(number, air, aerosol)
    integer, intent(in) :: number              !! number of the column in the whole domain
    real(hk), intent(out) :: air(7)            !! wbar, sigw, wdiab, wminf, wmaxf [m s-1], tair [K], rhoair [kg m-3]
    real(hk), intent(out) :: aerosol(:, :)     !! na [m-3], volume [m3 m-3], hygro [1] (mode, quantity)
    real(hk) :: radius(n_modes), u
    integer :: m

    u = modulo(real(number, hk)*0.6180339887_hk, 1.0_hk)
    air = [0.005_hk*2000.0_hk**u, merge(0.3_hk, 0.0_hk, modulo(number, 5) == 0), 0.0_hk, 0.0_hk, 10.0_hk, &
           250.0_hk + 50.0_hk*modulo(7.0_hk*u, 1.0_hk), 0.7_hk + 0.5_hk*modulo(11.0_hk*u, 1.0_hk)]
    do m = 1, n_modes
      radius(m) = real(sqrt(lower(radius_at + m - 1)*upper(radius_at + m - 1)), hk)
      aerosol(m, 1) = real(lower(number_at + m - 1)*(upper(number_at + m - 1)/lower(number_at + m - 1))** &
                           modulo(13.0_hk*u, 1.0_hk), hk)
      aerosol(m, 3) = real(sqrt(lower(kappa_at + m - 1)*upper(kappa_at + m - 1)), hk)
    end do
    aerosol(:, 2) = aerosol(:, 1)*4.1887902047863905_hk*radius**3*exp(4.5_hk*log(sigma)**2)

  end subroutine make_column

end program mpi_host
