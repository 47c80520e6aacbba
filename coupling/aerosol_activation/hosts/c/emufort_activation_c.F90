!> The activation scheme for hosts in C and C++, see emufort_activation.h. It exists for hosts in double precision.
#ifndef EMUFORT_HOST_REAL32
module emufort_activation_c
  use, intrinsic :: iso_c_binding, only: c_ptr, c_funptr, c_null_ptr, c_null_funptr, c_null_char, c_char, c_int
  use, intrinsic :: iso_c_binding, only: c_int64_t, c_double, c_loc, c_f_pointer, c_f_procpointer, c_associated
  use emufort_runtime, only: status_type, emufort_success, emufort_error_shape, emufort_c_outcome, emufort_c_path, &
                             emufort_c_text
  use emufort_host, only: emufort_host_init, emufort_host_errors, activate_modal, emufort_host_kind, &
                          emufort_host_hash, activation_host_routine, activation_abort
  implicit none
  private

  public :: emufort_activation_init, emufort_activation_modal, emufort_activation_errors, emufort_activation_hash

  integer, parameter :: message_length = 160
  !> `host_routine` and `abort` of `emufort_activation_options`.
  procedure(c_host_routine), pointer, save :: host_routine_of_c => null()
  procedure(c_abort), pointer, save :: abort_of_c => null()
  integer, parameter :: hash_size = len(emufort_host_hash) + 1
  character(kind=c_char), target, save :: hash(hash_size) = transfer(emufort_host_hash//c_null_char, 'x', hash_size)

  !> `emufort_activation_constants` of emufort_activation.h.
  type, bind(c) :: c_constants_type
    real(c_double) :: gravity, gas_constant_air, gas_constant_vapour, heat_capacity_air, latent_heat, density_water
  end type c_constants_type

  !> `emufort_activation_options` of emufort_activation.h.
  type, bind(c) :: c_options_type
    type(c_ptr) :: scheme = c_null_ptr, outside = c_null_ptr, formula = c_null_ptr, mismatch = c_null_ptr   !! texts
    real(c_double) :: kelvin_temperature = 0.0_c_double                     !! 0: by temperature [K]
    type(c_funptr) :: host_routine = c_null_funptr, abort = c_null_funptr   !! functions or null
  end type c_options_type

  abstract interface
    !> `emufort_host_routine` of emufort_activation.h.
    subroutine c_host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                              fluxm, flux_fullact, smax_prescribed) bind(c)
      import :: c_double, c_int, c_ptr
      real(c_double), value :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair
      integer(c_int), value :: nmode
      real(c_double), intent(in) :: na(nmode), volume(nmode), hygro(nmode)
      real(c_double), intent(inout) :: fn(nmode), fm(nmode), fluxn(nmode), fluxm(nmode)
      real(c_double), intent(inout) :: flux_fullact
      type(c_ptr), value :: smax_prescribed
    end subroutine c_host_routine

    !> `emufort_host_abort` of emufort_activation.h.
    subroutine c_abort(message) bind(c)
      import :: c_char
      character(kind=c_char), intent(in) :: message(*)
    end subroutine c_abort
  end interface

