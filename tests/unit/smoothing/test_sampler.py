import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from segcert.smoothing.noise import Noise, SamplingError, draw_key, standard_normal_
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import Block, BlockStore

IMAGE = np.random.default_rng(0).random((1, 8, 6), dtype=np.float32)


class Dropping(torch.nn.Module):
    """Dropout that ignores eval mode."""

    def forward(self, x):
        return torch.nn.functional.dropout(x, 0.5, training=True)


def threshold_model(x):
    """Return class 1 for pixels above 0.5."""
    return torch.cat([torch.full_like(x[:, :1], 0.5), x[:, :1]], dim=1)


def smoothed(model=threshold_model, sigma=0.3, num_classes=2, **options):
    return SmoothedSegmenter(model, sigma, num_classes, **options)


def assert_equal(a, b):
    assert np.array_equal(a.selection, b.selection)
    assert np.array_equal(a.estimation, b.estimation)
    assert np.array_equal(a.areas, b.areas)


def test_votes_are_the_labels_of_the_stated_draws():
    """Recompute counts and areas of both streams from the keys of the noise."""
    votes = smoothed(batch_size=4, seed=7).sample(IMAGE, n0=3, n=10)
    digest = votes.origin["image"]
    areas = []
    for stream, draws, counts in (("selection", 3, votes.selection), ("estimation", 10, votes.estimation)):
        expected = np.zeros(IMAGE.shape[1:], int)
        for k in range(draws):
            noise = standard_normal_(torch.empty(IMAGE.shape), draw_key(7, digest, stream, k)).numpy()
            labels = (IMAGE + np.float32(0.3) * noise)[0] > 0.5
            expected += labels
            areas.append([(~labels).sum(), labels.sum()])
        assert np.array_equal(counts[1], expected)
        assert np.array_equal(counts[0], draws - expected)
    assert np.array_equal(votes.areas, areas)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 7}, {"batch_size": 64}, {"block_size": 3}])
def test_votes_do_not_depend_on_batches_and_blocks(options):
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 3, padding=1).eval()
    assert_equal(
        smoothed(model, num_classes=3, **options).sample(IMAGE, 5, 20),
        smoothed(model, num_classes=3).sample(IMAGE, 5, 20),
    )


def test_blocks_counted_in_another_thread_give_the_same_votes(tmp_path):
    """As on a GPU, several images are started before the first is finished, and their blocks are stored."""
    images = [IMAGE, IMAGE[:, ::-1].copy(), IMAGE[:, :, ::-1].copy()]
    with ThreadPoolExecutor(1) as reader:
        threaded = smoothed(batch_size=4, block_size=3, store=BlockStore(tmp_path), identity={"segmenter": "a"})
        threaded._reader = reader
        for finish, image in zip([threaded.start(image, 5, 20) for image in images], images, strict=True):
            assert_equal(finish(), smoothed(batch_size=4).sample(image, 5, 20))
    assert len(list(tmp_path.rglob("*.npz"))) == 3 * (2 + 7)


def test_a_compiled_denoiser_is_called():
    """A compiled module has no truth value: its __len__ raises an error (torch 2.11)."""

    class NoTruthValue(nn.Module):
        def __len__(self):
            raise TypeError

        def forward(self, x, sigma):
            return torch.zeros_like(x)

    votes = smoothed(denoiser=NoTruthValue().eval()).sample(IMAGE, 5, 20)
    assert (votes.estimation[0] == 20).all()


def test_seeds_images_streams_and_draws_have_different_noise():
    keys = {draw_key(*name) for name in [(0, "a", "selection", 0), (1, "a", "selection", 0), (0, "b", "selection", 0)]}
    keys |= {draw_key(0, "a", "estimation", 0), draw_key(0, "a", "selection", 1)}
    assert len(keys) == 5
    noise = [standard_normal_(torch.empty(1000), key) for key in keys]
    for i, a in enumerate(noise):
        for b in noise[i + 1 :]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.15


