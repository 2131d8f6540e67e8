"""Compare certification with a test per pixel: python -m benchmarks.oracle [OUTPUT].

One 512x512 image with n = 100 is certified in two ways: with a table and a histogram, and with scipy's `binomtest` at
every pixel and statsmodels' Holm correction. The decisions must be identical.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from segcert.certification.certificate import ABSTAIN, certify
from segcert.votes import Votes

SIDE, N0, N, TAU, ALPHA = 512, 10, 100, 0.75, 0.001


def oracle(votes: Votes) -> np.ndarray:
    """Return certified labels, with a separate test for each pixel."""
    chosen = votes.selection.argmax(axis=0)
    counts = np.take_along_axis(votes.estimation, chosen[None], axis=0)[0]
    p_values = [binomtest(int(count), N, TAU, alternative="greater").pvalue for count in counts.ravel()]
    rejected = multipletests(p_values, ALPHA, method="holm")[0].reshape(chosen.shape)
    return np.where(rejected, chosen, ABSTAIN)


def main() -> None:
    """Time both ways, compare their decisions and write the results."""
    rng = np.random.default_rng(0)
    share = rng.choice([0.75, 0.9, 0.97, 0.999], (SIDE, SIDE))
    counts = [np.stack([n - wins, wins]) for n in (N0, N) for wins in [rng.binomial(n, share)]]
    votes = Votes.from_counts(*counts, sigma=0.25)
    times = []
    for _ in range(11):
        start = time.perf_counter()
        labels = certify(votes, TAU, ALPHA).labels
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    expected = oracle(votes)
    slow = time.perf_counter() - start
    assert np.array_equal(labels, expected)
    fast = statistics.median(times)
    result = {"pixels": SIDE**2, "n": N, "oracle_s": slow, "segcert_s": fast, "times_faster": slow / fast}
    print(json.dumps(result))
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
