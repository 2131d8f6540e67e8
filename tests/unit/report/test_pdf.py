"""The summary: always two complete pages, and no name can break them."""

import dataclasses
import datetime
import hashlib
import re
from pathlib import Path

import numpy as np
import pypdf
import pytest
from PIL import Image
from tests.unit.report.example_tables import HOSTILE, claim_table, main_table, measurement_table

from segcert.report import pdf
from segcert.report.alignment import Alignment
from segcert.report.data_summary import DataSummary
from segcert.report.gallery import Example, example_caption, example_figure
from segcert.report.pdf import write_summary
from segcert.report.pdf_tables import claims_table, measured_table, results_table
from segcert.report.style import save_figure

MODELS = ("unet", "resunetpp", "deeplabv3plus")
DATASETS = ("montgomery", "shenzhen", "jsrt", "isic2018", "cvc_clinicdb")
TERMS = "Ask before use. " * 8
LONG = "Author, A., Author, B. and others: A title that goes on and on, in a journal with a long name, 2020. " * 4
CERTIFICATES = Path(__file__)  # any file will do: the summary shows its SHA-256
A4 = (595.28, 841.89)


def data_summary(name, synthetic=False, leaks=False, **about):
    about = {
        "name": name, "title": f"The data set {name}", "synthetic": synthetic, "citation": f"Author of {name}, 2020",
        "licence": "CC BY 4.0", "terms": "Ask before use.", **about,
    }  # fmt: skip
    return DataSummary(about, "official", "official", leaks, 0, (), (), {}, {}, Alignment(0, None, {}, ()))


def example():
    random = np.random.default_rng(0)
    labels = {
        ("unet", "clean", denoiser): np.where(random.random((16, 16)) < 0.5, 255, 1) for denoiser in ("none", "ddpm")
    }
    return Example(
        title="The first image", image=random.random((1, 16, 16)), truth=np.ones((16, 16)), predictions={},
        denoised={sigma: random.random((2, 1, 16, 16)) for sigma in ("0.25", "0.5", "1")},
        certified=dict.fromkeys(("0.25", "0.5", "1"), labels),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _commit(monkeypatch):
    monkeypatch.setattr(pdf, "git_state", lambda: {"commit": "0123456789abcdef" * 2, "clean": True, "changed": []})
    monkeypatch.setattr(pdf, "commit_time", lambda: datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC))


AGAIN = {"decisions": {"most": 3, "later": 8}}  # in the run record of certificates that were decided again


def written(
    folder, main, claims=None, datasets=None, measurements=None, run="a run", name="summary.pdf", collected=None
):
    folder.mkdir(exist_ok=True)
    save_figure(example_figure(example()), folder / "example.png")
    write_summary(
        folder / name,
        run=run,
        main=main,
        measurements=measurement_table(main) if measurements is None else measurements,
        claims=claims,
        datasets=datasets or [data_summary(dataset) for dataset in main["dataset"].unique()],
        manifests={"jsrt": {"archives": [{"name": "a.zip", "official": False}]}},
        example=(folder / "example.png", example_caption(example())),
        certificates=CERTIFICATES,
        packages={"torch": "2.13.0", "pandas": "3.1.1"},
        collected=collected,
    )
    return pypdf.PdfReader(folder / name)


def text_of(page):
    """Return the text of a page without white space, so that line breaks and kerning do not matter."""
    return re.sub(r"\s+", "", page.extract_text().replace("-\n", ""))


def squeezed(text):
    return re.sub(r"\s+", "", text)


def assert_two_whole_pages(reader):
    assert len(reader.pages) == 2
    for page in reader.pages:
        assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(A4, abs=0.1)
        outside = []

        def visit(text, outer, inner, font, _, outside=outside):
            x, y = (inner[4] * outer[k] + inner[5] * outer[k + 2] + outer[k + 4] for k in (0, 1))
            in_figure = not font or "DejaVuSans" in str(font["/BaseFont"]).replace("DejaVuSansMono", "")
            if text.strip() and not in_figure and not (50 < x < 545 and 20 < y < 805):
                outside.append((text, x, y))

        page.extract_text(visitor_text=visit)
        assert not outside
    assert squeezed("1 of 2") in text_of(reader.pages[0])
    assert squeezed("2 of 2") in text_of(reader.pages[1])
    assert "Provenance" in text_of(reader.pages[1])
    assert hashlib.sha256(CERTIFICATES.read_bytes()).hexdigest() in text_of(reader.pages[1])


