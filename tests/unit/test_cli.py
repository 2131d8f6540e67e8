"""The `segcert` command on user-supplied images, with a tiny segmenter."""

import importlib.metadata
import json
import secrets
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
import torch
from diffusers import DDPMScheduler
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from tests.support.checker import verdict
from tests.unit.data.test_decode import dicom_bytes
from tests.unit.networks.denoiser_folders import saved, tiny_unet, with_weights

from segcert.certification.certificate import ABSTAIN, certify
from segcert.cli import main
from segcert.config import Config
from segcert.data.errors import DataError
from segcert.data.raster import Raster
from segcert.data.user_data import read_own_image
from segcert.networks.registry import build_segmenter, save_segmenter
from segcert.networks.unet import UNet
from segcert.single_image.inputs import Networks
from segcert.single_image.schema import read_certificate
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.training.denoiser import build_scheduler, build_unet
from segcert.votes import Votes

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20)).astype(np.uint8)


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["segcert", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
        output = capsys.readouterr().out
        return output if code in (0, None) else str(code)

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("segmenter"), 1)


def save_tiny(folder, channels, head=(0.0, 0.0, 0.0)):
    torch.manual_seed(0)
    arguments = {"in_channels": channels, "num_classes": 3, "width": 4, "depth": 1}
    classes = ["background", "lungs", "heart"]
    config = {"architecture": "unet", "arguments": arguments, "classes": classes, "image_size": 16}
    model = build_segmenter("unet", arguments)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor(head))  # zeros: all classes occur
    save_segmenter(folder, model, config)
    return folder


@pytest.fixture
def image(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "chest.png")
    return tmp_path / "chest.png"


def certified(run, image, segmenter, out, *more):
    return run("certify", image, "--segmenter", segmenter, "--sigma", 0.25, "--out", out, "--n", 60, *more)


def test_certify_writes_labels_overlay_votes_and_certificate(run, image, segmenter, tmp_path):
    out = tmp_path / "out"
    output = certified(
        run,
        image,
        segmenter,
        out,
        "--measure",
        "area",
        "--measure",
        "cardiothoracic_ratio",
        "--decide",
        "area_lungs > 1",
        "--pixel-size",
        "0.5",
        "0.4",
        "--radius-map",
    )
    assert "chest.certificate.json" in output
    document = json.loads((out / "chest.certificate.json").read_text())
    labels = np.asarray(Image.open(out / "chest.labels.png"))
    votes = Votes.load(out / "chest.votes.npz")
    assert np.array_equal(labels, certify(votes, 0.75, 0.001).labels)
    assert labels.shape == (16, 16)
    assert document["abstain"] == (labels == ABSTAIN).mean()
    assert Image.open(out / "chest.overlay.png").size == (64, 64)
    assert tifffile.imread(out / "chest.radius.tif").shape == (16, 16)
    assert document["image"]["pixel_size_mm"] == [0.5 * 24 / 16, 0.4 * 20 / 16]
    lungs, heart, _ = document["measurements"]
    assert (lungs["name"], lungs["unit"], lungs["threshold"]) == ("area_lungs", "mm2", 1.0)
    assert lungs["decision"] in ("above", "below", "open")
    assert heart["alpha"] == pytest.approx(0.001 / 3)


def test_a_jpeg_file_is_certified_with_a_remark(run, segmenter, tmp_path):
    rgb = np.stack([PIXELS] * 3, axis=-1)
    rgb[..., 1] = np.minimum(PIXELS, 250) + 2
    Image.fromarray(rgb).save(tmp_path / "chest.jpg", quality=95, subsampling=0)
    output = certified(run, tmp_path / "chest.jpg", segmenter, tmp_path / "out")
    remark = "the file was compressed with loss, and the segmenter does not state that its training images were"
    assert remark in output
    certificate = tmp_path / "out/chest.certificate.json"
    text = run("explain", certificate)
    for part in (
        remark,
        "decompressed from JPEG, whose compression",
        "nearly gray: its three channels differ by up",
    ):
        assert part in text
    assert run("verify", certificate).startswith(f"passed: {certificate}")

    trained_on_jpeg = tmp_path / "segmenter"
    shutil.copytree(segmenter, trained_on_jpeg)
    config = json.loads((segmenter / "config.json").read_text())
    config["preprocessing"] = {"lossy": True}
    (trained_on_jpeg / "config.json").write_text(json.dumps(config))
    certified(run, tmp_path / "chest.jpg", trained_on_jpeg, tmp_path / "without")
    text = run("explain", tmp_path / "without/chest.certificate.json")
    assert remark not in text
    assert "decompressed from JPEG" in text


def test_a_colour_file_and_a_gray_network_are_refused_with_their_names(run, segmenter, tmp_path):
    rgb = np.stack([PIXELS, PIXELS, 255 - PIXELS], axis=-1)
    for name in ("a.png", "a.jpg", "a.tif", "a.bmp"):
        Image.fromarray(rgb).save(tmp_path / name)
        output = certified(run, tmp_path / name, segmenter, tmp_path / "out")
        assert f"{name}: the image has colour" in output
        assert f"{segmenter} takes gray images. Convert the file to gray, or use a segmenter" in output
    assert not (tmp_path / "out").exists()


def test_a_network_with_another_number_of_channels_is_refused(run, image, tmp_path):
    output = certified(run, image, save_tiny(tmp_path / "four", 4), tmp_path / "out")
    assert "config.json: `in_channels`: found 4; expected 1 (gray) or 3 (RGB)" in output


