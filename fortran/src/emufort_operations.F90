!> The operations of a network on a block of columns or on one column, and the packing of their weights.
module emufort_operations
  use emufort_kinds, only: wp, int64, real64, lanes
  use emufort_status, only: status_type, set_error, emufort_error_format
  use emufort_dense, only: dense_block, dense_half_block, dense_single, pack_layer, packed_size, packed_slack
  use emufort_activations, only: activate, activation_relu, activation_linear
  use emufort_plan, only: operation_size, operation_dense, row_code, row_activation, row_input, &
                          row_second_input, row_output, row_n_in, row_n_out, row_weights
  use emufort_ranges, only: is_finite
  use emufort_workspace, only: aligned_place
  implicit none
  private

  public :: run_operations, pack_weights

contains

  !> Run the operations of a network: from the features in their buffer to the result in its buffer.
  recursive subroutine run_operations(n_operations, operations, slope, weights, columns, scratch)
    integer, intent(in) :: n_operations                               !! number of operations
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations of a plan that was checked
    real(real64), intent(in) :: slope(n_operations)                   !! parameter of each activation function
    real(wp), intent(in) :: weights(*)                                !! packed weights
    integer, intent(in) :: columns                                    !! 1, lanes or block_columns
    real(wp), intent(inout) :: scratch(*)                             !! all buffers (columns, feature)
    integer :: i, input, output

    do i = 1, n_operations
      input = 1 + columns*operations(row_input, i)
      output = 1 + columns*operations(row_output, i)
      if (operations(row_code, i) == operation_dense) then
        call dense(operations(row_n_in, i), operations(row_n_out, i), operations(row_activation, i), slope(i), &
                   weights(operations(row_weights, i)), columns, scratch(input), scratch(output))
      else
        ! Inlined by flang, it takes registers from the dense operations, which costs one column 0.5 % of its time.
        !dir$ noinline
        call add(operations(row_n_out, i), operations(row_activation, i), slope(i), columns, input, &
                 1 + columns*operations(row_second_input, i), output, scratch)
      end if
    end do

  end subroutine run_operations

  !> Return the lower bound that the operation applies to its outputs. For relu this bound is the activation function;
  !> for other activation functions it changes no finite number.
  pure recursive real(wp) function lowest_of(activation)
    integer, intent(in) :: activation   !! one of the activation_* codes

    lowest_of = -huge(1.0_wp)
    if (activation == activation_relu) lowest_of = 0.0_wp

  end function lowest_of

  !> Evaluate a dense layer.
  recursive subroutine dense(n_in, n_out, activation, slope, weights, columns, x, y)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    integer, intent(in) :: n_out              !! number of neurons of the layer
    integer, intent(in) :: activation         !! one of the activation_* codes
    real(real64), intent(in) :: slope         !! parameter of the activation function
    real(wp), intent(in) :: weights(*)        !! packed layer
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! inputs of the layer (columns, n_in)
    real(wp), intent(inout) :: y(*)           !! outputs of the layer (columns, n_out, padded)
    real(wp) :: lowest
    integer :: i, n

    lowest = lowest_of(activation)
    select case (columns)
    case (1)
      call dense_single(n_in, n_out, weights, x, y, lowest)
    case (lanes)
      call dense_half_block(n_in, n_out, weights, x, y, lowest)
    case default
      call dense_block(n_in, n_out, weights, x, y, lowest)
    end select
    if (activation == activation_relu .or. activation == activation_linear) return
    n = columns*n_out
    if (columns == 1) then
      ! For one column, the activation function also gets the padding up to a full set of lanes. The kernels have written a
      ! multiple of 4 neurons. The padding of a block may be undefined.
      n = n_out + modulo(-n_out, lanes)
      do i = n_out + modulo(-n_out, 4) + 1, n
        y(i) = 0.0_wp
      end do
    end if
    call activate(activation, n, y, real(slope, wp))

  end subroutine dense

  !> Add two buffers. The output may replace one of them.
  recursive subroutine add(n_features, activation, slope, columns, x, y, z, scratch)
    integer, intent(in) :: n_features         !! features of each buffer
    integer, intent(in) :: activation         !! one of the activation_* codes
    real(real64), intent(in) :: slope         !! parameter of the activation function
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    integer, intent(in) :: x, y, z            !! first elements of the two inputs and of the output
    real(wp), intent(inout) :: scratch(*)     !! all buffers
    real(wp) :: lowest
    integer :: i, n

    lowest = lowest_of(activation)
    n = columns*n_features
    !$omp simd
    do i = 0, n - 1
      scratch(z + i) = max(scratch(x + i) + scratch(y + i), lowest)
    end do
    if (activation == activation_relu .or. activation == activation_linear) return
    ! The activation function gets full sets of lanes.
    do i = n, n + modulo(-n, lanes) - 1
      scratch(z + i) = 0.0_wp
    end do
    call activate(activation, n + modulo(-n, lanes), scratch(z), real(slope, wp))

  end subroutine add

  !> Pack the weights of all dense operations of a plan that was checked. Shared weights are packed once.
  subroutine pack_weights(n_operations, operations, values, packed, first, status)
    integer, intent(in) :: n_operations                               !! number of operations
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations of the plan
    real(real64), intent(in) :: values(:)                             !! weights (n_in, n_out), biases (n_out) of each
    real(wp), allocatable, intent(out) :: packed(:)                   !! packed weights
    integer, intent(out) :: first                                     !! element of the first weight, on a cache line
    type(status_type), intent(inout) :: status                        !! outcome
    integer(int64) :: n_values
    integer :: i, n_packed, start, place

    n_values = 0_int64
    n_packed = 0
    do i = 1, n_operations
      if (operations(row_weights, i) /= n_packed + 1) cycle
      associate (n_in => operations(row_n_in, i), n_out => operations(row_n_out, i))
        n_values = n_values + int(n_in + 1, int64)*n_out
        n_packed = n_packed + packed_size(n_in, n_out)
      end associate
    end do
    first = 1
    if (size(values, kind=int64) /= n_values .or. .not. all(is_finite(values))) then
      call set_error(status, emufort_error_format, 'load', 'the weights of the weights file do not fit its plan')
      return
    end if
    allocate (packed(n_packed + packed_slack + lanes), source=0.0_wp)
    first = aligned_place(packed)
    start = 1
    place = 0
    do i = 1, n_operations
      if (operations(row_weights, i) /= place + 1) cycle
      associate (n_in => operations(row_n_in, i), n_out => operations(row_n_out, i))
        call pack_layer(n_in, n_out, real(values(start:start + n_in*n_out - 1), wp), &
                        real(values(start + n_in*n_out:start + (n_in + 1)*n_out - 1), wp), &
                        packed(first + place:first + place + packed_size(n_in, n_out) - 1))
        start = start + (n_in + 1)*n_out
        place = place + packed_size(n_in, n_out)
      end associate
    end do

  end subroutine pack_weights

end module emufort_operations
