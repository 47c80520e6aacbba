!> A host that calls the module `emufort_host` or its stub, see test_host_interface.py.
module host_physics
  use emufort_host, only: hk => emufort_host_kind
  implicit none
  integer, save :: n_aborts = 0

contains

  !> The activation of a host: fractions that depend on every argument.
  subroutine own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, &
                          fluxm, flux_fullact, smax_prescribed)
    real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:), volume(:), hygro(:)
    integer, intent(in) :: nmode
    real(hk), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(hk), optional :: smax_prescribed
    real(hk) :: smax
    integer :: m

    smax = 0.01_hk*sqrt(wbar + wdiab + sigw*(wmaxf - wminf))*tair/280.0_hk/rhoair
    if (present(smax_prescribed)) smax = smax_prescribed
    flux_fullact = wbar
    do m = 1, nmode
      fn(m) = smax/(smax + exp(-20.0_hk*(volume(m)/na(m))**(1.0_hk/3.0_hk)*1.0e6_hk)/(1.0_hk + hygro(m)))
      fm(m) = sqrt(fn(m))
      fluxn(m) = fn(m)*wbar
      fluxm(m) = fm(m)*wbar
    end do

  end subroutine own_activate

  !> The same in cloud.
  subroutine own_in_cloud(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, smax_f, &
                          fn, fm, fluxn, fluxm, flux_fullact)
    real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na(:), volume(:), hygro(:), smax_f
    integer, intent(in) :: nmode
    logical, intent(in) :: in_cloud
    real(hk), intent(out) :: fn(:), fm(:), fluxn(:), fluxm(:), flux_fullact
    real(hk) :: smax

    smax = 0.003_hk*smax_f
    if (in_cloud) then
      call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact, smax)
    else
      call own_activate(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, fluxn, fluxm, &
                        flux_fullact)
    end if

  end subroutine own_in_cloud

  !> The end of the run: here only counted.
  subroutine own_abort(string)
    character(len=*), intent(in), optional :: string

    if (.not. present(string)) error stop 'no message'
    n_aborts = n_aborts + 1

  end subroutine own_abort

end module host_physics

