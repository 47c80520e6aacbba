"""The command ``emufort`` in groups of commands; nothing heavy is imported before it is needed."""

from emufort.cli.command import app, execute, main

__all__ = ["app", "execute", "main"]
