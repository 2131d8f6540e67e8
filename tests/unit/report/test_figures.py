"""Figures stay readable with many models and pairings."""

import itertools
from typing import get_args

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.unit.report import example_tables
from tests.unit.report.example_tables import PAIRINGS

from segcert.config.schema import Config
from segcert.report.figures import (
    DENOISER_LINES,
    area_figure,
    budget_figure,
    certified_dice_figure,
    denoiser_figure,
    radius_figure,
    read_histories,
    shown_pairing,
    training_figure,
)
from segcert.report.style import line

MODELS = ("unet", "resunetpp", "deeplabv3plus")
SIGMAS = (0.25, 0.5)


def options(key):
    return get_args(get_args(Config.model_fields[key].annotation)[0])


def main_table(models, datasets=("phantom",)):
    return example_tables.main_table(datasets, models, SIGMAS)


def budget_table(models):
    """A forecast with the run's method, holm, first; all certified areas differ."""
    grid = itertools.product(("holm", "segcertify", "kfwer", "by"), (20, 50))
    tables = [main_table(models).assign(method=method, draws=draws) for method, draws in grid]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(certified_area=table.index / len(table))


def test_every_pairing_that_a_configuration_allows_has_a_distinct_look():
    pairings = [*itertools.product((*options("regimes"), "given"), options("denoisers"))]
    pairings.remove(("denoised", "none"))
    looks = [line(*pairing) for pairing in pairings]
    for keys in (["color"], ["linestyle", "marker"], ["label"]):
        assert len({tuple(look[key] for key in keys) for look in looks}) == len(pairings), keys
    assert set(DENOISER_LINES) == {"noisy", "nl_means", "wavelet", *options("denoisers")} - {"none"}


@pytest.mark.parametrize(("models", "shape"), [(MODELS[:1], (2, 2)), (MODELS, (4, 3))])
def test_each_model_has_its_own_panels(models, shape):
    table = main_table(models, ("phantom", "montgomery"))
    figure = certified_dice_figure(table)
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    assert (rows, columns) == shape
    titles = [panel.get_title() for panel in figure.axes]
    assert sorted(titles) == sorted(
        2 * [f"{dataset}, {model}" for dataset in set(table["dataset"]) for model in models]
    )
    for panel in figure.axes:
        dataset, model = panel.get_title().split(", ")
        metric = "certified_dice" if panel.get_ylabel() == "certified Dice" else "abstain"
        drawn = {container.get_label(): list(container[0].get_ydata()) for container in panel.containers}
        assert drawn.pop("thin lines: Dice of the vote", None) == ([] if metric == "certified_dice" else None)
        chosen = table[(table["dataset"] == dataset) & (table["model"] == model)]
        assert drawn == {
            line(*pairing)["label"]: list(values) for pairing, values in chosen.groupby(["regime", "denoiser"])[metric]
        }
        thin = {each.get_color(): list(each.get_ydata()) for each in panel.lines if each.get_linewidth() < 1}
        votes = {
            line(*pairing)["color"]: list(values)
            for pairing, values in chosen.groupby(["regime", "denoiser"])["vote_dice"]
        }
        assert thin == (votes | {"gray": []} if metric == "certified_dice" else {})
    (legend,) = figure.legends
    assert len(legend.texts) == len(PAIRINGS) + 1


def test_budgets_have_a_row_per_model():
    table = budget_table(MODELS)
    figure = budget_figure(table)
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 2)
    assert all(len(panel.lines) == len(PAIRINGS) for panel in figure.axes)
    assert len(figure.legends[0].texts) == len(PAIRINGS)
    own = table[(table["method"] == "holm") & (table["model"] == "unet") & (table["sigma"] == SIGMAS[0])]
    drawn = [list(each.get_ydata()) for each in figure.axes[0].lines]
    assert drawn == [list(rows["certified_dice"]) for _, rows in own.groupby(["regime", "denoiser"], sort=False)]


def test_areas_have_a_line_per_method_for_the_pairing_in_the_title():
    table = budget_table(MODELS)
    figure = area_figure(table)
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 2)
    assert figure.get_suptitle() == "trained on clean images, behind the denoiser"
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "holm", "segcertify", "kfwer (weaker guarantee)", "by (weaker guarantee)",
    ]  # fmt: skip
    for panel, (model, sigma) in zip(figure.axes, itertools.product(MODELS, SIGMAS), strict=True):
        shown = table[(table["regime"] == "clean") & (table["denoiser"] == "ddpm") & (table["model"] == model)]
        by_method = shown[shown["sigma"] == sigma].groupby("method", sort=False)
        expected = [list(rows["certified_area"]) for _, rows in by_method]
        assert [list(each.get_ydata()) for each in panel.lines] == expected


@pytest.mark.parametrize(
    ("pairings", "shown"),
    [
        ([("noise", "none"), ("clean", "none"), ("clean", "adm256"), ("clean", "ddpm")], ("clean", "adm256")),
        ([("clean", "none"), ("noise", "none")], ("noise", "none")),
        ([("clean", "none")], ("clean", "none")),
        ([("given", "none"), ("given", "ddpm")], ("given", "none")),
    ],
)
def test_one_pairing_is_chosen_for_the_area_figure(pairings, shown):
    assert shown_pairing(pd.DataFrame(pairings, columns=["regime", "denoiser"])) == shown


