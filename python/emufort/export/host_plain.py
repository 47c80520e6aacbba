"""The glue for a host with a Makefile or CMake: build files and an example program.

The templates are in coupling/face/plain and work for any process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emufort.contract import Contract, Input, Output
from emufort.escape import fortran_real64
from emufort.export.bundle import Bundle
from emufort.export.fortran import dummy_name, wrap
from emufort.export.golden import Array, limits, single_within
from emufort.export.host_arrays import shape_comment, shape_text, subscripts
from emufort.export.render import render
from emufort.processes.process import GlueFile, HostGlue
from emufort.toolchain.sources import coupling_folder

#: Number of columns that the generated example predicts per call.
_COLUMNS = 16


@dataclass(frozen=True)
class SchemeSource:
    """A Fortran source that is compiled after the runtime or the generated module.

    Attributes
    ----------
    name
        Name of the file in the folder ``src``.
    needs
        Stems of the sources that must be compiled before it.
    """

    name: str
    needs: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The name of its object file."""
        return Path(self.name).stem


@dataclass(frozen=True)
class _Variable:
    """A variable of the contract in the example program, with the middle of its range."""

    name: str
    about: str
    shape: str
    #: Subscripts behind that of the column -> value of the entry.
    middle: Mapping[str, str]


def plain_files(
    bundle: Bundle, glue: HostGlue, sources: list[SchemeSource]
) -> Mapping[str, GlueFile]:
    """Return the files of the glue except those of ``src``, by their path in its folder.

    Parameters
    ----------
    bundle
        Bundle for which the glue is written.
    glue
        Glue that the process of the bundle's contract adds.
    sources
        Sources of the process, in the order of compilation.
    """
    coupling = coupling_folder()
    contract = bundle.manifest.contract
    templates = coupling / "face" / "plain"
    mpi_example = glue.mpi_example(contract)
    values = {
        "title": contract.title or contract.name,
        "module": bundle.module_name,
        "sources": sources,
        "has_mpi": mpi_example is not None,
        "target": glue.target or f"{bundle.name}_host",
    }
    found = {
        name: GlueFile(render(f"{name}.j2", folder=templates, **values))
        for name in ("Makefile", "CMakeLists.txt")
    }
    example = glue.example(contract)
    text = _example(bundle) if example is None else example.read_text(encoding="utf-8")
    found["example_host.F90"] = GlueFile(text)
    if mpi_example is not None:
        for path in (coupling / "face" / "mpi" / "emufort_broadcast.F90", mpi_example):
            found[f"mpi/{path.name}"] = GlueFile(path.read_text(encoding="utf-8"))
    return found


def _example(bundle: Bundle) -> str:
    """Return the source of a program that predicts in the middle of the input ranges."""
    contract = bundle.manifest.contract
    middle = middle_of_ranges(contract, bundle.golden.x)
    inputs = list(_variables(contract.input, contract, bundle.module_name, middle))
    outputs = list(
        _variables(
            contract.output, contract, bundle.module_name, np.zeros(len(contract.output_columns))
        )
    )
    return render(
        "example_host.F90.j2",
        folder=coupling_folder() / "face" / "plain",
        title=contract.title or contract.name,
        module=bundle.module_name,
        columns=_COLUMNS,
        inputs=inputs,
        outputs=outputs,
        arguments=wrap(["ncol", *(v.name for v in (*inputs, *outputs)), "status"]),
    )


def middle_of_ranges(contract: Contract, known: Array) -> Array:
    """Return the middle of the range of every input, (n_inputs,), exact in single precision.

    The middle is that of the logarithm where the network sees the logarithm.

    Parameters
    ----------
    contract
        Contract with the ranges.
    known
        Rows (n, n_inputs), whose limits are used for inputs without a range.
    """
    lower, upper = limits(contract, known)
    middle = 0.5 * lower + 0.5 * upper
    for j, column in enumerate(contract.input_columns):
        if lower[j] > 0 and (column.transform in ("ln", "log10") or not column.feature):
            middle[j] = np.sqrt(lower[j]) * np.sqrt(upper[j])
    return single_within(middle, contract)


def _variables(
    variables: tuple[Input, ...] | tuple[Output, ...],
    contract: Contract,
    module: str,
    middle: Array,
) -> Iterator[_Variable]:
    first = 0
    for variable in variables:
        width = contract.width(variable)
        values = map(fortran_real64, middle[first : first + width])
        about = f"{variable.long_name or variable.name} [{variable.units}] "
        yield _Variable(
            dummy_name(variable.name, module),
            about + shape_comment(contract, variable),
            shape_text(contract, variable),
            dict(zip(subscripts(contract, variable), values, strict=True)),
        )
        first += width
