module zm_microphysics

   use shr_kind_mod,           only: r8=>shr_kind_r8
   use ndrop,                  only: activate_modal
   use some_aerosol,           only: nmodes, load
   use answers,                only: show

   implicit none
   private
   public :: zm_mphy

contains

   subroutine zm_mphy()
      real(r8) :: naermod(nmodes), vaerosol(nmodes), hygro(nmodes)
      real(r8) :: fn(nmodes), fm(nmodes), fluxn(nmodes), fluxm(nmodes), flux_fullact
      integer :: k
      logical :: in_cloud

      do k = 1, 2
         in_cloud = (k < 2)
         call load(k, naermod, vaerosol, hygro)
                    call activate_modal(  &
                       1.5_r8, 0._r8, 0._r8, 0._r8, 10._r8,                 &
                       280._r8, 0.9_r8, naermod, nmodes, vaerosol, &
                       hygro, fn, fm,                  &
                       fluxn, fluxm, flux_fullact, in_cloud_in=in_cloud, smax_f=3.e3_r8)
         call show(merge('zm in cloud', 'zm at base ', in_cloud), fn, fm, fluxn, fluxm, flux_fullact)
      end do
   end subroutine zm_mphy

end module zm_microphysics
