"""The error for unusable data."""


class DataError(ValueError):
    """Error for unusable data. The message names the file, what was found, what was expected and what to do."""
