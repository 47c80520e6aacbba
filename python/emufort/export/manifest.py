"""The manifest of a bundle: hashes of its files and the chain from data to Fortran.

Every link of the chain is one artefact. ``sha256`` is the hash of the artefact itself. ``chain`` is
the hash of this hash and the chain of the previous link::

    data -> study -> candidate -> onnx -> weights -> fortran

Thus one value, the ``chain`` of a link, identifies everything that led to it. Each file holds the
chain up to the previous link: the ONNX model holds that of its candidate, weights.bin that of the
ONNX model, and the generated module that of weights.bin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar, get_args

import numpy as np

from emufort.brief import brief
from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.export.flat import FlatEmulator, flatten
from emufort.files import json_text
from emufort.network.emulator import Emulator
from emufort.network.imported import AnyArchitecture, architecture_from_dict
from emufort.network.precision import Precision

Kind = TypeVar("Kind")

FORMAT = "emufort-bundle-2"

LINKS = ("data", "study", "candidate", "onnx", "weights", "fortran")

#: Hash of a link of unknown origin, such as the study of a network that was made by hand.
UNKNOWN = ""


def candidate_sha256(emulator: Emulator) -> str:
    """Hash everything that determines the results: contract, network, scalers and weights.

    Metadata such as the training time and the layout of a file do not count.
    """
    return network_sha256(emulator.contract, flatten(emulator))


def network_sha256(contract: Contract, flat: FlatEmulator) -> str:
    """Return the hash of a candidate from the contract and the numbers of weights.bin."""
    digest = hashlib.sha256(contract.sha256.encode())
    weights = "<f8" if flat.precision == "double" else "<f4"
    for numbers, kind in ((flat.plan, "<i4"), (flat.numbers, "<f8"), (flat.weights, weights)):
        digest.update(np.ascontiguousarray(numbers, dtype=kind).data)
    return digest.hexdigest()


def hashes(emulator: Emulator) -> dict[str, str]:
    """Return the origin that each exported form records: one hash per link up to the candidate."""
    links = HashChain.of_candidate(emulator).links
    return {
        "contract_sha256": emulator.contract.sha256,
        **{f"{link}_sha256": sha256 for link, sha256 in links.items()},
    }


@dataclass(frozen=True)
class HashChain:
    """The links that exist so far, in the order of `LINKS`.

    Attributes
    ----------
    links
        Name of a link -> hash of its artefact (`UNKNOWN` if it is not known).
    """

    links: Mapping[str, str]

    def __post_init__(self) -> None:
        if tuple(self.links) != LINKS[: len(self.links)]:
            raise EmufortError(f"the hash chain has the links {', '.join(self.links)}")

    @classmethod
    def of_candidate(cls, emulator: Emulator) -> Self:
        """Start the chain with data, study (both from the metadata) and candidate."""
        known = emulator.metadata
        return cls(
            {
                "data": str(known.get("data_sha256") or UNKNOWN),
                "study": str(known.get("study_sha256") or UNKNOWN),
                "candidate": candidate_sha256(emulator),
            }
        )

    def then(self, link: str, sha256: str) -> Self:
        """Return the chain with one more link."""
        return type(self)({**self.links, link: sha256})

    @property
    def head(self) -> str:
        """Hash of the whole chain."""
        return self._values()[-1]

    def upto(self, link: str) -> str:
        """Return the hash of the chain up to `link`."""
        return self._values()[list(self.links).index(link)]

    def _values(self) -> list[str]:
        values = [""]
        for name, sha256 in self.links.items():
            values.append(hashlib.sha256(f"{values[-1]}\n{name} {sha256}".encode()).hexdigest())
        return values[1:]

    def to_list(self) -> list[dict[str, Any]]:
        """Return plain data for JSON, one object per link."""
        return [
            {"link": name, "sha256": sha256 or None, "chain": value}
            for (name, sha256), value in zip(self.links.items(), self._values(), strict=True)
        ]

    @classmethod
    def from_list(cls, content: list[dict[str, Any]]) -> Self:
        """Inverse of `to_list`.

        Raises
        ------
        EmufortError
            The links are not those of `LINKS`, or do not follow from each other.
        """
        chain = cls({str(link["link"]): str(link["sha256"] or UNKNOWN) for link in content})
        if [link["chain"] for link in content] != chain._values():
            raise EmufortError("the links of the hash chain do not follow from each other")
        return chain


@dataclass(frozen=True)
class Manifest:
    """Content of manifest.json.

    Attributes
    ----------
    name
        Name of the emulator; the generated module is ``<name>_emulator``.
    contract, architecture
        Inputs and outputs, and the architecture of the network; the file also holds its plan.
    chain
        Hash chain from data to Fortran.
    files
        File name -> SHA-256, for every file of the bundle except the manifest.
    tolerance
        Largest difference that the self test of the golden vectors accepts.
    precision
        Precision in which all forms of the emulator compute.
    placement
        Whether the generated module holds the network, or loads weights.bin.
    skill
        Skill of the emulator and the baselines on the test split; None without test rows.
    provenance
        Versions, host, compiler, revision and time of the export.
    metadata
        Metadata of the trained network: seed, trial, metrics.
    """

    name: str
    contract: Contract
    architecture: AnyArchitecture
    chain: HashChain
    files: Mapping[str, str]
    tolerance: float
    precision: Precision
    placement: Placement
    skill: Mapping[str, Any] | None
    provenance: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def __repr__(self) -> str:
        return brief(self, self.name, self.architecture.label, f"hash {self.hash[:12]}")

    @property
    def hash(self) -> str:
        """Hash of the chain up to the weights, which identifies the emulator.

        The generated module prints this hash, because it cannot hold the hash of its source.
        """
        return self.chain.upto("weights")

    def origin(self, link: str) -> dict[str, str]:
        """Return the origin that an artefact records: hashes, and the chain up to `link`."""
        links = self.chain.links
        return {
            "contract_sha256": self.contract.sha256,
            **{f"{name}_sha256": links[name] for name in ("data", "study", "candidate")},
            "chain": self.chain.upto(link),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; the last entry is a hash of all others."""
        content = {
            "format": FORMAT,
            "name": self.name,
            "hash": self.hash,
            "chain": self.chain.to_list(),
            "files": dict(self.files),
            "tolerance": self.tolerance,
            "precision": self.precision,
            "weights": self.placement,
            "architecture": self.architecture.to_dict(),
            "plan": self.architecture.plan.to_dict(),
            "contract_sha256": self.contract.sha256,
            "contract": self.contract.to_dict(),
            "skill": self.skill,
            "provenance": dict(self.provenance),
            "metadata": dict(self.metadata),
        }
        sha256 = hashlib.sha256(json_text(content).encode()).hexdigest()
        return {**content, "manifest_sha256": sha256}

    @classmethod
    def from_bytes(cls, raw: bytes, source: str) -> Self:
        """Read the bytes of a manifest.json; `source` names the file in errors.

        The file is untrusted. It is accepted only if writing its content again gives the same
        bytes, so that no entry can be added, removed, repeated or changed unnoticed.

        Raises
        ------
        EmufortError
            The file is not a manifest, was changed, or contradicts itself.
        """
        try:
            text = raw.decode()
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EmufortError(
                f"{source} is not valid JSON: {_reason(error)}; export again"
            ) from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise EmufortError(
                f"{source} is not a manifest of the format {FORMAT}; export again with this "
                "version of emufort"
            )
        try:
            manifest = cls._read(content, source)
            wanted = manifest.to_dict()
            changed = [k for k in wanted if json_text(content[k]) != json_text(wanted[k])]
        except KeyError as error:
            raise EmufortError(f"{source} lacks the entry {error}; export again") from error
        except (
            EmufortError, TypeError, ValueError, AttributeError, RecursionError, OverflowError
        ) as error:  # fmt: skip
            raise EmufortError(f"{source} is damaged: {_reason(error)}; export again") from error
        added = [key for key in content if key not in wanted]
        if changed or added:
            raise EmufortError(
                f"{source} was changed: its entry {(changed or added)[0]!r} does not belong to "
                "the rest; export again"
            )
        if text != json_text(wanted):
            raise EmufortError(f"{source} was changed after emufort wrote it; export again")
        return manifest

    @classmethod
    def _read(cls, content: dict[str, Any], source: str) -> Self:
        chain = HashChain.from_list(_of_type(content, "chain", list))
        if tuple(chain.links) != LINKS:
            raise EmufortError(f"its hash chain lacks {LINKS[len(chain.links)]}")
        return cls(
            _of_type(content, "name", str),
            Contract.from_dict(_of_type(content, "contract", dict), source),
            architecture_from_dict(_of_type(content, "architecture", dict)),
            chain,
            _of_type(content, "files", dict),
            _of_type(content, "tolerance", float),
            _one_of(content, "precision", get_args(Precision)),
            _one_of(content, "weights", get_args(Placement)),
            None if content["skill"] is None else _of_type(content, "skill", dict),
            _of_type(content, "provenance", dict),
            _of_type(content, "metadata", dict),
        )


def _of_type(content: dict[str, Any], key: str, kind: type[Kind]) -> Kind:
    value = content[key]
    if not isinstance(value, kind):
        raise TypeError(f"its entry '{key}' is of the wrong type")
    return value


def _one_of(content: dict[str, Any], key: str, known: tuple[Kind, ...]) -> Kind:
    for value in known:
        if content[key] == value:
            return value
    raise ValueError(f"its entry '{key}' is none of {', '.join(map(str, known))}")


def _reason(error: Exception) -> str:
    """Return the message of an error as one short line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split())[:200]
