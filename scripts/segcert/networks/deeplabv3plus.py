"""DeepLabV3+ (Chen et al., ECCV 2018) with a ResNet-34 encoder."""

import torch
from torch import Tensor, nn

from segcert.networks.resnet import ResNet34, he_initialise

RATES = (12, 24, 36)
DROPOUT = 0.5
NARROWEST = 4


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ network for segmentation.

    The network maps images in [0, 1], of shape (B, in_channels, H, W), to logits of shape (B, num_classes, H, W). H and
    W must be divisible by 16. With a `width` of 64, the structure and the tensor names match
    `DeepLabV3Plus(encoder_name="resnet34")` from segmentation_models_pytorch, so state dicts of that network can be
    loaded. The code of Laousy et al. (MICCAI 2023) uses that network. Initial weights are drawn as in He et al. (ICCV
    2015). Training needs batches of at least two images, because the batch normalisation of the image means computes a
    variance over the images in the batch.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.encoder = ResNet34(in_channels, width, output_stride=16)
        self.decoder = Decoder(self.encoder.channels[-1], self.encoder.channels[2], 4 * width, 3 * width // 4)
        self.segmentation_head = nn.Sequential(nn.Conv2d(4 * width, num_classes, 1), nn.UpsamplingBilinear2d(None, 4))
        for part in (self.decoder, self.segmentation_head):
            he_initialise(part, "fan_in")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(x)))
        return logits


class Decoder(nn.Module):
    """Decoder that maps encoder features to an output of shape (B, out_channels, H / 4, W / 4).

    The deepest features provide context, and the features at stride 4 provide edges.
    """

    def __init__(self, deep_channels: int, edge_channels: int, out_channels: int, reduced_channels: int) -> None:
        super().__init__()
        reduced_channels = max(NARROWEST, reduced_channels)
        self.aspp = nn.Sequential(
            ASPP(deep_channels, out_channels), *norm_relu(separable_conv(out_channels, out_channels), out_channels)
        )
        # With torch.use_deterministic_algorithms, torch upsamples on CUDA by indexing, which has a deterministic
        # backward pass (see torch.nn.functional.interpolate). The documentation of torch still says that this raises an
        # error.
        self.up = nn.UpsamplingBilinear2d(scale_factor=4)
        self.block1 = norm_relu(nn.Conv2d(edge_channels, reduced_channels, 1, bias=False), reduced_channels)
        self.block2 = norm_relu(separable_conv(out_channels + reduced_channels, out_channels), out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        edges = features[2]
        merged: Tensor = self.block2(torch.cat([self.up(self.aspp(features[-1])), self.block1(edges)], dim=1))
        return merged


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling, which maps shape (B, in_channels, H, W) to (B, out_channels, H, W).

    The parallel branches are a 1x1 convolution, separable convolutions at three dilation rates, and the image mean. A
    1x1 convolution merges the branches (Chen et al. 2017, section 3.3), with dropout during training.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([norm_relu(nn.Conv2d(in_channels, out_channels, 1, bias=False), out_channels)])
        for rate in RATES:
            self.convs.append(norm_relu(separable_conv(in_channels, out_channels, rate), out_channels))
        self.convs.append(ImageMean(in_channels, out_channels))
        projection = nn.Conv2d(len(self.convs) * out_channels, out_channels, 1, bias=False)
        self.project = nn.Sequential(*norm_relu(projection, out_channels), nn.Dropout(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.project(torch.cat([conv(x) for conv in self.convs], dim=1))
        return projected


class ImageMean(nn.Sequential):
    """Image-level features, which are computed from the mean over the image and are equal at every pixel.

    The module maps shape (B, in_channels, H, W) to (B, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        super().__init__(nn.AdaptiveAvgPool2d(1), *norm_relu(convolution, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        for layer in self:
            x = layer(x)
        return x.expand(-1, -1, *size)


def separable_conv(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Sequential:
    """Return a depthwise 3x3 convolution, followed by a 1x1 convolution across the channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, 1, dilation, dilation, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
    )


def norm_relu(convolution: nn.Module, channels: int) -> nn.Sequential:
    """Return a convolution, followed by batch normalisation and ReLU."""
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())
