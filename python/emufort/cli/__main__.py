"""``python -m emufort.cli``, the same as ``emufort``."""

from emufort.cli import main

if __name__ == "__main__":
    main()
