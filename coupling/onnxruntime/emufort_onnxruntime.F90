!> The interface of `emulator_type` on top of ONNX Runtime: for networks that the runtime does not support, and for
!> comparisons. It needs libonnxruntime only at run time.
!>
!>     use emufort_onnxruntime, only: onnx_emulator_type
!>     call emulator%load('model.onnx', status)          ! or library='/path/libonnxruntime.so.1.32.0', threads=4
!>     call emulator%predict(x, y, status)               ! x(ncol, n_inputs), y(ncol, n_outputs), physical units
!>
!> After `load` the emulator is constant, and threads may share it. Unlike the runtime, ONNX Runtime allocates memory in
!> each call, and the bits of a column may depend on the other columns of the call. The graph clips values out of range,
!> and they are not counted. `status%n_invalid` counts columns with a NaN in the outputs.
module emufort_onnxruntime
  use, intrinsic :: iso_c_binding, only: c_associated, c_int, c_int64_t, c_loc, c_null_ptr, c_ptr, c_size_t
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use emufort_runtime, only: status_type, emufort_error_file, emufort_error_format, emufort_error_shape, &
                             emufort_error_not_loaded
  use emufort_onnxruntime_api, only: onnx_api_type, open_api, c_text, fortran_text, message_of, element_float, &
                                     logging_error, optimise_all
  implicit none
  private

  public :: onnx_emulator_type, emufort_error_onnxruntime

  !> Code of an error that ONNX Runtime reports, or of a library that cannot be used.
  integer, parameter :: emufort_error_onnxruntime = 100

#ifdef EMUFORT_ONNXRUNTIME_LIBRARY
  character(len=*), parameter :: default_library = EMUFORT_ONNXRUNTIME_LIBRARY
#else
  !> Path of the library if `load` gets none; set it by -DEMUFORT_ONNXRUNTIME_LIBRARY="'path'".
  character(len=*), parameter :: default_library = 'libonnxruntime.so.1'
#endif

  !> A model in ONNX Runtime: one input [ncol, n_inputs] and one output [ncol, n_outputs], single precision.
  type :: onnx_emulator_type
    private
    type(onnx_api_type) :: api
    type(c_ptr) :: env = c_null_ptr, session = c_null_ptr, allocator = c_null_ptr
    type(c_ptr) :: input_name = c_null_ptr, output_name = c_null_ptr   ! memory of the allocator
    integer :: input_width = 0, output_width = 0
    character(len=:), allocatable :: file
  contains
    procedure :: load
    procedure :: release
    procedure :: is_loaded
    procedure :: n_inputs
    procedure :: n_outputs
    procedure :: describe
    procedure, private :: run
    procedure, private :: predict_real32
    procedure, private :: predict_real64
    generic :: predict => predict_real32, predict_real64
  end type onnx_emulator_type

