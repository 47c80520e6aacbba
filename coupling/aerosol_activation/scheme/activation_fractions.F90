!> Aerosol activation in one call: from the state of the air and the aerosol to the activated fractions of every mode.
!>
!> A neural emulator gives the maximum supersaturation of the updraft. The number and mass fractions of each
!> lognormal mode follow from it by kappa-Koehler theory, block by block while the values are in the cache. Formulas
!> and constants are those of python/emufort/processes/aerosol_activation/kohler.py. In single precision the fractions
!> differ from those of Python by less than 1e-6 for the same maximum supersaturation
!> (tests/coupling/test_activation_fractions.py).
!>
!>     call predict_activated_fractions(emulator, ncol, air_temperature, ...)                    ! loaded weights.bin
!>     call predict_activated_fractions(activation_emulator_predict_block, ncol, ...)            ! generated module
!>     call activated_fractions(ncol, air_temperature, dry_median_radius, ...)                   ! the formula alone
!>
!> Reference: Petters and Kreidenweis (2007), doi:10.5194/acp-7-1961-2007.
module activation_fractions
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use emufort_runtime, only: emulator_type, status_type, workspace_type, wp => emufort_kind, &
                             block_columns => emufort_block_columns, emufort_error_shape
  use emufort_status, only: set_error, clear_status
  use emufort_kinds, only: lanes
  use emufort_dispatch, only: vector_ln
  use emufort_ranges, only: clip_numbers
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, n_inputs => aerosol_inputs, aerosol_sigma, &
                                      temperature_at => air_temperature_at, pressure_at => air_pressure_at, &
                                      updraft_at => updraft_speed_at, number_at => number_concentration_at, &
                                      radius_at => dry_median_radius_at, kappa_at => hygroscopicity_at, &
                                      gas_constant_vapour => aerosol_gas_constant_vapour, &
                                      density_water => aerosol_density_water
  use emufort_aerosol_head, only: steepness_factor, shift_factor, activated_fractions_of_logs, padded
  implicit none
  private

  public :: predict_activated_fractions, activated_fractions
  public :: activation_modes, activation_geometric_standard_deviation

  integer, parameter :: activation_modes = n_modes   !! number of aerosol modes
  !> Geometric standard deviation of the modes [1]; the emulator was trained for these.
  real(real64), parameter :: activation_geometric_standard_deviation(n_modes) = aerosol_sigma

  !> Up to this number of columns, the values of all modes fit in the lanes of one vector; 0 if no column does.
  integer, parameter :: few_columns = (lanes - mod(lanes, n_modes))/n_modes
  real(real64), parameter :: log_sigma(n_modes) = log(activation_geometric_standard_deviation)
  real(wp), parameter :: mode_steepness(n_modes) = real(steepness_factor/log_sigma, wp)
  real(wp), parameter :: mode_shift(n_modes) = real(shift_factor*log_sigma, wp)
  !> Lengths are in nm, so that their third power is within the range of single precision.
  real(real64), parameter :: nanometres = 1.0e9_real64
  ! The arguments of the formula are clipped to these ranges, far beyond physical values, so that no power overflows for
  ! any input. They are variables and not named constants, because flang allocates copies of constant arrays to pass
  ! them.
  real(real64), save :: sane_temperature(2) = [1.0_real64, 1.0e4_real64]      ! [K]
  real(real64), save :: sane_radius(2) = [0.0_real64, 1.0e-3_real64]          ! [m]
  real(real64), save :: sane_kappa(2) = [0.0_real64, 1.0e2_real64]            ! [1]
  real(real64), save :: sane_supersaturation(2) = [0.0_real64, 1.0e2_real64]  ! [1]
  !> Bits of a quiet NaN in double precision.
  integer(int64), parameter :: nan_bits = ishft(4095_int64, 51)

  abstract interface
    !> Block procedure of a generated module, for up to `emufort_block_columns` columns.
    subroutine block_predictor(n, is_single, x, y, status, is_outside, workspace)
      import :: real64, block_columns, status_type, workspace_type
      integer, intent(in) :: n                            !! number of columns
      logical, intent(in) :: is_single                    !! whether the host's inputs are single precision
      real(real64), intent(inout) :: x(block_columns, *)  !! inputs in contract order and units (column, input)
      real(real64), intent(inout) :: y(block_columns, *)  !! outputs (column, output)
      type(status_type), intent(inout) :: status          !! counts are added to
      logical, intent(out) :: is_outside(block_columns)   !! columns with an input out of range or invalid
      type(workspace_type), intent(inout), optional :: workspace   !! for wide networks
    end subroutine block_predictor
  end interface

  !> Compute maximum supersaturation and activated fractions; host arrays in single or in double precision.
  interface predict_activated_fractions
    module procedure with_emulator_real64, with_emulator_real32, with_procedure_real64, with_procedure_real32
  end interface predict_activated_fractions

  !> Compute activated fractions for a given maximum supersaturation; host arrays in single or in double precision.
  interface activated_fractions
    module procedure activated_fractions_real64, activated_fractions_real32
  end interface activated_fractions

contains

