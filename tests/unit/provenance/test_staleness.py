"""Temporary files of killed writers, and file times after the clock jumped."""

import json
import os
import time

import pytest

from segcert.io.atomic import atomic_file, atomic_folder
from segcert.provenance.digests import DigestCache, file_digest
from segcert.provenance.records import FORMAT, record_path
from segcert.provenance.staleness import DAY, delete_temporary_files, find_changes, set_times


class KilledError(Exception):
    pass


def killed(writer, monkeypatch):
    """Return a temporary file or folder that a killed writer left."""
    with monkeypatch.context() as patch, pytest.raises(KilledError), writer as path:
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        raise KilledError
    assert path.exists()
    return path


def test_only_temporary_files_untouched_for_a_day_are_deleted(tmp_path, monkeypatch):
    votes = tmp_path / "results/votes.npz"
    with atomic_file(votes) as path:
        path.write_text("whole")
    download = tmp_path / "data/raw/set/archive.zip.part"
    download.parent.mkdir(parents=True)
    download.touch()
    file = killed(atomic_file(votes), monkeypatch)
    folder = killed(atomic_folder(tmp_path / "models/unet"), monkeypatch)
    at_work = killed(atomic_folder(tmp_path / "models/unet"), monkeypatch)
    (at_work / "part").touch()
    bare = killed(atomic_file(tmp_path / ".segcert/checkpoints/models"), monkeypatch)
    old = time.time() - 1.1 * DAY
    for path in (votes, download, file, folder, at_work, bare):
        os.utime(path, (old, old))
    assert sorted(delete_temporary_files(tmp_path)) == sorted(
        str(each.relative_to(tmp_path)) for each in (file, folder, bare)
    )
    assert [each.exists() for each in (votes, download, file, folder, at_work, bare)] == [1, 1, 0, 0, 1, 0]
    assert delete_temporary_files(tmp_path) == []


def test_files_from_the_future_get_the_present_time(tmp_path):
    """Snakemake refuses an output that is older than an input of its job."""
    early, late, pointer, other = (tmp_path / name for name in ("data/a", "data/b", "data.dvc", "data/other"))
    early.parent.mkdir()
    for path in (early, late, pointer, other):
        path.write_text(path.name)
    fields = {name: {} for name in ("wildcards", "params", "inputs", "code", "environment", "locks", "packages")}
    fields |= dict.fromkeys(("rule", "started", "ended"), "") | dict.fromkeys(
        ("seconds", "peak_memory_mib", "threads"), 0
    )
    fields |= {"format": FORMAT, "git": {"commit": None, "clean": None, "changed": []}}
    for path in (early, late):
        record = fields | {"outputs": {path.relative_to(tmp_path).as_posix(): file_digest(path)}}
        record_path(path).write_text(json.dumps(record))
    now = time.time()
    for path, when in ((early, now - 100), (late, now + DAY), (pointer, now + DAY), (other, now + DAY)):
        os.utime(path, (when, when))
    changes = find_changes(tmp_path, DigestCache(tmp_path), {})
    assert changes.artifacts == []
    assert late.stat().st_mtime == pytest.approx(now + DAY), "finding changes writes nothing"
    set_times(changes.times, tmp_path)
    assert early.stat().st_mtime == pytest.approx(now - 100)
    for path in (late, pointer):
        assert now <= path.stat().st_mtime <= time.time()
    assert other.stat().st_mtime == pytest.approx(now + DAY), "no job made this file"
