!> Times the network alone (no transforms) with the kernels of the runtime, from features of the host x(ncol, n) to
!> outputs of the last layer.
!>
!>     bench_network WEIGHTS INPUTS THREADS [part]
!>
!> With `part`, the features are copied into the blocks of the runtime before the clock starts.
program bench_network
  use bench_worker, only: serve, read_inputs, argument, integer_argument, hp
  use bench_network_contender, only: kernel_contender_type
  implicit none
  type(kernel_contender_type) :: contender
  real(hp), allocatable :: inputs(:, :)

  call read_inputs(argument(2), inputs)
  contender%n_threads = integer_argument(3)
  contender%is_part = argument(4) == 'part'
  call contender%prepare(argument(1))
  call serve(contender, inputs, 'kernels of the runtime')

end program bench_network
