"""The documentation builds offline, has all its pages, and loads nothing from elsewhere."""

import html.parser
import re
import sys
import urllib.parse

import pytest
from tests.support.checkout import run_in
from tests.support.pages import PAGES, ROOT

import segcert

OFFLINE = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], "http://127.0.0.1:9")
LOADS = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio"), "src") | {"object": "data"}
LOADING_LINKS = ("stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest", "prefetch")


class Requests(html.parser.HTMLParser):
    """The files that a browser would load for a page."""

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
    """Return the folder of the site, built without a network."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    run_in(ROOT, sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder, **OFFLINE)
    return folder


def test_exactly_the_pages_of_the_documentation_are_built(site):
    built = {str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html")} - {"404"}
    assert built == {page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page.startswith("docs/")}
    assert not list(site.rglob("*.py"))


def test_pages_load_nothing_from_other_servers(site):
    for path in sorted(site.rglob("*.html")):
        page = Requests()
        page.feed(path.read_text())
        assert len(page.found) > 3
        outside = [found for found in page.found if re.match(r"(\w+:)?//", found)]
        assert not outside, f"{path.relative_to(site)} loads {outside}"
        for found in page.found:
            where = site if found.startswith("/") else path.parent  # only 404.html uses absolute paths
            file = where / urllib.parse.urlsplit(found).path.lstrip("/")
            assert found.startswith("data:") or file.is_file(), f"{path.relative_to(site)} loads {found}"
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text()), path.relative_to(site)


def test_the_search_works_without_a_server(site):
    """The index is a script that a page can load, and a file of the site replaces the worker."""
    assert (site / "search/search_index.js").read_text().startswith("var __index = {")
    assert 'src="assets/iframe-worker.js"' in (site / "index.html").read_text()


def test_every_public_name_is_on_the_api_page(site):
    page = (site / "reference/api.html").read_text()
    for name in segcert.__all__:
        assert f"segcert.{name}" in page, name
    assert not re.search(r"<p>[^<]*-----", page), "a section of a docstring was not parsed"
