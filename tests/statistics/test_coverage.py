"""Coverage of the 95% intervals of means: Monte Carlo with fixed seeds.

For normal and skewed values (like Dice), an interval should contain the true mean in 93% to 97% of samples. A test
fails if the 95% Clopper-Pearson interval of the coverage lies outside this range. If the coverage were exactly 93%, one
case in forty would fail. benchmarks/coverage.py measures more cases, and the coverage with failed images.
"""

import numpy as np
import pytest
from scipy.stats import binomtest

from segcert.results.confidence import FEWEST_GROUPS, mean_interval

RUNS = 4000
POPULATIONS = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "skewed": (lambda rng, size: rng.beta(12, 1.5, size), 12 / 13.5),
}
INDEPENDENT = {f"{images} images": np.arange(images) for images in (12, 20, 30)}
GROUPED = {
    f"{count} groups": np.repeat(np.arange(count), np.resize([2, 3, 4, 5, 6], count))
    for count in (FEWEST_GROUPS, 20, 30)
}


def draw_sample(rng, population, groups):
    """Draw a value per image. An image has the value of its group with probability 0.7, if groups have several."""
    draw, _ = POPULATIONS[population]
    own = draw(rng, len(groups))
    shared = draw(rng, groups.max() + 1)[groups]
    if groups.max() + 1 == len(groups):
        return own
    return np.where(rng.random(len(groups)) < 0.7, shared, own)


def covered(population, groups, given, seed):
    """Return the number of samples whose interval contains the true mean. `given` are the groups that it is told."""
    rng = np.random.default_rng(seed)
    _, truth = POPULATIONS[population]
    intervals = [mean_interval(draw_sample(rng, population, groups), given) for _ in range(RUNS)]
    return sum(low <= truth <= high for _, low, high in intervals)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("case", INDEPENDENT | GROUPED)
def test_intervals_cover_the_mean_as_often_as_they_say(case, population):
    groups = (INDEPENDENT | GROUPED)[case]
    found = binomtest(covered(population, groups, groups, len(groups)), RUNS).proportion_ci(0.95, "exact")
    assert found.low <= 0.97
    assert found.high >= 0.93


def test_groups_matter():
    """Intervals that take images of one group for independent contain the mean far less often."""
    assert covered("normal", GROUPED["20 groups"], None, 0) / RUNS < 0.85
