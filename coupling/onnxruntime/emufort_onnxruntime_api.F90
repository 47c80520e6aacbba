!> The part of ONNX Runtime's C API that emufort_onnxruntime uses, opened at run time.
!>
!> The library exports one function, which returns a table of function pointers. New versions append to the table, so a
!> function keeps the place that it had in version 1 of the API (ONNX Runtime 1.0, 2019). All functions used here are
!> from this version. The module needs no header of the library and no link to it. `open_api` tests the table before its
!> use.
module emufort_onnxruntime_api
  use, intrinsic :: iso_c_binding, only: &
    c_associated, c_char, c_f_pointer, c_f_procpointer, c_funptr, c_int, c_int32_t, c_int64_t, c_null_char, &
    c_null_ptr, c_ptr, c_size_t
  implicit none
  private

  public :: onnx_api_type, open_api, c_text, fortran_text, message_of, session_type_interface

  !> Requested version of the C API.
  integer(c_int32_t), parameter, public :: api_version = 1_c_int32_t
  !> ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
  integer(c_int), parameter, public :: element_float = 1_c_int
  !> ORT_LOGGING_LEVEL_ERROR: warnings of the library would go to the host's standard error.
  integer(c_int), parameter, public :: logging_error = 3_c_int
  !> ORT_ENABLE_ALL
  integer(c_int), parameter, public :: optimise_all = 99_c_int
  !> OrtArenaAllocator, OrtMemTypeDefault
  integer(c_int), parameter :: arena_allocator = 1_c_int, default_memory = 0_c_int
  !> RTLD_NOW
  integer(c_int), parameter :: resolve_now = 2_c_int

  ! Places in the table, from 1.
  integer, parameter :: at_create_status = 1, at_get_error_code = 2, at_get_error_message = 3, at_create_env = 4, &
                        at_create_session = 8, at_run = 10, at_create_session_options = 11, &
                        at_set_optimisation = 24, at_set_intra_op_threads = 25, at_set_inter_op_threads = 26, &
                        at_get_input_count = 31, at_get_output_count = 32, at_get_input_type = 34, &
                        at_get_output_type = 35, at_get_input_name = 37, at_get_output_name = 38, &
                        at_create_tensor = 50, at_cast_type = 56, at_get_element_type = 61, &
                        at_get_dimensions_count = 62, at_get_dimensions = 63, at_create_cpu_memory_info = 70, &
                        at_memory_info_name = 72, at_allocator_free = 77, at_default_allocator = 79, &
                        at_release_env = 93, at_release_status = 94, at_release_memory_info = 95, &
                        at_release_session = 96, at_release_value = 97, at_release_type_info = 99, &
                        at_release_session_options = 101, table_size = 101

  abstract interface
    !> OrtApiBase::GetApi
    function get_api_interface(version) bind(c) result(table)
      import :: c_int32_t, c_ptr
      integer(c_int32_t), value, intent(in) :: version   !! version of the C API
      type(c_ptr) :: table                               !! the functions, null if there is no such version
    end function get_api_interface

    !> OrtApiBase::GetVersionString
    function get_text_interface() bind(c) result(text)
      import :: c_ptr
      type(c_ptr) :: text   !! version of the library
    end function get_text_interface

    !> CreateStatus
    function create_status_interface(code, message) bind(c) result(status)
      import :: c_char, c_int, c_ptr
      integer(c_int), value, intent(in) :: code              !! OrtErrorCode
      character(kind=c_char), intent(in) :: message(*)       !! text
      type(c_ptr) :: status                                  !! OrtStatus
    end function create_status_interface

    !> GetErrorCode
    function get_code_interface(status) bind(c) result(code)
      import :: c_int, c_ptr
      type(c_ptr), value, intent(in) :: status   !! OrtStatus
      integer(c_int) :: code                     !! OrtErrorCode
    end function get_code_interface

    !> GetErrorMessage
    function get_message_interface(status) bind(c) result(text)
      import :: c_ptr
      type(c_ptr), value, intent(in) :: status   !! OrtStatus
      type(c_ptr) :: text                        !! message
    end function get_message_interface

    !> CreateEnv
    function create_env_interface(level, name, env) bind(c) result(status)
      import :: c_char, c_int, c_ptr
      integer(c_int), value, intent(in) :: level         !! least severity that is logged
      character(kind=c_char), intent(in) :: name(*)      !! name of the logger
      type(c_ptr), intent(out) :: env                    !! OrtEnv
      type(c_ptr) :: status                              !! OrtStatus, null for success
    end function create_env_interface

    !> CreateSession
    function create_session_interface(env, path, options, session) bind(c) result(status)
      import :: c_char, c_ptr
      type(c_ptr), value, intent(in) :: env              !! OrtEnv
      character(kind=c_char), intent(in) :: path(*)      !! file of the model
      type(c_ptr), value, intent(in) :: options          !! OrtSessionOptions
      type(c_ptr), intent(out) :: session                !! OrtSession
      type(c_ptr) :: status                              !! OrtStatus, null for success
    end function create_session_interface

    !> Run
    function run_interface(session, options, input_names, inputs, n_inputs, output_names, n_outputs, outputs) bind(c) &
      result(status)
      import :: c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: session          !! OrtSession
      type(c_ptr), value, intent(in) :: options          !! OrtRunOptions, null for the default
      type(c_ptr), intent(in) :: input_names(*)          !! names
      type(c_ptr), intent(in) :: inputs(*)               !! OrtValue of each input
      integer(c_size_t), value, intent(in) :: n_inputs   !! number of inputs
      type(c_ptr), intent(in) :: output_names(*)         !! names
      integer(c_size_t), value, intent(in) :: n_outputs  !! number of outputs
      type(c_ptr), intent(inout) :: outputs(*)           !! OrtValue of each output
      type(c_ptr) :: status                              !! OrtStatus, null for success
    end function run_interface

    !> CreateSessionOptions, GetAllocatorWithDefaultOptions
    function create_interface(new) bind(c) result(status)
      import :: c_ptr
      type(c_ptr), intent(out) :: new   !! the new object
      type(c_ptr) :: status             !! OrtStatus, null for success
    end function create_interface

    !> SetSessionGraphOptimizationLevel, SetIntraOpNumThreads, SetInterOpNumThreads
    function set_interface(options, value) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value, intent(in) :: options       !! OrtSessionOptions
      integer(c_int), value, intent(in) :: value      !! new value
      type(c_ptr) :: status                           !! OrtStatus, null for success
    end function set_interface

    !> SessionGetInputCount, SessionGetOutputCount, GetDimensionsCount
    function count_interface(object, n) bind(c) result(status)
      import :: c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: object   !! object of the query
      integer(c_size_t), intent(out) :: n        !! its number
      type(c_ptr) :: status                      !! OrtStatus, null for success
    end function count_interface

    !> SessionGetInputTypeInfo, SessionGetOutputTypeInfo
    function session_type_interface(session, index, info) bind(c) result(status)
      import :: c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: session       !! OrtSession
      integer(c_size_t), value, intent(in) :: index   !! which input or output, from 0
      type(c_ptr), intent(out) :: info                !! OrtTypeInfo
      type(c_ptr) :: status                           !! OrtStatus, null for success
    end function session_type_interface

    !> SessionGetInputName, SessionGetOutputName
    function session_name_interface(session, index, allocator, name) bind(c) result(status)
      import :: c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: session       !! OrtSession
      integer(c_size_t), value, intent(in) :: index   !! which input or output, from 0
      type(c_ptr), value, intent(in) :: allocator     !! OrtAllocator
      type(c_ptr), intent(out) :: name                !! text; to be freed by the allocator
      type(c_ptr) :: status                           !! OrtStatus, null for success
    end function session_name_interface

    !> CreateTensorWithDataAsOrtValue
    function create_tensor_interface(info, values, n_bytes, shape, rank, type_, tensor) bind(c) result(status)
      import :: c_int, c_int64_t, c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: info            !! OrtMemoryInfo
      type(c_ptr), value, intent(in) :: values          !! the caller's array
      integer(c_size_t), value, intent(in) :: n_bytes   !! its size
      integer(c_int64_t), intent(in) :: shape(*)        !! dimensions, slowest first
      integer(c_size_t), value, intent(in) :: rank      !! number of dimensions
      integer(c_int), value, intent(in) :: type_        !! ONNXTensorElementDataType
      type(c_ptr), intent(out) :: tensor                !! OrtValue
      type(c_ptr) :: status                             !! OrtStatus, null for success
    end function create_tensor_interface

    !> CastTypeInfoToTensorInfo, MemoryInfoGetName
    function get_pointer_interface(object, found) bind(c) result(status)
      import :: c_ptr
      type(c_ptr), value, intent(in) :: object   !! object of the query
      type(c_ptr), intent(out) :: found          !! part of it; not to be freed
      type(c_ptr) :: status                      !! OrtStatus, null for success
    end function get_pointer_interface

    !> GetTensorElementType
    function get_integer_interface(object, found) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value, intent(in) :: object   !! object of the query
      integer(c_int), intent(out) :: found       !! its number
      type(c_ptr) :: status                      !! OrtStatus, null for success
    end function get_integer_interface

    !> GetDimensions
    function get_dimensions_interface(info, dimensions, n) bind(c) result(status)
      import :: c_int64_t, c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: info                 !! OrtTensorTypeAndShapeInfo
      integer(c_int64_t), intent(inout) :: dimensions(*)     !! dimensions, -1 if free
      integer(c_size_t), value, intent(in) :: n              !! number of dimensions
      type(c_ptr) :: status                                  !! OrtStatus, null for success
    end function get_dimensions_interface

    !> CreateCpuMemoryInfo
    function create_memory_info_interface(allocator, memory, info) bind(c) result(status)
      import :: c_int, c_ptr
      integer(c_int), value, intent(in) :: allocator   !! OrtAllocatorType
      integer(c_int), value, intent(in) :: memory      !! OrtMemType
      type(c_ptr), intent(out) :: info                 !! OrtMemoryInfo
      type(c_ptr) :: status                            !! OrtStatus, null for success
    end function create_memory_info_interface

    !> AllocatorFree
    function free_interface(allocator, memory) bind(c) result(status)
      import :: c_ptr
      type(c_ptr), value, intent(in) :: allocator   !! OrtAllocator
      type(c_ptr), value, intent(in) :: memory      !! memory that it allocated
      type(c_ptr) :: status                         !! OrtStatus, null for success
    end function free_interface

    !> ReleaseEnv, ReleaseStatus, ...
    subroutine release_interface(object) bind(c)
      import :: c_ptr
      type(c_ptr), value, intent(in) :: object   !! object that is no longer needed
    end subroutine release_interface
  end interface

  interface
    !> Open a shared library.
    function dlopen(file, flags) bind(c, name='dlopen') result(handle)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: file(*)   !! path
      integer(c_int), value, intent(in) :: flags      !! RTLD_*
      type(c_ptr) :: handle                           !! the library, null if it cannot be opened
    end function dlopen

    !> Find a symbol of a shared library.
    function dlsym(handle, name) bind(c, name='dlsym') result(symbol)
      import :: c_char, c_funptr, c_ptr
      type(c_ptr), value, intent(in) :: handle        !! the library
      character(kind=c_char), intent(in) :: name(*)   !! name
      type(c_funptr) :: symbol                        !! its address, null if there is none
    end function dlsym

    !> Reason why the last of these calls failed.
    function dlerror() bind(c, name='dlerror') result(text)
      import :: c_ptr
      type(c_ptr) :: text   !! message, null if there was no error
    end function dlerror

    !> Length of a C string.
    pure function strlen(text) bind(c, name='strlen') result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value, intent(in) :: text   !! text
      integer(c_size_t) :: length              !! its length without the null character
    end function strlen
  end interface

  !> The functions in use, named as in the C API.
  type :: onnx_api_type
    logical :: is_open = .false.                                                            !! whether they are set
    character(len=32) :: version = ' '                                                      !! of the library
    procedure(create_status_interface), pointer, nopass :: create_status => null()
    procedure(get_code_interface), pointer, nopass :: get_error_code => null()
    procedure(get_message_interface), pointer, nopass :: get_error_message => null()
    procedure(create_env_interface), pointer, nopass :: create_env => null()
    procedure(create_session_interface), pointer, nopass :: create_session => null()
    procedure(run_interface), pointer, nopass :: run => null()
    procedure(create_interface), pointer, nopass :: create_session_options => null()
    procedure(set_interface), pointer, nopass :: set_optimisation => null()
    procedure(set_interface), pointer, nopass :: set_intra_op_threads => null()
    procedure(set_interface), pointer, nopass :: set_inter_op_threads => null()
    procedure(count_interface), pointer, nopass :: get_input_count => null()
    procedure(count_interface), pointer, nopass :: get_output_count => null()
    procedure(session_type_interface), pointer, nopass :: get_input_type => null()
    procedure(session_type_interface), pointer, nopass :: get_output_type => null()
    procedure(session_name_interface), pointer, nopass :: get_input_name => null()
    procedure(session_name_interface), pointer, nopass :: get_output_name => null()
    procedure(create_tensor_interface), pointer, nopass :: create_tensor => null()
    procedure(get_pointer_interface), pointer, nopass :: cast_type => null()
    procedure(get_integer_interface), pointer, nopass :: get_element_type => null()
    procedure(count_interface), pointer, nopass :: get_dimensions_count => null()
    procedure(get_dimensions_interface), pointer, nopass :: get_dimensions => null()
    procedure(create_memory_info_interface), pointer, nopass :: create_cpu_memory_info => null()
    procedure(get_pointer_interface), pointer, nopass :: memory_info_name => null()
    procedure(free_interface), pointer, nopass :: allocator_free => null()
    procedure(create_interface), pointer, nopass :: default_allocator => null()
    procedure(release_interface), pointer, nopass :: release_env => null()
    procedure(release_interface), pointer, nopass :: release_status => null()
    procedure(release_interface), pointer, nopass :: release_memory_info => null()
    procedure(release_interface), pointer, nopass :: release_session => null()
    procedure(release_interface), pointer, nopass :: release_value => null()
    procedure(release_interface), pointer, nopass :: release_type_info => null()
    procedure(release_interface), pointer, nopass :: release_session_options => null()
    type(c_ptr) :: cpu_memory = c_null_ptr                                                  !! OrtMemoryInfo
  end type onnx_api_type

