"""Sampling at planned looks, which ends for each image as soon as enough of its pixels are certified."""

import copy
import dataclasses
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt

from segcert.certification.looks import Looks
from segcert.data.dataset import PreparedDataset
from segcert.smoothing.noise import checked_image
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.shard import Sampling
from segcert.smoothing.store import BlockStore
from segcert.votes import Votes


def sample_at_looks(
    smoothed: SmoothedSegmenter, image: npt.ArrayLike, looks: Looks, n0: int = 10, **options: Any
) -> Votes:
    """Draw the votes of one image up to the look at which sampling ends, and return them.

    At each look, only the copies that were not drawn at earlier looks are drawn. The result is equal to
    `smoothed.sample(image, n0, n)`, where n is the number of estimation draws at the last of these looks. To certify
    the image, use `looks.certify(votes)`.

    Parameters
    ----------
    smoothed
        The smoothed segmenter. If it has no store, draws are kept in a temporary folder between the looks.
    image
        Image of shape (C, H, W), float32 in [0, 1].
    looks
        Planned looks, fixed before any votes of the image were seen.
    n0
        Number of selection draws. The same selection draws are used at all looks.
    options
        Additional arguments that are passed to `SmoothedSegmenter.sample`.

    Raises
    ------
    CertificationError
        If a look has too few draws to certify any pixel.
    SamplingError
        In the same cases as `SmoothedSegmenter.sample`.
    """
    looks.check(math.prod(checked_image(image).shape[1:]), n0)
    if smoothed.store is None:
        with tempfile.TemporaryDirectory() as folder:
            stored = copy.copy(smoothed)
            stored.store = BlockStore(folder)
            return sample_at_looks(stored, image, looks, n0, **options)
    for n in looks.ns:
        votes = smoothed.sample(image, n0, n, **options)
        if looks.are_over(votes):
            break
    return votes


@dataclasses.dataclass(frozen=True)
class SamplingAtLooks(Sampling):
    """Settings for sampling the votes of test images at planned looks. `n` is the number of draws at the last look."""

    looks: Looks

    @classmethod
    def from_params(cls, params: Mapping[str, Any], sigma: float, root: Path = Path()) -> Self:
        """Create an instance from the parameters of a job, in which paths are relative to `root`."""
        settings = vars(Sampling.from_params(params, sigma, root))
        return cls(**settings, looks=Looks.from_params(params["looks"]))

    def start(self, smoothed: SmoothedSegmenter, dataset: PreparedDataset, name: str) -> Callable[[], Votes]:
        """Draw the votes of the image `name`, and return a function that returns these votes."""
        votes = sample_at_looks(smoothed, dataset.image(name), self.looks, self.n0, **self.observed(dataset, name))
        return lambda: votes


def settings_of(params: Mapping[str, Any]) -> type[Sampling]:
    """Return the class of settings for the parameters of a sampling job."""
    return SamplingAtLooks if params.get("looks") else Sampling
