#ifndef EMUFORT_LEVEL
!> The status of a call: a code, a message, and counts of clipped and invalid data.
module emufort_status
  use emufort_kinds, only: int64
  implicit none
  private

  public :: status_type, set_error, clear_status, to_text
  public :: emufort_success, emufort_error_file, emufort_error_format, emufort_error_version, emufort_error_checksum, &
            emufort_error_limit, emufort_error_shape, emufort_error_contract, emufort_error_self_test, &
            emufort_error_not_loaded

  integer, parameter :: emufort_success = 0           !! no error
  integer, parameter :: emufort_error_file = 1        !! a file cannot be opened or read
  integer, parameter :: emufort_error_format = 2      !! not a weights file, or an inconsistent one
  integer, parameter :: emufort_error_version = 3     !! a weights file of another format version or byte order
  integer, parameter :: emufort_error_checksum = 4    !! a weights file that was damaged
  integer, parameter :: emufort_error_limit = 5       !! larger than this build of the runtime allows
  integer, parameter :: emufort_error_shape = 6       !! an array of the wrong shape
  integer, parameter :: emufort_error_contract = 7    !! the variables of the host are not those of the emulator
  integer, parameter :: emufort_error_self_test = 8   !! the golden vectors are not reproduced
  integer, parameter :: emufort_error_not_loaded = 9  !! the emulator has no network

  !> Outcome of a call. Values out of range and invalid values are counted and are not an error.
  type :: status_type
    integer :: code = emufort_success       !! one of the emufort_* codes; 0 is success
    integer(int64) :: n_clipped = 0_int64   !! input values that were clipped to the range of the contract
    integer(int64) :: n_invalid = 0_int64   !! columns with a NaN or infinite input; their outputs are NaN
    character(len=32) :: place = ' '        !! procedure that reports the error
    character(len=160) :: message = ' '     !! one line that says what is wrong
  end type status_type

contains

  !> Reset a status at the beginning of a call. (With intent(out) it would be filled with blanks in every call,
  !> which takes as long as a small layer.)
  pure recursive subroutine clear_status(status)
    type(status_type), intent(inout) :: status   !! status of an earlier call

    if (status%code /= emufort_success) then
      status%place = ' '
      status%message = ' '
    end if
    status%code = emufort_success
    status%n_clipped = 0_int64
    status%n_invalid = 0_int64

  end subroutine clear_status

  !> Record an error.
  pure recursive subroutine set_error(status, code, place, message)
    type(status_type), intent(inout) :: status   !! status to write to
    integer, intent(in) :: code                  !! one of the emufort_error_* codes
    character(len=*), intent(in) :: place        !! procedure that reports the error
    character(len=*), intent(in) :: message      !! one line that says what is wrong

    status%code = code
    status%place = place
    status%message = message

  end subroutine set_error

  !> Return an integer as text.
  pure function to_text(number) result(text)
    integer, intent(in) :: number   !! any number
    character(len=:), allocatable :: text
    character(len=12) :: buffer

    write (buffer, '(i0)') number
    text = trim(buffer)

  end function to_text

end module emufort_status
#endif
