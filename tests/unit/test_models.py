import json

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

from segcert.diffusion.denoiser import OneShotDenoiser, closest_timestep
from segcert.models.registry import ModelError, build_segmenter, load_segmenter, save_segmenter
from segcert.models.runtime import set_up_torch
from segcert.training.denoiser import build_unet

ARGUMENTS = {"in_channels": 1, "num_classes": 3, "width": 4, "depth": 2}
CONFIG = {"architecture": "unet", "arguments": ARGUMENTS, "classes": ["a", "b", "c"]}


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 5)])
def test_unet_takes_any_channels_and_classes(channels, classes):
    model = build_segmenter("unet", {"in_channels": channels, "num_classes": classes, "width": 4, "depth": 3})
    assert model(torch.rand(2, channels, 16, 24)).shape == (2, classes, 16, 24)


def test_unet_has_the_papers_size():
    """The U-Net of 64 to 1024 channels has 31.0 million weights."""
    model = build_segmenter("unet", {"in_channels": 1, "num_classes": 2})
    assert sum(parameter.numel() for parameter in model.parameters()) == 31_036_546


def test_segmenter_comes_back_from_disk_and_saves_the_same_bytes(tmp_path):
    model = build_segmenter("unet", ARGUMENTS).eval()
    for name in "ab":
        save_segmenter(tmp_path / name, model, CONFIG)
    loaded, config = load_segmenter(tmp_path / "a")
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(x), model(x))
    assert not loaded.training
    assert config == CONFIG
    files = [tmp_path / name / "model.safetensors" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_weights_of_another_network_are_refused(tmp_path):
    save_segmenter(tmp_path, build_segmenter("unet", ARGUMENTS), CONFIG)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"arguments": ARGUMENTS | {"width": 8}}))
    with pytest.raises(ModelError, match=r"model\.safetensors: does not fit"):
        load_segmenter(tmp_path)
    with pytest.raises(ModelError, match="'vnet' is not known"):
        build_segmenter("vnet", {})


@pytest.mark.parametrize("sigma", [0.1, 0.25, 0.5, 1.0])
def test_t_star_has_the_noise_level_of_sigma(sigma):
    """An image in [-1, 1] with noise 2 sigma, scaled by sqrt(abar), is the forward process at t*."""
    abar = DDPMScheduler(1000, beta_schedule="linear").alphas_cumprod
    t = closest_timestep(abar, sigma)
    levels = ((1 - abar) / abar).sqrt()
    assert levels[t] == pytest.approx(2 * sigma, rel=0.02)
    assert abs(levels[t] ** 2 - 4 * sigma**2) == (levels**2 - 4 * sigma**2).abs().min()


class Oracle(torch.nn.Module):
    """A diffusion model that knows the clean image and so predicts the noise exactly."""

    def __init__(self, z_0, abar):
        super().__init__()
        self.z_0, self.abar = z_0, abar

    def forward(self, z_t, t):
        class Output:
            sample = (z_t - self.abar[t].sqrt() * self.z_0) / (1 - self.abar[t]).sqrt()

        return Output()


@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_a_perfect_noise_prediction_gives_the_clean_image(sigma):
    x = torch.rand(2, 1, 8, 8)
    abar = DDPMScheduler(1000, beta_schedule="linear").alphas_cumprod
    denoiser = OneShotDenoiser(Oracle(2 * x - 1, abar), abar)
    torch.testing.assert_close(denoiser(x + sigma * torch.randn_like(x), sigma), x, rtol=0, atol=1e-4)


def test_the_denoiser_is_diffusers_own_prediction_of_x0(tmp_path):
    """Against DDPMScheduler.step's pred_original_sample, from the saved folders."""
    torch.manual_seed(0)
    build_unet({"channels": [8, 16], "layers_per_block": 1}, 1, 16).save_pretrained(tmp_path / "unet")
    scheduler = DDPMScheduler(1000, beta_schedule="linear", clip_sample=True)
    scheduler.save_pretrained(tmp_path / "scheduler")
    denoiser = OneShotDenoiser.load(tmp_path)
    x_noisy, sigma = torch.rand(2, 1, 16, 16) + 0.5 * torch.randn(2, 1, 16, 16), 0.5
    t = denoiser.timestep(sigma)
    with torch.no_grad():
        z_t = scheduler.alphas_cumprod[t].sqrt() * (2 * x_noisy - 1)
        epsilon = UNet2DModel.from_pretrained(tmp_path / "unet")(z_t, t).sample
        expected = (scheduler.step(epsilon, t, z_t).pred_original_sample + 1) / 2
        torch.testing.assert_close(denoiser(x_noisy, sigma), expected, rtol=0, atol=1e-5)
    assert not denoiser.training


def test_cuda_without_a_gpu_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="`device`: found cuda"):
        set_up_torch("cuda", 1)
    assert set_up_torch("auto", torch.get_num_threads()).type == "cpu"


def test_a_sigma_beyond_the_schedule_is_refused():
    abar = DDPMScheduler(100, beta_schedule="linear").alphas_cumprod
    with pytest.raises(ValueError, match=r"sigma: found 1\.0; the noise schedule of this denoiser ends at 0\.6"):
        closest_timestep(abar, 1.0)
