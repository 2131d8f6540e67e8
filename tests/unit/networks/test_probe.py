"""Networks that are no function of the noisy image alone are refused; others are not."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segcert.networks.folders import ModelError
from segcert.networks.probe import gray_image, noisy_images, probe_network

IMAGES = noisy_images(gray_image((1, 16, 16)))


class Normalised(nn.Module):
    """Each image has mean 0 and standard deviation 1 before the network sees it."""

    def forward(self, x):
        mean, std = x.mean(dim=(1, 2, 3), keepdim=True), x.std(dim=(1, 2, 3), keepdim=True)
        z = (x - mean) / std
        return torch.cat([z, -z], dim=1)


class AlwaysDropping(nn.Module):
    def forward(self, x):
        return F.dropout(torch.cat([x, -x], dim=1), 0.1, training=True)


class Root(nn.Module):
    def forward(self, x):
        return torch.cat([x, torch.sqrt(x)], dim=1)


class OverTheBatch(nn.Module):
    def forward(self, x):
        return torch.cat([x - x.mean(), -x], dim=1)


def convolutions(norm):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()


@pytest.mark.parametrize(
    "model",
    [
        Normalised(),
        convolutions(nn.BatchNorm2d(8)),
        convolutions(nn.GroupNorm(2, 8)),
        convolutions(nn.InstanceNorm2d(8)),
    ],
    ids=["z-scores", "running statistics", "group norm", "instance norm"],
)
def test_functions_of_each_image_pass(model):
    probe_network(model, "net", IMAGES)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (AlwaysDropping(), "net: its logits change from call to call"),
        (convolutions(nn.Dropout(0.5)).train(), "from call to call"),
        (convolutions(nn.BatchNorm2d(8, track_running_stats=False)), "with the other images in the batch"),
        (OverTheBatch(), "with the other images in the batch"),
        (Root(), "its output for a noisy image is not finite"),
    ],
    ids=["functional dropout", "train mode", "batch statistics", "mean of the batch", "root of noise"],
)
def test_others_are_refused_with_their_reason(model, message):
    with pytest.raises(ModelError, match=message):
        probe_network(model, "net", IMAGES)


def test_the_probe_leaves_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    probe_network(convolutions(nn.Identity()), "net", noisy_images(gray_image((1, 16, 16))))
    torch.manual_seed(3)
    noisy_images(gray_image((1, 8, 8)))
    assert torch.equal(torch.rand(4), expected)
