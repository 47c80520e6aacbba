!> The loops of bench_peak, in a separate file so that the compiler cannot compute their results in advance.
module bench_registers
  use, intrinsic :: iso_fortran_env, only: int64, real32
  implicit none
  private

  public :: multiply_add, multiply_add_arrays, sum_of, n_values

  !> Lanes of a chain: one vector of 512 bits; with 256 bits two of them, one after the other.
  integer, parameter :: lanes = 16
  !> Number of chains. It is larger than the latency of the units times their number (2 units of 4 or 5 cycles), and
  !> small enough that the chains and the two factors fit in the 16 registers of machines without AVX-512.
  integer, parameter :: n_chains = 12
  !> Number of values that `multiply_add` uses.
  integer, parameter :: n_values = lanes*n_chains

contains

  !> Compute independent chains of multiply-adds.
  subroutine multiply_add(n_steps, r)
    integer(int64), intent(in) :: n_steps                !! length of the chains
    real(real32), intent(inout) :: r(lanes, n_chains)    !! values of the chains, in [0, 1]
    real(real32) :: f, g, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12
    integer(int64) :: k
    integer :: i

    ! Without this guard, the zero-trip test of the inner loop prevents gfortran from vectorising the outer loop.
    if (n_steps < 1_int64) return
    ! The values converge to g/(1 - f) = 1, without overflow and without denormal numbers.
    f = 0.5_real32 + 0.0_real32*r(1, 1)
    g = 0.5_real32
    !$omp simd private(s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12)
    do i = 1, lanes
      s1 = r(i, 1); s2 = r(i, 2); s3 = r(i, 3); s4 = r(i, 4); s5 = r(i, 5); s6 = r(i, 6)
      s7 = r(i, 7); s8 = r(i, 8); s9 = r(i, 9); s10 = r(i, 10); s11 = r(i, 11); s12 = r(i, 12)
      do k = 1_int64, n_steps
        s1 = s1*f + g; s2 = s2*f + g; s3 = s3*f + g; s4 = s4*f + g; s5 = s5*f + g; s6 = s6*f + g
        s7 = s7*f + g; s8 = s8*f + g; s9 = s9*f + g; s10 = s10*f + g; s11 = s11*f + g; s12 = s12*f + g
      end do
      r(i, 1) = s1; r(i, 2) = s2; r(i, 3) = s3; r(i, 4) = s4; r(i, 5) = s5; r(i, 6) = s6
      r(i, 7) = s7; r(i, 8) = s8; r(i, 9) = s9; r(i, 10) = s10; r(i, 11) = s11; r(i, 12) = s12
    end do

  end subroutine multiply_add

  !> Compute the same chains in the form that flang keeps in registers: arrays of one vector each.
  subroutine multiply_add_arrays(n_steps, r)
    integer(int64), intent(in) :: n_steps                !! length of the chains
    real(real32), intent(inout) :: r(lanes, n_chains)    !! values of the chains, in [0, 1]
    real(real32), dimension(lanes) :: s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12
    real(real32) :: f, g
    integer(int64) :: k

    f = 0.5_real32 + 0.0_real32*r(1, 1)
    g = 0.5_real32
    s1 = r(:, 1); s2 = r(:, 2); s3 = r(:, 3); s4 = r(:, 4); s5 = r(:, 5); s6 = r(:, 6)
    s7 = r(:, 7); s8 = r(:, 8); s9 = r(:, 9); s10 = r(:, 10); s11 = r(:, 11); s12 = r(:, 12)
    do k = 1_int64, n_steps
      s1 = s1*f + g; s2 = s2*f + g; s3 = s3*f + g; s4 = s4*f + g; s5 = s5*f + g; s6 = s6*f + g
      s7 = s7*f + g; s8 = s8*f + g; s9 = s9*f + g; s10 = s10*f + g; s11 = s11*f + g; s12 = s12*f + g
    end do
    r(:, 1) = s1; r(:, 2) = s2; r(:, 3) = s3; r(:, 4) = s4; r(:, 5) = s5; r(:, 6) = s6
    r(:, 7) = s7; r(:, 8) = s8; r(:, 9) = s9; r(:, 10) = s10; r(:, 11) = s11; r(:, 12) = s12

  end subroutine multiply_add_arrays

  !> Return the sum of an array, in 64 chains so that the additions do not wait for each other.
  real(real32) function sum_of(n, a)
    integer, intent(in) :: n          !! size; a multiple of 64
    real(real32), intent(in) :: a(n)  !! array that is read
    real(real32) :: s1(lanes), s2(lanes), s3(lanes), s4(lanes)
    integer :: i, k

    s1 = 0.0_real32
    s2 = 0.0_real32
    s3 = 0.0_real32
    s4 = 0.0_real32
    do k = 0, n - 4*lanes, 4*lanes
      !$omp simd
      do i = 1, lanes
        s1(i) = s1(i) + a(k + i)
        s2(i) = s2(i) + a(k + lanes + i)
        s3(i) = s3(i) + a(k + 2*lanes + i)
        s4(i) = s4(i) + a(k + 3*lanes + i)
      end do
    end do
    sum_of = sum(s1 + s2 + s3 + s4)

  end function sum_of

end module bench_registers
