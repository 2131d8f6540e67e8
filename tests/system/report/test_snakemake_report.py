"""`snakemake --report` of a finished run, made and opened without a network."""

import re
import zipfile

import pytest
from tests.system.browser.opened import chromium, opened

OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
PICTURES = ("figures/gallery_*.png", "figures/data_*.png")  # other PNG files have SVG versions or belong to other files
CATEGORIES = {
    "Report": {"Other"},
    "Tables": {"Certificates", "Costs", "Networks"},
    "Figures": {"Certificates", "Costs", "Networks", "Gallery", "Provenance"},
    "Data": {"phantom"},
    "Paper": {"Figures", "Tables", "Summary"},
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module", params=["html", "zip"])
def report(request, finished_once, tmp_path_factory):
    """Return the path of the report: one HTML file, or the one in an unpacked archive."""
    path = tmp_path_factory.mktemp("report") / f"report.{request.param}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        finished_once.snakemake("--report", str(path))
    if request.param == "zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)
        path = path.parent / "report/report.html"
    return path


@pytest.fixture
def opened_report(browser, report):
    with opened(browser, report, 1280) as shown:
        yield shown
        # Snakemake's own page loads a style sheet that warns.
        assert [said for said in shown.complaints if "cdn.tailwindcss.com should not be" not in said] == []


def test_the_report_opens_offline_with_all_results_of_the_run(opened_report, finished_once):
    page = opened_report.page
    page.get_by_text("The run tiny certifies models by randomized smoothing at sigma 0.25, 0.5").wait_for()
    found = page.evaluate("categories")
    assert {name: set(each) for name, each in found.items()} == CATEGORIES
    assert {path for each in found.values() for paths in each.values() for path in paths} == rendered(finished_once)
    for category, subcategories in found.items():
        for subcategory, paths in subcategories.items():
            for path in paths:
                look_at(page, category, subcategory if len(subcategories) > 1 else None, path)


def rendered(checkout):
    """Return pages, documents, tables and figures of the run."""
    kinds = ("*.html", "*.pdf", "tables/*.csv", "tables/*.tex", "figures/*.svg", "figures/*.pdf", *PICTURES)
    files = [path for kind in kinds for path in checkout.files(f"reports/tiny/{kind}") if path.name != "audit.html"]
    return {path.relative_to(checkout.path).as_posix() for path in files}


def look_at(page, category, subcategory, path):
    """Open a result as a reader does: labels, caption, content. A category with one subcategory skips it."""
    result = page.evaluate("path => results[path]", path)
    page.evaluate("name => app.showCategory(name)", category)
    if subcategory:  # through the menu: the text next to it may contain the same word
        page.evaluate(
            "([category, subcategory]) => app.setView({navbarMode: 'subcategory', category, subcategory})",
            [category, subcategory],
        )
    for label in result["labels"].values():
        page.get_by_text(label, exact=True).first.wait_for()
    page.evaluate("path => app.showResultInfo(path)", path)
    caption = re.sub(r"<[^>]+>", " ", result["caption"]).split()
    assert len(caption) > 8, path
    assert "{" not in result["caption"], path
    page.get_by_text(" ".join(caption[:3])).first.wait_for()
    if path.endswith((".svg", ".png")):
        shown = [path, result["data_uri"]]
        page.evaluate("([path, data]) => app.setView({content: 'img', contentPath: data, resultPath: path})", shown)
        page.wait_for_function(
            "([path, data]) => [...document.images].some("
            "image => image.getAttribute('src') === data && image.complete && image.naturalWidth > 100)",
            arg=shown,
        )


def test_the_page_of_the_run_opens_in_the_report(opened_report):
    page = opened_report.page
    page.get_by_text("Report", exact=True).last.click()
    row = page.locator("tr", has_text="results").first
    row.locator("a").first.click()
    page.wait_for_function("document.querySelector('iframe') !== null")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Certified segmentation: tiny").wait_for()
    assert frame.locator(".first figure svg").count() == 1
