"""Fuzz the readers of prepared data sets, user-supplied tables and folders, split files, manifests and SHA256SUMS."""

import hashlib
import json

import numpy as np
from tests.tools.fuzz.containers import members_of, packed, write_members
from tests.tools.fuzz.contract import Target


def _errors():
    from segcert.data.errors import DataError

    return (DataError,)


def _png(value):
    from tests.support.archives import encoded

    return encoded(np.full((8, 8), value, np.uint8))


def tables():
    """Return a target that reads a user-supplied data set: its table, and the images that the table lists."""

    def read(path):
        from segcert.config.sections import OwnData
        from segcert.data.user_data import OwnFolder
        from segcert.provenance.digests import file_digest

        write_members(path, ["a.png", "b.png"])
        table = path.with_name("table.csv")
        table.write_bytes((members_of(path.read_bytes()) or {"table.csv": path.read_bytes()}).get("table.csv", b""))
        stated = OwnData(table=str(table), values={0: "background", 255: "organ"}, left_out_limit=0.5)
        own = OwnFolder("own", stated.model_dump() | {"allow_empty": True})
        assert own.about.classes
        found = own.find({str(file): file_digest(file) for file in own.files()})
        for pair in found.pairs:
            pair.load()

    def seeds():
        table = b"image,mask,name,group,split\na.png,b.png,one,p1,test\nb.png,,two,p2,train\n"
        return [packed({"table.csv": table, "a.png": _png(9), "b.png": _png(255)}), table]

    return Target(read, seeds, _errors(), "in/input", named=False)


def prepared():
    """Return a target that reads a prepared data set: index.csv, splits.json, dataset.json and one image."""

    def read(path):
        from segcert.data.dataset import PreparedDataset

        write_members(path, ["index.csv", "splits.json", "dataset.json", "images/one.png", "masks/one.png"])
        dataset = PreparedDataset(path.with_name("index.csv"))
        assert dataset.about is not None
        dataset.check()
        for name in dataset.rows:
            dataset.image(name), dataset.mask(name), dataset.pixel_scale(name)

    def seeds():
        from segcert.data.dataset import Row

        image, mask = _png(9), _png(1)
        digests = {"digest": hashlib.sha256(image).hexdigest(), "mask_digest": hashlib.sha256(mask).hexdigest()}
        sizes = {"height": 8, "width": 8, "pixel_height": 0.5, "pixel_width": 0.5, "pixel_unit": "mm"}
        cells = Row(image="one", group="p", split="test", **digests, **sizes).model_dump()
        table = ",".join(cells) + "\n" + ",".join(map(str, cells.values())) + "\n"
        about = dict.fromkeys(("name", "title", "modality", "terms", "citation", "licence"), "own")
        about |= {"classes": ["background", "organ"], "synthetic": False, "channels": 1, "bits": 8, "image_size": 8}
        splits = {"dataset": "own", "leaks": False, "train": [], "val": [], "test": ["one"]}
        members = {
            "index.csv": table.encode(),
            "splits.json": json.dumps(splits).encode(),
            "dataset.json": json.dumps(about).encode(),
            "images/one.png": image,
            "masks/one.png": mask,
        }
        return [packed(members)]

    return Target(read, seeds, _errors(), "in/input", named=False)


def split_files():
    def read(path):
        from segcert.data.catalogue import ImageKey
        from segcert.data.splits import read_split_file

        rule = read_split_file(path)
        rule.split_of(ImageKey("own", "one", "one"))

    seeds = [b'{"train": ["one"], "val": ["two"], "test": [3], "leaks": false}']
    return Target(read, lambda: seeds, _errors(), "splits.json")


def manifests():
    def read(path):
        from segcert.data.manifest import open_raw

        with open_raw(path.parent) as files:
            for file in files:
                file.read()

    def seeds():
        entry = {"name": "a.zip", "bytes": 3, "sha256": hashlib.sha256(b"one").hexdigest(), "official": None}
        return [
            json.dumps({"dataset": "own", "archives": [entry], "files": {"x.png": "0" * 64}}).encode(),
            json.dumps({"dataset": "own", "archives": [], "files": {"manifest.json": "0" * 64}}).encode(),
        ]

    return Target(read, seeds, _errors(), "manifest.json", named=False)


def sums():
    """Return a target that reads a mirror's SHA256SUMS."""

    def read(path):
        from segcert.data import fetch

        fetch._published_sums(str(path.parent))

    return Target(read, lambda: [b"0" * 64 + b"  a.zip\n" + b"1" * 64 + b" *./b.zip\n"], _errors(), "SHA256SUMS")
