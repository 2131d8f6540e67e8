"""Noise schedules: those of a DDPM are read as diffusers reads them, and all others are refused."""

import json

import diffusers
import pytest
import torch
from tests.unit.networks.denoiser_folders import SCHEDULER, saved, tiny_unet, with_keys

from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.diffusers_parts import SCHEDULERS
from segcert.networks.folders import ModelError
from segcert.networks.noise_schedule import check_schedule, closest_timestep, noise_levels, read_schedule

X_NOISY = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
SIGMA = 0.25


def one_shot(folder, network):
    """Return Carlini et al.'s estimate of x in [0, 1], computed from diffusers' own schedule and network."""
    name = json.loads((folder / SCHEDULER).read_text())["_class_name"]
    scheduler = getattr(diffusers, name).from_pretrained(folder / "scheduler")
    abar = scheduler.alphas_cumprod
    t = int(((1 - abar) / abar - 4 * SIGMA**2).abs().argmin())
    z_t = abar[t].sqrt() * (2 * X_NOISY - 1)
    with torch.no_grad():
        predicted = network(z_t, t).sample
    signal, noise = abar[t].sqrt(), (1 - abar[t]).sqrt()
    estimates = {
        "epsilon": (z_t - noise * predicted) / signal,
        "v_prediction": signal * z_t - noise * predicted,
        "sample": predicted,
    }
    return (estimates[scheduler.config.prediction_type].clamp(-1, 1) + 1) / 2


def denoised(folder):
    with torch.no_grad():
        return DiffusionDenoiser.load(folder)(X_NOISY, SIGMA)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_of_a_ddpm_has_diffusers_own_schedule(tmp_path, name):
    """They draw samples differently, but their networks are the same function. Default betas differ."""
    scheduler = getattr(diffusers, name)(100, prediction_type="v_prediction")
    scheduler.save_pretrained(tmp_path / "scheduler")
    schedule = read_schedule(tmp_path)
    assert torch.equal(schedule.alphas_cumprod, scheduler.alphas_cumprod)
    assert (schedule.prediction, schedule.learns_variance) == ("v_prediction", False)


ACCEPTED = [
    {"prediction_type": "v_prediction"},
    {"prediction_type": "sample"},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"beta_schedule": "sigmoid"},
    {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    {"trained_betas": [0.01, 0.1, 0.2, 0.3], "num_train_timesteps": 4},
    {"num_train_timesteps": 100},
    {"timestep_spacing": "trailing", "steps_offset": 1},
    {"clip_sample": False, "clip_sample_range": 2.0},
    {"thresholding": True},
]


@pytest.mark.parametrize("options", ACCEPTED, ids=str)
def test_a_schedule_is_read_as_it_was_trained(tmp_path, options):
    network = tiny_unet()
    folder = saved(tmp_path, network, diffusers.DDPMScheduler(**options))
    assert torch.equal(denoised(folder), one_shot(folder, network))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_keys_that_are_missing_have_the_default_of_their_class(tmp_path):
    network = tiny_unet()
    folder = saved(tmp_path, network, diffusers.HeunDiscreteScheduler())
    with_keys(folder, SCHEDULER, "beta_start", "beta_end", "prediction_type")
    assert torch.equal(denoised(folder), one_shot(folder, network))


def test_keys_that_only_affect_sampling_are_ignored(tmp_path):
    """`from_config` of one class keeps the keys of another."""
    folder = saved(tmp_path)
    before = denoised(folder)
    with_keys(folder, SCHEDULER, use_karras_sigmas=True, set_alpha_to_one=False, final_sigmas_type="zero", note=None)
    assert torch.equal(denoised(folder), before)


REFUSED_CLASSES = [
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "EDMEulerScheduler",
    "EDMDPMSolverMultistepScheduler",
    "ScoreSdeVeScheduler",
    "CMStochasticIterativeScheduler",
    "LCMScheduler",
    "TCDScheduler",
    "IPNDMScheduler",
    "CogVideoXDDIMScheduler",
    "UnCLIPScheduler",
]


@pytest.mark.parametrize("name", REFUSED_CLASSES)
def test_networks_that_are_called_differently_are_refused(tmp_path, name):
    """A flow-matching scheduler was once read as DDPM, with DDPM's default betas."""
    folder = saved(tmp_path, scheduler=getattr(diffusers, name)())
    found = rf"scheduler_config\.json: `_class_name`: found '{name}'; expected DDPMScheduler, .* Use a denoiser that"
    with pytest.raises(ModelError, match=found):
        DiffusionDenoiser.load(folder)


EULER, SOLVER = diffusers.EulerDiscreteScheduler, diffusers.DPMSolverMultistepScheduler
REFUSED = [
    (diffusers.DDPMScheduler(clip_sample_range=2), "`clip_sample_range`: found 2; expected 1"),
    (diffusers.DDPMScheduler(thresholding=True, sample_max_value=1.5), "`sample_max_value`: found 1.5"),
    (diffusers.DDPMScheduler(trained_betas=[0.1] * 5), "`trained_betas`: found 5 values; .* which is 1000"),
    (diffusers.DDPMScheduler(4, trained_betas=[0.1, 1.5, 0.1, 0.1]), r"found a beta of 1\.5; expected betas above 0"),
    (diffusers.DDPMScheduler(2, trained_betas=[0.0, 0.1]), "found a beta of 0; expected betas above 0"),
    (diffusers.DDPMScheduler(beta_end=1.5), r"found a beta of 1\.00003; expected betas above 0"),
    (SOLVER(use_flow_sigmas=True), "`use_flow_sigmas`: found true"),
    (SOLVER(use_flow_sigmas=True, prediction_type="flow_prediction"), "`prediction_type`: found 'flow_prediction'"),
    (EULER(timestep_type="continuous", prediction_type="v_prediction"), "`timestep_type`: found 'continuous'"),
]


