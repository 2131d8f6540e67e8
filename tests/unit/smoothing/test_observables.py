"""Observables of each draw: areas, overlaps, measurements, label maps."""

import numpy as np
import pytest
import torch
from tests.unit.smoothing.test_sampler import IMAGE, Counting, smoothed, threshold_model

from segcert.measurements import Measurement, measurements_of
from segcert.smoothing.noise import SamplingError
from segcert.smoothing.store import BlockStore
from segcert.votes import Votes, VotesError, bits_per_pixel, pack_labels, unpack_labels

TRUTH = (IMAGE[0] > 0.5).astype(np.uint8)
AREA, *_ = measurements_of(["area"], ["background", "bright"])


@pytest.mark.parametrize("num_classes", [2, 3, 4, 5, 254])
def test_labels_survive_packing(num_classes):
    labels = np.random.default_rng(0).integers(0, num_classes, (7, 5, 9)).astype(np.uint8)
    packed = pack_labels(labels, num_classes)
    assert packed.shape == (7, bits_per_pixel(num_classes), 6)
    assert np.array_equal(unpack_labels(packed, (5, 9)), labels)


def test_all_observables_of_a_draw_agree_with_its_label_map(tmp_path):
    votes = smoothed().sample(IMAGE, 3, 20, truth=TRUTH, measurements=[AREA], keep_draws=True)
    maps = votes.label_maps()
    assert maps.shape == (23, 8, 6)
    assert np.array_equal((maps[:3] == 1).sum(axis=0), votes.selection[1])
    assert np.array_equal((maps[3:] == 1).sum(axis=0), votes.estimation[1])
    assert np.array_equal((maps == 1).sum(axis=(1, 2)), votes.areas[:, 1])
    assert np.array_equal(votes.measurements["area_bright"], votes.areas[:, 1])
    assert np.array_equal(((maps == 1) & (TRUTH == 1)).sum(axis=(1, 2)), votes.overlaps[:, 1])
    assert np.array_equal(votes.truth_areas, [(TRUTH == 0).sum(), (TRUTH == 1).sum()])
    expected = 2 * votes.overlaps[:, 1] / (votes.areas[:, 1] + float((TRUTH == 1).sum()))
    assert np.allclose(votes.dice[:, 1], expected)
    votes.save(tmp_path / "votes.npz")
    loaded = Votes.load(tmp_path / "votes.npz")
    assert loaded.digest == votes.digest
    assert np.array_equal(loaded.label_maps(), maps)
    assert np.array_equal(loaded.dice, votes.dice)


def test_missing_observables_raise_a_clear_error():
    votes = smoothed().sample(IMAGE, 2, 3)
    with pytest.raises(VotesError, match="sample with `truth`"):
        _ = votes.dice
    with pytest.raises(VotesError, match="sample with `keep_draws`"):
        votes.label_maps()


def test_with_kept_draws_a_new_measurement_needs_no_sampling(tmp_path):
    model = Counting()
    options = {"batch_size": 5, "block_size": 10, "store": BlockStore(tmp_path), "identity": {"model": "m"}}
    smoothed(model, **options).sample(IMAGE, 5, 20, keep_draws=True)
    calls = model.calls
    votes = smoothed(model, **options).sample(IMAGE, 5, 20, truth=TRUTH, measurements=[AREA])
    assert model.calls == calls
    assert np.array_equal(votes.measurements["area_bright"], votes.areas[:, 1])
    assert votes.overlaps.shape == (25, 2)
    again = smoothed(model, **options).sample(IMAGE, 5, 20, keep_draws=True)
    assert model.calls == calls, "the label maps are still stored"
    assert len(again.draws) == 25


def test_without_kept_draws_a_new_observable_needs_new_draws(tmp_path):
    model = Counting()
    options = {"batch_size": 5, "block_size": 10, "store": BlockStore(tmp_path), "identity": {"model": "m"}}
    smoothed(model, **options).sample(IMAGE, 5, 20, truth=TRUTH)
    assert model.calls == 5
    smoothed(model, **options).sample(IMAGE, 5, 20, measurements=[AREA])
    assert model.calls == 10
    smoothed(model, **options).sample(IMAGE, 5, 20, truth=TRUTH, measurements=[AREA])
    assert model.calls == 10


def test_a_changed_measurement_with_the_same_name_is_computed_again(tmp_path):
    options = {"store": BlockStore(tmp_path), "identity": {"model": "m"}}
    one, two = (Measurement("m", "", lambda labels, value=value: value, str(value)) for value in (1.0, 2.0))
    assert (smoothed(**options).sample(IMAGE, 2, 3, measurements=[one]).measurements["m"] == 1).all()
    assert (smoothed(**options).sample(IMAGE, 2, 3, measurements=[two]).measurements["m"] == 2).all()


def test_batches_have_one_shape_and_cross_blocks_and_streams():
    shapes = []

    def model(x):
        shapes.append(tuple(x.shape))
        return threshold_model(x)

    smoothed(model, batch_size=16, block_size=10).sample(IMAGE, 10, 100)
    assert shapes == [(16, 1, 8, 6)] * 8, "110 draws in batches of 16, the last one padded, and the probe of the first"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truth": TRUTH[:4]}, "truth: found shape"),
        ({"truth": TRUTH + 1}, "truth: found class id 2, but there are only 2 classes"),
        ({"measurements": [AREA, AREA]}, "expected a different name for each"),
    ],
)
def test_bad_observables_are_refused(options, message):
    with pytest.raises(SamplingError, match=message):
        smoothed().sample(IMAGE, 2, 3, **options)


def test_a_model_with_other_channels_is_refused():
    model = torch.nn.Conv2d(3, 2, 1).eval()
    with pytest.raises(SamplingError, match=r"does not accept images of shape \(32, 1, 8, 6\).*number of channels"):
        smoothed(model).sample(IMAGE, 2, 3)
