!> The interface of `emulator_type` on top of ONNX Runtime: for networks that the runtime does not support, and for
!> comparisons. It needs libonnxruntime only at run time.
!>
!>     use emufort_onnxruntime, only: onnx_emulator_type
!>     call emulator%load('model.onnx', status)          ! or library='/path/libonnxruntime.so.1.32.0', threads=4
!>     call emulator%predict(x, y, status)               ! x(ncol, n_inputs), y(ncol, n_outputs), physical units
!>
!> The model may have several inputs and outputs of any shape (ncol, ...).
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
  use emufort_onnxruntime_api, only: onnx_api_type, open_api, c_text, fortran_text, message_of, &
                                     session_type_interface, element_float, logging_error, optimise_all
  implicit none
  private

  public :: onnx_emulator_type, emufort_error_onnxruntime

  !> Columns that are copied together between the layout of the host and that of the model.
  integer, parameter :: tile = 16
  !> Code of an error that ONNX Runtime reports, or of a library that cannot be used.
  integer, parameter :: emufort_error_onnxruntime = 100

#ifdef EMUFORT_ONNXRUNTIME_LIBRARY
  character(len=*), parameter :: default_library = EMUFORT_ONNXRUNTIME_LIBRARY
#else
  !> Path of the library if `load` gets none; set it by -DEMUFORT_ONNXRUNTIME_LIBRARY="'path'".
  character(len=*), parameter :: default_library = 'libonnxruntime.so.1'
