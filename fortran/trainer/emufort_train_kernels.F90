!> The most expensive parts of a training: three matrix products, the transposition of weights, and Adam.
!>
!> The weights of a layer are in panels of 16 lanes. The derivative by the inputs uses panels with the inputs along the
!> lanes. The layer itself uses transposed panels, with the neurons along the lanes. The gradient has the layout of the
!> former. The products read all operands in place, without copies.
!>
!> A tile of 32 lanes on 8 samples keeps 16 accumulators of 512 bits. These are enough to hide the latency of the
!> multiply-adds, and two of them use each loaded factor. Shorter registers can hold only a tile of 16 lanes.
!> EMUFORT_TILE_PANELS chooses the tile. Every sum adds its terms in ascending order, so the tile does not change the
!> bits.
module emufort_train_kernels
  use emufort_kinds, only: wp, lanes, real64
  implicit none
  private

  public :: panel, tile_panels, padded, layer_product, weight_gradient, bias_gradient, adam_step, transpose_tiles
  public :: beta1, beta2

  !> Lanes of a panel.
  integer, parameter :: panel = lanes

#ifdef EMUFORT_TILE_PANELS
  !> Panels in a tile, 1 or 2.
  integer, parameter :: tile_panels = EMUFORT_TILE_PANELS
#else
  !> Panels in a tile, 1 or 2.
  integer, parameter :: tile_panels = 1
#endif

  !> Decay of Adam's moments.
  real(real64), parameter :: beta1 = 0.9_real64, beta2 = 0.999_real64
  ! Not computed from the rounded decay: the fifth digit of 1 - 0.999 in single precision is wrong.
  real(wp), parameter :: share1 = real(1.0_real64 - beta1, wp), share2 = real(1.0_real64 - beta2, wp)
  real(wp), parameter :: decay2 = real(beta2, wp)

