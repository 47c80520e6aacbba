"""A worker in Python: ``python -m emufort.benchmark.python_worker KIND THREADS FOLDER...``.

It uses the protocol of ``fortran/bench/bench_worker.F90``, with the name of a model (the name of
its folder) at the end of every request. Times include the cost of a call from Python: arguments,
results and the interpreter.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.benchmark.model import ModelFiles
from emufort.benchmark.originals import inputs_of
from emufort.benchmark.workers import Missing
from emufort.network.emulator import Emulator

#: A call on the inputs in the array types of the library, single precision.
Call = Callable[[Any], Any]

#: Largest number of different columns, and of their inputs and outputs, so that they are in the
#: cache, as in a host model.
_COLUMNS_IN_CACHE = 2048
_VALUES_IN_CACHE = 262_144


class Served:
    """A model that is ready for calls.

    Attributes
    ----------
    call
        The function that is timed.
    prepare
        Converts a numpy array into the argument of `call`.
    x
        Inputs (n, n_inputs), single precision.
    """

    def __init__(
        self, call: Call, prepare: Callable[[NDArray[np.float32]], Any], x: NDArray[np.float32]
    ) -> None:
        self.call = call
        self.prepare = prepare
        self.x = x
        self._passes: dict[int, int] = {}
        self._columns_in_cache = min(
            _COLUMNS_IN_CACHE, _VALUES_IN_CACHE // (x.shape[1] + self.outputs(1).shape[1])
        )

    def outputs(self, ncol: int) -> NDArray[np.float64]:
        """Return the outputs (ncol, n_outputs) of the first `ncol` inputs."""
        rows = np.arange(ncol) % len(self.x)
        found = self.call(self.prepare(self.x[rows]))
        parts = found if isinstance(found, list | tuple) else (found,)
        blocks = [np.asarray(part, dtype=np.float64).reshape(ncol, -1) for part in parts]
        return np.concatenate(blocks, axis=1)

    def time(self, ncol: int, seconds: float) -> tuple[float, float]:
        """Return CPU time of this thread and wall time [ns per column]."""
        n_calls = max(1, self._columns_in_cache // ncol)
        rows = np.arange(n_calls * ncol) % len(self.x)
        calls = [self.prepare(block) for block in np.split(self.x[rows], n_calls)]
        self._run(calls, 1)
        if ncol not in self._passes:
            passes = 1
            while (wall := self._run(calls, passes)[1]) < 0.3 * seconds:
                passes *= 2
            self._passes[ncol] = max(1, int(np.ceil(seconds / wall * passes)))
        passes = self._passes[ncol]
        cpu, wall = self._run(calls, passes)
        scale = 1e9 / (passes * n_calls * ncol)
        return cpu * scale, wall * scale

    def _run(self, calls: list[Any], passes: int) -> tuple[float, float]:
        call = self.call
        wall, cpu = time.perf_counter(), time.thread_time()
        for _ in range(passes):
            for x in calls:
                call(x)
        return time.thread_time() - cpu, time.perf_counter() - wall


def read_inputs(path: Path) -> NDArray[np.float32]:
    """Read the file of `write_inputs` in single precision."""
    content = path.read_bytes()
    n, n_inputs = np.frombuffer(content, "<i4", 2)
    x = np.frombuffer(content, "<f8", offset=8).reshape((n, n_inputs), order="F")
    return np.ascontiguousarray(x, dtype=np.float32)


def with_onnxruntime(files: ModelFiles, threads: int) -> Served:
    """Serve the model of ONNX with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(files.onnx), options, providers=["CPUExecutionProvider"]
    )
    names = [port.name for port in session.get_inputs()]
    return Served(
        lambda given: session.run(None, given),
        lambda x: dict(zip(names, inputs_of(x, files.shapes), strict=True)),
        read_inputs(files.folder / "inputs.bin"),
    )