def test_certificate_and_library_agree(run, image, segmenter, tmp_path):
    from segcert.networks.registry import load_segmenter

    certified(run, image, segmenter, tmp_path / "out", "--size", 24, "--seed", 5)
    resized = read_own_image(image).resized(24)
    model, _ = load_segmenter(segmenter)
    expected = SmoothedSegmenter(model, 0.25, 3, batch_size=10, seed=5).sample(resized.unit(), 10, 60)
    assert np.array_equal(Votes.load(tmp_path / "out/chest.votes.npz").estimation, expected.estimation)


@pytest.mark.parametrize("noise", ["normal", "exact"])
def test_explain_states_the_guarantee(run, image, segmenter, tmp_path, noise):
    certified(run, image, segmenter, tmp_path, "--noise", noise, "--method", "kfwer", "--k", 5)
    text = run("explain", tmp_path / "chest.certificate.json")
    for part in (
        "l2 norm below 0.1686",
        "black is 0 and white is 1",
        "fewer than 5 pixels",
        "probability at least 0.999",
        "weaker than the guarantee",
        "no interval for the area",
        "10 + 60 noisy copies",
        "not a medical device",
    ):
        assert part in text
    assert ("on the image's own grid" in text) == (noise == "exact")
    assert "lungs" not in text  # the area of a structure


@pytest.mark.parametrize(
    ("method", "more", "together"),
    [
        ("segcertify", ["--radius-map"], "error probability at most 0.002"),
        ("holm", ["--measure", "area", "--radius-map"], "error probability at most 0.003"),
        ("kfwer", ["--measure", "area"], "error probability at most 0.002"),
        ("by", ["--measure", "area"], "No error probability covers the labels and the measurements together."),
        ("segcertify", [], None),
    ],
)
def test_explain_adds_up_the_error_probabilities(run, image, segmenter, tmp_path, method, more, together):
    certified(run, image, segmenter, tmp_path, "--method", method, "--n", 110, *more)
    text = " ".join(run("explain", tmp_path / "chest.certificate.json").split())
    if together is None:
        assert "together:" not in text
    else:
        assert together in text


@pytest.mark.parametrize("method", ["segcertify", "holm", "kfwer", "by"])
def test_a_certificate_bounds_areas_only_if_no_certified_pixel_may_be_wrong(run, image, segmenter, tmp_path, method):
    certified(run, image, segmenter, tmp_path, "--method", method)
    for each in read_certificate(tmp_path / "chest.certificate.json")["classes"]:
        assert (each["area_low"] is None) == (each["area_high"] is None) == (method in ("kfwer", "by"))
    assert run("verify", tmp_path / "chest.certificate.json").startswith("passed")


@pytest.mark.parametrize(("share", "n"), [(1, 60), (0, 80)])
def test_planned_looks_share_alpha_and_end_the_draws(run, image, segmenter, tmp_path, share, n):
    looks = ("--looks", "60,70,80", "--stop-at-abstention", share, "--measure", "area", "--radius-map", "--keep-draws")
    output = run("certify", image, "--segmenter", segmenter, "--sigma", 0.25, "--out", tmp_path, *looks, "--tau", 0.6)
    assert f"decided after n = {n} of at most 80" in output
    path = tmp_path / "chest.certificate.json"
    document = read_certificate(path)
    stated = document["certificate"]
    assert (stated["n"], stated["alpha"], stated["looks"]) == (n, 0.001, [60, 70, 80])
    assert document["sampling"]["n"] == n
    assert [each["alpha"] for each in document["measurements"]] == pytest.approx([0.001 / 3 / 2] * 2)
    votes = Votes.load(tmp_path / "chest.votes.npz")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "chest.labels.png")), certify(votes, 0.6, 0.001 / 3).labels)
    assert run("verify", path, "--all").startswith("passed")
    assert verdict(path)
    text = " ".join(run("explain", path).split())
    assert "Looks were planned after n = 60, 70, 80 copies, and the decision was made after n = " in text
    assert "error probability 0.0005 each and 0.001 for all together" in text
    single = run(
        "certify", image, "--segmenter", segmenter, "--sigma", 0.25, "--out", tmp_path / "single", "--tau", 0.6
    )
    assert "decision 2" in single


@pytest.mark.parametrize(
    ("looks", "message"),
    [
        (
            "20,60",
            "`looks`: found 20, but with method segcertify, tau 0.75, alpha 0.001, which 2 looks share, and 256 pixels",
        ),
        ("70,60", "in increasing order, without repetition. Write `looks: [60, 70]`"),
        ("60;70", "looks: found '60;70'"),
    ],
)
def test_impossible_looks_are_one_clear_line(run, image, segmenter, tmp_path, looks, message):
    output = run(
        "certify", image, "--segmenter", segmenter, "--sigma", 0.25, "--out", tmp_path / "out", "--looks", looks
    )
    assert output.startswith("segcert: ")
    assert message in output
    assert not (tmp_path / "out").exists()