#endif

  !> An input or output of a model: single precision, [ncol, ...].
  type :: port_type
    type(c_ptr) :: name = c_null_ptr                       ! memory of the allocator
    integer(c_int64_t), allocatable :: dimensions(:)       ! of a tensor; the first one is that of the columns
    integer :: width = 0                                   ! values of one column
  end type port_type

  !> A model in ONNX Runtime. Its inputs form the columns of x one after the other, and its outputs those of y; the last
  !> index of an input or output varies fastest.
  type :: onnx_emulator_type
    private
    type(onnx_api_type) :: api
    type(c_ptr) :: env = c_null_ptr, session = c_null_ptr, allocator = c_null_ptr
    type(port_type), allocatable :: inputs(:), outputs(:)
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

  !> Get the names and shapes of the inputs and outputs of the model.
  subroutine inspect(emulator, complaint)
    type(onnx_emulator_type), intent(inout) :: emulator           !! with a session
    character(len=:), allocatable, intent(out) :: complaint       !! error message; empty for success
    integer(c_size_t) :: n_in, n_out, i

    associate (api => emulator%api, session => emulator%session, allocator => emulator%allocator)
      complaint = message_of(api, api%get_input_count(session, n_in))
      if (len(complaint) == 0) complaint = message_of(api, api%get_output_count(session, n_out))
      if (len(complaint) > 0) return
      if (min(n_in, n_out) < 1_c_size_t) then
        complaint = 'the model must have an input and an output'
        return
      end if
      allocate (emulator%inputs(n_in), emulator%outputs(n_out))
      do i = 1, n_in
        associate (port => emulator%inputs(i))
          complaint = message_of(api, api%get_input_name(session, i - 1, allocator, port%name))
          if (len(complaint) == 0) &
            call inspect_port(api, api%get_input_type, session, i - 1, 'input', port, complaint)
          if (len(complaint) > 0) return
        end associate
      end do
      do i = 1, n_out
        associate (port => emulator%outputs(i))
          complaint = message_of(api, api%get_output_name(session, i - 1, allocator, port%name))
          if (len(complaint) == 0) &
            call inspect_port(api, api%get_output_type, session, i - 1, 'output', port, complaint)
          if (len(complaint) > 0) return
        end associate
      end do
    end associate

  end subroutine inspect

  !> Get the shape of a tensor in single precision with any number of columns.
  subroutine inspect_port(api, get_type, session, position, what, port, complaint)
    type(onnx_api_type), intent(in) :: api                       !! the functions
    procedure(session_type_interface) :: get_type                !! function for inputs or for outputs
    type(c_ptr), intent(in) :: session                           !! OrtSession
    integer(c_size_t), intent(in) :: position                    !! which input or output, from 0
    character(len=*), intent(in) :: what                         !! 'input' or 'output', for the message
    type(port_type), intent(inout) :: port                       !! input or output
    character(len=:), allocatable, intent(out) :: complaint      !! error message; empty for success
    type(c_ptr) :: info, tensor
    integer(c_int) :: element
    integer(c_size_t) :: rank

    complaint = message_of(api, get_type(session, position, info))
    if (len(complaint) > 0) return
    complaint = message_of(api, api%cast_type(info, tensor))
    if (len(complaint) == 0 .and. .not. c_associated(tensor)) complaint = 'the '//what//'s must be tensors'
    if (len(complaint) == 0) complaint = message_of(api, api%get_element_type(tensor, element))
    if (len(complaint) == 0) complaint = message_of(api, api%get_dimensions_count(tensor, rank))
    if (len(complaint) == 0 .and. (element /= element_float .or. rank < 1_c_size_t)) &
      complaint = 'the '//what//'s must be arrays in single precision'
    if (len(complaint) == 0) then
      allocate (port%dimensions(rank))
      complaint = message_of(api, api%get_dimensions(tensor, port%dimensions, rank))
    end if
    call api%release_type_info(info)
    if (len(complaint) > 0) return
    if (port%dimensions(1) > 0_c_int64_t .or. any(port%dimensions(2:) < 1_c_int64_t)) then
      complaint = 'the '//what//'s must have a free first dimension and fixed sizes of the others'
      return
    end if
    port%width = int(product(port%dimensions(2:)))

  end subroutine inspect_port

  !> Release the model and its session. An emulator that goes out of scope does not release them.
  subroutine release(emulator)
    class(onnx_emulator_type), intent(inout) :: emulator   !! any emulator

    if (associated(emulator%api%run)) then
      associate (api => emulator%api)
        if (allocated(emulator%inputs)) call release_names(api, emulator%allocator, emulator%inputs)
        if (allocated(emulator%outputs)) call release_names(api, emulator%allocator, emulator%outputs)
        if (c_associated(emulator%session)) call api%release_session(emulator%session)
        if (c_associated(api%cpu_memory)) call api%release_memory_info(api%cpu_memory)
        if (c_associated(emulator%env)) call api%release_env(emulator%env)
      end associate
    end if
    emulator%api = onnx_api_type()
    emulator%env = c_null_ptr
    emulator%session = c_null_ptr
    emulator%allocator = c_null_ptr
    if (allocated(emulator%inputs)) deallocate (emulator%inputs)
    if (allocated(emulator%outputs)) deallocate (emulator%outputs)
    emulator%file = ''

  end subroutine release

  !> Release the names of inputs or outputs.
  subroutine release_names(api, allocator, ports)
    type(onnx_api_type), intent(in) :: api       !! the functions
    type(c_ptr), intent(in) :: allocator         !! OrtAllocator that made the names
    type(port_type), intent(in) :: ports(:)      !! inputs or outputs
    type(c_ptr) :: status
    integer :: i

    do i = 1, size(ports)
      if (c_associated(ports(i)%name)) status = api%allocator_free(allocator, ports(i)%name)
    end do

  end subroutine release_names

  !> Whether the emulator holds a model.
  pure logical function is_loaded(emulator)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator

    is_loaded = emulator%n_outputs() > 0

  end function is_loaded

  !> Number of input columns; 0 before `load`.
  pure integer function n_inputs(emulator)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator

    n_inputs = 0
    if (allocated(emulator%inputs)) n_inputs = sum(emulator%inputs%width)

  end function n_inputs

  !> Number of output columns; 0 before `load`.
  pure integer function n_outputs(emulator)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator

    n_outputs = 0
    if (allocated(emulator%outputs)) n_outputs = sum(emulator%outputs%width)

  end function n_outputs

  !> Describe the emulator in lines of text.
  subroutine describe(emulator, text)
    class(onnx_emulator_type), intent(in) :: emulator   !! any emulator
    character(len=*), intent(out) :: text               !! description, cut at its length
    character(len=*), parameter :: tab = achar(9), newline = achar(10)
    character(len=:), allocatable :: found
    integer :: i

    if (.not. emulator%is_loaded()) then
      text = 'no emulator loaded'
      return
    end if
    found = 'onnxruntime'//tab//trim(emulator%api%version)//newline//'model'//tab//emulator%file//newline
    do i = 1, size(emulator%inputs)
      found = found//'input'//tab//port_text(emulator%inputs(i))//newline
    end do
    do i = 1, size(emulator%outputs)
      found = found//'output'//tab//port_text(emulator%outputs(i))//newline
    end do
    text = found

  end subroutine describe

  !> Describe an input or output: its name and shape.
  function port_text(port) result(text)
    type(port_type), intent(in) :: port      !! input or output
    character(len=:), allocatable :: text    !! such as `x(ncol, 60, 4)`
    character(len=20) :: number
    integer :: i

    text = fortran_text(port%name)//'(ncol'
    do i = 2, size(port%dimensions)
      write (number, '(i0)') port%dimensions(i)
      text = text//', '//trim(number)
    end do
    text = text//')'

  end function port_text

  !> Run the model on arrays of the layout and kind of the model.
  recursive subroutine run(emulator, ncol, x, y, status)
    class(onnx_emulator_type), intent(in) :: emulator       !! a loaded emulator
    integer, intent(in) :: ncol                             !! number of columns
    real(real32), intent(in), target :: x(:)                !! inputs one after the other, each (width, ncol)
    real(real32), intent(inout), target :: y(:)             !! outputs one after the other, each (width, ncol)
    type(status_type), intent(inout) :: status              !! outcome
    type(c_ptr) :: inputs(size(emulator%inputs)), outputs(size(emulator%outputs)), failure
    type(c_ptr) :: input_names(size(inputs)), output_names(size(outputs))

    outputs = c_null_ptr
    input_names = emulator%inputs%name
    output_names = emulator%outputs%name
    associate (api => emulator%api)
      call make_tensors(api, ncol, emulator%inputs, x, inputs, failure)
      if (.not. c_associated(failure)) call make_tensors(api, ncol, emulator%outputs, y, outputs, failure)
      if (.not. c_associated(failure)) &
        failure = api%run(emulator%session, c_null_ptr, input_names, inputs, size(inputs, kind=c_size_t), &
                          output_names, size(outputs, kind=c_size_t), outputs)
      if (c_associated(failure)) call set_status(status, emufort_error_onnxruntime, 'predict', message_of(api, failure))
      call release_tensors(api, inputs)
      call release_tensors(api, outputs)
    end associate

  end subroutine run

  !> Make tensors of the memory of an array.
  recursive subroutine make_tensors(api, ncol, ports, values, tensors, failure)
    type(onnx_api_type), intent(in) :: api                  !! the functions
    integer, intent(in) :: ncol                             !! number of columns
    type(port_type), intent(in) :: ports(:)                 !! inputs or outputs
    real(real32), intent(in), target :: values(:)           !! one after the other, each (width, ncol)
    type(c_ptr), intent(out) :: tensors(:)                  !! OrtValue of each; null after a failure
    type(c_ptr), intent(out) :: failure                     !! OrtStatus, null for success
    integer :: i, first

    tensors = c_null_ptr
    failure = c_null_ptr
    first = 1
    do i = 1, size(ports)
      associate (dimensions => ports(i)%dimensions, n => ports(i)%width*ncol)
        failure = api%create_tensor(api%cpu_memory, c_loc(values(first)), 4_c_size_t*int(n, c_size_t), &
                                    [int(ncol, c_int64_t), dimensions(2:)], size(dimensions, kind=c_size_t), &
                                    element_float, tensors(i))
        if (c_associated(failure)) return
        first = first + n
      end associate
    end do

  end subroutine make_tensors

  !> Release tensors; their memory stays.
  recursive subroutine release_tensors(api, tensors)
    type(onnx_api_type), intent(in) :: api      !! the functions
    type(c_ptr), intent(in) :: tensors(:)       !! OrtValue of each, or null
    integer :: i

    do i = 1, size(tensors)
      if (c_associated(tensors(i))) call api%release_value(tensors(i))
    end do

  end subroutine release_tensors

  !> Predict, host arrays in single precision.
  recursive subroutine predict_real32(emulator, x, y, status)
    class(onnx_emulator_type), intent(in) :: emulator    !! a loaded emulator
    real(real32), intent(in) :: x(:, :)                  !! inputs in contract order and units (ncol, n_inputs)
    real(real32), intent(inout) :: y(:, :)               !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(out) :: status             !! outcome, number of invalid columns
    real(real32), allocatable :: values(:), results(:)
    integer :: p, first, i, from, j, ncol

    call check_shapes(emulator, shape(x), shape(y), status)
    ncol = size(x, 1)
    if (status%code /= 0 .or. ncol == 0) return
    allocate (values(size(x)), results(size(y)))
    first = 0
    do p = 1, size(emulator%inputs)
      associate (width => emulator%inputs(p)%width)
        ! Some columns at a time, so that the parts of the tensor that are written stay in the cache.
        do from = 0, ncol - 1, tile
          do j = 1, width
            do i = from, min(from + tile, ncol) - 1
              values(ncol*first + i*width + j) = x(i + 1, first + j)
            end do
          end do
        end do
        first = first + width
      end associate
    end do
    call emulator%run(ncol, values, results, status)
    if (status%code /= 0) return
    first = 0
    do p = 1, size(emulator%outputs)
      associate (width => emulator%outputs(p)%width)
        do from = 0, ncol - 1, tile
          do j = 1, width
            do i = from, min(from + tile, ncol) - 1
              y(i + 1, first + j) = results(ncol*first + i*width + j)
            end do
          end do
        end do
        first = first + width
      end associate
    end do
    status%n_invalid = count_invalid(ncol, emulator%outputs%width, results)

  end subroutine predict_real32

  !> Predict, host arrays in double precision; the model computes in single precision.
  recursive subroutine predict_real64(emulator, x, y, status)
    class(onnx_emulator_type), intent(in) :: emulator    !! a loaded emulator
    real(real64), intent(in) :: x(:, :)                  !! inputs in contract order and units (ncol, n_inputs)
    real(real64), intent(inout) :: y(:, :)               !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(out) :: status             !! outcome, number of invalid columns
    real(real32), allocatable :: values(:), results(:)
    integer :: p, first, i, from, j, ncol

    call check_shapes(emulator, shape(x), shape(y), status)
    ncol = size(x, 1)
    if (status%code /= 0 .or. ncol == 0) return
    allocate (values(size(x)), results(size(y)))
    first = 0
    do p = 1, size(emulator%inputs)
      associate (width => emulator%inputs(p)%width)
        ! Some columns at a time, so that the parts of the tensor that are written stay in the cache.
        do from = 0, ncol - 1, tile
          do j = 1, width
            do i = from, min(from + tile, ncol) - 1
              values(ncol*first + i*width + j) = real(x(i + 1, first + j), real32)
            end do
          end do
        end do
        first = first + width
      end associate
    end do
    call emulator%run(ncol, values, results, status)
    if (status%code /= 0) return
    first = 0
    do p = 1, size(emulator%outputs)
      associate (width => emulator%outputs(p)%width)
        do from = 0, ncol - 1, tile
          do j = 1, width
            do i = from, min(from + tile, ncol) - 1
              y(i + 1, first + j) = real(results(ncol*first + i*width + j), real64)
            end do
          end do
        end do
        first = first + width
      end associate
    end do
    status%n_invalid = count_invalid(ncol, emulator%outputs%width, results)

  end subroutine predict_real64

  !> Check that a model is loaded and that its sizes fit the arrays.
  recursive subroutine check_shapes(emulator, shape_x, shape_y, status)
    class(onnx_emulator_type), intent(in) :: emulator    !! any emulator
    integer, intent(in) :: shape_x(2)                    !! shape of the inputs
    integer, intent(in) :: shape_y(2)                    !! shape of the outputs
    type(status_type), intent(inout) :: status           !! outcome

    if (.not. emulator%is_loaded()) then
      call set_status(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
    else if (shape_x(2) /= emulator%n_inputs() .or. shape_y(2) /= emulator%n_outputs() .or. &
             shape_x(1) /= shape_y(1)) then
      call set_status(status, emufort_error_shape, 'predict', 'x must be (ncol, n_inputs) and y (ncol, n_outputs)')
    end if

  end subroutine check_shapes

  !> Return the number of columns with a NaN.
  pure recursive integer(int64) function count_invalid(ncol, widths, y)
    integer, intent(in) :: ncol          !! number of columns
    integer, intent(in) :: widths(:)     !! values of one column of each output
    real(real32), intent(in) :: y(:)     !! outputs one after the other, each (width, ncol)
    logical :: is_invalid(ncol)
    integer :: p, first, i

    is_invalid = .false.
    first = 0
    do p = 1, size(widths)
      do i = 1, ncol
        is_invalid(i) = is_invalid(i) .or. any(ieee_is_nan(y(first + 1:first + widths(p))))
        first = first + widths(p)
      end do
    end do
    count_invalid = count(is_invalid, kind=int64)

  end function count_invalid

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
