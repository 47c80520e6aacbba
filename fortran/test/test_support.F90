!> Support for the tests: checks, random networks from a seed, and their weights.bin.
module test_support
  use emufort_kinds, only: int8, int32, int64, real32, real64
  use emufort_dense, only: packed_size
  use emufort_plan, only: operation_size, operation_dense, operation_add, row_code, row_input, row_output, row_n_in, &
                          row_n_out, plan_chain, buffer_room
  use emufort_weights_file, only: crc32
  use plain_operations, only: run_plain, written_by
  implicit none
  private

  public :: check, network_type, make_network, plan_of, to_bytes, reference_features, reference_prediction, make_inputs
  public :: bits, same_bits

  !> A network in plain arrays.
  type :: network_type
    integer, allocatable :: operations(:, :)       !! operations of the plan
    integer :: n_scratch = 0                       !! features of all buffers
    integer :: features = 0                        !! place of the features
    integer, allocatable :: tables(:)              !! tables of the operations
    integer, allocatable :: feature(:)             !! input of each feature
    integer, allocatable :: feature_kind(:)        !! transform of each feature
    integer, allocatable :: output_kind(:)         !! transform of each output
    integer, allocatable :: reference(:)           !! input that the output is relative to, or 0
    real(real64), allocatable :: ranges(:, :)      !! (2, n_inputs)
    real(real64), allocatable :: feature_c(:, :)   !! (2, n_features)
    real(real64), allocatable :: output_c(:, :)    !! (2, n_outputs)
    real(real64), allocatable :: bounds(:, :)      !! (2, n_outputs)
    real(real64), allocatable :: slope(:)          !! of each operation
    real(real32), allocatable :: weights(:)        !! as in the file
  end type network_type

