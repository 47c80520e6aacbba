!> Support for the tests of the activation scheme: samples, and a substitute for an emulator.
module activation_test_support
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use emufort_runtime, only: status_type, workspace_type, block => emufort_block_columns
  use emufort_status, only: set_error
  use emufort_aerosol_contract, only: n_modes => aerosol_modes, n_inputs => aerosol_inputs, sigma => aerosol_sigma, &
                                      lower => aerosol_lower, upper => aerosol_upper, &
                                      number_at => number_concentration_at, radius_at => dry_median_radius_at, &
                                      kappa_at => hygroscopicity_at, contract_hash => aerosol_contract_hash
  use emufort_aerosol_arg2000, only: activation_constants_type, air_type, air_properties, arg2000_smax, &
                                     critical_supersaturation_squared, arg2000_paper
  implicit none
  private

  public :: check, same_bits, sample_type, draw, mimic, mimic_fails, mimic_clipped, mimic_factor
  public :: sigma, breadth, spread, dp, arg_of, fraction_of, volume_of, contract_hash

  integer, parameter :: dp = real64
  real(dp), parameter :: pi = 3.14159265358979323846_dp
  real(dp), parameter :: breadth(n_modes) = 0.5_dp*exp(2.5_dp*log(sigma)**2)
  real(dp), parameter :: spread(n_modes) = 1.0_dp + 0.25_dp*log(sigma)
  type(activation_constants_type), parameter :: constants = activation_constants_type()   !! of the contract
  real(dp), parameter :: mimic_factor = 1.25_dp   !! the substitute gives this factor times ARG2000
  logical, save :: mimic_fails = .false.          !! whether the substitute reports an error instead
  integer(int64), save :: mimic_clipped = 0_int64 !! inputs that the substitute has clipped

  !> Columns within the range of the emulator, as a host holds them.
  type :: sample_type
    real(dp), allocatable :: t(:), p(:), rho(:), w(:)                    !! [K], [Pa], [kg m-3], [m s-1]
    real(dp), allocatable :: number(:, :), radius(:, :), kappa(:, :)     !! [m-3], [m], [1] (column, mode)
    real(dp), allocatable :: volume(:, :)                                !! [m3 m-3] (column, mode)
  end type sample_type

