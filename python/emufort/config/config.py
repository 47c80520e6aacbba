"""The configuration of a whole run, read from TOML."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from emufort.config.cluster import ClusterConfig
from emufort.config.deployment import ExportConfig, SelectConfig, TimingConfig, VerifyConfig
from emufort.config.labels import LabelsConfig
from emufort.config.retrain import RetrainConfig
from emufort.config.search import AdviceConfig, SearchConfig
from emufort.config.section import Device, Line, Section
from emufort.contract_files import is_path
from emufort.dataset.sources import data_files
from emufort.errors import UsageError
from emufort.messages import explain, one_line
from emufort.paths import PathLike


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    UsageError
        The file is missing or not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also raised for numbers with very many digits
        raise UsageError(f"{path} is not valid TOML: {one_line(error)}") from error


_CONTRACT = "activation"


class Config(Section):
    """The options of a whole run; ``Config()`` is the default run on the embedded data set."""

    preset: Line | None = None
    contract: Line = _CONTRACT
    data: Line | None = None
    seed: int = Field(1, ge=0, le=2_000_000_000)
    workers: int = Field(
        0, ge=0, le=65_536, description="number of processes; 0 means one per core"
    )
    device: Device = Field(
        "auto", description="where networks are trained: auto, cpu, cuda, cuda:N or mps"
    )
    labels: LabelsConfig = LabelsConfig()
    search: SearchConfig = SearchConfig()
    advice: AdviceConfig = AdviceConfig()
    retrain: RetrainConfig = RetrainConfig()
    timing: TimingConfig = TimingConfig()
    select: SelectConfig = SelectConfig()
    export: ExportConfig = ExportConfig()
    verify: VerifyConfig = VerifyConfig()
    cluster: ClusterConfig = ClusterConfig()

    _recorded: frozenset[str] = PrivateAttr(frozenset())

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preset is not None and (self.data is not None or self.contract != _CONTRACT):
            raise ValueError(
                f"preset = '{self.preset}' brings its own contract and data: leave out contract "
                "and data"
            )
        if self.select.ncol not in self.timing.ncol:
            raise ValueError(
                f"select.ncol = {self.select.ncol} is none of timing.ncol = "
                f"{list(self.timing.ncol)}: nothing is timed there"
            )
        return self

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read a TOML file; relative paths in it are relative to the file's folder.

        Raises
        ------
        UsageError
            The file is missing or not valid TOML, a key is unknown or a value is not valid.
        """
        path = Path(path)
        content = read_toml(path)
        if "input" in content and "output" in content:
            raise UsageError(f"{path} is a contract, not a configuration; give it by --contract")
        if "process" in content:
            raise UsageError(f"{path} is a preset, not a configuration; give it by --preset")

        def resolved(name: Any, is_name: bool = False) -> Any:
            """Return a relative path as an absolute one; a registered name stays unchanged."""
            if not isinstance(name, str) or (is_name and not is_path(name)):
                return name
            file = path.parent / name
            if file.is_file():
                return str(file.resolve())
            is_pattern = not is_name and bool(data_files(file))
            return str(path.parent.resolve() / name) if is_pattern else name

        if "data" in content:
            content["data"] = resolved(content["data"])
        for key in ("contract", "preset"):
            if key in content:
                content[key] = resolved(content[key], is_name=True)
        search = content.get("search", {})
        if isinstance(search, dict) and "cost_table" in search:
            search["cost_table"] = resolved(search["cost_table"])
        space = search.get("space", {}) if isinstance(search, dict) else {}
        if isinstance(space, dict) and isinstance(space.get("target"), list):
            space["target"] = [resolved(name, is_name=True) for name in space["target"]]
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: dict[str, Any], source: str = "configuration") -> Self:
        """Build a configuration from plain data; the errors are those of `load`."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UsageError(f"{source}: {explain(error, cls)}") from error

    @property
    def recorded(self) -> frozenset[str]:
        """Options of `timing` that come only from a run folder; `emufort.run.untrusted_options`."""
        return self._recorded

    def as_recorded(self, names: Iterable[str]) -> Self:
        """Return this configuration with `names` marked as coming only from a run folder."""
        copy = self.model_copy()
        copy._recorded = frozenset(names)
        return copy

    @property
    def n_workers(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))


#: All options with their defaults; the only place where defaults are defined.
DEFAULTS = Config()
