#ifndef EMUFORT_LEVEL
!> Bytes as text in source code: five bytes are seven letters and digits.
!>
!> Compilers read a long text a hundred times faster than the numbers that it stands for, and with a tenth of the memory.
!> Letters and digits alone stand in it, because a preprocessor may look for names of macros in the lines of a continued
!> text; a line of them is a single word that is longer than any such name. 62**7 exceeds 256**5, so seven digits of base
!> 62 hold five bytes.
module emufort_base62
  use emufort_kinds, only: int8, int64
  implicit none
  private

  public :: append_bytes

  integer, parameter :: group_bytes = 5, group_digits = 7

contains

  !> Append the bytes of a text to those that earlier texts gave. The last text may hold bytes beyond the end of the
  !> array, which are padding.
  pure subroutine append_bytes(text, bytes, n)
    character(len=*), intent(in) :: text        !! digits of base 62, most significant first in each group of seven
    integer(int8), intent(inout) :: bytes(:)    !! all bytes
    integer, intent(inout) :: n                 !! number of bytes so far
    integer(int64) :: group
    integer :: first, i, byte

    do first = 1, len(text) - group_digits + 1, group_digits
      group = 0_int64
      do i = first, first + group_digits - 1
        group = 62_int64*group + digit(text(i:i))
      end do
      do i = 8*(group_bytes - 1), 0, -8
        if (n >= size(bytes)) return
        n = n + 1
        byte = int(iand(ishft(group, -i), 255_int64))
        bytes(n) = int(byte - merge(256, 0, byte > 127), int8)
      end do
    end do

  end subroutine append_bytes

  !> Return the value of a digit: 0 to 9, A to Z, a to z. Another character counts as 0; checksums detect it.
  pure integer function digit(character)
    character(len=1), intent(in) :: character   !! any character
    integer :: code

    code = iachar(character)
    digit = 0
    if (code >= 48 .and. code <= 57) digit = code - 48
    if (code >= 65 .and. code <= 90) digit = code - 65 + 10
    if (code >= 97 .and. code <= 122) digit = code - 97 + 36

  end function digit

end module emufort_base62
#endif
