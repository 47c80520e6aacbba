"""Reflectance and transmittance of a scattering layer, a process for emufort."""
