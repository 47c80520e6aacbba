! The two forms of a loop over sums that gfortran and flang keep in registers, see emufort_dense_kernels.
#ifdef __flang__
#define SUMS real(wp), dimension(lanes)
#define LANE(sum) sum(i)
#define STEPS end do; do k = 1_int64, n; do i = 1, lanes
#define END_STEPS end do; end do; do i = 1, lanes
#else
#define SUMS real(wp)
#define LANE(sum) sum
#define STEPS do k = 1_int64, n
#define END_STEPS end do
#endif

!> Measures which share of the peak of the fused multiply-add units the networks alone (no transforms) reach on one
!> core.
!>
!> Prints lines `network,ncol,percent_of_peak,ns_per_sample` for 16-32-32-4 (S), 16-64-64-64-4 (M) and
!> 16-256x4-4 (L), relu; the peak is measured in the same run. Percentages count 2 operations per multiply-add.
program mlp_peak
  use, intrinsic :: iso_fortran_env, only: int64, real64, output_unit
  use emufort_kinds, only: wp, lanes, block_columns
  use emufort_operations, only: run_operations
  use emufort_plan, only: operation_size, plan_chain
  use emufort_workspace, only: scratch_size, aligned_place
  use emufort_dense, only: packed_size, packed_slack, is_wide
  implicit none
  integer, parameter :: n_repeats = 15
  integer, parameter :: ncols(5) = [1, 16, 128, 1152, 16384]
  real(real64), parameter :: shortest = 5.0e-3_real64
  integer, parameter :: no_tables(1) = 0
  real(wp), target :: scratch(scratch_size)
  real(wp) :: features(block_columns*16)
  real(real64) :: peak

  call measure_peak()
  write (output_unit, '(a,f0.1)') '# peak_gflops,', peak
  call measure('S', [16, 32, 32, 4])
  call measure('M', [16, 64, 64, 64, 4])
  call measure('L', [16, 256, 256, 256, 256, 4])

contains

  !> Return the highest rate of independent multiply-adds in registers [1e9 operations per second].
  subroutine measure_peak()
    real(wp) :: r(lanes, 16)
    real(real64) :: seconds, best
    integer(int64), parameter :: n = 300000_int64
    real(real64) :: start, finish
    integer :: i

    best = huge(1.0_real64)
    do i = 1, n_repeats
      call random_number(r)
      call cpu_time(start)
      call multiply_add(n, r)
      call cpu_time(finish)
      seconds = finish - start
      if (sum(r) < huge(1.0_wp)) best = min(best, seconds)
    end do
    peak = real(2*size(r), real64)*real(n, real64)/best*1.0e-9_real64

  end subroutine measure_peak

  !> Compute sixteen independent chains of multiply-adds per lane.
  subroutine multiply_add(n, r)
    integer(int64), intent(in) :: n               !! length of the chains
    real(wp), intent(inout) :: r(lanes, 16)       !! values of the chains
    real(wp) :: f, g
    SUMS :: s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8
    integer(int64) :: k
    integer :: i

    f = 0.5_wp*r(1, 1)
    g = r(2, 1)
    if (n < 1) return
#ifndef __flang__
    !$omp simd private(s1, s2, s3, s4, s5, s6, s7, s8, t1, t2, t3, t4, t5, t6, t7, t8)
