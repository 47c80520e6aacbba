"""Import damaged ONNX models: each must be imported with the right numbers or refused in one line.

    python -m benchmarks.fuzz_import --folder build/fuzz [--mutants 20000] [--seed 1]

Mutants are made of the small published networks and of the node tests of ONNX that can be imported
(`benchmarks.mutants`). The folder keeps these models and `results.jsonl` with a line for each
mutant; the same command continues after an interruption.

The mutants are imported one after the other in a child process. The bundle of an imported mutant is
compared with ONNX Runtime and with the reference implementation of ONNX, on other samples than the
import took. The script fails if another error than a refusal escapes, if the child dies, if an
import needs more memory than `--megabytes` or more than a minute, or if an outcome is wrong.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks import onnx_node_tests
from benchmarks.mutants import mutant
from benchmarks.resumable_table import whole_lines
from emufort.api import import_network
from emufort.errors import EmufortError
from emufort.export.bundle import Bundle
from emufort.importing.graph import read_graph
from emufort.importing.reference import Reference
from emufort.importing.sources.source import Source

#: Outcomes that are no finding.
GOOD = ("imported", "refused")
#: Longest time for a mutant [s]; then the child ends with a traceback.
_SECONDS = 60
#: Where a child that ends writes its traceback, whatever replaced `sys.stderr`.
_STDERR = 2
#: Mutants of a child, so that what one leaves in memory does not grow.
_PIECE = 2000
#: Samples that are compared.
_SAMPLES = 8
#: Largest difference in units of the largest output, and in units of the rounding error of ONNX
#: Runtime, which is added.
_TOLERANCE, _MOST_ROUNDING = 3e-5, 8.0
_RESULTS, _MODELS = "results.jsonl", "models"
#: Start of the message of a refusal -> what the table of the refusals calls it.
_REASONS = {
    r".* is not an ONNX model": "not a file of ONNX",
    r"the model is not valid ONNX": "not valid, says the checker of ONNX",
    r"ONNX Runtime does not load the model": "ONNX Runtime does not load it",
    r"the original network fails": "ONNX Runtime does not run it",
    r"the operation \w* ?(of the node '.*' )?cannot be imported": "an operation",
    r"the constant ": "a constant that cannot be read",
    r"the (input|output) .*of the model|the model has no input": "an input or output",
    r"the model has the operators of opset": "the version of the operators",
    r"the network (has|needs)|.* the Fortran runtime takes": "a size or weight beyond the limits",
    r"the original has|the outputs? .*of the original": "outputs that are not finite or columns",
    r"the imported network does not reproduce": "differs from the original",
}


def outcome(content: bytes, seed: int) -> str:
    """Import a model; return ``imported``, ``refused: why``, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.onnx"
        path.write_bytes(content)
        try:
            bundle = import_network(path, Path(folder) / "bundle", golden=2)
        except EmufortError as error:
            if _is_of_memory(error):
                return f"memory: {error}"
            return f"refused: {error}" if "\n" not in str(error) else f"several lines: {error}"
        except Exception as error:
            kind = "memory" if _is_of_memory(error) else "escaped"
            return f"{kind}: {traceback.format_exc()}"
        return _compared(bundle, content, seed)


