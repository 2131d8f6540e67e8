"""Packing Snakemake's records with the artifacts, and restoring those that match."""

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


def record_of(root, artifact, kind=METADATA):
    """Return the path of Snakemake's record of an artifact."""
    return root / kind / urlsafe_b64encode(artifact.encode()).decode()


def make(root, artifact, content, record):
    for path, text in ((root / artifact, content), (record_of(root, artifact), record)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def packed(tmp_path):
    root = tmp_path / "theirs"
    make(root, MODEL, "weights", "their model")
    make(root, VOTES, "votes", "their votes")
    make(root, "results.dvc", "an older pointer", "of an older run")
    (root / f"{MODEL}.record.json").write_text("{}")
    record_of(root, "gone.npz").write_text("of a file that is gone")
    pack_metadata(root)
    return root


@pytest.fixture
def pull(packed, tmp_path):
    """Return a function that pulls the pack and some artifacts into a checkout, over existing files."""

    def pull(*artifacts):
        root = tmp_path / "ours"
        shutil.copytree(packed / PACKED_METADATA, root / PACKED_METADATA, dirs_exist_ok=True)
        for artifact in artifacts:
            (root / artifact).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(packed / artifact, root / artifact)
        return root

    return pull


def test_only_existing_artifacts_with_a_final_record_are_packed(packed):
    assert set(json.loads((packed / CONTENTS).read_text())) == {MODEL, VOTES}
    assert restore_metadata(packed) == [], "the checkout that packed the records has them"


def test_records_of_pulled_artifacts_are_restored_once(pull):
    root = pull(MODEL, VOTES)
    record_of(root, VOTES, INCOMPLETE).parent.mkdir(parents=True)
    record_of(root, VOTES, INCOMPLETE).touch()
    assert restore_metadata(root) == [MODEL, VOTES]
    assert record_of(root, MODEL).read_text() == "their model"
    assert (root / f"{MODEL}.record.json").exists()
    assert not record_of(root, VOTES, INCOMPLETE).exists(), "the mark of a killed job is removed"
    record_of(root, MODEL).write_text("made again here")
    assert restore_metadata(root) == []
    assert record_of(root, MODEL).read_text() == "made again here"


def test_records_of_artifacts_pulled_later_are_restored_later(pull):
    assert restore_metadata(pull(VOTES)) == [VOTES]
    root = pull(MODEL)
    assert not (root / f"{MODEL}.record.json").exists()
    assert restore_metadata(root) == [MODEL]
    assert (root / f"{MODEL}.record.json").exists()


def test_a_local_record_stays_with_a_local_artifact_and_is_replaced_for_a_pulled_one(pull, tmp_path):
    make(tmp_path / "ours", MODEL, "own weights", "own model")
    make(tmp_path / "ours", VOTES, "own votes", "own votes")
    root = pull()
    assert restore_metadata(root) == []
    assert record_of(root, MODEL).read_text() == "own model"
    make(root, VOTES, "votes", "own votes, drawn again")
    pull(MODEL)
    assert restore_metadata(root) == [MODEL]
    assert record_of(root, MODEL).read_text() == "their model"
    assert record_of(root, VOTES).read_text() == "own votes, drawn again"


def test_pointers_are_touched_unless_their_files_changed(pull):
    root = pull(MODEL, VOTES)
    (root / MODEL).write_text("other weights")
    for pointer in ("models.dvc", "results.dvc"):
        (root / pointer).write_text("pointer")
    before = (root / "models.dvc").stat().st_mtime_ns
    assert restore_metadata(root) == [VOTES]
    assert (root / "models.dvc").stat().st_mtime_ns == before
    assert (root / "results.dvc").stat().st_mtime_ns > before
    assert record_of(root, MODEL).read_text() == "their model", "it says what the artifact should be"


def test_a_damaged_pack_is_not_restored(pull, caplog):
    root = pull(MODEL, VOTES)
    (root / PACKED_METADATA / "snakemake" / record_of(root, MODEL).name).write_text("changed")
    assert restore_metadata(root) == [VOTES]
    (root / CONTENTS).write_text("no JSON")
    assert restore_metadata(root) == []
    assert "dvc checkout --force results.dvc" in caplog.text