#endif
    do i = 1, lanes
      LANE(s1) = r(i, 1)
      LANE(s2) = r(i, 2)
      LANE(s3) = r(i, 3)
      LANE(s4) = r(i, 4)
      LANE(s5) = r(i, 5)
      LANE(s6) = r(i, 6)
      LANE(s7) = r(i, 7)
      LANE(s8) = r(i, 8)
      LANE(t1) = r(i, 9)
      LANE(t2) = r(i, 10)
      LANE(t3) = r(i, 11)
      LANE(t4) = r(i, 12)
      LANE(t5) = r(i, 13)
      LANE(t6) = r(i, 14)
      LANE(t7) = r(i, 15)
      LANE(t8) = r(i, 16)
      STEPS
      LANE(s1) = LANE(s1)*f + g
      LANE(s2) = LANE(s2)*f + g
      LANE(s3) = LANE(s3)*f + g
      LANE(s4) = LANE(s4)*f + g
      LANE(s5) = LANE(s5)*f + g
      LANE(s6) = LANE(s6)*f + g
      LANE(s7) = LANE(s7)*f + g
      LANE(s8) = LANE(s8)*f + g
      LANE(t1) = LANE(t1)*f + g
      LANE(t2) = LANE(t2)*f + g
      LANE(t3) = LANE(t3)*f + g
      LANE(t4) = LANE(t4)*f + g
      LANE(t5) = LANE(t5)*f + g
      LANE(t6) = LANE(t6)*f + g
      LANE(t7) = LANE(t7)*f + g
      LANE(t8) = LANE(t8)*f + g
      END_STEPS
      r(i, 1) = LANE(s1)
      r(i, 2) = LANE(s2)
      r(i, 3) = LANE(s3)
      r(i, 4) = LANE(s4)
      r(i, 5) = LANE(s5)
      r(i, 6) = LANE(s6)
      r(i, 7) = LANE(s7)
      r(i, 8) = LANE(s8)
      r(i, 9) = LANE(t1)
      r(i, 10) = LANE(t2)
      r(i, 11) = LANE(t3)
      r(i, 12) = LANE(t4)
      r(i, 13) = LANE(t5)
      r(i, 14) = LANE(t6)
      r(i, 15) = LANE(t7)
      r(i, 16) = LANE(t8)
    end do

  end subroutine multiply_add

  !> Time one network for every number of columns.
  subroutine measure(name, widths)
    character(len=*), intent(in) :: name   !! name of the network
    integer, intent(in), contiguous :: widths(:)   !! number of features, neurons of each layer
    integer :: activation(size(widths) - 1), operations(operation_size, size(widths) - 1), n_layers, l, i, n_macs, r, at
    integer :: n_scratch
    real(real64) :: slope(size(widths) - 1), seconds, best
    real(wp), allocatable, target :: weights(:)
    real(real64) :: start, finish
    integer(int64) :: n_calls, call

    n_layers = size(widths) - 1
    activation = 1
    activation(n_layers) = 0
    slope = 0.0_real64
    call plan_chain(widths, activation, operations, n_scratch)
    l = 0
    n_macs = 0
    do i = 1, n_layers
      l = l + packed_size(widths(i), widths(i + 1))
      n_macs = n_macs + widths(i)*widths(i + 1)
    end do
    allocate (weights(l + packed_slack + lanes))
    at = aligned_place(weights)
    call random_number(weights)
    weights = (weights - 0.5_wp)*0.1_wp
    call random_number(features)
    scratch = 0.0_wp
    do i = 1, size(ncols)
      n_calls = 1_int64
      best = huge(1.0_real64)
      seconds = 0.0_real64
      do while (seconds < shortest)
        n_calls = 2_int64*n_calls
        call cpu_time(start)
        do call = 1_int64, n_calls
          call all_columns(ncols(i), n_layers, widths(1), operations, slope, weights(at))
        end do
        call cpu_time(finish)
        seconds = finish - start
      end do
      do r = 1, n_repeats
        call cpu_time(start)
        do call = 1_int64, n_calls
          call all_columns(ncols(i), n_layers, widths(1), operations, slope, weights(at))
        end do
        call cpu_time(finish)
        best = min(best, finish - start)
      end do
      best = best/(real(n_calls, real64)*ncols(i))
      write (output_unit, '(a,",",i0,",",f0.1,",",f0.2)') name, ncols(i), 100.0_real64*2.0e-9_real64*n_macs/best/peak, &
        1.0e9_real64*best
    end do

  end subroutine measure

  !> Evaluate the network on `ncol` columns in the blocks of the runtime.
  subroutine all_columns(ncol, n_layers, n_features, operations, slope, weights)
    integer, intent(in) :: ncol                                   !! number of columns
    integer, intent(in) :: n_layers                               !! number of layers
    integer, intent(in) :: n_features                             !! number of features
    integer, intent(in) :: operations(operation_size, n_layers)   !! of the plan; the features are at place 0
    real(real64), intent(in) :: slope(n_layers)                   !! parameters of the activation functions
    real(wp), intent(in) :: weights(*)                            !! packed weights
    integer :: first, n, columns, at

    at = aligned_place(scratch)
    do first = 0, ncol - 1, block_columns
      n = min(block_columns, ncol - first)
      columns = block_columns
      if (n <= lanes) columns = lanes
      if (n == 1) columns = 1
      if (columns == block_columns .and. .not. is_wide) then
        call copy_values(lanes*n_features, features, scratch(at))
        call run_operations(n_layers, operations, slope, no_tables, weights, lanes, scratch(at), scratch, 0)
        columns = lanes
      end if
      ! New features for each block, as in a host. Otherwise every call would wait for the previous one.
      call copy_values(columns*n_features, features, scratch(at))
      call run_operations(n_layers, operations, slope, no_tables, weights, columns, scratch(at), scratch, 0)
    end do

  end subroutine all_columns

  !> Copy values. Full sets of lanes take one or two instructions. For an array section, gfortran would call memcpy and
  !> flang its run-time library, which is slow for a single column.
  pure recursive subroutine copy_values(n, from, to)
    integer, intent(in) :: n              !! number of values
    real(wp), intent(in) :: from(*)       !! values
    real(wp), intent(inout) :: to(*)      !! destination
    integer :: first, i

    do first = 0, n - lanes, lanes
      do i = first + 1, first + lanes
        to(i) = from(i)
      end do
    end do
    do i = n - mod(n, lanes) + 1, n
      to(i) = from(i)
    end do

  end subroutine copy_values

end program mlp_peak
