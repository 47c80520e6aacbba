! Made from fortran/templates/c_variables.fypp by `make templates`; do not edit.
#ifndef EMUFORT_LEVEL
!> Predictions for the generated headers of C and C++: one array per variable of the contract, in either precision and
!> layout. The functions in a generated module pass its plan, numbers and weights.
module emufort_c_variables
  use, intrinsic :: iso_c_binding, only: c_ptr, c_null_ptr, c_int, c_size_t, c_float, c_double, c_bool, c_loc
  use, intrinsic :: iso_c_binding, only: c_f_pointer, c_associated
  use emufort_kinds, only: wp, real64, block_columns
  use emufort_status, only: status_type, set_error, emufort_success, emufort_error_limit, emufort_error_shape, &
                            emufort_error_not_loaded
  use emufort_dense, only: few_columns
  use emufort_workspace, only: workspace_type, groups_type, choose_groups, next_group, lacks_workspace, no_workspace, &
                               make_workspace, workspace_bytes, scratch_size, physical_size
  use emufort_core, only: not_a_number
  use emufort_dispatch, only: evaluate_columns, evaluate_few
  use emufort_c_types, only: c_outcome, c_new_workspace, c_workspace_pointer, c_columns_contiguous, &
                             c_features_contiguous
  implicit none
  private

  public :: predict_variables, refuse_variables, workspace_of_plan, workspace_size_of_plan

