"""Noise schedules of diffusion models, read from diffusers' scheduler_config.json."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from segcert.io.json_files import parse_json
from segcert.io.json_models import Part, fit
from segcert.networks.diffusers_parts import SCHEDULERS, scheduler_class
from segcert.networks.folders import SCHEDULER_CONFIG, ModelError

PREDICTIONS = ("epsilon", "sample", "v_prediction")
LEARNED = ("learned", "learned_range")
# Keys that determine the forward process and the target of the network. All other keys of these schedulers affect only
# how samples are drawn, apart from the keys that `_problems` checks.
TRAINING = frozenset({"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"})
TRAINING |= {"prediction_type", "rescale_betas_zero_snr"}
ADVICE = "Use a denoiser that was trained with the noise of a DDPM (Ho et al. 2020)"


class SchedulerConfig(Part):
    """Keys of scheduler_config.json that determine what the network was trained to do."""

    num_train_timesteps: Annotated[int, Field(ge=1, le=100_000)] = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: list[float] | None = None
    prediction_type: str = "epsilon"
    rescale_betas_zero_snr: bool = False
    variance_type: str | None = None
    thresholding: bool = False
    sample_max_value: float = 1.0
    clip_sample: bool = True
    clip_sample_range: float = 1.0
    timestep_type: str = "discrete"
    use_flow_sigmas: bool = False


@dataclass(frozen=True)
class NoiseSchedule:
    """Forward process of a diffusion model, and the target that its network was trained to predict.

    Attributes
    ----------
    alphas_cumprod
        Values of abar, in a tensor of shape (T,) with one value per step: z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t)
        noise.
    prediction
        One of PREDICTIONS.
    learns_variance
        True if the network has a second output per channel, from which samplers compute the variance of a step.
    """

    alphas_cumprod: Tensor
    prediction: str
    learns_variance: bool


def read_schedule(folder: Path) -> NoiseSchedule:
    """Read the noise schedule in a denoiser's folder from scheduler_config.json.

    The values of abar are computed by the scheduler's class in diffusers.

    Raises ModelError if the network that belongs to the scheduler cannot be called as DiffusionDenoiser calls it. This
    is the case for rectified flow (flow matching), EDM, variance-exploding and consistency models, and for networks
    that use values outside [-1, 1]. An invalid noise schedule and keys whose effect is unknown also raise ModelError.
    """
    path = Path(folder, SCHEDULER_CONFIG)
    try:
        config = parse_json(path.read_bytes(), infinite=True)  # DPMSolver has `lambda_min_clipped: -Infinity`
        stated = fit(config, SchedulerConfig)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: does not describe the noise schedule of a denoiser ({error}). Write the file with "
            "scheduler.save_pretrained"
        ) from error
    name = config.get("_class_name")
    if not isinstance(name, str) or name not in SCHEDULERS:
        raise ModelError(
            f"{path}: `_class_name`: found {name!r}; expected DDPMScheduler, DDIMScheduler, or another scheduler "
            "listed in docs/reference/networks.md. Networks for rectified flow (flow matching), EDM, "
            f"variance-exploding and consistency models take different inputs. {ADVICE}"
        )
    for problem in _problems(stated):
        raise ModelError(f"{path}: {problem}")
    foreign = {key for key, value in config.items() if key[0:1] != "_" and value not in (None, False)}
    foreign -= _keys_of(name)
    for key in foreign and sorted(foreign - (set().union(*map(_keys_of, SCHEDULERS)) - TRAINING)):
        raise ModelError(
            f"{path}: `{key}`: found {config[key]!r}, but {name} has no such key, so the effect of the key on the "
            "network is unknown. If the key only affects how samples are drawn, delete it"
        )
    try:
        scheduler = scheduler_class(name).from_config(config)
    except Exception as error:  # diffusers raises many kinds of errors for bad values
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{path}: {name} cannot be built from this file ({type(error).__name__}: {reason}). Write the file with "
            "scheduler.save_pretrained"
        ) from error
    alphas_cumprod: Tensor = scheduler.alphas_cumprod
    if stated.rescale_betas_zero_snr:
        alphas_cumprod[-1] = 0  # some schedulers have 2^-24 here, which is larger than the value before it
    wrong = [beta for beta in scheduler.betas.tolist() if not 0 < beta <= 1]
    try:
        if wrong:
            raise ModelError(
                f"`beta_start`, `beta_end` or `trained_betas`: found a beta of {wrong[0]:g}; expected betas above 0 "
                "and at most 1. Restore the values with which the network was trained"
            )
        check_schedule(alphas_cumprod)
        if len(alphas_cumprod) != stated.num_train_timesteps:
            raise ModelError(
                f"`trained_betas`: found {len(alphas_cumprod)} values; expected as many values as "
                f"`num_train_timesteps` states, which is {stated.num_train_timesteps}. Write the number of steps "
                "with which the network was trained"
            )
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return NoiseSchedule(alphas_cumprod, stated.prediction_type, stated.variance_type in LEARNED)


def _problems(config: SchedulerConfig) -> list[str]:
    """Return the reasons why a scheduler's network cannot be called as DiffusionDenoiser calls it."""
    problems = []
    if config.prediction_type not in PREDICTIONS:
        expected = ", ".join(PREDICTIONS)
        problems.append(f"`prediction_type`: found {config.prediction_type!r}; expected one of {expected}. {ADVICE}")
    if config.use_flow_sigmas:
        problems.append(f"`use_flow_sigmas`: found true, which is rectified flow; expected false. {ADVICE}")
    if config.timestep_type != "discrete":
        problems.append(
            f"`timestep_type`: found {config.timestep_type!r}; expected 'discrete': the network gets the number of a "
            f"step. {ADVICE}"
        )
    if config.clip_sample and config.clip_sample_range != 1:
        problems.append(
            f"`clip_sample_range`: found {config.clip_sample_range:g}; expected 1, because images are scaled to "
            "[-1, 1]. Use a denoiser that was trained on images in [-1, 1]"
        )
    if config.thresholding and config.sample_max_value > 1:
        problems.append(
            f"`sample_max_value`: found {config.sample_max_value:g} with `thresholding: true`, which rescales the "
            "denoised image by its own values; expected 1. Set `thresholding` to false; images are clipped to [-1, 1]"
        )
    return problems


