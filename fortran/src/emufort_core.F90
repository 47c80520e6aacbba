!> One block of columns through the whole emulator, from physical inputs to physical outputs.
!>
!> The emulator is three flat arrays, so that a module with constant data and an object that was loaded from a
!> file share this code. See docs/weights_format.md for `plan` and `numbers`:
!>
!>     plan     n_inputs, n_features, n_outputs, n_layers, widths(0:n_layers), activation(n_layers),
!>              feature(n_features), feature_kind(n_features), output_kind(n_outputs), reference(n_outputs)
!>     numbers  range(2, n_inputs), feature_coefficient(2, n_features), output_coefficient(2, n_outputs),
!>              output_bound(2, n_outputs), slope(n_layers)
!>     weights  the layers, each packed by `pack_layer`
module emufort_core
  use, intrinsic :: iso_c_binding, only: c_loc, c_intptr_t
  use emufort_kinds, only: wp, int64, real64, lanes, block_columns, max_width, widest_panel
  use emufort_dense, only: dense_block, dense_half_block, dense_single, packed_size, is_wide
  use emufort_activations, only: activate, activation_relu, activation_linear
  use emufort_transforms, only: are_within, is_column_within, check_inputs, inputs_to_features, outputs_to_physical, &
                                column_to_features, column_to_physical
  implicit none
  private

  !> Bits of a quiet NaN in double precision.
  integer(int64), parameter :: nan_bits = ishft(4095_int64, 51)

  !> Where the parts of an emulator begin: the first four in the plan, the others in the numbers.
  type :: layout_type
    integer :: feature        ! input of each feature
    integer :: feature_kind   ! transform of each feature
    integer :: output_kind    ! transform of each output
    integer :: reference      ! reference input of each output
    integer :: feature_c      ! coefficients of the features
    integer :: output_c       ! coefficients of the outputs
    integer :: bound          ! bounds of the outputs
    integer :: slope          ! parameters of the activations
  end type layout_type

  public :: evaluate_block, evaluate_column, evaluate_network
  public :: plan_size, numbers_size, few_columns, scratch_size, aligned_place

  !> Up to so many columns are computed one by one, which costs less than a padded block.
  integer, parameter :: few_columns = 4
  !> Scratch for one side of a layer; the last lanes are room to align it to 64 bytes.
  integer, parameter :: scratch_size = block_columns*(max_width + widest_panel) + lanes

