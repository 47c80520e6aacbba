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
from typing import Any, Self

import numpy as np

from emufort.brief import brief
from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.network import Architecture, Emulator

FORMAT = "emufort-bundle-1"

LINKS = ("data", "study", "candidate", "onnx", "weights", "fortran")

#: What stands for a link whose origin is unknown, such as the study of a network made by hand.
UNKNOWN = ""


def candidate_sha256(emulator: Emulator) -> str:
    """Hash all that decides what an emulator computes: contract, network, scalers, weights.

    Metadata such as the training time does not count, nor does the layout of a file.
    """
    digest = hashlib.sha256()
    description = {
        "contract": emulator.contract.sha256,
        "architecture": emulator.architecture.to_dict(),
        "input_scaler": emulator.input_scaler.to_dict(),
        "output_scaler": emulator.output_scaler.to_dict(),
    }
    digest.update(json.dumps(description, sort_keys=True, separators=(",", ":")).encode())
    for w, b in zip(emulator.weights, emulator.biases, strict=True):
        digest.update(np.ascontiguousarray(w, dtype="<f4").tobytes())
        digest.update(np.ascontiguousarray(b, dtype="<f4").tobytes())
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
            The links do not follow from each other.
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
        What goes in and out, and the shape of the network.
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "format": FORMAT,
            "name": self.name,
            "hash": self.hash,
            "chain": self.chain.to_list(),
            "files": dict(self.files),
            "tolerance": self.tolerance,
            "architecture": self.architecture.to_dict(),
            "contract_sha256": self.contract.sha256,
            "contract": self.contract.to_dict(),
            "skill": self.skill,
            "provenance": dict(self.provenance),
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_dict(cls, content: Any, source: str) -> Self:
        """Inverse of `to_dict`; `source` names the file in errors.

        Raises
        ------
        EmufortError
            `content` is no manifest, or one that contradicts itself.
        """
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise EmufortError(f"{source} is not a manifest of the format {FORMAT}")
        try:
            manifest = cls(
                str(content["name"]),
                Contract.from_dict(content["contract"], source),
                Architecture.from_dict(content["architecture"]),
                HashChain.from_list(content["chain"]),
                {str(name): str(sha256) for name, sha256 in content["files"].items()},
                float(content["tolerance"]),
                content["skill"],
                dict(content["provenance"]),
                dict(content["metadata"]),
            )
        except KeyError as error:
            raise EmufortError(f"{source} lacks the entry {error}; export again") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise EmufortError(f"{source} is damaged: {error}; export again") from error
        except EmufortError as error:
            raise EmufortError(f"{source} is damaged: {error}; export again") from error
        if manifest.contract.sha256 != content["contract_sha256"]:
            raise EmufortError(f"{source} is damaged: its contract was changed; export again")
        return manifest
