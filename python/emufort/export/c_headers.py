"""Generate the headers of an emulator for C and C++, with one typed function.

The functions are in the generated Fortran module. `emufort.h` and `emufort.hpp`, which the headers
include, are files of the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emufort.contract import Contract, Input, Output
from emufort.errors import EmufortError
from emufort.escape import c_comment, c_member
from emufort.export.render import render
from emufort.toolchain.sources import include_folder

#: Headers of the runtime, which every bundle contains.
RUNTIME_HEADERS = ("emufort.h", "emufort.hpp")
_LINE = 110


@dataclass(frozen=True)
class _Variable:
    name: str
    comment: str
    width: int


def header_names(module: str) -> tuple[str, str]:
    """Return the names of the headers of a generated module for C and C++."""
    return f"{module}.h", f"{module}.hpp"


def check_member_names(contract: Contract) -> None:
    """Check that the variables of a contract have different names in C and C++.

    Raises
    ------
    EmufortError
        Two variables get the same name, because one of them is a keyword.
    """
    for variables in (contract.input, contract.output):
        names = [c_member(v.name) for v in variables]
        for one in names:
            if names.count(one) > 1:
                raise EmufortError(
                    f"two variables of the contract '{contract.name}' become '{one}' in C, where "
                    f"'{one[:-1]}' is a keyword; rename one"
                )


def headers(contract: Contract, module: str, chain: str, loads: bool) -> dict[str, str]:
    """Return the headers of a bundle: name -> text.

    Parameters
    ----------
    contract
        The contract of the emulator.
    module
        Name of the generated Fortran module.
    chain
        Hash that the module returns.
    loads
        Whether the module loads ``weights.bin``.
    """
    inputs = list(_variables(contract.input, contract.dimensions))
    outputs = list(_variables(contract.output, contract.dimensions))
    values = {
        "title": contract.title or contract.name,
        "contract": contract.name,
        "module": module,
        "hash": chain,
        "loads": loads,
        "inputs": inputs,
        "outputs": outputs,
        "first": _initial(inputs),
        "first_output": _initial(outputs),
    }
    c_header, cpp_header = header_names(module)
    return {
        **{name: (include_folder() / name).read_text() for name in RUNTIME_HEADERS},
        c_header: render("emulator.h.j2", **values),
        cpp_header: render("emulator.hpp.j2", **values),
    }


def _initial(variables: list[_Variable]) -> str:
    """Return the designated initialiser of the first variables, for the example."""
    first = variables[0].name
    return f".{first} = {first}" + (", ..." if len(variables) > 1 else "")


def _variables(
    variables: Iterable[Input | Output], dimensions: dict[str, tuple[str, ...]]
) -> Iterator[_Variable]:
    for variable in variables:
        labels = dimensions[variable.dimension] if variable.dimension else ()
        comment = f"{variable.long_name or variable.name} [{variable.units}]"
        comment += f" (ncol, {len(labels)}): {', '.join(labels)}" if labels else " (ncol)"
        yield _Variable(c_member(variable.name), c_comment(comment, _LINE), len(labels) or 1)
