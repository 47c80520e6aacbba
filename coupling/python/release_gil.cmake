# Let f2py release Python's global lock around every call: the runtime is thread safe, so threads
# that share an emulator run at the same time. f90wrap has no option for it.
file(READ ${FILE} _text)
string(REPLACE "    implicit none\n" "    implicit none\n    !f2py threadsafe\n" _text "${_text}")
file(WRITE ${FILE} "${_text}")
