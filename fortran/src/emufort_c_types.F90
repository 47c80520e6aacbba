#ifndef EMUFORT_LEVEL
!> What the interface for C shares with the wrappers that `emufort export` generates: the plain status, texts and
!> workspaces.
module emufort_c_types
  use, intrinsic :: iso_c_binding, only: c_ptr, c_null_char, c_char, c_int, c_int64_t, c_size_t, c_f_pointer
  use, intrinsic :: iso_c_binding, only: c_associated
  use emufort_status, only: status_type, set_error, emufort_success, emufort_error_limit
  use emufort_workspace, only: workspace_type
  implicit none
  private

  public :: c_outcome, c_text, c_path, c_workspace_pointer, c_new_workspace
  public :: c_columns_contiguous, c_features_contiguous

  !> Layouts of host arrays: columns next to each other, as in Fortran's x(ncol, n), or features next to each other, as
  !> in C's x[ncol][n].
  integer(c_int), parameter :: c_columns_contiguous = 0, c_features_contiguous = 1
  !> Characters of the texts of a status, with the null character.
  integer, parameter :: place_size = 40, message_size = 168

  !> `emufort_status` of emufort.h.
  type, bind(c) :: c_status_type
    integer(c_int) :: code                            !! one of the emufort_* codes; 0 is success
    integer(c_int64_t) :: n_clipped                   !! as in `status_type`
    integer(c_int64_t) :: n_invalid                   !! as in `status_type`
    character(kind=c_char) :: place(place_size)       !! procedure that reports the error
    character(kind=c_char) :: message(message_size)   !! one line that says what is wrong
  end type c_status_type

  interface
    pure integer(c_size_t) function strlen(text) bind(c, name='strlen')
      import :: c_size_t, c_ptr
      type(c_ptr), intent(in), value :: text
    end function strlen
  end interface

contains

  !> Write a status for C, unless it is null, and return its code.
  recursive integer(c_int) function c_outcome(status, c_status) result(code)
    type(status_type), intent(in) :: status                  !! status of a Fortran procedure
    type(c_ptr), intent(in) :: c_status                      !! an `emufort_status`, or null
    type(c_status_type), pointer :: found

    code = int(status%code, c_int)
    if (.not. c_associated(c_status)) return
    call c_f_pointer(c_status, found)
    found%code = code
    found%n_clipped = status%n_clipped
    found%n_invalid = status%n_invalid
    found%place(1) = c_null_char
    found%message(1) = c_null_char
    if (code /= emufort_success) call c_text(status%place, found%place)
    if (status%message(1:1) /= ' ') call c_text(status%message, found%message)

  end function c_outcome

  !> Copy a text without trailing blanks and end it by a null character; it is cut where there is no room.
  pure recursive subroutine c_text(text, characters)
    character(len=*), intent(in) :: text                       !! any text
    character(kind=c_char), intent(out) :: characters(:)       !! the same for C
    integer :: i, n

    n = min(len_trim(text), size(characters) - 1)
    do i = 1, n
      characters(i) = text(i:i)
    end do
    characters(n + 1) = c_null_char

  end subroutine c_text

  !> Return a path from C.
  function c_path(path) result(text)
    type(c_ptr), intent(in) :: path   !! characters that end with a null character
    character(len=:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: i

    call c_f_pointer(path, characters, [strlen(path)])
    allocate (character(len=size(characters)) :: text)
    do i = 1, len(text)
      text(i:i) = characters(i)
    end do

  end function c_path

  !> Allocate an empty workspace.
  subroutine c_new_workspace(workspace, status)
    type(workspace_type), pointer, intent(out) :: workspace   !! null if there is an error
    type(status_type), intent(inout) :: status                !! outcome
    integer :: failure

    allocate (workspace, stat=failure)
    if (failure == 0) return
    workspace => null()
    call set_error(status, emufort_error_limit, 'make_workspace', 'no memory for a workspace')

  end subroutine c_new_workspace

  !> Return the workspace that C passes. A null pointer gives one that counts as absent.
  recursive function c_workspace_pointer(workspace) result(found)
    type(c_ptr), intent(in) :: workspace   !! from `emufort_make_workspace`, or null
    type(workspace_type), pointer :: found

    found => null()
    if (c_associated(workspace)) call c_f_pointer(workspace, found)

  end function c_workspace_pointer

end module emufort_c_types
#endif
