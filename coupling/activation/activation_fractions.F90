!> Aerosol activation in one call: from the state of the air and the aerosol to the activated fractions of every mode.
!>
!> A neural emulator gives the maximum supersaturation of the updraft; the number and mass fractions of each
!> lognormal mode follow from it by kappa-Koehler theory, block by block while the values are in the cache. Formulas
!> and constants are those of python/emufort/activation/kohler.py. In single precision the fractions differ from
!> those by less than 1e-6 for the same maximum supersaturation (tests/coupling/test_activation_fractions.py).
!>
!>     call predict_activated_fractions(emulator, ncol, air_temperature, ...)                    ! loaded weights.bin
!>     call predict_activated_fractions(activation_emulator_predict_block, ncol, ...)            ! generated module
!>     call activated_fractions(ncol, air_temperature, dry_median_radius, ...)                   ! the formula alone
!>
!> References: Petters and Kreidenweis (2007), doi:10.5194/acp-7-1961-2007; Abdul-Razzak and Ghan (2000),
!> doi:10.1029/1999JD901161, eq. 13-15.
module activation_fractions
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use emufort_runtime, only: emulator_type, status_type, wp => emufort_kind, block_columns => emufort_block_columns, &
                             emufort_error_shape
  use emufort_status, only: set_error
  use emufort_kinds, only: lanes
  use emufort_math, only: vector_ln, vector_erfc
  implicit none
  private

  public :: predict_activated_fractions, activated_fractions
  public :: activation_modes, activation_geometric_standard_deviation

  integer, parameter :: n_modes = 4
  integer, parameter :: activation_modes = n_modes   !! accumulation, aitken, coarse, primary_carbon
  !> Geometric standard deviation of the modes [1]; the emulator was trained for these.
  real(real64), parameter :: activation_geometric_standard_deviation(n_modes) = &
                             [1.8_real64, 1.6_real64, 1.8_real64, 1.6_real64]

  integer, parameter :: n_inputs = 3 + 3*n_modes
  !> Up to so many columns, those of all modes fill the lanes of one vector.
  integer, parameter :: few_columns = lanes/n_modes
  real(real64), parameter :: root_2 = 1.41421356237309504880_real64
  real(real64), parameter :: log_sigma(n_modes) = log(activation_geometric_standard_deviation)
  !> x = ln((s_m/s_max)**2)*steepness; number fraction erfc(x)/2, mass fraction erfc(x - shift)/2
  real(wp), parameter :: steepness(n_modes) = real(1.0_real64/(3.0_real64*root_2*log_sigma), wp)
  real(wp), parameter :: shift(n_modes) = real(1.5_real64*root_2*log_sigma, wp)
  real(real64), parameter :: gas_constant = 8.314_real64         ! universal [J mol-1 K-1]
  real(real64), parameter :: density_water = 1.0e3_real64        ! [kg m-3]
  real(real64), parameter :: molar_mass_water = 0.018_real64     ! [kg mol-1]
  !> Lengths are taken in nm, so that their third power is within single precision.
  real(real64), parameter :: nanometres = 1.0e9_real64

  abstract interface
    !> A generated module's block procedure: up to `emufort_block_columns` columns.
    subroutine block_predictor(n, is_single, x, y, status, is_outside)
      import :: real64, block_columns, status_type
      integer, intent(in) :: n                            !! number of columns
      logical, intent(in) :: is_single                    !! whether the host's inputs are single precision
      real(real64), intent(inout) :: x(block_columns, *)  !! inputs in contract order and units (column, input)
      real(real64), intent(inout) :: y(block_columns, *)  !! outputs (column, output)
      type(status_type), intent(inout) :: status          !! counts are added to
      logical, intent(out) :: is_outside(block_columns)   !! columns with an input out of range or invalid
    end subroutine block_predictor
  end interface

  !> Maximum supersaturation and activated fractions; host arrays in single or in double precision.
  interface predict_activated_fractions
    module procedure with_emulator_real64, with_emulator_real32, with_procedure_real64, with_procedure_real32
  end interface predict_activated_fractions

  !> Activated fractions for a given maximum supersaturation; host arrays in single or in double precision.
  interface activated_fractions
    module procedure activated_fractions_real64, activated_fractions_real32
  end interface activated_fractions

