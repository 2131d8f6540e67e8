"""Reduced real archives next to the project, if present: from a folder and from an unreliable server."""

import json
from pathlib import Path

import pytest
from tests.support.flaky_server import FlakyServer

from segcert.data import download
from segcert.data.catalogue import module_of
from segcert.data.dataset import PreparedDataset
from segcert.data.fetch import fetch
from segcert.data.manifest import open_raw
from segcert.data.prepare import Form, prepare

ARCHIVES = Path(__file__).parents[4] / "shared" / "data"
COUNTS = {  # train, val, test; left out
    "montgomery": (63, 5, 22, 0),
    "shenzhen": (77, 8, 25, 12),
    "isic2018": (260, 30, 50, 0),
    "cvc_clinicdb": (91, 9, 23, 0),
}

pytestmark = pytest.mark.skipif(
    not (ARCHIVES / "SHA256SUMS").exists(), reason="needs the reduced real archives in ../shared/data"
)


def prepared(name, folder, mirror):
    about, layout = module_of(name).DATASET, module_of(name).LAYOUT
    fetch(about, folder / "raw", mirror)
    with open_raw(folder / "raw") as files:
        prepare(about, layout.find(files, about), folder / "prepared", Form(64), workers=2)
    return PreparedDataset(folder / "prepared" / "index.csv")


@pytest.mark.parametrize("name", COUNTS)
def test_every_set_is_fetched_from_a_folder_and_prepared(tmp_path, name):
    dataset = prepared(name, tmp_path, str(ARCHIVES))
    left_out = (tmp_path / "prepared" / "left_out.csv").read_text().splitlines()[1:]
    assert (*(len(dataset.names(split)) for split in ("train", "val", "test")), len(left_out)) == COUNTS[name]
    sides = {}
    for row in dataset.rows.values():
        sides.setdefault(row.group, set()).add(row.split)
    assert set(map(len, sides.values())) == {1}, "no group is in two splits"
    for split in ("train", "val", "test"):
        images, masks = dataset.stack(split)
        assert 0.02 < images.std() < 0.5
        assert masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize("ranges", [True, False], ids=["honours ranges", "ignores ranges"])
@pytest.mark.parametrize("name", COUNTS)
def test_every_set_is_fetched_from_an_unreliable_server(tmp_path, name, ranges, monkeypatch):
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(download, "LONGEST_WAIT_S", 0.05)
    statuses = {f"/{archive.name}": [500, 200, 503] for archive in module_of(name).DATASET.archives}
    with FlakyServer(ARCHIVES, ranges=ranges, drop_after=1_000_000, drops=5, statuses=statuses) as server:
        dataset = prepared(name, tmp_path, server.url)
        assert any(request.status >= 500 for request in server.requests) or name == "cvc_clinicdb"
    assert len(dataset.rows) == sum(COUNTS[name][:3])
    for entry in json.loads((tmp_path / "raw" / "manifest.json").read_text())["archives"]:
        assert f"{entry['sha256']}  {entry['name']}" in (ARCHIVES / "SHA256SUMS").read_text()
