!> Records of the answers of an activation scheme: counts, the maximum supersaturation, and who answered.
module emufort_aerosol_answers
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use emufort_kinds, only: block => block_columns
  implicit none
  private

  public :: activation_counts_type, answers_type, clear_answers, counts_of
  public :: n_counts, count_parcels, count_outside, count_fall_back, count_bad, count_invalid, count_clipped
  public :: answered_by_none, answered_by_emulator, answered_by_ratio, answered_by_clip, answered_by_arg2000
  public :: answered_by_host, answered_by_prescribed, answered_by_in_cloud, answered_by_error, unknown_smax

  ! Who gave the maximum supersaturation of a column.
  integer, parameter :: answered_by_error = -1      !! no scheme: the call was in error, and the results are NaN
  integer, parameter :: answered_by_none = 0        !! no scheme: no updraft, or no aerosol
  integer, parameter :: answered_by_emulator = 1    !! the emulator, inside its range
  integer, parameter :: answered_by_ratio = 2       !! ARG2000 times the ratio at the nearest point of the range
  integer, parameter :: answered_by_clip = 3        !! the emulator at the nearest point of its range
  integer, parameter :: answered_by_arg2000 = 4     !! ARG2000
  integer, parameter :: answered_by_host = 5        !! the routine of the host; it returns no supersaturation
  integer, parameter :: answered_by_prescribed = 6  !! the host prescribed the supersaturation
  integer, parameter :: answered_by_in_cloud = 7    !! the balance with the drops, above cloud base

  !> Supersaturation of columns for which the host's routine answers [1].
  real(real64), parameter :: unknown_smax = -1.0_real64

  ! Positions of the counts in an array.
  integer, parameter :: n_counts = 6         !! number of counts
  integer, parameter :: count_parcels = 1, count_outside = 2, count_fall_back = 3
  integer, parameter :: count_bad = 4, count_invalid = 5, count_clipped = 6

  !> Counts of the answers. A parcel is one updraft speed of one column; a spectrum of updrafts has many parcels, or one
  !> if the host's routine answers.
  type :: activation_counts_type
    integer(int64) :: n_parcels = 0_int64     !! supersaturations that were computed
    integer(int64) :: n_outside = 0_int64     !! of these, outside the range of the emulator
    integer(int64) :: n_fall_back = 0_int64   !! of these, answered by ARG2000 or the host's routine alone
    integer(int64) :: n_bad = 0_int64         !! of these, the emulator failed or gave no positive number
    integer(int64) :: n_invalid = 0_int64     !! of these, the answer is NaN because an input is NaN
    integer(int64) :: n_clipped = 0_int64     !! input values that the emulator clipped to its range
  contains
    procedure :: add
  end type activation_counts_type

  !> Answers for one block of columns. For a spectrum, `smax` and `by` are those of its strongest updraft.
  type :: answers_type
    integer :: counted(block, n_counts)   !! counts (column, count)
    integer :: by(block)                  !! who answered, one of the codes above (column)
    real(real64) :: smax(block)           !! maximum supersaturation [1] (column)
    logical :: wants_host(block)          !! whether the host's routine must answer instead (column)
  end type answers_type

contains

  !> Add the counts of another call.
  pure recursive subroutine add(counts, other)
    class(activation_counts_type), intent(inout) :: counts   !! sum
    type(activation_counts_type), intent(in) :: other        !! counts to add

    counts%n_parcels = counts%n_parcels + other%n_parcels
    counts%n_outside = counts%n_outside + other%n_outside
    counts%n_fall_back = counts%n_fall_back + other%n_fall_back
    counts%n_bad = counts%n_bad + other%n_bad
    counts%n_invalid = counts%n_invalid + other%n_invalid
    counts%n_clipped = counts%n_clipped + other%n_clipped

  end subroutine add

  !> Prepare the record of a block.
  pure recursive subroutine clear_answers(answers, n)
    type(answers_type), intent(inout) :: answers   !! record
    integer, intent(in) :: n                       !! number of columns

    answers%counted(1:n, :) = 0
    answers%by(1:n) = answered_by_none
    answers%smax(1:n) = 0.0_real64
    answers%wants_host(1:n) = .false.

  end subroutine clear_answers

  !> Return the counts of a block.
  pure recursive function counts_of(answers, n) result(counts)
    type(answers_type), intent(in) :: answers   !! record
    integer, intent(in) :: n                    !! number of columns
    type(activation_counts_type) :: counts

    counts%n_parcels = sum(answers%counted(1:n, count_parcels))
    counts%n_outside = sum(answers%counted(1:n, count_outside))
    counts%n_fall_back = sum(answers%counted(1:n, count_fall_back))
    counts%n_bad = sum(answers%counted(1:n, count_bad))
    counts%n_invalid = sum(answers%counted(1:n, count_invalid))
    counts%n_clipped = sum(answers%counted(1:n, count_clipped))

  end function counts_of

end module emufort_aerosol_answers
