"""Tables in LaTeX: they have every number and fit the page, and no name can break them."""

import dataclasses
import re
import shutil
import subprocess

import pandas as pd
import pytest
from tests.unit.report.example_tables import HOSTILE, SIGMAS, claim_table, main_table, measurement_table

from segcert.report.latex_tables import LINES, Table, Tex, fitted, latex_tables, tex, write_latex
from segcert.results.table_columns import IN_LATEX, TABLES

MODELS = ("unet", "resunetpp", "deeplabv3plus")


def lines_of(text):
    """Return the cells of each line in the bodies of all tables, without LaTeX around numbers."""
    bodies = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    cells = [line.removesuffix(r"\\").split(" & ") for body in bodies for line in body.splitlines() if " & " in line]
    return [
        [re.sub(r"\$-\$", "-", re.sub(r"\\llap|\\scriptsize|[{}]", "", cell)).strip() for cell in line]
        for line in cells
    ]


AGAIN = {"decisions": {"most": 3, "later": 8}}  # in the run record of certificates that were decided again


def written(tmp_path, name, table, main, titles=None, collected=None):
    titles = titles or {dataset: f"The data set {dataset}" for dataset in main["dataset"].unique()}
    floats = latex_tables(name, table, main, titles, collected)
    write_latex(tmp_path / f"{name}.tex", floats, f"tables/{name}.csv")
    return (tmp_path / f"{name}.tex").read_text()


@pytest.mark.parametrize("sigmas", [SIGMAS, (0.25, 0.5, 0.75, 1.0, 2.0)])
def test_the_main_table_has_every_number(tmp_path, sigmas):
    main = main_table(("a", "b"), MODELS, sigmas)
    text = written(tmp_path, "main", main, main)
    found = []
    for first, second in zip(*[iter(lines_of(text))] * 2, strict=True):
        assert second[:3] == ["", "", ""]
        found += [
            (first[0], first[1], first[2], vote, dice, abstain, interval)
            for vote, dice, abstain, interval in zip(first[3::3], first[4::3], first[5::3], second[4::3], strict=True)
        ]
    expected = [
        (row.regime, row.denoiser, f"{row.dice:.3f}", f"{row.vote_dice:.3f}", f"{row.certified_dice:.3f}",
         f"{100 * row.abstain:.1f}", f"[{row.certified_dice_low:.3f}, {row.certified_dice_high:.3f}]")
        for row in main.itertuples()
    ]  # fmt: skip
    # `dice` is that of the model without noise, so a line shows the value at its first noise level only.
    assert sorted(row[:2] + row[3:] for row in found) == sorted(row[:2] + row[3:] for row in expected)
    assert {row[2] for row in found} <= {row[2] for row in expected}
    assert all(f"$\\sigma = {sigma:g}$" in text for sigma in sigmas)


def test_other_tables_have_every_number(tmp_path):
    main = main_table(("a",), MODELS)
    measured = lines_of(written(tmp_path, "measurements", measurement_table(main), main))
    assert len(measured) == 2 * len(main)
    for line, row in zip(measured, measurement_table(main).itertuples(), strict=True):
        shown = [
            f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in (row.truth, row.clean, row.low, row.high)
        ]
        raised = "$^1$" if row.unbounded else ""
        assert line[4:7] == [shown[0], shown[1], f"{shown[2]} to {shown[3]}{raised}"]
        assert line[8] == ("" if row.threshold != row.threshold else "3/4/1 at 0.5, 5/2")
    pairings = main.assign(baseline="noise", difference=-main["dice"], difference_low=-1, difference_high=0.5)
    for line, row in zip(lines_of(written(tmp_path, "pairings", pairings, main)), pairings.itertuples(), strict=True):
        assert line[-1] == f"{row.difference:+.3f} [-1.000, +0.500]"


def test_each_data_set_has_floats_that_fit_a_page_and_have_unique_labels(tmp_path):
    main = main_table(("a", "b"), tuple(f"model{number}" for number in range(9)))
    for name, table in {"main": main, "measurements": measurement_table(main)}.items():
        text = written(tmp_path, name, table, main)
        labels = re.findall(r"\\label{(.*?)}", text)
        assert len(labels) == len(set(labels)) == text.count(r"\begin{table*}") > 2
        for body in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL):
            assert len(body.splitlines()) <= LINES + 10  # titles and spaces between groups
        assert len(lines_of(text)) == (len(table) if name == "measurements" else 2 * len(table) / len(SIGMAS))


