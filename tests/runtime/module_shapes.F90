!> Hosts whose arrays are (lon, lat, lev), (variable, ncol) or longer than ncol: they get the bits of (ncol, n) without
!> copies, from the generated module of the emulator `pond` and from the loaded emulator.
!>
!>     module_shapes WEIGHTS
program module_shapes
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use emufort_runtime, only: emulator_type, emufort_success, emufort_error_shape
  use pond_emulator, only: pond_emulator_predict, pond_emulator_predict_real32, pond_emulator_predict_real64, &
                           pond_emulator_strided_real32, pond_emulator_strided_real64, status_type
  implicit none
  integer, parameter :: lon = 5, lat = 3, lev = 7, ncol = lon*lat*lev, most = ncol + 11
  integer, parameter :: n_inputs = 4, n_outputs = 3
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=1000) :: path
  real(real64) :: x(ncol, n_inputs), wanted(ncol, n_outputs)
  real(real32) :: wanted32(ncol, n_outputs)
  logical :: expected(ncol)

  call random_number(x)
  x(:, 1) = 0.2_real64 + 20.0_real64*x(:, 1)
  x(:, 2) = 276.0_real64 + 20.0_real64*x(:, 2)
  x(:, 3) = 276.0_real64 + 15.0_real64*x(:, 3)
  x(:, 4) = 1.0e-6_real64 + 1.0e-4_real64*x(:, 4)
  x(7, 1) = 1.0e9_real64
  x = real(real(x, real32), real64)
  call get_command_argument(1, path)
  call emulator%load(trim(path), status)
  if (status%code /= emufort_success) error stop 'load'
  call pond_emulator_predict(ncol, x(:, 1), x(:, 2:3), x(:, 4), wanted(:, 1), wanted(:, 2:3), status, expected)
  if (status%code /= emufort_success .or. status%n_clipped /= 1) error stop 'predict'
  wanted32 = real(wanted, real32)
  call longitude_latitude_level()
  call transposed()
  call longer()
  call refused()
  print '(a)', 'the same bits'

