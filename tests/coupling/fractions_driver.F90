!> Fractions from x.bin to y.bin, with what must hold checked on the way; run by test_activation_fractions.py.
program driver
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_positive_inf
  use, intrinsic :: ieee_exceptions, only: ieee_set_halting_mode, ieee_invalid, ieee_divide_by_zero, ieee_overflow
  use emufort_runtime, only: emulator_type, status_type
  use activation_emulator, only: activation_emulator_predict_block
  use activation_fractions, only: predict_activated_fractions, activated_fractions, modes => activation_modes
  implicit none
  integer, parameter :: ir = 4 + modes, ik = ir + modes, n_inputs = ik + modes - 1   ! radius and kappa of the first mode
  type(emulator_type) :: emulator, empty
  type(status_type) :: status
  integer :: n, m, first, unit
  real(real64), allocatable :: x(:, :), p(:, :), smax(:), f(:, :, :), g(:, :, :), s(:), h(:, :, :)
  real(real32), allocatable :: x32(:, :), s32(:), f32(:, :, :)
  real(real64) :: odd(5), t(1), r(1, modes), k(1, modes), one(1), number(1, modes), mass(1, modes)
  integer :: i, j
  logical, allocatable :: outside(:)
  open (newunit=unit, file='x.bin', access='stream', form='unformatted')
  read (unit) n
  allocate (x(n, n_inputs), smax(n), f(n, modes, 2), g(n, modes, 2), s(n), outside(n), x32(n, n_inputs), s32(n))
  allocate (f32(n, modes, 2))
  read (unit) x
  close (unit)
  call emulator%load('weights.bin', status)
  if (status%code /= 0) error stop 'load'
  ! The NaN among the inputs must not stop a host that traps exceptions.
  call trap(.true.)
  call predict_activated_fractions(emulator, n, x(:, 1), x(:, 2), x(:, 3), x(:, 4:ir - 1), &
                                   x(:, ir:ik - 1), x(:, ik:), smax, f(:, :, 1), f(:, :, 2), status, outside)
  if (status%code /= 0 .or. status%n_clipped /= 0 .or. status%n_invalid /= 1) error stop 'counts'
  if (count(outside) /= 1 .or. .not. outside(3)) error stop 'mask'
  call predict_activated_fractions(activation_emulator_predict_block, n, x(:, 1), x(:, 2), x(:, 3), &
                                   x(:, 4:ir - 1), x(:, ir:ik - 1), x(:, ik:), s, g(:, :, 1), g(:, :, 2), status)
  call trap(.false.)
  if (any(bits(g) /= bits(f)) .or. any(bits(s) /= bits(smax))) error stop 'generated module'
  call trap(.true.)
  call activated_fractions(n, x(:, 1), x(:, ir:ik - 1), x(:, ik:), smax, g(:, :, 1), g(:, :, 2))
  call trap(.false.)
  if (any(bits(g) /= bits(f))) error stop 'the formula alone'
  ! Whatever the host has: NaN for what is no number, else a fraction.
  odd = [0.0_real64, -1.0_real64, 1.0e300_real64, ieee_value(1.0_real64, ieee_quiet_nan), &
         ieee_value(1.0_real64, ieee_positive_inf)]
  do i = 1, 5
    do j = 1, 4
      t = x(1, 1)
      r(1, :) = x(1, ir:ik - 1)
      k(1, :) = x(1, ik:)
      one = smax(1)
      if (j == 1) t = odd(i)
      if (j == 2) r(1, 2) = odd(i)
      if (j == 3) k(1, 2) = odd(i)
      if (j == 4) one = odd(i)
      call trap(.true.)
      call activated_fractions(1, t, r, k, one, number, mass)
      call trap(.false.)
      if (any((number /= number) .neqv. i > 3) .or. any((mass /= mass) .neqv. i > 3)) error stop 'NaN for no number'
      if (i <= 3 .and. .not. all(number >= 0 .and. mass >= number .and. mass <= 1)) error stop 'no fraction'
    end do
  end do
  do m = 1, 67
    first = 1 + mod(5*m, n - m)
    allocate (h(m, modes, 2))
    p = x(first:first + m - 1, :)
    call predict_activated_fractions(emulator, m, p(:, 1), p(:, 2), p(:, 3), p(:, 4:ir - 1), p(:, ir:ik - 1), &
                                     p(:, ik:), s(1:m), h(:, :, 1), h(:, :, 2), status)
    if (any(bits(h) /= bits(f(first:first + m - 1, :, :)))) error stop 'bits depend on the batch'
    deallocate (h)
  end do
  x32 = real(x, real32)
  call predict_activated_fractions(emulator, n, x32(:, 1), x32(:, 2), x32(:, 3), x32(:, 4:ir - 1), x32(:, ir:ik - 1), &
                                   x32(:, ik:), s32, f32(:, :, 1), f32(:, :, 2), status)
  if (status%n_clipped /= 0 .or. any(abs(f32 - f) > 1.0e-4)) error stop 'single precision'
  call activated_fractions(1, x(1:1, 1), x(1:1, ir:ik - 1), x(1:1, ik:), [0.0_real64], g(1:1, :, 1), g(1:1, :, 2))
  if (any(abs(g(1, :, :)) > 0)) error stop 'nothing activates at 0'
  call predict_activated_fractions(empty, n, x(:, 1), x(:, 2), x(:, 3), x(:, 4:ir - 1), x(:, ir:ik - 1), x(:, ik:), &
                                   s, g(:, :, 1), g(:, :, 2), status)
  if (status%code == 0) error stop 'an empty emulator'
  open (newunit=unit, file='y.bin', access='stream', form='unformatted', status='replace')
  write (unit) smax, f
  close (unit)
contains
  subroutine trap(is_on)
    logical, intent(in) :: is_on
    call ieee_set_halting_mode(ieee_invalid, is_on)
    call ieee_set_halting_mode(ieee_divide_by_zero, is_on)
    call ieee_set_halting_mode(ieee_overflow, is_on)
  end subroutine trap
  pure elemental integer(int64) function bits(r)
    real(real64), intent(in) :: r
    bits = transfer(r, 0_int64)
  end function bits
end program driver
