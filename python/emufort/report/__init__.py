"""The report of a run: one self-contained HTML file, and its figures."""

from __future__ import annotations

from emufort.report.html import write_report

__all__ = ["write_report"]
