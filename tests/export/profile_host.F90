!> A host with arrays (ncol, lev, band) and other orders calls the generated module of the emulator `profile`.
!>
!> The file of its first argument holds the number of columns, inputs and outputs in contract order; outputs of the
!> module for arrays of the natural shape go to the file of the second one.
program profile_host
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use profile_emulator, only: profile_emulator_predict, profile_emulator_strided_real32, &
                              profile_emulator_strided_real64, status_type
  implicit none
  integer, parameter :: nlev = 3, nband = 2, nangle = 2, n_in = 10, n_out = 19
  type(status_type) :: status
  character(len=1000) :: from, to
  integer(int64) :: length
  integer :: n, unit
  real(real64), allocatable :: x(:, :), cosine(:), depth(:, :, :), temperature(:, :)
  real(real64), allocatable :: heating(:, :, :), radiance(:, :, :, :), albedo(:)

  call get_command_argument(1, from)
  call get_command_argument(2, to)
  open (newunit=unit, file=trim(from), access='stream', form='unformatted', status='old', action='read')
  read (unit) length
  n = int(length)
  allocate (x(n, n_in))
  read (unit) x
  close (unit)
  cosine = x(:, 1)
  ! The contract counts the last dimension fastest.
  depth = reshape(x(:, 2:7), [n, nlev, nband], order=[1, 3, 2])
  temperature = x(:, 8:10)
  allocate (heating(n, nlev, nband), radiance(n, nband, nangle, nlev), albedo(n))
  call profile_emulator_predict(n, cosine, depth, temperature, heating, radiance, albedo, status)
  call check('predict')
  open (newunit=unit, file=trim(to), access='stream', form='unformatted', status='replace', action='write')
  write (unit) heating, radiance, albedo
  close (unit)
  call strided()
  call strided_single()
  print '(a)', 'the same bits'

contains

  !> Arrays (band, lev, n), (lev, n) and others; the strides are in the order of the contract's dimensions.
  subroutine strided()
    real(real64) :: d(nband, nlev, n), t(nlev, n), h(nlev, n, nband), r(nlev, nband, n, nangle), a(2, n)
    integer :: strides(4, 6), i

    d = reshape(depth, shape(d), order=[3, 2, 1])
    t = transpose(temperature)
    a = -1.0_real64
    strides(:, 1) = [1, 0, 0, 0]
    strides(:, 2) = [nband*nlev, nband, 1, 0]
    strides(:, 3) = [nlev, 1, 0, 0]
    strides(:, 4) = [nlev, 1, nlev*n, 0]
    strides(:, 5) = [nlev*nband, nlev, nlev*nband*n, 1]
    strides(:, 6) = [2, 0, 0, 0]
    call profile_emulator_strided_real64(n, strides, cosine, d, t, h, r, a, status)
    call check('strided')
    do i = 1, n
      if (any(differ(h(:, i, :), heating(i, :, :)))) error stop 'heating of strided arrays'
      if (any(differ(reshape(r(:, :, i, :), [nband, nangle, nlev], order=[3, 1, 2]), radiance(i, :, :, :)))) &
        error stop 'radiance of strided arrays'
    end do
    if (any(differ(a(1, :), albedo)) .or. any(differ(a(2, :), -1.0_real64))) error stop 'albedo of strided arrays'

  end subroutine strided

  !> Matrices in contract order, in single precision.
  subroutine strided_single()
    real(real32) :: xs(n, n_in), y(n, n_out), c(n), d(n, nlev, nband), t(n, nlev)
    real(real32) :: h(n, nlev, nband), r(n, nband, nangle, nlev), a(n)
    integer :: strides(4, 6)

    xs = real(x, real32)
    c = real(cosine, real32)
    d = real(depth, real32)
    t = real(temperature, real32)
    call profile_emulator_predict(n, c, d, t, h, r, a, status)
    call check('predict, single')
    strides(:, 1) = [1, 0, 0, 0]
    strides(:, 2) = [1, nband*n, n, 0]
    strides(:, 3) = [1, n, 0, 0]
    strides(:, 4) = [1, nband*n, n, 0]
    strides(:, 5) = [1, nangle*nlev*n, nlev*n, n]
    strides(:, 6) = [1, 0, 0, 0]
    call profile_emulator_strided_real32(n, strides, xs(:, 1), xs(:, 2), xs(:, 8:), y(:, 1), y(:, 7:), y(:, 19), status)
    call check('strided, single')
    if (any(differ_single(reshape(h, [n, nlev*nband]), y(:, [1, 3, 5, 2, 4, 6])))) &
      error stop 'heating in single precision'
    if (any(differ_single(a, y(:, 19)))) error stop 'albedo in single precision'

  end subroutine strided_single

  elemental logical function differ(a, b)
    real(real64), intent(in) :: a, b

    differ = transfer(a, 0_int64) /= transfer(b, 0_int64)

  end function differ

  elemental logical function differ_single(a, b)
    real(real32), intent(in) :: a, b

    differ_single = transfer(a, 0_int32) /= transfer(b, 0_int32)

  end function differ_single

  subroutine check(what)
    character(len=*), intent(in) :: what

    if (status%code /= 0 .or. status%n_clipped /= 0 .or. status%n_invalid /= 0) then
      print '(3a)', what, ': ', trim(status%message)
      error stop 1
    end if

  end subroutine check

end program profile_host
