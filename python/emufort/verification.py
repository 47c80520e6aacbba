"""A bundle against the network it was made from: every form must give the same outputs.

Only the bundle is read. The reference is the emulator in double precision numpy, restored from
weights.bin, or the trained emulator itself where the caller has it. That the reference is the
network that was exported is checked too: it must reproduce golden.nc, which holds what the trained
network gave when the bundle was written.

Inputs are the golden vectors; rows all over the contract's range, its edges included; and a few
rows out of range and with NaN or infinity. All are exact in single precision, so that every form
gets the same numbers. Differences are those of `differences`; a form agrees when its worst row does
not differ by more than the tolerance. A form that cannot run here is shown as skipped and decides
nothing.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.brief import brief, listed
from emufort.contract import Contract
from emufort.errors import EmufortError, StorageError, VerificationError
from emufort.export.bundle import Bundle
from emufort.export.golden import limits, single_within
from emufort.files import scratch_folder, write_json
from emufort.network import Emulator
from emufort.progress import Reporter, silent

Array = NDArray[np.float64]

REFERENCE = "numpy, double precision"

#: The restored reference differs from what was exported by rounding in double precision only.
_REFERENCE_TOLERANCE = 1e-9
_SEED = 7_041_776
#: Rows out of range, and rows with NaN, that come on top.
_ODD_ROWS = 8


def differences(reference: Array, y: Array, spread: Array) -> Array:
    """Return how far outputs differ, (n, n_outputs), so that 1e-5 means the same for each.

    Parameters
    ----------
    reference, y
        Outputs (n, n_outputs) in physical units.
    spread
        Typical size of each output, (n_outputs,), as `Golden.spread` gives it.

    Returns
    -------
    ndarray
        For an output whose logarithm the network predicts (spread 0): ``|ln y - ln reference|``.
        For a fraction (spread 1): the absolute difference. For all others the difference relative
        to the spread of the output or to its value, whichever is larger, as a single precision
        number holds no more. Two NaN agree; a NaN and a number differ infinitely.
    """
    reference = np.asarray(reference, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = np.abs(np.log(y) - np.log(reference))
        relative = np.abs(y - reference) / np.maximum(np.abs(reference), spread)
    found = np.where(spread == 0.0, logarithmic, relative)
    found = np.where(np.isnan(found), math.inf, found)
    same = (y == reference) | (np.isnan(y) & np.isnan(reference))
    return np.where(same, 0.0, found)


def draw_rows(contract: Contract, known: Array, n: int) -> Array:
    """Draw `n` rows of inputs all over the range; the same arguments give the same rows.

    Scrambled Sobol' points, uniform in what the network sees (the logarithm of an input whose
    transform is ln). One row in eight has some of its inputs on an edge of their range.

    Parameters
    ----------
    contract
        Gives the ranges.
    known
        Rows (k, n_inputs), whose limits serve for inputs without a range.
    n
        Number of rows.

    Returns
    -------
    ndarray
        Shape (n, n_inputs), exact in single precision.
    """
    from scipy.stats import qmc

    lower, upper = limits(contract, known)
    sobol = qmc.Sobol(len(lower), seed=_SEED)
    u = sobol.random_base2(max(1, math.ceil(math.log2(max(n, 1)))))[:n]
    rng = np.random.default_rng(_SEED)
    edge = rng.random(u.shape) < 0.25
    edge[np.arange(len(u)) % 8 != 0] = False
    # Of its own, as every eighth Sobol' point lies in the same part of the range.
    u = np.where(edge, rng.random(u.shape) < 0.5, u)
    x = lower + u * (upper - lower)
    for j, column in enumerate(contract.input_columns):
        if lower[j] > 0 and (column.transform in ("ln", "log10") or not column.feature):
            x[:, j] = lower[j] * (upper[j] / lower[j]) ** u[:, j]
    return single_within(x, contract)


def odd_rows(contract: Contract, rows: Array) -> Array:
    """Return copies of the first rows with one input far out of range, then invalid ones."""
    columns = contract.input_columns
    bounded = [
        (j, value)
        for j, c in enumerate(columns)
        for value in (c.lower - 0.5 * abs(c.lower) - 1.0, c.upper + 0.5 * abs(c.upper) + 1.0)
        # At the edge of its domain a logit is infinite, so nothing can be compared there.
        if math.isfinite(value) and not (c.transform == "logit" and {c.lower, c.upper} & {0.0, 1.0})
    ]
    n = min(_ODD_ROWS, len(rows))
    outside, invalid = rows[:n].copy(), rows[:n].copy()
    for i in range(n):
        if bounded:
            place, value = bounded[(i * 7) % len(bounded)]
            outside[i, place] = np.float32(value)
        invalid[i, i % invalid.shape[1]] = (np.nan, np.inf)[i % 2]
    return np.concatenate([outside, invalid])


@dataclass(frozen=True)
class Comparison:
    """One form against the reference.

    Attributes
    ----------
    name
        What was compared, for a person.
    backend
        Where it ran.
    rows
        Number of rows.
    max_difference
        Worst difference, see `differences`; infinite where NaN stands against a number.
    tolerance
        What it may be.
    worst
        Output column and row of the worst difference.
    problem
        Why the form could not be compared though it should: damaged, does not compile.
    skipped
        Why the form cannot run on this machine, or None.
    """

    name: str
    backend: str
    rows: int = 0
    max_difference: float = 0.0
    tolerance: float = 0.0
    worst: str = ""
    problem: str | None = None
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the form agrees (a skipped one does not, and does not fail either)."""
        if self.skipped is not None or self.problem is not None:
            return False
        return self.max_difference <= self.tolerance

    @property
    def failed(self) -> bool:
        """Whether the form ran, or should have, and does not agree."""
        return not self.passed and self.skipped is None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; infinity stays infinity."""
        return {
            "name": self.name,
            "backend": self.backend,
            "rows": self.rows,
            "max_difference": self.max_difference,
            "tolerance": self.tolerance,
            "worst": self.worst,
            "passed": self.passed,
            "problem": self.problem,
            "skipped": self.skipped,
        }


@dataclass(frozen=True)
class Verification:
    """Result of `verify`.

    Attributes
    ----------
    bundle
        Path of the bundle.
    hash
        What stands for all that led to it.
    rows
        Number of rows that each form was given.
    tolerance
        Largest difference that counts as agreement.
    comparisons
        One per form.
    pairs
        Worst difference between each two forms that ran, ``"a | b"``.
    notes
        What is good to know and decides nothing, such as compiler and flags.
    """

    bundle: str
    hash: str
    rows: int
    tolerance: float
    comparisons: tuple[Comparison, ...]
    pairs: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        worst = [f"{c.name} does not agree" for c in self.comparisons if c.failed]
        agree = sum(c.passed for c in self.comparisons)
        return brief(
            self,
            self.bundle,
            "passed" if self.passed else "failed",
            f"{agree} of {len(self.comparisons)} comparisons agree on {self.rows} rows",
            listed(worst, 2),
        )

    @property
    def passed(self) -> bool:
        """Whether no comparison failed."""
        return not any(c.failed for c in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of verification.json; there an infinite difference is null."""
        return {
            "passed": self.passed,
            "bundle": self.bundle,
            "hash": self.hash,
            "rows": self.rows,
            "tolerance": self.tolerance,
            "reference": REFERENCE,
            "comparisons": [c.to_dict() for c in self.comparisons],
            "pairs": dict(self.pairs),
            "notes": dict(self.notes),
        }

    def raise_if_failed(self) -> None:
        """Raise `VerificationError` that names the first form that does not agree."""
        for c in self.comparisons:
            if not c.failed:
                continue
            reason = c.problem or (
                f"it differs by {c.max_difference:.2g} from the reference ({c.worst}), allowed are "
                f"{c.tolerance:g}"
            )
            raise VerificationError(f"{self.bundle}: {c.name} does not agree: {reason}")


