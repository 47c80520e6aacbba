!> The calls that `test_activation_stack` measures in a thread: one call of the scheme, or of the activated fractions.
module activation_stack_calls
  use, intrinsic :: iso_c_binding, only: c_ptr
  use, intrinsic :: iso_fortran_env, only: real32
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, block => emufort_block_columns
  use emufort_aerosol_activation, only: activation_type, activation_counts_type
  use emufort_activate_modal, only: activate_modal
  use activation_fractions, only: predict_activated_fractions
  use activation_test_support, only: sample_type, dp
  implicit none
  private

  public :: call_in_thread, by_emulator

  integer, parameter, public :: n_ways = 7                !! number of ways to call
  integer, parameter, public :: most = 70                 !! largest number of columns
  type(emulator_type), save, public :: emulator
  type(workspace_type), save, public :: workspace
  type(activation_type), save, public :: scheme
  type(sample_type), save, public :: sample
  real(dp), save, public :: sigw(most) = 0.0_dp           !! [m s-1]
  integer, save, public :: way = 0, ncol = 0, n_modes = 4
  logical, save, public :: failed = .false.
  real(dp), save :: out(most, 16, 4), full(most), zero(most) = 0.0_dp, fast(most) = 30.0_dp
  real(dp), save :: na(most, 16) = 1.0e8_dp, volume(most, 16) = 1.0e-12_dp, kappa(most, 16) = 0.5_dp
  real(real32), save :: in32(most, 15), out32(most, 9)
  logical, save :: is_outside(most)
  type(status_type), save :: status
  type(activation_counts_type), save :: counts

contains

  !> A predictor with the interface of a generated module.
  recursive subroutine by_emulator(n, is_single, x, y, status, is_outside, workspace)
    integer, intent(in) :: n                              !! number of parcels
    logical, intent(in) :: is_single                      !! whether the host's inputs are single precision
    real(dp), intent(inout) :: x(block, *)                !! inputs (parcel, input)
    real(dp), intent(inout) :: y(block, *)                !! outputs (parcel, output)
    type(status_type), intent(inout) :: status            !! outcome
    logical, intent(out) :: is_outside(block)             !! parcels out of range
    type(workspace_type), intent(inout), optional :: workspace   !! for wide networks

    call emulator%predict_block(n, is_single, x, y, status, is_outside, workspace)

  end subroutine by_emulator

  !> Make one call; the way 0 does nothing.
  recursive function call_in_thread(argument) bind(c) result(answer)
    type(c_ptr), value :: argument   !! not used
    type(c_ptr) :: answer            !! the argument

    answer = argument
    status%code = emufort_success
    select case (way)
    case (1)
      na(:, 1:4) = sample%number
      volume(:, 1:4) = sample%volume
      kappa(:, 1:4) = sample%kappa
      call scheme%activate(most, ncol, 1, n_modes, sample%w, sigw, zero, zero, fast, sample%t, sample%rho, na, volume, &
                           kappa, out(1, 1, 1), out(1, 1, 2), out(1, 1, 3), out(1, 1, 4), full, status, counts)
    case (2)
      call scheme%activate(most, ncol, 1, n_modes, sample%w, sigw, zero, zero, fast, sample%t, sample%rho, na, volume, &
                           kappa, out(1, 1, 1), out(1, 1, 2), out(1, 1, 3), out(1, 1, 4), full, status, counts, &
                           workspace=workspace)
    case (3)
      call activate_modal(sample%w(1), sigw(1), 0.0_dp, 0.0_dp, 30.0_dp, sample%t(1), sample%rho(1), na(1, 1:n_modes), &
                          n_modes, volume(1, 1:n_modes), kappa(1, 1:n_modes), out(1, 1:n_modes, 1), &
                          out(1, 1:n_modes, 2), out(1, 1:n_modes, 3), out(1, 1:n_modes, 4), full(1), counts=counts)
    case (4)
      call predict_activated_fractions(emulator, ncol, sample%t, sample%p, sample%w, sample%number, sample%radius, &
                                       sample%kappa, full, out(:, 1:4, 1), out(:, 1:4, 2), status, is_outside)
    case (5)
      in32(:, 1) = real(sample%t, real32)
      in32(:, 2) = real(sample%p, real32)
      in32(:, 3) = real(sample%w, real32)
      in32(:, 4:7) = real(sample%number, real32)
      in32(:, 8:11) = real(sample%radius, real32)
      in32(:, 12:15) = real(sample%kappa, real32)
      call predict_activated_fractions(emulator, ncol, in32(:, 1), in32(:, 2), in32(:, 3), in32(:, 4:7), &
                                       in32(:, 8:11), in32(:, 12:15), out32(:, 1), out32(:, 2:5), out32(:, 6:9), status)
    case (6)
      call predict_activated_fractions(by_emulator, ncol, sample%t, sample%p, sample%w, sample%number, sample%radius, &
                                       sample%kappa, full, out(:, 1:4, 1), out(:, 1:4, 2), status, is_outside, &
                                       workspace)
    case (7)
      call predict_activated_fractions(by_emulator, ncol, in32(:, 1), in32(:, 2), in32(:, 3), in32(:, 4:7), &
                                       in32(:, 8:11), in32(:, 12:15), out32(:, 1), out32(:, 2:5), out32(:, 6:9), &
                                       status, workspace=workspace)
    case default
      continue
    end select
    failed = status%code /= emufort_success

  end function call_in_thread

end module activation_stack_calls
