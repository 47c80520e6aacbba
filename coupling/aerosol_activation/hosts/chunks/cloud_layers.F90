!> What the caller does with activated fractions: growth, decay and mixing of clouds in one column.
!>
!> Both versions of the caller, `mix_droplets_by_parcel` and `mix_droplets_by_chunk`, use these procedures unchanged.
module cloud_layers
  use host_columns, only: r8, nmode, host_columns_type
  implicit none
  private

  public :: column_type, begin_column, cloud_growth, shrink, grow, is_cloud_base, enter_from_below, evaporate, &
            mix_column, end_column, least_cloud

  real(r8), parameter :: least_cloud = 0.01_r8   !! smaller cloud fractions and changes of them do not activate [1]

  !> A column that changes during the time step.
  type :: column_type
    real(r8), allocatable :: droplets(:)            !! [kg-1] (level)
    real(r8), allocatable :: number(:, :)           !! interstitial aerosol number [kg-1] (level, mode)
    real(r8), allocatable :: volume(:, :)           !! interstitial aerosol volume [m3 kg-1] (level, mode)
    real(r8), allocatable :: cloud_number(:, :)     !! cloud-borne aerosol number [kg-1] (level, mode)
    real(r8), allocatable :: cloud_volume(:, :)     !! cloud-borne aerosol volume [m3 kg-1] (level, mode)
    real(r8), allocatable :: exchange(:)            !! velocity of mixing with the layer below [m s-1] (level)
    real(r8), allocatable :: number_rate(:, :)      !! activated share of the layer below per time [s-1] (level, mode)
    real(r8), allocatable :: volume_rate(:, :)      !! the same for the volume [s-1] (level, mode)
  end type column_type

