"""Files with a standard format: version, citation, code of conduct, issue forms, profiles."""

import datetime
import importlib.metadata
import subprocess
import sys
import tomllib

import pytest
import yaml
from snakemake.cli import get_profile_dir
from tests.support.pages import ROOT, links
from typer.testing import CliRunner

import segcert
from segcert.cli import app

PROFILES = sorted((ROOT / "profiles").iterdir())
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


CITATION_KEYS = """
abstract authors cff-version commit contact date-released doi identifiers keywords license license-url message
preferred-citation references repository repository-artifact repository-code title type url version
"""


def settings(path):
    return yaml.safe_load(path.read_text())


def test_the_version_is_known_without_installation(monkeypatch):
    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_installed)
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.output) == (0, f"segcert {segcert.__version__}\n")


def test_the_version_is_defined_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "segcert.__version__"}}
    assert settings(ROOT / "CITATION.cff")["version"] == segcert.__version__


def test_the_citation_is_valid():
    """Version 1.2.0 of the Citation File Format: all required keys, and no unknown ones."""
    citation = settings(ROOT / "CITATION.cff")
    paper = citation["preferred-citation"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation) <= set(CITATION_KEYS.split())
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert isinstance(citation["date-released"], datetime.date)
    assert len(set(citation["keywords"])) == len(citation["keywords"])
    assert {"type", "title", "authors"} <= set(paper)
    for author in [*citation["authors"], *paper["authors"]]:
        assert set(author) in ({"name"}, {"family-names", "given-names"}), author
    for identifier in paper["identifiers"]:
        assert identifier["type"] in ("doi", "other", "swh", "url")


def test_code_of_conduct_and_security_name_the_same_channel():
    for name in ("CODE_OF_CONDUCT.md", "SECURITY.md"):
        assert '("Report a vulnerability" under' in (ROOT / name).read_text(), name
    assert "CODE_OF_CONDUCT.md" in links("CONTRIBUTING.md")


@pytest.mark.parametrize("form", [form for form in FORMS if form.stem != "config"], ids=lambda form: form.stem)
def test_issue_forms_have_the_fields_that_github_reads(form):
    content = settings(form)
    assert {"name", "description", "body"} <= set(content)
    fields = [each for each in content["body"] if each["type"] != "markdown"]
    assert fields
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert field["type"] in ("textarea", "input", "dropdown", "checkboxes")
        assert field["attributes"]["label"]


def test_bug_reports_ask_for_command_version_and_log():
    body = settings(ROOT / ".github/ISSUE_TEMPLATE/bug.yml")["body"]
    assert {"command", "version", "log"} <= {field.get("id") for field in body}
    assert "SECURITY.md" in body[0]["attributes"]["value"]
    assert settings(ROOT / ".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_snakemake_finds_the_file_of_each_profile(profile):
    assert [path.name for path in profile.iterdir()] == ["profile.yaml"]
    assert get_profile_dir(str(profile)) == (profile, profile / "profile.yaml")
    assert isinstance(settings(profile / "profile.yaml"), dict)


def test_public_names_are_imported_lazily():
    program = "import sys, segcert; assert 'numpy' not in sys.modules; assert segcert.ABSTAIN == 255; segcert.Votes"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", check=True)


def test_snakefile_is_a_table_of_contents():
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 80
