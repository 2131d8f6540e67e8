import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from segcert.config import Config
from segcert.data.dataset import PreparedDataset
from segcert.data.errors import DataError
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.folders import ModelError
from segcert.networks.noise_schedule import noise_levels
from segcert.networks.registry import load_segmenter
from segcert.networks.unet import UNet
from segcert.training.augment import augment, flipped
from segcert.training.denoiser import build_scheduler, steps_drawer, train_denoiser
from segcert.training.segmenter import denoised_at, mean_dice, memory_layout, noisy_up_to, train_segmenter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantom"
    prepare(DATASET, find_phantoms({"train": 12, "val": 4, "test": 2}, 32), folder, Form(32))
    return folder / "index.csv"


def settings_of(section, **changes):
    values = Config().model_dump()[section]
    values["augmentation"]["flips"] = False
    return values | {"batch_size": 4} | changes


def segmenter(index, folder, regime="clean", seed=0, network=(4, 2), pool=1, behind=None, **changes):
    width, depth = network
    train_segmenter(
        index, folder, architecture="unet",
        arguments={"in_channels": 1, "num_classes": 3, "width": width, "depth": depth},
        regime=regime, settings=settings_of("segmenter", **changes), **(behind or {}), pool=pool, seed=seed, device=CPU,
        checkpoint=folder / "checkpoint.pt",
    )  # fmt: skip
    return folder


def denoiser(indexes, folder, seed=0, **changes):
    settings = settings_of("denoiser", **({"channels": [8, 16]} | changes))
    train_denoiser(indexes, folder, settings=settings, seed=seed, device=CPU, checkpoint=folder / "checkpoint.pt")
    return folder


def test_a_segmenter_learns(index, tmp_path):
    segmenter(index, tmp_path, network=(8, 3), batch_size=12, steps=120, evaluate_every=40)
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["step"]) == [40, 80, 120]
    assert history["val_dice"].max() > 0.7
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    model, config = load_segmenter(tmp_path)
    assert config["classes"] == ["background", "lungs", "heart"]
    assert (config["regime"], config["sigma_max"], config["image_size"]) == ("clean", 0.0, 32)
    assert not model.training


def test_pooled_training_uses_smaller_images_and_less_noise(index, tmp_path, monkeypatch):
    """Images are (16, 16) instead of (32, 32), with half the noise level, as averages over 2 x 2 pixels have."""
    seen = []

    def spied(sigma_max):
        corrupt = noisy_up_to(sigma_max)
        return lambda images, generator: seen.append((sigma_max, images.shape[1:])) or corrupt(images, generator)

    monkeypatch.setattr("segcert.training.segmenter.noisy_up_to", spied)
    segmenter(index, tmp_path, "noise", pool=2, steps=2)
    assert set(seen) == {(0.5, (1, 16, 16))}
    _, config = load_segmenter(tmp_path)
    assert (config["image_size"], config["pool"], config["sigma_max"]) == (32, 2, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out_channels": 2}, r"BasicUNet' with {.*: returns \(3, 2, 32, 32\); .* lungs, heart"),
        ({"in_channels": 3}, r"BasicUNet' with {.*: does not accept images of shape \(3, 1, 32, 32\)"),
    ],
)
def test_a_user_supplied_network_that_does_not_fit_the_data_is_refused_before_images_are_read(
    index, tmp_path, arguments, message, monkeypatch
):
    monkeypatch.setattr(PreparedDataset, "stack", lambda *_: pytest.fail("images are read"))
    fitting = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "features": [4] * 6}
    with pytest.raises(ModelError, match=message):
        train_segmenter(
            index, tmp_path, architecture="monai.networks.nets:BasicUNet", arguments=fitting | arguments,
            regime="clean", settings=settings_of("segmenter"), seed=0, device=CPU, checkpoint=tmp_path / "checkpoint",
        )  # fmt: skip


