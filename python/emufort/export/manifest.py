"""What a bundle holds and where it comes from: file hashes and the chain from data to Fortran.

Every link of the chain is one artefact. ``sha256`` is the hash of the artefact itself, ``chain``
the hash of the link before it together with this one::

    data -> study -> candidate -> onnx -> weights -> fortran

So one value, the ``chain`` of a link, stands for everything that led to it. Each file carries the
chain up to the link before it: the ONNX model that of its candidate, weights.bin that of the ONNX
model, the generated module that of weights.bin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from emufort.brief import brief
from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.export.flat import FlatEmulator, flatten
from emufort.files import json_text
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator

Kind = TypeVar("Kind")

FORMAT = "emufort-bundle-2"

LINKS = ("data", "study", "candidate", "onnx", "weights", "fortran")

#: What stands for a link whose origin is unknown, such as the study of a network made by hand.
UNKNOWN = ""


def candidate_sha256(emulator: Emulator) -> str:
    """Hash all that decides what an emulator computes: contract, network, scalers, weights.

    Metadata such as the training time does not count, nor does the layout of a file.
    """
    return network_sha256(emulator.contract, flatten(emulator))


def network_sha256(contract: Contract, flat: FlatEmulator) -> str:
    """Return the hash of a candidate from what weights.bin holds: its contract and its numbers."""
    digest = hashlib.sha256(contract.sha256.encode())
    for numbers, kind in ((flat.plan, "<i4"), (flat.numbers, "<f8"), (flat.weights, "<f4")):
        digest.update(np.ascontiguousarray(numbers, dtype=kind).data)
    return digest.hexdigest()


def hashes(emulator: Emulator) -> dict[str, str]:
    """Return what each exported form says of its origin: one hash per link up to the candidate."""
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
        Name of a link -> hash of its artefact (`UNKNOWN` where it is not known).
    """

    links: Mapping[str, str]

    def __post_init__(self) -> None:
        if tuple(self.links) != LINKS[: len(self.links)]:
            raise EmufortError(f"the hash chain has the links {', '.join(self.links)}")

    @classmethod
    def of_candidate(cls, emulator: Emulator) -> Self:
        """Start the chain: data, study and candidate, the first two from the metadata."""
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
        """The value that stands for the whole chain."""
        return self._values()[-1]

    def upto(self, link: str) -> str:
        """Return the value that stands for the chain up to `link`."""
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
        What goes in and out, and the shape of the network; the file holds its plan as well.
    chain
        From data to Fortran.
    files
        File name -> SHA-256, for every file of the bundle but the manifest.
    tolerance
        Largest difference that the self test of the golden vectors accepts.
    skill
        On the test split, of the emulator and the baselines; None without test rows.
    provenance
        Versions, host, compiler, revision and time of the export.
    metadata
        What the trained network brought along: seed, trial, metrics.
    """

    name: str
    contract: Contract
    architecture: Architecture
    chain: HashChain
    files: Mapping[str, str]
    tolerance: float
    skill: Mapping[str, Any] | None
    provenance: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def __repr__(self) -> str:
        return brief(self, self.name, self.architecture.label, f"hash {self.hash[:12]}")

    @property
    def hash(self) -> str:
        """Name of the emulator among all others: the chain up to the weights.

        The generated module, which cannot hold its own hash, prints this one.
        """
        return self.chain.upto("weights")

    def origin(self, link: str) -> dict[str, str]:
        """Return what an artefact says of its origin: hashes, and the chain up to `link`."""
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

        The file is untrusted. It counts as a manifest only if it is, byte for byte, what `to_dict`
        gives for what was read: so no entry can be added, removed, repeated or changed unnoticed.

        Raises
        ------
        EmufortError
            This is no manifest, or one that was changed, or one that contradicts itself.
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
                f"{source} was changed: its entry {(changed or added)[0]!r} is not what belongs to "
                "the rest; export again"
            )
        if text != json_text(wanted):
            raise EmufortError(f"{source} was changed: it is not as emufort wrote it; export again")
        return manifest

    @classmethod
    def _read(cls, content: dict[str, Any], source: str) -> Self:
        chain = HashChain.from_list(_of_type(content, "chain", list))
        if tuple(chain.links) != LINKS:
            raise EmufortError(f"its hash chain lacks {LINKS[len(chain.links)]}")
        return cls(
            _of_type(content, "name", str),
            Contract.from_dict(_of_type(content, "contract", dict), source),
            Architecture.from_dict(_of_type(content, "architecture", dict)),
            chain,
            _of_type(content, "files", dict),
            _of_type(content, "tolerance", float),
            None if content["skill"] is None else _of_type(content, "skill", dict),
            _of_type(content, "provenance", dict),
            _of_type(content, "metadata", dict),
        )


def _of_type(content: dict[str, Any], key: str, kind: type[Kind]) -> Kind:
    value = content[key]
    if not isinstance(value, kind):
        raise TypeError(f"its entry '{key}' is of the wrong type")
    return value


def _reason(error: Exception) -> str:
    """Return the message of an error as one short line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split())[:200]
