!> Tests that the activation scheme and the activated fractions need at most 128 kB of stack for any network, number of
!> columns, number of modes and workspace.
program test_activation_stack
  use, intrinsic :: iso_c_binding, only: c_funloc
  use emufort_runtime, only: status_type, workspace_type, emufort_success
  use emufort_aerosol_activation, only: activation_constants_type, activation_kind, mismatch_fall_back
  use emufort_activate_modal, only: activate_modal_init
  use test_support, only: network_type, make_network, make_inputs, to_bytes
  use activation_test_support, only: check, draw, sigma, dp, contract_hash
  use painted_stack, only: stack_of_thread, stack_allowed
  use activation_stack_calls, only: emulator, workspace, scheme, sample, sigw, way, ncol, n_modes, failed, n_ways, &
                                    most, call_in_thread, by_emulator
  implicit none
  integer, parameter :: numbers(4) = [1, 5, 16, most]
  integer :: largest

  largest = 0
  sample = draw(most)
  call measure([32, 32], 4)
  call measure([256, 256], 4)
  call measure([600, 16, 600], 4)
  call measure([4096], 4)
  call measure([24], 16)
  print '(a,i0,a)', 'the activation scheme needs at most ', largest, ' bytes of stack'

contains

  !> Measure all ways to call the scheme with a network.
  subroutine measure(hidden, modes)
    integer, intent(in) :: hidden(:)   !! neurons of the hidden layers
    integer, intent(in) :: modes       !! aerosol modes of the host; if not 4, ARG2000 answers
    type(network_type) :: net
    type(status_type) :: status
    real(dp) :: golden(1, 15), widths(modes)
    character(len=80) :: what
    integer :: i, spectrum, with_workspace, empty, used

    write (what, '(a,i0,a,10(i0,"-"))') 'modes ', modes, ' widths ', hidden
    net = make_network(hidden, 14, 1, 7, 3)
    call make_inputs(net, golden)
    call emulator%load_bytes(to_bytes(net, golden, 1.0e-3_dp), status)
    call check(status%code == emufort_success, trim(what)//' loads')
    n_modes = modes
    widths = 1.7_dp
    widths(1:4) = sigma
    call scheme%init(activation_kind, activation_constants_type(), widths, status, predictor=by_emulator, &
                     contract_hash=contract_hash, mismatch=mismatch_fall_back)
    call check(status%code == emufort_success .and. (scheme%is_emulated() .eqv. modes == 4), trim(what)//' is set')
    call activate_modal_init(activation_kind, activation_constants_type(), widths, status, predictor=by_emulator, &
                             contract_hash=contract_hash, mismatch=mismatch_fall_back)
    call check(status%code == emufort_success, trim(what)//' is set')
    empty = 0
    do way = 0, n_ways
      do spectrum = 0, 1
        sigw = 0.5_dp*real(spectrum, dp)
        do with_workspace = 0, 1
          workspace = workspace_type()
          if (with_workspace == 1) call emulator%make_workspace(workspace, status)
          do i = 1, size(numbers)
            ncol = numbers(i)
            used = stack_of_thread(c_funloc(call_in_thread))
            if (way == 0) empty = used
            call check(.not. failed, trim(what)//' works')
            if (used - empty > stack_allowed) print '(a,i0,a,i0,a,i0,a)', trim(what)//' way ', way, ', ', ncol, &
              ' columns: ', used - empty, ' bytes'
            call check(used - empty <= stack_allowed, trim(what)//': a call needs at most 128 kB of stack')
            largest = max(largest, used - empty)
          end do
        end do
      end do
    end do

  end subroutine measure

end program test_activation_stack