contains

  !> Copy a column of the host.
  subroutine begin_column(host, i, column)
    type(host_columns_type), intent(in) :: host      !! a chunk
    integer, intent(in) :: i                         !! column
    type(column_type), intent(inout) :: column       !! set
    integer :: k

    column%droplets = host%droplets(i, :)
    column%number = host%number(i, :, :)
    column%volume = host%volume(i, :, :)
    column%cloud_number = host%cloud_number(i, :, :)
    column%cloud_volume = host%cloud_volume(i, :, :)
    if (.not. allocated(column%exchange)) &
      allocate (column%exchange(host%pver), column%number_rate(host%pver, nmode), column%volume_rate(host%pver, nmode))
    column%number_rate = 0.0_r8
    column%volume_rate = 0.0_r8
    column%exchange = 0.0_r8
    do k = 1, host%pver - 1
      column%exchange(k) = 2.0_r8*host%diffusivity(i, k)/(host%thickness(i, k) + host%thickness(i, k + 1))
    end do

  end subroutine begin_column

  !> Return the increase of the cloud fraction of a layer [1].
  pure real(r8) function cloud_growth(host, i, k)
    type(host_columns_type), intent(in) :: host   !! a chunk
    integer, intent(in) :: i, k                   !! column, level

    cloud_growth = host%cloud(i, k) - host%old_cloud(i, k)

  end function cloud_growth

  !> Return whether cloudy air of a layer lies above clear air of the layer below.
  pure logical function is_cloud_base(host, i, k)
    type(host_columns_type), intent(in) :: host   !! a chunk
    integer, intent(in) :: i, k                   !! column, level

    is_cloud_base = host%cloud(i, k) > least_cloud .and. host%cloud(i, k) - host%cloud(i, k + 1) > least_cloud

  end function is_cloud_base

  !> Release aerosol and remove droplets where the cloud fraction decreases.
  subroutine shrink(host, i, k, column)
    type(host_columns_type), intent(in) :: host   !! a chunk
    integer, intent(in) :: i, k                   !! column, level
    type(column_type), intent(inout) :: column    !! of that column
    real(r8) :: share, moved
    integer :: m

    if (host%cloud(i, k) >= host%old_cloud(i, k)) return
    share = 1.0_r8 - host%cloud(i, k)/host%old_cloud(i, k)
    column%droplets(k) = column%droplets(k)*(1.0_r8 - share)
    do m = 1, nmode
      moved = share*column%cloud_number(k, m)
      column%cloud_number(k, m) = column%cloud_number(k, m) - moved
      column%number(k, m) = column%number(k, m) + moved
      moved = share*column%cloud_volume(k, m)
      column%cloud_volume(k, m) = column%cloud_volume(k, m) - moved
      column%volume(k, m) = column%volume(k, m) + moved
    end do

  end subroutine shrink

  !> Activate the aerosol of the part of a layer that becomes cloudy.
  subroutine grow(host, i, k, fn, fm, column)
    type(host_columns_type), intent(in) :: host    !! a chunk
    integer, intent(in) :: i, k                    !! column, level
    real(r8), intent(in) :: fn(nmode), fm(nmode)   !! activated fractions [1] (mode)
    type(column_type), intent(inout) :: column     !! of that column
    real(r8) :: growth, moved
    integer :: m

    growth = cloud_growth(host, i, k)
    do m = 1, nmode
      moved = growth*fn(m)*host%number(i, k, m)
      column%droplets(k) = column%droplets(k) + moved
      column%cloud_number(k, m) = column%cloud_number(k, m) + moved
      column%number(k, m) = column%number(k, m) - moved
      moved = growth*fm(m)*host%volume(i, k, m)
      column%cloud_volume(k, m) = column%cloud_volume(k, m) + moved
      column%volume(k, m) = column%volume(k, m) - moved
    end do

  end subroutine grow

  !> Set the rates at which aerosol of the layer below enters a cloud base and activates.
  subroutine enter_from_below(host, i, k, fluxn, fluxm, column)
    type(host_columns_type), intent(in) :: host          !! a chunk
    integer, intent(in) :: i, k                          !! column, level
    real(r8), intent(in) :: fluxn(nmode), fluxm(nmode)   !! fluxes of the fractions into cloud [m s-1] (mode)
    type(column_type), intent(inout) :: column           !! of that column
    real(r8) :: share
    integer :: m

    column%exchange(k) = host%updraft(i, k)
    share = host%cloud(i, k) - host%cloud(i, k + 1)
    do m = 1, nmode
      column%number_rate(k, m) = share*fluxn(m)/host%thickness(i, k)
      column%volume_rate(k, m) = share*fluxm(m)/host%thickness(i, k)
    end do

  end subroutine enter_from_below

  !> Release all cloud-borne aerosol of a layer without cloud.
  subroutine evaporate(k, column)
    integer, intent(in) :: k                     !! level
    type(column_type), intent(inout) :: column   !! changed at that level

    column%droplets(k) = 0.0_r8
    column%number(k, :) = column%number(k, :) + column%cloud_number(k, :)
    column%volume(k, :) = column%volume(k, :) + column%cloud_volume(k, :)
    column%cloud_number(k, :) = 0.0_r8
    column%cloud_volume(k, :) = 0.0_r8

  end subroutine evaporate

  !> Mix droplets and aerosol of a column with activation at cloud bases, in explicit substeps.
  subroutine mix_column(host, i, time_step, column)
    type(host_columns_type), intent(in) :: host   !! a chunk
    integer, intent(in) :: i                      !! column
    real(r8), intent(in) :: time_step             !! [s]
    type(column_type), intent(inout) :: column    !! mixed
    real(r8), dimension(host%pver) :: down, up, overlap_down, overlap_up, source, sum_of_sources
    real(r8) :: dt
    integer :: k, m, step, n_steps

    do k = 1, host%pver
      down(k) = column%exchange(k)/host%thickness(i, k)
      up(k) = 0.0_r8
      if (k > 1) up(k) = column%exchange(k - 1)/host%thickness(i, k)
      overlap_down(k) = overlap(k, min(k + 1, host%pver))
      overlap_up(k) = overlap(k, max(k - 1, 1))
    end do
    do m = 1, nmode
      column%number_rate(:, m) = min(column%number_rate(:, m), down)
      column%volume_rate(:, m) = min(column%volume_rate(:, m), down)
    end do
    n_steps = min(100, 1 + int(time_step*maxval(down + up)/0.9_r8))
    dt = time_step/real(n_steps, r8)
    do step = 1, n_steps
      sum_of_sources = 0.0_r8
      do m = 1, nmode
        call sources(column%number_rate(:, m), column%number(:, m))
        sum_of_sources = sum_of_sources + source
        call move(column%number(:, m), column%cloud_number(:, m))
        call sources(column%volume_rate(:, m), column%volume(:, m))
        call move(column%volume(:, m), column%cloud_volume(:, m))
      end do
      source = sum_of_sources
      call mix_cloudy(column%droplets)
    end do

  contains

    !> Return the share of the cloud of layer k that touches the cloud of another layer, for maximum overlap [1].
    pure real(r8) function overlap(k, other)
      integer, intent(in) :: k, other   !! levels

      overlap = 1.0_r8
      if (host%cloud(i, other) > 1.0e-10_r8) overlap = min(host%cloud(i, k)/host%cloud(i, other), 1.0_r8)

    end function overlap

    !> Compute the activation of aerosol of the layer below.
    subroutine sources(rate, interstitial)
      real(r8), intent(in) :: rate(:), interstitial(:)   !! [s-1], mixing ratio (level)

      source(host%pver) = 0.0_r8
      do k = 1, host%pver - 1
        source(k) = rate(k)*interstitial(k + 1)
      end do

    end subroutine sources

    !> Advance an interstitial mixing ratio and its cloud-borne counterpart by one substep.
    subroutine move(interstitial, cloudy)
      real(r8), intent(inout) :: interstitial(:), cloudy(:)   !! mixing ratios (level)
      real(r8) :: before(host%pver)
      integer :: below, above

      before = interstitial
      do k = 1, host%pver
        below = min(k + 1, host%pver)
        above = max(k - 1, 1)
        interstitial(k) = before(k) + &
                          dt*(down(k)*(before(below) - before(k) + cloudy(below)*(1.0_r8 - overlap_down(k))) + &
                              up(k)*(before(above) - before(k) + cloudy(above)*(1.0_r8 - overlap_up(k))) - source(k))
        interstitial(k) = max(interstitial(k), 0.0_r8)
      end do
      call mix_cloudy(cloudy)

    end subroutine move

    !> Advance a mixing ratio of cloudy air by one substep.
    subroutine mix_cloudy(cloudy)
      real(r8), intent(inout) :: cloudy(:)   !! mixing ratio (level)
      real(r8) :: before(host%pver)

      before = cloudy
      do k = 1, host%pver
        cloudy(k) = before(k) + dt*(down(k)*(overlap_down(k)*before(min(k + 1, host%pver)) - before(k)) + &
                                    up(k)*(overlap_up(k)*before(max(k - 1, 1)) - before(k)) + source(k))
        cloudy(k) = max(cloudy(k), 0.0_r8)
      end do

    end subroutine mix_cloudy

  end subroutine mix_column

  !> Copy a column back to the host.
  subroutine end_column(column, i, host)
    type(column_type), intent(in) :: column          !! mixed
    integer, intent(in) :: i                         !! column
    type(host_columns_type), intent(inout) :: host   !! a chunk

    host%droplets(i, :) = column%droplets
    host%number(i, :, :) = column%number
    host%volume(i, :, :) = column%volume
    host%cloud_number(i, :, :) = column%cloud_number
    host%cloud_volume(i, :, :) = column%cloud_volume

  end subroutine end_column

end module cloud_layers
