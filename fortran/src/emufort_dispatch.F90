! Made from fortran/templates/dispatch.fypp by `make templates`; do not edit.

#ifndef EMUFORT_LEVEL
!> The kernels of the level that the CPU has.
!>
!> A library that is built for any x86-64 CPU contains the kernels once per level: as its own flags make them, and for
!> x86-64-v2, v3 and v4. It is compiled with -DEMUFORT_LEVELS, and then the procedures of this module choose a level in
!> each call. For the other levels, the runtime in one file is compiled again with -DEMUFORT_LEVEL=2, 3 or 4, which gives
!> the kernels in modules with other names, and the external procedures at the end of this file. Without
!> -DEMUFORT_LEVELS there is one level, and the names of this module are those of the kernels themselves.
!>
!> The bits of a column depend on the level, because only v3 and v4 have fused multiply-adds. A process uses one level.
module emufort_dispatch
#ifdef EMUFORT_LEVELS
  use, intrinsic :: iso_c_binding, only: c_int
  use emufort_kinds, only: wp, int64, real64, block_columns
  use emufort_workspace, only: workspace_type, scratch_size
  use emufort_core, only: evaluate_block_v1 => evaluate_block, evaluate_columns_v1 => evaluate_columns, &
                          evaluate_few_v1 => evaluate_few, evaluate_inside_v1 => evaluate_inside
  use emufort_math, only: vector_exp_v1 => vector_exp, vector_ln_v1 => vector_ln, vector_erfc_v1 => vector_erfc
  use emufort_probe, only: probe_kernels_v1 => probe_kernels
#else
  use emufort_core, only: evaluate_block, evaluate_columns, evaluate_few, evaluate_inside
  use emufort_math, only: vector_exp, vector_ln, vector_erfc
  use emufort_probe, only: probe_kernels
#endif
  implicit none
  private

  public :: level_in_use, has_levels
  public :: evaluate_block, evaluate_columns, evaluate_few
  public :: evaluate_inside, vector_exp, vector_ln, vector_erfc, probe_kernels

#ifdef EMUFORT_LEVELS
  !> Whether the kernels exist for several levels.
  logical, parameter :: has_levels = .true.

  procedure(evaluate_block_v1) :: emufort_evaluate_block_v2, emufort_evaluate_block_v3, emufort_evaluate_block_v4
  procedure(evaluate_columns_v1) :: emufort_evaluate_columns_v2, emufort_evaluate_columns_v3, &
    emufort_evaluate_columns_v4
  procedure(evaluate_few_v1) :: emufort_evaluate_few_v2, emufort_evaluate_few_v3, emufort_evaluate_few_v4
  procedure(evaluate_inside_v1) :: emufort_evaluate_inside_v2, emufort_evaluate_inside_v3, emufort_evaluate_inside_v4
  procedure(vector_exp_v1) :: emufort_vector_exp_v2, emufort_vector_exp_v3, emufort_vector_exp_v4
  procedure(vector_ln_v1) :: emufort_vector_ln_v2, emufort_vector_ln_v3, emufort_vector_ln_v4
  procedure(vector_erfc_v1) :: emufort_vector_erfc_v2, emufort_vector_erfc_v3, emufort_vector_erfc_v4
  procedure(probe_kernels_v1) :: emufort_probe_kernels_v2, emufort_probe_kernels_v3, emufort_probe_kernels_v4

  interface
    !> See emufort_cpu_level.c.
    pure integer(c_int) function emufort_level_in_use() bind(C)
      import :: c_int
    end function emufort_level_in_use
  end interface