contains

  !> Predict columns; returns the code of the status.
  recursive integer(c_int) function predict_variables(plan, numbers, weights, n_in, n_out, widths, layout, ncol, &
                                                      is_single, inputs, outputs, is_outside, workspace, status) &
    result(code)
    integer, intent(in) :: plan(*)                     !! integers of the emulator
    real(real64), intent(in) :: numbers(*)             !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                 !! packed weights
    integer, intent(in) :: n_in, n_out                 !! numbers of input and output variables
    integer, intent(in) :: widths(n_in + n_out)        !! features of each input and output variable
    integer(c_int), intent(in) :: layout               !! c_columns_contiguous or c_features_contiguous
    integer(c_int), intent(in) :: ncol                 !! number of columns
    logical, intent(in) :: is_single                   !! whether the arrays are single precision
    type(c_ptr), intent(in) :: inputs, outputs         !! structures of pointers to one array per variable
    type(c_ptr), intent(in) :: is_outside              !! ncol values of the type bool, or null
    type(c_ptr), intent(in) :: workspace               !! of this thread, or null
    type(c_ptr), intent(in) :: status                  !! `emufort_status`, or null
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: scratch(scratch_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    type(workspace_type), pointer :: own
    type(status_type) :: inner
    logical(c_bool), pointer :: mask(:)
    type(groups_type) :: groups
    logical :: outside(block_columns)
    integer :: columns, first, last, n, y_at, i

    call check_variables(n_in, n_out, layout, ncol, inputs, outputs, inner)
    if (inner%code /= emufort_success .or. ncol < 1) then
      code = c_outcome(inner, status)
      return
    end if
    own => c_workspace_pointer(workspace)
    mask => null()
    if (c_associated(is_outside)) call c_f_pointer(is_outside, mask, [ncol])
    if (lacks_workspace(plan, own)) then
      call set_error(inner, emufort_error_limit, 'predict', no_workspace)
      call give_nan(n_out, widths(n_in + 1), layout, ncol, is_single, outputs, mask, on_stack)
      code = c_outcome(inner, status)
      return
    end if
    if (ncol > 1) call choose_groups(plan, int(ncol), groups, own)
    columns = groups%columns
    if (groups%in_workspace) then
      block_x => own%physical(1:columns*plan(1))
      block_y => own%physical(columns*plan(1) + 1:)
    else
      block_x => on_stack(1:min(columns*plan(1), physical_size))
      block_y => on_stack(columns*plan(1) + 1:)
    end if
    last = 0
    do while (last < ncol)
      first = last
      n = 1
      if (ncol > 1) n = next_group(groups, ncol - first)
      last = first + n
      if (n <= few_columns) then
        y_at = n*plan(1)
        do i = 1, n
          call gather(n_in, widths, layout, ncol, first + i - 1, 1, 1, is_single, inputs, &
                      on_stack(1 + (i - 1)*plan(1)))
        end do
        call evaluate_few(plan, numbers, weights, n, is_single, on_stack(1), on_stack(y_at + 1), inner%n_clipped, &
                          inner%n_invalid, outside, scratch, own)
        do i = 1, n
          call scatter(n_out, widths(n_in + 1), layout, ncol, first + i - 1, 1, 1, is_single, &
                       on_stack(y_at + 1 + (i - 1)*plan(3)), outputs)
        end do
      else
        call gather(n_in, widths, layout, ncol, first, n, columns, is_single, inputs, block_x)
        call evaluate_columns(plan, numbers, weights, n, columns, is_single, block_x, block_y, inner%n_clipped, &
                              inner%n_invalid, outside, scratch, groups%in_workspace, own)
        call scatter(n_out, widths(n_in + 1), layout, ncol, first, n, columns, is_single, block_y, outputs)
      end if
      if (associated(mask)) then
        do i = 1, n
          mask(first + i) = logical(outside(i), c_bool)
        end do
      end if
    end do
    code = c_outcome(inner, status)

  end function predict_variables

  !> Return NaN for all columns, because the generated module has not loaded its weights.
  recursive integer(c_int) function refuse_variables(message, n_in, n_out, widths, layout, ncol, is_single, inputs, &
                                                     outputs, is_outside, status) result(code)
    character(len=*), intent(in) :: message            !! what to call first
    integer, intent(in) :: n_in, n_out                 !! numbers of input and output variables
    integer, intent(in) :: widths(n_in + n_out)        !! features of each input and output variable
    integer(c_int), intent(in) :: layout, ncol         !! as in `predict_variables`
    logical, intent(in) :: is_single                   !! whether the arrays are single precision
    type(c_ptr), intent(in) :: inputs, outputs         !! structures of pointers to one array per variable
    type(c_ptr), intent(in) :: is_outside, status      !! as in `predict_variables`
    type(status_type) :: inner
    real(real64) :: values(physical_size)
    logical(c_bool), pointer :: mask(:)

    call check_variables(n_in, n_out, layout, ncol, inputs, outputs, inner)
    if (inner%code == emufort_success) then
      call set_error(inner, emufort_error_not_loaded, 'predict', message)
      mask => null()
      if (c_associated(is_outside) .and. ncol > 0) call c_f_pointer(is_outside, mask, [ncol])
      call give_nan(n_out, widths(n_in + 1), layout, ncol, is_single, outputs, mask, values)
    end if
    code = c_outcome(inner, status)

  end function refuse_variables

  !> Set all outputs to NaN, and mark all columns.
  recursive subroutine give_nan(n_out, widths, layout, ncol, is_single, outputs, mask, values)
    integer, intent(in) :: n_out                                !! number of output variables
    integer, intent(in) :: widths(n_out)                        !! features of each
    integer(c_int), intent(in) :: layout, ncol                  !! as in `predict_variables`
    logical, intent(in) :: is_single                            !! whether the arrays are single precision
    type(c_ptr), intent(in) :: outputs                          !! structure of pointers to one array per variable
    logical(c_bool), pointer, intent(in) :: mask(:)             !! columns that are marked, or null
    real(real64), intent(inout) :: values(physical_size)        !! scratch
    integer :: i

    values(1:sum(widths)) = not_a_number()
    do i = 1, ncol
      call scatter(n_out, widths, layout, ncol, i - 1, 1, 1, is_single, values, outputs)
    end do
    if (associated(mask)) mask = .true._c_bool

  end subroutine give_nan

  !> Check the arguments that C passes.
  recursive subroutine check_variables(n_in, n_out, layout, ncol, inputs, outputs, status)
    integer, intent(in) :: n_in, n_out                 !! numbers of input and output variables
    integer(c_int), intent(in) :: layout, ncol         !! as in `predict_variables`
    type(c_ptr), intent(in) :: inputs, outputs         !! structures of pointers to one array per variable
    type(status_type), intent(inout) :: status         !! outcome
    character(len=*), parameter :: place = 'predict'

    if (ncol < 0) then
      call set_error(status, emufort_error_shape, place, 'the number of columns is negative')
    else if (layout /= c_columns_contiguous .and. layout /= c_features_contiguous) then
      call set_error(status, emufort_error_shape, place, 'there is no such layout of arrays')
    else if (ncol > 0) then
      call check_pointers(n_in, inputs, 'an input is a null pointer', status)
      call check_pointers(n_out, outputs, 'an output is a null pointer', status)
    end if

  end subroutine check_variables

  !> Check that a structure and its pointers are not null.
  recursive subroutine check_pointers(n, variables, message, status)
    integer, intent(in) :: n                      !! number of pointers
    type(c_ptr), intent(in) :: variables          !! structure of pointers
    character(len=*), intent(in) :: message       !! if one is null
    type(status_type), intent(inout) :: status    !! outcome
    type(c_ptr), pointer :: arrays(:)
    integer :: v

    if (.not. c_associated(variables)) then
      call set_error(status, emufort_error_shape, 'predict', message)
      return
    end if
    call c_f_pointer(variables, arrays, [n])
    do v = 1, n
      if (.not. c_associated(arrays(v))) call set_error(status, emufort_error_shape, 'predict', message)
    end do

  end subroutine check_pointers

  !> Copy columns of the arrays of the host into a block.
  recursive subroutine gather(n_variables, widths, layout, ncol, first, n, leading, is_single, variables, block)
    integer, intent(in) :: n_variables                !! number of variables
    integer, intent(in) :: widths(n_variables)        !! features of each
    integer(c_int), intent(in) :: layout, ncol        !! as in `predict_variables`
    integer, intent(in) :: first, n                   !! columns before the first of the block, columns of the block
    integer, intent(in) :: leading                    !! leading dimension of the block
    logical, intent(in) :: is_single                  !! whether the arrays are single precision
    type(c_ptr), intent(in) :: variables              !! structure of pointers to one array per variable
    real(real64), intent(inout) :: block(*)           !! values (leading, feature)
    type(c_ptr), pointer :: arrays(:)
    integer :: v, place

    call c_f_pointer(variables, arrays, [n_variables])
    place = 1
    do v = 1, n_variables
      if (is_single) then
        call gather_f32(widths(v), layout == c_columns_contiguous, ncol, first, n, leading, arrays(v), block(place))
      else
        call gather_f64(widths(v), layout == c_columns_contiguous, ncol, first, n, leading, arrays(v), block(place))
      end if
      place = place + leading*widths(v)
    end do

  end subroutine gather

  !> Gather one variable in double precision.
  recursive subroutine gather_f64(width, by_column, ncol, first, n, leading, array, block)
    integer, intent(in) :: width                      !! features of the variable
    logical, intent(in) :: by_column                  !! whether columns are contiguous
    integer(c_int), intent(in) :: ncol                !! number of columns of the array
    integer, intent(in) :: first, n, leading          !! as in `gather`
    type(c_ptr), intent(in) :: array                  !! array of the host
    real(real64), intent(inout) :: block(*)           !! values (leading, width)
    real(c_double), pointer, contiguous :: found(:, :)
    integer :: i, j

    if (by_column) then
      call c_f_pointer(array, found, [ncol, width])
      do j = 1, width
        do i = 1, n
          block(i + (j - 1)*leading) = found(first + i, j)
        end do
      end do
    else
      call c_f_pointer(array, found, [width, ncol])
      do i = 1, n
        do j = 1, width
          block(i + (j - 1)*leading) = found(j, first + i)
        end do
      end do
    end if

  end subroutine gather_f64

  !> Gather one variable in single precision.
  recursive subroutine gather_f32(width, by_column, ncol, first, n, leading, array, block)
    integer, intent(in) :: width                      !! features of the variable
    logical, intent(in) :: by_column                  !! whether columns are contiguous
    integer(c_int), intent(in) :: ncol                !! number of columns of the array
    integer, intent(in) :: first, n, leading          !! as in `gather`
    type(c_ptr), intent(in) :: array                  !! array of the host
    real(real64), intent(inout) :: block(*)           !! values (leading, width)
    real(c_float), pointer, contiguous :: found(:, :)
    integer :: i, j

    if (by_column) then
      call c_f_pointer(array, found, [ncol, width])
      do j = 1, width
        do i = 1, n
          block(i + (j - 1)*leading) = real(found(first + i, j), real64)
        end do
      end do
    else
      call c_f_pointer(array, found, [width, ncol])
      do i = 1, n
        do j = 1, width
          block(i + (j - 1)*leading) = real(found(j, first + i), real64)
        end do
      end do
    end if

  end subroutine gather_f32

  !> Copy a block into columns of the arrays of the host.
  recursive subroutine scatter(n_variables, widths, layout, ncol, first, n, leading, is_single, block, variables)
    integer, intent(in) :: n_variables                !! number of variables
    integer, intent(in) :: widths(n_variables)        !! features of each
    integer(c_int), intent(in) :: layout, ncol        !! as in `predict_variables`
    integer, intent(in) :: first, n                   !! columns before the first of the block, columns of the block
    integer, intent(in) :: leading                    !! leading dimension of the block
    logical, intent(in) :: is_single                  !! whether the arrays are single precision
    real(real64), intent(in) :: block(*)              !! values (leading, feature)
    type(c_ptr), intent(in) :: variables              !! structure of pointers to one array per variable
    type(c_ptr), pointer :: arrays(:)
    integer :: v, place

    call c_f_pointer(variables, arrays, [n_variables])
    place = 1
    do v = 1, n_variables
      if (is_single) then
        call scatter_f32(widths(v), layout == c_columns_contiguous, ncol, first, n, leading, block(place), arrays(v))
      else
        call scatter_f64(widths(v), layout == c_columns_contiguous, ncol, first, n, leading, block(place), arrays(v))
      end if
      place = place + leading*widths(v)
    end do

  end subroutine scatter

  !> Scatter one variable in double precision.
  recursive subroutine scatter_f64(width, by_column, ncol, first, n, leading, block, array)
    integer, intent(in) :: width                      !! features of the variable
    logical, intent(in) :: by_column                  !! whether columns are contiguous
    integer(c_int), intent(in) :: ncol                !! number of columns of the array
    integer, intent(in) :: first, n, leading          !! as in `scatter`
    real(real64), intent(in) :: block(*)              !! values (leading, width)
    type(c_ptr), intent(in) :: array                  !! array of the host
    real(c_double), pointer, contiguous :: found(:, :)
    integer :: i, j

    if (by_column) then
      call c_f_pointer(array, found, [ncol, width])
      do j = 1, width
        do i = 1, n
          found(first + i, j) = block(i + (j - 1)*leading)
        end do
      end do
    else
      call c_f_pointer(array, found, [width, ncol])
      do i = 1, n
        do j = 1, width
          found(j, first + i) = block(i + (j - 1)*leading)
        end do
      end do
    end if

  end subroutine scatter_f64

  !> Scatter one variable in single precision.
  recursive subroutine scatter_f32(width, by_column, ncol, first, n, leading, block, array)
    integer, intent(in) :: width                      !! features of the variable
    logical, intent(in) :: by_column                  !! whether columns are contiguous
    integer(c_int), intent(in) :: ncol                !! number of columns of the array
    integer, intent(in) :: first, n, leading          !! as in `scatter`
    real(real64), intent(in) :: block(*)              !! values (leading, width)
    type(c_ptr), intent(in) :: array                  !! array of the host
    real(c_float), pointer, contiguous :: found(:, :)
    integer :: i, j

    if (by_column) then
      call c_f_pointer(array, found, [ncol, width])
      do j = 1, width
        do i = 1, n
          found(first + i, j) = real(block(i + (j - 1)*leading), c_float)
        end do
      end do
    else
      call c_f_pointer(array, found, [width, ncol])
      do i = 1, n
        do j = 1, width
          found(j, first + i) = real(block(i + (j - 1)*leading), c_float)
        end do
      end do
    end if

  end subroutine scatter_f32

  !> Make the workspace of one thread for a generated module; returns null if there is an error.
  type(c_ptr) function workspace_of_plan(plan, status) result(workspace)
    integer, intent(in) :: plan(*)          !! integers of the emulator
    type(c_ptr), intent(in) :: status       !! `emufort_status`, or null
    type(workspace_type), pointer :: new
    type(status_type) :: inner
    integer :: failure
    integer(c_int) :: code

    workspace = c_null_ptr
    call c_new_workspace(new, inner)
    if (inner%code == emufort_success) then
      call make_workspace(plan, new, failure)
      if (failure == 0) then
        workspace = c_loc(new)
      else
        deallocate (new)
        call set_error(inner, emufort_error_limit, 'make_workspace', 'no memory for a workspace')
      end if
    end if
    code = c_outcome(inner, status)

  end function workspace_of_plan

  !> Return the size of that workspace in bytes; 0 if the network needs none.
  integer(c_size_t) function workspace_size_of_plan(plan) result(bytes)
    integer, intent(in) :: plan(*)   !! integers of the emulator

    bytes = int(workspace_bytes(plan), c_size_t)

  end function workspace_size_of_plan

end module emufort_c_variables
#endif
