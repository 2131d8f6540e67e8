"""What holds for every page of a run: it is whole, silent, offline, and everyone can read it."""

import io

import pypdf
import pytest

PAGES = ("index.html", "data.html", "audit.html")
RUNS = ("usual", "two_sets", "hostile_names", "one_image", "empty_structure", "no_denoiser")
EVERY = [(variant, name) for variant in RUNS for name in PAGES]
SKIPS = """() => {
  const levels = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(each => [Number(each.tagName[1]), each.textContent]);
  return levels.filter(([level], k) => level > (k ? levels[k - 1][0] : 0) + 1).map(([level, text]) => `h${level} ${text}`);
}"""
FOLDED = """() => [...document.querySelectorAll('details, details *')]
  .filter(each => each.children.length === 0 && each.textContent.trim() && !each.getClientRects().length)
  .map(each => each.textContent.trim().slice(0, 80))"""


@pytest.fixture(params=EVERY, ids=lambda each: "-".join(each))
def path(request, simulated):
    variant, name = request.param
    return simulated(variant).report / name


def test_silent_offline_and_in_order(path, open_page):
    opened = open_page(path)
    assert opened.complaints == []
    page = opened.page
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title()
    assert page.locator("h1").count() == 1
    assert page.evaluate(SKIPS) == []
    without = page.evaluate("[...document.images].filter(each => !each.alt.trim()).length")
    assert without == 0
    broken = page.evaluate("[...document.images].filter(each => each.complete && !each.naturalWidth).length")
    assert broken == 0


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_everyone_can_read_it(path, open_page, width, color_scheme):
    opened = open_page(path, width, color_scheme=color_scheme)
    opened.open_details()
    assert opened.faults() == []
    assert opened.overflow() <= 0


def test_prints_whole(path, open_page):
    opened = open_page(path)
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate(FOLDED) == []
    headings = opened.page.locator("h1, h2").all_inner_texts()
    pdf = pypdf.PdfReader(io.BytesIO(opened.page.pdf(format="A4")))
    text = squeezed("".join(page.extract_text() for page in pdf.pages))
    assert 1 <= len(pdf.pages) <= 40
    missing = [heading for heading in headings if squeezed(heading) not in text]
    assert missing == []


def squeezed(text):
    """Without white space: a PDF has none of its own."""
    return "".join(text.split())
