import functools
import http.server
import json
import threading

import pytest
from tests.archives import mirror_of, montgomery_archive

from segcert.data.errors import DataError
from segcert.data.fetch import fetch, open_archives
from segcert.provenance.digests import file_digest

NAME = "NLM-MontgomeryCXRSet.zip"


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    montgomery_archive(folder / NAME)
    return mirror_of(folder)


def test_fetch_from_a_folder(tmp_path, mirror):
    fetch("montgomery", tmp_path / "raw", str(mirror))
    manifest = json.loads((tmp_path / "raw" / "manifest.json").read_text())
    digest, size = file_digest(mirror / NAME), (mirror / NAME).stat().st_size
    assert manifest == {
        "dataset": "montgomery",
        "archives": [{"name": NAME, "bytes": size, "sha256": digest, "official": False}],
    }
    assert open_archives("montgomery", tmp_path / "raw")[NAME].read_bytes() == (mirror / NAME).read_bytes()


def test_fetch_over_http(tmp_path, mirror):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=mirror))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        fetch("montgomery", tmp_path / "raw", address)
        assert (tmp_path / "raw" / NAME).read_bytes() == (mirror / NAME).read_bytes()
        (mirror / NAME).unlink()
        with pytest.raises(DataError, match=f"{NAME}: cannot be fetched .*404"):
            fetch("montgomery", tmp_path / "other", address)
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_there_is_not_fetched_again(tmp_path, mirror):
    fetch("montgomery", tmp_path / "raw", str(mirror))
    (mirror / NAME).unlink()
    fetch("montgomery", tmp_path / "raw", str(mirror))


def test_a_wrong_checksum_is_refused_and_the_file_put_aside(tmp_path, mirror):
    (mirror / NAME).write_bytes((mirror / NAME).read_bytes()[:-10])
    with pytest.raises(DataError, match=r"SHA-256 is .*, expected .*\.rejected, not used"):
        fetch("montgomery", tmp_path / "raw", str(mirror))
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [f"{NAME}.rejected"]


def test_an_archive_that_the_mirror_does_not_list_is_refused(tmp_path, mirror):
    (mirror / "SHA256SUMS").write_text("")
    with pytest.raises(DataError, match=f"has no line for {NAME}"):
        fetch("montgomery", tmp_path / "raw", str(mirror))


def test_a_mirror_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no-such-folder/SHA256SUMS: no such file"):
        fetch("montgomery", tmp_path / "raw", str(tmp_path / "no-such-folder"))


def test_the_official_checksum_counts_without_a_mirror(tmp_path, mirror, monkeypatch):
    monkeypatch.setattr("segcert.data.fetch._read", lambda source: [(mirror / NAME).read_bytes()])
    with pytest.raises(DataError, match="expected 54601e952315d8f67383e9202a6e145997ade429f54f7e0af44b4e158714f424"):
        fetch("montgomery", tmp_path / "raw")


def test_an_archive_that_changed_after_it_was_fetched_is_refused(tmp_path, mirror):
    fetch("montgomery", tmp_path / "raw", str(mirror))
    (tmp_path / "raw" / NAME).write_bytes(b"changed")
    with pytest.raises(DataError, match="changed after it was fetched"):
        open_archives("montgomery", tmp_path / "raw")
    (tmp_path / "raw" / NAME).unlink()
    with pytest.raises(DataError, match="missing"):
        open_archives("montgomery", tmp_path / "raw")
