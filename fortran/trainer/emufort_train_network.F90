!> A network in training: its parameters, gradients and moments in panels, and the intermediate values of 64 samples.
!>
!> A network exists only during one call, so any number of threads may train at the same time.
module emufort_train_network
  use, intrinsic :: iso_c_binding, only: c_loc, c_intptr_t
  use emufort_kinds, only: wp, int32, int64, real64
  use emufort_activations, only: activation_linear
  use emufort_math, only: vector_sigmoid
  use emufort_train_kernels, only: panel, padded, layer_product, weight_gradient, bias_gradient, adam_step, &
                                   transpose_tiles, beta1, beta2
  use emufort_train_flat, only: padded64, to_panels, to_flat
  use emufort_train_activations, only: lowest_of, activate, multiply_by_derivative
  implicit none
  private

  public :: network_type

  !> Samples that are computed together through all layers, so that their values stay in the cache.
  integer, parameter :: chunk = 64
  !> A column of this length or longer is stored with a gap after it, so that columns do not use the same cache sets.
  integer, parameter :: long_column = 64

  real(real64), parameter :: epsilon_adam = 1.0e-8_real64

  !> One layer; the positions are offsets into `network_type%store`.
  type :: layer_type
    integer :: activation = 0          !! one of the activation_* codes
    real(wp) :: parameter = 0.0_wp     !! parameter of the activation function
    integer :: n_in = 0                !! number of inputs
    integer :: n_out = 0               !! number of neurons
    integer :: room_in = 0             !! inputs with padding
    integer :: room_out = 0            !! neurons with padding
    integer :: ld_in = 0               !! leading dimension of the columns of inputs
    integer :: ld_out = 0              !! leading dimension of the columns of neurons
    integer(int64) :: at_flat = 0      !! first element in a flat array
    integer(int64) :: at = 0           !! weights, then biases, from the start of a parameter array
    integer(int64) :: n = 0            !! length of both together
    integer(int64) :: at_bias = 0      !! biases, from the start of a parameter array
    integer(int64) :: transposed = 0   !! transposed weights
    integer(int64) :: a = 0            !! values of the activation function (ld_out, chunk)
    integer(int64) :: slope = 0        !! derivatives of the activation function (ld_out, chunk)
    integer(int64) :: delta = 0        !! derivative of the loss (ld_out, chunk)
  end type layer_type

  type :: network_type
    private
    type(layer_type), allocatable :: layer(:)
    logical, allocatable :: is_sigmoid(:)
    real(wp), allocatable :: store(:)   ! all arrays, each at a multiple of 64 bytes
    ! first elements of the parameters, gradients, moments, kept parameters, features of a chunk, zeros, scratch
    integer(int64) :: p = 0, g = 0, m = 0, v = 0, best = 0, x = 0, zero = 0, tiles = 0
    integer(int64) :: n_parameters = 0
  contains
    procedure :: make
    procedure :: put, get, keep_best
    procedure :: step
    procedure :: loss
  end type network_type

