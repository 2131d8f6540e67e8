"""The segmentation networks that come with segcert, as configuration and rules know them: without torch."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A built-in network; its class stands in segcert.networks.registry.

    Attributes
    ----------
    arguments
        Keys of the section `segmenter` of the configuration that its constructor takes.
    halvings
        How often it halves the resolution; None: as often as `depth` says.
    least_batch
        Fewest images of a batch that it can learn from.
    """

    arguments: tuple[str, ...] = ("width",)
    halvings: int | None = 5
    least_batch: int = 1


ARCHITECTURES = {
    "unet": Architecture(arguments=("width", "depth"), halvings=None),
    "resunetpp": Architecture(),
    "deeplabv3plus": Architecture(least_batch=2),  # it normalises one number per image and channel
}
