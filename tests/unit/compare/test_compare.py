"""Comparison pages of runs with handwritten certificates and records."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from segcert.certification.methods import parse_looks
from segcert.cli import app
from segcert.compare.page import folder_name, write_comparison
from segcert.compare.runs import SHOWN, CompareError
from segcert.results.confidence import mean_interval

MODEL = ["dataset", "model", "regime", "denoiser", "sigma"]
ROW = {"model": "unet", "regime": "noise", "denoiser": "none", "sigma": 0.5}
SETTINGS = {"tau": 0.75, "alpha": 0.001, "n0": 10, "n": 100, "looks": "", "method": "segcertify", "k": 1}
METRICS = ["dice", "iou", "vote_dice", "certified_iou", "worst_case_dice", "abstain"]


class Root:
    """A checkout with runs of invented numbers. `write` takes certified Dice by row of the main table and by image."""

    def __init__(self, path):
        self.path = path

    def write(
        self, run, dice, *, dataset="d", pixels="", decisions=None, recorded=None, votes=True, lacks=(), **settings
    ):
        decided = SETTINGS | settings
        rows = [
            ROW | {"dataset": dataset} | dict(key) | decided | dict.fromkeys(METRICS, 0.5)
            | {"image": image, "group": image, "class_id": class_id, "certified_dice": value + change}
            | {"radius": 0.3, "radius_gray_levels": 1.0}
            for key, values in dice.items() for image, value in values.items()
            for class_id, change in ((1, 0.05), (2, -0.05))
        ]  # fmt: skip
        results = self.path / "results" / run
        results.mkdir(parents=True)
        pd.DataFrame(rows).drop(columns=list(lacks)).to_parquet(results / "certificates.parquet")
        if votes:
            shard = results / f"votes/{dataset}/unet-noise/none/sigma_0.5/shard_0.npz"
            shard.parent.mkdir(parents=True)
            about = {"sigma": 0.5, "digest": "", "measurements": []}
            images = {row["image"]: about | {"origin": {"image": row["image"] + pixels}} for row in rows}
            np.savez(shard, header=np.array(json.dumps({"format": "segcert-votes-2", "images": images})))
        configuration = {"run": run, **decided, "looks": list(parse_looks(decided["looks"]))} | (recorded or {})
        record = {
            "format": "segcert-record-2", "rule": "page", "wildcards": {}, "params": {"configuration": configuration},
            "inputs": {}, "outputs": {f"reports/{run}/index.html": "x"}, "code": {}, "environment": {}, "locks": {},
            "packages": {}, "seconds": 1, "peak_memory_mib": 1, "threads": 1, "started": "", "ended": "",
            "git": {"commit": None, "clean": None, "changed": []},
        }  # fmt: skip
        collected = record | {"rule": "collect", "params": {}, "decisions": decisions or {}}
        (results / "certificates.parquet.record.json").write_text(json.dumps(collected))
        page = self.path / "reports" / run / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("a page")
        (page.parent / "index.html.record.json").write_text(json.dumps(record))
        return self

    def compare(self, *runs):
        page = write_comparison(runs, self.path)
        table = pd.read_csv(page.parent / "tables/compare.csv", keep_default_na=False, na_values=[""])
        return page.read_text(), table


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def key(**values):
    return tuple(values.items())


def images(values, prefix="i"):
    return {f"{prefix}{number}": value for number, value in enumerate(values)}


RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.uniform(0.3, 0.6, 12), RNG.uniform(0.4, 0.7, 12)


def test_images_without_a_certified_dice_are_counted_beside_the_mean(root):
    """A structure is absent from two images of run b: it has no certified Dice there, and means skip it."""
    root.write("a", {(): images([0.5, 0.7, 0.6])}).write("b", {(): images([0.5, np.nan, np.nan])})
    page, table = root.compare("a", "b")
    assert list(table["undefined"]) == [0, 2]
    assert list(table["paired_images"])[1] == 1
    cells = re.findall(r'<td class="key">.*data-column="certified_dice".*</td>', page)
    assert ["2</data> undefined" in cell for cell in cells] == [False, True]
    assert "number of images on which a certified Dice is undefined" in page
    root.write("c", {(): images([0.5, 0.7, 0.6])})
    page, _ = root.compare("a", "c")
    assert "ndefined" not in page


def test_numbers_equal_an_independent_recomputation(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)}, method="holm")
    page, table = root.compare("a", "b")
    one, two = table.to_dict("records")
    assert (one["run"], one["note"], two["run"]) == ("a", "reference", "b")
    for row, values in ((one, FIRST), (two, SECOND)):
        shown = [row[f"certified_dice{end}"] for end in ("", "_low", "_high")]
        assert shown == pytest.approx(mean_interval(values))
        assert row["images"] == 12
    assert two["paired_images"] == 12
    difference = [two[f"difference{end}"] for end in ("", "_low", "_high")]
    assert difference == pytest.approx(mean_interval(SECOND - FIRST))
    assert np.isnan(one["difference"])
    shown = re.findall(r'<data value="([^"]+)" data-column="difference">([^<]+)</data>', page)
    assert [(float(exact), text) for exact, text in shown] == [(two["difference"], f"{two['difference']:+.3f}")]


def test_the_same_runs_give_the_same_bytes(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)})
    made = []
    for _ in range(2):
        root.compare("a", "b")
        made.append({path: path.read_bytes() for path in (root.path / "reports/a+b").rglob("*.*")})
    assert made[0] == made[1]


def test_only_common_images_are_paired(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND[:5]) | images(SECOND[5:], "new")})
    page, table = root.compare("a", "b")
    assert table["paired_images"][1] == 5
    assert table["difference"][1] == pytest.approx((SECOND[:5] - FIRST[:5]).mean())
    assert 'data-column="paired_images">5</data> images' in page


def test_a_reason_is_given_if_images_cannot_be_paired(root):
    root.write("a", {(): images(FIRST)})
    root.write("b", {(): images(SECOND, "other")}).write("c", {(): images(SECOND)}, pixels="of another size")
    root.write("d", {(): images([np.nan] * 12)}).write("e", {(): images(SECOND)}, votes=False)
    page, table = root.compare("a", "b", "c", "d", "e")
    notes = ["reference", "no image in common", "other pixels", "no number", "paired by name"]
    assert list(table["note"]) == notes
    assert table["difference"][:4].isna().all()
    assert table["difference"][4] == pytest.approx((SECOND - FIRST).mean())
    assert "b is not paired with a on d:" in page
    assert "c is not paired with a on d:" in page
    assert "e is paired with a on d by image names only" in page
    assert page.count("not paired <small>") == 3


def test_rows_that_a_run_lacks_are_marked(root):
    low, high = key(sigma=0.25), key(sigma=1.0)
    root.write("a", {low: images(FIRST)}).write("b", {low: images(SECOND), high: images(SECOND)})
    page, table = root.compare("a", "b")
    assert list(zip(table["sigma"], table["run"], table["note"].fillna(""), strict=True)) == [
        (0.25, "a", "reference"), (0.25, "b", ""), (1.0, "a", "not in this run"), (1.0, "b", "not in the first run"),
    ]  # fmt: skip
    assert np.isnan(table["certified_dice"][2])
    assert table["certified_dice"][3] == pytest.approx(SECOND.mean())
    assert page.count("not in this run") == page.count("not in the first run") == 1


def test_only_settings_that_differ_are_shown(root):
    recorded = [{"sampling": {"block_size": size, "batch_size": 7}, "seed": 3} for size in (10, 20)]
    root.write("a", {(): images(FIRST)}, recorded=recorded[0])
    root.write("b", {(): images(SECOND)}, method="holm", recorded=recorded[1] | {"new": [1]})
    page, _ = root.compare("a", "b")
    section = page[page.index('id="settings"') : page.index('id="results"')]
    cells = [re.findall(r"<code>(.*?)</code>", row) for row in re.findall(r"<tr>.*?</tr>", section)][1:]
    assert cells == [["method", "segcertify", "holm"], ["sampling.block_size", "10", "20"], ["new", "absent", "[1]"]]


def test_the_page_says_that_settings_are_equal(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)})
    page, _ = root.compare("a", "b")
    assert "The runs have the same configuration, according to" in page
    assert 'class="notice"' not in page


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"method": "by"}, ["have different guarantees", "b (by)", "at most the share alpha"]),
        ({"method": "kfwer", "k": 10}, ["have different guarantees", "b (kfwer)", "k = 10"]),
        ({"alpha": 0.01}, ["have different guarantees", "alpha = 0.01"]),
        ({"tau": 0.8}, ["radius differs at the same sigma", "b: tau = 0.8"]),
        ({"recorded": {"image_size": 32}}, ["images have different sizes", "b: 32 pixels"]),
        ({"decisions": {"most": 2, "later": 5}}, ["b: Decision 2 on this image and network; alpha covers one."]),
        ({"recorded": {"tau": 0.9}}, ["b was not finished", "different values of tau"]),
    ],
)
def test_differences_that_affect_the_comparison_are_at_the_top(root, settings, texts):
    root.write("a", {(): images(FIRST)}, recorded={"image_size": 64})
    root.write("b", {(): images(SECOND)}, **({"recorded": {"image_size": 64}} | settings))
    page, _ = root.compare("a", "b")
    top = page[: page.index('id="settings"')]
    for text in texts:
        assert text in top
    assert page.count('class="notice"') == 1


def test_holm_has_the_guarantee_of_segcertify_and_weaker_methods_are_marked(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)}, method="holm")
    root.write("c", {(): images(FIRST)}, method="by").write("d", {(): images(SECOND)}, method="by")
    assert "have different guarantees" not in root.compare("a", "b")[0]
    assert "A weaker guarantee" in root.compare("c", "d")[0]


def test_worst_case_dice_is_shown_only_where_it_is_a_bound(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)}, method="kfwer", k=10)
    root.write("c", {(): images(FIRST)}, method="by")
    mixed, _ = root.compare("a", "b")
    assert re.findall(r'data-column="worst_case_dice">([^<]*)<', mixed) == ["0.500"]
    assert mixed.count("no bound</td>") == 1
    assert "for a mean over N images, up to N times alpha" in mixed
    weaker, _ = root.compare("b", "c")
    assert "worst-case" not in weaker.lower()
    assert "lower bound" not in weaker.lower()


def test_a_run_without_a_record_is_compared_without_its_settings(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)}).write("c", {(): images(SECOND)}, tau=0.8)
    (root.path / "reports/b/index.html.record.json").unlink()
    page, table = root.compare("a", "b", "c")
    assert "The settings of b are unknown" in page
    assert table["difference"][1] == pytest.approx((SECOND - FIRST).mean())


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


def test_hostile_names_are_shown_as_text(root):
    nasty = "<img src=x onerror=alert(1)>$a_1$&quot;"
    root.write(nasty, {(): images(FIRST)}, dataset="<b>x").write("b", {(): images(SECOND)}, dataset="<b>x")
    page, table = root.compare(nasty, "b")
    assert set(table["run"]) == {nasty, "b"}
    assert not Tags(page).seen & {"img", "b", "script"}
    assert "$a_1$" in page[page.index("<svg") : page.index("</svg>")]


def test_long_names_give_a_short_folder_name():
    assert folder_name(["a", "b-c"]) == "a+b-c"
    names = [f"{letter * 60}" for letter in "abcdefgh"]
    assert len(folder_name(names)) < 255
    assert folder_name(names) != folder_name(names[::-1]) != folder_name([names[-1], *names[:-1]])


@pytest.mark.parametrize(
    ("runs", "texts"),
    [
        (["a"], ["found 1 runs", "2 to 8", "runs in this checkout: a, b, bare", "compare=[a,b]"]),
        ([], ["found 0 runs"]),
        (list("abcdefghi"), ["found 9 runs"]),
        (["a", "a"], ["the run a is listed twice"]),
        (["a", "z"], ["no run 'z'", "runs in this checkout: a, b, bare"]),
        (["a", "../results/b"], ["no run '../results/b'"]),
        (["a", "bare"], ["bare/certificates.parquet: not found", "snakemake --config run=bare", "dvc pull"]),
    ],
)
def test_errors_say_what_to_do(root, runs, texts):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)})
    (root.path / "results/bare").mkdir()
    (root.path / "results/.trail").mkdir()
    with pytest.raises(CompareError) as error:
        root.compare(*runs)
    for text in texts:
        assert text in str(error.value)
    assert not list((root.path / "reports").glob("*+*"))


def test_damaged_votes_are_named(root):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)})
    (shard,) = root.path.glob("results/b/votes/*/*/*/*/shard_0.npz")
    shard.write_bytes(b"PK\x03\x04torn")
    with pytest.raises(CompareError, match=r"shard_0\.npz: this is not a complete votes file"):
        root.compare("a", "b")


def test_missing_columns_are_named_and_the_others_are_compared(root):
    root.write("a", {(): images(FIRST)}, lacks=["vote_dice", "worst_case_dice"])
    root.write("b", {(): images(SECOND)}, new=1.0).write("c", {(): images(SECOND)})
    page, table = root.compare("a", "b", "c")
    top = page[: page.index('id="settings"')]
    heading = "lacks columns that another run or this version of segcert has:</strong>"
    assert f"a {heading} vote_dice, worst_case_dice, new. The" in top
    assert f"c {heading} new. The" in top
    assert top.count('class="notice"') == 2
    for column in ("vote_dice", "worst_case_dice"):
        assert list(table[column].isna()) == [True, False, False]
        assert f'data-column="{column}">n/a</data>' in page
    assert list(table["difference"][1:]) == pytest.approx([(SECOND - FIRST).mean()] * 2)


def test_runs_with_and_without_planned_looks_are_compared(root):
    root.write("a", {(): images(FIRST)}, lacks=["looks"])
    root.write("b", {(): images(SECOND)}, n=60, looks="60, 110", recorded={"n": 110})
    root.write("c", {(): images(SECOND)}, n=60, looks="60, 110", recorded={"n": 110, "looks": [50, 110]})
    page, table = root.compare("a", "b", "c")
    assert "10 + 60 or 110 (planned looks share alpha)</td>" in page
    assert "10 + 100</td>" in page
    assert list(table["looks"].fillna("")) == ["", "60, 110", "60, 110"]
    assert "Its page and its certificates have different values of looks." in page
    assert re.findall(r"(\w) was not finished after its last change", page) == ["c"]


def test_settings_and_images_are_compared_without_any_optional_column(root):
    root.write("a", {(): images(FIRST)}, lacks=SHOWN).write("b", {(): images(SECOND)}, tau=0.8)
    page, table = root.compare("a", "b")
    assert (list(table["note"]), list(table["images"])) == (["reference", "no number"], [12, 12])
    assert "radius differs at the same sigma" in page
    root.write("c", {(): images(FIRST)}, lacks=["tau"])
    with pytest.raises(CompareError, match=r"c/certificates\.parquet: found no column `tau`"):
        root.compare("a", "c")


def test_the_command_prints_the_path_of_the_page_or_exits_with_2(root, monkeypatch):
    root.write("a", {(): images(FIRST)}).write("b", {(): images(SECOND)})
    monkeypatch.chdir(root.path)
    for arguments, code, text in (("a b", 0, "reports/a+b/index.html"), ("a z", 2, "no run 'z'")):
        done = CliRunner().invoke(app, ["compare", *arguments.split()])
        assert done.exit_code == code
        assert text in (done.stderr if code else done.stdout)
