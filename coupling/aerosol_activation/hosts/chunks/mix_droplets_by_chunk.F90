!> The caller after the conversion: the arguments of all calls are gathered first, one call computes all parcels, and
!> the loop over columns takes the results from where they were put.
!>
!> This is possible because no argument of a call depends on the result of another call: the aerosol that activates is
!> that of the host's state before the step.
module mix_droplets_by_chunk
  use host_columns, only: r8, nmode, host_columns_type, load_aerosol
  use cloud_layers, only: column_type, begin_column, cloud_growth, shrink, grow, is_cloud_base, enter_from_below, &
                          evaporate, mix_column, end_column, least_cloud
  use emufort_host, only: emufort_host_activate, emufort_host_n_counts
  implicit none
  private

  public :: mix_by_chunk, parcels_type

  !> Arguments and results of the parcels of one call, with the shape (parcel) or (parcel, mode). A host allocates them
  !> once, because automatic arrays of this size may overflow the stack.
  type :: parcels_type
    private
    integer :: most = 0   ! parcels for which there is space
    integer :: n = 0      ! parcels
    integer, allocatable :: growing(:, :), base(:, :)             ! places of the parcels; 0: none (column, level)
    real(r8), allocatable, dimension(:) :: w, zero, w_most, temperature, density, flux_fullact
    real(r8), allocatable, dimension(:, :) :: na, volume, hygro, fn, fm, fluxn, fluxm
    integer, allocatable :: counts(:, :)                          ! counts of the scheme (parcel, count)
  contains
    procedure :: create
    procedure, private :: add
  end type parcels_type

contains

  !> Allocate space for the parcels of a number of columns: at most two per level.
  subroutine create(parcels, columns, levels)
    class(parcels_type), intent(inout) :: parcels   !! allocated
    integer, intent(in) :: columns, levels          !! columns per call, levels

    associate (most => parcels%most)
      most = 2*columns*levels
      allocate (parcels%w(most), parcels%temperature(most), parcels%density(most), parcels%flux_fullact(most))
      allocate (parcels%zero(most), source=0.0_r8)
      allocate (parcels%w_most(most), source=10.0_r8)
      allocate (parcels%na(most, nmode), parcels%volume(most, nmode), parcels%hygro(most, nmode))
      allocate (parcels%fn(most, nmode), parcels%fm(most, nmode), parcels%fluxn(most, nmode), &
                parcels%fluxm(most, nmode))
      allocate (parcels%counts(most, emufort_host_n_counts))
      allocate (parcels%growing(columns, levels), parcels%base(columns, levels))
    end associate

  end subroutine create

  !> Add a parcel with the air of one level and the aerosol of the same level or another one; return its place.
  integer function add(parcels, host, i, k, k_aerosol)
    class(parcels_type), intent(inout) :: parcels   !! after create
    type(host_columns_type), intent(in) :: host     !! a chunk
    integer, intent(in) :: i, k, k_aerosol          !! column, level of the air, level of the aerosol
    real(r8), dimension(nmode) :: na, volume, hygro

    parcels%n = parcels%n + 1
    add = parcels%n
    parcels%w(add) = host%updraft(i, k)
    parcels%temperature(add) = host%temperature(i, k)
    parcels%density(add) = host%density(i, k)
    call load_aerosol(host, i, k_aerosol, na, volume, hygro)
    parcels%na(add, :) = na
    parcels%volume(add, :) = volume
    parcels%hygro(add, :) = hygro

  end function add

  !> Advance the clouds of a chunk by one time step, with one call of the activation scheme for some columns.
  subroutine mix_by_chunk(host, time_step, columns_per_call, parcels, n_parcels, errmsg, errflg)
    type(host_columns_type), intent(inout) :: host   !! a chunk
    real(r8), intent(in) :: time_step                !! [s]
    integer, intent(in) :: columns_per_call          !! as in `create`
    type(parcels_type), intent(inout) :: parcels     !! after create
    integer, intent(out) :: n_parcels                !! number of parcels computed
    character(len=*), intent(out) :: errmsg          !! error message, empty for success
    integer, intent(out) :: errflg                   !! 0 for success
    type(column_type) :: column
    real(r8), dimension(nmode) :: fn, fm, fluxn, fluxm
    integer :: first, i, k, at

    n_parcels = 0
    do first = 0, host%ncol - 1, columns_per_call

      ! gather: the same loops and conditions as below, with `add` in place of the call
      parcels%n = 0
      parcels%growing = 0
      parcels%base = 0
      do i = first + 1, min(first + columns_per_call, host%ncol)
        do k = 1, host%pver
          if (cloud_growth(host, i, k) > least_cloud) parcels%growing(i - first, k) = parcels%add(host, i, k, k)
        end do
        do k = 1, host%pver - 1
          if (is_cloud_base(host, i, k)) parcels%base(i - first, k) = parcels%add(host, i, k, k + 1)
        end do
      end do

      ! one call: a list of parcels is a chunk of one level
      call emufort_host_activate(parcels%most, parcels%n, 1, nmode, parcels%w, parcels%zero, parcels%zero, &
                                 parcels%zero, parcels%w_most, parcels%temperature, parcels%density, parcels%na, &
                                 parcels%volume, parcels%hygro, parcels%fn, parcels%fm, parcels%fluxn, parcels%fluxm, &
                                 parcels%flux_fullact, parcels%counts, errmsg, errflg)
      if (errflg /= 0) return
      n_parcels = n_parcels + parcels%n

      ! scatter: the loop over columns as before, with the results of the parcel in place of the call
      do i = first + 1, min(first + columns_per_call, host%ncol)
        call begin_column(host, i, column)
        do k = 1, host%pver
          call shrink(host, i, k, column)
          at = parcels%growing(i - first, k)
          if (at > 0) then
            fn = parcels%fn(at, :)
            fm = parcels%fm(at, :)
            call grow(host, i, k, fn, fm, column)
          end if
        end do
        do k = 1, host%pver - 1
          at = parcels%base(i - first, k)
          if (host%cloud(i, k) <= least_cloud) then
            call evaporate(k, column)
          else if (at > 0) then
            fluxn = parcels%fluxn(at, :)
            fluxm = parcels%fluxm(at, :)
            call enter_from_below(host, i, k, fluxn, fluxm, column)
          end if
        end do
        call mix_column(host, i, time_step, column)
        call end_column(column, i, host)
      end do

    end do

  end subroutine mix_by_chunk

end module mix_droplets_by_chunk
