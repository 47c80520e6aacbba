"""Verify that every form of a bundle gives the outputs of the trained network.

verify("runs/a/bundle").raise_if_failed()
"""

from emufort.export.agreement import differences
from emufort.verification.chain import Origin
from emufort.verification.checks import finite, verify
from emufort.verification.result import DECISIVE, Comparison, Verification
from emufort.verification.rows import draw_rows, odd_rows

__all__ = [
    "DECISIVE",
    "Comparison",
    "Origin",
    "Verification",
    "differences",
    "draw_rows",
    "finite",
    "odd_rows",
    "verify",
]
