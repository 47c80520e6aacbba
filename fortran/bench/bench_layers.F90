!> A network as a chain of layers, read from a file, for the programs that time the network alone.
!>
!> The file contains int32 n_layers, widths(0:n_layers), activation(n_layers) (codes of emufort_activations), then for
!> each layer float32 weights (n_in, n_out) and biases (n_out).
module bench_layers
  use, intrinsic :: iso_fortran_env, only: int32, real32
  use bench_worker, only: fail
  implicit none
  private

  public :: network_type, read_network

  !> Sizes and weights.
  type :: network_type
    integer :: n_layers = 0                          !! number of layers
    integer, allocatable :: widths(:)                !! number of features, neurons of each layer (0:n_layers)
    integer, allocatable :: activation(:)            !! codes of the activation functions (n_layers)
    real(real32), allocatable :: values(:)           !! weights and biases of all layers
    integer, allocatable :: weight_at(:)             !! first weight of each layer (n_layers)
    integer, allocatable :: bias_at(:)               !! first bias of each layer (n_layers)
  end type network_type

contains

  !> Read a network.
  subroutine read_network(file, network)
    character(len=*), intent(in) :: file             !! path
    type(network_type), intent(out) :: network       !! content of the file
    integer(int32) :: n_layers
    integer :: unit, failure, l, n

    open (newunit=unit, file=file, access='stream', form='unformatted', status='old', action='read', iostat=failure)
    if (failure /= 0) call fail('cannot open '//file)
    read (unit, iostat=failure) n_layers
    if (failure /= 0 .or. n_layers < 1) call fail('cannot read '//file)
    network%n_layers = n_layers
    allocate (network%widths(0:n_layers), network%activation(n_layers))
    allocate (network%weight_at(n_layers), network%bias_at(n_layers))
    read (unit, iostat=failure) network%widths, network%activation
    if (failure /= 0) call fail('cannot read '//file)
    n = 0
    do l = 1, n_layers
      network%weight_at(l) = n + 1
      network%bias_at(l) = n + 1 + network%widths(l - 1)*network%widths(l)
      n = n + (network%widths(l - 1) + 1)*network%widths(l)
    end do
    allocate (network%values(n))
    read (unit, iostat=failure) network%values
    if (failure /= 0) call fail('cannot read '//file)
    close (unit)

  end subroutine read_network

end module bench_layers
