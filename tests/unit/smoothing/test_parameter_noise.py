"""Votes under noise on the parameter of a threat, and votes under pixel noise, which stay as they were."""

import hashlib
import shutil
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from tests.support.checker import checker
from tests.support.half_spaces import FAMILIES, image_of
from tests.unit.smoothing.test_sampler import IMAGE, assert_equal, threshold_model

import segcert
from segcert.certification.certificate import radius_in_gray_levels
from segcert.certification.methods import CertificationError
from segcert.provenance.digests import array_digest, value_digest
from segcert.smoothing.noise import Noise, SamplingError
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import BlockStore
from segcert.smoothing.threats import parameter_noise
from segcert.smoothing.threats.exposure import Exposure
from segcert.smoothing.threats.field import HALF_WAVES, Field
from segcert.smoothing.threats.parameter_noise import ParameterNoise
from segcert.votes import Votes, VotesError, load_votes, save_votes

EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
DRAWS = [("estimation", k) for k in range(20)]
OWN = """
from segcert import Family

class Own(Family):
    name = "own"

    def transform(self, x, parameters):
        return x + parameters[:, :, None, None] * {factor}

    def in_words(self, radius):
        return str(radius)
"""


def smoothed(threat="exposure", sigma=0.3, model=threshold_model, **options):
    return SmoothedSegmenter(model, sigma, 2, threat=threat, **options)


# Computed before there were other threats than pixels: votes, and the key without versions and threads.
PIXEL_DIGESTS = {
    "normal": (
        {},
        "e66f77c4aff5dfeeb506cc54a144642dc84670433a11dbc72a59083d1dd03a9b",
        "aee260c9587fe75633dd48eb59d314930e45a21cd0afbbfeb4d3ae814e75de67",
    ),
    "exact": (
        {"noise": "exact"},
        "162cd41deb37677f72336a12017a1658f87df102d48b28b5013294bcd84e36db",
        "1874240e42d40c79d56459758437e443b06e999a98227b7cc8aea6b82ec6d7ad",
    ),
    "pooled": (
        {"pool": 2, "seed": 7},
        "d07e31bd5e73f59c054109a2684996be377760dd2d7e7b31c6ba2303fce290e5",
        "4419c6728d743f60bc7687dcfd3d22e5802a4072f7b93e8b880dc6359712975a",
    ),
}


@pytest.mark.parametrize("case", PIXEL_DIGESTS)
def test_votes_and_keys_under_pixel_noise_are_as_before(case):
    options, arrays, key = PIXEL_DIGESTS[case]
    image = (np.arange(48) * 5 % 256).reshape(1, 6, 8).astype(np.float32) / np.float32(255)
    votes = smoothed("pixels", identity={"segmenter": "m"}, **options).sample(image, 5, 40, keep_draws=True)
    assert value_digest({name: array_digest(array) for name, array in votes.arrays().items()}) == arrays
    assert value_digest({name: value for name, value in votes.origin.items() if name != "runtime"}) == key
    settings = segcert.certify(votes, tau=0.6, alpha=0.05).settings()
    assert value_digest(settings) == "e7f4128e09000d988658cf38c2f0499c003d58de8b0e9598a4849368cc6aae8d"
    votes = Votes.from_counts([[[9]], [[1]]], [[[97]], [[3]]], sigma=0.25)
    assert votes.digest == "a839b23d461ff796bc0a35b3aad4d54f0c5d3ffd83925b818ce710d3392ff5cd"
    assert votes.threat == "pixels"


