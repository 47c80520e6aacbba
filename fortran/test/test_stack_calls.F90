!> The call that `test_stack` runs in a thread: one prediction, in one of the ways that a host may choose; and the
!> malloc that counts its calls.
module test_stack_calls
  use, intrinsic :: iso_c_binding, only: c_ptr, c_size_t, c_bool, c_int, c_loc, c_null_ptr
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_block_columns, &
                             emufort_predict_variables
  use emufort_kinds, only: wp, real32, real64
  use emufort_c, only: emufort_predict_f32, emufort_predict_f64
  implicit none
  private

  public :: call_in_thread

  integer, parameter, public :: n_ways = 18   !! number of ways; those of the second half with the workspace
  type(emulator_type), save, public :: emulator
  type(workspace_type), save, public, target :: workspace
  type(c_ptr), save, public :: handle = c_null_ptr   !! the same emulator for C
  integer, allocatable, save, public :: plan(:)      !! the same emulator in a generated module
  real(real64), allocatable, save, public :: numbers(:)
  real(wp), allocatable, save, public :: weights(:)
  integer, save, public :: first_weight = 1
  integer, save, public :: way = 0, ncol = 0, n_allocations = 0
  logical, save, public :: failed = .false.
  real(real64), allocatable, save, public, target :: x(:, :), y(:, :), x_t(:, :), y_t(:, :)
  real(real64), allocatable, save, public :: block_x(:, :), block_y(:, :)
  real(real32), allocatable, save, public, target :: x32(:, :), y32(:, :), x32_t(:, :), y32_t(:, :)
  integer, save :: x_strides(2), y_strides(2)
  logical, save :: is_counting = .false., is_outside(4096)
  logical(c_bool), save, target :: mask(4096)
  type(c_ptr), save, target :: inputs(1), outputs(1)
  type(status_type), save :: status

  interface
    type(c_ptr) function libc_malloc(length) bind(c, name='__libc_malloc')
      import :: c_ptr, c_size_t
      integer(c_size_t), value :: length
    end function libc_malloc

    type(c_ptr) function libc_calloc(n, length) bind(c, name='__libc_calloc')
      import :: c_ptr, c_size_t
      integer(c_size_t), value :: n, length
    end function libc_calloc

    type(c_ptr) function libc_realloc(memory, length) bind(c, name='__libc_realloc')
      import :: c_ptr, c_size_t
      type(c_ptr), value :: memory
      integer(c_size_t), value :: length
    end function libc_realloc
  end interface

contains

  !> Predict; the way 0 does nothing.
  recursive function call_in_thread(argument) bind(c) result(answer)
    type(c_ptr), value :: argument   !! not used
    type(c_ptr) :: answer            !! the argument

    answer = argument
    n_allocations = 0
    is_counting = .true.
    select case (way)
    case (1)
      call emulator%predict(x(1:ncol, :), y(1:ncol, :), status, is_outside(1:ncol))
    case (2)
      call emulator%predict(x32(1:ncol, :), y32(1:ncol, :), status)
    case (3)
      call emulator%predict_transposed(x_t(:, 1:ncol), y_t(:, 1:ncol), status)
    case (4)
      call emulator%predict_transposed(x32_t(:, 1:ncol), y32_t(:, 1:ncol), status)
    case (5)
      call emulator%predict_block(min(ncol, emufort_block_columns), .false., block_x, block_y, status, &
                                  is_outside(1:emufort_block_columns))
    case (6)
      x_strides = 1
      x_strides(2) = size(x, 1)
      y_strides = 1
      y_strides(2) = size(y, 1)
      call emulator%predict_strided_real64(ncol, x, x_strides, y, y_strides, status, is_outside(1:ncol))
    case (7)
      call predict_by_c(c_null_ptr)
    case (8)
      call predict_by_c(c_null_ptr, in_single=.true.)
    case (9)
      call predict_variables(c_null_ptr)
    case (10)
      call emulator%predict(x(1:ncol, :), y(1:ncol, :), status, is_outside(1:ncol), workspace)
    case (11)
      call emulator%predict(x32(1:ncol, :), y32(1:ncol, :), status, workspace=workspace)
    case (12)
      call emulator%predict_transposed(x_t(:, 1:ncol), y_t(:, 1:ncol), status, workspace=workspace)
    case (13)
      call emulator%predict_transposed(x32_t(:, 1:ncol), y32_t(:, 1:ncol), status, workspace=workspace)
    case (14)
      call emulator%predict_block(min(ncol, emufort_block_columns), .false., block_x, block_y, status, &
                                  is_outside(1:emufort_block_columns), workspace)
    case (15)
      x_strides = 1
      x_strides(1) = size(x32_t, 1)
      y_strides = 1
      y_strides(1) = size(y32_t, 1)
      call emulator%predict_strided_real32(ncol, x32_t, x_strides, y32_t, y_strides, status, workspace=workspace)
    case (16)
      call predict_by_c(c_loc(workspace))
    case (17)
      call predict_by_c(c_loc(workspace), in_single=.true.)
    case (18)
      call predict_variables(c_loc(workspace))
    case default
      continue
    end select
    is_counting = .false.
    failed = status%code /= emufort_success

  end function call_in_thread

  !> Predict by the function for C, contiguous columns in double precision or contiguous features in single precision.
  recursive subroutine predict_by_c(own, in_single)
    type(c_ptr), intent(in) :: own               !! workspace or null
    logical, intent(in), optional :: in_single   !! whether the arrays are single precision

    if (present(in_single)) then
      status%code = emufort_predict_f32(handle, own, 1_c_int, int(ncol, c_int), c_loc(x32_t), 0_c_int, c_loc(y32_t), &
                                        0_c_int, c_null_ptr, c_null_ptr)
    else
      status%code = emufort_predict_f64(handle, own, 0_c_int, int(ncol, c_int), c_loc(x), int(size(x, 1), c_int), &
                                        c_loc(y), int(size(y, 1), c_int), c_loc(mask), c_null_ptr)
    end if

  end subroutine predict_by_c

  !> Predict as the function for C in a generated module.
  recursive subroutine predict_variables(own)
    type(c_ptr), intent(in) :: own   !! workspace or null
    integer :: widths(2)

    widths(1) = size(x_t, 1)
    widths(2) = size(y_t, 1)
    inputs(1) = c_loc(x_t)
    outputs(1) = c_loc(y_t)
    status%code = emufort_predict_variables(plan, numbers, weights(first_weight), 1, 1, widths, 1_c_int, &
                                            int(ncol, c_int), .false., c_loc(inputs), c_loc(outputs), c_loc(mask), &
                                            own, c_null_ptr)

  end subroutine predict_variables

  recursive function counted_malloc(length) bind(c, name='malloc') result(memory)
    integer(c_size_t), value :: length
    type(c_ptr) :: memory

    if (is_counting) n_allocations = n_allocations + 1
    memory = libc_malloc(length)

  end function counted_malloc

  recursive function counted_calloc(n, length) bind(c, name='calloc') result(memory)
    integer(c_size_t), value :: n, length
    type(c_ptr) :: memory

    if (is_counting) n_allocations = n_allocations + 1
    memory = libc_calloc(n, length)

  end function counted_calloc

  recursive function counted_realloc(memory, length) bind(c, name='realloc') result(moved)
    type(c_ptr), value :: memory
    integer(c_size_t), value :: length
    type(c_ptr) :: moved

    if (is_counting) n_allocations = n_allocations + 1
    moved = libc_realloc(memory, length)

  end function counted_realloc

end module test_stack_calls
