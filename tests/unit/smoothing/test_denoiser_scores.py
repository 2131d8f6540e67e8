import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch.nn.functional import avg_pool2d

from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.smoothing.denoiser_scores import denoiser_scores, nl_means, psnr, ssim, wavelet
from segcert.smoothing.noise import draw_key, image_digest, standard_normal_

SIZE, SEED = 32, 3
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantom"
    prepare(DATASET, find_phantoms({"train": 1, "val": 3, "test": 1}, SIZE), folder, Form(SIZE))
    return folder / "index.csv"


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=SIZE, in_channels=1, out_channels=1, block_out_channels=(8, 8), layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models")
    unet.save_pretrained(folder / "unet")
    DDPMScheduler(prediction_type="v_prediction").save_pretrained(folder / "scheduler")
    return folder


def scored(index, denoisers, sigmas=(0.5,), pool=1, steps=1):
    rows = denoiser_scores(
        index, denoisers, denoising_steps=steps, sigmas=sigmas, pool=pool, seed=SEED, device=CPU
    )  # fmt: skip
    return pd.DataFrame(rows).set_index(["sigma", "method"])


def noisy_pairs(index, sigma, pool):
    """Yield validation images and their noisy copies as the networks see them, from the keys of the noise."""
    dataset = PreparedDataset(index)
    for name in dataset.names("val"):
        image = dataset.image(name)
        normal = standard_normal_(torch.empty(image.shape), draw_key(SEED, image_digest(image), "selection", 0))
        x = torch.from_numpy(image)
        yield avg_pool2d(x, pool), avg_pool2d(x + sigma * normal, pool)


def psnr_by_hand(pairs):
    return np.mean([-10 * ((x - y.clip(0, 1)) ** 2).mean().log10().item() for x, y in pairs])


def test_psnr_of_an_error_of_a_tenth_is_20_db():
    x = np.full((3, 8, 8), 0.5, np.float32)
    assert psnr(x, x + np.float32(0.1)) == pytest.approx(20, abs=1e-4)


def test_ssim_of_one_window_by_hand():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 1, 7, 7)).astype(np.float32)
    covariance = np.cov(x.ravel(), y.ravel())  # sample covariance: divided by 48
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * x.mean() * y.mean() + c1) / (x.mean() ** 2 + y.mean() ** 2 + c1)
    structure = (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2)
    assert ssim(x, y) == pytest.approx(luminance * structure, abs=1e-5)
    assert np.isnan(ssim(x[:, :6], y[:, :6]))


@pytest.mark.parametrize("pool", [1, 2])
def test_noisy_images_and_the_denoiser_are_scored_on_the_keyed_noise(index, denoiser, pool):
    sigmas = (0.25, 0.5)
    rows = scored(index, {"ddpm": denoiser}, sigmas, pool, steps=2)
    assert len(rows) == 2 * 4
    assert set(rows["images"]) == {3}
    denoise = DiffusionDenoiser.load(denoiser, steps=2)
    for sigma in sigmas:
        pairs = list(noisy_pairs(index, sigma, pool))
        assert rows.loc[(sigma, "noisy"), "psnr"] == pytest.approx(psnr_by_hand(pairs), abs=1e-3)
        with torch.inference_mode():
            denoised = [(x, denoise(y[None], sigma / pool)[0]) for x, y in pairs]
        assert rows.loc[(sigma, "ddpm"), "psnr"] == pytest.approx(psnr_by_hand(denoised), abs=1e-3)


def test_classical_methods_treat_three_gray_channels_like_one():
    x_noisy = np.random.default_rng(0).random((1, 16, 12)).astype(np.float32)
    for method in (nl_means, wavelet):
        assert np.allclose(method(x_noisy.repeat(3, axis=0), 0.2), method(x_noisy, 0.2), atol=0.05), method


def test_classical_methods_remove_noise(index):
    rows = scored(index, {}, (0.1, 0.5))
    for sigma in (0.1, 0.5):
        for method in ("nl_means", "wavelet"):
            assert rows.loc[(sigma, method), "psnr"] > rows.loc[(sigma, "noisy"), "psnr"] + 3
            assert rows.loc[(sigma, method), "ssim"] > rows.loc[(sigma, "noisy"), "ssim"]