#define HOST real64
#define WITH_EMULATOR with_emulator_real64
#define WITH_PROCEDURE with_procedure_real64
#define ALL_BLOCKS all_blocks_real64
#define ACTIVATED_FRACTIONS activated_fractions_real64
#define FETCH fetch_real64
#define DELIVER deliver_real64
#include "activation_fractions_of_host.inc"
#undef HOST
#undef WITH_EMULATOR
#undef WITH_PROCEDURE
#undef ALL_BLOCKS
#undef ACTIVATED_FRACTIONS
#undef FETCH
#undef DELIVER

#define HOST real32
#define WITH_EMULATOR with_emulator_real32
#define WITH_PROCEDURE with_procedure_real32
#define ALL_BLOCKS all_blocks_real32
#define ACTIVATED_FRACTIONS activated_fractions_real32
#define FETCH fetch_real32
#define DELIVER deliver_real32
#include "activation_fractions_of_host.inc"

  !> Compute the activated fractions of one block of columns.
  pure recursive subroutine fractions_of_block(n, stride, temperature, radius, kappa, supersaturation, number, mass)
    integer, intent(in) :: n                                          !! number of columns
    integer, intent(out) :: stride                                    !! columns between the modes of the fractions
    real(real64), intent(inout) :: temperature(block_columns)         !! air temperature [K]; padded on return
    real(real64), intent(inout) :: radius(block_columns, n_modes)     !! dry number-median radius [m]; padded
    real(real64), intent(inout) :: kappa(block_columns, n_modes)      !! hygroscopicity [1]; padded
    real(real64), intent(inout) :: supersaturation(block_columns)     !! maximum supersaturation [1]; padded
    real(wp), intent(out) :: number(block_columns*n_modes)            !! number fractions [1] (stride, mode)
    real(wp), intent(out) :: mass(block_columns*n_modes)              !! mass fractions [1] (stride, mode)
    real(wp) :: ratio(block_columns*n_modes), steepness(block_columns*n_modes), shift(block_columns*n_modes)
    real(real64) :: packed(lanes, 4)
    integer :: first, filled, i, m

    if (n <= few_columns) then
      stride = few_columns
      do m = 1, n_modes
        do i = 1, few_columns
          packed((m - 1)*few_columns + i, 1) = temperature(min(i, n))
          packed((m - 1)*few_columns + i, 2) = radius(min(i, n), m)
          packed((m - 1)*few_columns + i, 3) = kappa(min(i, n), m)
          packed((m - 1)*few_columns + i, 4) = supersaturation(min(i, n))
        end do
      end do
      do i = 1, size(packed, 2)
        packed(few_columns*n_modes + 1:lanes, i) = packed(1, i)
      end do
      call squared_ratios(packed(1, 1), packed(1, 2), packed(1, 3), packed(1, 4), ratio)
    else
      stride = padded(n)
      do i = n + 1, stride
        temperature(i) = temperature(n)
        supersaturation(i) = supersaturation(n)
      end do
      do m = 1, n_modes
        do i = n + 1, stride
          radius(i, m) = radius(n, m)
          kappa(i, m) = kappa(n, m)
        end do
        do first = 1, stride, lanes
          call squared_ratios(temperature(first), radius(first, m), kappa(first, m), supersaturation(first), &
                              ratio((m - 1)*stride + first))
        end do
      end do
    end if
    do m = 1, n_modes
      do i = (m - 1)*stride + 1, m*stride
        steepness(i) = mode_steepness(m)
        shift(i) = mode_shift(m)
      end do
    end do
    filled = padded(stride*n_modes)
    do i = stride*n_modes + 1, filled
      steepness(i) = mode_steepness(1)
      shift(i) = mode_shift(1)
    end do
    call vector_ln(filled, ratio)
    call activated_fractions_of_logs(filled, ratio, steepness, shift, number, mass)

  end subroutine fractions_of_block

  !> Compute (s_m/s_max)**2 with the critical supersaturation s_m = sqrt(4 A**3/(27 kappa r**3)) and the Kelvin length
  !> A.
  pure recursive subroutine squared_ratios(temperature, radius, kappa, supersaturation, ratio)
    real(real64), intent(in) :: temperature(lanes)       !! air temperature [K]
    real(real64), intent(in) :: radius(lanes)            !! dry number-median radius [m]
    real(real64), intent(in) :: kappa(lanes)             !! hygroscopicity [1]
    real(real64), intent(in) :: supersaturation(lanes)   !! maximum supersaturation [1]
    real(wp), intent(out) :: ratio(lanes)                !! [1]
    real(real64), parameter :: factor = nanometres*2.0_real64/(gas_constant_vapour*density_water)
    real(real64) :: surface_tension, length, r, s
    integer :: i

    !$omp simd private(surface_tension, length, r, s)
    do i = 1, lanes
      surface_tension = 0.0761_real64 - 1.55e-4_real64*(temperature(i) - 273.15_real64)   ! [J m-2]
      length = factor*surface_tension                                                     ! A*T [nm K]
      r = radius(i)*nanometres*temperature(i)
      s = max(supersaturation(i), 0.0_real64)
      ! Where nothing activates, the ratio is as large as single precision allows, without a division by 0.
      ratio(i) = max(real(length*length*length, wp), 1.0e-3_wp)*(4.0_wp/27.0_wp)/ &
                 max(real(kappa(i)*(r*r*r)*(s*s), wp), 1.0e-30_wp)
    end do

  end subroutine squared_ratios

end module activation_fractions
