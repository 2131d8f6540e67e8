"""The configuration: its model, and what to write where it is wrong."""

from segcert.config.model import DATASETS, Config
from segcert.config.problems import ConfigError

__all__ = ["DATASETS", "Config", "ConfigError"]
