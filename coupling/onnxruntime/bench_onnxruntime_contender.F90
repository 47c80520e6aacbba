!> ONNX Runtime as a contender. With more than one thread it divides a call among its own threads.
module bench_onnxruntime_contender
  use, intrinsic :: iso_fortran_env, only: int64
  use emufort_runtime, only: status_type, emufort_success
  use emufort_onnxruntime, only: onnx_emulator_type
  use bench_worker, only: contender_type, hp, fail
  implicit none
  private

  public :: onnx_contender_type

  !> A model.
  type, extends(contender_type) :: onnx_contender_type
    type(onnx_emulator_type) :: emulator   !! the loaded model
  contains
    procedure :: calls
  end type onnx_contender_type

contains

  !> Implement the interface in bench_worker.
  subroutine calls(contender, n_passes, x, y)
    class(onnx_contender_type), intent(inout) :: contender   !! contender that is timed
    integer(int64), intent(in) :: n_passes                   !! number of passes over all calls
    real(hp), contiguous, intent(in) :: x(:, :, :)                       !! inputs (ncol, n_inputs, n_calls)
    real(hp), contiguous, intent(inout) :: y(:, :, :)                    !! outputs (ncol, n_outputs, n_calls)
    type(status_type) :: status
    integer(int64) :: pass
    integer :: call

    do pass = 1_int64, n_passes
      do call = 1, size(x, 3)
        call contender%emulator%predict(x(:, :, call), y(:, :, call), status)
        if (status%code /= emufort_success) call fail(trim(status%message))
      end do
    end do

  end subroutine calls

end module bench_onnxruntime_contender