contains

  !> Return the level of the kernels: 2 to 4 for x86-64-v2 to v4, 1 for those that the flags of the library give.
  pure integer function level_in_use()

    level_in_use = int(emufort_level_in_use())

  end function level_in_use

  !> Evaluate the emulator on up to `block_columns` columns that the caller holds as a block.
  recursive subroutine evaluate_block(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                      workspace)
    integer, intent(in) :: plan(*)                               !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                       !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                           !! packed weights
    integer, intent(in) :: n                                     !! number of columns, 1 to block_columns
    logical, intent(in) :: is_single                             !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(block_columns, *)           !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(block_columns, *)           !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped                   !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid                   !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(block_columns)          !! set if an input of the column was clipped or invalid
    type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack

    select case (emufort_level_in_use())
    case (4)
      call emufort_evaluate_block_v4(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                     workspace)
    case (3)
      call emufort_evaluate_block_v3(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                     workspace)
    case (2)
      call emufort_evaluate_block_v2(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                     workspace)
    case default
      call evaluate_block_v1(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, workspace)
    end select

  end subroutine evaluate_block

  !> Evaluate the emulator on the number of columns of a block, or fewer.
  recursive subroutine evaluate_columns(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                        is_outside, scratch, in_workspace, workspace)
    integer, intent(in) :: plan(*)                               !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                       !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                           !! packed weights
    integer, intent(in) :: n                                     !! number of columns, 1 to block_columns
    integer, intent(in) :: leading                               !! leading dimension of x and y, for n padded to lanes
    logical, intent(in) :: is_single                             !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(leading, *)                 !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(leading, *)                 !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped                   !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid                   !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(*)                      !! set if an input of the column was clipped or invalid
    real(wp), intent(inout), target :: scratch(scratch_size)     !! memory for the buffers of the network
    logical, intent(in) :: in_workspace                          !! whether to use the workspace instead
    type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack

    select case (emufort_level_in_use())
    case (4)
      call emufort_evaluate_columns_v4(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                       is_outside, scratch, in_workspace, workspace)
    case (3)
      call emufort_evaluate_columns_v3(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                       is_outside, scratch, in_workspace, workspace)
    case (2)
      call emufort_evaluate_columns_v2(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, &
                                       is_outside, scratch, in_workspace, workspace)
    case default
      call evaluate_columns_v1(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, is_outside, &
                               scratch, in_workspace, workspace)
    end select

  end subroutine evaluate_columns

  !> Evaluate the emulator on one column or a few, each with buffers of its own and without the padding of a block.
  recursive subroutine evaluate_few(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                    scratch, workspace)
    integer, intent(in) :: plan(*)                               !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                       !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                           !! packed weights
    integer, intent(in) :: n                                     !! number of columns, 1 to few_columns
    logical, intent(in) :: is_single                             !! whether the inputs of the host are single precision
    real(real64), intent(inout) :: x(*)                          !! physical inputs (input, column); clipped on return
    real(real64), intent(inout) :: y(*)                          !! physical outputs (output, column)
    integer(int64), intent(inout) :: n_clipped                   !! incremented by the number of clipped values
    integer(int64), intent(inout) :: n_invalid                   !! incremented by the number of columns with NaN or infinity
    logical, intent(inout) :: is_outside(*)                      !! set if an input of the column was clipped or invalid
    real(wp), intent(inout), target :: scratch(scratch_size)     !! memory for the buffers of the network
    type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack

    select case (emufort_level_in_use())
    case (4)
      call emufort_evaluate_few_v4(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                   scratch, workspace)
    case (3)
      call emufort_evaluate_few_v3(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                   scratch, workspace)
    case (2)
      call emufort_evaluate_few_v2(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, &
                                   scratch, workspace)
    case default
      call evaluate_few_v1(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, scratch, &
                           workspace)
    end select

  end subroutine evaluate_few

  !> Evaluate the emulator on one column if all inputs are within their ranges.
  recursive subroutine evaluate_inside(plan, numbers, weights, x, y, is_inside)
    integer, intent(in) :: plan(*)           !! integers of the emulator
    real(real64), intent(in) :: numbers(*)   !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)       !! packed weights
    real(real64), intent(in) :: x(*)         !! physical inputs (input)
    real(real64), intent(inout) :: y(*)      !! physical outputs (output)
    logical, intent(out) :: is_inside        !! whether the outputs were computed

    select case (emufort_level_in_use())
    case (4)
      call emufort_evaluate_inside_v4(plan, numbers, weights, x, y, is_inside)
    case (3)
      call emufort_evaluate_inside_v3(plan, numbers, weights, x, y, is_inside)
    case (2)
      call emufort_evaluate_inside_v2(plan, numbers, weights, x, y, is_inside)
    case default
      call evaluate_inside_v1(plan, numbers, weights, x, y, is_inside)
    end select

  end subroutine evaluate_inside

  !> a = exp(a), see emufort_math.
  pure recursive subroutine vector_exp(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]

    select case (emufort_level_in_use())
    case (4)
      call emufort_vector_exp_v4(n, a)
    case (3)
      call emufort_vector_exp_v3(n, a)
    case (2)
      call emufort_vector_exp_v2(n, a)
    case default
      call vector_exp_v1(n, a)
    end select

  end subroutine vector_exp

  !> a = ln(a), see emufort_math.
  pure recursive subroutine vector_ln(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]

    select case (emufort_level_in_use())
    case (4)
      call emufort_vector_ln_v4(n, a)
    case (3)
      call emufort_vector_ln_v3(n, a)
    case (2)
      call emufort_vector_ln_v2(n, a)
    case default
      call vector_ln_v1(n, a)
    end select

  end subroutine vector_ln

  !> a = erfc(a), see emufort_math.
  pure recursive subroutine vector_erfc(n, a)
    integer, intent(in) :: n          !! number of values
    real(wp), intent(inout) :: a(n)   !! values [1]

    select case (emufort_level_in_use())
    case (4)
      call emufort_vector_erfc_v4(n, a)
    case (3)
      call emufort_vector_erfc_v3(n, a)
    case (2)
      call emufort_vector_erfc_v2(n, a)
    case default
      call vector_erfc_v1(n, a)
    end select

  end subroutine vector_erfc

  !> Measure what the compiler made of the kernels, see emufort_probe.
  subroutine probe_kernels(multiply_adds, exponential, flags)
    real(real64), intent(out) :: multiply_adds            !! fewest multiply-adds per cycle in a dense layer
    real(real64), intent(out) :: exponential              !! cycles per exponential
    character(len=:), allocatable, intent(out) :: flags   !! flags of the compiler

    select case (emufort_level_in_use())
    case (4)
      call emufort_probe_kernels_v4(multiply_adds, exponential, flags)
    case (3)
      call emufort_probe_kernels_v3(multiply_adds, exponential, flags)
    case (2)
      call emufort_probe_kernels_v2(multiply_adds, exponential, flags)
    case default
      call probe_kernels_v1(multiply_adds, exponential, flags)
    end select

  end subroutine probe_kernels
