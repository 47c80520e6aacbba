!> C code that onnx2c made from a model of ONNX, as a contender of `emufort bench`.
!>
!>     bench_onnx2c INPUTS N_OUTPUTS
program bench_onnx2c
  use bench_worker, only: serve, read_inputs, argument, integer_argument, hp
  use bench_onnx2c_contender, only: onnx2c_contender_type
  implicit none
  type(onnx2c_contender_type) :: contender
  real(hp), allocatable :: inputs(:, :)

  call read_inputs(argument(1), inputs)
  contender%n_outputs = integer_argument(2)
  call serve(contender, inputs, 'onnx2c')

end program bench_onnx2c
