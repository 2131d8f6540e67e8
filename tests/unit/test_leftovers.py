"""What killed writers and jumping clocks leave, and what a plan makes of it."""

import os
import time

import pytest

from segcert.provenance.atomic import atomic_file, atomic_folder
from segcert.provenance.leftovers import DAY, sweep_leftovers


class KilledError(Exception):
    pass


def killed(writer, monkeypatch):
    """A file or folder that a writer of ours left because it was killed."""
    with monkeypatch.context() as patch, pytest.raises(KilledError), writer as path:
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        raise KilledError
    assert path.exists()
    return path


def test_only_what_no_writer_has_touched_for_a_day_is_swept(tmp_path, monkeypatch):
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
    assert sorted(sweep_leftovers(tmp_path)) == sorted(str(each.relative_to(tmp_path)) for each in (file, folder, bare))
    assert [each.exists() for each in (votes, download, file, folder, at_work, bare)] == [1, 1, 0, 0, 1, 0]
    assert sweep_leftovers(tmp_path) == []
