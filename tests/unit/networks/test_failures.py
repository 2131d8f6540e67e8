"""Networks that fail or cannot be reproduced: the error says what helps; replaced operations are exact."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import segcert
from segcert.networks.deterministic import max_unpool
from segcert.networks.failures import refuse
from segcert.networks.folders import ModelError
from segcert.networks.probe import check_output
from segcert.networks.runtime import set_up_torch
from segcert.smoothing.noise import SamplingError

IMAGE = np.random.default_rng(0).random((1, 16, 16), np.float32)
CLASSES = ["background", "lung"]


class SegNet(nn.Module):
    """A network that undoes max pooling with the indices of the maxima, as SegNet does."""

    def __init__(self):
        super().__init__()
        self.inner, self.pool, self.unpool = nn.Conv2d(1, 2, 1), nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        return self.unpool(*self.pool(self.inner(x)))


class Putting(nn.Module):
    def forward(self, x):
        y = torch.cat([x, -x], 1)
        return y.put_(torch.tensor([0]), y.new_ones(1))


class Raising(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


@pytest.fixture
def as_in_commands():
    """Settings of torch in segcert's commands and jobs."""
    threads = torch.get_num_threads()
    yield set_up_torch("cpu", 1)
    torch.set_deterministic_debug_mode("default")
    torch.set_num_threads(threads)


def test_max_unpooling_is_replaced_by_an_equal_operation(as_in_commands):
    torch.manual_seed(0)
    network, x = SegNet().eval(), torch.rand(3, 1, 16, 16)
    pooled, indices = network.pool(network.inner(x))
    expected = torch.zeros(3, 2, 256)
    for image in range(3):
        for channel in range(2):
            expected[image, channel, indices[image, channel].flatten()] = pooled[image, channel].flatten()
    assert torch.equal(network(x), expected.view(3, 2, 16, 16))
    check_output(network, "SegNet", (1, 16, 16), CLASSES)
    votes = segcert.SmoothedSegmenter(network, 0.25, 2).sample(IMAGE, 4, 20)
    assert votes.estimation.sum() == 20 * 256
    gradient = torch.autograd.grad(network(x).square().sum(), network.inner.weight)[0]
    again = torch.autograd.grad((pooled**2).sum(), network.inner.weight)[0]
    torch.testing.assert_close(gradient, again)


def test_unpooling_in_an_exported_network_and_in_other_dimensions(as_in_commands, tmp_path):
    x = torch.rand(2, 1, 16, 16)
    torch.set_deterministic_debug_mode("default")
    torch.export.save(torch.export.export(SegNet().eval(), (x,)), tmp_path / "segnet.pt2")
    torch.set_deterministic_debug_mode("error")
    from segcert.networks.exported import load_exported

    check_output(load_exported(tmp_path / "segnet.pt2"), "segnet", (1, 16, 16), CLASSES)
    volume, indices = F.max_pool3d(torch.rand(1, 2, 4, 4, 4), 2, return_indices=True)
    assert torch.equal(F.max_pool3d(F.max_unpool3d(volume, indices, 2), 2), volume)
    line, indices = F.max_pool1d(torch.rand(1, 2, 8), 2, return_indices=True)
    assert torch.equal(F.max_pool1d(F.max_unpool1d(line, indices, 2), 2), line)
    assert max_unpool(torch.tensor([[[[1.0, 5.0, 3.0]]]]), torch.tensor([[[[2, 2, 2]]]]), (2, 2)).tolist() == [
        [[[0, 0], [5, 0]]]
    ]


