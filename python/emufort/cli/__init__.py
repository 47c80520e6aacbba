"""The command ``emufort`` in groups of commands; large packages are imported only on use."""

from emufort.cli.command import app, execute, main

__all__ = ["app", "execute", "main"]
