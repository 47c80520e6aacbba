!> C code that onnx2c made from a model of ONNX. It computes one column in single precision, whose values are
!> consecutive in memory.
module bench_onnx2c_contender
  use, intrinsic :: iso_c_binding, only: c_float
  use, intrinsic :: iso_fortran_env, only: int64
  use bench_worker, only: contender_type, hp
  implicit none
  private

  public :: onnx2c_contender_type

  !> The network that is linked with the program.
  type, extends(contender_type) :: onnx2c_contender_type
  contains
    procedure :: calls
  end type onnx2c_contender_type

  interface
    !> Compute a column.
    subroutine compute_column(x, y) bind(c, name='bench_onnx2c_column')
      import :: c_float
      real(c_float), intent(in) :: x(*)      !! inputs (n_inputs)
      real(c_float), intent(inout) :: y(*)   !! outputs (n_outputs)
    end subroutine compute_column
  end interface

contains

  !> Implement the interface in bench_worker.
  subroutine calls(contender, n_passes, x, y)
    class(onnx2c_contender_type), intent(inout) :: contender   !! contender that is timed
    integer(int64), intent(in) :: n_passes                     !! number of passes over all calls
    real(hp), contiguous, intent(in) :: x(:, :, :)             !! inputs (ncol, n_inputs, n_calls)
    real(hp), contiguous, intent(inout) :: y(:, :, :)          !! outputs (ncol, n_outputs, n_calls)
    real(c_float), allocatable :: column(:), found(:)
    integer(int64) :: pass
    integer :: call, i

    allocate (column(size(x, 2)), found(contender%n_outputs))
    do pass = 1_int64, n_passes
      do call = 1, size(x, 3)
        do i = 1, size(x, 1)
          column(:) = real(x(i, :, call), c_float)
          call compute_column(column, found)
          y(i, :, call) = real(found, hp)
        end do
      end do
    end do

  end subroutine calls

end module bench_onnx2c_contender
