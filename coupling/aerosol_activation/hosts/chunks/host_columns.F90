!> Stand-in of a host's state: a chunk of columns with clouds, interstitial and cloud-borne modal aerosol.
!>
!> Levels count from the top, as in E3SM and CAM. Aerosol and droplets are mixing ratios per mass of air.
module host_columns
  use, intrinsic :: iso_fortran_env, only: r8 => real64
  use emufort_aerosol_contract, only: nmode => aerosol_modes, sigma => aerosol_sigma, lower => aerosol_lower, &
                                      upper => aerosol_upper, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at
  implicit none
  private

  public :: r8, nmode, host_columns_type, make_columns, load_aerosol

  !> A chunk of columns; arrays have the shape (column, level) or (column, level, mode).
  type :: host_columns_type
    integer :: ncol = 0, pver = 0
    real(r8), allocatable, dimension(:, :) :: temperature    !! [K]
    real(r8), allocatable, dimension(:, :) :: density        !! of air [kg m-3]
    real(r8), allocatable, dimension(:, :) :: thickness      !! of the layer [m]
    real(r8), allocatable, dimension(:, :) :: updraft        !! of the subgrid turbulence [m s-1]
    real(r8), allocatable, dimension(:, :) :: diffusivity    !! at the lower interface of the layer [m2 s-1]
    real(r8), allocatable, dimension(:, :) :: old_cloud      !! cloud fraction of the step before [1]
    real(r8), allocatable, dimension(:, :) :: cloud          !! cloud fraction [1]
    real(r8), allocatable, dimension(:, :) :: droplets       !! [kg-1]
    real(r8), allocatable, dimension(:, :, :) :: number      !! interstitial aerosol number [kg-1]
    real(r8), allocatable, dimension(:, :, :) :: volume      !! interstitial aerosol volume [m3 kg-1]
    real(r8), allocatable, dimension(:, :, :) :: hygro       !! hygroscopicity [1]
    real(r8), allocatable, dimension(:, :, :) :: cloud_number   !! cloud-borne aerosol number [kg-1]
    real(r8), allocatable, dimension(:, :, :) :: cloud_volume   !! cloud-borne aerosol volume [m3 kg-1]
  end type host_columns_type

  ! Limits of the mean volume of a particle, to which hosts clip the number of a mode [m3].
  real(r8), parameter :: pi = 3.14159265358979323846_r8
  real(r8), parameter :: moment(nmode) = 4.0_r8/3.0_r8*pi*exp(4.5_r8*log(sigma)**2)
  real(r8), parameter :: least_volume(nmode) = moment*lower(radius_at:radius_at + nmode - 1)**3
  real(r8), parameter :: most_volume(nmode) = moment*upper(radius_at:radius_at + nmode - 1)**3

