"""Sampling at planned looks: the same votes as without looks, and no copy is drawn twice."""

import numpy as np
import pytest
import torch

from segcert.certification.looks import Looks
from segcert.certification.methods import CertificationError
from segcert.smoothing.looks import sample_at_looks
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import BlockStore

SURE, UNSURE = 0.95, 0.55  # brightness of images whose pixels are, and are not, above one half in most copies


class Counted:
    """A threshold at one half, which counts the copies that it labels."""

    def __init__(self):
        self.copies = 0

    def __call__(self, x):
        self.copies += len(x)
        return torch.cat([torch.full_like(x, 0.5), x], dim=1)


def smoothed(model, store=None):
    return SmoothedSegmenter(model, 0.15, 2, batch_size=10, store=store, identity={"segmenter": "threshold"})


def constant(value):
    return np.full((1, 4, 4), value, np.float32)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(("value", "n"), [(SURE, 60), (UNSURE, 160)])
def test_votes_are_those_of_the_look_at_which_sampling_ends(value, n, kept, tmp_path):
    model = Counted()
    store = BlockStore(tmp_path) if kept else None
    votes = sample_at_looks(smoothed(model, store), constant(value), Looks((60, 110, 160), alpha=0.05), n0=10)
    assert votes.n == n
    assert model.copies <= 10 + n + 20, "no copy is drawn twice, except to probe the model, and to fill batches"
    single = smoothed(Counted()).sample(constant(value), 10, n)
    for name, array in single.arrays().items():
        assert np.array_equal(array, votes.arrays()[name]), name


def test_a_later_run_with_more_looks_goes_on_from_the_store(tmp_path):
    first, second, store = Counted(), Counted(), BlockStore(tmp_path)
    sample_at_looks(smoothed(first, store), constant(UNSURE), Looks((60, 110), alpha=0.05))
    votes = sample_at_looks(smoothed(second, store), constant(UNSURE), Looks((60, 110, 160), alpha=0.05))
    assert votes.n == 160
    assert second.copies <= 50 + 10


def test_a_look_that_can_certify_nothing_is_refused_before_any_draw():
    model = Counted()
    with pytest.raises(CertificationError, match="Write 46 or a larger number"):
        sample_at_looks(smoothed(model), np.zeros((1, 16, 16), np.float32), Looks((10, 100)))
    assert model.copies == 0
