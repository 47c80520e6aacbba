!> Modules that E3SM and CAM share, as far as the stand-ins of their activation need them.
module shr_kind_mod
  implicit none
  integer, parameter :: shr_kind_r8 = selected_real_kind(12)
end module shr_kind_mod

module physconst
  use shr_kind_mod, only: r8 => shr_kind_r8
  implicit none
  real(r8), parameter :: gravit = 9.80616_r8, rair = 287.04232_r8, rh2o = 461.50464_r8
  real(r8), parameter :: cpair = 1004.64_r8, latvap = 2.501e6_r8, rhoh2o = 1000._r8
end module physconst

module cam_abortutils
  implicit none
contains
  subroutine endrun(msg)
    use, intrinsic :: iso_fortran_env, only: error_unit
    character(len=*), intent(in), optional :: msg
    if (present(msg)) write (error_unit, '(2a)') 'ENDRUN: ', msg
    error stop 1
  end subroutine endrun
end module cam_abortutils

!> Aerosol of the tests: number, volume and hygroscopicity of each mode, which vary with an index.
module some_aerosol
  use shr_kind_mod, only: r8 => shr_kind_r8
  implicit none
  integer, parameter :: nmodes = 4
  real(r8), parameter :: widths(nmodes) = [1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8]
contains
  subroutine load(i, na, va, hy)
    integer, intent(in) :: i
    real(r8), intent(out) :: na(nmodes), va(nmodes), hy(nmodes)
    real(r8), parameter :: pi = 3.14159265358979324_r8
    real(r8), parameter :: radius(nmodes) = [6.e-8_r8, 1.2e-8_r8, 9.e-7_r8, 2.5e-8_r8]
    na = [3.e8_r8, 6.e8_r8, 2.e5_r8, 1.e8_r8]*(1._r8 + 0.1_r8*real(i, r8))
    va = na*4._r8*pi/3._r8*radius**3*exp(4.5_r8*log(widths)**2)
    hy = [0.5_r8, 0.4_r8, 0.9_r8, 0.1_r8] + 0.01_r8*real(i, r8)
  end subroutine load
end module some_aerosol

!> Answers of all call sites, printed as bits.
module answers
  use, intrinsic :: iso_fortran_env, only: int64
  use shr_kind_mod, only: r8 => shr_kind_r8
  implicit none
contains
  subroutine show(site, fn, fm, fluxn, fluxm, full)
    character(len=*), intent(in) :: site
    real(r8), intent(in) :: fn(:), fm(:), fluxn(:), fluxm(:), full
    real(r8) :: all_values(4*size(fn) + 1)
    integer(int64) :: bits
    integer :: i
    all_values = [fn, fm, fluxn, fluxm, full]
    bits = 0_int64
    do i = 1, size(all_values)
      bits = ieor(ishftc(bits, 7), transfer(all_values(i), 0_int64))
    end do
    print '(a, 1x, z16.16, 1x, f12.8, 1x, l1)', site, bits, sum(fn)/size(fn), all(fn >= 0._r8 .and. fn <= 1._r8)
  end subroutine show
end module answers
