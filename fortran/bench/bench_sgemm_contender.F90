!> Matrix products of a BLAS as a contender, in two forms with host arrays in single precision. The optimised form
!> multiplies directly on the layout of the host, has one loop for bias and activation function, processes columns in
!> slices whose intermediate results stay in the cache, and uses sgemv for a single column. The plain form is usual in
!> radiation codes: the arrays of the host are transposed to features first and back, with one product per layer over
!> all columns.
module bench_sgemm_contender
  use, intrinsic :: iso_fortran_env, only: int64, real32
  use emufort_activations, only: activate, activation_relu, activation_linear
  use bench_worker, only: contender_type, chunk_of
  use bench_layers, only: network_type
  implicit none
  private

  public :: sgemm_contender_type

  !> Columns in a slice, for narrow and for wide networks; OpenBLAS was fastest with these numbers.
  integer, parameter :: narrow_slice = 128, wide_slice = 512
  !> Neurons of the widest layer of a narrow network.
  integer, parameter :: narrow = 128

  !> A network.
  type, extends(contender_type) :: sgemm_contender_type
    type(network_type) :: network   !! sizes and weights
    integer :: n_threads = 1        !! threads among which the columns of a call are split
    logical :: is_plain = .false.   !! whether the plain form is used
  contains
    procedure :: calls
  end type sgemm_contender_type

  interface
    !> c = alpha op(a) op(b) + beta c
    subroutine sgemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
      import :: real32
      character(len=1), intent(in) :: transa, transb     !! 'N' or 'T'
      integer, intent(in) :: m, n, k, lda, ldb, ldc      !! sizes and leading dimensions
      real(real32), intent(in) :: alpha, beta            !! factors
      real(real32), intent(in) :: a(lda, *), b(ldb, *)   !! matrices
      real(real32), intent(inout) :: c(ldc, *)           !! product
    end subroutine sgemm

    !> y = alpha op(a) x + beta y
    subroutine sgemv(trans, m, n, alpha, a, lda, x, incx, beta, y, incy)
      import :: real32
      character(len=1), intent(in) :: trans              !! 'N' or 'T'
      integer, intent(in) :: m, n, lda, incx, incy       !! sizes and strides
      real(real32), intent(in) :: alpha, beta            !! factors
      real(real32), intent(in) :: a(lda, *), x(*)        !! matrix, vector
      real(real32), intent(inout) :: y(*)                !! product
    end subroutine sgemv
  end interface

