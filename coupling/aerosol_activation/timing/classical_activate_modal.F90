!> The classical scheme of climate models, with which the cost of the emulator is compared: `activate_modal` with the
!> arguments of E3SM, for one parcel with a single updraft or a Gaussian spectrum of updrafts.
!>
!> It computes the formula of Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161, called ARG below, as models compute
!> it: double precision, one mode at a time, the intrinsic functions `log` and `erf`, saturation pressure from a table,
!> and a Kelvin length that does not depend on the temperature. Quantities that depend only on the modes are set once.
!> As in the models, the arrays over modes are automatic, also those that only a spectrum needs.
module classical_activate_modal
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: classical_init, classical_activate

  integer, parameter :: r8 = real64
  real(r8), parameter :: pi = 3.14159265358979323846_r8
  real(r8), parameter :: sqrt_two = sqrt(2.0_r8), two_thirds = 2.0_r8/3.0_r8
  real(r8), parameter :: freezing = 273.0_r8                 ! [K]
  real(r8), parameter :: first_temperature = 173.16_r8       ! of the table [K]
  integer, parameter :: n_table = 205                        ! entries, 1 K apart
  integer, parameter :: n_steps = 60                         ! trapezoids of a spectrum
  real(r8), parameter :: spectrum_width = 3.0_r8             ! half the spectrum, in standard deviations

  real(r8), save :: gravit, rair, rh2o, cpair, latvap, rhoh2o, epsilo   ! constants of the host [SI]
  real(r8), save :: kelvin                                   ! Kelvin length [m]
  real(r8), save :: table(n_table)                           ! saturation pressure over water [Pa]
  real(r8), save, allocatable :: log_sigma(:)                ! ln of the geometric standard deviation [1] (mode)
  real(r8), save, allocatable :: width_factor(:)             ! exp(4.5 ln(sigma)**2) [1] (mode)
  real(r8), save, allocatable :: breadth(:), spread(:)       ! f and g of ARG eq. 7 and 8 [1] (mode)

