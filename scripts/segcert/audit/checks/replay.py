"""Redraw the votes of some images, compare them count by count, and predict the labels of the clean images again."""

import functools
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from segcert.audit.checks.certificates import shard_images
from segcert.audit.findings import Evidence, Finding, Findings, changed_code, index_path
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import StoredArrays
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.lineage import Job
from segcert.provenance.recording import processor
from segcert.smoothing.examples import predict_clean
from segcert.smoothing.looks import settings_of
from segcert.votes import Votes, load_votes

ROUNDING = 0.001  # share of counts that may differ by one on a different processor, which rounds sums differently


def replay_check(images: int, seed: int | None = None) -> dict[str, Callable[[Evidence], Findings]]:
    """Return a dict with the title and the function of the check that redraws the votes of some images.

    The images are selected with the given seed. Without a seed, they are selected at random.
    """
    chosen = secrets.randbelow(2**32) if seed is None else seed
    return {f"votes drawn again (seed {chosen})": functools.partial(check_votes, images=images, seed=chosen)}


def check_votes(evidence: Evidence, images: int, seed: int) -> Findings:
    """Redraw the votes of `images` images, selected with the given seed from all noise levels and pairings.

    On the same processor or GPU model as in the original run, every count must be identical. On a different processor,
    a few counts may differ by one where two logits are nearly equal. Votes from a GPU are redrawn only on a GPU.
    Finally, all predictions on clean images are repeated.
    """
    root = evidence.root
    drawn = [(job, image) for job in evidence.lineage.jobs if job.rule == "sample" for image in shard_images(job, root)]
    for choice in sorted(np.random.default_rng(seed).permutation(len(drawn))[:images]):
        job, image = drawn[choice]
        yield changed_code(job) or _redraw(root, job, image)
    for job in evidence.lineage.jobs:
        if job.rule == "predict":
            yield changed_code(job) or _repredict(root, job)


def _replay_device(job: Job) -> tuple[torch.device, bool] | None:
    """Return the device on which to repeat a job, and whether it is the same hardware as before.

    Return None if the job ran on a GPU and no GPU is available here.
    """
    record = job.record
    on_gpu = not record["device"].startswith("cpu")
    if on_gpu and not torch.cuda.is_available():
        return None
    device = set_up_torch("cuda" if on_gpu else "cpu", record["threads"])
    now, before = (device_name(device), record["device"]) if on_gpu else (processor(), record["processor"])
    return device, now == before


def _repredict(root: Path, job: Job) -> Finding | None:
    """Predict the labels of the clean test images again without smoothing, and compare them with the saved labels."""
    params, (output,) = job.record["params"], job.outputs
    replay = _replay_device(job)
    if replay is None:
        return Finding(output, f"was made on {job.record['device']}, so it cannot be repeated here", broken=False)
    device, same_hardware = replay
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder, "again.npz")
        predict_clean(
            root / index_path(job),
            root / params["segmenter"],
            again,
            test_images=params["test_images"],
            pool=params["pool"],
            device=device,
        )
        with StoredArrays(again) as made, StoredArrays(root / output) as written:
            if made.keys() != written.keys():
                return Finding(output, "does not contain labels of the same images as the index")
            shares = {image: float(np.mean(made[image] != written[image])) for image in made}
    worst = max(shares, key=shares.__getitem__)
    if shares[worst] == 0:
        return None
    rounding = not same_hardware and shares[worst] <= ROUNDING
    message = f"the repeated prediction of {worst} differs in {shares[worst]:.2%} of its pixels"
    return Finding(output, message, broken=not rounding)


def _redraw(root: Path, job: Job, image: str) -> Finding | None:
    record, params, (output,) = job.record, job.record["params"], job.outputs
    replay = _replay_device(job)
    if replay is None:
        return Finding(output, f"was drawn on {record['device']}, so it cannot be redrawn here", broken=False)
    device, same_hardware = replay
    votes = load_votes(root / output)
    if image not in votes:
        return Finding(output, f"contains no votes of {image}, which is in the index")
    dataset = PreparedDataset(root / index_path(job))
    sampling = settings_of(params).from_params(params, float(record["wildcards"]["sigma"]), root)
    again = sampling.start(sampling.smoothed_segmenter(dataset, device), dataset, image)()
    return _compare_votes(output, image, votes[image], again, same_hardware=same_hardware)


def _compare_votes(output: str, image: str, votes: Votes, again: Votes, *, same_hardware: bool) -> Finding | None:
    written, made = votes.arrays(), again.arrays()
    other = made.keys() ^ written.keys()
    for name in made.keys() & written.keys():
        if not np.array_equal(made[name], written[name], equal_nan=True):
            other.add(name)
    if not other:
        return None
    if same_hardware or not _rounding_only(votes, again):
        return Finding(output, f"the redrawn votes of {image} differ in {', '.join(sorted(other))}")
    message = f"the votes of {image}, redrawn on a different processor, differ by one in a few counts, due to rounding"
    return Finding(output, message, broken=False)


def _rounding_only(votes: Votes, again: Votes) -> bool:
    """Return True if only a few counts differ, and each of them by one."""
    for one, other in ((votes.selection, again.selection), (votes.estimation, again.estimation)):
        if one.shape != other.shape:
            return False
        difference = np.abs(one.astype(int) - other.astype(int))
        if difference.max() > 1 or np.mean(difference > 0) > ROUNDING:
            return False
    return True