def check_schedule(alphas_cumprod: Tensor) -> None:
    """Check that values of abar, of shape (T,), begin between 0 and 1 and never increase from step to step.

    The last values may be 0, which means pure noise (zero terminal signal-to-noise ratio). Raises ModelError if the
    check fails.
    """
    if not isinstance(alphas_cumprod, Tensor) or alphas_cumprod.ndim != 1 or not len(alphas_cumprod):
        is_tensor = isinstance(alphas_cumprod, Tensor)
        found = f"shape {tuple(alphas_cumprod.shape)}" if is_tensor else f"a {type(alphas_cumprod).__name__}"
        raise ModelError(
            f"alphas_cumprod: found {found}; expected a tensor of shape (T,), such as scheduler.alphas_cumprod"
        )
    abar = alphas_cumprod.detach().double().cpu()
    before = torch.cat([torch.ones(1, dtype=torch.double), abar[:-1]])
    wrong = ~((abar >= 0) & ~abar.signbit() & (abar <= before))  # also true for NaN and -0
    wrong[0] |= bool(float(abar[0]) in (0, 1))
    if bool(wrong.any()):
        step = int(wrong.nonzero()[0])
        raise ModelError(
            f"alphas_cumprod: found {float(abar[step]):g} at step {step}, after {float(before[step]):g}; expected "
            "values below 1 that decrease from step to step and are never negative (betas above 0 and below 1). "
            "Restore the betas with which the network was trained"
        )


def noise_levels(alphas_cumprod: Tensor) -> Tensor:
    """Return the noise level of each step of a noise schedule for pixel values in [0, 1], in a tensor of shape (T,)."""
    return ((1 - alphas_cumprod.double()) / alphas_cumprod.double()).sqrt() / 2


def closest_timestep(alphas_cumprod: Tensor, sigma: float) -> int:
    """Return the step of a noise schedule whose noise level is closest to sigma, for pixel values in [0, 1].

    The result is step 0 for every sigma below the noise level of step 0. Raises ModelError if sigma is above the noise
    level of the last step that is not pure noise.
    """
    levels = noise_levels(alphas_cumprod)
    highest = float(levels.where(levels.isfinite(), 0.0).max())
    if sigma > highest:
        raise ModelError(
            f"sigma: found {sigma}; expected at most {highest:.3g}, this denoiser's highest noise level. Choose a "
            "lower sigma, or a denoiser that was trained with more noise"
        )
    return int(torch.argmin((levels**2 - sigma**2).abs()))


def _keys_of(name: str) -> set[str]:
    return set(inspect.signature(scheduler_class(name).__init__).parameters)
