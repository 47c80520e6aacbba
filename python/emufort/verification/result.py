"""The result of a verification: one comparison per form, and the overall status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emufort.brief import brief
from emufort.errors import VerificationError

REFERENCE = "numpy, double precision"

#: Forms without which a bundle is not verified: its Fortran, compiled and run.
DECISIVE = (
    "generated module",
    "generated module, single",
    "weights.bin",
    "weights.bin, single",
    "self test of weights.bin",
    "hash in the module",
)

#: Reason for skipping them if the sources of the bundle are not those of this version.
UNCOMPILED = "not compiled, see 'sources'"

Status = Literal["verified", "not verified", "failed"]


@dataclass(frozen=True)
class Comparison:
    """Comparison of one form with the reference.

    Attributes
    ----------
    name
        Name of the compared form, for people.
    backend
        Where the form ran.
    rows
        Number of rows.
    max_difference
        Largest difference, see `differences`; infinite between NaN and a number.
    tolerance
        Largest accepted difference.
    worst
        Output column and row of the largest difference.
    problem
        Why the form could not be compared although it should: it is damaged or does not compile.
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
        """Whether the form agrees. A skipped form neither passes nor fails."""
        if self.skipped is not None or self.problem is not None:
            return False
        return self.max_difference <= self.tolerance

    @property
    def failed(self) -> bool:
        """Whether the form ran (or should have run) and does not agree."""
        return not self.passed and self.skipped is None

    @property
    def explanation(self) -> str:
        """Why the form does not agree."""
        return self.problem or (
            f"it differs by {self.max_difference:.2g} from the reference ({self.worst}), allowed "
            f"are {self.tolerance:g}"
        )

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
        Hash of the chain up to the weights, see `Manifest.hash`.
    rows
        Number of rows on which each form was compared.
    tolerance
        Largest difference that counts as agreement.
    comparisons
        One per form.
    pairs
        Largest difference between each two forms that ran, ``"a | b"``.
    notes
        Information that does not affect the status, such as compiler and flags.
    """

    bundle: str
    hash: str
    rows: int
    tolerance: float
    comparisons: tuple[Comparison, ...]
    pairs: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        agree = sum(c.passed for c in self.comparisons)
        return brief(
            self,
            self.bundle,
            self.status,
            f"{agree} of {len(self.comparisons)} comparisons agree on {self.rows} rows",
            self.reason,
        )

    @property
    def status(self) -> Status:
        """``"failed"`` if a comparison failed, ``"verified"`` if the compiled Fortran agreed.

        Otherwise ``"not verified"``: nothing failed, but the Fortran (`DECISIVE`) could not be
        compiled and run. All other forms may be skipped.
        """
        if any(c.failed for c in self.comparisons):
            return "failed"
        agreed = {c.name for c in self.comparisons if c.passed}
        return "verified" if agreed.issuperset(DECISIVE) else "not verified"

    @property
    def passed(self) -> bool:
        """Whether the bundle is verified: its Fortran was compiled, and everything agreed."""
        return self.status == "verified"

    @property
    def reason(self) -> str:
        """Why the bundle is not verified, one line; empty if it is."""
        for c in self.comparisons:
            if c.failed:
                return f"'{c.name}' does not agree: {c.explanation}"
        if self.passed:
            return ""
        skipped = {c.name: c.skipped for c in self.comparisons if c.skipped}
        why = next((skipped[name] for name in DECISIVE if name in skipped), UNCOMPILED)
        return f"not verified: {skipped.get('sources', why) if why == UNCOMPILED else why}"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of verification.json, in which an infinite difference is null."""
        return {
            "passed": self.passed,
            "status": self.status,
            "reason": self.reason,
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
        """Raise `VerificationError` with the reason unless the bundle is verified."""
        if not self.passed:
            raise VerificationError(f"{self.bundle}: {self.reason}")
