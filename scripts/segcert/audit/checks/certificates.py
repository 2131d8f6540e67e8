"""Check the certificates: recompute every certificate and every metric from the votes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcert.audit.findings import Evidence, Finding, Findings, changed_code, finding_unless, index_path
from segcert.certification.looks import Looks
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import StoredArrays
from segcert.networks.folders import denoiser_digest, segmenter_digest
from segcert.provenance.lineage import Job
from segcert.results.certificate_files import decide
from segcert.results.image_rows import votes_of
from segcert.results.kinds import ARRAYS, CERTIFIED_TABLES, certificates_of
from segcert.results.radius_rows import SavedRadii, grid_radii, load_radii, tau_grid
from segcert.votes import Votes

WILDCARDS = ("model", "regime", "denoiser")
DAMAGED = (OSError, ValueError, KeyError)  # errors that a damaged file may cause


def check_decisions(evidence: Evidence) -> Findings:
    """Recompute each image's labels, radii and metrics from its votes, and compare them with the saved ones.

    Also check that the votes were drawn with the networks in the checkout. Images are read one at a time, so that
    memory use does not grow with their number.
    """
    for job in evidence.lineage.jobs:
        if job.rule != "certify":
            continue
        if notice := changed_code(job):
            yield notice
            continue
        for certificate in certificates_of(job.outputs):
            try:
                yield from _redecide(evidence, job, certificate)
            except DAMAGED as error:
                yield Finding(f"{certificate}.npz", "cannot be recomputed", error=repr(error))


def _redecide(evidence: Evidence, job: Job, name: str) -> Findings:
    """Recompute the certificates at one noise level. The paths of their files begin with `name`."""
    root, params = evidence.root, job.record["params"]
    written_labels = f"{name}{ARRAYS['labels']}"
    dataset = PreparedDataset(root / index_path(job))
    about = {key: job.record["wildcards"][key] for key in WILDCARDS}
    tables = {
        kind: f"{name}{suffix}" for kind, suffix in CERTIFIED_TABLES.items() if kind != "budget"
    }  # the budget is a forecast, not a certificate
    written = {kind: _rows_by_image(root / path) for kind, path in tables.items()}
    maps = load_radii(root / f"{name}{ARRAYS['maps']}")
    taus = tau_grid(params["settings"]["tau"])
    settings = {name: params[name] for name in ("settings", "measurements", "thresholds")}
    predicted = next(path for path in job.inputs if "/predictions/" in path)
    with StoredArrays(root / written_labels) as labels, StoredArrays(root / predicted) as predictions:
        without_votes = {image for names in (labels, maps.levels, *written.values()) for image in names}
        for path in job.inputs:
            if "/votes/" not in path or f"/{Path(name).name}/" not in path:
                continue
            sampling = evidence.lineage.makers[path]
            expected, missing = _expected_origin(sampling, root), set(shard_images(sampling, root))
            for image, votes in votes_of(dataset, root / path):
                without_votes.discard(image)
                missing.discard(image)
                yield _compare_origin(path, image, votes, _at_look(expected, votes, sampling))
                decided = decide(dataset, image, votes, predictions[image], about, **settings)
                if image not in labels or not np.array_equal(decided.certificate.labels, labels[image]):
                    yield Finding(written_labels, f"the votes of {image} do not give the labels in the file")
                    continue
                if not _same_map(maps, image, decided.radii.levels, taus, votes.sigma):
                    yield Finding(written_labels, f"the votes of {image} do not give the saved radius map")
                    continue
                rows = decided.rows.items()
                other = [kind for kind, made in rows if not _same_rows(made, written[kind].get(image, []))]
                message = f"the votes of {image} do not give the {' and '.join(other)} in the tables"
                yield finding_unless(not other, written_labels, message)
            for image in sorted(missing):
                yield Finding(path, f"lacks votes of {image}, which belongs to this shard")
        for image in sorted(without_votes):
            yield Finding(written_labels, f"contains labels or numbers of {image}, which has no votes")


def shard_images(sampling: Job, root: Path) -> list[str]:
    """Return the images in a sampling job's shard, in the order of the index."""
    params = sampling.record["params"]
    dataset = PreparedDataset(root / index_path(sampling))
    shard = int(sampling.record["wildcards"]["shard"])
    return dataset.names("test", params["settings"]["test_images"])[shard :: params["shards"]]


def _expected_origin(sampling: Job, root: Path) -> dict[str, Any]:
    """Return the networks, code and settings with which a sampling job must draw its votes.

    The settings are `sigma`, `n0`, `n`, `seed`, `noise` and `pool`.
    """
    params = sampling.record["params"]
    denoiser = params["denoiser"] and root / params["denoiser"]
    expected = {
        "segmenter": segmenter_digest(root / params["segmenter"]),
        "denoiser": denoiser_digest(denoiser, params["denoising_steps"]),
        "code": params["drawing_code"],
        "sigma": float(sampling.record["wildcards"]["sigma"]),
    }
    return expected | {name: params[name] for name in ("n0", "n", "seed", "noise", "pool")}


def _at_look(expected: Mapping[str, Any], votes: Votes, sampling: Job) -> Mapping[str, Any]:
    """Return the expected origin of votes. With planned looks, `n` may be any look at which the draws may end."""
    looks = sampling.record["params"].get("looks")
    if not looks:
        return expected
    planned = Looks.from_params(looks)
    return {**expected, "n": votes.n} if votes.n in planned.ns and planned.are_over(votes) else expected


def _compare_origin(path: str, image: str, votes: Votes, expected: Mapping[str, Any]) -> Finding | None:
    found = dict(votes.origin) | {"sigma": votes.sigma, "n0": votes.n0, "n": votes.n}
    found["noise"] = str(found.get("noise")).partition(",")[0]  # "exact, 8 bits"
    other = [name for name, value in expected.items() if found.get(name) != value]
    message = f"the votes of {image} were not drawn with the {', '.join(other)} that the run record states"
    return finding_unless(not other, path, message)


def _same_map(maps: SavedRadii, image: str, levels: npt.NDArray[np.uint8], taus: Sequence[float], sigma: float) -> bool:
    """Return True if an image's saved radius map and its grid of radii are equal to the recomputed ones."""
    same_grid = np.array_equal(maps.taus, taus) and np.array_equal(maps.radii, grid_radii(taus, sigma))
    return same_grid and image in maps.levels and np.array_equal(maps.levels[image], levels)


def _rows_by_image(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return a dict that maps image names to the rows of a table."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in pd.read_parquet(path).to_dict("records"):
        rows.setdefault(row["image"], []).append({str(key): value for key, value in row.items()})
    return rows


def _same_rows(made: Sequence[Mapping[str, Any]], written: Sequence[Mapping[str, Any]]) -> bool:
    """Return True if two tables have the same rows: the same keys and values. NaN equals NaN."""
    if len(made) != len(written):
        return False
    for one, other in zip(made, written, strict=True):
        if one.keys() != other.keys():
            return False
        for key, value in one.items():
            if value != other[key] and not (pd.isna(value) and pd.isna(other[key])):
                return False
    return True
