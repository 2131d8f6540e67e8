"""Sampling at planned looks: the draws of an image end as soon as enough of its pixels are certified."""

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

    Each look draws only the copies that the looks before it did not draw. The votes are those of
    `smoothed.sample(image, n0, n)`, where n is the number of draws at that look. To certify the image, use
    `looks.certify(votes)`.

    Parameters
    ----------
    smoothed
        The smoothed segmenter. Without a store, draws are kept in a temporary folder between the looks.
    image
        Image of shape (C, H, W), float32 in [0, 1].
    looks
        Planned looks, fixed before any votes of the image were seen.
    n0
        Number of selection draws, which are the same at all looks.
    options
        Further arguments of `SmoothedSegmenter.sample`.

    Raises
    ------
    CertificationError
        If no votes could certify a pixel at one of the looks.
    SamplingError
        As `SmoothedSegmenter.sample` does.
    """
    looks.check(math.prod(checked_image(image).shape[1:]), n0)
    with tempfile.TemporaryDirectory() as folder:
        if smoothed.store is None:
            smoothed = copy.copy(smoothed)
            smoothed.store = BlockStore(folder)
        for n in looks.ns:
            votes = smoothed.sample(image, n0, n, **options)
            if looks.are_over(votes):
                break
    return votes


@dataclasses.dataclass(frozen=True)
class SamplingAtLooks(Sampling):
    """Settings for sampling the votes of test images at planned looks; `n` is the largest number of draws."""

    looks: Looks

    @classmethod
    def from_params(cls, params: Mapping[str, Any], sigma: float, root: Path = Path()) -> Self:
        """Take the settings from the parameters of a job, in which paths are relative to `root`."""
        settings = vars(Sampling.from_params(params, sigma, root))
        return cls(**settings, looks=Looks.from_params(params["looks"]))

    def start(self, smoothed: SmoothedSegmenter, dataset: PreparedDataset, name: str) -> Callable[[], Votes]:
        """Draw the votes of the image `name`; return a function that returns them."""
        votes = sample_at_looks(smoothed, dataset.image(name), self.looks, self.n0, **self.observed(dataset, name))
        return lambda: votes


def settings_of(params: Mapping[str, Any]) -> type[Sampling]:
    """Return the class that reads the parameters of a sampling job."""
    return SamplingAtLooks if params.get("looks") else Sampling
