"""Check that the links of the hash chain are the hashes of their artefacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emufort.errors import EmufortError
from emufort.export.bundle import Bundle
from emufort.export.contents import GOLDEN, MANIFEST, ONNX
from emufort.export.manifest import UNKNOWN, candidate_sha256
from emufort.export.onnx import check_metadata
from emufort.network.emulator import Emulator
from emufort.search.identity import study_sha256
from emufort.verification.result import Comparison


@dataclass(frozen=True)
class Origin:
    """The artefacts of a run from which a bundle was made.

    Attributes
    ----------
    data_sha256
        Hash of the data, see `emufort.search.identity.data_sha256`.
    search
        Folder of the search.
    weights
        Path of the exported network, ``weights.safetensors``.
    """

    data_sha256: str
    search: Path
    weights: Path


def problems(bundle: Bundle) -> list[str]:
    """Return one line for each contradiction between files of a bundle and its manifest.

    Parameters
    ----------
    bundle
        Bundle that was opened without a check.
    """
    found = bundle.problems()
    if found:
        return found
    for check in (_onnx, _golden):
        try:
            found += check(bundle)
        except EmufortError as error:
            found.append(str(error))
    return found


def _onnx(bundle: Bundle) -> Iterator[str]:
    import onnx
    from google.protobuf.message import DecodeError

    path = bundle.onnx
    try:
        model = onnx.load_model_from_string(bundle.read(ONNX))
    except DecodeError:
        yield f"{path} is not an ONNX model; export again"
        return
    check_metadata({p.key: p.value for p in model.metadata_props}, bundle.manifest, str(path))


def _golden(bundle: Bundle) -> Iterator[str]:
    golden, weights = bundle.golden, bundle.weights_file
    place = bundle.path / GOLDEN
    if golden.tolerance != bundle.manifest.tolerance:
        yield f"{place} and {MANIFEST} differ in the tolerance; export again"
    same = np.array_equal(golden.x, weights.golden_x) and np.array_equal(
        golden.y, weights.golden_y, equal_nan=True
    )
    if not same:
        yield f"{place} and {bundle.weights} hold different golden vectors; export again"
    # A standard deviation may be rounded differently on another machine.
    if not np.allclose(weights.absolute_tolerance, golden.tolerance * golden.spread, 1e-9, 0.0):
        yield f"{bundle.weights} allows other errors than {place}; export again"


def links(bundle: Bundle, origin: Origin) -> list[Comparison]:
    """Recompute the first links of the chain from the run; return one comparison per link.

    Parameters
    ----------
    bundle
        The bundle.
    origin
        Artefacts of the run that made the bundle.
    """
    wanted = bundle.manifest.chain.links
    found: dict[str, tuple[str, Callable[[], str]]] = {
        "data": ("data set", lambda: origin.data_sha256),
        "study": (str(origin.search), lambda: study_sha256(origin.search)),
        "candidate": (str(origin.weights), lambda: candidate_sha256(Emulator.load(origin.weights))),
    }
    comparisons = []
    for link, (place, recompute) in found.items():
        problem = skipped = None
        if wanted[link] == UNKNOWN:
            skipped = f"the bundle does not record its {link}"
        else:
            try:
                sha256 = recompute()
            except EmufortError as error:
                problem = str(error)
            else:
                if sha256 != wanted[link]:
                    problem = (
                        f"the bundle comes from the {link} {wanted[link][:16]}..., this run has "
                        f"{sha256[:16]}...; export again"
                    )
        comparisons.append(Comparison(f"link '{link}'", place, problem=problem, skipped=skipped))
    return comparisons