def literal_change(family, x, a):
    """Change an image (C, H, W) by the parameter a, value by value, as methods.md states the family."""
    out = np.empty(x.shape)
    for c, i, j in np.ndindex(x.shape):
        v, name = float(x[c, i, j]), type(family).__name__
        if name == "Exposure":
            out[c, i, j] = v * np.exp(a[0])
        elif name == "Contrast":
            out[c, i, j] = family.gray + np.exp(a[0]) * (v - family.gray)
        elif name == "Offset":
            out[c, i, j] = v + a[0]
        elif name == "Gamma":
            out[c, i, j] = v ** np.exp(a[0])
        elif name == "WhiteBalance":
            out[c, i, j] = v * np.exp(a[c])
        else:
            log_gain = 0.0
            for m in range(family.terms):
                down, across = HALF_WAVES[m]
                wave = np.cos(np.pi * down * (i + 0.5) / x.shape[1]) * np.cos(np.pi * across * (j + 0.5) / x.shape[2])
                log_gain += a[m] * wave / np.sqrt(family.terms)
            out[c, i, j] = v * np.exp(log_gain)
    return out


class Steps(torch.nn.Module):
    """Labels the mean of a pixel's channels by the number of borders, shape (borders, H, W), below it."""

    def __init__(self, borders):
        super().__init__()
        self.register_buffer("borders", torch.from_numpy(borders))
        self.eval()

    def forward(self, x):
        labels = (x.double().mean(dim=1, keepdim=True) > self.borders).sum(dim=1)
        return torch.nn.functional.one_hot(labels, len(self.borders) + 1).permute(0, 3, 1, 2).float()


def literal_labels(x, borders):
    """Label the mean of a pixel's channels by the number of borders, each of shape (H, W), below it."""
    return sum((x.mean(axis=0) > border).astype(int) for border in borders)


def literal_votes(family, image, borders, sigma, seed, n0, n):
    counts = []
    for stream, draws in (("selection", n0), ("estimation", n)):
        counts.append(np.zeros((len(borders) + 1, *image.shape[1:]), int))
        for k in range(draws):
            text = f"segcert-threat-1 {seed} {array_digest(image)} {family.name} {stream} {k}"
            key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
            normal = np.random.Generator(np.random.Philox(key=key)).standard_normal(family.size, dtype=np.float32)
            labels = literal_labels(literal_change(family, image, sigma * normal.astype(float)), borders)
            for (i, j), label in np.ndenumerate(labels):
                counts[-1][label, i, j] += 1
    return counts


@EVERY_FAMILY
def test_decisions_are_those_of_a_literal_implementation(family):
    """50 random problems of each family: images, networks of three classes, levels, seeds, draws, methods, tau."""
    rng = np.random.default_rng(FAMILIES.index(family))
    certified = 0
    for problem in range(50):
        image = rng.random((3 if family.size == 3 else 1, 3, 2)).astype(np.float32)
        borders = np.sort(rng.normal(image.mean(axis=0), 0.4, (2, 3, 2)), axis=0)
        sigma, n0, n, seed = rng.uniform(0.05, 0.5), int(rng.integers(2, 6)), int(rng.integers(20, 40)), problem
        tau, alpha, method = rng.uniform(0.55, 0.8), rng.uniform(0.05, 0.3), ["segcertify", "holm"][problem % 2]
        model = Steps(borders)
        votes = SmoothedSegmenter(model, sigma, 3, seed=seed, batch_size=16, threat=family).sample(image, n0, n)
        selection, estimation = literal_votes(family, image, borders, sigma, seed, n0, n)
        assert np.array_equal(votes.selection, selection)
        assert np.array_equal(votes.estimation, estimation)
        chosen, counts, tested = checker.tested_class(selection, estimation, method)
        labels = np.full(len(counts), segcert.ABSTAIN)
        for pixel in checker.certified_pixels(counts, tested, tau, alpha, method, 1):
            labels[pixel] = chosen[pixel]
        try:
            certificate = segcert.certify(votes, tau, alpha, method)
        except CertificationError:
            assert (labels == segcert.ABSTAIN).all()
            continue
        assert np.array_equal(certificate.labels.ravel(), labels)
        assert certificate.radius == pytest.approx(sigma * checker.phi_inverse(tau))
        assert certificate.threat == votes.threat == family.name
        certified += (labels != segcert.ABSTAIN).any()
    assert certified > 15, "the problems must not be trivial"


