module ndrop

! Stand-in for the module of cam_development: names, callers and argument lists are CAM's, the formulas are not.

use shr_kind_mod,     only: r8 => shr_kind_r8
use cam_abortutils,   only: endrun
use aerosol_properties_mod, only: aerosol_properties
use some_aerosol,     only: nmodes, load
use answers,          only: show

implicit none
private
save

public ndrop_init, dropmixnuc, activate_aerosol

real(r8)              :: aten

contains

subroutine ndrop_init(aero_props)

   class(aerosol_properties), intent(in) :: aero_props

   if (aero_props%nbins() /= nmodes) call endrun('ndrop_init: bins')
   aten = 1.1e-9_r8

end subroutine ndrop_init

subroutine dropmixnuc(aero_props, wsub)

   class(aerosol_properties), intent(in) :: aero_props
   real(r8), intent(in) :: wsub
   integer  :: k
   real(r8) :: naermod(nmodes), vaerosol(nmodes), hygro(nmodes)
   real(r8) :: fn(nmodes), fm(nmodes), fluxn(nmodes), fluxm(nmodes), flux_fullact(3)
   real(r8) :: wbar, wmix, wdiab, wmin, wmax

   wmix = 0._r8
   wdiab = 0._r8
   wmin = 0._r8
   wmax = 10._r8
   do k = 1, 3
      wbar = wsub*real(k, r8)
      call load(k, naermod, vaerosol, hygro)

      call activate_aerosol( &
         wbar, wmix, wdiab, wmin, wmax,                       &
         275._r8 + real(k, r8), 1.1_r8, naermod, aero_props%nbins(), &
         vaerosol, hygro, aero_props, fn, fm, fluxn,                      &
         fluxm,flux_fullact(k))
      call show('dropmixnuc', fn, fm, fluxn, fluxm, flux_fullact(k))
   end do

end subroutine dropmixnuc

!===============================================================================

subroutine activate_aerosol(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair,  &
   na, nbins, volume, hygro, aero_props, &
   fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f)

   real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair
   real(r8), intent(in) :: na(:)
   integer,  intent(in) :: nbins
   real(r8), intent(in) :: volume(:)
   real(r8), intent(in) :: hygro(:)
   class(aerosol_properties), intent(in) :: aero_props
   integer :: m
   real(r8), intent(out) :: fn(:)
   real(r8), intent(out) :: fm(:)
   real(r8), intent(out) :: fluxn(:)
   real(r8), intent(out) :: fluxm(:)
   real(r8), intent(out) :: flux_fullact
   real(r8), optional, intent(in) :: smax_prescribed
   logical,  optional, intent(in) :: in_cloud_in
   real(r8), optional, intent(in) :: smax_f
   real(r8) :: smax

   if (present(in_cloud_in) .and. .not. present(smax_f)) call endrun('smax_f must be supplied')

   call maxsat(wbar + wdiab, nbins, na, volume, smax)
   if (present(smax_prescribed)) smax = smax_prescribed
   if (present(in_cloud_in)) then
      if (in_cloud_in) smax = 1._r8/smax_f
   end if
   fn(:) = smax*hygro/(smax*hygro + 0.002_r8*[(aero_props%alogsig(m), m=1, nbins)]*(1._r8 + sigw))
   fm(:) = sqrt(fn)*tair/300._r8
   fluxn(:) = fn*wbar
   fluxm(:) = fm*wbar*rhoair/(1._r8 + rhoair) + 0._r8*(wminf + wmaxf)
   flux_fullact = wbar

end subroutine activate_aerosol

subroutine maxsat(w, nmode, na, volume, smax)
   integer,  intent(in) :: nmode
   real(r8), intent(in) :: w, na(nmode), volume(nmode)
   real(r8), intent(out) :: smax
   smax = 0.01_r8*sqrt(w)*aten/1.e-9_r8/(1._r8 + 1.e-9_r8*sum(na) + 1.e8_r8*sum(volume))
end subroutine maxsat

end module ndrop
