"""The ResNet-34 encoder (He et al., CVPR 2016) of ResUNet++ and DeepLabV3+."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

HALVINGS = 5  # number of times the encoder halves the resolution: H and W must be divisible by 2**HALVINGS = 32
BLOCKS = (3, 4, 6, 3)  # number of residual blocks per stage (He et al., table 1)


class ResNet34(nn.Module):
    """ResNet-34 that maps images to features at strides 1 (the images themselves), 2, 4, 8, 16 and 32.

    The images have shape (B, in_channels, H, W).

    Parameters
    ----------
    in_channels
        Number of channels in the images.
    width
        Number of channels in the stem and the first stage. Later stages have 2, 4 and 8 times as many. The original
        ResNet-34 has width 64.
    output_stride
        32 or 16. With 16, the last stage keeps the resolution and dilates its convolutions instead, as in DeepLab.

    Notes
    -----
    The names of modules match those of torchvision (except `fc`, which does not exist here) and of
    segmentation_models_pytorch. With a width of 64, state dicts from both libraries can be loaded.
    """

    def __init__(self, in_channels: int, width: int = 64, output_stride: Literal[16, 32] = 32) -> None:
        super().__init__()
        self.channels = (in_channels, width, width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(width, width, BLOCKS[0])
        self.layer2 = stage(width, 2 * width, BLOCKS[1], stride=2)
        self.layer3 = stage(2 * width, 4 * width, BLOCKS[2], stride=2)
        dilated = output_stride == 16
        self.layer4 = stage(4 * width, 8 * width, BLOCKS[3], stride=1 if dilated else 2, dilation=2 if dilated else 1)
        he_initialise(self, "fan_out")

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x, self.relu(self.bn1(self.conv1(x)))]
        features.append(self.layer1(self.maxpool(features[-1])))
        for layer in (self.layer2, self.layer3, self.layer4):
            features.append(layer(features[-1]))
        return features


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection.

    The block maps shape (B, C, H, W) to (B, C', H / stride, W / stride).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if in_channels != out_channels:
            projection = Projection(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        activated: Tensor = self.relu(residual + self.downsample(x))
        return activated


class Projection(nn.Conv2d):
    """A strided 1x1 convolution that is computed as a convolution without stride over every `stride`-th pixel.

    On a CPU, oneDNN's strided convolution writes out of bounds in the backward pass for channels_last tensors with few
    channels (uxlfoundation/oneDNN, issue 6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def stage(in_channels: int, out_channels: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return the residual blocks of one stage. The first block changes the number of channels and the resolution."""
    first = BasicBlock(in_channels, out_channels, stride, dilation)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, 1, dilation) for _ in range(blocks - 1)))


def he_initialise(part: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Draw the weights of convolutions as in He et al. (ICCV 2015, section 2.2) and set their biases to 0."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
