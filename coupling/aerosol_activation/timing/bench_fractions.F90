!> The whole activation call for `emufort bench`: from physical inputs to the maximum supersaturation, the number
!> fractions and the mass fractions of every mode. `activation_emulator` is the generated module of the measured
!> emulator.
module bench_fractions
  use emufort_runtime, only: emulator_type, status_type, workspace_type
  use activation_fractions, only: predict_activated_fractions, n_modes => activation_modes
  use activation_emulator, only: &
    predict_block => activation_emulator_predict_block, &
    make_workspace => activation_emulator_make_workspace
  use bench_worker, only: hp
  implicit none
  private

  public :: embedded_predict, loaded_predict, make_workspace, n_outputs

  integer, parameter :: n_inputs = 3 + 3*n_modes, n_outputs = 1 + 2*n_modes
  integer, parameter :: number_at = 4, radius_at = number_at + n_modes, kappa_at = radius_at + n_modes
  integer, parameter :: number_fraction_at = 2, mass_fraction_at = number_fraction_at + n_modes

contains

  !> Predict with the generated module.
  recursive subroutine embedded_predict(ncol, x, y, status, workspace)
    integer, intent(in) :: ncol                                !! number of columns
    real(hp), intent(in) :: x(ncol, n_inputs)                  !! inputs in the order of the contract
    real(hp), intent(inout) :: y(ncol, n_outputs)              !! supersaturation, number and mass fractions [1]
    type(status_type), intent(inout) :: status                 !! outcome
    type(workspace_type), intent(inout) :: workspace           !! of this thread

    call predict_activated_fractions(predict_block, ncol, x(:, 1), x(:, 2), x(:, 3), &
                                     x(:, number_at:radius_at - 1), x(:, radius_at:kappa_at - 1), x(:, kappa_at:), &
                                     y(:, 1), y(:, number_fraction_at:mass_fraction_at - 1), y(:, mass_fraction_at:), &
                                     status, workspace=workspace)

  end subroutine embedded_predict

  !> Predict with weights.bin.
  recursive subroutine loaded_predict(emulator, ncol, x, y, status, workspace)
    type(emulator_type), intent(in) :: emulator                !! of the same contract
    integer, intent(in) :: ncol                                !! number of columns
    real(hp), intent(in) :: x(ncol, n_inputs)                  !! inputs in the order of the contract
    real(hp), intent(inout) :: y(ncol, n_outputs)              !! supersaturation, number and mass fractions [1]
    type(status_type), intent(inout) :: status                 !! outcome
    type(workspace_type), intent(inout) :: workspace           !! of this thread

    call predict_activated_fractions(emulator, ncol, x(:, 1), x(:, 2), x(:, 3), &
                                     x(:, number_at:radius_at - 1), x(:, radius_at:kappa_at - 1), x(:, kappa_at:), &
                                     y(:, 1), y(:, number_fraction_at:mass_fraction_at - 1), y(:, mass_fraction_at:), &
                                     status, workspace=workspace)

  end subroutine loaded_predict

end module bench_fractions
