!> The files of the column model: columns, restart and output in netCDF. Only the root reads and writes them.
module column_files
  use, intrinsic :: iso_fortran_env, only: real64
  use netcdf, only: nf90_open, nf90_create, nf90_close, nf90_def_dim, nf90_def_var, nf90_enddef, nf90_put_att, &
                    nf90_put_var, nf90_get_var, nf90_inq_varid, nf90_inq_dimid, nf90_inquire_dimension, nf90_noerr, &
                    nf90_strerror, nf90_nowrite, nf90_clobber, nf90_netcdf4, nf90_double, nf90_global, nf90_unlimited, &
                    nf90_get_att, nf90_inquire_variable
  use column_parallel, only: is_root, parallel_fail, broadcast, scatter, gather
  implicit none
  private

  public :: read_sizes, read_columns, read_number, output_type, write_restart, fill

  integer, parameter :: dp = real64
  real(dp), parameter :: fill = 9.969209968386869e36_dp   !! value of missing data

  !> An output file that is open on the root.
  type :: output_type
    private
    integer :: file = -1, records = 0, n_columns = 0, n = 0, levels = 0
    integer :: time = -1
  contains
    procedure :: create
    procedure :: next
    procedure :: put
    procedure :: close
  end type output_type

contains

  !> End with one line if netCDF reports an error.
  subroutine must(code, what)
    integer, intent(in) :: code            !! return code of netCDF
    character(len=*), intent(in) :: what   !! error message without the reason

    if (code /= nf90_noerr) call parallel_fail(what//': '//trim(nf90_strerror(code)))

  end subroutine must

  !> Read the sizes of a file of columns on all processes.
  subroutine read_sizes(filename, n_columns, n_levels, n_modes)
    character(len=*), intent(in) :: filename                  !! netCDF file
    integer, intent(out) :: n_columns, n_levels, n_modes      !! dimensions column, level, mode
    integer :: sizes(3), file

    sizes = 0
    if (is_root) then
      call must(nf90_open(filename, nf90_nowrite, file), 'cannot open '//filename)
      sizes = [length('column'), length('level'), length('mode')]
      call must(nf90_close(file), 'cannot close '//filename)
    end if
    call broadcast(sizes)
    n_columns = sizes(1)
    n_levels = sizes(2)
    n_modes = sizes(3)

  contains

    function length(name) result(found)
      character(len=*), intent(in) :: name   !! of a dimension
      integer :: dimension, found

      call must(nf90_inq_dimid(file, name, dimension), filename//' has no dimension '//name)
      call must(nf90_inquire_dimension(file, dimension, len=found), 'cannot read '//filename)

    end function length

  end subroutine read_sizes

  !> Read a variable of a file. Each process gets its columns.
  subroutine read_columns(filename, name, units, n_columns, n, width, values)
    character(len=*), intent(in) :: filename     !! netCDF file
    character(len=*), intent(in) :: name         !! of the variable
    character(len=*), intent(in) :: units        !! required units
    integer, intent(in) :: n_columns             !! of all processes
    integer, intent(in) :: n                     !! of this process
    integer, intent(in) :: width                 !! values per column
    real(dp), intent(out) :: values(n, width)    !! of this process
    real(dp), allocatable :: all_columns(:, :)
    character(len=64) :: found
    integer :: file, variable

    allocate (all_columns(n_columns, width))
    if (is_root) then
      call must(nf90_open(filename, nf90_nowrite, file), 'cannot open '//filename)
      call must(nf90_inq_varid(file, name, variable), filename//' has no variable '//name)
      found = ''
      call must(nf90_get_att(file, variable, 'units', found), filename//': '//name//' has no units')
      if (found /= units) call parallel_fail(filename//': '//name//' must be in '//units//', not in '//trim(found))
      call get_shape(file, variable, n_columns, width, all_columns)
      call must(nf90_close(file), 'cannot close '//filename)
    end if
    call scatter(n_columns, n, width, all_columns, values)

  contains

    !> Read a variable of rank 1 to 3, whose fastest dimension is column.
    subroutine get_shape(file, variable, n_columns, width, values)
      integer, intent(in) :: file, variable, n_columns, width   !! netCDF numbers; shape
      real(dp), intent(out) :: values(n_columns, width)         !! of the file
      real(dp), allocatable :: cube(:, :, :)
      integer :: ids(3), shape_of(3), rank_of, k
      call must(nf90_inquire_variable(file, variable, ndims=rank_of), 'cannot read '//filename)
      ids = 0
      call must(nf90_inquire_variable(file, variable, dimids=ids(1:rank_of)), 'cannot read '//filename)
      shape_of = 1
      do k = 1, rank_of
        call must(nf90_inquire_dimension(file, ids(k), len=shape_of(k)), 'cannot read '//filename)
      end do
      if (product(shape_of) /= n_columns*width .or. shape_of(1) /= n_columns) &
        call parallel_fail(filename//': '//name//' does not have the shape that the model needs')
      allocate (cube(shape_of(1), shape_of(2), shape_of(3)))
      select case (rank_of)
      case (1)
        call must(nf90_get_var(file, variable, cube(:, 1, 1)), 'cannot read '//name)
      case (2)
        call must(nf90_get_var(file, variable, cube(:, :, 1)), 'cannot read '//name)
      case default
        call must(nf90_get_var(file, variable, cube), 'cannot read '//name)
      end select
      values = reshape(cube, [n_columns, width])

    end subroutine get_shape

  end subroutine read_columns

  !> Read an integer attribute of a file on all processes.
  subroutine read_number(filename, name, value)
    character(len=*), intent(in) :: filename   !! netCDF file
    character(len=*), intent(in) :: name       !! of a global attribute
    integer, intent(out) :: value              !! its value
    integer :: file, found(1)

    found = 0
    if (is_root) then
      call must(nf90_open(filename, nf90_nowrite, file), 'cannot open '//filename)
      call must(nf90_get_att(file, nf90_global, name, found(1)), filename//' has no '//name)
      call must(nf90_close(file), 'cannot close '//filename)
    end if
    call broadcast(found)
    value = found(1)

  end subroutine read_number

  !> Write the state from which a later run continues, in double precision so that it is exact.
  subroutine write_restart(filename, step, n_columns, n, n_levels, n_modes, number, volume)
    character(len=*), intent(in) :: filename                    !! netCDF file
    integer, intent(in) :: step                                 !! time steps done
    integer, intent(in) :: n_columns                            !! of all processes
    integer, intent(in) :: n, n_levels, n_modes                 !! of this process
    real(dp), intent(in) :: number(n, n_levels, n_modes)        !! [m-3]
    real(dp), intent(in) :: volume(n, n_levels, n_modes)        !! [m3 m-3]
    real(dp), allocatable :: all_columns(:, :, :)
    integer :: file, dims(3), ids(2), m

    if (is_root) then
      call must(nf90_create(filename, ior(nf90_clobber, nf90_netcdf4), file), 'cannot write '//filename)
      call must(nf90_def_dim(file, 'column', n_columns, dims(1)), filename)
      call must(nf90_def_dim(file, 'level', n_levels, dims(2)), filename)
      call must(nf90_def_dim(file, 'mode', n_modes, dims(3)), filename)
      call must(nf90_def_var(file, 'number_concentration', nf90_double, dims, ids(1)), filename)
      call must(nf90_put_att(file, ids(1), 'units', 'm-3'), filename)
      call must(nf90_def_var(file, 'volume_concentration', nf90_double, dims, ids(2)), filename)
      call must(nf90_put_att(file, ids(2), 'units', 'm3 m-3'), filename)
      call must(nf90_put_att(file, nf90_global, 'Conventions', 'CF-1.11'), filename)
      call must(nf90_put_att(file, nf90_global, 'step', step), filename)
      call must(nf90_enddef(file), filename)
    end if
    allocate (all_columns(n_columns, n_levels, n_modes))
    do m = 1, 2
      if (m == 1) call gather(n_columns, n, n_levels*n_modes, number, all_columns)
      if (m == 2) call gather(n_columns, n, n_levels*n_modes, volume, all_columns)
      if (is_root) call must(nf90_put_var(file, ids(m), all_columns), 'cannot write '//filename)
    end do
    if (is_root) call must(nf90_close(file), 'cannot close '//filename)

  end subroutine write_restart

  !> Create an output file with its coordinates.
  subroutine create(output, filename, n_columns, n, n_levels, pressure, names, with_levels, units, long_names, &
                    meanings, first_flag, about)
    class(output_type), intent(inout) :: output                 !! output that is opened
    character(len=*), intent(in) :: filename                    !! netCDF file
    integer, intent(in) :: n_columns, n, n_levels               !! of all processes, of this one, levels
    real(dp), intent(in) :: pressure(n, n_levels)               !! [Pa]
    character(len=*), intent(in) :: names(:)                    !! of the variables
    logical, intent(in) :: with_levels(:)                       !! whether the variables have levels (variable)
    character(len=*), intent(in) :: units(:)                    !! of the variables (variable)
    character(len=*), intent(in) :: long_names(:)               !! of the variables (variable)
    character(len=*), intent(in) :: meanings(:)                 !! words for the values of a flag, or blank (variable)
    integer, intent(in) :: first_flag                           !! value of the first word; the next are one apart
    character(len=*), intent(in) :: about                       !! description of the run
    real(dp), allocatable :: all_columns(:, :)
    character(len=len(meanings)) :: text
    integer :: dims(3), id, p_id, k, c, last_flag

    output%n_columns = n_columns
    output%n = n
    output%levels = n_levels
    allocate (all_columns(n_columns, n_levels))
    call gather(n_columns, n, n_levels, pressure, all_columns)
    if (.not. is_root) return
    associate (file => output%file)
      call must(nf90_create(filename, ior(nf90_clobber, nf90_netcdf4), file), 'cannot write '//filename)
      call must(nf90_def_dim(file, 'column', n_columns, dims(1)), filename)
      call must(nf90_def_dim(file, 'level', n_levels, dims(2)), filename)
      call must(nf90_def_dim(file, 'time', nf90_unlimited, dims(3)), filename)
      call must(nf90_def_var(file, 'time', nf90_double, dims(3:3), output%time), filename)
      call must(nf90_put_att(file, output%time, 'standard_name', 'time'), filename)
      call must(nf90_put_att(file, output%time, 'units', 'seconds since 2000-01-01 00:00:00'), filename)
      call must(nf90_put_att(file, output%time, 'calendar', 'proleptic_gregorian'), filename)
      call must(nf90_def_var(file, 'air_pressure', nf90_double, dims(1:2), p_id), filename)
      call must(nf90_put_att(file, p_id, 'standard_name', 'air_pressure'), filename)
      call must(nf90_put_att(file, p_id, 'units', 'Pa'), filename)
      do k = 1, size(names)
        if (with_levels(k)) then
          call must(nf90_def_var(file, trim(names(k)), nf90_double, dims, id), filename)
        else
          call must(nf90_def_var(file, trim(names(k)), nf90_double, [dims(1), dims(3)], id), filename)
        end if
        call must(nf90_put_att(file, id, 'units', trim(units(k))), filename)
        call must(nf90_put_att(file, id, 'long_name', trim(long_names(k))), filename)
        call must(nf90_put_att(file, id, '_FillValue', fill), filename)
        if (meanings(k) == '') cycle
        text = meanings(k)
        last_flag = first_flag + count([(text(c:c) == ' ', c=1, len_trim(text))])
        call must(nf90_put_att(file, id, 'flag_values', [(real(c, dp), c=first_flag, last_flag)]), filename)
        call must(nf90_put_att(file, id, 'flag_meanings', trim(meanings(k))), filename)
      end do
      call must(nf90_put_att(file, nf90_global, 'Conventions', 'CF-1.11'), filename)
      call must(nf90_put_att(file, nf90_global, 'title', 'Droplet number and cloud albedo by activation scheme'), &
                filename)
      call must(nf90_put_att(file, nf90_global, 'source', about), filename)
      call must(nf90_enddef(file), filename)
      call must(nf90_put_var(file, p_id, all_columns), 'cannot write '//filename)
    end associate

  end subroutine create

  !> Begin the next time of the output.
  subroutine next(output, time)
    class(output_type), intent(inout) :: output   !! an open file
    real(dp), intent(in) :: time                  !! [s]

    output%records = output%records + 1
    if (is_root) call must(nf90_put_var(output%file, output%time, [time], start=[output%records]), 'cannot write time')

  end subroutine next

  !> Write a variable for the current time.
  subroutine put(output, name, width, values)
    class(output_type), intent(inout) :: output         !! an open file
    character(len=*), intent(in) :: name                !! of the variable
    integer, intent(in) :: width                        !! levels, or 1
    real(dp), intent(in) :: values(output%n, width)     !! of this process
    real(dp), allocatable :: all_columns(:, :)
    integer :: id

    allocate (all_columns(output%n_columns, width))
    call gather(output%n_columns, output%n, width, values, all_columns)
    if (.not. is_root) return
    call must(nf90_inq_varid(output%file, name, id), 'no variable '//name)
    if (width > 1) then
      call must(nf90_put_var(output%file, id, all_columns, start=[1, 1, output%records], &
                             count=[output%n_columns, width, 1]), 'cannot write '//name)
    else
      call must(nf90_put_var(output%file, id, all_columns(:, 1), start=[1, output%records], &
                             count=[output%n_columns, 1]), 'cannot write '//name)
    end if

  end subroutine put

  !> Close the output.
  subroutine close (output)
    class(output_type), intent(inout) :: output   !! an open file

    if (is_root) call must(nf90_close(output%file), 'cannot close the output')

  end subroutine close

end module column_files