@EVERY_FAMILY
def test_votes_do_not_depend_on_batches_blocks_and_interruptions(family, tmp_path):
    torch.manual_seed(0)
    image = image_of(family)
    model = torch.nn.Conv2d(len(image), 2, 3, padding=1).eval()
    first = smoothed(family, model=model).sample(image, 5, 20)
    for options in ({"batch_size": 1}, {"batch_size": 7}, {"block_size": 3}):
        assert_equal(smoothed(family, model=model, **options).sample(image, 5, 20), first)
    store = {"store": BlockStore(tmp_path), "identity": {"segmenter": "m"}, "block_size": 10}
    smoothed(family, model=model, **store).sample(image, 5, 10)
    assert_equal(smoothed(family, model=model, **store).sample(image, 5, 20), first)


@EVERY_FAMILY
def test_the_same_normals_serve_every_level(family):
    low, high = (ParameterNoise(family, sigma, 3).parameters("x", DRAWS) for sigma in (0.25, 0.5))
    assert torch.equal(2 * low, high)


def test_seeds_images_families_streams_and_draws_have_different_normals():
    noises = [ParameterNoise(family, 1.0, seed) for family in (Exposure(), Field(1), Field(2)) for seed in (0, 1)]
    numbers = [number for noise in noises for d in "ab" for number in noise.parameters(d, DRAWS).flatten().tolist()]
    numbers += ParameterNoise(Exposure(), 1.0).parameters("a", [("selection", 0), ("selection", 1)]).flatten().tolist()
    assert len(set(numbers)) == len(numbers)


def test_pixel_noise_and_the_parameter_have_different_normals():
    image = torch.zeros((1, 1, 1))
    pixels = Noise(1.0).copies(image, "x", DRAWS, len(DRAWS)).flatten()
    assert not set(pixels.tolist()) & set(ParameterNoise(Exposure(), 1.0).parameters("x", DRAWS).flatten().tolist())


def test_parameters_are_normal_with_the_stated_level():
    draws = [("estimation", k) for k in range(20_000)]
    parameters = ParameterNoise(Field(5), 0.3).parameters("x", draws)
    assert stats.kstest(parameters.flatten().numpy(), "norm", (0, 0.3)).pvalue > 1e-3
    assert abs(np.corrcoef(parameters.numpy().T) - np.eye(5)).max() < 0.03


def test_networks_see_changed_images_without_clipping():
    seen = []

    def model(x):
        seen.append(x.clone())
        return threshold_model(x)

    smoothed("offset", 0.5, model, batch_size=20).sample(np.ones((1, 8, 6), np.float32), 2, 18)
    assert seen[0].min() < 0.5
    assert seen[0].max() > 1.5
    assert (seen[0].flatten(1).std(dim=1) == 0).all(), "every pixel of a copy has the same offset"


def test_votes_and_certificates_keep_their_threat(tmp_path):
    votes = smoothed(sigma=0.05).sample(IMAGE, 5, 60)
    votes.save(tmp_path / "votes.npz")
    certificate = segcert.certify(Votes.load(tmp_path / "votes.npz"), tau=0.6, alpha=0.3)
    assert certificate.threat == certificate.settings()["threat"] == certificate.decision()["threat"] == "exposure"
    assert segcert.radius_map(votes, taus=[0.6], alpha=0.3).threat == "exposure"
    assert Votes.from_counts([[[9]]], [[[60]]], 0.3, "gamma").threat == "gamma"
    pixels = smoothed("pixels", sigma=0.05).sample(IMAGE, 5, 60)
    save_votes(tmp_path / "two.npz", {"a": votes, "b": pixels})
    assert [each.threat for each in load_votes(tmp_path / "two.npz").values()] == ["exposure", "pixels"]
    with pytest.raises(VotesError, match="origin: found the threat 3"):
        Votes(votes.selection, votes.estimation, 0.3, origin={"threat": 3})