def test_a_small_run_shows_its_whole_main_table(tmp_path):
    main = main_table()
    reader = written(tmp_path, main, claim_table())
    assert_two_whole_pages(reader)
    first, second = map(text_of, reader.pages)
    for row in main.itertuples():
        interval = f"{row.certified_dice:.3f} [{row.certified_dice_low:.3f}, {row.certified_dice_high:.3f}]"
        assert squeezed(f"{row.vote_dice:.3f} {interval} {100 * row.abstain:.1f}%") in first
    for said in ("commit of 2024-02-29", "0.169, 0.337, 0.674", "no pixel of the image is certified wrongly",
                 "8 images of The data set phantom"):  # fmt: skip
        assert squeezed(said) in first
    for said in ("does not hold", "+0.100 [-0.050, +0.200]", "cardiothoracic_ratio", "The first image, sigma 0.5",
                 "stable, not that it is correct", "Author of phantom, 2020. Licence: CC BY 4.0", "torch 2.13.0",
                 "git checkout 0123456789ab"):  # fmt: skip
        assert squeezed(said) in second
    for absent in ("synthetic", "weaker", "Decision", "leaks", "left out", "official release"):
        assert absent not in first


def test_a_large_run_is_condensed_to_two_pages(tmp_path):
    main = main_table(DATASETS, MODELS, method="by")
    datasets = [data_summary(name, name == "isic2018", name == "cvc_clinicdb") for name in DATASETS]
    reader = written(tmp_path, main, claim_table(60), datasets, collected=AGAIN)
    assert_two_whole_pages(reader)
    first, second = map(text_of, reader.pages)
    table = results_table(main)
    assert len(table.rows) == 15
    assert "left out" not in table.note
    for row in table.rows:
        assert squeezed("".join(row)) in first
    for said in (
        "The data set isic2018: synthetic images", "A weaker guarantee",
        "Decision 3 on this image and network; alpha covers one.",
        "The data set cvc_clinicdb: the split leaks", "The data set jsrt: not the official release",
    ):  # fmt: skip
        assert squeezed(said) in first
    assert squeezed("2 of 10 measurements are left out") in second
    assert all(squeezed(f"Author of {name}") in second for name in DATASETS)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((("x" * 60,), tuple(f"{'m' * 40}{number}" for number in range(9)), (0.25,)), id="long names"),
        pytest.param((tuple(f"set{number}" for number in range(30)), MODELS, (0.25, 0.5)), id="thirty data sets"),
        pytest.param((DATASETS, MODELS, tuple(number / 10 for number in range(1, 24))), id="many noise levels"),
        pytest.param((("a",), ("unet",), (0.5,)), id="one noise level"),
    ],
)
def test_every_run_has_two_pages(tmp_path, case):
    main = main_table(*case, method="kfwer")
    datasets = [
        data_summary(name, True, True, title=f"{name} and a title that is longer than any", citation=LONG, terms=TERMS)
        for name in case[0]
    ]
    claims = claim_table(40).assign(claim=[f"{LONG[:120]} {number}" for number in range(40)])
    assert_two_whole_pages(written(tmp_path, main, claims, datasets, run="r" * 40, collected=AGAIN))


def test_the_note_counts_the_rows_left_out_and_names_their_file():
    main = main_table(tuple(f"set{number}" for number in range(30)), MODELS)
    table = results_table(main)
    shown = 8 * 10 * 3
    assert len(table.rows) == len(table.further.rows) == 8
    assert f"{len(main) - shown} of {len(main)} rows are left out" in table.further.note
    assert "tables/main.csv" in table.further.note


def test_claims_are_listed_or_counted():
    few, many = claims_table(claim_table(3)), claims_table(claim_table(36))
    assert [row[-1] for row in few.rows] == ["holds", "does not hold", "cannot be said"]
    assert [row[1:] for row in many.rows] == [["3", "3", "3"]] * 4


