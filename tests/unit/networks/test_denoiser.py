"""Denoising with a diffusion model: the mapping, the prediction targets, one step and several."""

import subprocess
import sys

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from tests.unit.networks.denoiser_folders import tiny_unet

from segcert.config import Config
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.folders import ModelError
from segcert.networks.noise_schedule import closest_timestep
from segcert.training.denoiser import build_scheduler, build_unet

ABAR = DDPMScheduler(1000, beta_schedule="linear").alphas_cumprod


@pytest.mark.parametrize("sigma", [0.1, 0.25, 0.5, 1.0])
def test_t_star_has_the_noise_level_of_sigma(sigma):
    """An image in [-1, 1] with noise 2 sigma, scaled by sqrt(abar), is the forward process at t*."""
    t = closest_timestep(ABAR, sigma)
    levels = ((1 - ABAR) / ABAR).sqrt()
    assert levels[t] == pytest.approx(2 * sigma, rel=0.02)
    assert abs(levels[t] ** 2 - 4 * sigma**2) == (levels**2 - 4 * sigma**2).abs().min()


def test_a_sigma_beyond_the_schedule_is_refused():
    abar = DDPMScheduler(100, beta_schedule="linear").alphas_cumprod
    with pytest.raises(ValueError, match=r"sigma: found 1\.0; expected at most 0\.6"):
        closest_timestep(abar, 1.0)


class Output:
    def __init__(self, sample):
        self.sample = sample


class Oracle(torch.nn.Module):
    """A diffusion model that knows the clean image, so it predicts the noise or the velocity exactly."""

    def __init__(self, z_0, prediction):
        super().__init__()
        self.z_0, self.prediction, self.seen = z_0, prediction, []

    def forward(self, z_t, t):
        self.seen.append(int(t))
        epsilon = (z_t - ABAR[t].sqrt() * self.z_0) / (1 - ABAR[t]).sqrt()
        velocity = ABAR[t].sqrt() * epsilon - (1 - ABAR[t]).sqrt() * self.z_0
        return Output({"epsilon": epsilon, "v_prediction": velocity, "sample": self.z_0}[self.prediction])


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_a_perfect_prediction_gives_the_clean_image(sigma, prediction, steps):
    x = torch.rand(2, 1, 8, 8)
    oracle = Oracle(2 * x - 1, prediction)
    denoiser = DiffusionDenoiser(oracle, ABAR, prediction, steps)
    torch.testing.assert_close(denoiser(x + sigma * torch.randn_like(x), sigma), x, rtol=0, atol=1e-4)
    assert len(oracle.seen) == steps
    assert oracle.seen[0] == closest_timestep(ABAR, sigma)
    assert oracle.seen == sorted(oracle.seen, reverse=True)


def test_an_unknown_prediction_target_is_refused():
    with pytest.raises(ModelError, match="found 'flow'; expected one of epsilon, sample, v_prediction"):
        DiffusionDenoiser(torch.nn.Identity(), ABAR, "flow")
    for steps in (0, 1001):
        with pytest.raises(ModelError, match=f"steps: found {steps}; expected 1 to 1000"):
            DiffusionDenoiser(torch.nn.Identity(), ABAR, steps=steps)


def saved(folder, channels=1, **changes):
    """Save random weights in the format of diffusers, as training does."""
    torch.manual_seed(0)
    settings = Config().model_dump()["denoiser"] | {"channels": [8, 16]} | changes
    build_unet(settings, channels, 16).save_pretrained(folder / "unet")
    build_scheduler(settings).save_pretrained(folder / "scheduler")
    return folder


