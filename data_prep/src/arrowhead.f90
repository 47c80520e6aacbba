!> Linear systems with the arrowhead matrix of the parcel model.
!!
!! The matrix is W = [ B - outer(c, m) terms ] in blocks: the few bulk variables couple to everything, a radius
!! couples to itself and to the bulk only, and all radii act on the bulk through one number, the condensation moment:
!!
!!     W = | B        -c m^T |   B (4 x 4), c (4), m (n)
!!         | -P        D     |   P (n x 4), D diagonal (n)
!!
!! So W x = b costs O(n): eliminate the radii, solve 4 x 4, substitute back.
module arrowhead
  use parcel_constants, only: wp
  use parcel_thermodynamics, only: n_bulk
  implicit none
  private

  public :: factorise_dense, solve_dense, schur_complement, solve_arrowhead

contains

  pure subroutine schur_complement(n_cells, diagonal_inverse, rate_by_bulk, moment_by_radius, condensation, block)
    !! Subtract from the bulk block what the eliminated radii feed back: block - c (m^T D^-1 P).
    integer, intent(in) :: n_cells
    real(wp), intent(in) :: diagonal_inverse(n_cells) !! D^-1 (n_cells)
    real(wp), intent(in) :: rate_by_bulk(n_cells, n_bulk) !! P (n_cells, n_bulk)
    real(wp), intent(in) :: moment_by_radius(n_cells) !! m (n_cells)
    real(wp), intent(in) :: condensation(n_bulk) !! c (n_bulk)
    real(wp), intent(inout) :: block(n_bulk, n_bulk) !! in: B; out: the Schur complement
    real(wp) :: weight, s1, s2, s3, s4, feedback(n_bulk)
    integer :: i, j
    s1 = 0.0_wp; s2 = 0.0_wp; s3 = 0.0_wp; s4 = 0.0_wp
    !$omp simd reduction(+:s1, s2, s3, s4) private(weight)
    do i = 1, n_cells
      weight = moment_by_radius(i)*diagonal_inverse(i)
      s1 = s1 + weight*rate_by_bulk(i, 1)
      s2 = s2 + weight*rate_by_bulk(i, 2)
      s3 = s3 + weight*rate_by_bulk(i, 3)
      s4 = s4 + weight*rate_by_bulk(i, 4)
    end do
    feedback = [s1, s2, s3, s4]
    do j = 1, n_bulk
      block(:, j) = block(:, j) - condensation*feedback(j)
    end do
  end subroutine schur_complement

  pure subroutine solve_arrowhead(n_cells, factors, pivots, diagonal_inverse, rate_by_bulk, moment_by_radius, &
                                  condensation, bulk, radii)
    !! Solve W x = b in place, with the Schur complement already factorised.
    integer, intent(in) :: n_cells
    real(wp), intent(in) :: factors(n_bulk, n_bulk) !! LU factors of the Schur complement
    integer, intent(in) :: pivots(n_bulk)
    real(wp), intent(in) :: diagonal_inverse(n_cells) !! D^-1 (n_cells)
    real(wp), intent(in) :: rate_by_bulk(n_cells, n_bulk) !! P (n_cells, n_bulk)
    real(wp), intent(in) :: moment_by_radius(n_cells) !! m (n_cells)
    real(wp), intent(in) :: condensation(n_bulk) !! c (n_bulk)
    real(wp), intent(inout) :: bulk(n_bulk) !! in: bulk part of b; out: of x
    real(wp), intent(inout) :: radii(n_cells) !! in: radius part of b; out: of x (n_cells)
    real(wp) :: moment, x1, x2, x3, x4
    integer :: i
    moment = 0.0_wp
    !$omp simd reduction(+:moment)
    do i = 1, n_cells
      moment = moment + moment_by_radius(i)*diagonal_inverse(i)*radii(i)
    end do
    bulk = bulk + condensation*moment
    call solve_dense(factors, pivots, bulk)
    x1 = bulk(1); x2 = bulk(2); x3 = bulk(3); x4 = bulk(4)
    !$omp simd
    do i = 1, n_cells
      radii(i) = diagonal_inverse(i)*(radii(i) + rate_by_bulk(i, 1)*x1 + rate_by_bulk(i, 2)*x2 + &
                                      rate_by_bulk(i, 3)*x3 + rate_by_bulk(i, 4)*x4)
    end do
  end subroutine solve_arrowhead

  pure subroutine factorise_dense(matrix, pivots)
    !! LU factors with partial pivoting, in place.
    real(wp), intent(inout) :: matrix(n_bulk, n_bulk)
    integer, intent(out) :: pivots(n_bulk)
    real(wp) :: row(n_bulk)
    integer :: i, k
    do k = 1, n_bulk
      pivots(k) = k - 1 + maxloc(abs(matrix(k:, k)), 1)
      row = matrix(k, :)
      matrix(k, :) = matrix(pivots(k), :)
      matrix(pivots(k), :) = row
      do i = k + 1, n_bulk
        matrix(i, k) = matrix(i, k)/matrix(k, k)
        matrix(i, k + 1:) = matrix(i, k + 1:) - matrix(i, k)*matrix(k, k + 1:)
      end do
    end do
  end subroutine factorise_dense

  pure subroutine solve_dense(factors, pivots, x)
    !! Solve with the factors of `factorise_dense`, in place.
    real(wp), intent(in) :: factors(n_bulk, n_bulk)
    integer, intent(in) :: pivots(n_bulk)
    real(wp), intent(inout) :: x(n_bulk)
    real(wp) :: held
    integer :: k
    ! whole rows were exchanged, multipliers included: permute first, then substitute
    do k = 1, n_bulk
      held = x(k)
      x(k) = x(pivots(k))
      x(pivots(k)) = held
    end do
    do k = 1, n_bulk - 1
      x(k + 1:) = x(k + 1:) - factors(k + 1:, k)*x(k)
    end do
    do k = n_bulk, 1, -1
      x(k) = (x(k) - dot_product(factors(k, k + 1:), x(k + 1:)))/factors(k, k)
    end do
  end subroutine solve_dense

end module arrowhead
