module activate_drop_mam

use shr_kind_mod,   only: r8 => shr_kind_r8

implicit none
private
save

public &
   actdrop_mam_init,  &
   actdrop_mam_calc

real(r8), allocatable :: alogsig(:)

contains

subroutine actdrop_mam_init(sigmag_amode)
   real(r8), intent(in) :: sigmag_amode(:)
   alogsig = log(sigmag_amode)
end subroutine actdrop_mam_init

subroutine actdrop_mam_calc(        &
   wbar, sigw, wdiab, wminf, wmaxf, &
   tair, rhoair, na, nmode, volume, &
   hygro, in_cloud, smax_f, fn, fm, &
   fluxn, fluxm, flux_fullact)

   real(r8), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair
   real(r8), intent(in) :: na(:)
   integer,  intent(in) :: nmode
   real(r8), intent(in) :: volume(:)
   real(r8), intent(in) :: hygro(:)
   logical,  intent(in) :: in_cloud
   real(r8), intent(in) :: smax_f
   real(r8), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact

   fn(:) = wbar*hygro/(wbar*hygro + alogsig*(1._r8 + sigw)*tair/280._r8)
   if (in_cloud) fn(:) = fn/(1._r8 + smax_f)
   fm(:) = sqrt(fn)*rhoair/(1._r8 + rhoair)
   fluxn(:) = fn*wbar
   fluxm(:) = fm*wbar + 0._r8*(sum(na(:nmode)) + sum(volume) + wdiab + wminf + wmaxf)
   flux_fullact = wbar
end subroutine actdrop_mam_calc

end module activate_drop_mam
