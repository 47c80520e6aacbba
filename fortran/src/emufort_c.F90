! Made from fortran/templates/c.fypp by `make templates`; do not edit.
#ifndef EMUFORT_LEVEL
!> Interface of the runtime for C and C++, see include/emufort.h: opaque handles over `emulator_type` and
!> `workspace_type`.
module emufort_c
  use, intrinsic :: iso_c_binding, only: c_ptr, c_null_ptr, c_null_char, c_char, c_int, c_int8_t, c_size_t, c_float
  use, intrinsic :: iso_c_binding, only: c_double, c_bool, c_loc, c_f_pointer, c_associated
  use emufort_kinds, only: block_columns
  use emufort_status, only: status_type, set_error, emufort_success, emufort_error_file, emufort_error_limit, &
                            emufort_error_shape, emufort_error_not_loaded
  use emufort_workspace, only: workspace_type
  use emufort_emulator, only: emulator_type
  use emufort_c_types, only: c_outcome, c_path, c_workspace_pointer, c_new_workspace, c_columns_contiguous, &
                             c_features_contiguous
  implicit none
  private

  public :: emufort_load, emufort_load_bytes, emufort_free, emufort_n_inputs, emufort_n_outputs, emufort_input_name, &
            emufort_input_units, emufort_output_name, emufort_output_units, emufort_contract_json, &
            emufort_workspace_size, emufort_make_workspace, emufort_free_workspace, emufort_self_test, &
            emufort_predict_f64, emufort_predict_f32

  !> Columns that are predicted together if the caller asks which of them were out of range.
  integer, parameter :: chunk = 4*block_columns

  !> What an `emufort_emulator` points to: an emulator, with its texts as C reads them.
  type :: handle_type
    type(emulator_type) :: emulator
    character(kind=c_char), allocatable :: text(:)   ! names of the columns, units of the columns, contract
    integer, allocatable :: first(:)                 ! first character of each
  end type handle_type

