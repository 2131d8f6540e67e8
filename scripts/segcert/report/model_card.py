"""Model cards (Mitchell et al., FAccT 2019), which describe a network, its training data and its limitations."""

import csv
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from safetensors import safe_open

from segcert.data.adm_checkpoint import SHA256, URL
from segcert.data.dataset import SPLITS
from segcert.provenance.digests import file_digest
from segcert.report.html import TEMPLATES

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # statistics, which are not parameters


class Validation(NamedTuple):
    """A row of history.csv: the training step, and the validation score for selecting the best weights."""

    step: int
    score: float


def segmenter_card(
    folder: str | Path, index: str | Path, settings: Mapping[str, Any], tuning: Mapping[str, Any]
) -> str:
    """Return the model card of a segmenter, as YAML metadata followed by Markdown (Hugging Face's format).

    `settings` contains the training settings, with the keys of the configuration section `segmenter`. For the regime
    `denoised`, `tuning` contains the denoiser, the number of denoising steps and the noise levels. For a pretrained
    network, `settings` and `tuning` are empty.
    """
    folder = Path(folder)
    config = _json(folder / "config.json")
    weights = folder / ("program.pt" if "program" in config else "model.safetensors")
    history = folder / "history.csv"
    return _render(
        "segmenter_card.md.j2",
        name=folder.name,
        folder=folder.as_posix(),
        source=_source(Path(index)),
        config=config,
        weights=weights.name,
        digest=file_digest(weights),
        parameters=None if "program" in config else count_parameters(weights),
        settings=settings,
        tuning=tuning,
        validations=best_and_last(history) if history.exists() else None,
    )


def denoiser_card(folder: str | Path, indexes: Sequence[str | Path], settings: Mapping[str, Any], pool: int = 1) -> str:
    """Return the model card of a denoiser that was trained in this pipeline on one or more data sets.

    `settings` contains the training settings, with the keys of the configuration section `denoiser`. Training images
    were averaged over blocks of `pool` x `pool` pixels.
    """
    return _render(
        "denoiser_card.md.j2",
        **_denoiser(Path(folder)),
        sources=[_source(Path(index)) for index in indexes],
        settings=settings,
        pool=pool,
        validations=best_and_last(Path(folder) / "history.csv"),
    )


def adm_card(folder: str | Path) -> str:
    """Return the model card of OpenAI's unconditional 256x256 ADM, which was converted to the diffusers format."""
    return _render("adm_card.md.j2", **_denoiser(Path(folder)), url=URL, sha256=SHA256)


def _source(index: Path) -> dict[str, Any]:
    """Return the dataset.json, splits.json and split sizes of a data set, and the SHA-256 digest of index.csv."""
    split = _json(index.with_name("splits.json"))
    return {
        "about": _json(index.with_name("dataset.json")),
        "split": split,
        "images": {name: len(split[name]) for name in SPLITS},
        "digest": file_digest(index),
    }


def best_and_last(history: Path) -> tuple[Validation, Validation]:
    """Return the first validation with the highest score, whose weights were kept, and the last validation."""
    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    validations = [Validation(int(step), float(score)) for step, _, _, score, *_ in rows]
    return max(validations, key=lambda each: (not math.isnan(each.score), each.score)), validations[-1]


def count_parameters(weights: str | Path) -> int:
    """Count the parameters in a safetensors file, excluding the running statistics of batch normalisation."""
    with safe_open(weights, framework="numpy") as file:
        names = [name for name in sorted(file.keys()) if not name.endswith(STATISTICS)]
        shapes = [file.get_slice(name).get_shape() for name in names]
    return sum(map(math.prod, shapes))


def _denoiser(folder: Path) -> dict[str, Any]:
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    return {
        "name": folder.name,
        "folder": folder.as_posix(),
        "unet": _json(folder / "unet/config.json"),
        "scheduler": _json(folder / "scheduler/scheduler_config.json"),
        "digest": file_digest(weights),
        "parameters": count_parameters(weights),
    }


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def plain(text: str) -> str:
    """Escape free text and join its lines, so that HTML or Markdown in the text has no effect."""
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _render(template: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 (Markdown: free text is escaped by `plain`)
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain
    environment.filters["indented"] = lambda value: json.dumps(value, indent=2)
    return environment.get_template(template).render(**values)
