"""Typed model of the configuration, and error messages that suggest the configuration line to write."""

from segcert.config.errors import ConfigError
from segcert.config.schema import Config

__all__ = ["Config", "ConfigError"]
