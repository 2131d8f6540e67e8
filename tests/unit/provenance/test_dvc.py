"""Finding DVC, calling it without a shell, and giving it a site cache that nobody else can write to."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from segcert.provenance.dvc import LinkError, add_to_dvc, dvc_command, private_cache, refuse_links, run_dvc

ROOT = Path(__file__).parents[3]
MAY_HAVE_DISKCACHE = {"lock-dvc.txt", "store.yaml"}


@pytest.fixture
def project(tmp_path):
    """A DVC project with a data file, in a folder whose name a shell would split."""
    project = tmp_path / "its name"
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc/config").write_text((ROOT / ".dvc/config").read_text())
    (project / "data").mkdir()
    (project / "data/image").write_text("image")
    return project


@pytest.fixture
def without_dvc(monkeypatch):
    """Hide DVC, so that a test can add its own."""
    monkeypatch.delenv("SEGCERT_DVC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def executable(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_dvc_of_the_checkout_is_used_if_the_interpreter_has_none(project, without_dvc):
    python = executable(project / ".venv-dvc/bin/python")
    assert dvc_command(project) == [str(python), "-P", "-m", "dvc"]


def test_the_program_of_the_environment_variable_comes_first(project, monkeypatch):
    executable(project / ".venv-dvc/bin/python")
    program = executable(project / "my dvc")
    monkeypatch.setenv("SEGCERT_DVC", str(program))
    assert dvc_command(project) == [str(program)]
    monkeypatch.setenv("SEGCERT_DVC", "gone/dvc")
    with pytest.raises(SystemExit, match=r"SEGCERT_DVC=gone/dvc: no such program; .* unset SEGCERT_DVC$"):
        dvc_command(project)


def test_without_dvc_the_message_says_what_to_type(project, without_dvc):
    with pytest.raises(SystemExit, match=r"DVC is installed neither for .*\. Run: make dvc$"):
        dvc_command(project)


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_site_cache_is_private_under_any_umask(project, monkeypatch, umask):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    (project / ".dvc/tmp").mkdir()
    before = os.umask(umask)
    try:
        place = private_cache(project)
    finally:
        os.umask(before)
    assert place == project / ".dvc/tmp/site-cache"
    assert place.stat().st_mode & 0o777 == 0o700


def test_dvc_uses_the_site_cache(project, monkeypatch):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    add_to_dvc(["data"], project)
    assert "md5: " in (project / "data.dvc").read_text()
    assert list((project / ".dvc/tmp/site-cache/repo").glob("*/links/cache.db"))


def test_dvc_called_by_hand_uses_the_private_site_cache(monkeypatch):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    command = [ROOT / ".venv-dvc/bin/python", "-c", "import os; print(os.environ['DVC_SITE_CACHE_DIR'])"]
    place = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert place == ROOT / ".dvc/tmp/site-cache"
    assert place.stat().st_mode & 0o777 == 0o700


def other_user(place, monkeypatch):
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)


def link(place, _monkeypatch):
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


def open_to_others(place, _monkeypatch):
    place.chmod(0o777)


@pytest.mark.parametrize(
    ("change", "fault"),
    [(other_user, "belongs to the user"), (link, "is not a folder"), (open_to_others, "can be written to by others")],
)
@pytest.mark.parametrize("named", [False, True])
def test_a_site_cache_that_others_may_have_written_to_is_refused(project, monkeypatch, change, fault, named):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    if named:
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project / "named"))
    change(private_cache(project), monkeypatch)
    with pytest.raises(SystemExit, match=f"{fault}.*; expected a folder that only you can write to"):
        run_dvc("add", "data", root=project)
    assert not (project / "data.dvc").exists()


def test_a_site_cache_that_others_can_read_is_closed(project, monkeypatch):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    private_cache(project).chmod(0o755)
    assert private_cache(project).stat().st_mode & 0o777 == 0o700


def test_only_environments_with_dvc_have_diskcache():
    files = [*(ROOT / "envs").glob("lock-*.txt"), *(ROOT / "envs").glob("*.yaml")]
    holding = {path.name for path in files if re.search(r"^[ -]*diskcache==", path.read_text(), re.MULTILINE)}
    assert holding == MAY_HAVE_DISKCACHE


@pytest.mark.parametrize("linked", ["data", "reports", "reports/mine"])
def test_a_folder_behind_a_link_is_refused(tmp_path, linked):
    (tmp_path / "disk/mine").mkdir(parents=True)
    link = tmp_path / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "disk")
    with pytest.raises(LinkError, match=f"{linked}: is a link to .*/disk; .*mount --bind .*/disk .*{linked}$"):
        refuse_links(["data", "reports/mine"], tmp_path)


def test_missing_folders_and_links_inside_folders_are_accepted(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine").symlink_to(tmp_path)
    refuse_links(["data", "models", "reports/mine"], tmp_path)
