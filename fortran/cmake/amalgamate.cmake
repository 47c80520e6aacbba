# Writes one source file from a module and all modules that it uses, in the order of compilation.
#
#   cmake -D FOLDER=fortran/src -D TOP=emufort_runtime -D VERSION=0.1.0 -D OUTPUT=emufort_runtime.F90
#         -P amalgamate.cmake
#
# A module is in the file of its name. Modules without such a file are intrinsic.
cmake_minimum_required(VERSION 3.25)

set(_order)
function(visit module users)
  if(module IN_LIST _order)
    return()
  endif()
  if(module IN_LIST users)
    message(FATAL_ERROR "circular use: ${module} uses itself through ${users}")
  endif()
  file(STRINGS ${FOLDER}/${module}.F90 uses REGEX "^ *use +[A-Za-z]")
  foreach(line IN LISTS uses)
    string(REGEX REPLACE "^ *use +([A-Za-z0-9_]+).*" "\\1" used "${line}")
    string(TOLOWER ${used} used)
    if(EXISTS ${FOLDER}/${used}.F90)
      visit(${used} "${users};${module}")
    endif()
  endforeach()
  set(_order ${_order} ${module} PARENT_SCOPE)
endfunction()

visit(${TOP} "")
set(_text "! SPDX-License-Identifier: Apache-2.0\n! The emufort ${VERSION} runtime in one file; made from its modules, do not edit.\n")
foreach(module IN LISTS _order)
  file(READ ${FOLDER}/${module}.F90 _source)
  if(_source MATCHES "\n#include")
    message(FATAL_ERROR "${module} includes a file; the single source file cannot contain #include")
  endif()
  string(APPEND _text "\n${_source}")
endforeach()
file(WRITE ${OUTPUT} "${_text}")