#else
  !> Whether the kernels exist for several levels.
  logical, parameter :: has_levels = .false.

contains

  !> Return the level of the kernels: 1, those that the flags give.
  pure integer function level_in_use()

    level_in_use = 1

  end function level_in_use
#endif

end module emufort_dispatch
#else
#if EMUFORT_LEVEL == 2
#define emufort_evaluate_block_of_level emufort_evaluate_block_v2
#define emufort_evaluate_columns_of_level emufort_evaluate_columns_v2
#define emufort_evaluate_few_of_level emufort_evaluate_few_v2
#define emufort_evaluate_inside_of_level emufort_evaluate_inside_v2
#define emufort_vector_exp_of_level emufort_vector_exp_v2
#define emufort_vector_ln_of_level emufort_vector_ln_v2
#define emufort_vector_erfc_of_level emufort_vector_erfc_v2
#define emufort_probe_kernels_of_level emufort_probe_kernels_v2
#elif EMUFORT_LEVEL == 3
#define emufort_evaluate_block_of_level emufort_evaluate_block_v3
#define emufort_evaluate_columns_of_level emufort_evaluate_columns_v3
#define emufort_evaluate_few_of_level emufort_evaluate_few_v3
#define emufort_evaluate_inside_of_level emufort_evaluate_inside_v3
#define emufort_vector_exp_of_level emufort_vector_exp_v3
#define emufort_vector_ln_of_level emufort_vector_ln_v3
#define emufort_vector_erfc_of_level emufort_vector_erfc_v3
#define emufort_probe_kernels_of_level emufort_probe_kernels_v3
#elif EMUFORT_LEVEL == 4
#define emufort_evaluate_block_of_level emufort_evaluate_block_v4
#define emufort_evaluate_columns_of_level emufort_evaluate_columns_v4
#define emufort_evaluate_few_of_level emufort_evaluate_few_v4
#define emufort_evaluate_inside_of_level emufort_evaluate_inside_v4
#define emufort_vector_exp_of_level emufort_vector_exp_v4
#define emufort_vector_ln_of_level emufort_vector_ln_v4
#define emufort_vector_erfc_of_level emufort_vector_erfc_v4
#define emufort_probe_kernels_of_level emufort_probe_kernels_v4
#endif

