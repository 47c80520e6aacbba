!> The same parcels by the Fortran interface, for activation.cpp.
module activation_reference
  use, intrinsic :: iso_c_binding, only: c_int, c_double
  use emufort_host, only: activate_modal
  implicit none
  private

contains

  !> Compute one parcel; `fixed` is negative if the supersaturation is to be computed.
  integer(c_int) function reference(w, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, full, &
                                    fixed) bind(c)
    real(c_double), value :: w, wmaxf, tair, rhoair, fixed
    integer(c_int), value :: nmode
    real(c_double), intent(in) :: na(nmode), volume(nmode), hygro(nmode)
    real(c_double), intent(out) :: fn(nmode), fm(nmode), fluxn(nmode), fluxm(nmode), full
    character(len=200) :: message
    integer :: failure

    if (fixed < 0.0_c_double) then
      call activate_modal(w, 0.0_c_double, 0.0_c_double, 0.0_c_double, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                          fn, fm, fluxn, fluxm, full, errmsg=message, errflg=failure)
    else
      call activate_modal(w, 0.0_c_double, 0.0_c_double, 0.0_c_double, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                          fn, fm, fluxn, fluxm, full, fixed, errmsg=message, errflg=failure)
    end if
    reference = failure

  end function reference

end module activation_reference
