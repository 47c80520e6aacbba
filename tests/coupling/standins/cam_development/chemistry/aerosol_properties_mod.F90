!> Stand-ins for the aerosol properties of cam_development: the abstract type, and its extension for modes.
module aerosol_properties_mod
  use shr_kind_mod, only: r8 => shr_kind_r8
  implicit none
  private
  public :: aerosol_properties

  type, abstract :: aerosol_properties
    private
    integer :: nbins_ = 0
    real(r8), allocatable :: alogsig_(:)
  contains
    procedure :: initialize
    procedure :: nbins
    procedure :: alogsig
    procedure(bin_name_of), deferred :: bin_name
  end type aerosol_properties

  abstract interface
    function bin_name_of(self, m) result(name)
      import :: aerosol_properties
      class(aerosol_properties), intent(in) :: self
      integer, intent(in) :: m
      character(len=32) :: name
    end function bin_name_of
  end interface

contains

  subroutine initialize(self, widths)
    class(aerosol_properties), intent(inout) :: self
    real(r8), intent(in) :: widths(:)
    self%nbins_ = size(widths)
    self%alogsig_ = log(widths)
  end subroutine initialize

  pure integer function nbins(self)
    class(aerosol_properties), intent(in) :: self
    nbins = self%nbins_
  end function nbins

  pure real(r8) function alogsig(self, bin_ndx)
    class(aerosol_properties), intent(in) :: self
    integer, intent(in) :: bin_ndx
    alogsig = self%alogsig_(bin_ndx)
  end function alogsig

end module aerosol_properties_mod

module modal_aerosol_properties_mod
  use aerosol_properties_mod, only: aerosol_properties
  implicit none
  private
  public :: modal_aerosol_properties

  type, extends(aerosol_properties) :: modal_aerosol_properties
  contains
    procedure :: bin_name
  end type modal_aerosol_properties

contains

  function bin_name(self, m) result(name)
    class(modal_aerosol_properties), intent(in) :: self
    integer, intent(in) :: m
    character(len=32) :: name
    write (name, '(2(a, i0))') 'mode ', m, ' of ', self%nbins()
  end function bin_name

end module modal_aerosol_properties_mod
