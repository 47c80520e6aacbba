"""The interface of a process: heads, classical schemes, host glue, label makers, presets.

A package builds one `Process` and registers it by an entry point, see `emufort.processes.registry`.
docs/processes.md has a complete example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emufort.files import write_text

if TYPE_CHECKING:
    import xarray as xr

    from emufort.contract import Contract
    from emufort.export.bundle import Bundle

Array = NDArray[np.float64]
#: Called as ``make(samples, seed, advance)`` with the number of training samples, a random seed and
#: a function that takes the number of samples labelled since its last call. Returns a CF data set
#: that satisfies the contract; the same samples and seed give the same values.
LabelMaker = Callable[[int, int, Callable[[int], object]], "xr.Dataset"]


def _no_sources(contract: Contract) -> Sequence[Path]:
    return ()


def _nothing_for(contract: Contract) -> Mapping[str, str]:
    return {}


def _written(sources: Sequence[Path], texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write generated sources to `folder`; return the sources with those in their places."""
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / path.name if path.name in texts else path for path in sources]


@dataclass(frozen=True)
class Head:
    """A function that turns outputs of an emulator into the quantities by which it is judged.

    Attributes
    ----------
    function
        Called as ``function(inputs, outputs)`` with two mappings of names to arrays: the contract's
        inputs, of shape (n, ...) with their dimensions behind the samples, and parameters, a number
        or (...); and its outputs, of shape (n, ...), or the quantities that a baseline gives.
        Returns a mapping of names to arrays of shape (n, ...). Units are those of the contract.
    inputs
        Inputs and parameters that the function reads; a contract that names the head must have
        them.
    outputs
        Outputs that the function reads.
    gives
        Names of the quantities that the function returns. As a mapping: each name with the
        dimension of the contract along which its columns lie, or several; None for one column.
    fortran
        Returns the Fortran sources of the head for a contract, in any order; none by default. They
        may use the modules of ``emufort_runtime.F90``. The host glue and `emufort bench` compile
        them.
    call
        For `emufort bench`: returns further Fortran sources for a contract in the order of
        compilation; empty if there are none. The last is a module with the name of its file that
        calls an emulator and then this head, as docs/processes.md describes.
    generated
        Returns sources that are generated for a contract, by file name. Each replaces the source of
        that name in `call`.
    call_reference
        Called as ``call_reference(contract, inputs, outputs)``: returns the expected result (n, k)
        of that call for inputs (n, n_inputs) and outputs (n, n_outputs).
    """

    function: Callable[[Mapping[str, Array], Mapping[str, Array]], Mapping[str, Array]]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    gives: tuple[str, ...] | Mapping[str, str | tuple[str, ...] | None] = ()
    fortran: Callable[[Contract], Sequence[Path]] = _no_sources
    call: Callable[[Contract], Sequence[Path]] = _no_sources
    generated: Callable[[Contract], Mapping[str, str]] = _nothing_for
    call_reference: Callable[[Contract, Array, Array], Array] | None = None

    def write_call(self, contract: Contract, folder: Path) -> list[Path]:
        """Return the sources of `call` for a contract; generated ones are written to `folder`."""
        return _written(self.call(contract), self.generated(contract), folder)

    @property
    def dimensions(self) -> Mapping[str, tuple[str, ...]]:
        """Dimensions of each quantity that the head returns, as far as `gives` specifies them."""
        if not isinstance(self.gives, Mapping):
            return {}
        named = {name: () if along is None else along for name, along in self.gives.items()}
        return {n: (along,) if isinstance(along, str) else along for n, along in named.items()}


@dataclass(frozen=True)
class TimingSource:
    """A Fortran program that times a classical scheme; docs/processes.md describes its arguments.

    Attributes
    ----------
    sources
        Returns its source files for a contract in the order of compilation, the program last.
    generated
        Returns sources that are generated for a contract, by file name. Each replaces the source of
        that name.
    reference
        For `emufort bench`: called as ``reference(contract, features)``, returns the expected
        results (n, k) of the program for the features of a contract, (n, n_features).
    call_reference
        The same for the results with the argument ``call``; None if the program has no such
        argument.
    takes_ncol
        Whether the program takes numbers of columns, as for a scheme that works on many columns at
        once: ``PROGRAM INPUT NCOL[,NCOL...] REPEATS [OUTPUT [call]]``, prints lines
        ``ncol,repeat,ns_per_sample``. Otherwise it is called as ``PROGRAM INPUT REPEATS [OUTPUT
        [call]]``, prints lines ``ns_per_sample VALUE``, and this time is used for every number of
        columns.
    """

    sources: Callable[[Contract], Sequence[Path]]
    reference: Callable[[Contract, Array], Array]
    call_reference: Callable[[Contract, Array], Array] | None = None
    takes_ncol: bool = False
    generated: Callable[[Contract], Mapping[str, str]] = _nothing_for

    def write_sources(self, contract: Contract, folder: Path) -> list[Path]:
        """Return the sources for a contract; generated ones are written to `folder`."""
        return _written(self.sources(contract), self.generated(contract), folder)


