!> A small host model: columns with prescribed updrafts. ARG2000 and the emulator activate their aerosol, and the parcel
!> model gives the truth.
!>
!>     [mpirun -n RANKS] column_model NAMELIST
!>
!> The namelist is described in docs/column_model.md. Results do not depend on chunk, threads, ranks or restarts.
program column_model
  use, intrinsic :: iso_fortran_env, only: real64, int64
!$ use omp_lib, only: omp_get_max_threads, omp_get_thread_num
  use emufort_runtime, only: emulator_type, status_type, network_workspace_type => workspace_type, &
                             emufort_success
  use emufort_aerosol_activation, only: activation_type, activation_counts_type, outside_arg2000, outside_ratio, &
                                        outside_clip, arg2000_paper, arg2000_e3sm
  use emufort_aerosol_contract, only: mode_names => aerosol_mode_names
  use emufort_aerosol_answers, only: count_outside, count_fall_back, answered_by_error
  use rodas_step, only: workspace_type
  use column_parallel, only: parallel_begin, parallel_end, parallel_fail, rank, n_ranks, is_root, columns_of, total, &
                             load_emulator
  use column_files, only: read_sizes, read_columns, read_number, output_type, write_restart, fill
  use column_physics, only: columns_type, allocate_columns, history_type, allocate_history, updraft_at, &
                            activate_chunk, age_aerosol, parcel_truth, cloud_albedo, volume_of, radius_of, &
                            n_modes, sigma
  use contract_constants, only: constants
  use column_timing, only: time_schemes
  implicit none
  integer, parameter :: dp = real64, n_schemes = 2
  integer, parameter :: policies(3) = [outside_arg2000, outside_ratio, outside_clip]
  integer, parameter :: formulas(2) = [arg2000_paper, arg2000_e3sm]
  character(len=*), parameter :: scheme_names(n_schemes) = [character(len=8) :: 'arg2000', 'emulator']

  character(len=1024) :: input = 'columns.nc', output = 'column_output.nc', restart_from = '', restart_to = '', &
                         weights = 'weights.bin'
  character(len=16) :: scheme = 'emulator', outside = 'ratio', formula = 'paper'
  integer :: chunk = 16, n_steps = 12, output_every = 3, n_bins = 60
  real(dp) :: time_step = 1800.0_dp
  logical :: with_truth = .true., with_times = .false.
  namelist /column_nml/ input, output, restart_from, restart_to, weights, scheme, outside, formula, chunk, n_steps, &
    output_every, n_bins, time_step, with_truth, with_times

  type(columns_type) :: columns
  type(history_type) :: history
  type(activation_type) :: schemes(n_schemes)
  type(activation_counts_type) :: counts(n_schemes)
  type(emulator_type) :: emulator
  type(status_type) :: status
  type(output_type) :: file
  real(dp), allocatable :: fn(:, :, :), fm(:, :, :)
  character(len=1024) :: filename
  character(len=512) :: problem
  integer :: n_columns, n, first, n_levels, modes, step, first_step, unit, failure, active, policy, variant, s

  call parallel_begin()
  call get_command_argument(1, filename)
  if (filename == '') call parallel_fail('usage: column_model NAMELIST')
  open (newunit=unit, file=filename, status='old', action='read', iostat=failure)
  if (failure /= 0) call parallel_fail('cannot open '//trim(filename))
  read (unit, nml=column_nml, iostat=failure, iomsg=problem)
  if (failure /= 0) call parallel_fail(trim(filename)//': '//trim(problem))
  close (unit)
  if (chunk < 1 .or. n_steps < 1 .or. output_every < 1 .or. n_bins < 1 .or. .not. time_step > 0.0_dp) &
    call parallel_fail(trim(filename)//': chunk, n_steps, output_every, n_bins and time_step must be positive')
  active = findloc([(trim(scheme_names(s)) == trim(scheme), s=1, n_schemes)], .true., dim=1)
  if (active == 0) call parallel_fail(trim(filename)//': scheme must be emulator or arg2000')
  policy = findloc([outside == 'arg2000', outside == 'ratio', outside == 'clip'], .true., dim=1)
  if (policy == 0) call parallel_fail(trim(filename)//': outside must be arg2000, ratio or clip')
  variant = findloc([formula == 'paper', formula == 'e3sm'], .true., dim=1)
  if (variant == 0) call parallel_fail(trim(filename)//': formula must be paper or e3sm')

  ! ---- schemes
  call schemes(1)%init(dp, constants, sigma, status, formula=formulas(variant))
  if (status%code /= emufort_success) call parallel_fail(status%message)
  call load_emulator(emulator, trim(weights), status)
  if (status%code == emufort_success) call emulator%self_test(status)
  if (status%code == emufort_success) call schemes(2)%init(dp, constants, sigma, status, emulator=emulator, &
                                                           outside=policies(policy), formula=formulas(variant))
  if (status%code /= emufort_success) call parallel_fail(status%message)

  ! ---- columns
  call read_sizes(trim(input), n_columns, n_levels, modes)
  if (modes /= n_modes) &
    call parallel_fail(trim(input)//' must have the modes of the contract: write it with make_columns.py --bundle')
  call columns_of(rank, n_columns, first, n)
  call allocate_columns(columns, n, n_levels)
  call allocate_history(history, n, n_levels)
  call get('air_temperature', 'K', n_levels, columns%temperature)
  call get('air_pressure', 'Pa', n_levels, columns%pressure)
  call get('layer_thickness', 'm', n_levels, columns%thickness)
  call get('liquid_water_content', 'kg m-3', n_levels, columns%liquid)
  call get('updraft_speed', 'm s-1', n_levels, columns%updraft)
  call get('updraft_variation', '1', 1, columns%variation)
  call get('updraft_period', 's', 1, columns%period)
  call get('updraft_phase', 'rad', 1, columns%phase)
  call get('number_concentration', 'm-3', n_levels*n_modes, columns%target_number)
  call get('dry_median_radius', 'm', n_levels*n_modes, columns%radius)
  call get('hygroscopicity', '1', n_levels*n_modes, columns%kappa)
  allocate (fn(n, n_levels, n_modes), fm(n, n_levels, n_modes), source=0.0_dp)
  first_step = 1
  if (restart_from == '') then
    columns%number = columns%target_number
    call start_volume()
  else
    call read_number(trim(restart_from), 'step', first_step)
    first_step = first_step + 1
    call read_columns(trim(restart_from), 'number_concentration', 'm-3', n_columns, n, n_levels*n_modes, columns%number)
    call read_columns(trim(restart_from), 'volume_concentration', 'm3 m-3', n_columns, n, n_levels*n_modes, &
                      columns%volume)
  end if

  ! ---- time
  call open_output()
  do step = first_step, n_steps
    call activate_all(schemes(active), real(step, dp)*time_step, counts(active), history)
    if (modulo(step, output_every) == 0) call diagnose(real(step, dp)*time_step)
    call age_all(real(step, dp)*time_step)
  end do
  call file%close()
  if (restart_to /= '') call write_restart(trim(restart_to), n_steps, n_columns, n, n_levels, n_modes, columns%number, &
                                           columns%volume)
  call say(counts)
  if (with_times) call time_all()
  call parallel_end()

contains

  !> Read a variable of the input.
  subroutine get(name, units, width, values)
    character(len=*), intent(in) :: name, units   !! of the variable
    integer, intent(in) :: width                  !! values per column
    real(dp), intent(out) :: values(n, width)     !! of this process

    call read_columns(trim(input), name, units, n_columns, n, width, values)

  end subroutine get

  !> Set the aerosol volumes that belong to the numbers.
  subroutine start_volume()
    integer :: m

    do m = 1, n_modes
      columns%volume(:, :, m) = volume_of(columns%number(:, :, m), columns%radius(:, :, m), sigma(m))
    end do

  end subroutine start_volume

  !> Compute the activated fractions of all columns of this process, chunk by chunk.
  subroutine activate_all(scheme, time, counts, history)
    type(activation_type), intent(in) :: scheme             !! after init
    real(dp), intent(in) :: time                            !! [s]
    type(activation_counts_type), intent(inout) :: counts   !! counts are added to it
    type(history_type), intent(inout), optional :: history  !! counts are added to it
    type(activation_counts_type) :: part
    type(network_workspace_type), allocatable :: workspaces(:)
    type(status_type) :: made
    integer :: at, thread

    thread = 1
!$  thread = omp_get_max_threads()
    allocate (workspaces(thread))
    !$omp parallel private(part, thread, made)
    thread = 1
!$  thread = omp_get_thread_num() + 1
    call scheme%make_workspace(workspaces(thread), made)
    part = activation_counts_type()   ! gfortran 12 does not initialise private variables
    !$omp do schedule(dynamic)
    do at = 0, n - 1, chunk
      call activate_chunk(columns, scheme, at, min(chunk, n - at), time, fn, fm, part, workspaces(thread), history)
    end do
    !$omp end do
    !$omp critical
    call counts%add(part)
    !$omp end critical
    !$omp end parallel

  end subroutine activate_all

  !> Advance the aerosol of all columns of this process by one time step.
  subroutine age_all(time)
    real(dp), intent(in) :: time   !! [s]
    integer :: at

    !$omp parallel do schedule(dynamic)
    do at = 0, n - 1, chunk
      call age_aerosol(columns, at, min(chunk, n - at), time, time_step, fn, fm)
    end do
    !$omp end parallel do

  end subroutine age_all

  !> Create the output file.
  subroutine open_output()
    integer, parameter :: n_plain = 12, n_variables = n_plain + 2*n_modes
    character(len=48) :: names(n_variables), units(n_variables)
    character(len=80) :: long_names(n_variables)
    character(len=120) :: meanings(n_variables)
    logical :: with_levels(n_variables)
    integer :: m

    names(:n_plain) = [character(len=48) :: &
                       'updraft_speed', 'droplet_number_arg2000', 'droplet_number_emulator', &
                       'droplet_number_parcel', 'cloud_albedo_arg2000', 'cloud_albedo_emulator', &
                       'cloud_albedo_parcel', 'number_concentration', 'max_supersaturation', 'answered_by', &
                       'n_outside_range', 'n_by_fall_back']
    units(:n_plain) = [character(len=48) :: 'm s-1', 'm-3', 'm-3', 'm-3', '1', '1', '1', 'm-3', '1', '1', '1', '1']
    long_names(:n_plain) = [character(len=80) :: &
                            'updraft speed', 'droplet number by ARG2000', 'droplet number by the emulator', &
                            'droplet number by the parcel model', 'cloud albedo by ARG2000', &
                            'cloud albedo by the emulator', 'cloud albedo by the parcel model', &
                            'aerosol number of all modes', 'maximum supersaturation by '//trim(scheme), &
                            'who gave the maximum supersaturation', &
                            'parcels outside the range of the emulator since the last output', &
                            'parcels for which the fall-back answered since the last output']
    with_levels = .true.
    with_levels([5, 6, 7, 11, 12]) = .false.
    meanings = ''
    meanings(10) = 'error none emulator ratio clip arg2000 host prescribed in_cloud'
    do m = 1, n_modes
      names(n_plain + m) = 'number_'//mode_names(m)
      units(n_plain + m) = 'm-3'
      long_names(n_plain + m) = 'aerosol number of mode '//mode_names(m)
      names(n_plain + n_modes + m) = 'radius_'//mode_names(m)
      units(n_plain + n_modes + m) = 'm'
      long_names(n_plain + n_modes + m) = 'dry number-median radius of mode '//mode_names(m)
    end do
    call file%create(trim(output), n_columns, n, n_levels, columns%pressure, names, with_levels, units, long_names, &
                     meanings, answered_by_error, 'emufort column_model; aerosol aged by the scheme '//trim(scheme))

  end subroutine open_output

  !> Write droplets and albedo of all schemes for the current aerosol.
  subroutine diagnose(time)
    real(dp), intent(in) :: time   !! [s]
    real(dp) :: kept_fn(n, n_levels, n_modes), kept_fm(n, n_levels, n_modes), drops(n, n_levels), albedo(n), &
                w(n, n_levels)
    type(activation_counts_type) :: ignored
    integer :: i, k, s

    call file%next(time)
    kept_fn = fn
    kept_fm = fm
    do k = 1, n_levels
      do i = 1, n
        w(i, k) = updraft_at(columns, i, k, time)
      end do
    end do
    call file%put('updraft_speed', n_levels, w)
    call file%put('number_concentration', n_levels, sum(columns%number, dim=3))
    call file%put('max_supersaturation', n_levels, history%smax)
    call file%put('answered_by', n_levels, real(history%answered_by, dp))
    call file%put('n_outside_range', 1, real(history%counts(:, count_outside), dp))
    call file%put('n_by_fall_back', 1, real(history%counts(:, count_fall_back), dp))
    history%counts = 0
    do s = 1, n_modes
      call file%put('number_'//trim(mode_names(s)), n_levels, columns%number(:, :, s))
      call file%put('radius_'//trim(mode_names(s)), n_levels, radius_of(columns%number(:, :, s), &
                                                                        columns%volume(:, :, s), sigma(s)))
    end do
    do s = 1, n_schemes
      call activate_all(schemes(s), time, ignored)
      drops = sum(fn*columns%number, dim=3)
      call file%put('droplet_number_'//trim(scheme_names(s)), n_levels, drops)
      do i = 1, n
        albedo(i) = cloud_albedo(columns, i, drops(i, :))
      end do
      call file%put('cloud_albedo_'//trim(scheme_names(s)), 1, albedo)
    end do
    fn = kept_fn
    fm = kept_fm
    call truth(w, drops, albedo)
    call file%put('droplet_number_parcel', n_levels, drops)
    call file%put('cloud_albedo_parcel', 1, albedo)

  end subroutine diagnose

  !> Run the parcel model for every column and level. Values are missing where it finds no peak.
  subroutine truth(w, drops, albedo)
    real(dp), intent(in) :: w(n, n_levels)        !! updraft [m s-1]
    real(dp), intent(out) :: drops(n, n_levels)   !! [m-3]
    real(dp), intent(out) :: albedo(n)            !! [1]
    type(workspace_type) :: work
    integer :: i, k, outcome

    drops = fill
    albedo = fill
    if (.not. with_truth) return
    !$omp parallel private(work, k, outcome)
    call work%create(n_modes*n_bins, outcome)
    !$omp do schedule(dynamic)
    do i = 1, n
      do k = 1, n_levels
        call parcel_truth(work, n_bins, columns%temperature(i, k), columns%pressure(i, k), w(i, k), &
                          columns%number(i, k, :), columns%volume(i, k, :), columns%kappa(i, k, :), drops(i, k), &
                          outcome)
        if (outcome /= 0) drops(i, k) = fill
      end do
      if (all(drops(i, :) < fill)) albedo(i) = cloud_albedo(columns, i, drops(i, :))
    end do
    !$omp end do
    !$omp end parallel

  end subroutine truth

  !> Print the counts of the answers; the root prints one line.
  subroutine say(counts)
    type(activation_counts_type), intent(in) :: counts(n_schemes)   !! of this process
    integer(int64) :: sums(5)
    integer :: threads

    sums = [total(counts(active)%n_parcels), total(counts(active)%n_outside), total(counts(active)%n_fall_back), &
            total(counts(active)%n_bad), total(counts(active)%n_invalid)]
    threads = 1
!$  threads = omp_get_max_threads()
    if (is_root) print '(a, i0, a, i0, 4(a, i0), a, i0, a, i0)', trim(scheme)//': ', n_steps - first_step + 1, &
      ' steps, ', sums(1), ' parcels, ', sums(2), ' outside the range, ', sums(3), ' by ARG2000, ', sums(4), ' bad, ', &
      sums(5), ' invalid; ranks ', n_ranks, ', threads ', threads

  end subroutine say

  !> Print the time per parcel of each scheme; the root prints one line for each.
  subroutine time_all()
    real(dp) :: scalar, blocked(n_schemes), single(n_schemes)
    integer :: s

    call time_schemes(columns, schemes, chunk, scalar, blocked, single)
    if (.not. is_root) return
    print '(a, f0.1, a)', 'time scalar ', scalar, &
      ' ns, ARG2000 as models have it: parcel by parcel, double precision, intrinsic functions'
    do s = 1, n_schemes
      print '(a, f0.1, a, i0, a, f0.1, a)', 'time '//trim(scheme_names(s))//' ', blocked(s), &
        ' ns in this scheme, chunks of ', min(chunk, n), ' columns; ', single(s), ' ns column by column'
    end do

  end subroutine time_all

end program column_model