def test_the_same_normals_serve_every_sigma():
    image = torch.from_numpy(IMAGE)
    noise = [Noise(sigma).copies(image, "x", [("estimation", 0)], 1)[0] - image for sigma in (0.25, 1.0)]
    torch.testing.assert_close(4 * noise[0], noise[1], rtol=1e-5, atol=1e-6)


def test_noise_is_standard_normal():
    draws = torch.cat([standard_normal_(torch.empty(4096), draw_key(0, "x", "estimation", k)) for k in range(50)])
    assert stats.kstest(draws.numpy(), "norm").pvalue > 1e-3


def test_the_denoiser_gets_the_noisy_image():
    seen = []

    def denoiser(x_noisy, sigma):
        seen.append(sigma)
        return torch.ones_like(x_noisy)

    votes = smoothed(denoiser=denoiser).sample(IMAGE, 2, 4)
    assert (votes.estimation[1] == 4).all()
    assert set(seen) == {0.3}


class Counting:
    """A model that counts its calls, without the second look at the first batch of a segmenter (the probe)."""

    def __init__(self):
        self.calls, self.last = 0, None

    def __call__(self, x):
        is_probe = self.last is not None and len(x) == len(self.last) and torch.equal(x[:1], self.last[:1])
        self.calls += not is_probe
        self.last = x.clone()
        return threshold_model(x)


def test_finished_blocks_are_not_drawn_again(tmp_path):
    model, store = Counting(), BlockStore(tmp_path)
    options = {"batch_size": 5, "block_size": 10, "store": store, "identity": {"model": "m"}}
    first = smoothed(model, **options).sample(IMAGE, 5, 20)
    assert model.calls == 1 + 4
    assert_equal(smoothed(model, **options).sample(IMAGE, 5, 20), first)
    assert model.calls == 5
    more = smoothed(model, **options).sample(IMAGE, 5, 35)
    assert model.calls == 5 + 3
    assert_equal(more, smoothed().sample(IMAGE, 5, 35))
    key = smoothed(model, **options).key(IMAGE)
    store.path({**key, "stream": "estimation", "start": 10}).unlink()
    assert_equal(smoothed(model, **options).sample(IMAGE, 5, 35), more)
    assert model.calls == 8 + 2


def test_a_shorter_block_is_extended_and_a_longer_one_is_kept(tmp_path):
    model, store = Counting(), BlockStore(tmp_path)
    options = {"batch_size": 5, "block_size": 50, "store": store, "identity": {"model": "m"}}
    smoothed(model, **options).sample(IMAGE, 5, 20)
    calls = model.calls
    assert_equal(smoothed(model, **options).sample(IMAGE, 5, 30), smoothed().sample(IMAGE, 5, 30))
    assert model.calls == calls + 2
    assert_equal(smoothed(model, **options).sample(IMAGE, 5, 15), smoothed().sample(IMAGE, 5, 15))
    calls = model.calls
    smoothed(model, **options).sample(IMAGE, 5, 30)
    assert model.calls == calls


@pytest.mark.parametrize("before", [{"block_size": 3}, {"block_size": 16}])
def test_blocks_of_another_size_are_used(tmp_path, before):
    model, store = Counting(), BlockStore(tmp_path)
    options = {"batch_size": 5, "block_size": 10, "store": store, "identity": {"model": "m"}}
    smoothed(model, **(options | before)).sample(IMAGE, 5, 20)
    model.calls = 0
    assert_equal(smoothed(model, **options).sample(IMAGE, 5, 30), smoothed().sample(IMAGE, 5, 30))
    assert model.calls == 2


