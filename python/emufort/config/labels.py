"""Options of the data set that a preset makes."""

from __future__ import annotations

from pydantic import Field

from emufort.config.section import Section


class LabelsConfig(Section):
    """The data set of a preset; the process adds validation and test samples."""

    samples: int = Field(32_768, ge=1, le=100_000_000, description="number of training samples")
    seed: int = Field(1, ge=0, le=2_000_000_000)
