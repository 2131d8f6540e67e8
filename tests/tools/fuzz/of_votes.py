"""Fuzz the readers of votes, blocks of draws and radius maps, and the certification of hostile counts."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
from tests.tools.fuzz.containers import as_zip, members_of, packed, unpacked
from tests.tools.fuzz.contract import Target


def example_votes():
    """Return votes for an image of 2x3 pixels and three classes, from 4 + 8 draws."""
    from segcert.votes import Votes

    labels = np.random.default_rng(0).integers(0, 3, (12, 2, 3))
    counts = np.stack([(labels == k) for k in range(3)], axis=1)  # (12, 3, 2, 3)
    selection, estimation = (part.sum(axis=0).astype(np.uint16) for part in (counts[:4], counts[4:]))
    areas = counts.sum(axis=(2, 3)).astype(np.uint32)
    more = {"truth_areas": np.array([2, 2, 2], np.uint32), "measurements": {"area": np.arange(12.0)}}
    origin = {"seed": 0, "image": "0" * 64}
    return Votes(selection, estimation, 0.25, areas=areas, overlaps=areas, origin=origin, **more)


def example_radii(path):
    """Write a radius map for an image of 2x2 pixels."""
    from segcert.results.radius_rows import RadiusLevels, save_radii

    levels = RadiusLevels(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8), "holm")
    save_radii(path, {"one": levels}, (0.6, 0.75), 0.25)


def _with_correct_digests(correct):
    """Return a function that builds a file from an input and stores the correct digest of its mutated arrays in it.

    `correct` takes a file's arrays. It returns the name and the correct value of the array that contains the digest.
    """

    def build(data):
        members = members_of(data)
        if members is None:
            return data
        try:
            with np.load(io.BytesIO(as_zip(data)), allow_pickle=False) as arrays:
                name, value = correct(arrays)
            return as_zip(packed(members | {f"{name}.npy": _npy(np.array(value))}))
        except Exception:
            return as_zip(data)

    return build


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
    from segcert.votes import Votes, VotesError, _read_votes, load_votes, save_votes

    def uses(image):
        yield lambda: image.dice
        yield image.label_maps
        yield lambda: certify(image, 0.55, 0.3, "holm")
        yield lambda: certify(image, 0.55, 0.3)
        yield lambda: radius_map(image, alpha=0.4)
        yield lambda: certify_measurements(image, tau=0.6, alpha=0.4)

    def read(path):
        for image in load_votes(path).values():
            for use in uses(image):
                with contextlib.suppress(VotesError, CertificationError):
                    use()
        Votes.load(path)

    def header(arrays):
        stated = json.loads(str(arrays["header"]))
        for image, about in stated["images"].items():
            about["digest"] = _read_votes(arrays, image, about).digest
        return "header", json.dumps(stated, sort_keys=True)

    def write(path):
        save_votes(path, {"one": example_votes()})

    return Target(read, _seeds(write), (VotesError,), "shard_0.npz", build=_with_correct_digests(header), longest=8192)


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

    def digest(arrays):
        columns = {name: arrays[name] for name in arrays.files if name not in ("counts", "digest")}
        return "digest", _checksum(key, Block(arrays["counts"], columns))

    return Target(read, _seeds(write), (), "block.npz", build=_with_correct_digests(digest), longest=8192)


def finished():
    """Return a target that reads a ledger of decisions."""
    from segcert.provenance.ledger import SETTINGS, Ledger

    def read(path):
        made = Ledger(path.parent)
        object.__setattr__(made, "path", lambda _: path)
        (decided,) = made.record([dict.fromkeys(SETTINGS, 1)])
        assert decided.number >= 1

    plan = json.dumps([dict.fromkeys(SETTINGS, 2)]).encode()
    return Target(read, lambda: [b"\n" + plan + b"\n", plan + b"\n" + plan], (), "decisions.jsonl")


def radii():
    from segcert.io.arrays import ArraysError
    from segcert.results.radius_rows import load_radii

    def read(path):
        saved = load_radii(path)
        for image in saved.levels:
            saved.radii_of(image)

    return Target(read, _seeds(example_radii), (ArraysError,), "a.radii.npz", build=as_zip)
