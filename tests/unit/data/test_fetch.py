"""Getting archives from a mirror, from an address, or from data/raw."""

import dataclasses
import hashlib
import json
import zipfile

import pytest
from tests.support.archives import (
    cvc_members,
    jsrt_archives,
    mirror_of,
    montgomery_archive,
    shenzhen_archives,
    write_rar,
    write_zip,
)
from tests.support.flaky_server import FlakyServer

from segcert.data import download
from segcert.data.catalogue import module_of
from segcert.data.errors import DataError
from segcert.data.fetch import fetch
from segcert.data.manifest import open_raw
from segcert.data.sets.cvc_clinicdb import DATASET as CVC
from segcert.data.sets.jsrt import DATASET as JSRT
from segcert.data.sets.jsrt import LAYOUT
from segcert.data.sets.montgomery import DATASET as MONTGOMERY
from segcert.data.sets.shenzhen import DATASET as SHENZHEN
from segcert.provenance.digests import file_digest

NAME = "NLM-MontgomeryCXRSet.zip"


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    montgomery_archive(folder / NAME)
    return mirror_of(folder)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(download, "LONGEST_WAIT_S", 0.002)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def published(about, path, **sums):
    """Return a data set whose only archive has another checksum or address."""
    return dataclasses.replace(about, archives=(dataclasses.replace(about.archives[0], **sums),))


def unzip(archive, folder):
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)


def test_fetch_from_a_folder(tmp_path, mirror, capsys):
    fetch(MONTGOMERY, tmp_path / "raw", str(mirror))
    digest, size = file_digest(mirror / NAME), (mirror / NAME).stat().st_size
    assert manifest(tmp_path / "raw") == {
        "dataset": "montgomery",
        "archives": [{"name": NAME, "bytes": size, "sha256": digest, "official": False}],
        "files": {},
    }
    with open_raw(tmp_path / "raw") as files:
        assert len(files) == 3 * 3, "stray files are skipped"
    shown = capsys.readouterr().err
    assert "Licence: Open for research" in shown, "the terms are shown before the download"
    assert "Jaeger S" in shown


@pytest.mark.parametrize("ranges", [True, False])
def test_fetch_from_a_server_that_drops_connections_and_answers_500(tmp_path, mirror, ranges):
    with FlakyServer(mirror, ranges=ranges, drop_after=3000, drops=4, statuses={f"/{NAME}": [500, 200, 503]}) as server:
        fetch(MONTGOMERY, tmp_path / "raw", server.url)
        assert (tmp_path / "raw" / NAME).read_bytes() == (mirror / NAME).read_bytes()
        assert len(server.requests) > 5
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [NAME, "manifest.json"]


def test_an_address_without_the_archive_is_named(tmp_path, mirror):
    (mirror / NAME).unlink()
    with FlakyServer(mirror) as server, pytest.raises(DataError, match=f"{NAME}: cannot be fetched .*404"):
        fetch(MONTGOMERY, tmp_path / "raw", server.url)


def test_without_a_mirror_the_official_address_and_checksum_are_used(tmp_path, mirror):
    with FlakyServer(mirror) as server:
        address = f"{server.url}/{NAME}"
        with pytest.raises(DataError, match=f"expected {MONTGOMERY.archives[0].sha256}"):
            fetch(published(MONTGOMERY, mirror, url=address), tmp_path / "raw")
        good = published(MONTGOMERY, mirror, url=address, sha256=file_digest(mirror / NAME))
        fetch(good, tmp_path / "raw")
        assert manifest(tmp_path / "raw")["archives"][0]["official"] is True
        unknown = published(MONTGOMERY, mirror, url=address, sha256=None)
        fetch(unknown, tmp_path / "other")
        assert manifest(tmp_path / "other")["archives"][0]["official"] is None


def test_an_archive_that_is_there_is_not_fetched_again(tmp_path, mirror):
    fetch(MONTGOMERY, tmp_path / "raw", str(mirror))
    (mirror / NAME).unlink()
    fetch(MONTGOMERY, tmp_path / "raw", str(mirror))


def test_a_file_with_a_wrong_checksum_is_quarantined(tmp_path, mirror):
    (mirror / NAME).write_bytes((mirror / NAME).read_bytes()[:-10])
    with pytest.raises(DataError, match=r"found SHA-256 .*; expected .* was not used and was renamed to .*\.rejected"):
        fetch(MONTGOMERY, tmp_path / "raw", str(mirror))
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [f"{NAME}.rejected"]


def test_an_archive_that_differs_from_the_published_one_is_quarantined_and_fetched_again(tmp_path, mirror):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / NAME).write_bytes(b"half of it")
    fetch(MONTGOMERY, tmp_path / "raw", str(mirror))
    assert (tmp_path / "raw" / f"{NAME}.rejected").read_bytes() == b"half of it"
    assert file_digest(tmp_path / "raw" / NAME) == file_digest(mirror / NAME)


