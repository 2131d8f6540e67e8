"""Verification of forged certificates: each forgery is found, and a sample of draws finds them as often as stated."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from scipy.stats import binom
from tests.support.checker import verdict
from tests.support.forgeries import (
    ASKED,
    CLASSES,
    CPU,
    FORGERIES,
    HEART,
    SAMPLING,
    Forger,
    save_image,
    save_network,
    votes_moved_without_label_maps,
)

import segcert.single_image.certificate_file
import segcert.single_image.verify
from segcert.measurements import Measurement, measurements_of
from segcert.provenance.digests import file_digest
from segcert.single_image.certificate_file import contents_of
from segcert.single_image.inputs import Networks
from segcert.single_image.picture_files import encode_png
from segcert.single_image.redraw import choose_draws, miss_probability, require_agreement
from segcert.single_image.schema import DocumentError, read_certificate
from segcert.single_image.verify import SAMPLE, verify
from segcert.smoothing.sampler import SmoothedSegmenter

CASES = [
    pytest.param(forgery, by_checker, id=f"{kind}-{forgery.__name__}")
    for kind, forgeries in FORGERIES.items()
    for forgery, by_checker in forgeries
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Return a folder with an image, two networks and an honest certificate, and the votes."""
    folder = tmp_path_factory.mktemp("honest")
    networks = Networks.load(save_network(folder / "net", 0), None)
    save_network(folder / "other", 1)
    save_image(folder / "other.png", 8)
    path = save_image(folder / "chest.png", 5)
    image = networks.read_image(path)
    asked = measurements_of(ASKED, CLASSES, *image.pixel_scale)
    votes = networks.smoothed(image, SAMPLING, CPU).sample(image.unit(), 10, 60, measurements=asked, keep_draws=True)
    (folder / "out").mkdir()
    forger = Forger(folder / "out", votes, path, networks)
    forger.write()
    shutil.copy(forger.path, folder / "honest.json")
    return forger


@pytest.fixture
def forger(honest, tmp_path):
    shutil.copytree(honest.folder.parent, tmp_path / "all")
    return dataclasses.replace(honest, folder=tmp_path / "all/out")


def check(forger, honest, **options):
    """Verify a certificate with the verifier's own image and network."""
    options = {"image_path": honest.image_path, "segmenter": honest.networks.segmenter} | options
    return verify(forger.path, read_certificate(forger.path), device=CPU, **options)


def is_refused(forger, honest, **options):
    """Return True if the certificate is refused with one clear line, as the command prints it."""
    try:
        check(forger, honest, **options)
    except (OSError, ValueError) as error:
        return isinstance(error, OSError) or type(error).__module__.startswith("segcert.")
    return False


def test_there_are_at_least_forty():
    assert len(CASES) >= 40


def test_the_honest_certificate_passes(honest, capsys):
    labels = honest.labels
    assert 0 < (labels == 255).sum() < labels.size
    for options in ({}, {"draws": 70}, {"image_path": None, "segmenter": None}):
        check(honest, honest, **options)
    assert verdict(honest.path), capsys.readouterr().out


@pytest.mark.parametrize(("forge", "by_checker"), CASES)
def test_each_forgery_is_found(forger, honest, forge, by_checker, capsys):
    forge(forger)
    assert is_refused(forger, honest, draws=70)
    assert verdict(forger.path) != by_checker, capsys.readouterr().out


def test_a_network_that_the_forger_made_is_found_only_by_those_who_bring_their_own(forger, honest):
    """An honest certificate of another network: the output says that the verifier did not bring the network."""
    other = Networks.load(forger.folder.parent / "other", None)
    votes = other.smoothed(forger.image, SAMPLING, CPU).sample(
        forger.image.unit(), 10, 60, measurements=forger.asked, keep_draws=True
    )
    forger.write(votes, networks=other)
    assert is_refused(forger, honest)
    done = check(forger, honest, segmenter=None)
    assert [line.split(":")[0] for line in done.brought] == ["image"]
    assert done.named == [f"segmenter: {other.segmenter} (SHA-256 {other.digests['segmenter']})"]


