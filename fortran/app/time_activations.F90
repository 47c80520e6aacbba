!> Times the activation functions and the vector functions: ns of processor time per value, on one core.
!>
!>     time_activations [VALUES [REPEATS]]
!>
!> VALUES (default 1,024) is the length of the array, which should stay in the first-level cache. REPEATS (default 21)
!> is the number of rounds; each round times all functions in turn. Prints lines `function,median,least,ratio`; `ratio`
!> is the median divided by the median of a plain loop over the intrinsic exp in the same run. The values lie between -4
!> and 4, for ln between 0.01 and 4.01. They are copied before each call; the time of the copy is measured and
!> subtracted.
program time_activations
  use, intrinsic :: iso_fortran_env, only: int64, real64, output_unit, error_unit
  use emufort_kinds, only: wp
  use emufort_math, only: vector_erfc
  use emufort_activations, only: activate, activation_code, activation_names, activation_squared_relu, &
                                 n_activations
  implicit none
  integer, parameter :: copy_alone = 1, plain_exp = 2
  ! linear and relu are part of the kernels of a dense layer
  integer, parameter :: n_functions = 4 + n_activations - activation_squared_relu
  character(len=12), parameter :: names(n_functions) = [character(len=12) :: &
                                                        'copy', 'plain exp', 'erfc', &
                                                        activation_names(activation_squared_relu:)]
  real(real64), parameter :: shortest = 2.0e-3_real64
  real(wp), allocatable :: x(:), a(:)
  real(real64), allocatable :: times(:, :)
  real(real64) :: typical(n_functions), least(n_functions)
  integer(int64) :: passes(n_functions)
  integer :: n, repeats, f, r

  n = argument(1, 1024)
  repeats = argument(2, 21)
  allocate (x(n), a(n), times(repeats, n_functions))
  call random_number(x)
  do f = 1, n_functions
    passes(f) = 1_int64
    do while (seconds_of(f, passes(f)) < shortest)
      passes(f) = 2_int64*passes(f)
    end do
  end do
  do r = 1, repeats
    do f = 1, n_functions
      times(r, f) = 1.0e9_real64*seconds_of(f, passes(f))/(real(passes(f), real64)*n)
    end do
  end do
  do f = 1, n_functions
    typical(f) = median(times(:, f))
    least(f) = minval(times(:, f))
  end do
  do f = plain_exp, n_functions
    write (output_unit, '(a,2(",",f0.4),",",f0.3)') trim(names(f)), typical(f) - typical(copy_alone), &
      least(f) - least(copy_alone), (typical(f) - typical(copy_alone))/(typical(plain_exp) - typical(copy_alone))
  end do

contains

  !> Return the time of a number of passes over the array [s].
  real(real64) function seconds_of(f, n_passes)
    integer, intent(in) :: f                  !! number of the function
    integer(int64), intent(in) :: n_passes    !! number of passes
    real(real64) :: start, finish
    integer(int64) :: pass
    integer :: code, i

    code = activation_code(trim(names(f)))
    call cpu_time(start)
    do pass = 1_int64, n_passes
      select case (trim(names(f)))
      case ('ln', 'sqrt')
        a = 0.01_wp + 4.0_wp*x
      case default
        a = 8.0_wp*x - 4.0_wp
      end select
      select case (trim(names(f)))
      case ('copy')
        ! Use the copy, so that the compiler cannot omit it.
        i = 1 + int(mod(pass, int(n, int64)))
        x(i) = 0.125_wp*(a(i) + 4.0_wp)
      case ('plain exp')
        do i = 1, n
          a(i) = exp(a(i))
        end do
      case ('erfc')
        call vector_erfc(n, a)
      case default
        call activate(code, n, a, 0.01_wp)
      end select
    end do
    call cpu_time(finish)
    seconds_of = finish - start
    if (.not. all(abs(a) <= huge(a))) call fail(trim(names(f))//' gives NaN or infinity')

  end function seconds_of

  !> Return the median of some numbers.
  pure real(real64) function median(values)
    real(real64), intent(in) :: values(:)   !! numbers
    integer :: i

    ! For an even number of values, the greater of the two middle ones.
    median = values(1)
    do i = 1, size(values)
      median = values(i)
      if (count(values < values(i)) <= size(values)/2 .and. count(values <= values(i)) > size(values)/2) return
    end do

  end function median

  !> Return a positive integer from the command line.
  integer function argument(place, default)
    integer, intent(in) :: place     !! place among the arguments
    integer, intent(in) :: default   !! value if it is missing
    character(len=20) :: text
    integer :: failure

    argument = default
    if (command_argument_count() < place) return
    call get_command_argument(place, text)
    read (text, *, iostat=failure) argument
    if (failure /= 0 .or. argument < 1) call fail('VALUES and REPEATS must be positive integers')

  end function argument

  !> Print an error message and end the program.
  subroutine fail(message)
    character(len=*), intent(in) :: message   !! error message

    write (error_unit, '(a)') 'time_activations: '//message
    stop 1, quiet = .true.

  end subroutine fail

end program time_activations
