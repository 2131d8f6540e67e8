"""The segmentation networks that come with segcert, as configuration and rules know them: without torch."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A built-in network, in the module of its name in segcert.networks.

    Attributes
    ----------
    class_name
        Its class in that module.
    arguments
        Keys of the section `segmenter` of the configuration that its constructor takes.
    halvings
        How often it halves the resolution; None: as often as `depth` says.
    least_batch
        Fewest images of a batch that it can learn from.
    """

    class_name: str
    arguments: tuple[str, ...] = ("width",)
    halvings: int | None = 5
    least_batch: int = 1


ARCHITECTURES = {
    "unet": Architecture("UNet", arguments=("width", "depth"), halvings=None),
    "resunetpp": Architecture("ResUNetPlusPlus"),
    "deeplabv3plus": Architecture("DeepLabV3Plus", least_batch=2),  # it normalises one number per image and channel
}


def modules_of(*models: str) -> list[str]:
    """The modules of segmenters, which the registry loads by name: what code digests take as `loaded`.

    A network of the user's own may be made of any of them, so then all count.
    """
    names = sorted(models) if set(models) <= ARCHITECTURES.keys() else sorted(ARCHITECTURES)
    return [f"segcert/networks/{name}.py" for name in dict.fromkeys(names)]
