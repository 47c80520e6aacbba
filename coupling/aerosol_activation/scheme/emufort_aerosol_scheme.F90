!> Setup of an activation scheme: the constants and modes of the host, the emulator and the range it was trained for,
!> and the counts of the answers.
module emufort_aerosol_scheme
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use emufort_kinds, only: block => block_columns
  use emufort_status, only: set_error
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_error_contract, &
                             emufort_error_shape, emufort_error_limit
  use emufort_aerosol_contract, only: n_emulated_modes => aerosol_modes, n_plain => aerosol_inputs, &
                                      trained_sigma => aerosol_sigma, trained_lower => aerosol_lower, &
                                      trained_upper => aerosol_upper, aerosol_input_names, aerosol_input_units, &
                                      aerosol_output_name, aerosol_output_units
  use emufort_aerosol_arg2000, only: activation_constants_type, arg2000_paper, arg2000_e3sm
  implicit none
  private

  public :: scheme_type, activation_counts_type, activation_predictor, activation_inside
  public :: activation_kind, activation_max_modes
  public :: outside_arg2000, outside_ratio, outside_clip, n_emulated_modes, n_plain, most_inputs

#ifdef EMUFORT_HOST_REAL32
  integer, parameter :: activation_kind = real32   !! kind of the host's reals
#else
  integer, parameter :: activation_kind = real64   !! kind of the host's reals (real32 with -DEMUFORT_HOST_REAL32)
#endif
  integer, parameter :: hk = activation_kind, dp = real64

  integer, parameter :: activation_max_modes = 16   !! largest number of aerosol modes
  integer, parameter :: outside_arg2000 = 0   !! outside the emulator's range ARG2000 answers
  !> ARG2000 times the ratio of the emulator to ARG2000 at the nearest point of the range. It is continuous, and at
  !> every distance in docs/coupling.md closer to the parcel model than ARG2000.
  integer, parameter :: outside_ratio = 1
  integer, parameter :: outside_clip = 2      !! the emulator at the nearest point of its range

  integer, parameter :: most_inputs = n_plain + 1   !! with ARG2000 as an input, of the contract `activation_ratio`
  real(dp), parameter :: pi = 3.14159265358979323846_dp

  ! Variables of a loaded emulator: the inputs, possibly the supersaturation by ARG2000, and the output.
  integer, parameter :: n_variables = size(aerosol_input_names) + 2
  character(len=*), parameter :: names(n_variables) = [character(len=24) :: &
                                                       aerosol_input_names, 'smax_arg2000', aerosol_output_name]
  character(len=*), parameter :: units(n_variables) = [character(len=8) :: &
                                                       aerosol_input_units, aerosol_output_units, aerosol_output_units]

  !> Counts of the answers. A parcel is one updraft speed of one column; a spectrum of updrafts has many parcels.
  type :: activation_counts_type
    integer(int64) :: n_parcels = 0_int64     !! supersaturations that were computed
    integer(int64) :: n_outside = 0_int64     !! of these, outside the range of the emulator
    integer(int64) :: n_fall_back = 0_int64   !! of these, answered by ARG2000 alone, for any reason
    integer(int64) :: n_bad = 0_int64         !! of these, the emulator failed or gave no positive number
    integer(int64) :: n_invalid = 0_int64     !! of these, the answer is NaN because an input is NaN
    integer(int64) :: n_clipped = 0_int64     !! input values that the emulator clipped to its range
  contains
    procedure :: add
  end type activation_counts_type

  abstract interface
    !> Interface of `<name>_predict_block` in the generated module of a bundle.
    recursive subroutine activation_predictor(n, is_single, x, y, status, is_outside, workspace)
      import :: block, status_type, real64, workspace_type
      integer, intent(in) :: n                      !! number of parcels, 1 to emufort_block_columns
      logical, intent(in) :: is_single              !! whether the inputs were rounded to single precision
      real(real64), intent(inout) :: x(block, *)    !! inputs in contract order and units; clipped on return
      real(real64), intent(inout) :: y(block, *)    !! maximum supersaturation [1] (parcel, 1)
      type(status_type), intent(inout) :: status    !! outcome; counts are added to
      logical, intent(out) :: is_outside(block)     !! parcels out of range or invalid (parcel)
      type(workspace_type), intent(inout), optional :: workspace   !! for wide networks
    end subroutine activation_predictor

    !> Interface of `<name>_predict_inside` in the generated module of a bundle.
    recursive subroutine activation_inside(x, y, is_inside)
      import :: real64
      real(real64), intent(in) :: x(*)              !! inputs in contract order and units
      real(real64), intent(inout) :: y(*)           !! maximum supersaturation [1]; unchanged if not inside
      logical, intent(out) :: is_inside             !! whether all inputs are within their ranges
    end subroutine activation_inside
  end interface

  !> An activation scheme: the constants and modes of the host, and the emulator that computes the maximum
  !> supersaturation. Only the modules of the scheme may use its components.
  type :: scheme_type
    integer :: n_modes = 0
    integer :: formula = arg2000_paper
    integer :: outside = outside_ratio
    integer :: n_inputs = 0                                        ! of the emulator; 0: ARG2000 always answers
    type(activation_constants_type) :: constants
    real(dp) :: log_sigma(activation_max_modes) = 0.0_dp
    real(dp) :: volume_factor(activation_max_modes) = 0.0_dp       ! cube of the median radius by volume per number
    real(dp) :: breadth(activation_max_modes) = 0.0_dp
    real(dp) :: spread(activation_max_modes) = 0.0_dp
    real(dp) :: lower(n_plain) = trained_lower
    real(dp) :: upper(n_plain) = trained_upper
    type(emulator_type) :: emulator
    procedure(activation_predictor), pointer, nopass :: predictor => null()
    procedure(activation_inside), pointer, nopass :: inside => null()   ! the same for one parcel within the range
  contains
    procedure :: init
    procedure :: is_emulated
    procedure :: make_workspace
  end type scheme_type

