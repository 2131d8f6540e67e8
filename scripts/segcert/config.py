"""The configuration: one closed, typed model. `make config` writes default.yaml and schema.json from it."""

import difflib
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

# Snakemake takes no one-letter key on its command line, so `--config draws=1000` means n.
ALIASES = {"draws": "n"}

FOLDER = Path(__file__).parents[2] / "config"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]
Sigma = Annotated[float, Field(gt=0, le=10)]
Count = Annotated[int, Field(ge=1)]
Measure = Annotated[str, StringConstraints(pattern=r"^(area|diameter|cardiothoracic_ratio|[\w.]+:[\w.]+)$")]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and the line to write instead."""


class Section(BaseModel):
    """A mapping of the configuration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class Phantom(Section):
    """The embedded synthetic data set: how many images of each split."""

    train: int = Field(96, ge=2, description="Training images")
    val: int = Field(16, ge=1, description="Validation images")
    test: int = Field(8, ge=1, description="Test images: the ones that are certified")


class Segmenter(Section):
    """The segmentation networks and how they are trained."""

    width: int = Field(8, ge=4, description="Channels at full resolution; each of the deeper levels doubles them")
    depth: int = Field(
        3, ge=1, le=6, description="How often the resolution is halved; image_size must be divisible by 2^depth"
    )
    steps: int = Field(200, ge=1, description="Optimiser steps")
    batch_size: Count = Field(16, description="Images per step")
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Peak learning rate of AdamW (warm-up, then cosine to 0)"
    )
    weight_decay: float = Field(1e-2, ge=0, le=1, description="Weight decay of AdamW")
    evaluate_every: Count = Field(
        50, description="Steps between validations; the best checkpoint on validation Dice is kept"
    )
    sigma_max: Sigma = Field(
        1.0,
        description="Regime `noise`: each training image gets Gaussian noise of a level drawn uniformly from 0 to "
        "this, in units of pixels in [0, 1]. Keep it at the largest of `sigmas`",
    )


class Denoiser(Section):
    """The diffusion model in front of the segmenters and how it is trained."""

    channels: list[Annotated[int, Field(ge=8, multiple_of=8)]] = Field(
        [16, 32, 64],
        min_length=1,
        description="Channels of each level of diffusers' UNet2DModel; each level but the first halves the resolution",
    )
    layers_per_block: int = Field(1, ge=1, le=4, description="Residual layers per level")
    steps: int = Field(250, ge=1, description="Optimiser steps")
    batch_size: Count = Field(8, description="Images per step")
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Peak learning rate of AdamW (warm-up, then cosine to 0)"
    )
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="Decay of the exponential moving average of the weights, which is what is saved"
    )
    evaluate_every: Count = Field(50, description="Steps between validations (loss on fixed noise)")


class Sampling(Section):
    """How votes are drawn: a matter of speed and resumption, not of what a vote means."""

    batch_size: Count = Field(10, description="Noisy copies per network call; the last batch is padded to this size")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Arithmetic of the networks; bfloat16 is for GPUs (a CPU without it is far slower)"
    )
    compile: bool = Field(False, description="Run the networks through torch.compile (CUDA graphs on a GPU)")
    block_size: Count = Field(50, description="Draws per block: the unit of resumption and of reuse")
    shards: Count = Field(
        1, description="Jobs per segmenter, denoiser and sigma, among which the test images are dealt out"
    )
    test_images: Count | None = Field(None, description="Certify only the first so many test images; null: all")


class Attack(Section):
    """The attack that tries the certificates: PGD on the smoothed model, inside and outside the radius."""

    images: int = Field(1, ge=0, description="Test images that are attacked, per data set; 0: none")
    factors: list[Annotated[float, Field(gt=0, le=100)]] = Field(
        [1.0, 2.0, 4.0], min_length=1, description="l2 norms of the attacks, as multiples of the certified radius"
    )
    steps: Count = Field(10, description="Steps of projected gradient ascent")
    copies: Count = Field(4, description="Noisy copies per step, over which the gradient is averaged")
    draws: Count = Field(100, description="Noisy copies of the attacked image that decide whether a pixel has changed")


class Report(Section):
    """What the report shows."""

    examples: int = Field(3, ge=1, le=20, description="Test images in the gallery, per data set")
    bootstrap: int = Field(2000, ge=100, description="Bootstrap resamples over images behind each 95% interval")


