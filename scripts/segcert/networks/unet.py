"""The U-Net (Ronneberger et al., MICCAI 2015), with batch normalisation."""

import itertools

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """U-Net for segmentation.

    The network maps images in [0, 1], of shape (B, in_channels, H, W), to logits of shape (B, num_classes, H, W). H and
    W must be divisible by 2**depth.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.stem = double_conv(in_channels, width)
        self.down = nn.ModuleList(double_conv(narrow, wide) for narrow, wide in itertools.pairwise(widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, stride=2) for narrow, wide in itertools.pairwise(widths)
        )
        self.merge = nn.ModuleList(double_conv(2 * narrow, narrow) for narrow in widths[:-1])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.stem(x)]
        for down in self.down:
            skips.append(down(self.pool(skips[-1])))
        x = skips.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two blocks, each of which is a 3x3 convolution, batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
