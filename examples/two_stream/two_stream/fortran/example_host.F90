!> A minimal host: sunlight on clouds, by the emulator and by the delta-Eddington scheme.
!!
!! `emufort export --host` replaces the placeholder by the name of the generated module.
program two_stream_host
  use, intrinsic :: iso_fortran_env, only: real64, error_unit
  use @MODULE@, only: predict => @MODULE@_predict !&
  use @MODULE@, only: hash => @MODULE@_hash, status_type !&
  use two_stream_fluxes, only: layer_fluxes
  use two_stream_delta_eddington, only: delta_eddington
  implicit none
  integer, parameter :: wp = real64, ncol = 8
  ! a thin and a thick cloud in visible and in near-infrared light, with a high and with a low sun
  real(wp), parameter :: optical_depth(ncol) = [1.0_wp, 20.0_wp, 1.0_wp, 20.0_wp, 1.0_wp, 20.0_wp, 1.0_wp, 20.0_wp]
  real(wp), parameter :: coalbedo(ncol) = [1.0e-5_wp, 1.0e-5_wp, 1.0e-2_wp, 1.0e-2_wp, &
                                           1.0e-5_wp, 1.0e-5_wp, 1.0e-2_wp, 1.0e-2_wp]
  real(wp), parameter :: asymmetry_factor(ncol) = 0.85_wp
  real(wp), parameter :: solar_zenith_cosine(ncol) = [0.8_wp, 0.8_wp, 0.8_wp, 0.8_wp, 0.2_wp, 0.2_wp, 0.2_wp, 0.2_wp]
  real(wp), dimension(ncol, 2) :: absorptance, reflected_share, reflectance, transmittance, r_classical, t_classical
  type(status_type) :: status
  integer :: i

  call predict(ncol, optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine, absorptance, reflected_share, &
               status)
  if (status%code /= 0) then
    write (error_unit, '(a)') trim(status%message)
    error stop 1
  end if
  call layer_fluxes(absorptance, reflected_share, reflectance, transmittance)
  call delta_eddington(ncol, optical_depth, coalbedo, asymmetry_factor, solar_zenith_cosine, r_classical, t_classical)

  print '(a)', 'emulator '//hash
  print '(a)', 'optical depth  co-albedo  sun  | emulator: R       T         | delta-Eddington: R       T'
  do i = 1, ncol
    print '(f13.1, es11.1, f5.1, a, 2f10.6, a, 2f10.6)', optical_depth(i), coalbedo(i), solar_zenith_cosine(i), &
      '  |   ', reflectance(i, 1), transmittance(i, 1), '  |          ', r_classical(i, 1), t_classical(i, 1)
  end do

end program two_stream_host