!> Evaluate the emulator on up to `block_columns` columns that the caller holds as a block.
recursive subroutine emufort_evaluate_block_of_level(plan, numbers, weights, n, is_single, x, y, n_clipped, &
                                                     n_invalid, is_outside, workspace)
  use emufort_kinds, only: wp, int64, real64, block_columns
  use emufort_workspace, only: workspace_type
  use emufort_core, only: evaluate_block
  implicit none
  integer, intent(in) :: plan(*)                               !! integers of the emulator
  real(real64), intent(in) :: numbers(*)                       !! real numbers of the emulator
  real(wp), intent(in) :: weights(*)                           !! packed weights
  integer, intent(in) :: n                                     !! number of columns, 1 to block_columns
  logical, intent(in) :: is_single                             !! whether the inputs of the host are single precision
  real(real64), intent(inout) :: x(block_columns, *)           !! physical inputs (column, input); clipped on return
  real(real64), intent(inout) :: y(block_columns, *)           !! physical outputs (column, output)
  integer(int64), intent(inout) :: n_clipped                   !! incremented by the number of clipped values
  integer(int64), intent(inout) :: n_invalid                   !! incremented by the number of columns with NaN or infinity
  logical, intent(inout) :: is_outside(block_columns)          !! set if an input of the column was clipped or invalid
  type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack

  call evaluate_block(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, workspace)

end subroutine emufort_evaluate_block_of_level

!> Evaluate the emulator on the number of columns of a block, or fewer.
recursive subroutine emufort_evaluate_columns_of_level(plan, numbers, weights, n, leading, is_single, x, y, &
                                                       n_clipped, n_invalid, is_outside, scratch, in_workspace, &
                                                       workspace)
  use emufort_kinds, only: wp, int64, real64
  use emufort_workspace, only: workspace_type, scratch_size
  use emufort_core, only: evaluate_columns
  implicit none
  integer, intent(in) :: plan(*)                               !! integers of the emulator
  real(real64), intent(in) :: numbers(*)                       !! real numbers of the emulator
  real(wp), intent(in) :: weights(*)                           !! packed weights
  integer, intent(in) :: n                                     !! number of columns, 1 to block_columns
  integer, intent(in) :: leading                               !! leading dimension of x and y, for n padded to lanes
  logical, intent(in) :: is_single                             !! whether the inputs of the host are single precision
  real(real64), intent(inout) :: x(leading, *)                 !! physical inputs (column, input); clipped on return
  real(real64), intent(inout) :: y(leading, *)                 !! physical outputs (column, output)
  integer(int64), intent(inout) :: n_clipped                   !! incremented by the number of clipped values
  integer(int64), intent(inout) :: n_invalid                   !! incremented by the number of columns with NaN or infinity
  logical, intent(inout) :: is_outside(*)                      !! set if an input of the column was clipped or invalid
  real(wp), intent(inout), target :: scratch(scratch_size)     !! memory for the buffers of the network
  logical, intent(in) :: in_workspace                          !! whether to use the workspace instead
  type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack

  call evaluate_columns(plan, numbers, weights, n, leading, is_single, x, y, n_clipped, n_invalid, is_outside, &
                        scratch, in_workspace, workspace)

end subroutine emufort_evaluate_columns_of_level

