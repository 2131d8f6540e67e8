"""Captions: short sentences, one text for every place, and no bound where it does not hold."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from segcert.certification.attacked_share import ERROR, OVERSTATED
from segcert.report.captions import FIGURES, STRICT, TABLES, for_captions, table_caption
from segcert.report.latex_tables import with_math

FILES = Path(__file__).parents[3] / "reports/captions"
SETTINGS = {
    "run": "tiny",
    "method": "segcertify",
    "n0": 10,
    "n": 100,
    "looks": [],
    "tau": 0.75,
    "alpha": 0.001,
    "kfwer_k": 1,
}
TEXTS = {**{f"figure {name}": figure.caption for name, figure in FIGURES.items()}, **TABLES}


def rendered(name, **settings):
    config = {**SETTINGS, "sigmas": [0.5], **settings}
    snakemake = {
        "config": config | for_captions(config),
        "params": {"examples": 4},
        "wildcards": {"dataset": "phantom"},
    }
    template = Environment().from_string((FILES / f"{name}.rst").read_text())  # noqa: S701 (no HTML)
    return template.render(snakemake=snakemake)


@pytest.mark.parametrize("name", TEXTS)
def test_a_caption_has_at_least_two_sentences_of_at_most_25_words(name):
    sentences = re.split(r"(?<=\.) (?=[A-Z])", TEXTS[name])
    assert len(sentences) > 1
    for sentence in sentences:
        assert len(sentence.split()) <= 25, sentence


@pytest.mark.parametrize("name", ["main", *TABLES])
def test_snakemakes_report_reads_the_same_caption(name):
    assert TABLES[name] in rendered(name)
    if name in FIGURES:
        assert FIGURES[name].caption in rendered(name)


@pytest.mark.parametrize(
    ("name", "promise"),
    [("classes", "certified area"), ("measurements", "certified area"), ("attacks", "at most alpha per image")],
)
def test_a_promise_about_single_pixels_is_made_only_where_it_holds(name, promise):
    assert promise in table_caption(name, weaker=False)
    assert promise not in table_caption(name, weaker=True)
    assert STRICT[name] in rendered(name)
    assert STRICT[name] not in rendered(name, method="by")


@pytest.mark.parametrize("method", ["kfwer", "by"])
@pytest.mark.parametrize("name", ["main", "classes"])
def test_no_caption_states_a_bound_under_a_weaker_guarantee(name, method):
    """The radius maps of these methods are certified by segcertify, so the caption of `radii` does state one."""
    assert "lower bound" in rendered(name)
    assert "lower bound" not in rendered(name, method=method)


def test_the_caption_of_attacks_gives_the_error_of_the_test_and_the_radius_of_its_power():
    assert f"at most {ERROR:g}, for all norms" in TABLES["attacks"]
    assert f"overstated by a factor of {OVERSTATED:g}" in TABLES["attacks"]


def test_every_caption_file_renders():
    for file in FILES.glob("*.rst"):
        text = rendered(file.stem, method="kfwer", kfwer_k=7)
        assert text.strip()
        assert "{" not in text


def test_symbols_are_formulas_and_everything_else_is_escaped():
    assert (
        with_math("l2 at sigma_1 & sigma, 1 - alpha of 5%") == r"$\ell_2$ at sigma\_1 \& $\sigma$, $1 - \alpha$ of 5\%"
    )


def test_planned_looks_are_in_the_caption():
    assert "10 + 100 noisy copies" in rendered("main")
    assert "10 + 60 or 110 (planned looks share alpha) noisy copies" in rendered("main", looks=[60, 110], n=110)
