"""The report of a run: one HTML file that opens anywhere, and its figures."""

from __future__ import annotations

from emufort.report.html import write_report

__all__ = ["write_report"]
