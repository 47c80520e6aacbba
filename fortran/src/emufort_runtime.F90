#ifndef EMUFORT_LEVEL
!> Interface of the runtime library: everything that a host model uses.
module emufort_runtime
  use emufort_kinds, only: emufort_kind => wp, emufort_block_columns => block_columns
  use emufort_status, only: status_type, emufort_clear_status => clear_status, emufort_set_error => set_error, &
                            emufort_success, emufort_error_file, &
                            emufort_error_format, emufort_error_version, emufort_error_checksum, emufort_error_limit, &
                            emufort_error_shape, emufort_error_contract, emufort_error_self_test, &
                            emufort_error_not_loaded
  use emufort_dense, only: emufort_few_columns => few_columns
  use emufort_workspace, only: workspace_type, emufort_groups_type => groups_type, &
                               emufort_choose_groups => choose_groups, emufort_next_group => next_group, &
                               emufort_lacks_workspace => lacks_workspace, &
                               emufort_make_workspace => make_workspace, &
                               emufort_scratch_size => scratch_size, emufort_physical_size => physical_size
  use emufort_core, only: emufort_not_a_number => not_a_number
  use emufort_dispatch, only: emufort_evaluate_block => evaluate_block, emufort_evaluate_columns => evaluate_columns, &
                              emufort_evaluate_few => evaluate_few
  use emufort_emulator, only: emulator_type
  use emufort_base62, only: emufort_append_bytes => append_bytes   ! for generated modules
  use emufort_build, only: emufort_build_report => build_report
  ! For functions of generated modules and of host glue that C calls.
  use emufort_c_types, only: emufort_c_outcome => c_outcome, emufort_c_path => c_path, &
                             emufort_c_text => c_text
  use emufort_c_variables, only: emufort_predict_variables => predict_variables, &
                                 emufort_refuse_variables => refuse_variables, &
                                 emufort_c_workspace => workspace_of_plan, &
                                 emufort_c_workspace_size => workspace_size_of_plan
  ! The procedures of emufort.h have C names. The module is used so that the runtime in one file contains it.
  use emufort_c, only:
  implicit none
  public

end module emufort_runtime
#endif
