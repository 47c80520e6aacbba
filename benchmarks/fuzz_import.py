"""Import damaged ONNX models: each must be imported with the right numbers or refused in one line.

    python -m benchmarks.fuzz_import [--mutants 20000] [--seed 1] [--workers 2]

Mutants are made of the small published networks: bytes of the file are changed, or a node, an
attribute, a shape or the values of a constant. Each worker may use 4 GB of memory and a minute per
mutant. An imported mutant was compared with ONNX Runtime by the import itself. The script fails if
another error than a refusal escapes, if a worker dies, or if the time or the memory is exceeded.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import FrameType

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.published_networks import NETWORKS, exported
from emufort.api import import_network
from emufort.errors import EmufortError

#: Largest memory of a worker [bytes], and time for a mutant [s].
_MEMORY, _SECONDS = 4 << 30, 60
_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, 1e38, -1e-38)
_SIZES = (-1, 0, 1, 2, 7, 1 << 20, 1 << 40, -(1 << 63))


class _TooLongError(Exception):
    """The import of a mutant took longer than a minute."""


@cache
def _models() -> tuple[bytes, ...]:
    return tuple(
        exported(network, "small").model.SerializeToString() for network in NETWORKS.values()
    )


def mutant(seed: int, models: tuple[bytes, ...]) -> bytes:
    """Return a damaged model, as the content of a file."""
    rng = random.Random(seed)
    content = bytearray(rng.choice(models))
    if rng.random() < 0.3:
        for _ in range(rng.choice((1, 2, 8))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.2:
            del content[rng.randrange(len(content)) :]
        return bytes(content)
    model = onnx.load_model_from_string(bytes(content))
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice((_change_node, _change_attribute, _change_shape, _change_values))(rng, model)
    return model.SerializeToString()


def _change_node(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    node = rng.choice(nodes)
    what = rng.randrange(4)
    if what == 0:
        node.op_type = rng.choice(nodes).op_type
    elif what == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(rng.choice(nodes).output)
    elif what == 2 and node.input:
        del node.input[rng.randrange(len(node.input))]
    else:
        nodes.remove(node)


def _change_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    attributes = [a for node in model.graph.node for a in node.attribute]
    if not attributes:
        return
    attribute = rng.choice(attributes)
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_SIZES)
    elif attribute.HasField("f"):
        attribute.f = rng.choice(_NUMBERS)
    else:
        attribute.i = rng.choice(_SIZES)


def _change_shape(rng: random.Random, model: onnx.ModelProto) -> None:
    ports = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    dimensions = rng.choice(ports).type.tensor_type.shape.dim
    if rng.random() < 0.5 and model.graph.initializer:
        dims = rng.choice(model.graph.initializer).dims
        if dims:
            dims[rng.randrange(len(dims))] = rng.choice(_SIZES)
    elif dimensions:
        rng.choice(dimensions).dim_value = rng.choice(_SIZES)


def _change_values(rng: random.Random, model: onnx.ModelProto) -> None:
    constants = model.graph.initializer
    if not constants:
        return
    constant = rng.choice(constants)
    try:
        values = numpy_helper.to_array(constant).copy()
    except (ValueError, TypeError):  # an earlier change damaged it
        return
    if not values.size:
        return
    is_real = values.dtype.kind == "f"
    new = rng.choice(_NUMBERS) if is_real else rng.choice(_SIZES) % 128 - 64
    values.flat[rng.randrange(values.size)] = new
    constant.CopyFrom(numpy_helper.from_array(values, constant.name))


def outcome(content: bytes) -> str:
    """Import a model; return ``imported``, ``refused``, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.onnx"
        path.write_bytes(content)
        try:
            import_network(path, Path(folder) / "bundle", golden=2)
        except EmufortError as error:
            return "refused" if "\n" not in str(error) else f"several lines: {error}"
        except Exception:
            return f"escaped: {traceback.format_exc()}"
    return "imported"


def _prepare() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    warnings.simplefilter("ignore")


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


def _try(seed: int) -> tuple[int, str]:
    signal.alarm(_SECONDS)
    try:
        return seed, outcome(mutant(seed, _models()))
    finally:
        signal.alarm(0)


def main() -> None:
    """Read the command line, import the mutants, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    _models()
    counts: Counter[str] = Counter()
    seeds = range(arguments.seed, arguments.seed + arguments.mutants)
    with ProcessPoolExecutor(arguments.workers, get_context("fork"), _prepare) as pool:
        try:
            for seed, found in pool.map(_try, seeds, chunksize=8):
                kind = found.partition(":")[0]
                counts[kind] += 1
                if kind not in ("imported", "refused"):
                    print(f"mutant {seed} {found}", flush=True)
        except BrokenProcessPool:
            counts["died"] += 1
            print(f"a worker died after {counts.total()} mutants", flush=True)
    print(", ".join(f"{number} {kind}" for kind, number in counts.most_common()))
    sys.exit(not set(counts) <= {"imported", "refused"})


if __name__ == "__main__":
    main()
