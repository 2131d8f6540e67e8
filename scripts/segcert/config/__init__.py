"""The configuration: its model, and what to write where it is wrong."""

from segcert.config.errors import ConfigError
from segcert.config.schema import Config

__all__ = ["Config", "ConfigError"]