def test_a_radius_of_another_threat_is_no_distance_between_images():
    with pytest.raises(CertificationError, match="radius: found that of the threat gamma, which is not in gray levels"):
        radius_in_gray_levels(0.2, 100, "gamma")
    votes = smoothed(sigma=0.05).sample(IMAGE, 5, 60)
    with pytest.raises(SamplingError, match="attack: found the threat exposure; expected pixels"):
        segcert.attack(smoothed(), IMAGE, votes, np.zeros(IMAGE.shape[1:], np.uint8), 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"denoiser": lambda x, sigma: x}, "denoiser: found one with the threat exposure; expected None"),
        ({"noise": "exact"}, "noise: found 'exact' with the threat exposure; expected normal"),
        ({"sigma": 3.5}, "sigma: found 3.5; expected a level of the threat exposure above 0 and at most 3"),
        ({"threat": "white_balance"}, "threat white_balance: found an image of 1 channels"),
        ({"threat": "tests.unit.smoothing.test_threats:Clipped"}, "threat blend: its parameters do not add up"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(SamplingError, match=message):
        smoothed(**options).sample(IMAGE, 2, 4)


@pytest.mark.parametrize("name", ["pixels", "exposure", "field"])
def test_a_family_of_a_user_cannot_have_the_name_of_another_threat(name):
    class Misnamed(Exposure):
        pass

    Misnamed.name = name
    with pytest.raises(SamplingError, match=f"threat: found your own family with the name '{name}'"):
        smoothed(Misnamed())


def test_votes_of_another_threat_are_refused():
    votes = smoothed().sample(IMAGE, 2, 4)
    smoothed().check(votes, IMAGE)
    for other in ("pixels", "gamma", "contrast"):
        with pytest.raises(SamplingError, match=f"votes: found the threat exposure; expected {other}"):
            smoothed(other).check(votes, IMAGE)
    assert smoothed().differences(votes) == []


@pytest.fixture
def own_family(tmp_path, monkeypatch):
    """A function that writes a user's family, and returns its name."""

    def write(factor):
        (tmp_path / "own_threat.py").write_text(OWN.format(factor=factor))
        sys.modules.pop("own_threat", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return "own_threat:Own"

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    sys.modules.pop("own_threat", None)


def test_votes_of_an_edited_family_are_drawn_again(own_family, tmp_path):
    options = {"store": BlockStore(tmp_path / "store"), "identity": {"segmenter": "m"}}
    blocks = []
    for factor in (0, 0, 1):
        votes = smoothed(own_family(factor), 0.5, **options).sample(IMAGE, 2, 40)
        blocks.append(len(list((tmp_path / "store").rglob("*.npz"))))
    assert blocks == [2, 2, 4]
    assert smoothed(own_family(0), 0.5).differences(votes) == ["the code that a draw passes through"]


@pytest.mark.parametrize("module", ["exposure", "family", "parameter_noise", "../noise"])
def test_an_edit_of_a_built_in_family_counts(tmp_path, scripts, monkeypatch, module):
    copy = shutil.copytree(scripts / "segcert", tmp_path / "scripts/segcert")
    threats = copy / "smoothing/threats"
    monkeypatch.setattr(parameter_noise, "SCRIPTS", tmp_path / "scripts")
    monkeypatch.setattr(parameter_noise, "__file__", str(threats / "parameter_noise.py"))
    monkeypatch.setattr(sys.modules[Exposure.__module__], "__file__", str(threats / "exposure.py"))
    before = ParameterNoise(Exposure(), 0.3).settings["threat_code"]
    (threats / "gamma.py").write_text("EDITED = 1\n")
    assert ParameterNoise(Exposure(), 0.3).settings["threat_code"] == before
    path = threats / f"{module}.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    assert ParameterNoise(Exposure(), 0.3).settings["threat_code"] != before


def test_a_store_needs_a_family_in_a_file(monkeypatch, tmp_path):
    class InMemory(Exposure):
        name = "in memory"

    monkeypatch.setattr(InMemory, "__module__", "__main__")
    smoothed(InMemory()).sample(IMAGE, 2, 4)
    with pytest.raises(SamplingError, match="found no file with its code"):
        smoothed(InMemory(), store=BlockStore(tmp_path), identity={"segmenter": "m"})
