#ifndef EMUFORT_LEVEL
!> Reads weights.bin (docs/weights_format.md): a header with sizes and a checksum, followed by sections of typed values.
!>
!> Every size is checked against the length of the file before anything is allocated or read.
module emufort_weights_file
  use emufort_kinds, only: int8, int32, int64, real32, real64
  use emufort_status, only: status_type, set_error, emufort_error_format, emufort_error_version, &
                            emufort_error_checksum, emufort_error_limit
  implicit none
  private

  public :: section_type, read_table, find_section, get_integers, get_reals, get_text, crc32
  public :: type_text, type_int32, type_real32, type_real64

  integer, parameter :: type_text = 1     !! bytes of UTF-8 text
  integer, parameter :: type_int32 = 2
  integer, parameter :: type_real32 = 3
  integer, parameter :: type_real64 = 4

  integer, parameter :: format_version = 3
  integer, parameter :: header_size = 64, entry_size = 32, most_sections = 64
  integer, parameter :: magic(8) = [137, 69, 77, 85, 70, 13, 10, 26]   !! \x89 E M U F \r \n \x1a
  integer(int32), parameter :: byte_order_mark = 16909060_int32         !! 0x01020304

  !> Position of a section in the file.
  type :: section_type
    character(len=8) :: name = ' '         !! name of the section
    integer :: type = 0                    !! one of the type_* codes
    integer(int64) :: offset = 0_int64     !! bytes before the section
    integer(int64) :: n_values = 0_int64   !! number of values, or of bytes for text
  end type section_type