contains

  !> Length of the plan of a network.
  pure integer(int64) function plan_size(n_features, n_outputs, n_layers)
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: n_layers     !! number of layers

    plan_size = 5_int64 + 2_int64*n_layers + 2_int64*n_features + 2_int64*n_outputs

  end function plan_size

  !> Length of the numbers of a network.
  pure integer(int64) function numbers_size(n_inputs, n_features, n_outputs, n_layers)
    integer, intent(in) :: n_inputs     !! number of inputs
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: n_layers     !! number of layers

    numbers_size = 2_int64*n_inputs + 2_int64*n_features + 4_int64*n_outputs + n_layers

  end function numbers_size

  !> Where the parts of an emulator begin.
  pure recursive type(layout_type) function layout_of(n_inputs, n_features, n_outputs, n_layers) result(at)
    integer, intent(in) :: n_inputs     !! number of inputs
    integer, intent(in) :: n_features   !! number of features
    integer, intent(in) :: n_outputs    !! number of outputs
    integer, intent(in) :: n_layers     !! number of layers

    at%feature = 6 + 2*n_layers
    at%feature_kind = at%feature + n_features
    at%output_kind = at%feature_kind + n_features
    at%reference = at%output_kind + n_outputs
    at%feature_c = 1 + 2*n_inputs
    at%output_c = at%feature_c + 2*n_features
    at%bound = at%output_c + 2*n_outputs
    at%slope = at%bound + 2*n_outputs

  end function layout_of

  !> Evaluate the network alone: features to outputs of the last layer, both dimensionless.
  !>
  !> The layers go back and forth between `a` and `b`: the result is in `b` if their number is odd, else in `a`.
  recursive subroutine evaluate_network(n_layers, widths, activation, slope, weights, columns, a, b)
    integer, intent(in) :: n_layers                  !! number of layers
    integer, intent(in) :: widths(0:n_layers)        !! number of features, neurons of each layer
    integer, intent(in) :: activation(n_layers)      !! one of the activation_* codes for each layer
    real(real64), intent(in) :: slope(n_layers)      !! parameter of the activation of each layer
    real(wp), intent(in) :: weights(*)               !! packed weights
    integer, intent(in) :: columns                   !! 1, lanes or block_columns
    real(wp), intent(inout) :: a(*)                  !! features [1] (columns, feature); scratch
    real(wp), intent(inout) :: b(*)                  !! scratch (columns, neuron)
    integer :: l, start

    start = 1
    do l = 1, n_layers
      if (mod(l, 2) == 1) then
        call evaluate_layer(widths(l - 1), widths(l), activation(l), slope(l), weights(start), columns, a, b)
      else
        call evaluate_layer(widths(l - 1), widths(l), activation(l), slope(l), weights(start), columns, b, a)
      end if
      start = start + packed_size(widths(l - 1), widths(l))
    end do

  end subroutine evaluate_network

  !> Evaluate one layer on 1, `lanes` or `block_columns` columns.
  recursive subroutine evaluate_layer(n_in, n_out, activation, slope, weights, columns, x, y)
    integer, intent(in) :: n_in               !! number of inputs of the layer
    integer, intent(in) :: n_out              !! number of neurons of the layer
    integer, intent(in) :: activation         !! one of the activation_* codes
    real(real64), intent(in) :: slope         !! parameter of the activation
    real(wp), intent(in) :: weights(*)        !! packed layer
    integer, intent(in) :: columns            !! 1, lanes or block_columns
    real(wp), intent(in) :: x(*)              !! inputs of the layer (columns, n_in)
    real(wp), intent(inout) :: y(*)           !! outputs of the layer (columns, n_out, padded)
    real(wp) :: lowest
    integer :: n

    ! relu is the maximum that the kernels take anyway; the others get a bound that changes no finite number.
    lowest = -huge(1.0_wp)
    if (activation == activation_relu) lowest = 0.0_wp
    select case (columns)
    case (1)
      call dense_single(n_in, n_out, weights, x, y, lowest)
    case (lanes)
      call dense_half_block(n_in, n_out, weights, x, y, lowest)
    case default
      call dense_block(n_in, n_out, weights, x, y, lowest)
    end select
    if (activation == activation_relu .or. activation == activation_linear) return
    ! One column is activated with the padding up to a full set of lanes, which its kernels write; the padding of a block
    ! may never have been.
    n = columns*n_out
    if (columns == 1) n = n_out + modulo(-n_out, lanes)
    call activate(activation, n, y, real(slope, wp))

  end subroutine evaluate_layer

  !> Evaluate the emulator on up to `block_columns` columns.
  recursive subroutine evaluate_block(plan, numbers, weights, n, is_single, x, y, n_clipped, n_invalid, is_outside)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    integer, intent(in) :: n                              !! number of columns, 1 to block_columns
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(real64), intent(inout) :: x(block_columns, *)    !! physical inputs (column, input); clipped on return
    real(real64), intent(inout) :: y(block_columns, *)    !! physical outputs (column, output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the values that were clipped
    integer(int64), intent(inout) :: n_invalid            !! incremented by the columns that hold NaN or infinity
    logical, intent(out) :: is_outside(block_columns)     !! whether an input of the column was clipped or invalid
    real(wp), target :: first(scratch_size), second(scratch_size)
    type(layout_type) :: at
    integer :: n_inputs, n_features, n_outputs, n_layers, columns, i, j, a, b
    integer(int64) :: outside(block_columns), invalid(block_columns)
    real(real64) :: one_x(max_width), one_y(max_width)
    logical :: is_within

    n_inputs = plan(1)
    n_features = plan(2)
    n_outputs = plan(3)
    n_layers = plan(4)
    at = layout_of(n_inputs, n_features, n_outputs, n_layers)
    is_outside = .false.

    if (n <= few_columns) then
      do i = 1, n
        do j = 1, n_inputs
          one_x(j) = x(i, j)
        end do
        call evaluate_column(plan, numbers, weights, is_single, one_x, one_y, n_clipped, n_invalid, is_outside(i))
        do j = 1, n_inputs
          x(i, j) = one_x(j)
        end do
        do j = 1, n_outputs
          y(i, j) = one_y(j)
        end do
      end do
      return
    end if

    columns = block_columns
    if (n <= lanes) columns = lanes
    do j = 1, n_inputs
      do i = n + 1, columns
        x(i, j) = x(n, j)
      end do
    end do
    is_within = are_within(columns, n_inputs, block_columns, is_single, numbers, x)
    if (.not. is_within) call check_inputs(columns, n_inputs, block_columns, is_single, numbers, x, outside, invalid)

    a = aligned_place(first)
    b = aligned_place(second)
    call inputs_to_features(columns, n_inputs, n_features, block_columns, plan(at%feature), plan(at%feature_kind), &
                            numbers(at%feature_c), x, first(a))
    if (columns == block_columns .and. .not. is_wide) then
      call evaluate_halves(n_layers, plan(5), plan(6 + n_layers), numbers(at%slope), weights, first(a), second(b))
    else
      call evaluate_network(n_layers, plan(5), plan(6 + n_layers), numbers(at%slope), weights, columns, first(a), &
                            second(b))
    end if
    if (mod(n_layers, 2) == 1) then
      call outputs_to_physical(columns, n_inputs, n_outputs, block_columns, plan(at%output_kind), plan(at%reference), &
                               numbers(at%output_c), numbers(at%bound), x, second(b), y)
    else
      call outputs_to_physical(columns, n_inputs, n_outputs, block_columns, plan(at%output_kind), plan(at%reference), &
                               numbers(at%output_c), numbers(at%bound), x, first(a), y)
    end if

    if (is_within) return
    do i = 1, n
      is_outside(i) = outside(i) + invalid(i) > 0_int64
      n_clipped = n_clipped + outside(i)
      if (invalid(i) > 0_int64) then
        n_invalid = n_invalid + 1_int64
        do j = 1, n_outputs
          y(i, j) = transfer(nan_bits, 0.0_real64)
        end do
      end if
    end do

  end subroutine evaluate_block

  !> Evaluate the emulator on one column, without the padding that a block has.
  recursive subroutine evaluate_column(plan, numbers, weights, is_single, x, y, n_clipped, n_invalid, is_outside)
    integer, intent(in) :: plan(*)                        !! integers of the emulator
    real(real64), intent(in) :: numbers(*)                !! real numbers of the emulator
    real(wp), intent(in) :: weights(*)                    !! packed weights
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(real64), intent(inout) :: x(*)                   !! physical inputs (input); clipped on return
    real(real64), intent(inout) :: y(*)                   !! physical outputs (output)
    integer(int64), intent(inout) :: n_clipped            !! incremented by the values that were clipped
    integer(int64), intent(inout) :: n_invalid            !! incremented by the columns that hold NaN or infinity
    logical, intent(out) :: is_outside                    !! whether an input was clipped or invalid
    real(wp), target :: first(max_width + widest_panel + lanes), second(max_width + widest_panel + lanes)
    type(layout_type) :: at
    integer :: n_inputs, n_features, n_outputs, n_layers, j, a, b
    integer(int64) :: outside(1), invalid(1)
    logical :: is_within

    n_inputs = plan(1)
    n_features = plan(2)
    n_outputs = plan(3)
    n_layers = plan(4)
    at = layout_of(n_inputs, n_features, n_outputs, n_layers)

    is_within = is_column_within(n_inputs, is_single, numbers, x)
    if (.not. is_within) call check_inputs(1, n_inputs, 1, is_single, numbers, x, outside, invalid)

    a = aligned_place(first)
    b = aligned_place(second)
    call column_to_features(n_inputs, n_features, plan(at%feature), plan(at%feature_kind), numbers(at%feature_c), &
                            x, first(a))
    call evaluate_network(n_layers, plan(5), plan(6 + n_layers), numbers(at%slope), weights, 1, first(a), second(b))
    if (mod(n_layers, 2) == 1) then
      call column_to_physical(n_inputs, n_outputs, plan(at%output_kind), plan(at%reference), numbers(at%output_c), &
                              numbers(at%bound), x, second(b), y)
    else
      call column_to_physical(n_inputs, n_outputs, plan(at%output_kind), plan(at%reference), numbers(at%output_c), &
                              numbers(at%bound), x, first(a), y)
    end if
    is_outside = .not. is_within
    if (is_within) return
    n_clipped = n_clipped + outside(1)
    if (invalid(1) > 0_int64) then
      n_invalid = n_invalid + 1_int64
      do j = 1, n_outputs
        y(j) = transfer(nan_bits, 0.0_real64)
      end do
    end if

  end subroutine evaluate_column

  !> Evaluate the network on a block as two halves.
  recursive subroutine evaluate_halves(n_layers, widths, activation, slope, weights, a, b)
    integer, intent(in) :: n_layers                   !! number of layers
    integer, intent(in) :: widths(0:n_layers)         !! number of features, neurons of each layer
    integer, intent(in) :: activation(n_layers)       !! one of the activation_* codes for each layer
    real(real64), intent(in) :: slope(n_layers)       !! parameter of the activation of each layer
    real(wp), intent(in) :: weights(*)                !! packed weights
    real(wp), intent(inout) :: a(block_columns, *)    !! as for evaluate_network
    real(wp), intent(inout) :: b(block_columns, *)    !! as for evaluate_network
    real(wp), target :: u(scratch_size), v(scratch_size)
    integer :: half, i, j, at_u, at_v, place

    at_u = aligned_place(u)
    at_v = aligned_place(v)
    do half = 0, block_columns - 1, lanes
      do j = 1, widths(0)
        do i = 1, lanes
          u(at_u + (j - 1)*lanes + i - 1) = a(half + i, j)
        end do
      end do
      call evaluate_network(n_layers, widths, activation, slope, weights, lanes, u(at_u), v(at_v))
      do j = 1, widths(n_layers)
        do i = 1, lanes
          place = (j - 1)*lanes + i - 1
          if (mod(n_layers, 2) == 1) then
            b(half + i, j) = v(at_v + place)
          else
            a(half + i, j) = u(at_u + place)
          end if
        end do
      end do
    end do

  end subroutine evaluate_halves

  !> First element of an array that lies on a boundary of 64 bytes: a vector that straddles two cache lines costs
  !> two loads.
  recursive integer function aligned_place(array)
    real(wp), intent(in), target :: array(*)   !! scratch
    integer(c_intptr_t) :: beyond

#ifdef __flang__
    ! flang calls its run-time library for TRANSFER, which allocates: 40 ns. LOC is an extension that it has.
    beyond = mod(loc(array), 64_c_intptr_t)
#else
    beyond = mod(transfer(c_loc(array), 0_c_intptr_t), 64_c_intptr_t)
#endif
    aligned_place = 1 + int(mod(64_c_intptr_t - beyond, 64_c_intptr_t)/(storage_size(1.0_wp)/8))

  end function aligned_place

end module emufort_core
