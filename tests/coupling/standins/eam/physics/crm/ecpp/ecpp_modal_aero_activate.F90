module ecpp_modal_aero_activate

	use shr_kind_mod, only: r8 => shr_kind_r8
	implicit none
	private
	public :: activate_intface

contains

	subroutine activate_intface

        use ndrop,           only: activate_modal
	use some_aerosol, only: ntype_aer => nmodes, load
	use answers, only: show

	integer, parameter :: maxd_asize = 2
	real(r8), dimension( 1:maxd_asize, 1:ntype_aer ) ::   &
	    fn, fm, fluxn, fluxm, hygro, naerosol, vaerosol
	real(r8) :: flux_fullact
	integer :: m

	do m = 1, maxd_asize
	    call load(m, naerosol(m,:), vaerosol(m,:), hygro(m,:))
	end do
        m = 1
        call activate_modal( 0.4_r8, 0._r8, 0._r8, 0._r8, 50._r8, 281._r8, 1.0_r8, &
            naerosol(m,:), ntype_aer, &
            vaerosol(m,:), hygro(m,:),         &
            fn(m,:), fm(m,:), fluxn(m,:), fluxm(m,:), flux_fullact )
	call show('ecpp', fn(m,:), fm(m,:), fluxn(m,:), fluxm(m,:), flux_fullact)

	end subroutine activate_intface

end module ecpp_modal_aero_activate
