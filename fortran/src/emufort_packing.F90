#ifndef EMUFORT_LEVEL
!> The weights of a network in the order in which the operations read them.
module emufort_packing
  use emufort_kinds, only: wp, int64, real64, lanes
  use emufort_status, only: status_type, set_error, emufort_error_format, emufort_error_limit
  use emufort_dense, only: pack_layer, packed_slack
  use emufort_plan, only: operation_size, operation_dense, row_code, row_n_in, row_n_out, row_weights, packed_size_of
  use emufort_ranges, only: is_finite
  use emufort_workspace, only: aligned_place
  implicit none
  private

  public :: pack_weights

contains

  !> Pack the weights of all operations of a plan that was checked. Shared weights are packed once.
  subroutine pack_weights(n_operations, operations, values, packed, first, status)
    integer, intent(in) :: n_operations                               !! number of operations
    integer, intent(in) :: operations(operation_size, n_operations)   !! operations of the plan
    real(real64), intent(in) :: values(:)                             !! weights, then biases, of each operation
    real(wp), allocatable, intent(out) :: packed(:)                   !! packed weights
    integer, intent(out) :: first                                     !! element of the first weight, on a cache line
    type(status_type), intent(inout) :: status                        !! outcome
    integer(int64) :: n_values
    integer :: i, n_packed, start, place, failure

    n_values = 0_int64
    n_packed = 0
    do i = 1, n_operations
      if (operations(row_weights, i) /= n_packed + 1) cycle
      n_values = n_values + n_weights_of(i) + operations(row_n_out, i)
      n_packed = n_packed + size_of(i)
    end do
    first = 1
    if (size(values, kind=int64) /= n_values .or. .not. all(is_finite(values))) then
      call set_error(status, emufort_error_format, 'load', 'the weights of the weights file do not fit its plan')
      return
    end if
    allocate (packed(n_packed + packed_slack + lanes), stat=failure)
    if (failure /= 0) then
      call set_error(status, emufort_error_limit, 'load', 'no memory for the weights')
      return
    end if
    packed = 0.0_wp
    first = aligned_place(packed)
    start = 1
    place = 0
    do i = 1, n_operations
      if (operations(row_weights, i) /= place + 1) cycle
      associate (n_in => operations(row_n_in, i), n_out => operations(row_n_out, i), n => int(n_weights_of(i)), &
                 to => first + place)
        if (operations(row_code, i) == operation_dense) then
          call pack_layer(n_in, n_out, real(values(start:start + n - 1), wp), &
                          real(values(start + n:start + n + n_out - 1), wp), packed(to:to + size_of(i) - 1))
        else
          packed(to:to + n + n_out - 1) = real(values(start:start + n + n_out - 1), wp)
        end if
        start = start + n + n_out
        place = place + size_of(i)
      end associate
    end do

  contains

    !> Return the number of weights of an operation, without its biases.
    integer(int64) function n_weights_of(i)
      integer, intent(in) :: i   !! number of an operation with weights

      n_weights_of = operations(row_n_in, i)
      if (operations(row_code, i) == operation_dense) n_weights_of = n_weights_of*operations(row_n_out, i)

    end function n_weights_of

    !> Return the number of packed values of an operation.
    integer function size_of(i)
      integer, intent(in) :: i   !! number of an operation with weights

      size_of = int(packed_size_of(operations(row_code, i), operations(row_n_in, i), operations(row_n_out, i)))

    end function size_of

  end subroutine pack_weights

end module emufort_packing
#endif