def test_a_validation_image_without_labels_stops_the_training(index, tmp_path, monkeypatch):
    """Logits that are NaN in eval mode only would count as background, and choose the weights."""
    forward = UNet.forward

    def broken(self, x):
        is_clean = x.min() >= 0 and x.max() <= 1  # the check before training is on noisy images
        return forward(self, x) * (torch.nan if is_clean and not self.training else 1)

    monkeypatch.setattr(UNet, "forward", broken)
    with pytest.raises(ModelError, match=r"training .* on phantom: its output for a validation image is not finite"):
        segmenter(index, tmp_path, steps=2)


def test_the_bytes_depend_on_the_seed_alone(index, tmp_path):
    runs = {
        name: segmenter(index, tmp_path / name, "noise", seed, steps=4) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    weights = {name: (folder / "model.safetensors").read_bytes() for name, folder in runs.items()}
    assert weights["a"] == weights["b"] != weights["c"]
    assert json.loads((tmp_path / "a" / "config.json").read_text())["sigma_max"] == 1.0


@pytest.mark.parametrize(
    "changes",
    [{}, {"prediction": "epsilon", "noise_schedule": "cosine"}, {"levels": "all"}],
    ids=lambda changes: "-".join(changes.values()) or "default",
)
def test_a_denoiser_removes_noise(index, tmp_path, changes):
    denoiser([index], tmp_path, steps=120, evaluate_every=60, **changes)
    images = np.stack([pair.load()[0].pixels for pair in find_phantoms({"test": 4}, 32).pairs])
    x = torch.from_numpy(images.astype(np.float32) / 255)
    generator = torch.Generator().manual_seed(0)
    denoise = DiffusionDenoiser.load(tmp_path)
    for sigma in (0.25, 0.5, 1.0):
        x_noisy = x + sigma * torch.randn(x.shape, generator=generator)
        with torch.inference_mode():
            error = (denoise(x_noisy, sigma) - x).square().mean()
        clipped = (x_noisy.clip(0, 1) - x).square().mean()
        assert error < 0.4 * clipped, sigma
        if sigma == 0.25:
            assert error < 0.6 * x.var(correction=0), "better than the best constant image, a hard rival at 1.0"
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["step"]) == [60, 120]


def test_a_denoiser_is_shared_by_data_sets_of_equal_channels(index, tmp_path, tmp_path_factory):
    twice = denoiser([index, index], tmp_path / "shared", steps=3, batch_size=24)
    once = denoiser([index], tmp_path / "one", steps=3, batch_size=24)
    weights = [(folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() for folder in (twice, once)]
    assert weights[0] != weights[1], "a batch of all 24 images differs from a batch with each of 12 images twice"
    folder = tmp_path_factory.mktemp("colour")
    shutil.copytree(index.parent, folder, dirs_exist_ok=True)
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(about | {"name": "colour", "channels": 3}))
    with pytest.raises(DataError, match=r"different numbers of channels \({'phantom': 1, 'colour': 3}\)"):
        denoiser([index, folder / "index.csv"], tmp_path / "neither", steps=1)


def test_a_segmenter_is_fine_tuned_behind_the_denoiser(index, tmp_path):
    """Fine-tuning starts from the clean segmenter, uses denoised images, and improves on them."""
    clean = segmenter(index, tmp_path / "clean", network=(8, 2), steps=60, evaluate_every=60)
    behind = {
        "start": clean, "denoiser": denoiser([index], tmp_path / "denoiser", steps=60), "sigmas": [0.5, 1.0],
        "denoising_steps": 1,
    }  # fmt: skip
    tuned = segmenter(index, tmp_path / "tuned", "denoised", behind=behind, network=(8, 2), steps=40, evaluate_every=1)
    scores = pd.read_csv(tmp_path / "tuned" / "history.csv")["val_dice"]
    assert scores.iloc[-5:].mean() > scores.iloc[0] > 0.2
    _, config = load_segmenter(tuned)
    assert (config["regime"], config["sigma_max"]) == ("denoised", 1.0)
    with pytest.raises(ValueError, match="needs a denoiser and `sigmas`"):
        denoised_at([0.5], None, 1, 1, CPU)


