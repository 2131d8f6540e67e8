"""The built-in segmentation networks, described for configuration and rules without importing torch."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A built-in network. Its module in segcert.networks has its name.

    Attributes
    ----------
    class_name
        Name of its class in that module.
    arguments
        Keys of the section `segmenter` of the configuration that its constructor takes.
    halvings
        Number of times it halves the resolution; None: `depth` times.
    least_batch
        Smallest number of images per training batch.
    """

    class_name: str
    arguments: tuple[str, ...] = ("width",)
    halvings: int | None = 5
    least_batch: int = 1


ARCHITECTURES = {
    "unet": Architecture("UNet", arguments=("width", "depth"), halvings=None),
    "resunetpp": Architecture("ResUNetPlusPlus"),
    "deeplabv3plus": Architecture("DeepLabV3Plus", least_batch=2),  # it normalises a single value per image and channel
}


def modules_of(*models: str) -> list[str]:
    """Return the modules of segmenters, which the registry loads by name, for the argument `loaded` of code digests.

    A user-supplied network may be built from any of them, so all modules count then.
    """
    names = sorted(models) if set(models) <= ARCHITECTURES.keys() else sorted(ARCHITECTURES)
    return [f"segcert/networks/{name}.py" for name in dict.fromkeys(names)]