def test_other_nondeterministic_operations_are_named(as_in_commands):
    message = r"uses put_, which is not deterministic on cpu.*\. Replace this layer of the network$"
    with pytest.raises(ModelError, match=message):
        check_output(Putting().eval(), "net", (1, 16, 16), CLASSES)
    with pytest.raises(SamplingError, match=message):
        segcert.SmoothedSegmenter(Putting().eval(), 0.25, 2).sample(IMAGE, 2, 2)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu!"),
         r"a tensor that is not on cpu, the device of its images .*device=x\.device"),
        (NotImplementedError("Could not run 'aten::empty' with arguments from the 'CUDA' backend. This\nA\nB"),
         r"a tensor that is not on .*'CUDA' backend"),
        (AssertionError("Torch not compiled with CUDA enabled"), "a tensor that is not on cpu"),
        (RuntimeError("mat1 and mat2 must have the same dtype, but got Float and Half"),
         r"values of type torch\.float32 .*model\.float\(\)"),
        (KeyError("features"), r"\(KeyError: 'features'\)"),
        (AssertionError(), r"\(AssertionError\)"),
        (RuntimeError("x" * 5000), r"x\.\.\.\)"),
        (RuntimeError("The following operation failed in the TorchScript interpreter.\nTraceback\n  code\n"
                      "RuntimeError: expected input to have 3 channels\n"), r"\(expected input to have 3 channels\)"),
    ],
)  # fmt: skip
def test_errors_of_networks_are_explained(error, message):
    with pytest.raises(ModelError, match=message) as refusal:
        refuse(error, None, torch.zeros(2, 1, 4, 4))
    assert len(str(refusal.value)) < 600
    with pytest.raises(SamplingError, match=f"model: .*{message}"):
        segcert.SmoothedSegmenter(Raising(error).eval(), 0.25, 2).sample(IMAGE, 2, 2)
    with pytest.raises(ModelError, match=f"net: .*{message}"):
        check_output(Raising(error).eval(), "net", (1, 4, 4), CLASSES)


@pytest.mark.parametrize("number_type", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_in_another_precision_is_named(number_type):
    network = nn.Conv2d(1, 2, 1).to(number_type).eval()
    name = str(number_type)
    with pytest.raises(SamplingError, match=rf"its weights is {name}\. Call model\.float\(\)"):
        segcert.SmoothedSegmenter(network, 0.25, 2).sample(IMAGE, 2, 2)
    segcert.SmoothedSegmenter(network.float(), 0.25, 2).sample(IMAGE, 2, 2)


def test_a_denoiser_keeps_its_own_message():
    def denoiser(x, sigma):
        raise ValueError("sigma: found 9; expected at most 5")

    model = nn.Conv2d(1, 2, 1).eval()
    with pytest.raises(SamplingError, match="denoiser: sigma: found 9; expected at most 5"):
        segcert.SmoothedSegmenter(model, 0.25, 2, denoiser).sample(IMAGE, 2, 2)
    with pytest.raises(SamplingError, match=r"denoiser: returned \(32, 1, 16\) for images of shape \(32, 1, 16, 16\)"):
        segcert.SmoothedSegmenter(model, 0.25, 2, lambda x, sigma: x[..., 0]).sample(IMAGE, 2, 2)


class ZScores(nn.Module):
    """Each image has mean 0 and standard deviation 1 before the network sees it. A constant image gives NaN."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x):
        mean, std = x.mean(dim=(1, 2, 3), keepdim=True), x.std(dim=(1, 2, 3), keepdim=True)
        return self.head((x - mean) / std)


@pytest.mark.parametrize("pixels", [IMAGE, np.zeros_like(IMAGE)], ids=["image", "constant image"])
@pytest.mark.parametrize("batch_size", [7, 32])
@pytest.mark.parametrize("noise", ["normal", "exact"])
def test_z_scores_are_certified_even_on_a_constant_image_and_in_padded_batches(pixels, batch_size, noise):
    pixels = np.round(pixels * 255) / np.float32(255)
    network = ZScores().eval()
    votes = segcert.SmoothedSegmenter(network, 0.25, 2, batch_size=batch_size, noise=noise).sample(pixels, 4, 20)
    assert votes.estimation.sum() == 20 * 256


def test_weights_that_are_nan_are_named():
    network = nn.Conv2d(1, 2, 1).eval()
    nn.init.constant_(network.weight, float("nan"))
    with pytest.raises(ModelError, match=r"net: its weights contain NaN \(weight\), which means"):
        check_output(network, "net", (1, 16, 16), CLASSES)
    with pytest.raises(SamplingError, match="not finite for a noisy copy"):
        segcert.SmoothedSegmenter(network, 0.25, 2).sample(IMAGE, 2, 2)
