"""The configuration: its typed model, and error messages with the line to write."""

from segcert.config.errors import ConfigError
from segcert.config.schema import Config

__all__ = ["Config", "ConfigError"]
