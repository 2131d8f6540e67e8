"""The independent checker of certificates against segcert, on random problems."""

import ast
import dataclasses
import json
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.support.checker import FILE, checker, verdict

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.median_smoothing import median_interval
from segcert.certification.methods import METHODS, CertificationError
from segcert.certification.multiple_testing import p_value_table
from segcert.certification.radius_map import radius_map
from segcert.data.raster import Raster
from segcert.measurements import Measurement, measurements_of
from segcert.provenance.digests import file_digest
from segcert.single_image.certificate_file import Decision, write_certificate
from segcert.single_image.inputs import Sampling
from segcert.single_image.picture_files import encode_tiff
from segcert.votes import Votes, narrow, pack_labels

PROBLEMS = {"decisions": 100, "files": 25}  # per method
NAMES = ("background", "lungs", "heart", "lesion")


def test_it_is_short_and_imports_only_numpy_and_the_standard_library():
    text = FILE.read_text()
    assert len(text.splitlines()) <= 200
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.parametrize(("n", "p"), [(1, 0.75), (17, 0.6), (110, 0.75), (110, 0.25), (300, 0.9)])
def test_tails_are_exact(n, p):
    above, one = checker.tails(n, p)
    assert above[0] == one
    assert above[n + 1] == 0
    assert np.allclose([t / one for t in above[:-1]], p_value_table(n, p), rtol=1e-12, atol=0)


def random_maps(rng, draws, shape, classes):
    """Return label maps (draws, H, W) in which each pixel has its own probabilities, often near certainty."""
    sure = rng.choice([0.3, 0.7, 0.85, 0.93, 0.98, 1.0], size=shape)
    truth, other = rng.integers(0, classes, shape), rng.integers(0, classes, (draws, *shape))
    return np.where(rng.random((draws, *shape)) < sure, truth, other).astype(np.uint8)


def random_settings(rng, method):
    tau = float(rng.choice([0.75, 0.8, 0.9, rng.uniform(0.51, 0.95)]))
    return {"tau": tau, "alpha": float(10 ** rng.uniform(-4, -0.4)), "method": method, "k": int(rng.integers(1, 9))}


def random_votes(rng, method, keep=True):
    """Return votes of a random problem, with its label maps, areas and a measurement that is sometimes NaN."""
    shape, classes = tuple(rng.integers(2, 8, 2)), int(rng.integers(2, 5))
    n0, n = int(rng.integers(0 if method == "holm" else 1, 14)), int(rng.integers(5, 150))
    maps = random_maps(rng, n0 + n, shape, classes)
    one_hot = np.stack([maps == c for c in range(classes)], axis=1)
    pixel_size = (0.5, 0.25) if rng.random() < 0.5 else None
    asked = [*measurements_of(["area"], NAMES[:classes], pixel_size), RANDOM]
    sigma = float(rng.choice([0.25, 0.5, 1.0]))
    votes = Votes(
        narrow(one_hot[:n0].sum(0), n0),
        narrow(one_hot[n0:].sum(0), n),
        sigma,
        one_hot.sum((2, 3)).astype(np.uint32),
        measurements={each.name: np.array([each.function(labels) for labels in maps], float) for each in asked},
        draws=pack_labels(maps, classes) if keep else np.zeros((0, 1, 0), np.uint8),
        origin={"sigma": sigma, "seed": 3, "precision": "float32", "device": "cpu", "batch_size": 7, "noise": "normal"},
    )
    return votes, asked, pixel_size


def _sometimes_nan(labels):
    return math.nan if labels[0, 0] == 0 else float(labels.astype(int).sum())


RANDOM = Measurement("sometimes", "", _sometimes_nan, "")


def decided(votes, method, tau, alpha, k):
    """Return the checker's labels (H, W)."""
    chosen, counts, n = checker.tested_class(votes.selection.astype(int), votes.estimation.astype(int), method)
    labels = np.full(len(counts), ABSTAIN)
    for pixel in checker.certified_pixels(counts, n, tau, alpha, method, k):
        labels[pixel] = chosen[pixel]
    return labels.reshape(votes.estimation.shape[1:])


@pytest.mark.parametrize("method", METHODS)
def test_it_decides_like_segcert(method):
    """Labels, radius maps and intervals of random problems. Both outcomes occur: certified and abstaining pixels."""
    rng, problems, shares = np.random.default_rng(21), 0, []
    while problems < PROBLEMS["decisions"]:
        votes, _, _ = random_votes(rng, method)
        settings = random_settings(rng, method)
        try:
            labels = certify(votes, **settings).labels
        except CertificationError:
            continue
        problems += 1
        shares.append((labels != ABSTAIN).mean())
        assert np.array_equal(decided(votes, **settings), labels)
        tau, alpha = settings["tau"], settings["alpha"]
        if not METHODS[method].weaker and problems % 5 == 0:
            try:
                expected = radius_map(votes, alpha=alpha, method=method).radius
            except CertificationError:
                continue
            _, counts, n = checker.tested_class(votes.selection.astype(int), votes.estimation.astype(int), method)
            assert np.allclose(checker.radius_map(counts, n, votes.sigma, alpha, method), expected.ravel(), rtol=1e-12)
        values = votes.measurements["sometimes"]
        try:
            interval = median_interval(values, votes.sigma, tau, alpha)
        except CertificationError:
            continue
        found = checker.interval(values.tolist(), tau, alpha)
        assert np.array_equal(found, [interval.low, interval.median, interval.high], equal_nan=True)
    assert 0.1 < np.mean(shares) < 0.9