class Config(Section):
    """Everything that a run can vary."""

    run: Name = Field("phantom", description="Name of the run: results/<run>/ and reports/<run>/")
    mirror: str | None = Field(
        None, description="Folder or URL with the official archives and a SHA256SUMS; null: the official addresses"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of training and sampling")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where networks run; auto: the GPU if there is one"
    )
    datasets: list[Literal["phantom", "montgomery"]] = Field(
        ["phantom"], min_length=1, description="Data sets: phantom (synthetic), montgomery"
    )
    image_size: int = Field(
        64, ge=16, le=2048, description="Height and width, in pixels, at which noise is added and labels are certified"
    )
    pool: int = Field(
        1,
        ge=1,
        le=32,
        description="The networks see the noisy image averaged over pool x pool pixels, at a fraction of the cost; "
        "noise, radius and certificate stay at image_size. Pays at high sigma and large image_size "
        "(docs/what-moves-certified-dice.md)",
    )
    models: list[Literal["unet"]] = Field(["unet"], min_length=1, description="Segmentation networks")
    regimes: list[Literal["clean", "noise"]] = Field(
        ["clean", "noise"],
        min_length=1,
        description="How segmenters are trained: on clean images, or with Gaussian noise (the SegCertify baseline)",
    )
    denoisers: list[Literal["none", "ddpm"]] = Field(
        ["none", "ddpm"],
        min_length=1,
        description="In front of the segmenter: nothing, or the one-shot diffusion denoiser",
    )
    sigmas: list[Sigma] = Field(
        [0.25, 0.5, 1.0], min_length=1, description="Noise levels to certify at, in units of pixels in [0, 1]"
    )
    n0: Count = Field(10, description="Selection draws per image: they choose each pixel's class")
    n: Count = Field(
        100, description="Estimation draws per image: they test it. On the command line: --config draws=1000"
    )
    tau: float = Field(
        0.75,
        gt=0.5,
        lt=1,
        description="Share of the noisy copies on which the class must win; the radius is sigma * Phi^-1(tau)",
    )
    alpha: float = Field(0.001, gt=0, lt=0.5, description="Probability that any pixel of an image is certified wrongly")
    method: Literal["segcertify", "holm", "kfwer", "by"] = Field(
        "segcertify",
        description="Statistics: segcertify (n0/n split, Holm over all pixels), holm (the same guarantee from all "
        "n0 + n draws, more area); weaker guarantees: kfwer (kfwer_k or more wrong pixels are improbable), by (the "
        "expected share of wrong pixels is bounded)",
    )
    kfwer_k: Count = Field(
        10, description="Method `kfwer`: alpha bounds the probability of this many wrong pixels in an image"
    )
    noise: Literal["normal", "exact"] = Field(
        "normal",
        description="normal: float32 Gaussian noise; exact: Gaussian noise rounded to the grid of the 8-bit image, by "
        "integer arithmetic, so that the guarantee holds in floating point too",
    )
    measurements: list[Measure] = Field(
        ["area", "cardiothoracic_ratio"],
        description="What is measured on the label map of each draw, to certify intervals: area, diameter (of each "
        "class), cardiothoracic_ratio (of data sets with lungs and heart), or package.module:function",
    )
    decisions: list[str] = Field(
        ["cardiothoracic_ratio > 0.5"],
        description="Thresholds on measurements: certified where the whole interval lies on one side",
    )
    keep_draws: bool = Field(
        False,
        description="Keep the label map of every draw, packed, so that a new measurement needs no new sampling; "
        "costs, before compression, pixels * ceil(log2(classes)) / 8 bytes per draw",
    )
    phantom: Phantom = Field(Phantom(), description=str(Phantom.__doc__))
    segmenter: Segmenter = Field(Segmenter(), description=str(Segmenter.__doc__))
    denoiser: Denoiser = Field(Denoiser(), description=str(Denoiser.__doc__))
    sampling: Sampling = Field(Sampling(), description=str(Sampling.__doc__))
    attack: Attack = Field(Attack(), description=str(Attack.__doc__))
    report: Report = Field(Report(), description=str(Report.__doc__))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("sigmas", "datasets", "models", "regimes", "denoisers", "measurements", "decisions"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(
                    f"`{key}`: found {_flow(values)}; an entry stands twice. "
                    f"Write `{key}: {_flow(list(dict.fromkeys(values)))}`"
                )
        if self.run == "captions":
            raise ValueError("`run`: found captions, a folder of reports/ in the repository. Write `run: my-run`")
        rounded = [float(f"{sigma:g}") for sigma in self.sigmas]  # as in file names
        if rounded != self.sigmas:
            raise ValueError(
                f"`sigmas`: found {_flow(self.sigmas)}, of more than six digits. Write `sigmas: {_flow(rounded)}`"
            )
        halvings = {
            "segmenter.depth": self.segmenter.depth,
            "the levels of denoiser.channels": len(self.denoiser.channels) - 1,
        }
        for reason, halving in halvings.items():
            unit = self.pool * 2**halving
            nearest = max(1, round(self.image_size / unit)) * unit
            if nearest != self.image_size:
                pooled = f"divided by `pool: {self.pool}` and " if self.pool > 1 else ""
                raise ValueError(
                    f"`image_size`: found {self.image_size}, to be {pooled}halved {halving} times by {reason}. "
                    f"Write `image_size: {nearest}`"
                )
        return self

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Check plain values (of a YAML file and the command line). Raises ConfigError with all that is wrong."""
        try:
            return cls.model_validate(
                {key: value for key, value in values.items() if key not in ALIASES}
                | {name: values[alias] for alias, name in ALIASES.items() if alias in values}
            )
        except ValidationError as error:
            problems = "\n".join(f"  - {_explain(dict(problem))}" for problem in error.errors())
            raise ConfigError(f"the configuration cannot be used:\n{problems}") from None


def _explain(problem: dict[str, Any]) -> str:
    keys = [key for key in problem["loc"] if isinstance(key, str)]
    if not keys:
        return str(problem["msg"]).removeprefix("Value error, ")
    model: type[BaseModel] = Config
    for depth, key in enumerate(keys):
        if key not in model.model_fields:
            return _unknown(model, keys[: depth + 1])
        annotation = model.model_fields[key].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        else:
            break
    where = ".".join(map(str, problem["loc"]))
    expected = problem["msg"].removeprefix("Input should be ")
    return f"`{where}`: found {problem['input']!r}; expected {expected}. {_field_help(keys)}"


def _unknown(model: type[BaseModel], keys: list[str]) -> str:
    near = difflib.get_close_matches(keys[-1], model.model_fields, n=1)
    if not near:
        return f"`{'.'.join(keys)}`: there is no such key; delete it (known here: {', '.join(model.model_fields)})"
    return f"`{'.'.join(keys)}`: there is no such key; did you mean `{near[0]}`? {_field_help([*keys[:-1], near[0]])}"


def _field_help(keys: list[str]) -> str:
    defaults: Any = Config().model_dump()
    for key in keys:
        defaults = defaults[key] if isinstance(defaults, dict) and key in defaults else None
    line = _flow(defaults)
    for key in reversed(keys[1:]):
        line = f"{{{key}: {line}}}"
    return f"Write, for example: `{keys[0]}: {line}`"


def default_yaml() -> str:
    """The text of config/default.yaml: every key with its description and default."""
    head = "# The default run: the embedded synthetic phantom, minutes on two cores. Generated by `make config` from\n"
    head += (
        "# scripts/segcert/config.py. Other configurations hold only what differs: snakemake --configfile config/...\n"
    )
    return head + _render(Config(), "")


def schema_json() -> str:
    """The text of config/schema.json: the JSON schema of the configuration."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def _render(section: Section, indent: str) -> str:
    text = ""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        text += "\n" if isinstance(value, Section) or not indent else ""
        comment = textwrap.wrap(str(field.description), 110 - len(indent), break_on_hyphens=False)
        text += "".join(f"{indent}# {line}\n" for line in comment)
        text += (
            f"{indent}{name}:\n{_render(value, indent + '  ')}"
            if isinstance(value, Section)
            else f"{indent}{name}: {_flow(value)}\n"
        )
    return text


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    (FOLDER / "default.yaml").write_text(default_yaml())
    (FOLDER / "schema.json").write_text(schema_json())
