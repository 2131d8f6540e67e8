"""The viewer of the page: controls, deep links, painted images, and the numbers of the run."""

import base64
import io
import itertools
import math
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segcert.data.dataset import PreparedDataset
from segcert.report.viewer import CLASS_NUMBERS

LAYERS = ["image", "noisy", "denoised", "truth", "prediction", "certified", "radius", "difference"]


@pytest.fixture
def view(simulated, open_page):
    """Return a function that opens the viewer of a simulated run, optionally at a link."""

    def look(variant, fragment="", **options):
        return Viewer(
            simulated(variant), open_page(simulated(variant).report / "index.html", fragment=fragment, **options)
        )

    return look


class Viewer:
    """The viewer in an open page, and the run behind it."""

    def __init__(self, run, opened):
        self.run, self.opened, self.page = run, opened, opened.page
        self.root = self.page.locator("#view")
        self.wait()

    def wait(self):
        self.page.wait_for_function("document.getElementById('view').dataset.drawing === 'done'")

    def part(self, name):
        return self.root.locator(f"[data-viewer='{name}']")

    def press(self, name):
        self.part(name).click()
        self.wait()

    def choose(self, name, value):
        self.part(name).select_option(value)
        self.wait()

    def chosen(self, name):
        return self.part(name).input_value()

    def options(self, name):
        return [option.get_attribute("value") for option in self.part(name).locator("option").all()]

    def pixels(self, canvas):
        png = base64.b64decode(canvas.evaluate("canvas => canvas.toDataURL()").partition("base64,")[2])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))

    def layer(self, name):
        return self.root.locator(f"[data-layer='{name}']")

    def address(self):
        return {key: values[0] for key, values in parse_qs(self.page.url.partition("#view?")[2]).items()}

    def rows(self):
        """Return the rows of certificates.parquet that the view shows."""
        rows = pd.read_parquet(self.run.checkout / "results" / self.run.name / "certificates.parquet")
        segmenter, denoiser = self.chosen("model").split("/")
        return rows[
            (rows["dataset"] == self.chosen("dataset"))
            & (rows["model"] + "-" + rows["regime"] == segmenter)
            & (rows["denoiser"] == denoiser)
            & (rows["sigma"] == float(self.chosen("sigma")))
        ]


def test_every_layer_is_painted_and_no_two_layers_are_equal(view):
    viewer = view("usual")
    viewer.choose("image", viewer.options("image")[0])  # the worst: the prediction of another may be the ground truth
    pictures = {name: viewer.pixels(viewer.layer(name).locator("canvas")) for name in LAYERS}
    for name, picture in pictures.items():
        assert picture[..., :3].std() > 5, f"{name} is blank"
        assert (picture[..., 3] == 255).all(), f"{name} is not painted everywhere"
    for one, other in itertools.combinations(LAYERS, 2):
        assert (pictures[one] != pictures[other]).any(), f"{one} and {other} are the same"


def test_the_viewer_shows_prepared_images_and_certificates(view):
    viewer = view("usual")
    name = viewer.chosen("image")
    dataset = PreparedDataset(viewer.run.checkout / "data/prepared/phantom/index.csv")
    picture = viewer.pixels(viewer.layer("image").locator("canvas"))
    scale = picture.shape[0] // dataset.mask(name).shape[0]
    expected = np.round(255 * dataset.image(name)[0]).repeat(scale, 0).repeat(scale, 1)
    np.testing.assert_array_equal(picture[..., 0], expected)
    segmenter, denoiser = viewer.chosen("model").split("/")
    results = viewer.run.checkout / "results" / viewer.run.name / "certificates/phantom"
    labels = np.load(results / segmenter / denoiser / f"sigma_{viewer.chosen('sigma')}.npz")[name]
    certified = viewer.pixels(viewer.layer("certified").locator("canvas"))
    changed = (certified != picture).any(axis=-1).reshape(labels.shape[0], scale, labels.shape[1], scale)
    np.testing.assert_array_equal(changed.any(axis=(1, 3)), labels != 0)  # exactly these are tinted or hatched
    blue = np.array([0x56, 0xB4, 0xE9])
    first = certified[::scale, ::scale, :3][labels == 1]
    base = picture[::scale, ::scale, :3][labels == 1]
    np.testing.assert_allclose(first, base + (blue - base.astype(float)) * 140 / 255, atol=2)


