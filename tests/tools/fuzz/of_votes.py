"""Counts and arrays: votes, blocks of draws, radius maps; and certificates decided from hostile counts."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
from tests.tools.fuzz.containers import as_zip, members_of, packed, unpacked
from tests.tools.fuzz.contract import Target


def _votes():
    from segcert.votes import Votes

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, (12, 2, 3))
    counts = np.stack([(labels == k) for k in range(3)], axis=1)  # (12, 3, 2, 3)
    return Votes(
        counts[:4].sum(axis=0).astype(np.uint16), counts[4:].sum(axis=0).astype(np.uint16), 0.25,
        areas=counts.sum(axis=(2, 3)).astype(np.uint32), overlaps=counts.sum(axis=(2, 3)).astype(np.uint32),
        truth_areas=np.array([2, 2, 2], np.uint32), measurements={"area": np.arange(12.0)},
        origin={"seed": 0, "image": "0" * 64, "earlier_n": [2]},
    )  # fmt: skip


def _mended(data):
    """A file of votes whose digests are right, whatever the fuzzer made of its arrays."""
    from segcert.votes import _read_votes

    members = members_of(data)
    if members is None:
        return data
    whole = as_zip(data)
    try:
        with np.load(io.BytesIO(whole), allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            for image, about in header["images"].items():
                about["digest"] = _read_votes(arrays, image, about).digest
        members["header.npy"] = _npy(np.array(json.dumps(header, sort_keys=True)))
        return as_zip(packed(members))
    except Exception:
        return whole


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _seeds(write):
    def seeds():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.npz")
            write(path)
            return [unpacked(path.read_bytes()), path.read_bytes()]

    return seeds


def votes():
    from segcert.certification.certificate import certify
    from segcert.certification.median_smoothing import certify_measurements
    from segcert.certification.methods import CertificationError
    from segcert.certification.radius_map import radius_map
    from segcert.votes import Votes, VotesError, load_votes, save_votes

    def read(path):
        for image in load_votes(path).values():
            for use in (
                lambda v: v.dice,
                lambda v: v.label_maps(),
                lambda v: certify(v, 0.55, 0.3, "holm"),
                lambda v: certify(v, 0.55, 0.3),
                lambda v: radius_map(v, alpha=0.4),
                lambda v: certify_measurements(v, tau=0.6, alpha=0.4),
            ):
                with contextlib.suppress(VotesError, CertificationError):
                    use(image)
        Votes.load(path)

    def write(path):
        save_votes(path, {"one": _votes()})

    return Target(read, _seeds(write), (VotesError,), "shard_0.npz", build=_mended, longest=8192)


def blocks():
    from segcert.smoothing.store import Block, BlockStore, _checksum

    key = {"image": "a"}

    def store(folder):
        made = BlockStore(folder)
        object.__setattr__(made, "path", lambda _: Path(folder, "block.npz"))
        return made

    def read(path):
        found = store(path.parent).get(key)
        if found:
            assert found.digest
            assert found.draws == len(found.columns["areas"])

    def write(path):
        made = store(path.parent)
        made.put(key, Block(np.ones((2, 2, 2), np.uint16), {"areas": np.ones((3, 2), np.uint32)}))
        (path.parent / "block.npz").rename(path)

    def build(data):
        members = members_of(data)
        whole = as_zip(data)
        if members is None:
            return data
        try:
            with np.load(io.BytesIO(whole), allow_pickle=False) as arrays:
                columns = {name: arrays[name] for name in arrays.files if name not in ("counts", "digest")}
                members["digest.npy"] = _npy(np.array(_checksum(key, Block(arrays["counts"], columns))))
            return as_zip(packed(members))
        except Exception:
            return whole

    return Target(read, _seeds(write), (), "block.npz", build=build, longest=8192)


def finished():
    """The note of a store of blocks of the numbers of draws that were asked for before."""
    from segcert.smoothing.store import BlockStore

    def read(path):
        made = BlockStore(path.parent)
        object.__setattr__(made, "path", lambda _: path.with_suffix(".npz"))
        assert all(n < 100 for n in made.extended_from({}, 100))

    return Target(read, lambda: [b"[50, 100]", b"[]"], (), "block.json")


def radii():
    from segcert.io.arrays import ArraysError
    from segcert.results.radius_rows import RadiusLevels, load_radii, save_radii

    def read(path):
        saved = load_radii(path)
        for image in saved.levels:
            saved.radii_of(image)

    def write(path):
        levels = RadiusLevels(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8), "holm")
        save_radii(path, {"one": levels}, (0.6, 0.75), 0.25)

    return Target(read, _seeds(write), (ArraysError,), "a.radii.npz", build=as_zip)
