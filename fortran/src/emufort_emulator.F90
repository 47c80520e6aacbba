!> The emulator as a host model sees it: load once, then predict from any number of threads.
module emufort_emulator
  use emufort_kinds, only: wp, int8, int64, real32, real64, lanes, block_columns, max_width, max_layers
  use emufort_status, only: status_type, set_error, clear_status, emufort_success, emufort_error_file, &
                            emufort_error_format, emufort_error_limit, emufort_error_shape, emufort_error_contract, &
                            emufort_error_self_test, emufort_error_not_loaded
  use emufort_dense, only: pack_layer, packed_size, packed_slack
  use emufort_activations, only: n_activations
  use emufort_transforms, only: transform_affine, transform_ln, transform_logit, transform_sigmoid, &
                                transform_constant, is_finite
  use emufort_core, only: evaluate_block, evaluate_columns, evaluate_column, few_columns, physical_size, side_size, &
                          plan_size, numbers_size, aligned_place, workspace_type, choose_block, &
                          make_workspace_of => make_workspace
  use emufort_weights_file, only: section_type, read_table, find_section, get_integers, get_reals, get_text, &
                                  type_text, type_int32, type_real32, type_real64
  implicit none
  private

  public :: emulator_type

  integer, parameter :: name_length = 128, units_length = 64

  !> A network with its transforms, and the contract that says what goes in and out.
  !>
  !> After `load` nothing of it changes: `predict` takes it as intent(in), allocates nothing and reads no file.
  type :: emulator_type
    private
    integer, allocatable :: plan(:)             ! see emufort_core
    real(real64), allocatable :: numbers(:)     ! see emufort_core
    real(wp), allocatable :: weights(:)         ! packed layers, from first_weight on
    integer :: first_weight = 1                 ! place of the first weight: on a cache line when loaded
    real(real64), allocatable :: golden(:)      ! n, relative tolerance, absolute(n_outputs), x(n, :), y(n, :)
    character(len=name_length), allocatable :: names(:)      ! of the input columns, then of the output columns
    character(len=units_length), allocatable :: units(:)     ! likewise
    character(len=:), allocatable :: about      ! lines of `key<tab>value`
    character(len=:), allocatable :: contract   ! the contract as it was exported
  contains
    procedure :: load
    procedure :: load_bytes
    procedure :: is_loaded
    procedure :: n_inputs
    procedure :: n_outputs
    procedure :: require
    procedure :: self_test
    procedure :: describe
    procedure :: get_value
    procedure :: get_contract
    procedure :: make_workspace
    procedure :: hand_over
    procedure :: predict_block
    procedure, private :: predict_real32
    procedure, private :: predict_real64
    generic :: predict => predict_real32, predict_real64
    procedure, private :: predict_transposed_real32
    procedure, private :: predict_transposed_real64
    generic :: predict_transposed => predict_transposed_real32, predict_transposed_real64
  end type emulator_type

