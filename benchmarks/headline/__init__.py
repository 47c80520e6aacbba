"""The headline figures of emufort, see ``__main__.py``."""
