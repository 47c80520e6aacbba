"""The Fortran of aerosol activation: its sources and the module generated from the contract.

The Fortran scheme is written for the contract `activation`: its inputs in their order and units,
and its number of modes. The module `emufort_aerosol_contract`, which is generated from a contract,
holds the ranges and the widths of modes. ``python -m emufort.processes.aerosol_activation.fortran
FILE`` writes the module of the contract `activation`.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from emufort.contract import Contract
from emufort.escape import fortran_real64
from emufort.export.fortran import wrap
from emufort.export.render import render
from emufort.files import write_text
from emufort.toolchain.sources import coupling_folder, dependencies, in_order

#: Folder with the contracts of the process.
CONTRACTS = Path(__file__).parent / "contracts"
#: The generated module.
CONTRACT_MODULE = "emufort_aerosol_contract"
#: Parameter of the contracts: geometric standard deviation of each mode [1].
WIDTHS = "geometric_standard_deviation"

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
    if _shape(contract) == _shape(wanted):
        return ""
    return (
        "the activation scheme needs an emulator with the inputs "
        f"{', '.join(v.name for v in wanted.input)} of {len(widths(wanted))} modes and the output "
        f"{wanted.output[0].name}; export a network of the contract '{wanted.name}'"
    )


def _shape(contract: Contract) -> object:
    inputs = [(v.name, v.units, contract.width(v)) for v in contract.input]
    outputs = [(v.name, v.units, contract.width(v)) for v in contract.output]
    return inputs, outputs, len(widths(contract))


def widths(contract: Contract) -> tuple[float, ...]:
    """Return the geometric standard deviation of each mode [1]; empty without modes."""
    found = (p.values for p in contract.parameter if p.name == WIDTHS)
    return next(found, ())


def contract_source(contract: Contract) -> str:
    """Return the source of the module `emufort_aerosol_contract` for a contract of the scheme."""
    place, inputs = 1, []
    for variable in contract.input:
        inputs.append({"name": variable.name, "place": place})
        place += contract.width(variable)
    columns, output = contract.input_columns, contract.output[0]
    return template(
        CONTRACT_MODULE,
        name=contract.name,
        modes=contract.dimensions[str(contract.input[-1].dimension)],
        sigma=wrap(map(fortran_real64, widths(contract))),
        inputs=inputs,
        n_inputs=len(columns),
        lower=wrap(fortran_real64(column.lower) for column in columns),
        upper=wrap(fortran_real64(column.upper) for column in columns),
        names=wrap(f"'{variable.name}'" for variable in contract.input),
        units=wrap(f"'{variable.units}'" for variable in contract.input),
        output=output,
    )


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