contains

  !> Read a model from a file. A previous model of the emulator is released.
  subroutine load(emulator, filename, status, library, threads)
    class(onnx_emulator_type), intent(inout) :: emulator   !! empty if there is an error
    character(len=*), intent(in) :: filename               !! path of the ONNX model
    type(status_type), intent(out) :: status               !! outcome
    character(len=*), intent(in), optional :: library      !! path of libonnxruntime
    integer, intent(in), optional :: threads               !! threads of one call; default 1, as the host has threads
    character(len=:), allocatable :: complaint, path
    type(c_ptr) :: options
    integer :: n_threads
    logical :: is_there

    call emulator%release()
    n_threads = 1
    if (present(threads)) n_threads = max(1, threads)
    path = default_library
    if (present(library)) path = library
    inquire (file=filename, exist=is_there)
    if (.not. is_there) then
      call set_status(status, emufort_error_file, 'load', 'cannot open '//trim(filename))
      return
    end if
    call open_api(trim(path), emulator%api, complaint)
    if (len(complaint) > 0) then
      call set_status(status, emufort_error_onnxruntime, 'load', complaint)
      return
    end if
    options = c_null_ptr
    associate (api => emulator%api)
      complaint = message_of(api, api%create_env(logging_error, c_text('emufort'), emulator%env))
      if (len(complaint) == 0) complaint = message_of(api, api%default_allocator(emulator%allocator))
      if (len(complaint) == 0) complaint = message_of(api, api%create_session_options(options))
      if (len(complaint) == 0) complaint = message_of(api, api%set_intra_op_threads(options, int(n_threads, c_int)))
      if (len(complaint) == 0) complaint = message_of(api, api%set_inter_op_threads(options, 1_c_int))
      if (len(complaint) == 0) complaint = message_of(api, api%set_optimisation(options, optimise_all))
      if (len(complaint) == 0) &
        complaint = message_of(api, api%create_session(emulator%env, c_text(filename), options, emulator%session))
      if (c_associated(options)) call api%release_session_options(options)
    end associate
    if (len(complaint) > 0) then
      emulator%session = c_null_ptr
      call set_status(status, emufort_error_onnxruntime, 'load', trim(filename)//': '//complaint)
    else
      call inspect(emulator, complaint)
      if (len(complaint) > 0) call set_status(status, emufort_error_format, 'load', trim(filename)//': '//complaint)
    end if
    if (len(complaint) > 0) then
      call emulator%release()
    else
      emulator%file = trim(filename)
    end if

  end subroutine load

  !> Get the names and sizes of the input and output of the model.
  subroutine inspect(emulator, complaint)
    type(onnx_emulator_type), intent(inout) :: emulator           !! with a session
    character(len=:), allocatable, intent(out) :: complaint       !! error message; empty for success
    type(c_ptr) :: info
    integer(c_size_t) :: n_in, n_out

    associate (api => emulator%api, session => emulator%session)
      complaint = message_of(api, api%get_input_count(session, n_in))
      if (len(complaint) == 0) complaint = message_of(api, api%get_output_count(session, n_out))
      if (len(complaint) > 0) return
      if (n_in /= 1_c_size_t .or. n_out /= 1_c_size_t) then
        complaint = 'the model must have one input and one output'
        return
      end if
      complaint = message_of(api, api%get_input_name(session, 0_c_size_t, emulator%allocator, emulator%input_name))
      if (len(complaint) > 0) return
      complaint = message_of(api, api%get_output_name(session, 0_c_size_t, emulator%allocator, emulator%output_name))
      if (len(complaint) > 0) return
      complaint = message_of(api, api%get_input_type(session, 0_c_size_t, info))
      if (len(complaint) > 0) return
      call width_of(api, info, 'input', emulator%input_width, complaint)
      call api%release_type_info(info)
      if (len(complaint) > 0) return
      complaint = message_of(api, api%get_output_type(session, 0_c_size_t, info))
      if (len(complaint) > 0) return
      call width_of(api, info, 'output', emulator%output_width, complaint)
      call api%release_type_info(info)
    end associate

  end subroutine inspect

  !> Return the second dimension of a single precision matrix with any number of rows.
  subroutine width_of(api, info, what, width, complaint)
    type(onnx_api_type), intent(in) :: api                       !! the functions
    type(c_ptr), intent(in) :: info                              !! OrtTypeInfo
    character(len=*), intent(in) :: what                         !! 'input' or 'output', for the message
    integer, intent(out) :: width                                !! number of columns of the matrix
    character(len=:), allocatable, intent(out) :: complaint      !! error message; empty for success
    type(c_ptr) :: tensor
    integer(c_int) :: element
    integer(c_size_t) :: rank
    integer(c_int64_t) :: dimensions(2)

    width = 0
    complaint = message_of(api, api%cast_type(info, tensor))
    if (len(complaint) > 0) return
    if (.not. c_associated(tensor)) then
      complaint = 'the '//what//' must be a tensor'
      return
    end if
    complaint = message_of(api, api%get_element_type(tensor, element))
    if (len(complaint) == 0) complaint = message_of(api, api%get_dimensions_count(tensor, rank))
    if (len(complaint) > 0) return
    if (element /= element_float .or. rank /= 2_c_size_t) then
      complaint = 'the '//what//' must be a single precision matrix'
      return
    end if
    complaint = message_of(api, api%get_dimensions(tensor, dimensions, rank))
    if (len(complaint) > 0) return
    if (dimensions(1) > 0_c_int64_t .or. dimensions(2) < 1_c_int64_t) then
      complaint = 'the '//what//' must have any number of rows and a fixed number of columns'
      return
    end if
    width = int(dimensions(2))

  end subroutine width_of

  !> Release the model and its session. An emulator that goes out of scope does not release them.
  subroutine release(emulator)
    class(onnx_emulator_type), intent(inout) :: emulator   !! any emulator
    type(c_ptr) :: status

    if (associated(emulator%api%run)) then
      associate (api => emulator%api)
        if (c_associated(emulator%input_name)) status = api%allocator_free(emulator%allocator, emulator%input_name)
        if (c_associated(emulator%output_name)) status = api%allocator_free(emulator%allocator, emulator%output_name)
        if (c_associated(emulator%session)) call api%release_session(emulator%session)
        if (c_associated(api%cpu_memory)) call api%release_memory_info(api%cpu_memory)
        if (c_associated(emulator%env)) call api%release_env(emulator%env)
      end associate
    end if
    emulator%api = onnx_api_type()
    emulator%env = c_null_ptr
    emulator%session = c_null_ptr
    emulator%allocator = c_null_ptr
    emulator%input_name = c_null_ptr
    emulator%output_name = c_null_ptr
    emulator%input_width = 0
    emulator%output_width = 0
    emulator%file = ''

  end subroutine release

  !> Whether the emulator holds a model.
  pure logical function is_loaded(emulator)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator

    is_loaded = emulator%output_width > 0

  end function is_loaded

  !> Number of input columns; 0 before `load`.
  pure integer function n_inputs(emulator)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator

    n_inputs = emulator%input_width

  end function n_inputs

  !> Number of output columns; 0 before `load`.
  pure integer function n_outputs(emulator)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator

    n_outputs = emulator%output_width

  end function n_outputs

  !> Describe the emulator in lines of text.
  subroutine describe(emulator, text)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator
    character(len=*), intent(out) :: text               !! description, cut at its length
    character(len=*), parameter :: tab = achar(9), newline = achar(10)
    character(len=12) :: width_in, width_out

    if (.not. emulator%is_loaded()) then
      text = 'no emulator loaded'
      return
    end if
    write (width_in, '(i0)') emulator%input_width
    write (width_out, '(i0)') emulator%output_width
    text = 'onnxruntime'//tab//trim(emulator%api%version)//newline// &
           'model'//tab//emulator%file//newline// &
           'input'//tab//fortran_text(emulator%input_name)//tab//'(ncol, '//trim(width_in)//')'//newline// &
           'output'//tab//fortran_text(emulator%output_name)//tab//'(ncol, '//trim(width_out)//')'//newline

  end subroutine describe

  !> Run the model on arrays of the layout and kind of the model.
  recursive subroutine run(emulator, x, y, status)
    class(onnx_emulator_type), intent(in) :: emulator                 !! a loaded emulator
    real(real32), intent(in), target, contiguous :: x(:, :)           !! inputs (n_inputs, ncol)
    real(real32), intent(inout), target, contiguous :: y(:, :)        !! outputs (n_outputs, ncol)
    type(status_type), intent(inout) :: status                        !! outcome
    type(c_ptr) :: input_names(1), output_names(1), inputs(1), outputs(1), failure

    inputs = c_null_ptr
    outputs = c_null_ptr
    input_names = emulator%input_name
    output_names = emulator%output_name
    associate (api => emulator%api)
      failure = api%create_tensor(api%cpu_memory, c_loc(x), int(4, c_size_t)*size(x, kind=c_size_t), &
                                  int([size(x, 2), size(x, 1)], c_int64_t), 2_c_size_t, element_float, inputs(1))
      if (.not. c_associated(failure)) &
        failure = api%create_tensor(api%cpu_memory, c_loc(y), int(4, c_size_t)*size(y, kind=c_size_t), &
                                    int([size(y, 2), size(y, 1)], c_int64_t), 2_c_size_t, element_float, outputs(1))
      if (.not. c_associated(failure)) &
        failure = api%run(emulator%session, c_null_ptr, input_names, inputs, 1_c_size_t, output_names, 1_c_size_t, &
                          outputs)
      if (c_associated(failure)) call set_status(status, emufort_error_onnxruntime, 'predict', message_of(api, failure))
      if (c_associated(inputs(1))) call api%release_value(inputs(1))
      if (c_associated(outputs(1))) call api%release_value(outputs(1))
    end associate

  end subroutine run

  !> Predict, host arrays in single precision.
  recursive subroutine predict_real32(emulator, x, y, status)
    class(onnx_emulator_type), intent(in) :: emulator    !! a loaded emulator
    real(real32), intent(in) :: x(:, :)                  !! inputs in contract order and units (ncol, n_inputs)
    real(real32), intent(inout) :: y(:, :)               !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(out) :: status             !! outcome, number of invalid columns
    real(real32), allocatable :: rows(:, :), results(:, :)
    integer :: i, j

    call check_shapes(emulator, shape(x), shape(y), status)
    if (status%code /= 0 .or. size(x, 1) == 0) return
    allocate (rows(size(x, 2), size(x, 1)), results(size(y, 2), size(y, 1)))
    do j = 1, size(x, 2)
      do i = 1, size(x, 1)
        rows(j, i) = x(i, j)
      end do
    end do
    call emulator%run(rows, results, status)
    if (status%code /= 0) return
    do j = 1, size(y, 2)
      do i = 1, size(y, 1)
        y(i, j) = results(j, i)
      end do
    end do
    status%n_invalid = invalid_columns(results)

  end subroutine predict_real32

  !> Predict, host arrays in double precision; the model computes in single precision.
  recursive subroutine predict_real64(emulator, x, y, status)
    class(onnx_emulator_type), intent(in) :: emulator    !! a loaded emulator
    real(real64), intent(in) :: x(:, :)                  !! inputs in contract order and units (ncol, n_inputs)
    real(real64), intent(inout) :: y(:, :)               !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(out) :: status             !! outcome, number of invalid columns
    real(real32), allocatable :: rows(:, :), results(:, :)
    integer :: i, j

    call check_shapes(emulator, shape(x), shape(y), status)
    if (status%code /= 0 .or. size(x, 1) == 0) return
    allocate (rows(size(x, 2), size(x, 1)), results(size(y, 2), size(y, 1)))
    do j = 1, size(x, 2)
      do i = 1, size(x, 1)
        rows(j, i) = real(x(i, j), real32)
      end do
    end do
    call emulator%run(rows, results, status)
    if (status%code /= 0) return
    do j = 1, size(y, 2)
      do i = 1, size(y, 1)
        y(i, j) = real(results(j, i), real64)
      end do
    end do
    status%n_invalid = invalid_columns(results)

  end subroutine predict_real64

  !> Check that a model is loaded and that its sizes fit the arrays.
  recursive subroutine check_shapes(emulator, shape_x, shape_y, status)
    class(onnx_emulator_type), intent(in) :: emulator    !! any emulator
    integer, intent(in) :: shape_x(2)                    !! shape of the inputs
    integer, intent(in) :: shape_y(2)                    !! shape of the outputs
    type(status_type), intent(inout) :: status           !! outcome

    if (.not. emulator%is_loaded()) then
      call set_status(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
    else if (shape_x(2) /= emulator%input_width .or. shape_y(2) /= emulator%output_width .or. &
             shape_x(1) /= shape_y(1)) then
      call set_status(status, emufort_error_shape, 'predict', 'x must be (ncol, n_inputs) and y (ncol, n_outputs)')
    end if

  end subroutine check_shapes

  !> Return the number of columns with a NaN.
  pure recursive integer(int64) function invalid_columns(y)
    real(real32), intent(in) :: y(:, :)   !! outputs (n_outputs, ncol)
    integer :: i

    invalid_columns = 0_int64
    do i = 1, size(y, 2)
      if (any(ieee_is_nan(y(:, i)))) invalid_columns = invalid_columns + 1_int64
    end do

  end function invalid_columns

  !> Record an error.
  recursive subroutine set_status(status, code, place, message)
    type(status_type), intent(inout) :: status   !! status to write to
    integer, intent(in) :: code                  !! one of the emufort_error_* codes
    character(len=*), intent(in) :: place        !! procedure that reports the error
    character(len=*), intent(in) :: message      !! one line that says what is wrong

    status%code = code
    status%place = place
    status%message = message

  end subroutine set_status

end module emufort_onnxruntime
