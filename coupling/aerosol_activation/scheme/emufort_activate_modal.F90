!> Drop-in replacements of `activate_modal` (E3SM) and `actdrop_mam_calc` (CAM) with the same arguments.
!>
!> The optional arguments of `activate_modal` are in the order of CAM. E3SM has only the first of them.
!>
!> As in E3SM and CAM, the module holds the scheme: `activate_modal_init` sets it once, and it is constant afterwards.
!> Hosts that pass their state as arguments use `activation_type` of the module `emufort_aerosol_activation` instead.
module emufort_activate_modal
  use emufort_runtime, only: emulator_type, status_type
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, activation_counts_type, &
                                        activation_predictor, activation_inside, hk => activation_kind, &
                                        activation_max_modes, least_width
  use emufort_aerosol_scheme, only: n_emulated_modes, n_plain
  use emufort_aerosol_parcel, only: activate_parcel
  implicit none
  private

  public :: activate_modal_init, activate_modal, actdrop_mam_calc, activate_modal_scheme

  type(activation_type), save, protected :: activate_modal_scheme   !! for calls with whole chunks

contains

  !> Set the scheme. After an error, ARG2000 answers.
  subroutine activate_modal_init(host_kind, constants, sigmag_amode, status, emulator, predictor, outside, formula, &
                                 lower, upper, inside)
    integer, intent(in) :: host_kind                          !! kind of the host's reals
    type(activation_constants_type), intent(in) :: constants  !! of the host
    real(hk), intent(in) :: sigmag_amode(:)                   !! geometric standard deviations of the modes [1] (mode)
    type(status_type), intent(out) :: status                  !! outcome
    type(emulator_type), intent(in), optional :: emulator     !! a loaded emulator
    procedure(activation_predictor), optional :: predictor    !! or `<name>_predict_block` of a generated module
    integer, intent(in), optional :: outside                  !! outside_ratio (default), _arg2000 or _clip
    integer, intent(in), optional :: formula                  !! arg2000_paper (default) or arg2000_e3sm
    real(hk), intent(in), optional :: lower(:), upper(:)      !! range of the emulator, contract units (input)

    procedure(activation_inside), optional :: inside          !! or `<name>_predict_inside`, with `predictor`

    call activate_modal_scheme%init(host_kind, constants, sigmag_amode, status, emulator, predictor, outside, formula, &
                                    lower, upper, inside)

  end subroutine activate_modal_init

  !> Compute the activated fractions of one parcel and their fluxes into cloud; arguments in the order of E3SM.
  recursive subroutine activate_modal(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, fn, fm, &
                                      fluxn, fluxm, flux_fullact, smax_prescribed, in_cloud_in, smax_f, counts)
    real(hk), intent(in) :: wbar             !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw             !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab            !! diabatic vertical velocity, 0 if adiabatic [m s-1]
    real(hk), intent(in) :: wminf            !! smallest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: wmaxf            !! largest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: tair             !! air temperature [K]
    real(hk), intent(in) :: rhoair           !! air density [kg m-3]
    real(hk), intent(in) :: na(:)            !! aerosol number concentration [m-3] (mode)
    integer, intent(in) :: nmode             !! number of modes
    real(hk), intent(in) :: volume(:)        !! aerosol volume concentration [m3 m-3] (mode)
    real(hk), intent(in) :: hygro(:)         !! hygroscopicity [1] (mode)
    real(hk), intent(out) :: fn(:)           !! fraction of the number that activates [1] (mode)
    real(hk), intent(out) :: fm(:)           !! fraction of the mass that activates [1] (mode)
    real(hk), intent(out) :: fluxn(:)        !! flux of that number fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: fluxm(:)        !! flux of that mass fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact    !! flux if all particles activated [m s-1]
    real(hk), intent(in), optional :: smax_prescribed                !! maximum supersaturation [1]
    logical, intent(in), optional :: in_cloud_in                     !! above cloud base
    real(hk), intent(in), optional :: smax_f                         !! number times size factor of the drops [m-2]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers
    logical :: in_cloud
    real(hk) :: drops, fixed

    in_cloud = .false.
    drops = 0.0_hk
    fixed = -1.0_hk
    if (present(in_cloud_in)) in_cloud = in_cloud_in
    if (present(smax_f)) drops = smax_f
    if (present(smax_prescribed)) fixed = max(smax_prescribed, 0.0_hk)
    call one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, drops, fixed, &
                    fn, fm, fluxn, fluxm, flux_fullact, counts)

  end subroutine activate_modal

  !> Compute the activated fractions of one parcel and their fluxes into cloud; arguments in the order of CAM.
  recursive subroutine actdrop_mam_calc(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, &
                                        in_cloud, smax_f, fn, fm, fluxn, fluxm, flux_fullact, counts)
    real(hk), intent(in) :: wbar             !! mean vertical velocity [m s-1]
    real(hk), intent(in) :: sigw             !! standard deviation of vertical velocity [m s-1]
    real(hk), intent(in) :: wdiab            !! diabatic vertical velocity, 0 if adiabatic [m s-1]
    real(hk), intent(in) :: wminf            !! smallest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: wmaxf            !! largest updraft of the spectrum [m s-1]
    real(hk), intent(in) :: tair             !! air temperature [K]
    real(hk), intent(in) :: rhoair           !! air density [kg m-3]
    real(hk), intent(in) :: na(:)            !! aerosol number concentration [m-3] (mode)
    integer, intent(in) :: nmode             !! number of modes
    real(hk), intent(in) :: volume(:)        !! aerosol volume concentration [m3 m-3] (mode)
    real(hk), intent(in) :: hygro(:)         !! hygroscopicity [1] (mode)
    logical, intent(in) :: in_cloud          !! above cloud base
    real(hk), intent(in) :: smax_f           !! number times size factor of the drops [m-2]
    real(hk), intent(out) :: fn(:)           !! fraction of the number that activates [1] (mode)
    real(hk), intent(out) :: fm(:)           !! fraction of the mass that activates [1] (mode)
    real(hk), intent(out) :: fluxn(:)        !! flux of that number fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: fluxm(:)        !! flux of that mass fraction into cloud [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact    !! flux if all particles activated [m s-1]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers

    call one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, smax_f, &
                    -1.0_hk, fn, fm, fluxn, fluxm, flux_fullact, counts)

  end subroutine actdrop_mam_calc

  !> Compute one parcel for both procedures.
  recursive subroutine one_parcel(wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair, na, nmode, volume, hygro, in_cloud, &
                                  smax_f, smax_fixed, fn, fm, fluxn, fluxm, flux_fullact, counts)
    real(hk), intent(in) :: wbar, sigw, wdiab, wminf, wmaxf   !! [m s-1]
    real(hk), intent(in) :: tair                              !! [K]
    real(hk), intent(in) :: rhoair                            !! [kg m-3]
    integer, intent(in) :: nmode                              !! number of modes
    real(hk), intent(in) :: na(:), volume(:), hygro(:)        !! [m-3], [m3 m-3], [1] (mode)
    logical, intent(in) :: in_cloud                           !! above cloud base
    real(hk), intent(in) :: smax_f                            !! [m-2]
    real(hk), intent(in) :: smax_fixed                        !! maximum supersaturation, negative: to be computed [1]
    real(hk), intent(out) :: fn(:), fm(:)                     !! [1] (mode)
    real(hk), intent(out) :: fluxn(:), fluxm(:)               !! [m s-1] (mode)
    real(hk), intent(out) :: flux_fullact                     !! [m s-1]
    type(activation_counts_type), intent(out), optional :: counts    !! counts of the answers
    type(status_type) :: status
    type(activation_counts_type) :: own_counts
    real(hk) :: input(activation_max_modes, 3), output(activation_max_modes, 4), air(7), full(1)
    integer :: n
    logical :: is_done

    if (nmode == n_emulated_modes .and. sigw <= real(least_width, hk) .and. wbar > 0.0_hk .and. smax_fixed < 0.0_hk .and. &
        .not. in_cloud .and. activate_modal_scheme%n_inputs == n_plain .and. &
        (associated(activate_modal_scheme%inside) .or. .not. associated(activate_modal_scheme%predictor))) then
      input(1:n_emulated_modes, 1) = na(1:n_emulated_modes)
      input(1:n_emulated_modes, 2) = volume(1:n_emulated_modes)
      input(1:n_emulated_modes, 3) = hygro(1:n_emulated_modes)
      call activate_parcel(activate_modal_scheme%scheme_type, wbar, wdiab, tair, rhoair, input(1, 1), input(1, 2), &
                           input(1, 3), output(1, 1), output(1, 2), is_done)
      if (is_done) then
        fn = 0.0_hk
        fm = 0.0_hk
        fluxn = 0.0_hk
        fluxm = 0.0_hk
        do n = 1, n_emulated_modes
          fn(n) = output(n, 1)
          fm(n) = output(n, 2)
          fluxn(n) = output(n, 1)*wbar
          fluxm(n) = output(n, 2)*wbar
        end do
        flux_fullact = wbar
        if (present(counts)) then
          counts = activation_counts_type(n_parcels=1)
        end if
        return
      end if
    end if
    fn = 0.0_hk
    fm = 0.0_hk
    fluxn = 0.0_hk
    fluxm = 0.0_hk
    flux_fullact = 0.0_hk
    ! As in E3SM, the fluxes are 0 as well for a single empty mode or a prescribed supersaturation of 0.
    if (nmode == 1) then
      if (na(1) < 1.0e-20_hk) return
    end if
    if (nmode < 1 .or. nmode > activation_max_modes .or. .not. (smax_fixed < 0.0_hk .or. smax_fixed > 0.0_hk)) return
    n = nmode
    air = [wbar, sigw, wdiab, wminf, wmaxf, tair, rhoair]
    input(1:n, 1) = na(1:n)
    input(1:n, 2) = volume(1:n)
    input(1:n, 3) = hygro(1:n)
    output(1:n, :) = 0.0_hk
    full = 0.0_hk
    call activate_modal_scheme%activate(1, 1, 1, n, air(1), air(2), air(3), air(4), air(5), air(6), air(7), &
                                        input(1, 1), input(1, 2), input(1, 3), output(1, 1), output(1, 2), &
                                        output(1, 3), output(1, 4), full, status, own_counts, [in_cloud], [smax_f], &
                                        [smax_fixed])
    fn(1:n) = output(1:n, 1)
    fm(1:n) = output(1:n, 2)
    fluxn(1:n) = output(1:n, 3)
    fluxm(1:n) = output(1:n, 4)
    flux_fullact = full(1)
    if (present(counts)) counts = own_counts

  end subroutine one_parcel

end module emufort_activate_modal
