# Copy this line to cmake_macros/universal.cmake of the case: the executable links the library emufort.
string(APPEND SLIBS " -lemufort")