def test_weights_changed_in_place_are_found_by_drawing_again(forger, honest):
    """The forger changes the network that the certificate names, and makes all digests fit."""
    folder = forger.folder.parent / "net"
    shutil.rmtree(folder)
    other = Networks.load(save_network(folder, 1), None)
    forger.write(dataclasses.replace(forger.votes, origin={**forger.votes.origin, **other.digests}), networks=other)
    assert is_refused(forger, honest, segmenter=None)


def test_forged_counts_are_found_by_default_without_label_maps(forger, honest):
    """No sample of honest draws contradicts them, so all draws are repeated, or the output says what is not checked."""
    votes_moved_without_label_maps(forger)
    assert is_refused(forger, honest)
    passed = 0
    for seed in range(20):
        try:
            done = check(forger, honest, draws=5, seed=seed)
        except DocumentError:
            continue
        passed += 1
        assert any("the counts of each pixel" in line and "--all" in line for line in done.unchecked)
    assert passed


@pytest.fixture(scope="module")
def repeated(honest):
    """Return the label map of each draw, drawn again (draws, H, W)."""
    draws = [("selection", k) for k in range(10)] + [("estimation", k) for k in range(60)]
    smoothed = honest.networks.smoothed(honest.image, SAMPLING, CPU)
    return np.stack([labels.numpy() for labels in smoothed.label_maps(honest.image.unit(), draws)])


@pytest.mark.parametrize("forged", [1, 5, 20])
def test_sampled_draws_find_forgeries_as_often_as_stated(forger, repeated, forged):
    """A check finds forged draws if, and only if, it chooses one of them: 200 checks with the sample size of verify.

    How often it chooses one is counted over 20,000 choices, the 200 included, and compared with the stated probability
    in both directions. An error of this test has probability 1e-4.
    """
    rng = np.random.default_rng(forged)
    maps = forger.maps
    assert np.array_equal(maps, repeated)
    rows = rng.choice(70, forged, replace=False)
    maps[rows] = (maps[rows] + 1) % 3
    votes, choices = forger.vote(maps), 20_000
    chosen = [choose_draws(70, SAMPLE, int(rng.integers(2**63))) for _ in range(choices)]
    hits = [not set(rows).isdisjoint(each) for each in chosen]
    for each, hit in zip(chosen[:200], hits, strict=False):
        try:
            require_agreement(votes, ((row, repeated[row]) for row in each), forger.asked, "when drawn again")
            found = False
        except DocumentError:
            found = True
        assert found == hit
    low, high = binom.ppf([0.5e-4, 1 - 0.5e-4], choices, 1 - miss_probability(70, SAMPLE, forged))
    assert low <= sum(hits) <= high


def test_by_default_verify_repeats_random_draws(forger, honest, repeated, monkeypatch):
    """It misses three forged draws if, and only if, none of them is chosen; other runs choose other draws."""
    maps = forger.maps
    maps[[2, 30, 60]] = (maps[[2, 30, 60]] + 1) % 3
    forger.write(forger.vote(maps))
    chosen = []

    def again(self, image, draws):
        rows = [k if stream == "selection" else 10 + k for stream, k in draws]
        chosen.append(frozenset(rows))
        yield from torch.from_numpy(repeated[rows])

    monkeypatch.setattr(SmoothedSegmenter, "label_maps", again)
    outcomes = set()
    for _ in range(12):
        missed = not is_refused(forger, honest)
        outcomes.add(missed)
        assert missed == chosen[-1].isdisjoint([2, 30, 60])
        assert len(chosen[-1]) == SAMPLE
    assert len(set(chosen)) == 12
    check(honest, honest, seed=5)
    check(honest, honest, seed=5)
    assert chosen[-1] == chosen[-2] == frozenset(choose_draws(70, SAMPLE, 5))