contains

  !> Set the constants and the modes, as a model does at its start.
  subroutine classical_init(gravit_in, rair_in, rh2o_in, cpair_in, latvap_in, rhoh2o_in, sigmag_amode, kelvin_length)
    real(r8), intent(in) :: gravit_in        !! acceleration of gravity [m s-2]
    real(r8), intent(in) :: rair_in          !! gas constant of dry air [J kg-1 K-1]
    real(r8), intent(in) :: rh2o_in          !! gas constant of water vapour [J kg-1 K-1]
    real(r8), intent(in) :: cpair_in         !! heat capacity of dry air at constant pressure [J kg-1 K-1]
    real(r8), intent(in) :: latvap_in        !! latent heat of condensation [J kg-1]
    real(r8), intent(in) :: rhoh2o_in        !! density of water [kg m-3]
    real(r8), intent(in) :: sigmag_amode(:)  !! geometric standard deviations of the modes [1] (mode)
    real(r8), intent(in) :: kelvin_length    !! Kelvin length at all temperatures [m]
    real(r8) :: celsius
    integer :: i

    gravit = gravit_in
    rair = rair_in
    rh2o = rh2o_in
    cpair = cpair_in
    latvap = latvap_in
    rhoh2o = rhoh2o_in
    epsilo = rair/rh2o
    kelvin = kelvin_length
    log_sigma = log(sigmag_amode)
    width_factor = exp(4.5_r8*log_sigma*log_sigma)
    breadth = 0.5_r8*exp(2.5_r8*log_sigma*log_sigma)
    spread = 1.0_r8 + 0.25_r8*log_sigma
    do i = 1, n_table
      celsius = first_temperature + real(i - 1, r8) - 273.15_r8
      table(i) = 611.2_r8*exp(17.67_r8*celsius/(celsius + 243.5_r8))   ! Bolton (1980)
    end do

  end subroutine classical_init

  !> Compute the activated fractions of one parcel and their fluxes into cloud.
  subroutine classical_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                fluxn, fluxm, flux_fullact, smax_prescribed)
    real(r8), intent(in) :: wbar             !! mean vertical velocity [m s-1]
    real(r8), intent(in) :: sigw             !! standard deviation of vertical velocity [m s-1]
    real(r8), intent(in) :: wdiab            !! diabatic vertical velocity [m s-1]
    real(r8), intent(in) :: wminf            !! smallest updraft of the spectrum [m s-1]
    real(r8), intent(in) :: wmaxf            !! largest updraft of the spectrum [m s-1]
    real(r8), intent(in) :: tair             !! air temperature [K]
    real(r8), intent(in) :: rhoair           !! air density [kg m-3]
    real(r8), intent(in) :: na(:)            !! aerosol number concentration [m-3] (mode)
    integer, intent(in) :: nmode             !! number of modes
    real(r8), intent(in) :: volume(:)        !! aerosol volume concentration [m3 m-3] (mode)
    real(r8), intent(in) :: hygro(:)         !! hygroscopicity [1] (mode)
    real(r8), intent(out) :: fn(:)           !! fraction of the number that activates [1] (mode)
    real(r8), intent(out) :: fm(:)           !! fraction of the mass that activates [1] (mode)
    real(r8), intent(out) :: fluxn(:)        !! flux of that number fraction into cloud [m s-1] (mode)
    real(r8), intent(out) :: fluxm(:)        !! flux of that mass fraction into cloud [m s-1] (mode)
    real(r8), intent(out) :: flux_fullact    !! flux if all particles activated [m s-1]
    real(r8), intent(in), optional :: smax_prescribed   !! maximum supersaturation [1]
    real(r8), dimension(nmode) :: critical, log_critical, competitor, root_growth, cube, zeta, eta
    real(r8), dimension(nmode) :: sum_number, sum_mass, sum_number_flux, sum_mass_flux, last_number, last_mass
    real(r8) :: pressure, diffusivity, conductivity, saturation, humidity, slope, source, sink, growth, largest
    real(r8) :: lowest, highest, w, step, density, last_density, last_w, total_flux
    integer :: m, n

    fn(:) = 0.0_r8
    fm(:) = 0.0_r8
    fluxn(:) = 0.0_r8
    fluxm(:) = 0.0_r8
    flux_fullact = 0.0_r8
    if (nmode == 1 .and. na(1) < 1.0e-20_r8) return
    if (sigw <= 1.0e-5_r8 .and. wbar <= 0.0_r8) return
    if (present(smax_prescribed)) then
      if (smax_prescribed <= 0.0_r8) return
    end if

    pressure = rair*rhoair*tair
    diffusivity = 1.0e-4_r8*(0.211_r8/(pressure*1.01325e-5_r8))*(tair/freezing)**1.94_r8   ! [m2 s-1]
    conductivity = 1.0e-3_r8*(4.39_r8 + 0.071_r8*tair)                                     ! [J m-1 s-1 K-1]
    saturation = saturation_pressure(tair)
    humidity = epsilo*saturation/max(pressure, saturation)
    slope = latvap/(rh2o*tair*tair)*humidity
    source = gravit*(latvap/(cpair*rh2o*tair*tair) - 1.0_r8/(rair*tair))   ! alpha [m-1]
    sink = (1.0_r8 + latvap/cpair*slope)/(rhoair*humidity)                 ! gamma [m3 kg-1]
    largest = 1.0e10_r8/(source*wmaxf)**1.5_r8   ! makes eta large for an empty mode

    ! Models compute G for each mode, because it may depend on the radius.
    do m = 1, nmode
      growth = 1.0_r8/(rhoh2o/(diffusivity*rhoair*humidity) + &
                       latvap*rhoh2o/(conductivity*tair)*(latvap/(rh2o*tair) - 1.0_r8))
      root_growth(m) = sqrt(growth)
      if (volume(m) > 1.0e-39_r8 .and. na(m) > 1.0e-39_r8) then
        cube(m) = 3.0_r8*volume(m)/(4.0_r8*pi*width_factor(m)*na(m))
        competitor(m) = 1.0_r8/(na(m)*(2.0_r8*pi*rhoh2o*growth*sink)*root_growth(m))
        if (hygro(m) > 1.0e-10_r8) then
          critical(m) = 2.0_r8*kelvin*sqrt(kelvin/(27.0_r8*hygro(m)*cube(m)))   ! ARG eq. 9
        else
          critical(m) = 100.0_r8
        end if
      else
        critical(m) = 1.0_r8
        competitor(m) = largest
      end if
      log_critical(m) = log(critical(m))
    end do

    if (sigw <= 1.0e-5_r8) then
      if (wbar + wdiab <= 0.0_r8) return
      call fractions_of_updraft(wbar + wdiab)
      do m = 1, nmode
        fluxn(m) = fn(m)*wbar
        fluxm(m) = fm(m)*wbar
      end do
      flux_fullact = wbar
      return
    end if

    ! A spectrum: trapezoids over three standard deviations.
    lowest = max(wminf, -wdiab, wbar - spectrum_width*sigw)
    highest = min(wmaxf, wbar + spectrum_width*sigw)
    if (highest <= lowest) return
    sum_number = 0.0_r8
    sum_mass = 0.0_r8
    sum_number_flux = 0.0_r8
    sum_mass_flux = 0.0_r8
    total_flux = 0.0_r8
    last_density = 0.0_r8
    last_w = 0.0_r8
    step = (highest - lowest)/real(n_steps, r8)
    do n = 0, n_steps
      w = lowest + real(n, r8)*step
      fn(1:nmode) = 0.0_r8
      fm(1:nmode) = 0.0_r8
      if (w + wdiab > 0.0_r8) call fractions_of_updraft(w + wdiab)
      density = exp(-0.5_r8*((w - wbar)/sigw)**2)/(sqrt(2.0_r8*pi)*sigw)
      if (n > 0) then
        do m = 1, nmode
          sum_number(m) = sum_number(m) + 0.5_r8*step*(fn(m)*density + last_number(m)*last_density)
          sum_mass(m) = sum_mass(m) + 0.5_r8*step*(fm(m)*density + last_mass(m)*last_density)
          sum_number_flux(m) = sum_number_flux(m) + &
                               0.5_r8*step*(max(w, 0.0_r8)*fn(m)*density + last_w*last_number(m)*last_density)
          sum_mass_flux(m) = sum_mass_flux(m) + &
                             0.5_r8*step*(max(w, 0.0_r8)*fm(m)*density + last_w*last_mass(m)*last_density)
        end do
        total_flux = total_flux + 0.5_r8*step*(max(w, 0.0_r8)*density + last_w*last_density)
      end if
      last_number = fn(1:nmode)
      last_mass = fm(1:nmode)
      last_density = density
      last_w = max(w, 0.0_r8)
    end do
    fn(1:nmode) = sum_number
    fm(1:nmode) = sum_mass
    fluxn(1:nmode) = sum_number_flux
    fluxm(1:nmode) = sum_mass_flux
    flux_fullact = total_flux

  contains

    !> Compute the fractions of all modes in one updraft.
    subroutine fractions_of_updraft(updraft)
      real(r8), intent(in) :: updraft   !! above 0 [m s-1]
      real(r8) :: forcing, root, smax, log_smax, x

      forcing = source*updraft
      root = sqrt(forcing)
      do m = 1, nmode
        eta(m) = forcing*root*competitor(m)                ! ARG eq. 11
        zeta(m) = two_thirds*root*kelvin/root_growth(m)    ! ARG eq. 10
      end do
      if (present(smax_prescribed)) then
        smax = smax_prescribed
      else
        call largest_supersaturation(nmode, zeta, eta, critical, smax)
      end if
      log_smax = log(smax)
      do m = 1, nmode
        x = two_thirds*(log_critical(m) - log_smax)/(sqrt_two*log_sigma(m))   ! ARG eq. 13
        fn(m) = 0.5_r8*(1.0_r8 - erf(x))
        fm(m) = 0.5_r8*(1.0_r8 - erf(x - 1.5_r8*sqrt_two*log_sigma(m)))
      end do

    end subroutine fractions_of_updraft

  end subroutine classical_activate

  !> Compute the maximum supersaturation of competing modes, ARG eq. 6.
  subroutine largest_supersaturation(nmode, zeta, eta, critical, smax)
    integer, intent(in) :: nmode              !! number of modes
    real(r8), intent(in) :: zeta(nmode)       !! ARG eq. 10 [1] (mode)
    real(r8), intent(in) :: eta(nmode)        !! ARG eq. 11 [1] (mode)
    real(r8), intent(in) :: critical(nmode)   !! critical supersaturation of the median radius [1] (mode)
    real(r8), intent(out) :: smax             !! [1]
    real(r8) :: total, own, others
    integer :: m

    smax = 1.0e-20_r8
    do m = 1, nmode
      if (.not. (zeta(m) > 1.0e5_r8*eta(m) .or. critical(m)*critical(m) > 1.0e5_r8*eta(m))) exit
    end do
    if (m > nmode) return   ! the forcing is too weak for every mode
    total = 0.0_r8
    do m = 1, nmode
      if (eta(m) > 1.0e-20_r8) then
        own = zeta(m)/eta(m)
        own = own*sqrt(own)
        others = critical(m)/sqrt(eta(m) + 3.0_r8*zeta(m))
        others = others*sqrt(others)
        total = total + (breadth(m)*own + spread(m)*others)/(critical(m)*critical(m))
      else
        total = 1.0e20_r8
      end if
    end do
    smax = 1.0_r8/sqrt(total)

  end subroutine largest_supersaturation

  !> Return the saturation pressure over water by interpolation in the table [Pa].
  pure real(r8) function saturation_pressure(temperature)
    real(r8), intent(in) :: temperature   !! [K]
    real(r8) :: place, weight
    integer :: i

    place = max(min(temperature - first_temperature, real(n_table - 2, r8)), 0.0_r8)
    i = int(place) + 1
    weight = place - aint(place)
    saturation_pressure = (1.0_r8 - weight)*table(i) + weight*table(i + 1)

  end function saturation_pressure

end module classical_activate_modal