program interface_driver
  use emufort_host, only: hk => emufort_host_kind, emufort_host_init, emufort_host_activate, emufort_host_errors, &
                          emufort_host_present, emufort_host_n_counts, activate_modal, actdrop_mam_calc, &
                          emufort_answered_by_host, emufort_answered_by_emulator, emufort_answered_by_ratio
  use host_physics, only: own_activate, own_in_cloud, own_abort, n_aborts
  implicit none
  integer, parameter :: pcols = 12, ncol = 10, pver = 3, nmode = 4
  !> Widths and constants of the contract `activation`, in the order of the arguments; from the command line.
  real(hk) :: values(nmode + 6), sigma(nmode), constants(6)
  real(hk) :: w(pcols, pver), width(pcols, pver), zero(pcols, pver), most(pcols, pver), t(pcols, pver), rho(pcols, pver)
  real(hk) :: aerosol(pcols, pver, nmode, 3), f(pcols, pver, nmode, 4), full(pcols, pver), smax(pcols, pver)
  real(hk) :: drops(pcols, pver), given(pcols, pver), one(nmode, 4), one_full, wanted(nmode, 4), wanted_full
  logical :: cloud(pcols, pver)
  integer :: by(pcols, pver), counted(pcols, emufort_host_n_counts), i, k, errflg
  character(len=512) :: errmsg, argument

  do i = 1, nmode + 6
    call get_command_argument(i, argument)
    read (argument, *) values(i)
  end do
  sigma = values(:nmode)
  constants = values(nmode + 1:)
  do k = 1, pver
    do i = 1, pcols
      w(i, k) = 0.1_hk*real(i + 3*k, hk)
      t(i, k) = 265.0_hk + 2.0_hk*real(i + k, hk)
      rho(i, k) = 0.8_hk + 0.01_hk*real(i, hk)
      aerosol(i, k, :, 1) = [1.0e8_hk, 2.0e8_hk, 1.0e5_hk, 1.0e7_hk]*real(i, hk)
      aerosol(i, k, :, 2) = [1.0e-12_hk, 2.0e-15_hk, 1.0e-11_hk, 1.0e-14_hk]*real(i, hk)
      aerosol(i, k, :, 3) = [0.5_hk, 0.4_hk, 0.9_hk, 0.1_hk]
      width(i, k) = merge(0.3_hk, 0.0_hk, mod(i, 4) == 0)
      cloud(i, k) = mod(i, 3) == 0
      given(i, k) = merge(0.005_hk, -1.0_hk, mod(i, 5) == 0)
      drops(i, k) = real(i, hk)
    end do
  end do
  zero = 0.0_hk
  most = 10.0_hk

  ! ---- before init
  call parcel(1, 1, errflg)
  if (errflg == 0 .or. one(1, 1) >= 0.0_hk .or. emufort_host_errors() /= 1) error stop 'before init'
  call chunk()
  if (errflg == 0 .or. errmsg == ' ') error stop 'a chunk before init'

  ! ---- init that must fail
  call set('none', 'ratio', 'paper')
  if (errflg == 0) error stop 'scheme'
  call set('host', 'ratio', 'paper', with_routine=.false.)
  if (errflg == 0 .or. errmsg == ' ') error stop 'host without its routine'
  call set('emulator', 'ratio', 'paper', factor=1.05_hk)
  if (errflg == 0) error stop 'another latent heat'
  if (emufort_host_present .and. index(errmsg, 'latent heat of condensation is') == 0) error stop 'names the difference'
  if (emufort_host_present) then
    call set('emulator', 'none', 'paper')
    if (errflg == 0 .or. index(errmsg, 'outside must be') == 0) error stop 'outside'
    call set('emulator', 'ratio', 'none')
    if (errflg == 0 .or. index(errmsg, 'formula must be') == 0) error stop 'formula'
    call set('emulator', 'ratio', 'paper', mismatch='perhaps')
    if (errflg == 0 .or. index(errmsg, 'mismatch must be') == 0) error stop 'mismatch'
    call set('emulator', 'host', 'paper', with_routine=.false.)
    if (errflg == 0 .or. index(errmsg, 'host_routine') == 0) error stop 'outside by the host without its routine'
  end if

  ! ---- a control run, and the fall-back on the host: its bits
  do k = 1, 2
    if (k == 1) call set('host', 'ratio', 'paper')
    if (k == 2) call set('emulator', 'ratio', 'paper', factor=1.05_hk, mismatch='fall_back')
    if (errflg /= 0 .or. (errmsg == ' ' .neqv. k == 1)) error stop 'the routine of the host'
    call compare_parcels()
    by = -7
    f = -7.0_hk
    call chunk(cloud, drops, given)
    if (errflg /= 0 .or. errmsg /= ' ') error stop 'chunk'
    if (any(by(:ncol, :) /= emufort_answered_by_host) .or. any(smax(:ncol, :) >= 0.0_hk)) error stop 'the host answers'
    if (any(by(ncol + 1:, :) /= -7) .or. any(abs(f(ncol + 1:, :, :, :) + 7.0_hk) > 0.0_hk)) error stop 'not in use'
    if (any(counted(ncol + 1:, :) /= 0) .or. any(counted(:, 1) /= counted(:, 3))) error stop 'counts'
    if (counted(1, 1) /= pver .or. counted(3, 1) /= 0 .or. counted(5, 1) /= 0) error stop 'counts of a column'
    call compare_chunk()
    call chunk(cloud)
    if (errflg == 0 .or. errmsg == ' ') error stop 'in cloud without the drops'
  end do

  ! ---- the host ends the run for a call that it cannot answer
  call set('host', 'ratio', 'paper', with_cloud=.false.)
  call activate_modal(w(1, 1), 0.0_hk, 0.0_hk, 0.0_hk, 10.0_hk, t(1, 1), rho(1, 1), aerosol(1, 1, :, 1), nmode, &
                      aerosol(1, 1, :, 2), aerosol(1, 1, :, 3), one(:, 1), one(:, 2), one(:, 3), one(:, 4), one_full, &
                      in_cloud_in=.true., smax_f=1.0_hk)
  if (n_aborts /= 1 .or. emufort_host_errors() /= 1) error stop 'the end of the run'

  ! ---- the emulator
  if (emufort_host_present) then
    call set('emulator', 'ratio', 'paper', with_routine=.false.)
    if (errflg /= 0 .or. errmsg /= ' ') error stop 'the emulator'
    call chunk()
    if (errflg /= 0 .or. any(by(:ncol, :) /= emufort_answered_by_emulator .and. by(:ncol, :) /= &
                             emufort_answered_by_ratio)) error stop 'the emulator answers'
    if (any(smax(:ncol, :) <= 0.0_hk) .or. .not. all(f(:ncol, :, :, :2) >= 0.0_hk)) error stop 'its answers'
    if (any(counted(1:3, 1) /= pver) .or. counted(4, 1) <= pver .or. any(counted(:, 3) /= 0)) error stop 'its counts'
    call parcel(2, 2, errflg)
    if (errflg /= 0 .or. any(abs(one - f(2, 2, :, :)) > 0.0_hk)) error stop 'one parcel'
    call set('emulator', 'host', 'paper')
    if (errflg /= 0) error stop 'outside by the host'
    call set('arg2000', 'ratio', 'e3sm')
    if (errflg /= 0) error stop 'ARG2000'
  end if
  print '(a)', 'the interface holds'