def test_an_archive_that_the_mirror_does_not_list_is_refused(tmp_path, mirror):
    (mirror / "SHA256SUMS").write_text("")
    with pytest.raises(DataError, match=f"contains no checksum for {NAME}"):
        fetch(MONTGOMERY, tmp_path / "raw", str(mirror))


def test_a_missing_mirror_is_named(tmp_path):
    with pytest.raises(DataError, match="no-such-folder/SHA256SUMS: no such file"):
        fetch(MONTGOMERY, tmp_path / "raw", str(tmp_path / "no-such-folder"))


def test_archives_to_get_by_hand_are_listed_with_source_and_folder(tmp_path):
    with pytest.raises(DataError) as error:
        fetch(JSRT, tmp_path / "raw")
    for part in (
        "All247images.zip, masks.zip cannot be downloaded",
        "http://db.jsrt.or.jp/eng.php",
        "zenodo.org/records",
    ):
        assert part in str(error.value)
    assert "Put these archives into data/raw/jsrt/, as downloaded or unpacked" in str(error.value)
    with pytest.raises(DataError, match=r"polyp\.grand-challenge\.org/CVCClinicDB"):
        fetch(CVC, tmp_path / "raw")
    with FlakyServer(tmp_path) as server:
        images = dataclasses.replace(SHENZHEN.archives[0], url=f"{server.url}/ChinaSet_AllFiles.zip")
        with pytest.raises(DataError, match="kaggle"):
            fetch(dataclasses.replace(SHENZHEN, archives=(images, SHENZHEN.archives[1])), tmp_path / "raw")
        assert server.requests == [], "the error comes before gigabytes are fetched"


def test_a_wrong_archive_in_the_folder_is_quarantined_with_both_checksums_in_the_error(tmp_path):
    jsrt_archives(tmp_path, 2)
    digest = file_digest(tmp_path / "masks.zip")
    for name in ("masks.zip", "masks (1).zip"):
        raw = tmp_path / name.replace(".zip", "")
        raw.mkdir()
        (raw / "All247images.zip").write_bytes((tmp_path / "All247images.zip").read_bytes())
        (raw / name).write_bytes((tmp_path / "masks.zip").read_bytes())
        with pytest.raises(DataError, match=f"found SHA-256 {digest}; expected MD5 3e9bb1c4bc1f5b2672ac4bfeabab16f4"):
            fetch(JSRT, raw)
        assert file_digest(raw / f"{name}.rejected") == digest, "also under another name"
        assert not (raw / "manifest.json").exists()


def test_no_quarantined_file_is_overwritten(tmp_path, mirror):
    (tmp_path / "raw").mkdir()
    for content in (b"first", b"second"):
        (tmp_path / "raw" / NAME).write_bytes(content)
        with pytest.raises(DataError, match="was not used"):
            fetch(MONTGOMERY, tmp_path / "raw")
    assert (tmp_path / "raw" / f"{NAME}.rejected").read_bytes() == b"first"
    assert (tmp_path / "raw" / f"{NAME}.2.rejected").read_bytes() == b"second"


