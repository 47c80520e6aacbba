"""Carry out the comparisons of one bundle.

The reference is the emulator in double precision numpy, restored from weights.bin, or the trained
emulator if the caller passes it. The reference must reproduce golden.nc, which holds the outputs of
the trained network at the time of the export; this shows that it is the exported network.

The hashes are checked first. If a file does not match the manifest, nothing of the bundle is loaded
or run. Then every form receives the golden vectors, rows over the whole range of the contract
including its limits, and a few rows out of range and with NaN or infinity. `differences` measures
the differences; a form agrees if the largest difference does not exceed the tolerance.

A bundle is untrusted data. This version of emufort generates the sources again from weights.bin,
and compiles them only if the sources of the bundle are the same.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emufort import __version__
from emufort.config import DEFAULTS
from emufort.errors import EmufortError, StorageError, VerificationError
from emufort.export.agreement import allowed_differences, differences
from emufort.export.bundle import Bundle
from emufort.export.contents import MANIFEST
from emufort.files import make_directory, scratch_folder, write_json
from emufort.network.emulator import Emulator
from emufort.network.precision import TOLERANCES
from emufort.progress import Reporter, silent
from emufort.toolchain.flags import C_COMPILER, DEFAULT_COMPILER
from emufort.verification import chain, forms
from emufort.verification.chain import Origin
from emufort.verification.forms import Unavailable
from emufort.verification.result import REFERENCE, UNCOMPILED, Comparison, Verification
from emufort.verification.rows import Array, live_rows, odd_rows, of_single_host

#: Rounding of outputs to arrays in single precision.
_ROUNDING_TO_SINGLE = float(np.finfo(np.float32).eps)
#: The restored reference differs from the exported network only by rounding in double precision.
_REFERENCE_TOLERANCE = 1e-9


def verify(
    bundle: Bundle | str | os.PathLike[str],
    emulator: Emulator | None = None,
    *,
    rows: int = DEFAULTS.verify.rows,
    tolerance: float | None = DEFAULTS.verify.tolerance,
    out: Path | None = None,
    compiler: str = DEFAULT_COMPILER,
    flags: str | None = None,
    work: Path | None = None,
    origin: Origin | None = None,
    trust_sources: bool = False,
    report: Reporter = silent,
) -> Verification:
    """Compare every form of a bundle with the reference.

    Parameters
    ----------
    bundle
        The bundle or its folder; damaged files are detected too.
    emulator
        The trained emulator, as reference and for its torch form; default: the emulator of
        weights.bin.
    rows
        Number of rows drawn over the range, in addition to the golden vectors.
    tolerance
        Largest difference that counts as agreement; None: that of the precision of the bundle. The
        rounding error of the network may allow more, see `emufort.export.agreement`.
    out
        File for the result, JSON.
    compiler, flags
        Compiler and flags for the generated module; the default flags are those of the timing.
    work
        Folder that keeps the compiled driver; default: a temporary one.
    origin
        The run that made the bundle, if its files are available; the links of the hash chain up to
        the candidate are then recomputed from these files.
    trust_sources
        Compile and run the Fortran sources of the bundle even if they differ from those that this
        version of emufort generates from its weights.bin. Set it only for bundles that you trust.
    report
        Receives the progress, one step per comparison.

    Returns
    -------
    Verification
        Call its `raise_if_failed`.

    Raises
    ------
    EmufortError
        There is no bundle, or `out` cannot be written.
    VerificationError
        manifest.json is damaged, so that nothing can be compared; or the emulator has another
        contract.
    """
    try:
        found = Bundle.open(bundle, check=False)
    except EmufortError as error:
        if (Path(bundle) / MANIFEST).is_file():
            raise VerificationError(f"{error}") from error
        raise
    with scratch_folder() as temporary:
        checks = _Checks(found, rows, tolerance, report)
        if checks.belong_together(origin):
            checks.compare(emulator, compiler, flags, work or temporary, trust_sources)
    result = checks.result()
    if out is not None:
        write_json(out, finite(result.to_dict()))
    return result


def finite(content: Any) -> Any:
    """Replace infinity, which JSON does not have, by None."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


