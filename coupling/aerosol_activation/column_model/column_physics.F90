!> The physics around activation: prescribed updrafts, relaxation and scavenging of aerosol, droplets and albedo.
!>
!> All processes are local to a column and simple on purpose: they show the effect of an activation scheme on a host.
module column_physics
  use, intrinsic :: iso_fortran_env, only: real64, int64
  use emufort_runtime, only: status_type, network_workspace_type => workspace_type, emufort_success
  use emufort_aerosol_contract, only: aerosol_modes, aerosol_sigma
  use emufort_aerosol_activation, only: activation_type, activation_counts_type, activation_n_counts
  use parcel_integrator, only: solve_parcel, parcel_result_type, status_peak
  use parcel_thermodynamics, only: kelvin_length
  use lognormal_bins, only: lognormal_cells
  use rodas_step, only: workspace_type
  use contract_constants, only: constants, constants_of_parcel, options_of_parcel
  implicit none
  private

  public :: columns_type, allocate_columns, history_type, allocate_history, updraft_at, activate_chunk, age_aerosol
  public :: parcel_truth, cloud_albedo, volume_of, radius_of
  public :: n_modes, sigma

  integer, parameter :: dp = real64, n_modes = aerosol_modes
  real(dp), parameter :: sigma(n_modes) = aerosol_sigma   !! widths of the modes [1]
  real(dp), parameter :: pi = 3.14159265358979323846_dp
  real(dp), parameter :: renewal_time = 21600.0_dp       ! relaxation of the aerosol towards its prescribed number [s]
  real(dp), parameter :: scavenging_time = 14400.0_dp    ! of activated aerosol [s]
  !> Columns of one process. Only `number` and `volume` change with time.
  type :: columns_type
    integer :: n = 0, n_levels = 0
    real(dp), allocatable :: temperature(:, :)       !! [K] (column, level)
    real(dp), allocatable :: pressure(:, :)          !! [Pa] (column, level)
    real(dp), allocatable :: thickness(:, :)         !! of the layer [m] (column, level)
    real(dp), allocatable :: liquid(:, :)            !! liquid water content [kg m-3] (column, level)
    real(dp), allocatable :: updraft(:, :)           !! mean over time [m s-1] (column, level)
    real(dp), allocatable :: variation(:, :)         !! of ln updraft in time [1] (column, 1)
    real(dp), allocatable :: period(:, :)            !! of this variation [s] (column, 1)
    real(dp), allocatable :: phase(:, :)             !! of this variation [rad] (column, 1)
    real(dp), allocatable :: target_number(:, :, :)  !! prescribed number [m-3] (column, level, mode)
    real(dp), allocatable :: radius(:, :, :)         !! prescribed number-median radius [m] (column, level, mode)
    real(dp), allocatable :: kappa(:, :, :)          !! hygroscopicity [1] (column, level, mode)
    real(dp), allocatable :: number(:, :, :)         !! [m-3] (column, level, mode)
    real(dp), allocatable :: volume(:, :, :)         !! [m3 m-3] (column, level, mode)
  end type columns_type

  !> What a host writes into its history about the answers of a scheme.
  type :: history_type
    real(dp), allocatable :: smax(:, :)         !! maximum supersaturation of the last step [1] (column, level)
    integer, allocatable :: answered_by(:, :)   !! who gave it, one of the codes of the scheme (column, level)
    integer, allocatable :: counts(:, :)        !! counts of the scheme since the last output (column, count)
  end type history_type

