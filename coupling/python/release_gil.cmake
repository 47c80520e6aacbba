# Make f2py release the global interpreter lock of Python around every call. The runtime is thread safe, so
# threads that share an emulator can run at the same time. f90wrap has no option for this.
file(READ ${FILE} _text)
string(REPLACE "    implicit none\n" "    implicit none\n    !f2py threadsafe\n" _text "${_text}")
file(WRITE ${FILE} "${_text}")
