!> Times the network alone as matrix products of a BLAS, each followed by one loop for bias and activation function.
!>
!>     bench_sgemm NETWORK INPUTS THREADS [plain]
!>
!> With `plain`, the code has the usual form: features first, each layer over all columns of the call.
program bench_sgemm
  use bench_worker, only: serve, read_inputs, argument, integer_argument, hp
  use bench_layers, only: read_network
  use bench_sgemm_contender, only: sgemm_contender_type
  implicit none
  type(sgemm_contender_type) :: contender
  real(hp), allocatable :: inputs(:, :)

  call read_network(argument(1), contender%network)
  call read_inputs(argument(2), inputs)
  contender%n_threads = integer_argument(3)
  contender%is_plain = argument(4) == 'plain'
  contender%n_outputs = contender%network%widths(contender%network%n_layers)
  call serve(contender, inputs, 'sgemm')

end program bench_sgemm