contains

  !> Contiguous arrays (lon, lat, lev) and (lon, lat, lev, n): the specific procedures take them as they are.
  subroutine longitude_latitude_level()
    real(real64), dimension(lon, lat, lev) :: a, c, d
    real(real64), dimension(lon, lat, lev, 2) :: b, e
    real(real32), dimension(lon, lat, lev) :: a32, c32, d32
    real(real32), dimension(lon, lat, lev, 2) :: b32, e32
    real(real64) :: whole(lon, lat, lev, n_inputs), y(lon, lat, lev, n_outputs)
    logical :: is_outside(lon, lat, lev)

    a = reshape(x(:, 1), shape(a))
    b = reshape(x(:, 2:3), shape(b))
    c = reshape(x(:, 4), shape(c))
    call pond_emulator_predict_real64(size(a), a, b, c, d, e, status, is_outside)
    call compare(reshape(d, [ncol]), reshape(e, [ncol, 2]), '(lon, lat, lev)')
    if (any(reshape(is_outside, [ncol]) .neqv. expected)) error stop 'is_outside'
    a32 = real(a, real32)
    b32 = real(b, real32)
    c32 = real(c, real32)
    call pond_emulator_predict_real32(size(a), a32, b32, c32, d32, e32, status)
    call compare_single(reshape(d32, [ncol]), reshape(e32, [ncol, 2]), '(lon, lat, lev), real32')

    whole = reshape(x, shape(whole))
    y = -1.0_real64
    call emulator%predict_strided_real64(ncol, whole, [1, ncol], y, [1, ncol], status, is_outside)
    call compare(reshape(y(:, :, :, 1), [ncol]), reshape(y(:, :, :, 2:3), [ncol, 2]), 'loaded, (lon, lat, lev, n)')
    if (any(reshape(is_outside, [ncol]) .neqv. expected)) error stop 'is_outside'

  end subroutine longitude_latitude_level

  !> Arrays with the level as the first dimension: (n, ncol).
  subroutine transposed()
    real(real64) :: a(ncol), b(2, ncol), c(ncol), d(ncol), e(2, ncol)
    real(real32) :: a32(ncol), b32(2, ncol), c32(ncol), d32(ncol), e32(2, ncol)
    integer, parameter :: strides(2, 5) = reshape([1, 0, 2, 1, 1, 0, 1, 0, 2, 1], [2, 5])

    a = x(:, 1)
    b = transpose(x(:, 2:3))
    c = x(:, 4)
    call pond_emulator_strided_real64(ncol, strides, a, b, c, d, e, status)
    call compare(d, transpose(e), '(n, ncol)')
    a32 = real(a, real32)
    b32 = real(b, real32)
    c32 = real(c, real32)
    call pond_emulator_strided_real32(ncol, strides, a32, b32, c32, d32, e32, status)
    call compare_single(d32, transpose(e32), '(n, ncol), real32')
    call pond_emulator_strided_real64(3, strides, a(5), b(1, 5), c(5), d(5), e(1, 5), status)
    call compare(d, transpose(e), 'few columns from the fifth on')

  end subroutine transposed

  !> Arrays of the host that are longer than the number of columns, and hold other variables too: (most, 4, n).
  subroutine longer()
    real(real64), dimension(most, 4, n_inputs) :: from
    real(real64), dimension(most, 4, n_outputs) :: to
    integer :: strides(2, 5)

    from = huge(1.0_real64)
    from(:ncol, 2, :) = x
    to = -1.0_real64
    strides(1, :) = 1
    strides(2, :) = 4*most
    call pond_emulator_strided_real64(ncol, strides, from(1, 2, 1), from(1, 2, 2), from(1, 2, 4), &
                                      to(1, 3, 1), to(1, 3, 2), status)
    call compare(to(:ncol, 3, 1), to(:ncol, 3, 2:3), 'longer arrays')
    to(:ncol, 3, :) = -1.0_real64
    if (any(abs(to + 1.0_real64) > 0.0_real64)) error stop 'other values changed'

  end subroutine longer

  !> Wrong numbers are errors, and change nothing.
  subroutine refused()
    real(real64) :: y(ncol, n_outputs)
    integer :: strides(2, 5)

    y = -1.0_real64
    strides = 1
    strides(1, 3) = -1
    call pond_emulator_strided_real64(ncol, strides, x, x, x, y, y(1, 2), status)
    if (status%code /= emufort_error_shape) error stop 'a negative stride'
    strides(1, 3) = 1
    call pond_emulator_strided_real64(-1, strides, x, x, x, y, y(1, 2), status)
    if (status%code /= emufort_error_shape) error stop 'a negative number of columns'
    call emulator%predict_strided_real64(ncol, x, [1, -1], y, [1, ncol], status)
    if (status%code /= emufort_error_shape) error stop 'a negative stride of x'
    call emulator%predict_strided_real64(ncol, x, [1, ncol], y, [-1, ncol], status)
    if (status%code /= emufort_error_shape) error stop 'a negative stride of y'
    call emulator%predict_strided_real64(-1, x, [1, ncol], y, [1, ncol], status)
    if (status%code /= emufort_error_shape) error stop 'a negative number of columns of a loaded emulator'
    call pond_emulator_strided_real64(0, strides, x, x, x, y, y(1, 2), status)
    if (status%code /= emufort_success) error stop 'no columns'
    if (any(abs(y + 1.0_real64) > 0.0_real64)) error stop 'outputs after an error'

  end subroutine refused

  !> Stop unless the outputs have the wanted bits.
  subroutine compare(first, others, what)
    real(real64), intent(in) :: first(ncol), others(ncol, 2)
    character(len=*), intent(in) :: what

    if (any(transfer(first, [0_int64]) /= transfer(wanted(:, 1), [0_int64])) .or. &
        any(transfer(others, [0_int64]) /= transfer(wanted(:, 2:3), [0_int64]))) then
      print '(2a)', 'other bits: ', what
      error stop 1
    end if

  end subroutine compare

  !> Stop unless the outputs have the wanted bits, in single precision.
  subroutine compare_single(first, others, what)
    real(real32), intent(in) :: first(ncol), others(ncol, 2)
    character(len=*), intent(in) :: what

    if (any(transfer(first, [0_int32]) /= transfer(wanted32(:, 1), [0_int32])) .or. &
        any(transfer(others, [0_int32]) /= transfer(wanted32(:, 2:3), [0_int32]))) then
      print '(2a)', 'other bits: ', what
      error stop 1
    end if

  end subroutine compare_single

end program module_shapes
