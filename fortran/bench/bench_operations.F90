!> Times each operation of a network in the runtime, one operation after the other, on one block of columns.
!>
!>     bench_operations WEIGHTS COLUMNS PASSES
!>
!> COLUMNS is 1, `lanes` or `block_columns`. The features are random numbers in [-1, 1). Prints a line
!> `code,activation,n_in,n_out,count,microseconds` for each operation: the shortest time of all passes for the block.
program bench_operations
  use, intrinsic :: iso_fortran_env, only: int64, real64, output_unit
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: wp, lanes, block_columns
  use emufort_operations, only: run_operations
  use emufort_plan, only: layout_type, layout_of, plan_scratch, plan_features, first_operation, operation_size, &
                          row_code, row_activation, row_n_in, row_n_out, row_count
  use emufort_workspace, only: aligned_place, columns_at_once
  use bench_worker, only: argument, integer_argument, fail
  implicit none
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer, allocatable :: plan(:)
  real(real64), allocatable :: numbers(:)
  real(wp), allocatable :: weights(:)
  integer :: first, columns, n_passes

  call emulator%load(argument(1), status)
  if (status%code /= emufort_success) call fail(trim(status%message))
  columns = integer_argument(2)
  if (columns /= 1 .and. columns /= lanes .and. columns /= block_columns) call fail('COLUMNS must be 1, 16 or 32')
  n_passes = integer_argument(3)
  if (n_passes < 1) call fail('PASSES must be at least 1')
  call emulator%hand_over(plan, numbers, weights, first)
  call time_operations()

contains

  !> Run the operations in their order, and write the shortest time of each.
  subroutine time_operations()
    real(wp), allocatable, target :: scratch(:)
    real(wp), allocatable :: features(:)
    integer(int64), allocatable :: shortest(:)
    type(layout_type) :: at
    integer(int64) :: start, finish, rate
    integer :: a, pass, i, o, n_room, place

    at = layout_of(plan(1), plan(2), plan(3), plan(4))
    associate (n_scratch => plan(plan_scratch))
      allocate (scratch(max(columns, columns_at_once(n_scratch))*n_scratch + lanes), source=0.0_wp)
      n_room = max(0, columns_at_once(n_scratch) - columns)*n_scratch
      a = aligned_place(scratch)
      allocate (features(columns*plan(2)), shortest(plan(4)))
      call random_number(features)
      features = 2.0_wp*features - 1.0_wp
      shortest = huge(0_int64)
      do pass = 1, n_passes
        place = a + columns*plan(plan_features)
        scratch(place:place + size(features) - 1) = features
        do i = 1, plan(4)
          o = first_operation + (i - 1)*operation_size
          call system_clock(start)
          call run_operations(1, plan(o:o + operation_size - 1), numbers(at%slope + i - 1), plan(at%tables), &
                              weights(first), columns, scratch(a), scratch(a + columns*n_scratch), n_room)
          call system_clock(finish)
          shortest(i) = min(shortest(i), finish - start)
        end do
      end do
    end associate
    call system_clock(count_rate=rate)
    do i = 1, plan(4)
      associate (operation => plan(first_operation + (i - 1)*operation_size:first_operation + i*operation_size - 1))
        write (output_unit, '(5(i0,","),f0.3)') &
          operation(row_code), operation(row_activation), operation(row_n_in), operation(row_n_out), &
          operation(row_count), 1.0e6_real64*real(shortest(i), real64)/real(rate, real64)
      end associate
    end do

  end subroutine time_operations

end program bench_operations
