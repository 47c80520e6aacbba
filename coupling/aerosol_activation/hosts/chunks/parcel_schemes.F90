!> Activation schemes for one parcel with the required arguments of `activate_modal`.
module parcel_schemes
  use emufort_host, only: activate_modal
  use classical_activate_modal, only: classical_activate
  use host_columns, only: r8
  implicit none
  private

  public :: with_emulator, with_classical_scheme, with_given_fractions

contains

  !> Call the drop-in without its optional arguments.
  subroutine with_emulator(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                           fluxm, flux_fullact)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf    !! [m s-1]
    real(r8), intent(in) :: tair, rhoair                       !! [K], [kg m-3]
    real(r8), intent(in) :: na(:), volume(:), hygro(:)         !! [m-3], [m3 m-3], [1] (mode)
    integer, intent(in) :: nmode                               !! number of modes
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:)  !! [1], [1], [m s-1], [m s-1] (mode)
    real(r8), intent(out) :: flux_fullact                      !! [m s-1]

    call activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact)

  end subroutine with_emulator

  !> Call the classical scheme.
  subroutine with_classical_scheme(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                   fluxn, fluxm, flux_fullact)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf    !! [m s-1]
    real(r8), intent(in) :: tair, rhoair                       !! [K], [kg m-3]
    real(r8), intent(in) :: na(:), volume(:), hygro(:)         !! [m-3], [m3 m-3], [1] (mode)
    integer, intent(in) :: nmode                               !! number of modes
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:)  !! [1], [1], [m s-1], [m s-1] (mode)
    real(r8), intent(out) :: flux_fullact                      !! [m s-1]

    call classical_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                            fluxm, flux_fullact)

  end subroutine with_classical_scheme

  !> Activate half of the aerosol: the rest of the caller is measured with it.
  subroutine with_given_fractions(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                  fluxn, fluxm, flux_fullact)
    real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf    !! [m s-1]
    real(r8), intent(in) :: tair, rhoair                       !! [K], [kg m-3]
    real(r8), intent(in) :: na(:), volume(:), hygro(:)         !! [m-3], [m3 m-3], [1] (mode)
    integer, intent(in) :: nmode                               !! number of modes
    real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:)  !! [1], [1], [m s-1], [m s-1] (mode)
    real(r8), intent(out) :: flux_fullact                      !! [m s-1]

    fn = 0.5_r8
    fm = 0.5_r8
    fluxn = 0.5_r8*wbar
    fluxm = 0.5_r8*wbar
    flux_fullact = wbar

  end subroutine with_given_fractions

end module parcel_schemes
