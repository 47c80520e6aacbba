!> The runtime with a loaded weights.bin as a contender. It needs no generated source.
module bench_loaded_contender
  use, intrinsic :: iso_fortran_env, only: int64
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_block_columns
  use bench_worker, only: contender_type, hp, chunk_of, fail
  implicit none
  private

  public :: loaded_contender_type

  !> A loaded emulator.
  type, extends(contender_type) :: loaded_contender_type
    integer :: n_threads = 1                             !! threads among which the columns of a call are split
    type(emulator_type) :: emulator                      !! the loaded emulator
    type(workspace_type), allocatable :: workspaces(:)   !! one for each thread
  contains
    procedure :: prepare
    procedure :: calls
  end type loaded_contender_type

contains

  !> Load the emulator and make the workspaces.
  subroutine prepare(contender, filename)
    class(loaded_contender_type), intent(inout) :: contender   !! any contender
    character(len=*), intent(in) :: filename                   !! path of weights.bin
    type(status_type) :: status
    integer :: i

    call contender%emulator%load(filename, status)
    if (status%code /= emufort_success) call fail(trim(status%message))
    contender%n_outputs = contender%emulator%n_outputs()
    allocate (contender%workspaces(contender%n_threads))
    do i = 1, contender%n_threads
      call contender%emulator%make_workspace(contender%workspaces(i), status)
      if (status%code /= emufort_success) call fail(trim(status%message))
    end do

  end subroutine prepare

  !> Implement the interface in bench_worker.
  subroutine calls(contender, n_passes, x, y)
    class(loaded_contender_type), intent(inout) :: contender   !! contender that is timed
    integer(int64), intent(in) :: n_passes                     !! number of passes over all calls
    real(hp), contiguous, intent(in) :: x(:, :, :)             !! inputs (ncol, n_inputs, n_calls)
    real(hp), contiguous, intent(inout) :: y(:, :, :)          !! outputs (ncol, n_outputs, n_calls)
    integer(int64) :: pass
    integer :: call, ncol, thread, first, last, n_failed

    ncol = size(x, 1)
    n_failed = 0
    do pass = 1_int64, n_passes
      do call = 1, size(x, 3)
        if (contender%n_threads == 1 .or. ncol <= emufort_block_columns) then
          call one_call(contender, 1, x(:, :, call), y(:, :, call), n_failed)
        else
          !$omp parallel do default(shared) private(first, last) reduction(+:n_failed) num_threads(contender%n_threads)
          do thread = 0, contender%n_threads - 1
            call chunk_of(ncol, contender%n_threads, thread, first, last)
            if (last < first) cycle
            call one_call(contender, thread + 1, x(first:last, :, call), y(first:last, :, call), n_failed)
          end do
          !$omp end parallel do
        end if
      end do
    end do
    if (n_failed > 0) call fail('predict reports an error')

  end subroutine calls

  !> Make one call as a host model does.
  recursive subroutine one_call(contender, thread, x, y, n_failed)
    class(loaded_contender_type), intent(inout) :: contender   !! contender that is timed
    integer, intent(in) :: thread                              !! number of this thread, from 1
    real(hp), intent(in) :: x(:, :)                            !! inputs (ncol, n_inputs)
    real(hp), intent(inout) :: y(:, :)                         !! outputs (ncol, n_outputs)
    integer, intent(inout) :: n_failed                         !! incremented if the call reports an error
    type(status_type) :: status

    call contender%emulator%predict(x, y, status, workspace=contender%workspaces(thread))
    if (status%code /= emufort_success) n_failed = n_failed + 1

  end subroutine one_call

end module bench_loaded_contender
