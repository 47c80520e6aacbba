!> What the whole activation call costs: from physical inputs to fractions, beside its network alone and ARG2000.
!>
!>     time_activation WEIGHTS INPUTS NCOL[,NCOL...] REPEATS
!>
!> WEIGHTS is the weights.bin of an emulator of the contract `activation`; INPUTS holds int32 n and 15, then float64
!> x(n, 15), column fastest, as for time_emulator. Prints lines
!> `ncol,repeat,network,max_supersaturation,fractions,arg2000`: ns per column of processor time for the network alone
!> (features to outputs, no transforms), for the emulator, for emulator and fractions in one call, and for the scalar
!> ARG2000; the four take turns within each repeat.
program time_activation
  use, intrinsic :: iso_fortran_env, only: int32, int64, real64, output_unit, error_unit
  use emufort_runtime, only: emulator_type, status_type, emufort_success
  use emufort_kinds, only: wp, lanes, block_columns, max_layers
  use emufort_core, only: evaluate_network, few_columns, scratch_size, aligned_place
  use emufort_dense, only: packed_size, packed_slack, is_wide
  use emufort_activations, only: activation_code, activation_linear
  use activation_fractions, only: predict_activated_fractions, n_modes => activation_modes
  use arg2000, only: arg2000_max_supersaturation
  implicit none
  integer, parameter :: n_inputs = 15, columns_in_cache = 2048, n_kinds = 4
  real(real64), parameter :: shortest = 5.0e-3_real64
  type(emulator_type) :: emulator
  type(status_type) :: status
  character(len=4096) :: argument
  character(len=200) :: architecture
  integer, allocatable :: ncol(:)
  real(real64), allocatable :: inputs(:, :), x(:, :, :), turned(:, :), y(:, :), number(:, :, :), mass(:, :, :)
  real(wp), allocatable :: weights(:)
  real(wp), target :: a(scratch_size), b(scratch_size)
  real(wp) :: features(block_columns*n_inputs)
  real(real64) :: seconds, times(n_kinds), slope(max_layers)
  integer :: widths(0:max_layers), activation(max_layers), n_layers, repeats, i, r, c, kind, n_calls, failure
  integer(int64) :: passes(n_kinds)

  if (command_argument_count() /= 4) call fail('usage: time_activation WEIGHTS INPUTS NCOL[,NCOL...] REPEATS')
  call get_command_argument(1, argument)
  call emulator%load(trim(argument), status)
  if (status%code /= emufort_success) call fail(trim(status%message))
  call emulator%get_value('architecture', architecture)
  call make_network()
  call get_command_argument(2, argument)
  call read_inputs(trim(argument))
  call get_command_argument(3, argument)
  c = 1
  do i = 1, len_trim(argument)
    if (argument(i:i) == ',') c = c + 1
  end do
  allocate (ncol(c), source=0)
  read (argument, *, iostat=failure) ncol
  if (failure /= 0 .or. minval(ncol) < 1) call fail('NCOL must be positive integers between commas')
  call get_command_argument(4, argument)
  read (argument, *, iostat=failure) repeats
  if (failure /= 0 .or. repeats < 1) call fail('REPEATS must be a positive integer')

  do i = 1, size(ncol)
    n_calls = max(1, columns_in_cache/ncol(i))
    allocate (x(ncol(i), n_inputs, n_calls), y(ncol(i), n_calls), number(ncol(i), n_modes, n_calls), &
              mass(ncol(i), n_modes, n_calls), turned(n_inputs, ncol(i)*n_calls))
    do c = 1, n_calls
      do r = 1, ncol(i)
        x(r, :, c) = inputs(1 + mod((c - 1)*ncol(i) + r - 1, size(inputs, 1)), :)
        turned(:, (c - 1)*ncol(i) + r) = x(r, :, c)
      end do
    end do
    do kind = 1, n_kinds
      passes(kind) = 1_int64
      do
        seconds = time_passes(kind, passes(kind))
        if (seconds >= shortest) exit
        passes(kind) = 2_int64*passes(kind)
      end do
    end do
    do r = 1, repeats
      do kind = 1, n_kinds
        times(kind) = 1.0e9_real64*time_passes(kind, passes(kind))/(real(passes(kind), real64)*n_calls*ncol(i))
      end do
      write (output_unit, '(i0,",",i0,4(",",f0.2))') ncol(i), r, times
    end do
    if (.not. (minval(number) >= 0.0_real64 .and. maxval(mass) <= 1.0_real64 .and. all(mass >= number))) &
      call fail('fractions outside 0 and 1')
    deallocate (x, y, number, mass, turned)
  end do

