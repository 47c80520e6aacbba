"""A bundle and the run that it came from: each link of the chain of hashes is compared."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.files import json_text
from emufort.network.emulator import Emulator, dense_parameters
from emufort.search.identity import study_sha256
from emufort.verification import Origin, verify
from tests.export.emulators import mixed, random_emulator
from tests.verification.test_verification import NO_COMPILER, bundle_of, by_name, failures


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return random_emulator(mixed(), (8, 8), "silu")


@pytest.fixture
def origin(emulator: Emulator, tmp_path: Path) -> Origin:
    search = tmp_path / "search"
    search.mkdir()
    (search / "subset.json").write_text(json_text({"seed": 1, "rows": [1, 2]}))
    (search / "trials.csv").write_text("number,value,seconds\n0,0.5,1.0\n1,0.25,2.0\n")
    return Origin("d" * 64, search, tmp_path / "weights.safetensors")


@pytest.mark.parametrize("link", ["data", "study", "candidate", None])
def test_a_link_of_the_run_that_does_not_agree_is_named(
    emulator: Emulator, origin: Origin, tmp_path: Path, link: str | None
) -> None:
    study = study_sha256(origin.search)
    known = replace(emulator, metadata={"data_sha256": "d" * 64, "study_sha256": study})
    bundle = bundle_of(known, tmp_path)
    known.save(origin.weights)
    if link == "data":
        origin = replace(origin, data_sha256="e" * 64)
    elif link == "study":
        trials = origin.search / "trials.csv"
        trials.write_text(trials.read_text().replace("0.25", "0.26"))
    elif link == "candidate":
        biases = tuple(b + np.float32(1e-6) for b in emulator.biases)
        replace(known, parameters=dense_parameters(known.weights, biases)).save(origin.weights)
    result = verify(bundle, rows=20, compiler=NO_COMPILER, origin=origin)
    if link is None:
        assert result.status == "not verified"
        assert all(by_name(result)[f"link '{one}'"] for one in ("data", "study", "candidate"))
    else:
        assert failures(result) == {f"link '{link}'"}
        assert link in result.reason
        assert "model.onnx" not in by_name(result)


def test_a_study_that_is_unknown_is_said_to_be(
    emulator: Emulator, origin: Origin, tmp_path: Path
) -> None:
    by_hand = replace(emulator, metadata={})
    bundle = bundle_of(by_hand, tmp_path)
    by_hand.save(origin.weights)
    result = verify(bundle, rows=20, compiler=NO_COMPILER, origin=origin)
    found = next(c for c in result.comparisons if c.name == "link 'study'")
    assert "does not record its study" in str(found.skipped)
    assert not failures(result)


def test_a_study_has_the_same_hash_whatever_it_took(origin: Origin) -> None:
    """As docs/bundle.md defines it, computed here by other means."""
    lines = [
        '[{"rows":[1,2],"seed":1}]',
        '["number","value"]',
        '["0","0.5"]',
        '["1","0.25"]',
    ]
    wanted = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    assert study_sha256(origin.search) == wanted
    trials = origin.search / "trials.csv"
    trials.write_text(trials.read_text().replace(",2.0", ",3.5"))
    assert study_sha256(origin.search) == wanted
    trials.write_text(trials.read_text().replace("0.5", "0.6"))
    assert study_sha256(origin.search) != wanted
