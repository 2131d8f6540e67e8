import dataclasses

import numpy as np
import pytest

from segcert.votes import Votes, VotesError, load_votes, save_votes


def make_votes(seed=0, n0=10, n=70000, shape=(3, 5, 7), sigma=0.25):
    rng = np.random.default_rng(seed)
    counts = [rng.multinomial(draws, np.ones(shape[0]) / shape[0], shape[1:]).transpose(2, 0, 1) for draws in (n0, n)]
    return Votes.from_counts(*counts, sigma=sigma)


def test_from_counts_finds_the_numbers_of_draws():
    votes = make_votes()
    assert (votes.n0, votes.n, votes.sigma) == (10, 70000, 0.25)
    assert votes.selection.dtype == np.uint16
    assert votes.estimation.dtype.kind == "u"


def test_votes_survive_saving(tmp_path):
    votes = make_votes()
    votes.save(tmp_path / "votes.npz")
    loaded = Votes.load(tmp_path / "votes.npz")
    assert np.array_equal(loaded.selection, votes.selection)
    assert np.array_equal(loaded.estimation, votes.estimation)
    assert loaded.sigma == votes.sigma
    assert loaded.digest == votes.digest


def test_the_same_votes_give_the_same_bytes(tmp_path):
    for name in "ab":
        save_votes(tmp_path / name, {"x": make_votes(), "y": make_votes(1)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert list(load_votes(tmp_path / "a")) == ["x", "y"]


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = tmp_path / "votes.npz"
    make_votes().save(path)
    whole = path.read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:keep])
        with pytest.raises(VotesError, match=r"votes\.npz: not a complete votes file"):
            Votes.load(path)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "votes.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(VotesError, match="not a complete votes file"):
        Votes.load(path)


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "votes.npz"
    np.savez(path, header=np.array({"a": 1}, dtype=object))
    with pytest.raises(VotesError):
        Votes.load(path)


@pytest.mark.parametrize(
    ("selection", "estimation", "sigma", "message"),
    [
        ([[1]], [[1]], 0.5, r"selection: .*\(num_classes, H, W\)"),
        ([[[1.5]]], [[[1]]], 0.5, "integers"),
        ([[[-1]], [[2]]], [[[1]], [[0]]], 0.5, "non-negative integers"),
        ([[[1, 2]]], [[[1, 1]]], 0.5, "1 to 2 votes"),
        ([[[1]]], [[[1]], [[0]]], 0.5, r"expected \(2, 1, 1\), the shape of `estimation`"),
        ([[[1]]], [[[1]]], 0.0, "sigma"),
    ],
)
def test_contradictions_are_refused(selection, estimation, sigma, message):
    with pytest.raises(VotesError, match=message):
        Votes.from_counts(selection, estimation, sigma=sigma)


def test_areas_that_contradict_the_counts_are_refused():
    counts = np.array([[[3, 1]], [[1, 3]]], np.uint16)
    Votes(counts, counts, 0.5, areas=np.array([[1, 1]] * 8, np.uint32))
    with pytest.raises(VotesError, match="areas: the sums over the estimation draws differ from the counts"):
        Votes(counts, counts, 0.5, areas=np.array([[1, 1]] * 4 + [[2, 0]] * 4, np.uint32))
    with pytest.raises(VotesError, match=r"areas: found 3 draws; expected 4 \+ 4, or none"):
        Votes(counts, counts, 0.5, areas=np.ones((3, 2), np.uint32))


def test_the_digest_covers_sigma_and_origin():
    votes = make_votes()
    assert dataclasses.replace(votes, sigma=0.5).digest != votes.digest
    assert dataclasses.replace(votes, origin={"seed": 1}).digest != votes.digest
