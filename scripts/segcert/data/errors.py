"""The error of a data set that cannot be used."""


class DataError(ValueError):
    """Data that cannot be used; the message names the file, what was found, what was expected and what to do."""
