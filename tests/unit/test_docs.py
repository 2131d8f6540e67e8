"""Links of the documentation have targets, and generated pages are up to date. tests/system/docs builds the site."""

import inspect
import math
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from tests.support.pages import PAGES, ROOT, anchors, blocks, links, text_of

import segcert
from segcert.config.reference import REFERENCE, configuration_page


@pytest.mark.parametrize("name", [name for name in segcert.__all__ if name != "ABSTAIN"])
def test_each_parameter_of_a_public_name_has_its_own_entry(name):
    """With `a, b` on one line, the page would show the type and default of `a` for both."""
    public = getattr(segcert, name)
    for parameter in inspect.signature(public).parameters:
        assert re.search(rf"^ *{parameter}$", public.__doc__, re.MULTILINE), f"{name}: {parameter}"


def test_the_configuration_page_is_generated_from_the_model():
    assert REFERENCE.read_text() == configuration_page(), "run `make config`"


def test_the_command_page_is_generated_from_the_command(tmp_path):
    (line,) = re.findall(r"^\t\$\(DEV\)/python (-m typer .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    *arguments, output = line.split()
    subprocess.run([sys.executable, *arguments, tmp_path / "page.md"], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / output).read_text() == (tmp_path / "page.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_find_every_block_of_code(page):
    assert len(re.findall(r"^```", text_of(page), re.MULTILINE)) == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_have_a_target(page):
    for link in links(page):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            found = anchors(str(target.resolve().relative_to(ROOT)))
            assert anchor in found, f"{page} links to {link}; there are {sorted(found)}"


def test_external_links_are_well_formed_and_unique():
    seen = {}
    for page in PAGES:
        for link in links(page):
            if not re.match(r"\w+:", link):
                continue
            parts = urllib.parse.urlsplit(link)
            assert parts.scheme == "https", f"{page}: {link}"
            assert re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc), f"{page}: {link}"
            assert link not in seen, f"{link} is in {seen[link]} and in {page}"
            seen[link] = page
    assert len(seen) > 3


def test_pages_named_in_code_and_settings_exist():
    """Messages, comments and docstrings name existing pages of docs/."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    named = {}
    for name in listed:
        path = ROOT / name
        if path.suffix in (".py", ".yaml", ".yml", ".md", ".smk", ".json", ".j2", ".rst", ".toml") and path.is_file():
            for page in re.findall(r"(?<![\w/.])(docs/[\w/-]+\.md)", path.read_text()):
                named.setdefault(page, []).append(name)
    assert not {page: files for page, files in named.items() if not (ROOT / page).is_file()}
    assert "docs/how-to/own-data.md" in named or not listed


def test_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 110


def test_the_repository_contains_no_image_of_a_data_set():
    """Images come from the phantom or show only numbers."""
    names = {path.name for path in Path(ROOT / "docs/images").iterdir()}
    assert names == {
        "montgomery_certified_dice.png", "phantom_certificate.png", "phantom_gallery.png", "phantom_lineage.png",
    }  # fmt: skip


def test_the_noise_page_bounds_the_normal_numbers_of_a_gpu():
    """Box-Muller: the radius is sqrt(-2 ln u), and u is at least 2^-33; a pair exceeds it with probability 2^-33."""
    page = " ".join((ROOT / "docs/noise.md").read_text().split())
    assert f"circle of radius {math.sqrt(-2 * math.log(2**-33)):.1f}" in page
    assert "about 1 of 100,000 copies" in page
    assert 1e-5 < 256 * 256 * 3 / 2 * 2**-33 < 1.2e-5


def test_the_error_probability_of_several_images_is_stated():
    """Alpha is for one image; a mean over N images needs all N certificates to hold."""
    page = (ROOT / "docs/explanation/methods.md").read_text()
    assert "for all N images of a row together, the error probability is up to N alpha" in page
