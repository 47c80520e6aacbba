!> The ways in which a host may call an emulator, for the tests that compare them.
module host_ways
  use emufort_runtime, only: emulator_type, status_type, workspace_type, emufort_block_columns
  use emufort_kinds, only: real32, real64
  implicit none
  private

  public :: n_ways, way_names, is_single_way, predict_by

  !> Names of the ways: the layout of the arrays of the host and their precision.
  integer, parameter :: n_ways = 8
  character(len=*), parameter :: way_names(n_ways) = [character(len=29) :: &
                                                      'real64 (ncol, nvar)', 'real64 (nvar, ncol)', &
                                                      'real64, one array a variable', 'real32 (ncol, nvar)', &
                                                      'real32 (nvar, ncol)', 'real32, one array a variable', &
                                                      'real64, strides', 'real32, strides']
  !> Whether the arrays have single precision.
  logical, parameter :: is_single_way(n_ways) = [.false., .false., .false., .true., .true., .true., .false., .true.]

  !> One variable of a host that has one array per variable.
  type :: variable_type
    real(real64), allocatable :: double(:)   !! (ncol), or
    real(real32), allocatable :: single(:)   !! (ncol)
  end type variable_type

contains

  !> Predict in one of the ways; any number of threads may call this at the same time. With single precision, the
  !> outputs are exact in single precision.
  recursive subroutine predict_by(way, emulator, x, y, status, workspace)
    integer, intent(in) :: way                    !! 1 to n_ways
    type(emulator_type), intent(in) :: emulator   !! a loaded emulator
    real(real64), intent(in) :: x(:, :)           !! inputs, exact in single precision (ncol, n_inputs)
    real(real64), intent(out) :: y(:, :)          !! outputs (ncol, n_outputs)
    type(status_type), intent(out) :: status      !! outcome
    type(workspace_type), intent(inout), optional :: workspace   !! one per thread
    real(real64), allocatable :: y_t(:, :)
    real(real32), allocatable :: y32(:, :)

    select case (way)
    case (1)
      call emulator%predict(x, y, status, workspace=workspace)
    case (2)
      allocate (y_t(size(y, 2), size(y, 1)))
      call emulator%predict_transposed(transpose(x), y_t, status, workspace=workspace)
      y = transpose(y_t)
    case (4)
      allocate (y32(size(y, 1), size(y, 2)))
      call emulator%predict(real(x, real32), y32, status, workspace=workspace)
      y = real(y32, real64)
    case (5)
      allocate (y32(size(y, 2), size(y, 1)))
      call emulator%predict_transposed(transpose(real(x, real32)), y32, status, workspace=workspace)
      y = real(transpose(y32), real64)
    case (7, 8)
      call predict_strided(emulator, is_single_way(way), x, y, status, workspace)
    case default
      call predict_variables(emulator, is_single_way(way), x, y, status, workspace)
    end select

  end subroutine predict_by

  !> Predict as a host whose arrays have other values between those of the emulator, which must not change:
  !> x(2, n_inputs, ncol + 3), y(ncol + 1, 3, n_outputs).
  recursive subroutine predict_strided(emulator, is_single, x, y, status, workspace)
    type(emulator_type), intent(in) :: emulator   !! a loaded emulator
    logical, intent(in) :: is_single              !! whether the arrays have single precision
    real(real64), intent(in) :: x(:, :)           !! inputs (ncol, n_inputs)
    real(real64), intent(out) :: y(:, :)          !! outputs (ncol, n_outputs)
    type(status_type), intent(out) :: status      !! outcome
    type(workspace_type), intent(inout), optional :: workspace   !! one per thread
    real(real64), allocatable :: x_host(:, :, :), y_host(:, :, :)
    real(real32), allocatable :: y32(:, :, :)
    integer :: n, x_strides(2), y_strides(2)

    n = size(x, 1)
    allocate (x_host(2, size(x, 2), n + 3), y_host(n + 1, 3, size(y, 2)))
    x_host = -huge(1.0_real32)
    x_host(1, :, :n) = transpose(x)
    y_host = -1.0_real64
    x_strides = [2*size(x, 2), 2]
    y_strides = [1, 3*(n + 1)]
    if (is_single) then
      y32 = real(y_host, real32)
      call emulator%predict_strided_real32(n, real(x_host, real32), x_strides, y32, y_strides, status, &
                                           workspace=workspace)
      y_host = real(y32, real64)
    else
      call emulator%predict_strided_real64(n, x_host, x_strides, y_host, y_strides, status, workspace=workspace)
    end if
    y = y_host(:n, 1, :)
    y_host(:n, 1, :) = -1.0_real64
    if (any(y_host < -1.0_real64 .or. y_host > -1.0_real64)) error stop 'predict_strided changed other values'

  end subroutine predict_strided

  !> Predict as a host that has one array per variable and gathers block by block.
  recursive subroutine predict_variables(emulator, is_single, x, y, status, workspace)
    type(emulator_type), intent(in) :: emulator   !! a loaded emulator
    logical, intent(in) :: is_single              !! whether the arrays have single precision
    real(real64), intent(in) :: x(:, :)           !! inputs (ncol, n_inputs)
    real(real64), intent(out) :: y(:, :)          !! outputs (ncol, n_outputs)
    type(status_type), intent(out) :: status      !! outcome
    type(workspace_type), intent(inout), optional :: workspace   !! one per thread
    type(variable_type), allocatable :: from(:), to(:)
    real(real64), allocatable :: block_x(:, :), block_y(:, :)
    logical :: is_outside(emufort_block_columns)
    integer :: first, last, n, j

    allocate (from(size(x, 2)), to(size(y, 2)))
    allocate (block_x(emufort_block_columns, size(x, 2)), block_y(emufort_block_columns, size(y, 2)))
    do j = 1, size(from)
      if (is_single) then
        from(j)%single = real(x(:, j), real32)
      else
        from(j)%double = x(:, j)
      end if
    end do
    do j = 1, size(to)
      allocate (to(j)%single(size(y, 1)), to(j)%double(size(y, 1)))
    end do
    do first = 1, size(x, 1), emufort_block_columns
      last = min(first + emufort_block_columns - 1, size(x, 1))
      n = last - first + 1
      do j = 1, size(from)
        if (is_single) then
          block_x(1:n, j) = real(from(j)%single(first:last), real64)
        else
          block_x(1:n, j) = from(j)%double(first:last)
        end if
      end do
      call emulator%predict_block(n, is_single, block_x, block_y, status, is_outside, workspace)
      do j = 1, size(to)
        if (is_single) then
          to(j)%single(first:last) = real(block_y(1:n, j), real32)
        else
          to(j)%double(first:last) = block_y(1:n, j)
        end if
      end do
    end do
    do j = 1, size(to)
      if (is_single) then
        y(:, j) = real(to(j)%single, real64)
      else
        y(:, j) = to(j)%double
      end if
    end do

  end subroutine predict_variables

end module host_ways