@pytest.mark.parametrize(
    "changed",
    [{"sigma": 0.4}, {"seed": 1}, {"pool": 2}, {"identity": {"model": "other"}}, {"precision": "bfloat16"}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_block_of_another_function_is_not_reused(tmp_path, changed):
    model, options = Counting(), {"store": BlockStore(tmp_path), "batch_size": 5, "identity": {"model": "m"}}
    smoothed(model, **options).sample(IMAGE, 5, 5)
    smoothed(model, **(options | changed)).sample(IMAGE, 5, 5)
    assert model.calls > 2


@pytest.mark.parametrize("damage", [lambda data: data[:50], lambda data: b"", lambda data: data[:-60] + bytes(60)])
def test_a_damaged_block_is_drawn_again(tmp_path, damage):
    model, options = Counting(), {"store": BlockStore(tmp_path), "batch_size": 5, "identity": {"model": "m"}}
    first = smoothed(model, **options).sample(IMAGE, 5, 5)
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(damage(path.read_bytes()))
    assert_equal(smoothed(model, **options).sample(IMAGE, 5, 5), first)
    assert model.calls == 4


def test_a_block_whose_counts_were_changed_is_drawn_again(tmp_path):
    store, key = BlockStore(tmp_path), {"k": 1}
    store.put(key, Block(np.ones((2, 3, 3), np.int64), {"areas": np.ones((4, 2), np.int64)}))
    with np.load(store.path(key)) as arrays:
        content = dict(arrays)
    content["counts"] = content["counts"] + 1
    np.savez(store.path(key), **content)
    assert store.get(key) is None


def test_a_block_with_a_flipped_bit_is_correct_or_ignored(tmp_path):
    store, key = BlockStore(tmp_path), {"k": 1}
    block = Block(np.ones((2, 3, 3), np.int64), {"areas": np.ones((4, 2), np.int64)})
    store.put(key, block)
    whole, found = store.path(key).read_bytes(), []
    for bit in range(0, 8 * len(whole), 11):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        store.path(key).write_bytes(flipped)
        found.append(store.get(key))
    assert {each.digest for each in found if each} == {block.digest}, "a flipped bit may be in a time stamp"
    assert found.count(None) > len(found) / 2


def test_a_block_under_the_name_of_another_one_is_drawn_again(tmp_path):
    store, ours, theirs = BlockStore(tmp_path), {"k": 1}, {"k": 2}
    store.put(theirs, Block(np.ones((2, 3, 3), np.int64), {"areas": np.ones((4, 2), np.int64)}))
    store.path(ours).parent.mkdir(exist_ok=True)
    store.path(ours).write_bytes(store.path(theirs).read_bytes())
    assert store.get(ours) is None
    assert store.get(theirs)


def nan_model(x):
    return threshold_model(x) * float("nan")


class TrainMode(nn.Module):
    def forward(self, x):
        return threshold_model(x)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (IMAGE * 255, {}, r"expected \[0, 1\]\. Divide"),
        (IMAGE - 1, {}, r"expected \[0, 1\]"),
        (np.full((1, 4, 4), np.nan), {}, "not finite"),
        (IMAGE[0], {}, r"\(C, H, W\)"),
        (IMAGE, {"num_classes": 3}, r"returns \(10, 2, 8, 6\).*expected logits \(10, 3, 8, 6\)"),
        (IMAGE, {"model": lambda x: 3}, "returns a int; expected logits"),
        (IMAGE, {"model": nan_model}, "not finite"),
        (IMAGE, {"sigma": 0}, "sigma: found 0"),
        (IMAGE, {"sigma": -0.5}, "sigma: found -0.5"),
        (IMAGE, {"precision": "float8"}, "precision"),
        (IMAGE, {"model": TrainMode().train()}, "train mode"),
        (IMAGE, {"model": nn.Sequential(TrainMode().train()).eval().append(TrainMode().train())}, "train mode"),
        (IMAGE, {"block_size": 0}, "block_size 0"),
        (IMAGE, {"sigma": float("inf")}, "sigma: found inf"),
        (IMAGE, {"store": BlockStore("nowhere")}, "identity: missing"),
        (IMAGE, {"denoiser": TrainMode().train()}, "denoiser: is in train mode"),
    ],
)
def test_bad_input_is_refused(image, options, message):
    with pytest.raises(SamplingError, match=message):
        smoothed(batch_size=10, **options).sample(image, 2, 4)


