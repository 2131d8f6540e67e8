"""What a run leaves on the disk: exactly where a formula says it, else from bytes that were measured."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from segcert.config import Config
from segcert.data.catalogue import Dataset
from segcert.plan.counts import Images
from segcert.plan.evaluations import Work
from segcert.plan.jobs import Planned
from segcert.plan.networks import weight_bytes

ADM_BYTES = 2_200_000_000  # of OpenAI's checkpoint, about
MADE_BY = ("train_segmenter", "train_denoiser", "import_network", "import_program", "import_adm")


@dataclasses.dataclass(frozen=True)
class Space:
    """What takes space: bytes, NaN where they are not known, and how they are known in words."""

    what: str
    bytes: float
    known: str


def disk_of(work: Work, jobs: Sequence[Planned], per_value: Mapping[str, float]) -> list[Space]:
    """Space of all that the jobs write, whether it is there already or not.

    `per_value`: compressed bytes for a value, as benchmarks/startup.py measures them on a phantom run at 64x64.
    """
    estimate = "estimate: bytes for a value of a phantom at 64x64; larger images compress better"
    pixels = work.config.image_size**2
    votes = blocks = draws = certificates = predictions = 0.0
    for job in jobs:
        if job.rule not in ("sample", "certify", "predict"):
            continue
        name = job.wildcards["dataset"]
        images, classes = work.images_of(job), len(work.about[name].classes)
        if job.rule == "sample":
            size = job.params["settings"]["block_size"]
            stored = math.ceil(job.params["n0"] / size) + math.ceil(job.params["n"] / size)
            votes += images * 2 * classes * pixels * per_value["votes"]  # selection and estimation
            blocks += images * stored * classes * pixels * per_value["blocks"]
            if job.params["keep_draws"]:
                bits = math.ceil(math.log2(classes))
                draws += 2 * images * (job.params["n0"] + job.params["n"]) * math.ceil(pixels * bits / 8)
        elif job.rule == "certify":
            certificates += work.certified(job) * pixels * (per_value["certificates"] + per_value["radii"])
        else:
            predictions += images * pixels * per_value["predictions"]
    kept = [Space("label maps of draws (keep_draws), in votes and blocks", draws, "at most: before compression")]
    return [
        *_data(work.config, work.images, work.about, per_value, estimate),
        *_models(work, jobs),
        Space("votes", votes, estimate),
        Space("blocks of draws (.segcert/blocks, may be deleted)", blocks, estimate),
        *(kept if draws else []),
        Space("certificates and radius maps", certificates, estimate),
        Space("predictions", predictions, estimate),
    ]


def _data(
    config: Config,
    images: Mapping[str, Images],
    about: Mapping[str, Dataset],
    per_value: Mapping[str, float],
    estimate: str,
) -> list[Space]:
    archives = [archive for dataset in about.values() for archive in dataset.archives]
    known = [archive.bytes for archive in archives if archive.bytes]
    silent = [archive.name for archive in archives if not archive.bytes]
    words = "sizes in the catalogue" if known else "not published in the catalogue"
    missing = f"; not among them, for want of a published size: {', '.join(silent)}" if silent and known else ""
    raw = [Space("archives (data/raw)", sum(known) or math.nan, words + missing)] if archives else []
    pixels = sum(
        found.all * config.image_size**2 * (about[name].channels * per_value["images"] + per_value["masks"])
        for name, found in images.items()
    )
    return [*raw, Space("prepared images (data/prepared)", pixels, estimate)]


def _models(work: Work, jobs: Sequence[Planned]) -> list[Space]:
    side = work.config.image_size // work.config.pool
    trained = checkpoints = 0.0
    unknown = False
    for job in jobs:
        if job.rule not in MADE_BY:
            continue
        held = weight_bytes(work.networks[job.params["folder"]], side)
        unknown |= math.isnan(held)
        files = 2 if job.rule.startswith("train") else 1  # the best weights, and the last
        trained += 0.0 if math.isnan(held) else files * held
        # weights now, the best, two moments of the optimiser, and the moving average
        if job.rule.startswith("train") and not math.isnan(held):
            checkpoints = max(checkpoints, held * (4 + bool(job.params["settings"]["ema_decay"])))
    words = "exact, but for the headers of the files" + (
        "; without networks whose sizes are not known" if unknown else ""
    )
    spaces = [Space("models", trained, words)]
    if any(job.rule == "import_adm" for job in jobs):
        spaces.append(Space("OpenAI's checkpoint (data/raw/adm256)", ADM_BYTES, "its published size"))
    if checkpoints:
        spaces.append(
            Space("checkpoint of a training, while it runs (the largest)", checkpoints, "at most, with AdamW")
        )
    return spaces
