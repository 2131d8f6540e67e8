"""Text in figures: names are words, and no axis needs a formula."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import segcert.report.style  # noqa: F401 (sets how all figures look)
from segcert.report.figures import Histories, training_figure


def test_a_title_with_dollar_signs_is_drawn_as_it_is(tmp_path):
    figure = Figure()
    figure.suptitle("$(touch x) costs $5 \\frac{")
    figure.savefig(tmp_path / "a.svg")
    assert "$(touch x) costs $5 \\frac{" in (tmp_path / "a.svg").read_text()
    assert not mpl.rcParams["text.parse_math"]


@pytest.mark.parametrize("losses", [[0.9, 0.3, 0.02], [0.31, 0.3, 0.28]])
def test_the_axis_of_losses_has_numbers_that_can_be_read(losses, tmp_path):
    history = pd.DataFrame({"step": [1, 2, 3], "train_loss": losses, "val_psnr": [1.0, 2.0, np.nan]})
    figure = training_figure({"d": Histories({}, {"d": history})})
    figure.savefig(tmp_path / "a.svg")
    assert not [text.get_text() for text in figure.findobj(Text) if "$" in text.get_text()]
