!> The runtime with an interface that f90wrap can wrap: an emulator is a handle, text is bytes, arrays are plain.
!>
!> A handle is the address of an emulator. Only the Python package emufort.runtime calls this module. It does not pass
!> the handle on, and closes it when the Python object is deleted.
module emufort_bindings
  use, intrinsic :: iso_c_binding, only: c_ptr, c_loc, c_f_pointer, c_int
  use, intrinsic :: iso_fortran_env, only: int8, int32, int64, real32, real64
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_error_limit, &
                             emufort_few_columns
  implicit none
  private

  public :: open_file, open_bytes, close_emulator, sizes, require, self_test, describe, contract_size, contract
  public :: predict_single, predict_double, cpu_level

  interface
    !> See emufort_cpu_level.c.
    integer(c_int) function emufort_cpu_level() bind(C)
      import :: c_int
    end function emufort_cpu_level
  end interface

contains

  !> Return the x86-64 level of the CPU.
  subroutine cpu_level(level)
    integer(int32), intent(out) :: level   !! 4 (AVX-512), 3 (AVX2), 1 (older); 0 for other kinds of CPU

    level = int(emufort_cpu_level(), int32)

  end subroutine cpu_level

  !> Load an emulator from a file.
  subroutine open_file(path, handle, code, message, place)
    integer(int8), intent(in) :: path(:)              !! path of weights.bin, as the file system spells it
    integer(int64), intent(out) :: handle             !! the emulator; 0 if there is an error
    integer(int32), intent(out) :: code               !! 0, or one of the emufort_error_* codes
    character(len=160), intent(out) :: message        !! error message
    character(len=32), intent(out) :: place           !! procedure that found it
    type(emulator_type), pointer :: emulator
    type(status_type) :: status

    call new_emulator(emulator, status)
    if (associated(emulator)) call emulator%load(text_of(path), status)
    call keep_or_drop(emulator, status, handle)
    call report(status, code, message, place)

  end subroutine open_file

  !> Load an emulator from the content of weights.bin.
  subroutine open_bytes(bytes, handle, code, message, place)
    integer(int8), intent(in) :: bytes(:)             !! content of weights.bin
    integer(int64), intent(out) :: handle             !! the emulator; 0 if there is an error
    integer(int32), intent(out) :: code               !! 0, or one of the emufort_error_* codes
    character(len=160), intent(out) :: message        !! error message
    character(len=32), intent(out) :: place           !! procedure that found it
    type(emulator_type), pointer :: emulator
    type(status_type) :: status

    call new_emulator(emulator, status)
    if (associated(emulator)) call emulator%load_bytes(bytes, status)
    call keep_or_drop(emulator, status, handle)
    call report(status, code, message, place)

  end subroutine open_bytes

  !> Release an emulator; its handle must not be used afterwards.
  subroutine close_emulator(handle)
    integer(int64), intent(in) :: handle   !! the emulator
    type(emulator_type), pointer :: emulator

    emulator => emulator_of(handle)
    if (associated(emulator)) deallocate (emulator)

  end subroutine close_emulator

  !> Return the numbers of input and output columns.
  subroutine sizes(handle, n_inputs, n_outputs)
    integer(int64), intent(in) :: handle        !! the emulator
    integer(int32), intent(out) :: n_inputs     !! number of input columns
    integer(int32), intent(out) :: n_outputs    !! number of output columns
    type(emulator_type), pointer :: emulator

    emulator => emulator_of(handle)
    n_inputs = emulator%n_inputs()
    n_outputs = emulator%n_outputs()

  end subroutine sizes

  !> Check the variables of the host against those of the emulator.
  subroutine require(handle, names, units, code, message, place)
    integer(int64), intent(in) :: handle           !! the emulator
    integer(int8), intent(in) :: names(:, :)       !! names of the variables (character, variable), blank padded
    integer(int8), intent(in) :: units(:, :)       !! their units (character, variable), blank padded
    integer(int32), intent(out) :: code            !! 0, or one of the emufort_error_* codes
    character(len=160), intent(out) :: message     !! error message
    character(len=32), intent(out) :: place        !! procedure that found it
    character(len=size(names, 1)) :: name(size(names, 2))
    character(len=size(units, 1)) :: unit(size(units, 2))
    type(emulator_type), pointer :: emulator
    type(status_type) :: status
    integer :: i

    do i = 1, size(name)
      name(i) = text_of(names(:, i))
    end do
    do i = 1, size(unit)
      unit(i) = text_of(units(:, i))
    end do
    emulator => emulator_of(handle)
    call emulator%require(name, unit, status)
    call report(status, code, message, place)

  end subroutine require

  !> Check that the golden vectors are reproduced on this machine.
  subroutine self_test(handle, code, message, place)
    integer(int64), intent(in) :: handle           !! the emulator
    integer(int32), intent(out) :: code            !! 0, or one of the emufort_error_* codes
    character(len=160), intent(out) :: message     !! error message
    character(len=32), intent(out) :: place        !! procedure that found it
    type(emulator_type), pointer :: emulator
    type(status_type) :: status

    emulator => emulator_of(handle)
    call emulator%self_test(status)
    call report(status, code, message, place)

  end subroutine self_test

  !> Describe the emulator in lines of text.
  subroutine describe(handle, text)
    integer(int64), intent(in) :: handle         !! the emulator
    integer(int8), intent(inout) :: text(:)      !! description, cut at its length, blank padded
    character(len=size(text)) :: lines
    type(emulator_type), pointer :: emulator

    emulator => emulator_of(handle)
    call emulator%describe(lines)
    call copy_text(lines, text)

  end subroutine describe

  !> Return the length of the contract.
  subroutine contract_size(handle, length)
    integer(int64), intent(in) :: handle       !! the emulator
    integer(int64), intent(out) :: length      !! number of bytes
    character(len=:), allocatable :: json
    type(emulator_type), pointer :: emulator

    emulator => emulator_of(handle)
    call emulator%get_contract(json)
    length = len(json, kind=int64)

  end subroutine contract_size

  !> Return the contract as it was exported (JSON).
  subroutine contract(handle, text)
    integer(int64), intent(in) :: handle         !! the emulator
    integer(int8), intent(inout) :: text(:)      !! contract, of the length that `contract_size` gave
    character(len=:), allocatable :: json
    type(emulator_type), pointer :: emulator

    emulator => emulator_of(handle)
    call emulator%get_contract(json)
    call copy_text(json, text)

  end subroutine contract

  !> Predict in single precision; the layout is that of a C array (column, variable).
  subroutine predict_single(handle, x, y, outside, n_clipped, n_invalid, code, message, place)
    integer(int64), intent(in) :: handle             !! the emulator
    real(real32), intent(in) :: x(:, :)              !! inputs, physical units (n_inputs, ncol)
    real(real32), intent(inout) :: y(:, :)           !! outputs, physical units (n_outputs, ncol)
    integer(int8), intent(inout) :: outside(:)       !! 1 where an input was clipped or invalid, else 0 (ncol)
    integer(int64), intent(out) :: n_clipped         !! values that were clipped
    integer(int64), intent(out) :: n_invalid         !! columns with a NaN or infinite input
    integer(int32), intent(out) :: code              !! 0, or one of the emufort_error_* codes
    character(len=160), intent(out) :: message       !! error message
    character(len=32), intent(out) :: place          !! procedure that found it
    logical, allocatable :: is_outside(:)
    type(emulator_type), pointer :: emulator
    type(workspace_type) :: workspace
    type(status_type) :: status

    emulator => emulator_of(handle)
    allocate (is_outside(size(outside)), source=.false.)
    ! For this call only, because threads of Python share the emulator.
    if (size(outside) > emufort_few_columns .or. emulator%requires_workspace()) &
      call emulator%make_workspace(workspace, status)
    if (status%code == emufort_success) call emulator%predict_transposed(x, y, status, is_outside, workspace)
    outside = merge(1_int8, 0_int8, is_outside)
    n_clipped = status%n_clipped
    n_invalid = status%n_invalid
    call report(status, code, message, place)

  end subroutine predict_single

  !> Predict in double precision; the layout is that of a C array (column, variable).
  subroutine predict_double(handle, x, y, outside, n_clipped, n_invalid, code, message, place)
    integer(int64), intent(in) :: handle             !! the emulator
    real(real64), intent(in) :: x(:, :)              !! inputs, physical units (n_inputs, ncol)
    real(real64), intent(inout) :: y(:, :)           !! outputs, physical units (n_outputs, ncol)
    integer(int8), intent(inout) :: outside(:)       !! 1 where an input was clipped or invalid, else 0 (ncol)
    integer(int64), intent(out) :: n_clipped         !! values that were clipped
    integer(int64), intent(out) :: n_invalid         !! columns with a NaN or infinite input
    integer(int32), intent(out) :: code              !! 0, or one of the emufort_error_* codes
    character(len=160), intent(out) :: message       !! error message
    character(len=32), intent(out) :: place          !! procedure that found it
    logical, allocatable :: is_outside(:)
    type(emulator_type), pointer :: emulator
    type(workspace_type) :: workspace
    type(status_type) :: status

    emulator => emulator_of(handle)
    allocate (is_outside(size(outside)), source=.false.)
    ! For this call only, because threads of Python share the emulator.
    if (size(outside) > emufort_few_columns .or. emulator%requires_workspace()) &
      call emulator%make_workspace(workspace, status)
    if (status%code == emufort_success) call emulator%predict_transposed(x, y, status, is_outside, workspace)
    outside = merge(1_int8, 0_int8, is_outside)
    n_clipped = status%n_clipped
    n_invalid = status%n_invalid
    call report(status, code, message, place)

  end subroutine predict_double

  !> Make an empty emulator; without enough memory, a null pointer and an error.
  subroutine new_emulator(emulator, status)
    type(emulator_type), pointer, intent(out) :: emulator   !! the emulator
    type(status_type), intent(out) :: status                !! outcome
    integer :: failure

    allocate (emulator, stat=failure)
    if (failure == 0) return
    nullify (emulator)
    status = status_type(code=emufort_error_limit, place='load', message='no memory for an emulator')

  end subroutine new_emulator

  !> Turn a loaded emulator into a handle, and release one that could not be loaded.
  subroutine keep_or_drop(emulator, status, handle)
    type(emulator_type), pointer, intent(inout) :: emulator   !! the emulator, or null
    type(status_type), intent(in) :: status                   !! outcome of loading it
    integer(int64), intent(out) :: handle                     !! the emulator; 0 if there is an error

    handle = 0_int64
    if (.not. associated(emulator)) return
    if (status%code == emufort_success) then
      handle = transfer(c_loc(emulator), handle)
    else
      deallocate (emulator)
    end if

  end subroutine keep_or_drop

  !> Return the emulator of a handle; null for the handle 0.
  function emulator_of(handle) result(emulator)
    integer(int64), intent(in) :: handle   !! an open handle
    type(emulator_type), pointer :: emulator
    type(c_ptr) :: address

    nullify (emulator)
    if (handle == 0_int64) return
    address = transfer(handle, address)
    call c_f_pointer(address, emulator)

  end function emulator_of

  !> Return the components of a status.
  subroutine report(status, code, message, place)
    type(status_type), intent(in) :: status       !! outcome of a call
    integer(int32), intent(out) :: code           !! its code
    character(len=160), intent(out) :: message    !! its message
    character(len=32), intent(out) :: place       !! its place

    code = int(status%code, int32)
    message = status%message
    place = status%place

  end subroutine report

  !> Convert bytes to text.
  pure function text_of(bytes) result(text)
    integer(int8), intent(in) :: bytes(:)   !! any bytes
    character(len=size(bytes)) :: text
    integer :: i

    do i = 1, size(bytes)
      text(i:i) = achar(iand(int(bytes(i)), 255))
    end do

  end function text_of

  !> Convert text to bytes, blank padded.
  pure subroutine copy_text(text, bytes)
    character(len=*), intent(in) :: text          !! any text
    integer(int8), intent(inout) :: bytes(:)      !! its bytes, cut at the length of the array
    integer :: i

    bytes = 32_int8
    do i = 1, min(len(text), size(bytes))
      bytes(i) = transfer(text(i:i), 0_int8)
    end do

  end subroutine copy_text

end module emufort_bindings