def test_a_forged_look_is_found(run, image, segmenter, tmp_path):
    """Without looks, the certificate would state the level alpha for what was decided at a third of it."""
    settings = ("--looks", "60,70,80", "--tau", 0.6, "--seed", 5)
    run("certify", image, "--segmenter", segmenter, "--sigma", 0.25, "--out", tmp_path, *settings)
    path = tmp_path / "chest.certificate.json"
    honest, votes = path.read_text(), Votes.load(tmp_path / "chest.votes.npz")
    honest_n, labels = votes.n, np.asarray(Image.open(tmp_path / "chest.labels.png"))
    assert not np.array_equal(certify(votes, 0.6, 0.001).labels, labels), "the share of alpha matters"
    for looks in ([honest_n], [60, 70], [60, 70, 80, 90], [10, 60, 80], ["60", "70", "80"], list(range(60, 100))):
        forged = json.loads(honest)
        forged["certificate"]["looks"] = looks
        path.write_text(json.dumps(forged, indent=2))
        same = honest_n in looks and np.array_equal(certify(votes, 0.6, 0.001 / len(looks)).labels, labels)
        assert ("passed:" in run("verify", path, "--all")) == same
        assert verdict(path) == same


def test_a_missed_heart_leaves_the_ratio_open(run, image, tmp_path):
    blind = save_tiny(tmp_path / "blind", 1, (0.0, 0.0, -1000.0))
    ratio = ("--measure", "cardiothoracic_ratio", "--decide", "cardiothoracic_ratio > 0.5")
    certified(run, image, blind, tmp_path / "out", *ratio)
    (measured,) = read_certificate(tmp_path / "out/chest.certificate.json")["measurements"]
    assert (measured["low"], measured["high"], measured["decision"]) == (None, None, "open")
    text = " ".join(run("explain", tmp_path / "out/chest.certificate.json").split())
    assert "cardiothoracic_ratio: unbounded to unbounded; not certified on either side of 0.5" in text
    assert "a structure is absent from too many noisy copies" in text
    assert run("verify", tmp_path / "out/chest.certificate.json").startswith("passed")  # NaN equals NaN


AGAIN = {
    "more draws": ("--n", 80),
    "fewer draws": ("--n", 59),
    "other selection draws": ("--n0", 12),
    "tau": ("--tau", 0.7),
    "alpha": ("--alpha", 0.002),
    "method": ("--method", "holm"),
    "seed": ("--seed", 6),
    "sigma": ("--sigma", 0.3),
    "noise": ("--noise", "exact"),
}


