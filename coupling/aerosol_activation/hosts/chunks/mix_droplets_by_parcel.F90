!> The caller before the conversion: one call of `activate_modal` for every parcel, inside the loop over columns.
module mix_droplets_by_parcel
  use host_columns, only: r8, nmode, host_columns_type, load_aerosol
  use cloud_layers, only: column_type, begin_column, cloud_growth, shrink, grow, is_cloud_base, enter_from_below, &
                          evaporate, mix_column, end_column, least_cloud
  implicit none
  private

  public :: mix_by_parcel, activate_one_parcel

  abstract interface
    !> The required arguments of `activate_modal`.
    subroutine activate_one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                   fluxn, fluxm, flux_fullact)
      import :: r8
      real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf    !! [m s-1]
      real(r8), intent(in) :: tair, rhoair                       !! [K], [kg m-3]
      real(r8), intent(in) :: na(:), volume(:), hygro(:)         !! [m-3], [m3 m-3], [1] (mode)
      integer, intent(in) :: nmode                               !! number of modes
      real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:)  !! [1], [1], [m s-1], [m s-1] (mode)
      real(r8), intent(out) :: flux_fullact                      !! [m s-1]
    end subroutine activate_one_parcel
  end interface

contains

  !> Advance the clouds of a chunk by one time step.
  subroutine mix_by_parcel(host, time_step, activate, n_parcels)
    type(host_columns_type), intent(inout) :: host    !! a chunk
    real(r8), intent(in) :: time_step                 !! [s]
    procedure(activate_one_parcel) :: activate        !! the activation scheme
    integer, intent(out) :: n_parcels                 !! number of calls
    type(column_type) :: column
    real(r8), dimension(nmode) :: na, volume, hygro, fn, fm, fluxn, fluxm
    real(r8) :: flux_fullact
    integer :: i, k

    n_parcels = 0
    do i = 1, host%ncol
      call begin_column(host, i, column)

      do k = 1, host%pver
        call shrink(host, i, k, column)
        if (cloud_growth(host, i, k) > least_cloud) then
          call load_aerosol(host, i, k, na, volume, hygro)
          call activate(host%updraft(i, k), 0.0_r8, 0.0_r8, 0.0_r8, 10.0_r8, host%temperature(i, k), &
                        host%density(i, k), na, nmode, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact)
          n_parcels = n_parcels + 1
          call grow(host, i, k, fn, fm, column)
        end if
      end do

      do k = 1, host%pver - 1
        if (host%cloud(i, k) <= least_cloud) then
          call evaporate(k, column)
        else if (is_cloud_base(host, i, k)) then
          call load_aerosol(host, i, k + 1, na, volume, hygro)
          call activate(host%updraft(i, k), 0.0_r8, 0.0_r8, 0.0_r8, 10.0_r8, host%temperature(i, k), &
                        host%density(i, k), na, nmode, volume, hygro, fn, fm, fluxn, fluxm, flux_fullact)
          n_parcels = n_parcels + 1
          call enter_from_below(host, i, k, fluxn, fluxm, column)
        end if
      end do

      call mix_column(host, i, time_step, column)
      call end_column(column, i, host)
    end do

  end subroutine mix_by_parcel

end module mix_droplets_by_parcel
