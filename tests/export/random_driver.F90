!> The generated module of the emulator `random` and the loader agree bit by bit, whatever the shape of the network.
!>
!>     random_driver WEIGHTS INPUTS
!>
!> -DNA to -DNW are the lengths of the variables; with -DLOADS the module has no weights of its own. Every column must have
!> the bits that it has alone, by every procedure, on blocks of all sizes, with and without a workspace; and every call on
!> at most 128 kB of stack, for which it runs in a thread with a painted one.
module random_calls
  use, intrinsic :: iso_c_binding, only: c_ptr
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use emufort_runtime, only: emulator_type, emufort_block_columns
#ifdef LOADS
  use random_emulator, only: random_emulator_start => random_emulator_load
#else
  use random_emulator, only: random_emulator_start => random_emulator_init
#endif
  use random_emulator, only: random_emulator_predict, random_emulator_predict_block, random_emulator_make_workspace, &
                             status_type, workspace_type
  implicit none
  integer, parameter :: n_in = NA + NB + 1 + NC, n_out = 1 + NU + NV + NW, most = 71
  type(emulator_type), save :: emulator
  type(workspace_type), save :: workspace, of_loader
  type(status_type), save :: status
  integer, save :: way = 0, ncol = 0
  real(real64), save :: x(most, n_in) = 0.0_real64
  real(real64), allocatable, save :: a(:, :), b(:, :), c(:, :), r(:), q(:), u(:, :), v(:, :), w(:, :), y(:, :), &
                                     x_t(:, :)
  real(real64), allocatable, save :: y_t(:, :), x_n(:, :)
  real(real32), allocatable, save :: a4(:, :), b4(:, :), c4(:, :), r4(:), q4(:), u4(:, :), v4(:, :), w4(:, :)
  real(real64), save :: block_x(emufort_block_columns, n_in) = 0.0_real64
  real(real64), save :: block_y(emufort_block_columns, n_out) = 0.0_real64
  logical, allocatable, save :: is_outside(:)

contains

  !> Host arrays for the first `ncol` columns.
  subroutine make_arrays()

    if (allocated(a)) deallocate (a, b, c, r, q, u, v, w, y, x_t, y_t, x_n, a4, b4, c4, r4, q4, u4, v4, w4, is_outside)
    x_n = x(1:ncol, :)
    x_t = transpose(x_n)
    a = x_n(:, 1:NA)
    b = x_n(:, NA + 1:NA + NB)
    r = x_n(:, NA + NB + 1)
    c = x_n(:, NA + NB + 2:)
    a4 = real(a, real32)
    b4 = real(b, real32)
    r4 = real(r, real32)
    c4 = real(c, real32)
    block_x = -1.0_real64
    block_x(1:min(ncol, emufort_block_columns), :) = x_n(1:min(ncol, emufort_block_columns), :)
    allocate (q(ncol), u(ncol, NU), v(ncol, NV), w(ncol, NW), q4(ncol), u4(ncol, NU), v4(ncol, NV), w4(ncol, NW))
    allocate (is_outside(max(ncol, emufort_block_columns)))
    allocate (y(ncol, n_out), y_t(n_out, ncol), source=-1.0_real64)

  end subroutine make_arrays

  !> One call; the way 0 does nothing.
  recursive function call_in_thread(argument) bind(c) result(answer)
    type(c_ptr), value :: argument   !! not looked at
    type(c_ptr) :: answer            !! none

    answer = argument
    select case (abs(way))
    case (1)
      if (way > 0) then
        call random_emulator_predict(ncol, a, b, r, c, q, u, v, w, status, is_outside)
      else
        call random_emulator_predict(ncol, a, b, r, c, q, u, v, w, status, is_outside, workspace)
      end if
    case (2)
      if (way > 0) then
        call random_emulator_predict(ncol, a4, b4, r4, c4, q4, u4, v4, w4, status, is_outside)
      else
        call random_emulator_predict(ncol, a4, b4, r4, c4, q4, u4, v4, w4, status, is_outside, workspace)
      end if
    case (3)
      if (way > 0) then
        call random_emulator_predict_block(min(ncol, emufort_block_columns), .false., block_x, block_y, status, &
                                           is_outside)
      else
        call random_emulator_predict_block(min(ncol, emufort_block_columns), .false., block_x, block_y, status, &
                                           is_outside, workspace)
      end if
    case (4)
      if (way > 0) then
        call emulator%predict(x_n, y, status, is_outside(1:ncol))
      else
        call emulator%predict(x_n, y, status, is_outside(1:ncol), of_loader)
      end if
    case (5)
      if (way > 0) then
        call emulator%predict_transposed(x_t, y_t, status, is_outside(1:ncol))
      else
        call emulator%predict_transposed(x_t, y_t, status, is_outside(1:ncol), of_loader)
      end if
    case (6)
      if (way > 0) then
        call emulator%predict_block(min(ncol, emufort_block_columns), .false., block_x, block_y, status, is_outside)
      else
        call emulator%predict_block(min(ncol, emufort_block_columns), .false., block_x, block_y, status, is_outside, &
                                    of_loader)
      end if
    case default
      continue
    end select

  end function call_in_thread

