!> Tests that any number of threads that share one emulator get the bits of one thread, for all layouts of the arrays of
!> the host.
program test_threads
  use omp_lib, only: omp_get_num_threads
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: int8, int64, real64
  use random_plans, only: make_mixed_network
  use test_support, only: check, network_type, make_network, make_inputs, to_bytes, same_bits
  use host_ways, only: n_ways, way_names, predict_by
  implicit none
  integer, parameter :: ncol = 2057, n_inputs = 6, n_outputs = 3
  integer, parameter :: numbers(5) = [1, 2, 3, 4, 9], chunks(4) = [1, 29, 32, 257]
  type(network_type) :: net
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer(int8), allocatable :: bytes(:)
  real(real64), allocatable :: x(:, :), y(:, :), shared(:, :)
  integer(int64) :: n_clipped
  integer :: first, last, way, i, j, n_threads

  allocate (x(ncol, n_inputs), y(ncol, n_outputs), shared(ncol, n_outputs))
  net = make_network([64, 33], n_inputs - 1, n_outputs, 7, 11)
  call make_inputs(net, x)
  call compare()
  ! operations of all kinds, with activation functions for the first columns
  call make_mixed_network(5, n_inputs - 1, n_outputs, 16, 12, net, x(1:40, :))
  do i = 41, ncol
    x(i, :) = x(1 + mod(i, 40), :)
  end do
  call compare()
  print '(a)', 'threads share an emulator'

contains

  !> Compare the bits of all numbers of threads.
  subroutine compare()

    bytes = to_bytes(net, x(1:4, :), 1.0e-4_real64)
    call emulator%load_bytes(bytes, status)
    call check(status%code == emufort_success, 'load')
    x(100, 1) = 0.0_real64
    do way = 1, n_ways
      call predict_by(way, emulator, x, y, status)
      do j = 1, size(chunks)
        do i = 1, size(numbers)
          shared = -1.0_real64
          n_clipped = 0_int64
          n_threads = 0
          !$omp parallel private(last, status) num_threads(numbers(i)) reduction(+:n_clipped)
          !$omp single
          n_threads = omp_get_num_threads()
          !$omp end single
          !$omp do schedule(dynamic)
          do first = 1, ncol, chunks(j)
            last = min(first + chunks(j) - 1, ncol)
            call predict_by(way, emulator, x(first:last, :), shared(first:last, :), status)
            n_clipped = n_clipped + status%n_clipped
          end do
          !$omp end do
          !$omp end parallel
          call check(n_threads == numbers(i), 'there are as many threads as requested')
          call check(all(same_bits(y, shared)), 'same bits from several threads, '//way_names(way))
          call check(n_clipped == 1_int64, 'counts add up, '//way_names(way))
        end do
      end do
    end do

  end subroutine compare

end program test_threads