def with_torch(files: ModelFiles, threads: int, compiled: bool) -> Served:
    """Serve the network with torch: the original, the exported module, or the network alone."""
    import torch

    torch.set_num_threads(threads)
    call: Any = _torch_network(files)
    if compiled:
        import torch._inductor.config

        # Weights become constants, so that the CPU back end can pack them.
        torch._inductor.config.freezing = True
        # One compilation for all batch sizes except 1, which torch always compiles separately.
        call = torch.compile(call, dynamic=True)

    def run(given: Any) -> Any:
        with torch.inference_mode():
            return call(*given)

    return Served(
        run,
        lambda x: tuple(map(torch.from_numpy, inputs_of(x, files.shapes))),
        read_inputs(files.folder / "inputs.bin"),
    )


def _torch_network(files: ModelFiles) -> Any:
    import torch

    from emufort.network.torch_module import EmulatorModule

    if files.program is not None:
        from emufort.importing.sources.pt2 import module_of_pt2

        # The file is read without executing what it holds, and exported again, so that torch
        # runs it like a program of its own. Checks of shapes would be part of the time.
        module, shapes = module_of_pt2(files.program)
        columns = {0: torch.export.Dim.DYNAMIC}
        program = torch.export.export(
            module,
            tuple(torch.zeros(2, *shape[1:]) for shape in shapes.values()),
            dynamic_shapes=((columns,) * len(shapes),),
        )
        return program.module(check_guards=False)
    emulator = Emulator.load(files.folder / "model.safetensors")
    module = EmulatorModule(emulator).float().eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if files.is_physical:
        return module
    return _layers(module, emulator) if files.is_chain else module.network


def _layers(module: Any, emulator: Emulator) -> Any:
    """Return the layers and activation functions of a chain as plain torch modules."""
    import torch

    plain = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "silu": torch.nn.SiLU}
    activation = plain.get(emulator.architecture.activation_label)
    if activation is None:
        return module.network
    parts: list[Any] = []
    for layer in module.layers:
        parts += [layer, activation()]
    return torch.nn.Sequential(*parts[:-1])


def load(kind: str, files: ModelFiles, threads: int) -> Served:
    """Load a model and prepare it for calls.

    Raises
    ------
    Missing
        torch.compile does not work on this machine.
    """
    if kind == "onnxruntime":
        return with_onnxruntime(files, threads)
    if kind == "torch":
        return with_torch(files, threads, compiled=False)
    try:
        return with_torch(files, threads, compiled=True)
    except Exception as error:  # torch raises many types, mostly if it finds no C++ compiler
        reason = " ".join(str(error).split())
        raise Missing(f"torch.compile does not work here: {reason[:150]}") from error


def serve(kind: str, threads: int, folders: list[Path]) -> None:
    """Answer requests until standard input ends."""
    # Libraries may print to standard output, which the driver must not read as answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    models: dict[str, Served] = {}
    known = {folder.name: folder for folder in folders}

    def model(name: str) -> Served:
        if name not in models:
            models[name] = load(kind, ModelFiles.read(known[name]), threads)
        return models[name]

    answers.write(f"ready {kind}\n")
    for line in sys.stdin:
        try:
            answers.write(_answer(line, model) + "\n")
        except Missing as missing:
            answers.write(f"missing {missing}\n")
        except Exception as error:  # every failure of a contender is reported to the driver
            answers.write(f"failed {type(error).__name__}: {' '.join(str(error).split())[:200]}\n")


def _answer(line: str, model: Callable[[str], Served]) -> str:
    word, _, rest = line.strip().partition(" ")
    rest, _, name = rest.rpartition(" ")
    if word == "time":
        ncol, milliseconds = rest.split()
        cpu, wall = model(name).time(int(ncol), 1e-3 * float(milliseconds))
        return f"time {cpu:.8e} {wall:.8e}"
    ncol, _, path = rest.partition(" ")
    y = model(name).outputs(int(ncol))
    Path(path.strip('"')).write_bytes(y.tobytes(order="F"))
    return "done"


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
