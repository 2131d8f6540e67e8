"""After a push, the remote has the files of the pointers; files missing locally or remotely are named."""

import re

import pytest
from tests.support.checkout import ROOT

from segcert.provenance.dvc import add_to_dvc, pull_from_remote, push_to_remote, run_dvc

FOLDERS = ["data", "models"]


@pytest.fixture
def project(tmp_path):
    """Return a project with two folders and their pointers; its remote is a folder next to it."""
    project = tmp_path / "repo"
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc/config").write_text((ROOT / ".dvc/config").read_text())
    for name in ("data/a/image", "data/a/mask", "models/weights"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    add_to_dvc(FOLDERS, project)
    return project


def contents(place, text):
    """Return the object of a cache or remote with a given text."""
    (found,) = (path for path in place.rglob("*") if path.is_file() and path.read_text() == text)
    return found


def listing(place, project):
    """Return the object with the list of files of data/."""
    name = re.search(r"md5: (\S+\.dir)", (project / "data.dvc").read_text())[1]
    return place / "files/md5" / name[:2] / name[2:]


def lose_file(place, project):
    contents(place, "data/a/image").unlink()
    return "data/a/image"


def lose_listing(place, project):
    listing(place, project).unlink()
    return "data/ (the list of its files)"


LOSSES = pytest.mark.parametrize("lose", [lose_file, lose_listing])


@LOSSES
def test_a_file_missing_from_the_cache_is_named_and_nothing_is_pushed(project, lose):
    store = project.with_name("segcert-store")
    lost = lose(project / ".dvc/cache", project)
    with pytest.raises(SystemExit) as refused:
        push_to_remote(FOLDERS, project)
    said = str(refused.value).splitlines()
    assert said[0].startswith("segcert: nothing was pushed, because ")
    assert said[1:-1] == [f"  {lost}"]
    assert not store.exists()
    add_to_dvc(FOLDERS, project)  # as the last line of the message says
    push_to_remote(FOLDERS, project)
    assert contents(store, "data/a/image")


def test_a_file_missing_from_the_remote_is_named_and_can_be_restored(project):
    store = project.with_name("segcert-store")
    push_to_remote(FOLDERS, project)
    lost = lose_file(store, project)
    with pytest.raises(
        SystemExit,
        match=f"missing from the remote:\n  {lost}\n.*Push again after deleting these lists from the remote: ",
    ) as refused:
        push_to_remote(FOLDERS, project)
    (store / str(refused.value).split("these lists from the remote: ")[1]).unlink()
    push_to_remote(FOLDERS, project)
    assert contents(store, lost)


def test_a_list_of_files_missing_from_the_remote_is_pushed_again(project):
    push_to_remote(FOLDERS, project)
    lose_listing(project.with_name("segcert-store"), project)
    push_to_remote(FOLDERS, project)
    assert listing(project.with_name("segcert-store"), project).exists()


def test_push_and_pull_fail_if_the_remote_cannot_be_reached(project):
    project.with_name("segcert-store").write_text("a file where the folder should be")
    with pytest.raises(SystemExit, match=r"^segcert: dvc push failed"):
        push_to_remote(FOLDERS, project)
    with pytest.raises(SystemExit, match=r"^segcert: dvc pull failed"):
        pull_from_remote(FOLDERS, cloned(project, project.with_name("clone")))


@LOSSES
def test_a_pull_names_files_missing_from_the_remote(project, tmp_path, capfd, lose):
    push_to_remote(FOLDERS, project)
    lost = lose(project.with_name("segcert-store"), project)
    clone = cloned(project, tmp_path / "clone")
    with pytest.raises(SystemExit, match="dvc pull failed"):
        pull_from_remote(FOLDERS, clone)
    assert f"segcert: these files are missing from the remote:\n  {lost}\n" in capfd.readouterr().err


def test_a_pull_skips_and_names_folders_without_a_pointer(project, tmp_path, caplog):
    push_to_remote(FOLDERS, project)
    clone = cloned(project, tmp_path / "clone")
    pull_from_remote([*FOLDERS, "results"], clone)
    assert (clone / "data/a/mask").read_text() == "data/a/mask"
    assert "results.dvc: not found in this commit, so no files are pulled" in caplog.text
    assert run_dvc("status", "--quiet", root=clone).returncode == 0


def cloned(project, path):
    (path / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", "data.dvc", "models.dvc"):
        (path / name).write_text((project / name).read_text())
    return path
