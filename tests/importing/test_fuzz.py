"""Damaged ONNX models, and the script that imports many of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import fuzz_import
from benchmarks.mutants import mutant
from emufort.api import import_network
from emufort.importing.refusal import ImportRefusedError
from tests.importing.models import model_of, node, two_headed

RNG = np.random.default_rng(7)
SEEDS = range(1, 51)


def levels() -> onnx.ModelProto:
    """A convolution, a pooling, a normalisation and a softmax of a profile."""
    nodes = [
        node("Conv", "x k b", "c", pads=[1, 1]),
        node("AveragePool", "c", "p", kernel_shape=[2], strides=[2]),
        node("Transpose", "p", "t", perm=[0, 2, 1]),
        node("LayerNormalization", "t s o", "l", axis=-1, epsilon=1e-5),
        node("Softmax", "l", "a", axis=1),
        node("ReduceSum", "a axes", "r", keepdims=0),
        node("Split", "r", "y w", axis=1, num_outputs=2),
    ]
    constants = {
        "k": RNG.normal(size=(4, 2, 3)),
        "b": RNG.normal(size=4),
        "s": RNG.normal(size=4),
        "o": RNG.normal(size=4),
        "axes": np.array([2]),
    }
    return model_of(nodes, {"x": ["n", 2, 8]}, {"y": ["n", 2], "w": ["n", 2]}, constants)


@pytest.fixture(scope="module")
def models() -> list[bytes]:
    return [model.SerializeToString() for model in (two_headed(RNG), levels())]


@pytest.mark.filterwarnings("ignore")
def test_damaged_models_are_imported_with_the_right_numbers_or_refused(
    models: list[bytes], tmp_path: Path
) -> None:
    fuzz_import.run(tmp_path, models, SEEDS, 1024)
    results = fuzz_import.read_results(tmp_path)
    assert sorted(results) == list(SEEDS)
    kinds = [line["outcome"].partition(":")[0] for line in results.values()]
    assert set(kinds) == set(fuzz_import.GOOD), results
    assert kinds.count("imported") > 5
    assert mutant(3, models) == mutant(3, models) != mutant(4, models)
    said = fuzz_import.summary(list(results.values()))
    assert f"{len(SEEDS)} mutants: {kinds.count('refused')} refused" in said
    assert "not valid, says the checker of ONNX" in said


def test_a_run_continues_and_a_child_that_dies_is_a_finding(
    models: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(content: bytes, seed: int) -> str:
        if seed == 2:
            os._exit(7)
        return f"refused: {seed}"

    monkeypatch.setattr(fuzz_import, "outcome", outcome)
    file = tmp_path / "results.jsonl"
    file.write_text('{"mutant": 1, "outcome": "imported"}\n{"mutant": 3, "outc')
    fuzz_import.run(tmp_path, models, range(1, 5), 512, "fork")
    found = {seed: line["outcome"] for seed, line in fuzz_import.read_results(tmp_path).items()}
    assert found == {1: "imported", 2: "died: exit code 7", 3: "refused: 3", 4: "refused: 4"}
    monkeypatch.setattr(fuzz_import, "outcome", lambda content, seed: "imported")
    fuzz_import.run(tmp_path, models, range(1, 5), 512, "fork")
    found = {seed: line["outcome"] for seed, line in fuzz_import.read_results(tmp_path).items()}
    assert found == {1: "imported", 2: "imported", 3: "refused: 3", 4: "refused: 4"}


def test_what_goes_wrong_is_told_apart(
    models: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def importing_another_model(path: Path, out: Path, golden: int):
        return import_network(two_headed(np.random.default_rng(1)), out, golden=golden)

    def too_large(*arguments, **more):
        try:
            bytearray(1 << 60)
        except MemoryError as error:
            raise ImportRefusedError("it does not fit") from error

    def lines(*arguments, **more):
        raise ImportRefusedError("one\nand another")

    assert fuzz_import.outcome(models[0], 1) == "imported"
    for instead, wanted in (
        (importing_another_model, "wrong"),
        (too_large, "memory"),
        (lines, "several lines"),
        (lambda *arguments, **more: {}["x"], "escaped"),
    ):
        monkeypatch.setattr(fuzz_import, "import_network", instead)
        assert fuzz_import.outcome(models[0], 1).partition(":")[0] == wanted


def test_outputs_agree_with_either_form_of_the_original() -> None:
    single = np.array([[1.0, np.nan, np.inf], [2.0, 0.0, 1.0]])
    double = single * (1.0 + 1e-4)
    assert fuzz_import.agree(single, single, None)
    assert fuzz_import.agree(single * (1.0 + 1e-5), single, None)
    assert not fuzz_import.agree(single * (1.0 + 1e-4), single, None)
    # rounding of the original explains more
    assert fuzz_import.agree(single * (1.0 - 2e-4), single, double)
    assert not fuzz_import.agree(np.where(np.isnan(single), 0.0, single), single, double)
    assert not fuzz_import.agree(np.where(np.isinf(single), 1.0, single), single, double)
