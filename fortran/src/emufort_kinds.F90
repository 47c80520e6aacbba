!> Kinds and sizes that all parts of the runtime share.
!>
!> Throughout the runtime, what `predict` calls is `recursive`: only then do compilers that know Fortran 2008 alone keep
!> local arrays on the stack of the calling thread.
module emufort_kinds
  use, intrinsic :: iso_fortran_env, only: int8, int32, int64, real32, real64
  implicit none
  private

  public :: int8, int32, int64, real32, real64
  public :: wp, lanes, block_columns, widest_panel, max_width, max_operations, max_scratch

#ifdef EMUFORT_DOUBLE
  !> Kind in which the network is evaluated.
  integer, parameter :: wp = real64
#else
  !> Kind in which the network is evaluated (real64 with -DEMUFORT_DOUBLE).
  integer, parameter :: wp = real32
#endif

  !> Columns that are worked on in lock step. A short block is padded to this.
  integer, parameter :: lanes = 16
  !> Columns in a full block: two times `lanes`, because a weight that has been fetched then serves two vector
  !> operations, which is what a core with two fused multiply-add units and two loads a cycle needs.
  integer, parameter :: block_columns = 2*lanes
  !> Neurons in the widest panel of packed weights.
  integer, parameter :: widest_panel = 16
  !> Most features of a buffer, which are the neurons of a layer, and most inputs and outputs together. The same as in
  !> python/emufort/network, as are the limits below.
  integer, parameter :: max_width = 4096
  !> Most operations of a network.
  integer, parameter :: max_operations = 256
  !> Most features of all buffers of a network together: one column of them fits on the stack in either precision. It is
  !> enough for two buffers of `max_width` features.
  integer, parameter :: max_scratch = 8704

end module emufort_kinds
