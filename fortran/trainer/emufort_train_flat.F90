!> Conversion between the parameters of the caller, a flat array with one layer after the other, and those of the
!> kernels, in panels.
module emufort_train_flat
  use emufort_kinds, only: wp, int32, int64
  use emufort_train_kernels, only: panel
  implicit none
  private

  public :: flat_size, padded64, to_panels, to_flat

  !> Every layer of a flat array starts at a multiple of this number.
  integer, parameter :: flat_alignment = 16

contains

  !> Return the length of a flat array of parameters: layer by layer (n_in + 1, n_out), the bias last, each at a
  !> multiple of 16.
  pure integer(int64) function flat_size(sizes)
    integer(int32), intent(in) :: sizes(0:)   !! number of inputs, neurons of each layer
    integer :: l

    flat_size = 0
    do l = 1, ubound(sizes, 1)
      flat_size = flat_size + padded64((int(sizes(l - 1), int64) + 1)*sizes(l))
    end do

  end function flat_size

  !> Return the next multiple of the alignment.
  pure integer(int64) function padded64(n)
    integer(int64), intent(in) :: n   !! a length

    padded64 = (n + flat_alignment - 1)/flat_alignment*flat_alignment

  end function padded64

  !> Copy a flat layer to panels.
  subroutine to_panels(n_in, n_out, room, flat, w, bias)
    integer, intent(in) :: n_in                        !! number of inputs
    integer, intent(in) :: n_out                       !! number of neurons
    integer, intent(in) :: room                        !! neurons with padding
    real(wp), intent(in) :: flat(n_in + 1, n_out)      !! weights (input, neuron), the bias last
    real(wp), intent(inout) :: w(panel, room, *)       !! panels (lane, neuron, panel)
    real(wp), intent(inout) :: bias(room)              !! biases
    integer :: j, q, first, m

    do q = 1, (n_in + panel - 1)/panel
      first = panel*(q - 1)
      m = min(panel, n_in - first)
      do j = 1, n_out
        w(1:m, j, q) = flat(first + 1:first + m, j)
      end do
    end do
    bias(1:n_out) = flat(n_in + 1, :)

  end subroutine to_panels

  !> Copy panels to a flat layer.
  subroutine to_flat(n_in, n_out, room, w, bias, flat)
    integer, intent(in) :: n_in                           !! number of inputs
    integer, intent(in) :: n_out                          !! number of neurons
    integer, intent(in) :: room                           !! neurons with padding
    real(wp), intent(in) :: w(panel, room, *)             !! panels (lane, neuron, panel)
    real(wp), intent(in) :: bias(room)                    !! biases
    real(wp), intent(inout) :: flat(n_in + 1, n_out)      !! weights (input, neuron), the bias last
    integer :: j, q, first, m

    do q = 1, (n_in + panel - 1)/panel
      first = panel*(q - 1)
      m = min(panel, n_in - first)
      do j = 1, n_out
        flat(first + 1:first + m, j) = w(1:m, j, q)
      end do
    end do
    flat(n_in + 1, :) = bias(1:n_out)

  end subroutine to_flat

end module emufort_train_flat