contains

  !> Open the library and test its functions. The library stays open, because it cannot be unloaded safely.
  subroutine open_api(library, api, complaint)
    character(len=*), intent(in) :: library                         !! path, or a name for the system to find
    type(onnx_api_type), intent(out) :: api                         !! the functions
    character(len=:), allocatable, intent(out) :: complaint         !! error message; empty for success
    procedure(get_api_interface), pointer :: get_api
    procedure(get_text_interface), pointer :: get_version
    procedure(get_text_interface), pointer :: get_base
    type(c_funptr) :: entry_
    type(c_funptr), pointer :: base(:), table(:)
    type(c_ptr) :: handle, found

    handle = dlopen(c_text(library), resolve_now)
    if (.not. c_associated(handle)) then
      complaint = 'cannot open the library '//library//': '//fortran_text(dlerror())
      return
    end if
    entry_ = dlsym(handle, c_text('OrtGetApiBase'))
    if (.not. c_associated(entry_)) then
      complaint = library//' is not ONNX Runtime: it has no OrtGetApiBase'
      return
    end if
    ! OrtApiBase holds two functions.
    call c_f_procpointer(entry_, get_base)
    found = get_base()
    call c_f_pointer(found, base, [2])
    call c_f_procpointer(base(1), get_api)
    call c_f_procpointer(base(2), get_version)
    api%version = fortran_text(get_version())
    found = get_api(api_version)
    if (.not. c_associated(found)) then
      complaint = library//' ('//trim(api%version)//') does not offer version 1 of its C API'
      return
    end if
    call c_f_pointer(found, table, [table_size])
    call take_functions(table, api)
    call try_out(api, complaint)
    if (len(complaint) > 0) &
      complaint = library//' ('//trim(api%version)//') has another C API than expected: '//complaint
    api%is_open = len(complaint) == 0

  end subroutine open_api

  !> Get the functions from their places.
  subroutine take_functions(table, api)
    type(c_funptr), intent(in) :: table(:)        !! OrtApi
    type(onnx_api_type), intent(inout) :: api     !! the functions

    call c_f_procpointer(table(at_create_status), api%create_status)
    call c_f_procpointer(table(at_get_error_code), api%get_error_code)
    call c_f_procpointer(table(at_get_error_message), api%get_error_message)
    call c_f_procpointer(table(at_create_env), api%create_env)
    call c_f_procpointer(table(at_create_session), api%create_session)
    call c_f_procpointer(table(at_run), api%run)
    call c_f_procpointer(table(at_create_session_options), api%create_session_options)
    call c_f_procpointer(table(at_set_optimisation), api%set_optimisation)
    call c_f_procpointer(table(at_set_intra_op_threads), api%set_intra_op_threads)
    call c_f_procpointer(table(at_set_inter_op_threads), api%set_inter_op_threads)
    call c_f_procpointer(table(at_get_input_count), api%get_input_count)
    call c_f_procpointer(table(at_get_output_count), api%get_output_count)
    call c_f_procpointer(table(at_get_input_type), api%get_input_type)
    call c_f_procpointer(table(at_get_output_type), api%get_output_type)
    call c_f_procpointer(table(at_get_input_name), api%get_input_name)
    call c_f_procpointer(table(at_get_output_name), api%get_output_name)
    call c_f_procpointer(table(at_create_tensor), api%create_tensor)
    call c_f_procpointer(table(at_cast_type), api%cast_type)
    call c_f_procpointer(table(at_get_element_type), api%get_element_type)
    call c_f_procpointer(table(at_get_dimensions_count), api%get_dimensions_count)
    call c_f_procpointer(table(at_get_dimensions), api%get_dimensions)
    call c_f_procpointer(table(at_create_cpu_memory_info), api%create_cpu_memory_info)
    call c_f_procpointer(table(at_memory_info_name), api%memory_info_name)
    call c_f_procpointer(table(at_allocator_free), api%allocator_free)
    call c_f_procpointer(table(at_default_allocator), api%default_allocator)
    call c_f_procpointer(table(at_release_env), api%release_env)
    call c_f_procpointer(table(at_release_status), api%release_status)
    call c_f_procpointer(table(at_release_memory_info), api%release_memory_info)
    call c_f_procpointer(table(at_release_session), api%release_session)
    call c_f_procpointer(table(at_release_value), api%release_value)
    call c_f_procpointer(table(at_release_type_info), api%release_type_info)
    call c_f_procpointer(table(at_release_session_options), api%release_session_options)

  end subroutine take_functions

  !> Test functions at different places with known results, and make the description of the CPU memory.
  subroutine try_out(api, complaint)
    type(onnx_api_type), intent(inout) :: api                   !! the functions
    character(len=:), allocatable, intent(out) :: complaint     !! error message; empty for success
    character(len=*), parameter :: words = 'said by emufort'
    integer(c_int), parameter :: code = 2_c_int
    type(c_ptr) :: status, name

    complaint = ''
    status = api%create_status(code, c_text(words))
    if (.not. c_associated(status)) then
      complaint = 'CreateStatus gives nothing'
      return
    end if
    if (api%get_error_code(status) /= code) then
      complaint = 'GetErrorCode'
    else if (fortran_text(api%get_error_message(status)) /= words) then
      complaint = 'GetErrorMessage'
    end if
    call api%release_status(status)
    if (len(complaint) > 0) return
    complaint = message_of(api, api%create_cpu_memory_info(arena_allocator, default_memory, api%cpu_memory))
    if (len(complaint) > 0) return
    complaint = message_of(api, api%memory_info_name(api%cpu_memory, name))
    if (len(complaint) > 0) return
    if (fortran_text(name) /= 'Cpu') complaint = 'MemoryInfoGetName says '//fortran_text(name)

  end subroutine try_out

  !> Return the message of a status and release the status; empty for success.
  function message_of(api, status) result(message)
    type(onnx_api_type), intent(in) :: api         !! the functions
    type(c_ptr), intent(in) :: status              !! OrtStatus
    character(len=:), allocatable :: message       !! one line

    message = ''
    if (.not. c_associated(status)) return
    message = fortran_text(api%get_error_message(status))
    if (len(message) == 0) message = 'ONNX Runtime gives no reason'
    call api%release_status(status)

  end function message_of

  !> Convert a Fortran string to a C string.
  pure function c_text(text)
    character(len=*), intent(in) :: text                           !! text of Fortran
    character(kind=c_char, len=len_trim(text) + 1) :: c_text       !! the same with a null character

    c_text = trim(text)//c_null_char

  end function c_text

  !> Return the first line of a C string; empty for a null pointer.
  function fortran_text(text) result(line)
    type(c_ptr), intent(in) :: text                !! text of C
    character(len=:), allocatable :: line          !! its first line
    character(kind=c_char), pointer :: characters(:)
    integer :: i, n

    line = ''
    if (.not. c_associated(text)) return
    n = int(min(strlen(text), 1000_c_size_t))
    call c_f_pointer(text, characters, [n])
    do i = 1, n
      if (characters(i) == achar(10)) exit
      line = line//characters(i)
    end do

  end function fortran_text

end module emufort_onnxruntime_api
