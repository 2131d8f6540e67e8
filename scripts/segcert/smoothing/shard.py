"""The votes of a shard of a data set's test images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from segcert.data.dataset import PreparedDataset
from segcert.io.interruption import interrupted_between_steps
from segcert.io.progress import log, track
from segcert.measurements import measurements_of
from segcert.networks.folders import denoiser_digest, segmenter_digest
from segcert.networks.registry import load_segmenter
from segcert.smoothing.sampler import Denoise, SmoothedSegmenter
from segcert.smoothing.store import BlockStore
from segcert.votes import Votes, save_votes


def sample_shard(
    index: str | Path,
    segmenter: str | Path,
    denoiser: str | Path | None,
    output: str | Path,
    *,
    denoising_steps: int,
    sigma: float,
    shard: int,
    shards: int,
    settings: dict[str, Any],
    measurements: Sequence[str],
    keep_draws: bool,
    noise: str,
    pool: int,
    n0: int,
    n: int,
    seed: int,
    device: torch.device,
    code: str,
    store: BlockStore,
) -> None:
    """Draw the votes of test images number `shard`, `shard` + `shards`, ... and write them to one file.

    `segmenter` and `denoiser` are model folders, `denoising_steps` the calls of the denoiser's network; `settings` are
    the keys of the section `sampling` of the configuration; `measurements` those of its key that fit the data set;
    `code` is the digest of the code that draws, a part of what names a block. Raises Interrupted after the block in
    which SIGTERM comes: the blocks that are finished are in `store`.
    """
    dataset = PreparedDataset(Path(index))
    smoothed = smoothed_segmenter(
        dataset, segmenter, denoiser, denoising_steps=denoising_steps, sigma=sigma, settings=settings, noise=noise,
        pool=pool, seed=seed, device=device, code=code, store=store,
    )  # fmt: skip
    names = dataset.names("test", settings["test_images"])[shard::shards]
    log.info("%d images, sigma %g, %d + %d draws each", len(names), sigma, n0, n)
    started: dict[str, Callable[[], Votes]] = {}
    votes: dict[str, Votes] = {}
    with interrupted_between_steps():
        for name in track(names, f"sampling sigma {sigma:g}"):
            started[name] = smoothed.start(
                dataset.image(name),
                n0,
                n,
                truth=dataset.mask(name),
                measurements=measurements_of(measurements, dataset.about["classes"], dataset.pixel_size(name)),
                keep_draws=keep_draws,
            )
            votes |= {earlier: started.pop(earlier)() for earlier in list(started)[:-1]}  # while a GPU is at this one
        votes |= {last: finish() for last, finish in started.items()}
    save_votes(output, votes)
    if keep_draws and names:
        size = Path(output).stat().st_size / len(names)
        log.info("with the label maps of all draws, %.0f bytes per image", size)


def smoothed_segmenter(
    dataset: PreparedDataset,
    segmenter: str | Path,
    denoiser: str | Path | None,
    *,
    denoising_steps: int,
    sigma: float,
    settings: Mapping[str, Any],
    noise: str,
    pool: int,
    seed: int,
    device: torch.device,
    code: str,
    store: BlockStore | None = None,
) -> SmoothedSegmenter:
    """The smoothed segmenter that draws the votes of a data set; the arguments are those of `sample_shard`."""
    model, config = load_segmenter(segmenter)
    return SmoothedSegmenter(
        model,
        sigma,
        len(config["classes"]),
        denoiser=load_denoiser(denoiser, denoising_steps),
        batch_size=settings["batch_size"],
        precision=settings["precision"],
        compiled=settings["compile"],
        block_size=settings["block_size"],
        noise=noise,
        bits=dataset.about["bits"],
        pool=pool,
        seed=seed,
        device=device,
        store=store,
        identity={
            "segmenter": segmenter_digest(segmenter),
            "denoiser": denoiser_digest(denoiser, denoising_steps),
            "code": code,
        },
    )


def load_denoiser(folder: str | Path | None, steps: int = 1) -> Denoise | None:
    """The denoiser of a folder, or None for None (then diffusers, which takes seconds, is not imported)."""
    if folder is None:
        return None
    from segcert.networks.denoiser import DiffusionDenoiser

    return DiffusionDenoiser.load(folder, steps)
