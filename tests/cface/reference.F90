!> The Fortran interfaces for the C and C++ programs of these tests: the same columns give the same bits.
module reference
  use, intrinsic :: iso_c_binding, only: c_int, c_double, c_float, c_char
  use emufort_runtime, only: emulator_type, status_type
  use pond_emulator, only: pond_emulator_predict
  implicit none
  private

  type(emulator_type), save :: emulator

contains

  !> Load weights.bin into the Fortran emulator.
  integer(c_int) function reference_load(path, length) bind(c)
    integer(c_int), value :: length                          !! characters of the path
    character(kind=c_char), intent(in) :: path(length)       !! path of weights.bin
    character(len=:), allocatable :: text
    type(status_type) :: status
    integer :: i

    allocate (character(len=length) :: text)
    do i = 1, length
      text(i:i) = path(i)
    end do
    call emulator%load(text, status)
    reference_load = status%code

  end function reference_load

  !> Predict by the loaded emulator and by the generated module; returns 0 if both have the same bits.
  integer(c_int) function reference_f64(ncol, x, y) bind(c)
    integer(c_int), value :: ncol                    !! columns
    real(c_double), intent(in) :: x(ncol, 4)         !! inputs
    real(c_double), intent(inout) :: y(ncol, 3)      !! outputs
    type(status_type) :: status
    real(c_double) :: again(ncol, 3)

    call emulator%predict(x, y, status)
    reference_f64 = status%code
    call pond_emulator_predict(ncol, x(:, 1), x(:, 2:3), x(:, 4), again(:, 1), again(:, 2:3), status)
    reference_f64 = reference_f64 + status%code
    if (any(transfer(again, [0_c_int]) /= transfer(y, [0_c_int]))) reference_f64 = 100

  end function reference_f64

  !> The same in single precision.
  integer(c_int) function reference_f32(ncol, x, y) bind(c)
    integer(c_int), value :: ncol                    !! columns
    real(c_float), intent(in) :: x(ncol, 4)          !! inputs
    real(c_float), intent(inout) :: y(ncol, 3)       !! outputs
    type(status_type) :: status
    real(c_float) :: again(ncol, 3)

    call emulator%predict(x, y, status)
    reference_f32 = status%code
    call pond_emulator_predict(ncol, x(:, 1), x(:, 2:3), x(:, 4), again(:, 1), again(:, 2:3), status)
    reference_f32 = reference_f32 + status%code
    if (any(transfer(again, [0_c_int]) /= transfer(y, [0_c_int]))) reference_f32 = 100

  end function reference_f32

end module reference
