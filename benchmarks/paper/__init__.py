"""The experiments of Yu et al. (2023) with emufort, see ``__main__.py``."""
