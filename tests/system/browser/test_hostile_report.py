"""Hostile names, titles and addresses in all files of a run: they remain text, and no file contains a secret.

test_every_page.py and test_opened_viewer.py open the pages; no browser is needed here.
"""

import html
import json
import re

import pytest
from tests.tools.simulated.variants import HOSTILE, SECRET

TEXT = {".html", ".tex", ".csv", ".md", ".json", ".svg", ".yaml", ".yml", ".log", ".tsv", ".dvc", ".txt", ".typ"}


@pytest.fixture(scope="module")
def run(simulated):
    return simulated("hostile_names")


def written(run, *endings):
    """Return the paths of the files that the run wrote."""
    tops = [run.checkout / name for name in ("data", "models", "results", "reports", "logs", ".segcert")]
    files = [path for top in tops for path in top.rglob("*") if path.is_file()]
    return [path for path in files if not endings or path.suffix in endings]


def test_no_command_in_a_name_was_run(run):
    assert not list(run.checkout.rglob("canary"))


def test_no_page_contains_markup_from_a_name(run):
    pages = written(run, ".html")
    assert len(pages) > 2
    for page in pages:
        text = page.read_text()
        for markup in ("<script>alert", "<img src=x", 'onerror="alert', "</script><script>alert"):
            assert markup not in text, f"{page.name}: {markup}"
    assert html.escape(HOSTILE, quote=False)[:30] in (run.report / "data.html").read_text().replace("&#34;", '"')


def test_no_latex_or_markdown_contains_commands_from_a_name(run):
    for path in written(run, ".tex"):
        assert "\\input{/etc" not in path.read_text(), path
        assert "\\input{x}" not in path.read_text(), path
    cards = [path for path in written(run, ".md") if "models" in path.parts]
    assert cards
    for card in cards:
        text = card.read_text()
        assert "<script>" not in text, card
        assert "[x](" not in text, card
        assert "&lt;script&gt;" in text, card


def test_no_written_file_contains_a_secret(run):
    files = written(run)
    assert len(files) > 50
    holding = [str(path) for path in files if SECRET.encode() in path.read_bytes()]
    assert not holding


def test_a_crate_contains_the_names_but_no_secrets(run, monkeypatch):
    from segcert.exchange.crate import write_crate

    crate = write_crate(run.name, run.checkout / "a.crate", root=run.checkout)
    described = json.loads((crate / "ro-crate-metadata.json").read_text())
    assert any(each.get("name") == HOSTILE for each in described["@graph"])
    assert all(re.fullmatch(r"[^\s<>\"{}|\\^`]*", each["@id"]) for each in described["@graph"])
    for path in crate.rglob("*"):
        assert not (path.is_file() and SECRET.encode() in path.read_bytes()), path
