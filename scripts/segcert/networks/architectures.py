"""Descriptions of the built-in segmentation networks. This module does not import torch."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A built-in network. Its module in segcert.networks has the same name as the network.

    Attributes
    ----------
    class_name
        Name of the network's class in its module.
    arguments
        Keys of the configuration section `segmenter` that are passed to the network's constructor.
    halvings
        Number of times that the network halves the resolution. None if this number is the network's argument `depth`.
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
    "deeplabv3plus": Architecture("DeepLabV3Plus", least_batch=2),  # batch normalisation of image means needs 2 images
}


def modules_of(*models: str) -> list[str]:
    """Return the paths of the modules that define the named segmenters, for code digests.

    If a model is user-supplied, all modules are returned, because the model may be built from any of them.
    """
    names = sorted(models) if set(models) <= ARCHITECTURES.keys() else sorted(ARCHITECTURES)
    return [f"segcert/networks/{name}.py" for name in dict.fromkeys(names)]
