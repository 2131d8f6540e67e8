import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from segcert.config import Config
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.diffusion.denoiser import OneShotDenoiser
from segcert.models.registry import load_segmenter
from segcert.training.augment import augment
from segcert.training.denoiser import train_denoiser
from segcert.training.loop import TrainingError, shuffled_batches, train, warm_up_then_cosine
from segcert.training.segmenter import add_noise, mean_dice, train_segmenter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantom"
    prepare(DATASET, find_phantoms({"train": 12, "val": 4, "test": 2}, 32), folder, Form(32))
    return folder / "index.csv"


def settings_of(section, **changes):
    return getattr(Config(), section).model_dump() | {"batch_size": 4} | changes


def segmenter(index, folder, regime="clean", seed=0, **changes):
    settings = settings_of("segmenter", **({"width": 4, "depth": 2} | changes))
    train_segmenter(index, folder, architecture="unet", regime=regime, settings=settings, seed=seed, device=CPU)
    return folder


def test_a_segmenter_learns(index, tmp_path):
    segmenter(index, tmp_path, width=8, depth=3, batch_size=12, steps=120, evaluate_every=40)
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["step"]) == [40, 80, 120]
    assert history["val_dice"].max() > 0.7
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    model, config = load_segmenter(tmp_path)
    assert config["classes"] == ["background", "lungs", "heart"]
    assert (config["regime"], config["sigma_max"], config["image_size"]) == ("clean", 0.0, 32)
    assert not model.training


def test_pooled_training_sees_smaller_images_and_less_noise(index, tmp_path):
    """In (16, 16) instead of (32, 32); noise of the level sigma / 2 there, which a pooled copy has too."""
    settings = settings_of("segmenter", width=4, depth=2, steps=2)
    train_segmenter(index, tmp_path, architecture="unet", regime="noise", settings=settings, pool=2, seed=0, device=CPU)
    _, config = load_segmenter(tmp_path)
    assert (config["image_size"], config["pool"], config["sigma_max"]) == (32, 2, 1.0)
    noisy = torch.zeros(64, 1, 32, 32) + torch.randn((64, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    assert nn.functional.avg_pool2d(noisy, 2).std() == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_bytes_and_another_others(index, tmp_path):
    runs = {
        name: segmenter(index, tmp_path / name, "noise", seed, steps=4) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    weights = {name: (folder / "model.safetensors").read_bytes() for name, folder in runs.items()}
    assert weights["a"] == weights["b"] != weights["c"]
    assert json.loads((tmp_path / "a" / "config.json").read_text())["sigma_max"] == 1.0


def test_a_denoiser_removes_noise(index, tmp_path):
    settings = settings_of("denoiser", channels=[8, 16], steps=120, evaluate_every=60)
    train_denoiser(index, tmp_path, settings=settings, seed=0, device=CPU)
    images = np.stack([pair.load()[0].pixels for pair in find_phantoms({"test": 4}, 32).pairs])
    x = torch.from_numpy(images.astype(np.float32) / 255)
    generator = torch.Generator().manual_seed(0)
    denoiser = OneShotDenoiser.load(tmp_path)
    for sigma in (0.25, 0.5, 1.0):
        x_noisy = x + sigma * torch.randn(x.shape, generator=generator)
        with torch.inference_mode():
            error = (denoiser(x_noisy, sigma) - x).square().mean()
        assert error < 0.3 * sigma**2, "less than a third of the noise is left"


def test_the_best_weights_are_kept(tmp_path):
    """The score falls after the first evaluation, so the weights of that one come back."""
    model = nn.Linear(1, 1, bias=False)
    seen = []

    def score_of():
        seen.append(model.weight.item())
        return {"score": -len(seen)}

    x = torch.ones(4, 1)
    train(
        model, lambda batch: model(x[batch]).mean(), score_of, shuffled_batches(4, 2, torch.Generator()),
        what="test", steps=6, learning_rate=0.1, weight_decay=0.0, evaluate_every=2, history=tmp_path / "h.csv",
    )  # fmt: skip
    assert model.weight.item() == seen[0] != seen[-1]


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    model = nn.Linear(1, 1)
    with pytest.raises(TrainingError, match="the loss is nan at step 1; lower the learning rate"):
        train(
            model, lambda batch: model.bias.sum() * math.nan, dict, shuffled_batches(4, 2, torch.Generator()),
            what="test", steps=6, learning_rate=0.1, weight_decay=0.0, evaluate_every=2, history=tmp_path / "h.csv",
        )  # fmt: skip
    assert not (tmp_path / "h.csv").exists()


def test_batches_pass_over_everything():
    batches = shuffled_batches(10, 4, torch.Generator().manual_seed(0))
    indices = torch.cat([next(batches) for _ in range(5)])
    assert sorted(indices.tolist()) == sorted(2 * list(range(10)))


def test_learning_rate_warms_up_and_ends_at_zero():
    factors = [warm_up_then_cosine(step, 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.2)
    assert max(factors) == factors[5] == 1.0
    assert factors[100] == pytest.approx(0.0, abs=1e-9)


def test_augmentation_moves_images_and_masks_alike():
    masks = torch.zeros(8, 64, 64, dtype=torch.long)
    masks[:, 20:40, 10:30] = 1
    images = 0.2 + 0.6 * masks[:, None].float()
    moved, moved_masks = augment(images, masks, torch.Generator().manual_seed(0))
    assert moved_masks.dtype == torch.long
    assert not torch.equal(moved_masks, masks)
    for image, mask in zip(moved[:, 0], moved_masks, strict=True):
        middle = (image.max() + image.min()) / 2
        assert ((image > middle) == (mask == 1)).float().mean() > 0.98
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_noise_levels_are_uniform_up_to_the_largest():
    images = torch.zeros(400, 1, 32, 32)
    assert torch.equal(add_noise(images, 0.0, torch.Generator()), images)
    levels = add_noise(images, 0.8, torch.Generator().manual_seed(0)).std(dim=(1, 2, 3))
    assert levels.max() < 0.85
    assert levels.mean() == pytest.approx(0.4, abs=0.04)


def test_mean_dice():
    labels, masks = torch.tensor([[[1, 1, 0, 2]]]), torch.tensor([[[1, 0, 0, 2]]])
    assert mean_dice(labels, masks, 3) == pytest.approx((2 / 3 + 1) / 2)
