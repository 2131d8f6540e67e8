"""Figures for a journal column: the right width, text that can be read and copied, and reproducible bytes."""

import itertools

import matplotlib as mpl
import pandas as pd
import pypdf
import pytest
from tests.unit.report.example_tables import PAIRINGS, SIGMAS, main_table

from segcert.report.figures import (
    DENOISER_LINES,
    budget_figure,
    certified_dice_figure,
    cost_figure,
    denoiser_figure,
    overview_figure,
    training_figure,
)
from segcert.report.style import (
    COLUMN,
    COLUMN_MM,
    HIGHEST_MM,
    MM,
    TEXT,
    TEXT_MM,
    by_dataset,
    save_for_page_and_paper,
    save_print,
)
from segcert.results.labels import describe_pairing

DATASETS = ("montgomery", "cvc_clinicdb")
MODELS = ("unet", "resunetpp", "deeplabv3plus")
POINTS = MM * 72


def history(kind, dataset, model, regime=""):
    losses = {"step": [10, 20], "train_loss": [0.5, 0.4], "score": [0.5, 0.6]}
    return pd.DataFrame(losses).assign(dataset=dataset, kind=kind, model=model, regime=regime)


def drawn():
    """Return the function of each figure, and the parts of its data that get a page each."""
    main = main_table(DATASETS, MODELS)
    budget = pd.concat([main.assign(draws=draws) for draws in (70, 110, 500)])
    costs = main.assign(gflop_per_image=range(1, len(main) + 1))
    scores = pd.DataFrame(
        [{"dataset": dataset, "sigma": sigma, "method": method, "psnr": 20, "ssim": 0.5}
         for dataset, sigma, method in itertools.product(DATASETS, SIGMAS, DENOISER_LINES)]
    )  # fmt: skip
    histories = [history("denoiser", dataset, dataset) for dataset in DATASETS]
    for network in itertools.product(DATASETS, MODELS, ("clean", "noise", "denoised")):
        histories.append(history("segmenter", *network))
    return {
        "certified_dice": (certified_dice_figure, by_dataset(main)),
        "budget": (budget_figure, by_dataset(budget)),
        "costs": (cost_figure, by_dataset(costs)),
        "denoisers": (denoiser_figure, by_dataset(scores)),
        "training": (training_figure, by_dataset(pd.concat(histories))),
    }


@pytest.mark.parametrize("name", drawn())
def test_each_data_set_has_a_page_as_wide_as_a_column(tmp_path, name):
    draw, parts = drawn()[name]
    save_print(tmp_path / f"{name}.pdf", draw, parts)
    save_print(tmp_path / f"again/{name}.pdf", draw, parts)
    reader = pypdf.PdfReader(tmp_path / f"{name}.pdf")
    assert len(reader.pages) == len(DATASETS)
    for page, dataset in zip(reader.pages, DATASETS, strict=True):
        assert float(page.mediabox.width) == pytest.approx(COLUMN_MM * POINTS, abs=0.01)
        assert 30 * POINTS < float(page.mediabox.height) <= HIGHEST_MM * POINTS
        assert dataset in "".join(page.extract_text().split())
        fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
        assert fonts
        for font in fonts:  # TrueType, embedded
            descendant = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
            assert descendant["/Subtype"] in ("/CIDFontType2", "/TrueType")
            assert "/FontFile2" in descendant["/FontDescriptor"]
    assert not {"/CreationDate", "/ModDate"} & reader.metadata.keys()
    assert (tmp_path / f"{name}.pdf").read_bytes() == (tmp_path / f"again/{name}.pdf").read_bytes()


@pytest.mark.parametrize("name", drawn())
def test_text_has_seven_or_eight_points_and_stays_inside_the_figure(name):
    draw, parts = drawn()[name]
    with COLUMN.text():
        figure = draw(parts[0], COLUMN)
        figure.draw_without_rendering()
        assert {text.get_fontsize() for text in figure.findobj(mpl.text.Text)} <= {7, 8}
        labels = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
        width, height = figure.bbox.size
        for text in [*labels, *figure.legends[0].texts]:
            box = text.get_window_extent()
            assert min(box.x0, box.y0) >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y1 <= height + 1, text
        for one, other in itertools.combinations([axes.title for axes in figure.axes if axes.get_title()], 2):
            assert not one.get_window_extent().overlaps(other.get_window_extent()), (one, other)
        for axes in figure.axes:
            label = axes.yaxis.label.get_window_extent()
            assert label.height <= 1.35 * axes.get_window_extent().height, axes.get_ylabel()


def test_page_and_paper_have_different_sizes(tmp_path):
    main = main_table(DATASETS)
    paths = [tmp_path / f"certified_dice.{suffix}" for suffix in ("svg", "png", "pdf")]
    before = dict(mpl.rcParams)
    save_for_page_and_paper(certified_dice_figure, main, by_dataset(main), paths)
    assert all(path.stat().st_size for path in paths)
    assert dict(mpl.rcParams) == before
    assert certified_dice_figure(main).get_figwidth() == 7.2
    assert 'width="518.4pt"' in paths[0].read_text()


@pytest.mark.parametrize("datasets", [DATASETS[:1], DATASETS])
def test_the_overview_shows_each_data_set_and_model(datasets):
    main = main_table(datasets, MODELS)
    figure = overview_figure(main, TEXT)
    assert figure.get_figwidth() == pytest.approx(TEXT_MM * MM)
    assert len(figure.axes) == len(MODELS) * 2
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == list(MODELS)
    for axes, (model, column) in zip(figure.axes, itertools.product(MODELS, range(2)), strict=True):
        dataset, metric = (
            (datasets[column], "certified_dice")
            if len(datasets) > 1
            else (datasets[0], ("certified_dice", "abstain")[column])
        )
        shown = {container.get_label(): list(container[0].get_ydata()) for container in axes.containers}
        rows = main[(main["dataset"] == dataset) & (main["model"] == model)]
        assert shown.pop("thin lines: Dice of the vote", None) == ([] if metric == "certified_dice" else None)
        assert shown == {
            describe_pairing(*pairing): list(values) for pairing, values in rows.groupby(["regime", "denoiser"])[metric]
        }
        assert len(shown) == len(PAIRINGS)