def test_an_archive_of_another_kind_is_compared_with_the_mirror_too(tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    write_zip(mirror / "CVC-ClinicDB.zip", cvc_members([1, 2]))
    fetch(CVC, tmp_path / "raw", str(mirror_of(mirror)))
    write_zip(tmp_path / "raw/CVC-ClinicDB.zip", cvc_members([3]))
    fetch(CVC, tmp_path / "raw", str(mirror))
    assert file_digest(tmp_path / "raw/CVC-ClinicDB.zip") == file_digest(mirror / "CVC-ClinicDB.zip")


def test_an_archive_is_used_once_if_its_unpacked_folder_is_there_too(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    shenzhen_archives(raw, 4)
    for name in ("ChinaSet_AllFiles.zip", "shcxr-lung-mask.zip"):
        unzip(raw / name, raw)
    (raw / "shcxr-lung-mask.zip").unlink()
    fetch(SHENZHEN, raw)
    with open_raw(raw) as files:
        assert len(module_of("shenzhen").LAYOUT.find(files, SHENZHEN).pairs) == 3


def test_a_link_to_an_unpacked_folder_is_followed(tmp_path):
    jsrt_archives(tmp_path, 2)
    for name in ("All247images.zip", "masks.zip"):
        unzip(tmp_path / name, tmp_path / "elsewhere")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "elsewhere")
    fetch(JSRT, tmp_path / "raw")
    assert sum(name.endswith(".IMG") for name in manifest(tmp_path / "raw")["files"]) == 2


@pytest.mark.parametrize("text", ["{", "null", '{"dataset": "x", "archives": [{}]}', '{"dataset": "x", "files": []}'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: is not a valid manifest"), open_raw(tmp_path):
        pass


def test_an_archive_in_the_folder_is_used_under_any_name(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    shenzhen_archives(raw, 4)
    (raw / "kaggle").mkdir()
    (raw / "shcxr-lung-mask.zip").rename(raw / "kaggle/archive.zip")
    fetch(SHENZHEN, raw)
    assert {entry["name"] for entry in manifest(raw)["archives"]} == {"ChinaSet_AllFiles.zip", "kaggle/archive.zip"}
    with open_raw(raw) as files:
        assert len(module_of("shenzhen").LAYOUT.find(files, SHENZHEN).pairs) == 3
    (tmp_path / "cvc").mkdir()
    write_rar(tmp_path / "cvc" / "CVC-ClinicDB.rar", cvc_members([1, 2]))
    fetch(CVC, tmp_path / "cvc")
    with open_raw(tmp_path / "cvc") as files:
        assert len(files) == 4


@pytest.mark.parametrize("inside", ["", "unpacked"])
def test_an_unpacked_folder_is_found_in_any_subfolder(tmp_path, inside):
    raw = tmp_path / "raw"
    jsrt_archives(tmp_path, 2)
    for name in ("All247images.zip", "masks.zip"):
        unzip(tmp_path / name, raw / inside)
    fetch(JSRT, raw)
    files = manifest(raw)["files"]
    assert sum(name.endswith(".IMG") for name in files) == 2
    with open_raw(raw) as found:
        assert len(LAYOUT.find(found, JSRT).pairs) == 2, "with all their masks"
        path = next(file for file in found if file.path.endswith(".IMG"))
        assert hashlib.sha256(path.read()).hexdigest() == files[path.path]
        (raw / path.path).write_bytes(b"changed")
        with pytest.raises(DataError, match="has changed since its digest was recorded"):
            path.read()
        (raw / path.path).unlink()
        with pytest.raises(DataError, match="cannot be read"):
            path.read()


def test_an_archive_that_changed_after_it_was_fetched_is_refused(tmp_path, mirror):
    fetch(MONTGOMERY, tmp_path / "raw", str(mirror))
    (tmp_path / "raw" / NAME).write_bytes(b"changed")
    with pytest.raises(DataError, match="changed after it was fetched"), open_raw(tmp_path / "raw"):
        pass
    (tmp_path / "raw" / NAME).unlink()
    with pytest.raises(DataError, match="missing"), open_raw(tmp_path / "raw"):
        pass


WEB_PAGES = {
    "page": b"<!DOCTYPE html><html><body>Log in</body></html>",
    "page after a byte order mark": b"\xef\xbb\xbf\n <html>",
    "error in XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
}


@pytest.mark.parametrize("content", WEB_PAGES.values(), ids=WEB_PAGES)
@pytest.mark.parametrize("source", ["folder", "mirror", "official address"])
def test_web_page_with_the_name_of_an_archive_is_quarantined(tmp_path, mirror, content, source):
    raw, about = tmp_path / "raw", published(MONTGOMERY, mirror, sha256=None, md5=None)
    (mirror / NAME).write_bytes(content)
    refused = pytest.raises(DataError, match=rf"{NAME}: is a web page.*renamed to .*\.rejected")
    if source == "folder":
        raw.mkdir()
        (raw / NAME).write_bytes(content)
        with refused:
            fetch(about, raw)
    elif source == "mirror":
        with refused:
            fetch(about, raw, str(mirror_of(mirror)))
    else:
        with FlakyServer(mirror) as server, refused:
            fetch(published(about, mirror, url=f"{server.url}/{NAME}"), raw)
    assert [path.name for path in raw.iterdir()] == [f"{NAME}.rejected"]


def test_archive_of_other_files_is_quarantined(tmp_path, mirror):
    write_zip(mirror / NAME, {"notes.txt": b"nothing"})
    with pytest.raises(DataError, match=r"contains no file .*not the expected archive NLM-MontgomeryCXRSet\.zip"):
        fetch(MONTGOMERY, tmp_path / "raw", str(mirror_of(mirror)))
    assert not (tmp_path / "raw" / "manifest.json").exists()


def test_archive_with_a_wrong_suffix_is_named(tmp_path, mirror):
    write_rar(tmp_path / "a.rar", cvc_members([1]))
    (mirror / NAME).write_bytes((tmp_path / "a.rar").read_bytes())
    with pytest.raises(DataError, match=rf"is a \.rar archive; rename the file to {NAME}\.rar"):
        fetch(MONTGOMERY, tmp_path / "raw", str(mirror_of(mirror)))
