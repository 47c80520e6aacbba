!> Measures the stack that a call needs. The call runs in a thread on a stack that was filled with a known pattern; the
!> bytes that changed were used. Linux only.
module painted_stack
  use, intrinsic :: iso_c_binding, only: c_ptr, c_funptr, c_int, c_intptr_t, c_size_t, c_null_ptr, c_loc
  use, intrinsic :: iso_fortran_env, only: int8, int64
  implicit none
  private

  public :: stack_of_thread, stack_allowed

  !> Largest stack that a call may need for any network [bytes].
  integer, parameter :: stack_allowed = 131072
  integer, parameter :: stack_size = 4*stack_allowed

  interface
    integer(c_int) function pthread_attr_init(attributes) bind(c)
      import :: c_int, c_ptr
      type(c_ptr), value :: attributes
    end function pthread_attr_init

    integer(c_int) function pthread_attr_setstack(attributes, stack, length) bind(c)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: attributes, stack
      integer(c_size_t), value :: length
    end function pthread_attr_setstack

    integer(c_int) function pthread_create(thread, attributes, procedure, argument) bind(c)
      import :: c_int, c_ptr, c_funptr
      type(c_ptr), value :: thread, attributes, argument
      type(c_funptr), value :: procedure
    end function pthread_create

    integer(c_int) function pthread_join(thread, answer) bind(c)
      import :: c_int, c_ptr, c_intptr_t
      integer(c_intptr_t), value :: thread
      type(c_ptr), value :: answer
    end function pthread_join
  end interface

contains

  !> Return the number of bytes of stack that a thread used to run a procedure.
  integer function stack_of_thread(procedure)
    type(c_funptr), value :: procedure   !! a start routine for pthread_create
    integer(int8), allocatable, target, save :: memory(:)
    integer(int64), target, save :: attributes(32) = 0_int64
    integer(c_intptr_t), target, save :: thread = 0
    integer(int8), parameter :: paint = 85_int8
    integer :: first, i

    if (.not. allocated(memory)) allocate (memory(stack_size + 4096))
    memory = paint
    first = 4097 - int(mod(transfer(c_loc(memory), 0_int64), 4096_int64))
    i = pthread_attr_init(c_loc(attributes))
    i = i + pthread_attr_setstack(c_loc(attributes), c_loc(memory(first)), int(stack_size, c_size_t))
    if (i == 0) i = pthread_create(c_loc(thread), c_loc(attributes), procedure, c_null_ptr)
    if (i == 0) i = pthread_join(thread, c_null_ptr)
    if (i /= 0) error stop 'a thread does not run on a stack of our own'
    stack_of_thread = 0
    ! Stacks grow downwards.
    do i = first, first + stack_size - 1
      if (memory(i) /= paint) then
        stack_of_thread = first + stack_size - i
        exit
      end if
    end do

  end function stack_of_thread

end module painted_stack
