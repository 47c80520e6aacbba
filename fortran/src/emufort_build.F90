#ifndef EMUFORT_LEVEL
!> Report on the build: compiler, flags, and how fast they made the kernels.
module emufort_build
  use, intrinsic :: iso_fortran_env, only: compiler_options, compiler_version
  use emufort_kinds, only: wp, real32, real64
  use emufort_status, only: to_text
  use emufort_dispatch, only: level_in_use, has_levels, probe_kernels
  implicit none
  private

  public :: build_report, vector_remarks

  !> Limits between what scalar code and the narrowest vectors (128 bits) reach. Multiply-adds per cycle: at most 1.5 and
  !> at least 2.4 in single precision, 1.3 and 1.8 in double precision. Cycles per exponential: at least 14 and at most
  !> 7. In double precision the exponential is that of the compiler.
  real(real64), parameter :: most_of_scalars = merge(1.9_real64, 1.55_real64, wp == real32)
  real(real64), parameter :: most_of_vectors = merge(9.0_real64, huge(1.0_real64), wp == real32)

  character(len=*), parameter :: newline = achar(10)
#ifdef __flang__
  character(len=*), parameter :: advice = '-O3 -ffp-contract=fast'
#elif defined(__GFORTRAN__)
  character(len=*), parameter :: advice = '-O3 -fno-math-errno -ffp-contract=fast -fno-trapping-math -fopenmp-simd'
#else
  character(len=*), parameter :: advice = 'the flags for vector instructions and OpenMP SIMD'
#endif

contains

  !> Describe the build in lines of text: precision, compiler, level of the kernels, measured speed, flags. A line that
  !> begins with `warning:` says what makes the kernels slow. The measurement takes some milliseconds.
  subroutine build_report(text)
    character(len=*), intent(out) :: text   !! report, cut at its length
    character(len=:), allocatable :: lines, flags
    real(real64) :: multiply_adds, exponential

    call probe_kernels(multiply_adds, exponential, flags)
    lines = 'precision: '//trim(merge('single', 'double', wp == real32))//newline// &
            'compiler: '//compiler_version()//newline
    if (has_levels) then
      lines = lines//'kernels: '//level_name(level_in_use())//', of x86-64, x86-64-v2, x86-64-v3 and x86-64-v4'//newline
    else
      lines = lines//'kernels: one level, by the flags'//newline
    end if
    lines = lines//'speed: '//decimal(multiply_adds)//' multiply-adds per cycle in the layers, '// &
            decimal(exponential)//' cycles per exponential'//newline// &
            vector_remarks(multiply_adds, exponential)
    lines = lines//'flags: '//without_negations(flags)//newline
    if (has_levels) lines = lines//'flags outside the kernels: '// &
                            without_negations(compiler_options())//newline
    text = lines

  end subroutine build_report

  !> Say which vector instructions the measured speeds need, and warn if there are none: one or two lines.
  pure function vector_remarks(multiply_adds, exponential) result(lines)
    real(real64), intent(in) :: multiply_adds   !! multiply-adds per cycle in the layers
    real(real64), intent(in) :: exponential     !! cycles per exponential
    character(len=:), allocatable :: lines
    logical :: has_layers, has_functions

    has_layers = multiply_adds > most_of_scalars
    has_functions = exponential < most_of_vectors
    lines = 'vector instructions: '//vector_width(multiply_adds)//newline
    if (.not. (has_layers .and. has_functions)) then
      lines = lines//'warning: '//subject(has_layers, has_functions)// &
              ' compiled without vector instructions: several times slower; add '//advice//newline
    end if

  end function vector_remarks

  !> Return the name of a level.
  pure function level_name(level) result(name)
    integer, intent(in) :: level   !! 1 to 4
    character(len=:), allocatable :: name

    name = 'x86-64'
    if (level > 1) name = name//'-v'//achar(iachar('0') + level)

  end function level_name

  !> Return the part of the kernels that lacks vector instructions.
  pure function subject(has_layers, has_functions) result(text)
    logical, intent(in) :: has_layers      !! whether the layers have vector instructions
    logical, intent(in) :: has_functions   !! whether the vector functions have them
    character(len=:), allocatable :: text

    text = 'the kernels were'
    if (has_layers) text = 'exponentials and activation functions were'
    if (has_functions) text = 'the dense layers were'

  end function subject

  !> Return which vector width the layers need at least for their speed: a core starts at most two operations of the
  !> full width per cycle.
  pure function vector_width(multiply_adds) result(text)
    real(real64), intent(in) :: multiply_adds   !! multiply-adds per cycle
    character(len=:), allocatable :: text
    integer :: bits

    bits = 128
    do while (multiply_adds*storage_size(1.0_wp) > 2.2_real64*bits)
      bits = 2*bits
    end do
    text = 'none found in the layers'
    if (multiply_adds > most_of_scalars) text = 'at least '//to_text(bits)//' bits wide'

  end function vector_width

  !> Leave out the instructions that a CPU does not have, of which gfortran lists dozens.
  pure function without_negations(flags) result(text)
    character(len=*), intent(in) :: flags   !! flags of the compiler
    character(len=:), allocatable :: text
    integer :: start, length

    text = ''
    start = 1
    do while (start <= len(flags))
      length = index(flags(start:)//' ', ' ')
      if (index(flags(start:), '-mno-') /= 1) text = text//flags(start:min(start + length - 1, len(flags)))
      start = start + length
    end do

  end function without_negations

  !> Write a number with one decimal place.
  pure function decimal(number) result(text)
    real(real64), intent(in) :: number   !! any number
    character(len=:), allocatable :: text
    character(len=32) :: buffer

    write (buffer, '(f20.1)') number
    text = trim(adjustl(buffer))

  end function decimal

end module emufort_build
#endif
