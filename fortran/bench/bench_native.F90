!> Times the runtime as a host model calls it: the generated module with compiled weights, or with weights.bin loaded.
!>
!>     bench_native embedded|loaded WEIGHTS INPUTS THREADS
!>
!> The module `bench_embedded` is generated for each model. It passes the columns of x and y to the variables of the
!> generated module (`embedded_predict`) or to a loaded emulator (`loaded_predict`). For a process with a head it can be
!> the whole call, such as bench_fractions.F90.
program bench_native
  use emufort_runtime, only: status_type, emufort_success
  use bench_worker, only: serve, read_inputs, argument, integer_argument, fail, hp
  use bench_embedded, only: embedded_n_outputs, embedded_prepare
  use bench_native_contender, only: native_contender_type
  implicit none
  type(native_contender_type) :: contender
  type(status_type) :: status
  real(hp), allocatable :: inputs(:, :)
  character(len=:), allocatable :: form
  integer :: i

  form = argument(1)
  call read_inputs(argument(3), inputs)
  contender%n_threads = integer_argument(4)
  contender%is_embedded = form == 'embedded'
  contender%n_outputs = embedded_n_outputs
  allocate (contender%workspaces(contender%n_threads))
  if (contender%is_embedded) then
    call embedded_prepare(contender%workspaces, status)
    if (status%code /= emufort_success) call fail(trim(status%message))
  else
    call contender%emulator%load(argument(2), status)
    if (status%code /= emufort_success) call fail(trim(status%message))
    do i = 1, contender%n_threads
      call contender%emulator%make_workspace(contender%workspaces(i), status)
      if (status%code /= emufort_success) call fail(trim(status%message))
    end do
  end if
  call serve(contender, inputs, form)

end program bench_native
