!> The operations of a plan by their definitions, in double precision: plain loops without the runtime.
module plain_operations
  use emufort_kinds, only: real32, real64
  use emufort_plan, only: &
    operation_size, operation_dense, operation_add, operation_multiply, operation_maximum, operation_minimum, &
    operation_select, operation_gather, operation_sparse, operation_matmul, operation_maximum_of, &
    operation_minimum_of, operation_product_of, operation_depthwise, operation_normalise, operation_softmax, row_code, &
    row_activation, row_input, row_second_input, row_third_input, row_output, row_n_in, row_n_out, row_weights, &
    row_count, row_stride, row_table, row_step
  implicit none
  private

  public :: run_plain, plain_operation, plain_activation, weights_places, written_by

contains

  !> Return the number of features that an operation writes.
  pure integer function written_by(operation)
    integer, intent(in) :: operation(:)   !! integers of the operation

    written_by = operation(row_count)*operation(row_n_out)
    if (operation(row_code) == operation_matmul .or. operation(row_code) == operation_normalise) &
      written_by = written_by*operation(row_stride)

  end function written_by

  !> Return for each operation the number of weights in the file before those that it reads.
  pure function weights_places(operations) result(places)
    integer, intent(in) :: operations(:, :)   !! operations of a plan
    integer :: places(size(operations, 2))
    integer :: i, k, next

    places = 0
    next = 0
    do i = 1, size(operations, 2)
      if (operations(row_weights, i) == 0) cycle
      places(i) = next
      do k = 1, i - 1
        if (operations(row_weights, k) == operations(row_weights, i)) places(i) = places(k)
      end do
      if (places(i) < next) cycle
      associate (n_in => operations(row_n_in, i), n_out => operations(row_n_out, i))
        next = next + merge((n_in + 1)*n_out, n_in + n_out, operations(row_code, i) == operation_dense)
      end associate
    end do

  end function weights_places

  !> Run the operations on one column.
  pure subroutine run_plain(operations, slope, tables, weights, values)
    integer, intent(in) :: operations(:, :)        !! operations of a plan
    real(real64), intent(in) :: slope(:)           !! parameter of each activation function
    integer, intent(in) :: tables(:)               !! tables of the operations
    real(real32), intent(in) :: weights(:)         !! weights in the order of the file
    real(real64), intent(inout) :: values(:)       !! all buffers (n_scratch)
    integer :: places(size(operations, 2)), i

    places = weights_places(operations)
    do i = 1, size(operations, 2)
      call plain_operation(operations(:, i), slope(i), tables, weights(places(i) + 1:), values)
    end do

  end subroutine run_plain

  !> Run one operation on one column.
  pure subroutine plain_operation(operation, slope, tables, weights, values)
    integer, intent(in) :: operation(:)            !! its integers
    real(real64), intent(in) :: slope              !! parameter of its activation function
    integer, intent(in) :: tables(:)               !! tables of all operations
    real(real32), intent(in) :: weights(:)         !! its weights, then its biases, then others
    real(real64), intent(inout) :: values(:)       !! all buffers (n_scratch)
    real(real64), allocatable :: a(:), b(:), c(:), z(:)
    real(real64) :: mean, variance
    integer :: r, o, k, m, row, from, n_in, n_out, n_m, n_group, n_inner

    n_in = operation(row_n_in)
    n_out = operation(row_n_out)
    allocate (z(written_by(operation)))
    a = values(operation(row_input) + 1:)
    b = values(operation(row_second_input) + 1:)
    c = values(operation(row_third_input) + 1:)
    select case (operation(row_code))
    case (operation_dense)
      do r = 0, operation(row_count) - 1
        do o = 1, n_out
          z(r*n_out + o) = weights(n_in*n_out + o)
          do k = 1, n_in
            z(r*n_out + o) = z(r*n_out + o) + real(weights((o - 1)*n_in + k), real64)*a(r*operation(row_stride) + k)
          end do
        end do
      end do
    case (operation_matmul)
      n_m = operation(row_stride)
      do r = 0, operation(row_count) - 1
        do m = 0, n_m - 1
          do o = 1, n_out
            k = (r*n_m + m)*n_out + o
            z(k) = sum(a((r*n_m + m)*n_in + 1:(r*n_m + m + 1)*n_in)*b(r*n_in*n_out + o:(r + 1)*n_in*n_out:n_out))
          end do
        end do
      end do
    case (operation_depthwise)
      do r = 0, operation(row_count) - 1
        do o = 1, n_out
          z(r*n_out + o) = weights(n_in + o)
          do k = 0, n_in/n_out - 1
            z(r*n_out + o) = z(r*n_out + o) + &
                             real(weights(k*n_out + o), real64)*a(r*operation(row_stride) + k*operation(row_step) + o)
          end do
        end do
      end do
    case (operation_normalise)
      n_inner = operation(row_stride)
      n_group = n_out/operation(row_step)
      do r = 0, operation(row_count) - 1
        do m = 0, operation(row_step) - 1
          from = r*n_inner*n_out + m*n_group
          b = [((a(from + k*n_out + o), o=1, n_group), k=0, n_inner - 1)]
          mean = sum(b)/size(b)
          variance = sum((b - mean)**2)/size(b)
          do k = 0, n_inner - 1
            do o = 1, n_group
              z(from + k*n_out + o) = (a(from + k*n_out + o) - mean)/sqrt(variance + weights(n_in))* &
                                      weights(m*n_group + o) + weights(n_in + m*n_group + o)
            end do
          end do
        end do
      end do
    case (operation_softmax)
      do r = 0, operation(row_count) - 1
        b = exp(a(r*n_out + 1:(r + 1)*n_out))
        z(r*n_out + 1:(r + 1)*n_out) = b/sum(b)
      end do
    case (operation_add)
      z = a(:n_out) + b(:n_out)
    case (operation_multiply)
      z = a(:n_out)*b(:n_out)
    case (operation_maximum)
      z = max(a(:n_out), b(:n_out))
    case (operation_minimum)
      z = min(a(:n_out), b(:n_out))
    case (operation_select)
      z = merge(b(:n_out), c(:n_out), a(:n_out) > 0.0_real64)
    case (operation_gather)
      do o = 1, n_out
        k = tables(operation(row_table) + o - 1)
        z(o) = 0.0_real64
        if (k > 0) z(o) = values(k)
      end do
    case default
      do o = 1, n_out
        row = operation(row_table) + o - 1
        from = operation(row_table) + n_out
        a = values(tables(from + tables(row) + 1:from + tables(row + 1)))
        select case (operation(row_code))
        case (operation_sparse)
          z(o) = weights(n_in + o) + sum(a*real(weights(tables(row) + 1:tables(row + 1)), real64))
        case (operation_maximum_of)
          z(o) = maxval(a)
        case (operation_minimum_of)
          z(o) = minval(a)
        case (operation_product_of)
          z(o) = product(a)
        case default
          z(o) = maxloc(a, 1) - 1
        end select
      end do
    end select
    values(operation(row_output) + 1:operation(row_output) + size(z)) = &
      plain_activation(operation(row_activation), z, slope)

  end subroutine plain_operation

  !> Evaluate an activation function by its definition.
  pure elemental real(real64) function plain_activation(code, x, slope) result(y)
    integer, intent(in) :: code              !! one of the activation_* codes
    real(real64), intent(in) :: x            !! argument
    real(real64), intent(in) :: slope        !! parameter

    select case (code)
    case (1)
      y = max(x, 0.0_real64)
    case (2)
      y = max(x, 0.0_real64)**2
    case (3)
      y = merge(x, slope*x, x > 0.0_real64)
    case (4)
      y = x*min(max(x + 3.0_real64, 0.0_real64), 6.0_real64)/6.0_real64
    case (5)
      y = tanh(x)
    case (6)
      y = 1.0_real64/(1.0_real64 + exp(-x))
    case (7)
      y = x/(1.0_real64 + exp(-x))
    case (8)
      y = 0.5_real64*x*erfc(-x/sqrt(2.0_real64))
    case (9)
      y = max(x, 0.0_real64) + log(1.0_real64 + exp(-abs(x)))
    case (10)
      y = merge(x, slope*(exp(min(x, 0.0_real64)) - 1.0_real64), x > 0.0_real64)
    case (11)
      y = exp(x)
    case (12)
      y = log(x)
    case (13)
      y = sqrt(x)
    case (14)
      y = 1.0_real64/x
    case (15)
      y = sin(x)
    case (16)
      y = cos(x)
    case (17)
      y = erf(x)
    case (18)
      y = floor(x)
    case (19)
      y = ceiling(x)
    case (20)
      y = anint(x)
    case (21)
      y = merge(1.0_real64, 0.0_real64, x > 0.0_real64)
    case default
      y = x
    end select

  end function plain_activation

end module plain_operations