contains

  !> Read an emulator from a file.
  recursive subroutine load(emulator, filename, status)
    class(emulator_type), intent(inout) :: emulator   !! unchanged if there is an error
    character(len=*), intent(in) :: filename          !! path of weights.bin
    type(status_type), intent(out) :: status          !! outcome
    integer(int8), allocatable :: bytes(:)
    integer(int64) :: length
    integer :: unit, failure

    open (newunit=unit, file=filename, access='stream', form='unformatted', status='old', action='read', iostat=failure)
    if (failure /= 0) then
      call set_error(status, emufort_error_file, 'load', 'cannot open '//trim(filename))
      return
    end if
    inquire (unit=unit, size=length)
    if (length < 0_int64 .or. length > 2147483647_int64) then
      call set_error(status, emufort_error_limit, 'load', 'no length, or more than 2 GB: '//trim(filename))
      close (unit)
      return
    end if
    allocate (bytes(length), stat=failure)
    if (failure == 0) read (unit, iostat=failure) bytes
    close (unit)
    if (failure /= 0) then
      call set_error(status, emufort_error_file, 'load', 'cannot read '//trim(filename))
      return
    end if
    call emulator%load_bytes(bytes, status)
    if (status%code /= emufort_success) status%message = trim(status%message)//': '//trim(filename)

  end subroutine load

  !> Take an emulator from the content of weights.bin, for hosts where one process reads and broadcasts.
  recursive subroutine load_bytes(emulator, bytes, status)
    class(emulator_type), intent(inout) :: emulator   !! unchanged if there is an error
    integer(int8), intent(in) :: bytes(:)             !! content of weights.bin
    type(status_type), intent(out) :: status          !! outcome
    type(section_type), allocatable :: sections(:)
    type(emulator_type) :: new
    real(real64), allocatable :: values(:)
    character(len=:), allocatable :: columns
    integer :: i_plan, i_numbers, i_weights, i_golden, i_columns, i_about, i_contract

    call read_table(bytes, sections, status)
    if (status%code /= emufort_success) return
    i_plan = find_section(sections, 'plan', type_int32, type_int32, status)
    i_numbers = find_section(sections, 'numbers', type_real64, type_real64, status)
    i_weights = find_section(sections, 'weights', type_real32, type_real64, status)
    i_golden = find_section(sections, 'golden', type_real64, type_real64, status)
    i_columns = find_section(sections, 'columns', type_text, type_text, status)
    i_about = find_section(sections, 'about', type_text, type_text, status)
    i_contract = find_section(sections, 'contract', type_text, type_text, status)
    if (status%code /= emufort_success) return

    call get_integers(bytes, sections(i_plan), new%plan)
    call get_reals(bytes, sections(i_numbers), new%numbers)
    call check_plan(new, status)
    if (status%code /= emufort_success) return
    call get_reals(bytes, sections(i_weights), values)
    call pack_weights(new, values, status)
    if (status%code /= emufort_success) return
    call get_reals(bytes, sections(i_golden), new%golden)
    call check_golden(new, status)
    if (status%code /= emufort_success) return
    call get_text(bytes, sections(i_columns), columns)
    call split_columns(new, columns, status)
    if (status%code /= emufort_success) return
    call get_text(bytes, sections(i_about), new%about)
    call get_text(bytes, sections(i_contract), new%contract)

    call move_alloc(new%plan, emulator%plan)
    call move_alloc(new%numbers, emulator%numbers)
    call move_alloc(new%weights, emulator%weights)
    emulator%first_weight = new%first_weight
    call move_alloc(new%golden, emulator%golden)
    call move_alloc(new%names, emulator%names)
    call move_alloc(new%units, emulator%units)
    call move_alloc(new%about, emulator%about)
    call move_alloc(new%contract, emulator%contract)

  end subroutine load_bytes

  !> Check the plan and the numbers: all that the arithmetic relies on without looking.
  subroutine check_plan(emulator, status)
    type(emulator_type), intent(in) :: emulator   !! with plan and numbers
    type(status_type), intent(inout) :: status    !! outcome
    character(len=*), parameter :: place = 'load'
    integer :: n_inputs, n_features, n_outputs, n_layers, at, i, j, kind
    real(real64) :: lower, upper

    call set_error(status, emufort_error_format, place, 'weights file has a plan that contradicts itself')
    if (size(emulator%plan) < 5) return
    n_inputs = emulator%plan(1)
    n_features = emulator%plan(2)
    n_outputs = emulator%plan(3)
    n_layers = emulator%plan(4)
    if (min(n_inputs, n_features, n_outputs, n_layers) < 1 .or. n_features > n_inputs) return
    if (max(n_inputs, n_outputs) > max_width - min(n_inputs, n_outputs) .or. n_layers > max_layers) then
      call set_error(status, emufort_error_limit, place, 'more than '//to_text(max_width)// &
                     ' inputs and outputs, or more than '//to_text(max_layers)//' layers')
      return
    end if
    if (size(emulator%plan, kind=int64) /= plan_size(n_features, n_outputs, n_layers)) return
    if (size(emulator%numbers, kind=int64) /= numbers_size(n_inputs, n_features, n_outputs, n_layers)) return
    associate (plan => emulator%plan, numbers => emulator%numbers)
      if (minval(plan(5:5 + n_layers)) < 1) return
      if (plan(5) /= n_features) return
      if (maxval(plan(5:5 + n_layers)) > max_width) then
        call set_error(status, emufort_error_limit, place, 'a layer has more than '//to_text(max_width)//' neurons')
        return
      end if
      at = 5 + n_layers
      if (any(plan(at + 1:at + n_layers) < 0 .or. plan(at + 1:at + n_layers) > n_activations)) return
      at = at + n_layers
      if (any(plan(at + 1:at + n_features) < 1 .or. plan(at + 1:at + n_features) > n_inputs)) return
      do j = 1, n_features
        i = plan(at + j)
        lower = numbers(2*i - 1)
        upper = numbers(2*i)
        kind = plan(at + n_features + j)
        select case (kind)
        case (transform_affine)
        case (transform_ln)
          if (.not. lower > 0.0_real64) return
        case (transform_logit)
          if (.not. (lower > 0.0_real64 .and. upper < 1.0_real64)) return
        case default
          return
        end select
      end do
      at = at + 2*n_features
      do j = 1, n_outputs
        kind = plan(at + j)
        if (kind /= transform_affine .and. kind /= transform_ln .and. kind /= transform_sigmoid .and. &
            kind /= transform_constant) return
      end do
      ! The network has no constant outputs.
      if (plan(5 + n_layers) /= count(plan(at + 1:at + n_outputs) /= transform_constant)) return
      at = at + n_outputs
      if (any(plan(at + 1:at + n_outputs) < 0 .or. plan(at + 1:at + n_outputs) > n_inputs)) return
      do i = 1, n_inputs
        if (.not. numbers(2*i - 1) < numbers(2*i)) return
      end do
      at = 2*n_inputs + 2*n_features + 2*n_outputs
      if (.not. all(is_finite(numbers(2*n_inputs + 1:at)))) return
      do i = 1, n_outputs
        if (.not. numbers(at + 2*i - 1) <= numbers(at + 2*i)) return
      end do
      if (.not. all(is_finite(numbers(at + 2*n_outputs + 1:)))) return
    end associate
    status = status_type()

  end subroutine check_plan

  !> Pack the weights of all layers.
  subroutine pack_weights(emulator, values, status)
    type(emulator_type), intent(inout) :: emulator   !! with a checked plan
    real(real64), intent(in) :: values(:)            !! for each layer: weights (n_in, n_out), then biases (n_out)
    type(status_type), intent(inout) :: status       !! outcome
    real(wp), allocatable, target :: packed(:)
    integer(int64) :: n_values, n_packed
    integer :: n_layers, l, n_in, n_out, start, place

    n_layers = emulator%plan(4)
    n_values = 0_int64
    n_packed = 0_int64
    do l = 1, n_layers
      n_in = emulator%plan(4 + l)
      n_out = emulator%plan(5 + l)
      n_values = n_values + int(n_in + 1, int64)*n_out
      n_packed = n_packed + packed_size(n_in, n_out)
    end do
    if (size(values, kind=int64) /= n_values .or. .not. all(is_finite(values))) then
      call set_error(status, emufort_error_format, 'load', 'weights file has not the weights that its plan asks for')
      return
    end if
    allocate (packed(n_packed + packed_slack + lanes), source=0.0_wp)
    emulator%first_weight = aligned_place(packed)
    start = 1
    place = emulator%first_weight
    do l = 1, n_layers
      n_in = emulator%plan(4 + l)
      n_out = emulator%plan(5 + l)
      call pack_layer(n_in, n_out, real(values(start:start + n_in*n_out - 1), wp), &
                      real(values(start + n_in*n_out:start + (n_in + 1)*n_out - 1), wp), &
                      packed(place:place + packed_size(n_in, n_out) - 1))
      start = start + (n_in + 1)*n_out
      place = place + packed_size(n_in, n_out)
    end do
    call move_alloc(packed, emulator%weights)

  end subroutine pack_weights

  !> Check the golden vectors.
  subroutine check_golden(emulator, status)
    type(emulator_type), intent(in) :: emulator   !! with a checked plan and golden vectors
    type(status_type), intent(inout) :: status    !! outcome
    integer(int64) :: n

    n = -1_int64
    if (size(emulator%golden) >= 2) then
      if (emulator%golden(1) >= 0.0_real64 .and. emulator%golden(1) < 1.0e6_real64) n = int(emulator%golden(1), int64)
    end if
    if (n < 0_int64 .or. size(emulator%golden, kind=int64) /= 2_int64 + emulator%plan(3) + &
        n*(emulator%plan(1) + emulator%plan(3))) &
      call set_error(status, emufort_error_format, 'load', 'weights file has golden vectors that contradict its plan')

  end subroutine check_golden

  !> Take names and units from lines of `input|output <tab> name <tab> units`.
  subroutine split_columns(emulator, text, status)
    type(emulator_type), intent(inout) :: emulator   !! with a checked plan
    character(len=*), intent(in) :: text             !! lines
    type(status_type), intent(inout) :: status       !! outcome
    character(len=*), parameter :: tab = achar(9), newline = achar(10)
    integer :: n, i, start, length, first_tab, second_tab

    n = emulator%plan(1) + emulator%plan(3)
    allocate (emulator%names(n), emulator%units(n))
    call set_error(status, emufort_error_format, 'load', 'weights file has not the columns that its plan asks for')
    start = 1
    do i = 1, n
      if (start > len(text)) return
      length = index(text(start:), newline) - 1
      if (length < 0) return
      associate (line => text(start:start + length - 1))
        first_tab = index(line, tab)
        if (first_tab == 0) return
        second_tab = first_tab + index(line(first_tab + 1:), tab)
        if (second_tab == first_tab) return
        if (line(:first_tab - 1) /= merge('input ', 'output', i <= emulator%plan(1))) return
        if (second_tab - first_tab - 1 > name_length .or. length - second_tab > units_length) return
        emulator%names(i) = line(first_tab + 1:second_tab - 1)
        emulator%units(i) = line(second_tab + 1:)
      end associate
      start = start + length + 1
    end do
    if (start <= len(text)) return
    status = status_type()

  end subroutine split_columns

  !> Whether the emulator holds a network.
  pure recursive logical function is_loaded(emulator)
    class(emulator_type), intent(in) :: emulator   !! any emulator

    is_loaded = allocated(emulator%plan)

  end function is_loaded

  !> Number of input columns; 0 before `load`.
  pure recursive integer function n_inputs(emulator)
    class(emulator_type), intent(in) :: emulator   !! any emulator

    n_inputs = 0
    if (allocated(emulator%plan)) n_inputs = emulator%plan(1)

  end function n_inputs

  !> Number of output columns; 0 before `load`.
  pure recursive integer function n_outputs(emulator)
    class(emulator_type), intent(in) :: emulator   !! any emulator

    n_outputs = 0
    if (allocated(emulator%plan)) n_outputs = emulator%plan(3)

  end function n_outputs

  !> Check that the host's variables are those of the emulator, in the same order and units.
  !>
  !> The host lists its inputs, optionally followed by its outputs; either every column ('kappa[aitken]') or every
  !> variable once ('kappa').
  recursive subroutine require(emulator, names, units, status)
    class(emulator_type), intent(in) :: emulator     !! a loaded emulator
    character(len=*), intent(in) :: names(:)         !! names of the host's variables, in the order they are passed
    character(len=*), intent(in) :: units(:)         !! their units, such as 'm s-1'
    type(status_type), intent(out) :: status         !! outcome
    character(len=*), parameter :: place = 'require'
    integer, allocatable :: chosen(:)
    integer :: i, k, n_columns, n_variables, n_input_variables

    if (.not. emulator%is_loaded()) then
      call set_error(status, emufort_error_not_loaded, place, 'the emulator has not been loaded')
      return
    end if
    if (size(names) /= size(units)) then
      call set_error(status, emufort_error_shape, place, 'there must be one unit for each name')
      return
    end if
    n_columns = size(emulator%names)
    ! First column of each variable.
    allocate (chosen(n_columns))
    n_variables = 0
    n_input_variables = 0
    do i = 1, n_columns
      if (i > 1) then
        if (variable_of(emulator%names(i)) == variable_of(emulator%names(i - 1)) .and. i /= emulator%plan(1) + 1) cycle
      end if
      n_variables = n_variables + 1
      if (i <= emulator%plan(1)) n_input_variables = n_variables
      chosen(n_variables) = i
    end do
    if (size(names) == n_columns .or. size(names) == emulator%plan(1)) then
      chosen = [(i, i=1, n_columns)]
    else if (size(names) /= n_variables .and. size(names) /= n_input_variables) then
      call set_error(status, emufort_error_contract, place, &
                     'the host passes '//to_text(size(names))// &
                     ' variables, the emulator takes '//to_text(n_input_variables)// &
                     ' and gives '//to_text(n_variables - n_input_variables))
      return
    end if
    do i = 1, size(names)
      k = chosen(i)
      if (names(i) /= emulator%names(k) .and. names(i) /= variable_of(emulator%names(k))) then
        call set_error(status, emufort_error_contract, place, 'variable '//to_text(i)//' of the host is '// &
                       trim(names(i))//', the emulator has '//trim(emulator%names(k))//' there')
        return
      end if
      if (units(i) /= emulator%units(k)) then
        call set_error(status, emufort_error_contract, place, 'the host passes '//trim(names(i))//' in '// &
                       trim(units(i))//', the emulator has it in '//trim(emulator%units(k)))
        return
      end if
    end do

  end subroutine require

  !> Reproduce the golden vectors, as blocks and one column at a time.
  recursive subroutine self_test(emulator, status)
    class(emulator_type), intent(in) :: emulator   !! a loaded emulator
    type(status_type), intent(out) :: status       !! outcome
    type(status_type) :: inner
    real(real64), allocatable :: x(:, :), y(:, :), wanted(:, :), single(:, :)
    real(real64) :: relative, absolute
    integer :: n, i, j, n_in, n_out

    if (.not. emulator%is_loaded()) then
      call set_error(status, emufort_error_not_loaded, 'self_test', 'the emulator has not been loaded')
      return
    end if
    n = int(emulator%golden(1))
    relative = emulator%golden(2)
    n_in = emulator%n_inputs()
    n_out = emulator%n_outputs()
    if (n == 0) then
      call set_error(status, emufort_error_self_test, 'self_test', 'the weights file has no golden vectors')
      return
    end if
    x = reshape(emulator%golden(3 + n_out:2 + n_out + n*n_in), [n, n_in])
    wanted = reshape(emulator%golden(3 + n_out + n*n_in:), [n, n_out])
    allocate (y(n, n_out), single(1, n_out))
    call emulator%predict(x, y, inner)
    do i = 1, n
      call emulator%predict(x(i:i, :), single, inner)
      do j = 1, n_out
        absolute = emulator%golden(2 + j)
        if (.not. abs(y(i, j) - wanted(i, j)) <= relative*abs(wanted(i, j)) + absolute) then
          call set_error(status, emufort_error_self_test, 'self_test', 'golden vector '//to_text(i)// &
                         ' is not reproduced in '//trim(emulator%names(n_in + j)))
          return
        end if
        if (transfer(y(i, j), 0_int64) /= transfer(single(1, j), 0_int64)) then
          call set_error(status, emufort_error_self_test, 'self_test', 'golden vector '//to_text(i)// &
                         ' differs between a block and a single column: check the compiler flags')
          return
        end if
      end do
    end do

  end subroutine self_test

  !> Say what the emulator is, in lines of text.
  recursive subroutine describe(emulator, text)
    class(emulator_type), intent(in) :: emulator   !! any emulator
    character(len=*), intent(out) :: text          !! description, cut at its length
    character(len=:), allocatable :: lines
    integer :: i

    if (.not. emulator%is_loaded()) then
      text = 'no emulator loaded'
      return
    end if
    lines = emulator%about//'layers'//achar(9)
    do i = 0, emulator%plan(4)
      lines = lines//to_text(emulator%plan(5 + i))//merge('-', achar(10), i < emulator%plan(4))
    end do
    do i = 1, size(emulator%names)
      lines = lines//trim(merge('input ', 'output', i <= emulator%plan(1)))//achar(9)//trim(emulator%names(i))// &
              achar(9)//trim(emulator%units(i))//achar(10)
    end do
    text = lines

  end subroutine describe

  !> Value that the emulator carries under a key, such as 'name', 'contract_sha256' or 'hash'; blank if none.
  recursive subroutine get_value(emulator, key, value)
    class(emulator_type), intent(in) :: emulator   !! any emulator
    character(len=*), intent(in) :: key            !! key
    character(len=*), intent(out) :: value         !! value, cut at its length
    integer :: start, length

    value = ' '
    if (.not. emulator%is_loaded()) return
    start = 1
    do while (start <= len(emulator%about))
      length = index(emulator%about(start:), achar(10)) - 1
      if (length < 0) length = len(emulator%about) - start + 1
      if (index(emulator%about(start:start + length - 1), trim(key)//achar(9)) == 1) then
        value = emulator%about(start + len_trim(key) + 1:start + length - 1)
        return
      end if
      start = start + length + 1
    end do

  end subroutine get_value

  !> The contract as it was exported (JSON).
  subroutine get_contract(emulator, text)
    class(emulator_type), intent(in) :: emulator                 !! any emulator
    character(len=:), allocatable, intent(out) :: text           !! contract; empty before `load`

    text = ''
    if (emulator%is_loaded()) text = emulator%contract

  end subroutine get_contract

  !> Make the workspace in which a wide network is evaluated on whole blocks of columns; one for each thread.
  !>
  !> Without it `predict` gives the same bits, but takes longer for networks too large for the stack. For others the
  !> workspace stays empty. Call it again after another `load`.
  subroutine make_workspace(emulator, workspace, status)
    class(emulator_type), intent(in) :: emulator          !! a loaded emulator
    type(workspace_type), intent(out) :: workspace        !! last argument of `predict`
    type(status_type), intent(out) :: status              !! outcome
    integer :: failure

    if (.not. allocated(emulator%plan)) then
      call set_error(status, emufort_error_not_loaded, 'make_workspace', 'the emulator has not been loaded')
      return
    end if
    call make_workspace_of(emulator%plan, workspace, failure)
    if (failure /= 0) call set_error(status, emufort_error_limit, 'make_workspace', 'no memory for a workspace')

  end subroutine make_workspace

  !> Hand the arrays over to a generated module that has no weights of its own; the emulator is empty afterwards.
  subroutine hand_over(emulator, plan, numbers, weights, first_weight)
    class(emulator_type), intent(inout) :: emulator                    !! a loaded emulator
    integer, allocatable, intent(inout) :: plan(:)                     !! integers of the emulator
    real(real64), allocatable, intent(inout) :: numbers(:)             !! real numbers of the emulator
    real(wp), allocatable, intent(inout) :: weights(:)                 !! packed weights, from first_weight on
    integer, intent(out) :: first_weight                               !! place of the first weight

    call move_alloc(emulator%plan, plan)
    call move_alloc(emulator%numbers, numbers)
    call move_alloc(emulator%weights, weights)
    first_weight = emulator%first_weight

  end subroutine hand_over

  !> Predict for one block of columns that the host gathers itself, such as from one array a variable.
  recursive subroutine predict_block(emulator, n, is_single, x, y, status, is_outside, workspace)
    class(emulator_type), intent(in) :: emulator          !! a loaded emulator
    integer, intent(in) :: n                              !! number of columns, 0 to block_columns
    logical, intent(in) :: is_single                      !! whether the host's own inputs are single precision
    real(real64), intent(inout) :: x(block_columns, *)    !! inputs (column, n_inputs); padded and clipped on return
    real(real64), intent(inout) :: y(block_columns, *)    !! outputs (column, n_outputs)
    type(status_type), intent(inout) :: status            !! the counts are added to, so that it serves many blocks
    logical, intent(out) :: is_outside(block_columns)     !! columns with an input out of range or invalid
    type(workspace_type), intent(inout), optional :: workspace   !! by `make_workspace`, this thread's own

    is_outside = .false.
    if (.not. allocated(emulator%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict_block', 'the emulator has not been loaded')
    else if (n < 0 .or. n > block_columns) then
      call set_error(status, emufort_error_shape, 'predict_block', 'the number of columns must be 0 to that of a block')
    else if (n > 0) then
      call evaluate_block(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), n, is_single, &
                          x, y, status%n_clipped, status%n_invalid, is_outside, workspace)
    end if

  end subroutine predict_block

  !> Predict, host arrays in single precision.
  recursive subroutine predict_real32(emulator, x, y, status, is_outside, workspace)
    class(emulator_type), intent(in) :: emulator            !! a loaded emulator
    real(real32), intent(in) :: x(:, :)                      !! inputs in contract order and units (ncol, n_inputs)
    real(real32), intent(inout) :: y(:, :)                   !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(inout) :: status              !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, this thread's own
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: first_side(side_size), second_side(side_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    logical :: outside(block_columns), in_workspace
    integer :: n_in, n_out, ncol, columns, block, first, n, i, j

    call clear_status(status)
    if (.not. allocated(emulator%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = emulator%plan(1)
    n_out = emulator%plan(3)
    ncol = size(x, 1)
    if (size(x, 2) /= n_in .or. size(y, 2) /= n_out .or. size(y, 1) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (ncol, n_inputs) and y (ncol, n_outputs)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    columns = few_columns
    in_workspace = .false.
    if (ncol > few_columns) call choose_block(emulator%plan, columns, in_workspace, workspace)
    if (in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    do block = 0, (ncol - 1)/columns
      first = block*columns
      n = min(columns, ncol - first)
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack(j) = real(x(first + i, j), real64)
          end do
          call evaluate_column(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), .true., &
                               on_stack(1), on_stack(n_in + 1), status%n_clipped, status%n_invalid, outside(i), &
                               first_side, second_side)
          do j = 1, n_out
            y(first + i, j) = real(on_stack(n_in + j), real32)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do j = 1, n_in
        do i = 1, n
          block_x(i + (j - 1)*columns) = real(x(first + i, j), real64)
        end do
      end do
      call evaluate_columns(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), n, columns, &
                            .true., block_x, block_y, status%n_clipped, status%n_invalid, outside, first_side, &
                            second_side, in_workspace, workspace)
      do j = 1, n_out
        do i = 1, n
          y(first + i, j) = real(block_y(i + (j - 1)*columns), real32)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_real32

  !> Predict, host arrays in double precision.
  recursive subroutine predict_real64(emulator, x, y, status, is_outside, workspace)
    class(emulator_type), intent(in) :: emulator            !! a loaded emulator
    real(real64), intent(in) :: x(:, :)                      !! inputs in contract order and units (ncol, n_inputs)
    real(real64), intent(inout) :: y(:, :)                   !! outputs in contract order and units (ncol, n_outputs)
    type(status_type), intent(inout) :: status              !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, this thread's own
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: first_side(side_size), second_side(side_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    logical :: outside(block_columns), in_workspace
    integer :: n_in, n_out, ncol, columns, block, first, n, i, j

    call clear_status(status)
    if (.not. allocated(emulator%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = emulator%plan(1)
    n_out = emulator%plan(3)
    ncol = size(x, 1)
    if (size(x, 2) /= n_in .or. size(y, 2) /= n_out .or. size(y, 1) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (ncol, n_inputs) and y (ncol, n_outputs)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    columns = few_columns
    in_workspace = .false.
    if (ncol > few_columns) call choose_block(emulator%plan, columns, in_workspace, workspace)
    if (in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    do block = 0, (ncol - 1)/columns
      first = block*columns
      n = min(columns, ncol - first)
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack(j) = x(first + i, j)
          end do
          call evaluate_column(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), .false., &
                               on_stack(1), on_stack(n_in + 1), status%n_clipped, status%n_invalid, outside(i), &
                               first_side, second_side)
          do j = 1, n_out
            y(first + i, j) = on_stack(n_in + j)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do j = 1, n_in
        do i = 1, n
          block_x(i + (j - 1)*columns) = x(first + i, j)
        end do
      end do
      call evaluate_columns(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), n, columns, &
                            .false., block_x, block_y, status%n_clipped, status%n_invalid, outside, first_side, &
                            second_side, in_workspace, workspace)
      do j = 1, n_out
        do i = 1, n
          y(first + i, j) = block_y(i + (j - 1)*columns)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_real64

  !> Predict with the variable as the fastest dimension, host arrays in single precision.
  recursive subroutine predict_transposed_real32(emulator, x, y, status, is_outside, workspace)
    class(emulator_type), intent(in) :: emulator            !! a loaded emulator
    real(real32), intent(in) :: x(:, :)                      !! inputs in contract order and units (n_inputs, ncol)
    real(real32), intent(inout) :: y(:, :)                   !! outputs in contract order and units (n_outputs, ncol)
    type(status_type), intent(inout) :: status              !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, this thread's own
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: first_side(side_size), second_side(side_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    logical :: outside(block_columns), in_workspace
    integer :: n_in, n_out, ncol, columns, block, first, n, i, j

    call clear_status(status)
    if (.not. allocated(emulator%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = emulator%plan(1)
    n_out = emulator%plan(3)
    ncol = size(x, 2)
    if (size(x, 1) /= n_in .or. size(y, 1) /= n_out .or. size(y, 2) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (n_inputs, ncol) and y (n_outputs, ncol)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    columns = few_columns
    in_workspace = .false.
    if (ncol > few_columns) call choose_block(emulator%plan, columns, in_workspace, workspace)
    if (in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    do block = 0, (ncol - 1)/columns
      first = block*columns
      n = min(columns, ncol - first)
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack(j) = real(x(j, first + i), real64)
          end do
          call evaluate_column(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), .true., &
                               on_stack(1), on_stack(n_in + 1), status%n_clipped, status%n_invalid, outside(i), &
                               first_side, second_side)
          do j = 1, n_out
            y(j, first + i) = real(on_stack(n_in + j), real32)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do i = 1, n
        do j = 1, n_in
          block_x(i + (j - 1)*columns) = real(x(j, first + i), real64)
        end do
      end do
      call evaluate_columns(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), n, columns, &
                            .true., block_x, block_y, status%n_clipped, status%n_invalid, outside, first_side, &
                            second_side, in_workspace, workspace)
      do i = 1, n
        do j = 1, n_out
          y(j, first + i) = real(block_y(i + (j - 1)*columns), real32)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_transposed_real32

  !> Predict with the variable as the fastest dimension, host arrays in double precision.
  recursive subroutine predict_transposed_real64(emulator, x, y, status, is_outside, workspace)
    class(emulator_type), intent(in) :: emulator            !! a loaded emulator
    real(real64), intent(in) :: x(:, :)                      !! inputs in contract order and units (n_inputs, ncol)
    real(real64), intent(inout) :: y(:, :)                   !! outputs in contract order and units (n_outputs, ncol)
    type(status_type), intent(inout) :: status              !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(:)         !! columns with an input out of range or invalid (ncol)
    type(workspace_type), intent(inout), optional, target :: workspace   !! by `make_workspace`, this thread's own
    real(real64), target :: on_stack(physical_size)
    real(wp), target :: first_side(side_size), second_side(side_size)
    real(real64), pointer, contiguous :: block_x(:), block_y(:)
    logical :: outside(block_columns), in_workspace
    integer :: n_in, n_out, ncol, columns, block, first, n, i, j

    call clear_status(status)
    if (.not. allocated(emulator%plan)) then
      call set_error(status, emufort_error_not_loaded, 'predict', 'the emulator has not been loaded')
      return
    end if
    n_in = emulator%plan(1)
    n_out = emulator%plan(3)
    ncol = size(x, 2)
    if (size(x, 1) /= n_in .or. size(y, 1) /= n_out .or. size(y, 2) /= ncol) then
      call set_error(status, emufort_error_shape, 'predict', 'x must be (n_inputs, ncol) and y (n_outputs, ncol)')
      return
    end if
    if (present(is_outside)) then
      if (size(is_outside) /= ncol) then
        call set_error(status, emufort_error_shape, 'predict', 'is_outside must be (ncol)')
        return
      end if
    end if
    if (ncol < 1) return
    columns = few_columns
    in_workspace = .false.
    if (ncol > few_columns) call choose_block(emulator%plan, columns, in_workspace, workspace)
    if (in_workspace) then
      block_x => workspace%physical(1:columns*n_in)
      block_y => workspace%physical(columns*n_in + 1:)
    else
      block_x => on_stack(1:min(columns*n_in, physical_size))
      block_y => on_stack(columns*n_in + 1:)
    end if
    do block = 0, (ncol - 1)/columns
      first = block*columns
      n = min(columns, ncol - first)
      if (n <= few_columns) then
        do i = 1, n
          do j = 1, n_in
            on_stack(j) = x(j, first + i)
          end do
          call evaluate_column(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), .false., &
                               on_stack(1), on_stack(n_in + 1), status%n_clipped, status%n_invalid, outside(i), &
                               first_side, second_side)
          do j = 1, n_out
            y(j, first + i) = on_stack(n_in + j)
          end do
          if (present(is_outside)) is_outside(first + i) = outside(i)
        end do
        cycle
      end if
      do i = 1, n
        do j = 1, n_in
          block_x(i + (j - 1)*columns) = x(j, first + i)
        end do
      end do
      call evaluate_columns(emulator%plan, emulator%numbers, emulator%weights(emulator%first_weight), n, columns, &
                            .false., block_x, block_y, status%n_clipped, status%n_invalid, outside, first_side, &
                            second_side, in_workspace, workspace)
      do i = 1, n
        do j = 1, n_out
          y(j, first + i) = block_y(i + (j - 1)*columns)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine predict_transposed_real64

  !> Name of the variable that a column belongs to: 'kappa' for 'kappa[aitken]'.
  pure recursive function variable_of(column) result(variable)
    character(len=*), intent(in) :: column   !! name of a column
    character(len=len(column)) :: variable
    integer :: bracket

    bracket = index(column, '[')
    variable = column
    if (bracket > 1) variable = column(:bracket - 1)

  end function variable_of

  !> An integer as text.
  pure function to_text(number) result(text)
    integer, intent(in) :: number   !! any number
    character(len=:), allocatable :: text
    character(len=12) :: buffer

    write (buffer, '(i0)') number
    text = trim(buffer)

  end function to_text

end module emufort_emulator
