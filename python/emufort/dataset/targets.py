"""Alternative targets of a network: other contracts for the same rows of the same data.

A target is the name or file of a contract, or outputs of the run's own contract with other
transforms, such as ``"evaporation=ln"`` or ``"evaporation=ln, runoff=standardise"``. Losses of
different targets cannot be compared. The skill variables of the run's contract can be compared,
because every target gives them (directly or by the head of its contract).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.contract_files import is_path
from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.errors import ContractError, DataError, did_you_mean
from emufort.network.emulator import Emulator
from emufort.skill import Yardstick
from emufort.training.scaling import network_sizes

#: Target -> present path of its file. A target keeps the name that it had when its trials were
#: trained, because trials are identified by this name.
_moved: dict[str, str] = {}


def moved(name: str, path: str) -> None:
    """Read the contract of the target `name` from the file `path` from now on."""
    _moved[name] = path


def renamed(
    names: Sequence[str], known: Mapping[str, str], contract: Contract
) -> tuple[list[str], dict[str, str]]:
    """Map targets to the names that a run uses for them.

    Parameters
    ----------
    names
        Targets of the present configuration.
    known
        Target of the run -> SHA-256 of its contract, in the order of the run.

    Returns
    -------
    names
        The targets, with the name of the run where the contracts are the same.
    places
        Name of the run -> present path of its file.
    """
    found, places = list(names), {}
    if len(known) == len(found):
        for i, (name, (old, sha256)) in enumerate(zip(names, known.items(), strict=True)):
            if name != old and target_contract(name, contract).sha256 == sha256:
                found[i], places[old] = old, name
    return found, places


def target_contract(name: str, contract: Contract) -> Contract:
    """Return the contract that a target denotes in a run of `contract`.

    Raises
    ------
    ContractError
        There is no such contract or output, or the contract has other skill variables.
    """
    if "=" in name and not is_path(name):
        found = _transformed(name, contract)
    else:
        found = Contract.load(_moved.get(name, name))
    if set(found.skill_variables) != set(contract.skill_variables):
        raise ContractError(
            f"the target '{name}' is judged by {', '.join(found.skill_variables)}, the contract "
            f"'{contract.name}' by {', '.join(contract.skill_variables)}: they cannot be compared"
        )
    if found.dimensions != contract.dimensions:
        raise ContractError(
            f"the target '{name}' has the dimensions {_labels(found)}, the contract "
            f"'{contract.name}' {_labels(contract)}: their columns cannot be compared"
        )
    return found


def _labels(contract: Contract) -> str:
    named = (f"{name} ({', '.join(contract.labels(name))})" for name in contract.dimensions)
    return "; ".join(named) or "none"


def _transformed(name: str, contract: Contract) -> Contract:
    content = contract.to_dict()
    outputs = {output["name"]: output for output in content["output"]}
    for part in name.split(","):
        output, _, transform = (word.strip() for word in part.partition("="))
        if output not in outputs:
            raise ContractError(
                f"the target '{name}' names '{output}', which is not an output of the contract "
                f"'{contract.name}'{did_you_mean(output, outputs)}"
            )
        outputs[output]["transform"] = transform
    return Contract.from_dict(content, f"the target '{name}'")


@dataclass(frozen=True)
class Targets:
    """The same rows as read by the contract of each target.

    Attributes
    ----------
    judge
        The data of the run's contract, by whose skill variables all targets are compared.
    data
        Target -> data of its contract; ``""`` denotes the run's contract if no target is named.
    """

    judge: Dataset
    data: Mapping[str, Dataset]

    @classmethod
    def of(cls, data: Dataset, names: Sequence[str]) -> Targets:
        """Open the data of a run for the given targets.

        Raises
        ------
        ContractError
            See `target_contract`.
        DataError
            The data do not satisfy a target's contract, the target uses other rows, or all its
            outputs or all skill variables of the run's contract are constant.
        """
        found = {name: data.under(target_contract(name, data.contract)) for name in names}
        for name, other in found.items():
            if not _same_rows(data, other):
                raise DataError(
                    f"the target '{name}' uses other rows of {data.source} than the contract "
                    f"'{data.contract.name}'; give both the same filter and split"
                )
        targets = cls(data, found or {"": data})
        for name in targets.data:
            targets.sizes(name)
        Yardstick.of(data)
        return targets

    @property
    def named(self) -> bool:
        """Whether targets are named; values are then errors of the skill variables, not losses."""
        return "" not in self.data

    def sizes(self, target: str) -> tuple[int, int]:
        """Return the number of features and the number of outputs of a target's networks.

        Raises
        ------
        DataError
            All outputs of the target are constant.
        """
        return network_sizes(self.data[target])

    def part(self, name: str) -> Targets:
        """Return one split of all targets."""
        parts = {target: data.part(name) for target, data in self.data.items()}
        same = self.data.get("") is self.judge
        return Targets(parts[""] if same else self.judge.part(name), parts)

    def at(self, rows: np.ndarray) -> Targets:
        """Return the given rows (positions in the file) in the given order."""
        known = self.judge.rows
        steps = (np.diff(known[part.start : part.stop + 1]) for part in blocks(len(known)))
        if all(bool((step > 0).all()) for step in steps):
            indices = np.searchsorted(known, rows)
        else:
            sorter = np.argsort(known)
            indices = sorter[np.searchsorted(known, rows, sorter=sorter)]
        taken = {target: data.take(indices) for target, data in self.data.items()}
        same = self.data.get("") is self.judge
        return Targets(taken[""] if same else self.judge.take(indices), taken)


def with_target(label: str, target: str) -> str:
    """Return a network's label with its target, if it has one (for a file only its name)."""
    name = Path(target).stem if target.endswith(".toml") else target
    return f"{label} {name}".rstrip()


def inputs_of_other_contracts(
    data: Dataset, rows: np.ndarray, weights: Mapping[str, Path]
) -> dict[str, NDArray[np.float64]]:
    """Return inputs (n, n_inputs) of networks whose contract differs from that of `data`.

    Parameters
    ----------
    rows
        Positions of the requested rows in the file.
    weights
        Identity of a network -> its weights.safetensors.
    """
    made: dict[str, NDArray[np.float64]] = {}
    found = {}
    for identity, path in weights.items():
        contract = Emulator.load(path).contract
        if contract.sha256 == data.contract.sha256:
            continue
        if contract.sha256 not in made:
            targets = Targets(data, {"": data.under(contract)}).at(rows)
            made[contract.sha256] = targets.data[""].x
        found[identity] = made[contract.sha256]
    return found


def _same_rows(a: Dataset, b: Dataset) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(a.rows[part], b.rows[part]) and np.array_equal(a.split[part], b.split[part])
        for part in blocks(len(a))
    )
