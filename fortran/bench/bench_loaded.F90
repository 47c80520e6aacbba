!> Times the runtime with a loaded weights.bin, as a host model calls it.
!>
!>     bench_loaded WEIGHTS INPUTS THREADS
program bench_loaded
  use bench_worker, only: serve, read_inputs, argument, integer_argument, hp
  use bench_loaded_contender, only: loaded_contender_type
  implicit none
  type(loaded_contender_type) :: contender
  real(hp), allocatable :: inputs(:, :)

  call read_inputs(argument(2), inputs)
  contender%n_threads = integer_argument(3)
  call contender%prepare(argument(1))
  call serve(contender, inputs, 'loaded')

end program bench_loaded
