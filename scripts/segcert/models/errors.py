"""What goes wrong with networks."""


class ModelError(ValueError):
    """A network, or a model folder, that cannot be used."""
