!> Compares networks of random operations of all kinds with plain loops in double precision, and the bits of each column
!> alone with those in blocks. Compares repeated dense layers with their repetitions one by one.
program test_operations
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_kind
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_positive_inf, ieee_is_nan
  use emufort_kinds, only: wp, int8, real64, lanes, block_columns, max_scratch
  use emufort_dense, only: dense_single, pack_layer, packed_size, packed_slack
  use emufort_normalisation, only: normalise_block, normalise_half_block, normalise_single
  use emufort_operations, only: run_operations
  use emufort_plan, only: operation_size, operation_dense, row_code, buffer_room
  use random_plans, only: make_mixed_network, n_codes
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, reference_prediction, same_bits
  implicit none
  integer, parameter :: ncol = 41
  integer, parameter :: widths_in(6) = [1, 3, 24, 33, 130, 300], widths_out(10) = [5, 8, 9, 16, 23, 31, 32, 40, 80, 100]
  integer :: seed, n_seen(n_codes), i, j, count
  integer :: n_lanes   ! repeated layers that used the memory for repetitions as lanes

  n_seen = 0
  do seed = 1, 60
    call compare(seed, 3 + mod(seed, 9), 1 + mod(seed, 5), 14 + mod(seed, 12), 6 + mod(7*seed, 40))
  end do
  ! more features than fit on the stack for a block
  do seed = 61, 64
    call compare(seed, 30, 5, 40, 150)
  end do
  ! weights that exceed the first cache; the third network has too little memory on the stack for repetitions as lanes in
  ! double precision, the last needs a workspace
  call compare_repeated(91, 200, 60, 20, 24, 3)
  call compare_repeated(92, 96, 110, 33, 24, 5)
  call compare_repeated(93, 300, 60, 60, 20, 3)
  call compare_repeated(94, 100, 200, 44, 30, 2)
  call check(minval(n_seen) > 20, 'every operation is tested')
  n_lanes = 0
  do i = 1, size(widths_in)
    do j = 1, size(widths_out)
      do count = 1 + mod(i + j, 5), 70, 3
        call repeat_layer(widths_in(i), widths_out(j), count, 1 + mod(7*count, widths_in(i) + 3))
      end do
    end do
  end do
  call check(n_lanes > 50, 'repetitions are computed as lanes')
  call normalise_infinity()
  print '(a,*(1x,i0))', 'operations agree with plain loops; tested:', n_seen