class _Checks:
    """Carries out the comparisons of one bundle and collects their results."""

    #: Number of steps for the reporter.
    _TOTAL = 6

    def __init__(
        self, bundle: Bundle, rows: int, tolerance: float | None, report: Reporter
    ) -> None:
        self.bundle = bundle
        self.rows = rows
        self.precision = bundle.manifest.precision
        self.tolerance = TOLERANCES[self.precision] if tolerance is None else tolerance
        self.report = report
        self.comparisons: list[Comparison] = []
        self.notes: dict[str, Any] = {}
        self.outputs: dict[str, Array] = {}
        self.x: Array = np.empty((0, len(bundle.manifest.contract.input_columns)))
        self.y_of_single: Array = np.empty((0, 0))
        self._done = 0

    def belong_together(self, origin: Origin | None) -> bool:
        """Compare files, manifest and hash chain; return whether they agree."""
        self._step("files", lambda: self._files(origin))
        return not any(c.failed for c in self.comparisons)

    def compare(
        self,
        emulator: Emulator | None,
        compiler: str,
        flags: str | None,
        work: Path,
        trust_sources: bool,
    ) -> None:
        """Run every form on the same rows."""
        contract = self.bundle.manifest.contract
        self.golden = self.bundle.golden
        self.reference = self.bundle.emulator() if emulator is None else emulator
        if self.reference.contract.sha256 != contract.sha256:
            raise VerificationError(
                f"{self.bundle.path}: the emulator has another contract than manifest.json; export "
                "again"
            )
        drawn, dead = live_rows(self.reference, self.golden.x, self.rows)
        reason = f"on all inputs that were tried, these outputs are constant: {', '.join(dead)}"
        self.comparisons.append(
            Comparison("live inputs", REFERENCE, len(drawn), skipped=reason if dead else None)
        )
        self.x = np.concatenate([self.golden.x, drawn, odd_rows(contract, drawn)])
        self.y = self.reference.predict(self.x)
        self.y_of_single = of_single_host(self.reference).predict(self.x)
        self.spread = self.golden.spread
        self.allowed = allowed_differences(self.reference, self.x, self.spread, self.tolerance)
        columns = [c.name for c in contract.output_columns]
        raised = self.allowed > self.tolerance
        if raised.any():
            self.notes["tolerance_by_rounding_error"] = {
                name: float(value)
                for name, value, is_raised in zip(columns, self.allowed, raised, strict=True)
                if is_raised
            }
        self._step("golden vectors", self._golden)
        self._step("torch", self._torch)
        self._step("ONNX Runtime", self._onnx)
        self._step("compiled Fortran", lambda: self._fortran(compiler, flags, work, trust_sources))
        self._step("Python bindings", self._bindings)

    def _step(self, note: str, action: Callable[[], None]) -> None:
        self.report("verify", self._done, self._TOTAL, note)
        action()
        self._done += 1
        self.report("verify", self._done, self._TOTAL, note)

    def result(self) -> Verification:
        """Return the result of all comparisons."""
        pairs = {
            f"{a} | {b}": float(differences(self.outputs[a], self.outputs[b], self.spread).max())
            for a, b in itertools.combinations(self.outputs, 2)
        }
        return Verification(
            str(self.bundle.path),
            self.bundle.hash,
            len(self.x),
            self.tolerance,
            tuple(self.comparisons),
            pairs,
            self.notes,
        )

    # ---------------------------------------------------------------- judging

    def _judge(self, name: str, backend: str, y: Array, is_single: bool = False) -> None:
        """Compare outputs at all rows with the reference; `is_single`: arrays of the host are."""
        self.outputs[name] = y
        allowed = np.maximum(self.allowed, _ROUNDING_TO_SINGLE if is_single else 0.0)
        self._compare(name, backend, self.y_of_single if is_single else self.y, y, allowed)

    def _compare(self, name: str, backend: str, wanted: Array, y: Array, allowed: Array) -> None:
        found = differences(wanted, y, self.spread)
        row, column = np.unravel_index(int((found / allowed).argmax()), found.shape)
        where = self.bundle.manifest.contract.output_columns[int(column)].name
        self.comparisons.append(
            Comparison(
                name,
                backend,
                len(y),
                float(found[row, column]),
                float(allowed[column]),
                f"{where} in row {row}: {y[row, column]:.9g}, reference {wanted[row, column]:.9g}",
            )
        )

    def _skip(self, name: str, backend: str, reason: str) -> None:
        """Record a form that could not be compared here."""
        self.comparisons.append(Comparison(name, backend, skipped=reason))

    def _say(self, name: str, backend: str, problem: str | None) -> None:
        """Record a check that has no numeric difference."""
        self.comparisons.append(Comparison(name, backend, problem=problem))

    # -------------------------------------------------------------- the checks

    def _files(self, origin: Origin | None) -> None:
        problems = chain.problems(self.bundle)
        self._say("files and hash chain", MANIFEST, "; ".join(problems) or None)
        if origin is not None:
            self.comparisons += chain.links(self.bundle, origin)

    def _golden(self) -> None:
        y = self.reference.predict(self.golden.x)
        allowed = np.minimum(self.allowed, _REFERENCE_TOLERANCE)
        self._compare("reference", "golden.nc", self.golden.y, y, allowed)

    def _torch(self) -> None:
        y = forms.torch_module(self.reference, self.x)
        self._judge("torch", f"torch, {self.precision} precision", y)

    def _onnx(self) -> None:
        name, backend = "model.onnx", f"ONNX Runtime, {self.precision} precision"
        try:
            y = forms.onnx_runtime(self.bundle, self.x)
            if y.shape != self.y.shape:
                raise EmufortError(f"it gives outputs of the shape {y.shape}, not {self.y.shape}")
        except Unavailable as reason:
            self._skip(name, backend, str(reason))
        except EmufortError as error:
            self._say(name, backend, str(error))
        else:
            self._judge(name, backend, y)

    def _sources(self, trusted: bool) -> bool:
        """Compare the sources with those from weights.bin; return whether they may be compiled."""
        version = f"emufort {__version__}"
        foreign = self.bundle.foreign_sources()
        if not foreign:
            self._say("sources", version, None)
            return True
        files = ", ".join(foreign)
        if trusted:
            self._skip("sources", version, f"trusted by option, from another version: {files}")
            return True
        reason = (
            f"{version} writes another {files} from the bundle's weights.bin, so nothing of it was "
            "compiled; export again, or give --trust-sources if you trust who wrote the bundle"
        )
        self._skip("sources", version, reason)
        return False

    def _fortran(self, compiler: str, flags: str | None, work: Path, trust_sources: bool) -> None:
        names = ("generated module", "weights.bin")
        if not self._sources(trust_sources):
            for name in names:
                self._skip(name, compiler, UNCOMPILED)
            return
        staged = self.bundle.staged(make_directory(work / "verified-sources"))
        try:
            found = forms.compiled(staged, self.x, compiler, flags, work)
        except Unavailable as reason:
            for name in names:
                self._skip(name, compiler, str(reason))
            return
        except StorageError:
            raise  # this error does not concern the bundle
        except EmufortError as error:
            self._say("generated module", compiler, str(error))
            return
        for name, double, single in (
            (names[0], found.generated, found.generated_single),
            (names[1], found.loaded, found.loaded_single),
        ):
            self._judge(name, f"{found.compiler}, host arrays in double precision", double)
            backend = f"{found.compiler}, host arrays in single precision"
            self._judge(f"{name}, single", backend, single, is_single=True)
        self._from_c(found)
        self._say("self test of weights.bin", found.compiler, found.self_test or None)
        wanted = self.bundle.hash
        wrong = f"the module says that it comes from {found.hash}, the manifest says {wanted}"
        self._say("hash in the module", found.compiler, None if found.hash == wanted else wrong)
        self.notes |= {
            "compiler": found.compiler,
            "flags": found.flags,
            "generated_and_loaded_bitwise_equal": found.generated.tobytes()
            == found.loaded.tobytes(),
        }

    def _from_c(self, found: forms.FortranOutputs) -> None:
        """Compare the calls from C, which must have the bits of those from Fortran."""
        for name, y, wanted in (
            ("C interface", found.from_c, found.generated),
            ("C interface, single", found.from_c_single, found.generated_single),
        ):
            backend = f"{C_COMPILER}, generated module, both layouts of arrays"
            if y is None:
                self._skip(name, backend, found.without_c)
            elif y.tobytes() != wanted.tobytes():
                self._say(name, backend, "it has other bits than the generated module from Fortran")
            else:
                self._judge(name, backend, y, is_single="single" in name)

    def _bindings(self) -> None:
        for name, single in (("Python bindings", False), ("Python bindings, single", True)):
            precision = "single" if single else "double"
            backend = f"Fortran runtime, arrays in {precision} precision"
            try:
                y = forms.bindings(self.bundle, self.x, single)
            except Unavailable as reason:
                self._skip(name, backend, str(reason))
            except EmufortError as error:
                self._say(name, backend, str(error))
            else:
                self._judge(name, backend, y, is_single=single)
