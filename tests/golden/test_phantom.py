"""The default data, byte for byte: a run writes the data of data.dvc in the repository."""

from pathlib import Path

import yaml

from segcert.config import Config
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.provenance.digests import file_digest

ROOT = Path(__file__).parents[2]


def test_the_default_phantom_has_the_recorded_bytes(tmp_path):
    config = Config()
    found = find_phantoms(config.phantom.model_dump(), config.image_size)
    prepare(DATASET, found, tmp_path / "phantom", Form(config.image_size))
    golden = yaml.safe_load((Path(__file__).parent / "phantom.yaml").read_text())
    assert file_digest(tmp_path / "phantom" / "index.csv") == golden["index.csv"], (
        "the default data changed: say so in CHANGELOG.md, run `make run`, commit data.dvc, and put the new digest here"
    )


def test_the_pointer_counts_the_files_of_the_default_run():
    config = Config()
    (pointer,) = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"]
    images = sum(config.phantom.model_dump().values())
    assert pointer["nfiles"] == 2 * images + len(["index.csv", "dataset.json", "splits.json", "left_out.csv"])
