program host
  use shr_kind_mod, only: r8 => shr_kind_r8
  use ndrop, only: ndrop_init, dropmixnuc
  use modal_aero_convproc, only: ma_activate_convproc
  use zm_microphysics, only: zm_mphy
  implicit none
  call ndrop_init
  call dropmixnuc(0.3_r8)
  call ma_activate_convproc(3, 3)
  call ma_activate_convproc(2, 3)
  call zm_mphy()
end program host
