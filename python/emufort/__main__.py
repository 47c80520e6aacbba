"""``python -m emufort`` and the command ``emufort``.

Signal handling starts before other modules are imported.
"""

from __future__ import annotations

from emufort import signals


def main() -> None:
    """Run the command."""
    signals.watch()
    from emufort import cli

    cli.main()


if __name__ == "__main__":
    main()
