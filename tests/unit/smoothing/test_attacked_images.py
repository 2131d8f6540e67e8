"""Tests of certificates by attacks, on half-spaces: models whose true shares are known."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from segcert.certification.attacked_share import Claim
from segcert.certification.certificate import ABSTAIN, certified_radius
from segcert.config.schema import Config
from segcert.smoothing.attacked_images import attacked_images
from segcert.smoothing.noise import SamplingError
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.votes import Votes

SIGMA, TAU, SIZE = 0.05, 0.75, 8
DEFAULT = Config.read({}).attack.model_dump(exclude={"images"})


def half_space(x):
    """Return class 1 everywhere if the image mean is above one half."""
    brightness = 40 * (x.mean(dim=(1, 2, 3), keepdim=True) - 0.5).expand(-1, 1, *x.shape[2:])
    return torch.cat([-brightness, brightness], dim=1)


def image_of(share, sigma=SIGMA):
    """Return an image on which a half-space has class 1 on this share of noisy copies."""
    return np.full((1, SIZE, SIZE), 0.5 + sigma * norm.ppf(share) / SIZE, np.float32)


def votes_of(share):
    """Return the votes of a half-space, equal at all pixels."""
    ones, own = np.ones((SIZE, SIZE), int), round(100 * share)
    return Votes.from_counts([0 * ones, 10 * ones], [(100 - own) * ones, own * ones], SIGMA)


def tried(share, *, noise=SIGMA, radius=1.0, seed=0, labels=None, kind="normal", bits=16, **settings):
    """Attack a half-space of a true share, with a certificate for SIGMA whose radius is multiplied by `radius`."""
    smoothed = SmoothedSegmenter(half_space, noise, 2, seed=seed, noise=kind, bits=bits)
    image = image_of(share, noise)
    if kind == "exact":
        image = (np.rint(image * 65535) / 65535).astype(np.float32)
    votes = votes_of(share)
    labels = np.ones((SIZE, SIZE), np.uint8) if labels is None else labels
    claimed = radius * certified_radius(SIGMA, TAU)
    settings = DEFAULT | {"tau": TAU, "radius": claimed, "promised": TAU} | settings
    return attacked_images(smoothed, image, votes, labels, **settings)


@pytest.mark.parametrize("share", [0.78, 0.85, 0.9])
@pytest.mark.parametrize("planted", [{"radius": 2.0}, {"noise": SIGMA / 2}])  # [-1, 1] taken for [0, 1]
def test_planted_errors_are_found_on_networks_of_known_share(share, planted):
    for seed in range(3):
        at_radius, beyond = tried(share, seed=seed, **planted)
        assert beyond.refuted == 1
        assert beyond.share < at_radius.share < 0.6
        assert beyond.share < beyond.least_share


@pytest.mark.parametrize("share", [0.78, 0.85, 0.9])
def test_a_doubled_radius_is_told_from_a_right_one(share):
    """A test that counts lost votes cannot: it refutes neither inside the radius, and both far outside."""
    found = [any(each.refuted for each in tried(share, radius=radius)) for radius in (1.0, 2.0)]
    assert found == [False, True]


@pytest.mark.parametrize("share", [0.76, 0.78, 0.85, 0.9, 0.97])
@pytest.mark.parametrize("kind", ["normal", "exact"])
def test_right_certificates_stand_and_the_power_is_that_of_a_perfect_attack(share, kind):
    at_radius, beyond = tried(share, kind=kind)
    assert (at_radius.refuted, beyond.refuted) == (0, 0)
    assert at_radius.norm == pytest.approx(certified_radius(SIGMA, TAU), rel=0.001)
    assert beyond.norm == pytest.approx(3 * certified_radius(SIGMA, TAU), rel=0.001)
    assert beyond.noise == pytest.approx(SIGMA, rel=0.02)
    assert abs(beyond.clean_share - share) < 0.1
    assert beyond.share == pytest.approx(norm.cdf(norm.ppf(share) - 3 * norm.ppf(TAU)), abs=0.12)
    assert beyond.strength > 0.8
    least = {"promised": TAU, "clean_draws": 360, "clean_error": 0.0005, "error": 0.00025}
    claim = Claim(fall=beyond.norm / SIGMA, draws=340, **least)
    assert beyond.power == pytest.approx(claim.power(beyond.clean_share, 1.5 * beyond.strength * claim.fall))


def test_a_promise_of_single_pixels_is_tested_only_where_it_is_made():
    wrong = {"share": 0.45, "factors": [1.0]}  # certified although most copies have the other class
    (strict,) = tried(**wrong)
    (weaker,) = tried(**wrong, promised=0.0)
    assert (strict.refuted, weaker.refuted) == (1, 0)
    assert strict.least_share > 0.499 > weaker.least_share


def test_draws_are_counted_and_bounded():
    calls = []

    class Counted(SmoothedSegmenter):
        def logits(self, x_noisy):
            calls.append(x_noisy.shape[0])
            return super().logits(x_noisy)

    settings = DEFAULT | {"tau": TAU, "radius": certified_radius(SIGMA, TAU), "promised": TAU}
    smoothed = Counted(half_space, SIGMA, 2, batch_size=1)
    labels = np.ones((SIZE, SIZE), np.uint8)
    results = attacked_images(smoothed, image_of(0.85), votes_of(0.85), labels, **settings)
    gradients = len(results) * settings["steps"] * settings["copies"]
    probe = 1
    assert sum(calls) == probe + gradients + results[0].clean_draws + sum(result.draws for result in results)
    run = Config.read({})
    assert gradients + settings["draws"] <= (run.n0 + run.n) * run.phantom.test  # those of the votes in the default run
    for draws in (10, 11, 150):
        for factors in ([1.0], [1.0, 2.0, 3.0, 4.0]):
            results = tried(0.85, draws=draws, factors=factors)
            assert results[0].clean_draws + sum(result.draws for result in results) <= draws


def test_factors_keep_their_order_and_results_repeat():
    first = tried(0.9, factors=[3.0, 1.0])
    assert [round(result.norm / certified_radius(SIGMA, TAU)) for result in first] == [3, 1]
    assert first == tried(0.9, factors=[3.0, 1.0])


def test_without_certified_pixels_nothing_is_drawn():
    for result in tried(0.85, labels=np.full((SIZE, SIZE), ABSTAIN, np.uint8)):
        values = dataclasses.asdict(result)
        assert values.pop("noise") == pytest.approx(SIGMA, rel=0.1)
        assert {name for name, value in values.items() if math.isnan(value)} == {"clean_share", "share", "least_share"}
        assert not any(value for value in values.values() if not math.isnan(value))


def test_logits_that_are_not_finite_are_refused():
    smoothed = SmoothedSegmenter(lambda x: half_space(x) * torch.nan, SIGMA, 2)
    settings = DEFAULT | {"tau": TAU, "radius": 0.1, "promised": TAU}
    with pytest.raises(SamplingError, match="not finite"):
        attacked_images(smoothed, image_of(0.9), votes_of(0.9), np.ones((SIZE, SIZE), np.uint8), **settings)
