"""Generate the headers of an emulator for C and C++, with one typed function.

The functions are in the generated Fortran module. `emufort.h` and `emufort.hpp`, which the headers
include, are files of the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from emufort.contract import Contract, Input, Output
from emufort.errors import EmufortError
from emufort.escape import c_comment, c_member
from emufort.export.host_arrays import has_matrices, shape_comment
from emufort.export.render import render
from emufort.export.weights_form import Form
from emufort.toolchain.sources import include_folder

#: Headers of the runtime, which every bundle contains.
RUNTIME_HEADERS = ("emufort.h", "emufort.hpp")
_LINE = 110


@dataclass(frozen=True)
class CVariable:
    """A variable of the contract in a header.

    Attributes
    ----------
    name
        Name of the member.
    comment
        Long name, units and shape, for a comment.
    width
        Number of features.
    """

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


def headers(
    contract: Contract, module: str, chain: str, form: Form, has_pool: bool
) -> dict[str, str]:
    """Return the headers of a bundle: name -> text.

    Parameters
    ----------
    contract
        The contract of the emulator.
    module
        Name of the generated Fortran module.
    chain
        Hash that the module returns.
    form
        How the module gets its weights.
    has_pool
        Whether the module makes a workspace for each thread.
    """
    inputs, outputs = (
        variables_of(contract, contract.input),
        variables_of(contract, contract.output),
    )
    values: dict[str, Any] = {
        "title": contract.title or contract.name,
        "contract": contract.name,
        "module": module,
        "hash": chain,
        "form": form,
        "has_pool": has_pool,
        "inputs": inputs,
        "outputs": outputs,
        "first": _initial(inputs),
        "first_output": _initial(outputs),
        "has_matrices": has_matrices(contract),
    }
    c_header, cpp_header = header_names(module)
    return {
        **{name: (include_folder() / name).read_text() for name in RUNTIME_HEADERS},
        c_header: render("emulator.h.j2", **values),
        cpp_header: render("emulator.hpp.j2", **values),
    }


def _initial(variables: Sequence[CVariable]) -> str:
    """Return the designated initialiser of the first variables, for the example."""
    first = variables[0].name
    return f".{first} = {first}" + (", ..." if len(variables) > 1 else "")


def variables_of(contract: Contract, variables: Iterable[Input | Output]) -> list[CVariable]:
    """Return the inputs or the outputs of a contract as a header has them."""
    found = []
    for variable in variables:
        comment = f"{variable.long_name or variable.name} [{variable.units}] "
        comment += shape_comment(contract, variable)
        name = c_member(variable.name)
        width = contract.width(variable)
        found.append(CVariable(name, c_comment(comment, _LINE), width))
    return found
