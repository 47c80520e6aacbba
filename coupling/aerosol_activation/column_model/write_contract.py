"""Write the Fortran module of the contract of a bundle, for which the column model is compiled.

python write_contract.py runs/e3sm_mam5/bundle build/column/e3sm_mam5/emufort_aerosol_contract.F90

An unchanged file is left alone, so that nothing is compiled again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emufort.errors import EmufortError
from emufort.export import Bundle
from emufort.files import write_text
from emufort.processes.aerosol_activation.fortran import contract_source, misfit


def main() -> int:
    """Read the command line, write the file if it changed, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        contract = Bundle.open(arguments.bundle).manifest.contract
        if reason := misfit(contract):
            raise EmufortError(f"{arguments.bundle}: {reason}")
    except EmufortError as error:
        print(f"write_contract.py: {error}", file=sys.stderr)
        return 2
    text = contract_source(contract)
    if not arguments.file.is_file() or arguments.file.read_text() != text:
        write_text(arguments.file, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
