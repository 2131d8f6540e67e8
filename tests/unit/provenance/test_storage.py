"""Runs in a bucket: sidecar files, and Snakemake's records."""

import json
import tarfile

import pytest

from segcert.provenance.digests import DigestCache, file_digest
from segcert.provenance.snakemake_metadata import METADATA, artifact_name, metadata_path
from segcert.provenance.storage import (
    BucketError,
    lead_here,
    newer_records,
    pack_files,
    pack_records,
    unpack_extra_outputs,
    without_bucket,
)

BUCKET = "s3://bucket/path"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return file_digest(path)


def test_the_folder_of_copies_must_lead_to_the_working_directory(here):
    lead_here(".snakemake/storage/s3/bucket/path")
    lead_here(".snakemake/storage/s3/bucket/path")
    (here / "data").mkdir()
    assert (here / ".snakemake/storage/s3/bucket/path/data").samefile(here / "data")
    (here / "copies").mkdir()
    with pytest.raises(BucketError, match="Delete it"):
        lead_here("copies")


@pytest.fixture
def packed(here):
    holds = {f"data/images/{name}.png": write(here / f"data/images/{name}.png", name) for name in ("b", "a")}
    pack_files("held.tar", {name: name for name in holds})
    for name in holds:
        (here / name).unlink()
    return holds


def test_packed_files_are_restored_and_packing_is_reproducible(here, packed):
    unpack_extra_outputs("held.tar", packed, DigestCache())
    assert {name: file_digest(name) for name in packed} == packed
    pack_files("again.tar", {name: name for name in reversed(packed)})
    assert file_digest("again.tar") == file_digest("held.tar")


@pytest.mark.parametrize("at", [5, 512], ids=["header", "content"])
def test_a_damaged_tar_file_is_refused_and_deleted(here, packed, at):
    content = bytearray((here / "held.tar").read_bytes())
    content[at] ^= 1
    (here / "held.tar").write_bytes(content)
    with pytest.raises(BucketError, match="fetches it again"):
        unpack_extra_outputs("held.tar", packed, DigestCache())
    assert not (here / "held.tar").exists()


def test_a_tar_file_writes_only_files_in_the_record(here, packed):
    with tarfile.open("evil.tar", "w") as archive:
        archive.add("held.tar", "../outside")
        archive.add("held.tar", "data/more.png")
    with pytest.raises(BucketError):
        unpack_extra_outputs("evil.tar", packed, DigestCache())
    assert not (here.parent / "outside").exists()
    assert not (here / "data/more.png").exists()


@pytest.mark.parametrize("name", ["data.dvc", f"{BUCKET}/results/{'x' * 400}/ä.npz"])
def test_paths_of_snakemake_records(name):
    assert artifact_name(metadata_path(name)) == name


def test_the_newer_record_of_snakemake_wins(here):
    for ended, name in ((5, "old"), (5, "new"), (5, "same")):
        write(here / METADATA / metadata_path(f"{BUCKET}/{name}"), json.dumps({"endtime": ended, "of": "there"}))
    write(here / METADATA / metadata_path("local"), json.dumps({"endtime": 9}))
    pack_records("records.tar", BUCKET)
    (here / METADATA / metadata_path(f"{BUCKET}/new")).unlink()
    write(here / METADATA / metadata_path(f"{BUCKET}/old"), json.dumps({"endtime": 6, "of": "here"}))
    (here / METADATA / metadata_path("local")).unlink()
    newer = newer_records("records.tar", BUCKET)
    assert list(newer) == [f"{BUCKET}/new"], "the local record of `old` is newer, and `local` is not in the bucket"
    assert json.loads(newer[f"{BUCKET}/new"])["of"] == "there"


def test_a_record_without_the_bucket_is_a_record_of_a_local_run():
    copies = ".snakemake/storage/s3/bucket/path"
    record = {
        "input": [f"{BUCKET}/a", f"{BUCKET}/a.record.json"],
        "params": [f"'{copies}/b'"],
        "input_checksums": {f"{copies}/a": "sha256:1", f"{copies}/a.record.json": "sha256:2"},
    }
    translate = without_bucket(BUCKET, copies)
    name, text = translate(f"{BUCKET}/made", json.dumps(record).encode())
    assert name == "made"
    assert json.loads(text) == {"input": ["a"], "params": ["'b'"], "input_checksums": {"a": "sha256:1"}}
    assert translate("made", b"{}") is None
