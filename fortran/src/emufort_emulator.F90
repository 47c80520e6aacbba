#ifndef EMUFORT_LEVEL
!> The emulator for host models: load it once, then predict from any number of threads.
module emufort_emulator
  use emufort_kinds, only: int8, int64, real64
  use emufort_status, only: status_type, set_error, to_text, emufort_success, emufort_error_file, &
                            emufort_error_format, emufort_error_limit, emufort_error_shape, emufort_error_contract, &
                            emufort_error_self_test, emufort_error_not_loaded
  use emufort_predictor, only: predictor_type
  use emufort_workspace, only: workspace_type
  use emufort_weights_file, only: section_type, read_table, find_section, get_integers, get_reals, get_text, &
                                  type_text, type_int32, type_real32, type_real64
  implicit none
  private

  public :: emulator_type

  integer, parameter :: name_length = 128, units_length = 64

  !> A predictor from a file, with the contract of its inputs and outputs, and golden vectors.
  !>
  !> After `load` an emulator is constant: `predict` has it as intent(in), allocates nothing and reads no file.
  type, extends(predictor_type) :: emulator_type
    private
    real(real64), allocatable :: golden(:)      ! n, relative tolerance, absolute(n_outputs), x(n, :), y(n, :)
    character(len=name_length), allocatable :: names(:)      ! of the input columns, then of the output columns
    character(len=units_length), allocatable :: units(:)     ! of the same columns
    character(len=:), allocatable :: about      ! lines of `key<tab>value`
    character(len=:), allocatable :: contract   ! the contract as it was exported
  contains
    procedure :: load
    procedure :: load_bytes
    procedure :: require
    procedure :: self_test
    procedure :: describe
    procedure :: get_value
    procedure :: get_contract
    procedure :: get_column
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
      call set_error(status, emufort_error_limit, 'load', 'the file has no length or more than 2 GB: '//trim(filename))
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

  !> Load an emulator from the content of weights.bin, for hosts in which one process reads and broadcasts the file.
  recursive subroutine load_bytes(emulator, bytes, status)
    class(emulator_type), intent(inout) :: emulator   !! unchanged if there is an error
    integer(int8), intent(in) :: bytes(:)             !! content of weights.bin
    type(status_type), intent(out) :: status          !! outcome
    type(section_type), allocatable :: sections(:)
    type(emulator_type) :: new
    integer, allocatable :: plan(:)
    real(real64), allocatable :: numbers(:), values(:)
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

    call get_integers(bytes, sections(i_plan), plan)
    call get_reals(bytes, sections(i_numbers), numbers)
    call get_reals(bytes, sections(i_weights), values)
    call new%set_network(plan, numbers, values, status)
    if (status%code /= emufort_success) return
    call get_reals(bytes, sections(i_golden), new%golden)
    call check_golden(new, status)
    if (status%code /= emufort_success) return
    call get_text(bytes, sections(i_columns), columns)
    call split_columns(new, columns, status)
    if (status%code /= emufort_success) return
    call get_text(bytes, sections(i_about), new%about)
    call get_text(bytes, sections(i_contract), new%contract)

    call emulator%take_network(new)
    call move_alloc(new%golden, emulator%golden)
    call move_alloc(new%names, emulator%names)
    call move_alloc(new%units, emulator%units)
    call move_alloc(new%about, emulator%about)
    call move_alloc(new%contract, emulator%contract)

  end subroutine load_bytes

  !> Check the golden vectors.
  subroutine check_golden(emulator, status)
    type(emulator_type), intent(in) :: emulator   !! with a network and golden vectors
    type(status_type), intent(inout) :: status    !! outcome
    integer(int64) :: n

    n = -1_int64
    if (size(emulator%golden) >= 2) then
      if (emulator%golden(1) >= 0.0_real64 .and. emulator%golden(1) < 1.0e6_real64) n = int(emulator%golden(1), int64)
    end if
    if (n < 0_int64 .or. size(emulator%golden, kind=int64) /= 2_int64 + emulator%n_outputs() + &
        n*(emulator%n_inputs() + emulator%n_outputs())) &
      call set_error(status, emufort_error_format, 'load', 'the golden vectors of the weights file do not fit its plan')

  end subroutine check_golden

  !> Read names and units from lines of `input|output <tab> name <tab> units`.
  subroutine split_columns(emulator, text, status)
    type(emulator_type), intent(inout) :: emulator   !! with a network
    character(len=*), intent(in) :: text             !! lines
    type(status_type), intent(inout) :: status       !! outcome
    character(len=*), parameter :: tab = achar(9), newline = achar(10)
    integer :: n, i, start, length, first_tab, second_tab

    n = emulator%n_inputs() + emulator%n_outputs()
    allocate (emulator%names(n), emulator%units(n))
    call set_error(status, emufort_error_format, 'load', 'the columns of the weights file do not fit its plan')
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
        if (line(:first_tab - 1) /= merge('input ', 'output', i <= emulator%n_inputs())) return
        if (second_tab - first_tab - 1 > name_length .or. length - second_tab > units_length) return
        emulator%names(i) = line(first_tab + 1:second_tab - 1)
        emulator%units(i) = line(second_tab + 1:)
      end associate
      start = start + length + 1
    end do
    if (start <= len(text)) return
    status = status_type()

  end subroutine split_columns

  !> Check that the variables of the host are those of the emulator, in the same order and units.
  !>
  !> The host lists its inputs, optionally followed by its outputs. It lists either every column ('kappa[aitken]') or
  !> every variable once ('kappa').
  recursive subroutine require(emulator, names, units, status)
    class(emulator_type), intent(in) :: emulator     !! a loaded emulator
    character(len=*), intent(in) :: names(:)         !! names of the variables, in the order of the host
    character(len=*), intent(in) :: units(:)         !! units of the variables, such as 'm s-1'
    type(status_type), intent(out) :: status         !! outcome
    character(len=*), parameter :: place = 'require'
    integer, allocatable :: chosen(:)
    integer :: i, k, n_in, n_columns, n_variables, n_input_variables

    if (.not. emulator%is_loaded()) then
      call set_error(status, emufort_error_not_loaded, place, 'the emulator has not been loaded')
      return
    end if
    if (size(names) /= size(units)) then
      call set_error(status, emufort_error_shape, place, 'there must be one unit for each name')
      return
    end if
    n_in = emulator%n_inputs()
    n_columns = size(emulator%names)
    ! First column of each variable.
    allocate (chosen(n_columns))
    n_variables = 0
    n_input_variables = 0
    do i = 1, n_columns
      if (i > 1) then
        if (variable_of(emulator%names(i)) == variable_of(emulator%names(i - 1)) .and. i /= n_in + 1) cycle
      end if
      n_variables = n_variables + 1
      if (i <= n_in) n_input_variables = n_variables
      chosen(n_variables) = i
    end do
    if (size(names) == n_columns .or. size(names) == n_in) then
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
    type(workspace_type) :: workspace
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
    call emulator%make_workspace(workspace, status)
    if (status%code /= emufort_success) return
    call emulator%predict(x, y, inner, workspace=workspace)
    do i = 1, n
      call emulator%predict(x(i:i, :), single, inner, workspace=workspace)
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

  !> Describe the emulator in lines of text.
  recursive subroutine describe(emulator, text)
    class(emulator_type), intent(in) :: emulator   !! any emulator
    character(len=*), intent(out) :: text          !! description, cut at its length
    character(len=:), allocatable :: lines
    integer :: i

    if (.not. emulator%is_loaded()) then
      text = 'no emulator loaded'
      return
    end if
    lines = emulator%about//'layers'//achar(9)//emulator%layers()//achar(10)
    do i = 1, size(emulator%names)
      lines = lines//trim(merge('input ', 'output', i <= emulator%n_inputs()))//achar(9)//trim(emulator%names(i))// &
              achar(9)//trim(emulator%units(i))//achar(10)
    end do
    text = lines

  end subroutine describe

  !> Return the value of a key of the emulator, such as 'name', 'contract_sha256' or 'hash'; blank if there is none.
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

  !> Return the contract as it was exported (JSON).
  subroutine get_contract(emulator, text)
    class(emulator_type), intent(in) :: emulator                 !! any emulator
    character(len=:), allocatable, intent(out) :: text           !! contract; empty before `load`

    text = ''
    if (emulator%is_loaded()) text = emulator%contract

  end subroutine get_contract

  !> Return the name and the units of a column; both are empty if there is no such column.
  subroutine get_column(emulator, i, name, units)
    class(emulator_type), intent(in) :: emulator             !! any emulator
    integer, intent(in) :: i                                 !! column: the inputs come first, then the outputs
    character(len=:), allocatable, intent(out) :: name       !! name, such as 'kappa[aitken]'
    character(len=:), allocatable, intent(out) :: units      !! units, such as 'm s-1'

    name = ''
    units = ''
    if (.not. emulator%is_loaded()) return
    if (i < 1 .or. i > size(emulator%names)) return
    name = trim(emulator%names(i))
    units = trim(emulator%units(i))

  end subroutine get_column

  !> Return the name of the variable of a column: 'kappa' for 'kappa[aitken]'.
  pure recursive function variable_of(column) result(variable)
    character(len=*), intent(in) :: column   !! name of a column
    character(len=len(column)) :: variable
    integer :: bracket

    bracket = index(column, '[')
    variable = column
    if (bracket > 1) variable = column(:bracket - 1)

  end function variable_of

end module emufort_emulator
#endif
