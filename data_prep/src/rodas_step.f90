!> One step of the Rosenbrock method RODAS4(3) on the parcel equations.
!!
!! RODAS is stiffly accurate, L-stable and of order 4 with an embedded solution of order 3 (Hairer and Wanner 1996,
!! Solving Ordinary Differential Equations II, section IV.7 and code RODAS). The smallest wet particles follow the
!! supersaturation within microseconds, so the method must be implicit; a Rosenbrock method needs one factorisation
!! a step and no iteration, and the arrowhead Jacobian makes that O(n).
module rodas_step
  use parcel_constants, only: wp, constants_type
  use parcel_thermodynamics, only: n_bulk, i_pressure, i_temperature, i_supersaturation, bulk_coefficients_type, &
                                   bulk_coefficients
  use droplet_growth, only: growth_rates, growth_derivatives
  use arrowhead, only: schur_complement, factorise_dense, solve_arrowhead
  implicit none
  private

  integer, parameter :: n_stages = 6
  real(wp), parameter :: gamma = 0.25_wp
  ! Element (i, j) is of stage i and the earlier stage j; each column takes two lines.
  real(wp), parameter :: stage_weight(6, 5) = &
                         reshape([ &
                                 0.0_wp, 1.544_wp, 0.9466785280815826_wp, &
                                 3.314825187068521_wp, 1.221224509226641_wp, 1.221224509226641_wp, &
                                 0.0_wp, 0.0_wp, 0.2557011698983284_wp, &
                                 2.896124015972201_wp, 6.019134481288629_wp, 6.019134481288629_wp, &
                                 0.0_wp, 0.0_wp, 0.0_wp, &
                                 0.9986419139977817_wp, 12.53708332932087_wp, 12.53708332932087_wp, &
                                 0.0_wp, 0.0_wp, 0.0_wp, &
                                 0.0_wp, -0.6878860361058950_wp, -0.6878860361058950_wp, &
                                 0.0_wp, 0.0_wp, 0.0_wp, &
                                 0.0_wp, 0.0_wp, 1.0_wp], [6, 5])
  real(wp), parameter :: stage_coupling(6, 5) = &
                         reshape([ &
                                 0.0_wp, -5.6688_wp, -2.430093356833875_wp, &
                                 -0.1073529058151375_wp, 7.496443313967647_wp, 8.083246795921522_wp, &
                                 0.0_wp, 0.0_wp, -0.2063599157091915_wp, &
                                 -9.594562251023355_wp, -10.24680431464352_wp, -7.981132988064893_wp, &
                                 0.0_wp, 0.0_wp, 0.0_wp, &
                                 -20.47028614809616_wp, -33.99990352819905_wp, -31.52159432874371_wp, &
                                 0.0_wp, 0.0_wp, 0.0_wp, &
                                 0.0_wp, 11.70890893206160_wp, 16.31930543123136_wp, &
                                 0.0_wp, 0.0_wp, 0.0_wp, &
                                 0.0_wp, 0.0_wp, -6.058818238834054_wp], [6, 5])

  !> State of a parcel: what the integrator advances.
  type, public :: parcel_state_type
    real(wp) :: bulk(n_bulk) !! pressure [Pa], temperature [K], vapour [kg kg-1], supersaturation [1]
    real(wp) :: bulk_rate(n_bulk) !! their tendencies [s-1]
    real(wp), allocatable :: radius(:) !! wet radii [m] (n_cells)
    real(wp), allocatable :: radius_rate(:) !! [m s-1] (n_cells)
  end type parcel_state_type

  !> The cells and all memory a solve needs: allocated once, before any solve.
  type, public :: workspace_type
    integer :: n_cells = 0
    real(wp), allocatable :: dry_radius(:) !! [m] (n_cells)
    real(wp), allocatable :: number(:) !! [m-3] (n_cells)
    real(wp), allocatable :: hygroscopicity(:) !! kappa [1] (n_cells)
    real(wp), allocatable :: solute(:) !! kappa rd^3 [m3] (n_cells)
    type(parcel_state_type) :: now !! accepted state
    type(parcel_state_type) :: next !! trial state
    ! Jacobian at `now`
    real(wp) :: bulk_jacobian(n_bulk, n_bulk)
    real(wp) :: condensation(n_bulk)
    real(wp), allocatable :: rate_by_radius(:), rate_by_bulk(:, :), moment_by_radius(:)
    ! one step
    real(wp), allocatable :: diagonal_inverse(:), stage_radius(:, :)
  contains
    procedure :: create => workspace_create
  end type workspace_type

  public :: evaluate_rates, evaluate_jacobian, take_step

