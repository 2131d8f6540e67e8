"""Code in the pages: Python runs, commands parse, and configuration keys exist."""

import contextlib
import re

import numpy as np
import pytest
import torch
import typer.main
import yaml
from PIL import Image
from snakemake.cli import get_argument_parser
from tests.support.pages import PAGES, ROOT, blocks, commands, inline

from segcert.cli import app
from segcert.config import Config
from segcert.config.networks import Denoiser, OwnModel
from segcert.config.schema import ALIASES
from segcert.config.sections import OwnData, Section
from segcert.training.denoiser import build_scheduler, build_unet

MADE_BY_THE_READER = {"config/clinic.yaml"}
RULES = set(re.findall(r"^rule (\w+):", "\n".join(p.read_text() for p in (ROOT / "rules").glob("*.smk")), re.MULTILINE))
FILES = re.compile(r"(data|models|results|reports)(/\S+|\.dvc)$")


def a_model():
    """Return `model` and `image` of the pages: a differentiable network of two classes, and an image in [0, 1]."""
    torch.manual_seed(0)
    model = torch.nn.Conv2d(1, 2, 3, padding=1).eval()
    with torch.no_grad():
        model.bias.copy_(torch.tensor([5.0, 0.0]))
    return {"model": model, "image": np.random.default_rng(0).random((1, 16, 16), np.float32)}


def a_denoiser(folder):
    """Save a tiny denoiser where the pages expect that of Montgomery."""
    path = folder / "models/denoiser/montgomery"
    settings = Denoiser(channels=[8, 8]).model_dump()
    build_unet(settings, 1, 16).save_pretrained(path / "unet")
    build_scheduler(settings).save_pretrained(path / "scheduler")


def an_image(folder):
    """Write a gray image of 64x64 pixels to the path where the README expects one."""
    gray = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(gray).save(folder / "chest.png")


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_blocks_run(page, tmp_path):
    """Blocks run in order, in one namespace, in an empty folder, with the files of `a_denoiser` and `an_image`."""
    a_denoiser(tmp_path)
    an_image(tmp_path)
    names = a_model()
    with contextlib.chdir(tmp_path):
        for block in blocks(page, "python"):
            code = "\n" * block.line + block.text
            exec(compile(code, str(ROOT / page), "exec"), names)
    if "smoothed" in names:
        assert 0 < names["certificate"].radius < 1
        assert (names["certificate"].labels == 0).any(), "no pixel is certified"


def test_pages_that_should_show_python_do():
    assert {"README.md", "docs/how-to/certify.md", "docs/tutorial.md", "docs/noise.md"} <= set(WITH_PYTHON)


def command_lines(name):
    """Return every command line of a program, with its page."""
    found = [(page, command) for page in PAGES for command in commands(page) if command[0].rsplit("/", 1)[-1] == name]
    assert found
    return found


def refusal(command):
    """Return the kind of error of a command line of segcert; None if it parses."""
    group = typer.main.get_command(app)
    try:
        if command[1].startswith("-"):
            group.make_context(command[0], command[1:])
        else:
            group.commands[command[1]].make_context(command[1], command[2:])
    except typer.Exit:  # raised by --version
        return None
    except Exception as error:
        return type(error).__name__
    return None


def test_segcert_command_lines_parse():
    for page, command in command_lines("segcert"):
        # Commands within the text may lack arguments: `segcert certify --noise exact`.
        within_the_text = " ".join(command) in inline(page)
        allowed = (None, "MissingParameter", "NoArgsIsHelpError") if within_the_text else (None,)
        assert len(command) == 1 or refusal(command) in allowed, f"{page}: {' '.join(command)}"


def test_a_wrong_segcert_command_line_does_not_parse():
    assert refusal(["segcert", "certify", "a.png", "--sgima", "1"]) == "NoSuchOption"
    assert refusal(["segcert", "certfy", "a.png"]) == "KeyError"
    assert refusal(["segcert", "--verson"]) == "NoSuchOption"


def test_snakemake_command_lines_parse_and_their_settings_are_valid():
    for page, command in command_lines("snakemake"):
        line = f"{page}: {' '.join(command)}"
        if "--executor" in command:  # this executor is not installed here
            at = command.index("--executor")
            command[at : at + 2] = []
        options = get_argument_parser().parse_args(command[1:])
        read = {}
        for path in options.configfile or []:
            name = str(path).removeprefix(f"{ROOT}/")
            if name not in MADE_BY_THE_READER and "/path/to" not in name:
                read |= yaml.safe_load((ROOT / name).read_text())
        settings = dict(setting.split("=", 1) for setting in options.config or [])
        Config.read(read | {key: yaml.safe_load(str(value)) for key, value in settings.items()})
        for target in options.targets:
            assert target in RULES or FILES.match(str(target)) or str(target) in ("FILE",), line


VARIABLES = ("CONFIG", "RUN", "TORCH", "UPGRADE", "PYTHON", "VERBOSE")


def test_targets_of_make_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, command in command_lines("make"):
        for word in command[1:]:
            key, _, value = word.partition("=")
            assert word in targets or key in VARIABLES, f"{page}: {' '.join(command)}"
            assert key != "CONFIG" or value in MADE_BY_THE_READER or (ROOT / value).is_file(), f"{page}: {word}"


def test_named_modules_and_scripts_exist():
    for page, command in command_lines("python"):
        if command[1] == "-m":
            module = ROOT / command[2].replace(".", "/")
            assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), f"{page}: {command}"
        elif command[1].endswith(".py"):
            assert (ROOT / command[1]).is_file(), f"{page}: {' '.join(command)}"


def keys_of(model, prefix=()):
    """Yield the paths of all keys of a model."""
    for name, field in model.model_fields.items():
        yield (*prefix, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from keys_of(field.annotation, (*prefix, name))


KEYS = {path for model in (Config, OwnData, OwnModel) for path in keys_of(model)} | {(alias,) for alias in ALIASES}
FLAT = {path[-1] for path in KEYS}
FREE = ("own_data", "own_models", "splits", "exclude")  # their keys are user-supplied names


def paths_in(value, prefix=()):
    for key, inner in value.items():
        yield (*prefix, key)
        if isinstance(inner, dict) and key not in FREE and key not in ("values", "arguments"):
            yield from paths_in(inner, (*prefix, key))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml") or inline(page)])
def test_configuration_keys_in_the_docs_exist(page):
    """In blocks of YAML and in pieces such as `sampling: {shard_size: 20}`. Keys of a section may appear without it."""
    found = [(block.text, yaml.safe_load(block.text)) for block in blocks(page, "yaml")]
    for piece in inline(page):
        if re.match(r"[a-z_0-9]+: [\w{\[./]", piece):
            with contextlib.suppress(yaml.YAMLError):
                found.append((piece, yaml.safe_load(piece.replace("{...}", "{}"))))
    for text, value in found:
        if isinstance(value, dict):
            for path in paths_in(value):
                known = path in KEYS if len(path) > 1 else path[0] in FLAT
                assert known or path[-1] in NOT_KEYS, f"{page}: {text}: there is no key {'.'.join(map(str, path))}"


NOT_KEYS = ("resources", "params")  # Snakemake's own keys