contains

  !> Set the shape of a network and allocate its memory; all parameters and moments are zero.
  subroutine make(network, sizes, activations, parameters, is_sigmoid, ok)
    class(network_type), intent(out), target :: network
    integer(int32), intent(in) :: sizes(0:)          !! number of inputs, neurons of each layer
    integer(int32), intent(in) :: activations(:)     !! one of the activation_* codes (hidden layer)
    real(real64), intent(in) :: parameters(:)        !! parameter of the activation function (hidden layer)
    logical, intent(in) :: is_sigmoid(:)             !! whether a sigmoid follows the last layer (output)
    logical, intent(out) :: ok                       !! false if there is not enough memory
    integer(int64) :: flat, n, total
    integer :: l, n_layers, status

    n_layers = ubound(sizes, 1)
    allocate (network%layer(n_layers), network%is_sigmoid(size(is_sigmoid)))
    network%is_sigmoid = is_sigmoid
    flat = 1
    n = 0
    do l = 1, n_layers
      associate (layer => network%layer(l))
        if (l < n_layers) then
          layer%activation = activations(l)
          layer%parameter = real(parameters(l), wp)
        end if
        layer%n_in = sizes(l - 1)
        layer%n_out = sizes(l)
        layer%room_in = padded(layer%n_in, panel)
        layer%room_out = padded(layer%n_out, panel)
        layer%ld_in = leading_dimension(layer%room_in)
        layer%ld_out = leading_dimension(layer%room_out)
        layer%at_flat = flat
        flat = flat + padded64((int(layer%n_in, int64) + 1)*layer%n_out)
        layer%at = n
        layer%at_bias = n + int(layer%room_in, int64)*layer%room_out
        layer%n = layer%at_bias + layer%room_out - n
        n = n + layer%n
      end associate
    end do
    network%n_parameters = n

    total = 0
    call place(network%p, n)
    call place(network%g, n)
    call place(network%m, n)
    call place(network%v, n)
    call place(network%best, n)
    call place(network%tiles, int(maxval(network%layer%room_out) + 2*panel, int64)*chunk)
    call place(network%x, int(network%layer(1)%ld_in, int64)*chunk)
    call place(network%zero, int(maxval(network%layer%room_in), int64))
    do l = 1, n_layers
      associate (layer => network%layer(l))
        call place(layer%transposed, int(layer%room_in, int64)*layer%room_out)
        call place(layer%a, int(layer%ld_out, int64)*chunk)
        call place(layer%slope, int(layer%ld_out, int64)*chunk)
        call place(layer%delta, int(layer%ld_out, int64)*chunk)
      end associate
    end do
    allocate (network%store(total + panel), stat=status)
    ok = status == 0
    if (.not. ok) return
    network%store = 0.0_wp
    n = aligned_place(network%store)
    network%p = network%p + n
    network%g = network%g + n
    network%m = network%m + n
    network%v = network%v + n
    network%best = network%best + n
    network%x = network%x + n
    network%tiles = network%tiles + n
    network%zero = network%zero + n
    do l = 1, n_layers
      associate (layer => network%layer(l))
        layer%transposed = layer%transposed + n
        layer%a = layer%a + n
        layer%slope = layer%slope + n
        layer%delta = layer%delta + n
      end associate
    end do

  contains

    !> Reserve the next `n` elements.
    subroutine place(position, n)
      integer(int64), intent(out) :: position   !! position of the first, from 0
      integer(int64), intent(in) :: n           !! number of elements

      position = total
      total = total + padded64(n)

    end subroutine place

  end subroutine make

  !> Return the leading dimension of columns of `n` elements.
  pure integer function leading_dimension(n)
    integer, intent(in) :: n   !! a multiple of 16

    leading_dimension = n
    if (n >= long_column) leading_dimension = n + panel

  end function leading_dimension

  !> Return the first element of an array at a multiple of 64 bytes.
  integer(int64) function aligned_place(array)
    real(wp), intent(in), target :: array(:)   !! at least `panel` elements longer than needed
    integer(c_intptr_t) :: misfit, width

    width = storage_size(array)/8
    misfit = modulo(-transfer(c_loc(array(1)), 0_c_intptr_t), 64_c_intptr_t)
    aligned_place = 1 + misfit/width

  end function aligned_place

  !> Copy flat arrays into the network.
  subroutine put(network, weights, moment1, moment2)
    class(network_type), intent(inout) :: network
    real(wp), intent(in) :: weights(*)              !! flat weights and biases
    real(wp), intent(in), optional :: moment1(*)    !! flat first moment
    real(wp), intent(in), optional :: moment2(*)    !! flat second moment
    integer :: l

    do l = 1, size(network%layer)
      associate (layer => network%layer(l), s => network%store)
        call to_panels(layer%n_in, layer%n_out, layer%room_out, weights(layer%at_flat), s(network%p + layer%at), &
                       s(network%p + layer%at_bias))
        call transpose_layer(layer, s(network%p + layer%at), s(layer%transposed))
        if (present(moment1)) &
          call to_panels(layer%n_in, layer%n_out, layer%room_out, moment1(layer%at_flat), s(network%m + layer%at), &
                         s(network%m + layer%at_bias))
        if (present(moment2)) &
          call to_panels(layer%n_in, layer%n_out, layer%room_out, moment2(layer%at_flat), s(network%v + layer%at), &
                         s(network%v + layer%at_bias))
      end associate
    end do

  end subroutine put

  !> Copy the network into flat arrays.
  subroutine get(network, weights, moment1, moment2, best)
    class(network_type), intent(in) :: network
    real(wp), intent(inout) :: weights(*)           !! flat weights and biases
    real(wp), intent(inout) :: moment1(*)           !! flat first moment
    real(wp), intent(inout) :: moment2(*)           !! flat second moment
    real(wp), intent(inout), optional :: best(*)    !! weights that `keep_best` has kept
    integer :: l

    do l = 1, size(network%layer)
      associate (layer => network%layer(l), s => network%store)
        call to_flat(layer%n_in, layer%n_out, layer%room_out, s(network%p + layer%at), s(network%p + layer%at_bias), &
                     weights(layer%at_flat))
        call to_flat(layer%n_in, layer%n_out, layer%room_out, s(network%m + layer%at), s(network%m + layer%at_bias), &
                     moment1(layer%at_flat))
        call to_flat(layer%n_in, layer%n_out, layer%room_out, s(network%v + layer%at), s(network%v + layer%at_bias), &
                     moment2(layer%at_flat))
        if (present(best)) &
          call to_flat(layer%n_in, layer%n_out, layer%room_out, s(network%best + layer%at), &
                       s(network%best + layer%at_bias), best(layer%at_flat))
      end associate
    end do

  end subroutine get

  !> Keep a copy of the weights.
  subroutine keep_best(network)
    class(network_type), intent(inout) :: network

    associate (s => network%store, n => network%n_parameters)
      call copy(n, s(network%p), s(network%best))
    end associate

  end subroutine keep_best

  subroutine copy(n, a, b)
    integer(int64), intent(in) :: n
    real(wp), intent(in) :: a(n)
    real(wp), intent(inout) :: b(n)

    b = a

  end subroutine copy

  subroutine transpose_layer(layer, w, t)
    type(layer_type), intent(in) :: layer                                !! sizes
    real(wp), intent(in) :: w(panel, layer%room_out, *)                  !! weights (input, neuron, panel)
    real(wp), intent(inout) :: t(panel, layer%room_in, *)                !! transposed (neuron, input, panel)
    integer :: q

    do q = 1, layer%room_in/panel
      call transpose_tiles(layer%room_out/panel, layer%room_in, w(1, 1, q), t(1, 1 + panel*(q - 1), 1))
    end do

  end subroutine transpose_layer

  ! ---------------------------------------------------------------- one step

  !> Make one step of Adam on the rows `order` of x and y.
  subroutine step(network, x, y, order, t, rate, decay)
    class(network_type), intent(inout) :: network
    real(wp), intent(in), contiguous :: x(:, :)          !! features (feature, row)
    real(wp), intent(in), contiguous :: y(:, :)          !! targets (output, row)
    integer(int32), intent(in), contiguous :: order(:)   !! rows of the batch, from 0
    integer(int64), intent(in) :: t                      !! number of this step, from 1
    real(real64), intent(in) :: rate                     !! learning rate
    real(real64), intent(in) :: decay                    !! weight decay per unit of learning rate
    integer :: first, m

    do first = 1, size(order), chunk
      m = min(chunk, size(order) - first + 1)
      call gather(network, x, order(first:first + m - 1))
      call forward(network, padded(m, 8))
      call output_delta(network, y, order(first:first + m - 1))
      call backward(network, m, first > 1)
    end do
    call update(network, size(order), t, rate, decay)

  end subroutine step

  !> Copy rows of x into the columns of the first layer. Columns of zeros are added up to a multiple of 8.
  subroutine gather(network, x, order)
    class(network_type), intent(inout) :: network
    real(wp), intent(in), contiguous :: x(:, :)          !! features (feature, row)
    integer(int32), intent(in), contiguous :: order(:)   !! rows, from 0
    integer :: r, n, ld
    integer(int64) :: to

    n = size(x, 1)
    ld = network%layer(1)%ld_in
    do r = 1, size(order)
      to = network%x + int(ld, int64)*(r - 1)
      network%store(to:to + n - 1) = x(:, order(r) + 1)
    end do
    to = network%x + int(ld, int64)*size(order)
    network%store(to:network%x + int(ld, int64)*padded(size(order), 8) - 1) = 0.0_wp

  end subroutine gather

  !> Evaluate all layers on `n` samples; the output of the last layer is linear.
  subroutine forward(network, n)
    class(network_type), intent(inout) :: network
    integer, intent(in) :: n   !! number of samples, a multiple of 8
    integer :: l, r
    integer(int64) :: from
    real(wp) :: lowest

    from = network%x
    do l = 1, size(network%layer)
      associate (layer => network%layer(l), s => network%store)
        lowest = lowest_of(layer%activation)
        call layer_product(layer%room_out/panel, layer%n_in, layer%room_in, n, s(layer%transposed), s(from), &
                           layer%ld_in, s(network%p + layer%at_bias), lowest, s(layer%a), layer%ld_out)
        if (layer%activation /= activation_linear) then
          if (layer%ld_out == layer%room_out) then
            call activate(layer%activation, layer%parameter, layer%room_out*n, s(layer%a), s(layer%slope))
          else
            do r = 0, n - 1
              call activate(layer%activation, layer%parameter, layer%room_out, s(layer%a + r*layer%ld_out), &
                            s(layer%slope + r*layer%ld_out))
            end do
          end if
        end if
        from = layer%a
      end associate
    end do

  end subroutine forward

  !> Compute the derivative of half the summed squared error by the output of the last layer.
  subroutine output_delta(network, y, order)
    class(network_type), intent(inout) :: network
    real(wp), intent(in), contiguous :: y(:, :)          !! targets (output, row)
    integer(int32), intent(in), contiguous :: order(:)   !! rows, from 0
    real(wp) :: out(chunk), e(chunk)
    integer :: j, r, m, n

    m = size(order)
    n = padded(m, 8)
    associate (layer => network%layer(size(network%layer)), s => network%store)
      do j = 1, layer%n_out
        call output_row(network, j, m, out)
        do r = 1, m
          e(r) = out(r) - y(j, order(r) + 1)
        end do
        if (network%is_sigmoid(j)) then
          !$omp simd
          do r = 1, m
            e(r) = (e(r)*(1.0_wp - out(r)))*out(r)
          end do
        end if
        e(m + 1:n) = 0.0_wp
        do r = 1, n
          s(layer%delta + j - 1 + int(layer%ld_out, int64)*(r - 1)) = e(r)
        end do
      end do
    end associate

  end subroutine output_delta

  !> Return one output of all samples, after its sigmoid if it has one.
  subroutine output_row(network, j, m, out)
    class(network_type), intent(in) :: network
    integer, intent(in) :: j                     !! output
    integer, intent(in) :: m                     !! number of samples
    real(wp), intent(inout) :: out(chunk)        !! output (sample)
    integer :: r

    associate (layer => network%layer(size(network%layer)))
      do r = 1, m
        out(r) = network%store(layer%a + j - 1 + int(layer%ld_out, int64)*(r - 1))
      end do
      if (network%is_sigmoid(j)) then
        ! Always in full registers, so that a value has the same bits in a short chunk.
        out(m + 1:) = 0.0_wp
        call vector_sigmoid(padded(m, panel), out)
      end if
    end associate

  end subroutine output_row

  !> Compute the gradients of all layers by backpropagation.
  subroutine backward(network, m, is_more)
    class(network_type), intent(inout) :: network
    integer, intent(in) :: m             !! number of samples
    logical, intent(in) :: is_more       !! whether to add to the gradients
    integer :: l, n, r
    integer(int64) :: from
    real(wp) :: none

    n = padded(m, 8)
    none = lowest_of(activation_linear)
    do l = size(network%layer), 1, -1
      associate (layer => network%layer(l), s => network%store)
        from = network%x
        if (l > 1) from = network%layer(l - 1)%a
        call weight_gradient(layer%room_in, m, padded(layer%n_out, 8), layer%room_out, s(from), layer%ld_in, &
                             s(layer%delta), layer%ld_out, is_more, s(network%g + layer%at), s(network%tiles))
        call bias_gradient(layer%room_out, n, s(layer%delta), layer%ld_out, is_more, &
                           s(network%g + layer%at_bias))
        if (l == 1) return
        associate (below => network%layer(l - 1))
          call layer_product(layer%room_in/panel, layer%n_out, layer%room_out, n, s(network%p + layer%at), &
                             s(layer%delta), layer%ld_out, s(network%zero), none, s(below%delta), below%ld_out)
          if (below%ld_out == below%room_out) then
            call multiply_by_derivative(below%activation, below%parameter, below%room_out*n, s(below%a), &
                                        s(below%slope), s(below%delta))
          else
            do r = 0, n - 1
              call multiply_by_derivative(below%activation, below%parameter, below%room_out, &
                                          s(below%a + r*below%ld_out), s(below%slope + r*below%ld_out), &
                                          s(below%delta + r*below%ld_out))
            end do
          end if
        end associate
      end associate
    end do

  end subroutine backward

  !> Apply Adam to all parameters, panel by panel. Each panel is transposed while it is in the cache.
  subroutine update(network, n_samples, t, rate, decay)
    class(network_type), intent(inout) :: network
    integer, intent(in) :: n_samples        !! samples in the batch
    integer(int64), intent(in) :: t         !! number of this step, from 1
    real(real64), intent(in) :: rate        !! learning rate
    real(real64), intent(in) :: decay       !! weight decay per unit of learning rate
    real(wp) :: keep, scaled_rate, root, scaled_epsilon
    integer(int64) :: at
    integer :: l, q, n

    ! The gradient is that of half the summed squares. Its scale does not affect Adam, because epsilon is scaled as
    ! well.
    scaled_epsilon = real(epsilon_adam*n_samples*network%layer(size(network%layer))%n_out/2.0_real64, wp)
    scaled_rate = real(rate/(1.0_real64 - beta1**t), wp)
    root = real(1.0_real64/sqrt(1.0_real64 - beta2**t), wp)
    keep = real(1.0_real64 - rate*decay, wp)
    do l = 1, size(network%layer)
      associate (layer => network%layer(l), s => network%store, p => network%p, g => network%g, m => network%m, &
                 v => network%v)
        n = panel*layer%room_out
        do q = 1, layer%room_in/panel
          at = layer%at + int(n, int64)*(q - 1)
          call adam_step(n, keep, scaled_rate, root, scaled_epsilon, s(g + at), s(p + at), s(m + at), &
                         s(v + at))
          call transpose_tiles(layer%room_out/panel, layer%room_in, s(p + at), &
                               s(layer%transposed + panel*panel*(q - 1)))
        end do
        at = layer%at_bias
        call adam_step(layer%room_out, keep, scaled_rate, root, scaled_epsilon, s(g + at), s(p + at), &
                       s(m + at), s(v + at))
      end associate
    end do

  end subroutine update

  !> Return the mean squared error over all rows and outputs.
  real(real64) function loss(network, x, y)
    class(network_type), intent(inout) :: network
    real(wp), intent(in), contiguous :: x(:, :)   !! features (feature, row)
    real(wp), intent(in), contiguous :: y(:, :)   !! targets (output, row)
    real(wp) :: out(chunk)
    integer(int32) :: order(chunk)
    real(real64) :: total
    integer :: first, j, m, r

    total = 0.0_real64
    do first = 1, size(x, 2), chunk
      m = min(chunk, size(x, 2) - first + 1)
      do r = 1, m
        order(r) = int(first + r - 2, int32)
      end do
      call gather(network, x, order(:m))
      call forward(network, padded(m, 8))
      do j = 1, size(y, 1)
        call output_row(network, j, m, out)
        do r = 1, m
          total = total + real(out(r) - y(j, first + r - 1), real64)**2
        end do
      end do
    end do
    loss = total/(real(size(x, 2), real64)*size(y, 1))

  end function loss

end module emufort_train_network