contains

  !> Compare a network of random operations.
  subroutine compare(seed, n_features, n_outputs, n_operations, width)
    integer, intent(in) :: seed, n_features, n_outputs, n_operations, width   !! as in `make_mixed_network`
    type(network_type) :: net
    real(real64) :: x(ncol, n_features + 1)
    integer :: i

    call make_mixed_network(seed, n_features, n_outputs, n_operations, width, net, x)
    do i = 1, size(net%operations, 2)
      n_seen(net%operations(row_code, i)) = n_seen(net%operations(row_code, i)) + 1
    end do
    call compare_network(seed, n_outputs, net, x)

  end subroutine compare

  !> Compare a network of a repeated layer with tanh and a linear layer.
  subroutine compare_repeated(seed, n_in, n_out, count, stride, n_outputs)
    integer, intent(in) :: seed                       !! seed of the inputs and weights
    integer, intent(in) :: n_in, n_out                !! inputs and neurons of the repeated layer
    integer, intent(in) :: count, stride              !! repetitions, and features between their inputs
    integer, intent(in) :: n_outputs                  !! outputs of the network
    type(network_type) :: net
    real(real64) :: x(ncol, n_in + (count - 1)*stride + 1)
    integer :: n_features, first, second

    n_features = n_in + (count - 1)*stride
    net = make_network([4], n_features, n_outputs, 1, seed)
    call make_inputs(net, x)
    first = buffer_room(n_features)
    second = first + buffer_room(count*n_out)
    net%features = 0
    net%n_scratch = second + buffer_room(n_outputs)
    net%operations = reshape([operation_dense, 5, 0, 0, 0, first, n_in, n_out, 1, count, stride, 0, &
                              operation_dense, 0, first, 0, 0, second, count*n_out, n_outputs, &
                              1 + packed_size(n_in, n_out), 1, 0, 0], [operation_size, 2])
    net%slope = [0.0_real64, 0.0_real64]
    deallocate (net%weights)
    allocate (net%weights((n_in + 1)*n_out + (count*n_out + 1)*n_outputs))
    call random_number(net%weights)
    net%weights = 0.1*(2.0*net%weights - 1.0)
    call compare_network(seed, n_outputs, net, x)

  end subroutine compare_repeated

  !> Compare one network.
  subroutine compare_network(seed, n_outputs, net, x)
    integer, intent(in) :: seed, n_outputs     !! number of the network, number of outputs
    type(network_type), intent(in) :: net      !! network
    real(real64), intent(in) :: x(:, :)        !! inputs (ncol, n_inputs)
    integer, parameter :: numbers(8) = [1, 4, 5, 16, 17, 31, 36, 41]
    type(emulator_type) :: emulator
    type(workspace_type) :: workspace
    type(status_type) :: status
    integer(int8), allocatable :: bytes(:)
    real(real64) :: y(ncol, n_outputs), part(ncol, n_outputs), one(size(x, 2))
    real(real64) :: wanted(n_outputs), tolerance
    character(len=60) :: what
    integer :: c, i, n

    write (what, '(a,i0)') 'network ', seed
    tolerance = merge(2.0e-3_real64, 1.0e-10_real64, emufort_kind == kind(1.0))
    allocate (bytes, source=to_bytes(net, x(1:3, :), tolerance))
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, trim(what)//' loads: '//status%message)
    call emulator%self_test(status)
    call check(status%code == emufort_success, trim(what)//' self test: '//status%message)
    call emulator%make_workspace(workspace, status)
    call emulator%predict(x, y, status, workspace=workspace)
    call check(status%code == emufort_success .and. status%n_clipped == 0, trim(what)//' predicts')
    do c = 1, ncol
      one = x(c, :)
      wanted = reference_prediction(net, one)
      call check(all(abs(y(c, :) - wanted) <= tolerance*(abs(wanted) + 1.0e-2_real64) + &
                     merge(tolerance, 0.0_real64, net%output_kind /= 2)), trim(what)//' agrees with plain loops')
    end do
    do i = 1, size(numbers)
      n = numbers(i)
      call emulator%predict(x(1:n, :), part(1:n, :), status, workspace=workspace)
      call check(all(same_bits(part(1:n, :), y(1:n, :))), trim(what)//': the same bits with a workspace')
      if (net%n_scratch > max_scratch) cycle
      call emulator%predict(x(ncol - n + 1:, :), part(1:n, :), status)
      call check(all(same_bits(part(1:n, :), y(ncol - n + 1:, :))), &
                 trim(what)//': the same bits in any number of columns')
    end do
    do c = 1, ncol
      call emulator%predict(x(c:c, :), part(1:1, :), status, workspace=workspace)
      call check(all(same_bits(part(1, :), y(c, :))), trim(what)//': a column has the same bits alone')
    end do

  end subroutine compare_network

  !> Compare the bits of a repeated layer of one column with those of its repetitions: without further memory, with one
  !> element too few for the repetitions as lanes, and with enough.
  subroutine repeat_layer(n_in, n_out, count, stride)
    integer, intent(in) :: n_in, n_out     !! inputs and neurons of the layer
    integer, intent(in) :: count, stride   !! repetitions, and features between their inputs
    integer, parameter :: no_tables(1) = 0
    real(wp), parameter :: unused = huge(1.0_wp)
    integer :: operation(operation_size, 1), n_features, n_room, sizes(3), i, r
    real(wp), allocatable :: weight(:, :), bias(:), packed(:), scratch(:), wanted(:), room(:)
    character(len=60) :: what

    write (what, '(i0,3(a,i0))') n_in, ' -> ', n_out, ', ', count, ' times, stride ', stride
    n_features = n_in + (count - 1)*stride
    allocate (weight(n_in, n_out), bias(n_out), packed(packed_size(n_in, n_out) + packed_slack))
    allocate (scratch(buffer_room(n_features) + buffer_room(count*n_out)), wanted(count*n_out + lanes))
    call random_number(weight)
    call random_number(bias)
    call random_number(scratch)
    weight = weight - 0.5_wp
    packed = 0.0_wp
    call pack_layer(n_in, n_out, weight, bias, packed(:packed_size(n_in, n_out)))
    do r = 0, count - 1
      call dense_single(n_in, n_out, packed, scratch(1 + r*stride:), wanted(1 + r*n_out:), -unused)
    end do
    operation(:, 1) = [operation_dense, 0, 0, 0, 0, buffer_room(n_features), n_in, n_out, 1, count, stride, 0]
    n_room = lanes*(buffer_room(n_in) + buffer_room(n_out))
    sizes = [0, n_room - 1, n_room]
    allocate (room(n_room + lanes))
    do i = 1, size(sizes)
      room = unused
      scratch(buffer_room(n_features) + 1:) = unused
      call run_operations(1, operation, [0.0_real64], no_tables, packed, 1, scratch, room, sizes(i))
      associate (y => scratch(buffer_room(n_features) + 1:buffer_room(n_features) + count*n_out))
        call check(all(abs(y - wanted(:count*n_out)) <= 0.0_wp), trim(what)//': the bits of each repetition')
      end associate
      call check(.not. any(room(sizes(i) + 1:) < unused), trim(what)//': no memory past the end')
      if (sizes(i) < n_room) call check(.not. any(room < unused), trim(what)//': too little memory is not used')
    end do
    if (any(room < unused)) n_lanes = n_lanes + 1

  end subroutine repeat_layer

  !> Check that an infinite feature makes its whole group NaN in every form, as in numpy, torch and ONNX, and only its group.
  subroutine normalise_infinity()
    integer, parameter :: n_out = 18, n_group = 9, n_inner = 3, n = n_out*n_inner
    real(wp) :: scale(n_out + 1), shift(n_out), x(n), one(n), half(lanes, n), whole(block_columns, n)
    logical :: is_infinite_group(n)
    integer :: i

    call random_number(x)
    x(n_out + 4) = ieee_value(1.0_wp, ieee_positive_inf)
    scale = 1.0_wp
    shift = 0.0_wp
    is_infinite_group = [(mod(i - 1, n_out) < n_group, i=1, n)]
    call normalise_single(1, n_inner, n_out/n_group, n_out, scale, shift, x, one)
    call normalise_half_block(1, n_inner, n_out/n_group, n_out, scale, shift, spread(x, 1, lanes), half)
    call normalise_block(1, n_inner, n_out/n_group, n_out, scale, shift, spread(x, 1, block_columns), whole)
    call check(all(ieee_is_nan(one) .eqv. is_infinite_group), 'infinity in a group gives NaN for one column')
    do i = 1, lanes
      call check(all(ieee_is_nan(half(i, :)) .eqv. is_infinite_group), 'infinity in a group gives NaN in half a block')
    end do
    do i = 1, block_columns
      call check(all(ieee_is_nan(whole(i, :)) .eqv. is_infinite_group), 'infinity in a group gives NaN in a block')
    end do

  end subroutine normalise_infinity

end program test_operations
