!> What the compiler made of the kernels: which flags it had, and how many multiply-adds a core does in a cycle.
!>
!> A core starts at most two multiply-adds per cycle, so more than two per cycle need vector instructions. The cycle is
!> that of a chain of integer operations that depend on each other. Of several runs the shortest counts, so other work
!> on the machine hardly matters.
module emufort_probe
  use, intrinsic :: iso_fortran_env, only: compiler_options
  use emufort_kinds, only: wp, int32, int64, real64, lanes, block_columns, widest_panel
  use emufort_dense, only: dense_block, dense_half_block, dense_single, is_wide
  use emufort_math, only: vector_exp
  implicit none
  private

  public :: probe_kernels

  !> Number of inputs and of neurons of the layer; number of arguments of the exponential function.
  integer, parameter :: width = 64, n_values = 1024
  !> Runs, and calls in a run.
  integer, parameter :: n_runs = 15, n_calls = 10
  !> Rounds of the chain of integer operations, and operations of a round.
  integer, parameter :: n_rounds = 5000, round_operations = 6

contains

  !> Measure the kernels. Takes some milliseconds.
  subroutine probe_kernels(multiply_adds, exponential, flags)
    real(real64), intent(out) :: multiply_adds              !! fewest multiply-adds per cycle in a dense layer
    real(real64), intent(out) :: exponential                !! cycles per exponential
    character(len=:), allocatable, intent(out) :: flags     !! flags of the compiler
    real(real64) :: seconds(5), cycle_time
    real(wp) :: w(width*(width + 1) + widest_panel), x(block_columns*(width + 1)), y(block_columns*(width + 1))
    real(wp) :: values(n_values)
    integer(int64) :: start
    integer(int32) :: chain
    integer :: i, run

    flags = compiler_options()
    w = 0.01_wp
    x = 0.5_wp
    y = 0.0_wp
    chain = 12345_int32
    seconds = huge(1.0_real64)
    do run = 1, n_runs
      call system_clock(start)
      do i = 1, n_rounds
        chain = ieor(chain, ishft(chain, 13))
        chain = ieor(chain, ishft(chain, -17))
        chain = ieor(chain, ishft(chain, 5))
      end do
      call keep_shortest(start, n_rounds*round_operations, seconds(1))
      ! The result depends on the chain, so that no compiler leaves it out.
      if (chain == 0_int32) x(1) = 0.25_wp
      call system_clock(start)
      do i = 1, n_calls
        call dense_single(width, width, w, x, y, 0.0_wp)
      end do
      call keep_shortest(start, n_calls*width*width, seconds(2))
      call system_clock(start)
      do i = 1, n_calls
        call dense_half_block(width, width, w, x, y, 0.0_wp)
      end do
      call keep_shortest(start, n_calls*width*width*lanes, seconds(3))
      seconds(4) = seconds(3)
      if (is_wide) then
        call system_clock(start)
        do i = 1, n_calls
          call dense_block(width, width, w, x, y, 0.0_wp)
        end do
        call keep_shortest(start, n_calls*width*width*block_columns, seconds(4))
      end if
      call system_clock(start)
      do i = 1, n_calls
        values = x(1:n_values)
        call vector_exp(n_values, values)
      end do
      call keep_shortest(start, n_calls*n_values, seconds(5))
      x(1:n_values) = 0.5_wp*(x(1:n_values) + 0.1_wp*values)
    end do
    cycle_time = seconds(1)
    multiply_adds = cycle_time/maxval(seconds(2:4))
    exponential = seconds(5)/cycle_time

  end subroutine probe_kernels

  !> Keep the time of an operation if it is the shortest so far.
  subroutine keep_shortest(start, n_operations, seconds)
    integer(int64), intent(in) :: start          !! time at the start [counts of system_clock]
    integer, intent(in) :: n_operations          !! operations since then
    real(real64), intent(inout) :: seconds       !! shortest time of an operation [s]
    integer(int64) :: finish, rate

    call system_clock(finish, rate)
    seconds = min(seconds, real(max(finish - start, 1_int64), real64)/real(rate, real64)/real(n_operations, real64))

  end subroutine keep_shortest

end module emufort_probe