contains

  !> Implement the interface in bench_worker.
  subroutine calls(contender, n_passes, x, y)
    class(sgemm_contender_type), intent(inout) :: contender   !! contender that is timed
    integer(int64), intent(in) :: n_passes                    !! number of passes over all calls
    real(real32), contiguous, intent(in) :: x(:, :, :)                    !! inputs (ncol, n_inputs, n_calls)
    real(real32), contiguous, intent(inout) :: y(:, :, :)                 !! outputs (ncol, n_outputs, n_calls)
    real(real32), allocatable :: scratch(:, :)
    integer(int64) :: pass
    integer :: call, ncol, thread, first, last, room

    ncol = size(x, 1)
    room = min(ncol, slice_of(contender%network))*maxval(contender%network%widths)
    if (contender%is_plain) room = ncol*maxval(contender%network%widths)
    allocate (scratch(2*room, 0:contender%n_threads - 1))
    do pass = 1_int64, n_passes
      do call = 1, size(x, 3)
        if (contender%n_threads == 1 .or. ncol <= 32) then
          call some_columns(contender, ncol, 1, ncol, x(:, :, call), y(:, :, call), room, scratch)
        else
          !$omp parallel do default(shared) private(first, last) num_threads(contender%n_threads)
          do thread = 0, contender%n_threads - 1
            call chunk_of(ncol, contender%n_threads, thread, first, last)
            call some_columns(contender, ncol, first, last, x(:, :, call), y(:, :, call), room, scratch(:, thread))
          end do
          !$omp end parallel do
        end if
      end do
    end do

  end subroutine calls

  !> Evaluate some columns of a call, in either form.
  recursive subroutine some_columns(contender, ncol, first, last, x, y, room, scratch)
    class(sgemm_contender_type), intent(in) :: contender     !! contender that is timed
    integer, intent(in) :: ncol                              !! columns of the call
    integer, intent(in) :: first                             !! first column
    integer, intent(in) :: last                              !! last column
    real(real32), intent(in) :: x(ncol, *)                   !! inputs
    real(real32), intent(inout) :: y(ncol, *)                !! outputs
    integer, intent(in) :: room                              !! largest number of values in a layer
    real(real32), intent(inout) :: scratch(2*room)           !! buffers for two layers

    if (contender%is_plain) then
      call plain_columns(contender%network, ncol, first, last, x, y, room, scratch)
    else
      call columns_of_call(contender%network, ncol, first, last, x, y, room, scratch)
    end if

  end subroutine some_columns

  !> Evaluate some columns of a call, slice by slice.
  recursive subroutine columns_of_call(network, ncol, first, last, x, y, room, scratch)
    type(network_type), intent(in) :: network                !! sizes and weights
    integer, intent(in) :: ncol                              !! columns of the call
    integer, intent(in) :: first                             !! first column
    integer, intent(in) :: last                              !! last column
    real(real32), intent(in) :: x(ncol, *)                   !! inputs
    real(real32), intent(inout) :: y(ncol, *)                !! outputs
    integer, intent(in) :: room                              !! largest number of values in a layer of a slice
    real(real32), intent(inout) :: scratch(2*room)           !! buffers for two layers of a slice
    integer :: at, n, l, n_in, n_out, w, b, from, to, slice

    slice = slice_of(network)
    do at = first, last, slice
      n = min(slice, last - at + 1)
      from = 1
      to = 1 + room
      do l = 1, network%n_layers
        n_in = network%widths(l - 1)
        n_out = network%widths(l)
        w = network%weight_at(l)
        b = network%bias_at(l)
        if (l == 1 .and. l == network%n_layers) then
          call layer(n, n_in, n_out, x(at, 1), ncol, network%values(w), network%values(b), network%activation(l), &
                     y(at, 1), ncol)
        else if (l == 1) then
          call layer(n, n_in, n_out, x(at, 1), ncol, network%values(w), network%values(b), network%activation(l), &
                     scratch(to), n)
        else if (l == network%n_layers) then
          call layer(n, n_in, n_out, scratch(from), n, network%values(w), network%values(b), network%activation(l), &
                     y(at, 1), ncol)
        else
          call layer(n, n_in, n_out, scratch(from), n, network%values(w), network%values(b), network%activation(l), &
                     scratch(to), n)
        end if
        w = from
        from = to
        to = w
      end do
    end do

  end subroutine columns_of_call

  !> Evaluate some columns of a call in the plain form.
  recursive subroutine plain_columns(network, ncol, first, last, x, y, room, scratch)
    type(network_type), intent(in) :: network                !! sizes and weights
    integer, intent(in) :: ncol                              !! columns of the call
    integer, intent(in) :: first                             !! first column
    integer, intent(in) :: last                              !! last column
    real(real32), intent(in) :: x(ncol, *)                   !! inputs
    real(real32), intent(inout) :: y(ncol, *)                !! outputs
    integer, intent(in) :: room                              !! largest number of values in a layer
    real(real32), intent(inout) :: scratch(room, 2)          !! buffers for two layers (feature, column)
    integer :: l, n, i, j, n_in, n_out, w, b, from, to

    n = last - first + 1
    n_in = network%widths(0)
    do i = 1, n
      do j = 1, n_in
        scratch((i - 1)*n_in + j, 1) = x(first + i - 1, j)
      end do
    end do
    from = 1
    do l = 1, network%n_layers
      to = 3 - from
      n_in = network%widths(l - 1)
      n_out = network%widths(l)
      w = network%weight_at(l)
      b = network%bias_at(l)
      if (n == 1) then
        call sgemv('T', n_in, n_out, 1.0_real32, network%values(w), n_in, scratch(1, from), 1, 0.0_real32, &
                   scratch(1, to), 1)
      else
        call sgemm('T', 'N', n_out, n, n_in, 1.0_real32, network%values(w), n_in, scratch(1, from), n_in, 0.0_real32, &
                   scratch(1, to), n_out)
      end if
      call add_bias(n_out, n, network%values(b), network%activation(l), scratch(1, to))
      from = to
    end do
    n_out = network%widths(network%n_layers)
    do j = 1, n_out
      do i = 1, n
        y(first + i - 1, j) = scratch((i - 1)*n_out + j, from)
      end do
    end do

  end subroutine plain_columns

  !> Add the bias and apply the activation function of a layer with the features first.
  recursive subroutine add_bias(n_out, n, bias, activation, y)
    integer, intent(in) :: n_out                         !! number of neurons
    integer, intent(in) :: n                             !! number of columns
    real(real32), intent(in) :: bias(n_out)              !! biases
    integer, intent(in) :: activation                    !! code
    real(real32), intent(inout) :: y(n_out, n)           !! outputs of the layer (neuron, column)
    integer :: i

    do i = 1, n
      if (activation == activation_relu) then
        y(:, i) = max(y(:, i) + bias, 0.0_real32)
      else
        y(:, i) = y(:, i) + bias
      end if
    end do
    if (activation /= activation_relu .and. activation /= activation_linear) &
      call activate(activation, n*n_out, y, 0.0_real32)

  end subroutine add_bias

  !> Return the number of columns in a slice.
  pure integer function slice_of(network)
    type(network_type), intent(in) :: network   !! sizes

    slice_of = merge(narrow_slice, wide_slice, maxval(network%widths) <= narrow)

  end function slice_of

  !> Evaluate one layer.
  recursive subroutine layer(n, n_in, n_out, x, ldx, weight, bias, activation, y, ldy)
    integer, intent(in) :: n                             !! number of columns
    integer, intent(in) :: n_in                          !! number of inputs of the layer
    integer, intent(in) :: n_out                         !! number of neurons of the layer
    integer, intent(in) :: ldx                           !! leading dimension of x
    integer, intent(in) :: ldy                           !! leading dimension of y
    real(real32), intent(in) :: x(ldx, *)                !! inputs of the layer (column, input)
    real(real32), intent(in) :: weight(n_in, n_out)      !! weights
    real(real32), intent(in) :: bias(n_out)              !! biases
    integer, intent(in) :: activation                    !! code
    real(real32), intent(inout) :: y(ldy, *)             !! outputs of the layer (column, neuron)
    integer :: i, j

    if (n == 1) then
      call sgemv('T', n_in, n_out, 1.0_real32, weight, n_in, x, ldx, 0.0_real32, y, ldy)
    else
      call sgemm('N', 'N', n, n_out, n_in, 1.0_real32, x, ldx, weight, n_in, 0.0_real32, y, ldy)
    end if
    if (activation == activation_relu) then
      do j = 1, n_out
        !$omp simd
        do i = 1, n
          y(i, j) = max(y(i, j) + bias(j), 0.0_real32)
        end do
      end do
    else
      do j = 1, n_out
        !$omp simd
        do i = 1, n
          y(i, j) = y(i, j) + bias(j)
        end do
        if (activation /= activation_linear) call activate(activation, n, y(1, j), 0.0_real32)
      end do
    end if

  end subroutine layer

end module bench_sgemm_contender
