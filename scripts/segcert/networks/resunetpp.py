"""ResUNet++: a ResNet-34 encoder and the nested decoder of UNet++ (Zhou et al., DLMIA 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcert.networks.resnet import HALVINGS, ResNet34, he_initialise

NARROWEST = 4


class ResUNetPlusPlus(nn.Module):
    """ResUNet++ network for segmentation.

    The network maps images in [0, 1], of shape (B, in_channels, H, W), to logits of shape (B, num_classes, H, W). H and
    W must be divisible by 32. Laousy et al. (MICCAI 2023) call UNet++ with a ResNet-34 encoder "ResUNet++". Jha et al.
    (ISM 2019) use this name for a different network. With a `width` of 64, the structure and the tensor names match
    `UnetPlusPlus(encoder_name="resnet34")` from segmentation_models_pytorch, which the code of Laousy et al. uses, so
    state dicts of that network can be loaded. Initial weights are drawn as in He et al. (ICCV 2015).
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.encoder = ResNet34(in_channels, width)
        self.decoder = NestedDecoder(self.encoder.channels[1:], width)
        self.segmentation_head = nn.Sequential(nn.Conv2d(self.decoder.out_channels, num_classes, 3, padding=1))
        for part in (self.decoder, self.segmentation_head):
            he_initialise(part, "fan_in")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(x)[1:]))
        return logits


class NestedDecoder(nn.Module):
    """Decoder that maps features at strides 2, 4, 8, 16 and 32 to an output of shape (B, out_channels, H, W).

    The features are numbered from 0, which is the deepest feature. Node `x_i_j` upsamples the output of the node below
    it to the resolution of feature j + 1. It merges the result with this feature and with the outputs of all nodes
    `x_k_j` with i < k <= j, which have the same resolution. The nodes are those of equation 1 in Zhou et al., where the
    indices have a different order. The last node has no skip connections and returns features at full resolution.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        deepest, *skips = reversed(channels)
        outputs = [max(NARROWEST, 4 * width // 2**level) for level in range(HALVINGS)]
        below = [deepest, *outputs]
        self.blocks = nn.ModuleDict()
        for j, skip in enumerate(skips):
            self.blocks[f"x_0_{j}"] = Node(below[j] + (j + 1) * skip, outputs[j])
            for i in range(1, j + 1):
                self.blocks[f"x_{i}_{j}"] = Node(skips[j - 1] + (j + 1 - i) * skip, skip)
        self.last = len(skips)
        self.out_channels = outputs[-1]
        self.blocks[f"x_0_{self.last}"] = Node(below[self.last], self.out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        deepest, *skips = reversed(features)
        column = [deepest]  # nodes at the previous resolution: x_0_{j-1}, ..., x_{j-1}_{j-1} and the feature
        for j, skip in enumerate(skips):
            merged = [skip]
            for i in reversed(range(j + 1)):
                merged.insert(0, self.blocks[f"x_{i}_{j}"](column[i], merged))
            column = merged
        full: Tensor = self.blocks[f"x_0_{self.last}"](column[0], [])
        return full


class Node(nn.Module):
    """Decoder node that merges features with skip connections.

    The features have shape (B, C, H, W), and the skip connections have shape (B, C', 2H, 2W). The result has shape (B,
    out_channels, 2H, 2W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv_norm_relu(in_channels, out_channels)
        self.conv2 = conv_norm_relu(out_channels, out_channels)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        enlarged = F.interpolate(x, scale_factor=2, mode="nearest")
        merged: Tensor = self.conv2(self.conv1(torch.cat([enlarged, *skips], dim=1)))
        return merged


def conv_norm_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution, followed by batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
