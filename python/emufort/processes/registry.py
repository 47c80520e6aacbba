"""The registry of processes: which heads and timing programs a contract may name.

A contract is data. It names a process and functions of that process; the code behind the names
belongs to an installed package, which registers it by an entry point::

    [project.entry-points."emufort.processes"]
    pond = "pond_package.process:PROCESS"

``PROCESS`` is a `Process`. Only the entry point that a contract names is loaded, so code of other
packages does not run. The process of emufort itself is also found without its entry point, as in a
checkout that is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from emufort import __version__
from emufort.errors import ContractError, did_you_mean
from emufort.processes.process import Head, Process, TimingSource

if TYPE_CHECKING:
    from emufort.contract import Contract

GROUP = "emufort.processes"

#: Processes of this package; pyproject.toml registers the same ones.
_OWN = {"aerosol_activation": "emufort.processes.aerosol_activation.process:PROCESS"}

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Registered:
    """The entry points that installed packages register for one process name.

    Attributes
    ----------
    name
        Name of the process.
    entries
        Package (name and version) -> its entry point. More than one makes the name ambiguous.
    """

    name: str
    entries: Mapping[str, EntryPoint]

    @property
    def package(self) -> str:
        """Name and version of the package that registers the process."""
        return ", ".join(self.entries)

    def load(self) -> Process:
        """Import the process.

        Raises
        ------
        ContractError
            Two packages register the name, or the entry point cannot be imported or is not a
            `Process` of that name.
        """
        if len(self.entries) > 1:
            raise ContractError(
                f"the packages {' and '.join(self.entries)} both register a process '{self.name}'; "
                "uninstall one of them"
            )
        (entry,) = self.entries.values()
        try:
            found = entry.load()
        except Exception as error:
            # Another package may raise any exception while it is imported.
            raise ContractError(
                f"the process '{self.name}' of the package {self.package} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(found, Process) or found.name != self.name:
            raise ContractError(
                f"the entry point '{self.name}' of the package {self.package} in the group "
                f"{GROUP} is not an emufort.processes.Process of that name"
            )
        return found


def registered() -> dict[str, Registered]:
    """Return every registered process by name, without importing any."""
    found = {
        name: {f"emufort {__version__}": EntryPoint(name, value, GROUP)}
        for name, value in _OWN.items()
    }
    for entry in entry_points(group=GROUP):
        if entry.value == _OWN.get(entry.name):
            continue
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "of an unknown name"
        found.setdefault(entry.name, {})[package] = entry
    return {name: Registered(name, entries) for name, entries in sorted(found.items())}


def comes_with_emufort(name: str) -> bool:
    """Return whether the process `name` comes with emufort."""
    return name in _OWN


@cache
def process(name: str) -> Process:
    """Load the process `name` and no other process.

    Raises
    ------
    ContractError
        The process is not registered or cannot be loaded.
    """
    return _found(name).load()


def _found(name: str) -> Registered:
    known = registered()
    if name not in known:
        raise ContractError(
            f"no installed package registers the process '{name}'{did_you_mean(name, known)}; "
            f"registered are {', '.join(known)} ('emufort processes' lists them)"
        )
    return known[name]


def head(process_name: str, name: str) -> Head:
    """Return a registered head; raises the errors of `process`, or if there is no such head."""
    heads = process(process_name).heads
    if name not in heads:
        raise ContractError(_unknown("head", name, process_name, heads))
    return heads[name]


def timing_source(process_name: str, name: str) -> TimingSource:
    """Return a registered timing program; raises the errors of `process`, or if there is none."""
    sources = process(process_name).timing_sources
    if name not in sources:
        raise ContractError(_unknown("timing source", name, process_name, sources))
    return sources[name]


def _unknown(what: str, name: str, process_name: str, known: Mapping[str, object]) -> str:
    registered_ones = f"it has {', '.join(known)}" if known else "it has none"
    return (
        f"the process '{process_name}' has no {what} '{name}'{did_you_mean(name, known)}; "
        f"{registered_ones}"
    )


def check_functions(contract: Contract) -> None:
    """Check that every function that a contract names is registered and has its variables.

    Raises
    ------
    ContractError
        The process or a function is not registered; a head needs an input, a parameter or an output
        that the contract does not have; or a head does not give the skill variables of the
        contract.
    """
    if contract.process is None:
        return
    _found(contract.process)
    outputs = {output.name for output in contract.output}
    if contract.skill.head is not None:
        _check_head(contract, contract.skill.head, outputs, "the outputs do not give")
    for baseline in contract.baseline:
        name = baseline.head or contract.skill.head
        if name is not None:
            _check_head(
                contract, name, set(baseline.quantities), f"'{baseline.name}' does not give"
            )
        if baseline.timing_source is not None:
            timing_source(contract.process, baseline.timing_source)


def _check_head(contract: Contract, name: str, given: set[str], complaint: str) -> None:
    """Check one head against its contract and the quantities `given` to it."""
    assert contract.process is not None
    found = head(contract.process, name)
    known = {v.name for v in contract.input} | {p.name for p in contract.parameter}
    for needed in found.inputs:
        if needed not in known:
            raise ContractError(
                f"the head '{name}' of the contract '{contract.name}' needs the input or parameter "
                f"'{needed}', which the contract lacks{did_you_mean(needed, known)}"
            )
    for needed in found.outputs:
        if needed not in given:
            raise ContractError(
                f"the head '{name}' of the contract '{contract.name}' needs '{needed}', which "
                f"{complaint}{did_you_mean(needed, given)}"
            )
    dimensions = contract.dimensions
    for quantity, named in found.dimensions.items():
        for dimension in named:
            if dimension not in dimensions:
                raise ContractError(
                    f"the head '{name}' gives '{quantity}' along the dimension '{dimension}', "
                    f"which the contract '{contract.name}' lacks"
                    f"{did_you_mean(dimension, dimensions)}"
                )
    for judged in contract.skill_variables:
        if found.gives and judged not in found.gives:
            raise ContractError(
                f"the contract '{contract.name}' is judged by '{judged}', which its head '{name}' "
                f"does not give{did_you_mean(judged, found.gives)}; it gives "
                f"{', '.join(found.gives)}"
            )


def check_name(name: str) -> str:
    """Check the name of a head or timing source in a contract; return the name.

    Raises
    ------
    ValueError
        `name` is a Python path or not a name.
    """
    if _NAME.fullmatch(name):
        return name
    renamed = ""
    for own in _OWN:
        now = process(own).former_names.get(name)
        if now is not None:
            renamed = f"it is '{now}' of process = '{own}' now; "
    raise ValueError(
        f"{name!r} is not the name of a registered function, and a contract runs no Python path; "
        f"{renamed}a package registers its functions by the entry point group {GROUP} "
        "(docs/processes.md)"
    )