contains

  !> Add the counts of another call.
  pure recursive subroutine add(counts, other)
    class(activation_counts_type), intent(inout) :: counts   !! sum
    type(activation_counts_type), intent(in) :: other        !! counts to add

    counts%n_parcels = counts%n_parcels + other%n_parcels
    counts%n_outside = counts%n_outside + other%n_outside
    counts%n_fall_back = counts%n_fall_back + other%n_fall_back
    counts%n_bad = counts%n_bad + other%n_bad
    counts%n_invalid = counts%n_invalid + other%n_invalid
    counts%n_clipped = counts%n_clipped + other%n_clipped

  end subroutine add

  !> Prepare a scheme. Without `emulator` and `predictor`, or if one does not fit, ARG2000 always answers.
  subroutine init(scheme, host_kind, constants, geometric_standard_deviation, status, emulator, predictor, outside, &
                  formula, lower, upper, inside)
    class(scheme_type), intent(out) :: scheme                          !! ready for use, even if there is an error
    integer, intent(in) :: host_kind                                   !! kind of the host's reals
    type(activation_constants_type), intent(in) :: constants           !! of the host
    real(hk), intent(in) :: geometric_standard_deviation(:)            !! of the host's modes, above 1 [1] (mode)
    type(status_type), intent(out) :: status                           !! outcome
    type(emulator_type), intent(in), optional :: emulator              !! a loaded emulator; a copy is kept
    procedure(activation_predictor), optional :: predictor             !! or the procedure of a generated module
    integer, intent(in), optional :: outside                           !! outside_ratio (default), _arg2000 or _clip
    integer, intent(in), optional :: formula                           !! arg2000_paper (default) or arg2000_e3sm
    real(hk), intent(in), optional :: lower(:), upper(:)               !! range of the emulator, contract units (input)
    procedure(activation_inside), optional :: inside                   !! or `<name>_predict_inside`, with `predictor`
    character(len=*), parameter :: place = 'activation init'
    integer :: m

    scheme%constants = constants
    scheme%n_modes = min(size(geometric_standard_deviation), activation_max_modes)
    do m = 1, scheme%n_modes
      scheme%log_sigma(m) = log(real(geometric_standard_deviation(m), dp))
      scheme%volume_factor(m) = 3.0_dp/(4.0_dp*pi*exp(4.5_dp*scheme%log_sigma(m)**2))
      scheme%breadth(m) = 0.5_dp*exp(2.5_dp*scheme%log_sigma(m)**2)
      scheme%spread(m) = 1.0_dp + 0.25_dp*scheme%log_sigma(m)
    end do
    if (present(outside)) scheme%outside = outside
    if (present(formula)) scheme%formula = formula

    if (host_kind /= hk) then
      call set_error(status, emufort_error_contract, place, &
                     'compiled for another kind of reals than that of the host; see EMUFORT_HOST_REAL32')
    else if (size(geometric_standard_deviation) > activation_max_modes .or. size(geometric_standard_deviation) < 1) then
      call set_error(status, emufort_error_limit, place, 'there must be 1 to 16 aerosol modes')
    else if (.not. all(geometric_standard_deviation > 1.0_hk)) then
      call set_error(status, emufort_error_limit, place, 'every geometric standard deviation must be above 1')
    else if (scheme%outside < outside_arg2000 .or. scheme%outside > outside_clip) then
      call set_error(status, emufort_error_contract, place, 'outside must be outside_arg2000, _ratio or _clip')
    else if (scheme%formula /= arg2000_paper .and. scheme%formula /= arg2000_e3sm) then
      call set_error(status, emufort_error_contract, place, 'formula must be arg2000_paper or arg2000_e3sm')
    else if (present(emulator) .and. present(predictor)) then
      call set_error(status, emufort_error_contract, place, 'pass a loaded emulator or a predictor, not both')
    else if (present(lower) .neqv. present(upper)) then
      call set_error(status, emufort_error_contract, place, 'pass both limits of the range or neither')
    end if
    if (status%code /= emufort_success) return
    if (present(lower)) then
      if (size(lower) /= n_plain .or. size(upper) /= n_plain) then
        call set_error(status, emufort_error_shape, place, 'the limits of the range must have one value for each input')
        return
      end if
      scheme%lower = real(lower, dp)
      scheme%upper = real(upper, dp)
    end if
    if (present(emulator)) then
      if (emulator%n_inputs() == most_inputs) then
        call emulator%require(names, units, status)
      else
        call emulator%require([names(:n_variables - 2), names(n_variables:)], &
                              [units(:n_variables - 2), units(n_variables:)], status)
      end if
      if (status%code /= emufort_success) return
      scheme%emulator = emulator
      scheme%n_inputs = emulator%n_inputs()
    else if (present(predictor)) then
      scheme%predictor => predictor
      if (present(inside)) scheme%inside => inside
      scheme%n_inputs = n_plain
    end if
    ! The emulator was trained for one set of modes; ARG2000 answers for any other.
    if (scheme%n_modes /= n_emulated_modes) then
      scheme%n_inputs = 0
    else if (any(abs(scheme%log_sigma(1:n_emulated_modes) - log(trained_sigma)) > 1.0e-6_dp)) then
      scheme%n_inputs = 0
    end if

  end subroutine init

  !> Whether an emulator answers within its range; otherwise ARG2000 always answers.
  pure recursive logical function is_emulated(scheme)
    class(scheme_type), intent(in) :: scheme   !! any scheme

    is_emulated = scheme%n_inputs > 0

  end function is_emulated

  !> Make the workspace that a wide network needs, see docs/runtime.md. Each thread passes its own workspace as the last
  !> argument of `activate`. The workspace stays empty for other networks and without a loaded emulator.
  subroutine make_workspace(scheme, workspace, status)
    class(scheme_type), intent(in) :: scheme              !! after `init`
    type(workspace_type), intent(out) :: workspace        !! of one thread
    type(status_type), intent(out) :: status              !! outcome

    if (scheme%emulator%is_loaded()) call scheme%emulator%make_workspace(workspace, status)

  end subroutine make_workspace

end module emufort_aerosol_scheme