contains

  !> End the test unless a condition holds.
  subroutine check(condition, what)
    logical, intent(in) :: condition        !! condition that must hold
    character(len=*), intent(in) :: what    !! description of the condition

    if (.not. condition) then
      print '(a)', 'FAILED: '//what
      error stop 1
    end if

  end subroutine check

  !> Bits of a number, which distinguish numbers that compare as equal.
  pure elemental integer(int64) function bits(x)
    real(real64), intent(in) :: x

    bits = transfer(x, 0_int64)

  end function bits

  pure elemental logical function same_bits(x, y)
    real(real64), intent(in) :: x, y

    same_bits = bits(x) == bits(y)

  end function same_bits

  !> Make a network of given widths. Its inputs cycle through affine, ln and logit, its outputs through affine, ln,
  !> sigmoid, and ln relative to the last input, which is not a feature. With constants, every third output is constant,
  !> beginning with the second. With residuals, every hidden layer except the first is added to its input.
  function make_network(hidden, n_features, n_outputs, activation, seed, with_constants, with_residuals) result(net)
    integer, intent(in) :: hidden(:)      !! neurons of the hidden layers
    integer, intent(in) :: n_features     !! number of features; there is one input more
    integer, intent(in) :: n_outputs      !! number of outputs
    integer, intent(in) :: activation     !! of the hidden layers
    integer, intent(in) :: seed           !! seed
    logical, intent(in), optional :: with_constants   !! whether some outputs are constant
    logical, intent(in), optional :: with_residuals   !! whether there are additions: hidden layers of the same width
    type(network_type) :: net
    integer :: n_layers, l, i, n, place, n_in, n_out, n_constants
    logical :: is_chain
    real(real64), allocatable :: random(:)

    call seed_random(seed)
    n_layers = size(hidden) + 1
    n_constants = 0
    if (present(with_constants)) n_constants = merge((n_outputs + 1)/3, 0, with_constants)
    is_chain = .true.
    if (present(with_residuals)) is_chain = .not. with_residuals
    if (is_chain) then
      allocate (net%operations(operation_size, n_layers))
      call plan_chain([n_features, hidden, n_outputs - n_constants], [(activation, l=1, n_layers - 1), 0], &
                      net%operations, net%n_scratch)
    else
      call plan_residuals(hidden(1), size(hidden), n_features, n_outputs - n_constants, activation, net)
    end if
    net%slope = [(0.125_real64, l=1, size(net%operations, 2))]
    allocate (net%tables(0))
    ! The features are in reverse order of the inputs, so that their order is tested.
    net%feature = [(n_features + 1 - i, i=1, n_features)]
    allocate (net%ranges(2, n_features + 1), net%feature_c(2, n_features), net%feature_kind(n_features))
    do i = 1, n_features
      select case (mod(net%feature(i), 3))
      case (0)
        net%feature_kind(i) = 3
        net%ranges(:, net%feature(i)) = [0.01_real64, 0.97_real64]
        net%feature_c(:, i) = [1.3_real64, 0.4_real64]
      case (1)
        net%feature_kind(i) = 1
        net%ranges(:, net%feature(i)) = [250.0_real64, 310.0_real64]
        net%feature_c(:, i) = [280.0_real64, 0.06_real64]
      case default
        net%feature_kind(i) = 2
        net%ranges(:, net%feature(i)) = [1.0e6_real64, 1.0e10_real64]
        net%feature_c(:, i) = [1.0e-8_real64, 0.3_real64]
      end select
    end do
    net%ranges(:, n_features + 1) = [1.0e-4_real64, 1.0e-1_real64]
    allocate (net%output_kind(n_outputs), net%reference(n_outputs), net%output_c(2, n_outputs), &
              net%bounds(2, n_outputs))
    net%reference = 0
    do i = 1, n_outputs
      net%bounds(:, i) = [-1.0e30_real64, 1.0e30_real64]
      select case (mod(i, 4))
      case (0)
        net%output_kind(i) = 2
        net%output_c(:, i) = [0.5_real64, 1.1_real64]
        net%reference(i) = n_features + 1
      case (1)
        net%output_kind(i) = 2
        net%output_c(:, i) = [0.7_real64, 3.0e-3_real64]
      case (2)
        net%output_kind(i) = 4
        net%output_c(:, i) = [1.3_real64, 0.1_real64]
        net%bounds(:, i) = [0.2_real64, 0.8_real64]
      case default
        net%output_kind(i) = 1
        net%output_c(:, i) = [2.3_real64, 5.1_real64]
      end select
      if (n_constants > 0 .and. mod(i, 3) == 2) then
        net%output_kind(i) = 5
        net%output_c(:, i) = [1.0_real64, 0.1_real64]
      end if
    end do
    n = sum((net%operations(row_n_in, :) + 1)*net%operations(row_n_out, :), &
            net%operations(row_code, :) == operation_dense)
    allocate (net%weights(n), random(n))
    call random_number(random)
    place = 0
    do l = 1, size(net%operations, 2)
      if (net%operations(row_code, l) /= operation_dense) cycle
      n_in = net%operations(row_n_in, l)
      n_out = net%operations(row_n_out, l)
      do i = place + 1, place + (n_in + 1)*n_out
        ! With residuals, values grow from layer to layer; smaller weights keep them as small as in a chain of layers.
        net%weights(i) = real((2.0_real64*random(i) - 1.0_real64)*sqrt(merge(3.0_real64, 0.75_real64, is_chain)/n_in), &
                              real32)
      end do
      place = place + (n_in + 1)*n_out
    end do

  end function make_network

  !> Plan a network whose hidden layers are added to their inputs. The sum replaces the first and the second summand in
  !> turns.
  subroutine plan_residuals(width, n_hidden, n_features, n_outputs, activation, net)
    integer, intent(in) :: width        !! neurons of each hidden layer
    integer, intent(in) :: n_hidden     !! number of hidden layers
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs that are not constant
    integer, intent(in) :: activation   !! of the hidden layers; every third sum has it as well
    type(network_type), intent(inout) :: net   !! on return with operations
    integer :: sum, other, l, next

    sum = buffer_room(n_features)
    other = sum + buffer_room(max(width, n_outputs))
    net%n_scratch = other + buffer_room(max(width, n_outputs))
    next = 1
    allocate (net%operations(operation_size, 0))
    call append([operation_dense, activation, 0, 0, 0, sum, n_features, width, next, 1, 0, 0])
    next = next + packed_size(n_features, width)
    do l = 2, n_hidden
      call append([operation_dense, activation, sum, 0, 0, other, width, width, next, 1, 0, 0])
      next = next + packed_size(width, width)
      call append([operation_add, merge(activation, 0, mod(l, 3) == 0), sum, other, 0, &
                   merge(sum, other, mod(l, 2) == 0), width, width, 0, 1, 0, 0])
      if (mod(l, 2) == 1) then
        sum = other
        other = net%operations(row_input, size(net%operations, 2))
      end if
    end do
    call append([operation_dense, 0, sum, 0, 0, other, width, n_outputs, next, 1, 0, 0])

  contains

    subroutine append(operation)
      integer, intent(in) :: operation(operation_size)   !! integers of the plan

      net%operations = reshape([net%operations, operation], [operation_size, size(net%operations, 2) + 1])

    end subroutine append

  end subroutine plan_residuals

  !> Make inputs within the ranges, exact in single precision.
  subroutine make_inputs(net, x)
    type(network_type), intent(in) :: net         !! network
    real(real64), intent(out) :: x(:, :)          !! inputs (ncol, n_inputs)
    integer :: i, j

    call random_number(x)
    do j = 1, size(x, 2)
      do i = 1, size(x, 1)
        if (net%ranges(1, j) > 0.0_real64 .and. net%ranges(2, j)/net%ranges(1, j) > 100.0_real64) then
          x(i, j) = net%ranges(1, j)*(net%ranges(2, j)/net%ranges(1, j))**(0.01_real64 + 0.98_real64*x(i, j))
        else
          x(i, j) = net%ranges(1, j) + (0.01_real64 + 0.98_real64*x(i, j))*(net%ranges(2, j) - net%ranges(1, j))
        end if
        x(i, j) = real(real(x(i, j), real32), real64)
      end do
    end do

  end subroutine make_inputs

  !> Return the features of one column.
  function reference_features(net, x) result(z)
    type(network_type), intent(in) :: net         !! network
    real(real64), intent(in) :: x(:)              !! inputs within range
    real(real64) :: z(size(net%feature))
    integer :: f

    do f = 1, size(net%feature)
      associate (v => x(net%feature(f)), c => net%feature_c(:, f))
        select case (net%feature_kind(f))
        case (1)
          z(f) = (v - c(1))*c(2)
        case (2)
          z(f) = log(v*c(1))*c(2)
        case default
          z(f) = log(v/(1.0_real64 - v)*c(1))*c(2)
        end select
      end associate
    end do

  end function reference_features

  !> Evaluate one column in double precision without the runtime.
  function reference_prediction(net, x) result(y)
    type(network_type), intent(in) :: net         !! network
    real(real64), intent(in) :: x(:)              !! inputs within range
    real(real64) :: y(size(net%bounds, 2))
    real(real64), allocatable :: a(:), values(:)
    integer :: o, k

    allocate (values(net%n_scratch), source=-huge(1.0_real64))
    values(net%features + 1:net%features + size(net%feature)) = reference_features(net, x)
    call run_plain(net%operations, net%slope, net%tables, net%weights, values)
    associate (last => net%operations(:, size(net%operations, 2)))
      a = values(last(row_output) + 1:last(row_output) + written_by(last))
    end associate
    k = 0
    do o = 1, size(y)
      if (net%output_kind(o) /= 5) k = k + 1
      associate (c => net%output_c(:, o))
        select case (net%output_kind(o))
        case (1)
          y(o) = a(k)*c(1) + c(2)
        case (2)
          y(o) = c(2)*exp(a(k)*c(1))
        case (5)
          y(o) = c(2)
        case default
          y(o) = 1.0_real64/(1.0_real64 + exp(-(a(k)*c(1) + c(2))))
        end select
      end associate
      if (net%reference(o) > 0) y(o) = y(o)*x(net%reference(o))
      y(o) = min(max(y(o), net%bounds(1, o)), net%bounds(2, o))
    end do

  end function reference_prediction

  !> Return the plan of a network.
  function plan_of(net) result(plan)
    type(network_type), intent(in) :: net   !! network
    integer, allocatable :: plan(:)

    plan = [size(net%ranges, 2), size(net%feature), size(net%bounds, 2), size(net%operations, 2), net%n_scratch, &
            net%features, net%operations(row_output, size(net%operations, 2)), size(net%tables), net%operations, &
            net%feature, net%feature_kind, net%output_kind, net%reference, net%tables]

  end function plan_of

  !> Return the weights.bin of a network, with golden vectors from `reference_prediction`.
  function to_bytes(net, golden_x, tolerance) result(bytes)
    type(network_type), intent(in) :: net              !! network
    real(real64), intent(in) :: golden_x(:, :)         !! golden inputs (n, n_inputs)
    real(real64), intent(in) :: tolerance              !! relative tolerance, and absolute
    integer(int8), allocatable :: bytes(:)
    integer, parameter :: n_sections = 7
    character(len=8), parameter :: names(n_sections) = [character(len=8) :: &
                                                        'about', 'columns', 'contract', 'plan', 'numbers', 'weights', &
                                                        'golden']
    integer, parameter :: types(n_sections) = [1, 1, 1, 2, 4, 3, 4]
    integer, parameter :: value_size(4) = [1, 4, 4, 8]
    integer, parameter :: magic(8) = [137, 69, 77, 85, 70, 13, 10, 26]
    integer(int8), allocatable :: body(:), section(:), head(:), table(:)
    real(real64), allocatable :: y(:, :), one(:)
    character(len=:), allocatable :: text
    character(len=16) :: number
    integer :: i, n, n_inputs, n_outputs

    n_inputs = size(net%ranges, 2)
    n_outputs = size(net%bounds, 2)
    n = size(golden_x, 1)
    allocate (y(n, n_outputs), table(0), body(0), section(0))
    do i = 1, n
      one = golden_x(i, :)
      y(i, :) = reference_prediction(net, one)
    end do
    do i = 1, n_sections
      select case (i)
      case (1)
        section = text_bytes('name'//achar(9)//'test'//achar(10)//'hash'//achar(9)//'0123'//achar(10))
      case (2)
        text = ''
        block
          integer :: j
          do j = 1, n_inputs + n_outputs
            write (number, '(i0)') j
            text = text//trim(merge('input ', 'output', j <= n_inputs))//achar(9)//'v['//trim(number)//']'//achar(9)// &
                   'm s-1'//achar(10)
          end do
        end block
        section = text_bytes(text)
      case (3)
        section = text_bytes('{}')
      case (4)
        section = transfer(plan_of(net), [0_int8])
      case (5)
        section = transfer([reshape(net%ranges, [size(net%ranges)]), reshape(net%feature_c, [size(net%feature_c)]), &
                            reshape(net%output_c, [size(net%output_c)]), reshape(net%bounds, [size(net%bounds)]), &
                            net%slope], [0_int8])
      case (6)
        section = transfer(net%weights, [0_int8])
      case default
        section = transfer([real(n, real64), tolerance, spread(tolerance, 1, n_outputs), &
                            reshape(golden_x, [size(golden_x)]), reshape(y, [size(y)])], [0_int8])
      end select
      table = [table, text_bytes(names(i)), transfer([int(types(i), int64), 64_int64 + 32*n_sections + size(body), &
                                                      int(size(section)/value_size(types(i)), int64)], [0_int8])]
      body = [body, section]
    end do
    head = [int(merge(magic, magic - 256, magic < 128), int8), transfer([16909060_int32, 3_int32], [0_int8]), &
            transfer(64_int64 + 32*n_sections + size(body), [0_int8]), transfer([n_sections, 0], [0_int8]), &
            [(0_int8, i=1, 32)]]
    bytes = [head, table, body]
    bytes(29:32) = transfer(transfer(crc32(bytes, 29_int64), [0_int32], 1), [0_int8])

  end function to_bytes

  !> Return the bytes of a text.
  function text_bytes(text) result(bytes)
    character(len=*), intent(in) :: text
    integer(int8) :: bytes(len(text))
    integer :: i

    do i = 1, len(text)
      bytes(i) = int(iachar(text(i:i)), int8)
    end do

  end function text_bytes

  !> Set the random seed.
  subroutine seed_random(seed)
    integer, intent(in) :: seed
    integer, allocatable :: state(:)
    integer :: n, i

    call random_seed(size=n)
    state = [(seed + 7919*i, i=1, n)]
    call random_seed(put=state)

  end subroutine seed_random

end module test_support
