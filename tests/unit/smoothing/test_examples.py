"""Predictions on clean images, and every other place that reads an output of a network: it must be finite."""

import numpy as np
import pytest
import torch
from tests.unit.networks.denoiser_folders import saved, tiny_unet

from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.io.arrays import StoredArrays
from segcert.networks.folders import ModelError
from segcert.networks.registry import build_segmenter, save_segmenter
from segcert.smoothing.denoiser_scores import denoiser_scores
from segcert.smoothing.examples import denoise_examples, predict_clean

CPU = torch.device("cpu")
SIDE = 16


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantom"
    prepare(DATASET, find_phantoms({"train": 1, "val": 1, "test": 3}, SIDE), folder, Form(SIDE))
    return folder / "index.csv"


LARGE = 1e30  # the product of two such float32 numbers is infinite


def segmenter(folder, weight=None):
    torch.manual_seed(0)
    arguments = {"in_channels": 1, "num_classes": 3, "width": 4, "depth": 1}
    model = build_segmenter("unet", arguments)
    if weight:
        for part in model.parameters():
            torch.nn.init.constant_(part, weight)
    config = {"architecture": "unet", "arguments": arguments, "classes": ["background", "lungs", "heart"]}
    save_segmenter(folder, model, config)
    return folder, model.eval()


@pytest.mark.parametrize("pool", [1, 2])
def test_predictions_are_the_largest_logits_of_the_clean_images(index, tmp_path, pool):
    folder, model = segmenter(tmp_path / "net")
    predict_clean(index, folder, tmp_path / "labels.npz", test_images=2, pool=pool, device=CPU)
    dataset = PreparedDataset(index)
    with StoredArrays(tmp_path / "labels.npz") as labels, torch.inference_mode():
        assert list(labels) == dataset.names("test", 2)
        for name in labels:
            x = torch.from_numpy(dataset.image(name))[None]
            logits = model(torch.nn.functional.avg_pool2d(x, pool))
            logits = torch.nn.functional.interpolate(logits, scale_factor=pool, mode="bilinear")
            assert np.array_equal(labels[name], logits[0].argmax(dim=0))


def test_a_prediction_that_is_not_finite_names_the_network_and_the_image(index, tmp_path):
    """The weights are finite, and the logits are not: all classes would be equal, and give class 0 everywhere."""
    folder, _ = segmenter(tmp_path / "net", LARGE)
    first = PreparedDataset(index).names("test")[0]
    with pytest.raises(ModelError, match=rf"{folder}: its output for the image {first} is not finite\. Look for"):
        predict_clean(index, folder, tmp_path / "labels.npz", test_images=None, pool=1, device=CPU)
    assert not (tmp_path / "labels.npz").exists()


def test_a_denoised_image_that_is_not_finite_names_the_denoiser(index, tmp_path):
    network = tiny_unet()
    for part in network.parameters():
        torch.nn.init.constant_(part, LARGE)
    folder = saved(tmp_path / "denoiser", network)
    with pytest.raises(ModelError, match=rf"{folder}: its output for a validation image at sigma 0.5 is not finite"):
        denoiser_scores(index, {"own": folder}, denoising_steps=1, sigmas=[0.5], pool=1, seed=0, device=CPU)
    written = {"denoising_steps": 1, "outputs": {0.5: tmp_path / "e.npz"}, "examples": 1, "pool": 1, "seed": 0}
    with pytest.raises(ModelError, match=rf"{folder}: its output for the image \S+ is not finite"):
        denoise_examples(index, folder, **written, device=CPU)
