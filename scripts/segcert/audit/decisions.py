"""Do the votes give the certificates? Every one is decided again, and measured again."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segcert.audit.findings import Evidence, Finding, Findings, other_code, unless
from segcert.audit.lineage import Job
from segcert.certification.certificate import certify
from segcert.certification.evaluate import interval_rows, metric_rows, votes_of
from segcert.data.loading import PreparedDataset
from segcert.models.folders import denoiser_digest, segmenter_digest
from segcert.votes import Votes

WILDCARDS = ("model", "regime", "denoiser")


def check_decisions(evidence: Evidence) -> Findings:
    """Labels, metrics and intervals of each image follow from its votes, and the votes from the networks at hand.

    Images are taken one by one, so that memory does not grow with their number.
    """
    for job in evidence.lineage.jobs:
        if job.rule == "certify":
            try:
                yield from [notice] if (notice := other_code(job)) else _decided_again(evidence, job)
            except (OSError, ValueError, KeyError) as error:
                yield Finding(_labels_of(job), f"cannot be decided again: {error}")


def _decided_again(evidence: Evidence, job: Job) -> Findings:
    root, params = evidence.root, job.record["params"]
    index = next(path for path in job.inputs if path.endswith("/index.csv"))
    dataset = PreparedDataset(root / index)
    about = {key: job.record["wildcards"][key] for key in WILDCARDS}
    written = {kind: _rows_of(root, job, suffix) for kind, suffix in (("metrics", ""), ("intervals", ".intervals"))}
    predicted = next(path for path in job.inputs if "/predictions/" in path)
    with np.load(root / _labels_of(job)) as labels, np.load(root / predicted) as predictions:
        left = set(labels.files)
        for path in (path for path in job.inputs if "/votes/" in path):
            networks = networks_of(evidence.lineage.makers[path], root)
            for image, votes in votes_of(dataset, root / path):
                left.discard(image)
                yield _origin(path, image, votes, networks)
                certificate = certify(votes, **params["settings"])
                if image not in labels.files or not np.array_equal(certificate.labels, labels[image]):
                    yield Finding(_labels_of(job), f"the votes of {image} give other labels than are written")
                    continue
                seen = {image: predictions[image]}
                rows = {
                    "metrics": metric_rows(dataset, seen, {image: certificate}, about),
                    "intervals": interval_rows(
                        dataset, {image: votes}, seen, about,
                        measurements=params["measurements"], thresholds=params["thresholds"],
                        tau=params["settings"]["tau"], alpha=params["settings"]["alpha"],
                    ),
                }  # fmt: skip
                other = [kind for kind, made in rows.items() if not same_rows(made, written[kind].get(image, []))]
                message = f"the votes of {image} give other {' and '.join(other)} than are written"
                yield unless(not other, _labels_of(job), message)
        for image in sorted(left):
            yield Finding(_labels_of(job), f"holds labels of {image}, of which there are no votes")


def networks_of(sampling: Job, root: Path) -> dict[str, str | None]:
    """The digests that votes name their networks by, of the networks that a sampling job names."""
    params = sampling.record["params"]
    denoiser = params["denoiser"] and root / params["denoiser"]
    return {
        "segmenter": segmenter_digest(root / params["segmenter"]),
        "denoiser": denoiser_digest(denoiser, params["denoising_steps"]),
        "code": params["code"],
    }


def _origin(path: str, image: str, votes: Votes, networks: Mapping[str, str | None]) -> Finding | None:
    other = [name for name, digest in networks.items() if votes.origin.get(name) != digest]
    message = f"the votes of {image} come from another {' and '.join(other)} than their run record names"
    return unless(not other, path, message)


def _labels_of(job: Job) -> str:
    return next(path for path in job.outputs if path.endswith(".npz"))


def _rows_of(root: Path, job: Job, suffix: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a table of a job, by image."""
    path = _labels_of(job).removesuffix(".npz") + f"{suffix}.parquet"
    frame = pd.read_parquet(root / path)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        rows.setdefault(row["image"], []).append({str(key): value for key, value in row.items()})
    return rows


def same_rows(made: Sequence[Mapping[str, Any]], written: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows say the same, number by number; NaN is NaN."""
    return len(made) == len(written) and all(
        one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
        for one, other in zip(made, written, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (_is_nan(one) and _is_nan(other))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
