"""Disk space that a run needs. It is computed exactly if possible, and otherwise estimated from measured files."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

from segcert.plan.jobs import PlannedJob
from segcert.plan.workload import Workload, network_size, sources

ADM_BYTES = 2_200_000_000  # approximate size of OpenAI's checkpoint
MADE_BY = ("train_segmenter", "train_denoiser", "import_network", "import_program", "import_adm")
ESTIMATE = "estimate from a 64x64 phantom; larger images compress better"


@dataclasses.dataclass(frozen=True)
class Space:
    """Disk space for one kind of file, in bytes (NaN if not known), and the source of this number as text."""

    what: str
    bytes: float
    known: str


def disk_of(work: Workload, jobs: Sequence[PlannedJob], per_value: Mapping[str, float]) -> list[Space]:
    """Return the space for all files that the jobs write, including files that already exist.

    `per_value` gives the compressed bytes per value that benchmarks/startup.py measured on a 64x64 phantom run.
    """
    pixels = work.config.image_size**2
    used: dict[str, float] = collections.defaultdict(float)
    for name, found in work.images.items():
        per_pixel = work.about[name].channels * per_value["images"] + per_value["masks"]
        used["prepared"] += found.all * pixels * per_pixel
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
            blocks = math.ceil(n0 / block_size) + math.ceil(n / block_size)  # a block contains draws of one stream
            used["votes"] += 2 * counts * per_value["votes"]  # of the selection draws and of the estimation draws
            used["blocks"] += blocks * counts * per_value["blocks"]
            if job.params["keep_draws"]:
                bits = math.ceil(math.log2(classes))
                used["draws"] += 2 * work.images_of(job) * (n0 + n) * math.ceil(pixels * bits / 8)
    spaces = [
        Space("prepared images (data/prepared)", used["prepared"], ESTIMATE),
        *_models(work, jobs),
        Space("votes", used["votes"], ESTIMATE),
        Space("blocks of draws (.segcert/blocks, may be deleted)", used["blocks"], ESTIMATE),
        Space("certificates and radius maps", used["certificates"], ESTIMATE),
        Space("predictions", used["predictions"], ESTIMATE),
    ]
    archives = [archive for dataset in work.about.values() for archive in dataset.archives]
    if archives:
        sizes = [archive.bytes for archive in archives if archive.bytes]
        source = f"the catalogue, which lists the sizes of {len(sizes)} of {len(archives)} archives"
        spaces.insert(0, Space("archives (data/raw)", sum(sizes) or math.nan, source))
    if used["draws"]:
        what = "label maps of all draws (keep_draws), in votes and blocks"
        spaces.append(Space(what, used["draws"], "upper bound, before compression"))
    return spaces


def _models(work: Workload, jobs: Sequence[PlannedJob]) -> list[Space]:
    side = work.config.image_size // work.config.pool
    models = checkpoint = 0.0
    source = "exact, except for file headers"
    adm = []
    for job in jobs:
        if job.rule not in MADE_BY:
            continue
        if job.rule == "import_adm":
            adm = [Space("OpenAI's checkpoint (data/raw/adm256)", ADM_BYTES, "its published size")]
            channels = 3
        else:
            channels = work.about[sources(job)[0]].channels
        weights = network_size(work.networks[job.params["folder"]], channels, side).weight_bytes
        if math.isnan(weights):
            source = "exact, except for file headers and for networks of unknown size"
            continue
        trained = job.rule.startswith("train")
        models += weights * (2 if trained else 1)  # the best weights, and the last weights
        if trained:
            # The current weights, the best weights, two moments of the optimiser, and the moving average
            checkpoint = max(checkpoint, weights * (5 if job.params["settings"]["ema_decay"] else 4))
    spaces = [Space("models", models, source), *adm]
    if checkpoint:
        what = "largest training checkpoint, during training"
        spaces.append(Space(what, checkpoint, "upper bound, for AdamW"))
    return spaces
