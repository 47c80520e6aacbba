!> ONNX Runtime from Fortran as a contender of `emufort bench`.
!>
!>     bench_onnxruntime MODEL LIBRARY INPUTS THREADS
program bench_onnxruntime
  use emufort_runtime, only: status_type, emufort_success
  use bench_worker, only: serve, read_inputs, argument, integer_argument, fail, hp
  use bench_onnxruntime_contender, only: onnx_contender_type
  implicit none
  type(onnx_contender_type) :: contender
  type(status_type) :: status
  real(hp), allocatable :: inputs(:, :)

  call read_inputs(argument(3), inputs)
  call contender%emulator%load(argument(1), status, library=argument(2), threads=integer_argument(4))
  if (status%code /= emufort_success) call fail(trim(status%message))
  contender%n_outputs = contender%emulator%n_outputs()
  call serve(contender, inputs, 'onnxruntime')

end program bench_onnxruntime
