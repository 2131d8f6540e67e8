"""Space that a run takes on the disk: exactly where a formula says it, else from bytes that were measured."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

from segcert.plan.jobs import Planned
from segcert.plan.workload import Workload, weight_bytes

ADM_BYTES = 2_200_000_000  # of OpenAI's checkpoint, about
MADE_BY = ("train_segmenter", "train_denoiser", "import_network", "import_program", "import_adm")
ESTIMATE = "estimate: bytes for a value of a phantom at 64x64; larger images compress better"


@dataclasses.dataclass(frozen=True)
class Space:
    """Something that takes space: its bytes, NaN where they are not known, and in words how they are known."""

    what: str
    bytes: float
    known: str


def disk_of(work: Workload, jobs: Sequence[Planned], per_value: Mapping[str, float]) -> list[Space]:
    """Space of all that the jobs write, whether it is there already or not.

    `per_value`: compressed bytes for a value, as benchmarks/startup.py measures them on a phantom run at 64x64.
    """
    pixels = work.config.image_size**2
    used: dict[str, float] = collections.defaultdict(float)
    for job in jobs:
        if job.rule == "certify":
            used["certificates"] += work.certified(job) * pixels * (per_value["certificates"] + per_value["radii"])
        elif job.rule == "predict":
            used["predictions"] += work.images_of(job) * pixels * per_value["predictions"]
        elif job.rule == "sample":
            n0, n = job.params["n0"], job.params["n"]
            classes = len(work.about[job.wildcards["dataset"]].classes)
            counts = work.images_of(job) * classes * pixels
            block_size = job.params["settings"]["block_size"]
            blocks = math.ceil(n0 / block_size) + math.ceil(n / block_size)  # a block holds draws of one stream
            used["votes"] += 2 * counts * per_value["votes"]  # selection and estimation
            used["blocks"] += blocks * counts * per_value["blocks"]
            if job.params["keep_draws"]:
                bits = math.ceil(math.log2(classes))
                used["draws"] += 2 * work.images_of(job) * (n0 + n) * math.ceil(pixels * bits / 8)
    spaces = [
        *_data(work, per_value),
        *_models(work, jobs),
        Space("votes", used["votes"], ESTIMATE),
        Space("blocks of draws (.segcert/blocks, may be deleted)", used["blocks"], ESTIMATE),
        Space("certificates and radius maps", used["certificates"], ESTIMATE),
        Space("predictions", used["predictions"], ESTIMATE),
    ]
    if used["draws"]:
        what = "label maps of draws (keep_draws), in votes and blocks"
        spaces.append(Space(what, used["draws"], "at most: before compression"))
    return spaces


def _data(work: Workload, per_value: Mapping[str, float]) -> list[Space]:
    spaces = []
    archives = [archive for dataset in work.about.values() for archive in dataset.archives]
    if archives:
        known = [archive.bytes for archive in archives if archive.bytes]
        silent = [archive.name for archive in archives if not archive.bytes]
        words = "sizes in the catalogue" if known else "not published in the catalogue"
        if silent and known:
            words += f"; not among them, for want of a published size: {', '.join(silent)}"
        spaces.append(Space("archives (data/raw)", sum(known) or math.nan, words))
    pixels = 0.0
    for name, found in work.images.items():
        per_pixel = work.about[name].channels * per_value["images"] + per_value["masks"]
        pixels += found.all * work.config.image_size**2 * per_pixel
    return [*spaces, Space("prepared images (data/prepared)", pixels, ESTIMATE)]


def _models(work: Workload, jobs: Sequence[Planned]) -> list[Space]:
    side = work.config.image_size // work.config.pool
    models = checkpoint = 0.0
    words = "exact, but for the headers of the files"
    for job in jobs:
        if job.rule not in MADE_BY:
            continue
        held = weight_bytes(work.networks[job.params["folder"]], side)
        if math.isnan(held):
            words = "exact, but for the headers of the files; without networks whose sizes are not known"
            continue
        trained = job.rule.startswith("train")
        models += held * (2 if trained else 1)  # the best weights, and the last
        if trained:
            # weights now, the best, two moments of the optimiser, and the moving average
            checkpoint = max(checkpoint, held * (5 if job.params["settings"]["ema_decay"] else 4))
    spaces = [Space("models", models, words)]
    if any(job.rule == "import_adm" for job in jobs):
        spaces.append(Space("OpenAI's checkpoint (data/raw/adm256)", ADM_BYTES, "its published size"))
    if checkpoint:
        spaces.append(Space("checkpoint of a training, while it runs (the largest)", checkpoint, "at most, with AdamW"))
    return spaces
