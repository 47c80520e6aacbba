"""What a network may predict instead: other contracts for the same rows of the same data.

A target is the name or file of a contract, or outputs of the run's own contract with other
transforms, such as ``"evaporation=ln"`` or ``"evaporation=ln, runoff=standardise"``. Losses of
different targets cannot be compared; the skill variables of the run's contract can, for every
target gives them (itself or by the head of its contract).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract, is_path
from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.errors import ContractError, DataError, did_you_mean
from emufort.network.emulator import Emulator
from emufort.skill import Yardstick
from emufort.training.scaling import network_sizes

#: Target -> where its file is now. Trials are told apart by the name that a target had when they
#: were trained, which stays its name in that run.
_moved: dict[str, str] = {}


def moved(name: str, path: str) -> None:
    """Read the contract of the target `name` from another file from now on."""
    _moved[name] = path


def renamed(
    names: Sequence[str], known: Mapping[str, str], contract: Contract
) -> tuple[list[str], dict[str, str]]:
    """Give targets the names that a run knows them by.

    Parameters
    ----------
    names
        Targets as they are asked for now.
    known
        Target of the run -> SHA-256 of its contract, in their order.

    Returns
    -------
    names
        The same with known names, where the contracts are the same.
    places
        Known name -> where its file is now.
    """
    found, places = list(names), {}
    if len(known) == len(found):
        for i, (name, (old, sha256)) in enumerate(zip(names, known.items(), strict=True)):
            if name != old and target_contract(name, contract).sha256 == sha256:
                found[i], places[old] = old, name
    return found, places


def target_contract(name: str, contract: Contract) -> Contract:
    """Return the contract that a target stands for, in a run of `contract`.

    Raises
    ------
    ContractError
        There is no such contract or output, or the contract is judged by other variables.
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
    return "; ".join(f"{k} ({', '.join(v)})" for k, v in contract.dimensions.items()) or "none"


def _transformed(name: str, contract: Contract) -> Contract:
    content = contract.to_dict()
    outputs = {output["name"]: output for output in content["output"]}
    for part in name.split(","):
        output, _, transform = (word.strip() for word in part.partition("="))
        if output not in outputs:
            raise ContractError(
                f"the target '{name}' names '{output}', which is no output of the contract "
                f"'{contract.name}'{did_you_mean(output, outputs)}"
            )
        outputs[output]["transform"] = transform
    return Contract.from_dict(content, f"the target '{name}'")


@dataclass(frozen=True)
class Targets:
    """The same rows, read by the contract of each target.

    Attributes
    ----------
    judge
        The data of the run's contract: all targets are compared by its skill variables.
    data
        Target -> data of its contract; ``""`` stands for the run's contract where no target is
        named.
    """

    judge: Dataset
    data: Mapping[str, Dataset]

    @classmethod
    def of(cls, data: Dataset, names: Sequence[str]) -> Targets:
        """Open the data of a run for the targets named.

        Raises
        ------
        ContractError
            See `target_contract`.
        DataError
            The data do not satisfy a target's contract, it uses other rows, or all its outputs, or
            all that the run's contract is judged by, are constant.
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
        """Whether there are targets: values are then errors of the skill variables, not losses."""
        return "" not in self.data

    def sizes(self, target: str) -> tuple[int, int]:
        """Return the numbers of features and of outputs of a target's networks.

        Raises
        ------
        DataError
            All outputs of the target are constant.
        """
        return network_sizes(self.data[target])

    def part(self, name: str) -> Targets:
        """Return one split of all."""
        parts = {target: data.part(name) for target, data in self.data.items()}
        same = self.data.get("") is self.judge
        return Targets(parts[""] if same else self.judge.part(name), parts)

    def at(self, rows: np.ndarray) -> Targets:
        """Return the rows with these numbers (positions in the file), in this order."""
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
    """Return a network's label with its target, if there is one (of a file the name only)."""
    name = Path(target).stem if target.endswith(".toml") else target
    return f"{label} {name}".rstrip()


def inputs_of_other_contracts(
    data: Dataset, rows: np.ndarray, weights: Mapping[str, Path]
) -> dict[str, NDArray[np.float64]]:
    """Return inputs of networks whose contract is another than that of `data`.

    Parameters
    ----------
    rows
        Numbers of the rows that are wanted.
    weights
        Identity -> weights.safetensors.
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