contains

  ! ---------------------------------------------------------------------------------------- load and free

  !> Load a file; returns a null pointer and sets the status if there is an error.
  type(c_ptr) function emufort_load(path, status) bind(c) result(handle)
    type(c_ptr), value :: path                              !! path of weights.bin
    type(c_ptr), value :: status                            !! an `emufort_status`, or null
    type(handle_type), pointer :: new
    type(status_type) :: inner
    integer :: failure

    new => null()
    if (.not. c_associated(path)) then
      call set_error(inner, emufort_error_file, 'load', 'the path is a null pointer')
    else
      allocate (new, stat=failure)
      if (failure /= 0) then
        call set_error(inner, emufort_error_limit, 'load', 'no memory for an emulator')
      else
        call new%emulator%load(c_path(path), inner)
      end if
    end if
    handle = finished(new, inner, status)

  end function emufort_load

  !> Load the content of weights.bin; returns a null pointer and sets the status if there is an error.
  type(c_ptr) function emufort_load_bytes(bytes, length, status) bind(c) result(handle)
    type(c_ptr), value :: bytes                             !! content of weights.bin
    integer(c_size_t), value :: length                      !! number of bytes
    type(c_ptr), value :: status                            !! an `emufort_status`, or null
    type(handle_type), pointer :: new
    type(status_type) :: inner
    integer(c_int8_t), pointer :: content(:)
    integer :: failure

    new => null()
    if (.not. c_associated(bytes)) then
      call set_error(inner, emufort_error_shape, 'load_bytes', 'the bytes are a null pointer')
    else if (length < 0_c_size_t .or. length > int(huge(1), c_size_t)) then
      call set_error(inner, emufort_error_limit, 'load_bytes', 'more than 2 GB')
    else
      allocate (new, stat=failure)
      if (failure /= 0) then
        call set_error(inner, emufort_error_limit, 'load_bytes', 'no memory for an emulator')
      else
        call c_f_pointer(bytes, content, [length])
        call new%emulator%load_bytes(content, inner)
      end if
    end if
    handle = finished(new, inner, status)

  end function emufort_load_bytes

  !> Return the handle of a new emulator, or a null pointer if there was an error.
  type(c_ptr) function finished(new, inner, status) result(handle)
    type(handle_type), pointer, intent(inout) :: new        !! loaded, not loaded or not allocated
    type(status_type), intent(inout) :: inner               !! outcome of the load
    type(c_ptr), intent(in) :: status                      !! for C, or null
    integer(c_int) :: code

    handle = c_null_ptr
    if (inner%code == emufort_success) call keep_texts(new, inner)
    if (inner%code == emufort_success) then
      handle = c_loc(new)
    else if (associated(new)) then
      deallocate (new)
    end if
    code = c_outcome(inner, status)

  end function finished

  !> Keep the names, units and contract of an emulator with null characters at their ends.
  subroutine keep_texts(handle, status)
    type(handle_type), intent(inout) :: handle    !! with a loaded emulator
    type(status_type), intent(inout) :: status    !! outcome
    character(len=:), allocatable :: contract, name, units
    integer :: n, i, total, pass, failure

    n = handle%emulator%n_inputs() + handle%emulator%n_outputs()
    call handle%emulator%get_contract(contract)
    allocate (handle%first(2*n + 1))
    do pass = 1, 2
      total = 0
      do i = 1, n
        call handle%emulator%get_column(i, name, units)
        call append(i, name)
      end do
      do i = 1, n
        call handle%emulator%get_column(i, name, units)
        call append(n + i, units)
      end do
      call append(2*n + 1, contract)
      if (pass == 1) then
        allocate (handle%text(total), stat=failure)
        if (failure /= 0) then
          call set_error(status, emufort_error_limit, 'load', 'no memory for the contract')
          return
        end if
      end if
    end do

  contains

    subroutine append(k, text)
      integer, intent(in) :: k               !! which text
      character(len=*), intent(in) :: text   !! its characters
      integer :: j

      handle%first(k) = total + 1
      if (pass == 2) then
        do j = 1, len(text)
          handle%text(total + j) = text(j:j)
        end do
        handle%text(total + len(text) + 1) = c_null_char
      end if
      total = total + len(text) + 1

    end subroutine append

  end subroutine keep_texts

  !> Free an emulator; a null pointer is allowed.
  subroutine emufort_free(handle) bind(c)
    type(c_ptr), value :: handle   !! from `emufort_load`, not used afterwards
    type(handle_type), pointer :: found

    if (.not. c_associated(handle)) return
    call c_f_pointer(handle, found)
    deallocate (found)

  end subroutine emufort_free

  ! -------------------------------------------------------------------------------------------- questions

  !> Return the number of input columns; 0 for a null pointer.
  integer(c_int) function emufort_n_inputs(handle) bind(c)
    type(c_ptr), value :: handle   !! an emulator or null
    type(handle_type), pointer :: found

    emufort_n_inputs = 0
    if (.not. c_associated(handle)) return
    call c_f_pointer(handle, found)
    emufort_n_inputs = found%emulator%n_inputs()

  end function emufort_n_inputs

  !> Return the number of output columns; 0 for a null pointer.
  integer(c_int) function emufort_n_outputs(handle) bind(c)
    type(c_ptr), value :: handle   !! an emulator or null
    type(handle_type), pointer :: found

    emufort_n_outputs = 0
    if (.not. c_associated(handle)) return
    call c_f_pointer(handle, found)
    emufort_n_outputs = found%emulator%n_outputs()

  end function emufort_n_outputs

  !> Return the name of an input; null if there is no such input.
  type(c_ptr) function emufort_input_name(handle, i) bind(c) result(text)
    type(c_ptr), value :: handle      !! an emulator or null
    integer(c_int), value :: i        !! 0 to the number of inputs less 1

    text = column_text(handle, i, .false., .false.)

  end function emufort_input_name

  !> Return the units of an input; null if there is no such input.
  type(c_ptr) function emufort_input_units(handle, i) bind(c) result(text)
    type(c_ptr), value :: handle      !! an emulator or null
    integer(c_int), value :: i        !! 0 to the number of inputs less 1

    text = column_text(handle, i, .false., .true.)

  end function emufort_input_units

  !> Return the name of an output; null if there is no such output.
  type(c_ptr) function emufort_output_name(handle, i) bind(c) result(text)
    type(c_ptr), value :: handle      !! an emulator or null
    integer(c_int), value :: i        !! 0 to the number of outputs less 1

    text = column_text(handle, i, .true., .false.)

  end function emufort_output_name

  !> Return the units of an output; null if there is no such output.
  type(c_ptr) function emufort_output_units(handle, i) bind(c) result(text)
    type(c_ptr), value :: handle      !! an emulator or null
    integer(c_int), value :: i        !! 0 to the number of outputs less 1

    text = column_text(handle, i, .true., .true.)

  end function emufort_output_units

  !> Return the contract as it was exported (JSON); null for a null pointer.
  type(c_ptr) function emufort_contract_json(handle) bind(c) result(text)
    type(c_ptr), value :: handle   !! an emulator or null
    type(handle_type), pointer :: found

    text = c_null_ptr
    if (.not. c_associated(handle)) return
    call c_f_pointer(handle, found)
    text = c_loc(found%text(found%first(size(found%first))))

  end function emufort_contract_json

  !> Return the name or the units of a column; null if there is no such column.
  type(c_ptr) function column_text(handle, i, is_output, is_units) result(text)
    type(c_ptr), intent(in) :: handle      !! an emulator or null
    integer(c_int), intent(in) :: i        !! which input or output, from 0
    logical, intent(in) :: is_output       !! whether it is an output
    logical, intent(in) :: is_units        !! whether to return its units
    type(handle_type), pointer :: found
    integer :: n_in, n_out, k

    text = c_null_ptr
    if (.not. c_associated(handle)) return
    call c_f_pointer(handle, found)
    n_in = found%emulator%n_inputs()
    n_out = found%emulator%n_outputs()
    if (i < 0 .or. i >= merge(n_out, n_in, is_output)) return
    k = i + 1
    if (is_output) k = k + n_in
    if (is_units) k = k + n_in + n_out
    text = c_loc(found%text(found%first(k)))

  end function column_text

  ! ------------------------------------------------------------------------------------------- workspaces

  !> Return the size of the workspace of one thread in bytes; 0 if the emulator needs none.
  integer(c_size_t) function emufort_workspace_size(handle) bind(c) result(bytes)
    type(c_ptr), value :: handle   !! an emulator or null
    type(handle_type), pointer :: found

    bytes = 0_c_size_t
    if (.not. c_associated(handle)) return
    call c_f_pointer(handle, found)
    bytes = int(found%emulator%workspace_size(), c_size_t)

  end function emufort_workspace_size

  !> Make the workspace of one thread; returns a null pointer and sets the status if there is an error.
  type(c_ptr) function emufort_make_workspace(handle, status) bind(c) result(workspace)
    type(c_ptr), value :: handle                            !! an emulator
    type(c_ptr), value :: status                            !! an `emufort_status`, or null
    type(handle_type), pointer :: found
    type(workspace_type), pointer :: new
    type(status_type) :: inner
    integer(c_int) :: code

    workspace = c_null_ptr
    if (.not. c_associated(handle)) then
      call set_error(inner, emufort_error_not_loaded, 'make_workspace', 'the emulator is a null pointer')
    else
      call c_f_pointer(handle, found)
      call c_new_workspace(new, inner)
      if (inner%code == emufort_success) call found%emulator%make_workspace(new, inner)
      if (inner%code == emufort_success) then
        workspace = c_loc(new)
      else if (associated(new)) then
        deallocate (new)
      end if
    end if
    code = c_outcome(inner, status)

  end function emufort_make_workspace

  !> Free a workspace; a null pointer is allowed.
  subroutine emufort_free_workspace(workspace) bind(c)
    type(c_ptr), value :: workspace   !! from `emufort_make_workspace`, not used afterwards
    type(workspace_type), pointer :: found

    found => c_workspace_pointer(workspace)
    if (associated(found)) deallocate (found)

  end subroutine emufort_free_workspace

  ! ------------------------------------------------------------------------------------- check and predict

  !> Reproduce the golden vectors of weights.bin.
  integer(c_int) function emufort_self_test(handle, status) bind(c) result(code)
    type(c_ptr), value :: handle                            !! an emulator
    type(c_ptr), value :: status                            !! an `emufort_status`, or null
    type(handle_type), pointer :: found
    type(status_type) :: inner

    if (.not. c_associated(handle)) then
      call set_error(inner, emufort_error_not_loaded, 'self_test', 'the emulator is a null pointer')
    else
      call c_f_pointer(handle, found)
      call found%emulator%self_test(inner)
    end if
    code = c_outcome(inner, status)

  end function emufort_self_test

  !> Predict columns of host arrays in double precision.
  recursive integer(c_int) function emufort_predict_f64(handle, workspace, layout, ncol, inputs, input_leading, &
                                                        outputs, output_leading, is_outside, status) &
    bind(c) result(code)
    type(c_ptr), value :: handle                            !! an emulator
    type(c_ptr), value :: workspace                         !! of this thread, or null
    integer(c_int), value :: layout                         !! c_columns_contiguous or c_features_contiguous
    integer(c_int), value :: ncol                           !! number of columns
    type(c_ptr), value :: inputs, outputs                   !! arrays of the host
    integer(c_int), value :: input_leading, output_leading    !! their leading dimensions; 0 if there are no gaps
    type(c_ptr), value :: is_outside                        !! columns with an input out of range or invalid, or null
    type(c_ptr), value :: status                            !! an `emufort_status`, or null
    type(handle_type), pointer :: found
    type(workspace_type), pointer :: own
    type(status_type) :: inner, part
    real(c_double), pointer :: x(:, :), y(:, :)
    logical(c_bool), pointer :: mask(:)
    logical :: outside(chunk)
    integer :: n_in, n_out, first, last, i, leading(2)

    call check_call(handle, layout, ncol, inputs, input_leading, outputs, output_leading, leading, inner)
    if (inner%code == emufort_success .and. ncol > 0) then
      call c_f_pointer(handle, found)
      own => c_workspace_pointer(workspace)
      n_in = found%emulator%n_inputs()
      n_out = found%emulator%n_outputs()
      call c_f_pointer(inputs, x, [leading(1), merge(n_in, ncol, layout == c_columns_contiguous)])
      call c_f_pointer(outputs, y, [leading(2), merge(n_out, ncol, layout == c_columns_contiguous)])
      if (.not. c_associated(is_outside)) then
        if (layout == c_columns_contiguous) then
          call found%emulator%predict(x(1:ncol, :), y(1:ncol, :), inner, workspace=own)
        else
          call found%emulator%predict_transposed(x(1:n_in, :), y(1:n_out, :), inner, workspace=own)
        end if
      else
        call c_f_pointer(is_outside, mask, [ncol])
        do first = 1, ncol, chunk
          last = first + min(chunk - 1, ncol - first)
          if (layout == c_columns_contiguous) then
            call found%emulator%predict(x(first:last, :), y(first:last, :), part, outside(1:last - first + 1), own)
          else
            call found%emulator%predict_transposed(x(1:n_in, first:last), y(1:n_out, first:last), part, &
                                                   outside(1:last - first + 1), own)
          end if
          if (part%code /= emufort_success) then
            inner = part
            exit
          end if
          do i = first, last
            mask(i) = logical(outside(i - first + 1), c_bool)
          end do
          inner%n_clipped = inner%n_clipped + part%n_clipped
          inner%n_invalid = inner%n_invalid + part%n_invalid
          ! ncol may be the largest integer
          if (last == ncol) exit
        end do
      end if
    end if
    code = c_outcome(inner, status)

  end function emufort_predict_f64

  !> Predict columns of host arrays in single precision.
  recursive integer(c_int) function emufort_predict_f32(handle, workspace, layout, ncol, inputs, input_leading, &
                                                        outputs, output_leading, is_outside, status) &
    bind(c) result(code)
    type(c_ptr), value :: handle                            !! an emulator
    type(c_ptr), value :: workspace                         !! of this thread, or null
    integer(c_int), value :: layout                         !! c_columns_contiguous or c_features_contiguous
    integer(c_int), value :: ncol                           !! number of columns
    type(c_ptr), value :: inputs, outputs                   !! arrays of the host
    integer(c_int), value :: input_leading, output_leading    !! their leading dimensions; 0 if there are no gaps
    type(c_ptr), value :: is_outside                        !! columns with an input out of range or invalid, or null
    type(c_ptr), value :: status                            !! an `emufort_status`, or null
    type(handle_type), pointer :: found
    type(workspace_type), pointer :: own
    type(status_type) :: inner, part
    real(c_float), pointer :: x(:, :), y(:, :)
    logical(c_bool), pointer :: mask(:)
    logical :: outside(chunk)
    integer :: n_in, n_out, first, last, i, leading(2)

    call check_call(handle, layout, ncol, inputs, input_leading, outputs, output_leading, leading, inner)
    if (inner%code == emufort_success .and. ncol > 0) then
      call c_f_pointer(handle, found)
      own => c_workspace_pointer(workspace)
      n_in = found%emulator%n_inputs()
      n_out = found%emulator%n_outputs()
      call c_f_pointer(inputs, x, [leading(1), merge(n_in, ncol, layout == c_columns_contiguous)])
      call c_f_pointer(outputs, y, [leading(2), merge(n_out, ncol, layout == c_columns_contiguous)])
      if (.not. c_associated(is_outside)) then
        if (layout == c_columns_contiguous) then
          call found%emulator%predict(x(1:ncol, :), y(1:ncol, :), inner, workspace=own)
        else
          call found%emulator%predict_transposed(x(1:n_in, :), y(1:n_out, :), inner, workspace=own)
        end if
      else
        call c_f_pointer(is_outside, mask, [ncol])
        do first = 1, ncol, chunk
          last = first + min(chunk - 1, ncol - first)
          if (layout == c_columns_contiguous) then
            call found%emulator%predict(x(first:last, :), y(first:last, :), part, outside(1:last - first + 1), own)
          else
            call found%emulator%predict_transposed(x(1:n_in, first:last), y(1:n_out, first:last), part, &
                                                   outside(1:last - first + 1), own)
          end if
          if (part%code /= emufort_success) then
            inner = part
            exit
          end if
          do i = first, last
            mask(i) = logical(outside(i - first + 1), c_bool)
          end do
          inner%n_clipped = inner%n_clipped + part%n_clipped
          inner%n_invalid = inner%n_invalid + part%n_invalid
          ! ncol may be the largest integer
          if (last == ncol) exit
        end do
      end if
    end if
    code = c_outcome(inner, status)

  end function emufort_predict_f32

  !> Check the arguments of a prediction and complete the leading dimensions.
  recursive subroutine check_call(handle, layout, ncol, inputs, input_leading, outputs, output_leading, leading, status)
    type(c_ptr), intent(in) :: handle, inputs, outputs                        !! as in `emufort_predict_f64`
    integer(c_int), intent(in) :: layout, ncol, input_leading, output_leading   !! as in `emufort_predict_f64`
    integer, intent(out) :: leading(2)                                        !! leading dimensions of both arrays
    type(status_type), intent(inout) :: status                                !! outcome
    character(len=*), parameter :: place = 'predict'
    type(handle_type), pointer :: found
    integer :: least(2), i

    leading = 0
    if (.not. c_associated(handle)) then
      call set_error(status, emufort_error_not_loaded, place, 'the emulator is a null pointer')
    else if (ncol < 0) then
      call set_error(status, emufort_error_shape, place, 'the number of columns is negative')
    else if (layout /= c_columns_contiguous .and. layout /= c_features_contiguous) then
      call set_error(status, emufort_error_shape, place, 'there is no such layout of arrays')
    else if (ncol > 0 .and. .not. (c_associated(inputs) .and. c_associated(outputs))) then
      call set_error(status, emufort_error_shape, place, 'the inputs or the outputs are a null pointer')
    else
      call c_f_pointer(handle, found)
      ! One by one, because flang allocates for array constructors.
      least = ncol
      if (layout == c_features_contiguous) then
        least(1) = found%emulator%n_inputs()
        least(2) = found%emulator%n_outputs()
      end if
      leading(1) = input_leading
      leading(2) = output_leading
      do i = 1, 2
        if (leading(i) == 0) leading(i) = least(i)
        if (leading(i) < least(i)) &
          call set_error(status, emufort_error_shape, place, 'a leading dimension is too small')
      end do
    end if

  end subroutine check_call

end module emufort_c
#endif
