"""Every page of a run is complete, accessible, works offline, and logs no messages."""

import io
import re
import unicodedata

import pypdf
import pytest

PAGES = ("index.html", "data.html", "audit.html")
RUNS = ("usual", "two_sets", "hostile_names", "one_image", "empty_structure", "one_class", "weaker")
EVERY = [*(("usual", name) for name in PAGES), *((run, name) for run in RUNS[1:3] for name in PAGES[:2])]
EVERY += [(run, "index.html") for run in RUNS[3:]]
LOOKS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]
SKIPS = """() => {
  const headings = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')];
  const level = heading => heading ? Number(heading.tagName[1]) : 0;
  return headings.filter((each, k) => level(each) > level(headings[k - 1]) + 1).map(each => each.outerHTML);
}"""
TURNED = "\u202e.*?\u202c"  # text from right to left: a PDF contains its letters in visual order
# Links to downloads and controls only work on a screen, so they are not printed.
FOLDED = """() => [...document.querySelectorAll('details *:not(svg *, .downloads *, .controls *, .filter *, script)')]
  .filter(each => each.children.length === 0 && each.textContent.trim() && !each.getClientRects().length)
  .map(each => each.textContent.trim().slice(0, 80))"""


def every(*parameters):
    return pytest.mark.parametrize(("run", "name", *parameters), EVERY if not parameters else LOOKED)


# All looks of the usual run. The other runs have the same styles: the narrow look shows if their texts fit.
LOOKED = [(run, name, *look) for run, name in EVERY for look in (LOOKS if run == "usual" else LOOKS[:1])]


@every()
def test_pages_open_offline_without_messages_and_with_ordered_headings(simulated, open_page, run, name):
    opened = open_page(simulated(run).report / name)
    assert opened.complaints == []
    page = opened.page
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title()
    assert page.locator("h1").count() == 1
    assert page.evaluate(SKIPS) == []
    assert page.evaluate("[...document.images].filter(each => !each.alt.trim()).length") == 0
    assert page.evaluate("[...document.images].filter(each => each.complete && !each.naturalWidth).length") == 0


@every("width", "color_scheme")
def test_pages_are_accessible_and_fit_the_window(simulated, open_page, run, name, width, color_scheme):
    opened = open_page(simulated(run).report / name, width, color_scheme=color_scheme)
    opened.open_details()
    assert opened.faults() == []
    assert opened.overflow() <= 0


@every()
def test_pages_print_completely(simulated, open_page, run, name):
    opened = open_page(simulated(run).report / name)
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate(FOLDED) == []
    headings = opened.page.locator("h1, h2").all_inner_texts()
    pdf = pypdf.PdfReader(io.BytesIO(opened.page.pdf(format="A4")))
    text = squeezed("".join(page.extract_text() for page in pdf.pages))
    assert 1 <= len(pdf.pages) <= 40
    pieces = [piece for heading in headings for piece in re.split(TURNED, heading)]
    assert [piece for piece in pieces if squeezed(piece) not in text] == []


def squeezed(text):
    """Return letters and digits alone, without ligatures: a PDF has no white space, and fonts lack some signs."""
    return "".join(each for each in unicodedata.normalize("NFKC", text) if each.isascii() and each.isalnum())
