"""The attack on models with a known true radius."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from segcert.certification.certificate import ABSTAIN, certify
from segcert.smoothing.attack import attack, damage
from segcert.smoothing.noise import SamplingError
from segcert.smoothing.sampler import SmoothedSegmenter

SIGMA = 0.25


def mean_model(x):
    """Return class 1 everywhere if the image mean is above one half. Smoothed, it flips at a known distance."""
    brightness = 40 * (x.mean(dim=(1, 2, 3), keepdim=True) - 0.5).expand(-1, 1, *x.shape[2:])
    return torch.cat([-brightness, brightness], dim=1)


def case(mean, noise="normal", size=8):
    image = np.full((1, size, size), mean, np.float32)
    smoothed = SmoothedSegmenter(mean_model, SIGMA, 2, noise=noise)
    return smoothed, image, certify(smoothed.sample(image, 10, 100))


def distance(mean, size=8):
    """Return the l2 distance to the decision boundary of the mean model."""
    return (mean - 0.5) * size


@pytest.mark.parametrize("noise", ["normal", "exact"])
def test_no_pixel_is_refuted_inside_the_radius_and_every_pixel_outside(noise):
    mean = round(255 * (0.5 + 1.3 * SIGMA * norm.ppf(0.75) / 8 * 2)) / 255  # boundary at 2.6 times the radius
    smoothed, image, certificate = case(mean, noise)
    assert certificate.abstain == 0
    assert certificate.radius < distance(mean)
    inside = attack(smoothed, image, certificate.labels, certificate.radius)
    assert np.linalg.norm(inside - image) <= certificate.radius
    found = damage(smoothed, image, inside, certificate.labels)
    assert (found.certified, found.refuted) == (64, 0)
    outside = attack(smoothed, image, certificate.labels, 4 * certificate.radius)
    found = damage(smoothed, image, outside, certificate.labels)
    assert found.changed == found.refuted == 64
    assert found.norm <= 4 * certificate.radius


def test_the_attack_nearly_finds_the_shortest_perturbation():
    """For the mean model, the best perturbation is constant. One percent beyond the boundary is enough."""
    smoothed, image, certificate = case(0.56)
    labels = certificate.labels
    attacked = attack(smoothed, image, labels, 1.01 * distance(0.56))
    assert attacked.mean() < 0.5
    assert attack(smoothed, image, labels, 0.95 * distance(0.56)).mean() > 0.5


def test_attacked_images_stay_images():
    smoothed, image, certificate = case(0.99)
    attacked = attack(smoothed, image, certificate.labels, 5.0)
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert attacked.dtype == np.float32


def test_an_exact_attack_stays_on_the_grid():
    smoothed, _, _ = case(140 / 255, "exact")
    image = np.full((1, 8, 8), 140 / 255, np.float32)
    attacked = attack(smoothed, image, np.ones((8, 8), np.uint8), 0.2)
    steps = attacked * 255
    assert np.abs(steps - steps.round()).max() < 1e-3
    assert 0.15 < np.linalg.norm(attacked - image) <= 0.2


def test_without_certified_pixels_there_is_no_damage():
    smoothed, image, _ = case(0.55)
    labels = np.full((8, 8), ABSTAIN, np.uint8)
    found = damage(smoothed, image, attack(smoothed, image, labels, 0.1), labels)
    assert (found.certified, found.changed, found.refuted) == (0, 0, 0)


def test_labels_of_another_shape_are_refused():
    smoothed, image, _ = case(0.55)
    with pytest.raises(SamplingError, match=r"labels: found shape \(4, 4\)"):
        attack(smoothed, image, np.zeros((4, 4), np.uint8), 0.1)
