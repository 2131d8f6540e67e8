"""Draw the votes that the benchmarks replay, and store their label maps: python -m benchmarks.real_votes ARCHIVES WORK.

Networks that are missing are trained first (an hour on two cores); existing networks and votes are reused.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.real_networks import SETS, train
from segcert.data.dataset import PreparedDataset
from segcert.io.progress import log, track
from segcert.smoothing.shard import Pairing
from segcert.votes import Votes, load_votes, save_votes

IMAGES = 12
N0 = 10


class Case(NamedTuple):
    """One set of votes, described by data set, the segmenter's training regime, denoiser, sigma and number of draws."""

    name: str
    regime: str
    denoiser: str
    sigma: float
    draws: int

    @property
    def file(self) -> str:
        """Name of the votes file."""
        return f"votes/{self.name}-{self.regime}-{self.denoiser}-{self.sigma:g}.npz"


CASES = [
    *(Case(name, "noise", "none", sigma, 1000) for name in SETS if SETS[name] == 128 for sigma in (0.5, 0.25)),
    Case("montgomery_256", "noise", "none", 0.5, 300),
    Case("montgomery_256", "noise", "none", 0.25, 300),
    *(Case(name, "clean", "ddpm", 0.5, 300) for name in SETS if SETS[name] == 128),
]


def draw(case: Case, archives: Path, work: Path) -> Mapping[str, Votes]:
    """Return a case's votes, keyed by image name; draw them unless they exist."""
    path = work / case.file
    if not path.exists():
        train(case.name, case.regime, archives, work)
        if case.denoiser != "none":
            train(case.name, "denoiser", archives, work)
        dataset = PreparedDataset(work / case.name / "data" / "index.csv")
        denoiser = None if case.denoiser == "none" else work / case.name / "denoiser"
        smoothed = Pairing(work / case.name / case.regime, denoiser).smoothed_segmenter(case.sigma, batch_size=10)
        names = dataset.names("test", IMAGES)
        save_votes(
            path,
            {
                name: smoothed.sample(
                    dataset.image(name),
                    N0,
                    case.draws - N0,
                    truth=dataset.mask(name),
                    keep_draws=True,
                )
                for name in track(names, f"drawing {case.file}")
            },
        )
    log.info("%s exists", path)
    return load_votes(path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        draw(case, Path(sys.argv[1]), Path(sys.argv[2]))
