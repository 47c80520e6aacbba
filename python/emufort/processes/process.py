"""What a process is to the rest of emufort: heads, classical schemes, host glue, label makers.

A package builds one `Process` and registers it by an entry point, see `emufort.processes.registry`.
docs/processes.md has a complete example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from emufort.contract import Contract
    from emufort.export.bundle import Bundle

Array = NDArray[np.float64]
#: Called as ``make(samples, seed, advance)`` with the number of training samples, a random seed and
#: a function that takes the number of samples labelled since its last call. Returns what the
#: contract wants as a CF data set; the same samples and seed give the same values.
LabelMaker = Callable[[int, int, Callable[[int], object]], "xr.Dataset"]


def _no_sources(contract: Contract) -> Sequence[Path]:
    return ()


@dataclass(frozen=True)
class Head:
    """A function that turns outputs of an emulator into the quantities it is judged by.

    Attributes
    ----------
    function
        Called as ``function(inputs, outputs)`` with two mappings of names to arrays: the contract's
        inputs, of shape (n,) or (n, k), with its parameters, a number or (k,); and its outputs, of
        shape (n,) or (n, k), or the quantities that a baseline gives. Returns a mapping of names to
        arrays of shape (n,) or (n, k). Units are those of the contract.
    inputs
        Inputs and parameters that it reads; a contract that names the head must have them.
    outputs
        Outputs that it reads.
    gives
        Names of the quantities that it returns; as a mapping, each with the dimension of the
        contract that its columns lie along, None for one column.
    fortran
        Returns the Fortran sources of the head for a contract, in any order; none by default. They
        may use the modules of ``emufort_runtime.F90``. The host glue and `emufort bench` compile
        them.
    call
        For `emufort bench`: returns further Fortran sources in the order of compilation, none if
        there are none for this contract. The last is a module of its file's name that calls an
        emulator with this head behind it, as docs/processes.md describes.
    call_reference
        Called as ``call_reference(contract, inputs, outputs)``: what that call must give, (n, k),
        for inputs (n, n_inputs) and outputs (n, n_outputs).
    """

    function: Callable[[Mapping[str, Array], Mapping[str, Array]], Mapping[str, Array]]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    gives: tuple[str, ...] | Mapping[str, str | None] = ()
    fortran: Callable[[Contract], Sequence[Path]] = _no_sources
    call: Callable[[Contract], Sequence[Path]] = _no_sources
    call_reference: Callable[[Contract, Array, Array], Array] | None = None

    @property
    def dimensions(self) -> Mapping[str, str | None]:
        """Dimension of each quantity that it returns, as far as `gives` says it."""
        return self.gives if isinstance(self.gives, Mapping) else {}


@dataclass(frozen=True)
class TimingSource:
    """A Fortran program that times a classical scheme; docs/processes.md describes its arguments.

    Attributes
    ----------
    sources
        Returns its source files in the order of compilation, the program last.
    reference
        For `emufort bench`: called as ``reference(contract, features)``, returns what the program
        must give, (n, k), for the features of a contract, (n, n_features).
    call_reference
        The same for what it gives with the argument ``call``; None if it knows no such argument.
    takes_ncol
        Whether the program is called with numbers of columns, as a scheme is that works on many
        columns at once: ``PROGRAM INPUT NCOL[,NCOL...] REPEATS [OUTPUT [call]]``, prints lines
        ``ncol,repeat,ns_per_sample``. Otherwise it is called as ``PROGRAM INPUT REPEATS [OUTPUT
        [call]]``, prints lines ``ns_per_sample VALUE``, and its time counts for every number of
        columns.
    """

    sources: Callable[[], Sequence[Path]]
    reference: Callable[[Contract, Array], Array]
    call_reference: Callable[[Contract, Array], Array] | None = None
    takes_ncol: bool = False


@dataclass(frozen=True)
class GlueFile:
    """A file of the host glue.

    Attributes
    ----------
    text
        Its content; ``@MODULE@`` stands for the name of the generated module, ``@GNU_FAST@`` and
        the like for compiler flags (`emufort.toolchain.flags`).
    executable
        Whether it is a program.
    """

    text: str
    executable: bool = False


def _fits_always(contract: Contract) -> str:
    return ""


def _no_file(contract: Contract) -> Path | None:
    return None


def _nothing_generated(bundle: Bundle) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class HostGlue:
    """What a process adds to the glue that ``emufort export --host`` writes.

    Attributes
    ----------
    fits
        Returns why all this does not fit a contract, as the rest of a sentence; empty if it does. A
        contract that it does not fit gets the glue of a process that adds nothing.
    sources
        Returns Fortran sources that a host needs beside the bundle's and those of the contract's
        head, in any order: a fallback scheme, an interface. Files of another type than Fortran,
        such as ``.inc``, are copied only.
    generated
        Returns further sources that are written for one bundle, by file name.
    example
        Returns the source of an example host program for a contract, a text as that of `GlueFile`;
        None: one is generated that predicts in the middle of the ranges.
    mpi_example
        The same for a host with MPI; None: none is written.
    target
        The CMake target of the glue is ``emufort::TARGET``; default ``<name>_host``.
    hosts
        Name of a host -> function of a bundle that returns the files of the glue beside those of
        ``src``, by their path in its folder.
    """

    fits: Callable[[Contract], str] = _fits_always
    sources: Callable[[Contract], Sequence[Path]] = _no_sources
    generated: Callable[[Bundle], Mapping[str, str]] = _nothing_generated
    example: Callable[[Contract], Path | None] = _no_file
    mpi_example: Callable[[Contract], Path | None] = _no_file
    target: str | None = None
    hosts: Mapping[str, Callable[[Bundle], Mapping[str, GlueFile]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Process:
    """A physical process: its contracts, what they may name, and what hosts and data need.

    Attributes
    ----------
    name
        The name of the entry point.
    heads
        Name -> what ``head = "NAME"`` in a contract stands for.
    timing_sources
        Name -> what ``timing_source = "NAME"`` of a baseline stands for.
    contracts
        Folder with contracts (TOML) that come with the process.
    data
        Folder with data sets that these contracts name as ``default_data``.
    host
        What it adds to the glue for host models.
    label_makers
        Name of a contract -> what makes its data set.
    former_names
        What contracts of earlier versions called a function -> its name.
    """

    name: str
    heads: Mapping[str, Head] = field(default_factory=dict)
    timing_sources: Mapping[str, TimingSource] = field(default_factory=dict)
    contracts: Path | None = None
    data: Path | None = None
    host: HostGlue = field(default_factory=HostGlue)
    label_makers: Mapping[str, LabelMaker] = field(default_factory=dict)
    former_names: Mapping[str, str] = field(default_factory=dict)

    def contract_files(self) -> dict[str, Path]:
        """Return the contracts that come with the process, by name."""
        if self.contracts is None:
            return {}
        return {path.stem: path for path in sorted(self.contracts.glob("*.toml"))}
