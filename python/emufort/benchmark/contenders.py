"""The contenders of a benchmark: each knows which models it can run and starts workers."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

import numpy as np

from emufort.benchmark.contender import Bench, Contender
from emufort.benchmark.machine import has_avx512
from emufort.benchmark.model import Array, Model
from emufort.benchmark.onnx2c import Onnx2c
from emufort.benchmark.programs import Programs, blas_description
from emufort.benchmark.workers import BaselineWorker, Missing, Worker
from emufort.contract import Baseline as ContractBaseline
from emufort.processes.process import TimingSource
from emufort.processes.registry import timing_source


class Ours(Contender):
    """A form of the runtime, built with either compiler."""

    is_native = True

    def __init__(self, form: str, title: str, *, second: bool = False) -> None:
        self.name = f"native-{form}"
        self.title = f"emufort, {title}"
        if second:
            self.second_of, self.name = self.name, f"second-{form}"
            self.title += ", second compiler"
        self._form = form

    def splits(self) -> bool:
        """See `Contender.splits`."""
        return self.second_of is None

    def programs(self, bench: Bench) -> Programs:
        """Return the programs of the compiler that builds this contender."""
        return bench.programs if self.second_of is None else bench.second

    def describe(self, bench: Bench) -> str:
        """See `Contender.describe`."""
        if self.second_of is None:
            return self._about()
        about = bench.second.describe()
        return f"{about['compiler']}, `{about['flags']}`" if about["compiler"] else ""

    def _about(self) -> str:
        return "a complete call by a host: range check, NaN check, transforms, bounds"


class NativeNetwork(Ours):
    """The runtime's kernels without transforms."""

    def runs(self, model: Model) -> bool:
        """See `Contender.runs`."""
        return not model.is_physical

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        folder = model.folder
        program = self.programs(bench).network()
        return bench.spawn([program, folder / "weights.bin", folder / "inputs.bin", threads], model)

    def _about(self) -> str:
        return "from host array to host array through the kernels, without checks and transforms"


class NativeLayers(Ours):
    """The kernels only, with features and outputs in the runtime's blocks.

    For a physical model, this is the part of the time that the network takes.
    """

    is_part = True

    def runs(self, model: Model) -> bool:
        """See `Contender.runs`."""
        return not model.is_physical or model.network is not None

    def splits(self) -> bool:
        """See `Contender.splits`."""
        return False

    def reference(self, model: Model) -> Array:
        """See `Contender.reference`."""
        return (model.network or model).reference

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        network = model.network or model
        files = [network.folder / "weights.bin", network.folder / "inputs.bin"]
        program = self.programs(bench).network()
        return bench.spawn(
            [program, *files, threads, "part"], model, n_outputs=network.reference.shape[1]
        )

    def _about(self) -> str:
        return "the part between the transforms of a call, with data in the runtime's blocks"


class Native(Ours):
    """The runtime as a host model calls it."""

    def runs(self, model: Model) -> bool:
        """See `Contender.runs`."""
        return True

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        files = [model.folder / "weights.bin", model.folder / "inputs.bin"]
        if self._form == "loaded" and model.call is None:
            return bench.spawn([self.programs(bench).loaded(model), *files, threads], model)
        program = self.programs(bench).native(model)
        return bench.spawn([program, self._form, *files, threads], model)


class OnnxFortran(Contender):
    """ONNX Runtime through coupling/onnxruntime."""

    name = "onnxruntime-fortran"
    title = "ONNX Runtime from Fortran"

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        library = onnxruntime_library()
        program = bench.programs.onnxruntime(model)
        inputs = model.folder / "inputs.bin"
        return bench.spawn([program, model.onnx, library, inputs, threads], model)

    def describe(self, bench: Bench) -> str:
        """See `Contender.describe`."""
        return f"{_version('onnxruntime')}, C API, all optimisations"


class OnnxPython(Contender):
    """ONNX Runtime from Python."""

    name = "onnxruntime-python"
    title = "ONNX Runtime from Python"

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        _require("onnxruntime")
        return bench.python("onnxruntime", model, threads)

    def describe(self, bench: Bench) -> str:
        """See `Contender.describe`."""
        return f"{_version('onnxruntime')}, InferenceSession.run on numpy arrays"


class OpenBlas(Contender):
    """A network as matrix products of OpenBLAS with loops for bias and activation function."""

    def __init__(
        self, name: str, title: str, core: str | None = None, *, plain: bool = False
    ) -> None:
        self.name = name
        self.title = title
        self._core = core
        self._how = ["plain"] if plain else []

    def runs(self, model: Model) -> bool:
        """See `Contender.runs`; transforms, and networks that are no chain, are not products."""
        return super().runs(model) and not model.is_physical and model.chain_activation is not None

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        library = bench.programs.blas()
        environment = {"OPENBLAS_NUM_THREADS": "1"}
        if self._core is not None:
            chosen = blas_description(library)[1]
            if not has_avx512():
                raise Missing("the CPU has no AVX-512")
            if not chosen:
                raise Missing(f"{library.name} does not report which kernels it uses")
            if chosen.lower() in _AVX512_CORES:
                raise Missing(f"OpenBLAS uses its AVX-512 kernels ({chosen}) by default")
            environment["OPENBLAS_CORETYPE"] = self._core
        program = bench.programs.sgemm(library)
        folder = model.folder
        command = [program, folder / "network.bin", folder / "inputs.bin", threads, *self._how]
        return bench.spawn(command, model, environment=environment)

    def describe(self, bench: Bench) -> str:
        """See `Contender.describe`."""
        try:
            version, core = blas_description(bench.programs.blas())
        except Missing:
            return ""
        how = "; features first, one product per layer over all columns" if self._how else ""
        return f"{version or 'a BLAS'}, kernels {self._core or core or 'unknown'}{how}"


