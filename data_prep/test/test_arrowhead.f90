!> The arrowhead solver against Gaussian elimination of the full matrix, and the analytic Jacobian against differences.
program test_arrowhead
  use parcel_constants, only: wp, constants_type
  use parcel_thermodynamics, only: n_bulk, i_pressure, i_temperature, i_vapour, initial_bulk_state, kelvin_length
  use arrowhead, only: schur_complement, factorise_dense, solve_arrowhead
  use droplet_growth, only: equilibrium_radii
  use rodas_step, only: workspace_type, evaluate_rates, evaluate_jacobian
  implicit none
  call check_solve()
  call check_pivoting()
  call check_jacobian()
  print '(a)', 'test_arrowhead: passed'
contains

  subroutine check_solve()
    !! x from the arrowhead solver times the full matrix gives the right-hand side back.
    integer, parameter :: n = 37
    real(wp) :: block(n_bulk, n_bulk), original(n_bulk, n_bulk), p(n, n_bulk), m(n), c(n_bulk), d(n), rhs(n_bulk + n), &
                x_bulk(n_bulk), x_radii(n), back(n_bulk + n)
    integer :: pivots(n_bulk), j
    call fill(block); call fill(p)
    call random_number(m); call random_number(c); call random_number(d); call random_number(rhs)
    d = d + 1.0_wp
    original = block
    x_bulk = rhs(:n_bulk)
    x_radii = rhs(n_bulk + 1:)
    call schur_complement(n, 1.0_wp/d, p, m, c, block)
    call factorise_dense(block, pivots)
    call solve_arrowhead(n, block, pivots, 1.0_wp/d, p, m, c, x_bulk, x_radii)
    back(:n_bulk) = matmul(original, x_bulk) - c*sum(m*x_radii)
    back(n_bulk + 1:) = d*x_radii
    do j = 1, n_bulk
      back(n_bulk + 1:) = back(n_bulk + 1:) - p(:, j)*x_bulk(j)
    end do
    if (maxval(abs(back - rhs)) > 1.0e-11_wp) error stop 'arrowhead solution does not satisfy the full system'
  end subroutine check_solve

  subroutine check_pivoting()
    !! A zero on the diagonal needs an exchange of rows.
    real(wp) :: matrix(n_bulk, n_bulk), x(n_bulk), p(1, n_bulk), m(1), c(n_bulk), radii(1)
    integer :: pivots(n_bulk)
    matrix = reshape([0.0_wp, 2.0_wp, 0.0_wp, 1.0_wp, 3.0_wp, 0.0_wp, 1.0_wp, 0.0_wp, &
                      1.0_wp, 1.0_wp, 0.0_wp, 4.0_wp, 0.0_wp, 5.0_wp, 2.0_wp, 0.0_wp], [n_bulk, n_bulk])
    x = matmul(matrix, [1.0_wp, -2.0_wp, 3.0_wp, -4.0_wp])
    p = 0.0_wp; m = 0.0_wp; c = 0.0_wp; radii = 0.0_wp
    call factorise_dense(matrix, pivots)
    call solve_arrowhead(1, matrix, pivots, [1.0_wp], p, m, c, x, radii)
    if (maxval(abs(x - [1.0_wp, -2.0_wp, 3.0_wp, -4.0_wp])) > 1.0e-13_wp) error stop 'pivoting is wrong'
  end subroutine check_pivoting

  subroutine check_jacobian()
    !! Jacobian blocks against central differences of the right-hand side.
    integer, parameter :: n = 6
    real(wp), parameter :: tolerance = 1.0e-4_wp
    type(constants_type), parameter :: constants = constants_type()
    type(workspace_type) :: work
    real(wp) :: up_bulk(n_bulk), down_bulk(n_bulk), up_radius(n), down_radius(n), bulk(n_bulk), radius(n), step, &
                scale(n_bulk)
    integer :: error, i, j
    call work%create(n, error)
    work%dry_radius = [5.0e-9_wp, 1.0e-8_wp, 5.0e-8_wp, 1.0e-7_wp, 5.0e-7_wp, 2.0e-6_wp]
    work%number = [3.0e8_wp, 5.0e8_wp, 2.0e8_wp, 1.0e8_wp, 1.0e6_wp, 1.0e5_wp]
    work%hygroscopicity = 0.5_wp
    work%solute = work%hygroscopicity*work%dry_radius**3
    work%now%bulk = initial_bulk_state(285.0_wp, 9.0e4_wp, -0.02_wp)
    call equilibrium_radii(n, kelvin_length(285.0_wp, constants), -0.02_wp, work%dry_radius, work%solute, &
                           work%now%radius)
    work%now%radius = 1.1_wp*work%now%radius
    call evaluate_jacobian(work, 1.0_wp, constants)
    scale = [1.0e5_wp, 300.0_wp, 1.0e-2_wp, 1.0_wp]
    do j = 1, n_bulk
      step = 1.0e-6_wp*scale(j)
      bulk = work%now%bulk
      bulk(j) = work%now%bulk(j) + step
      call evaluate_rates(work, bulk, work%now%radius, 1.0_wp, constants, up_bulk, up_radius)
      bulk(j) = work%now%bulk(j) - step
      call evaluate_rates(work, bulk, work%now%radius, 1.0_wp, constants, down_bulk, down_radius)
      up_bulk = (up_bulk - down_bulk)/(2.0_wp*step)
      up_radius = (up_radius - down_radius)/(2.0_wp*step)
      if (any(abs(up_bulk - work%bulk_jacobian(:, j)) > tolerance*(abs(up_bulk) + 1.0e-6_wp*scale/scale(j)))) &
        error stop 'bulk block of the Jacobian is wrong'
      if (any(abs(up_radius - work%rate_by_bulk(:, j)) > tolerance*(abs(up_radius) + 1.0e-9_wp/scale(j)))) &
        error stop 'derivative of the growth rates by the bulk state is wrong'
    end do
    do i = 1, n
      radius = work%now%radius
      step = 1.0e-6_wp*(radius(i) - work%dry_radius(i))
      radius(i) = work%now%radius(i) + step
      call evaluate_rates(work, work%now%bulk, radius, 1.0_wp, constants, up_bulk, up_radius)
      radius(i) = work%now%radius(i) - step
      call evaluate_rates(work, work%now%bulk, radius, 1.0_wp, constants, down_bulk, down_radius)
      up_bulk = (up_bulk - down_bulk)/(2.0_wp*step)
      up_radius = (up_radius - down_radius)/(2.0_wp*step)
      if (abs(up_radius(i) - work%rate_by_radius(i)) > tolerance*abs(up_radius(i))) &
        error stop 'derivative of a growth rate by its radius is wrong'
      if (abs(up_bulk(i_vapour) - work%condensation(i_vapour)*work%moment_by_radius(i)) > &
          tolerance*abs(up_bulk(i_vapour))) &
        error stop 'derivative of the condensation moment by a radius is wrong'
    end do
  end subroutine check_jacobian

  subroutine fill(matrix)
    !! Random values, and a diagonal that keeps the matrix well conditioned.
    real(wp), intent(out) :: matrix(:, :)
    integer :: i
    call random_number(matrix)
    do i = 1, minval(shape(matrix))
      matrix(i, i) = matrix(i, i) + 3.0_wp
    end do
  end subroutine fill

end program test_arrowhead
