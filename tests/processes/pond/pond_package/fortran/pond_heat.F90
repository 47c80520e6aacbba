!> The head of the emulator: the heat that each layer loses.
module pond_heat
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: heat_loss

contains

  !> Heat loss of the layers.
  pure subroutine heat_loss(ncol, cooling, depth, heat)
    integer, intent(in) :: ncol                      !! number of columns
    real(real64), intent(in) :: cooling(ncol, 2)     !! [K] (column, layer)
    real(real64), intent(in) :: depth(2)             !! [m] (layer)
    real(real64), intent(out) :: heat(ncol, 2)       !! [MJ m-2] (column, layer)
    integer :: layer

    do layer = 1, 2
      heat(:, layer) = 4.2_real64*cooling(:, layer)*depth(layer)
    end do

  end subroutine heat_loss

end module pond_heat