class Networks(SimpleNamespace):
    """The attributes of networks that `write_certificate` reads."""

    def window(self, _):
        return None

    def remarks(self, *_):
        return []

    def remark_on_compression(self, _):
        return []


def write_problem(rng, folder, method):
    """Write the certificate of a random problem. Returns its path, or None if nothing can be certified."""
    votes, asked, pixel_size = random_votes(rng, method, keep=rng.random() < 0.7)
    settings = random_settings(rng, method)
    looks = [(), (votes.n, 2 * votes.n), (votes.n // 2 + 1, votes.n, votes.n + 50)][rng.integers(3)]
    shape = votes.estimation.shape
    image = Raster(rng.integers(0, 256, (1, *shape[1:])).astype(np.uint16), 8, pixel_size)
    Image.fromarray(image.pixels[0].astype(np.uint8)).save(folder / "a.png")
    networks = Networks(
        config={"classes": list(NAMES[: shape[0]])},
        digests={"segmenter": "0" * 64, "denoiser": None},
        segmenter="net",
        denoiser=None,
        denoising_steps=1,
    )
    try:
        write_certificate(
            folder / "a.png",
            folder,
            image=image,
            votes=votes,
            networks=networks,
            sampling=Sampling(votes.sigma, votes.n0, votes.n, 3, 7),
            decision=Decision(**settings, looks=looks),
            measurements=asked,
            thresholds={"area_lungs": float(rng.uniform(0, 20))},
            radii=not METHODS[method].weaker and rng.random() < 0.5,
        )
    except CertificationError:
        return None
    return folder / "a.certificate.json"


def refit(path, document):
    for file in document["files"].values():
        file["sha256"] = file_digest(path.parent / file["path"])
    path.write_text(json.dumps(document, indent=2))


@pytest.mark.parametrize("method", METHODS)
def test_it_agrees_with_whole_certificates_and_finds_one_wrong_pixel(tmp_path, method, capsys):
    rng, problems = np.random.default_rng(22), 0
    while problems < PROBLEMS["files"]:
        path = write_problem(rng, tmp_path, method)
        if path is None:
            continue
        problems += 1
        assert verdict(path), capsys.readouterr().out
        labels = np.asarray(Image.open(tmp_path / "a.labels.png")).copy()
        y, x = (rng.integers(0, side) for side in labels.shape)
        labels[y, x] = 0 if labels[y, x] == ABSTAIN else ABSTAIN
        Image.fromarray(labels).save(tmp_path / "a.labels.png")
        refit(path, json.loads(path.read_text()))
        assert not verdict(path)
        assert "WRONG: label of each pixel" in capsys.readouterr().out


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 48)])
@pytest.mark.parametrize("filter_values", [0, 200])
def test_it_reads_the_pictures_that_segcert_writes(tmp_path, shape, filter_values):
    pixels = (np.indices(shape).sum(axis=0) % 256 + filter_values * np.random.default_rng(0).random(shape)).astype("u1")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(checker.read_png((tmp_path / "a.png").read_bytes()), pixels)
    radii = np.random.default_rng(1).random(shape).astype("f4")
    assert np.array_equal(checker.read_tiff(encode_tiff(radii)).reshape(shape), radii)


def test_it_runs_as_a_program(tmp_path):
    rng = np.random.default_rng(23)
    path = None
    while path is None:
        path = write_problem(rng, tmp_path, "segcertify")
    done = subprocess.run([sys.executable, FILE, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith(("ok: ", "not checked: ")) for line in lines)
    assert lines[-1].startswith("not checked: that the networks and the image give these votes")
    path.with_name("a.votes.npz").unlink()
    done = subprocess.run([sys.executable, FILE, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("WRONG: the certificate cannot be checked")


def test_votes_that_contradict_their_label_maps_are_found(tmp_path, capsys):
    """Two pixels swap their counts, so that all areas stay right."""
    rng = np.random.default_rng(24)
    path = None
    while path is None or not len(Votes.load(tmp_path / "a.votes.npz").draws):
        path = write_problem(rng, tmp_path, "holm")
    votes = Votes.load(tmp_path / "a.votes.npz")
    swapped = dataclasses.replace(
        votes, selection=votes.selection[:, ::-1].copy(), estimation=votes.estimation[:, ::-1].copy()
    )
    swapped.save(tmp_path / "a.votes.npz")
    refit(path, json.loads(path.read_text()))
    assert not verdict(path)
    assert "WRONG: label maps of the draws give the votes and areas" in capsys.readouterr().out
