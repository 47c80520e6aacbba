!> A host: the heat that one pond loses, by the emulator and by the classical scheme.
program pond_host
  use, intrinsic :: iso_fortran_env, only: real64
  use @MODULE@, only: @MODULE@_predict, status_type   !&
  use pond_heat, only: heat_loss
  use pond_bulk, only: bulk
  implicit none
  real(real64), parameter :: wind(1) = 5.0_real64, humidity(1) = 0.5_real64, temperature(1) = 290.0_real64
  real(real64) :: rate(1), cooling(1, 2), heat(1, 2)
  type(status_type) :: status

  call @MODULE@_predict(1, wind, humidity, temperature, rate, cooling, status)   !&
  if (status%code /= 0) error stop 1
  call heat_loss(1, cooling, [0.1_real64, 1.9_real64], heat)
  print '(3es24.16)', rate, heat
  call bulk(1, wind, humidity, temperature, rate, cooling)
  print '(es24.16)', rate

end program pond_host