def test_the_numbers_of_an_image_equal_those_of_its_certificates(view):
    viewer = view("usual")
    shown = 0
    for model, sigma in itertools.product(viewer.options("model"), viewer.options("sigma")):
        viewer.choose("model", model)
        viewer.choose("sigma", sigma)
        for image in viewer.options("image")[:3]:
            viewer.choose("image", image)
            rows = viewer.rows().query("image == @image")
            for row, line in zip(rows.to_dict("records"), viewer.part("numbers").locator("tr").all(), strict=True):
                assert line.locator("th").text_content() == row["class_name"]
                columns = CLASS_NUMBERS[1:]
                values = [data.get_attribute("value") for data in line.locator("data").all()]
                assert [float(value) for value in values] == [row[column] for column in columns]
                texts = line.locator("td data").all_text_contents()[:5]
                assert [float(text) for text in texts] == pytest.approx(
                    [row[column] for column in columns[:5]], abs=5.1e-4
                )
                shown += 1
            facts = [data.get_attribute("value") for data in viewer.part("facts").locator("data").all()]
            expected = rows.iloc[0][["abstain", "radius", "radius_gray_levels"]]
            assert [float(value) for value in facts] == list(expected)
    assert shown >= 3 * 2 * 4


def test_worst_and_best_images_come_first(view):
    viewer = view("usual")
    for model in viewer.options("model"):
        viewer.choose("model", model)
        dice = viewer.rows().groupby("image")["certified_dice"].mean()
        groups = {
            group.get_attribute("label"): [option.get_attribute("value") for option in group.locator("option").all()]
            for group in viewer.part("image").locator("optgroup").all()
        }
        worst = next(images for label, images in groups.items() if label.startswith("worst"))
        assert list(dice[worst]) == sorted(dice)[:5]
        best = next((images for label, images in groups.items() if label.startswith("best")), [])
        assert list(dice[best]) == sorted(dice, reverse=True)[: len(best)]
        assert sorted(itertools.chain(*groups.values())) == sorted(dice.index)


