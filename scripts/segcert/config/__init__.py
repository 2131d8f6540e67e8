"""The configuration: its model, and what to write where it is wrong."""

from segcert.config.errors import ConfigError
from segcert.config.schema import DATASETS, Config

__all__ = ["DATASETS", "Config", "ConfigError"]