contains

  !> Init with the constants of the contract, the latent heat times a factor.
  subroutine set(scheme, outside, formula, factor, mismatch, with_routine, with_cloud)
    character(len=*), intent(in) :: scheme, outside, formula
    real(hk), intent(in), optional :: factor
    character(len=*), intent(in), optional :: mismatch
    logical, intent(in), optional :: with_routine, with_cloud
    real(hk) :: c(6)

    c = constants
    if (present(factor)) c(5) = c(5)*factor
    if (present(with_routine)) then
      call emufort_host_init(hk, c(1), c(2), c(3), c(4), c(5), c(6), sigma, scheme, outside, formula, errmsg, errflg)
    else if (present(with_cloud)) then
      call emufort_host_init(hk, c(1), c(2), c(3), c(4), c(5), c(6), sigma, scheme, outside, formula, errmsg, errflg, &
                             own_activate, abort=own_abort)
    else
      call emufort_host_init(hk, c(1), c(2), c(3), c(4), c(5), c(6), sigma, scheme, outside, formula, errmsg, errflg, &
                             own_activate, mismatch, kelvin_temperature=273.0_hk, in_cloud_routine=own_in_cloud)
    end if

  end subroutine set

  !> Call `activate_modal` for one column and level.
  subroutine parcel(i, k, errflg)
    integer, intent(in) :: i, k
    integer, intent(out) :: errflg

    call activate_modal(w(i, k), width(i, k), 0.0_hk, 0.0_hk, 10.0_hk, t(i, k), rho(i, k), aerosol(i, k, :, 1), nmode, &
                        aerosol(i, k, :, 2), aerosol(i, k, :, 3), one(:, 1), one(:, 2), one(:, 3), one(:, 4), &
                        one_full, errflg=errflg)

  end subroutine parcel

  !> Call the interface for chunks.
  subroutine chunk(in_cloud, smax_f, smax_prescribed)
    logical, intent(in), optional :: in_cloud(pcols, pver)
    real(hk), intent(in), optional :: smax_f(pcols, pver), smax_prescribed(pcols, pver)

    call emufort_host_activate(pcols, ncol, pver, nmode, w, width, zero, zero, most, t, rho, aerosol(:, :, :, 1), &
                               aerosol(:, :, :, 2), aerosol(:, :, :, 3), f(:, :, :, 1), f(:, :, :, 2), f(:, :, :, 3), &
                               f(:, :, :, 4), full, counted, errmsg, errflg, in_cloud, smax_f, smax, by, &
                               smax_prescribed)

  end subroutine chunk

  !> Ask the host itself.
  subroutine ask(i, k, with_given, with_cloud)
    integer, intent(in) :: i, k
    logical, intent(in) :: with_given, with_cloud

    if (with_cloud) then
      call own_in_cloud(w(i, k), width(i, k), 0.0_hk, 0.0_hk, 10.0_hk, t(i, k), rho(i, k), aerosol(i, k, :, 1), nmode, &
                        aerosol(i, k, :, 2), aerosol(i, k, :, 3), .true., drops(i, k), wanted(:, 1), wanted(:, 2), &
                        wanted(:, 3), wanted(:, 4), wanted_full)
    else if (with_given) then
      call own_activate(w(i, k), width(i, k), 0.0_hk, 0.0_hk, 10.0_hk, t(i, k), rho(i, k), aerosol(i, k, :, 1), nmode, &
                        aerosol(i, k, :, 2), aerosol(i, k, :, 3), wanted(:, 1), wanted(:, 2), wanted(:, 3), &
                        wanted(:, 4), wanted_full, given(i, k))
    else
      call own_activate(w(i, k), width(i, k), 0.0_hk, 0.0_hk, 10.0_hk, t(i, k), rho(i, k), aerosol(i, k, :, 1), nmode, &
                        aerosol(i, k, :, 2), aerosol(i, k, :, 3), wanted(:, 1), wanted(:, 2), wanted(:, 3), &
                        wanted(:, 4), wanted_full)
    end if

  end subroutine ask

  !> Compare the drop-in procedures with the host.
  subroutine compare_parcels()
    integer :: i

    do i = 1, ncol
      call parcel(i, 1, errflg)
      call ask(i, 1, .false., .false.)
      if (errflg /= 0 .or. any(abs(one - wanted) > 0.0_hk) .or. abs(one_full - wanted_full) > 0.0_hk) &
        error stop 'activate_modal'
      call activate_modal(w(i, 1), width(i, 1), 0.0_hk, 0.0_hk, 10.0_hk, t(i, 1), rho(i, 1), aerosol(i, 1, :, 1), &
                          nmode, aerosol(i, 1, :, 2), aerosol(i, 1, :, 3), one(:, 1), one(:, 2), one(:, 3), one(:, 4), &
                          one_full, abs(given(i, 1)))
      given(i, 1) = abs(given(i, 1))
      call ask(i, 1, .true., .false.)
      if (any(abs(one - wanted) > 0.0_hk)) error stop 'prescribed'
      if (mod(i, 5) /= 0) given(i, 1) = -1.0_hk
      call actdrop_mam_calc(w(i, 1), width(i, 1), 0.0_hk, 0.0_hk, 10.0_hk, t(i, 1), rho(i, 1), aerosol(i, 1, :, 1), &
                            nmode, aerosol(i, 1, :, 2), aerosol(i, 1, :, 3), .true., drops(i, 1), one(:, 1), &
                            one(:, 2), one(:, 3), one(:, 4), one_full)
      call ask(i, 1, .false., .true.)
      if (any(abs(one - wanted) > 0.0_hk)) error stop 'actdrop_mam_calc'
    end do

  end subroutine compare_parcels

  !> Compare the chunk with the host.
  subroutine compare_chunk()
    integer :: i, k

    do k = 1, pver
      do i = 1, ncol
        call ask(i, k, given(i, k) > 0.0_hk, cloud(i, k) .and. width(i, k) <= 0.0_hk)
        if (any(abs(f(i, k, :, :) - wanted) > 0.0_hk) .or. abs(full(i, k) - wanted_full) > 0.0_hk) error stop 'a chunk'
      end do
    end do

  end subroutine compare_chunk

end program interface_driver