end module random_calls

program random_driver
  use, intrinsic :: iso_c_binding, only: c_funloc
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use emufort_runtime, only: emufort_success, emufort_block_columns, emufort_clear_status
  use painted_stack, only: stack_of_thread, stack_allowed
  use random_calls
  implicit none
  integer, parameter :: numbers(9) = [1, 4, 5, 16, 17, 20, 32, 33, most]
  character(len=1000) :: path
  real(real64) :: columns(most, n_out)
  logical :: outside(most)
  integer(int64) :: n_clipped(most), n_invalid(most)
  integer :: i, k, n, unit, empty, used, largest

  call get_command_argument(2, path)
  open (newunit=unit, file=trim(path), access='stream', form='unformatted', status='old', action='read')
  read (unit) x
  close (unit)
  call get_command_argument(1, path)
#ifdef LOADS
  call random_emulator_start(trim(path), status)
#else
  call random_emulator_start(status)
#endif
  call expect(status%code == emufort_success, 'the module loads or decodes')
  call emulator%load(trim(path), status)
  call expect(status%code == emufort_success, 'the file loads')
  call emulator%self_test(status)
  call expect(status%code == emufort_success, 'the golden rows of Python: '//trim(status%message))
  call random_emulator_make_workspace(workspace, status)
  call expect(status%code == emufort_success, 'the module makes a workspace')
  call emulator%make_workspace(of_loader, status)
  call expect(status%code == emufort_success, 'the loader makes a workspace')

  do i = 1, most
    call emulator%predict(x(i:i, :), columns(i:i, :), status, outside(i:i))
    call expect(status%code == emufort_success, 'a column')
    n_clipped(i) = status%n_clipped
    n_invalid(i) = status%n_invalid
  end do
  call expect(count(outside) == 4 .and. sum(n_invalid) == 2, 'four columns are outside, two of them no numbers')
  largest = 0
  empty = 0
  do i = 1, size(numbers)
    ncol = numbers(i)
    do k = 0, 12
      way = (k + 1)/2*merge(1, -1, mod(k, 2) == 0)
      call make_arrays()
      n = ncol
      if (abs(way) == 3 .or. abs(way) == 6) n = min(n, emufort_block_columns)
      call emufort_clear_status(status)
      used = stack_of_thread(c_funloc(call_in_thread))
      if (way == 0) then
        empty = used
        cycle
      end if
      largest = max(largest, used - empty)
      call expect(used - empty <= stack_allowed, 'at most 128 kB of stack')
      call expect(status%code == emufort_success, 'a call')
      select case (abs(way))
      case (1)
        y(:, 1) = q
        y(:, 2:NU + 1) = u
        y(:, NU + 2:NU + NV + 1) = v
        y(:, NU + NV + 2:) = w
      case (2)
        y(:, 1) = real(q4, real64)
        y(:, 2:NU + 1) = real(u4, real64)
        y(:, NU + 2:NU + NV + 1) = real(v4, real64)
        y(:, NU + NV + 2:) = real(w4, real64)
      case (3, 6)
        y(1:n, :) = block_y(1:n, :)
      case (5)
        y = transpose(y_t)
      end select
      if (abs(way) == 2) then
        call expect(all(same(y(1:n, :), real(real(columns(1:n, :), real32), real64))), 'the rounded bits')
      else
        call expect(all(same(y(1:n, :), columns(1:n, :))), 'the same bits')
        call expect(status%n_clipped == sum(n_clipped(1:n)), 'values clipped')
      end if
      call expect(status%n_invalid == sum(n_invalid(1:n)), 'columns invalid')
      call expect(all(is_outside(1:n) .eqv. outside(1:n)), 'columns outside')
    end do
  end do
  print '(a,i0,a)', 'the same bits, at most ', largest, ' bytes of stack'

contains

  pure elemental logical function same(one, other)
    real(real64), intent(in) :: one, other

    same = transfer(one, 0_int64) == transfer(other, 0_int64)

  end function same

  !> Stop unless a condition holds.
  subroutine expect(condition, what)
    logical, intent(in) :: condition        !! what must be true
    character(len=*), intent(in) :: what    !! what it means

    if (condition) return
    print '(3a,i0,a,i0)', 'FAILED: ', what, ', way ', way, ', columns ', ncol
    error stop 1

  end subroutine expect

end program random_driver
