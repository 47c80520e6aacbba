!> Comparison of a host with the labels of the emulator: modes, widths and physical constants.
!>
!> An emulator is right only for the modes and constants with which its labels were made. All values of the labels are
!> in the generated module `emufort_aerosol_contract`.
module emufort_aerosol_agreement
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use emufort_status, only: to_text
  use emufort_aerosol_contract, only: aerosol_modes, aerosol_mode_names, aerosol_sigma, aerosol_gravity, &
                                      aerosol_gas_constant_air, aerosol_gas_constant_vapour, &
                                      aerosol_heat_capacity_air, aerosol_latent_heat, aerosol_density_water
  use emufort_aerosol_arg2000, only: activation_constants_type
  implicit none
  private

  public :: disagreement, constants_tolerance

  integer, parameter :: dp = real64
  !> Largest relative difference between a constant of the host and that of the labels [1]. A constant that differs by
  !> 0.1 % changes the maximum supersaturation by less than 0.2 % and a number fraction by less than 0.001
  !> (test_activation_agreement), which is below the error of an emulator. The number of decimals that a host gives is a
  !> smaller difference; the latent heat at another temperature is a larger one.
  real(dp), parameter :: constants_tolerance = 1.0e-3_dp
  !> Largest relative difference between widths [1]: the rounding of single precision, because hosts read widths from
  !> files.
  real(dp), parameter :: widths_tolerance = 4.0_dp*epsilon(1.0_real32)

contains

  !> Return one line that names the first difference between the host and the labels; blank if they agree.
  function disagreement(constants, sigma) result(line)
    type(activation_constants_type), intent(in) :: constants   !! of the host
    real(dp), intent(in) :: sigma(:)                           !! geometric standard deviations of the host [1] (mode)
    character(len=160) :: line
    integer :: m

    line = ' '
    if (size(sigma) /= aerosol_modes) then
      line = 'the host has '//to_text(size(sigma))//' aerosol modes, the emulator '//to_text(aerosol_modes)
      return
    end if
    do m = 1, aerosol_modes
      if (abs(sigma(m)/aerosol_sigma(m) - 1.0_dp) <= widths_tolerance) cycle
      line = 'the width of mode '//to_text(m)//' is '//decimals(sigma(m))//' in the host and '// &
             decimals(aerosol_sigma(m))//' ('//trim(aerosol_mode_names(m))//') in the emulator'
      return
    end do
    call compare('acceleration of gravity', 'm s-2', constants%gravity, aerosol_gravity)
    call compare('gas constant of dry air', 'J kg-1 K-1', constants%gas_constant_air, aerosol_gas_constant_air)
    call compare('gas constant of water vapour', 'J kg-1 K-1', constants%gas_constant_vapour, &
                 aerosol_gas_constant_vapour)
    call compare('heat capacity of dry air', 'J kg-1 K-1', constants%heat_capacity_air, aerosol_heat_capacity_air)
    call compare('latent heat of condensation', 'J kg-1', constants%latent_heat, aerosol_latent_heat)
    call compare('density of water', 'kg m-3', constants%density_water, aerosol_density_water)

  contains

    !> Describe the difference of one constant, if it is too large and the first.
    subroutine compare(name, units, host, labels)
      character(len=*), intent(in) :: name, units   !! of the constant
      real(dp), intent(in) :: host, labels          !! values of both

      if (line /= ' ' .or. abs(host - labels) <= constants_tolerance*abs(labels)) return   ! a NaN is a difference
      line = 'the '//name//' is '//decimals(host)//' in the host and '//decimals(labels)//' '//units// &
             ' in the emulator'

    end subroutine compare

  end function disagreement

  !> Return a number as text with six significant digits.
  pure function decimals(value) result(text)
    real(dp), intent(in) :: value   !! any number
    character(len=:), allocatable :: text
    character(len=24) :: buffer
    integer :: places

    if (.not. abs(value) < 1.0e9_dp .or. abs(value) < 1.0e-3_dp) then
      write (buffer, '(es12.5)') value
    else
      places = max(0, 5 - floor(log10(abs(value))))
      write (buffer, '(f0.'//to_text(places)//')') value
    end if
    text = trim(adjustl(buffer))

  end function decimals

end module emufort_aerosol_agreement