contains

  !> Seconds that `n` passes over all columns take.
  real(real64) function time_passes(kind, n)
    integer, intent(in) :: kind      !! 1 network, 2 emulator, 3 emulator and fractions, 4 ARG2000
    integer(int64), intent(in) :: n  !! number of passes
    real(real64) :: start, finish
    integer(int64) :: pass
    integer :: call, j, m

    m = ncol(i)
    call cpu_time(start)
    do pass = 1_int64, n
      select case (kind)
      case (1)
        do call = 1, n_calls
          call network_alone(m)
        end do
      case (2)
        do call = 1, n_calls
          call emulator%predict(x(:, :, call), y(:, call:call), status)
        end do
      case (3)
        do call = 1, n_calls
          call predict_activated_fractions(emulator, m, x(:, 1, call), x(:, 2, call), x(:, 3, call), &
                                           x(:, 4:7, call), x(:, 8:11, call), x(:, 12:15, call), y(:, call), &
                                           number(:, :, call), mass(:, :, call), status)
        end do
      case default
        do j = 1, m*n_calls
          call arg2000_max_supersaturation(turned(1, j), turned(2, j), turned(3, j), turned(4:7, j), turned(8:11, j), &
                                           turned(12:15, j), y(1 + mod(j - 1, m), 1 + (j - 1)/m))
        end do
      end select
    end do
    call cpu_time(finish)
    time_passes = finish - start
    if (status%code /= emufort_success) call fail(trim(status%message))

  end function time_passes

  !> The network on `m` columns, in the blocks that the runtime cuts them into.
  subroutine network_alone(m)
    integer, intent(in) :: m   !! number of columns
    integer :: first, n, columns, part, j, at_a, at_b

    at_a = aligned_place(a)
    at_b = aligned_place(b)

    do first = 0, m - 1, block_columns
      n = min(block_columns, m - first)
      columns = block_columns
      if (n <= lanes) columns = lanes
      do part = 1, merge(2, 1, columns == block_columns .and. .not. is_wide)
        if (columns == block_columns .and. .not. is_wide) columns = lanes
        do j = 1, merge(n, 1, n <= few_columns)
          if (n <= few_columns) columns = 1
          a(at_a:at_a + columns*widths(0) - 1) = features(1:columns*widths(0))
          call evaluate_network(n_layers, widths, activation, slope, weights, columns, a(at_a), b(at_b))
        end do
      end do
    end do

  end subroutine network_alone

  !> A network of the emulator's architecture ('15-64-64-1 relu') with weights of its own.
  subroutine make_network()
    integer :: space, n, k

    space = index(trim(architecture), ' ')
    if (space == 0) call fail('the weights file does not name its architecture')
    n = 1
    do k = 1, space
      if (architecture(k:k) == '-') n = n + 1
    end do
    do k = 1, space
      if (architecture(k:k) == '-') architecture(k:k) = ' '
    end do
    read (architecture(:space), *) widths(0:n - 1)
    n_layers = n - 1
    activation(:n_layers) = activation_code(trim(adjustl(architecture(space:))))
    if (minval(activation(:n_layers)) < 0) call fail('unknown activation '//trim(architecture(space:)))
    activation(n_layers) = activation_linear
    slope = 0.01_real64
    n = packed_slack
    do k = 1, n_layers
      n = n + packed_size(widths(k - 1), widths(k))
    end do
    allocate (weights(n))
    call random_number(weights)
    call random_number(features)
    weights = 0.1_wp*(weights - 0.5_wp)
    a = 0.0_wp
    b = 0.0_wp

  end subroutine make_network

  !> Read the file of inputs.
  subroutine read_inputs(filename)
    character(len=*), intent(in) :: filename   !! path of the file
    integer(int32) :: n, n_columns
    integer :: unit

    open (newunit=unit, file=filename, access='stream', form='unformatted', status='old', action='read', iostat=failure)
    if (failure /= 0) call fail('cannot open '//filename)
    read (unit, iostat=failure) n, n_columns
    if (failure == 0 .and. (n < 1 .or. n_columns /= n_inputs)) call fail(filename//' does not hold 15 inputs')
    if (failure == 0) allocate (inputs(n, n_inputs))
    if (failure == 0) read (unit, iostat=failure) inputs
    if (failure /= 0) call fail('cannot read '//filename)
    close (unit)

  end subroutine read_inputs

  !> End with a message.
  subroutine fail(message)
    character(len=*), intent(in) :: message   !! what is wrong

    write (error_unit, '(a)') 'time_activation: '//message
    stop 1, quiet = .true.

  end subroutine fail

end program time_activation