OPTIONS = [
    {"prediction": prediction, "noise_schedule": schedule}
    for prediction in ("epsilon", "v_prediction")
    for schedule in ("linear", "cosine")
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()))
def test_one_shot_is_diffusers_own_prediction_of_x0(tmp_path, options):
    """Compare with pred_original_sample of DDPMScheduler.step, from the saved folders."""
    denoiser = DiffusionDenoiser.load(saved(tmp_path, **options))
    scheduler = DDPMScheduler.from_pretrained(tmp_path / "scheduler")
    x_noisy, sigma = torch.rand(2, 1, 16, 16) + 0.5 * torch.randn(2, 1, 16, 16), 0.5
    t = denoiser.timestep(sigma)
    with torch.no_grad():
        z_t = scheduler.alphas_cumprod[t].sqrt() * (2 * x_noisy - 1)
        predicted = UNet2DModel.from_pretrained(tmp_path / "unet")(z_t, t).sample
        expected = (scheduler.step(predicted, t, z_t).pred_original_sample + 1) / 2
        torch.testing.assert_close(denoiser(x_noisy, sigma), expected, rtol=0, atol=1e-5)
    assert not denoiser.training


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()))
def test_k_steps_are_ddim(tmp_path, options):
    """Compare with DDIMScheduler (eta = 0), which takes equal steps from t* down to 0 with as many calls."""
    steps, sigma = 4, 0.5
    denoiser = DiffusionDenoiser.load(saved(tmp_path, **options), steps)
    timesteps = denoiser.timesteps(sigma)
    assert len(timesteps) == steps
    unet = UNet2DModel.from_pretrained(tmp_path / "unet")
    scheduler = DDIMScheduler.from_pretrained(tmp_path / "scheduler", clip_sample=True, set_alpha_to_one=True)
    x_noisy = torch.rand(2, 1, 16, 16) + 0.5 * torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        z_t = scheduler.alphas_cumprod[timesteps[0]].sqrt() * (2 * x_noisy - 1)
        for t, following in zip(timesteps, [*timesteps[1:], -1], strict=True):
            scheduler.num_inference_steps = 1
            scheduler.config.num_train_timesteps = t - following
            done = scheduler.step(unet(z_t, t).sample, t, z_t, use_clipped_model_output=True)
            z_t = done.prev_sample
        expected = (done.pred_original_sample + 1) / 2
        torch.testing.assert_close(denoiser(x_noisy, sigma), expected, rtol=0, atol=1e-5)


def test_a_gray_image_behind_a_colour_denoiser_is_replicated_and_the_estimates_averaged(tmp_path):
    denoiser = DiffusionDenoiser.load(saved(tmp_path, channels=3, prediction="epsilon"))
    x_noisy = torch.rand(2, 1, 16, 16)
    t = denoiser.timestep(0.25)
    with torch.no_grad():
        z_t = ABAR[t].sqrt() * (2 * x_noisy - 1)
        epsilon = denoiser.unet(z_t.expand(-1, 3, -1, -1), torch.tensor(t)).sample.mean(dim=1, keepdim=True)
        expected = ((z_t - (1 - ABAR[t]).sqrt() * epsilon) / ABAR[t].sqrt()).clamp(-1, 1) / 2 + 0.5
        torch.testing.assert_close(denoiser(x_noisy, 0.25), expected, rtol=0, atol=1e-6)


def test_learned_variances_are_ignored():
    """ADM has six output channels for three input channels: the first three are the noise."""

    class Learned(torch.nn.Module):
        config = type("Config", (), {"in_channels": 3})

        def forward(self, z_t, t):
            return Output(torch.cat([torch.zeros_like(z_t), torch.full_like(z_t, torch.nan)], dim=1))

    x = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(DiffusionDenoiser(Learned(), ABAR)(x, 0.25), x)