@pytest.mark.parametrize(
    ("denoiser", "message"),
    [
        ("models/denoiser", r"denoiser: found a str; .* write segcert\.DiffusionDenoiser\.load"),
        (lambda x, sigma: (x,), r"denoiser: returned a tuple for images of shape \(10, 1, 8, 6\)"),
        (lambda x, sigma: x[:1], r"denoiser: returned \(1, 1, 8, 6\) for images"),
        (lambda x, sigma: x[..., 1:], r"denoiser: returned \(10, 1, 8, 5\) for images"),
        (lambda x, sigma: nn.functional.conv2d(x, torch.ones(1, 2, 1, 1)), "denoiser: does not accept images of shape"),
    ],
)
def test_a_denoiser_that_does_not_return_images_is_refused(denoiser, message):
    with pytest.raises(SamplingError, match=message):
        smoothed(denoiser=denoiser, batch_size=10).sample(IMAGE, 2, 8)


def test_no_draws_are_refused():
    with pytest.raises(SamplingError, match="n0 0, n 4"):
        smoothed().sample(IMAGE, 0, 4)


def test_votes_of_another_model_image_or_seed_are_refused():
    model = nn.Conv2d(1, 2, 1).eval()
    votes = smoothed(model).sample(IMAGE, 2, 4)
    smoothed(model).check(votes, IMAGE)
    with pytest.raises(SamplingError, match="votes: found segmenter"):
        smoothed(nn.Conv2d(1, 2, 1).eval()).check(votes, IMAGE)
    with pytest.raises(SamplingError, match="votes: found image"):
        smoothed(model).check(votes, 1 - IMAGE)
    with pytest.raises(SamplingError, match="votes: found seed 0; expected 1"):
        smoothed(model, seed=1).check(votes, IMAGE)


def test_pooled_networks_see_averages_of_the_same_noise():
    """Labels are (H, W), from a network and a denoiser that see (H / 2, W / 2) and half the noise level."""
    seen = []

    def denoiser(x_noisy, sigma):
        seen.append((tuple(x_noisy.shape), sigma))
        return x_noisy

    model = nn.Conv2d(1, 2, 3, padding=1).eval()
    votes = smoothed(model, denoiser=denoiser, pool=2, batch_size=5).sample(IMAGE, 1, 10, keep_draws=True)
    assert set(seen) == {((5, 1, 4, 3), 0.15)}
    copies = Noise(0.3).copies(torch.from_numpy(IMAGE), votes.origin["image"], [("estimation", 9)], 1)
    with torch.inference_mode():
        logits = nn.functional.interpolate(model(nn.functional.avg_pool2d(copies, 2)), scale_factor=2, mode="bilinear")
    assert np.array_equal(votes.label_maps()[10], logits[0].argmax(dim=0))


def test_pool_must_divide_the_image():
    with pytest.raises(SamplingError, match=r"found \(8, 6\) pixels; expected .* divisible by `pool`, which is 4"):
        smoothed(pool=4).sample(IMAGE, 1, 2)
    with pytest.raises(SamplingError, match="pool 0; expected at least 1 for each"):
        smoothed(pool=0)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_networks_give_the_same_votes():
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 3, padding=1).eval()
    assert_equal(
        smoothed(model, num_classes=3, compiled=True).sample(IMAGE, 2, 5),
        smoothed(model, num_classes=3).sample(IMAGE, 2, 5),
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_names_the_batch_size_to_try(error):
    def model(x):
        raise error

    with pytest.raises(SamplingError, match=r"batches of 10 noisy copies\. .*`sampling: {batch_size: 5}`"):
        smoothed(model, batch_size=10).sample(IMAGE, n0=2, n=4)


@pytest.mark.parametrize(
    "layer",
    [torch.nn.BatchNorm2d(1, track_running_stats=False), Dropping()],
    ids=["batch statistics", "functional dropout"],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_that_is_no_function_of_each_image_is_refused(layer, precision):
    """Both pass as modules in eval mode, and no certificate holds for them."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(layer, torch.nn.Conv2d(1, 2, 1)).eval()
    with pytest.raises(SamplingError, match="change from call to call, or with the other images in the batch"):
        smoothed(model, precision=precision).sample(IMAGE, 2, 30)
    fine = torch.nn.Sequential(torch.nn.GroupNorm(1, 1), torch.nn.Conv2d(1, 2, 1)).eval()
    assert smoothed(fine, precision=precision).sample(IMAGE, 2, 30).n == 30
