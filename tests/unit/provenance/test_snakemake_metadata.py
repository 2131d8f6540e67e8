"""Snakemake's records travel with the artifacts, and are taken up where they fit."""

import json
import shutil
from base64 import urlsafe_b64encode

import pytest

from segcert.provenance.snakemake_metadata import (
    CONTENTS,
    INCOMPLETE,
    METADATA,
    PACKED_METADATA,
    pack_metadata,
    restore_metadata,
)

MODEL, VOTES = "models/a/model.safetensors", "results/run/votes.npz"


def known(root, artifact, kind=METADATA):
    """Where Snakemake keeps its record of an artifact."""
    return root / kind / urlsafe_b64encode(artifact.encode()).decode()


def make(root, artifact, content, record):
    for path, text in ((root / artifact, content), (known(root, artifact), record)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def packed(tmp_path):
    root = tmp_path / "theirs"
    make(root, MODEL, "weights", "their model")
    make(root, VOTES, "votes", "their votes")
    make(root, "results.dvc", "an older pointer", "of an older run")
    (root / f"{MODEL}.record.json").write_text("{}")
    known(root, "gone.npz").write_text("of a file that is gone")
    pack_metadata(root)
    return root


@pytest.fixture
def pull(packed, tmp_path):
    """A checkout that has pulled the trail and the artifacts that are named, over what is there."""

    def pull(*artifacts):
        root = tmp_path / "ours"
        shutil.copytree(packed / PACKED_METADATA, root / PACKED_METADATA, dirs_exist_ok=True)
        for artifact in artifacts:
            (root / artifact).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(packed / artifact, root / artifact)
        return root

    return pull


def test_only_what_is_there_and_has_its_final_record_is_packed(packed):
    assert set(json.loads((packed / CONTENTS).read_text())) == {MODEL, VOTES}
    assert restore_metadata(packed) == [], "who packed it has it"


def test_records_of_what_was_pulled_are_taken_once(pull):
    root = pull(MODEL, VOTES)
    known(root, VOTES, INCOMPLETE).parent.mkdir(parents=True)
    known(root, VOTES, INCOMPLETE).touch()
    assert restore_metadata(root) == [MODEL, VOTES]
    assert known(root, MODEL).read_text() == "their model"
    assert (root / f"{MODEL}.record.json").exists()
    assert not known(root, VOTES, INCOMPLETE).exists(), "a job that was killed here once had left it half made"
    known(root, MODEL).write_text("made again here")
    assert restore_metadata(root) == []
    assert known(root, MODEL).read_text() == "made again here"


def test_what_is_pulled_later_is_taken_later(pull):
    assert restore_metadata(pull(VOTES)) == [VOTES]
    root = pull(MODEL)
    assert not (root / f"{MODEL}.record.json").exists()
    assert restore_metadata(root) == [MODEL]
    assert (root / f"{MODEL}.record.json").exists()


def test_an_own_record_stays_beside_an_own_artifact_and_goes_with_a_pulled_one(pull, tmp_path):
    make(tmp_path / "ours", MODEL, "own weights", "own model")
    make(tmp_path / "ours", VOTES, "own votes", "own votes")
    root = pull()
    assert restore_metadata(root) == []
    assert known(root, MODEL).read_text() == "own model"
    make(root, VOTES, "votes", "own votes, drawn again")
    pull(MODEL)
    assert restore_metadata(root) == [MODEL]
    assert known(root, MODEL).read_text() == "their model"
    assert known(root, VOTES).read_text() == "own votes, drawn again"


def test_pointers_are_touched_unless_they_point_at_something_else(pull):
    root = pull(MODEL, VOTES)
    (root / MODEL).write_text("other weights")
    for pointer in ("models.dvc", "results.dvc"):
        (root / pointer).write_text("pointer")
    before = (root / "models.dvc").stat().st_mtime_ns
    assert restore_metadata(root) == [VOTES]
    assert (root / "models.dvc").stat().st_mtime_ns == before
    assert (root / "results.dvc").stat().st_mtime_ns > before
    assert known(root, MODEL).read_text() == "their model", "it says what should be there"


def test_a_changed_trail_is_not_taken(pull, caplog):
    root = pull(MODEL, VOTES)
    (root / PACKED_METADATA / "snakemake" / known(root, MODEL).name).write_text("changed")
    assert restore_metadata(root) == [VOTES]
    (root / CONTENTS).write_text("no JSON")
    assert restore_metadata(root) == []
    assert "dvc checkout --force results.dvc" in caplog.text
