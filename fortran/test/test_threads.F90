!> Threads share one emulator and get the bits of one thread.
program test_threads
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: int8, int64, real64
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  implicit none
  integer, parameter :: ncol = 4096, n_inputs = 6, n_outputs = 3, chunk = 29
  type(network_type) :: net
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer(int8), allocatable :: bytes(:)
  real(real64), allocatable :: x(:, :), y(:, :), shared(:, :)
  integer(int64) :: n_clipped
  integer :: first, last

  net = make_network([64, 33], n_inputs - 1, n_outputs, 7, 11)
  allocate (x(ncol, n_inputs), y(ncol, n_outputs), shared(ncol, n_outputs))
  call make_inputs(net, x)
  bytes = to_bytes(net, x(1:4, :), 1.0e-4_real64)
  call emulator%load_bytes(bytes, status)
  call check(status%code == emufort_success, 'load')
  x(100, 1) = 0.0_real64
  call emulator%predict(x, y, status)
  n_clipped = 0_int64
  !$omp parallel do private(last, status) schedule(dynamic) num_threads(4) reduction(+:n_clipped)
  do first = 1, ncol, chunk
    last = min(first + chunk - 1, ncol)
    call emulator%predict(x(first:last, :), shared(first:last, :), status)
    n_clipped = n_clipped + status%n_clipped
  end do
  !$omp end parallel do
  call check(all(same_bits(y, shared)), 'same bits from several threads')
  call check(n_clipped == 1_int64, 'counts add up')
  print '(a)', 'threads share an emulator'

end program test_threads