def test_measurements_are_shown_for_the_pairing_with_the_highest_certified_dice():
    main = main_table(("a", "b"), MODELS)
    best = main.groupby(["dataset", "model", "regime", "denoiser"])["certified_dice"].mean().groupby("dataset").idxmax()
    rows = measured_table(measurement_table(main), main).rows
    assert [row[1] for row in rows] == [", ".join(best[row[0]][1:]) for row in rows]
    assert {row[0] for row in rows} == {"a", "b"}


def test_a_run_without_measurements_and_claims_has_two_pages(tmp_path):
    main = main_table()
    reader = written(tmp_path, main, measurements=measurement_table(main).iloc[:0])
    assert_two_whole_pages(reader)
    assert "Certifiedmeasurements" not in text_of(reader.pages[1])
    assert "claims" not in text_of(reader.pages[1])


def test_an_absent_structure_has_no_number(tmp_path):
    main = main_table()
    main.loc[0, ["certified_dice", "certified_dice_low", "certified_dice_high"]] = np.nan
    assert squeezed("n/a [n/a, n/a]") in text_of(written(tmp_path, main).pages[0])


@pytest.mark.parametrize("name", [HOSTILE, '#read("/etc/passwd")', '"; #panic("no")', "*a* _b_ $c$ `d` @e <f> = g"])
def test_names_are_not_read_as_markup(tmp_path, name):
    main = main_table((name,), (name, "unet"))
    reader = written(tmp_path, main, claim_table().assign(claim=name), [data_summary(name)], run=name)
    assert_two_whole_pages(reader)
    first, second = map(text_of, reader.pages)
    assert squeezed(f"Certified segmentation: {name}") in first
    assert squeezed(f"The data set {name}") in first
    assert squeezed(name[:20]) in second


def test_the_same_run_gives_the_same_bytes_with_metadata(tmp_path):
    main = main_table()
    reader = written(tmp_path / "one", main, claim_table())
    written(tmp_path / "two", main, claim_table())
    content = (tmp_path / "one/summary.pdf").read_bytes()
    assert content == (tmp_path / "two/summary.pdf").read_bytes()
    assert reader.metadata.title == "segcert: summary of the run a run"
    assert reader.metadata.creation_date.date() == datetime.date(2024, 2, 29)
    catalogue = reader.trailer["/Root"]
    assert catalogue["/Lang"] == "en"
    assert catalogue["/MarkInfo"]["/Marked"]
    figures = alternative_texts(catalogue["/StructTreeRoot"])
    assert any("certified Dice" in text or "Certified Dice" in text for text in figures)
    assert any("The first image" in text for text in figures)


def alternative_texts(node):
    node = node.get_object()
    if isinstance(node, list):
        return [text for child in node for text in alternative_texts(child)]
    if not isinstance(node, dict):
        return []
    found = [str(node["/Alt"])] if node.get("/S") == "/Figure" and "/Alt" in node else []
    return found + (alternative_texts(node["/K"]) if "/K" in node else [])


def test_a_run_outside_git_has_no_date(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "git_state", lambda: {"commit": None, "clean": None, "changed": []})
    first, second = map(text_of, written(tmp_path, main_table()).pages)
    assert "commitof" not in first
    assert squeezed("Not run from a git checkout") in second


def test_the_example_shows_the_noise_level_in_the_middle(tmp_path):
    figure = example_figure(example())
    assert [axes.get_title() for axes in figure.axes] == [
        "image", "ground truth", "noisy", "denoised", "unet (clean),\nno denoiser", "unet (clean),\ndenoiser",
    ]  # fmt: skip
    share = np.mean(example().certified["0.5"]["unet", "clean", "none"] == 255)
    assert f"no denoiser: {share:.0%}" in example_caption(example())
    without = dataclasses.replace(example(), denoised={})
    assert len(example_figure(without).axes) == 4
    save_figure(figure, tmp_path / "example.png")
    with Image.open(tmp_path / "example.png") as picture:
        assert picture.width == int(174 / 25.4 * 150)


def test_planned_looks_are_named():
    main = main_table().assign(n=62.5, looks="60, 110, 300")
    assert "10 + 60, 110 or 300 (planned looks share alpha) noisy copies of each image" in pdf._guarantee(main)
