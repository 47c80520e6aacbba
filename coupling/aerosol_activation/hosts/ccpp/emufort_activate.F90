!> CCPP scheme for the activated fractions of aerosol modes: by the emulator, and by ARG2000 outside its range.
!>
!> The weights are in the generated module, so no phase reads a file. After the init phase the scheme is constant.
!> Arrays have explicit shapes: they are passed on without copies.
module emufort_activate
  use ccpp_kinds, only: kind_phys
  use emufort_host, only: emufort_host_init, emufort_host_activate, emufort_host_n_counts
  implicit none
  private

  public :: emufort_activate_init, emufort_activate_run, emufort_activate_finalize

contains

  !> \section arg_table_emufort_activate_init Argument Table
  !! \htmlinclude emufort_activate_init.html
  !!
  subroutine emufort_activate_init(gravit, rair, rh2o, cpair, latvap, rhoh2o, nmode, sigmag, scheme, outside, &
                                   mismatch, n_counts, errmsg, errflg)
    real(kind_phys), intent(in) :: gravit            !! acceleration of gravity [m s-2]
    real(kind_phys), intent(in) :: rair              !! gas constant of dry air [J kg-1 K-1]
    real(kind_phys), intent(in) :: rh2o              !! gas constant of water vapour [J kg-1 K-1]
    real(kind_phys), intent(in) :: cpair             !! heat capacity of dry air at constant pressure [J kg-1 K-1]
    real(kind_phys), intent(in) :: latvap            !! latent heat of condensation [J kg-1]
    real(kind_phys), intent(in) :: rhoh2o            !! density of water [kg m-3]
    integer, intent(in) :: nmode                     !! aerosol modes
    real(kind_phys), intent(in) :: sigmag(nmode)     !! geometric standard deviations of the modes [1] (nmode)
    character(len=*), intent(in) :: scheme           !! 'emulator' or 'arg2000'
    character(len=*), intent(in) :: outside          !! option outside the range: 'arg2000', 'ratio' or 'clip'
    character(len=*), intent(in) :: mismatch         !! if modes or constants differ: 'refuse' or 'fall_back'
    integer, intent(in) :: n_counts                  !! kinds of events, see emufort_host_n_counts
    character(len=512), intent(out) :: errmsg        !! error message, empty for success
    integer, intent(out) :: errflg                   !! 0 for success

    if (n_counts /= emufort_host_n_counts) then
      write (errmsg, '(a, i0)') 'emufort_activate_init: the number of kinds of events must be ', emufort_host_n_counts
      errflg = 1
      return
    end if
    call emufort_host_init(kind_phys, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag, scheme, outside, 'paper', &
                           errmsg, errflg, mismatch=mismatch)

  end subroutine emufort_activate_init

  !> \section arg_table_emufort_activate_run Argument Table
  !! \htmlinclude emufort_activate_run.html
  !!
  subroutine emufort_activate_run(ncol, nlev, nmode, n_counts, wbar, sigw, wdiab, wminf, wmaxf, temperature, density, &
                                  number, volume, hygroscopicity, in_cloud, smax_f, number_fraction, mass_fraction, &
                                  number_flux, mass_flux, full_flux, smax, answered_by, n_counted, errmsg, errflg)
    integer, intent(in) :: ncol                                    !! columns of this call
    integer, intent(in) :: nlev                                    !! levels
    integer, intent(in) :: nmode                                   !! aerosol modes
    integer, intent(in) :: n_counts                                !! kinds of events, see emufort_host_n_counts
    real(kind_phys), intent(in) :: wbar(ncol, nlev)                !! updraft [m s-1]
    real(kind_phys), intent(in) :: sigw(ncol, nlev)                !! standard deviation of the updraft [m s-1]
    real(kind_phys), intent(in) :: wdiab(ncol, nlev)               !! diabatic updraft [m s-1]
    real(kind_phys), intent(in) :: wminf(ncol, nlev)               !! smallest updraft of the spectrum [m s-1]
    real(kind_phys), intent(in) :: wmaxf(ncol, nlev)               !! largest updraft of the spectrum [m s-1]
    real(kind_phys), intent(in) :: temperature(ncol, nlev)         !! air temperature [K]
    real(kind_phys), intent(in) :: density(ncol, nlev)             !! air density [kg m-3]
    real(kind_phys), intent(in) :: number(ncol, nlev, nmode)       !! aerosol number concentration [m-3]
    real(kind_phys), intent(in) :: volume(ncol, nlev, nmode)       !! aerosol volume concentration [m3 m-3]
    real(kind_phys), intent(in) :: hygroscopicity(ncol, nlev, nmode)      !! hygroscopicity [1]
    logical, intent(in) :: in_cloud(ncol, nlev)                    !! above cloud base
    real(kind_phys), intent(in) :: smax_f(ncol, nlev)              !! number times size factor of drops [m-2]
    real(kind_phys), intent(inout) :: number_fraction(ncol, nlev, nmode)  !! activated number fraction [1]
    real(kind_phys), intent(inout) :: mass_fraction(ncol, nlev, nmode)    !! activated mass fraction [1]
    real(kind_phys), intent(inout) :: number_flux(ncol, nlev, nmode)      !! number flux into cloud [m s-1]
    real(kind_phys), intent(inout) :: mass_flux(ncol, nlev, nmode)        !! mass flux into cloud [m s-1]
    real(kind_phys), intent(inout) :: full_flux(ncol, nlev)        !! flux if all particles activated [m s-1]
    real(kind_phys), intent(inout) :: smax(ncol, nlev)             !! maximum supersaturation [1]
    integer, intent(inout) :: answered_by(ncol, nlev)              !! scheme that answered, see emufort_host
    integer, intent(inout) :: n_counted(ncol, n_counts)            !! events of this call by kind
    character(len=512), intent(out) :: errmsg                      !! error message, empty for success
    integer, intent(out) :: errflg                                 !! 0 for success

    call emufort_host_activate(ncol, ncol, nlev, nmode, wbar, sigw, wdiab, wminf, wmaxf, temperature, density, number, &
                               volume, hygroscopicity, number_fraction, mass_fraction, number_flux, mass_flux, &
                               full_flux, n_counted, errmsg, errflg, in_cloud, smax_f, smax, answered_by)

  end subroutine emufort_activate_run

  !> \section arg_table_emufort_activate_finalize Argument Table
  !! \htmlinclude emufort_activate_finalize.html
  !!
  subroutine emufort_activate_finalize(errmsg, errflg)
    character(len=512), intent(out) :: errmsg        !! error message, empty for success
    integer, intent(out) :: errflg                   !! 0 for success

    errmsg = ''
    errflg = 0

  end subroutine emufort_activate_finalize

end module emufort_activate
