"""Tests that need a GPU: its noise, agreement with the CPU, training and sampling in each precision."""

import numpy as np
import pytest
import torch
from scipy import stats
from tests.unit.training.test_segmenter import index, settings_of  # noqa: F401

from segcert.certification.certificate import certify
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.registry import build_segmenter
from segcert.networks.runtime import set_up_torch
from segcert.smoothing.attack import attack
from segcert.smoothing.exact_noise import RoundedGaussian, rounded_gaussian_
from segcert.smoothing.noise import Noise, draw_key, standard_normal_
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import BlockStore
from segcert.training.denoiser import build_unet, train_denoiser
from segcert.training.schedule import learning_rate
from segcert.training.segmenter import train_segmenter

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

IMAGE = (np.random.default_rng(0).integers(0, 256, (1, 32, 32)) / np.float32(255)).astype(np.float32)


class Killed(Exception):  # noqa: N818
    pass


NETWORK = {"in_channels": 1, "num_classes": 3, "width": 8}


@pytest.fixture(autouse=True)
def cuda():
    """Set up the GPU as every job of the pipeline does."""
    yield set_up_torch("cuda", torch.get_num_threads())
    torch.use_deterministic_algorithms(False)


def networks():
    torch.manual_seed(0)
    unet = build_unet({"channels": [8, 16], "layers_per_block": 1}, 1, 32)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    return build_segmenter("unet", NETWORK | {"depth": 3}).eval(), DiffusionDenoiser(unet, abar)


def smoothed(device="cuda", **options):
    model, denoiser = networks()
    return SmoothedSegmenter(model, 0.5, 3, denoiser, device=device, **options)


def test_a_key_gives_the_same_normal_numbers(cuda):
    key = draw_key(0, "image", "estimation", 7)
    first, again = (standard_normal_(torch.empty(1, 256, 256, device=cuda), key) for _ in range(2))
    assert torch.equal(first, again)
    other = standard_normal_(torch.empty(1, 256, 256, device=cuda), draw_key(0, "image", "estimation", 8))
    assert not torch.equal(first, other)
    assert stats.kstest(first.cpu().numpy().ravel(), "norm").pvalue > 1e-4


def test_exact_noise_has_its_distribution(cuda):
    s = 0.5 * 255
    z = rounded_gaussian_(torch.empty(1000, 1000, device=cuda), s, draw_key(0, "image", "estimation", 7)).cpu().numpy()
    assert np.array_equal(z, np.rint(z))
    gaussian = RoundedGaussian.of(s)
    expected = np.diff(gaussian.thresholds.astype(np.float64)) / 2.0**62 * z.size
    found = np.bincount(z.astype(int).ravel() + gaussian.reach, minlength=len(expected))
    often = expected > 20
    pooled = [np.append(each[often], each[~often].sum()) for each in (found, expected)]
    assert stats.chisquare(*pooled).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["normal", "exact"])
def test_the_noise_of_a_draw_does_not_depend_on_the_batch(cuda, kind):
    noise, x = Noise(0.5, kind=kind), torch.from_numpy(IMAGE).to(cuda)
    draws = [("estimation", k) for k in range(12)]
    together = noise.copies(x, "x", draws, 16)
    alone = torch.cat([noise.copies(x, "x", [draw], 1) for draw in draws])
    assert torch.equal(together[:12], alone)


def test_votes_do_not_depend_on_blocks_and_resumption(tmp_path):
    whole = smoothed(batch_size=8).sample(IMAGE, 5, 40)
    store = BlockStore(tmp_path)
    smoothed(batch_size=8, block_size=7, store=store, identity={"segmenter": "a"}).sample(IMAGE, 5, 20)
    resumed = smoothed(batch_size=8, block_size=7, store=store, identity={"segmenter": "a"}).sample(IMAGE, 5, 40)
    assert np.array_equal(whole.selection, resumed.selection)
    assert np.array_equal(whole.estimation, resumed.estimation)
    assert np.array_equal(whole.areas, resumed.areas)


@pytest.mark.parametrize(("allow_tf32", "tolerance"), [(False, 1e-5), (True, 3e-3)])
def test_cpu_and_gpu_agree(monkeypatch, allow_tf32, tolerance):
    """Compare in float32, and in TF32, the default of torch, whose products have 11 bits."""
    torch.manual_seed(0)
    x_noisy = torch.rand(8, 1, 32, 32)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allow_tf32)
    with torch.inference_mode():
        on_cpu, on_gpu = (smoothed(device).logits(x_noisy.to(device)).cpu() for device in ("cpu", "cuda"))
    assert (on_gpu - on_cpu).norm() / on_cpu.norm() < tolerance


def test_images_that_are_started_together_have_the_votes_of_each():
    images = [IMAGE, IMAGE[:, ::-1].copy(), IMAGE[:, :, ::-1].copy()]
    truth = (IMAGE[0] > 0.5).astype(np.uint8)
    of_gpu = smoothed(batch_size=16, block_size=20)
    started = [of_gpu.start(image, 10, 100, truth=truth) for image in images]
    for image, finish in zip(images, started, strict=True):
        alone, votes = smoothed(batch_size=16).sample(image, 10, 100, truth=truth), finish()
        assert np.array_equal(alone.selection, votes.selection)
        assert np.array_equal(alone.estimation, votes.estimation)
        assert np.array_equal(alone.overlaps, votes.overlaps)


@pytest.mark.parametrize("options", [{"precision": "bfloat16"}, {"noise": "exact"}])
def test_all_sampling_options_run(options):
    votes = smoothed(batch_size=16, **options).sample(IMAGE, 10, 100)
    assert (votes.selection.sum(axis=0) == 10).all()
    assert (votes.estimation.sum(axis=0) == 100).all()


def test_an_attack_runs():
    of_gpu = smoothed(batch_size=16)
    votes = of_gpu.sample(IMAGE, 10, 100)
    certificate = certify(votes, tau=0.6, alpha=0.01)
    attacked = attack(of_gpu, IMAGE, votes, certificate.labels, 0.2, steps=3, copies=4)
    assert np.linalg.norm(attacked - IMAGE) <= 0.2


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("architecture", ["unet", "resunetpp", "deeplabv3plus", "denoiser"])
def test_networks_resume_to_the_same_bytes(cuda, index, tmp_path, monkeypatch, architecture, precision):  # noqa: F811
    options = {"steps": 6, "evaluate_every": 2, "precision": precision}

    def train(folder):
        common = {"seed": 0, "device": cuda, "checkpoint": folder / "checkpoint.pt"}
        if architecture == "denoiser":
            train_denoiser([index], folder, settings=settings_of("denoiser", channels=[8, 16], **options), **common)
        else:
            train_segmenter(
                index, folder, architecture=architecture, arguments=NETWORK, regime="noise",
                settings=settings_of("segmenter", **options), **common,
            )  # fmt: skip
        return folder

    def dies_at_step_5(step, *rest):
        if step == 5:
            raise Killed
        return learning_rate(step, *rest)

    whole = train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("segcert.training.loop.learning_rate", dies_at_step_5)
        with pytest.raises(Killed):
            train(tmp_path / "killed")
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    killed = train(tmp_path / "killed")
    for name in sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