def test_fine_tuning_uses_the_same_inputs_as_certification(index, tmp_path):
    """Noise at full resolution, averaged over 2 x 2 pixels, has the level sigma / 2 at half the size."""
    folder = denoiser([index], tmp_path, steps=20)
    x = torch.rand(3, 1, 16, 16)
    seen = denoised_at([0.5], folder, 1, 2, CPU)(x, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    torch.randint(1, (3,), generator=generator)
    with torch.inference_mode():
        expected = DiffusionDenoiser.load(folder)(x + 0.25 * torch.randn(x.shape, generator=generator), 0.25)
    torch.testing.assert_close(seen, expected)


AUGMENTATION = settings_of("segmenter")["augmentation"]


@pytest.mark.parametrize("flips", [False, True])
def test_augmentation_transforms_images_and_masks_alike(flips):
    masks = torch.zeros(8, 64, 64, dtype=torch.long)
    masks[:, 20:40, 10:30] = 1
    images = 0.2 + 0.6 * masks[:, None].float()
    settings = AUGMENTATION | {"flips": flips, "colour": 0.1}
    changed, changed_masks = augment(images, masks, settings, torch.Generator().manual_seed(0))
    assert changed_masks.dtype == torch.long
    assert not torch.equal(changed_masks, masks)
    for image, mask in zip(changed[:, 0], changed_masks, strict=True):
        middle = (image.max() + image.min()) / 2
        assert ((image > middle) == (mask == 1)).float().mean() > 0.98
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_flips_give_all_eight_orientations():
    image = torch.arange(9.0).view(1, 1, 3, 3).expand(200, 1, 3, 3)
    found = {tuple(each.flatten().tolist()) for each in flipped(image, torch.Generator().manual_seed(0))}
    turns = [np.rot90(face, k) for face in (image[0, 0].numpy(), image[0, 0].numpy()[:, ::-1]) for k in range(4)]
    assert found == {tuple(turn.flatten()) for turn in turns}


def test_without_augmentation_images_are_unchanged():
    images, masks = torch.rand(2, 3, 16, 16), torch.randint(3, (2, 16, 16))
    still = dict.fromkeys(AUGMENTATION, 0) | {"flips": False}
    changed, changed_masks = augment(images, masks, still, torch.Generator())
    torch.testing.assert_close(changed, images)
    assert torch.equal(changed_masks, masks)


def test_noise_levels_are_uniform_up_to_the_largest():
    images = torch.zeros(400, 1, 32, 32)
    assert torch.equal(noisy_up_to(0.0)(images, torch.Generator()), images)
    levels = noisy_up_to(0.8)(images, torch.Generator().manual_seed(0)).std(dim=(1, 2, 3))
    assert levels.max() < 0.85
    assert levels.mean() == pytest.approx(0.4, abs=0.04)


@pytest.mark.parametrize("pool", [1, 2])
def test_trained_levels_are_log_uniform_in_their_range(pool):
    settings = settings_of("denoiser", levels="range", sigma_min=0.2, sigma_max=0.8)
    alphas_cumprod = build_scheduler(settings).alphas_cumprod
    steps = steps_drawer(settings, alphas_cumprod, pool)(4000, torch.Generator().manual_seed(0))
    sigmas = pool * noise_levels(alphas_cumprod)[steps]
    assert 0.195 < sigmas.min() < 0.205
    assert 0.79 < sigmas.max() < 0.802
    assert (sigmas < 0.4).double().mean() == pytest.approx(0.5, abs=0.03)
    everywhere = steps_drawer(settings | {"levels": "all"}, alphas_cumprod, pool)(4000, torch.Generator())
    assert everywhere.min() < 10
    assert everywhere.max() > 989


def test_mean_dice():
    labels, masks = torch.tensor([[[1, 1, 0, 2]]]), torch.tensor([[[1, 0, 0, 2]]])
    assert mean_dice(labels, masks, 3) == pytest.approx((2 / 3 + 1) / 2)


def test_user_supplied_networks_keep_the_default_layout_on_a_cpu():
    target = "monai.networks.nets:UNet"
    assert memory_layout("resunetpp", CPU) == torch.channels_last
    assert memory_layout(target, CPU) == torch.contiguous_format
    assert memory_layout(target, torch.device("cuda")) == torch.channels_last
