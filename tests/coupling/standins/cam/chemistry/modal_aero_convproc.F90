module modal_aero_convproc

   use shr_kind_mod, only: r8 => shr_kind_r8
   implicit none
   private
   public :: ma_activate_convproc

contains

   subroutine ma_activate_convproc(k, kactfirst)

   use ndrop, only: activate_modal
   use some_aerosol, only: ntot_amode => nmodes, load
   use answers, only: show

   implicit none

   integer, intent(in) :: k, kactfirst
   real(r8) :: naerosol(ntot_amode), vaerosol(ntot_amode), hygro(ntot_amode)
   real(r8) :: fn(ntot_amode), fm(ntot_amode), fluxn(ntot_amode), fluxm(ntot_amode), flux_fullact
   real(r8) :: wbar, sigw, wdiab, wminf, wmaxf, smax_prescribed

   wbar = 0.8_r8
   sigw = 0._r8
   wdiab = 0._r8
   wminf = wbar
   wmaxf = wbar
   call load(k, naerosol, vaerosol, hygro)
   if (k == kactfirst) then
      call activate_modal(                                                 &
         wbar, sigw, wdiab, wminf, wmaxf, 270._r8, 0.8_r8,                 &
         naerosol, ntot_amode, vaerosol, hygro,                            &
         fn, fm, fluxn, fluxm, flux_fullact                                )
      call show('convproc', fn, fm, fluxn, fluxm, flux_fullact)
   else
      smax_prescribed = 0.003_r8
      call activate_modal(                                                 &
         wbar, sigw, wdiab, wminf, wmaxf, 270._r8, 0.8_r8,                 &
         naerosol, ntot_amode, vaerosol, hygro,                            &
         fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed               )
      call show('prescribed', fn, fm, fluxn, fluxm, flux_fullact)
   end if

   end subroutine ma_activate_convproc

end module modal_aero_convproc
