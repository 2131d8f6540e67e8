"""Reading archives, and rejecting hostile ones."""

import io
import stat
import tarfile
import tracemalloc
import zipfile

import py7zr
import pytest
from tests.support.archives import cvc_members, write_rar, write_zip

from segcert.data import archives
from segcert.data.archives import is_stray, list_archive, open_archive
from segcert.data.errors import DataError

MEMBERS = {"set/Original/1.tif": b"one" * 1000, "set/Ground Truth/1.tif": b"two", "set/Thumbs.db": b"stray"}


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def write_seven_zip(path, members):
    with py7zr.SevenZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(data, name)
    return path


WRITERS = {
    "a.zip": write_zip,
    "a.tar": write_tar,
    "a.tar.gz": lambda path, members: write_tar(path, members, "w:gz"),
    "a.7z": write_seven_zip,
    "a.rar": write_rar,
}


def contents(path):
    with open_archive(path) as files:
        return {file.path: file.read() for file in files}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_is_read_and_stray_files_are_skipped(tmp_path, name):
    path = WRITERS[name](tmp_path / name, MEMBERS)
    assert contents(path) == {key: value for key, value in MEMBERS.items() if "Thumbs" not in key}
    assert {member.name.replace("\\", "/"): member.bytes for member in list_archive(path)} == {
        key: len(value) for key, value in MEMBERS.items()
    }
    assert [entry.name for entry in tmp_path.iterdir()] == [name], "no temporary files remain"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("evil", ["../evil.png", "a/../../evil.png", "/evil.png"])
def test_no_name_leads_out_of_the_folder(tmp_path, name, evil):
    inner = tmp_path / "inner"
    inner.mkdir()
    try:
        path = WRITERS[name](inner / name, {"good.png": b"x", evil: b"evil"})
    except ValueError:
        pytest.skip("this library does not write such a name")
    before = set(tmp_path.rglob("*"))
    stored = [member.name for member in list_archive(path)]
    if all(".." not in each and not each.startswith(("/", "\\")) for each in stored):
        assert set(contents(path)) <= {"good.png", "evil.png"}, "the library wrote a harmless name"
    else:
        with pytest.raises(DataError, match=r"which would be unpacked outside the folder\. The archive was not opened"):
            contents(path)
    assert set(tmp_path.rglob("*")) == before


def test_windows_paths_that_lead_out_are_refused(tmp_path):
    for name in ("..\\evil.png", "C:\\evil.png", "C:evil.png"):
        with pytest.raises(DataError, match="unpacked outside the folder"):
            contents(write_zip(tmp_path / "a.zip", {name: b"evil"}))


def test_links_and_devices_are_refused(tmp_path):
    link = zipfile.ZipInfo("images/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="a link or a device"):
        contents(tmp_path / "a.zip")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        info = tarfile.TarInfo("images/link.png")
        info.type, info.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "a.tar", "w") as file:
            file.addfile(info)
        with pytest.raises(DataError, match="a link or a device"):
            contents(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.7z"])
def test_a_bomb_is_not_unpacked(tmp_path, name, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1 << 20)
    path = WRITERS[name](tmp_path / name, {"a.png": bytes(2 << 20)})
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"a\.png unpacks to 2 MiB; the limit for a file is 1 MiB"):
        contents(path)


def test_a_real_zip_bomb_is_refused_from_its_directory_alone(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.png", "w", force_zip64=True) as member,
    ):
        for _ in range(200):
            member.write(bytes(1 << 20))
    with pytest.raises(DataError, match=r"a\.png unpacks to 200 MiB"):
        contents(tmp_path / "a.zip")


def test_a_bomb_of_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 1 << 20)
    with pytest.raises(DataError, match="contains 8 files that unpack to 4 MiB"):
        contents(write_zip(tmp_path / "a.zip", {f"{k}.png": bytes(1 << 19) for k in range(8)}))
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="the limits are 5"):
        contents(write_zip(tmp_path / "a.zip", {f"{k}.png": b"" for k in range(8)}))


def test_a_zip_with_a_false_size_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(100_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with open_archive(path) as files, pytest.raises(DataError, match=r"a\.zip: a\.png cannot be read"):
        files[0].read()


def test_a_zip_is_unpacked_only_up_to_its_stated_size(tmp_path):
    size = 64 << 20
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(size)})
    path.write_bytes(path.read_bytes().replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with open_archive(path) as files:
        tracemalloc.start()
        with pytest.raises(DataError, match=r"a\.png cannot be read"):
            files[0].read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_tar_header_that_asks_for_gigabytes_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("a.png")
        info.pax_headers = {"comment": "x" * (archives.MAX_MEMBER_BYTES + 1000)}
        file.addfile(info)
    with pytest.raises(DataError, match=r"MiB of memory; the limit is 128 MiB\. The archive was not opened"):
        contents(tmp_path / "a.tar.gz")


def test_links_in_a_rar_archive_are_refused(tmp_path):
    data = write_rar(tmp_path / "a.rar", {"link.png": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(DataError, match="a link or a device"):
        contents(data)


def test_temporary_files_of_a_killed_job_are_removed(tmp_path):
    path = write_tar(tmp_path / "a.tar", MEMBERS)
    (tmp_path / ".a.xyz.part/set").mkdir(parents=True)
    assert len(contents(path)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("keep", [0.7, 0.5, 0.0])
def test_a_truncated_archive_is_named(tmp_path, name, keep):
    path = WRITERS[name](tmp_path / name, cvc_members([1, 2, 3]))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DataError, match=name):
        contents(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_files_of_file_managers_are_stray():
    for path in ("a/Thumbs.db", ".DS_Store", "__MACOSX/a/b.png", "a/._b.png", "desktop.ini", "a\\Thumbs.db"):
        assert is_stray(path)
    assert not is_stray("a/b.png")