@dataclass(frozen=True)
class GlueFile:
    """A file of the host glue.

    Attributes
    ----------
    text
        Content, as bytes if the file is not a text. In a text, ``@MODULE@`` is replaced by the name
        of the generated module, ``@SOURCES@`` by the paths of the Fortran sources in the order of
        compilation, separated by commas, and ``@GNU_FAST@`` and similar names by compiler flags
        (`emufort.toolchain.flags`).
    executable
        Whether the file is executable.
    """

    text: str | bytes
    executable: bool = False


@dataclass(frozen=True)
class Preset:
    """A configuration of a host model: a contract with labels of its own.

    Attributes
    ----------
    name
        Name of the preset.
    contract
        Contract of the emulators.
    labels
        Called as ``labels(samples, seed, report)`` with the number of training samples, a random
        seed and a function that takes the number of labelled samples and of all samples. Returns
        the path of the data set, a netCDF file that the process keeps: a repeated call returns at
        once, without a report, and a call after an interruption continues.
    title
        What the preset is.
    serves
        Models, versions and configurations that the emulators serve.
    glue
        Hosts for which a run exports glue.
    options
        Configuration of a run as nested mappings, as in a TOML file; options of the user take
        precedence.
    facts
        What ``emufort presets`` shows in addition, such as physical constants: plain data.
    """

    name: str
    contract: Contract
    labels: Callable[[int, int, Callable[[int, int], object]], Path]
    title: str = ""
    serves: tuple[str, ...] = ()
    glue: tuple[str, ...] = ("plain",)
    options: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Presets:
    """The presets of a process.

    Attributes
    ----------
    folder
        Folder with the presets that come with the process, TOML files. A preset of a user is such a
        file elsewhere. Each contains ``process = "NAME"`` with the name of the process.
    read
        Returns the preset of such a file; raises `emufort.errors.UsageError` if it is not valid.
    """

    folder: Path
    read: Callable[[Path], Preset]

    def files(self) -> dict[str, Path]:
        """Return the presets that come with the process, by name."""
        return {path.stem: path for path in sorted(self.folder.glob("*.toml"))}


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
        Returns the reason why this glue does not fit a contract, as the rest of a sentence; empty
        if it fits. A contract that it does not fit gets only the glue of all processes.
    sources
        Returns Fortran sources that a host needs in addition to those of the bundle and of the
        contract's head, in any order: a fallback scheme, an interface. Files other than Fortran,
        such as ``.inc``, are only copied.
    c_sources
        Returns the Fortran sources and the headers of an interface for C and C++, which the glue
        with a Makefile and CMake contains too.
    generated
        Returns further sources that are generated for one bundle, by file name.
    example
        Returns the source of an example host program for a contract, a text as in `GlueFile`. None:
        a program is generated that predicts in the middle of the input ranges.
    mpi_example
        The same for a host with MPI. None: no such program is written.
    target
        The CMake target of the glue is ``emufort::TARGET``; default ``<name>_host``.
    hosts
        Name of a host -> function of a bundle that returns the files of the glue except those in
        ``src``, by their path in its folder.
    sorting_hosts
        Those of `hosts` whose build compiles paths in alphabetical order. Their sources are in the
        folder ``dependencies``, with a number before the name.
    """

    fits: Callable[[Contract], str] = _fits_always
    sources: Callable[[Contract], Sequence[Path]] = _no_sources
    c_sources: Callable[[Contract], Sequence[Path]] = _no_sources
    generated: Callable[[Bundle], Mapping[str, str]] = _nothing_generated
    example: Callable[[Contract], Path | None] = _no_file
    mpi_example: Callable[[Contract], Path | None] = _no_file
    target: str | None = None
    hosts: Mapping[str, Callable[[Bundle], Mapping[str, GlueFile]]] = field(default_factory=dict)
    sorting_hosts: Collection[str] = ()


@dataclass(frozen=True)
class Process:
    """A physical process: contracts, functions that they may name, glue, label makers, presets.

    Attributes
    ----------
    name
        Name of the entry point.
    heads
        Name -> the head that ``head = "NAME"`` in a contract selects.
    timing_sources
        Name -> the program that ``timing_source = "NAME"`` of a baseline selects.
    contracts
        Folder with contracts (TOML) that come with the process.
    data
        Folder with data sets that these contracts name as ``default_data``.
    host
        Glue for host models that the process adds.
    label_makers
        Name of a contract -> function that makes its data set.
    presets
        Configurations of host models for ``emufort run --preset``.
    former_names
        Name of a function in contracts of earlier versions -> its present name.
    """

    name: str
    heads: Mapping[str, Head] = field(default_factory=dict)
    timing_sources: Mapping[str, TimingSource] = field(default_factory=dict)
    contracts: Path | None = None
    data: Path | None = None
    host: HostGlue = field(default_factory=HostGlue)
    label_makers: Mapping[str, LabelMaker] = field(default_factory=dict)
    presets: Presets | None = None
    former_names: Mapping[str, str] = field(default_factory=dict)

    def contract_files(self) -> dict[str, Path]:
        """Return the contracts that come with the process, by name."""
        if self.contracts is None:
            return {}
        return {path.stem: path for path in sorted(self.contracts.glob("*.toml"))}
