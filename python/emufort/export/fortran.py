"""Generate the Fortran module of an emulator, and the runtime as one file.

The module holds names, sizes and weights; the runtime does the arithmetic. `weights_form` says in
which form the module gets the weights.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emufort import __version__
from emufort.config.deployment import Placement
from emufort.contract import Contract, Input, Output
from emufort.errors import EmufortError
from emufort.escape import LONGEST_NAME, fortran_comment, fortran_name, fortran_real64
from emufort.export.c_headers import check_member_names
from emufort.export.flat import FlatEmulator
from emufort.export.host_arrays import shape_comment, shape_text, subscripts
from emufort.export.packing import pack
from emufort.export.render import render
from emufort.export.unflatten import plan_of
from emufort.export.weights_file import WeightsFile
from emufort.export.weights_form import form_of, text_of
from emufort.network.emulator import Emulator
from emufort.network.imported import AnyArchitecture
from emufort.network.operations.dense import MOST_NEURONS
from emufort.network.precision import Precision
from emufort.toolchain.sources import fortran_sources

#: Most features of all buffers, and most inputs and outputs in total, for which whole blocks of
#: columns fit on the stack: ``stack_features`` and ``stack_physical`` of ``emufort_workspace``.
STACK_FEATURES, STACK_COLUMNS = 544, 192
#: Most features of all buffers for which one column fits on the stack: ``max_scratch`` of
#: ``fortran/src/emufort_kinds.F90``.
MOST_STACK_SCRATCH = 8704

#: Names that the generated procedures use; a contract variable with one of these names gets an
#: underscore appended.
_TAKEN = frozenset(
    {
        *("ncol", "status", "is_outside", "workspace", "status_type", "workspace_type", "strides"),
        *("int8", "int64", "real32", "real64", "real", "int", "any"),
        *("min", "present", "allocated", "len"),
        "emulator_type",
    }
)
_LONGEST_SUFFIX = "_emulator_predict_real64"
#: Fortran 2018 allows 255 continuation lines of 132 characters.
_VALUES_PER_STATEMENT = 1000
#: Most statements that copy the entries of a variable one by one.
_MOST_STATEMENTS = 32
_LINE = 120
_LONGEST_LINE = 132
#: Longest texts before the names of dummy arguments, with explicit shapes and with strides.
_DECLARATION = "    real(real64), intent(out) :: "
_STRIDED_DECLARATION = "    real(real64), intent(inout) :: "

_RUNTIME_HEADER = (
    "! SPDX-License-Identifier: Apache-2.0\n"
    f"! The emufort {__version__} runtime in one file; made from its modules, do not edit.\n"
)
#: Beginning of a runtime in double precision. It does not rely on flags of the host.
_IN_DOUBLE = """\
! This runtime computes networks in double precision, as with the flag -DEMUFORT_DOUBLE.
#ifndef EMUFORT_DOUBLE
#define EMUFORT_DOUBLE
#endif
"""


@dataclass(frozen=True)
class _Column:
    place: int
    index: str


@dataclass(frozen=True)
class _Variable:
    number: int
    name: str
    shape: str
    comment: str
    text: str
    lengths: tuple[int, ...]
    columns: tuple[_Column, ...]

    @property
    def is_wide(self) -> bool:
        """Whether loops copy the variable, so that the module compiles fast."""
        return len(self.columns) > _MOST_STATEMENTS

    @property
    def indices(self) -> str:
        """Subscripts in these loops."""
        rank = len(self.lengths)
        names = [f"emufort_k{i}" for i in range(1, rank + 1)] if rank > 1 else ["emufort_k"]
        return "".join(f", {name} + 1" for name in names)


def check_name(name: str) -> str:
    """Return `name` if it can name a module ``<name>_emulator``.

    Raises
    ------
    UsageError
        The name is not a Fortran name, or is too long for the names of the procedures.
    """
    return fortran_name(name, _LONGEST_SUFFIX)


def dummy_name(name: str, module: str) -> str:
    """Return the name of a contract variable as a dummy argument.

    Fortran has no reserved words, so only names that the generated code uses must be avoided; these
    get an underscore appended. Names that begin with ``emufort_`` are refused.

    Raises
    ------
    EmufortError
        The name is reserved for the runtime or clashes with a name of the module.
    """
    if name.lower().startswith("emufort_"):
        raise EmufortError(f"the variable '{name}' must not begin with 'emufort_'; rename it")
    own = {
        module,
        *(f"{module}_{s}" for s in ("predict", "predict_block", "copy", "hash", "make_workspace")),
        *(f"{module}_{s}" for s in ("n_inputs", "n_outputs", "init", "load", "load_bytes")),
    }
    kinds = ("real32", "real64")
    own |= {f"{module}_{what}_{kind}" for what in ("predict", "strided") for kind in kinds}
    if name.lower() not in _TAKEN | {o.lower() for o in own}:
        return name
    if len(name) >= LONGEST_NAME:
        raise EmufortError(f"the variable '{name}' clashes with a name of the module; rename it")
    return name + "_"


def check_names(contract: Contract, name: str | None = None) -> str:
    """Check the names of a contract; return the name of its module.

    Parameters
    ----------
    contract
        Contract whose variables become dummy arguments.
    name
        Name of the emulator; default: that of the contract.

    Raises
    ------
    EmufortError
        Two names are the same in Fortran or in C, the runtime reserves a name, or there are more
        inputs and outputs than the runtime takes.
    UsageError
        The name of the emulator is not a Fortran name, or is too long.
    """
    module = f"{check_name(name or contract.name)}_emulator"
    n_columns = len(contract.input_columns) + len(contract.output_columns)
    if n_columns > MOST_NEURONS:
        raise EmufortError(
            f"the contract '{contract.name}' has {n_columns} scalar inputs and outputs, the "
            f"Fortran runtime takes {MOST_NEURONS}: leave some out"
        )
    names = [dummy_name(v.name, module).lower() for v in (*contract.input, *contract.output)]
    for one in names:
        if names.count(one) > 1:
            raise EmufortError(
                f"two variables of the contract '{contract.name}' become '{one}' in Fortran; "
                "rename one"
            )
    check_member_names(contract)
    return module


def needs_workspace(architecture: AnyArchitecture, n_columns: int) -> bool:
    """Return whether a host should create a workspace for the network, see docs/runtime.md.

    Parameters
    ----------
    architecture
        Shape of the network.
    n_columns
        Number of scalar inputs and outputs of the emulator, including those that the network does
        not have.
    """
    return architecture.plan.n_scratch > STACK_FEATURES or n_columns > STACK_COLUMNS


def requires_workspace(architecture: AnyArchitecture) -> bool:
    """Return whether predictions without a workspace give an error, see docs/runtime.md."""
    return architecture.plan.n_scratch > MOST_STACK_SCRATCH


def fortran_source(
    emulator: Emulator,
    chain: str,
    name: str | None = None,
    file: WeightsFile | None = None,
    placement: Placement = "module",
    weights_chain: str = "",
) -> str:
    """Return the source of the module ``<name>_emulator``.

    Parameters
    ----------
    emulator
        The network, with its contract.
    chain
        Value of the constant ``<name>_emulator_hash``: the hash of the chain up to the weights.
    name
        Name of the emulator; default: that of the contract.
    file
        An existing weights.bin, whose arrays the module gets; default: those of `emulator`.
    placement
        Whether the module holds the network, or loads weights.bin.
    weights_chain
        Value of ``chain`` in `file`. A module refuses other weights.

    Returns
    -------
    str
        Fortran 2018 in free form.

    Raises
    ------
    EmufortError
        Names of the contract are the same in Fortran, or the runtime reserves them.
    """
    contract = emulator.contract
    module = check_names(contract, name)
    file = WeightsFile.from_emulator(emulator) if file is None else file
    flat = file.flat
    form = form_of(flat, placement)
    loads = form != "numbers"
    has_pool = requires_workspace(emulator.architecture)
    inputs = list(_variables(contract.input, contract, module))
    outputs = list(_variables(contract.output, contract, module, len(inputs)))
    variables = [v.name for v in (*inputs, *outputs)]
    optional = ("status", "is_outside", "workspace")
    return render(
        "emulator.F90.j2",
        title=contract.title or contract.name,
        contract=contract.name,
        module=module,
        architecture=emulator.architecture.label,
        hash=chain,
        n_inputs=flat.n_inputs,
        n_outputs=flat.n_outputs,
        n_plan=len(flat.plan),
        n_numbers=len(flat.numbers),
        precision=flat.precision,
        form=form,
        loads=loads,
        has_pool=has_pool,
        at_hand="emufort_at_hand" if has_pool else "workspace",
        remedy=f"load the weights first: {module}_load"
        if form == "file"
        else f"decode the weights first: {module}_init",
        weights_chain=weights_chain,
        weights="emufort_weights(emufort_first_weight)" if loads else "emufort_weights",
        **(_constants(flat) if form == "numbers" else {}),
        **(_texts(file) if form == "text" else {}),
        inputs=inputs,
        outputs=outputs,
        rank=max(1, *(len(v.lengths) for v in (*inputs, *outputs))),
        widths=wrap(str(len(v.columns)) for v in (*inputs, *outputs)),
        arguments=wrap(["ncol", *variables, *optional]),
        strided_arguments=wrap(["ncol", "strides", *variables, *optional]),
    )


def _texts(file: WeightsFile) -> dict[str, Any]:
    """Return the values for the template of a module that holds weights.bin as text."""
    content = file.to_bytes()
    texts = text_of(content)
    return {
        "n_bytes": len(content),
        "texts": ["&\n&".join(lines) for lines in texts],
        "lengths": [sum(map(len, lines)) for lines in texts],
    }


def _constants(flat: FlatEmulator) -> dict[str, Any]:
    """Return the values for the template of a module that holds its weights as numbers."""
    packed = pack(plan_of(flat)[1])
    is_long = len(flat.plan) > _VALUES_PER_STATEMENT
    return {
        "n_weights": len(packed),
        # A longer list of integers would have too many lines.
        "plan": "" if is_long else wrap(map(str, flat.plan.tolist())),
        "data": [
            *(_data("emufort_plan", map(str, flat.plan.tolist())) if is_long else ()),
            *_data("emufort_numbers", (fortran_real64(v) for v in flat.numbers.tolist())),
            *_data("emufort_weights", map(_number(flat.precision), packed)),
        ],
    }


def runtime_source(precision: Precision = "single") -> str:
    """Return the source of the runtime as one file, which computes in `precision`.

    Raises
    ------
    EmufortError
        The package was installed without its Fortran sources.
    """
    files = fortran_sources("emufort_runtime")
    if len(files) == 1:
        text = files[0].read_text()
    else:
        text = _RUNTIME_HEADER + "".join("\n" + path.read_text() for path in files)
    return (_IN_DOUBLE if precision == "double" else "") + text


def _variables(
    variables: Iterable[Input | Output],
    contract: Contract,
    module: str,
    n_before: int = 0,
) -> Iterator[_Variable]:
    place = 1
    for number, variable in enumerate(variables, n_before + 1):
        text = f"{variable.long_name or variable.name} [{variable.units}]"
        name, shape = dummy_name(variable.name, module), shape_text(contract, variable)
        comment = f"{text} {shape_comment(contract, variable)}"
        yield _Variable(
            number,
            name,
            shape,
            _comment(comment, f"{_DECLARATION}{name}{shape}"),
            _comment(text, f"{_STRIDED_DECLARATION}{name}(*)"),
            contract.shape(variable),
            tuple(_Column(place + i, at) for i, at in enumerate(subscripts(contract, variable))),
        )
        place += contract.width(variable)


def _comment(text: str, declaration: str) -> str:
    """Return a comment that fits on the line after the declaration of a dummy argument."""
    return fortran_comment(text, _LONGEST_LINE - len(f"{declaration}   !! "))


def _number(precision: Precision) -> Callable[[Any], str]:
    """Return the function that writes a weight."""
    return _real32 if precision == "single" else fortran_real64


def _real32(value: np.float32) -> str:
    """Write a single precision number with the fewest digits that are read back exactly."""
    if value == 0:
        return "0.0"
    return np.format_float_scientific(value, unique=True, trim="0", exp_digits=1)


def wrap(items: Iterable[str]) -> str:
    """Return a Fortran list, separated by commas, on as many continued lines as needed."""
    lines = textwrap.wrap(
        ", ".join(items), _LINE - 8, break_long_words=False, break_on_hyphens=False
    )
    return " &\n    ".join(lines)


def _data(name: str, values: Iterable[str]) -> Iterator[str]:
    """Yield DATA statements; compilers need much longer to read arrays of constants."""
    items = list(values)
    for first in range(0, len(items), _VALUES_PER_STATEMENT):
        part = items[first : first + _VALUES_PER_STATEMENT]
        yield f"data {name}({first + 1}:{first + len(part)}) / &\n    {wrap(part)}/"
