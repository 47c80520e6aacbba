!> Setup of an activation scheme: the constants and modes of the host, the emulator and the range it was trained for,
!> and the scheme that answers where the emulator does not.
module emufort_aerosol_scheme
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use emufort_kinds, only: wp, block => block_columns
  use emufort_status, only: set_error
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_success, emufort_error_contract, &
                             emufort_error_shape, emufort_error_limit
  use emufort_aerosol_contract, only: n_emulated_modes => aerosol_modes, n_plain => aerosol_inputs, &
                                      trained_sigma => aerosol_sigma, trained_lower => aerosol_lower, &
                                      trained_upper => aerosol_upper, radius_at => dry_median_radius_at, &
                                      aerosol_input_names, aerosol_input_units, &
                                      aerosol_output_name, aerosol_output_units, aerosol_contract_hash
  use emufort_aerosol_agreement, only: disagreement
  use emufort_aerosol_head, only: steepness_factor, shift_factor
  use emufort_aerosol_arg2000, only: activation_constants_type, kelvin_length, arg2000_paper, arg2000_e3sm
  implicit none
  private

  public :: scheme_type, activation_predictor, activation_network, activation_host_routine, activation_in_cloud_routine
  public :: activation_kind, activation_max_modes, n_emulated_modes, n_plain, most_inputs
  public :: outside_arg2000, outside_ratio, outside_clip, outside_host, mismatch_refuse, mismatch_fall_back

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
  integer, parameter :: outside_host = 3      !! the routine of the host
  ! If the host and the labels of the emulator have other modes or constants:
  integer, parameter :: mismatch_refuse = 0     !! `init` reports an error
  integer, parameter :: mismatch_fall_back = 1  !! the fall-back always answers; the status names the difference

  integer, parameter :: most_inputs = n_plain + 1   !! with ARG2000 as an input, of the contract `activation_ratio`
  real(dp), parameter :: pi = 3.14159265358979323846_dp

  ! Variables of a loaded emulator: the inputs, possibly the supersaturation by ARG2000, and the output.
  integer, parameter :: n_variables = size(aerosol_input_names) + 2
  character(len=*), parameter :: names(n_variables) = [character(len=24) :: &
                                                       aerosol_input_names, 'smax_arg2000', aerosol_output_name]
  character(len=*), parameter :: units(n_variables) = [character(len=8) :: &
                                                       aerosol_input_units, aerosol_output_units, aerosol_output_units]

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

    !> Interface of `<name>_copy` in the generated module of a bundle.
    subroutine activation_network(emulator)
      import :: emulator_type
      type(emulator_type), intent(inout) :: emulator   !! set to a copy of the network
    end subroutine activation_network

    !> Interface of the routine of a host: `activate_modal` of E3SM. Its last argument has no intent there either, so
    !> that E3SM can pass its procedure itself.
    recursive subroutine activation_host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                 hygro, fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed)
      import :: hk
      real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
      real(hk), intent(in) :: tair                              !! [K]
      real(hk), intent(in) :: rhoair                            !! [kg m-3]
      real(hk), intent(in) :: na(:)                             !! [m-3] (mode)
      integer, intent(in) :: nmode                              !! number of modes
      real(hk), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
      real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
      real(hk), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
      real(hk), optional :: smax_prescribed                     !! [1]
    end subroutine activation_host_routine

    !> Interface of the routine of a host for parcels in cloud: `actdrop_mam_calc` of E3SM.
    recursive subroutine activation_in_cloud_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, &
                                                     volume, hygro, in_cloud, smax_f, fn, fm, fluxn, fluxm, &
                                                     flux_fullact)
      import :: hk
      real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
      real(hk), intent(in) :: tair                              !! [K]
      real(hk), intent(in) :: rhoair                            !! [kg m-3]
      real(hk), intent(in) :: na(:)                             !! [m-3] (mode)
      integer, intent(in) :: nmode                              !! number of modes
      real(hk), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
      logical, intent(in) :: in_cloud                           !! above cloud base
      real(hk), intent(in) :: smax_f                            !! [m-2]
      real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
      real(hk), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
    end subroutine activation_in_cloud_routine
  end interface

  !> An activation scheme: the constants and modes of the host, the emulator that computes the maximum supersaturation,
  !> and the fall-back. Only the modules of the scheme may use its components.
  type :: scheme_type
    logical :: is_ready = .false.                                  ! whether `init` got usable constants and modes
    integer :: n_modes = 0
    integer :: formula = arg2000_paper
    integer :: outside = outside_ratio
    integer :: n_inputs = 0                                        ! of the emulator; 0: the fall-back always answers
    type(activation_constants_type) :: constants
    real(dp) :: kelvin_length = -1.0_dp                            ! of the host [m]; negative: by temperature
    real(dp) :: log_sigma(activation_max_modes) = 0.0_dp
    real(dp) :: volume_factor(activation_max_modes) = 0.0_dp       ! cube of the median radius by volume per number
    real(dp) :: breadth(activation_max_modes) = 0.0_dp
    real(dp) :: spread(activation_max_modes) = 0.0_dp
    real(dp) :: lower(n_plain) = trained_lower
    real(dp) :: upper(n_plain) = trained_upper
    real(wp) :: steepness(activation_max_modes) = 0.0_wp           ! of the fractions, see emufort_aerosol_head
    real(wp) :: shift(activation_max_modes) = 0.0_wp
    ! The emulator takes a radius as its cube and gives the logarithm of the supersaturation, where it can. Limits are
    ! those of what it takes. `from` and `to` lie a little beyond: inputs between them and the limits are set to the
    ! limits.
    logical :: takes_cube(n_emulated_modes) = .false.
    logical :: gives_logarithm = .false.
    logical :: is_fast = .false.                                   ! whether it does both for all modes
    real(dp), dimension(n_plain) :: least = 0.0_dp, most = 0.0_dp, from = 0.0_dp, to = 0.0_dp
    type(emulator_type) :: emulator
    procedure(activation_predictor), pointer, nopass :: predictor => null()
    procedure(activation_host_routine), pointer, nopass :: host_routine => null()   ! null: ARG2000 is the fall-back
    procedure(activation_in_cloud_routine), pointer, nopass :: in_cloud_routine => null()
  contains
    procedure :: init
    procedure :: is_emulated
    procedure :: make_workspace
  end type scheme_type