contains

  !> Compute number, volume and hygroscopicity of the interstitial modes of a layer, per volume of air.
  pure subroutine load_aerosol(host, i, k, na, volume, hygro)
    type(host_columns_type), intent(in) :: host   !! a chunk
    integer, intent(in) :: i, k                   !! column, level
    real(r8), intent(out) :: na(nmode)            !! [m-3] (mode)
    real(r8), intent(out) :: volume(nmode)        !! [m3 m-3] (mode)
    real(r8), intent(out) :: hygro(nmode)         !! [1] (mode)
    integer :: m

    do m = 1, nmode
      volume(m) = max(host%volume(i, k, m), 0.0_r8)*host%density(i, k)
      hygro(m) = host%hygro(i, k, m)
      na(m) = host%number(i, k, m)*host%density(i, k)
      na(m) = min(max(na(m), volume(m)/most_volume(m)), volume(m)/least_volume(m))
    end do

  end subroutine load_aerosol

  !> Make columns with up to three layers of cloud that grow, shrink or stay, and aerosol within the emulator's range.
  subroutine make_columns(host, ncol, pver)
    type(host_columns_type), intent(out) :: host   !! a chunk
    integer, intent(in) :: ncol, pver              !! columns, levels
    real(r8) :: height, above, pressure, pollution
    integer :: i, k, m, layer, top, depth

    host%ncol = ncol
    host%pver = pver
    allocate (host%temperature(ncol, pver), host%density(ncol, pver), host%thickness(ncol, pver), &
              host%updraft(ncol, pver), host%diffusivity(ncol, pver))
    allocate (host%old_cloud(ncol, pver), host%cloud(ncol, pver), host%droplets(ncol, pver), source=0.0_r8)
    allocate (host%number(ncol, pver, nmode), host%volume(ncol, pver, nmode), host%hygro(ncol, pver, nmode), &
              host%cloud_number(ncol, pver, nmode), host%cloud_volume(ncol, pver, nmode))
    do i = 1, ncol
      pollution = random(i, 1)
      do k = 1, pver
        height = 5.0e3_r8*(real(pver - k, r8) + 0.5_r8)/real(pver, r8)
        pressure = 1.0e5_r8*exp(-height/8.0e3_r8)
        host%temperature(i, k) = 280.0_r8 + 20.0_r8*random(i, 2) - 6.0e-3_r8*height
        host%density(i, k) = pressure/(287.04_r8*host%temperature(i, k))
        host%thickness(i, k) = 5.0e3_r8/real(pver, r8)
        host%updraft(i, k) = 0.2_r8 + 0.8_r8*random(i, 3 + k)
        host%diffusivity(i, k) = merge(0.0_r8, 1.0_r8 + 20.0_r8*random(i, 3 + k), k == pver)
        do m = 1, nmode
          above = random(i + m, 5)
          host%number(i, k, m) = between(number_at + m - 1, 0.3_r8 + 0.5_r8*pollution)*exp(-height/4.0e3_r8)/ &
                                 host%density(i, k)
          host%volume(i, k, m) = host%number(i, k, m)*moment(m)*between(radius_at + m - 1, 0.2_r8 + 0.6_r8*above)**3
          host%hygro(i, k, m) = between(kappa_at + m - 1, 0.2_r8 + 0.6_r8*random(i + m, 6))
          host%cloud_number(i, k, m) = 0.0_r8
          host%cloud_volume(i, k, m) = 0.0_r8
        end do
      end do
      do layer = 1, 1 + modulo(i, 3)
        top = 2 + int(random(i, 7 + layer)*real(pver - 3, r8))
        depth = int(random(i, 11 + layer)*0.15_r8*real(pver, r8))
        do k = top, min(top + depth, pver - 1)
          host%old_cloud(i, k) = 0.9_r8*random(i, 15 + layer)
          host%cloud(i, k) = 0.9_r8*random(i, 19 + layer)
        end do
      end do
      do k = 1, pver
        if (host%old_cloud(i, k) <= 0.0_r8) cycle
        host%cloud_number(i, k, :) = 0.3_r8*host%old_cloud(i, k)*host%number(i, k, :)
        host%cloud_volume(i, k, :) = 0.3_r8*host%old_cloud(i, k)*host%volume(i, k, :)
        host%droplets(i, k) = sum(host%cloud_number(i, k, :))
      end do
    end do

  end subroutine make_columns

  !> Return a value between the ends of the range of an input, on a logarithmic scale.
  pure real(r8) function between(input, share)
    integer, intent(in) :: input      !! place in the contract
    real(r8), intent(in) :: share     !! 0: lower end, 1: upper end

    between = lower(input)*(upper(input)/lower(input))**share

  end function between

  !> Return a point of a fixed lattice in (0, 1), so that all compilers make the same columns.
  pure real(r8) function random(i, j)
    integer, intent(in) :: i, j   !! point, dimension

    random = modulo(real(i, r8)*1.22074408460576_r8**(-j) + 0.5_r8*real(j, r8)*0.618033988749895_r8, 1.0_r8)

  end function random

end module host_columns