def test_a_long_caption_leaves_room_for_fewer_lines():
    table = Table(Tex("short"), "tab:a", TABLES["denoisers"], {"": [["cell"]] * LINES})
    assert len(fitted(table)) == 1
    assert len(fitted(dataclasses.replace(table, caption=Tex("long " * 200)))) == 2
    assert len(fitted(dataclasses.replace(table, caption=Tex("long " * 10_000)))) == 2


@pytest.mark.parametrize("undefined", [0, 3])
def test_a_caption_counts_the_images_without_a_certified_dice(tmp_path, undefined):
    main = main_table().assign(undefined=undefined)
    assert ("On up to 3 images, a structure is absent" in written(tmp_path, "main", main, main)) == bool(undefined)


def test_captions_give_the_settings_and_a_weaker_guarantee(tmp_path):
    main = main_table()
    text = written(tmp_path, "main", main, main)
    for said in (r"\texttt{segcertify}", r"$\tau = 0.75$", r"$\alpha = 0.001$", "100 estimation", "0.169, 0.337, 0.674",
                 "pixel values in $[0, 1]$", "8 test images", "The data set phantom"):  # fmt: skip
        assert said in text
    assert "weaker" not in text
    assert "Decision" not in text
    weak = main_table(method="kfwer").assign(k=7)
    text = written(tmp_path, "main", weak, weak, collected=AGAIN)
    for said in ("A weaker guarantee", "fewer than k pixels", "($k = 7$)", "Decision 3 on this image and network"):
        assert said in text


def test_radii_name_their_method_if_it_is_not_that_of_the_run(tmp_path):
    main = main_table()
    assert "certifies no radii" not in written(tmp_path, "radii", main, main)
    said = r"shows results of \texttt{segcertify}, because \texttt{by} certifies no radii."
    assert said in written(tmp_path, "radii", main, main_table(method="by"))


def test_a_table_without_rows_says_so(tmp_path):
    text = written(tmp_path, "attacks", pd.DataFrame(columns=["dataset"]), main_table())
    assert "no rows" in text
    assert all(line.startswith("%") for line in text.splitlines() if line)


def test_hostile_names_are_escaped(tmp_path):
    assert tex(HOSTILE) == (
        r"a\_b\% \& \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}\$ \textless{}{[}{*}] \textbar{} é"
    )
    main = main_table((HOSTILE,), (HOSTILE,))
    text = written(tmp_path, "main", main, main, {HOSTILE: HOSTILE})
    assert text.count(tex(HOSTILE)) == 2
    assert r"\label{tab:main-a-b-1-x}" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_a_document_with_all_tables_compiles_and_nothing_is_too_wide(tmp_path):
    main = main_table((HOSTILE, "b"), (*MODELS, "x_%&#{}~^\\$"), method="by")
    frames = {
        "main": main,
        "measurements": measurement_table(main),
        "classes": main.assign(class_name="left lung", area=1000.0, area_low=900.0, area_high=1100.0),
        "pairings": main.assign(baseline="noise", difference=-0.5, difference_low=-1, difference_high=0.5),
        "attacks": main.assign(factor=2.5, clean_share=0.923, share=0.512, least_share=0.2, power=0.95, refuted=10),
        "costs": main.assign(parameters=123456.0, evaluations=2, gflop_per_draw=0.123, gflop_per_image=12345.0),
        "denoisers": main.assign(method="nl_means", psnr=21.3, ssim=0.61),
        "claims": claim_table().assign(dataset="b", claim="no_worse_than_noise_trained", sigma_low=[0.25, 0.5, None]),
        "radii": main,
    }
    for name, frame in frames.items():
        written(tmp_path, name, frame, main)
    written(tmp_path, "empty", pd.DataFrame(columns=["dataset"]), main)
    assert frames.keys() == set(IN_LATEX)
    inputs = "\n".join(f"\\input{{{name}}}\\clearpage" for name in [*frames, "empty"])
    (tmp_path / "all.tex").write_text(  # the text width of Springer's LNCS
        "\\documentclass{article}\\usepackage{booktabs}\\usepackage[textwidth=122mm,textheight=193mm]{geometry}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True,
        text=True, check=False, encoding="latin-1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(too_wide, default=0) < 1, done.stdout
    assert "Float too large" not in done.stdout
    assert "multiply defined" not in done.stdout


def test_planned_looks_are_in_the_caption(tmp_path):
    main = main_table().assign(n=62.5, looks="60, 110, 300")
    assert "10 selection and 60, 110 or 300 (planned looks share alpha) estimation" in written(
        tmp_path, "main", main, main
    )
