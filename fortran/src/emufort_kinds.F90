#ifdef EMUFORT_LEVEL
! With -DEMUFORT_LEVEL=2, 3 or 4, the runtime in one file compiles to its kernels alone, for x86-64-v2, v3 or v4. The
! modules of the kernels then have other names, so that a library can contain all levels; see emufort_dispatch.
#if EMUFORT_LEVEL == 2
#define emufort_core emufort_core_v2
#define emufort_operations emufort_operations_v2
#define emufort_elementwise emufort_elementwise_v2
#define emufort_tables emufort_tables_v2
#define emufort_products emufort_products_v2
#define emufort_depthwise emufort_depthwise_v2
#define emufort_normalisation emufort_normalisation_v2
#define emufort_dense_kernels emufort_dense_kernels_v2
#define emufort_dense emufort_dense_v2
#define emufort_math emufort_math_v2
#define emufort_activations emufort_activations_v2
#define emufort_transforms emufort_transforms_v2
#define emufort_ranges emufort_ranges_v2
#define emufort_probe emufort_probe_v2
#elif EMUFORT_LEVEL == 3
#define emufort_core emufort_core_v3
#define emufort_operations emufort_operations_v3
#define emufort_elementwise emufort_elementwise_v3
#define emufort_tables emufort_tables_v3
#define emufort_products emufort_products_v3
#define emufort_depthwise emufort_depthwise_v3
#define emufort_normalisation emufort_normalisation_v3
#define emufort_dense_kernels emufort_dense_kernels_v3
#define emufort_dense emufort_dense_v3
#define emufort_math emufort_math_v3
#define emufort_activations emufort_activations_v3
#define emufort_transforms emufort_transforms_v3
#define emufort_ranges emufort_ranges_v3
#define emufort_probe emufort_probe_v3
#elif EMUFORT_LEVEL == 4
#define emufort_core emufort_core_v4
#define emufort_operations emufort_operations_v4
#define emufort_elementwise emufort_elementwise_v4
#define emufort_tables emufort_tables_v4
#define emufort_products emufort_products_v4
#define emufort_depthwise emufort_depthwise_v4
#define emufort_normalisation emufort_normalisation_v4
#define emufort_dense_kernels emufort_dense_kernels_v4
#define emufort_dense emufort_dense_v4
#define emufort_math emufort_math_v4
#define emufort_activations emufort_activations_v4
#define emufort_transforms emufort_transforms_v4
#define emufort_ranges emufort_ranges_v4
#define emufort_probe emufort_probe_v4
#endif
#else
!> Kinds and sizes that all parts of the runtime share.
!>
!> Throughout the runtime, all procedures that `predict` calls are `recursive`. Otherwise compilers that support only
!> Fortran 2008 may keep local arrays in static memory instead of the stack of the calling thread.
module emufort_kinds
  use, intrinsic :: iso_fortran_env, only: int8, int32, int64, real32, real64
  implicit none
  private

  public :: int8, int32, int64, real32, real64
  public :: wp, lanes, block_columns, widest_panel
  public :: max_width, max_dense_inputs, max_features, max_operations, max_plan_scratch, max_scratch

#ifdef EMUFORT_DOUBLE
  !> Kind in which the network is evaluated.
  integer, parameter :: wp = real64
#else
  !> Kind in which the network is evaluated (real64 with -DEMUFORT_DOUBLE).
  integer, parameter :: wp = real32
#endif

  !> Columns that are computed in lock step. A short block is padded to this number.
  integer, parameter :: lanes = 16
  !> Columns in a full block: two times `lanes`, so that two vector operations use each loaded weight, as needed by a
  !> core with two fused multiply-add units and two loads per cycle.
  integer, parameter :: block_columns = 2*lanes
  !> Neurons in the widest panel of packed weights.
  integer, parameter :: widest_panel = 16
  !> Largest number of neurons of a dense layer, and of inputs and outputs together. This limit and those below are the
  !> same as in python/emufort/network.
  integer, parameter :: max_width = 4096
  !> Largest number of inputs of a dense layer.
  integer, parameter :: max_dense_inputs = 65536
  !> Largest number of features of a buffer.
  integer, parameter :: max_features = 262144
  !> Largest number of operations of a network.
  integer, parameter :: max_operations = 65536
  !> Largest number of features of all buffers of a network together.
  integer, parameter :: max_plan_scratch = 4194304
  !> Largest number of features of all buffers of a network that needs no workspace. One column of them fits on the stack
  !> in either precision. The limit is enough for two buffers of `max_width` features.
  integer, parameter :: max_scratch = 8704

end module emufort_kinds
#endif