contains

  !> Allocate the history of a process.
  subroutine allocate_history(history, n, n_levels)
    type(history_type), intent(out) :: history   !! allocated, zero
    integer, intent(in) :: n, n_levels           !! columns, levels

    allocate (history%smax(n, n_levels), source=0.0_dp)
    allocate (history%answered_by(n, n_levels), history%counts(n, activation_n_counts), source=0)

  end subroutine allocate_history

  !> Allocate the columns of a process.
  subroutine allocate_columns(columns, n, n_levels)
    type(columns_type), intent(out) :: columns   !! allocated, values undefined
    integer, intent(in) :: n, n_levels           !! columns, levels

    columns%n = n
    columns%n_levels = n_levels
    allocate (columns%temperature(n, n_levels), columns%pressure(n, n_levels), columns%thickness(n, n_levels), &
              columns%liquid(n, n_levels), columns%updraft(n, n_levels))
    allocate (columns%variation(n, 1), columns%period(n, 1), columns%phase(n, 1))
    allocate (columns%target_number(n, n_levels, n_modes), columns%radius(n, n_levels, n_modes), &
              columns%kappa(n, n_levels, n_modes), columns%number(n, n_levels, n_modes), &
              columns%volume(n, n_levels, n_modes))

  end subroutine allocate_columns

  !> Return the updraft of a column and level at a time [m s-1].
  pure real(dp) function updraft_at(columns, i, k, time)
    type(columns_type), intent(in) :: columns   !! of this process
    integer, intent(in) :: i, k                 !! column, level
    real(dp), intent(in) :: time                !! [s]

    updraft_at = columns%updraft(i, k)*exp(columns%variation(i, 1)*sin(2.0_dp*pi*time/columns%period(i, 1) + &
                                                                       columns%phase(i, 1) + 0.3_dp*real(k, dp)))

  end function updraft_at

  !> Return the volume concentration of a mode [m3 m-3].
  pure elemental real(dp) function volume_of(number, radius, width)
    real(dp), intent(in) :: number, radius, width   !! [m-3], number-median [m], geometric standard deviation [1]

    volume_of = number*(4.0_dp/3.0_dp)*pi*radius**3*exp(4.5_dp*log(width)**2)

  end function volume_of

  !> Return the number-median radius of a mode [m].
  pure elemental real(dp) function radius_of(number, volume, width)
    real(dp), intent(in) :: number, volume, width   !! [m-3], [m3 m-3], geometric standard deviation [1]

    radius_of = (volume/volume_of(number, 1.0_dp, width))**(1.0_dp/3.0_dp)

  end function radius_of

  !> Compute the activated fractions of a chunk of columns with all levels, as a host calls a scheme.
  subroutine activate_chunk(columns, scheme, first, n, time, fn, fm, counts, workspace, history)
    type(columns_type), intent(in) :: columns                                !! of this process
    type(activation_type), intent(in) :: scheme                              !! after init
    integer, intent(in) :: first                                             !! columns before the chunk
    integer, intent(in) :: n                                                 !! columns of the chunk
    real(dp), intent(in) :: time                                             !! [s]
    real(dp), intent(inout) :: fn(:, :, :)                                   !! [1] (column, level, mode)
    real(dp), intent(inout) :: fm(:, :, :)                                   !! [1] (column, level, mode)
    type(activation_counts_type), intent(inout) :: counts                    !! counts are added to it
    type(network_workspace_type), intent(inout) :: workspace                 !! of this thread
    type(history_type), intent(inout), optional :: history                   !! counts are added to it
    real(dp) :: w(n, columns%n_levels), zero(n, columns%n_levels), most(n, columns%n_levels), &
                density(n, columns%n_levels), full(n, columns%n_levels), &
                number_part(n, columns%n_levels, n_modes), mass_part(n, columns%n_levels, n_modes), &
                number_flux(n, columns%n_levels, n_modes), mass_flux(n, columns%n_levels, n_modes), &
                smax(n, columns%n_levels)
    integer :: answered_by(n, columns%n_levels), column_counts(n, activation_n_counts)
    type(activation_counts_type) :: part
    type(status_type) :: status
    integer :: i, k

    do k = 1, columns%n_levels
      do i = 1, n
        w(i, k) = updraft_at(columns, first + i, k, time)
        density(i, k) = columns%pressure(first + i, k)/(constants%gas_constant_air*columns%temperature(first + i, k))
      end do
    end do
    zero = 0.0_dp
    most = 10.0_dp
    associate (last => first + n)
      call scheme%activate(n, n, columns%n_levels, n_modes, w, zero, zero, zero, most, &
                           columns%temperature(first + 1:last, :), density, columns%number(first + 1:last, :, :), &
                           columns%volume(first + 1:last, :, :), columns%kappa(first + 1:last, :, :), number_part, &
                           mass_part, number_flux, mass_flux, full, status, part, workspace=workspace, &
                           column_counts=column_counts, smax=smax, answered_by=answered_by)
      fn(first + 1:last, :, :) = number_part
      fm(first + 1:last, :, :) = mass_part
      if (present(history)) then
        history%smax(first + 1:last, :) = smax
        history%answered_by(first + 1:last, :) = answered_by
        history%counts(first + 1:last, :) = history%counts(first + 1:last, :) + column_counts
      end if
    end associate
    if (status%code /= emufort_success) part%n_bad = part%n_bad + n
    call counts%add(part)

  end subroutine activate_chunk

  !> Advance the aerosol of a chunk by one time step: relaxation towards the prescribed values, scavenging of activated
  !> aerosol.
  subroutine age_aerosol(columns, first, n, time, step, fn, fm)
    type(columns_type), intent(inout) :: columns   !! of this process
    integer, intent(in) :: first                   !! columns before the chunk
    integer, intent(in) :: n                       !! columns of the chunk
    real(dp), intent(in) :: time                   !! [s]
    real(dp), intent(in) :: step                   !! [s]
    real(dp), intent(in) :: fn(:, :, :)            !! activated number fraction [1] (column, level, mode)
    real(dp), intent(in) :: fm(:, :, :)            !! activated mass fraction [1] (column, level, mode)
    real(dp) :: wanted, season
    integer :: i, k, m

    do m = 1, n_modes
      do k = 1, columns%n_levels
        do i = first + 1, first + n
          season = 1.0_dp + 0.5_dp*sin(2.0_dp*pi*time/43200.0_dp + columns%phase(i, 1))
          wanted = season*columns%target_number(i, k, m)
          columns%number(i, k, m) = (columns%number(i, k, m) + step/renewal_time*wanted)/ &
                                    (1.0_dp + step/renewal_time + step/scavenging_time*fn(i, k, m))
          columns%volume(i, k, m) = (columns%volume(i, k, m) + step/renewal_time* &
                                     volume_of(wanted, columns%radius(i, k, m), sigma(m)))/ &
                                    (1.0_dp + step/renewal_time + step/scavenging_time*fm(i, k, m))
        end do
      end do
    end do

  end subroutine age_aerosol

  !> Compute the droplets of one parcel with the parcel model; status 0 if it found a peak.
  subroutine parcel_truth(work, n_bins, temperature, pressure, updraft, number, volume, kappa, droplets, status)
    type(workspace_type), intent(inout) :: work                 !! for n_modes*n_bins bins
    integer, intent(in) :: n_bins                               !! bins per mode
    real(dp), intent(in) :: temperature, pressure, updraft      !! [K], [Pa], [m s-1]
    real(dp), intent(in) :: number(n_modes), volume(n_modes), kappa(n_modes)   !! [m-3], [m3 m-3], [1] (mode)
    real(dp), intent(out) :: droplets                           !! [m-3]
    integer, intent(out) :: status                              !! 0: a peak was found
    type(parcel_result_type) :: found
    real(dp) :: radius(n_modes), critical
    integer :: m, at

    radius = radius_of(number, volume, sigma)
    do m = 1, n_modes
      at = (m - 1)*n_bins
      call lognormal_cells(n_bins, number(m), radius(m), sigma(m), 5.0_dp, work%dry_radius(at + 1:at + n_bins), &
                           work%number(at + 1:at + n_bins))
      work%hygroscopicity(at + 1:at + n_bins) = kappa(m)
    end do
    call solve_parcel(work, temperature, pressure, updraft, constants_of_parcel, options_of_parcel, found)
    status = found%status - status_peak
    droplets = 0.0_dp
    if (status /= 0) return
    do m = 1, n_modes
      critical = 4.0_dp*kelvin_length(temperature, constants_of_parcel)**3/(27.0_dp*kappa(m)*radius(m)**3)
      droplets = droplets + number(m)*0.5_dp*erfc(log(critical/found%max_supersaturation**2)/ &
                                                  (3.0_dp*sqrt(2.0_dp)*log(sigma(m))))
    end do

  end subroutine parcel_truth

  !> Return the albedo of a column of clouds [1]: optical depth from liquid water and droplets, two-stream approximation
  !> without absorption.
  pure real(dp) function cloud_albedo(columns, i, droplets)
    type(columns_type), intent(in) :: columns    !! of this process
    integer, intent(in) :: i                     !! column
    real(dp), intent(in) :: droplets(:)          !! [m-3] (level)
    real(dp), parameter :: asymmetry = 0.85_dp, breadth = 0.8_dp, least = 1.0e6_dp
    real(dp) :: depth, radius
    integer :: k

    depth = 0.0_dp
    do k = 1, columns%n_levels
      radius = (3.0_dp*columns%liquid(i, k)/(4.0_dp*pi*constants%density_water*breadth*max(droplets(k), least))) &
               **(1.0_dp/3.0_dp)
      if (columns%liquid(i, k) > 0.0_dp) depth = depth + 1.5_dp*columns%liquid(i, k)*columns%thickness(i, k)/ &
                                                 (constants%density_water*radius)
    end do
    cloud_albedo = (1.0_dp - asymmetry)*depth/(2.0_dp + (1.0_dp - asymmetry)*depth)

  end function cloud_albedo

end module column_physics