contains

  !> End the test unless a condition holds.
  subroutine check(condition, what)
    logical, intent(in) :: condition        !! condition that must hold
    character(len=*), intent(in) :: what    !! description of the condition

    if (.not. condition) then
      print '(a)', 'FAILED: '//what
      error stop 1
    end if

  end subroutine check

  pure elemental logical function same_bits(x, y)
    real(dp), intent(in) :: x, y

    same_bits = transfer(x, 0_int64) == transfer(y, 0_int64)

  end function same_bits

  !> Return the volume concentration of a mode [m3 m-3].
  pure elemental real(dp) function volume_of(number, radius, width)
    real(dp), intent(in) :: number, radius, width   !! [m-3], number-median [m], geometric standard deviation [1]

    volume_of = number*4.0_dp/3.0_dp*pi*radius**3*exp(4.5_dp*log(width)**2)

  end function volume_of

  !> Draw columns at the points of a lattice in the range, which is logarithmic except for temperature and pressure.
  function draw(n) result(sample)
    integer, intent(in) :: n   !! number of columns
    type(sample_type) :: sample
    real(dp) :: u(n_inputs)
    integer :: i, j

    allocate (sample%t(n), sample%p(n), sample%rho(n), sample%w(n))
    allocate (sample%number(n, n_modes), sample%radius(n, n_modes), sample%kappa(n, n_modes), sample%volume(n, n_modes))
    do i = 1, n
      do j = 1, n_inputs
        u(j) = modulo(real(i, dp)*1.22074408460576_dp**(-j), 1.0_dp)   ! approximately an R sequence in many dimensions
        u(j) = 0.002_dp + 0.996_dp*u(j)
        if (j < 3) then
          u(j) = lower(j) + u(j)*(upper(j) - lower(j))
        else
          u(j) = lower(j)*(upper(j)/lower(j))**u(j)
        end if
      end do
      sample%t(i) = u(1)
      sample%p(i) = u(2)
      sample%rho(i) = u(2)/(constants%gas_constant_air*u(1))
      sample%w(i) = u(3)
      sample%number(i, :) = u(number_at:radius_at - 1)
      sample%radius(i, :) = u(radius_at:kappa_at - 1)
      sample%kappa(i, :) = u(kappa_at:n_inputs)
      sample%volume(i, :) = volume_of(sample%number(i, :), sample%radius(i, :), sigma)
    end do

  end function draw

  !> Return the maximum supersaturation of a column by ARG2000 [1].
  pure real(dp) function arg_of(t, p, w, number, radius, kappa, formula)
    real(dp), intent(in) :: t, p, w                              !! [K], [Pa], [m s-1]
    real(dp), intent(in) :: number(n_modes), radius(n_modes), kappa(n_modes)   !! [m-3], [m], [1] (mode)
    integer, intent(in), optional :: formula                     !! arg2000_paper (default) or arg2000_e3sm
    type(air_type) :: air
    logical, parameter :: all_true(n_modes) = .true.
    integer :: chosen

    chosen = arg2000_paper
    if (present(formula)) chosen = formula
    air = air_properties(constants, t, p)
    arg_of = arg2000_smax(constants, chosen, n_modes, breadth, spread, air, w, number, &
                          critical_supersaturation_squared(air%kelvin_length, radius**3, kappa), all_true)
  end function arg_of

  !> Return the fraction of the number (moment 0) or mass (moment 3) of a mode that activates, in double precision [1].
  pure elemental real(dp) function fraction_of(t, smax, radius, kappa, width, moment)
    real(dp), intent(in) :: t, smax, radius, kappa, width   !! [K], [1], [m], [1], [1]
    integer, intent(in) :: moment                           !! 0 or 3
    type(air_type) :: air
    real(dp) :: x

    air = air_properties(constants, t, 9.0e4_dp)
    x = log(critical_supersaturation_squared(air%kelvin_length, radius**3, kappa)/smax**2)/ &
        (3.0_dp*sqrt(2.0_dp)*log(width))
    fraction_of = 0.5_dp*erfc(x - real(moment, dp)/sqrt(2.0_dp)*log(width))

  end function fraction_of

  !> A substitute for an emulator: ARG2000 times `mimic_factor` at the inputs clipped to the range.
  recursive subroutine mimic(n, is_single, x, y, status, is_outside, workspace)
    integer, intent(in) :: n                              !! number of parcels
    logical, intent(in) :: is_single                      !! refused if true
    real(dp), intent(inout) :: x(block, *)                !! inputs in contract order and units; clipped on return
    real(dp), intent(inout) :: y(block, *)                !! maximum supersaturation [1] (parcel, 1)
    type(status_type), intent(inout) :: status            !! outcome; counts are added to
    logical, intent(out) :: is_outside(block)             !! parcels out of range (parcel)
    type(workspace_type), intent(inout), optional :: workspace   !! refused if present
    real(dp) :: own(n_inputs), near(n_inputs)
    integer :: i

    is_outside = .false.
    do i = 1, n
      own = x(i, 1:n_inputs)
      near = min(max(own, lower), upper)
      status%n_clipped = status%n_clipped + count(near < own .or. near > own, kind=int64)
      !$omp atomic update
      mimic_clipped = mimic_clipped + count(near < own .or. near > own, kind=int64)
      y(i, 1) = mimic_factor*arg_of(near(1), near(2), near(3), near(number_at:radius_at - 1), &
                                    near(radius_at:kappa_at - 1), near(kappa_at:))
      if (.not. all(abs(own) <= huge(1.0_dp))) y(i, 1) = sqrt(-abs(near(1)))
      is_outside(i) = .not. all(abs(near - own) <= 0.0_dp)
      x(i, 1:n_inputs) = near
    end do
    if (mimic_fails .or. is_single .or. present(workspace)) call set_error(status, 9, 'mimic', 'requested by the test')

  end subroutine mimic

end module activation_test_support
