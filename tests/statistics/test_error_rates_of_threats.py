"""Certificates of threats under the worst null hypotheses (Monte Carlo), and attacks on the parameter.

Seeds are fixed. A rate is too high if its 95% Clopper-Pearson interval lies above alpha. If the rate were exactly
alpha, one case in forty would fail.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm
from tests.support.half_spaces import FAMILIES, SIDE, HalfSpaces, image_of

from segcert.certification.certificate import ABSTAIN, certify
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.votes import Votes

ALPHA, TAU, N0, N, RUNS, SIGMA = 0.05, 0.75, 5, 60, 800, 0.3
PLANTED = 2  # the factor by which a wrong radius is too large


def label_maps_of(family, stated, drawn):
    """Draw label maps, shape (RUNS, N0 + N, H, W), of half-spaces with the share TAU if `drawn` were `stated`."""
    image = image_of(family)
    network = HalfSpaces(family, image, stated, TAU)
    smoothed = SmoothedSegmenter(network.eval(), drawn, 2, batch_size=5000, threat=family)
    draws = [("estimation", k) for k in range(RUNS * (N0 + N))]
    return torch.stack(list(smoothed.label_maps(image, draws))).numpy().reshape(RUNS, N0 + N, SIDE, SIDE)


def counts_of(label_maps):
    wins = label_maps.sum(axis=0, dtype=int)
    return np.stack([len(label_maps) - wins, wins])


def wrong_certificates(label_maps, family, method):
    """Count the runs in which a pixel gets class 1, which is wrong for a share of exactly TAU."""
    wrong = 0
    for maps in label_maps:
        votes = Votes.from_counts(counts_of(maps[:N0]), counts_of(maps[N0:]), SIGMA, family.name)
        wrong += bool((certify(votes, TAU, ALPHA, method).labels != ABSTAIN).any())
    return wrong


def reaches_down_to_alpha(errors):
    return binomtest(errors, RUNS).proportion_ci(0.95, "exact").low <= ALPHA


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_error_rate_is_kept_under_the_worst_null(family):
    """One pixel alone has nearly the rate alpha; all pixels together share it."""
    label_maps = label_maps_of(family, SIGMA, SIGMA)
    assert binomtest(int(label_maps[..., 1, 2].sum()), RUNS * (N0 + N), TAU).pvalue > 1e-3, "a pixel has the share TAU"
    for method in ("segcertify", "holm"):
        assert reaches_down_to_alpha(wrong_certificates(label_maps[..., 1:2, 2:3], family, method))
        assert reaches_down_to_alpha(wrong_certificates(label_maps, family, method))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_noise_of_a_smaller_level_than_stated_would_be_caught(family):
    label_maps = label_maps_of(family, SIGMA, SIGMA / 1.5)
    assert not reaches_down_to_alpha(wrong_certificates(label_maps[..., 1:2, 2:3], family, "segcertify"))


def parameters_within(network, image, radius):
    """Return parameters of l2 norm below `radius`, shape (m, k): steepest descent per pixel, and a grid for k <= 2."""
    family, x = network.family, torch.from_numpy(image).double()
    inside = radius * (1 - 1e-6)
    start = torch.zeros((1, family.size), dtype=torch.float64, requires_grad=True)
    found = []
    for margin in network.margin(family.transform(x[None], start)).flatten():
        (gradient,) = torch.autograd.grad(margin, start, retain_graph=True)
        found.append(-inside * gradient[0] / gradient.norm())
    if family.size <= 2:
        line = torch.linspace(-inside, inside, 41, dtype=torch.float64).tolist()
        found += [torch.tensor(point) for point in itertools.product(line, repeat=family.size)]
    parameters = torch.stack(found).double()
    return parameters[parameters.norm(dim=1) < radius]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_attack_within_the_radius_flips_a_certified_pixel_and_a_doubled_radius_is_found(family):
    """The share of a certified pixel stays above one half, in closed form, at every parameter within the radius."""
    image, share = image_of(family), np.linspace(0.8, 0.999, SIDE * SIDE).reshape(SIDE, SIDE)
    network = HalfSpaces(family, image, SIGMA, share)
    votes = SmoothedSegmenter(network.eval(), SIGMA, 2, batch_size=500, threat=family).sample(image, 10, 1000)
    certificate = certify(votes, TAU, 0.001, "holm")
    certified = certificate.labels != ABSTAIN
    assert certified.sum() > SIDE
    assert (certificate.labels[certified] == 1).all()
    least = {}
    for factor in (1, PLANTED):
        parameters = parameters_within(network, image, factor * certificate.radius)
        changed = family.transform(torch.from_numpy(image).double().expand(len(parameters), -1, -1, -1), parameters)
        shares = norm.cdf(network.margin(changed).numpy())  # (m, H, W)
        least[factor] = shares[:, certified].min()
    assert least[1] > 0.5
    assert least[PLANTED] < 0.5