contains

  !> Check the header and read the table of sections.
  subroutine read_table(bytes, sections, status)
    integer(int8), intent(in) :: bytes(:)                        !! content of the file
    type(section_type), allocatable, intent(out) :: sections(:)   !! table of sections
    type(status_type), intent(inout) :: status                   !! outcome
    character(len=*), parameter :: place = 'load'
    integer(int64) :: length, n_sections, start, last
    integer :: i, j, width
    type(section_type) :: section

    length = size(bytes, kind=int64)
    if (length < header_size) then
      call set_error(status, emufort_error_format, place, 'not a weights file of emufort: it is too short')
      return
    end if
    do i = 1, 8
      if (iand(int(bytes(i)), 255) /= magic(i)) then
        call set_error(status, emufort_error_format, place, 'not a weights file of emufort')
        return
      end if
    end do
    if (unsigned(bytes, 9_int64) /= byte_order_mark) then
      call set_error(status, emufort_error_version, place, 'the weights file has another byte order')
      return
    end if
    if (unsigned(bytes, 13_int64) < format_version) then
      call set_error(status, emufort_error_version, place, 'the weights file is from an earlier emufort; export again')
      return
    end if
    if (unsigned(bytes, 13_int64) /= format_version) then
      call set_error(status, emufort_error_version, place, &
                     'the weights file is from a later emufort; use the runtime of its bundle')
      return
    end if
    if (unsigned(bytes, 21_int64) /= 0_int64 .or. unsigned(bytes, 17_int64) /= length) then
      call set_error(status, emufort_error_format, place, 'the weights file is truncated or has bytes after its end')
      return
    end if
    if (crc32(bytes, 29_int64) /= unsigned(bytes, 29_int64)) then
      call set_error(status, emufort_error_checksum, place, 'the weights file is damaged: its checksum is wrong')
      return
    end if
    n_sections = unsigned(bytes, 25_int64)
    if (n_sections > most_sections .or. header_size + n_sections*entry_size > length) then
      call set_error(status, emufort_error_format, place, 'the weights file has an invalid number of sections')
      return
    end if

    allocate (sections(n_sections))
    do i = 1, int(n_sections)
      start = header_size + (i - 1)*entry_size
      do j = 1, 8
        section%name(j:j) = achar(iand(int(bytes(start + j)), 127))
      end do
      section%type = 0
      if (unsigned(bytes, start + 9) <= type_real64) section%type = int(unsigned(bytes, start + 9))
      select case (section%type)
      case (type_text)
        width = 1
      case (type_int32, type_real32)
        width = 4
      case (type_real64)
        width = 8
      case default
        call set_error(status, emufort_error_format, place, 'the weights file has a section of unknown type')
        return
      end select
      section%offset = unsigned(bytes, start + 17)
      section%n_values = unsigned(bytes, start + 25)
      last = section%offset + section%n_values*width
      ! The upper halves of the 64-bit sizes must be 0, because a file of more than 4 GB is not a network.
      if (unsigned(bytes, start + 21) /= 0_int64 .or. unsigned(bytes, start + 29) /= 0_int64 .or. &
          section%offset < header_size + n_sections*entry_size .or. last > length) then
        call set_error(status, emufort_error_format, place, 'the weights file has a section outside the file')
        return
      end if
      sections(i) = section
    end do

  end subroutine read_table

  !> Return the index of a section that must have one of two types; 0 and an error if there is none.
  integer function find_section(sections, name, type, other_type, status)
    type(section_type), intent(in) :: sections(:)   !! table of sections
    character(len=*), intent(in) :: name            !! name of the section
    integer, intent(in) :: type, other_type         !! allowed types, the type_* codes
    type(status_type), intent(inout) :: status      !! outcome
    integer :: i

    find_section = 0
    do i = 1, size(sections)
      if (sections(i)%name == name .and. &
          (sections(i)%type == type .or. sections(i)%type == other_type)) find_section = i
    end do
    if (find_section == 0) call set_error(status, emufort_error_format, 'load', &
                                          'the weights file has no valid section '//name)

  end function find_section

  !> Read the values of a section of integers.
  subroutine get_integers(bytes, section, values)
    integer(int8), intent(in) :: bytes(:)             !! content of the file
    type(section_type), intent(in) :: section         !! a section of type_int32
    integer, allocatable, intent(out) :: values(:)    !! values of the section
    integer(int64) :: i, bits

    allocate (values(section%n_values))
    do i = 1, section%n_values
      bits = unsigned(bytes, section%offset + 4*(i - 1) + 1)
      if (bits > 2147483647_int64) bits = bits - 4294967296_int64
      values(i) = int(bits)
    end do

  end subroutine get_integers

  !> Read the values of a section of real numbers of either kind.
  subroutine get_reals(bytes, section, values)
    integer(int8), intent(in) :: bytes(:)                   !! content of the file
    type(section_type), intent(in) :: section               !! a section of type_real32 or type_real64
    real(real64), allocatable, intent(out) :: values(:)     !! values of the section
    integer(int64) :: i, bits, place

    allocate (values(section%n_values))
    if (section%type == type_real32) then
      do i = 1, section%n_values
        bits = unsigned(bytes, section%offset + 4*(i - 1) + 1)
        if (bits > 2147483647_int64) bits = bits - 4294967296_int64
        values(i) = real(transfer(int(bits, int32), 0.0_real32), real64)
      end do
    else
      do i = 1, section%n_values
        place = section%offset + 8*(i - 1) + 1
        bits = ior(unsigned(bytes, place), ishft(unsigned(bytes, place + 4), 32))
        values(i) = transfer(bits, 0.0_real64)
      end do
    end if

  end subroutine get_reals

  !> Read the text of a section.
  subroutine get_text(bytes, section, text)
    integer(int8), intent(in) :: bytes(:)                   !! content of the file
    type(section_type), intent(in) :: section               !! a section of type_text
    character(len=:), allocatable, intent(out) :: text      !! text of the section
    integer(int64) :: i

    allocate (character(len=section%n_values) :: text)
    do i = 1, section%n_values
      text(i:i) = transfer(bytes(section%offset + i), 'a')
    end do

  end subroutine get_text

  !> Return the unsigned little-endian 32-bit integer at a byte of the file, on a host of either byte order.
  pure integer(int64) function unsigned(bytes, place)
    integer(int8), intent(in) :: bytes(:)     !! content of the file
    integer(int64), intent(in) :: place       !! first of its four bytes, from 1
    integer :: i

    unsigned = 0_int64
    do i = 3, 0, -1
      unsigned = ior(ishft(unsigned, 8), iand(int(bytes(place + i), int64), 255_int64))
    end do

  end function unsigned

  !> Return the CRC-32 (IEEE 802.3, as in zlib) of all bytes; the four bytes of the checksum count as 0.
  pure integer(int64) function crc32(bytes, skipped)
    integer(int8), intent(in) :: bytes(:)        !! content of the file
    integer(int64), intent(in) :: skipped        !! first of the four bytes, from 1; 0 for none
    integer(int64), parameter :: polynomial = 3988292384_int64   !! 0xEDB88320
    integer(int64) :: table(0:255), c, i, byte
    integer :: k

    do i = 0, 255
      c = i
      do k = 1, 8
        if (btest(c, 0)) then
          c = ieor(polynomial, ishft(c, -1))
        else
          c = ishft(c, -1)
        end if
      end do
      table(i) = c
    end do
    c = 4294967295_int64
    do i = 1, size(bytes, kind=int64)
      byte = iand(int(bytes(i), int64), 255_int64)
      if (skipped > 0 .and. i >= skipped .and. i < skipped + 4) byte = 0
      c = ieor(table(iand(ieor(c, byte), 255_int64)), ishft(c, -8))
    end do
    crc32 = ieor(c, 4294967295_int64)

  end function crc32

end module emufort_weights_file
#endif
