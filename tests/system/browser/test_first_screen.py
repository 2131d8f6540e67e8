"""The first screen of the report, and the contents that stay in view."""

import json

import pandas as pd
import pytest

# The bottom of an element in pixels of the page, which is not scrolled.
BOTTOM = "element => element.getBoundingClientRect().bottom"
DRAWN = "document.getElementById('view').dataset.drawing === 'done'"
IN_VIEW = """element => {
  const { top, bottom, left, right } = element.getBoundingClientRect();
  return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
}"""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1000)])
def test_image_sentence_and_chart_are_above_the_fold(simulated, open_page, width, height):
    opened = open_page(simulated("usual").report / "index.html", viewport={"width": width, "height": height})
    page = opened.page
    for selector in (".lead", ".promise", ".panels img >> nth=1", ".first .plot svg"):
        assert page.locator(selector).evaluate(BOTTOM) <= height, selector
    assert page.locator(".panels img").count() == 2
    assert not opened.complaints


def test_the_sentence_has_the_numbers_of_the_best_pairing(simulated, open_page):
    run = simulated("usual")
    text = open_page(run.report / "index.html").page.locator(".lead").inner_text()
    main = pd.read_csv(run.report / "tables/main.csv")
    sigmas = sorted(main["sigma"].unique())
    at_sigma = main[main["sigma"] == sigmas[len(sigmas) // 2]]
    best = at_sigma.loc[at_sigma["certified_dice"].idxmax()]
    assert f"{best['images']} of 6 test images of phantom were certified" in text
    assert f"sigma = {best['sigma']:g}" in text
    assert f"certified Dice of {best['certified_dice']:.3f}" in text
    assert f"{best['abstain']:.1%} of the pixels" in text
    assert f"Dice is {best['dice']:.3f} without noise" in text
    assert f"vote of its noisy copies is {best['vote_dice']:.3f}" in text


def test_a_run_that_certifies_some_of_its_test_images_says_so(simulated, open_page):
    text = open_page(simulated("one_image").report / "index.html").page.locator(".lead").inner_text()
    assert "1 of 1 test image of phantom was certified" in text


def test_the_typical_image_opens_in_the_viewer(simulated, open_page):
    run = simulated("usual")
    page = open_page(run.report / "index.html").page
    facts = json.loads((run.report / "figures/typical_phantom.json").read_text())
    page.get_by_role("link", name="Open this image in the viewer").click()
    page.wait_for_function(DRAWN)
    chosen = {name: page.locator(f"[data-viewer='{name}']").input_value() for name in ("image", "model", "sigma")}
    assert chosen["image"] == facts["image"]
    assert chosen["model"] == f"{facts['model']}-{facts['regime']}/{facts['denoiser']}"
    assert float(chosen["sigma"]) == facts["sigma"]
    assert not page.locator("[data-viewer='error']").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_contents_stay_in_view_and_mark_the_section(simulated, open_page, width):
    opened = open_page(simulated("usual").report / "index.html", width)
    page = opened.page
    page.wait_for_function(DRAWN)  # until then, what is below the viewer moves
    marked = page.locator("nav [aria-current]")
    assert marked.inner_text() == "Summary"
    for name, heading in (("Curves", "Curves"), ("Attacks", "Attacks"), ("Summary", "Certified segmentation")):
        page.locator("nav").get_by_role("link", name=name, exact=True).click()
        page.wait_for_function("name => document.querySelector('nav [aria-current]').textContent === name", arg=name)
        assert marked.evaluate(IN_VIEW)
        title = page.get_by_role("heading", name=heading).first
        assert title.evaluate(IN_VIEW)
        covered = page.locator("nav").bounding_box()["height"] if width == 390 else 0
        assert title.bounding_box()["y"] >= covered
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('nav [aria-current]').textContent === 'Data'")
    assert marked.evaluate(IN_VIEW)
    targets = page.locator("nav a[href^='#']").evaluate_all("links => links.map(each => each.getAttribute('href'))")
    assert [target for target in targets if page.locator(target).count() != 1] == []
    assert not opened.complaints