contains

  subroutine workspace_create(self, n_cells, error)
    !! Allocate for a number of cells.
    class(workspace_type), intent(out) :: self
    integer, intent(in) :: n_cells
    integer, intent(out) :: error !! 0, or the allocation status
    self%n_cells = n_cells
    allocate (self%dry_radius(n_cells), self%number(n_cells), self%hygroscopicity(n_cells), self%solute(n_cells), &
              self%now%radius(n_cells), self%now%radius_rate(n_cells), self%next%radius(n_cells), &
              self%next%radius_rate(n_cells), self%rate_by_radius(n_cells), self%rate_by_bulk(n_cells, n_bulk), &
              self%moment_by_radius(n_cells), self%diagonal_inverse(n_cells), self%stage_radius(n_cells, n_stages), &
              stat=error)
  end subroutine workspace_create

  pure subroutine evaluate_rates(work, bulk, radius, updraft_speed, constants, bulk_rate, radius_rate)
    !! Right-hand side of the parcel equations.
    type(workspace_type), intent(in) :: work
    real(wp), intent(in) :: bulk(n_bulk) !! bulk state
    real(wp), intent(in) :: radius(work%n_cells) !! [m] (n_cells)
    real(wp), intent(in) :: updraft_speed !! [m s-1]
    type(constants_type), intent(in) :: constants
    real(wp), intent(out) :: bulk_rate(n_bulk) !! [s-1]
    real(wp), intent(out) :: radius_rate(work%n_cells) !! [m s-1] (n_cells)
    type(bulk_coefficients_type) :: coefficients
    real(wp) :: moment
    coefficients = bulk_coefficients(bulk, updraft_speed, constants)
    call growth_rates(work%n_cells, coefficients, bulk(i_supersaturation), work%dry_radius, work%solute, work%number, &
                      radius, radius_rate, moment)
    bulk_rate = coefficients%ascent + moment*coefficients%condensation
  end subroutine evaluate_rates

  pure subroutine evaluate_jacobian(work, updraft_speed, constants)
    !! Jacobian at the accepted state, in arrowhead blocks.
    !!
    !! Derivatives by radius are analytic. The few bulk coefficients are smooth, cheap functions of the bulk state:
    !! one-sided differences with a relative step of 1e-6 keep the order of the method (tested).
    type(workspace_type), intent(inout) :: work
    real(wp), intent(in) :: updraft_speed !! [m s-1]
    type(constants_type), intent(in) :: constants
    type(bulk_coefficients_type) :: base, moved
    real(wp) :: gradient(3, n_bulk), condensation_gradient(n_bulk, n_bulk), bulk(n_bulk), step(n_bulk)
    real(wp) :: moment, moment_by_bulk(n_bulk)
    integer :: j
    base = bulk_coefficients(work%now%bulk, updraft_speed, constants)
    step = 1.0e-6_wp
    step(i_pressure) = 1.0e-6_wp*work%now%bulk(i_pressure)
    step(i_temperature) = 1.0e-6_wp*work%now%bulk(i_temperature)
    do j = 1, n_bulk
      bulk = work%now%bulk
      bulk(j) = bulk(j) + step(j)
      moved = bulk_coefficients(bulk, updraft_speed, constants)
      gradient(1, j) = (moved%kelvin_length - base%kelvin_length)/step(j)
      gradient(2, j) = (moved%resistance_slope - base%resistance_slope)/step(j)
      gradient(3, j) = (moved%resistance_offset - base%resistance_offset)/step(j)
      work%bulk_jacobian(:, j) = (moved%ascent - base%ascent)/step(j)
      condensation_gradient(:, j) = (moved%condensation - base%condensation)/step(j)
    end do
    call growth_derivatives(work%n_cells, base, gradient, work%now%bulk(i_supersaturation), work%dry_radius, &
                            work%solute, work%number, work%now%radius, work%rate_by_radius, work%rate_by_bulk, &
                            work%moment_by_radius, moment_by_bulk, moment)
    do j = 1, n_bulk
      work%bulk_jacobian(:, j) = work%bulk_jacobian(:, j) + moment*condensation_gradient(:, j) + &
                                 base%condensation*moment_by_bulk(j)
    end do
    work%condensation = base%condensation
  end subroutine evaluate_jacobian

  pure subroutine take_step(work, step, updraft_speed, constants, bulk_scale, radius_tolerance, error)
    !! Trial step from `now` (with its rates and Jacobian) to `next`; the caller accepts it if error <= 1.
    type(workspace_type), intent(inout) :: work
    real(wp), intent(in) :: step !! [s]
    real(wp), intent(in) :: updraft_speed !! [m s-1]
    type(constants_type), intent(in) :: constants
    real(wp), intent(in) :: bulk_scale(n_bulk) !! error allowed in each bulk variable
    real(wp), intent(in) :: radius_tolerance !! relative error allowed in a radius [1]
    real(wp), intent(out) :: error !! estimated error over the allowed one; huge if the trial state is not physical
    real(wp) :: factors(n_bulk, n_bulk), stage_bulk(n_bulk, n_stages), coupling, radius_error
    integer :: pivots(n_bulk), i, j, stage, n

    n = work%n_cells
    work%diagonal_inverse = 1.0_wp/(1.0_wp/(step*gamma) - work%rate_by_radius)
    factors = -work%bulk_jacobian
    do j = 1, n_bulk
      factors(j, j) = factors(j, j) + 1.0_wp/(step*gamma)
    end do
    call schur_complement(n, work%diagonal_inverse, work%rate_by_bulk, work%moment_by_radius, work%condensation, &
                          factors)
    call factorise_dense(factors, pivots)

    do stage = 1, n_stages
      if (stage == 1) then
        stage_bulk(:, 1) = work%now%bulk_rate
        work%stage_radius(:, 1) = work%now%radius_rate
      else
        if (stage < n_stages) then
          work%next%bulk = work%now%bulk
          work%next%radius = work%now%radius
          do j = 1, stage - 1
            work%next%bulk = work%next%bulk + stage_weight(stage, j)*stage_bulk(:, j)
            do i = 1, n
              work%next%radius(i) = work%next%radius(i) + stage_weight(stage, j)*work%stage_radius(i, j)
            end do
          end do
        else ! stiffly accurate: the last stage starts where the fifth ends
          work%next%bulk = work%next%bulk + stage_bulk(:, 5)
          work%next%radius = work%next%radius + work%stage_radius(:, 5)
        end if
        if (.not. is_physical(work)) then
          error = huge(error)
          return
        end if
        call evaluate_rates(work, work%next%bulk, work%next%radius, updraft_speed, constants, &
                            stage_bulk(:, stage), work%stage_radius(:, stage))
      end if
      do j = 1, stage - 1
        coupling = stage_coupling(stage, j)/step
        stage_bulk(:, stage) = stage_bulk(:, stage) + coupling*stage_bulk(:, j)
        do i = 1, n
          work%stage_radius(i, stage) = work%stage_radius(i, stage) + coupling*work%stage_radius(i, j)
        end do
      end do
      call solve_arrowhead(n, factors, pivots, work%diagonal_inverse, work%rate_by_bulk, work%moment_by_radius, &
                           work%condensation, stage_bulk(:, stage), work%stage_radius(:, stage))
    end do

    work%next%bulk = work%next%bulk + stage_bulk(:, n_stages)
    work%next%radius = work%next%radius + work%stage_radius(:, n_stages)
    if (.not. is_physical(work)) then
      error = huge(error)
      return
    end if
    ! the last increment is the difference between the solutions of order 4 and 3
    radius_error = 0.0_wp
    !$omp simd reduction(+:radius_error)
    do i = 1, n
      radius_error = radius_error + (work%stage_radius(i, n_stages)/(radius_tolerance*work%next%radius(i)))**2
    end do
    ! bulk variables and radii weigh the same: many cells must not hide an error of the supersaturation
    error = sqrt(0.5_wp*(sum((stage_bulk(:, n_stages)/bulk_scale)**2)/real(n_bulk, wp) + radius_error/real(n, wp)))
    if (.not. error <= huge(error)) then ! also true for NaN
      error = huge(error)
      return
    end if
    call evaluate_rates(work, work%next%bulk, work%next%radius, updraft_speed, constants, work%next%bulk_rate, &
                        work%next%radius_rate)
  end subroutine take_step

  pure logical function is_physical(work)
    !! Wet radii above dry ones, positive pressure and temperature (and no NaN) in the trial state.
    type(workspace_type), intent(in) :: work
    real(wp) :: thinnest
    integer :: i
    thinnest = huge(thinnest)
    do i = 1, work%n_cells
      thinnest = min(thinnest, work%next%radius(i) - work%dry_radius(i))
    end do
    is_physical = thinnest > 0.0_wp .and. work%next%bulk(i_temperature) > 100.0_wp .and. &
                  work%next%bulk(i_pressure) > 100.0_wp
  end function is_physical

end module rodas_step