contains

  !> Prepare a scheme. Without `emulator` and `predictor`, or if one does not fit, the fall-back always answers: the
  !> routine of the host if there is one, else ARG2000.
  subroutine init(scheme, host_kind, constants, geometric_standard_deviation, status, emulator, predictor, outside, &
                  formula, lower, upper, contract_hash, mismatch, host_routine, in_cloud_routine, kelvin_temperature, &
                  network)
    class(scheme_type), intent(out) :: scheme                          !! ready for use unless the modes are wrong
    integer, intent(in) :: host_kind                                   !! kind of the host's reals
    type(activation_constants_type), intent(in) :: constants           !! of the host
    real(hk), intent(in) :: geometric_standard_deviation(:)            !! of the host's modes, above 1 [1] (mode)
    type(status_type), intent(out) :: status                           !! outcome; success with a message: fall-back
    type(emulator_type), intent(in), optional :: emulator              !! a loaded emulator; a copy is kept
    procedure(activation_predictor), optional :: predictor             !! or the procedure of a generated module
    integer, intent(in), optional :: outside                           !! outside_ratio (default), _arg2000, _clip_host
    integer, intent(in), optional :: formula                           !! arg2000_paper (default) or arg2000_e3sm
    real(hk), intent(in), optional :: lower(:), upper(:)               !! another range of the emulator [contract units]
    character(len=*), intent(in), optional :: contract_hash            !! contract of `predictor`, which needs it
    integer, intent(in), optional :: mismatch                          !! mismatch_refuse (default) or _fall_back
    procedure(activation_host_routine), optional :: host_routine       !! fall-back instead of ARG2000
    procedure(activation_in_cloud_routine), optional :: in_cloud_routine !! the same for parcels in cloud
    real(hk), intent(in), optional :: kelvin_temperature               !! of the Kelvin length in ARG2000 [K]
    procedure(activation_network), optional :: network                 !! copies the network of `predictor`: faster
    character(len=*), parameter :: place = 'activation init'
    character(len=len(status%message)) :: difference
    logical :: may_differ

    call set_host(scheme, host_kind, constants, geometric_standard_deviation, status)
    if (status%code /= emufort_success) return
    if (present(host_routine)) scheme%host_routine => host_routine
    if (present(in_cloud_routine)) scheme%in_cloud_routine => in_cloud_routine
    may_differ = .false.
    if (present(mismatch)) then
      if (mismatch /= mismatch_refuse .and. mismatch /= mismatch_fall_back) then
        call set_error(status, emufort_error_contract, place, 'mismatch must be mismatch_refuse or mismatch_fall_back')
        return
      end if
      may_differ = mismatch == mismatch_fall_back
    end if
    call set_options(scheme, status, outside, formula, lower, upper, kelvin_temperature)
    if (status%code /= emufort_success) return
    if (present(emulator)) then
      call check_emulator(emulator, present(lower), status)
      if (status%code == emufort_success .and. present(predictor)) &
        call set_error(status, emufort_error_contract, place, 'pass a loaded emulator or a predictor, not both')
    else if (present(predictor)) then
      call check_predictor(status, contract_hash)
    else
      return
    end if
    if (status%code /= emufort_success) return
    difference = disagreement(scheme%constants, real(geometric_standard_deviation, dp))
    if (difference /= ' ') then
      if (may_differ) then
        status%message = difference
      else
        call set_error(status, emufort_error_contract, place, &
                       trim(difference)//'; train one for this host, or allow the fall-back')
      end if
    else if (present(emulator)) then
      scheme%emulator = emulator
      scheme%n_inputs = emulator%n_inputs()
    else
      scheme%predictor => predictor
      if (present(network)) call network(scheme%emulator)
      if (scheme%emulator%is_loaded()) scheme%predictor => null()
      scheme%n_inputs = n_plain
    end if
    call set_variables(scheme)

  end subroutine init

  !> Choose the form of the inputs and the output of the emulator, and set the limits of its inputs.
  subroutine set_variables(scheme)
    class(scheme_type), intent(inout) :: scheme   !! scheme with its emulator and range
    !> Inputs with a smaller relative distance to a limit of the range are set to the limit [1]: hosts clip aerosol
    !> sizes to the same limits, and rounding must not decide on the scheme.
    real(dp), parameter :: edge = 1.0e-4_dp
    integer :: m

    if (scheme%n_inputs > 0) then
      do m = 1, n_emulated_modes
        call scheme%emulator%take_power(radius_at + m - 1, 3, scheme%takes_cube(m))
      end do
      call scheme%emulator%give_logarithm(1, scheme%gives_logarithm)
    end if
    scheme%is_fast = scheme%n_inputs == n_plain .and. scheme%gives_logarithm .and. all(scheme%takes_cube)
    scheme%least = scheme%lower
    scheme%most = scheme%upper
    scheme%from = scheme%lower*(1.0_dp - edge)
    scheme%to = scheme%upper*(1.0_dp + edge)
    do m = 1, n_emulated_modes
      if (.not. scheme%takes_cube(m)) cycle
      associate (i => radius_at + m - 1)
        scheme%least(i) = scheme%least(i)**3
        scheme%most(i) = scheme%most(i)**3
        scheme%from(i) = scheme%from(i)**3
        scheme%to(i) = scheme%to(i)**3
      end associate
    end do

  end subroutine set_variables

  !> Set the constants and modes of the host.
  subroutine set_host(scheme, host_kind, constants, geometric_standard_deviation, status)
    class(scheme_type), intent(inout) :: scheme               !! scheme
    integer, intent(in) :: host_kind                          !! kind of the host's reals
    type(activation_constants_type), intent(in) :: constants  !! of the host
    real(hk), intent(in) :: geometric_standard_deviation(:)   !! of the host's modes, above 1 [1] (mode)
    type(status_type), intent(out) :: status                  !! outcome
    character(len=*), parameter :: place = 'activation init'
    integer :: m

    if (host_kind /= hk) then
      call set_error(status, emufort_error_contract, place, &
                     'compiled for another kind of reals than that of the host; see EMUFORT_HOST_REAL32')
    else if (size(geometric_standard_deviation) > activation_max_modes .or. size(geometric_standard_deviation) < 1) then
      call set_error(status, emufort_error_limit, place, 'there must be 1 to 16 aerosol modes')
    else if (.not. all(geometric_standard_deviation > 1.0_hk .and. geometric_standard_deviation <= huge(1.0_hk))) then
      call set_error(status, emufort_error_limit, place, 'every geometric standard deviation must be above 1')
    else if (.not. all([constants%gravity, constants%gas_constant_air, constants%gas_constant_vapour, &
                        constants%heat_capacity_air, constants%latent_heat, constants%density_water] > 0.0_dp)) then
      call set_error(status, emufort_error_limit, place, 'every constant of the host must be positive')
    end if
    if (status%code /= emufort_success) return
    scheme%constants = constants
    scheme%n_modes = size(geometric_standard_deviation)
    do m = 1, scheme%n_modes
      scheme%log_sigma(m) = log(real(geometric_standard_deviation(m), dp))
      scheme%volume_factor(m) = 3.0_dp/(4.0_dp*pi*exp(4.5_dp*scheme%log_sigma(m)**2))
      scheme%breadth(m) = 0.5_dp*exp(2.5_dp*scheme%log_sigma(m)**2)
      scheme%spread(m) = 1.0_dp + 0.25_dp*scheme%log_sigma(m)
      scheme%steepness(m) = real(steepness_factor/scheme%log_sigma(m), wp)
      scheme%shift(m) = real(shift_factor*scheme%log_sigma(m), wp)
    end do
    scheme%is_ready = .true.

  end subroutine set_host

  !> Set what happens outside the range of the emulator.
  subroutine set_options(scheme, status, outside, formula, lower, upper, kelvin_temperature)
    class(scheme_type), intent(inout) :: scheme            !! scheme with the host's constants
    type(status_type), intent(out) :: status               !! outcome
    integer, intent(in), optional :: outside               !! outside_ratio (default), _arg2000, _clip or _host
    integer, intent(in), optional :: formula               !! arg2000_paper (default) or arg2000_e3sm
    real(hk), intent(in), optional :: lower(:), upper(:)   !! range of the emulator, contract units (input)
    real(hk), intent(in), optional :: kelvin_temperature   !! of the Kelvin length in ARG2000 [K]
    character(len=*), parameter :: place = 'activation init'

    if (present(outside)) then
      if (outside < outside_arg2000 .or. outside > outside_host) then
        call set_error(status, emufort_error_contract, place, 'outside must be outside_arg2000, _ratio, _clip or _host')
        return
      else if (outside == outside_host .and. .not. associated(scheme%host_routine)) then
        call set_error(status, emufort_error_contract, place, 'outside_host needs the argument host_routine')
        return
      end if
      scheme%outside = outside
    end if
    if (present(formula)) then
      if (formula /= arg2000_paper .and. formula /= arg2000_e3sm) then
        call set_error(status, emufort_error_contract, place, 'formula must be arg2000_paper or arg2000_e3sm')
        return
      end if
      scheme%formula = formula
    end if
    if (present(lower) .neqv. present(upper)) then
      call set_error(status, emufort_error_contract, place, 'pass both limits of the range or neither')
      return
    else if (present(lower)) then
      if (size(lower) /= n_plain .or. size(upper) /= n_plain) then
        call set_error(status, emufort_error_shape, place, 'the limits of the range must have one value for each input')
        return
      end if
      scheme%lower = real(lower, dp)
      scheme%upper = real(upper, dp)
    end if
    if (present(kelvin_temperature)) then
      if (.not. (kelvin_temperature >= 200.0_hk .and. kelvin_temperature <= 350.0_hk)) then
        call set_error(status, emufort_error_limit, place, 'kelvin_temperature must be 200 to 350 K')
        return
      end if
      scheme%kelvin_length = kelvin_length(scheme%constants, real(kelvin_temperature, dp))
    end if

  end subroutine set_options

  !> Check that a loaded emulator has the inputs, the output and the contract of the scheme. The emulator of the ratio
  !> to ARG2000 has one more input and another contract.
  subroutine check_emulator(emulator, has_range, status)
    type(emulator_type), intent(in) :: emulator   !! any emulator
    logical, intent(in) :: has_range              !! whether the host vouches for another contract by its range
    type(status_type), intent(out) :: status      !! outcome
    character(len=len(aerosol_contract_hash)) :: hash

    if (emulator%n_inputs() == most_inputs) then
      call emulator%require(names, units, status)
      return
    end if
    call emulator%require([names(:n_variables - 2), names(n_variables:)], &
                          [units(:n_variables - 2), units(n_variables:)], status)
    if (status%code /= emufort_success) return
    call emulator%get_value('contract_sha256', hash)
    if (emulator%n_inputs() /= n_plain) then
      call set_error(status, emufort_error_contract, 'activation init', &
                     'the emulator has another number of aerosol modes than the module emufort_aerosol_contract')
    else if (hash /= aerosol_contract_hash .and. hash /= ' ' .and. .not. has_range) then
      call set_error(status, emufort_error_contract, 'activation init', 'the emulator has the contract '//hash(:8)// &
                     ', the module emufort_aerosol_contract '//aerosol_contract_hash(:8)//'; export the glue again')
    end if

  end subroutine check_emulator

  !> Check the contract of a predictor. A procedure cannot tell its inputs, so the hash is the only proof.
  subroutine check_predictor(status, contract_hash)
    type(status_type), intent(out) :: status                  !! outcome
    character(len=*), intent(in), optional :: contract_hash   !! of the predictor

    if (.not. present(contract_hash)) then
      call set_error(status, emufort_error_contract, 'activation init', &
                     'a predictor needs contract_hash: emufort_aerosol_contract_hash of its module')
    else if (contract_hash /= aerosol_contract_hash) then
      call set_error(status, emufort_error_contract, 'activation init', 'the predictor has the contract '// &
                     contract_hash(:min(8, len(contract_hash)))//', the module emufort_aerosol_contract '// &
                     aerosol_contract_hash(:8)//'; export the glue again')
    end if

  end subroutine check_predictor

  !> Whether an emulator answers within its range; otherwise the fall-back always answers.
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
