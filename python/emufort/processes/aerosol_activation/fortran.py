"""The Fortran of aerosol activation: its sources and the module generated from the contract.

The Fortran scheme is written for the contract `activation`: its inputs in their order and units,
and its number of modes. The module `emufort_aerosol_contract`, which is generated from a contract,
holds the ranges and the widths of modes. ``python -m emufort.processes.aerosol_activation.fortran
FILE`` writes the module of the contract `activation`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path

from emufort.contract import Contract
from emufort.escape import fortran_real64
from emufort.export.fortran import wrap
from emufort.export.render import render
from emufort.files import write_text
from emufort.processes.aerosol_activation.constants import CONSTANTS, PhysicalConstants
from emufort.toolchain.sources import coupling_folder, dependencies, in_order

#: Folder with the contracts of the process.
CONTRACTS = Path(__file__).parent / "contracts"
#: The generated module.
CONTRACT_MODULE = "emufort_aerosol_contract"
#: Parameter of the contracts: geometric standard deviation of each mode [1].
WIDTHS = "geometric_standard_deviation"

#: Most modes of a host, as in the Fortran scheme.
MOST_MODES = 16

_TEMPLATES = Path(__file__).parent / "templates"
_FOLDERS = ("scheme", "timing", "hosts/face")


@cache
def scheme_contract() -> Contract:
    """Return the contract for which the Fortran scheme is written."""
    path = CONTRACTS / "activation.toml"
    return Contract.from_toml(path.read_text(encoding="utf-8"), str(path))


def misfit(contract: Contract) -> str:
    """Return the reason why the Fortran scheme cannot use a contract; empty if it can."""
    wanted = scheme_contract()
    if _shape(contract) == _shape(wanted) and 1 <= len(widths(contract)) <= MOST_MODES:
        return ""
    return (
        "the activation scheme needs an emulator with the inputs "
        f"{', '.join(v.name for v in wanted.input)} of 1 to {MOST_MODES} modes and the output "
        f"{wanted.output[0].name}; export a network of the contract '{wanted.name}' or of a preset"
    )


def _shape(contract: Contract) -> object:
    modes = len(widths(contract))
    inputs = [(v.name, v.units, contract.width(v) / (modes or 1)) for v in contract.input[3:]]
    air = [(v.name, v.units, contract.width(v)) for v in contract.input[:3]]
    return air, inputs, [(v.name, v.units, contract.width(v)) for v in contract.output]


def widths(contract: Contract) -> tuple[float, ...]:
    """Return the geometric standard deviation of each mode [1]; empty without modes."""
    found = (p.values for p in contract.parameter if p.name == WIDTHS)
    return next(found, ())


def constants_of(contract: Contract) -> PhysicalConstants:
    """Return the constants for which a contract's labels are made.

    A contract without such parameters has the constants of pyrcel.
    """
    return PhysicalConstants.of({p.name: p.values[0] for p in contract.parameter})


def contract_source(contract: Contract) -> str:
    """Return the source of the module `emufort_aerosol_contract` for a contract of the scheme."""
    place, inputs = 1, []
    for variable in contract.input:
        inputs.append({"name": variable.name, "place": place})
        place += contract.width(variable)
    columns, output = contract.input_columns, contract.output[0]
    values = asdict(constants_of(contract))
    modes = contract.labels(contract.input[-1].dimensions[0])
    return template(
        CONTRACT_MODULE,
        name=contract.name,
        hash=contract.sha256,
        modes=modes,
        mode_names=wrap(f"'{_mode_name(k, mode)}'" for k, mode in enumerate(modes)),
        sigma=wrap(map(fortran_real64, widths(contract))),
        inputs=inputs,
        n_inputs=len(columns),
        lower=wrap(fortran_real64(column.lower) for column in columns),
        upper=wrap(fortran_real64(column.upper) for column in columns),
        names=wrap(f"'{variable.name}'" for variable in contract.input),
        units=wrap(f"'{variable.units}'" for variable in contract.input),
        constants=[
            {"name": name, "what": what, "units": units, "value": fortran_real64(values[name])}
            for name, (what, units) in CONSTANTS.items()
        ],
        output=output,
    )


def _mode_name(index: int, label: str) -> str:
    """Return the label of a mode, or its number if the label is not a plain name."""
    return label if re.fullmatch(r"[A-Za-z0-9_ ]{1,32}", label) else f"mode {index + 1}"


def template(source: str, /, **values: object) -> str:
    """Return the text of a generated module from the template of the same name."""
    return render(f"{source}.F90.j2", folder=_TEMPLATES, **values)


def scheme_sources(*wanted: str) -> list[Path]:
    """Return the sources of the wanted modules or programs, and those that they need.

    They are in the order of compilation, without the runtime and generated modules.
    """
    top = coupling_folder() / "aerosol_activation"
    paths = [path for folder in _FOLDERS for path in sorted((top / folder).glob("*.F90"))]
    needed = dependencies({path: path.read_text(encoding="utf-8") for path in paths})
    return in_order(needed, [path for path in paths if path.stem in wanted])


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), contract_source(scheme_contract()))
