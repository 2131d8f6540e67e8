"""The error that is raised for unusable data."""


class DataError(ValueError):
    """Data cannot be used. The message names the file, what was found, what was expected and what to do."""