contains

  !> By an emulator from a file; host arrays in double precision.
  recursive subroutine with_emulator_real64(emulator, ncol, air_temperature, air_pressure, updraft_speed, &
                                         number_concentration, dry_median_radius, hygroscopicity, max_supersaturation, &
                                            number_activated_fraction, mass_activated_fraction, status, is_outside)
    type(emulator_type), intent(in) :: emulator                   !! of the contract `activation`
    integer, intent(in) :: ncol                                   !! number of columns
    real(real64), intent(in) :: air_temperature(ncol)              !! [K]
    real(real64), intent(in) :: air_pressure(ncol)                 !! [Pa]
    real(real64), intent(in) :: updraft_speed(ncol)                !! [m s-1]
    real(real64), intent(in) :: number_concentration(ncol, n_modes)    !! [m-3]
    real(real64), intent(in) :: dry_median_radius(ncol, n_modes)       !! number-median [m]
    real(real64), intent(in) :: hygroscopicity(ncol, n_modes)          !! kappa [1]
    real(real64), intent(out) :: max_supersaturation(ncol)         !! [1]
    real(real64), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real64), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    type(status_type), intent(out) :: status                      !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(ncol)            !! columns with an input out of range or invalid

    if (emulator%n_inputs() /= n_inputs .or. emulator%n_outputs() /= 1) then
      call set_error(status, emufort_error_shape, 'predict_activated_fractions', &
                     'the emulator has not the inputs and the output of the contract activation')
      return
    end if
    call all_blocks_real64(ncol, air_temperature, air_pressure, updraft_speed, number_concentration, &
                           dry_median_radius, hygroscopicity, max_supersaturation, number_activated_fraction, &
                           mass_activated_fraction, status, is_outside, emulator=emulator)

  end subroutine with_emulator_real64

  !> By the block procedure of a generated module; host arrays in double precision.
  recursive subroutine with_procedure_real64(predict_block, ncol, air_temperature, air_pressure, updraft_speed, &
                                         number_concentration, dry_median_radius, hygroscopicity, max_supersaturation, &
                                             number_activated_fraction, mass_activated_fraction, status, is_outside)
    procedure(block_predictor) :: predict_block                   !! <name>_predict_block of the generated module
    integer, intent(in) :: ncol                                   !! number of columns
    real(real64), intent(in) :: air_temperature(ncol)              !! [K]
    real(real64), intent(in) :: air_pressure(ncol)                 !! [Pa]
    real(real64), intent(in) :: updraft_speed(ncol)                !! [m s-1]
    real(real64), intent(in) :: number_concentration(ncol, n_modes)    !! [m-3]
    real(real64), intent(in) :: dry_median_radius(ncol, n_modes)       !! number-median [m]
    real(real64), intent(in) :: hygroscopicity(ncol, n_modes)          !! kappa [1]
    real(real64), intent(out) :: max_supersaturation(ncol)         !! [1]
    real(real64), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real64), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    type(status_type), intent(out) :: status                      !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(ncol)            !! columns with an input out of range or invalid

    call all_blocks_real64(ncol, air_temperature, air_pressure, updraft_speed, number_concentration, &
                           dry_median_radius, hygroscopicity, max_supersaturation, number_activated_fraction, &
                           mass_activated_fraction, status, is_outside, predict_block=predict_block)

  end subroutine with_procedure_real64

  !> Block by block through the emulator and the formula.
  recursive subroutine all_blocks_real64(ncol, air_temperature, air_pressure, updraft_speed, &
                                         number_concentration, dry_median_radius, hygroscopicity, max_supersaturation, &
                                     number_activated_fraction, mass_activated_fraction, status, is_outside, emulator, &
                                         predict_block)
    integer, intent(in) :: ncol                                   !! number of columns
    real(real64), intent(in) :: air_temperature(ncol)              !! [K]
    real(real64), intent(in) :: air_pressure(ncol)                 !! [Pa]
    real(real64), intent(in) :: updraft_speed(ncol)                !! [m s-1]
    real(real64), intent(in) :: number_concentration(ncol, n_modes)    !! [m-3]
    real(real64), intent(in) :: dry_median_radius(ncol, n_modes)       !! number-median [m]
    real(real64), intent(in) :: hygroscopicity(ncol, n_modes)          !! kappa [1]
    real(real64), intent(out) :: max_supersaturation(ncol)         !! [1]
    real(real64), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real64), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    type(status_type), intent(inout) :: status                    !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(ncol)            !! columns with an input out of range or invalid
    type(emulator_type), intent(in), optional :: emulator         !! one of the two must be there
    procedure(block_predictor), optional :: predict_block         !! one of the two must be there
    real(real64) :: x(block_columns, n_inputs), y(block_columns, 1)
    real(real64) :: radius(block_columns, n_modes), kappa(block_columns, n_modes), temperature(block_columns)
    real(real64) :: number_fraction(block_columns, n_modes), mass_fraction(block_columns, n_modes)
    logical :: outside(block_columns)
    integer :: first, n, i, m

    do first = 0, ncol - 1, block_columns
      n = min(block_columns, ncol - first)
      do i = 1, n
        temperature(i) = air_temperature(first + i)
        x(i, 1) = temperature(i)
        x(i, 2) = air_pressure(first + i)
        x(i, 3) = updraft_speed(first + i)
      end do
      do m = 1, n_modes
        do i = 1, n
          radius(i, m) = dry_median_radius(first + i, m)
          kappa(i, m) = hygroscopicity(first + i, m)
          x(i, 3 + m) = number_concentration(first + i, m)
          x(i, 3 + n_modes + m) = radius(i, m)
          x(i, 3 + 2*n_modes + m) = kappa(i, m)
        end do
      end do
      if (present(emulator)) then
        call emulator%predict_block(n, .false., x, y, status, outside)
      else
        call predict_block(n, .false., x, y, status, outside)
      end if
      call fractions_of_block(n, temperature, radius, kappa, y, number_fraction, mass_fraction)
      do i = 1, n
        max_supersaturation(first + i) = y(i, 1)
      end do
      do m = 1, n_modes
        do i = 1, n
          number_activated_fraction(first + i, m) = number_fraction(i, m)
          mass_activated_fraction(first + i, m) = mass_fraction(i, m)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine all_blocks_real64

  !> The formula alone; host arrays in double precision.
  pure recursive subroutine activated_fractions_real64(ncol, air_temperature, dry_median_radius, hygroscopicity, &
                                                       max_supersaturation, number_activated_fraction, &
                                                       mass_activated_fraction)
    integer, intent(in) :: ncol                                 !! number of columns
    real(real64), intent(in) :: air_temperature(ncol)            !! [K]
    real(real64), intent(in) :: dry_median_radius(ncol, n_modes) !! number-median [m]
    real(real64), intent(in) :: hygroscopicity(ncol, n_modes)    !! kappa [1]
    real(real64), intent(in) :: max_supersaturation(ncol)        !! [1]; nothing activates at 0 and below
    real(real64), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real64), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    real(real64), dimension(block_columns, n_modes) :: radius, kappa, number_fraction, mass_fraction
    real(real64) :: temperature(block_columns), supersaturation(block_columns)
    integer :: first, n, i, m

    do first = 0, ncol - 1, block_columns
      n = min(block_columns, ncol - first)
      do i = 1, n
        temperature(i) = air_temperature(first + i)
        supersaturation(i) = max_supersaturation(first + i)
      end do
      do m = 1, n_modes
        do i = 1, n
          radius(i, m) = dry_median_radius(first + i, m)
          kappa(i, m) = hygroscopicity(first + i, m)
        end do
      end do
      call fractions_of_block(n, temperature, radius, kappa, supersaturation, number_fraction, mass_fraction)
      do m = 1, n_modes
        do i = 1, n
          number_activated_fraction(first + i, m) = number_fraction(i, m)
          mass_activated_fraction(first + i, m) = mass_fraction(i, m)
        end do
      end do
    end do

  end subroutine activated_fractions_real64

  !> By an emulator from a file; host arrays in single precision.
  recursive subroutine with_emulator_real32(emulator, ncol, air_temperature, air_pressure, updraft_speed, &
                                         number_concentration, dry_median_radius, hygroscopicity, max_supersaturation, &
                                            number_activated_fraction, mass_activated_fraction, status, is_outside)
    type(emulator_type), intent(in) :: emulator                   !! of the contract `activation`
    integer, intent(in) :: ncol                                   !! number of columns
    real(real32), intent(in) :: air_temperature(ncol)              !! [K]
    real(real32), intent(in) :: air_pressure(ncol)                 !! [Pa]
    real(real32), intent(in) :: updraft_speed(ncol)                !! [m s-1]
    real(real32), intent(in) :: number_concentration(ncol, n_modes)    !! [m-3]
    real(real32), intent(in) :: dry_median_radius(ncol, n_modes)       !! number-median [m]
    real(real32), intent(in) :: hygroscopicity(ncol, n_modes)          !! kappa [1]
    real(real32), intent(out) :: max_supersaturation(ncol)         !! [1]
    real(real32), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real32), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    type(status_type), intent(out) :: status                      !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(ncol)            !! columns with an input out of range or invalid

    if (emulator%n_inputs() /= n_inputs .or. emulator%n_outputs() /= 1) then
      call set_error(status, emufort_error_shape, 'predict_activated_fractions', &
                     'the emulator has not the inputs and the output of the contract activation')
      return
    end if
    call all_blocks_real32(ncol, air_temperature, air_pressure, updraft_speed, number_concentration, &
                           dry_median_radius, hygroscopicity, max_supersaturation, number_activated_fraction, &
                           mass_activated_fraction, status, is_outside, emulator=emulator)

  end subroutine with_emulator_real32

  !> By the block procedure of a generated module; host arrays in single precision.
  recursive subroutine with_procedure_real32(predict_block, ncol, air_temperature, air_pressure, updraft_speed, &
                                         number_concentration, dry_median_radius, hygroscopicity, max_supersaturation, &
                                             number_activated_fraction, mass_activated_fraction, status, is_outside)
    procedure(block_predictor) :: predict_block                   !! <name>_predict_block of the generated module
    integer, intent(in) :: ncol                                   !! number of columns
    real(real32), intent(in) :: air_temperature(ncol)              !! [K]
    real(real32), intent(in) :: air_pressure(ncol)                 !! [Pa]
    real(real32), intent(in) :: updraft_speed(ncol)                !! [m s-1]
    real(real32), intent(in) :: number_concentration(ncol, n_modes)    !! [m-3]
    real(real32), intent(in) :: dry_median_radius(ncol, n_modes)       !! number-median [m]
    real(real32), intent(in) :: hygroscopicity(ncol, n_modes)          !! kappa [1]
    real(real32), intent(out) :: max_supersaturation(ncol)         !! [1]
    real(real32), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real32), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    type(status_type), intent(out) :: status                      !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(ncol)            !! columns with an input out of range or invalid

    call all_blocks_real32(ncol, air_temperature, air_pressure, updraft_speed, number_concentration, &
                           dry_median_radius, hygroscopicity, max_supersaturation, number_activated_fraction, &
                           mass_activated_fraction, status, is_outside, predict_block=predict_block)

  end subroutine with_procedure_real32

  !> Block by block through the emulator and the formula.
  recursive subroutine all_blocks_real32(ncol, air_temperature, air_pressure, updraft_speed, &
                                         number_concentration, dry_median_radius, hygroscopicity, max_supersaturation, &
                                     number_activated_fraction, mass_activated_fraction, status, is_outside, emulator, &
                                         predict_block)
    integer, intent(in) :: ncol                                   !! number of columns
    real(real32), intent(in) :: air_temperature(ncol)              !! [K]
    real(real32), intent(in) :: air_pressure(ncol)                 !! [Pa]
    real(real32), intent(in) :: updraft_speed(ncol)                !! [m s-1]
    real(real32), intent(in) :: number_concentration(ncol, n_modes)    !! [m-3]
    real(real32), intent(in) :: dry_median_radius(ncol, n_modes)       !! number-median [m]
    real(real32), intent(in) :: hygroscopicity(ncol, n_modes)          !! kappa [1]
    real(real32), intent(out) :: max_supersaturation(ncol)         !! [1]
    real(real32), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real32), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    type(status_type), intent(inout) :: status                    !! outcome, number of values clipped and columns invalid
    logical, intent(out), optional :: is_outside(ncol)            !! columns with an input out of range or invalid
    type(emulator_type), intent(in), optional :: emulator         !! one of the two must be there
    procedure(block_predictor), optional :: predict_block         !! one of the two must be there
    real(real64) :: x(block_columns, n_inputs), y(block_columns, 1)
    real(real64) :: radius(block_columns, n_modes), kappa(block_columns, n_modes), temperature(block_columns)
    real(real64) :: number_fraction(block_columns, n_modes), mass_fraction(block_columns, n_modes)
    logical :: outside(block_columns)
    integer :: first, n, i, m

    do first = 0, ncol - 1, block_columns
      n = min(block_columns, ncol - first)
      do i = 1, n
        temperature(i) = real(air_temperature(first + i), real64)
        x(i, 1) = temperature(i)
        x(i, 2) = real(air_pressure(first + i), real64)
        x(i, 3) = real(updraft_speed(first + i), real64)
      end do
      do m = 1, n_modes
        do i = 1, n
          radius(i, m) = real(dry_median_radius(first + i, m), real64)
          kappa(i, m) = real(hygroscopicity(first + i, m), real64)
          x(i, 3 + m) = real(number_concentration(first + i, m), real64)
          x(i, 3 + n_modes + m) = radius(i, m)
          x(i, 3 + 2*n_modes + m) = kappa(i, m)
        end do
      end do
      if (present(emulator)) then
        call emulator%predict_block(n, .true., x, y, status, outside)
      else
        call predict_block(n, .true., x, y, status, outside)
      end if
      call fractions_of_block(n, temperature, radius, kappa, y, number_fraction, mass_fraction)
      do i = 1, n
        max_supersaturation(first + i) = real(y(i, 1), real32)
      end do
      do m = 1, n_modes
        do i = 1, n
          number_activated_fraction(first + i, m) = real(number_fraction(i, m), real32)
          mass_activated_fraction(first + i, m) = real(mass_fraction(i, m), real32)
        end do
      end do
      if (present(is_outside)) is_outside(first + 1:first + n) = outside(1:n)
    end do

  end subroutine all_blocks_real32

  !> The formula alone; host arrays in single precision.
  pure recursive subroutine activated_fractions_real32(ncol, air_temperature, dry_median_radius, hygroscopicity, &
                                                       max_supersaturation, number_activated_fraction, &
                                                       mass_activated_fraction)
    integer, intent(in) :: ncol                                 !! number of columns
    real(real32), intent(in) :: air_temperature(ncol)            !! [K]
    real(real32), intent(in) :: dry_median_radius(ncol, n_modes) !! number-median [m]
    real(real32), intent(in) :: hygroscopicity(ncol, n_modes)    !! kappa [1]
    real(real32), intent(in) :: max_supersaturation(ncol)        !! [1]; nothing activates at 0 and below
    real(real32), intent(out) :: number_activated_fraction(ncol, n_modes)   !! [1]
    real(real32), intent(out) :: mass_activated_fraction(ncol, n_modes)     !! [1]
    real(real64), dimension(block_columns, n_modes) :: radius, kappa, number_fraction, mass_fraction
    real(real64) :: temperature(block_columns), supersaturation(block_columns)
    integer :: first, n, i, m

    do first = 0, ncol - 1, block_columns
      n = min(block_columns, ncol - first)
      do i = 1, n
        temperature(i) = real(air_temperature(first + i), real64)
        supersaturation(i) = real(max_supersaturation(first + i), real64)
      end do
      do m = 1, n_modes
        do i = 1, n
          radius(i, m) = real(dry_median_radius(first + i, m), real64)
          kappa(i, m) = real(hygroscopicity(first + i, m), real64)
        end do
      end do
      call fractions_of_block(n, temperature, radius, kappa, supersaturation, number_fraction, mass_fraction)
      do m = 1, n_modes
        do i = 1, n
          number_activated_fraction(first + i, m) = real(number_fraction(i, m), real32)
          mass_activated_fraction(first + i, m) = real(mass_fraction(i, m), real32)
        end do
      end do
    end do

  end subroutine activated_fractions_real32

  !> Activated fractions of one block of columns.
  pure recursive subroutine fractions_of_block(n, temperature, radius, kappa, supersaturation, number_fraction, &
                                               mass_fraction)
    integer, intent(in) :: n                                               !! number of columns
    real(real64), intent(inout) :: temperature(block_columns)              !! air temperature [K]; padded on return
    real(real64), intent(inout) :: radius(block_columns, n_modes)          !! dry number-median radius [m]; padded
    real(real64), intent(inout) :: kappa(block_columns, n_modes)           !! hygroscopicity [1]; padded
    real(real64), intent(inout) :: supersaturation(block_columns)          !! maximum supersaturation [1]; padded
    real(real64), intent(inout) :: number_fraction(block_columns, n_modes) !! [1]
    real(real64), intent(inout) :: mass_fraction(block_columns, n_modes)   !! [1]
    real(wp) :: ratio(lanes), number(lanes), mass(lanes), lane_steepness(lanes), lane_shift(lanes)
    integer :: first, columns, i, m

    if (n <= few_columns) then
      ratio = 1.0_wp
      lane_steepness = 1.0_wp
      lane_shift = 0.0_wp
      do m = 1, n_modes
        do i = 1, n
          ratio((m - 1)*few_columns + i) = squared_ratio(temperature(i), radius(i, m), kappa(i, m), supersaturation(i))
          lane_steepness((m - 1)*few_columns + i) = steepness(m)
          lane_shift((m - 1)*few_columns + i) = shift(m)
        end do
      end do
      call fractions_of_lanes(ratio, lane_steepness, lane_shift, number, mass)
      do m = 1, n_modes
        do i = 1, n
          number_fraction(i, m) = real(number((m - 1)*few_columns + i), real64)
          mass_fraction(i, m) = real(mass((m - 1)*few_columns + i), real64)
        end do
      end do
      return
    end if

    columns = lanes*((n + lanes - 1)/lanes)
    do i = n + 1, columns
      temperature(i) = temperature(n)
      supersaturation(i) = supersaturation(n)
      radius(i, :) = radius(n, :)
      kappa(i, :) = kappa(n, :)
    end do
    do m = 1, n_modes
      lane_steepness = steepness(m)
      lane_shift = shift(m)
      do first = 0, columns - 1, lanes
        !$omp simd
        do i = 1, lanes
          ratio(i) = squared_ratio(temperature(first + i), radius(first + i, m), kappa(first + i, m), &
                                   supersaturation(first + i))
        end do
        call fractions_of_lanes(ratio, lane_steepness, lane_shift, number, mass)
        !$omp simd
        do i = 1, lanes
          number_fraction(first + i, m) = real(number(i), real64)
          mass_fraction(first + i, m) = real(mass(i), real64)
        end do
      end do
    end do

  end subroutine fractions_of_block

  !> (s_m/s_max)**2 with the critical supersaturation s_m = sqrt(4 A**3/(27 kappa r**3)), A the Kelvin length.
  pure elemental real(wp) function squared_ratio(temperature, radius, kappa, supersaturation)
    real(real64), intent(in) :: temperature       !! air temperature [K]
    real(real64), intent(in) :: radius            !! dry number-median radius [m]
    real(real64), intent(in) :: kappa             !! hygroscopicity [1]
    real(real64), intent(in) :: supersaturation   !! maximum supersaturation [1]
    real(real64) :: surface_tension, length, r, s
    real(real64), parameter :: factor = nanometres*2.0_real64*molar_mass_water/(gas_constant*density_water)

    surface_tension = 0.0761_real64 - 1.55e-4_real64*(temperature - 273.15_real64)   ! [J m-2]
    length = factor*surface_tension                                                  ! A*T [nm K]
    r = radius*nanometres*temperature
    s = merge(supersaturation, 0.0_real64,.not. supersaturation < 0.0_real64)
    squared_ratio = (real(length*length*length, wp)*(4.0_wp/27.0_wp))/real(kappa*(r*r*r)*(s*s), wp)

  end function squared_ratio

  !> Fractions from the squared ratio of the supersaturations, for a full set of lanes.
  pure recursive subroutine fractions_of_lanes(ratio, lane_steepness, lane_shift, number, mass)
    real(wp), intent(inout) :: ratio(lanes)           !! (s_m/s_max)**2 [1]; overwritten
    real(wp), intent(in) :: lane_steepness(lanes)     !! 1/(3 sqrt(2) ln sigma) [1]
    real(wp), intent(in) :: lane_shift(lanes)         !! 1.5 sqrt(2) ln sigma [1]
    real(wp), intent(out) :: number(lanes)            !! number fraction [1]
    real(wp), intent(out) :: mass(lanes)              !! mass fraction [1]
    real(wp) :: both(2*lanes)
    integer :: i

    call vector_ln(lanes, ratio)
    !$omp simd
    do i = 1, lanes
      both(i) = ratio(i)*lane_steepness(i)
      both(i + lanes) = both(i) - lane_shift(i)
    end do
    call vector_erfc(2*lanes, both)
    !$omp simd
    do i = 1, lanes
      number(i) = 0.5_wp*both(i)
      ! Large particles activate first: rounding must not make it otherwise. False for NaN.
      mass(i) = 0.5_wp*both(i + lanes)
      mass(i) = merge(number(i), mass(i), mass(i) < number(i))
    end do

  end subroutine fractions_of_lanes

end module activation_fractions
