"""Render a variant's report in a new checkout, FOLDER: python -m tests.tools.simulated VARIANT FOLDER."""

import sys
from pathlib import Path

from tests.support.checkout import make_checkout
from tests.tools.simulated.run import make_run
from tests.tools.simulated.variants import VARIANTS

variant, folder = sys.argv[1:]
checkout = make_checkout(Path(folder).resolve()).path
run = make_run(checkout, VARIANTS[variant](checkout))
run.render()
print(f"Report: {run.report / 'index.html'}")
