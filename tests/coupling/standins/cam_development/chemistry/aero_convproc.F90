module aero_convproc

   use shr_kind_mod, only: r8 => shr_kind_r8
   use aerosol_properties_mod, only: aerosol_properties
   implicit none
   private
   public :: activate_convproc

contains

   subroutine activate_convproc(aero_props, k, kactfirst)

   use ndrop, only: activate_aerosol
   use some_aerosol, only: ntot_amode => nmodes, load
   use answers, only: show

   implicit none

   class(aerosol_properties), intent(in) :: aero_props
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
      call activate_aerosol(                                                 &
         wbar, sigw, wdiab, wminf, wmaxf, 270._r8, 0.8_r8,                 &
         naerosol, ntot_amode, vaerosol, hygro, aero_props,                &
         fn, fm, fluxn, fluxm, flux_fullact                                )
      call show('convproc', fn, fm, fluxn, fluxm, flux_fullact)
   else
      smax_prescribed = 0.003_r8
      call activate_aerosol(                                                 &
         wbar, sigw, wdiab, wminf, wmaxf, 270._r8, 0.8_r8,                 &
         naerosol, ntot_amode, vaerosol, hygro, aero_props,                &
         fn, fm, fluxn, fluxm, flux_fullact, smax_prescribed               )
      call show('prescribed', fn, fm, fluxn, fluxm, flux_fullact)
   end if

   end subroutine activate_convproc

end module aero_convproc