def verify(
    bundle: Bundle | str | os.PathLike[str],
    emulator: Emulator | None = None,
    *,
    rows: int = 10_000,
    tolerance: float = 1e-5,
    out: Path | None = None,
    compiler: str = "gfortran",
    flags: str | None = None,
    work: Path | None = None,
    report: Reporter = silent,
) -> Verification:
    """Compare every form of a bundle with the reference.

    Parameters
    ----------
    bundle
        The bundle or its folder; damaged files are found, too.
    emulator
        The trained emulator, as reference and for its torch form; default: what weights.bin holds.
    rows
        Rows drawn over the range, on top of the golden vectors.
    tolerance
        Largest difference that counts as agreement.
    out
        File for the result, JSON.
    compiler, flags
        For the generated module; default flags are those of the timing.
    work
        Folder that keeps the compiled driver; default: a temporary one.
    report
        Hears of each comparison.

    Returns
    -------
    Verification
        Call its `raise_if_failed`.

    Raises
    ------
    EmufortError
        There is no bundle, its manifest is damaged or `out` cannot be written.
    VerificationError
        weights.bin or golden.nc is so damaged that there is nothing to compare with.
    """
    found = Bundle.open(bundle, check=False)
    with scratch_folder() as temporary:
        checks = _Checks(found, emulator, rows, tolerance, report)
        checks.run(compiler, flags, work or temporary)
    result = checks.result()
    if out is not None:
        write_json(out, finite(result.to_dict()))
    return result


