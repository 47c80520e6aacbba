"""The configuration of a run: every option with its default, read from TOML and checked."""

from emufort.config.cluster import ClusterConfig
from emufort.config.config import DEFAULTS, Config, read_toml
from emufort.config.deployment import ExportConfig, SelectConfig, TimingConfig, VerifyConfig
from emufort.config.labels import LabelsConfig
from emufort.config.retrain import RetrainConfig
from emufort.config.search import AdviceConfig, SearchConfig, SpaceConfig

__all__ = [
    "DEFAULTS",
    "AdviceConfig",
    "ClusterConfig",
    "Config",
    "ExportConfig",
    "LabelsConfig",
    "RetrainConfig",
    "SearchConfig",
    "SelectConfig",
    "SpaceConfig",
    "TimingConfig",
    "VerifyConfig",
    "read_toml",
]
