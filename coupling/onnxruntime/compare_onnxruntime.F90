!> Compares ONNX Runtime with the runtime on the same inputs, and provokes errors.
!>
!>     compare_onnxruntime WEIGHTS MODEL LIBRARY INPUTS TOLERANCE
!>
!> WEIGHTS and MODEL belong to the same emulator. INPUTS has the format of time_emulator: int32 n and n_inputs, float64
!> x(n, n_inputs). Differences are relative to the value, or to the mean of the output if that is larger. The program
!> ends with exit code 1 at the first error.
program compare_onnxruntime
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64, output_unit, error_unit
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_is_nan
  use emufort_runtime, only: emulator_type, status_type, emufort_success, emufort_error_file, emufort_error_shape, &
                             emufort_error_not_loaded
  use emufort_onnxruntime, only: onnx_emulator_type, emufort_error_onnxruntime
  implicit none
  type(emulator_type) :: native
  type(onnx_emulator_type) :: onnx, other
  type(status_type) :: status
  character(len=4096) :: weights, model, library, inputs, text
  character(len=1024) :: description
  real(real64), allocatable :: x(:, :), y(:, :), wanted(:, :)
  real(real32), allocatable :: xs(:, :), ys(:, :), wanted_s(:, :)
  real(real64) :: tolerance
  integer(int32) :: n, n_inputs
  integer :: unit, threads, ncol, k

  call get_command_argument(1, weights)
  call get_command_argument(2, model)
  call get_command_argument(3, library)
  call get_command_argument(4, inputs)
  call get_command_argument(5, text)
  read (text, *) tolerance
  open (newunit=unit, file=trim(inputs), access='stream', form='unformatted', status='old', action='read')
  read (unit) n, n_inputs
  allocate (x(n, n_inputs))
  read (unit) x
  close (unit)

  call native%load(trim(weights), status)
  call expect(status%code == emufort_success, 'native load: '//status%message)
  allocate (y(n, native%n_outputs()), wanted(n, native%n_outputs()))
  allocate (xs(n, n_inputs), ys(n, native%n_outputs()), wanted_s(n, native%n_outputs()))
  xs = real(x, real32)
  call native%predict(x, wanted, status)
  call native%predict(xs, wanted_s, status)

  ! Before anything is loaded.
  call onnx%predict(x, y, status)
  call expect(status%code == emufort_error_not_loaded, 'predict before load')
  call expect(onnx%n_inputs() == 0 .and. onnx%n_outputs() == 0 .and. .not. onnx%is_loaded(), 'empty before load')
  call onnx%load('/nowhere/model.onnx', status, library=trim(library))
  call expect(status%code == emufort_error_file, 'a model that is not there')
  call onnx%load(trim(model), status, library='/nowhere/libonnxruntime.so')
  call expect(status%code == emufort_error_onnxruntime, 'a library that is not there')
  call onnx%load(trim(weights), status, library=trim(library))
  call expect(status%code == emufort_error_onnxruntime .and. len_trim(status%message) > 0, 'a file that is no model')
  call expect(.not. onnx%is_loaded(), 'empty after a failed load')

  do threads = 1, 2
    call onnx%load(trim(model), status, library=trim(library), threads=threads)
    call expect(status%code == emufort_success, 'load: '//status%message)
    call expect(onnx%n_inputs() == native%n_inputs() .and. onnx%n_outputs() == native%n_outputs(), 'sizes')
    do k = 1, 3
      ncol = merge(int(n), k, k == 3)
      y = 0.0_real64
      ys = 0.0_real32
      call onnx%predict(x(:ncol, :), y(:ncol, :), status)
      call expect(status%code == emufort_success, 'predict: '//status%message)
      call expect(difference(y(:ncol, :), wanted(:ncol, :)) <= tolerance, 'real64 differs')
      call onnx%predict(xs(:ncol, :), ys(:ncol, :), status)
      call expect(difference(real(ys(:ncol, :), real64), real(wanted_s(:ncol, :), real64)) <= tolerance, &
                  'real32 differs')
    end do
  end do
  write (output_unit, '(a,es10.2)') 'largest difference ', difference(y, wanted)
  call onnx%describe(description)
  call expect(index(description, 'onnxruntime') == 1 .and. index(description, trim(model)) > 0, 'describe')

  ! Shapes, no columns, NaN.
  call onnx%predict(x(:, 2:), y, status)
  call expect(status%code == emufort_error_shape, 'x of the wrong shape')
  call onnx%predict(x(:0, :), y(:0, :), status)
  call expect(status%code == emufort_success, 'no columns')
  x(2, 1) = ieee_value(1.0_real64, ieee_quiet_nan)
  call onnx%predict(x, y, status)
  call expect(status%n_invalid == 1_int64 .and. all(ieee_is_nan(y(2, :))), 'NaN in a column')
  call expect(.not. any(ieee_is_nan(y(3:, :))), 'NaN in other columns')

  ! Two emulators at a time, and one after the release of the other.
  call other%load(trim(model), status, library=trim(library))
  call onnx%release()
  call expect(.not. onnx%is_loaded(), 'empty after release')
  call other%predict(x(3:, :), y(3:, :), status)
  call expect(difference(y(3:, :), wanted(3:, :)) <= tolerance, 'the second emulator')
  call other%release()
  write (output_unit, '(a)') 'all well'

contains

  !> Return the largest difference relative to the value, or to the mean of its output.
  pure real(real64) function difference(a, b)
    real(real64), intent(in) :: a(:, :)   !! values (column, output)
    real(real64), intent(in) :: b(:, :)   !! reference (column, output)
    integer :: j

    difference = 0.0_real64
    do j = 1, size(b, 2)
      difference = max(difference, maxval(abs(a(:, j) - b(:, j))/max(abs(b(:, j)), sum(abs(b(:, j)))/size(b, 1))))
    end do

  end function difference

  !> End the program unless a condition holds.
  subroutine expect(holds, what)
    logical, intent(in) :: holds           !! condition that must hold
    character(len=*), intent(in) :: what   !! description of the condition

    if (holds) return
    write (error_unit, '(a)') 'compare_onnxruntime: '//trim(what)
    stop 1, quiet = .true.

  end subroutine expect

end program compare_onnxruntime