def finite(content: Any) -> Any:
    """Replace infinity, which JSON does not know, by None."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


class _Checks:
    """Carries out the comparisons of one bundle and gathers their results."""

    #: Steps that the reporter hears of.
    _TOTAL = 6

    def __init__(
        self,
        bundle: Bundle,
        emulator: Emulator | None,
        rows: int,
        tolerance: float,
        report: Reporter,
    ) -> None:
        self.bundle = bundle
        self.tolerance = tolerance
        self.report = report
        self.comparisons: list[Comparison] = []
        self.notes: dict[str, Any] = {}
        self.outputs: dict[str, Array] = {}
        self._done = 0
        try:
            self.golden = bundle.golden
            self.reference = bundle.emulator() if emulator is None else emulator
        except EmufortError as error:
            raise VerificationError(f"{error}") from error
        contract = bundle.manifest.contract
        if self.reference.contract.sha256 != contract.sha256:
            whose = "weights.bin has" if emulator is None else "the emulator has"
            raise VerificationError(
                f"{bundle.path}: {whose} another contract than manifest.json; export again"
            )
        drawn = draw_rows(contract, self.golden.x, rows)
        self.x = np.concatenate([self.golden.x, drawn, odd_rows(contract, drawn)])
        self.y = self.reference.predict(self.x)
        self.spread = self.golden.spread

    def run(self, compiler: str, flags: str | None, work: Path) -> None:
        """Make all comparisons."""
        from emufort import _verification_forms as forms

        self._step("files", self._files)
        self._step("golden vectors", self._golden)
        self._step("torch", lambda: self._torch(forms.torch_single))
        self._step("ONNX Runtime", lambda: self._onnx(forms.onnx_runtime))
        self._step("compiled Fortran", lambda: self._fortran(compiler, flags, work))
        self._step("Python bindings", self._bindings)

    def _step(self, note: str, action: Callable[[], None]) -> None:
        self.report("verify", self._done, self._TOTAL, note)
        action()
        self._done += 1
        self.report("verify", self._done, self._TOTAL, note)

    def result(self) -> Verification:
        """Return what was found."""
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

    def _judge(self, name: str, backend: str, y: Array) -> None:
        """Compare outputs at all rows with the reference."""
        self.outputs[name] = y
        self._compare(name, backend, self.y, y, self.tolerance)

    def _compare(self, name: str, backend: str, wanted: Array, y: Array, tolerance: float) -> None:
        found = differences(wanted, y, self.spread)
        row, column = np.unravel_index(int(found.argmax()), found.shape)
        where = self.bundle.manifest.contract.output_columns[int(column)].name
        self.comparisons.append(
            Comparison(
                name,
                backend,
                len(y),
                float(found.max()),
                tolerance,
                f"{where} in row {row}: {y[row, column]:.9g}, reference {wanted[row, column]:.9g}",
            )
        )

    def _say(self, name: str, backend: str, problem: str | None) -> None:
        """Record a check that is right or wrong without numbers."""
        self.comparisons.append(Comparison(name, backend, problem=problem))

    # -------------------------------------------------------------- the checks

    def _files(self) -> None:
        problems = self.bundle.problems()
        self._say("files and hash chain", "manifest.json", problems[0] if problems else None)

    def _golden(self) -> None:
        y = self.reference.predict(self.golden.x)
        self._compare("reference", "golden.nc", self.golden.y, y, _REFERENCE_TOLERANCE)

    def _torch(self, form: Callable[[Emulator, Array], Array]) -> None:
        self._judge("torch", "torch, single precision", form(self.reference, self.x))

    def _onnx(self, form: Callable[[Path, Array], Array]) -> None:
        try:
            y = form(self.bundle.onnx, self.x)
            if y.shape != self.y.shape:
                raise EmufortError(f"it gives outputs of the shape {y.shape}, not {self.y.shape}")
        except EmufortError as error:
            self._say("model.onnx", "ONNX Runtime", str(error))
        else:
            self._judge("model.onnx", "ONNX Runtime, single precision", y)

    def _fortran(self, compiler: str, flags: str | None, work: Path) -> None:
        from emufort._verification_forms import Unavailable, compiled

        names = ("generated module", "weights.bin")
        try:
            found = compiled(self.bundle, self.x, compiler, flags, work)
        except Unavailable as reason:
            for name in names:
                self.comparisons.append(Comparison(name, compiler, skipped=str(reason)))
            return
        except StorageError:
            raise  # says nothing about the bundle
        except EmufortError as error:
            self._say("generated module", compiler, str(error))
            return
        for name, double, single in (
            (names[0], found.generated, found.generated_single),
            (names[1], found.loaded, found.loaded_single),
        ):
            self._judge(name, f"{found.compiler}, host arrays in double precision", double)
            self._judge(
                f"{name}, single", f"{found.compiler}, host arrays in single precision", single
            )
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

    def _bindings(self) -> None:
        from emufort._verification_forms import Unavailable, bindings

        for name, single in (("Python bindings", False), ("Python bindings, single", True)):
            precision = "single" if single else "double"
            backend = f"Fortran runtime, arrays in {precision} precision"
            try:
                y = bindings(self.bundle.weights, self.x, single)
            except Unavailable as reason:
                self.comparisons.append(Comparison(name, backend, skipped=str(reason)))
            except EmufortError as error:
                self._say(name, backend, str(error))
            else:
                self._judge(name, backend, y)