contains

  !> Prepare the scheme, once and before any threads; returns the code of the status.
  integer(c_int) function emufort_activation_init(constants, nmode, sigmag, options, status) bind(c) result(code)
    type(c_ptr), value :: constants          !! `emufort_activation_constants`
    integer(c_int), value :: nmode           !! number of modes
    type(c_ptr), value :: sigmag             !! geometric standard deviations of the modes [1] (mode)
    type(c_ptr), value :: options            !! `emufort_activation_options`, or null for the defaults
    type(c_ptr), value :: status             !! `emufort_status`, or null
    type(c_constants_type), pointer :: host
    type(c_options_type), pointer :: chosen
    type(c_options_type), target :: defaults
    real(c_double), pointer :: sigma(:), kelvin_temperature
    procedure(activation_host_routine), pointer :: routine
    procedure(activation_abort), pointer :: abort
    character(len=message_length) :: message
    integer :: failure

    if (.not. (c_associated(constants) .and. c_associated(sigmag)) .or. nmode < 1) then
      code = outcome(emufort_error_shape, 'emufort_activation_init: no constants or no modes', status)
      return
    end if
    call c_f_pointer(constants, host)
    call c_f_pointer(sigmag, sigma, [nmode])
    chosen => defaults
    if (c_associated(options)) call c_f_pointer(options, chosen)
    kelvin_temperature => null()
    if (chosen%kelvin_temperature > 0.0_c_double) kelvin_temperature => chosen%kelvin_temperature
    host_routine_of_c => null()
    abort_of_c => null()
    routine => null()
    abort => null()
    if (c_associated(chosen%host_routine)) then
      call c_f_procpointer(chosen%host_routine, host_routine_of_c)
      routine => call_host_routine
    end if
    if (c_associated(chosen%abort)) then
      call c_f_procpointer(chosen%abort, abort_of_c)
      abort => call_abort
    end if
    call emufort_host_init(emufort_host_kind, host%gravity, host%gas_constant_air, host%gas_constant_vapour, &
                           host%heat_capacity_air, host%latent_heat, host%density_water, sigma, &
                           text_of(chosen%scheme, 'emulator'), text_of(chosen%outside, 'ratio'), &
                           text_of(chosen%formula, 'paper'), message, failure, routine, &
                           text_of(chosen%mismatch, 'refuse'), kelvin_temperature, abort)
    code = outcome(failure, message, status)

  end function emufort_activation_init

  !> Compute the activated fractions of one parcel and their fluxes into cloud, as `activate_modal`.
  recursive subroutine emufort_activation_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, &
                                                hygro, fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed, status) &
    bind(c)
    real(c_double), value :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(c_double), value :: tair                              !! [K]
    real(c_double), value :: rhoair                            !! [kg m-3]
    type(c_ptr), value :: na                                   !! aerosol number concentration [m-3] (mode)
    integer(c_int), value :: nmode                             !! number of modes
    type(c_ptr), value :: volume                               !! aerosol volume concentration [m3 m-3] (mode)
    type(c_ptr), value :: hygro                                !! hygroscopicity [1] (mode)
    type(c_ptr), value :: fn, fm                               !! fractions that activate [1] (mode)
    type(c_ptr), value :: fluxn, fluxm                         !! their fluxes into cloud [m s-1] (mode)
    type(c_ptr), value :: flux_fullact                         !! flux if all particles activated [m s-1]
    type(c_ptr), value :: smax_prescribed                      !! maximum supersaturation [1], or null
    type(c_ptr), value :: status                               !! `emufort_status`, or null
    real(c_double), pointer, contiguous :: number(:), volumes(:), kappa(:), n(:), m(:), flux_n(:), flux_m(:)
    real(c_double), pointer :: full, fixed
    character(len=message_length) :: message
    integer :: failure
    integer(c_int) :: code

    if (.not. (c_associated(na) .and. c_associated(volume) .and. c_associated(hygro) .and. c_associated(fn) .and. &
               c_associated(fm) .and. c_associated(fluxn) .and. c_associated(fluxm) .and. &
               c_associated(flux_fullact))) then
      code = outcome(emufort_error_shape, 'activate_modal: an array is a null pointer', status)
      return
    end if
    call c_f_pointer(na, number, [max(nmode, 0)])
    call c_f_pointer(volume, volumes, [max(nmode, 0)])
    call c_f_pointer(hygro, kappa, [max(nmode, 0)])
    call c_f_pointer(fn, n, [max(nmode, 0)])
    call c_f_pointer(fm, m, [max(nmode, 0)])
    call c_f_pointer(fluxn, flux_n, [max(nmode, 0)])
    call c_f_pointer(fluxm, flux_m, [max(nmode, 0)])
    call c_f_pointer(flux_fullact, full)
    fixed => null()
    if (c_associated(smax_prescribed)) call c_f_pointer(smax_prescribed, fixed)
    if (.not. c_associated(status)) then
      call activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, number, int(nmode), volumes, kappa, n, m, &
                          flux_n, flux_m, full, fixed)
    else
      call activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, number, int(nmode), volumes, kappa, n, m, &
                          flux_n, flux_m, full, fixed, errmsg=message, errflg=failure)
      code = outcome(failure, message, status)
    end if

  end subroutine emufort_activation_modal

  !> Return the number of calls since `init` that could not be answered.
  integer(c_int64_t) function emufort_activation_errors() bind(c)

    emufort_activation_errors = int(emufort_host_errors(), c_int64_t)

  end function emufort_activation_errors

  !> Return the hash of the emulator.
  type(c_ptr) function emufort_activation_hash() bind(c)

    emufort_activation_hash = c_loc(hash)

  end function emufort_activation_hash

  ! ------------------------------------------------------------------------- procedures that the scheme calls

  !> The routine of the host for the scheme.
  recursive subroutine call_host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, &
                                         fm, fluxn, fluxm, flux_fullact, smax_prescribed)
    real(c_double), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(c_double), intent(in) :: tair                              !! [K]
    real(c_double), intent(in) :: rhoair                            !! [kg m-3]
    real(c_double), intent(in) :: na(:)                             !! [m-3] (mode)
    integer, intent(in) :: nmode                                    !! number of modes
    real(c_double), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
    real(c_double), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
    real(c_double), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
    real(c_double), optional :: smax_prescribed                     !! [1]
    real(c_double), target :: fixed
    type(c_ptr) :: pointer_to_fixed

    pointer_to_fixed = c_null_ptr
    if (present(smax_prescribed)) then
      fixed = smax_prescribed
      pointer_to_fixed = c_loc(fixed)
    end if
    fn = 0.0_c_double
    fm = 0.0_c_double
    fluxn = 0.0_c_double
    fluxm = 0.0_c_double
    flux_fullact = 0.0_c_double
    call host_routine_of_c(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, int(nmode, c_int), volume, hygro, fn, &
                           fm, fluxn, fluxm, flux_fullact, pointer_to_fixed)

  end subroutine call_host_routine

  !> The end of a run of the host for the scheme.
  subroutine call_abort(string)
    character(len=*), intent(in), optional :: string   !! message
    character(kind=c_char) :: message(message_length + 8)

    message = c_null_char
    if (present(string)) call emufort_c_text(string, message)
    call abort_of_c(message)

  end subroutine call_abort

  ! ------------------------------------------------------------------------------------------------ texts

  !> Write a status for C, unless it is null, and return its code. With the code 0 the message is for the log.
  recursive integer(c_int) function outcome(failure, message, c_status) result(code)
    integer, intent(in) :: failure              !! 0 for success
    character(len=*), intent(in) :: message     !! one line
    type(c_ptr), intent(in) :: c_status         !! `emufort_status`, or null
    type(status_type) :: status

    status%code = failure
    status%message = message
    if (failure /= emufort_success) status%place = 'activation'
    code = emufort_c_outcome(status, c_status)

  end function outcome

  !> Return a text from C, or its default if it is null.
  function text_of(pointer_to_text, default) result(text)
    type(c_ptr), intent(in) :: pointer_to_text    !! characters that end with a null character, or null
    character(len=*), intent(in) :: default       !! text for null
    character(len=:), allocatable :: text

    if (c_associated(pointer_to_text)) then
      text = emufort_c_path(pointer_to_text)
    else
      text = default
    end if

  end function text_of

end module emufort_activation_c
#else
module emufort_activation_c
  implicit none

end module emufort_activation_c
#endif
