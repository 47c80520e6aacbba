!> A host for the tests of the activation scheme: its own routine, the same in cloud, and the end of its run.
module activation_test_host
  use emufort_aerosol_contract, only: gravity => aerosol_gravity, gas_constant_air => aerosol_gas_constant_air, &
                                      gas_constant_vapour => aerosol_gas_constant_vapour, &
                                      heat_capacity_air => aerosol_heat_capacity_air, &
                                      latent_heat => aerosol_latent_heat, density_water => aerosol_density_water
  use emufort_aerosol_arg2000, only: activation_constants_type, air_properties, in_cloud_smax, kelvin_length
  use classical_activate_modal, only: classical_init, classical_activate
  use activation_test_support, only: dp, sigma
  implicit none
  private

  public :: prepare_host, host_routine, host_in_cloud, host_abort, host_kelvin_temperature

  real(dp), parameter :: host_kelvin_temperature = 273.0_dp   !! temperature of the host's constant Kelvin length [K]
  integer, save, public :: n_aborts = 0                       !! calls of `host_abort`
  character(len=200), save, public :: last_words = ' '        !! message of the last one

contains

  !> Prepare the routine of the host, with the constants of the contract.
  subroutine prepare_host()

    call classical_init(gravity, gas_constant_air, gas_constant_vapour, heat_capacity_air, latent_heat, density_water, &
                        sigma, kelvin_length(activation_constants_type(), host_kelvin_temperature))

  end subroutine prepare_host

  !> The routine of the host.
  recursive subroutine host_routine(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                    fluxn, fluxm, flux_fullact, smax_prescribed)
    real(dp), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(dp), intent(in) :: tair                              !! [K]
    real(dp), intent(in) :: rhoair                            !! [kg m-3]
    real(dp), intent(in) :: na(:)                             !! [m-3] (mode)
    integer, intent(in) :: nmode                              !! number of modes
    real(dp), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
    real(dp), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
    real(dp), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
    real(dp), optional :: smax_prescribed                     !! [1]

    call classical_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                            fluxm, flux_fullact, smax_prescribed)

  end subroutine host_routine

  !> The routine of the host for parcels in cloud: in a single updraft, the balance with the drops.
  recursive subroutine host_in_cloud(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                                     in_cloud, smax_f, fn, fm, fluxn, fluxm, flux_fullact)
    real(dp), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(dp), intent(in) :: tair                              !! [K]
    real(dp), intent(in) :: rhoair                            !! [kg m-3]
    real(dp), intent(in) :: na(:)                             !! [m-3] (mode)
    integer, intent(in) :: nmode                              !! number of modes
    real(dp), intent(in) :: volume(:), hygro(:)               !! [m3 m-3], [1] (mode)
    logical, intent(in) :: in_cloud                           !! above cloud base
    real(dp), intent(in) :: smax_f                            !! [m-2]
    real(dp), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
    real(dp), intent(out) :: fluxn(:), fluxm(:), flux_fullact !! [m s-1] (mode)
    type(activation_constants_type) :: constants

    if (in_cloud .and. sigw <= 1.0e-5_dp) then
      call classical_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                              fluxm, flux_fullact, &
                              max(in_cloud_smax(constants, air_properties(constants, tair, &
                                                                          constants%gas_constant_air*rhoair*tair), &
                                                wbar, smax_f), 1.0e-20_dp))
    else
      call classical_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                              fluxm, flux_fullact)
    end if

  end subroutine host_in_cloud

  !> The end of the run, which only records its call.
  subroutine host_abort(string)
    character(len=*), intent(in), optional :: string   !! message

    n_aborts = n_aborts + 1
    last_words = ' '
    if (present(string)) last_words = string

  end subroutine host_abort

end module activation_test_host