def _is_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it comes from, says that an allocation failed."""
    while error is not None:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _compared(bundle: Bundle, content: bytes, seed: int) -> str:
    """Compare an imported network with its original on samples; return the outcome."""
    model = onnx.load_model_from_string(content)
    reference = Reference(Source(model, "mutant"), read_graph(model))
    emulator = bundle.emulator()
    shape = (_SAMPLES, len(emulator.contract.input_columns))
    x = (
        np.random.default_rng(seed)
        .normal(scale=1.5, size=shape)
        .astype(np.float32)
        .astype(np.float64)
    )
    with np.errstate(all="ignore"):
        found = emulator.predict(x)
        wanted = reference.outputs(x, one_by_one=True)
    double = reference.outputs_in_double(x)
    return "imported" if agree(found, wanted, double) else f"wrong: {found} is not {wanted}"


def agree(found: NDArray[Any], wanted: NDArray[Any], double: NDArray[Any] | None) -> bool:
    """Return whether outputs (n, n_outputs) agree with those of the original.

    Parameters
    ----------
    found
        Outputs of the imported network.
    wanted, double
        Outputs of the original by ONNX Runtime, and by the reference implementation of ONNX in
        double precision; None: it lacks an operation. An output must agree with either.
    """
    if double is None or double.shape != wanted.shape:
        double = wanted
    with np.errstate(all="ignore"):
        size = np.abs(np.where(np.isfinite(double), double, 0.0)).max(axis=0, initial=0.0)
        rounding = np.abs(wanted - double)
        rounding = np.where(np.isnan(rounding), 0.0, rounding).max(axis=0, initial=0.0)
        allowed = _TOLERANCE * size + _MOST_ROUNDING * rounding
        is_close = np.zeros(wanted.shape, bool)
        for original in (wanted, double):
            is_same = (found == original) | (np.isnan(found) & np.isnan(original))
            is_close |= is_same | (np.abs(found - original) <= allowed)
    return bool(np.all(is_close))


# ------------------------------------------------------------------------- models


def models_of(folder: Path) -> list[bytes]:
    """Return the models that are damaged; make them first if the folder does not have them."""
    target = folder / _MODELS
    if not target.exists():
        # torch stays out of this process, whose memory is limited
        maker = get_context("spawn").Process(target=_make_models, args=(target,))
        maker.start()
        maker.join()
    return [path.read_bytes() for path in sorted(target.iterdir())]


def _make_models(target: Path) -> None:
    from benchmarks.published_networks import NETWORKS, exported

    warnings.simplefilter("ignore")
    building = target.with_name(f"{_MODELS}.part")
    building.mkdir(parents=True, exist_ok=True)
    for name, network in NETWORKS.items():
        onnx.save(exported(network, "small").model, building / f"network_{name}.onnx")
    for test in onnx_node_tests.tests_of_package():
        found = onnx_node_tests.outcome_of(test)
        if found is not None and found.verdict == "accepted":
            model, _, _ = next(onnx_node_tests.prepared(test))
            onnx.save(model, building / f"node_{test.name}.onnx")
    building.rename(target)


# ---------------------------------------------------------------------------- run


def run(
    folder: Path,
    models: Sequence[bytes],
    seeds: Sequence[int],
    megabytes: int,
    start: Literal["fork", "spawn"] = "spawn",
) -> None:
    """Import the mutants of the seeds that have no line in the results of the folder yet.

    Findings of an earlier run are imported again, because their cause may be repaired. Children are
    processes of their own (`start`), because this one may have threads, which a fork would break.
    """
    context: Any = get_context(start)
    good = [line for line in read_results(folder).values() if _kind(line) in GOOD]
    text = "".join(f"{json.dumps(line)}\n" for line in good)
    (folder / _RESULTS).write_text(text)
    while left := _without(seeds, read_results(folder)):
        current = context.Value("q", left[0])
        child = context.Process(target=_import, args=(folder, models, left, megabytes, current))
        child.start()
        child.join()
        if child.exitcode and int(current.value) not in read_results(folder):
            _write(folder, int(current.value), f"died: exit code {child.exitcode}", 0.0, 0.0)


def _without(seeds: Sequence[int], results: Mapping[int, Any]) -> list[int]:
    return [seed for seed in seeds if seed not in results]


def read_results(folder: Path) -> dict[int, dict[str, Any]]:
    """Return seed -> line of the results."""
    return {line["mutant"]: line for line in map(json.loads, whole_lines(folder / _RESULTS))}


def _write(folder: Path, seed: int, what: str, seconds: float, megabytes: float) -> None:
    line = {"mutant": seed, "outcome": what, "seconds": seconds, "megabytes": megabytes}
    with (folder / _RESULTS).open("a") as file:
        file.write(json.dumps(line) + "\n")


def _import(
    folder: Path, models: Sequence[bytes], seeds: Sequence[int], megabytes: int, current: Any
) -> None:
    """Import mutants in this process, which may take so much more memory than it has."""
    warnings.simplefilter("ignore")
    faulthandler.enable(_STDERR)
    limit = (_memory("VmSize") + megabytes) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for seed in seeds[:_PIECE]:
        current.value = seed
        faulthandler.dump_traceback_later(_SECONDS, exit=True, file=_STDERR)
        content = mutant(seed, models)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        before, start = _memory("VmRSS"), time.process_time()
        found = outcome(content, seed)
        seconds = time.process_time() - start
        _write(folder, seed, found, round(seconds, 4), max(0, _memory("VmHWM") - before))
        faulthandler.cancel_dump_traceback_later()


def _memory(name: str) -> int:
    """Return a figure of the memory of this process [MB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) // 1024
    raise ValueError(name)


# ------------------------------------------------------------------------ summary


def _kind(line: Mapping[str, Any]) -> str:
    """Return the outcome of a line of the results without its reason."""
    return str(line["outcome"]).partition(":")[0]


def reason_of(refusal: str) -> str:
    """Return the kind of a refusal."""
    message = refusal.removeprefix("refused: ")
    return next((name for start, name in _REASONS.items() if re.match(start, message)), "other")


def summary(lines: Sequence[dict[str, Any]]) -> str:
    """Return the counts of the outcomes, of the reasons of refusals, and the largest figures."""
    counts = Counter(_kind(line) for line in lines)
    reasons = Counter(
        reason_of(line["outcome"]) for line in lines if line["outcome"].startswith("refused")
    )
    seconds = [line["seconds"] for line in lines]
    slowest, largest = (max(line[k] for line in lines) for k in ("seconds", "megabytes"))
    return "\n".join(
        [
            f"{len(lines)} mutants: {', '.join(f'{n} {k}' for k, n in counts.most_common())}",
            "refused:",
            *(f"  {n} {reason}" for reason, n in reasons.most_common()),
            f"{np.mean(seconds):.3f} s of processor time for a mutant, at most {slowest:.1f} s; "
            f"at most {largest} MB of memory",
        ]
    )


def main() -> None:
    """Read the command line, import the mutants, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="models and results")
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1, help="that of the first mutant")
    parser.add_argument("--megabytes", type=int, default=1024, help="largest memory of an import")
    parser.add_argument("--replay", type=int, nargs="+", help="only show the outcomes of seeds")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    models = models_of(folder)
    if arguments.replay:
        for seed in arguments.replay:
            content = mutant(seed, models)
            (folder / f"mutant_{seed}.onnx").write_bytes(content)
            print(f"mutant {seed}: {outcome(content, seed)}")
        return
    seeds = range(arguments.seed, arguments.seed + arguments.mutants)
    run(folder, models, seeds, arguments.megabytes)
    results = read_results(folder)
    lines = [results[seed] for seed in seeds]
    findings = [line for line in lines if _kind(line) not in GOOD]
    for line in findings:
        print(f"mutant {line['mutant']}: {line['outcome']}")
    print(summary(lines))
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
