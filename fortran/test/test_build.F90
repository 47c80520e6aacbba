!> The build report names the kernels in use and their flags, and judges measured speeds.
!>
!>     test_build LEVELS
!>
!> LEVELS is 0 for a library of one level, otherwise the highest level that the environment allows.
program test_build
  use, intrinsic :: iso_c_binding, only: c_int
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_build, only: vector_remarks
  use emufort_runtime, only: emufort_build_report
  use test_support, only: check
  implicit none
  character(len=8000) :: text
  character(len=20) :: short, argument, wanted
  integer :: allowed
#ifdef EMUFORT_LEVELS
  interface
    integer(c_int) function emufort_cpu_level() bind(C)
      import :: c_int
    end function emufort_cpu_level
  end interface
#endif

  call get_command_argument(1, argument)
  read (argument, *) allowed
  call emufort_build_report(text)
  print '(a)', trim(text)
  call check(index(text, 'precision: ') == 1, 'the report begins with the precision')
  call check(index(text, achar(10)//'compiler: ') > 0, 'the report names the compiler')
  call check(index(text, achar(10)//'speed: ') > 0, 'the report has the speed')
  if (allowed == 0) then
    wanted = 'one level'
  else
    wanted = 'x86-64'
#ifdef EMUFORT_LEVELS
    allowed = min(allowed, int(emufort_cpu_level()))
#endif
    if (allowed > 1) wanted = 'x86-64-v'//achar(iachar('0') + allowed)
    call check(allowed == 1 .or. index(text, achar(10)//'flags: ') < index(text, '-march='//trim(wanted)), &
               'the kernels have the flags of their level')
    call check((index(text, '-march=x86-64-v') > 0) .eqv. allowed > 1, 'the flags are those of one level')
  end if
  call check(index(text, achar(10)//'kernels: '//trim(wanted)//',') > 0, 'the level is that of the CPU or lower')
  call check(index(text, achar(10)//'vector instructions: ') > 0, 'the report has the width of the vectors')
  call emufort_build_report(short)
  call check(short == text(:20), 'a short text is cut')
  ! Speeds depend on the machine, so the judgement is tested with given numbers.
  text = vector_remarks(1.5_real64, 14.0_real64)
  call check(index(text, 'vector instructions: none') == 1, 'scalar code has no vector instructions')
  call check(index(text, 'warning: the kernels were compiled without') > 0, 'scalar code is reported')
  text = vector_remarks(1.0_real64, 1.0_real64)
  call check(index(text, 'warning: the dense layers were compiled without') > 0, 'scalar layers are reported')
  text = vector_remarks(16.0_real64, 1.0_real64)
  call check(index(text, 'vector instructions: at least ') == 1, 'the width of the vectors is known')
  call check(index(text, 'warning: ') == 0, 'vector code has no warning')

end program test_build
