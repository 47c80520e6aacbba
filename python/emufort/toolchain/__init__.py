"""Fortran compilers, their flags, and the sources that they build."""
