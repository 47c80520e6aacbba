!> The classical scheme, for many columns at once.
module pond_bulk
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: bulk

contains

  !> Evaporation and cooling, linear in wind speed and temperature.
  pure subroutine bulk(ncol, wind_speed, relative_humidity, water_temperature, rate, cooling)
    integer, intent(in) :: ncol                           !! number of columns
    real(real64), intent(in) :: wind_speed(ncol)          !! [m s-1]
    real(real64), intent(in) :: relative_humidity(ncol)   !! [1]
    real(real64), intent(in) :: water_temperature(ncol)   !! [K]
    real(real64), intent(out) :: rate(ncol)               !! [kg m-2 s-1]
    real(real64), intent(out) :: cooling(ncol, 2)         !! [K] (column, layer)

    rate = 1.0e-6_real64*(1.0_real64 + 0.4_real64*wind_speed)*(1.0_real64 - relative_humidity)* &
           (1.0_real64 + 0.15_real64*(water_temperature - 273.0_real64))
    cooling(:, 1) = -1.0e5_real64*rate
    cooling(:, 2) = -1.0e4_real64*rate

  end subroutine bulk

end module pond_bulk
