"""Use an exported emulator from Python: `load`."""
