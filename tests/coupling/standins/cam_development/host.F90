program host
  use shr_kind_mod, only: r8 => shr_kind_r8
  use modal_aerosol_properties_mod, only: modal_aerosol_properties
  use ndrop, only: ndrop_init, dropmixnuc
  use aero_convproc, only: activate_convproc
  use some_aerosol, only: widths
  implicit none
  type(modal_aerosol_properties) :: aero_props
  call aero_props%initialize(widths)
  call ndrop_init(aero_props)
  call dropmixnuc(aero_props, 0.3_r8)
  call activate_convproc(aero_props, 3, 3)
  call activate_convproc(aero_props, 2, 3)
end program host
