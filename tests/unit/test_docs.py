"""The documentation builds, asks nobody for anything, its links lead somewhere, and what is generated is up to date."""

import html.parser
import inspect
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from tests.support.pages import PAGES, ROOT, anchors, blocks, links, text_of

import segcert
from segcert.config.reference import REFERENCE, configuration_page

OFFLINE = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], "http://127.0.0.1:9")
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
LOADING_LINKS = ("stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest", "prefetch")


class Requests(html.parser.HTMLParser):
    """What a browser would load for a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag in LOADS and values.get(LOADS[tag]):
            self.found.append(values[LOADS[tag]])
        if tag == "link" and set((values.get("rel") or "").split()) & set(LOADING_LINKS):
            self.found.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built without a network."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env=os.environ | OFFLINE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built_and_no_file_that_is_none(site):
    built = {str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html")} - {"404"}
    assert built == {page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page.startswith("docs/")}
    assert not list(site.rglob("*.py"))


def test_pages_load_nothing_from_elsewhere(site):
    for path in sorted(site.rglob("*.html")):
        page = Requests()
        page.feed(path.read_text())
        assert len(page.found) > 3
        outside = [found for found in page.found if re.match(r"(\w+:)?//", found)]
        assert not outside, f"{path.relative_to(site)} loads {outside}"
        for found in page.found:
            where = site if found.startswith("/") else path.parent  # 404.html alone starts from the top
            file = where / urllib.parse.urlsplit(found).path.lstrip("/")
            assert found.startswith("data:") or file.is_file(), f"{path.relative_to(site)} loads {found}"
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text()), path.relative_to(site)


def test_the_search_works_without_a_server(site):
    """Its index is a script that a page can load, and the worker's stand-in is a file of the site."""
    assert (site / "search/search_index.js").read_text().startswith("var __index = {")
    assert 'src="assets/iframe-worker.js"' in (site / "index.html").read_text()


def test_public_names_are_on_the_page(site):
    page = (site / "reference/api.html").read_text()
    for name in segcert.__all__:
        assert f"segcert.{name}" in page, name
    assert not re.search(r"<p>[^<]*-----", page), "a section of a docstring that was not understood"


@pytest.mark.parametrize("name", [name for name in segcert.__all__ if name != "ABSTAIN"])
def test_each_parameter_of_a_public_name_has_an_entry_of_its_own(name):
    """Of `a, b` on one line the page would show the type and default of the first for both."""
    public = getattr(segcert, name)
    for parameter in inspect.signature(public).parameters:
        assert re.search(rf"^ *{parameter}$", public.__doc__, re.MULTILINE), f"{name}: {parameter}"


def test_the_page_of_the_configuration_is_generated_from_the_model():
    assert REFERENCE.read_text() == configuration_page(), "run `make config`"


def test_the_page_of_the_command_is_generated_from_it(tmp_path):
    (line,) = re.findall(r"^\t\$\(BIN\)/python (-m typer .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    *arguments, output = line.split()
    subprocess.run([sys.executable, *arguments, tmp_path / "page.md"], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / output).read_text() == (tmp_path / "page.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_code_is_read_by_the_tests(page):
    assert len(re.findall(r"^```", text_of(page), re.MULTILINE)) == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_lead_somewhere(page):
    for link in links(page):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            found = anchors(str(target.resolve().relative_to(ROOT)))
            assert anchor in found, f"{page} links to {link}; there are {sorted(found)}"


def test_links_to_elsewhere_are_well_formed_and_stand_once():
    seen = {}
    for page in PAGES:
        for link in links(page):
            if not re.match(r"\w+:", link):
                continue
            parts = urllib.parse.urlsplit(link)
            assert parts.scheme == "https", f"{page}: {link}"
            assert re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc), f"{page}: {link}"
            assert link not in seen, f"{link} stands in {seen[link]} and in {page}"
            seen[link] = page
    assert len(seen) > 3


def test_what_code_and_settings_say_of_pages_is_true():
    """Messages, comments and docstrings name pages of docs/ that are there."""
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
    assert len(text_of("README.md").splitlines()) <= 130


def test_no_picture_of_a_data_set_is_in_the_repository():
    """Pictures come from the phantom, or hold numbers alone."""
    names = {path.name for path in Path(ROOT / "docs/images").iterdir()}
    assert names == {
        "montgomery_certified_dice.png", "phantom_certificate.png", "phantom_gallery.png", "phantom_lineage.png",
    }  # fmt: skip
