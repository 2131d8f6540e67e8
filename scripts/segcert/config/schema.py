"""Typed model of the configuration. Unknown keys are rejected."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from segcert.certification.methods import METHODS, SEGCERTIFY
from segcert.config.errors import ConfigError, explain, in_yaml
from segcert.config.networks import Denoiser, OwnModel, Segmenter
from segcert.config.sections import Attack, Count, Measure, Name, OwnData, Phantom, Report, Sampling, Section, Sigma
from segcert.data.catalogue import NAMES
from segcert.networks.architectures import ARCHITECTURES

# Snakemake does not accept one-letter keys on its command line, so `--config draws=1000` sets n.
ALIASES = {"draws": "n"}
# Noise level of the first of 1000 steps, by noise schedule, for pixel values in [0, 1]
LEAST_NOISE = {"linear": 0.005, "cosine": 0.0032}
ADM_SIZE = 256  # height and width of the images on which OpenAI's denoiser was trained


class Config(Section):
    """All settings of a run."""

    run: Name = Field("phantom", description="Name of the run; its files are in results/<run>/ and reports/<run>/")
    mirror: str | None = Field(
        None,
        description="Folder or URL of a mirror with the published archives and a SHA256SUMS file; null: download "
        "the archives from their publishers",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Random seed for training and sampling")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device that runs the networks; auto: a GPU if available, otherwise the CPU"
    )
    replay: int = Field(0, ge=0, description="Number of images for which `snakemake audit` draws the votes again")
    compare: list[Name] = Field(
        [], description="Finished runs to compare with `snakemake compare`, such as [phantom, phantom-holm]"
    )
    datasets: list[Name] = Field(
        ["phantom"],
        min_length=1,
        description=f"Data sets to use: {', '.join(NAMES)} (described by `segcert datasets`), or entries of `own_data`",
    )
    own_data: dict[Name, OwnData] = Field(
        {},
        description="Your own data sets by name, such as {clinic: {images: ..., masks: ...}}; see "
        "docs/how-to/own-data.md",
    )
    splits: dict[Name, str] = Field(
        {},
        description="Split to use for each data set: the name of a split rule (listed by `segcert datasets NAME`), or "
        "a .json file with the lists train, val and test; default: the first rule listed",
    )
    exclude: dict[Name, list[str]] = Field({}, description="Names of images to exclude, by data set")
    image_size: int = Field(
        64,
        ge=16,
        le=2048,
        description="Height and width of images, in pixels; noise is added and labels are certified at this size",
    )
    keep_aspect: bool = Field(
        False, description="Pad images with black to a square before resizing, instead of stretching them"
    )
    pool: int = Field(
        1,
        ge=1,
        le=32,
        description="Average the noisy image over blocks of pool x pool pixels, so that the networks process a smaller "
        "image at a fraction of the cost. Noise, radius and certificate still refer to `image_size`. Averaging helps "
        "at high sigma and large `image_size` (docs/what-moves-certified-dice.md)",
    )
    models: list[Name] = Field(
        ["unet"],
        min_length=1,
        description=f"Segmentation networks to use: {', '.join(ARCHITECTURES)}, or entries of `own_models`",
    )
    own_models: dict[Name, OwnModel] = Field(
        {},
        description="Your own networks by name, such as {net: {target: package.module:factory, arguments: {...}}} "
        "or {net: {program: network.pt2}}; see docs/how-to/own-network.md",
    )
    regimes: list[Literal["clean", "noise", "denoised"]] = Field(
        ["clean", "noise"],
        min_length=1,
        description="Training regimes of the segmenters. clean: on clean images; noise: on images with Gaussian noise "
        "(the SegCertify baseline); denoised: fine-tuned on noisy images that were denoised by the first entry in "
        "`denoisers` other than none; such a segmenter is only used behind a denoiser",
    )
    denoisers: list[Literal["none", "ddpm", "adm256"]] = Field(
        ["none", "ddpm"],
        min_length=1,
        description="Denoisers in front of the segmenters. none: no denoiser; ddpm: the diffusion model that the "
        "pipeline trains; adm256: the paper's denoiser, OpenAI's 256x256 ImageNet diffusion model (2.2 GB download)",
    )
    denoising_steps: Count = Field(
        1,
        le=1000,
        description="Number of denoiser calls per noisy image. 1: one-shot denoising; more: DDIM sampling from t*, the "
        "diffusion step whose noise level is sigma",
    )
    gpus: Count = Field(
        1,
        description="Number of GPUs, on a single node, across which each training run is split; ignored on a "
        "machine without a GPU",
    )
    sigmas: list[Sigma] = Field(
        [0.25, 0.5, 1.0], min_length=1, description="Noise levels at which to certify, for pixel values in [0, 1]"
    )
    n0: Count = Field(10, description="Number of selection draws per image, which choose each pixel's class")
    n: Count = Field(
        100,
        description="Number of estimation draws per image, which test the class chosen for each pixel. On the command "
        "line: --config draws=1000",
    )
    looks: list[Count] = Field(
        [],
        description="Planned looks, such as [60, 110, 300]: numbers of estimation draws after which an image may be "
        "certified. They share alpha and replace `n`. Sampling of an image stops at the first look at which the "
        "share of abstaining pixels is at most `stop_at_abstention`. Empty: one decision after `n` draws",
    )
    stop_at_abstention: float = Field(
        0.0,
        ge=0,
        le=1,
        description="With `looks`: largest share of abstaining pixels at which the sampling of an image stops "
        "before the last look",
    )
    tau: float = Field(
        0.75,
        gt=0.5,
        lt=1,
        description="Share of noisy copies that must agree on the class of a pixel to certify it; the radius is "
        "sigma * Phi^-1(tau)",
    )
    alpha: float = Field(
        0.001,
        gt=0,
        lt=0.5,
        description="Upper bound on the probability that any pixel of an image is certified wrongly",
    )
    method: Literal[tuple(METHODS)] = Field(  # type: ignore[valid-type]  # METHODS is the only list of names
        SEGCERTIFY.name,
        description="Multiple-testing correction. segcertify: Holm's method over all pixels, with separate draws "
        "for selection (n0) and estimation (n); holm: the same guarantee from all n0 + n draws, with a larger "
        "certified area. The methods `kfwer` and `by` give weaker guarantees: `kfwer` bounds the probability of "
        "`kfwer_k` or more wrong pixels, and `by` bounds the expected share of wrong pixels",
    )
    kfwer_k: Count = Field(
        10,
        description="For method `kfwer`: alpha bounds the probability that this many or more pixels of an image are "
        "certified wrongly",
    )
    noise: Literal["normal", "exact"] = Field(
        "normal",
        description="Kind of noise. normal: float32 Gaussian noise; exact: Gaussian noise that is rounded to the "
        "gray levels of the 8-bit image in integer arithmetic, so that the guarantee also holds in floating point",
    )
    measurements: list[Measure] = Field(
        ["area", "cardiothoracic_ratio"],
        description="Measurements of each draw's label map, for which intervals are certified: area and diameter (of "
        "each class), cardiothoracic_ratio (for data sets with lungs and heart), or package.module:function",
    )
    decisions: list[str] = Field(
        ["cardiothoracic_ratio > 0.5"],
        description="Comparisons of measurements with thresholds; a decision is certified if the certified interval "
        "of the measurement lies entirely on one side of the threshold",
    )
    keep_draws: bool = Field(
        False,
        description="Store the label map of every draw, so that new measurements need no new draws. Before "
        "compression, a label map takes pixels * ceil(log2(classes)) / 8 bytes",
    )
    phantom: Phantom = Field(Phantom(), description=str(Phantom.__doc__))
    segmenter: Segmenter = Field(Segmenter(), description=str(Segmenter.__doc__))
    denoiser: Denoiser = Field(Denoiser(), description=str(Denoiser.__doc__))
    sampling: Sampling = Field(Sampling(), description=str(Sampling.__doc__))
    attack: Attack = Field(Attack(), description=str(Attack.__doc__))
    report: Report = Field(Report(), description=str(Report.__doc__))

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        lists = ("sigmas", "datasets", "models", "regimes", "denoisers", "measurements", "decisions")
        for key in lists:
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(
                    f"`{key}`: found {in_yaml(values)}; expected no repeated entries. "
                    f"Write `{key}: {in_yaml(list(dict.fromkeys(values)))}`"
                )
        for own, built_in in (("own_data", (*NAMES, "adm256")), ("own_models", ARCHITECTURES)):
            if taken := set(built_in) & set(getattr(self, own)):
                raise ValueError(
                    f"`{own}`: found {min(taken)!r}, a name that is already used by segcert. Choose a different name"
                )
        datasets, models = (*NAMES, *self.own_data), (*ARCHITECTURES, *self.own_models)
        for key in ("datasets", "splits", "exclude"):
            _require_known(key, getattr(self, key), datasets, "own_data")
        _require_known("denoiser.shared", self.denoiser.shared, self.datasets, "datasets")
        _require_known("models", self.models, models, "own_models")
        if self.run == "captions":
            raise ValueError(
                "`run`: found `captions`; expected a different name, because segcert already uses the folder "
                "reports/captions. Write, for example: `run: my-run`"
            )
        return self

    @model_validator(mode="after")
    def _sigmas_are_short(self) -> Self:
        rounded = [float(f"{sigma:g}") for sigma in self.sigmas]  # file names contain these digits
        if rounded != self.sigmas:
            raise ValueError(
                f"`sigmas`: found {in_yaml(self.sigmas)}; expected numbers with at most six significant digits. "
                f"Write `sigmas: {in_yaml(rounded)}`"
            )
        return self

    @model_validator(mode="after")
    def _denoised_has_a_denoiser(self) -> Self:
        if "denoised" in self.regimes and self.denoisers == ["none"]:
            raise ValueError("`regimes`: found `denoised`, which needs a denoiser. Write `denoisers: [none, ddpm]`")
        if self.denoiser.sigma_min >= self.denoiser.sigma_max:
            raise ValueError(
                f"`denoiser.sigma_min`: found {self.denoiser.sigma_min:g}; expected a value below "
                f"`denoiser.sigma_max`, which is {self.denoiser.sigma_max:g}. Write `denoiser: "
                f"{{sigma_min: {self.denoiser.sigma_max / 5:g}}}`"
            )
        return self

    @model_validator(mode="after")
    def _image_can_be_divided(self) -> Self:
        halvings = {}
        for name in self.models:
            if name in ARCHITECTURES:
                often = ARCHITECTURES[name].halvings
                halvings["the U-Net (`segmenter.depth`)" if often is None else f"the network {name}"] = (
                    often or self.segmenter.depth
                )
        if "ddpm" in self.denoisers:
            halvings["the denoiser (`denoiser.channels`)"] = len(self.denoiser.layout[0]) - 1
        if "adm256" in self.denoisers:
            halvings["the denoiser adm256"] = 5
        pooled = f"averaged over blocks of {self.pool} x {self.pool} pixels (`pool`)"
        divisors = {
            f"{pooled} and halved {halving} times by {reason}": self.pool * 2**halving
            for reason, halving in halvings.items()
        }
        divisors[pooled] = self.pool
        for reason, divisor in divisors.items():
            nearest = max(1, round(self.image_size / divisor)) * divisor
            if nearest != self.image_size:
                raise ValueError(
                    f"`image_size`: found {self.image_size}; expected a multiple of {divisor}, because the image is "
                    f"{reason}. Write `image_size: {nearest}`"
                )
        return self

    @model_validator(mode="after")
    def _batches_can_be_split(self) -> Self:
        least = {"segmenter": 1, "denoiser": 1}
        why = ""
        for name in self.models:
            if name in ARCHITECTURES and ARCHITECTURES[name].least_batch > least["segmenter"]:
                least["segmenter"] = ARCHITECTURES[name].least_batch
                why = f", because {name} cannot be trained on a single image"
        for key, section in (("segmenter", self.segmenter), ("denoiser", self.denoiser)):
            if section.batch_size < least[key] * self.gpus:
                raise ValueError(
                    f"`{key}.batch_size`: found {section.batch_size}; expected at least {least[key]} for each GPU "
                    f"(`gpus: {self.gpus}`){why}. Write `{key}: {{batch_size: {least[key] * self.gpus}}}`"
                )
        return self

    def warnings(self) -> list[str]:
        """Return warnings about settings that are allowed but may be mistakes.

        For example, no network may be trained for one of the noise levels.
        """
        lowest, highest = min(self.sigmas), max(self.sigmas)
        warnings = []
        if "noise" in self.regimes and highest > self.segmenter.sigma_max:
            warnings.append(_untrained(highest, "segmenter", "sigma_max"))
        if "ddpm" in self.denoisers and self.denoiser.levels == "range":
            if highest > self.denoiser.sigma_max:
                warnings.append(_untrained(highest, "denoiser", "sigma_max"))
            if lowest < self.denoiser.sigma_min:
                warnings.append(_untrained(lowest, "denoiser", "sigma_min"))
            if self.denoising_steps > 1:
                warnings.append(
                    f"`denoising_steps`: found {self.denoising_steps}. The later steps have noise levels below "
                    "`denoiser.sigma_min`, for which the denoiser is not trained. Write `denoiser: {levels: all}`"
                )
        schedules = {"ddpm": self.denoiser.noise_schedule, "adm256": "linear"}
        for name in self.denoisers:
            if name in schedules and lowest / self.pool < (floor := LEAST_NOISE[schedules[name]]):
                warnings.append(
                    f"`sigmas`: found {lowest:g}. For the denoiser {name}, this is a noise level of "
                    f"{lowest / self.pool:.2g} (sigma divided by `pool: {self.pool}`), which is below the first step "
                    f"of its noise schedule. The denoiser treats the noise as if its level were {floor:g}. Write a "
                    "larger sigma, or a smaller `pool`"
                )
        if "adm256" in self.denoisers and self.image_size != self.pool * ADM_SIZE:
            warnings.append(
                f"`image_size`: found {self.image_size} with `pool: {self.pool}`; the denoiser adm256 was trained on "
                f"{ADM_SIZE} x {ADM_SIZE} pixels. Write `image_size: {self.pool * ADM_SIZE}`"
            )
        return warnings

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Validate values from a YAML file and the command line. Raises ConfigError, which names all problems."""
        try:
            config = cls.model_validate(
                {key: value for key, value in values.items() if key not in ALIASES}
                | {name: values[alias] for alias, name in ALIASES.items() if alias in values}
            )
        except ValidationError as error:
            problems = "\n".join(f"  - {explain(cls, dict(problem))}" for problem in error.errors())
            raise ConfigError(f"the configuration cannot be used:\n{problems}") from None
        return config.model_copy(update={"n": config.looks[-1]}) if config.looks else config


def _untrained(sigma: float, section: str, key: str) -> str:
    return f"`sigmas`: found {sigma:g}, for which the {section} is not trained. Write `{section}: {{{key}: {sigma:g}}}`"


def _require_known(key: str, names: Iterable[str], known: Sequence[str], own: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(
                f"`{key}`: found {name!r}; expected one of {', '.join(known)}"
                + (f". Did you mean `{near[0]}`?" if near else f", or an entry of `{own}`")
            )
