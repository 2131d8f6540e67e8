import re

import pytest
import yaml

from segcert.certification.methods import CertificationError, require_feasible, smallest_n
from segcert.config import Config, ConfigError
from segcert.config.reference import FOLDER, default_yaml, schema_json


def test_default_yaml_is_generated_from_the_model():
    assert (FOLDER / "default.yaml").read_text() == default_yaml(), "run `make config`"


def test_schema_is_generated_from_the_model():
    assert (FOLDER / "schema.json").read_text() == schema_json(), "run `make config`"


def test_default_yaml_has_the_defaults():
    assert Config.read(yaml.safe_load(default_yaml())) == Config()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_can_be_read(path):
    config = Config.read(yaml.safe_load(path.read_text()))
    require_feasible(config.n, config.image_size**2, config.tau, config.alpha)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"taus": 0.8}, ["`taus`", "did you mean `tau`", "`tau: 0.75`"]),
        ({"nonsense": 1}, ["`nonsense`", "no such key"]),
        ({"segmenter": {"step": 3}}, ["`segmenter.step`", "`segmenter: {steps: 200}`"]),
        ({"sigmas": [-1]}, ["`sigmas.0`", "found -1", "greater than 0", "`sigmas: [0.25, 0.5, 1.0]`"]),
        ({"sigmas": [float("nan")]}, ["`sigmas.0`", "finite"]),
        ({"sigmas": []}, ["`sigmas`", "found []"]),
        ({"sigmas": 0.5}, ["`sigmas`: found 0.5; expected a list. Write `sigmas: [0.5]`", "--config 'sigmas=[0.5]'"]),
        ({"sigmas": "0.25,0.5"}, ["Write `sigmas: [0.25, 0.5]`"]),
        ({"models": "unet, resunetpp"}, ["Write `models: [unet, resunetpp]`"]),
        ({"denoiser": {"channels": 16}}, ["`denoiser.channels`: found 16", "Write `denoiser: {channels: [16]}`"]),
        ({"sigmas": "{"}, ["found '{'; expected a list"]),
        ({"sigmas": None}, ["`sigmas`: found None", "`sigmas: [0.25, 0.5, 1.0]`"]),
        ({"sigmas": [0.5, 0.5]}, ["expected no repeated entries", "`sigmas: [0.5]`"]),
        ({"sigmas": [0.12345678]}, ["six significant digits", "`sigmas: [0.123457]`"]),
        ({"tau": 0.4}, ["`tau`", "found 0.4", "greater than 0.5", "`tau: 0.75`"]),
        ({"denoising_steps": 1001}, ["`denoising_steps`", "found 1001", "less than or equal to 1000"]),
        ({"tau": 1}, ["less than 1"]),
        ({"alpha": 0}, ["`alpha`"]),
        ({"n0": 0}, ["`n0`", "`n0: 10`"]),
        ({"datasets": ["x"]}, ["`datasets`: found 'x'", "montgomery, phantom"]),
        ({"image_size": 62}, ["`image_size`", "found 62", "`image_size: 64`"]),
        ({"image_size": 64, "pool": 3}, ["blocks of 3 x 3 pixels (`pool`)", "`image_size: 72`"]),
        (
            {
                "image_size": 65,
                "pool": 2,
                "models": ["net"],
                "own_models": {"net": {"program": "net.pt2"}},
                "denoisers": ["none"],
            },
            ["found 65", "blocks of 2 x 2 pixels (`pool`)", "`image_size: 64`"],
        ),
        ({"pool": 0}, ["`pool`", "found 0"]),
        ({"gpus": 16}, ["`denoiser.batch_size`: found 4", "`gpus: 16`", "`denoiser: {batch_size: 16}`"]),
        (
            {"models": ["deeplabv3plus"], "segmenter": {"batch_size": 1}},
            ["`segmenter.batch_size`: found 1", "a single image", "`segmenter: {batch_size: 2}`"],
        ),
        ({"denoiser": {"augmentation": {"colour": 0.1}}}, ["`denoiser.augmentation.colour`", "no such key"]),
        ({"method": "guess"}, ["`method`", "found 'guess'", "'holm'"]),
        ({"measurements": ["volume"]}, ["`measurements.0`", "found 'volume'"]),
        ({"noise": "uniform"}, ["`noise`", "'exact'"]),
        ({"attack": {"factors": [0]}}, ["`attack.factors.0`", "found 0"]),
        ({"run": "../elsewhere"}, ["`run`"]),
        ({"run": "captions"}, ["`run: my-run`"]),
        ({"denoiser": {"channels": [12]}}, ["`denoiser.channels.0`", "multiple of 8"]),
    ],
)
def test_refusals_name_key_value_and_the_line_to_write(values, parts):
    with pytest.raises(ConfigError) as error:
        Config.read(values)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, []),
        (
            {"sigmas": [0.5, 2]},
            [
                "found 2, for which the segmenter is not trained. Write `segmenter: {sigma_max: 2}`",
                "denoiser: {sigma_max",
            ],
        ),
        ({"sigmas": [0.1]}, ["found 0.1, for which the denoiser is not trained. Write `denoiser: {sigma_min: 0.1}`"]),
        ({"sigmas": [0.1, 2], "denoiser": {"levels": "all"}, "regimes": ["clean"]}, []),
        ({"sigmas": [0.1, 2], "denoisers": ["none"], "regimes": ["clean"]}, []),
        ({"denoising_steps": 3}, [r"`denoising_steps`: found 3\. .* Write `denoiser: {levels: all}`"]),
        ({"denoising_steps": 3, "denoiser": {"levels": "all"}}, []),
        (
            {"sigmas": [0.25], "pool": 4, "image_size": 128, "denoisers": ["adm256"]},
            [r"`image_size`: found 128 with `pool: 4`; .* 256 x 256 pixels. Write `image_size: 1024`"],
        ),
        ({"denoisers": ["adm256"], "image_size": 256}, []),
        (
            {"sigmas": [0.008, 0.25], "pool": 2, "denoiser": {"levels": "all"}},
            [r"`sigmas`: found 0\.008\. For the denoiser ddpm, .* of 0\.004 .* if its level were 0\.005"],
        ),
        (
            {"sigmas": [0.008, 0.25], "pool": 2, "denoiser": {"levels": "all", "noise_schedule": "cosine"}},
            [],
        ),
    ],
)
def test_noise_outside_the_training_range_gives_a_warning(values, lines):
    warnings = Config.read(values).warnings()
    assert len(warnings) == len(lines)
    for warning, line in zip(warnings, lines, strict=True):
        assert re.search(line, warning)


def test_draws_sets_n_on_the_command_line():
    assert Config.read({"n": 100, "draws": 300}).n == 300


def test_an_infeasible_n_is_refused_with_the_smallest_feasible_one():
    with pytest.raises(CertificationError, match=r"`n: 120` or a larger number"):
        require_feasible(100, 512**2, 0.85, 0.001)
    require_feasible(120, 512**2, 0.85, 0.001)


@pytest.mark.parametrize(("pixels", "tau", "alpha"), [(1, 0.51, 0.4), (4096, 0.75, 0.001), (512**2, 0.99, 1e-6)])
def test_smallest_n_is_smallest(pixels, tau, alpha):
    n = smallest_n(pixels, tau, alpha)
    assert tau**n <= alpha / pixels
    assert n == 1 or tau ** (n - 1) > alpha / pixels