def test_the_output_states_what_a_sample_can_miss(honest):
    done = check(honest, honest, seed=3)
    assert done.redrawn[0] == "20 of 70 draws, chosen at random (to choose the same draws: --seed 3)"
    assert done.redrawn[1].startswith(
        "If some draws were forged, this check misses all of them with probability 71.5% "
    )
    assert miss_probability(70, 20, 1) == pytest.approx(50 / 70)
    assert miss_probability(70, 20, 51) == 0
    text = done.text()
    for part in (
        "counts, areas, area_lungs, area_heart, cardiothoracic_ratio: of all 70 draws",
        "chest.radius.tif: every pixel",
        "Only hashed: the digest matches the certificate, and nothing else was checked\n  nothing",
        "Not checked\n  image.path",
        "Supplied by you\n  segmenter: ",
    ):
        assert part in text
    done = check(honest, honest, draws=70, segmenter=None)
    assert done.redrawn == ["all 70 draws: label maps, counts, areas and measurements. No forged draw is missed"]


def test_an_unknown_file_is_only_hashed(forger, honest):
    (forger.folder / "chest.report.pdf").write_bytes(b"x")
    digest = file_digest(forger.folder / "chest.report.pdf")
    forger.edit("files", lambda files: files | {"report.pdf": {"path": "chest.report.pdf", "sha256": digest}})
    assert check(forger, honest).hashed == ["chest.report.pdf"]


def test_a_new_kind_of_file_is_verified_as_soon_as_it_is_written(forger, honest, monkeypatch):
    """`contents_of` is the list of files: what it returns is written and compared."""

    def contents(image, certificate, votes, radii):
        return contents_of(image, certificate, votes, radii) | {"upper.png": encode_png(certificate.labels[:4])}

    monkeypatch.setattr(segcert.single_image.certificate_file, "contents_of", contents)
    monkeypatch.setattr(segcert.single_image.verify, "contents_of", contents)
    forger.write()
    assert "chest.upper.png: every pixel" in check(forger, honest).recomputed
    forger.replace("upper.png", encode_png(np.full((4, 8), HEART, np.uint8)))
    assert is_refused(forger, honest)


def test_a_measurement_of_the_authors_own_runs_only_if_it_is_named(forger, honest, monkeypatch, tmp_path):
    """The code is never imported because a certificate names it."""
    (tmp_path / "own_measurements.py").write_text(
        "def bright(labels, pixel_size):\n    return float((labels > 0).sum())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    values = {"bright": (forger.maps > 0).sum(axis=(1, 2)).astype(float)}

    def write(values):
        monkeypatch.setattr(Forger, "asked", [Measurement("bright", "", float, "")])
        forger.write(dataclasses.replace(forger.votes, measurements=values))

    write(values)
    with pytest.raises(DocumentError, match=r"found the measurement bright, .* pass --measure package"):
        check(forger, honest)
    check(forger, honest, measure=["own_measurements:bright"])
    write({"bright": values["bright"] + 1})
    assert is_refused(forger, honest, measure=["own_measurements:bright"])


def test_certificates_of_earlier_versions_pass(forger, honest):
    """They lack keys that were added since."""
    document = json.loads(forger.path.read_text())
    del document["image"]["pixel_size_set"]
    forger.path.write_text(json.dumps(document))
    check(forger, honest)


def test_a_certificate_that_no_longer_states_its_grid_says_so_when_verified(forger, honest):
    """Who deletes the grid and the maps on it makes a certificate of an earlier version."""
    assert not any("image.grid" in line for line in check(forger, honest).unchecked)
    document = json.loads(forger.path.read_text())
    for key in ("grid", "length_unit", "path_withheld"):
        del document["image"][key]
    for kind in [kind for kind in document["files"] if "original-nearest" in kind]:
        (forger.folder / document["files"].pop(kind)["path"]).unlink()
    forger.path.write_text(json.dumps(document))
    assert any(line.startswith("image.grid: missing") for line in check(forger, honest).unchecked)


def test_statements_that_only_the_author_knows_pass_and_are_listed(forger, honest):
    forger.edit("image/path", "elsewhere/healthy.png")
    forger.edit("networks/segmenter/path", "elsewhere/net")
    forger.edit("decisions", None)
    text = check(forger, honest).text()
    _, unchecked = text.split("Not checked\n")
    for key in ("image.path", "networks.segmenter.path", "decisions: only the author's ledger"):
        assert key in unchecked