class Torch(Contender):
    """torch, eager or compiled."""

    def __init__(self, name: str, title: str, kind: str) -> None:
        self.name = name
        self.title = title
        self._kind = kind

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        _require("torch")
        if model.is_imported and (model.originals is None or model.originals.program is None):
            raise Missing("the original is not given as a program of torch (--original MODEL.pt2)")
        return bench.python(self._kind, model, threads)

    def describe(self, bench: Bench) -> str:
        """See `Contender.describe`."""
        how = "torch.compile, freezing" if self._kind == "torch-compile" else "eager"
        return f"{_version('torch')}, {how}, inference mode, single precision"


class Baseline(Contender):
    """The classical scheme of the contract."""

    name = "baseline"
    title = "classical scheme"
    _how: tuple[str, ...] = ()
    _about = "up to the outputs of the contract"

    def runs(self, model: Model) -> bool:
        """See `Contender.runs`."""
        return model.is_physical and any(b.timing_source for b in model.contract.baseline)

    def splits(self) -> bool:
        """See `Contender.splits`."""
        return False

    def reference(self, model: Model) -> Array:
        """See `Contender.reference`; returns the outputs of the scheme, not of the network."""
        timed = self._timed(model)
        reference = timed.call_reference if "call" in self._how else timed.reference
        assert reference is not None, "`runs` has checked it"
        samples = model.x[:, list(model.contract.feature_indices)]
        found = reference(model.contract, samples)
        return np.asarray(found, dtype=np.float64).reshape(len(samples), -1)

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """See `Contender.start`."""
        scheme = self._scheme(model)
        timed = self._timed(model)
        sources = timed.write_sources(model.contract, model.folder / f"{scheme.name}_sources")
        program = bench.programs.baseline(f"{scheme.name}_{model.contract.name}", sources)
        return BaselineWorker(
            program, model.folder / "samples.bin", *self._how, takes_ncol=timed.takes_ncol
        )

    def describe(self, bench: Bench) -> str:
        """See `Contender.describe`."""
        models = [model for model in bench.models if self.runs(model)]
        schemes = {self._scheme(model).name for model in models}
        calls = {
            "many columns per call" if self._timed(model).takes_ncol else "one column per call"
            for model in models
        }
        return (
            f"{', '.join(sorted(schemes))}: Fortran, real64, {' or '.join(sorted(calls))}, "
            f"{self._about}"
        )

    @staticmethod
    def _scheme(model: Model) -> ContractBaseline:
        return next(b for b in model.contract.baseline if b.timing_source)

    def _timed(self, model: Model) -> TimingSource:
        return timing_source(str(model.contract.process), str(self._scheme(model).timing_source))


class BaselineCall(Baseline):
    """The classical scheme with all results of a whole call, beyond the contract's outputs."""

    name = "baseline-call"
    title = "classical scheme, whole call"
    _how = ("call",)
    _about = "up to the skill variables"

    def runs(self, model: Model) -> bool:
        """See `Contender.runs`."""
        return (
            super().runs(model)
            and model.call is not None
            and self._timed(model).call_reference is not None
        )


ALL: tuple[Contender, ...] = (
    NativeLayers("layers", "layers alone"),
    NativeNetwork("network", "network alone"),
    Native("embedded", "generated module"),
    Native("loaded", "weights.bin"),
    NativeLayers("layers", "layers alone", second=True),
    NativeNetwork("network", "network alone", second=True),
    Native("embedded", "generated module", second=True),
    OnnxFortran(),
    OnnxPython(),
    Onnx2c(),
    OpenBlas("openblas-plain", "sgemm of OpenBLAS, usual calls", plain=True),
    OpenBlas("openblas", "sgemm of OpenBLAS, tuned calls"),
    OpenBlas("openblas-avx512", "sgemm of OpenBLAS, AVX-512 forced", "SKYLAKEX"),
    Torch("torch", "torch eager", "torch"),
    Torch("torch-compile", "torch.compile", "torch-compile"),
    Baseline(),
    BaselineCall(),
)

_AVX512_CORES = ("skylakex", "cooperlake", "sapphirerapids", "zen5")


def onnxruntime_library() -> Path:
    """Return the path of libonnxruntime in the installed wheel, without importing it.

    Raises
    ------
    Missing
        The wheel is not installed.
    """
    found = util.find_spec("onnxruntime")
    places = list(found.submodule_search_locations or []) if found else []
    for place in places:
        for path in sorted((Path(place) / "capi").glob("libonnxruntime.*")):
            return path
    raise Missing("no libonnxruntime: install the Python package onnxruntime")


def _require(package: str) -> None:
    if util.find_spec(package) is None:
        raise Missing(f"the Python package {package} is not installed")


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} (not installed)"