def test_models_with_other_pairings_are_named():
    mine = budget_table(["mine"]).query("regime == 'clean' and denoiser == 'none'").assign(regime="given")
    figure = area_figure(pd.concat([budget_table(["unet"]), mine]))
    assert figure.get_suptitle().splitlines() == [
        "unet: trained on clean images, behind the denoiser", "mine: trained elsewhere, no denoiser",
    ]  # fmt: skip


def test_radii_have_a_row_of_panels_per_model_and_each_pairing_a_line_at_each_sigma():
    radii = (0.1, 0.2, 0.4)
    table = pd.concat([main_table(MODELS).assign(radius=radius, radius_gray_levels=10 * radius) for radius in radii])
    figure = radius_figure(table)
    assert figure.axes[0].get_gridspec().get_geometry() == (len(MODELS), 2 * len(SIGMAS))
    figure.draw_without_rendering()  # positions the upper axes
    panels = iter(figure.axes)
    for model, metric, sigma in itertools.product(MODELS, ("certified_dice", "abstain"), SIGMAS):
        panel = next(panels)
        rows = table[(table["model"] == model) & (table["sigma"] == sigma)]
        expected = [list(group[metric]) for _, group in rows.groupby(["regime", "denoiser"], sort=False)]
        assert [list(each.get_ydata()) for each in panel.lines] == expected
        (above,) = panel.child_axes
        assert above.get_xlim() == pytest.approx([10 * end for end in panel.get_xlim()])
    assert len(figure.legends[0].texts) == len(PAIRINGS)


def test_denoisers_have_a_line_per_method():
    keys = itertools.product(("a", "b"), SIGMAS, DENOISER_LINES)
    rows = [
        {"dataset": dataset, "sigma": sigma, "method": name, "psnr": 20, "ssim": 0.5} for dataset, sigma, name in keys
    ]
    figure = denoiser_figure(pd.DataFrame(rows))
    assert [len(panel.lines) for panel in figure.axes] == [len(DENOISER_LINES)] * 4


def history(score, values):
    steps = range(10, 10 * len(values) + 1, 10)
    return pd.DataFrame({"step": steps, "learning_rate": 1e-3, "train_loss": 0.5, score: values})


def only_segmenter(values):
    return history("score", values).assign(dataset="a", kind="segmenter", model="unet", regime="noise")


def test_training_curves_mark_the_best_validation(tmp_path):
    history("val_dice", [0.2, 0.9, 0.9]).to_csv(tmp_path / "segmenter.csv", index=False)
    history("val_psnr", [20.0, 25.0]).to_csv(tmp_path / "denoiser.csv", index=False)
    histories = read_histories(
        {("a", "unet", "clean"): tmp_path / "segmenter.csv"}, {("a", "a+b"): tmp_path / "denoiser.csv"}
    )
    panels = training_figure(histories).axes
    assert len(panels) == 4
    curve, kept = panels[1].lines
    assert list(curve.get_ydata()) == [0.2, 0.9, 0.9]
    assert (kept.get_xdata(), kept.get_ydata()) == ([20], [0.9])
    assert panels[3].lines[0].get_label() == "denoiser of a and b"


def test_kinds_of_networks_without_training_are_left_out():
    assert len(training_figure(only_segmenter([0.5])).axes) == 2


def test_a_validation_of_nan_is_not_marked():
    _, kept = training_figure(only_segmenter([float("nan"), 0.5, 0.4])).axes[1].lines
    assert kept.get_ydata() == [0.5]


def test_long_names_above_neighbouring_panels_do_not_overlap():
    table = budget_table(["deeplabv3plus"]).assign(dataset="cvc_clinicdb")
    for draw in (area_figure, budget_figure):
        figure = draw(table)
        figure.draw_without_rendering()
        left, right = (panel.title.get_window_extent() for panel in figure.axes)
        assert left.x1 < right.x0


def test_a_title_with_dollar_signs_is_drawn_unchanged(tmp_path):
    figure = Figure()
    figure.suptitle("$(touch x) costs $5 \\frac{")
    figure.savefig(tmp_path / "a.svg")
    assert "$(touch x) costs $5 \\frac{" in (tmp_path / "a.svg").read_text()
    assert not mpl.rcParams["text.parse_math"]


@pytest.mark.parametrize("losses", [[0.9, 0.3, 0.02], [0.31, 0.3, 0.28]])
def test_the_axis_of_losses_has_readable_numbers(losses, tmp_path):
    denoiser = history("score", [1.0, 2.0, float("nan")]).assign(train_loss=losses)
    figure = training_figure(denoiser.assign(dataset="d", kind="denoiser", model="d", regime=""))
    figure.savefig(tmp_path / "a.svg")
    assert not [text.get_text() for text in figure.findobj(mpl.text.Text) if "$" in text.get_text()]
