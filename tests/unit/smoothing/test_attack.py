"""The attack on models whose boundary is known."""

import numpy as np
import pytest
import torch

from segcert.certification.certificate import ABSTAIN, certify
from segcert.smoothing.attack import attack, weakest_pixel
from segcert.smoothing.noise import SamplingError
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.votes import Votes

SIGMA = 0.25


def mean_model(x, slope=40):
    """Return class 1 everywhere if the image mean is above one half. Smoothed, it flips at a known distance."""
    brightness = slope * (x.mean(dim=(1, 2, 3), keepdim=True) - 0.5).expand(-1, 1, *x.shape[2:])
    return torch.cat([-brightness, brightness], dim=1)


def case(mean, noise="normal", size=8, model=mean_model):
    image = np.full((1, size, size), mean, np.float32)
    smoothed = SmoothedSegmenter(model, SIGMA, 2, noise=noise)
    votes = smoothed.sample(image, 10, 100)
    return smoothed, image, votes, certify(votes).labels


def distance(mean, size=8):
    """Return the l2 distance to the decision boundary of the mean model."""
    return (mean - 0.5) * size


def length(attacked, image):
    return float(np.linalg.norm(attacked.astype(np.float64) - image))


@pytest.mark.parametrize("slope", [40, 1e5])  # a softmax of the second has no gradient
def test_the_attack_nearly_finds_the_shortest_perturbation(slope):
    """For the mean model, the best perturbation is constant. One percent beyond the boundary is enough."""
    smoothed, image, votes, labels = case(0.56, model=lambda x: mean_model(x, slope))
    assert (labels == 1).all()
    attacked = attack(smoothed, image, votes, labels, 1.01 * distance(0.56))
    assert attacked.mean() < 0.5
    assert attack(smoothed, image, votes, labels, 0.95 * distance(0.56)).mean() > 0.5


def test_the_whole_norm_is_used_where_the_pixel_range_cuts_the_perturbation():
    smoothed, image, votes, labels = case(0.6)
    image[:, :3] = 0.01  # almost no room downwards, where the attack must go
    for norm in (0.1, 0.5, 1.0, 2.0):
        attacked = attack(smoothed, image, votes, labels, norm)
        assert norm * 0.999 < length(attacked, image) <= norm
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        assert attacked.dtype == np.float32
    everything = attack(smoothed, image, votes, labels, 100.0)
    assert (everything == 0).all()


def test_an_exact_attack_stays_on_the_grid():
    smoothed, image, votes, _ = case(140 / 255, "exact")
    attacked = attack(smoothed, image, votes, np.ones((8, 8), np.uint8), 0.2)
    steps = attacked * 255
    assert np.abs(steps - steps.round()).max() < 1e-3
    assert 0.15 < length(attacked, image) <= 0.2


def test_the_target_is_the_certified_pixel_with_the_fewest_votes():
    own = np.array([[95, 60, 100], [94, 96, 94]])
    votes = Votes.from_counts(np.stack([np.zeros_like(own), np.full_like(own, 10)]), np.stack([100 - own, own]), SIGMA)
    labels = np.array([[1, ABSTAIN, 1], [1, 1, 1]], np.uint8)
    assert weakest_pixel(votes, labels) == (1, 0)
    assert weakest_pixel(votes, np.full((2, 3), ABSTAIN, np.uint8)) is None


def test_the_attack_moves_only_what_the_target_sees():
    """Each pixel's class is its own brightness, so the attack must change the weakest pixel alone."""

    def bright(x):
        return torch.cat([0.5 - x, x - 0.5], dim=1)

    image = np.full((1, 4, 4), 0.95, np.float32)
    image[0, 2, 3] = 0.85
    smoothed = SmoothedSegmenter(bright, 0.3, 2)
    votes, labels = smoothed.sample(image, 10, 100), np.ones((4, 4), np.uint8)
    image_attacked = attack(smoothed, image, votes, labels, 0.2)
    moved = np.abs(image_attacked - image)[0]
    assert moved[2, 3] == pytest.approx(0.2, rel=1e-4)
    moved[2, 3] = 0
    assert moved.max() == 0


def test_without_certified_pixels_nothing_is_attacked():
    smoothed, image, votes, _ = case(0.55)
    labels = np.full((8, 8), ABSTAIN, np.uint8)
    assert np.array_equal(attack(smoothed, image, votes, labels, 0.1), image)


def test_labels_and_votes_of_another_shape_are_refused():
    smoothed, image, votes, labels = case(0.55)
    with pytest.raises(SamplingError, match=r"labels: found shape \(4, 4\); expected \(8, 8\)"):
        attack(smoothed, image, votes, np.zeros((4, 4), np.uint8), 0.1)
    small = Votes.from_counts(np.ones((2, 4, 4), int), np.ones((2, 4, 4), int), SIGMA)
    with pytest.raises(SamplingError, match=r"votes: found shape \(4, 4\); expected \(8, 8\)"):
        attack(smoothed, image, small, labels, 0.1)