!> Evaluate the emulator on one column or a few, each with buffers of its own and without the padding of a block.
recursive subroutine emufort_evaluate_few_of_level(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, &
                                                   is_outside, scratch, workspace)
  use emufort_kinds, only: wp, int64, real64
  use emufort_workspace, only: workspace_type, scratch_size
  use emufort_core, only: evaluate_few
  implicit none
  integer, intent(in) :: plan(*)                               !! integers of the emulator
  real(real64), intent(in) :: numbers(*)                       !! real numbers of the emulator
  real(wp), intent(in) :: weights(*)                           !! packed weights
  integer, intent(in) :: n                                     !! number of columns, 1 to few_columns
  logical, intent(in) :: is_single                             !! whether the inputs of the host are single precision
  real(real64), intent(inout) :: x(*)                          !! physical inputs (input, column); clipped on return
  real(real64), intent(inout) :: y(*)                          !! physical outputs (output, column)
  integer(int64), intent(inout) :: n_clipped                   !! incremented by the number of clipped values
  integer(int64), intent(inout) :: n_invalid                   !! incremented by the number of columns with NaN or infinity
  logical, intent(inout) :: is_outside(*)                      !! set if an input of the column was clipped or invalid
  real(wp), intent(inout), target :: scratch(scratch_size)     !! memory for the buffers of the network
  type(workspace_type), intent(inout), optional :: workspace   !! for networks too large for the stack

  call evaluate_few(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside, scratch, workspace)

end subroutine emufort_evaluate_few_of_level

!> Evaluate the emulator on one column if all inputs are within their ranges.
recursive subroutine emufort_evaluate_inside_of_level(plan, numbers, weights, x, y, is_inside)
  use emufort_kinds, only: wp, real64
  use emufort_core, only: evaluate_inside
  implicit none
  integer, intent(in) :: plan(*)           !! integers of the emulator
  real(real64), intent(in) :: numbers(*)   !! real numbers of the emulator
  real(wp), intent(in) :: weights(*)       !! packed weights
  real(real64), intent(in) :: x(*)         !! physical inputs (input)
  real(real64), intent(inout) :: y(*)      !! physical outputs (output)
  logical, intent(out) :: is_inside        !! whether the outputs were computed

  call evaluate_inside(plan, numbers, weights, x, y, is_inside)

end subroutine emufort_evaluate_inside_of_level

!> a = exp(a), see emufort_math.
pure recursive subroutine emufort_vector_exp_of_level(n, a)
  use emufort_kinds, only: wp
  use emufort_math, only: vector_exp
  implicit none
  integer, intent(in) :: n          !! number of values
  real(wp), intent(inout) :: a(n)   !! values [1]

  call vector_exp(n, a)

end subroutine emufort_vector_exp_of_level

!> a = ln(a), see emufort_math.
pure recursive subroutine emufort_vector_ln_of_level(n, a)
  use emufort_kinds, only: wp
  use emufort_math, only: vector_ln
  implicit none
  integer, intent(in) :: n          !! number of values
  real(wp), intent(inout) :: a(n)   !! values [1]

  call vector_ln(n, a)

end subroutine emufort_vector_ln_of_level

!> a = erfc(a), see emufort_math.
pure recursive subroutine emufort_vector_erfc_of_level(n, a)
  use emufort_kinds, only: wp
  use emufort_math, only: vector_erfc
  implicit none
  integer, intent(in) :: n          !! number of values
  real(wp), intent(inout) :: a(n)   !! values [1]

  call vector_erfc(n, a)

end subroutine emufort_vector_erfc_of_level

!> Measure what the compiler made of the kernels, see emufort_probe.
subroutine emufort_probe_kernels_of_level(multiply_adds, exponential, flags)
  use emufort_kinds, only: real64
  use emufort_probe, only: probe_kernels
  implicit none
  real(real64), intent(out) :: multiply_adds            !! fewest multiply-adds per cycle in a dense layer
  real(real64), intent(out) :: exponential              !! cycles per exponential
  character(len=:), allocatable, intent(out) :: flags   !! flags of the compiler

  call probe_kernels(multiply_adds, exponential, flags)

end subroutine emufort_probe_kernels_of_level
#endif