contains

  !> Return the next multiple of `unit`.
  elemental integer function padded(n, unit)
    integer, intent(in) :: n      !! any number from 0
    integer, intent(in) :: unit   !! at least 1

    padded = (n + unit - 1)/unit*unit

  end function padded

  !> Compute c = max(bias + w . a, lowest) for `n_panels` panels of w.
  pure recursive subroutine layer_product(n_panels, n_k, room, n_samples, w, a, lda, bias, lowest, c, ldc)
    integer, intent(in) :: n_panels                     !! number of panels
    integer, intent(in) :: n_k                          !! terms of each sum
    integer, intent(in) :: room                         !! terms that a panel of w has room for
    integer, intent(in) :: n_samples                    !! number of samples, a multiple of 8
    real(wp), intent(in) :: w(panel, room, n_panels)    !! panels of weights (lane, k, panel)
    integer, intent(in) :: lda                          !! leading dimension of a
    real(wp), intent(in) :: a(lda, n_samples)           !! factors (k, sample)
    real(wp), intent(in) :: bias(panel, n_panels)       !! start of each sum (lane, panel)
    real(wp), intent(in) :: lowest                      !! lower bound of the results; NaN is kept
    integer, intent(in) :: ldc                          !! leading dimension of c
    real(wp), intent(inout) :: c(ldc, n_samples)        !! results (lane and panel, sample)
    integer :: p

    p = 1
    if (tile_panels == 2) then
      do p = 1, n_panels - 1, 2
        call product_32x8(n_k, n_samples, w(1, 1, p), room, a, lda, bias(1, p), lowest, c(1 + panel*(p - 1), 1), ldc)
      end do
    end if
    do p = p, n_panels
      call product_16x8(n_k, n_samples, w(1, 1, p), room, a, lda, bias(1, p), lowest, c(1 + panel*(p - 1), 1), ldc)
    end do

  end subroutine layer_product

  !> Compute g = (g +) a . transpose(d).
  pure recursive subroutine weight_gradient(n_inputs, n_samples, n_neurons, room, a, lda, d, ldd, is_more, g, tiles)
    integer, intent(in) :: n_inputs                           !! number of inputs, a multiple of 16
    integer, intent(in) :: n_samples                          !! number of samples
    integer, intent(in) :: n_neurons                          !! number of neurons, a multiple of 8
    integer, intent(in) :: room                               !! neurons that a panel of g has room for
    integer, intent(in) :: lda                                !! leading dimension of a
    real(wp), intent(in) :: a(lda, n_samples)                 !! inputs of the layer (input, sample)
    integer, intent(in) :: ldd                                !! leading dimension of d
    real(wp), intent(in) :: d(ldd, n_samples)                 !! derivative of the loss by the sums (neuron, sample)
    logical, intent(in) :: is_more                            !! whether to add to g
    real(wp), intent(inout) :: g(panel, room, n_inputs/16)    !! gradient (lane, neuron, panel)
    real(wp), intent(inout) :: tiles(n_samples, *)            !! scratch, n_neurons + 32 times n_samples
    integer :: j, q

    if (.not. is_more) g(:, 1:n_neurons, :) = 0.0_wp
    ! Compilers vectorise the kernels only for leading dimensions that they know. The copies are read many times.
    do j = 1, n_neurons, 8
      call copy_rows(8, n_samples, d(j, 1), ldd, tiles(1, j))
    end do
    q = 1
    if (tile_panels == 2) then
      do q = 1, n_inputs/panel - 1, 2
        call copy_rows(2*panel, n_samples, a(1 + panel*(q - 1), 1), lda, tiles(1, n_neurons + 1))
        do j = 1, n_neurons, 8
          call gradient_32x8(n_samples, room, tiles(1, n_neurons + 1), tiles(1, j), g(1, j, q))
        end do
      end do
    end if
    do q = q, n_inputs/panel
      call copy_rows(panel, n_samples, a(1 + panel*(q - 1), 1), lda, tiles(1, n_neurons + 1))
      do j = 1, n_neurons, 8
        call gradient_16x8(n_samples, room, tiles(1, n_neurons + 1), tiles(1, j), g(1, j, q))
      end do
    end do

  end subroutine weight_gradient

  !> Copy the first rows of a to b.
  pure recursive subroutine copy_rows(n, n_samples, a, lda, b)
    integer, intent(in) :: n                         !! number of rows, a multiple of 8
    integer, intent(in) :: n_samples                 !! number of samples
    integer, intent(in) :: lda                       !! leading dimension of a
    real(wp), intent(in) :: a(lda, n_samples)        !! any columns
    real(wp), intent(inout) :: b(n, n_samples)       !! first rows of the columns
    integer :: i, r

    do r = 1, n_samples
      !$omp simd
      do i = 1, n
        b(i, r) = a(i, r)
      end do
    end do

  end subroutine copy_rows

  !> Compute the gradient of the biases, the sum over samples.
  pure recursive subroutine bias_gradient(n, n_samples, d, ldd, is_more, g)
    integer, intent(in) :: n                      !! number of neurons, a multiple of 16
    integer, intent(in) :: n_samples              !! number of samples, a multiple of 8
    integer, intent(in) :: ldd                    !! leading dimension of d
    real(wp), intent(in) :: d(ldd, n_samples)     !! derivative of the loss by the sums (neuron, sample)
    logical, intent(in) :: is_more                !! whether to add to g
    real(wp), intent(inout) :: g(n)               !! gradient (neuron)
    integer :: i, r

    if (.not. is_more) g = 0.0_wp
    do r = 1, n_samples, 8
      !$omp simd
      do i = 1, n
        g(i) = g(i) + (((d(i, r) + d(i, r + 1)) + (d(i, r + 2) + d(i, r + 3))) &
                       + ((d(i, r + 4) + d(i, r + 5)) + (d(i, r + 6) + d(i, r + 7))))
      end do
    end do

  end subroutine bias_gradient

  !> Make one step of Adam with decoupled weight decay (AdamW).
  pure recursive subroutine adam_step(n, decay, rate, root, epsilon, g, p, m, v)
    integer, intent(in) :: n            !! number of parameters, a multiple of 16
    real(wp), intent(in) :: decay       !! factor of the parameters before the step
    real(wp), intent(in) :: rate        !! learning rate over 1 - beta1**t
    real(wp), intent(in) :: root        !! 1/sqrt(1 - beta2**t)
    real(wp), intent(in) :: epsilon     !! added to the root of the second moment
    real(wp), intent(in) :: g(n)        !! gradient
    real(wp), intent(inout) :: p(n)     !! parameters
    real(wp), intent(inout) :: m(n)     !! first moment of the gradient
    real(wp), intent(inout) :: v(n)     !! second moment of the gradient
    integer :: i
    real(wp) :: first, second

    !$omp simd private(first, second)
    do i = 1, n
      first = m(i) + share1*(g(i) - m(i))
      second = decay2*v(i) + (share2*g(i))*g(i)
      m(i) = first
      v(i) = second
      p(i) = decay*p(i) - (rate*first)/(sqrt(second)*root + epsilon)
    end do

  end subroutine adam_step

  !> Transpose one panel of weights: from inputs along the lanes to neurons along the lanes, in tiles of 16 by 16.
  pure recursive subroutine transpose_tiles(n_tiles, room, w, t)
    integer, intent(in) :: n_tiles                         !! panels of neurons
    integer, intent(in) :: room                            !! inputs that a panel of t has room for
    real(wp), intent(in) :: w(panel, panel, n_tiles)       !! weights (input, neuron, panel of neurons)
    real(wp), intent(inout) :: t(panel, room, n_tiles)     !! transposed (neuron, input, panel of neurons)
    integer :: i, p

    do p = 1, n_tiles
      ! Written out, so that compilers see stores of whole registers and use shuffles instead of storing lane by lane.
      !$omp simd
      do i = 1, panel
        t(1, i, p) = w(i, 1, p)
        t(2, i, p) = w(i, 2, p)
        t(3, i, p) = w(i, 3, p)
        t(4, i, p) = w(i, 4, p)
        t(5, i, p) = w(i, 5, p)
        t(6, i, p) = w(i, 6, p)
        t(7, i, p) = w(i, 7, p)
        t(8, i, p) = w(i, 8, p)
        t(9, i, p) = w(i, 9, p)
        t(10, i, p) = w(i, 10, p)
        t(11, i, p) = w(i, 11, p)
        t(12, i, p) = w(i, 12, p)
        t(13, i, p) = w(i, 13, p)
        t(14, i, p) = w(i, 14, p)
        t(15, i, p) = w(i, 15, p)
        t(16, i, p) = w(i, 16, p)
      end do
    end do

  end subroutine transpose_tiles

  !> Compute c = max(bias + w . a, lowest) for 32 neurons on all samples, 8 at a time; NaN is kept, k is ascending.
  pure recursive subroutine product_32x8(n_k, n_samples, w, room, a, lda, bias, lowest, c, ldc)
    integer, intent(in) :: n_k                    !! terms of each sum
    integer, intent(in) :: n_samples              !! number of samples, a multiple of 8
    integer, intent(in) :: room                   !! terms that a panel of w has room for
    real(wp), intent(in) :: w(panel, room, 2)      !! panels of weights (lane, k)
    integer, intent(in) :: lda                    !! leading dimension of a
    real(wp), intent(in) :: a(lda, n_samples)     !! factors (k, sample)
    real(wp), intent(in) :: bias(panel, 2)         !! start of each sum (lane)
    real(wp), intent(in) :: lowest                !! lower bound of the results
    integer, intent(in) :: ldc                    !! leading dimension of c
    real(wp), intent(inout) :: c(ldc, n_samples)  !! results (lane, sample); other rows are unchanged
    integer :: i, j, k
    real(wp) :: wk, wl
    real(wp) :: s1, s2, s3, s4, s5, s6, s7, s8
    real(wp) :: t1, t2, t3, t4, t5, t6, t7, t8

    ! Without this guard, the zero-trip test of the k loop prevents gfortran from vectorising over i (14 times slower).
    if (n_k < 1) return
    do j = 1, n_samples, 8
      !$omp simd private(s1, s2, s3, s4, s5, s6, s7, s8, &
      !$omp& t1, t2, t3, t4, t5, t6, t7, t8, wk, wl)
      do i = 1, panel
        s1 = bias(i, 1)
        s2 = bias(i, 1)
        s3 = bias(i, 1)
        s4 = bias(i, 1)
        s5 = bias(i, 1)
        s6 = bias(i, 1)
        s7 = bias(i, 1)
        s8 = bias(i, 1)
        t1 = bias(i, 2)
        t2 = bias(i, 2)
        t3 = bias(i, 2)
        t4 = bias(i, 2)
        t5 = bias(i, 2)
        t6 = bias(i, 2)
        t7 = bias(i, 2)
        t8 = bias(i, 2)
        do k = 1, n_k
          wk = w(i, k, 1)
          wl = w(i, k, 2)
          s1 = s1 + wk*a(k, j)
          s2 = s2 + wk*a(k, j + 1)
          s3 = s3 + wk*a(k, j + 2)
          s4 = s4 + wk*a(k, j + 3)
          s5 = s5 + wk*a(k, j + 4)
          s6 = s6 + wk*a(k, j + 5)
          s7 = s7 + wk*a(k, j + 6)
          s8 = s8 + wk*a(k, j + 7)
          t1 = t1 + wl*a(k, j)
          t2 = t2 + wl*a(k, j + 1)
          t3 = t3 + wl*a(k, j + 2)
          t4 = t4 + wl*a(k, j + 3)
          t5 = t5 + wl*a(k, j + 4)
          t6 = t6 + wl*a(k, j + 5)
          t7 = t7 + wl*a(k, j + 6)
          t8 = t8 + wl*a(k, j + 7)
        end do
        c(i, j) = max(s1, lowest)
        c(i, j + 1) = max(s2, lowest)
        c(i, j + 2) = max(s3, lowest)
        c(i, j + 3) = max(s4, lowest)
        c(i, j + 4) = max(s5, lowest)
        c(i, j + 5) = max(s6, lowest)
        c(i, j + 6) = max(s7, lowest)
        c(i, j + 7) = max(s8, lowest)
        c(i + panel, j) = max(t1, lowest)
        c(i + panel, j + 1) = max(t2, lowest)
        c(i + panel, j + 2) = max(t3, lowest)
        c(i + panel, j + 3) = max(t4, lowest)
        c(i + panel, j + 4) = max(t5, lowest)
        c(i + panel, j + 5) = max(t6, lowest)
        c(i + panel, j + 6) = max(t7, lowest)
        c(i + panel, j + 7) = max(t8, lowest)
      end do
    end do

  end subroutine product_32x8

  !> Compute c = max(bias + w . a, lowest) for 16 neurons on all samples, 8 at a time; NaN is kept, k is ascending.
  pure recursive subroutine product_16x8(n_k, n_samples, w, room, a, lda, bias, lowest, c, ldc)
    integer, intent(in) :: n_k                    !! terms of each sum
    integer, intent(in) :: n_samples              !! number of samples, a multiple of 8
    integer, intent(in) :: room                   !! terms that a panel of w has room for
    real(wp), intent(in) :: w(panel, room, 1)      !! panel of weights (lane, k)
    integer, intent(in) :: lda                    !! leading dimension of a
    real(wp), intent(in) :: a(lda, n_samples)     !! factors (k, sample)
    real(wp), intent(in) :: bias(panel, 1)         !! start of each sum (lane)
    real(wp), intent(in) :: lowest                !! lower bound of the results
    integer, intent(in) :: ldc                    !! leading dimension of c
    real(wp), intent(inout) :: c(ldc, n_samples)  !! results (lane, sample); other rows are unchanged
    integer :: i, j, k
    real(wp) :: wk
    real(wp) :: s1, s2, s3, s4, s5, s6, s7, s8

    ! Without this guard, the zero-trip test of the k loop prevents gfortran from vectorising over i (14 times slower).
    if (n_k < 1) return
    do j = 1, n_samples, 8
      !$omp simd private(s1, s2, s3, s4, s5, s6, s7, s8, wk)
      do i = 1, panel
        s1 = bias(i, 1)
        s2 = bias(i, 1)
        s3 = bias(i, 1)
        s4 = bias(i, 1)
        s5 = bias(i, 1)
        s6 = bias(i, 1)
        s7 = bias(i, 1)
        s8 = bias(i, 1)
        do k = 1, n_k
          wk = w(i, k, 1)
          s1 = s1 + wk*a(k, j)
          s2 = s2 + wk*a(k, j + 1)
          s3 = s3 + wk*a(k, j + 2)
          s4 = s4 + wk*a(k, j + 3)
          s5 = s5 + wk*a(k, j + 4)
          s6 = s6 + wk*a(k, j + 5)
          s7 = s7 + wk*a(k, j + 6)
          s8 = s8 + wk*a(k, j + 7)
        end do
        c(i, j) = max(s1, lowest)
        c(i, j + 1) = max(s2, lowest)
        c(i, j + 2) = max(s3, lowest)
        c(i, j + 3) = max(s4, lowest)
        c(i, j + 4) = max(s5, lowest)
        c(i, j + 5) = max(s6, lowest)
        c(i, j + 6) = max(s7, lowest)
        c(i, j + 7) = max(s8, lowest)
      end do
    end do

  end subroutine product_16x8

  !> Add the gradient of the weights of 32 inputs to 8 neurons, summed over samples in ascending order.
  pure recursive subroutine gradient_32x8(n_samples, room, a, d, g)
    integer, intent(in) :: n_samples              !! number of samples
    integer, intent(in) :: room                   !! neurons that a panel of g has room for
    real(wp), intent(in) :: a(2*panel, n_samples) !! inputs of the layer (lane, sample)
    real(wp), intent(in) :: d(8, n_samples)       !! derivative of the loss by the sums of the neurons (neuron, sample)
    real(wp), intent(inout) :: g(panel, room, 2)   !! gradient (lane, neuron), incremented
    integer :: i, r
    real(wp) :: ak, al
    real(wp) :: s1, s2, s3, s4, s5, s6, s7, s8
    real(wp) :: t1, t2, t3, t4, t5, t6, t7, t8

    ! Without this guard, the zero-trip test of the r loop prevents gfortran from vectorising over i (14 times slower).
    if (n_samples < 1) return
    !$omp simd private(ak, al, s1, s2, s3, s4, s5, s6, s7, s8, &
    !$omp& t1, t2, t3, t4, t5, t6, t7, t8)
    do i = 1, panel
      s1 = g(i, 1, 1)
      s2 = g(i, 2, 1)
      s3 = g(i, 3, 1)
      s4 = g(i, 4, 1)
      s5 = g(i, 5, 1)
      s6 = g(i, 6, 1)
      s7 = g(i, 7, 1)
      s8 = g(i, 8, 1)
      t1 = g(i, 1, 2)
      t2 = g(i, 2, 2)
      t3 = g(i, 3, 2)
      t4 = g(i, 4, 2)
      t5 = g(i, 5, 2)
      t6 = g(i, 6, 2)
      t7 = g(i, 7, 2)
      t8 = g(i, 8, 2)
      do r = 1, n_samples
        ak = a(i, r)
        al = a(i + panel, r)
        s1 = s1 + ak*d(1, r)
        s2 = s2 + ak*d(2, r)
        s3 = s3 + ak*d(3, r)
        s4 = s4 + ak*d(4, r)
        s5 = s5 + ak*d(5, r)
        s6 = s6 + ak*d(6, r)
        s7 = s7 + ak*d(7, r)
        s8 = s8 + ak*d(8, r)
        t1 = t1 + al*d(1, r)
        t2 = t2 + al*d(2, r)
        t3 = t3 + al*d(3, r)
        t4 = t4 + al*d(4, r)
        t5 = t5 + al*d(5, r)
        t6 = t6 + al*d(6, r)
        t7 = t7 + al*d(7, r)
        t8 = t8 + al*d(8, r)
      end do
      g(i, 1, 1) = s1
      g(i, 2, 1) = s2
      g(i, 3, 1) = s3
      g(i, 4, 1) = s4
      g(i, 5, 1) = s5
      g(i, 6, 1) = s6
      g(i, 7, 1) = s7
      g(i, 8, 1) = s8
      g(i, 1, 2) = t1
      g(i, 2, 2) = t2
      g(i, 3, 2) = t3
      g(i, 4, 2) = t4
      g(i, 5, 2) = t5
      g(i, 6, 2) = t6
      g(i, 7, 2) = t7
      g(i, 8, 2) = t8
    end do

  end subroutine gradient_32x8

  !> Add the gradient of the weights of 16 inputs to 8 neurons, summed over samples in ascending order.
  pure recursive subroutine gradient_16x8(n_samples, room, a, d, g)
    integer, intent(in) :: n_samples              !! number of samples
    integer, intent(in) :: room                   !! neurons that a panel of g has room for
    real(wp), intent(in) :: a(panel, n_samples) !! inputs of the layer (lane, sample)
    real(wp), intent(in) :: d(8, n_samples)       !! derivative of the loss by the sums of the neurons (neuron, sample)
    real(wp), intent(inout) :: g(panel, room, 1)   !! gradient (lane, neuron), incremented
    integer :: i, r
    real(wp) :: ak
    real(wp) :: s1, s2, s3, s4, s5, s6, s7, s8

    ! Without this guard, the zero-trip test of the r loop prevents gfortran from vectorising over i (14 times slower).
    if (n_samples < 1) return
    !$omp simd private(ak, s1, s2, s3, s4, s5, s6, s7, s8)
    do i = 1, panel
      s1 = g(i, 1, 1)
      s2 = g(i, 2, 1)
      s3 = g(i, 3, 1)
      s4 = g(i, 4, 1)
      s5 = g(i, 5, 1)
      s6 = g(i, 6, 1)
      s7 = g(i, 7, 1)
      s8 = g(i, 8, 1)
      do r = 1, n_samples
        ak = a(i, r)
        s1 = s1 + ak*d(1, r)
        s2 = s2 + ak*d(2, r)
        s3 = s3 + ak*d(3, r)
        s4 = s4 + ak*d(4, r)
        s5 = s5 + ak*d(5, r)
        s6 = s6 + ak*d(6, r)
        s7 = s7 + ak*d(7, r)
        s8 = s8 + ak*d(8, r)
      end do
      g(i, 1, 1) = s1
      g(i, 2, 1) = s2
      g(i, 3, 1) = s3
      g(i, 4, 1) = s4
      g(i, 5, 1) = s5
      g(i, 6, 1) = s6
      g(i, 7, 1) = s7
      g(i, 8, 1) = s8
    end do

  end subroutine gradient_16x8

end module emufort_train_kernels