def test_it_opens_on_an_image_of_median_certified_dice(view):
    viewer = view("usual")
    dice = viewer.rows().groupby("image")["certified_dice"].mean().sort_values()
    assert dice[viewer.chosen("image")] == dice.iloc[(len(dice) - 1) // 2]


def test_every_control_changes_the_view_and_its_address(view):
    viewer = view("two_sets")
    for name in ("dataset", "model", "sigma", "image", "left", "right"):
        before = viewer.pixels(viewer.part("right-canvas" if name != "left" else "left-canvas"))
        other = next(value for value in viewer.options(name) if value != viewer.chosen(name))
        viewer.choose(name, other)
        assert viewer.address()[name] == other
        after = viewer.pixels(viewer.part("right-canvas" if name != "left" else "left-canvas"))
        assert before.shape != after.shape or (before != after).any(), name
    for layer in LAYERS:
        viewer.layer(layer).click()
        viewer.wait()
        assert viewer.chosen("right") == layer
        assert viewer.layer(layer).get_attribute("aria-pressed") == "true"
        assert viewer.root.locator("[aria-pressed='true']").count() == 1
    seen = [viewer.chosen("image")]
    for _ in viewer.options("image"):
        viewer.press("next")
        seen.append(viewer.chosen("image"))
    assert seen[0] == seen[-1]
    assert set(seen) == set(viewer.options("image"))
    viewer.press("previous")
    assert viewer.chosen("image") == seen[-2]
    assert not viewer.opened.complaints


def test_the_divider_moves_by_keyboard_and_by_pointer(view):
    viewer = view("usual")
    clip = "element => element.style.clipPath"
    viewer.part("divider").focus()
    viewer.page.keyboard.press("Home")
    assert viewer.part("over").evaluate(clip) == "inset(0px 0px 0px 0%)"
    viewer.page.keyboard.press("End")
    assert viewer.part("over").evaluate(clip) == "inset(0px 0px 0px 100%)"
    box = viewer.part("stage").bounding_box()
    viewer.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    viewer.page.mouse.up()
    assert math.isclose(float(viewer.part("divider").input_value()), 25, abs_tol=1)
    assert viewer.address()["at"] == viewer.part("divider").input_value()


def test_a_link_opens_the_same_view(view):
    viewer = view("two_sets")
    choices = {"dataset": "isic2018", "model": "resunetpp-noise/ddpm", "sigma": "1", "right": "radius", "left": "truth"}
    for name, value in choices.items():
        viewer.choose(name, value)
    viewer.choose("image", viewer.options("image")[2])
    fragment = viewer.part("link").get_attribute("href")
    again = view("two_sets", fragment)
    names = ("dataset", "model", "sigma", "image", "left", "right")
    assert [again.chosen(name) for name in names] == [viewer.chosen(name) for name in names]
    np.testing.assert_array_equal(again.pixels(again.part("right-canvas")), viewer.pixels(viewer.part("right-canvas")))
    assert again.page.evaluate("scrollY") > 0


def test_a_link_to_a_missing_image_opens_an_existing_one(view):
    viewer = view("usual", "#view?dataset=elsewhere&image=gone&model=x/y&sigma=9&right=nothing&at=abc")
    assert viewer.chosen("dataset") == "phantom"
    assert viewer.chosen("image") in viewer.options("image")
    assert all(name in viewer.part("error").text_content() for name in ("elsewhere", "gone", "x/y", "9", "nothing"))
    viewer.press("next")
    assert not viewer.part("error").is_visible()
    assert not viewer.opened.complaints


def test_the_viewer_says_what_is_missing(view):
    bare = view("one_class")
    assert "no denoiser" in bare.layer("denoised").text_content()
    assert bare.pixels(bare.layer("noisy").locator("canvas"))[..., :3].std() > 5  # the noisy copy exists
    empty = view("empty_structure")
    assert "n/a" in empty.part("numbers").text_content()
    assert len(view("one_image").options("image")) == 1


def test_images_without_copies_and_parts_outside_the_page(view):
    viewer = view("weaker")
    page = (viewer.run.report / "index.html").read_text()
    assert "segcertViewer.take(" not in page
    rows = viewer.rows().groupby("image")["certified_dice"].mean().sort_values()
    shown = viewer.options("image")
    assert {*rows.index[:5], *rows.index[-5:], "phantom_test_0000", "phantom_test_0001"} == set(shown)
    without = next(name for name in shown if name not in ("phantom_test_0000", "phantom_test_0001"))
    viewer.choose("image", without)
    assert "no noisy copy" in viewer.layer("noisy").text_content()
    assert "no denoised copy" in viewer.layer("denoised").text_content()
    viewer.choose("image", "phantom_test_0000")
    assert viewer.pixels(viewer.layer("noisy").locator("canvas"))[..., :3].std() > 5
    text = viewer.page.locator("main").text_content()
    assert "weaker guarantee" in text
    assert "orst-case Dice" not in text
    assert (
        viewer.page.locator("#view thead").first.locator("th").count()
        == viewer.part("numbers").locator("tr").first.locator("th, td").count()
    )
    assert not viewer.opened.complaints


def test_hostile_names_are_shown_as_text(view):
    viewer = view("hostile_names")
    assert "<img" in viewer.part("image").text_content()
    viewer.press("next")
    assert viewer.page.locator("img[src='x']").count() == 0
    assert not viewer.opened.complaints


PICK = """const pick = (name, value) => {
    const select = document.querySelector(`#view [data-viewer='${name}']`);
    select.value = value;
    select.dispatchEvent(new Event('change'));
};"""


def test_the_last_choice_is_shown_even_if_an_earlier_one_is_slow(view):
    viewer = view("usual")
    viewer.choose("right", "noisy")
    expected, facts = viewer.pixels(viewer.part("right-canvas")), viewer.part("facts").text_content()
    chosen = viewer.chosen("sigma")
    other = next(value for value in viewer.options("sigma") if value != chosen)
    viewer.page.evaluate(
        f"""async ([chosen, other]) => {{
        {PICK}
        const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const decode = Image.prototype.decode;
        Image.prototype.decode = async function () {{ await later(200); return decode.call(this); }};
        pick('sigma', other);
        await later(20);  // it is being painted
        pick('sigma', chosen);
        await later(700);
        }}""",
        [chosen, other],
    )
    np.testing.assert_array_equal(viewer.pixels(viewer.part("right-canvas")), expected)
    assert viewer.part("facts").text_content() == facts
    assert viewer.chosen("sigma") == chosen


def test_a_choice_made_while_a_data_set_loads_keeps_its_images(view):
    viewer = view("two_sets")
    viewer.page.evaluate(f"() => {{ {PICK} pick('dataset', 'isic2018'); pick('right', 'truth'); }}")
    viewer.wait()
    assert viewer.chosen("dataset") == "isic2018"
    assert viewer.chosen("image") in set(viewer.rows()["image"])
    assert not viewer.part("error").is_visible()
    assert not viewer.opened.complaints
