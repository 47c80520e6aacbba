module ndrop

! Stand-in for the module of EAM: the names, callers and argument lists are those of EAM, the formulas are not.

use shr_kind_mod,     only: r8 => shr_kind_r8
use activate_drop_mam, only: actdrop_mam_init, actdrop_mam_calc
use some_aerosol,     only: nmodes, widths, load
use answers,          only: show

implicit none
private
save

public ndrop_init, dropmixnuc, activate_modal

integer               :: ntot_amode
real(r8), allocatable :: sigmag_amode(:)
real(r8)              :: aten

contains

subroutine ndrop_init

   ntot_amode = nmodes
   allocate(sigmag_amode(ntot_amode))
   sigmag_amode = widths
   aten = 1.1e-9_r8

   ! convective microphysics
   call actdrop_mam_init(sigmag_amode)

end subroutine ndrop_init

subroutine dropmixnuc(wsub)

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

      call activate_modal( &
         wbar, wmix, wdiab, wmin, wmax,                       &
         275._r8 + real(k, r8), 1.1_r8, naermod, ntot_amode, &
         vaerosol, hygro, fn, fm, fluxn,                      &
         fluxm,flux_fullact(k))
      call show('dropmixnuc', fn, fm, fluxn, fluxm, flux_fullact(k))
   end do

end subroutine dropmixnuc

!===============================================================================

subroutine activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair,  &
   na, nmode, volume, hygro, &
   fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed )

   real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair
   real(r8), intent(in) :: na(:)
   integer,  intent(in) :: nmode
   real(r8), intent(in) :: volume(:)
   real(r8), intent(in) :: hygro(:)
   real(r8), intent(out) :: fn(:)
   real(r8), intent(out) :: fm(:)
   real(r8), intent(out) :: fluxn(:)
   real(r8), intent(out) :: fluxm(:)
   real(r8), intent(out) :: flux_fullact
   real(r8), optional :: smax_prescribed
   real(r8) :: smax

   call maxsat(wbar + wdiab, nmode, na, volume, smax)
   if (present(smax_prescribed)) smax = smax_prescribed
   fn(:) = smax*hygro/(smax*hygro + 0.002_r8*log(sigmag_amode)*(1._r8 + sigw))
   fm(:) = sqrt(fn)*tair/300._r8
   fluxn(:) = fn*wbar
   fluxm(:) = fm*wbar*rhoair/(1._r8 + rhoair) + 0._r8*(wminf + wmaxf)
   flux_fullact = wbar

end subroutine activate_modal

subroutine maxsat(w, nmode, na, volume, smax)
   integer,  intent(in) :: nmode
   real(r8), intent(in) :: w, na(nmode), volume(nmode)
   real(r8), intent(out) :: smax
   smax = 0.01_r8*sqrt(w)*aten/1.e-9_r8/(1._r8 + 1.e-9_r8*sum(na) + 1.e8_r8*sum(volume))
end subroutine maxsat

end module ndrop
