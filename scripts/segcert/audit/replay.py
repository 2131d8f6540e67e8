"""Draw votes again: some images, all their draws, compared count by count."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from segcert.audit.findings import Evidence, Finding, Findings, other_code
from segcert.audit.lineage import Job
from segcert.data.loading import PreparedDataset
from segcert.measurements import measurements_of
from segcert.models.runtime import device_name, set_up_torch
from segcert.provenance.records import processor
from segcert.smoothing.shard import smoothed_segmenter
from segcert.votes import Votes, load_votes

ROUNDING = 0.001  # share of the counts that another processor, which rounds sums otherwise, may change by one


def check_votes(evidence: Evidence, images: int, seed: int) -> Findings:
    """Votes of `images` images, chosen at random by `seed` from all noise levels and pairings, drawn again.

    On the processor (or GPU) of the first time every count has to be the same. On another processor single counts may
    differ by one, where two logits are as good as equal; votes of a GPU are drawn again on its like alone.
    """
    jobs = [job for job in evidence.lineage.jobs if job.rule == "sample"]
    names = {job.path: _images_of(evidence.root, job) for job in jobs}
    drawn = [(job, image) for job in jobs for image in names[job.path]]
    for choice in sorted(np.random.default_rng(seed).permutation(len(drawn))[:images]):
        job, image = drawn[choice]
        yield other_code(job) or _drawn_again(evidence.root, job, image)


def _images_of(root: Path, job: Job) -> list[str]:
    """The images of a shard, as the index lists them."""
    params = job.record["params"]
    dataset = PreparedDataset(root / _index_of(job))
    shard = int(job.record["wildcards"]["shard"])
    return dataset.names("test", params["settings"]["test_images"])[shard :: params["shards"]]


def _drawn_again(root: Path, job: Job, image: str) -> Finding | None:
    record, params, (output,) = job.record, job.record["params"], job.outputs
    was_on_gpu = not record["device"].startswith("cpu")
    if was_on_gpu and not torch.cuda.is_available():
        return Finding(output, f"was drawn on {record['device']}, and cannot be drawn again here", broken=False)
    device = set_up_torch("cuda" if was_on_gpu else "cpu", record["threads"])
    here, then = (device_name(device), record["device"]) if was_on_gpu else (processor(), record["processor"])
    votes = load_votes(root / output)
    if image not in votes:
        return Finding(output, f"holds no votes of {image}, which the index names")
    dataset = PreparedDataset(root / _index_of(job))
    smoothed = smoothed_segmenter(
        dataset, root / params["segmenter"], params["denoiser"] and root / params["denoiser"],
        denoising_steps=params["denoising_steps"], sigma=float(record["wildcards"]["sigma"]),
        settings=params["settings"], noise=params["noise"], pool=params["pool"], seed=params["seed"], device=device,
        code=params["code"],
    )  # fmt: skip
    again = smoothed.sample(
        dataset.image(image), params["n0"], params["n"], truth=dataset.mask(image), keep_draws=params["keep_draws"],
        measurements=measurements_of(params["measurements"], dataset.about["classes"], dataset.pixel_size(image)),
    )  # fmt: skip
    return _compared(output, image, votes[image], again, same_hardware=here == then)


def _compared(output: str, image: str, votes: Votes, again: Votes, *, same_hardware: bool) -> Finding | None:
    written, made = votes.arrays(), again.arrays()
    other = sorted(
        name
        for name in made.keys() | written.keys()
        if name not in made or name not in written or not np.array_equal(made[name], written[name], equal_nan=True)
    )
    if not other:
        return None
    if same_hardware or not _by_rounding(votes, again):
        return Finding(output, f"the votes of {image}, drawn again, give other {', '.join(other)}")
    words = f"the votes of {image}, drawn again on another processor, differ by one in a few counts, as rounding may"
    return Finding(output, words, broken=False)


def _by_rounding(votes: Votes, again: Votes) -> bool:
    """Whether counts differ by one at most, and few of them do."""
    pairs = ((votes.selection, again.selection), (votes.estimation, again.estimation))
    if any(one.shape != other.shape for one, other in pairs):
        return False
    differences: list[np.ndarray[Any, Any]] = [np.abs(one.astype(int) - other.astype(int)) for one, other in pairs]
    return all(each.max() <= 1 and np.mean(each > 0) <= ROUNDING for each in differences)


def _index_of(job: Job) -> str:
    return next(path for path in job.inputs if path.endswith("/index.csv"))