@pytest.mark.parametrize(("scheduler", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_settings_that_change_the_network_are_refused(tmp_path, scheduler, message):
    with pytest.raises(ModelError, match=rf"scheduler_config\.json: .*{message}"):
        DiffusionDenoiser.load(saved(tmp_path, scheduler=scheduler))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"_class_name": None}, "`_class_name`: found None; expected DDPMScheduler"),
        ({"_class_name": ["DDPMScheduler"]}, r"`_class_name`: found \['DDPMScheduler'\]"),
        ({"prediction_type": None}, "prediction_type: found None"),
        ({"beta_end": "0.02"}, r"beta_end: found '0\.02'; Input should be a valid number"),
        ({"beta_start": float("nan")}, "beta_start: found nan"),
        ({"num_train_timesteps": 10**12}, "num_train_timesteps: found 1000000000000"),
        ({"num_train_timesteps": 0}, "num_train_timesteps: found 0"),
        ({"trained_betas": []}, r"alphas_cumprod: found shape \(0,\)"),
        ({"beta_schedule": "exp"}, "DDPMScheduler cannot be built from this file"),
        ({"shift": 3.0}, "`shift`: found 3.0, but DDPMScheduler has no such key"),
        ({"sigma_data": 0.5}, "`sigma_data`: found 0.5, but DDPMScheduler has no such key"),
        ({"_class_name": "PNDMScheduler", "rescale_betas_zero_snr": True}, "but PNDMScheduler has no such key"),
    ],
    ids=str,
)
def test_damaged_keys_are_named(tmp_path, keys, message):
    with pytest.raises(ModelError, match=rf"scheduler_config\.json: .*{message}"):
        DiffusionDenoiser.load(with_keys(saved(tmp_path), SCHEDULER, **keys))


def test_a_missing_class_is_not_read_as_ddpm(tmp_path):
    with pytest.raises(ModelError, match="`_class_name`: found None"):
        DiffusionDenoiser.load(with_keys(saved(tmp_path), SCHEDULER, "_class_name"))


@pytest.mark.parametrize(
    "abar",
    [
        torch.zeros(0),
        torch.ones(2, 2),
        torch.tensor([1.0, 0.5]),
        torch.tensor([0.9, 0.5, 0.6]),
        torch.tensor([0.9, -0.1]),
        torch.tensor([0.9, -0.0]),
        torch.tensor([float("nan")]),
        diffusers.DDPMScheduler().betas,
        diffusers.DDPMScheduler(),
    ],
    ids=["empty", "matrix", "no noise", "rises", "below 0", "negative zero", "NaN", "betas", "scheduler"],
)
def test_values_that_are_no_schedule_are_refused(abar):
    with pytest.raises(ModelError, match=r"alphas_cumprod: found .*; expected"):
        check_schedule(abar)
    with pytest.raises(ModelError, match=r"alphas_cumprod: found .*; expected"):
        DiffusionDenoiser(tiny_unet(), abar)


def test_steps_of_pure_noise_are_never_chosen():
    """With zero terminal signal-to-noise ratio, the last step has an infinite noise level."""
    abar = diffusers.DDPMScheduler(rescale_betas_zero_snr=True).alphas_cumprod
    check_schedule(abar)
    levels = noise_levels(abar)
    assert closest_timestep(abar, float(levels[-2])) == 998
    with pytest.raises(ModelError, match=r"sigma: found 1000000\.0; expected at most"):
        closest_timestep(abar, 1e6)


def test_euler_has_zero_terminal_signal_too(tmp_path):
    """EulerDiscreteScheduler writes 2^-24 instead of 0, which is more signal than in the step before."""
    scheduler = diffusers.EulerDiscreteScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert scheduler.alphas_cumprod[-1] > scheduler.alphas_cumprod[-2]
    network = tiny_unet()
    folder = saved(tmp_path, network, scheduler)
    assert torch.equal(denoised(folder), one_shot(folder, network))
    assert DiffusionDenoiser.load(folder).alphas_cumprod[-1] == 0


def test_less_noise_than_in_the_first_step_is_treated_as_the_first_step():
    abar = diffusers.DDPMScheduler().alphas_cumprod
    assert closest_timestep(abar, 1e-4) == 0
    remarks = DiffusionDenoiser(tiny_unet(), abar).remarks((16, 16), 1e-4)
    assert remarks == [
        "the denoiser gets noise of level 0.0001 and treats it as 0.005, the closest level of its schedule"
    ]


def test_a_coarse_schedule_is_remarked():
    abar = diffusers.DDPMScheduler(3, trained_betas=[0.1, 0.5, 0.5]).alphas_cumprod
    denoiser = DiffusionDenoiser(tiny_unet(), abar)
    assert denoiser.timestep(0.3) == 0
    (remark,) = denoiser.remarks((16, 16), 0.3)
    assert "level 0.3 and treats it as 0.167" in remark
    assert DiffusionDenoiser(tiny_unet(), diffusers.DDPMScheduler().alphas_cumprod).remarks((16, 16), 0.25) == []
