!> CCPP scheme for the activated fractions of aerosol modes: by the emulator, and by ARG2000 outside its range.
!>
!> The weights are in the generated module, so no phase reads a file. After the init phase the scheme is constant.
module emufort_activate
  use ccpp_kinds, only: kind_phys
  use emufort_host, only: emufort_host_init, emufort_host_activate, emufort_host_n_counts
  implicit none
  private

  public :: emufort_activate_init, emufort_activate_run, emufort_activate_final

contains

  !> \section arg_table_emufort_activate_init Argument Table
  !! \htmlinclude emufort_activate_init.html
  subroutine emufort_activate_init(gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag, scheme, outside, formula, &
                                   errmsg, errflg)
    real(kind_phys), intent(in) :: gravit            !! acceleration of gravity [m s-2]
    real(kind_phys), intent(in) :: rair              !! gas constant of dry air [J kg-1 K-1]
    real(kind_phys), intent(in) :: rh2o              !! gas constant of water vapour [J kg-1 K-1]
    real(kind_phys), intent(in) :: cpair             !! heat capacity of dry air at constant pressure [J kg-1 K-1]
    real(kind_phys), intent(in) :: latvap            !! latent heat of condensation [J kg-1]
    real(kind_phys), intent(in) :: rhoh2o            !! density of water [kg m-3]
    real(kind_phys), intent(in) :: sigmag(:)         !! geometric standard deviations of the modes [1] (mode)
    character(len=*), intent(in) :: scheme           !! 'emulator' or 'arg2000'
    character(len=*), intent(in) :: outside          !! option outside the range: 'arg2000', 'ratio' or 'clip'
    character(len=*), intent(in) :: formula          !! of ARG2000: 'paper' or 'e3sm'
    character(len=512), intent(out) :: errmsg        !! error message, empty for success
    integer, intent(out) :: errflg                   !! 0 for success

    call emufort_host_init(kind_phys, gravit, rair, rh2o, cpair, latvap, rhoh2o, sigmag, scheme, outside, formula, &
                           errmsg, errflg)

  end subroutine emufort_activate_init

  !> \section arg_table_emufort_activate_run Argument Table
  !! \htmlinclude emufort_activate_run.html
  subroutine emufort_activate_run(ncol, nlev, nmode, wbar, sigw, wdiab, wminf, wmaxf, temperature, density, number, &
                                  volume, hygroscopicity, in_cloud, smax_f, number_fraction, mass_fraction, &
                                  number_flux, mass_flux, full_flux, n_counted, errmsg, errflg)
    integer, intent(in) :: ncol                             !! columns of this call
    integer, intent(in) :: nlev                             !! levels
    integer, intent(in) :: nmode                            !! aerosol modes
    real(kind_phys), intent(in) :: wbar(:, :)               !! mean updraft [m s-1] (ncol, nlev)
    real(kind_phys), intent(in) :: sigw(:, :)               !! standard deviation of the updraft [m s-1] (ncol, nlev)
    real(kind_phys), intent(in) :: wdiab(:, :)              !! diabatic updraft [m s-1] (ncol, nlev)
    real(kind_phys), intent(in) :: wminf(:, :)              !! smallest updraft of the spectrum [m s-1] (ncol, nlev)
    real(kind_phys), intent(in) :: wmaxf(:, :)              !! largest updraft of the spectrum [m s-1] (ncol, nlev)
    real(kind_phys), intent(in) :: temperature(:, :)        !! air temperature [K] (ncol, nlev)
    real(kind_phys), intent(in) :: density(:, :)            !! air density [kg m-3] (ncol, nlev)
    real(kind_phys), intent(in) :: number(:, :, :)          !! aerosol number concentration [m-3] (ncol, nlev, nmode)
    real(kind_phys), intent(in) :: volume(:, :, :)          !! aerosol volume concentration [m3 m-3] (ncol, nlev, nmode)
    real(kind_phys), intent(in) :: hygroscopicity(:, :, :)  !! hygroscopicity [1] (ncol, nlev, nmode)
    logical, intent(in) :: in_cloud(:, :)                   !! above cloud base (ncol, nlev)
    real(kind_phys), intent(in) :: smax_f(:, :)             !! number times size factor of drops [m-2] (ncol, nlev)
    real(kind_phys), intent(inout) :: number_fraction(:, :, :)  !! activated number fraction [1] (ncol, nlev, nmode)
    real(kind_phys), intent(inout) :: mass_fraction(:, :, :)    !! activated mass fraction [1] (ncol, nlev, nmode)
    real(kind_phys), intent(inout) :: number_flux(:, :, :)  !! number flux into cloud [m s-1] (ncol, nlev, nmode)
    real(kind_phys), intent(inout) :: mass_flux(:, :, :)    !! mass flux into cloud [m s-1] (ncol, nlev, nmode)
    real(kind_phys), intent(inout) :: full_flux(:, :)       !! flux if all particles activated [m s-1] (ncol, nlev)
    integer, intent(out) :: n_counted(:, :)                 !! counts (ncol, 6), see emufort_host_activate
    character(len=512), intent(out) :: errmsg               !! error message, empty for success
    integer, intent(out) :: errflg                          !! 0 for success

    call emufort_host_activate(ncol, ncol, nlev, nmode, wbar, sigw, wdiab, wminf, wmaxf, temperature, density, number, &
                               volume, hygroscopicity, number_fraction, mass_fraction, number_flux, mass_flux, &
                               full_flux, n_counted, errmsg, errflg, in_cloud, smax_f)

  end subroutine emufort_activate_run

  !> \section arg_table_emufort_activate_final Argument Table
  !! \htmlinclude emufort_activate_final.html
  subroutine emufort_activate_final(errmsg, errflg)
    character(len=512), intent(out) :: errmsg        !! error message, empty for success
    integer, intent(out) :: errflg                   !! 0 for success

    errmsg = ''
    errflg = 0

  end subroutine emufort_activate_final

end module emufort_activate
