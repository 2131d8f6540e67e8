"""What can be wrong with an image, a model or votes that are to be drawn."""


class SamplingError(ValueError):
    """An image, a model or settings that cannot be sampled."""