@pytest.mark.parametrize("change", [*AGAIN, "folder"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_second_decision_is_counted_in_every_folder(run, image, segmenter, tmp_path, change, shared):
    """Only a larger n was once noted, and only in the same folder or store."""
    store = ("--store", tmp_path / "store") if shared else ()
    seed = () if change == "folder" else ("--seed", 5)
    first, second = tmp_path / "first", tmp_path / "second"
    certified(run, image, segmenter, first, *store, *seed)
    certified(run, image, segmenter, first, *store, *seed)
    before = certified_number(first)
    assert before["number"] == 1
    assert "This is decision 1 on this image and network" in run("explain", first / "chest.certificate.json")
    output = certified(run, image, segmenter, second, *store, *seed, *AGAIN.get(change, ()))
    again = certified_number(second)
    if change == "folder" and shared:  # a shared store also keeps the seed, so this is the same decision
        assert again == before
        return
    assert again["number"] == 2
    assert [each["seed"] for each in again["earlier"]] == [read_seed(first)]
    said = "decision 2 on this image and network; alpha covers one"
    explained = run("explain", second / "chest.certificate.json")
    assert said in output
    assert f"BUT: this is {said}" in explained
    assert f"sigma 0.25, 10 + 60 copies, seed {read_seed(first)}, noise normal, tau = 0.75, alpha = 0.001" in explained
    certified(run, image, segmenter, first, *store, *seed)
    assert certified_number(first) == before, "the first decision, repeated"


def certified_number(out):
    return read_certificate(out / "chest.certificate.json")["decisions"]


def read_seed(out):
    return read_certificate(out / "chest.certificate.json")["sampling"]["seed"]


def test_versions_and_threads_are_stated_and_verify_names_those_that_differ(
    run, image, segmenter, tmp_path, monkeypatch
):
    """A certificate said nothing about them, and `verify` called every difference rounding on a different machine."""
    certified(run, image, segmenter, tmp_path, "--threads", 2)
    path = tmp_path / "chest.certificate.json"
    runtime = json.loads(path.read_text())["runtime"]
    assert (runtime["torch"], runtime["numpy"], runtime["threads"]) == (torch.__version__, np.__version__, 2)
    assert f"drawn with torch {torch.__version__}" in run("explain", path)
    assert "threads 2" in run("explain", path)
    said = "Different here, without an effect on these draws: "
    assert said not in run("verify", path)
    assert f"{said}threads 1 (then 2)" in run("verify", path, "--threads", 1)
    monkeypatch.setattr(np, "__version__", "0.1")
    assert f"{said}numpy 0.1 (then {runtime['numpy']})" in run("verify", path, "--threads", 2)


def test_decisions_on_other_images_and_networks_are_not_counted(run, image, segmenter, tmp_path):
    other = tmp_path / "other/chest.png"
    other.parent.mkdir()
    Image.fromarray(255 - PIXELS).save(other)
    for number, (path, network) in enumerate([(image, segmenter), (other, segmenter), (image, save_tiny(tmp_path, 3))]):
        certified(run, path, network, tmp_path / f"out{number}")
        assert certified_number(tmp_path / f"out{number}") == {"number": 1, "earlier": []}


def test_a_ledger_that_cannot_be_written_is_no_error(run, image, segmenter, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert "certified at radius" in certified(run, image, segmenter, tmp_path / "out")
    assert "this decision is not recorded" in caplog.text


def test_verify_repeats_draws_and_notices_every_change(run, image, segmenter, tmp_path):
    out = tmp_path / "out"
    certified(run, image, segmenter, out, "--keep-draws", "--noise", "exact", "--measure", "area", "--seed", 0)
    certificate = out / "chest.certificate.json"
    assert "20 of 70 draws, chosen at random" in run("verify", certificate)
    assert "all 70 draws: " in run("verify", certificate, "--all")
    assert "--seed 12)" in run("verify", certificate, "--seed", 12, "--draws", 3)
    assert "--all: cannot be combined with --draws 3" in run("verify", certificate, "--all", "--draws", 3)
    whole = certificate.read_text()

    certificate.write_text(whole.replace('"tau": 0.75', '"tau": 0.7'))
    assert "certificate.radius: found 0.168" in run("verify", certificate)
    certificate.write_text(whole.replace('"low": ', '"low": 1'))
    assert "measurements.0.low: found 1" in run("verify", certificate)
    certificate.write_text(whole.replace('"abstain": ', '"abstain": 1'))
    assert "abstain: found 1" in run("verify", certificate)
    certificate.write_text(whole.replace('"seed": 0', '"seed": 1'))
    assert "votes: found seed 0; expected 1" in run("verify", certificate)
    certificate.write_text(whole)
    other = save_tiny(tmp_path / "other", 1)
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config + "\n")
    assert "the segmenter: found SHA-256" in run("verify", certificate, "--segmenter", other)
    labels = out / "chest.labels.png"
    content = labels.read_bytes()
    labels.write_bytes(content + b"x")
    assert "chest.labels.png: found SHA-256" in run("verify", certificate)
    labels.unlink()
    assert "chest.labels.png: missing" in run("verify", certificate)
    labels.write_bytes(content)
    image.write_bytes(image.read_bytes() + b"x")
    assert "chest.png: found SHA-256" in run("verify", certificate)


def seed_of(out):
    return read_certificate(out / "chest.certificate.json")["sampling"]["seed"]


def test_the_seed_is_random_and_kept(run, image, segmenter, tmp_path):
    """With the known seed 0, whoever chooses the image could search for one whose certificate is wrong."""
    first, again, shared = tmp_path / "first", tmp_path / "again", tmp_path / "shared"
    certified(run, image, segmenter, first)
    certified(run, image, segmenter, again)
    assert 0 not in (seed_of(first), seed_of(again))
    assert seed_of(first) != seed_of(again)
    before = {path.name: path.read_bytes() for path in first.iterdir() if path.is_file()}
    shutil.rmtree(first / ".draws")
    certified(run, image, segmenter, first)
    assert {path.name: path.read_bytes() for path in first.iterdir() if path.is_file()} == before
    certified(run, image, segmenter, first, "--n", 90)
    assert seed_of(first) == json.loads(before["chest.certificate.json"])["sampling"]["seed"]
    certified(run, image, segmenter, first, "--seed", 7)
    assert seed_of(first) == 7
    for name in ("a", "b"):
        certified(run, image, segmenter, tmp_path / name, "--store", shared)
    assert seed_of(tmp_path / "a") == seed_of(tmp_path / "b")
    assert not (tmp_path / "a/.seeds").exists()


def test_another_image_or_network_has_another_seed(run, image, segmenter, tmp_path):
    out, found = tmp_path / "out", []
    for folder in (segmenter, save_tiny(tmp_path / "colour", 3)):
        certified(run, image, folder, out)
        found.append(seed_of(out))
    certified(run, image, segmenter, out, "--size", 24)
    assert len({*found, seed_of(out)}) == 3


def test_the_seed_is_drawn_after_the_images_were_read_and_kept_before_the_first_draw(
    run, image, segmenter, tmp_path, monkeypatch
):
    events, out = [], tmp_path / "out"
    read, drawn = Networks.read_image, secrets.randbelow
    monkeypatch.setattr(Networks, "read_image", lambda *each: events.append("read") or read(*each))
    monkeypatch.setattr(secrets, "randbelow", lambda limit: events.append("seed") or drawn(limit))

    def first_draw(self, x_noisy):
        events.append(f"draw with {len(list(out.glob('.seeds/*.json')))} seed kept")
        raise KeyboardInterrupt

    monkeypatch.setattr(SmoothedSegmenter, "logits", first_draw)
    certified(run, image, segmenter, out)
    assert events == ["read", "seed", "draw with 1 seed kept"]
    (kept,) = out.glob(".seeds/*.json")
    kept.write_text('{"seed": "x"}')
    assert f"{kept}: is damaged (found 'x'); expected the seed of the noise, an integer. Delete the file" in certified(
        run, image, segmenter, out
    )


def test_a_gray_image_passes_a_colour_network(run, image, tmp_path):
    """One channel of noise, replicated: not three."""
    colour = save_tiny(tmp_path / "colour", 3)
    certified(run, image, colour, tmp_path / "out")
    assert json.loads((tmp_path / "out/chest.certificate.json").read_text())["image"]["shape"] == [1, 16, 16]


def test_a_command_probes_its_networks_once_for_each_number_of_channels(run, image, tmp_path, monkeypatch):
    """The probe is one more batch. Gray and colour images pass the network in different ways."""
    draw, calls = SmoothedSegmenter.logits, []
    monkeypatch.setattr(SmoothedSegmenter, "logits", lambda self, x: calls.append(x.shape[1]) or draw(self, x))
    files = [image]
    for name, pixels in (("gray", PIXELS[::-1]), ("red", np.stack([PIXELS, PIXELS // 2, PIXELS], axis=2))):
        files.append(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(files[-1])
    settings = ("--sigma", 0.25, "--n", 60, "--batch-size", 35, "--out", tmp_path / "out")
    run("certify", *files, "--segmenter", save_tiny(tmp_path / "colour", 3), *settings)
    assert (calls.count(1), calls.count(3)) == (2 * 2 + 1, 2 + 1)


def test_a_certificate_of_a_network_that_reads_its_batch_is_refused(run, image, segmenter, tmp_path, monkeypatch):
    """Its author left out the probe; the same batches give the same votes again, which prove nothing."""

    def over_the_batch(self, x):
        return torch.cat([x.new_zeros(x.shape), x - x.mean(), x - x.amax()], dim=1)

    monkeypatch.setattr(UNet, "forward", over_the_batch)
    with monkeypatch.context() as without:
        without.setattr(SmoothedSegmenter, "_probe", lambda *_: None)
        certified(run, image, segmenter, tmp_path / "out")
    output = run("verify", tmp_path / "out/chest.certificate.json", "--all")
    assert output.startswith("segcert: model: its logits change from call to call, or with the other images")


def test_plan(run):
    output = run("plan", "--sigma", 0.25, "--alpha", 0.001, "--tau", 0.75, "--shape", "256x256")
    assert "n >= 63" in output
    assert "Radius: 0.1686" in output


@pytest.mark.parametrize("command", ["status", "plan x=1", "audit x", "trace x y", "crate x", "compare x y"])
def test_commands_on_runs_lead_from_a_subfolder_to_the_root(run, monkeypatch, tmp_path, command):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    assert run(*command.split()).endswith(f"in the root of the checkout. First run: cd {tmp_path}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", 20], "Write `n: "),
        (["--tau", 0.5], "tau: found 0.5"),
        (["--sigma", 0], "sigma: found 0"),
        (["--measure", "volume"], "found 'volume'"),
        (["--decide", "area_lungs > 3"], "is not measured"),
        (["--denoiser", "nowhere"], "unet/config.json: missing"),
        (["--segmenter", "nowhere"], "model.safetensors: missing"),
        (["--size", 15], "does not accept images of shape"),
        (["--tau", 1.5], "tau: found 1.5"),
        (["--alpha", 0], "alpha: found 0.0"),
        (["--radius-map", "--method", "by"], "because a radius map requires one of these"),
        (["--pixel-size", 0, 1], "--pixel-size: found 0.0 1.0"),
        (["--bits", 4], "states a depth of 8 bits, but `bits` is set to 4"),
        (["--measure", "area", "--decide", "area_lungs > 1.2.3"], "expected a measurement, the sign > and a number"),
        (["--looks", "60,70", "--n", 60], "--looks: found 60,70 and --n 60"),
        (["--stop-at-abstention", 0.1], "requires planned looks"),
        (["--method", "kfwer", "--k", 200, "--n", 25, "--n0", 1, "--measure", "area"], "too few to certify 2"),
    ],
)
def test_bad_input_is_one_clear_line(run, image, segmenter, tmp_path, arguments, message):
    output = certified(run, image, segmenter, tmp_path / "out", *arguments)
    assert output.startswith("segcert: ")
    assert message in output
    assert not any(path.is_file() for path in (tmp_path / "out").glob("*")), "at most a seed was kept"


def test_exact_noise_that_float32_cannot_add_is_refused_before_any_draw(run, segmenter, tmp_path, monkeypatch):
    """The limit depends on the depth of the image: sigma 28 is too large for 16 bits."""
    monkeypatch.setattr("segcert.smoothing.sampler.SmoothedSegmenter.sample", None)
    Image.fromarray(PIXELS.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    deep = ("--bits", 16, "--noise", "exact", "--sigma", 28)
    output = certified(run, tmp_path / "deep.png", segmenter, tmp_path / "out", *deep)
    assert output.startswith("segcert: sigma: found 28 with `exact` noise on the grid of 16-bit images (`bits`)")
    assert "expected at most 27.71, because" in output
    assert not (tmp_path / "out").exists()


def test_one_bad_file_leaves_the_others_certified(run, image, segmenter, tmp_path):
    (tmp_path / "report.dcm").write_bytes(Path(get_testdata_file("test-SR.dcm")).read_bytes())
    more = tmp_path / "report.dcm", tmp_path / "gone.png"
    out = tmp_path / "out"
    output = run("certify", image, *more, "--segmenter", segmenter, "--sigma", 0.25, "--out", out, "--n", 60)
    assert output.startswith("segcert: 2 of 3 images were not certified:")
    assert "report.dcm: the DICOM file contains no image (SOP class: Comprehensive SR" in output
    assert "gone.png: no such file" in output
    assert (out / "chest.certificate.json").is_file()


@pytest.fixture
def mixed_files(tmp_path):
    """Fifty files of several formats, five of which are not images."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for k in range(45):
        pixels = np.roll(PIXELS, k, axis=0)
        if k % 3 == 0:
            Image.fromarray(pixels).save(folder / f"a{k:02d}.png")
        elif k % 3 == 1:
            tifffile.imwrite(folder / f"a{k:02d}.tif", pixels, compression=["none", "lzw", "zlib", "packbits"][k % 4])
        else:
            (folder / f"a{k:02d}.dcm").write_bytes(dicom_bytes(pixels))
    (folder / "b0.dcm").write_bytes(Path(get_testdata_file("test-SR.dcm")).read_bytes())
    (folder / "b1.png").write_bytes((folder / "a00.png").read_bytes()[:60])
    (folder / "b2.tif").write_bytes(b"not an image")
    tifffile.imwrite(folder / "b3.tif", PIXELS.astype(np.float32))
    return [*sorted(folder.iterdir()), folder / "b4.png"]


def test_killed_batch_resumes_and_names_its_bad_files(run, mixed_files, segmenter, tmp_path, monkeypatch):
    draw, calls = SmoothedSegmenter.logits, []

    def counted(self, x_noisy):
        calls.append(len(x_noisy))
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return draw(self, x_noisy)

    def batch(out):
        calls.clear()
        arguments = ("--segmenter", segmenter, "--sigma", 0.25, "--out", out, "--n", 60, "--batch-size", 35)
        return run("certify", *mixed_files, *arguments, "--threads", 1)

    def seeds(folder):
        documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.certificate.json"))]
        return [document["sampling"]["seed"] for document in documents]

    monkeypatch.setattr(SmoothedSegmenter, "logits", counted)
    stop_at = None
    output = batch(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole/.seeds", tmp_path / "parts/.seeds")  # so that the results can be compared
    assert output.startswith("segcert: 5 of 50 images were not certified:")
    assert all(f"/{name}" in output for name in ("b0.dcm", "b1.png", "b2.tif", "b3.tif", "b4.png"))
    everything = len(calls)
    stop_at = everything // 2
    assert batch(tmp_path / "parts") == "130"
    assert 10 < len(list((tmp_path / "parts").glob("*.certificate.json"))) < 35
    kept = seeds(tmp_path / "parts")
    stop_at = None
    assert batch(tmp_path / "parts") == output.replace("whole", "parts")
    assert len(calls) < 0.6 * everything, "the draws of the first half are not drawn again"
    results = [path for path in (tmp_path / "whole").iterdir() if path.is_file()]
    assert len(set(seeds(tmp_path / "whole"))) == 24, "each image has its own seed, and the files show 24 images"
    assert set(kept) < set(seeds(tmp_path / "parts"))
    for path in results:
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def test_results_of_another_image_are_not_overwritten(run, image, segmenter, tmp_path):
    out = tmp_path / "out"
    certified(run, image, segmenter, out)
    other = tmp_path / "other" / image.name
    other.parent.mkdir()
    Image.fromarray(255 - PIXELS).save(other)
    before = (out / "chest.certificate.json").read_bytes()
    assert "found the certificate of a different image" in certified(run, other, segmenter, out)
    together = run("certify", image, other, "--segmenter", segmenter, "--sigma", 0.25, "--out", tmp_path / "new")
    assert "would have the same file names as those of" in together
    assert (out / "chest.certificate.json").read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_a_constant_image_or_labelling_is_remarked(run, segmenter, tmp_path):
    """A black image was once "100.0% certified" without a word."""
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "black.png")
    output = certified(run, tmp_path / "black.png", segmenter, tmp_path / "out")
    assert "remark: the image is constant: every pixel has the same value" in output
    document = read_certificate(tmp_path / "out/black.certificate.json")
    assert "Remark: the image is constant" in run("explain", tmp_path / "out/black.certificate.json")
    labels = {each["name"] for each in document["classes"] if each["certified_pixels"]}
    one_label = any(remark.startswith("every certified pixel") for remark in document["remarks"])
    assert one_label == (len(labels) == 1)


def test_dots_in_the_name_of_a_file_are_kept(run, segmenter, tmp_path):
    for number in (7, 8):
        write_dicom(tmp_path / f"1.2.840.10.{number}", np.full((16, 16), 100 * number))
    images = [tmp_path / f"1.2.840.10.{number}" for number in (7, 8)]
    run("certify", *images, "--segmenter", segmenter, "--sigma", 0.25, "--out", tmp_path / "out", "--n", 60)
    assert {path.name for path in (tmp_path / "out").glob("*.certificate.json")} == {
        "1.2.840.10.7.certificate.json",
        "1.2.840.10.8.certificate.json",
    }


def test_the_preprocessing_of_training_is_applied_and_shown(run, tmp_path, segmenter):
    """A window and the aspect of training were once forgotten: the same file was certified as background."""
    trained = tmp_path / "trained"
    shutil.copytree(segmenter, trained)
    config = json.loads((trained / "config.json").read_text())
    config["preprocessing"] = {"bits": 12, "window": [500, 1500], "keep_aspect": True}
    (trained / "config.json").write_text(json.dumps(config))
    pixels = np.random.default_rng(5).integers(0, 4096, (24, 12))
    image = write_dicom(tmp_path / "chest.dcm", pixels)
    networks = Networks.load(trained, None)
    seen = networks.read_image(image)
    shown = np.rint((np.clip(pixels, 500, 1500) - 500) / 1000 * 4095).astype(np.uint16)
    expected = Raster(np.pad(shown, [(0, 0), (6, 6)])[None], 12).resized(16)
    assert np.array_equal(seen.pixels, expected.pixels)
    certified(run, image, trained, tmp_path / "out")
    path = tmp_path / "out/chest.certificate.json"
    explained = run("explain", path)
    for step in ("window from 500 to 1500", "padded with black from 12x24 to 24x24", "resized from 24x24 to 16x16"):
        assert step in explained
    assert "all 70 draws" in run("verify", path)
    Image.fromarray(PIXELS).save(tmp_path / "chest.png")
    assert "possible values is in the window" in certified(run, tmp_path / "chest.png", trained, tmp_path / "b")


def test_a_16_bit_file_has_the_depth_of_training(run, tmp_path, segmenter):
    trained = tmp_path / "trained"
    shutil.copytree(segmenter, trained)
    config = json.loads((trained / "config.json").read_text())
    config["preprocessing"] = {"bits": 12}
    (trained / "config.json").write_text(json.dumps(config))
    Image.fromarray(np.full((16, 16), 2000, np.uint16)).save(tmp_path / "deep.png")
    assert "for example with `--bits 12`" in certified(run, tmp_path / "deep.png", segmenter, tmp_path / "out")
    certified(run, tmp_path / "deep.png", trained, tmp_path / "out")
    explained = run("explain", tmp_path / "out/deep.certificate.json")
    assert "read with 12 bits: black is 0, white is 4095" in explained
    assert "all 70 draws" in run("verify", tmp_path / "out/deep.certificate.json")


@pytest.mark.parametrize("command", ["explain", "verify"])
def test_other_files_are_refused(run, image, tmp_path, command):
    (tmp_path / "x.json").write_text('{"format": "other"}')
    assert "format: found 'other'" in run(command, tmp_path / "x.json")
    assert "is not a certificate" in run(command, image)
    assert "no such file" in run(command, tmp_path / "y.json")


def write_dicom(path, pixels, stored=12, interpretation="MONOCHROME2", signed=0):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns, file.SamplesPerPixel = *pixels.shape, 1
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, stored, stored - 1, signed
    file.PhotometricInterpretation, file.PixelSpacing = interpretation, [0.2, 0.3]
    file.PixelData = pixels.astype("<u2").tobytes()
    pydicom.dcmwrite(path, file)
    return path


def test_dicom_images(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 4096, (6, 5))
    image = read_own_image(write_dicom(tmp_path / "a.dcm", pixels))
    assert (image.bits, image.pixel_size) == (12, (0.2, 0.3))
    assert np.array_equal(image.pixels[0], pixels)
    inverted = read_own_image(write_dicom(tmp_path / "b.dcm", pixels, interpretation="MONOCHROME1"))
    assert np.array_equal(inverted.pixels[0], 4095 - pixels)
    with pytest.raises(DataError, match=r"c\.dcm: the file has signed values from .* and no window"):
        read_own_image(write_dicom(tmp_path / "c.dcm", pixels, signed=1))


def test_png_and_tiff_images(tmp_path):
    rgb = np.random.default_rng(2).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    deep = np.random.default_rng(3).integers(0, 65536, (6, 5)).astype(np.uint16)
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "rgb.tif", rgb)
    tifffile.imwrite(tmp_path / "deep.tif", deep // 16)
    cases = [
        ("rgb.png", rgb.transpose(2, 0, 1), 8),
        ("deep.png", deep[None], 16),
        ("rgb.tif", rgb.transpose(2, 0, 1), 8),
        ("deep.tif", deep[None] // 16, 12),
    ]
    for name, expected, bits in cases:
        image = read_own_image(tmp_path / name, bits)
        assert np.array_equal(image.pixels, expected)
        assert image.bits == bits
        assert image.unit().max() <= 1
    gray_as_rgb = read_own_image(tmp_path / "rgb.png")
    with pytest.raises(DataError, match="the image has colour"):
        gray_as_rgb.with_channels(1)
    Image.fromarray(np.repeat(PIXELS[..., None], 3, axis=2)).save(tmp_path / "gray.png")
    assert len(read_own_image(tmp_path / "gray.png").with_channels(1).pixels) == 1


def test_grids_and_inverted_or_indexed_files(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 1024, (6, 5))
    assert read_own_image(write_dicom(tmp_path / "a.dcm", pixels, stored=10)).bits == 10
    with pytest.raises(DataError, match="Palette Color Lookup Table"):
        read_own_image(write_dicom(tmp_path / "b.dcm", pixels, interpretation="PALETTE COLOR"))
    eight = pixels.astype(np.uint16) // 4
    tifffile.imwrite(tmp_path / "c.tif", eight)
    assert [read_own_image(tmp_path / "c.tif", bits=bits).bits for bits in (8, 12)] == [8, 12]
    tifffile.imwrite(tmp_path / "d.tif", eight.astype(np.uint8), photometric="miniswhite")
    assert np.array_equal(read_own_image(tmp_path / "d.tif").pixels[0], 255 - eight)


def test_files_that_are_not_images_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "b.txt").write_text("no image")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 5), np.float32))
    tifffile.imwrite(tmp_path / "d.tif", np.zeros((3, 4, 5, 6), np.uint8))
    for name, message in (
        ("a.png", "cannot be read"),
        ("b.txt", "not a PNG, JPEG, TIFF, GIF, BMP or DICOM"),
        ("c.tif", "values of type float32"),
        ("d.tif", "has 3 pages"),
        ("e.png", "no such file"),
    ):
        with pytest.raises(DataError, match=rf"{name}.*{message}"):
            read_own_image(tmp_path / name)


def test_every_earlier_decision_is_listed_and_the_certificate_verifies(run, image, segmenter, tmp_path):
    for n in (60, 90, 120):
        certified(run, image, segmenter, tmp_path, "--n", n)
    decided = certified_number(tmp_path)
    assert decided["number"] == 3
    assert [each["n"] for each in decided["earlier"]] == [60, 90]
    assert "all 130 draws" in run("verify", tmp_path / "chest.certificate.json")


def test_damaged_networks_are_named(run, image, segmenter, tmp_path):
    for name, content, message in (
        ("model.safetensors", b"broken", "does not fit"),
        ("config.json", b"{", "does not describe a segmenter"),
        ("config.json", b"{}", "does not describe a segmenter"),
    ):
        folder = save_tiny(tmp_path / "damaged", 1)
        (folder / name).write_bytes(content)
        assert message in certified(run, image, folder, tmp_path / "out")


def test_data_sets_are_listed_and_described(run):
    listed = run("datasets")
    for name in ("phantom", "montgomery", "jsrt", "folder"):
        assert f"\n{name} " in listed
    about = run("datasets", "jsrt")
    for part in ("No redistribution", "db.jsrt.or.jp", "data/raw/jsrt/", "0.175 x 0.175 mm", "Cite: Shiraishi"):
        assert part in about
    assert "LEAKS between the splits" in run("datasets", "cvc_clinicdb")
    assert "kind: folder" in run("datasets", "folder")
    assert "found the data set 'nope'; expected one of cvc_clinicdb, isic2018" in run("datasets", "nope")


def test_a_denoiser_of_several_steps_is_recorded_and_repeated(run, image, segmenter, tmp_path):
    torch.manual_seed(0)
    settings = Config().denoiser.model_dump() | {"channels": [8, 16]}
    build_unet(settings, 1, 16).save_pretrained(tmp_path / "denoiser/unet")
    build_scheduler(settings).save_pretrained(tmp_path / "denoiser/scheduler")
    behind = ("--denoiser", tmp_path / "denoiser")
    votes = {}
    for steps in (1, 2):
        certified(run, image, segmenter, tmp_path / str(steps), *behind, "--denoising-steps", steps)
        votes[steps] = Votes.load(tmp_path / str(steps) / "chest.votes.npz")
    assert not np.array_equal(votes[1].estimation, votes[2].estimation)
    certificate = tmp_path / "2" / "chest.certificate.json"
    assert read_certificate(certificate)["networks"]["denoiser"]["steps"] == 2
    assert read_certificate(certificate)["runtime"]["diffusers"] == importlib.metadata.version("diffusers")
    assert "draws" in run("verify", certificate, "--draws", 3)


def flow_matching(folder):
    (folder / "scheduler/scheduler_config.json").write_text('{"_class_name": "FlowMatchEulerDiscreteScheduler"}')


def without_a_tensor(folder):
    with_weights(folder, lambda state: {name: state[name] for name in state if name != "conv_out.bias"})


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (flow_matching, (), "`_class_name`: found 'FlowMatchEulerDiscreteScheduler'; expected DDPMScheduler"),
        (without_a_tensor, (), "(missing: conv_out.bias)"),
        (None, ("--sigma", 100), "sigma: found 100.0; expected at most 78.7"),
        (None, ("--sigma", 100, "--denoising-steps", 3), "sigma: found 100.0; expected at most 78.7"),
        (
            None,
            ("--size", 34),
            "34 x 34 pixels; expected a height and a width that are multiples of 4",
        ),
    ],
)
def test_a_denoiser_that_does_not_fit_is_refused_before_any_draw(
    run, image, segmenter, tmp_path, monkeypatch, change, options, message
):
    arguments = {"block_out_channels": (4, 4, 4)}
    arguments |= {"down_block_types": ("DownBlock2D",) * 3, "up_block_types": ("UpBlock2D",) * 3}
    folder = saved(tmp_path / "denoiser", tiny_unet(**arguments))
    if change:
        change(folder)
    monkeypatch.setattr("segcert.smoothing.sampler.SmoothedSegmenter.sample", None)
    output = certified(run, image, segmenter, tmp_path / "out", "--denoiser", folder, *options)
    assert output.startswith("segcert: ")
    assert message in output
    assert not (tmp_path / "out").exists()


def test_a_denoiser_for_another_size_and_noise_is_remarked(run, image, segmenter, tmp_path):
    folder = saved(tmp_path / "denoiser", tiny_unet(sample_size=64))
    output = certified(run, image, segmenter, tmp_path / "out", "--denoiser", folder, "--sigma", 0.001)
    assert "remark: the denoiser was trained on images of 64 x 64 pixels and gets 16 x 16" in output
    assert "remark: the denoiser gets noise of level 0.001 and treats it as 0.005" in output


def test_a_denoiser_that_makes_images_worse_is_remarked(run, image, segmenter, tmp_path):
    """A wrong prediction target cannot be seen in the files. Here, the network always predicts 0."""
    network = tiny_unet()
    torch.nn.init.zeros_(network.conv_out.weight)
    torch.nn.init.zeros_(network.conv_out.bias)
    remarks = {}
    for prediction in ("epsilon", "v_prediction"):
        folder = saved(tmp_path / prediction, network, DDPMScheduler(prediction_type=prediction))
        remarks[prediction] = certified(run, image, segmenter, tmp_path / f"of_{prediction}", "--denoiser", folder)
    assert "remark: the denoised image is further from the image" in remarks["epsilon"], "no noise: it stays as it is"
    assert "further" not in remarks["v_prediction"], "no velocity: the noisy image, scaled by abar"