@pytest.mark.parametrize(
    ("shape", "sigma", "message"),
    [
        (
            (1, 15, 16),
            0.25,
            r"15 x 16 pixels; expected a height and a width that are multiples of 2",
        ),
        (
            (1, 16, 17),
            0.25,
            r"16 x 17 pixels; expected a height and a width that are multiples of 2",
        ),
        ((3, 16, 16), 0.25, r"denoiser: found an image with 3 channels; expected 1"),
        ((2, 16, 16), 0.25, r"denoiser: found an image with 2 channels; expected 1"),
        ((1, 16, 16), 100, r"sigma: found 100; expected at most 78\.7, this denoiser's highest noise level"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape, sigma, message):
    denoiser = DiffusionDenoiser(tiny_unet(), ABAR)
    with pytest.raises(ModelError, match=message):
        denoiser.require_fit(shape, sigma)
    with pytest.raises(ModelError, match=message):
        denoiser(torch.zeros(1, *shape), sigma)


def test_colour_behind_a_colour_denoiser_has_three_channels():
    denoiser = DiffusionDenoiser(tiny_unet(in_channels=3, out_channels=3), ABAR)
    denoiser.require_fit((3, 16, 16), 0.25)
    denoiser.require_fit((1, 16, 16), 0.25)
    with pytest.raises(ModelError, match="found an image with 2 channels; expected 3"):
        denoiser.require_fit((2, 16, 16), 0.25)


def test_another_size_of_images_is_remarked():
    denoiser = DiffusionDenoiser(tiny_unet(), ABAR)
    assert denoiser.remarks((16, 16), 0.25) == []
    expected = ["the denoiser was trained on images of 16 x 16 pixels and gets 32 x 64"]
    assert denoiser.remarks((32, 64), 0.25) == expected


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda z_t: z_t, r"its network returned a Tensor for images of shape \(2, 1, 4, 4\)"),
        (lambda z_t: Output(z_t[:1]), r"its network returned \(1, 1, 4, 4\) for images"),
        (lambda z_t: Output(z_t.expand(-1, 3, -1, -1)), r"its network returned \(2, 3, 4, 4\) for images"),
        (lambda z_t: Output(None), "its network returned a Output for images"),
    ],
)
def test_a_network_that_returns_something_else_is_named(output, message):
    class Other(torch.nn.Module):
        def forward(self, z_t, t):
            return output(z_t)

    with pytest.raises(ModelError, match=message):
        DiffusionDenoiser(Other(), ABAR)(torch.zeros(2, 1, 4, 4), 0.25)


def test_a_folder_without_its_files_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"unet/config\.json: missing"):
        DiffusionDenoiser.load(tmp_path)


PROGRAM = """
import sys, torch
from diffusers import DDPMScheduler, UNet2DModel
folder = sys.argv[1]
unet = UNet2DModel.from_pretrained(folder + "/unet", use_safetensors=True)
scheduler = DDPMScheduler.from_pretrained(folder + "/scheduler")
x_noisy, t = torch.load(folder + "/case.pt", weights_only=True)
with torch.no_grad():
    z_t = scheduler.alphas_cumprod[t].sqrt() * (2 * x_noisy - 1)
    done = scheduler.step(unet(z_t, t).sample, int(t), z_t)
torch.save((done.pred_original_sample + 1) / 2, folder + "/denoised.pt")
assert not [name for name in sys.modules if name.startswith("segcert")]
"""


def test_diffusers_alone_can_use_a_saved_denoiser(tmp_path):
    """The library diffusers alone reads the folders and gives the same result as segcert."""
    denoiser = DiffusionDenoiser.load(saved(tmp_path))
    x_noisy, sigma = torch.rand(2, 1, 16, 16) + 0.5 * torch.randn(2, 1, 16, 16), 0.5
    torch.save((x_noisy, torch.tensor(denoiser.timestep(sigma))), tmp_path / "case.pt")
    subprocess.run([sys.executable, "-I", "-c", PROGRAM, str(tmp_path)], check=True)
    with torch.no_grad():
        expected = denoiser(x_noisy, sigma)
    torch.testing.assert_close(torch.load(tmp_path / "denoised.pt", weights_only=True), expected, rtol=0, atol=1e-5)
